//! The existing crate of the same name, 1.1.0, on the simulated disk: its own log over a store that makes the calls which its
//! `FileStore` makes.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use wal_db::{
    Lsn,
    testing::sim::{SimDisk, SimFile},
};
use wal_db_1_1_0::{Lsn as PeerLsn, Result, Wal, WalError, WalStore};

use super::log::{Appended, Done, Log, NAME, text};
use crate::Entry;

struct Store(SimFile);

fn failed(context: &'static str) -> impl Fn(io::Error) -> WalError {
    move |source| WalError::Io { context, source }
}

impl WalStore for Store {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.0.write_at(offset, bytes).map_err(failed("writing"))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, buf).map_err(failed("reading"))
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.0.resize(len).map_err(failed("truncating"))
    }

    fn sync(&self) -> Result<()> {
        self.0.sync().map_err(failed("flushing"))
    }

    fn len(&self) -> Result<u64> {
        self.0.size().map_err(failed("looking"))
    }
}

struct Peer {
    wal: Wal<Store>,
    /// What the log has acknowledged as durable.
    durable: AtomicU64,
}

pub(super) fn open(disk: &SimDisk) -> Done<Box<dyn Log>> {
    let file = disk.file(NAME).map_err(text)?;
    // It does not do that; with it, what else it loses can be seen.
    disk.sync_names(".").map_err(text)?;
    let wal = Wal::with_store(Store(file)).map_err(text)?;
    let durable = AtomicU64::new(wal.len());
    Ok(Box::new(Peer { wal, durable }))
}

impl Log for Peer {
    fn append(&self, data: &[u8]) -> Done<Appended> {
        let lsn = self.wal.append(data).map_err(text)?;
        Ok(Appended::At(Lsn::new(lsn.get())))
    }

    fn append_and_sync(&self, data: &[u8]) -> Done<Lsn> {
        let lsn = self.wal.append_and_sync(data).map_err(text)?;
        self.durable.store(self.wal.len(), Ordering::Relaxed);
        Ok(Lsn::new(lsn.get()))
    }

    fn sync(&self) -> Done {
        self.wal.sync().map_err(text)?;
        self.durable.store(self.wal.len(), Ordering::Relaxed);
        Ok(())
    }

    fn truncate_after(&self, lsn: Lsn) -> Done {
        self.wal.truncate_after(PeerLsn::new(lsn.get())).map_err(text)?;
        self.durable.store(self.wal.len(), Ordering::Relaxed);
        Ok(())
    }

    fn durable(&self) -> u64 {
        self.durable.load(Ordering::Relaxed)
    }

    fn all(&self) -> Done<Vec<Entry>> {
        let records = self.wal.iter().map_err(text)?;
        let entry = |record: Result<wal_db_1_1_0::Record>| {
            let record = record.map_err(text)?;
            Ok(Entry(Lsn::new(record.lsn().get()), record.into_data()))
        };
        records.map(entry).collect()
    }

    fn close(self: Box<Self>) -> Done {
        self.wal.sync().map_err(text)
    }
}
