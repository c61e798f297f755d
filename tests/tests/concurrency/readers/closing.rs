//! A log that is closed removes the segments that it had made ready and did not need. A reader may meanwhile have seen
//! them, and finds none of them missing.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use wal_db::{
    Lsn, Staging, Wal, WalConfig, WalStore,
    read::Follow,
    recovery::SalvageItem,
    store::Identity,
    testing::{SimDisk, sim::Call},
};
use wal_tests::faults::{EIO, from_then_on};
use wal_tests::{Entry, all, files::SEGMENT, put};

/// Two of these fill a block of the ring, and eight a segment.
const LEN: usize = 8152;

/// A log that ends with a segment, and has made more of them ready.
fn written(disk: &SimDisk, staging: Staging) -> (Wal, Vec<Entry>) {
    let config = WalConfig::new()
        .with_background_flush(false)
        .with_staging(staging)
        .with_staging_bytes(64 << 10);
    let wal = disk.open_segmented("log", SEGMENT, config).unwrap();
    let mut entries = Vec::new();
    for used in 1.. {
        entries.extend((0..8).map(|seed| put(&wal, 8 * used + seed, LEN)));
        wal.sync().unwrap();
        if disk.inspect("log").unwrap().segments.len() >= used + 3 {
            break;
        }
        assert!(used < 40);
    }
    (wal, entries)
}

/// Closes the log, but for what it does last: the segments that it did not need are still there.
fn close_in_part(disk: &SimDisk, wal: Wal) {
    disk.behave(|behaviour| behaviour.fault = from_then_on(Call::Remove, 0, EIO));
    // Whatever it says, what it has not done stays undone.
    let _ = wal.close();
    assert!(disk.heal() > 0, "nothing goes");
}

/// Removes them.
fn close_the_rest(disk: &SimDisk, end: u64) {
    let id = disk.inspect("log").unwrap().log_id.unwrap();
    let byte = |at: usize| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap();
    let store = disk.segmented_store("log", SEGMENT).unwrap();
    store
        .attach(&Identity {
            log_id: std::array::from_fn(byte),
            head: 0,
            newest_segment: 0,
            read_only: false,
            in_use: false,
        })
        .unwrap();
    store.truncate(end).unwrap();
}

type Look = fn(&SimDisk, &[Entry], &str);

const LOOKS: [Look; 3] = [
    |disk, entries, what| {
        let config = WalConfig::new().with_background_flush(false);
        let wal = disk
            .open_read_only("log", true, config)
            .unwrap_or_else(|error| panic!("{what}: opening: {error:?}"));
        assert_eq!(all(&wal), entries, "{what}");
        let mut tail = wal.tail(wal.status().head).unwrap().follow(Follow::Written);
        for entry in entries {
            let record = tail
                .try_next()
                .unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(record.unwrap().lsn(), entry.0, "{what}");
        }
        let end = tail
            .try_next()
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(end.is_none(), "{what}");
        assert!(wal.verify().unwrap().is_intact(), "{what}");
    },
    |disk, _, what| {
        let inspection = disk
            .inspect("log")
            .unwrap_or_else(|error| panic!("{what}: inspecting: {error:?}"));
        assert_eq!((inspection.damage, inspection.files.len()), (None, 0), "{what}");
    },
    |disk, entries, what| {
        let items = disk
            .salvage("log")
            .unwrap_or_else(|error| panic!("{what}: salvage: {error:?}"));
        let items = items.map(|item| match item {
            Ok(SalvageItem::Record(record)) => Entry(record.lsn(), record.into_data()),
            other => panic!("{what}: {other:?}"),
        });
        assert_eq!(items.collect::<Vec<_>>(), entries, "{what}");
    },
];

/// Looks in every way, with something done before each of the calls.
fn looks(
    staging: Staging,
    prepare: fn(&SimDisk, Wal) -> Option<Wal>,
    meanwhile: fn(&SimDisk, Option<Wal>, Lsn),
) {
    for (number, look) in LOOKS.into_iter().enumerate() {
        for at in 0.. {
            let disk = SimDisk::new();
            let (wal, entries) = written(&disk, staging);
            let end = wal.end();
            let writer = Arc::new(Mutex::new(prepare(&disk, wal)));
            let calls = Arc::new(AtomicU64::new(0));
            let beside = disk.beside({
                let (disk, writer, calls) = (disk.clone(), writer.clone(), calls.clone());
                move || {
                    if calls.fetch_add(1, Ordering::Relaxed) == at {
                        meanwhile(&disk, writer.lock().unwrap().take(), end);
                    }
                }
            });
            look(
                &beside,
                &entries,
                &format!("look {number}, {staging:?}, before call {at}"),
            );
            if calls.load(Ordering::Relaxed) <= at {
                break;
            }
        }
    }
}

#[test]
fn a_log_that_is_closed_while_it_is_read_has_lost_nothing() {
    for staging in [Staging::Mapped, Staging::Heap] {
        looks(
            staging,
            |_, wal| Some(wal),
            |_, wal, _| wal.unwrap().close().unwrap(),
        );
    }
}

#[test]
fn segments_that_go_when_a_log_is_closed_are_not_missed() {
    let in_part = |disk: &SimDisk, wal| {
        close_in_part(disk, wal);
        None
    };
    // In the segment at the end is the seal.
    looks(Staging::Mapped, in_part, |disk, _, end| {
        close_the_rest(disk, end.get() + 1024)
    });
}
