//! A store over one in memory, for tests in which a few of its calls do something else.

use std::{fs::File, io};

use wal_db::{MemStore, WalStore};

/// What such a store does itself. The calls that are not given go to the one beneath.
pub trait Over: Send + Sync + 'static {
    /// The store beneath.
    fn store(&self) -> &MemStore;

    /// See [`WalStore::read_at`].
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.store().read_at(pos, buf)
    }

    /// See [`WalStore::sync`].
    fn sync(&self) -> io::Result<()> {
        self.store().sync()
    }

    /// See [`WalStore::segment_len`].
    fn segment_len(&self) -> Option<u64> {
        self.store().segment_len()
    }

    /// See [`WalStore::prepare`].
    fn prepare(&self, end: u64) -> io::Result<u64> {
        self.store().prepare(end)
    }

    /// See [`WalStore::write_slot`].
    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.store().write_slot(slot, bytes)
    }

    /// See [`WalStore::slots`].
    fn slots(&self) -> usize {
        self.store().slots()
    }

    /// See [`WalStore::staging_file`].
    fn staging_file(&self, create: bool) -> io::Result<Option<File>> {
        self.store().staging_file(create)
    }

    /// See [`WalStore::remove_staging`].
    fn remove_staging(&self) -> io::Result<()> {
        self.store().remove_staging()
    }

    /// See [`WalStore::boot_id`].
    fn boot_id(&self) -> Option<[u8; 16]> {
        self.store().boot_id()
    }
}

/// The store that one of these makes.
#[derive(Debug, Clone, Default)]
pub struct Forwarding<T>(pub T);

impl<T: Over> WalStore for Forwarding<T> {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(pos, buf)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.store().write_at(pos, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn segment_len(&self) -> Option<u64> {
        self.0.segment_len()
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        self.0.prepare(end)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.store().len()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.store().truncate(len)
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        self.0.store().read_slot(slot)
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.0.write_slot(slot, bytes)
    }

    fn slots(&self) -> usize {
        self.0.slots()
    }

    fn staging_file(&self, create: bool) -> io::Result<Option<File>> {
        self.0.staging_file(create)
    }

    fn remove_staging(&self) -> io::Result<()> {
        self.0.remove_staging()
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        self.0.boot_id()
    }
}
