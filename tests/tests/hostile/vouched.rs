//! Records that were damaged in memory before their group was written, so that its checksum fits.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wal_db::{Lsn, RecoveryPolicy, Wal, WalError};
use wal_tests::{Entry, disk::Disk, files::patch_group, put, quiet_heap};

/// What is on the disk, changed. The checksums of the first group, which has so many bytes of frames, are made to fit, as if
/// that had been damaged in memory before it was written.
fn as_if_written(disk: &Disk, frames_len: usize, change: impl FnOnce(&mut [u8])) -> Disk {
    let disk = disk.image();
    let log_id = disk.slot(0)[24..40].to_vec();
    disk.edit(|row| {
        change(row);
        let digest = crc32fast::hash(&row[64..64 + frames_len]);
        patch_group(&log_id, 0, &mut row[..64], |header| {
            header[48..52].copy_from_slice(&digest.to_le_bytes());
        });
    });
    disk
}

/// Three records of one group, of which some were damaged so.
fn damaged_before_it_was_written(changed: &[usize]) -> (Disk, Vec<Entry>) {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    let mut entries: Vec<_> = (0..3).map(|i| put(&wal, i, 100)).collect();
    wal.sync().unwrap();
    let disk = as_if_written(&disk, 3 * 112, |row| {
        for &i in changed {
            entries[i].1[50] ^= 1;
            row[64 + 112 * i + 8 + 50] ^= 1;
        }
    });
    (disk, entries)
}

/// The records that are there in every way to read, and how many are damaged.
fn read_on(wal: &Wal, what: &str) -> (Vec<Entry>, usize) {
    let entry = |record: wal_db::Record| Entry(record.lsn(), record.into_data());
    let (found, errors): (Vec<_>, Vec<_>) = wal.iter().unwrap().partition(Result::is_ok);
    let found: Vec<_> = found.into_iter().flatten().map(entry).collect();
    let mut back: Vec<_> = wal.iter_rev().unwrap().flatten().map(entry).collect();
    back.reverse();
    assert_eq!(back, found, "{what}, from the end");
    for found in &found {
        assert_eq!(entry(wal.read(found.0).unwrap()), *found, "{what}, alone");
        let from = wal.iter_from(found.0).unwrap().next().unwrap();
        assert_eq!(entry(from.unwrap()), *found, "{what}, from there");
    }
    (found, errors.len())
}

#[test]
fn a_record_that_only_its_group_vouches_for_is_read_alike_before_and_after_a_cut() {
    let config = quiet_heap().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
    for bad in 0..3 {
        for last in 0..3 {
            let what = format!("record {bad} is changed, cut after the one at {last} of what is read");
            let (disk, entries) = damaged_before_it_was_written(&[bad]);
            let wal = Wal::with_store_and_config(disk.clone(), config).unwrap();
            assert!(!wal.verify().unwrap().is_intact(), "{what}");
            let (mut found, errors) = read_on(&wal, &what);
            // The first frame of a group is checked by itself.
            assert_eq!(found, entries[usize::from(bad == 0)..], "{what}");
            assert_eq!(errors, usize::from(bad == 0), "{what}");
            if last >= found.len() {
                continue;
            }
            wal.truncate_after(found[last].0).unwrap();
            found.truncate(last + 1);
            assert_eq!(read_on(&wal, &what), (found.clone(), errors), "{what}, cut");
            found.push(put(&wal, 9, 100));
            wal.sync().unwrap();
            drop(wal);
            let wal = Wal::with_store_and_config(disk, config).unwrap();
            assert_eq!(read_on(&wal, &what), (found, errors), "{what}, opened again");
        }
    }
}

/// The length of a record was damaged before its group was written: it reaches over two others.
#[test]
fn a_log_is_not_cut_at_a_record_that_no_walk_comes_to() {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    let entries: Vec<_> = (0..5).map(|i| put(&wal, i, 100)).collect();
    wal.sync().unwrap();
    let disk = as_if_written(&disk, 5 * 112, |row| {
        let word = &mut row[64 + 112 + 4..64 + 112 + 8];
        let longer = u32::from_le_bytes(word.try_into().unwrap()) + 2 * 112;
        word.copy_from_slice(&longer.to_le_bytes());
    });
    let wal = Wal::with_store_and_config(disk, quiet_heap()).unwrap();
    let lsns = || -> Vec<Lsn> { wal.iter().unwrap().map(|record| record.unwrap().lsn()).collect() };
    let before = lsns();
    assert_eq!(before, [entries[0].0, entries[1].0, entries[4].0]);
    assert!(wal.read(entries[2].0).is_ok());
    for refused in [wal.truncate_after(entries[2].0), wal.truncate_from(entries[2].0)] {
        assert!(
            matches!(refused, Err(WalError::NoSuchRecord { .. })),
            "{refused:?}"
        );
        assert_eq!(lsns(), before);
    }
}

/// A void comes before it, so it is not the first frame.
#[test]
fn a_record_that_is_alone_in_its_group_is_checked_by_itself() {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    let panics = catch_unwind(AssertUnwindSafe(|| {
        wal.append_in_place(8, |_| panic!("given up"))
    }));
    assert!(panics.is_err());
    put(&wal, 0, 100);
    wal.sync().unwrap();
    let disk = as_if_written(&disk, 16 + 112, |row| row[64 + 16 + 8 + 50] ^= 1);
    let wal = Wal::with_store_and_config(disk, quiet_heap()).unwrap();
    let read = wal.iter().unwrap().next();
    assert!(matches!(read, Some(Err(WalError::Corruption(_)))), "{read:?}");
}

#[test]
fn a_group_whose_first_record_is_damaged_vouches_for_no_other() {
    let config = quiet_heap().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
    for (changed, left, errors) in [(&[0, 1][..], 2..3, 1), (&[0, 2], 1..2, 2), (&[0, 1, 2], 0..0, 1)] {
        let (disk, entries) = damaged_before_it_was_written(changed);
        let wal = Wal::with_store_and_config(disk, config).unwrap();
        let found = read_on(&wal, &format!("{changed:?}"));
        // Damage is left as a whole.
        assert_eq!(found, (entries[left].to_vec(), errors), "{changed:?}");
    }
}
