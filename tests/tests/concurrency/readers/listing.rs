//! A directory is not listed in one moment: of the segments that a writer makes meanwhile a reader may see a later one and
//! not an earlier one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use wal_db::testing::{SimDisk, sim::Call};
use wal_tests::faults::{EMFILE, from_then_on};
use wal_tests::{all, files::SEGMENT, payload, put, quiet_heap};

/// Opens a log for reading. In its call number `at` the writer makes segments until it has opened so many files, and is
/// then in the middle of making more. Returns whether it came to that.
fn open_beside(at: u64, opened: u64) -> bool {
    let disk = SimDisk::new();
    let wal = disk.open_segmented("log", SEGMENT, quiet_heap()).unwrap();
    let written: Vec<_> = (0..3).map(|i| put(&wal, i, 1000)).collect();
    wal.sync().unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let beside = {
        let (disk, calls) = (disk.clone(), calls.clone());
        disk.clone().beside(move || {
            if calls.fetch_add(1, Ordering::SeqCst) != at {
                return;
            }
            disk.behave(|behaviour| behaviour.fault = from_then_on(Call::Open, opened, EMFILE));
            assert!(wal.append(&payload(9, 600_000)).is_err());
            disk.heal();
        })
    };
    let reader = beside.open_read_only("log", true, quiet_heap());
    let reader = reader.unwrap_or_else(|error| panic!("at call {at}, {opened} files opened: {error}"));
    assert_eq!(all(&reader), written);
    calls.load(Ordering::SeqCst) > at
}

#[test]
fn segments_that_are_made_while_the_directory_is_listed_are_no_damage() {
    for opened in 0..12 {
        let calls = (0..).take_while(|&at| open_beside(at, opened)).count();
        assert!(calls > 10, "{calls}");
    }
}
