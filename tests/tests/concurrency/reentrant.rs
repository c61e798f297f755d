//! Inside the closure of `append_with` its log cannot be used, and every other log can.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use serde::{Deserialize, Serialize};
use wal_db::{
    MemStore, Result, Retention, Wal, WalConfig, WalError, WalRecord,
    state::{At, State, StoreConfig},
};
use wal_tests::{all, assert_is, files, quiet, quiet_heap, ticket, within};

fn log() -> Wal {
    Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap()
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "counted")]
struct Counted(u64);

#[derive(Debug, Default)]
struct Sum(u64);

impl State for Sum {
    type Event = Counted;

    fn apply(&mut self, event: Counted, _: At) {
        self.0 += event.0;
    }
}

/// Every kind of call on a log; which of them were refused as reentrant, and which failed otherwise.
fn use_all(wal: &Wal) -> Vec<(&'static str, Result<()>)> {
    let first = wal.status().head;
    let typed = || wal.typed::<Counted>();
    vec![
        ("append", wal.append(b"x").map(drop)),
        ("a large append", wal.append(&[1; 80_000]).map(drop)),
        ("append_batch", wal.append_batch(&[b"x", b"y"]).map(drop)),
        ("append_with", wal.append_in_place(1, |_| ()).map(drop)),
        ("append_and_sync", wal.append_and_sync(b"x").map(drop)),
        (
            "append and ticket",
            wal.append(b"x").and_then(|lsn| wal_tests::sync_to(wal, lsn)),
        ),
        ("append_typed", wal.append_typed(&Counted(1)).map(drop)),
        ("flush", wal.drain()),
        ("sync", wal.sync()),
        ("read", wal.read(first).map(drop)),
        (
            "iter",
            wal.iter().and_then(Iterator::collect::<Result<Vec<_>>>).map(drop),
        ),
        ("iter_rev", wal.iter_rev().map(drop)),
        ("tail", wal.tail(first).map(drop)),
        ("typed", typed().map(drop)),
        (
            "replay among others",
            wal.typed::<Counted>()
                .and_then(|log| Ok(log.replay(..)?.among_others()))
                .map(drop),
        ),
        ("schemas", wal.schemas().map(drop)),
        (
            "store",
            typed()
                .and_then(|log| {
                    log.store::<Sum>(StoreConfig::new().with_others(true))?
                        .commit(Counted(1))
                })
                .map(drop),
        ),
        ("cursor", wal.hold(first).map(drop)),
        ("verify", wal.verify().map(drop)),
        ("retain", wal.retain(&Retention::default()).map(drop)),
        ("truncate_before", wal.truncate_before(first).map(drop)),
    ]
}

#[test]
fn another_log_can_be_used_inside_a_closure() {
    within("calls on another log inside append_with", || {
        for config in [quiet_heap(), WalConfig::new()] {
            let one = Wal::with_store_and_config(MemStore::new(), config).unwrap();
            let other = Wal::with_store_and_config(MemStore::new(), config).unwrap();
            other.append(b"first").unwrap();
            one.append_in_place(10, |_| {
                for (call, result) in use_all(&other) {
                    // A log of plain records is no state.
                    assert!(result.is_ok() || call == "live", "{call}: {result:?}");
                    assert!(!matches!(result, Err(WalError::Reentrant)), "{call}");
                }
            })
            .unwrap();
            assert_eq!(all(&one).len(), 1);
            other.close().unwrap();
            assert!(one.append(b"afterwards").is_ok());
        }
    });
}

