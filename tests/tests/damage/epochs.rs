//! Groups and records that are whole and stand where others belong: only their epoch or their chain tells.

use wal_db::{RecoveryPolicy, Wal, WalError, recovery::CorruptionReason};
use wal_tests::{
    all, assert_is, corruption,
    disk::{Disk, open},
    put, quiet_heap, until_error,
};

/// The group of a writer that was replaced lies exactly over one of the writer that replaced it: only its epoch tells.
#[test]
fn a_group_of_a_replaced_writer_is_not_read_in_place_of_another() {
    let disk = Disk::new();
    let old = open(&disk, quiet_heap());
    let first = put(&old, 1, 100);
    old.sync().unwrap();
    let new = open(&disk, quiet_heap());
    let second = put(&new, 2, 100);
    new.sync().unwrap();
    assert_eq!(put(&old, 3, 100).0, second.0);
    old.sync().unwrap();
    let image = disk.image();
    let before = image.row();
    let opened = Wal::with_store_and_config(image.clone(), quiet_heap());
    let found = opened.as_ref().map(all);
    assert_is!(found, Err(WalError::Corruption(_)), "{first:?}");
    assert_eq!(image.row(), before);
}

/// The same far from the end, where opening does not look: the next group would tell, one wrong record too late.
#[test]
fn a_group_of_an_older_epoch_in_a_closed_log_is_not_read() {
    let disk = Disk::new();
    let (old, new) = (open(&disk, quiet_heap()), open(&disk, quiet_heap()));
    put(&old, 1, 100);
    old.sync().unwrap();
    let stale = disk.row();
    for seed in 2..4 {
        put(&new, seed, 100);
        new.sync().unwrap();
    }
    new.close().unwrap();
    disk.edit(|row| row[..512].copy_from_slice(&stale[..512]));
    let (read, error) = until_error(&open(&disk, quiet_heap()));
    assert!(
        read.is_empty() && matches!(error, Some(WalError::Corruption(_))),
        "{read:?}, {error:?}"
    );
}

/// Of two copies that went on each by itself, a group of one after a group of the other.
#[test]
fn a_group_that_does_not_continue_the_one_before_it_refuses_the_log() {
    let disk = Disk::new();
    drop(open(&disk, quiet_heap()));
    // Both begin the same epoch.
    let copy = disk.image();
    let wal = open(&disk, quiet_heap());
    let grow = |wal: &Wal, disk: &Disk, seed: usize| {
        for i in 0..2 {
            put(wal, seed + i, 100);
            wal.sync().unwrap();
        }
        disk.row()
    };
    let other = grow(&open(&copy, quiet_heap()), &copy, 10);
    grow(&wal, &disk, 0);
    let image = disk.image();
    image.edit(|row| row[512..1024].copy_from_slice(&other[512..1024]));
    let damage = corruption(Wal::with_store_and_config(image, quiet_heap()));
    assert_eq!((damage.start, damage.reason), (512, CorruptionReason::Chain));
}

/// A sector of an older epoch, that a lost write has left, holds a whole record at the right place. It is not one.
#[test]
fn a_record_of_an_older_epoch_inside_a_group_is_not_read() {
    let disk = Disk::new();
    let config = quiet_heap().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
    let (old, new) = (open(&disk, config), open(&disk, config));
    let write = |wal: &Wal, seed| {
        // The second record and its frame take the second sector.
        let entries = [440, 504, 504].map(|len| put(wal, seed + len, len));
        wal.sync().unwrap();
        entries
    };
    write(&old, 0);
    let before = disk.row();
    let entries = write(&new, 1);
    new.close().unwrap();
    disk.edit(|row| row[512..1024].copy_from_slice(&before[512..1024]));
    let wal = open(&disk, config);
    let items: Vec<_> = wal.iter().unwrap().collect();
    let records = items.iter().flatten().map(|record| record.data());
    assert!(records.eq([&entries[0].1, &entries[2].1]), "{items:?}");
    assert!(items.iter().any(Result::is_err));
}
