//! States of earlier moments: each is the fold of what was there then.

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, Meta, Start, WalError, WalRecord,
    state::{At, State, StoreConfig, diff},
};
use wal_tests::{assert_is, random::Rng};

use super::{History, Noted, log_in_memory, noted};

/// The largest number so far.
#[derive(Debug, Default)]
struct Most(u64);

impl State for Most {
    type Event = Noted;

    fn apply(&mut self, event: Noted, _: At) {
        self.0 = self.0.max(event.number);
    }
}

fn filled(log: &EventLog<Noted>) -> Vec<(Lsn, u64)> {
    let mut rng = Rng::new(3);
    let append = |_| {
        let number = rng.number() >> 40;
        (log.append(&noted(number)).unwrap(), number)
    };
    (0..300).map(append).collect()
}

#[test]
fn a_state_of_every_moment_is_the_fold_of_what_was_there() {
    let log = log_in_memory();
    let all = filled(&log);
    for n in 0..all.len() {
        let by_lsn = log.as_of::<History>(all[n].0).unwrap();
        assert_eq!(by_lsn.state.all, all[..n]);
        assert_eq!(by_lsn.events, n as u64);
        let by_number = log.as_of::<History>(Start::Ordinal(n as u64)).unwrap();
        assert_eq!(by_number.state, by_lsn.state);
        // What was not there yet follows from there on.
        assert_eq!(log.replay(by_lsn.next..).unwrap().count(), all.len() - n);
    }
    let now = log.as_of::<History>(log.wal().end()).unwrap();
    assert_eq!(now.state, log.rebuild::<History>().unwrap().state);
    assert_eq!(log.as_of::<History>(Start::Head).unwrap().events, 0);
    let late = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    assert_eq!(log.as_of::<History>(Start::Time(late)).unwrap().state, now.state);
    let beyond = Lsn::new(log.wal().end().get() + 1_000_000);
    assert_is!(log.as_of::<History>(beyond), Err(WalError::BeyondEnd { .. }));
}

#[test]
fn changes_are_the_events_after_which_something_else_is_seen() {
    let log = log_in_memory();
    let all = filled(&log);
    let mut most = 0;
    let expected: Vec<_> = all
        .iter()
        .filter_map(|&(lsn, number)| {
            let before = most;
            most = most.max(number);
            (most > before).then_some((lsn, before, most))
        })
        .collect();
    assert!(expected.len() > 3);
    let ranges = [(0, 300), (0, 1), (7, 200), (150, 300), (40, 40)];
    for (from, to) in ranges {
        let end = all.get(to).map_or(log.wal().end(), |(lsn, _)| *lsn);
        let changes = log.changes(all[from].0..end, |most: &Most| most.0).unwrap();
        let found: Vec<_> = changes
            .map(|change| {
                change
                    .map(|change| (change.lsn, change.before, change.after))
                    .unwrap()
            })
            .collect();
        let inside = |(lsn, ..): &&(Lsn, u64, u64)| (all[from].0..end).contains(lsn);
        assert_eq!(found, expected.iter().filter(inside).copied().collect::<Vec<_>>());
    }
    let named = Meta::new().with_stream("ann");
    let store = log.store::<Most>(StoreConfig::new()).unwrap();
    store.commit_with_meta(noted(1 << 30), named.clone()).unwrap();
    let last = log
        .changes(.., |most: &Most| most.0)
        .unwrap()
        .last()
        .unwrap()
        .unwrap();
    assert_eq!((last.after, last.meta.stream()), (1 << 30, named.stream()));
}

#[test]
fn the_past_of_a_log_that_lost_its_beginning_is_refused() {
    let log = log_in_memory();
    let all = filled(&log);
    log.wal().truncate_before(all[10].0).unwrap();
    assert_is!(log.as_of::<History>(all[20].0), Err(WalError::Truncated { .. }));
    assert_is!(
        log.changes(.., |most: &Most| most.0),
        Err(WalError::Truncated { .. })
    );
}

#[test]
fn changes_end_at_what_cannot_be_read() {
    let log = log_in_memory();
    log.append(&noted(1)).unwrap();
    log.wal().append(b"no event").unwrap();
    log.append(&noted(2)).unwrap();
    let mut changes = log.changes(.., |most: &Most| most.0).unwrap();
    assert_eq!(changes.next().unwrap().unwrap().after, 1);
    assert!(changes.next().unwrap().is_err());
    assert!(changes.next().is_none());
}

/// Of neighbours among all moments: what the event did, and nothing else.
#[test]
fn two_states_differ_in_what_the_events_between_them_did() {
    let log = log_in_memory();
    let all = filled(&log);
    let states: Vec<History> = (0..=all.len())
        .map(|n| log.as_of::<History>(Start::Ordinal(n as u64)).unwrap().state)
        .collect();
    for (n, pair) in states.windows(2).enumerate() {
        let shown: Vec<String> = diff(&pair[0], &pair[1])
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        let (lsn, number) = all[n];
        let added = format!("all.{n}: added ({lsn}, {number})");
        let digest = format!("digest: {} -> {}", pair[0].digest, pair[1].digest);
        assert_eq!(shown, [added, digest]);
        assert!(diff(&pair[0], &pair[0]).unwrap().is_empty());
    }
    let [first, last] = [&states[0], &states[all.len()]];
    assert_eq!(diff(last, first).unwrap().len(), all.len() + 1);
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "lamp")]
enum Lamp {
    Off,
    On { watts: u8 },
}

#[test]
fn an_enum_differs_in_its_fields_or_as_a_whole() {
    let shown = |before: Lamp, after: Lamp| diff(&before, &after).unwrap()[0].to_string();
    assert_eq!(shown(Lamp::Off, Lamp::On { watts: 5 }), "off -> on {watts: 5}");
    assert_eq!(
        shown(Lamp::On { watts: 5 }, Lamp::On { watts: 7 }),
        "watts: 5 -> 7"
    );
    assert!(diff(&Lamp::Off, &Lamp::Off).unwrap().is_empty());
}
