//! What a cut says when a call fails: Ok once it is durable, in doubt if nobody knows, and never "nothing was removed"
//! about something that was.

use wal_db::{
    WalError,
    testing::sim::{Call, SimDisk},
};
use wal_tests::faults::{EACCES, from_then_on};
use wal_tests::{
    all, assert_is,
    disk::{Disk, EIO, Fault as Failing, Op, is_in_doubt, is_poisoned, open},
    put, quiet, quiet_heap,
};

#[test]
fn a_cut_whose_manifest_could_not_be_written_is_in_doubt() {
    for before in [false, true] {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        let entries: Vec<_> = (0..3).map(|i| put(&wal, i, 100)).collect();
        wal.sync().unwrap();
        disk.set(Op::WriteSlot, Failing::Fail(EIO));
        let result = match before {
            false => wal.truncate_after(entries[0].0),
            true => wal.truncate_before(entries[2].0).map(drop),
        };
        assert!(is_in_doubt(&result), "{result:?}");
        assert!(is_poisoned(&wal.append(b"x")));
        let again = match before {
            false => wal.truncate_after(entries[0].0),
            true => wal.truncate_before(entries[2].0).map(drop),
        };
        assert!(is_poisoned(&again), "{again:?}");
    }
}

#[test]
fn a_cut_is_done_when_one_copy_of_the_manifest_says_so() {
    for before in [false, true] {
        let disk = Disk::new();
        let wal = open(&disk, quiet_heap());
        let entries: Vec<_> = (0..3).map(|i| put(&wal, i, 100)).collect();
        wal.sync().unwrap();
        disk.set_after(Op::WriteSlot, 1, Failing::Fail(EIO));
        let left = match before {
            false => {
                wal.truncate_after(entries[0].0).unwrap();
                &entries[..1]
            }
            true => {
                assert_eq!(wal.truncate_before(entries[2].0).unwrap(), entries[2].0);
                &entries[2..]
            }
        };
        assert_eq!(all(&wal), left, "the handle shows what is there");
        assert!(is_poisoned(&wal.append(b"x")), "the failure sticks");
        let image = disk.image();
        drop(wal);
        assert_eq!(all(&open(&image, quiet_heap())), left);
    }
}

#[test]
fn a_segment_that_cannot_be_removed_takes_nothing_back() {
    let disk = SimDisk::new();
    let wal = disk.open_segmented("log", 64 << 10, quiet()).unwrap();
    let entries: Vec<_> = (0..40).map(|i| put(&wal, i, 8000)).collect();
    wal.sync().unwrap();
    disk.behave(|disk| disk.fault = from_then_on(Call::Remove, 0, EACCES));
    assert_eq!(wal.truncate_before(entries[30].0).unwrap(), entries[30].0);
    assert_eq!(all(&wal), entries[30..]);
    put(&wal, 7, 100);
    disk.heal();
    assert_eq!(wal.truncate_before(entries[31].0).unwrap(), entries[31].0);
    wal.sync().unwrap();
    drop(wal);
    let wal = disk.open_segmented("log", 64 << 10, quiet()).unwrap();
    assert_eq!(wal.status().records, 10);
}

#[test]
fn a_cut_of_a_closed_log_is_refused() {
    let disk = Disk::new();
    let wal = open(&disk, quiet_heap());
    let entries: Vec<_> = (0..3).map(|i| put(&wal, i, 100)).collect();
    wal.clone().close().unwrap();
    let results = [
        wal.truncate_after(entries[0].0),
        wal.truncate_before(entries[2].0).map(drop),
        wal.retain(&wal_db::Retention::new().with_max_bytes(0)).map(drop),
    ];
    for result in results {
        assert_is!(result, Err(WalError::Closed));
    }
    drop(wal);
    assert_eq!(all(&open(&disk, quiet_heap())), entries);
}
