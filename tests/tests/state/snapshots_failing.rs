//! A snapshot that cannot be written or read: the log and the state know nothing of it, and no file is left.

use wal_db::{
    Result, WalConfig, WalError,
    state::{Store, StoreConfig, snapshots},
    testing::sim::{Call, SimDisk},
};
use wal_tests::faults::{BESIDE_A_LOG, EACCES, EIO, ENOSPC, from_then_on, once};

use super::{History, Noted, noted, snapshots::by_hand};

fn open(disk: &SimDisk, config: StoreConfig<History>) -> Result<Store<History>> {
    let quiet = WalConfig::new()
        .with_staging_bytes(64 << 10)
        .with_background_flush(false);
    disk.open_segmented("log", 64 << 10, quiet)?
        .typed::<Noted>()?
        .with_read_back(false)
        .store(config)
}

fn filled(disk: &SimDisk) -> Store<History> {
    let store = open(disk, by_hand()).unwrap();
    for number in 0..10 {
        store.commit(noted(number)).unwrap();
        if number == 4 {
            store.snapshot().unwrap();
        }
    }
    store
}

/// The log takes decisions, and what is opened is the fold of it.
fn assert_well(disk: &SimDisk, store: Store<History>, what: &str) {
    store.commit(noted(10)).unwrap();
    assert_eq!(store.check().unwrap(), 11, "{what}");
    let (kept, passed_over) = snapshots(store.log().wal()).unwrap();
    assert!(passed_over.is_empty(), "{what}: {passed_over:?}");
    assert!((1..=2).contains(&kept.len()), "{what}");
    drop(store);
    let store = open(disk, by_hand()).unwrap();
    assert!(store.recovery().events <= 6, "{what}");
    store.snapshot().unwrap();
    assert_eq!(store.check().unwrap(), 11, "{what}");
    let left = disk.seen();
    let new = left.file("log/state/history.00000000000000000000.snap.new");
    assert!(new.is_none(), "{what}");
}

#[test]
fn any_call_may_fail_while_a_snapshot_is_made() {
    let mut failed = 0;
    for call in BESIDE_A_LOG {
        for after in 0.. {
            let disk = SimDisk::new();
            let store = filled(&disk);
            let files = |store: &Store<History>| snapshots(store.log().wal()).unwrap().0;
            let before = files(&store);
            disk.behave(|behaviour| behaviour.fault = once(call, after, EIO));
            let made = store.snapshot();
            if disk.heal() == 0 {
                made.unwrap();
                break;
            }
            let what = format!("{call:?} after {after}: {made:?}");
            let is_said = match &made {
                // Removing what is needless is tried again with the next one.
                Ok(made) => made.is_some(),
                Err(WalError::Io { path, .. }) => path.is_some(),
                Err(error) => panic!("{what}: {error}"),
            };
            assert!(is_said, "{what}");
            assert!(made.is_ok() || files(&store) == before, "{what}");
            failed += 1;
            assert_well(&disk, store, &what);
        }
    }
    assert!(failed >= 8, "{failed}");
}

#[test]
fn a_full_disk_takes_no_snapshot_and_goes_on_with_events() {
    let disk = SimDisk::new();
    let store = filled(&disk);
    let used = disk.used();
    disk.behave(|behaviour| behaviour.space = Some(used + 10));
    let error = store.snapshot().unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.contains("history.") && text.contains("writing a snapshot"),
        "{text}"
    );
    assert_eq!(disk.used(), used, "what was begun is gone");
    disk.heal();
    assert_well(&disk, store, "full");
}

#[test]
fn what_fails_in_the_background_is_told_and_tried_again() {
    let disk = SimDisk::new();
    for error in [EACCES, ENOSPC] {
        let store = open(&disk, by_hand().with_snapshot_every(1)).unwrap();
        disk.behave(|behaviour| behaviour.fault = from_then_on(Call::CreateDir, 0, error));
        while store.snapshot_status().unwrap().failure.is_none() {
            store.commit(noted(1)).unwrap();
        }
        let failure = store.snapshot_status().unwrap().failure.unwrap();
        assert!(failure.contains("writing a snapshot"), "{failure}");
        disk.heal();
        while store.snapshot_status().unwrap().failure.is_some() {
            store.commit(noted(2)).unwrap();
        }
        let newest = store.snapshot_status().unwrap().newest.unwrap();
        assert!(store.peek(|history| history.all.len() as u64).unwrap() >= newest.events);
    }
}
