//! What is durable when an answer is given, and what time it is.

use std::time::{Duration, SystemTime};

use wal_db::{
    EventLog, Meta, Result, Wal, WalConfig, WalError,
    state::{Decision, State, Store, StoreConfig, TransactError},
    testing::{SimDisk, assert_crash_prefix, sim::Promises},
};
use wal_tests::assert_is;

use super::{History, Noted, log_in_memory, noted};

fn open(disk: &SimDisk) -> Result<EventLog<Noted>> {
    let config = WalConfig::new()
        .with_staging_bytes(64 << 10)
        .with_background_flush(false);
    disk.open("log", config)?.typed()
}

fn open_store(disk: &SimDisk) -> Result<Store<History>> {
    open(disk)?.store(StoreConfig::new())
}

/// The event with this number; the state has one of each from then on.
fn next(promises: &mut Promises<Vec<u64>>, number: u64) -> Noted {
    promises.next((0..=number).collect());
    noted(number)
}

/// An answer, a refusal and what was read rest on events that survive whatever the disk loses then.
#[test]
fn what_an_answer_rests_on_survives_power_loss() {
    let images = assert_crash_prefix(
        |disk, promises| {
            let store = open_store(disk)?;
            store.commit(next(promises, 0))?;
            promises.durable();
            // Appended by another handle, and not durable: a refusal that has seen it makes it so.
            store.log().append(&next(promises, 1))?;
            let refused = store.transact::<(), usize>(|history, _| Err(history.all.len()));
            assert!(matches!(refused, Err(TransactError::Refused(2))), "{refused:?}");
            promises.durable();
            store.log().append(&next(promises, 2))?;
            assert_eq!(store.read(|history| history.all.len())?, 3);
            promises.durable();
            let event = next(promises, 3);
            let submitted = store.submit(|_, _| Ok::<_, ()>(Decision::new(()).event(event)))?;
            let asked = store.submit(|history, _| Ok::<_, ()>(Decision::new(history.all.len())))?;
            assert_eq!(asked.wait().unwrap().value, 4);
            promises.durable();
            submitted.wait().unwrap();
            Ok(())
        },
        |disk| {
            let history = open(disk)?.rebuild::<History>()?.state;
            Ok(history.all.into_iter().map(|(_, number)| number).collect())
        },
    );
    assert!(images > 50, "{images}");
}

/// A clock that is set back does not bring time back, not even in the next process.
#[test]
fn the_time_of_a_decision_is_not_before_that_of_any_event() {
    let hour = Duration::from_secs(3600);
    let late = SystemTime::now() + hour;
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let wal = Wal::open(dir.path().join("log")).unwrap();
        let log = wal.typed::<Noted>().unwrap();
        if wal.is_empty() {
            log.append_with_meta(&noted(1), &Meta::new().with_time(late))
                .unwrap();
        }
        let store = log.store::<History>(StoreConfig::new()).unwrap();
        let decided = store.transact(|_, now| Ok::<_, ()>(Decision::new(now.time_us()).event(noted(2))));
        let decided = decided.unwrap();
        let stored = log.read(decided.lsns[0]).unwrap().meta.time_us();
        assert_eq!(stored, Some(decided.value));
        assert!(decided.value >= Meta::new().with_time(late).time_us().unwrap());
    }
}

/// Takes in everything but 13.
#[derive(Debug, Default)]
struct Superstitious(Vec<u64>);

impl State for Superstitious {
    type Event = Noted;

    fn apply(&mut self, event: Noted, _: wal_db::state::At) {
        self.0.push(event.number);
        assert_ne!(event.number, 13);
    }
}

#[test]
fn a_state_that_panicked_is_never_shown() {
    let log = log_in_memory();
    let store = log.store::<Superstitious>(StoreConfig::new()).unwrap();
    store.commit(noted(1)).unwrap();
    assert_is!(store.commit(noted(13)), Err(WalError::ApplyPanicked { .. }));
    for _ in 0..2 {
        assert_is!(store.peek(|_| ()), Err(WalError::ApplyPanicked { .. }));
        assert_is!(store.read(|_| ()), Err(WalError::ApplyPanicked { .. }));
        assert_is!(store.commit(noted(2)), Err(WalError::ApplyPanicked { .. }));
    }
    assert_is!(
        log.rebuild::<Superstitious>(),
        Err(WalError::ApplyPanicked { .. })
    );
    let numbers: Vec<u64> = log
        .replay(..)
        .unwrap()
        .map(|event| event.unwrap().event.number)
        .collect();
    assert_eq!(numbers, [1, 13], "it is a fact");
}
