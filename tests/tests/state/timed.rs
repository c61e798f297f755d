//! Timers: they are state, and a thread that waits for them is woken when they are due.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, MemStore, Wal, WalError, WalRecord,
    state::{At, Decision, State, Store, StoreConfig, Timers},
};
use wal_tests::{PATIENCE, assert_is, quiet_heap, random::Rng};

#[derive(Debug, Clone, Serialize, Deserialize, WalRecord)]
#[wal(name = "timed")]
enum Timed {
    Set { id: u64, at_us: i64 },
    Fired { id: u64 },
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "schedule")]
struct Schedule {
    timers: Timers<u64>,
    fired: Vec<u64>,
}

impl State for Schedule {
    type Event = Timed;

    fn apply(&mut self, event: Timed, _: At) {
        match event {
            Timed::Set { id, at_us } => {
                self.timers.set(id, at_us);
            }
            Timed::Fired { id } => {
                assert!(self.timers.clear(&id).is_some(), "{id} was not set");
                self.fired.push(id);
            }
        }
    }
}

fn log(memory: &MemStore) -> EventLog<Timed> {
    let wal = Wal::with_store_and_config(memory.clone(), quiet_heap()).unwrap();
    wal.typed().unwrap()
}

fn open(memory: &MemStore) -> Store<Schedule> {
    log(memory)
        .store(StoreConfig::new().with_snapshots("schedule"))
        .unwrap()
}

fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

fn wait(store: &Store<Schedule>, timeout: Duration) -> wal_db::Result<bool> {
    store.wait_until_due(|schedule| schedule.timers.next_us(), timeout)
}

/// Fires what is due, each by an event of its own decision.
fn fire(store: &Store<Schedule>) {
    let decided = store.transact(|schedule, now| {
        let due = schedule.timers.due(now.time_us());
        Ok::<_, ()>(Decision::new(()).events(due.map(|(id, _)| Timed::Fired { id: *id })))
    });
    decided.unwrap();
}

#[test]
fn timers_are_a_map_with_the_next_one_first() {
    let mut rng = Rng::new(7);
    let (mut timers, mut model) = (Timers::new(), BTreeMap::new());
    for _ in 0..5000 {
        let (key, at_us) = (rng.below(20) as u64, rng.below(100) as i64 - 50);
        match rng.below(3) {
            0 => assert_eq!(timers.clear(&key), model.remove(&key)),
            _ => assert_eq!(timers.set(key, at_us), model.insert(key, at_us)),
        }
        assert_eq!(timers.get_us(&key), model.get(&key).copied());
        assert_eq!((timers.len(), timers.is_empty()), (model.len(), model.is_empty()));
        assert_eq!(timers.next_us(), model.values().min().copied());
        let now_us = rng.below(120) as i64 - 60;
        let due: Vec<(u64, i64)> = timers.due(now_us).map(|(key, at_us)| (*key, at_us)).collect();
        let mut expected: Vec<(i64, u64)> = model.iter().map(|(key, at_us)| (*at_us, *key)).collect();
        expected.retain(|(at_us, _)| *at_us <= now_us);
        expected.sort_unstable();
        assert_eq!(
            due,
            expected
                .into_iter()
                .map(|(at_us, key)| (key, at_us))
                .collect::<Vec<_>>()
        );
    }
}

#[test]
fn each_timer_fires_once_by_several_threads_and_after_a_restart() {
    let memory = MemStore::new();
    let store = open(&memory);
    for id in 0..50 {
        store.commit(Timed::Set { id, at_us: id as i64 }).unwrap();
    }
    store
        .commit(Timed::Set {
            id: 99,
            at_us: i64::MAX,
        })
        .unwrap();
    store.snapshot().unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while wait(&store, Duration::ZERO).unwrap() {
                    fire(&store);
                }
            });
        }
    });
    let fired = store.read(|schedule| schedule.fired.clone()).unwrap();
    assert_eq!(fired, (0..50).collect::<Vec<_>>());
    drop(store);
    let store = open(&memory);
    assert!(store.recovery().snapshot.is_some());
    assert!(!wait(&store, Duration::ZERO).unwrap());
    assert_eq!(
        store.read(|schedule| schedule.timers.get_us(&99)).unwrap(),
        Some(i64::MAX)
    );
}

#[test]
fn one_that_waits_hears_of_a_timer_that_is_set_by_another_handle() {
    let store = open(&MemStore::new());
    let far = now_us() + 3_600_000_000;
    store.commit(Timed::Set { id: 1, at_us: far }).unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| wait(&store, PATIENCE));
        // Not by the store.
        store
            .log()
            .append_and_sync(&Timed::Set { id: 2, at_us: 0 })
            .unwrap();
        assert!(waits.join().unwrap().unwrap());
    });
    fire(&store);
    assert_eq!(store.read(|schedule| schedule.fired.clone()).unwrap(), [2]);
}

#[test]
fn one_that_waits_is_woken_at_the_time_and_not_before() {
    let store = open(&MemStore::new());
    let at_us = now_us() + 20_000;
    store.commit(Timed::Set { id: 1, at_us }).unwrap();
    assert!(wait(&store, PATIENCE).unwrap());
    assert!(now_us() >= at_us);
    fire(&store);
    assert!(!wait(&store, Duration::from_millis(5)).unwrap());
}

#[test]
fn one_that_waits_hears_that_the_log_was_closed() {
    let store = open(&MemStore::new());
    thread::scope(|scope| {
        let waits = scope.spawn(|| wait(&store, PATIENCE));
        store.log().wal().clone().close().unwrap();
        assert_is!(waits.join().unwrap(), Err(WalError::Closed));
    });
}
