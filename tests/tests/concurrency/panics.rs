//! Code that panics or calls back in at the wrong moment, and writers that should not be there: no hang, nobody who
//! waits is forgotten, nothing is read that is not the log's.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Barrier, mpsc},
};

use serde::{Deserialize, Serialize, Serializer};
use wal_db::{EventLog, Meta, Result, Staging, Wal, WalError, WalRecord};
use wal_tests::{
    Entry, all, assert_is,
    disk::{Disk, EIO, Fault, Op, busy_heap, is_in_doubt, is_poisoned, open, stays_poisoned},
    put, quiet, quiet_heap, ticket, until_error, within,
};

// ---- panics ----------------------------------------------------------------------------------------------

#[test]
fn a_panic_in_the_store_poisons_and_wakes_whoever_waits() {
    for op in [Op::Write, Op::Sync] {
        within(&format!("a panic in {op:?}"), move || {
            let disk = Disk::new();
            let wal = open(&disk, quiet_heap());
            let acked = put(&wal, 1, 100);
            wal.sync().unwrap();
            disk.hold(op);
            std::thread::scope(|scope| {
                let leader = scope.spawn(|| wal.append_and_sync(b"leader"));
                disk.wait_for_held();
                let followers: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| wal.append(b"f").and_then(|_| wal.sync())))
                    .collect();
                disk.set(op, Fault::Panic);
                disk.let_go();
                assert!(leader.join().is_err(), "the panic goes on");
                for follower in followers {
                    let outcome = follower.join().unwrap();
                    assert!(is_in_doubt(&outcome) || is_poisoned(&outcome), "{outcome:?}");
                }
            });
            stays_poisoned(&wal, &disk);
            assert_eq!(all(&wal)[0], acked);
        });
    }
}

#[test]
fn a_panic_in_the_store_under_a_background_thread_tells_the_tickets() {
    within("a panic in the flusher", || {
        let disk = Disk::new();
        let wal = open(&disk, busy_heap());
        disk.set(Op::Sync, Fault::Panic);
        let (told, outcome) = mpsc::channel();
        ticket(&wal, b"a").on_durable(move |outcome| told.send(outcome).unwrap());
        assert!(is_in_doubt(&outcome.recv().unwrap()));
        stays_poisoned(&wal, &disk);
        drop(wal);
    });
}

#[test]
fn a_panic_in_the_closure_of_append_with_leaves_no_record_and_no_hole() {
    within("a panic in append_with", || {
        for len in [100, 100_000] {
            for config in [quiet_heap(), quiet()] {
                let disk = Disk::new();
                let wal = open(&disk, config);
                let mut entries = vec![put(&wal, 1, 50)];
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    wal.append_in_place(len, |space| {
                        space.fill(7);
                        panic!("in the closure")
                    })
                }));
                assert_eq!(
                    *panicked.unwrap_err().downcast_ref::<&str>().unwrap(),
                    "in the closure"
                );
                entries.push(put(&wal, 2, 50));
                wal.sync().unwrap();
                let lsn = wal
                    .append_in_place(3, |space| space.copy_from_slice(b"abc"))
                    .unwrap();
                entries.push(Entry(lsn, b"abc".to_vec()));
                assert_eq!(all(&wal), entries);
                assert_eq!(wal.status().records, 3);
                wal.close().unwrap();
                let wal = open(&disk, config);
                assert_eq!((all(&wal), wal.recovery().void_bytes), (entries, 0));
            }
        }
    });
}

#[test]
fn a_panic_in_a_callback_harms_nobody() {
    within("a panic in a callback", || {
        for config in [busy_heap(), quiet_heap()] {
            let disk = Disk::new();
            let wal = open(&disk, config);
            let (told, outcomes) = mpsc::channel();
            for i in 0..6u8 {
                let told = told.clone();
                ticket(&wal, &[i]).on_durable(move |outcome| {
                    assert!(i % 2 == 0, "a panic in a callback");
                    told.send(outcome).unwrap();
                });
            }
            drop(told);
            let heard: Vec<_> = outcomes.iter().collect();
            assert_eq!(heard.len(), 3);
            assert!(heard.iter().all(Result::is_ok));
            assert_eq!(
                (wal.status().failure, wal.append_and_sync(b"on").is_ok()),
                (None, true)
            );
            wal.close().unwrap();
            assert_eq!(all(&open(&disk, quiet_heap())).len(), 7);
        }
    });
}

// ---- callbacks and closures that use the log -------------------------------------------------------------

