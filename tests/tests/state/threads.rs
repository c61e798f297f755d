//! Many threads decide, are refused, panic and read, while others append to the log and cut it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

use wal_db::{
    EventLog, Lsn, Staging, Wal, WalConfig, WalError,
    state::{Decision, Store, StoreConfig, TransactError},
};
use wal_tests::random::Rng;

use super::{History, Noted, digests, noted};

/// What a thread was told: the state that it saw, and the events of its decision.
struct Told {
    seen: u64,
    lsns: Vec<Lsn>,
}

fn decide(store: &Store<History>, rng: &mut Rng) -> Option<Told> {
    let (kind, number) = (rng.below(8), rng.number() >> 24);
    let decided = catch_unwind(AssertUnwindSafe(|| {
        store.transact(|history, _| match kind {
            0 => Err(history.digest),
            1 => resume_unwind(Box::new("on purpose")),
            2 => Ok(Decision::new(history.digest)),
            3 => Ok(Decision::new(history.digest).event(large(number))),
            4 => Ok(Decision::new(history.digest).events((0..5).map(|i| noted(number + i)))),
            _ => Ok(Decision::new(history.digest).event(noted(number))),
        })
    }));
    match decided {
        Err(_) => None,
        Ok(Err(TransactError::Refused(seen))) => Some(Told {
            seen,
            lsns: Vec::new(),
        }),
        Ok(Ok(decided)) => Some(Told {
            seen: decided.value,
            lsns: decided.lsns,
        }),
        Ok(Err(TransactError::Wal(error))) => panic!("{error}"),
    }
}

fn read(store: &Store<History>) -> Option<Told> {
    let seen = store.read(|history| history.digest).unwrap();
    Some(Told {
        seen,
        lsns: Vec::new(),
    })
}

/// Appends in every way that there is; returns the LSNs.
fn append(log: &EventLog<Noted>, rng: &mut Rng) -> Vec<Lsn> {
    let number = rng.number() >> 24;
    match rng.below(6) {
        0 => log.append_batch(&[noted(number), noted(number + 1)]).unwrap(),
        1 => vec![log.wal().append_typed(&noted(number)).unwrap()],
        2 => vec![log.append_and_sync(&noted(number)).unwrap()],
        3 => vec![log.append(&large(number)).unwrap()],
        4 => log.append_batch(&[large(number), noted(number)]).unwrap(),
        _ => vec![log.append(&noted(number)).unwrap()],
    }
}

/// Too long for staging memory.
fn large(number: u64) -> Noted {
    Noted {
        number,
        ballast: vec![1; 100_000],
    }
}

fn has(history: &History, lsns: &[Lsn]) -> bool {
    let has = |lsn: &Lsn| history.all.binary_search_by_key(lsn, |(lsn, _)| *lsn).is_ok();
    lsns.iter().all(has)
}

/// Every answer was given on the state that the log makes of the events before it, in the order of the log.
fn check(log: &EventLog<Noted>, store: &Store<History>, told: &[Vec<Told>]) {
    let digests = digests(log);
    let place = |digest: u64| digests.iter().position(|(_, known)| *known == digest);
    for thread in told {
        let mut last = 0;
        for Told { seen, lsns } in thread {
            let at = place(*seen).expect("an answer on a state that never was");
            assert!(at >= last, "a thread went back");
            last = at;
            let after = digests[at..].iter().map(|(lsn, _)| lsn);
            assert!(lsns.iter().eq(after.take(lsns.len())), "something came between");
        }
    }
    let kept = store.read(History::clone).unwrap();
    assert_eq!(kept, log.rebuild::<History>().unwrap().state);
    assert_eq!(Some(&kept.digest), digests.last().map(|(_, digest)| digest));
}

fn run(config: WalConfig) {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open_segmented_with(dir.path().join("log"), 1 << 20, config).unwrap();
    let log = wal.typed::<Noted>().unwrap();
    let store = log.store::<History>(StoreConfig::new()).unwrap();
    let rounds = 40 * wal_tests::scale();
    let told: Vec<Vec<Told>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|seed| {
                let (store, log) = (store.clone(), log.clone());
                scope.spawn(move || {
                    let mut rng = Rng::new(seed);
                    let told = (0..rounds).filter_map(|_| match rng.below(6) {
                        0 => read(&store),
                        1 => {
                            let lsns = append(&log, &mut rng);
                            store
                                .peek(|history| assert!(has(history, &lsns), "a record was missed"))
                                .unwrap();
                            None
                        }
                        _ => decide(&store, &mut rng),
                    });
                    told.collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    check(&log, &store, &told);
    drop(store);
    // Where no store is left, and after a reopening.
    log.append(&noted(1)).unwrap();
    drop(log);
    wal.close().unwrap();
    let wal = Wal::open_segmented_with(dir.path().join("log"), 1 << 20, config).unwrap();
    let log = wal.typed::<Noted>().unwrap();
    check(&log, &log.store(StoreConfig::new()).unwrap(), &[]);
}

#[test]
fn answers_follow_from_the_log_in_its_order() {
    run(WalConfig::new());
}

#[test]
fn answers_follow_from_a_log_without_background_threads() {
    run(wal_tests::quiet());
}

#[test]
fn answers_follow_from_a_log_that_is_written_through() {
    run(WalConfig::new().with_staging(Staging::WriteThrough));
}

/// Each cut is between uses, and each use sees it.
#[test]
fn a_store_beside_cuts_is_the_fold_of_what_is_left() {
    let log = super::log_in_memory();
    let store = log.store::<History>(StoreConfig::new()).unwrap();
    let mut rng = Rng::new(7);
    let mut cuts = 0;
    for round in 0..200 * wal_tests::scale() {
        match rng.below(4) {
            0 => drop(append(&log, &mut rng)),
            1 if round % 5 == 0 => {
                let lsns: Vec<Lsn> = digests(&log).into_iter().map(|(lsn, _)| lsn).collect();
                let at = lsns[rng.below(lsns.len())];
                match rng.below(2) {
                    0 => cuts += u32::from(log.wal().truncate_after(at).is_ok()),
                    _ => cuts += u32::from(log.wal().truncate_from(at).is_ok()),
                }
            }
            _ => drop(decide(&store, &mut rng)),
        }
        if rng.below(8) == 0 {
            check(&log, &store, &[]);
        }
    }
    assert!(cuts > 3, "{cuts}");
    check(&log, &store, &[]);
}

/// Beside a cut, an answer either follows from what is there, or says that its events are gone.
#[test]
fn a_cut_comes_before_a_decision_or_after_it() {
    let log = super::log_in_memory();
    let store = log.store::<History>(StoreConfig::new()).unwrap();
    let kept = store.commit(noted(0)).unwrap();
    for round in 0..30 {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for seed in 0..3 {
                let (store, is_over) = (&store, &is_over);
                scope.spawn(move || {
                    let mut rng = Rng::new(round * 3 + seed);
                    while !is_over.load(Ordering::Relaxed) {
                        let submitted = store.submit(|history, _| {
                            let first = history.all.first().map(|(lsn, _)| *lsn);
                            assert_eq!(first, Some(kept));
                            Ok::<_, ()>(Decision::new(()).event(noted(rng.number())))
                        });
                        match submitted.unwrap().wait() {
                            Ok(_)
                            | Err(TransactError::Wal(
                                WalError::CutBack { .. } | WalError::NoSuchRecord { .. },
                            )) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                });
            }
            log.wal().truncate_after(kept).unwrap();
            store.read(|_| ()).unwrap();
            is_over.store(true, Ordering::Relaxed);
        });
        check(&log, &store, &[]);
    }
}