#[test]
fn closures_of_several_logs_stand_within_one_another() {
    within("append_with of A in B in A", || {
        let (a, b, c) = (log(), log(), log());
        for wal in [&a, &b, &c] {
            wal.append(b"first").unwrap();
        }
        let seen = RefCell::new(Vec::new());
        let look = |at: &'static str, wal: &Wal, is_closed_to_us: bool| {
            for (call, result) in use_all(wal) {
                if matches!(call, "tail" | "cursor") {
                    continue; // They take note of a place, and read nothing.
                }
                let refused = matches!(result, Err(WalError::Reentrant));
                if refused != is_closed_to_us {
                    seen.borrow_mut()
                        .push((at, call, result.map_err(|error| error.to_string())));
                }
            }
        };
        a.append_in_place(1, |_| {
            b.append_in_place(1, |_| {
                look("a in b in a", &a, true);
                look("b in b in a", &b, true);
                c.append_in_place(1, |_| {
                    look("a in c in b in a", &a, true);
                    look("b in c in b in a", &b, true);
                    look("c in c in b in a", &c, true);
                })
                .unwrap();
                look("c after its closure", &c, false);
                look("a after the closure of c", &a, true);
            })
            .unwrap();
            look("b after its closure", &b, false);
            look("a after the closure of b", &a, true);
        })
        .unwrap();
        look("a after its closure", &a, false);
        let wrong = seen.into_inner();
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn a_panic_in_a_closure_within_leaves_the_outer_one() {
    within("a panic in a nested closure", || {
        let (a, b) = (log(), log());
        a.append_in_place(1, |_| {
            let inner = catch_unwind(AssertUnwindSafe(|| b.append_in_place(1, |_| panic!("inside"))));
            assert!(inner.is_err());
            assert_is!(a.append(b"x"), Err(WalError::Reentrant));
            b.append_and_sync(b"b is free again").unwrap();
        })
        .unwrap();
        a.append_and_sync(b"and a").unwrap();
        assert_eq!((all(&a).len(), all(&b).len()), (2, 1));
    });
}

#[test]
fn the_last_handle_of_another_log_that_is_dropped_inside_closes_it() {
    within("a last handle dropped inside append_with", || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other");
        let other = Wal::open_with(&path, WalConfig::new()).unwrap();
        let lsn = other.append(b"of the other").unwrap();
        let one = log();
        one.append_in_place(1, |_| {
            drop(other);
            // It is not locked any more, and was closed as it should be.
            let again = Wal::open_with(&path, WalConfig::new()).unwrap();
            assert!(again.recovery().clean, "{:?}", again.recovery());
            assert_eq!(again.read(lsn).unwrap().data(), b"of the other");
        })
        .unwrap();
    });
}

#[test]
fn what_was_made_before_the_closure_does_not_hang_inside() {
    within("tickets, iterators and followers inside append_with", || {
        let wal = log();
        let ticket = ticket(&wal, b"first");
        let first = ticket.lsn();
        let mut tail = wal.tail(wal.status().head).unwrap();
        let log = wal.typed::<Counted>().unwrap();
        let store = log.store::<Sum>(StoreConfig::new().with_others(true)).unwrap();
        let mut refused = Vec::new();
        wal.append_in_place(1, |_| {
            refused.push(("ticket", ticket.wait().map(drop)));
            refused.push(("ticket and wait", wal_tests::sync_to(&wal, first).map(drop)));
            refused.push(("commit", store.commit(Counted(1)).map(drop)));
            refused.push(("read", store.read(|_| ())));
            refused.push(("peek", store.peek(|_| ())));
            let _ = tail.next_timeout(std::time::Duration::ZERO);
        })
        .unwrap();
        assert!(
            refused
                .iter()
                .all(|(_, result)| matches!(result, Err(WalError::Reentrant))),
            "{refused:?}"
        );
        wal.sync().unwrap();
    });
}

/// A thread that ends still appends: what it keeps of its closures may be gone before what uses a log.
#[test]
fn a_thread_that_ends_can_append_in_closures() {
    /// A panic here would end the process, so it says what it has seen.
    struct Last(Wal, Wal, mpsc::Sender<Vec<bool>>);

    impl Drop for Last {
        fn drop(&mut self) {
            let Last(a, b, seen) = self;
            let refused = RefCell::new(Vec::new());
            let look = |wal: &Wal| {
                refused
                    .borrow_mut()
                    .push(matches!(wal.append(b"x"), Err(WalError::Reentrant)))
            };
            let outer = a.append_in_place(1, |_| {
                look(a);
                let inner = b.append_in_place(1, |_| {
                    look(a);
                    look(b);
                });
                look(a);
                refused.borrow_mut().push(inner.is_ok());
            });
            refused.borrow_mut().push(outer.is_ok());
            let _ = seen.send(refused.into_inner());
        }
    }

    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }

    within("append_with in the end of a thread", || {
        let (a, b) = (log(), log());
        let (seen, looked) = mpsc::channel();
        let last = Last(a.clone(), b.clone(), seen);
        std::thread::spawn(move || {
            LAST.with(|slot| slot.replace(Some(last)));
            // Made after it, and so gone before it.
            let (c, d) = (log(), log());
            c.append_in_place(1, |_| d.append_in_place(1, |_| ()).map(drop).unwrap())
                .unwrap();
        })
        .join()
        .unwrap();
        assert_eq!(looked.recv().unwrap(), [true; 6]);
        assert_eq!((all(&a).len(), all(&b).len()), (1, 1));
    });
}

#[test]
fn logs_in_files_can_be_made_inside() {
    within("opening another log inside append_with", || {
        let place = files::Place::new(files::Form::Segmented);
        let one = log();
        one.append_in_place(1, |_| {
            let other = place.open(quiet()).unwrap();
            other.append_and_sync(b"x").unwrap();
            other.close().unwrap();
        })
        .unwrap();
        assert_eq!(all(&one).len(), 1);
    });
}

/// What a program that copies or restores files does to staging memory.
#[test]
fn the_bytes_that_a_closure_gets_are_zero_whatever_staging_memory_held() {
    for form in files::FORMS {
        let place = files::Place::new(form);
        place.open(quiet()).unwrap().close().unwrap();
        let staging = place.staging();
        if !staging.exists() {
            wal_tests::note("skipped: staging memory is not mapped here");
            continue;
        }
        let mut bytes = std::fs::read(&staging).unwrap();
        bytes[4096..].fill(0xAA);
        std::fs::write(&staging, bytes).unwrap();
        let wal = place.open(quiet()).unwrap();
        for len in [1, 100, 5000] {
            let mut zero = false;
            wal.append_in_place(len, |bytes| zero = bytes.iter().all(|byte| *byte == 0))
                .unwrap();
            assert!(zero, "{form:?}: {len} bytes");
        }
        assert_eq!(all(&wal).len(), 3);
    }
}