#[test]
fn a_callback_may_use_and_drop_the_log() {
    within("a callback that drops the log", || {
        let disk = Disk::new();
        let wal = open(&disk, busy_heap());
        let (told, outcome) = mpsc::channel();
        let ticket = ticket(&wal, b"a");
        ticket.on_durable(move |_| {
            let count = wal.status().records;
            let more = wal.append(b"b").is_ok();
            drop(wal); // the last handle
            told.send((count, more)).unwrap();
        });
        assert_eq!(outcome.recv().unwrap(), (1, true));
    });
}

#[test]
fn a_callback_that_hears_of_a_failure_may_use_the_log() {
    within(
        "a callback that asks for the record count after a failed sync",
        || {
            let disk = Disk::new();
            let wal = open(&disk, busy_heap());
            disk.set(Op::Sync, Fault::Fail(EIO));
            let (told, outcome) = mpsc::channel();
            let in_callback = wal.clone();
            let ticket = ticket(&wal, b"a");
            ticket.on_durable(move |outcome| {
                told.send((outcome.is_err(), in_callback.status().records))
                    .unwrap()
            });
            assert_eq!(outcome.recv().unwrap(), (true, 1));
        },
    );
}

#[test]
fn a_callback_that_hears_of_a_failure_may_drop_the_log() {
    within(
        "a callback that drops the last handle after a failed sync",
        || {
            let disk = Disk::new();
            let wal = open(&disk, busy_heap());
            disk.set(Op::Sync, Fault::Fail(EIO));
            let (told, outcome) = mpsc::channel();
            let ticket = ticket(&wal, b"a");
            ticket.on_durable(move |outcome| {
                drop(wal);
                told.send(outcome.is_err()).unwrap();
            });
            assert!(outcome.recv().unwrap());
        },
    );
}

#[test]
fn the_log_cannot_be_used_inside_the_closure_of_append_with() {
    within("a nested call", || {
        let wal = open(&Disk::new(), quiet_heap());
        let first = put(&wal, 1, 10);
        let mut errors = Vec::new();
        wal.append_in_place(10, |_| {
            let nested = |result: Result<()>| matches!(result, Err(WalError::Reentrant));
            errors.push(("append", nested(wal.append(b"x").map(|_| ()))));
            errors.push(("a large append", nested(wal.append(&[1; 80_000]).map(|_| ()))));
            errors.push(("append_batch", nested(wal.append_batch(&[b"x"]).map(|_| ()))));
            errors.push(("append_with", nested(wal.append_in_place(1, |_| ()).map(|_| ()))));
            errors.push((
                "append and ticket",
                nested(wal.append(b"x").and_then(|lsn| wal.ticket(lsn)).map(|_| ())),
            ));
            errors.push(("sync", nested(wal.sync())));
            errors.push(("flush", nested(wal.drain())));
            errors.push(("iter", nested(wal.iter().map(|_| ()))));
            errors.push(("read", nested(wal.read(first.0).map(|_| ()))));
            errors.push(("truncate_after", nested(wal.truncate_after(first.0))));
            errors.push((
                "truncate_before",
                nested(wal.truncate_before(first.0).map(|_| ())),
            ));
        })
        .unwrap();
        let taken: Vec<_> = errors.iter().filter(|(_, refused)| !refused).collect();
        assert!(taken.is_empty(), "{taken:?}");
        assert_eq!(all(&wal).len(), 2);
        wal.append(b"outside").unwrap();
    });
}

#[test]
fn closing_inside_the_closure_of_append_with_is_an_error_and_no_hang() {
    within("close inside append_with", || {
        let wal = open(&Disk::new(), quiet_heap());
        let mut closed = None;
        let _ = wal.append_in_place(10, |_| closed = Some(wal.clone().close()));
        assert_is!(closed, Some(Err(WalError::Reentrant)));
    });
}

#[test]
fn asking_for_figures_inside_the_closure_of_append_with_is_no_hang() {
    within(
        "status inside append_in_place while another thread flushes",
        || {
            let wal = open(&Disk::new(), quiet_heap());
            let (claimed, start) = (Barrier::new(2), wal.end().get());
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    claimed.wait();
                    wal.sync()
                });
                wal.append_in_place(10, |_| {
                    claimed.wait();
                    // The other thread has begun to flush once it has closed the group.
                    while wal.end().get() < start + 512 {
                        std::thread::yield_now();
                    }
                    let _ = wal.status().records;
                })
                .unwrap();
            });
            assert_eq!(wal.status().records, 1);
        },
    );
}

// ---- two writers -----------------------------------------------------------------------------------------

