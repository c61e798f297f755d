//! A state store: whatever happens beside it, an answer follows from events that are durable, and the state is the fold of
//! the log.

use serde::{Deserialize, Serialize};
use wal_db::{
    WalError, WalRecord,
    state::{At, Decision, State, Store, StoreConfig, TransactError},
};

use super::{
    explore::{any_config, explore, join, quiet},
    read::First,
    truncating::cut,
    witness::Witness,
};

/// The numbers of the facts, in the order of the log.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "ids")]
struct Ids(Vec<u64>);

impl State for Ids {
    type Event = First;

    fn apply(&mut self, event: First, _: At) {
        self.0.push(event.id);
    }
}

type Kept = Store<Ids>;

fn store(log: &Witness) -> Kept {
    let config = StoreConfig::new().with_others(true);
    log.wal.typed::<First>().unwrap().store::<Ids>(config).unwrap()
}

/// Decides, and refuses where the number of facts says so. Either answer makes durable what it has seen.
fn decide(log: &Witness, store: &Kept) {
    for _ in 0..2 {
        let outcome = log.decide(|id| {
            store.transact(|ids, _| match ids.0.len() % 3 {
                2 => Err(ids.0.clone()),
                _ => Ok(Decision::new(ids.0.clone()).event(First { id })),
            })
        });
        match outcome {
            Ok(()) | Err(WalError::CutBack { .. }) => {}
            Err(error) => panic!("decide: {error}"),
        }
    }
}

fn read(log: &Witness, store: &Kept) {
    let seen = store.read(|ids| ids.0.clone()).unwrap();
    log.acknowledge_all("read", &seen);
}

fn append(log: &Witness, _: &Kept) {
    log.append_typed(false).unwrap();
    log.append(700).unwrap();
    log.append_typed(false).unwrap();
}

fn cut_end(log: &Witness, _: &Kept) {
    cut(log);
}

fn beside(log: &Witness, store: &Kept, threads: &[fn(&Witness, &Kept)]) {
    let spawn = |&run: &fn(&Witness, &Kept)| {
        let (log, store) = (log.clone(), store.clone());
        shuttle::thread::spawn(move || run(&log, &store))
    };
    join(threads.iter().map(spawn).collect());
}

fn check(log: &Witness, store: &Kept) {
    let kept = store.read(Ids::clone).unwrap();
    assert_eq!(
        self::store(log).read(Ids::clone).unwrap(),
        kept,
        "the state is no fold of the log"
    );
    log.check();
}

fn with_snapshots(log: &Witness) -> Kept {
    let config = StoreConfig::new()
        .with_others(true)
        .with_snapshots("ids")
        .with_snapshot_every(1);
    log.wal.typed::<First>().unwrap().store::<Ids>(config).unwrap()
}

/// Snapshots are made whenever something was decided; the store may go while one is.
#[test]
fn snapshots_beside_decisions_and_a_cut_are_folds_of_what_is_left() {
    explore(400, || {
        let log = Witness::in_segments(any_config());
        log.append(30).unwrap();
        let store = with_snapshots(&log);
        beside(&log, &store, &[decide, append, cut_end]);
        let failure = store.snapshot_status().unwrap().failure;
        drop(store);
        let store = with_snapshots(&log);
        check(&log, &store);
        assert!(failure.is_none_or(|failure| failure.contains("cut back")));
    });
}

#[test]
fn decisions_beside_appends_and_readers_follow_from_the_log() {
    explore(400, || {
        let log = Witness::in_segments(any_config());
        let store = store(&log);
        beside(&log, &store, &[decide, decide, append, read]);
        check(&log, &store);
    });
}

#[test]
fn decisions_beside_a_cut_follow_from_what_is_left() {
    explore(400, || {
        let log = Witness::new(quiet());
        log.append(30).unwrap();
        let store = store(&log);
        beside(&log, &store, &[decide, append, cut_end]);
        check(&log, &store);
    });
}

/// A store that comes while others append misses nothing of them, and nothing is counted when it has gone.
#[test]
fn a_store_that_is_made_beside_appends_misses_none() {
    explore(600, || {
        let log = Witness::new(any_config());
        let others = log.clone();
        let appender = shuttle::thread::spawn(move || {
            (0..3).for_each(|_| drop(others.append_typed(false)));
        });
        let store = store(&log);
        let first = store.peek(|ids| ids.0.len()).unwrap();
        drop(store);
        let store = self::store(&log);
        appender.join().unwrap();
        let last = store.peek(|ids| ids.0.len()).unwrap();
        assert!(first <= last && last == 3, "{first} and then {last} of 3");
        check(&log, &store);
    });
}

/// A store that comes beside a cut has none of what was cut off.
#[test]
fn a_store_that_is_made_beside_a_cut_is_the_fold_of_what_is_left() {
    explore(600, || {
        let log = Witness::new(quiet());
        let first = log.append_typed(false).unwrap();
        log.append_typed(false).unwrap();
        log.append_typed(false).unwrap();
        let cutter = log.clone();
        let cutter = shuttle::thread::spawn(move || cutter.truncate_after(first).unwrap());
        let store = store(&log);
        cutter.join().unwrap();
        assert_eq!(store.read(|ids| ids.0.len()).unwrap(), 1);
        decide(&log, &store);
        check(&log, &store);
    });
}

/// After a flush has failed nothing is decided any more, and what could not be made durable is no answer.
#[test]
fn no_answer_rests_on_a_flush_that_failed() {
    explore(400, || {
        let log = Witness::new(quiet());
        let store = store(&log);
        let twice: [fn(&Witness, &Kept); 2] = [|log, store| {
            let _ = log.decide(|id| {
                store.transact(|ids, _| match ids.0.len() {
                    3.. => Err(ids.0.clone()),
                    _ => Ok(Decision::new(ids.0.clone()).event(First { id })),
                })
            });
        }; 2];
        log.disk.fail(wal_db::testing::sim::Call::Sync, 1);
        beside(&log, &store, &[twice[0], twice[1], twice[0]]);
        let told: Result<_, TransactError<()>> = store.transact(|ids, _| Ok(Decision::new(ids.0.clone())));
        if let Ok(decided) = told {
            log.acknowledge_all("an answer", &decided.value);
        }
        log.check();
    });
}
