//! Stores that a program brings along: the log is forgiving where it can be, and the check finds what it cannot forgive.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use wal_db::{
    FileStore, Lsn, MemStore, SegmentedStore, Wal, WalError, WalStore,
    testing::{SimDisk, check_store},
};
use wal_tests::{
    all, assert_is,
    files::SEGMENT,
    put, quiet_heap,
    scripted::{Op, Scripted},
    within,
};

/// How a store is not what the trait says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Odd {
    No,
    /// Reads a few bytes at a time, as `pread` may.
    ShortReads,
    ReadsMoreThanAsked,
    PreparesLess,
    PreparesMore,
    ForgetsSlots,
    KeepsWhatWasCut,
    NotExclusive,
    AttachesOnce,
    RefusesToReadAtTheEnd,
}

fn store(bytes: &MemStore, odd: Odd) -> Scripted<MemStore> {
    let attached = AtomicBool::new(false);
    Scripted::new(bytes.clone(), move |bytes, call| match (odd, call.op) {
        (Odd::ShortReads, Op::Read) => {
            let len = call.len.min(1 + (call.at as usize % 300));
            Ok(Some(bytes.read_at(call.at, &mut call.buf[..len])? as u64))
        }
        (Odd::ReadsMoreThanAsked, Op::Read) => Ok(Some(bytes.read_at(call.at, call.buf)? as u64 + 1)),
        (Odd::RefusesToReadAtTheEnd, Op::Read) if call.at >= bytes.len()? => {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
        (Odd::PreparesLess, Op::Prepare) => Ok(Some(call.at / 2)),
        (Odd::PreparesMore, Op::Prepare) => Ok(Some(u64::MAX - 1)),
        (_, Op::Prepare) => Ok(Some(call.at)),
        (Odd::AttachesOnce, Op::Attach) if attached.swap(true, Ordering::Relaxed) => {
            Err(io::ErrorKind::InvalidInput.into())
        }
        (Odd::ForgetsSlots, Op::ReadSlot)
        | (Odd::KeepsWhatWasCut, Op::Truncate)
        | (Odd::NotExclusive, Op::Lock) => Ok(Some(0)),
        _ => Ok(None),
    })
}

fn open(bytes: &MemStore, odd: Odd) -> wal_db::Result<Wal> {
    Wal::with_store_and_config(store(bytes, odd), quiet_heap())
}

#[test]
fn a_store_that_reads_short_loses_nothing() {
    let bytes = MemStore::new();
    let wal = open(&bytes, Odd::ShortReads).unwrap();
    let entries: Vec<_> = (0..100).map(|seed| put(&wal, seed, 50 * seed)).collect();
    wal.sync().unwrap();
    assert_eq!(all(&wal), entries);
    drop(wal);
    let wal = open(&bytes, Odd::ShortReads).unwrap();
    assert_eq!(all(&wal), entries);
    assert!(wal.verify().unwrap().is_intact());
    for entry in &entries {
        assert_eq!(wal.read(entry.0).unwrap().data(), entry.1);
    }
}

#[test]
fn a_store_that_makes_less_room_than_it_was_asked_for_is_full() {
    let appended = within("an append", || {
        let wal = open(&MemStore::new(), Odd::PreparesLess)?;
        (0..1000).try_for_each(|seed| wal.append(&wal_tests::payload(seed, 100)).map(|_| ()))
    });
    assert_is!(appended, Err(WalError::Full { .. }));
}

#[test]
fn a_store_that_makes_more_room_or_says_more_than_it_may_does_not_panic() {
    let bytes = MemStore::new();
    let wal = open(&bytes, Odd::PreparesMore).unwrap();
    let entries: Vec<_> = (0..100).map(|seed| put(&wal, seed, 3000)).collect();
    wal.sync().unwrap();
    assert_eq!(all(&wal), entries);
    drop(wal);
    let opened = open(&bytes, Odd::ReadsMoreThanAsked);
    assert_is!(opened, Err(WalError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData);
}

#[test]
fn the_check_passes_the_stores_of_the_crate_and_one_that_reads_short() {
    let dir = tempfile::tempdir().unwrap();
    check_store(|| FileStore::open(dir.path().join("log"))).unwrap();
    check_store(|| SegmentedStore::open(dir.path().join("logs"), SEGMENT)).unwrap();
    let bytes = MemStore::new();
    check_store(|| Ok::<_, WalError>(bytes.clone())).unwrap();
    let disk = SimDisk::new();
    check_store(|| disk.file_store("log")).unwrap();
    for odd in [Odd::No, Odd::ShortReads, Odd::PreparesMore] {
        let bytes = MemStore::new();
        check_store(|| Ok::<_, WalError>(store(&bytes, odd)))
            .unwrap_or_else(|error| panic!("{odd:?}: {error}"));
    }
}

#[test]
fn the_check_finds_what_a_store_does_otherwise() {
    for (odd, told) in [
        (Odd::ReadsMoreThanAsked, "a log in the store"),
        (Odd::PreparesLess, "no space left"),
        (Odd::ForgetsSlots, "a log in the store"),
        (Odd::KeepsWhatWasCut, "truncate leaves"),
        (Odd::NotExclusive, "two handles"),
        (Odd::AttachesOnce, "attach, a second time"),
        (Odd::RefusesToReadAtTheEnd, "a log in the store"),
    ] {
        let bytes = MemStore::new();
        let found = check_store(|| Ok::<_, WalError>(store(&bytes, odd))).unwrap_err();
        assert!(found.to_string().contains(told), "{odd:?}: {found}");
    }
}

#[test]
fn verify_goes_on_where_the_log_begins_by_now_if_a_truncation_is_faster() {
    let wal: Arc<OnceLock<(Wal, Lsn)>> = Arc::default();
    let (cut, begun) = (wal.clone(), AtomicBool::new(false));
    let mut store = Scripted::new(MemStore::new(), move |_, call| {
        if call.op == Op::Read
            && call.at >= 1 << 20
            && let Some((wal, head)) = cut.get()
            && !begun.swap(true, Ordering::Relaxed)
        {
            wal.truncate_before(*head).unwrap();
        }
        Ok(None)
    });
    // Where there are no segments, more is kept than the log begins with.
    store.segment_len = Some(SEGMENT);
    let log = Wal::with_store_and_config(store, quiet_heap()).unwrap();
    let mut entries = Vec::new();
    for seed in 0..300 {
        entries.push(put(&log, seed, 10_000));
        log.sync().unwrap();
    }
    let kept = 250;
    wal.set((log.clone(), entries[kept].0)).unwrap();
    let report = within("verify", move || log.verify()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    let (there, read) = (entries.len() as u64, report.records);
    assert!(read >= there - kept as u64 && read < there, "{read} of {there}");
}
