//! Projections: what a thread keeps up to date is the fold of what is durable, whatever happens to the log.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, MemStore, Result, Retention, Wal, WalError, WalRecord,
    event::TypedError,
    state::{At, Projection, State, StoreConfig},
};
use wal_tests::{PATIENCE, assert_is, random::Rng};

use super::{
    History, Noted, log_in_memory, noted,
    snapshots::{by_hand, by_hand_as, in_memory},
};

fn plain() -> StoreConfig<History> {
    StoreConfig::new()
}

/// A log in segments that are as short as can be.
fn segmented(path: &Path) -> EventLog<Noted> {
    Wal::open_segmented(path, 64 << 10).unwrap().typed().unwrap()
}

/// Waits for everything that is there, and compares with a fold of it.
fn assert_is_the_fold(projection: &Projection<History>) {
    let log = projection.log();
    log.wal().sync().unwrap();
    let whole = log.rebuild::<History>().unwrap();
    if let Some(last) = whole.last {
        assert!(projection.wait_for(last, PATIENCE).unwrap());
    }
    // What it had of events that were cut off is shown until the rest is there again.
    let deadline = Instant::now() + PATIENCE;
    let view = loop {
        let view = projection.view().unwrap();
        if view.state == whole.state || Instant::now() > deadline {
            break view;
        }
        thread::yield_now();
    };
    assert_eq!(view.state, whole.state);
    assert_eq!(
        (view.events, view.last, view.time_us),
        (whole.events, whole.last, whole.time_us)
    );
}

/// A number, of which the events say how it changes.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "sum")]
struct Sum(u64);

impl State for Sum {
    type Event = Noted;

    fn apply(&mut self, event: Noted, _: At) {
        assert!(event.number != 13, "thirteen");
        self.0 += event.number;
    }
}

#[test]
fn each_thread_reads_what_it_has_written() {
    let log = log_in_memory();
    let projection = log.project(plain()).unwrap();
    thread::scope(|scope| {
        for writer in 0..4 {
            let (log, projection) = (&log, &projection);
            scope.spawn(move || {
                for number in 0..200 {
                    let number = writer * 1000 + number;
                    let lsn = log.append_and_sync(&noted(number)).unwrap();
                    assert!(projection.wait_for(lsn, PATIENCE).unwrap());
                    let has = |history: &History| history.all.contains(&(lsn, number));
                    assert!(projection.read(has).unwrap());
                }
            });
        }
    });
    assert_is_the_fold(&projection);
}

#[test]
fn only_what_is_durable_is_shown() {
    let log = log_in_memory();
    let projection = log.project(plain()).unwrap();
    let durable = log.append_and_sync(&noted(1)).unwrap();
    let not_yet = log.append(&noted(2)).unwrap();
    assert!(projection.wait_for(durable, PATIENCE).unwrap());
    assert!(!projection.wait_for(not_yet, Duration::ZERO).unwrap());
    assert_eq!(projection.read(|history| history.all.len()).unwrap(), 1);
    log.wal().sync().unwrap();
    assert!(projection.wait_for(not_yet, PATIENCE).unwrap());
    let nowhere = Lsn::new(log.wal().end().get() + 1);
    assert_is!(
        projection.wait_for(nowhere, PATIENCE),
        Err(WalError::BeyondEnd { .. })
    );
}

