//! Tasks: all that wait are woken, in whatever order things happen, and nobody is harmed by one that gives up. One that is not
//! woken is a deadlock, which shuttle finds.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};

use futures_core::Stream;
use shuttle::{
    future::block_on,
    thread::{self, JoinHandle},
};
use wal_db::{
    Lsn, MemStore, Start, Wal, WalError,
    consumer::{ConsumerConfig, Waited},
    read::TailStream,
    testing::sim::Call,
};
use wal_tests::assert_is;

use super::{
    disk::{Disk, Form},
    explore::{any_config, choose, explore, join, quiet},
    read::First,
};

fn next(records: &mut TailStream) -> Option<Result<Vec<u8>, WalError>> {
    let next = std::future::poll_fn(|context| Pin::new(&mut *records).poll_next(context));
    block_on(next).map(|record| record.map(|record| record.data().to_vec()))
}

/// Follows to the end. What was seen and was not cut off since.
fn follow(wal: &Wal) -> JoinHandle<Result<Vec<Vec<u8>>, WalError>> {
    let mut records = wal.tail(Lsn::ZERO).unwrap().into_stream().unwrap();
    thread::spawn(move || {
        let mut seen = Vec::new();
        while let Some(record) = next(&mut records) {
            match record {
                Ok(record) => seen.push(record),
                // The first one is kept.
                Err(WalError::CutBack { .. }) => seen.truncate(1),
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    })
}

/// Commits so many records in one of the ways that a task has.
fn commit(wal: &Wal, name: u8, count: u8) -> JoinHandle<()> {
    let wal = wal.clone();
    thread::spawn(move || {
        for number in 0..count {
            let lsn = wal.append(&[name, number]).unwrap();
            let committed = match choose(3) {
                0 => block_on(wal.sync_async()),
                1 => wal.sync(),
                _ => block_on(wal.ticket(lsn).unwrap()).map(drop),
            };
            if let Err(error) = committed {
                assert_is!(error, WalError::CutBack { .. });
            }
        }
    })
}

/// Begins to wait and gives up, again and again.
fn give_up(wal: &Wal) -> JoinHandle<()> {
    let wal = wal.clone();
    thread::spawn(move || {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let mut records = wal.tail(Lsn::ZERO).unwrap().into_stream().unwrap();
            while Pin::new(&mut records).poll_next(&mut context).is_ready() {}
            let mut sync = pin!(wal.sync_async());
            let _ = sync.as_mut().poll(&mut context);
            thread::yield_now();
        }
    })
}

fn log() -> (Wal, Lsn) {
    let wal = Wal::with_store_and_config(MemStore::new(), any_config()).unwrap();
    let first = wal.append_and_sync(b"first").unwrap();
    (wal, first)
}

#[test]
fn every_stream_sees_all_that_is_committed_and_ends_with_the_log() {
    explore(400, || {
        let (wal, _) = log();
        let followers = [follow(&wal), follow(&wal)];
        join(vec![commit(&wal, 1, 2), commit(&wal, 2, 2), give_up(&wal)]);
        wal.append(b"last").unwrap();
        wal.close().unwrap();
        for follower in followers {
            let seen = follower.join().unwrap().unwrap();
            assert_eq!(seen.len(), 6);
            for name in [1, 2] {
                let of_one: Vec<_> = seen.iter().filter(|record| record[0] == name).collect();
                assert_eq!(of_one, [&vec![name, 0], &vec![name, 1]]);
            }
            assert_eq!((&*seen[0], &*seen[5]), (&b"first"[..], &b"last"[..]));
        }
    });
}

#[test]
fn a_cut_reaches_every_stream_and_every_ticket() {
    explore(400, || {
        let (wal, first) = log();
        let followers = [follow(&wal), follow(&wal)];
        let cuts = {
            let wal = wal.clone();
            thread::spawn(move || wal.truncate_after(first).unwrap())
        };
        join(vec![commit(&wal, 1, 2), commit(&wal, 2, 1), cuts]);
        wal.truncate_after(first).unwrap();
        wal.append(b"last").unwrap();
        wal.close().unwrap();
        for follower in followers {
            assert_eq!(follower.join().unwrap().unwrap(), [&b"first"[..], b"last"]);
        }
    });
}

#[test]
fn a_failure_reaches_every_stream_and_every_ticket() {
    explore(400, || {
        let disk = Disk::new(Form::File);
        let wal = disk.open(any_config()).unwrap();
        let followers = [follow(&wal), follow(&wal)];
        disk.fail([Call::Sync, Call::Write][choose(2)], choose(3));
        let commits = [(); 2].map(|()| {
            let wal = wal.clone();
            thread::spawn(move || {
                // Until it has failed.
                loop {
                    let committed = wal.append(b"x").and_then(|lsn| {
                        let ticket = wal.ticket(lsn)?;
                        block_on(ticket)?;
                        block_on(wal.sync_async())
                    });
                    if committed.is_err() {
                        return;
                    }
                }
            })
        });
        join(commits.into());
        for follower in followers {
            assert_is!(follower.join().unwrap(), Err(WalError::Poisoned { .. }));
        }
        drop(wal);
        disk.heal();
    });
}

#[test]
fn whoever_waits_for_a_consumer_is_woken() {
    explore(400, || {
        let config = quiet().with_background_flush(choose(2) == 0);
        let wal = Wal::with_store_and_config(MemStore::new(), config).unwrap();
        let log = wal.typed::<First>().unwrap();
        let config = ConsumerConfig::new()
            .with_start(Start::Head)
            .with_backoff(Duration::ZERO, Duration::ZERO);
        let consumer = log.consumer("c", config).unwrap();
        let handled = Arc::new(Mutex::new(Vec::new()));
        let runs = {
            let (consumer, handled) = (consumer.clone(), handled.clone());
            thread::spawn(move || {
                consumer.run(|event, _| {
                    handled.lock().unwrap().push(event.event.id);
                    Ok(())
                })
            })
        };
        let waits = [0, 1].map(|id| {
            let (log, consumer, handled) = (log.clone(), consumer.clone(), handled.clone());
            thread::spawn(move || {
                let lsn = log.append(&First { id }).unwrap();
                drop(consumer.wait_for_async(lsn));
                block_on(log.wal().ticket(lsn).unwrap()).unwrap();
                assert_eq!(block_on(consumer.wait_for_async(lsn)).unwrap(), Waited::Reached);
                assert!(handled.lock().unwrap().contains(&id));
            })
        });
        join(waits.into());
        let lsn = log.append(&First { id: 2 }).unwrap();
        let closes = {
            let wal = log.wal().clone();
            thread::spawn(move || wal.close().unwrap())
        };
        match block_on(consumer.wait_for_async(lsn)) {
            Ok(Waited::Reached) | Err(WalError::Closed) => {}
            other => panic!("{other:?}"),
        }
        join(vec![closes]);
        if let Err(error) = runs.join().unwrap() {
            assert_is!(error, WalError::Closed);
        }
    });
}
