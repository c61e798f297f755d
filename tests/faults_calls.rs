//! Calls of the file system that fail, on a simulated disk: named cases first, then every call of a run.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

use wal_db::testing::sim::{AfterFailedSync, Call, Fault, SimDisk};
use wal_tests::{all, files::FORMS, put, quiet, sim::place};

const EIO: i32 = 5;

#[test]
fn what_a_failed_flush_dropped_from_the_cache_is_no_damage_to_the_next_process() {
    for form in FORMS {
        // What of the group is left differs from round to round.
        for before in 0..16 {
            let disk = SimDisk::new();
            let wal = place::open(&disk, form, quiet()).unwrap();
            let acked: Vec<_> = (0..before).map(|i| put(&wal, i, 300)).collect();
            wal.sync().unwrap();
            put(&wal, before, 1200);
            disk.behave(|disk| {
                disk.after_failed_sync = AfterFailedSync::Reverted;
                disk.fault = Some(Fault {
                    call: Some(Call::Sync),
                    after: 0,
                    error: EIO,
                    forever: false,
                });
            });
            wal.sync().unwrap_err();
            let disk = disk.kill();
            drop(wal);
            let wal = place::open(&disk, form, quiet()).unwrap();
            assert_eq!(all(&wal)[..before], acked, "{form:?}");
        }
    }
}
