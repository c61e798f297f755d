//! The chain of groups is made of the checksums as they were read.

use wal_db::Wal;
use wal_tests::{all, disk::Disk, files::patch_group, put, quiet_heap};

#[test]
fn a_header_that_leaves_a_distance_unknown_is_continued() {
    for (unknown, distance) in [(40, u32::MAX), (44, u32::MAX), (44, 2)] {
        let disk = Disk::new();
        let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
        let mut entries = Vec::new();
        for i in 0..4 {
            entries.push(put(&wal, i, 100));
            wal.sync().unwrap();
        }
        let killed = disk.image();
        drop(wal);
        let log_id = killed.slot(0)[24..40].to_vec();
        killed.edit(|row| {
            let mut previous = [0; 4];
            for group in [512, 1024, 1536] {
                patch_group(&log_id, group as u64, &mut row[group..group + 64], |header| {
                    if group == 512 {
                        header[unknown..unknown + 4].copy_from_slice(&distance.to_le_bytes());
                    } else {
                        header[36..40].copy_from_slice(&previous);
                    }
                });
                previous.copy_from_slice(&row[group..group + 4]);
            }
        });
        let wal = Wal::with_store_and_config(killed.clone(), quiet_heap()).unwrap();
        assert_eq!(all(&wal), entries, "{unknown}, {distance}");
        for entry in &entries {
            assert_eq!(wal.read(entry.0).unwrap().data(), entry.1);
            let from = wal.iter_from(entry.0).unwrap().map(Result::unwrap).next();
            assert_eq!(from.unwrap().lsn(), entry.0);
        }
        entries.push(put(&wal, 9, 100));
        drop(wal);
        let wal = Wal::with_store_and_config(killed, quiet_heap()).unwrap();
        assert_eq!(all(&wal), entries, "{unknown}, {distance}, again");
        assert!(wal.verify().unwrap().is_intact());
    }
}
