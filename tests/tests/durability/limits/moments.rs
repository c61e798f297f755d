//! Opening a file fails for a moment, at every call that does.

use wal_db::{
    Retention, SegmentedStore, Wal, WalConfig, WalError, WalStore,
    testing::{
        SimDisk,
        sim::{Call, Fault},
    },
};
use wal_tests::faults::{EACCES, EIO, EMFILE, ENOSPC, EROFS, from_then_on, once};
use wal_tests::{
    all, assert_is,
    files::SOME_LOG,
    files::{FORMS, Form, SEGMENT},
    payload, put, quiet_heap,
    sim::log,
    within,
};

fn open(disk: &SimDisk, config: WalConfig) -> Wal {
    disk.open_segmented("log", SEGMENT, config).unwrap()
}

fn nothing_can_be_opened(disk: &SimDisk, error: i32) {
    disk.behave(|behaviour| behaviour.fault = from_then_on(Call::Open, 0, error));
}

/// Appends until one is refused; returns how many were taken, and the refusal.
fn append_until_refused(wal: &Wal, taken: &mut usize) -> WalError {
    for _ in 0..1000 {
        match wal.append(&payload(*taken, 5000)) {
            Ok(_) => *taken += 1,
            Err(error) => return error,
        }
    }
    panic!("nothing was refused");
}

#[test]
fn a_segment_that_cannot_be_made_for_a_moment_refuses_the_record_and_no_more() {
    for config in [quiet_heap(), WalConfig::new()] {
        for error in [EMFILE, EACCES, EROFS] {
            within("appending without descriptors", move || {
                let disk = SimDisk::new();
                let wal = open(&disk, config);
                let mut taken = 0;
                for round in 0..3 {
                    nothing_can_be_opened(&disk, error);
                    let refused = append_until_refused(&wal, &mut taken);
                    assert_is!(refused, WalError::Io { source, .. } if source.kind() == std::io::Error::from_raw_os_error(error).kind(), "{round}");
                    assert_eq!(wal.status().failure, None, "{round}");
                    disk.heal();
                    put(&wal, taken, 5000);
                    taken += 1;
                    wal.sync().unwrap();
                }
                wal.close().unwrap();
                let entries = all(&open(&disk, config));
                assert_eq!(entries.len(), taken);
                for (i, wal_tests::Entry(_, data)) in entries.into_iter().enumerate() {
                    assert!(data == payload(i, 5000), "record {i}");
                }
            });
        }
    }
}

#[test]
fn a_group_whose_segment_cannot_be_opened_waits_and_is_there_once() {
    // The prepared segments are closed again, because others are read.
    let disk = SimDisk::new();
    let wal = open(&disk, quiet_heap());
    let first = put(&wal, 0, 100).0;
    for i in 1..1200 {
        put(&wal, i, 3000);
    }
    wal.sync().unwrap();
    drop(wal);
    let wal = open(&disk, quiet_heap());
    put(&wal, 1200, 100);
    // So many segments are read, none of them at the end, that those to be written are not open any more.
    for record in wal.iter_from(first).unwrap().take(1100) {
        record.unwrap();
    }
    nothing_can_be_opened(&disk, EMFILE);
    let refused = wal.append_and_sync(&payload(1201, 100)).unwrap_err();
    let WalError::NotDurable {
        lsn: Some(lsn),
        cause,
        kind,
        ..
    } = &refused
    else {
        panic!("{refused:?}");
    };
    assert!(!cause.contains("space"), "{cause}");
    let (lsn, missing) = (*lsn, std::io::Error::from_raw_os_error(EMFILE).kind());
    assert_eq!(*kind, missing, "a program can tell it from a full disk");
    assert_eq!(std::io::Error::from(refused).kind(), missing);
    assert_eq!(wal.status().failure, None);
    disk.heal();
    wal.sync().unwrap();
    assert!(wal.read(lsn).unwrap().data() == payload(1201, 100));
    wal.close().unwrap();
    assert_eq!(all(&open(&disk, quiet_heap())).len(), 1202);
}

/// What a program does with a log in its life, in two openings. Returns what was acknowledged as durable.
fn live(disk: &SimDisk, form: Form, config: WalConfig) -> Vec<Vec<u8>> {
    let mut durable: Vec<Vec<u8>> = Vec::new();
    let open = || log::open(disk, form, config);
    for life in 0..2 {
        let Ok(wal) = open().or_else(|_| open()) else {
            panic!("it fails once only")
        };
        for i in 0..40 {
            let content = payload(life * 1000 + i, 6000);
            match wal.append_and_sync(&content) {
                Err(WalError::NotDurable { .. }) => wal.sync(),
                Err(WalError::Io { .. }) => wal.append_and_sync(&content).map(drop),
                other => other.map(drop),
            }
            .unwrap();
            durable.push(content);
            if i % 8 == 0 {
                let kept = wal.last_lsn().unwrap().unwrap();
                let doomed = wal.append(b"to be cut").unwrap();
                assert!(doomed > kept);
                while wal.truncate_after(kept).is_err() {
                    assert_eq!(wal.status().failure, None);
                }
            }
        }
        let _ = wal.retain(&Retention::new().with_max_bytes(1 << 30));
        let _ = wal.verify();
        assert_eq!(wal.status().failure, None);
        wal.close().unwrap();
    }
    durable
}

