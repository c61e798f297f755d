//! A disk that is found full after a record was taken. The record waits and becomes durable later, so no error may say
//! that it was not taken: a caller that believed it would append it a second time.

use std::io;

use serde::{Deserialize, Serialize};
use wal_db::{
    Wal, WalError, WalRecord,
    state::{At, State, StoreConfig, TransactError},
};
use wal_tests::{
    all, assert_is,
    disk::{Disk, EIO, Fault, Op, is_poisoned, open},
    payload, put, quiet_heap, ticket,
};

const FULL: Fault = Fault::Fail(io::ErrorKind::StorageFull);

/// A log with one durable record on a disk whose next write of a group finds no space.
fn full_at_the_write() -> (Disk, Wal) {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap());
    put(&wal, 1, 100);
    wal.sync().unwrap();
    disk.set(Op::Write, FULL);
    (disk, wal)
}

#[track_caller]
fn not_durable<T: std::fmt::Debug>(result: wal_db::Result<T>) -> Option<wal_db::Lsn> {
    match result {
        Err(WalError::NotDurable { lsn, .. }) => lsn,
        other => panic!("not NotDurable: {other:?}"),
    }
}

#[test]
fn an_append_and_sync_that_finds_the_disk_full_has_taken_its_record() {
    let (disk, wal) = full_at_the_write();
    let lsn = not_durable(wal.append_and_sync(b"once")).expect("the LSN of the record");
    disk.heal();
    wal.ticket(lsn).unwrap().wait().unwrap();
    assert_eq!(wal.read(lsn).unwrap().data(), b"once");
    assert_eq!(all(&wal).len(), 2);
    wal.close().unwrap();
    assert_eq!(all(&open(&disk, quiet_heap())).len(), 2);
}

#[test]
fn a_ticket_a_sync_a_flush_and_a_close_of_a_full_disk_say_that_the_records_were_taken() {
    let (disk, wal) = full_at_the_write();
    let ticket = ticket(&wal, b"waits");
    let lsn = ticket.lsn();
    assert_eq!(not_durable(ticket.wait()), Some(lsn));
    assert_eq!(not_durable(wal.sync()), None);
    assert_eq!(not_durable(wal_tests::sync_to(&wal, lsn)), Some(lsn));
    assert_eq!(not_durable(wal.drain()), None);
    assert_eq!(not_durable(wal.clone().close()), None);
    // Closing can be tried again, and then the record is there.
    disk.heal();
    wal.close().unwrap();
    assert_eq!(open(&disk, quiet_heap()).read(lsn).unwrap().data(), b"waits");
}

#[test]
fn reading_does_not_fail_because_the_disk_is_full() {
    let (disk, wal) = full_at_the_write();
    let lsn = wal.append(b"waits").unwrap();
    assert_eq!(all(&wal).len(), 1, "what is in the store");
    assert_eq!(wal.iter_rev().unwrap().count(), 1);
    assert_eq!(wal.verify().unwrap().records, 1);
    assert_eq!(not_durable(wal.read(lsn)), Some(lsn));
    disk.heal();
    assert_eq!(wal.read(lsn).unwrap().data(), b"waits");
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "added")]
struct Added(u64);

#[derive(Debug, Default)]
struct Sum(u64);

impl State for Sum {
    type Event = Added;

    fn apply(&mut self, event: Added, _: At) {
        self.0 += event.0;
    }
}

#[test]
fn a_commit_that_is_told_not_durable_counts_once() {
    let disk = Disk::new();
    let log = open(&disk, quiet_heap()).typed::<Added>().unwrap();
    let store = log.store::<Sum>(StoreConfig::new()).unwrap();
    store.commit(Added(1)).unwrap();
    disk.set(Op::Write, FULL);
    assert!(not_durable(store.commit(Added(10))).is_some());
    assert!(not_durable(store.read(|sum| sum.0)).is_none(), "of no record");
    assert_eq!(store.peek(|sum| sum.0).unwrap(), 11, "it is in the log");
    disk.heal();
    assert_eq!(store.read(|sum| sum.0).unwrap(), 11);
    assert_eq!(
        store.read(|sum| sum.0).unwrap(),
        log.rebuild::<Sum>().unwrap().state.0
    );
}

