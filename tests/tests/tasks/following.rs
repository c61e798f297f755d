//! Streams that follow a log.

use std::task::Poll;

use futures_core::stream::FusedStream;
use serde::{Deserialize, Serialize};
use wal_db::{
    Durability, Lsn, MemStore, Record, Result, Start, Wal, WalError, WalRecord,
    read::{Follow, TailStream},
};
use wal_tests::{
    assert_is,
    disk::{Disk, EIO, Fault, Op, busy_heap, open},
    quiet_heap,
    task::{Task, block_on, next},
};

/// Logs with and without threads of their own.
fn logs() -> impl Iterator<Item = (String, Wal)> {
    let quiet = quiet_heap();
    let configs = [
        ("quiet", quiet),
        ("certified", quiet.with_durability(Durability::Certified)),
        ("threads", quiet.with_background_flush(true)),
    ];
    configs.into_iter().map(|(what, config)| {
        let wal = Wal::with_store_and_config(MemStore::new(), config).unwrap();
        (what.to_owned(), wal)
    })
}

fn stream(wal: &Wal) -> TailStream {
    wal.tail(Lsn::ZERO).unwrap().into_stream().unwrap()
}

fn data(polled: Poll<Option<Result<Record>>>) -> Vec<u8> {
    match polled {
        Poll::Ready(Some(record)) => record.unwrap().data().to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_task_is_woken_once_for_each_commit() {
    for (what, wal) in logs() {
        let (task, mut records) = (Task::new(), stream(&wal));
        for commit in 0..3u8 {
            assert!(task.poll_next(&mut records).is_pending(), "{what}");
            wal.append(&[commit]).unwrap();
            wal.append(&[commit, commit]).unwrap();
            if what != "threads" {
                // It is not durable yet.
                assert_eq!(task.wakes(), 0, "{what}");
            }
            wal.sync().unwrap();
            assert_eq!(task.wait(), 1, "{what}");
            assert_eq!(data(task.poll_next(&mut records)), [commit]);
            assert_eq!(data(task.poll_next(&mut records)), [commit, commit]);
        }
        // Not while it is not pending.
        wal.append_and_sync(b"more").unwrap();
        assert_eq!(task.wakes(), 0, "{what}");
        assert_eq!(data(task.poll_next(&mut records)), b"more");
        assert_eq!(task.wakers(), 0, "{what}");
    }
}

#[test]
fn who_does_not_wait_any_more_is_forgotten() {
    for (what, wal) in logs() {
        let (task, mut records) = (Task::new(), stream(&wal));
        // A future of the next record is dropped, and the stream goes on.
        assert!(task.poll(&mut next(&mut records)).is_pending());
        assert_eq!(task.wakers(), 1, "{what}");
        let other = Task::new();
        assert!(other.poll_next(&mut records).is_pending());
        // The last one counts.
        assert_eq!((task.wakers(), other.wakers()), (0, 1), "{what}");
        assert!(other.poll_next(&mut records).is_pending());
        assert_eq!(other.wakers(), 1, "{what}");
        wal.append_and_sync(b"x").unwrap();
        assert_eq!((other.wait(), task.wakes()), (1, 0), "{what}");
        assert_eq!(other.wakers(), 0, "{what}");
        assert_eq!(data(task.poll_next(&mut records)), b"x");

        assert!(task.poll_next(&mut records).is_pending());
        drop(records);
        assert_eq!(task.wakers(), 0, "{what}");
        wal.append_and_sync(b"y").unwrap();
        assert_eq!(task.wakes(), 0, "{what}");
    }
}

/// A record that came, and for which the task was woken, is not lost with the future that would have had it.
#[test]
fn a_dropped_future_takes_no_record_with_it() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let (task, mut records) = (Task::new(), stream(&wal));
    for number in 0..100u8 {
        let mut dropped = next(&mut records);
        assert!(task.poll(&mut dropped).is_pending());
        wal.append_and_sync(&[number]).unwrap();
        if number % 2 == 0 {
            let _ = task.wait();
        }
        drop(dropped);
        assert_eq!(block_on(next(&mut records)).unwrap().unwrap().data(), [number]);
    }
}

#[test]
fn a_close_ends_streams_after_what_is_there() {
    for (what, wal) in logs() {
        let (task, mut records) = (Task::new(), stream(&wal));
        assert!(task.poll_next(&mut records).is_pending());
        wal.append(b"last").unwrap();
        wal.close().unwrap();
        let _ = task.wait();
        assert_eq!(data(task.poll_next(&mut records)), b"last");
        assert!(!records.is_terminated());
        assert!(
            matches!(task.poll_next(&mut records), Poll::Ready(None)),
            "{what}"
        );
        assert!(records.is_terminated());
        assert!(
            matches!(task.poll_next(&mut records), Poll::Ready(None)),
            "{what}"
        );
        assert_eq!(task.wakers(), 0);
    }
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let (task, mut records) = (Task::new(), stream(&wal));
    assert!(task.poll_next(&mut records).is_pending());
    drop(wal);
    // The last handle closes it.
    assert_eq!(task.wait(), 1);
    assert!(matches!(task.poll_next(&mut records), Poll::Ready(None)));
}

#[test]
fn a_task_hears_of_a_cut_at_once_and_goes_on_with_what_comes_instead() {
    for (what, wal) in logs() {
        let (task, mut records) = (Task::new(), stream(&wal));
        let kept = wal.append_and_sync(b"kept").unwrap();
        wal.append_and_sync(b"cut").unwrap();
        for expected in [&b"kept"[..], b"cut"] {
            assert_eq!(data(task.poll_next(&mut records)), expected);
        }
        assert!(task.poll_next(&mut records).is_pending());
        wal.truncate_after(kept).unwrap();
        assert_eq!(task.wait(), 1, "{what}");
        assert_is!(
            task.poll_next(&mut records),
            Poll::Ready(Some(Err(WalError::CutBack { .. }))),
            "{what}"
        );
        assert!(task.poll_next(&mut records).is_pending());
        wal.append_and_sync(b"instead").unwrap();
        assert_eq!(task.wait(), 1, "{what}");
        assert_eq!(data(task.poll_next(&mut records)), b"instead");
    }
}

#[test]
fn a_log_that_fails_wakes_all_tasks() {
    for config in [quiet_heap(), busy_heap()] {
        for op in [Op::Write, Op::Sync] {
            let disk = Disk::new();
            let wal = open(&disk, config);
            let (tasks, mut records) = ([(); 3].map(|()| Task::new()), [(); 3].map(|()| stream(&wal)));
            for (task, records) in tasks.iter().zip(&mut records) {
                assert!(task.poll_next(records).is_pending());
            }
            disk.set(op, Fault::Fail(EIO));
            // The one fails in a commit, the other in a call that nobody waits for.
            let failed = match op {
                Op::Write => wal.append(b"x").and_then(|_| wal.drain()),
                _ => wal.append_and_sync(b"x").map(drop),
            };
            assert!(failed.is_err());
            for (task, mut records) in tasks.iter().zip(records) {
                assert_eq!(task.wait(), 1);
                let polled = task.poll_next(&mut records);
                assert_is!(polled, Poll::Ready(Some(Err(WalError::Poisoned { .. }))));
                assert_is!(task.poll_next(&mut records), Poll::Ready(None));
                drop(records);
                assert_eq!(task.wakers(), 0);
            }
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "counted")]
struct Counted(u64);

#[test]
fn a_stream_of_events_filters_and_ends_as_the_iterator_does() {
    let log = Wal::with_store(MemStore::new())
        .unwrap()
        .typed::<Counted>()
        .unwrap();
    let task = Task::new();
    let mut events = log
        .tail(Start::Head)
        .unwrap()
        .among_others()
        .into_stream()
        .unwrap();
    assert!(task.poll_next(&mut events).is_pending());
    let mut strict = log.tail(Start::Head).unwrap().into_stream().unwrap();
    log.append(&Counted(1)).unwrap();
    log.wal().append(b"no event").unwrap();
    log.append_and_sync(&Counted(2)).unwrap();
    assert_eq!(task.wait(), 1);
    for count in [1, 2] {
        let event = block_on(next(&mut events)).unwrap().unwrap();
        assert_eq!(event.event, Counted(count));
    }
    let position = events.position().unwrap();
    log.append_and_sync(&Counted(3)).unwrap();
    let mut later = log.tail(position).unwrap().into_stream().unwrap();
    assert_eq!(block_on(next(&mut later)).unwrap().unwrap().event, Counted(3));

    assert_eq!(block_on(next(&mut strict)).unwrap().unwrap().event, Counted(1));
    assert_is!(block_on(next(&mut strict)), Some(Err(WalError::Typed(_))));
    assert!(!strict.is_terminated() && block_on(next(&mut strict)).is_none());
    assert!(strict.is_terminated());

    assert_eq!(block_on(next(&mut events)).unwrap().unwrap().event, Counted(3));
    assert!(task.poll_next(&mut events).is_pending());
    drop(log);
    assert_eq!(task.wait(), 1);
    assert!(block_on(next(&mut events)).is_none());
    assert_eq!(task.wakers(), 0);
}

#[test]
fn where_nobody_would_wake_a_task_there_is_no_stream() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let wal = Wal::open(&path).unwrap();
    let written = wal.tail(Lsn::ZERO).unwrap().follow(Follow::Written);
    assert_is!(written.into_stream(), Err(WalError::Config { .. }));
    let reader = Wal::open_read_only(&path).unwrap();
    assert_is!(
        reader.tail(Lsn::ZERO).unwrap().into_stream(),
        Err(WalError::Config { .. })
    );
}
