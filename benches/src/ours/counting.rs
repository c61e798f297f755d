//! A store that counts its flushes.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wal_db::{WalStore, store::Identity};

/// Passes every call on to the store inside.
pub(super) struct Counting<S> {
    inner: S,
    flushes: Arc<AtomicU64>,
}

impl<S> Counting<S> {
    pub(super) fn new(inner: S) -> (Counting<S>, Arc<AtomicU64>) {
        let flushes = Arc::new(AtomicU64::new(0));
        (
            Counting {
                inner,
                flushes: flushes.clone(),
            },
            flushes,
        )
    }
}

impl<S: WalStore> WalStore for Counting<S> {
    fn sync(&self) -> io::Result<()> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.inner.sync()
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(pos, buf)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(pos, bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        self.inner.read_slot(slot)
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_slot(slot, bytes)
    }

    fn attach(&self, log: &Identity) -> io::Result<()> {
        self.inner.attach(log)
    }

    fn segment_len(&self) -> Option<u64> {
        self.inner.segment_len()
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        self.inner.prepare(end)
    }

    fn prepare_step(&self) -> u64 {
        self.inner.prepare_step()
    }

    fn likes_zeros_ahead(&self) -> bool {
        self.inner.likes_zeros_ahead()
    }

    fn truncate_before(&self, pos: u64) -> io::Result<()> {
        self.inner.truncate_before(pos)
    }

    fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        self.inner.discard(start, end)
    }

    fn keep_aside(&self, pos: u64, bytes: &mut dyn Read) -> io::Result<Option<PathBuf>> {
        self.inner.keep_aside(pos, bytes)
    }

    fn staging_file(&self, create: bool) -> io::Result<Option<File>> {
        self.inner.staging_file(create)
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        self.inner.boot_id()
    }
}
