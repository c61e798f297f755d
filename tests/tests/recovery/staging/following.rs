//! Records in staging memory that follow what a process has written and not flushed.

use wal_db::testing::sim::{Image, Medium, SimDisk};
use wal_tests::{all, put, quiet};

/// What the dead process handed over may never arrive: a flush that failed can have marked it clean. Whatever comes after
/// it, an opening shows nothing that would not survive the power from then on.
#[test]
fn what_was_not_flushed_is_written_again_before_the_staged_records_that_follow_it() {
    for staged in [0, 2] {
        let disk = SimDisk::new();
        let wal = disk.open("log", quiet()).unwrap();
        let mut entries = vec![put(&wal, 0, 700)];
        wal.sync().unwrap();
        for i in 1..4 {
            entries.push(put(&wal, i, 700));
            wal.drain().unwrap();
        }
        for i in 4..4 + staged {
            entries.push(put(&wal, i, 700));
        }
        let mut medium = Medium::of(Image::default());
        disk.journal().iter().for_each(|step| medium.apply(step));
        let flushed = medium.after(&medium.nothing());
        let next = disk.kill();
        drop(wal);

        let wal = next.open("log", quiet()).unwrap();
        assert_eq!(wal.recovery().staged_records, staged as u64);
        assert_eq!(all(&wal), entries);
        let mut medium = Medium::of(flushed);
        next.journal().iter().for_each(|step| medium.apply(step));
        let after = SimDisk::of(medium.after(&medium.nothing()));
        let _dead = next.kill();
        let wal = after.open("log", quiet()).unwrap();
        assert_eq!(all(&wal), entries, "{staged} staged records");
    }
}
