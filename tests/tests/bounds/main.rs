//! What does not grow with the log: the bytes that opening reads, and the memory that reading takes.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test
#![allow(unsafe_code)] // an allocator that counts is an unsafe trait; it hands every call on

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use wal_db::{Lsn, Start, Wal};
use wal_tests::{
    disk::Disk,
    files::{FORMS, Form, Place},
    quiet, quiet_heap,
};

/// Counts the bytes that are allocated, and the most that ever were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The tests of this file share one count.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The most bytes that `run` had allocated at a time.
fn peak<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let result = run();
    (MOST.load(Relaxed).saturating_sub(before), result)
}

fn alone() -> impl Drop {
    ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn fill(wal: &Wal, records: usize, len: usize) {
    let data = vec![7; len];
    for _ in 0..records {
        wal.append(&data).unwrap();
    }
    wal.sync().unwrap();
}

/// Bytes that opening the log on the disk asks for.
fn cost_of_opening(disk: &Disk) -> u64 {
    let before = disk.bytes_asked();
    drop(Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap());
    disk.bytes_asked() - before
}

#[test]
fn opening_a_closed_log_does_not_read_it() {
    let _alone = alone();
    let cost = |records: usize| {
        let disk = Disk::new();
        let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
        fill(&wal, records, 1000);
        wal.close().unwrap();
        assert!(disk.row().len() >= records * 1000);
        cost_of_opening(&disk)
    };
    let (small, large) = (cost(100), cost(10_000));
    assert_eq!(small, large);
    assert!(small < 64 << 10, "{small}");
}

#[test]
fn opening_a_closed_log_on_disk_reads_nothing_of_the_stream() {
    let _alone = alone();
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        fill(&wal, 3000, 1000);
        wal.close().unwrap();
        let wal = place.open(quiet()).unwrap();
        assert!(wal.recovery().clean, "{form:?}");
        assert_eq!(wal.recovery().scanned_bytes, 0, "{form:?}");
        assert_eq!(wal.status().records, 3000);
    }
}

/// A process that was killed leaves a mark from which the log is scanned; it must keep up with the log.
#[test]
fn opening_after_a_crash_reads_a_bounded_tail() {
    let _alone = alone();
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        for _ in 0..48 {
            fill(&wal, 10, 100_000);
        }
        let len = wal.end().get();
        assert!(len > 40 << 20);
        let killed = place.killed();
        let wal = killed.open(quiet()).unwrap();
        assert_eq!(wal.iter().unwrap().count(), 480);
        let scanned = wal.recovery().scanned_bytes;
        assert!(
            scanned < len / 2,
            "{form:?}: {scanned} bytes of {len} were read, all of it durable long ago"
        );
    }
}

#[test]
fn reading_a_large_log_takes_little_memory() {
    let _alone = alone();
    const LIMIT: usize = 16 << 20;
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    fill(&wal, 64 * 16, 64 << 10);
    assert!(wal.end().get() > 64 << 20);
    let (bytes, count) = peak(|| wal.iter().unwrap().map(Result::unwrap).count());
    assert_eq!(count, 1024);
    assert!(bytes < LIMIT, "iter: {bytes}");
    let (bytes, count) = peak(|| {
        let mut records = wal.iter().unwrap();
        let mut count = 0;
        while let Some(record) = records.next_ref() {
            count += usize::from(record.unwrap().len() == 64 << 10);
        }
        count
    });
    assert_eq!(count, 1024);
    assert!(bytes < LIMIT, "next_ref: {bytes}");
    let (bytes, count) = peak(|| wal.iter_rev().unwrap().map(Result::unwrap).count());
    assert_eq!(count, 1024);
    assert!(bytes < LIMIT, "iter_rev: {bytes}");
    let (bytes, report) = peak(|| wal.verify().unwrap());
    assert_eq!((report.records, report.is_intact()), (1024, true));
    assert!(bytes < LIMIT, "verify: {bytes}");
    let (bytes, lsn) = peak(|| {
        wal.iter_from(Start::Ordinal(1000))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .lsn()
    });
    assert!(bytes < LIMIT && lsn > Lsn::ZERO, "iter_from_ordinal: {bytes}");
    wal.close().unwrap();
    let (bytes, wal) = peak(|| place.open(quiet()).unwrap());
    assert!(bytes < LIMIT, "open: {bytes}");
    drop(wal);
    let (bytes, count) = peak(|| {
        wal_db::recovery::salvage(place.path())
            .unwrap()
            .map(Result::unwrap)
            .count()
    });
    assert_eq!(count, 1024);
    assert!(bytes < LIMIT, "salvage: {bytes}");
}

/// Many records of one group are read a window at a time, whatever the size of the group.
#[test]
fn a_large_group_of_small_records_is_read_with_little_memory_backwards() {
    let _alone = alone();
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk, quiet_heap().with_staging_bytes(32 << 20)).unwrap();
    fill(&wal, 24 * 1024, 1000); // one flush
    let (bytes, count) = peak(|| wal.iter().unwrap().map(Result::unwrap).count());
    assert_eq!(count, 24 * 1024);
    assert!(bytes < 4 << 20, "iter: {bytes}");
    let (bytes, count) = peak(|| wal.iter_rev().unwrap().map(Result::unwrap).count());
    assert_eq!(count, 24 * 1024);
    // It holds the records of one group at a time, as it says; not much more than their bytes.
    assert!(bytes < 48 << 20, "iter_rev: {bytes}");
}

#[test]
fn decoding_what_is_borrowed_takes_no_memory() {
    #[derive(serde::Serialize, serde::Deserialize, wal_db::WalRecord)]
    #[wal(name = "note")]
    struct Note<'a> {
        id: u64,
        text: &'a str,
        #[serde(with = "serde_bytes_of")]
        #[wal(opaque = "bytes")]
        bytes: &'a [u8],
    }

    /// As the field is for serde: bytes, and not a sequence of numbers.
    mod serde_bytes_of {
        use serde::{Deserialize, Deserializer, Serializer};

        pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(bytes)
        }

        pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
            Deserialize::deserialize(deserializer)
        }
    }

    let _alone = alone();
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let text = "t".repeat(500);
    let mut lsns = Vec::new();
    for id in 0..100 {
        let note = Note {
            id,
            text: &text,
            bytes: text.as_bytes(),
        };
        lsns.push(wal.append_typed(&note).unwrap());
    }
    let mut records = wal.iter().unwrap();
    let mut seen = 0;
    while let Some(record) = records.next_ref() {
        let record = record.unwrap();
        let (bytes, note) = peak(|| record.decode_ref::<Note<'_>>());
        let note = note.unwrap();
        assert_eq!(
            (bytes, note.id, note.text, note.bytes),
            (0, seen, &*text, text.as_bytes())
        );
        let (bytes, lsn) = peak(|| wal.append_typed(&note));
        // A debug build reads it again.
        let is_free = bytes == 0 || cfg!(debug_assertions);
        assert!(lsn.is_ok() && is_free, "appending again took {bytes} bytes");
        seen += 1;
    }
    assert_eq!(seen, 100);

    #[derive(Debug, serde::Serialize, serde::Deserialize, wal_db::WalRecord)]
    #[wal(name = "counted")]
    struct Counted(u64);
    let log = wal.typed::<Counted>().unwrap().with_read_back(false);
    log.append(&Counted(0)).unwrap();
    let (bytes, lsn) = peak(|| log.append(&Counted(1)));
    assert!(lsn.is_ok() && bytes == 0, "appending took {bytes} bytes");
}
