//! States that are other ones than when their snapshots were made, and logs that are.

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, MemStore, WalError, WalRecord,
    state::{At, SnapshotError, State, Store, StoreConfig, snapshots},
};

use super::{
    History, Noted, noted,
    snapshots::{assert_reopened, by_hand, by_hand_as, in_memory},
    snapshots_refused::{records, with_two},
};

/// The same history, of a later release.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "history", version = 2, from = History)]
struct Short {
    count: u64,
    digest: u64,
}

impl From<History> for Short {
    fn from(old: History) -> Self {
        Short {
            count: old.all.len() as u64,
            digest: old.digest,
        }
    }
}

impl State for Short {
    type Event = Noted;

    fn apply(&mut self, event: Noted, at: At) {
        let mut history = History {
            digest: self.digest,
            ..History::default()
        };
        history.apply(event, at);
        self.digest = history.digest;
        self.count += 1;
    }
}

macro_rules! states {
    ($($state:ident $name:literal $revision:literal $step:literal;)*) => {$(
        #[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
        #[wal(name = $name)]
        struct $state {
            count: i32,
        }

        impl State for $state {
            type Event = Noted;
            const REVISION: u32 = $revision;

            fn apply(&mut self, _: Noted, _: At) {
                self.count += $step;
            }
        }
    )*};
}

states! {
    Count "count" 0 1;
    Double "count" 0 2;
    DoubleRevised "count" 1 2;
    OtherShape "history" 0 1;
}

fn count<S: State<Event = Noted> + Default + wal_db::event::WalDecodeOwned + 'static>(
    log: &EventLog<Noted>,
    name: &str,
) -> Store<S> {
    log.store(by_hand_as(name)).unwrap()
}

#[test]
fn a_state_that_has_changed_is_migrated_or_folded_again() {
    let memory = with_two();
    let log = in_memory(&memory);
    let store = count::<Short>(&log, "history");
    assert_eq!(store.recovery().events, 5, "the snapshot was migrated");
    let whole = log.rebuild::<Short>().unwrap().state;
    assert_eq!(store.view().unwrap().state, whole);
    store.commit(noted(25)).unwrap();
    store.snapshot().unwrap();
    drop(store);
    // The release before does not know it, and has one of its own left.
    assert_eq!(assert_reopened(&log, 26), 6);

    let store = count::<OtherShape>(&log, "history");
    assert_eq!(store.recovery().events, 26);
    let shown: Vec<String> = store
        .recovery()
        .passed_over
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(shown.iter().all(|error| error.contains("`history`")), "{shown:?}");
}

