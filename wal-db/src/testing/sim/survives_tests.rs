//! States that do not survive, each found.

use std::sync::atomic::AtomicU64;

use serde::{Deserialize, Serialize};

use super::*;
use crate::{WalRecord, state::At};

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "moved")]
enum Moved {
    In { cents: u64 },
    Out { cents: u64 },
}

/// What a till has, and how many events made it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "till")]
struct Till {
    cents: u64,
    events: u64,
}

impl State for Till {
    type Event = Moved;

    fn apply(&mut self, event: Moved, _: At<'_>) {
        self.events += 1;
        match event {
            Moved::In { cents } => self.cents += cents,
            Moved::Out { cents } => self.cents -= cents,
        }
    }
}

/// Changes money into as much: two events, or none.
fn change(till: &Till, cents: &u64, _: &Now) -> Result<Decision<Moved>, &'static str> {
    if till.cents == 0 {
        return Ok(Decision::new(()).event(Moved::In { cents: 100 }));
    }
    if *cents > till.cents {
        return Err("there is not enough");
    }
    let out = Decision::new(()).event(Moved::Out { cents: *cents });
    Ok(out.event(Moved::In { cents: *cents }))
}

const CENTS: [u64; 12] = [100, 5, 20, 500, 5, 7, 8, 300, 1, 2, 3, 4];

fn found<S>(
    decide: impl Fn(&S, &u64, &Now) -> Result<Decision<S::Event>, &'static str> + Sync,
    invariant: impl Fn(&S),
) -> String
where
    S: State<Event: 'static> + WalDecodeOwned + Default + PartialEq + Send + Sync + 'static,
{
    let failed = check_store_survives(CrashPlan::default(), CENTS, decide, invariant);
    failed.expect_err("it does not survive").to_string()
}

#[test]
fn a_sound_state_survives() {
    let whole = |till: &Till| assert!(matches!((till.cents, till.events), (0, 0) | (100, _)));
    let images = assert_store_survives(CENTS, change, whole);
    assert!(images > 40, "{images}");
    let odd = |till: &Till| assert!(till.events == 0 || till.events % 2 == 1, "{} events", till.events);
    assert!(assert_store_survives(CENTS, change, odd) > 40);
}

#[test]
fn a_decision_that_breaks_the_invariant_is_found() {
    let takes_any = |_: &Till, cents: &u64, _: &Now| Ok(Decision::new(()).event(Moved::In { cents: *cents }));
    let text = found(takes_any, |till| {
        assert!(till.cents < 300, "too much: {}", till.cents)
    });
    assert!(
        text.contains("panics: too much: ") && text.contains("what the program did to the disk"),
        "{text}"
    );
}

/// Says how many events there were in the life of the process.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "counting")]
struct Counting(u64);

impl State for Counting {
    type Event = Moved;

    fn apply(&mut self, _: Moved, _: At<'_>) {
        static EVENTS: AtomicU64 = AtomicU64::new(0);
        self.0 = EVENTS.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_state_that_is_not_the_fold_of_the_log_is_found() {
    let puts = |_: &Counting, cents: &u64, _: &Now| Ok(Decision::new(()).event(Moved::In { cents: *cents }));
    let text = found(puts, |_| {});
    assert!(text.contains("is not the fold of the log"), "{text}");
}

/// Forgets in a snapshot what it has.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "forgetful")]
struct Forgetful {
    #[serde(skip)]
    cents: u64,
}

impl State for Forgetful {
    type Event = Moved;

    fn apply(&mut self, _: Moved, _: At<'_>) {
        self.cents += 1;
    }
}

#[test]
fn a_state_that_does_not_come_back_from_a_snapshot_is_found() {
    let puts = |_: &Forgetful, cents: &u64, _: &Now| Ok(Decision::new(()).event(Moved::In { cents: *cents }));
    let text = found(puts, |_| {});
    assert!(text.contains("is not the fold of the log"), "{text}");
}

#[test]
fn what_was_decided_is_there_whole_or_not_at_all() {
    let disk = SimDisk::new();
    let decisions = run::<Till, _, _, _>(&disk, &CENTS, &change).expect("a sound state");
    assert!(decisions.len() > 8, "{decisions:?}");
    let image = || disk.seen();
    let first_missing = |decisions: &[Vec<Lsn>]| survived::<Till>(image(), decisions, |_| Ok(()));
    assert_eq!(first_missing(&decisions), Ok(decisions.len()));
    let nowhere = Lsn::new(u64::MAX / 2);
    let mut lost = decisions.clone();
    lost[3] = vec![nowhere, nowhere];
    lost[5] = vec![nowhere];
    assert_eq!(first_missing(&lost), Ok(3));
    lost[1].push(nowhere);
    let half = first_missing(&lost).expect_err("half of one is there");
    assert!(half.contains("of decision 1 there are"), "{half}");
}

#[test]
fn an_answer_before_its_events_are_durable_is_found() {
    let disk = SimDisk::new();
    let store = open::<Till>(&disk).expect("an empty disk");
    disk.mark(0);
    let decided = store.transact(|till, now| change(till, &1, now));
    let lsns = decided.expect("nothing refuses it").lsns;
    drop(store);
    let journal = disk.kill().journal();
    let failed = every_crash(&journal, CrashPlan::default(), |image, answered| {
        let missing = survived::<Till>(image, std::slice::from_ref(&lsns), |_| Ok(()))?;
        is_kept(missing, answered)
    });
    let text = failed.expect_err("it was answered too early").to_string();
    assert!(
        text.contains("decision 0 was answered before, and is not there"),
        "{text}"
    );
}
