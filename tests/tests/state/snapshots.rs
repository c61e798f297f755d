//! Snapshots: what is opened from one is what the whole log makes, whatever happened while they were made.

use std::{collections::BTreeSet, path::Path, thread};

use wal_db::{
    EventLog, Lsn, MemStore, Result, Wal, WalConfig, WalError,
    event::WalDecodeOwned,
    state::{Decision, Rebuilt, State, Store, StoreConfig, snapshots},
    testing::{
        SimDisk,
        sim::{CrashPlan, Promises, check_crash_prefix},
    },
};
use wal_tests::quiet_heap;

use super::{History, Noted, noted};

pub(super) fn config() -> StoreConfig<History> {
    StoreConfig::new().with_snapshots("history")
}

pub(super) fn by_hand() -> StoreConfig<History> {
    by_hand_as("history")
}

/// Of any state, under this name.
pub(super) fn by_hand_as<S>(name: &str) -> StoreConfig<S>
where
    S: State<Event: 'static> + WalDecodeOwned + 'static,
{
    StoreConfig::new()
        .with_snapshots(name)
        .with_snapshot_every(u64::MAX)
}

pub(super) fn in_memory(memory: &MemStore) -> EventLog<Noted> {
    let wal = Wal::with_store_and_config(memory.clone(), quiet_heap()).unwrap();
    wal.typed().unwrap()
}

/// Opened anew, it is the fold of the whole log; returns how many events were read from that.
pub(super) fn assert_reopened(log: &EventLog<Noted>, events: usize) -> u64 {
    let store = log.store(by_hand()).unwrap();
    let whole = log.rebuild::<History>().unwrap();
    assert_eq!(whole.events, events as u64);
    let view = store.view().unwrap();
    assert_eq!(
        (&view.state, view.next, view.events, view.last, view.time_us),
        (&whole.state, whole.next, whole.events, whole.last, whole.time_us)
    );
    let recovery = store.recovery();
    let before = recovery.snapshot.as_ref().map_or(0, |snapshot| snapshot.events);
    assert_eq!(before + recovery.events, events as u64);
    recovery.events
}

#[test]
fn a_snapshot_after_any_event_and_the_rest_is_the_fold() {
    for taken in 0..12 {
        let memory = MemStore::new();
        let store = in_memory(&memory).store(by_hand()).unwrap();
        for number in 0..12 {
            if number == taken {
                let made = store.snapshot().unwrap();
                assert_eq!(made.map_or(0, |made| made.events), taken);
            }
            store.commit(noted(number)).unwrap();
        }
        drop(store);
        assert_eq!(assert_reopened(&in_memory(&memory), 12), 12 - taken);
    }
}

#[test]
fn snapshots_are_made_by_themselves_and_opening_reads_little() {
    let memory = MemStore::new();
    let every = 16 << 10;
    let store = in_memory(&memory)
        .store(config().with_snapshot_every(every))
        .unwrap();
    let mut made = BTreeSet::new();
    while made.len() < 5 {
        store.commit(noted(7)).unwrap();
        let status = store.snapshot_status().unwrap();
        assert_eq!(status.failure, None);
        made.extend(status.newest.map(|newest| newest.next));
    }
    let events = store.peek(|history| history.all.len()).unwrap();
    drop(store);
    let log = in_memory(&memory);
    let (kept, passed_over) = snapshots(log.wal()).unwrap();
    // The store may have gone before it had removed the oldest one.
    assert!(
        (2..=3).contains(&kept.len()) && passed_over.is_empty(),
        "{kept:?}"
    );
    assert!(assert_reopened(&log, events) < events as u64 / 2);
}

/// While threads decide, cut and refuse, every snapshot is the state of its moment.
#[test]
fn snapshots_beside_threads_are_states_of_their_moments() {
    let memory = MemStore::new();
    let store = in_memory(&memory)
        .store(config().with_snapshot_every(2 << 10))
        .unwrap();
    let check = |store: &Store<History>| {
        let snapshot = store.snapshot().unwrap().unwrap();
        let then = store.log().as_of::<History>(snapshot.next).unwrap();
        assert_eq!(then.events, snapshot.events);
        assert!(store.check().unwrap() > 0);
    };
    thread::scope(|scope| {
        for thread in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0..300 {
                    if (number + thread) % 7 == 0 {
                        let refused = store.transact::<(), _>(|history, _| Err(history.digest));
                        assert!(refused.is_err());
                    }
                    store.commit(noted(number)).unwrap();
                }
            });
        }
        for _ in 0..20 {
            if store.peek(|history| history.all.is_empty()).unwrap() {
                thread::yield_now();
                continue;
            }
            check(&store);
        }
    });
    check(&store);
    assert_eq!(store.snapshot_status().unwrap().failure, None);
    drop(store);
    assert_reopened(&in_memory(&memory), 1200);
}

fn open(disk: &SimDisk) -> Result<EventLog<Noted>> {
    let config = WalConfig::new()
        .with_staging_bytes(64 << 10)
        .with_background_flush(false);
    disk.open_segmented("log", 64 << 10, config)?.typed()
}