#[test]
fn several_from_one_replay_begin_where_each_is() {
    let memory = MemStore::new();
    let log = in_memory(&memory);
    let write = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            log.append(&noted(number)).unwrap();
        }
        log.wal().sync().unwrap();
    };
    write(100..400);
    let early = log.project(by_hand()).unwrap();
    assert_eq!(early.snapshot().unwrap().unwrap().events, 300);
    drop(early);
    write(400..1000);
    let late = log.project(by_hand_as::<Sum>("sum")).unwrap();
    assert_eq!(late.snapshot().unwrap().unwrap().events, 900);
    drop(late);
    write(1000..1100);

    let configs = (by_hand(), by_hand_as::<Sum>("sum"), StoreConfig::<History>::new());
    let (history, sum, whole) = log.project(configs).unwrap();
    assert_eq!(history.began_with().unwrap().events, 300);
    assert_eq!(sum.began_with().unwrap().events, 900);
    assert!(whole.began_with().is_none() && whole.passed_over().is_empty());
    assert_is_the_fold(&history);
    assert_is_the_fold(&whole);
    let last = whole.status().unwrap().last.unwrap();
    assert!(sum.wait_for(last, PATIENCE).unwrap());
    assert_eq!(sum.read(|sum| sum.0).unwrap(), (100..1100).sum::<u64>());
    assert_eq!(sum.status().unwrap().events, 1000);
    // And go on together.
    write(1100..1200);
    assert_is_the_fold(&history);
    assert_is_the_fold(&whole);
}

#[test]
fn a_name_is_taken_while_any_of_its_thread_lives() {
    let log = log_in_memory();
    let (history, other) = log.project((by_hand(), StoreConfig::<Sum>::new())).unwrap();
    assert_is!(log.project(by_hand()), Err(WalError::StoreExists { name, .. }) if name == "history");
    assert_is!(log.store(by_hand()), Err(WalError::StoreExists { .. }));
    drop(history);
    assert_is!(log.project(by_hand()), Err(WalError::StoreExists { .. }));
    drop(other);
    drop(log.project(by_hand()).unwrap());
    let store = log.store(by_hand()).unwrap();
    assert_is!(log.project(by_hand()), Err(WalError::StoreExists { .. }));
    drop(store);
    drop(log.project(by_hand()).unwrap());
}

#[test]
fn a_log_is_closed_when_its_last_projection_is_dropped() {
    let memory = MemStore::new();
    let projection = in_memory(&memory).project(plain()).unwrap();
    let clone = projection.clone();
    drop(projection);
    assert_eq!(clone.read(|history| history.all.len()).unwrap(), 0);
    drop(clone);
    in_memory(&memory).append(&noted(1)).unwrap();
}

#[test]
fn snapshots_are_made_by_themselves_and_a_restart_reads_little() {
    let memory = MemStore::new();
    let config = || by_hand().with_snapshot_every(4 << 10);
    let projection = in_memory(&memory).project(config()).unwrap();
    for number in 0..500 {
        let lsn = projection.log().append_and_sync(&noted(number)).unwrap();
        assert!(projection.wait_for(lsn, PATIENCE).unwrap());
    }
    while projection.snapshot_status().unwrap().is_making {
        thread::yield_now();
    }
    let status = projection.snapshot_status().unwrap();
    assert!(status.failure.is_none(), "{status:?}");
    assert!(status.newest.unwrap().events > 0);
    drop(projection);
    let projection = in_memory(&memory).project(config()).unwrap();
    assert!(projection.began_with().unwrap().events > 100);
    assert_is_the_fold(&projection);
}

#[test]
fn compact_keeps_what_a_projection_needs() {
    let dir = tempfile::tempdir().unwrap();
    let open = || segmented(&dir.path().join("log"));
    let projection = open().project(by_hand()).unwrap();
    let long = |number| Noted {
        number,
        ballast: vec![7; 1000],
    };
    for number in 0..500 {
        projection.log().append_and_sync(&long(number)).unwrap();
        if number % 160 == 159 {
            projection.snapshot().unwrap().unwrap();
        }
    }
    let compacted = projection.compact().unwrap();
    assert!(compacted.head > Lsn::ZERO && compacted.kept_for == "history");
    assert_is!(
        projection.log().project(StoreConfig::<Sum>::new()),
        Err(WalError::Truncated { .. })
    );
    let last = projection.log().append_and_sync(&long(500)).unwrap();
    assert!(projection.wait_for(last, PATIENCE).unwrap());
    let before = projection.view().unwrap();
    drop(projection);
    let projection = open().project(by_hand()).unwrap();
    assert!(projection.wait_for(last, PATIENCE).unwrap());
    assert_eq!(projection.view().unwrap().state, before.state);
}