#[test]
fn a_state_whose_meaning_has_changed_is_found_by_its_revision_or_by_a_check() {
    let memory = with_two();
    let log = in_memory(&memory);
    let store = count::<Count>(&log, "count");
    let made = store.snapshot().unwrap().unwrap();
    assert_eq!((made.revision, made.events), (0, 25));
    // Anybody can read what is in it.
    assert_eq!(made.to_value(log.wal()).unwrap().to_string(), "{count: 25}");
    store.commit(noted(25)).unwrap();
    assert_eq!(store.check().unwrap(), 26);
    drop(store);

    let store = count::<Double>(&log, "count");
    assert_eq!(
        store.peek(|count| count.count).unwrap(),
        27,
        "neither one nor the other"
    );
    let is_it = matches!(store.check(), Err(WalError::StateDiffers { after, upto, .. }) if after == Lsn::ZERO && upto == made.next);
    assert!(is_it, "{:?}", store.check());
    drop(store);

    let store = count::<DoubleRevised>(&log, "count");
    assert_eq!(store.peek(|count| count.count).unwrap(), 52);
    let error = &store.recovery().passed_over[0].error;
    assert!(
        matches!(
            error,
            SnapshotError::OtherRevision {
                stored: 0,
                program: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(store.check().unwrap(), 26);
}

/// Cannot be read again if it is odd.
#[derive(Debug, Default, Serialize, Deserialize, WalRecord)]
#[wal(name = "even")]
struct Even(
    #[serde(deserialize_with = "even")]
    #[wal(opaque = "even@1")]
    u64,
);

fn even<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(d)?;
    match number % 2 {
        0 => Ok(number),
        _ => Err(serde::de::Error::custom("odd")),
    }
}

impl State for Even {
    type Event = Noted;

    fn apply(&mut self, _: Noted, _: At) {
        self.0 += 1;
    }
}

#[test]
fn a_state_that_cannot_be_read_again_is_no_snapshot() {
    let log = in_memory(&MemStore::new()).with_read_back(true);
    let store: Store<Even> = log.store(StoreConfig::new().with_snapshots("even")).unwrap();
    store.commit(noted(1)).unwrap();
    let error = store.snapshot().unwrap_err();
    assert!(
        matches!(&error, WalError::SnapshotNotReadable { name, .. } if name == "even"),
        "{error:?}"
    );
    assert!(snapshots(log.wal()).unwrap().0.is_empty());
    store.commit(noted(2)).unwrap();
    assert_eq!(store.snapshot().unwrap().unwrap().events, 2);
}

#[test]
fn a_snapshot_that_can_be_read_stays_until_there_are_two_others() {
    let memory = MemStore::new();
    let log = in_memory(&memory).with_read_back(false);
    let config = || by_hand_as("even");
    let store: Store<Even> = log.store(config()).unwrap();
    let mut number = 0;
    let mut append = |count: u64| {
        for _ in 0..count {
            number += 1;
            store.commit(noted(number)).unwrap();
        }
        store.snapshot().unwrap().unwrap().events
    };
    assert_eq!([append(2), append(2)], [2, 4]);
    assert_eq!(records(&log), 4);
    store.compact().unwrap();
    // None of these can be read.
    assert_eq!([append(1), append(2), append(2), append(2)], [5, 7, 9, 11]);
    let kept_for = store.compact().unwrap();
    drop(store);
    let store: Store<Even> = log.store(config()).unwrap();
    assert_eq!(store.recovery().snapshot.as_ref().unwrap().events, 4);
    assert_eq!(store.peek(|even| even.0).unwrap(), 11);
    assert_eq!(store.compact().unwrap(), kept_for);
}

#[test]
fn a_state_without_a_store_counts_as_the_one_that_it_had() {
    let memory = with_two();
    let log = in_memory(&memory);
    for revised in [false, true] {
        let made = match revised {
            false => count::<Count>(&log, "count").snapshot().unwrap(),
            true => count::<DoubleRevised>(&log, "count").snapshot().unwrap(),
        };
        assert_eq!(made.unwrap().revision, u32::from(revised));
        log.append(&noted(100)).unwrap();
    }
    let store = log.store(by_hand()).unwrap();
    // One of each: neither program could begin with the older one.
    assert_eq!(store.compact().unwrap().kept_for, "count");
    assert_eq!(records(&log), 27);
    count::<DoubleRevised>(&log, "count").snapshot().unwrap();
    assert_eq!(store.compact().unwrap().kept_for, "history");
}

/// Of two types of event in turn.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "light")]
enum Light {
    #[default]
    Off,
    On {
        since: u64,
    },
}

impl State for Light {
    type Event = Noted;

    fn apply(&mut self, event: Noted, _: At) {
        *self = match self {
            Light::Off => Light::On { since: event.number },
            Light::On { .. } => Light::Off,
        };
    }
}

#[test]
fn snapshots_of_an_enum_count_in_whatever_variant_they_are() {
    let memory = with_two();
    let log = in_memory(&memory);
    let light = count::<Light>(&log, "light");
    for number in 25..28 {
        light.snapshot().unwrap();
        light.commit(noted(number)).unwrap();
    }
    drop(light);
    let store = log.store(by_hand()).unwrap();
    assert_eq!(store.compact().unwrap().kept_for, "history");
    let light = count::<Light>(&log, "light");
    assert_eq!(light.peek(Clone::clone).unwrap(), Light::Off);
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "other")]
struct Other(u32);

/// Of a log of which little is the state's.
#[test]
fn what_was_read_without_finding_an_event_is_not_read_again() {
    let memory = MemStore::new();
    let log = in_memory(&memory);
    let config = || by_hand().with_others(true);
    let others = log.wal().typed::<Other>().unwrap();
    let store = log.store(config()).unwrap();
    store.commit(noted(1)).unwrap();
    let mut made = store.snapshot().unwrap().unwrap();
    for round in 0..5 {
        for number in 0..100 {
            others.append(&Other(number)).unwrap();
        }
        if round == 2 {
            store.commit(noted(2)).unwrap();
        }
        let next = store.snapshot().unwrap().unwrap();
        assert!(next.next > made.next);
        made = next;
    }
    assert_eq!(made.events, 2);
    // What is before the older snapshot goes, though there is no event in what stays.
    let compacted = store.compact().unwrap();
    let left = log.wal().iter().unwrap().count();
    assert!(left < 110 && compacted.head > made.last.unwrap(), "{left}");
    drop(store);
    let store = log.store(config()).unwrap();
    assert_eq!(store.recovery().snapshot.as_ref().unwrap().next, made.next);
    assert_eq!(store.peek(|history| history.all.len()).unwrap(), 2);
    store.commit(noted(3)).unwrap();
    assert_eq!(store.check().unwrap(), 1);
}

/// Cuts its log off, once, while it is read.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "cutting")]
struct Cutting(
    #[serde(deserialize_with = "cutting")]
    #[wal(opaque = "cutting@1")]
    Vec<u64>,
);

thread_local! {
    /// After so many other readings.
    static CUT: Cell<Option<(u32, EventLog<Noted>, Lsn)>> = const { Cell::new(None) };
}

fn cutting<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<u64>, D::Error> {
    match CUT.take() {
        Some((0, log, lsn)) => {
            log.wal().truncate_after(lsn).unwrap();
            log.append(&noted(1000)).unwrap();
            log.wal().sync().unwrap();
        }
        Some((after, log, lsn)) => CUT.set(Some((after - 1, log, lsn))),
        None => {}
    }
    Vec::deserialize(d)
}

impl State for Cutting {
    type Event = Noted;

    fn apply(&mut self, event: Noted, _: At) {
        self.0.push(event.number);
    }
}

#[test]
fn a_cut_while_a_snapshot_is_read_is_no_part_of_the_state() {
    let config = || by_hand_as("cutting");
    let fold = |log: &EventLog<Noted>| log.rebuild::<Cutting>().unwrap().state;
    for opening in [true, false] {
        let memory = MemStore::new();
        let log = in_memory(&memory).with_read_back(false);
        let store: Store<Cutting> = log.store(config()).unwrap();
        let lsns: Vec<Lsn> = (0..10)
            .map(|number| store.commit(noted(number)).unwrap())
            .collect();
        store.snapshot().unwrap();
        let cut = Some((0, log.clone(), lsns[4]));
        if opening {
            drop(store);
            CUT.set(cut);
            let store: Store<Cutting> = log.store(config()).unwrap();
            assert_eq!(store.peek(Clone::clone).unwrap(), fold(&log));
        } else {
            store.commit(noted(10)).unwrap();
            CUT.set(cut);
            store.snapshot().unwrap();
            assert_eq!(store.peek(Clone::clone).unwrap(), fold(&log));
            assert!(store.check().is_ok());
            drop(store);
            let store: Store<Cutting> = log.store(config()).unwrap();
            assert_eq!(store.recovery().events, 0);
            assert_eq!(store.peek(Clone::clone).unwrap(), fold(&log));
        }
        assert_eq!(fold(&log).0, [0, 1, 2, 3, 4, 1000]);
    }
}

#[test]
fn a_compaction_drops_nothing_for_snapshots_that_are_cut_off_meanwhile() {
    let memory = MemStore::new();
    let log = in_memory(&memory).with_read_back(false);
    let config = || by_hand_as("cutting");
    let store: Store<Cutting> = log.store(config()).unwrap();
    let lsns: Vec<Lsn> = (0..10)
        .map(|number| {
            let lsn = store.commit(noted(number)).unwrap();
            store.snapshot().unwrap();
            lsn
        })
        .collect();
    // While the older one of the two is read.
    CUT.set(Some((1, log.clone(), lsns[2])));
    store.compact().unwrap();
    assert_eq!(records(&log), 4);
    assert_eq!(store.read(|state| state.0.clone()).unwrap(), [0, 1, 2, 1000]);
    drop(store);
    let store: Store<Cutting> = log.store(config()).unwrap();
    assert_eq!(store.peek(|state| state.0.clone()).unwrap(), [0, 1, 2, 1000]);
}

/// What comes after all that a snapshot has seen is cut off: it has nothing of that, of whatever type it is.
#[test]
fn a_cut_right_after_a_snapshot_does_not_concern_it() {
    for others in [false, true] {
        let memory = MemStore::new();
        let log = in_memory(&memory);
        let other = log.wal().typed::<Other>().unwrap();
        let config = || by_hand().with_others(others);
        let store = log.store(config()).unwrap();
        let mut last = store.commit(noted(1)).unwrap();
        if others {
            last = other.append(&Other(1)).unwrap();
        }
        let made = store.snapshot().unwrap().unwrap();
        assert_eq!(made.next.get(), last.get() + 1);
        match others {
            true => drop(other.append(&Other(2)).unwrap()),
            false => drop(store.commit(noted(2)).unwrap()),
        }
        log.wal().truncate_after(last).unwrap();
        assert_eq!(store.peek(|history| history.all.len()).unwrap(), 1);
        drop(store);
        let store = log.store(config()).unwrap();
        assert!(store.recovery().passed_over.is_empty());
        assert_eq!(store.recovery().snapshot, Some(made));
    }
}

#[test]
fn a_state_without_an_event_need_not_be_looked_for_twice() {
    let memory = MemStore::new();
    let log = in_memory(&memory);
    let other = log.wal().typed::<Other>().unwrap();
    let config = || by_hand().with_others(true);
    let store = log.store(config()).unwrap();
    assert_eq!(store.snapshot().unwrap(), None);
    for number in 0..3 {
        other.append(&Other(number)).unwrap();
        assert_eq!(store.snapshot().unwrap().unwrap().events, 0);
    }
    store.compact().unwrap();
    assert_eq!(log.wal().iter().unwrap().count(), 2);
    drop(store);
    let store = log.store(config()).unwrap();
    assert_eq!(store.peek(Clone::clone).unwrap(), History::default());
    store.commit(noted(5)).unwrap();
    assert_eq!(store.check().unwrap(), 1);
}