/// Power goes at every call of snapshots and compactions, also with events that are not durable: what is left is
/// a prefix, with every snapshot and without.
#[test]
fn power_loss_at_any_call_of_a_snapshot_leaves_a_prefix() {
    let mut plan = CrashPlan::default();
    plan.images_per_call = 8;
    let checked = check_crash_prefix(
        plan,
        |disk, promises: &mut Promises<Vec<u64>>| {
            let store = open(disk)?.store(by_hand())?;
            let mut number = 0;
            let mut next = |promises: &mut Promises<Vec<u64>>| {
                promises.next((0..=number).collect());
                number += 1;
                let mut event = noted(number - 1);
                // Some segments can go.
                event.ballast = vec![7; 24 << 10];
                event
            };
            for _ in 0..3 {
                for _ in 0..2 {
                    store.commit(next(promises))?;
                    promises.durable();
                }
                let event = next(promises);
                drop(store.submit(|_, _| Ok::<_, ()>(Decision::new(()).event(event)))?);
                store.snapshot()?;
                promises.durable();
                store.compact()?;
            }
            Ok(())
        },
        |disk| {
            let store = open(disk)?.store(by_hand())?;
            store.check()?;
            let all = store.read(|history| history.all.clone())?;
            Ok(all.into_iter().map(|(_, number)| number).collect())
        },
    );
    let images = checked.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(images > 200, "{images}");
}

/// What is not durable is in no snapshot that is made in the background.
#[test]
fn a_snapshot_holds_only_what_survives_power_loss() {
    let memory = MemStore::new();
    let config = config().with_snapshot_every(1);
    let store = in_memory(&memory).store(config).unwrap();
    let made = || {
        while store.snapshot_status().unwrap().is_making {
            thread::yield_now();
        }
        store.snapshot_status().unwrap().newest.unwrap()
    };
    for number in 0..10 {
        store.commit(noted(number)).unwrap();
        made();
        // Nobody flushes this, and a look at it has a snapshot made.
        let lsn = store.log().append(&noted(100)).unwrap();
        assert_eq!(
            store.peek(|history| history.all.last().copied()).unwrap(),
            Some((lsn, 100))
        );
        assert!(made().next <= lsn, "{number}");
    }
}

#[test]
fn a_store_that_goes_takes_its_thread_along() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..20 {
        let wal = Wal::open(dir.path().join("log")).unwrap();
        let store = wal
            .typed()
            .unwrap()
            .store(config().with_snapshot_every(1))
            .unwrap();
        drop(wal);
        for number in 0..20 {
            store.commit(noted(number)).unwrap();
        }
        assert_eq!(store.peek(|history| history.all.len()).unwrap(), 20 * round);
        // It may be in the middle of a snapshot; the next opening finds the log free.
    }
    // Or it had no time to remove older ones, each time: the next one that is made removes them.
    let log = Wal::open(dir.path().join("log")).unwrap().typed().unwrap();
    let store = log.store(by_hand()).unwrap();
    store.commit(noted(20)).unwrap();
    store.snapshot().unwrap();
    let files = std::fs::read_dir(dir.path().join("log.state")).unwrap();
    assert_eq!(files.count(), 2);
}

#[test]
fn the_past_is_read_from_the_snapshot_before_it() {
    let memory = MemStore::new();
    let store = in_memory(&memory).store(by_hand()).unwrap();
    let mut lsns = Vec::new();
    for number in 0..40 {
        lsns.push(store.commit(noted(number)).unwrap());
        if number % 10 == 9 {
            store.snapshot().unwrap();
        }
    }
    for (events, lsn) in lsns.iter().enumerate() {
        let then = store.as_of(*lsn).unwrap();
        assert_eq!(then.state, store.log().as_of::<History>(*lsn).unwrap().state);
        assert_eq!(then.events, events as u64);
    }
    let head = store.compact().unwrap().head;
    // Between the snapshots that are left, and after them.
    assert_eq!(head, lsns[29]);
    let mut what: Rebuilt<History> = store.as_of(lsns[35]).unwrap();
    assert_eq!(what.events, 35);
    what.suppose(noted(1000)).unwrap();
    assert_eq!(what.state.all.last(), Some(&(Lsn::new(lsns[34].get() + 1), 1000)));
    let error = store.as_of(lsns[29]).unwrap_err();
    assert!(matches!(error, WalError::HistoryMissing { .. }));
    assert_eq!(error.to_string().matches("later events").count(), 2, "{error}");
    assert_eq!(store.as_of(Lsn::new(lsns[29].get() + 1)).unwrap().events, 30);
}

#[test]
fn a_backup_has_the_snapshots_that_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path, segmented| {
        let wal = match segmented {
            true => Wal::open_segmented(path, 64 << 10),
            false => Wal::open(path),
        };
        wal.unwrap().typed::<Noted>().unwrap()
    };
    for segmented in [true, false] {
        let at = |name: &str| dir.path().join(format!("{name}-{segmented}"));
        let store = open(&at("log"), segmented).store(by_hand()).unwrap();
        for number in 0..30 {
            store.commit(noted(number)).unwrap();
            if number % 10 == 0 {
                store.snapshot().unwrap();
            }
        }
        assert_eq!(store.compact().unwrap().kept_for, "history");
        store.log().wal().backup_to(at("copy")).unwrap();
        let copied = open(&at("copy"), segmented).store(by_hand()).unwrap();
        assert_eq!(copied.recovery().events, 9);
        assert_eq!(copied.view().unwrap().state, store.view().unwrap().state);
        // It goes its own way; the snapshots of the other log are none of it then.
        copied.commit(noted(100)).unwrap();
        store.commit(noted(200)).unwrap();
        let theirs = store.snapshot().unwrap().unwrap().file;
        let place = |name| match segmented {
            true => at(name).join("state"),
            false => dir.path().join(format!("{name}-{segmented}.state")),
        };
        drop(copied);
        std::fs::copy(place("log").join(&theirs), place("copy").join(&theirs)).unwrap();
        let copied = open(&at("copy"), segmented).store(by_hand()).unwrap();
        assert_eq!(copied.recovery().passed_over.len(), 1, "{:?}", copied.recovery());
        assert_eq!(copied.peek(|history| history.all.last().unwrap().1).unwrap(), 100);
    }
}
