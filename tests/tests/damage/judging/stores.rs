//! Stores that a program brings along: the log is forgiving where it can be, and the check finds what it cannot forgive.

use std::io;

use wal_db::{
    FileStore, MemStore, SegmentedStore, Wal, WalError, WalStore,
    store::Identity,
    testing::{SimDisk, check_store},
};
use wal_tests::{all, files::SEGMENT, put, quiet_heap, within};

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

struct Store {
    bytes: MemStore,
    odd: Odd,
    attached: std::sync::atomic::AtomicBool,
}

impl Store {
    fn new(bytes: &MemStore, odd: Odd) -> Store {
        Store {
            bytes: bytes.clone(),
            odd,
            attached: false.into(),
        }
    }
}

impl WalStore for Store {
    fn lock(&self) -> io::Result<()> {
        match self.odd {
            Odd::NotExclusive => Ok(()),
            _ => self.bytes.lock(),
        }
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.odd == Odd::RefusesToReadAtTheEnd && pos >= self.bytes.len()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = match self.odd {
            Odd::ShortReads => buf.len().min(1 + (pos as usize % 300)),
            _ => buf.len(),
        };
        let read = self.bytes.read_at(pos, &mut buf[..len])?;
        Ok(if self.odd == Odd::ReadsMoreThanAsked {
            read + 1
        } else {
            read
        })
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        self.bytes.write_at(pos, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.bytes.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        if self.odd == Odd::KeepsWhatWasCut {
            return Ok(());
        }
        self.bytes.truncate(len)
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        if self.odd == Odd::ForgetsSlots {
            return Ok(Vec::new());
        }
        self.bytes.read_slot(slot)
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.bytes.write_slot(slot, bytes)
    }

    fn attach(&self, _: &Identity) -> io::Result<()> {
        let before = self.attached.swap(true, std::sync::atomic::Ordering::Relaxed);
        if before && self.odd == Odd::AttachesOnce {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(())
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        Ok(match self.odd {
            Odd::PreparesLess => end / 2,
            Odd::PreparesMore => u64::MAX - 1,
            _ => end,
        })
    }

    fn close(&self) {
        self.bytes.close();
    }
}

fn open(bytes: &MemStore, odd: Odd) -> wal_db::Result<Wal> {
    Wal::with_store_and_config(Store::new(bytes, odd), quiet_heap())
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
    assert!(matches!(appended, Err(WalError::Full { .. })), "{appended:?}");
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
    assert!(
        matches!(&opened, Err(WalError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData),
        "{opened:?}"
    );
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
        check_store(|| Ok::<_, WalError>(Store::new(&bytes, odd)))
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
        let found = check_store(|| Ok::<_, WalError>(Store::new(&bytes, odd))).unwrap_err();
        assert!(found.to_string().contains(told), "{odd:?}: {found}");
    }
}