#[test]
fn no_call_that_opens_a_file_is_one_that_must_not_fail() {
    for form in FORMS {
        // So few that some cuts go to the table.
        let config = quiet_heap().with_timeline_entries(4);
        let disk = SimDisk::new();
        live(&disk, form, config);
        let calls = disk.calls(Some(Call::Open));
        assert!(calls > 5, "{calls}");
        for after in 0..calls {
            let disk = SimDisk::new();
            disk.behave(|behaviour| behaviour.fault = once(Call::Open, after, EMFILE));
            let durable = live(&disk, form, config);
            let wal = log::open(&disk, form, config).unwrap();
            let there: Vec<Vec<u8>> = all(&wal).into_iter().map(|entry| entry.1).collect();
            assert!(there == durable, "call {after} of {calls}, {form:?}");
        }
    }
}

/// A store of 40 segments that were made ready and not written.
fn store_of_many_segments(disk: &SimDisk) -> SegmentedStore {
    let store = disk.segmented_store("log", SEGMENT).unwrap();
    store.attach(&SOME_LOG).unwrap();
    assert!(store.prepare(40 * SEGMENT).unwrap() >= 40 * SEGMENT);
    store
}

#[test]
fn a_failed_flush_of_a_write_is_heard_by_the_next_sync() {
    let disk = SimDisk::new();
    let store = store_of_many_segments(&disk);
    disk.behave(|behaviour| behaviour.fault = once(Call::Sync, 0, EIO));
    let failed = (0..40).find(|segment| store.write_at(segment * SEGMENT, &[1; 100]).is_err());
    assert!(failed.is_some(), "40 segments wait for their flush");
    assert_eq!(disk.heal(), 1);
    assert!(store.sync().is_err(), "what the failed one lost is not durable");
}

#[test]
fn few_files_wait_for_their_flush_and_every_one_is_flushed() {
    let disk = SimDisk::new();
    let store = store_of_many_segments(&disk);
    let mut flushed = disk.calls(Some(Call::Sync));
    let mut waiting = 0;
    for segment in 0..40 {
        store
            .write_at(segment * SEGMENT, &[segment as u8 + 1; 100])
            .unwrap();
        waiting += 1;
        let now = disk.calls(Some(Call::Sync));
        waiting -= now - flushed;
        flushed = now;
        assert!(waiting <= 16, "{waiting} after segment {segment}");
    }
    store.sync().unwrap();
    assert_eq!(disk.calls(Some(Call::Sync)) - flushed, waiting);
}

#[test]
fn an_append_waits_for_few_segments_and_a_close_removes_few() {
    let disk = SimDisk::new();
    let wal = open(&disk, quiet_heap().with_staging_bytes(64 << 10));
    for i in 0..1500 {
        let made = disk.calls(Some(Call::Rename));
        wal.append(&payload(i, 6000)).unwrap();
        let made = disk.calls(Some(Call::Rename)) - made;
        assert!(made <= 5, "an append has made {made} segments");
    }
    let removed = disk.calls(Some(Call::Remove));
    wal.close().unwrap();
    let removed = disk.calls(Some(Call::Remove)) - removed;
    assert!((1..=9).contains(&removed), "{removed}");
}

#[test]
fn closing_is_done_when_all_is_durable_whatever_cannot_be_removed() {
    let disk = SimDisk::new();
    let wal = open(&disk, quiet_heap());
    for i in 0..200 {
        put(&wal, i, 6000);
    }
    disk.behave(|behaviour| behaviour.fault = from_then_on(Call::Remove, 0, EACCES));
    wal.close().unwrap();
    assert!(disk.heal() > 0, "nothing was to be removed");
    let wal = open(&disk, quiet_heap());
    assert!(wal.recovery().clean);
    assert_eq!(all(&wal).len(), 200);
}

/// Closing gives space back after all is durable, and flushes that, too.
#[test]
fn whatever_flush_fails_while_a_log_is_closed_is_heard_on_a_full_disk_as_well() {
    let lives = |form, failing: Option<(Call, u64)>| {
        let disk = SimDisk::new();
        let wal = log::open(&disk, form, quiet_heap()).unwrap();
        for i in 0..200 {
            put(&wal, i, 6000);
        }
        wal.sync().unwrap();
        let flushes = [Call::Sync, Call::SyncDir].map(|call| (call, disk.calls(Some(call))));
        disk.behave(|behaviour| {
            behaviour.fault = failing.map(|(call, after)| Fault {
                call: Some(call),
                after,
                error: ENOSPC,
                forever: false,
            });
        });
        let closed = wal.close();
        let failed = disk.heal();
        let flushes = flushes.map(|(call, before)| (call, disk.calls(Some(call)) - before));
        let wal = log::open(&disk, form, quiet_heap()).unwrap();
        assert_eq!(all(&wal).len(), 200, "{form:?}, {failing:?}");
        (closed, failed, flushes)
    };
    for form in FORMS {
        let (closed, _, flushes) = lives(form, None);
        closed.unwrap();
        for (call, count) in flushes {
            for after in 0..count {
                let (closed, failed, _) = lives(form, Some((call, after)));
                assert_eq!(
                    closed.is_err(),
                    failed > 0,
                    "{form:?}, {call:?} {after}: {closed:?}"
                );
            }
        }
    }
}