#[test]
fn a_state_that_panics_ends_alone() {
    let log = log_in_memory();
    let (sum, history) = log.project((StoreConfig::<Sum>::new(), plain())).unwrap();
    log.append_and_sync(&noted(12)).unwrap();
    let bad = log.append_and_sync(&noted(13)).unwrap();
    let last = log.append_and_sync(&noted(14)).unwrap();
    assert!(history.wait_for(last, PATIENCE).unwrap());
    assert_is_the_fold(&history);
    let panicked = |why: &WalError| matches!(why, WalError::ApplyPanicked { lsn, .. } if *lsn == bad);
    // Where it is looked for the event itself, too.
    assert_is!(sum.wait_for(bad, PATIENCE), Err(WalError::ProjectionEnded { .. }));
    assert_is!(sum.wait_for(last, PATIENCE), Err(WalError::ProjectionEnded { why, .. }) if panicked(why));
    assert_is!(sum.read(|_| ()), Err(WalError::ProjectionEnded { .. }));
    assert_is!(sum.peek(|_| ()), Err(WalError::ProjectionEnded { .. }));
    let failure = sum.status().unwrap().failure.unwrap();
    assert!(failure.contains("thirteen"), "{failure}");
    // The other one goes on, also after a cut of what the first one has.
    log.append_and_sync(&noted(15)).unwrap();
    assert_is_the_fold(&history);
    log.wal().truncate_from(bad).unwrap();
    assert_is_the_fold(&history);
}

#[test]
fn a_state_that_has_what_was_dropped_goes_on_beside_one_that_has_not() {
    let memory = MemStore::new();
    let log = in_memory(&memory);
    let held = GATE_OF_DROPPED.lock().unwrap();
    for number in 0..2000 {
        log.append(&noted(number)).unwrap();
    }
    log.wal().sync().unwrap();
    let history = log.project(by_hand()).unwrap();
    history.snapshot().unwrap().unwrap();
    drop(history);
    let (behind, history) = log.project((StoreConfig::<Behind>::new(), by_hand())).unwrap();
    let last = log.append_and_sync(&noted(2000)).unwrap();
    log.wal().truncate_before(last).unwrap();
    drop(held);
    assert!(history.wait_for(last, PATIENCE).unwrap());
    assert_eq!(history.read(|history| history.all.len()).unwrap(), 2001);
    assert_is!(
        behind.wait_for(last, PATIENCE),
        Err(WalError::ProjectionEnded { .. })
    );
}

#[test]
fn a_record_that_is_no_event_ends_it_unless_there_may_be_others() {
    let log = log_in_memory();
    let all = log.project(plain().with_others(true)).unwrap();
    let own = log.project(plain()).unwrap();
    let first = log.append_and_sync(&noted(1)).unwrap();
    assert!(own.wait_for(first, PATIENCE).unwrap());
    let other = log.wal().append_and_sync(b"plain bytes").unwrap();
    let last = log.append_and_sync(&noted(2)).unwrap();
    assert!(all.wait_for(last, PATIENCE).unwrap());
    assert_eq!(all.read(|history| history.all.len()).unwrap(), 2);
    assert_is!(own.wait_for(last, PATIENCE), Err(WalError::ProjectionEnded { why, .. })
        if matches!(&**why, WalError::Typed(TypedError::NotTyped { lsn, .. }) if *lsn == other));
    assert_is!(own.read(|_| ()), Err(WalError::ProjectionEnded { .. }));
    assert_eq!(own.peek(|history| history.all.len()).unwrap(), 1);
    // What comes last is waited for as well.
    let other = log.wal().append_and_sync(b"more").unwrap();
    assert!(all.wait_for(other, PATIENCE).unwrap());
    assert_is!(
        log.project((plain(), plain().with_others(true))),
        Err(WalError::Config { what, .. }) if what.contains("with_others")
    );
}