/// A store without a lock cannot keep a stopped writer that wakes up from writing, but its groups are never read.
#[test]
fn the_groups_of_a_writer_that_was_replaced_are_never_read() {
    let disk = Disk::new();
    let old = open(&disk, quiet_heap());
    let first = put(&old, 1, 100);
    old.sync().unwrap();
    let new = open(&disk, quiet_heap());
    let second = put(&new, 2, 2000);
    new.sync().unwrap();
    put(&old, 3, 100); // after the first record, over the second
    old.sync().unwrap();
    let image = disk.image();
    let before = image.row();
    match Wal::with_store_and_config(image.clone(), quiet_heap()) {
        Err(WalError::Corruption(_)) => assert_eq!(image.row(), before),
        Ok(wal) => {
            let (read, error) = until_error(&wal);
            assert!([first, second].starts_with(&read) && error.is_some(), "{read:?}");
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn write_through_shares_the_store_between_threads_and_heap_staging_flushes_on_close() {
    for staging in [Staging::WriteThrough, Staging::Heap, Staging::Mapped] {
        let disk = Disk::new();
        let wal = open(&disk, quiet().with_staging(staging));
        std::thread::scope(|scope| {
            for t in 0..4u8 {
                let wal = &wal;
                scope.spawn(move || (0..200u8).for_each(|i| assert!(wal.append(&[t, i]).is_ok())));
            }
        });
        wal.close().unwrap();
        let entries = all(&open(&disk, quiet_heap()));
        assert_eq!(entries.len(), 800, "{staging:?}");
        for t in 0..4u8 {
            let of_thread: Vec<u8> = entries.iter().filter(|e| e.1[0] == t).map(|e| e.1[1]).collect();
            assert!(
                of_thread.into_iter().eq(0..200u8),
                "{staging:?}: thread {t} out of order"
            );
        }
    }
}

// ---- encoders ----------------------------------------------------------------------------------------------

/// An event whose encoder does what it is told half way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "fickle")]
struct Fickle {
    before: u64,
    #[serde(serialize_with = "or_not")]
    #[wal(opaque = "way@1")]
    way: u8,
    after: u64,
}

const FAILS: u8 = 1;
const PANICS: u8 = 2;

fn or_not<S: Serializer>(way: &u8, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match *way {
        FAILS => Err(serde::ser::Error::custom("half way")),
        PANICS => panic!("in the encoder"),
        way => serializer.serialize_u8(way),
    }
}

const fn fickle(way: u8) -> Fickle {
    Fickle {
        before: 1,
        way,
        after: 2,
    }
}

type Append = fn(&EventLog<Fickle>, Fickle) -> Result<()>;

/// Every way to append an event that cannot be encoded.
const APPENDS: [Append; 7] = [
    |log, event| log.append(&event).map(drop),
    |log, event| {
        log.append_with_meta(&event, &Meta::new().with_stream("s"))
            .map(drop)
    },
    |log, event| log.append_batch(&[fickle(0), event, fickle(0)]).map(drop),
    |log, event| {
        let meta = Meta::new().with_stream("s");
        log.append_batch_with_meta(&[(fickle(0), meta.clone()), (event, meta)])
            .map(drop)
    },
    |log, event| log.append(&event).and_then(|lsn| log.wal().ticket(lsn)).map(drop),
    |log, event| log.append_and_sync(&event).map(drop),
    |log, event| {
        log.wal()
            .typed()
            .and_then(|log| log.append_batch(&[fickle(0), event]))
            .map(drop)
    },
];

#[test]
fn an_encoder_that_fails_or_panics_appends_nothing() {
    within("an encoder that panics", || {
        for config in [quiet_heap(), busy_heap(), quiet()] {
            let disk = Disk::new();
            let log = open(&disk, config).typed::<Fickle>().unwrap();
            log.append(&fickle(0)).unwrap();
            let before = log.wal().end().get();
            for append in APPENDS {
                assert_is!(append(&log, fickle(FAILS)), Err(WalError::Typed(_)));
                let panicked = catch_unwind(AssertUnwindSafe(|| append(&log, fickle(PANICS))));
                let panic = panicked.unwrap_err();
                assert_eq!(panic.downcast_ref::<&str>(), Some(&"in the encoder"));
            }
            assert_eq!(log.wal().end().get(), before, "{config:?}");
            log.append_batch(&[fickle(7), fickle(8)]).unwrap();
            let wal = log.wal().clone();
            drop(log);
            assert_eq!((all(&wal).len(), wal.status().failure), (3, None));
            wal.close().unwrap();
            let wal = open(&disk, config);
            assert_eq!((wal.status().records, wal.recovery().void_bytes), (3, 0));
            assert!(wal.verify().unwrap().is_intact());
        }
    });
}
