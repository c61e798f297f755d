//! A log in a store of your own: seven methods are all that it takes.
//!
//! This store keeps its bytes in a map of pages, as a block device or a page cache would, and counts the calls. Prints what
//! appending, committing and reopening cost in calls of the store.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wal_db::{Wal, WalStore};

const PAGE: u64 = 4096;

/// Clones share the pages, so that a log can be opened again.
#[derive(Clone, Default)]
struct PageStore(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    pages: HashMap<u64, [u8; PAGE as usize]>,
    len: u64,
    slots: [Vec<u8>; 2],
    reads: u32,
    writes: u32,
    syncs: u32,
}

impl PageStore {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, what: &str) {
        let mut pages = self.pages();
        let (reads, writes, syncs) = (pages.reads, pages.writes, pages.syncs);
        println!(
            "{what:<28} {reads:>3} reads, {writes:>3} writes, {syncs:>3} syncs, {} pages",
            pages.pages.len()
        );
        (pages.reads, pages.writes, pages.syncs) = (0, 0, 0);
    }
}

impl WalStore for PageStore {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut pages = self.pages();
        pages.reads += 1;
        let len = buf.len().min(pages.len.saturating_sub(pos) as usize);
        for (at, byte) in (pos..).zip(&mut buf[..len]) {
            // What was never written is zero.
            *byte = pages
                .pages
                .get(&(at / PAGE))
                .map_or(0, |page| page[(at % PAGE) as usize]);
        }
        Ok(len)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let mut pages = self.pages();
        pages.writes += 1;
        for (at, byte) in (pos..).zip(bytes) {
            let page = pages.pages.entry(at / PAGE).or_insert([0; PAGE as usize]);
            page[(at % PAGE) as usize] = *byte;
        }
        pages.len = pages.len.max(pos + bytes.len() as u64);
        Ok(())
    }

    /// A real store returns when the medium has everything. An error here is final: the log never tries again.
    fn sync(&self) -> io::Result<()> {
        self.pages().syncs += 1;
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.pages().len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut pages = self.pages();
        let keep = len.div_ceil(PAGE);
        pages.pages.retain(|&page, _| page < keep);
        if let Some(page) = pages.pages.get_mut(&(len / PAGE)) {
            page[(len % PAGE) as usize..].fill(0);
        }
        pages.len = pages.len.min(len);
        Ok(())
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        Ok(self.pages().slots[slot].clone())
    }

    /// A real store makes this durable, and does not touch the other slot.
    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.pages().slots[slot] = bytes.to_vec();
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let store = PageStore::default();
    let wal = Wal::with_store(store.clone())?;
    store.report("made a log");
    for n in 0..100u32 {
        wal.append(&n.to_le_bytes())?;
    }
    store.report("100 appends");
    let batch: Vec<_> = (0..100u32).map(u32::to_le_bytes).collect();
    wal.append_batch(&batch)?;
    store.report("a batch of 100");
    wal.sync()?;
    store.report("a sync");
    wal.close()?;
    store.report("closed");

    let wal = Wal::with_store(store.clone())?;
    store.report("opened again");
    let records = wal.iter()?.count();
    store.report(&format!("read {records} records"));
    Ok(())
}
