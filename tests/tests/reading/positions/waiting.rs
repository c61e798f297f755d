//! What a reader waits for, and what it need not wait for.

use std::{sync::mpsc, thread, time::Duration};

use wal_db::{Lsn, Retention, Start, Wal, WalConfig, WalError, read::Follow};
use wal_tests::{
    disk::{Disk, Op},
    quiet_heap, within,
};

#[test]
fn what_is_durable_is_read_while_a_flush_is_under_way() {
    within("reading beside a flush", || {
        let disk = Disk::new();
        let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
        let lsns: Vec<Lsn> = (0..10u8).map(|i| wal.append_and_sync(&[i]).unwrap()).collect();
        disk.hold(Op::Sync);
        let flush = thread::spawn({
            let wal = wal.clone();
            move || wal.append_and_sync(b"slow")
        });
        disk.wait_for_held();
        let staged = wal.append(b"staged").unwrap();
        assert_eq!(wal.range(lsns[2]..lsns[5]).unwrap().count(), 3);
        assert_eq!(wal.range(..=lsns[9]).unwrap().count(), 10);
        assert_eq!(wal.iter().unwrap().take(10).count(), 10);
        assert_eq!(wal.iter_from(lsns[7]).unwrap().take(3).count(), 3);
        assert_eq!(wal.iter_from(Start::Ordinal(4)).unwrap().take(6).count(), 6);
        assert_eq!(wal.read_ordinal(4).unwrap().unwrap().lsn(), lsns[4]);
        assert_eq!(wal.locate(lsns[4]).unwrap().ordinal, 4);
        // Nothing was cut short for it.
        assert_eq!(wal.status().staged_bytes, 16, "of {staged}");
        let all = wal.iter().unwrap();
        wal.append(b"later").unwrap();
        disk.let_go();
        flush.join().unwrap().unwrap();
        assert_eq!(all.count(), 12, "what came before it was made");
        assert_eq!(wal.iter().unwrap().count(), 13);
    });
}

#[test]
fn a_waiting_follower_of_what_is_written_sees_what_nobody_syncs() {
    within("waiting for an append", || {
        for background in [false, true] {
            let config = WalConfig::new().with_background_flush(background);
            let wal = Wal::with_store_and_config(Disk::new(), config).unwrap();
            let mut tail = wal.tail(wal.end()).unwrap().follow(Follow::Written);
            let follower = thread::spawn(move || tail.next().unwrap().unwrap());
            // It may be asleep by now or not.
            thread::yield_now();
            wal.append(b"nobody syncs this").unwrap();
            assert_eq!(follower.join().unwrap().data(), b"nobody syncs this");
        }
    });
}

#[test]
fn a_cursor_that_was_registered_beside_a_retention_holds() {
    within("a cursor beside a retention", || {
        let disk = Disk::new();
        let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
        let first = wal.append_and_sync(b"first").unwrap();
        wal.append_and_sync(b"second").unwrap();
        // The head is about to move.
        disk.hold(Op::WriteSlot);
        let retention = thread::spawn({
            let wal = wal.clone();
            move || wal.retain(&Retention::new().with_max_bytes(0))
        });
        disk.wait_for_held();
        let (registered, done) = mpsc::channel();
        let cursor = thread::spawn({
            let wal = wal.clone();
            move || {
                let cursor = wal.hold(first);
                registered.send(()).unwrap();
                cursor
            }
        });
        // It has to wait; one that does not is given the time to show it.
        let _ = done.recv_timeout(Duration::from_millis(100));
        disk.let_go();
        retention.join().unwrap().unwrap();
        match cursor.join().unwrap() {
            Ok(_held) => assert_eq!(wal.read(first).unwrap().data(), b"first"),
            Err(WalError::Truncated { .. }) => assert!(wal.read(first).is_err()),
            Err(error) => panic!("{error}"),
        }
    });
}

#[test]
fn cursors_that_are_gone_take_no_room_and_those_that_are_there_hold() {
    let wal = Wal::with_store_and_config(Disk::new(), quiet_heap()).unwrap();
    let lsns: Vec<Lsn> = (0..10u8).map(|i| wal.append_and_sync(&[i]).unwrap()).collect();
    let held = wal.hold(lsns[4]).unwrap();
    for _ in 0..10_000 {
        let _ = wal.hold(lsns[2]).unwrap();
    }
    let all = Retention::new().with_max_bytes(0);
    assert_eq!(wal.retain(&all).unwrap(), lsns[4]);
    held.advance(lsns[6]).unwrap();
    assert_eq!(wal.retain(&all).unwrap(), lsns[6]);
    held.advance(lsns[5]).unwrap();
    assert_eq!(held.lsn(), lsns[6]);
}