/// What waits to be written is in the log: nothing is decided, and nothing is folded, as if it were not.
#[test]
fn no_state_is_made_on_a_full_disk_without_what_waits_to_be_written() {
    let disk = Disk::new();
    let log = open(&disk, quiet_heap()).typed::<Added>().unwrap();
    log.append_and_sync(&Added(1)).unwrap();
    disk.set(Op::Write, FULL);
    log.append(&Added(10)).unwrap();
    assert!(not_durable(log.rebuild::<Sum>().map(drop)).is_none());
    assert!(not_durable(log.store::<Sum>(StoreConfig::new()).map(drop)).is_none());
    disk.heal();
    assert_eq!(log.rebuild::<Sum>().unwrap().state.0, 11);
    let store = log.store::<Sum>(StoreConfig::new()).unwrap();
    disk.set(Op::Write, FULL);
    assert!(not_durable(store.commit(Added(100))).is_some());
    // Of no event of its own.
    let refused = store.transact::<(), ()>(|_, _| Err(()));
    let Err(TransactError::Wal(error)) = refused else {
        panic!("{refused:?}");
    };
    assert!(not_durable(Err::<(), _>(error)).is_none());
    // Of another handle, and not seen yet: nothing is decided without it, and nothing was appended.
    log.append(&Added(1000)).unwrap();
    assert_is!(store.commit(Added(5)), Err(WalError::Full { .. }));
    assert!(not_durable(store.peek(|sum| sum.0)).is_none());
    disk.heal();
    assert_eq!(store.read(|sum| sum.0).unwrap(), 1111);
    assert_eq!(log.rebuild::<Sum>().unwrap().state.0, 1111);
}

#[test]
fn a_ticket_that_was_taken_before_a_failure_is_in_doubt_and_says_of_which_record() {
    for fault in [Op::Write, Op::Sync] {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        let tickets: Vec<_> = (0..3u8).map(|i| ticket(&wal, &[i])).collect();
        disk.set(fault, Fault::Fail(EIO));
        for ticket in tickets {
            let lsn = ticket.lsn();
            match ticket.wait() {
                Err(WalError::InDoubt { lsn: about, .. }) => assert_eq!(about, Some(lsn), "{fault:?}"),
                other => panic!("{fault:?}: not InDoubt: {other:?}"),
            }
        }
        // What comes later was not taken, and nothing is in doubt about it.
        assert!(is_poisoned(&wal.append_and_sync(b"later")), "{fault:?}");
    }
}

#[test]
fn an_error_names_the_place_that_the_record_would_have_had() {
    // In the ring, and longer than that.
    for len in [1_000, 100_000] {
        let (data, config) = (payload(7, len), quiet_heap().with_staging_bytes(64 << 10));
        let begun = |disk: &Disk| {
            let wal = open(disk, config);
            wal.append_and_sync(b"earlier").unwrap();
            wal
        };
        let healthy = begun(&Disk::new()).append_and_sync(&data).unwrap();
        let disk = Disk::new();
        let wal = begun(&disk);
        disk.set(Op::Write, Fault::Fail(EIO));
        match wal.append_and_sync(&data) {
            Err(WalError::InDoubt { lsn, .. }) => assert_eq!(lsn, Some(healthy), "{len} bytes"),
            other => panic!("{len} bytes: not InDoubt: {other:?}"),
        }
    }
}

#[test]
fn a_record_before_which_a_write_fails_was_not_taken() {
    for len in [1_000, 100_000] {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap().with_staging_bytes(64 << 10));
        disk.set(Op::Write, Fault::Fail(EIO));
        let (data, mut taken) = (payload(7, len), 0);
        wal.append(b"an earlier one").unwrap();
        let refused = loop {
            match wal.append_batch(&[&data, &data]) {
                Ok(_) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 100, "nothing is ever written");
        };
        assert!(is_poisoned(&Err::<(), _>(refused)), "{len} bytes");
        disk.heal();
        drop(wal);
        assert_eq!(
            all(&open(&disk, quiet_heap())).len(),
            0,
            "{len} bytes: nothing was written"
        );
    }
}

#[test]
fn an_error_of_the_log_becomes_one_of_std_and_keeps_its_source() {
    let (_disk, wal) = full_at_the_write();
    let error: io::Error = wal.append_and_sync(b"x").unwrap_err().into();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let source = error
        .get_ref()
        .and_then(|source| source.downcast_ref::<WalError>());
    let Some(WalError::NotDurable { kind, .. }) = source else {
        panic!("{error:?}")
    };
    assert_eq!(*kind, io::ErrorKind::StorageFull);
    let missing: io::Error = wal.read(wal_db::Lsn::new(8)).unwrap_err().into();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}