#[test]
fn one_that_waits_hears_that_the_log_was_closed() {
    let log = log_in_memory();
    let projection = log.project(plain()).unwrap();
    let lsn = log.append(&noted(1)).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| projection.wait_for(lsn, PATIENCE));
        log.wal().clone().close().unwrap();
        // Closing makes what was appended durable, and the thread may have seen that or not.
        assert_is!(waiting.join().unwrap(), Ok(true) | Err(WalError::Closed));
    });
    let read = loop {
        match projection.read(|_| ()) {
            Ok(()) => thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert_is!(read, WalError::Closed);
    assert!(projection.peek(|history| history.all.len()).unwrap() <= 1);
}

#[test]
fn the_log_cannot_be_used_inside_of_what_it_waits_for() {
    let log = log_in_memory();
    let projection = log.project(plain()).unwrap();
    let lsn = log.append_and_sync(&noted(1)).unwrap();
    assert!(projection.wait_for(lsn, PATIENCE).unwrap());
    let inside = |_: &History| {
        assert_is!(log.append(&noted(2)), Err(WalError::Reentrant));
        assert_is!(projection.wait_for(lsn, PATIENCE), Err(WalError::Reentrant));
        assert_is!(projection.read(|_| ()), Err(WalError::Reentrant));
    };
    projection.read(inside).unwrap();
}

/// A state that waits before it takes an event in.
#[derive(Default)]
struct Slow(u64);

static GATE: Mutex<()> = Mutex::new(());
static IS_SLOW: AtomicBool = AtomicBool::new(false);

impl State for Slow {
    type Event = Noted;

    fn apply(&mut self, _: Noted, _: At) {
        if IS_SLOW.load(Ordering::Acquire) {
            drop(GATE.lock().unwrap());
        }
        self.0 += 1;
    }
}

#[test]
fn retention_keeps_what_a_projection_has_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = segmented(&dir.path().join("log"));
    let wal = log.wal();
    let slow = log.project(StoreConfig::<Slow>::new()).unwrap();
    let held = GATE.lock().unwrap();
    IS_SLOW.store(true, Ordering::Release);
    let append = |count: usize| {
        let long = |number| Noted {
            number,
            ballast: vec![7; 1000],
        };
        let lsns = (0..count).map(|number| log.append_and_sync(&long(number as u64)).unwrap());
        lsns.collect::<Vec<_>>().pop()
    };
    let least = Retention::new().with_max_bytes(64 << 10);
    let last = append(200).unwrap();
    wal.retain(&least).unwrap();
    assert_eq!(wal.status().head_ordinal, 0);
    IS_SLOW.store(false, Ordering::Release);
    drop(held);
    assert!(slow.wait_for(last, PATIENCE).unwrap());
    assert_eq!(slow.read(|slow| slow.0).unwrap(), 200);
    append(1);
    // It may not have said yet how far it is.
    while wal.status().head_ordinal == 0 {
        wal.retain(&least).unwrap();
    }
}

#[test]
fn a_reader_of_another_handle_projects_what_the_writer_makes_durable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = Wal::open(&path).unwrap().typed::<Noted>().unwrap();
    log.append_and_sync(&noted(1)).unwrap();
    let reader = Wal::open_read_only(&path).unwrap().typed::<Noted>().unwrap();
    assert_is!(reader.project(by_hand()), Err(WalError::ReadOnly));
    let projection = reader.project(plain()).unwrap();
    for number in 2..50 {
        let lsn = log.append_and_sync(&noted(number)).unwrap();
        // A reader cannot know that there will be more before the log says so.
        assert!(projection.wait_for(lsn, PATIENCE).unwrap());
    }
    assert_eq!(projection.read(|history| history.all.len()).unwrap(), 49);
    let last = log.append_and_sync(&noted(50)).unwrap();
    log.wal().truncate_after(last).unwrap();
    let last = log.append_and_sync(&noted(51)).unwrap();
    assert!(projection.wait_for(last, PATIENCE).unwrap());
    assert_eq!(
        projection.view().unwrap().state,
        log.rebuild::<History>().unwrap().state
    );
}

/// A log as a list: what it holds, and which of that was read by a projection that lives.
struct Model {
    memory: MemStore,
    log: Option<EventLog<Noted>>,
    projections: Vec<Projection<History>>,
    number: u64,
}

impl Model {
    fn log(&mut self) -> EventLog<Noted> {
        let memory = &self.memory;
        self.log.get_or_insert_with(|| in_memory(memory)).clone()
    }

    fn step(&mut self, rng: &mut Rng) -> Result<()> {
        let log = self.log();
        match rng.below(16) {
            0..6 => {
                for _ in 0..rng.below(400) {
                    self.number += 1;
                    log.append(&noted(self.number))?;
                }
            }
            6..8 => log.wal().sync()?,
            8..11 => {
                let all = log.rebuild::<History>()?.state.all;
                if !all.is_empty() {
                    log.wal().truncate_after(all[rng.below(all.len())].0)?;
                }
            }
            11..13 if self.projections.len() < 3 => {
                let named = self.projections.is_empty() && rng.below(2) == 0;
                self.projections.push(match named {
                    true => log.project(by_hand())?,
                    false => log.project(plain())?,
                });
            }
            13 => self.projections.clear(),
            14 => {
                if let Some(named) = self.projections.first() {
                    let _ = named.snapshot();
                }
            }
            15 => {
                self.projections.clear();
                self.log = None;
            }
            _ => self.projections.iter().for_each(assert_is_the_fold),
        }
        Ok(())
    }
}

#[test]
fn after_any_history_with_cuts_it_is_the_fold_of_what_is_left() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut model = Model {
            memory: MemStore::new(),
            log: None,
            projections: Vec::new(),
            number: 0,
        };
        for _ in 0..30 {
            model
                .step(&mut rng)
                .unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        }
        model.projections.iter().for_each(assert_is_the_fold);
        let projection = model.log().project(plain()).unwrap();
        assert_is_the_fold(&projection);
    }
}

#[test]
fn events_that_were_dropped_unread_end_it() {
    let log = log_in_memory();
    let held = GATE_OF_DROPPED.lock().unwrap();
    let behind = log.project(StoreConfig::<Behind>::new()).unwrap();
    let numbers = 0..2000;
    let lsns: Vec<Lsn> = numbers
        .map(|number| log.append(&noted(number)).unwrap())
        .collect();
    let last = lsns[lsns.len() - 1];
    log.wal().sync().unwrap();
    log.wal().truncate_before(last).unwrap();
    drop(held);
    let arc: Arc<WalError> = match behind.wait_for(last, PATIENCE) {
        Err(WalError::ProjectionEnded { why, .. }) => why,
        waited => panic!("{waited:?}"),
    };
    assert_is!(&*arc, WalError::Truncated { head, .. } if *head == last);
}

static GATE_OF_DROPPED: Mutex<()> = Mutex::new(());

#[derive(Default)]
struct Behind;

impl State for Behind {
    type Event = Noted;

    fn apply(&mut self, _: Noted, _: At) {
        drop(GATE_OF_DROPPED.lock().unwrap());
    }
}

#[test]
fn one_that_waits_for_an_event_that_was_cut_off_hears_that_it_will_not_come() {
    let log = log_in_memory();
    let first = log.append_and_sync(&noted(1)).unwrap();
    let projection = log.project(plain()).unwrap();
    assert!(projection.wait_for(first, PATIENCE).unwrap());
    let gone = log.append(&noted(2)).unwrap();
    log.wal().truncate_after(first).unwrap();
    // Nothing is appended after it.
    assert!(projection.wait_for(gone, PATIENCE).unwrap());
    assert_is_the_fold(&projection);
}
