//! A log in memory, for tests and for state that need not outlive the process.

use std::io;

use super::WalStore;
use crate::sync::{Arc, Mutex};

/// A store in memory. Clones share their bytes, so a log can be "reopened" from a clone that was kept.
///
/// ```
/// use wal_db::{MemStore, Wal};
/// # fn main() -> Result<(), wal_db::WalError> {
/// let store = MemStore::new();
/// let wal = Wal::with_store(store.clone())?;
/// let lsn = wal.append(b"no file involved")?;
/// drop(wal);
/// assert_eq!(Wal::with_store(store)?.read(lsn)?.data(), b"no file involved");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemStore {
    bytes: Arc<Mutex<Bytes>>,
}

#[derive(Debug, Default)]
struct Bytes {
    row: Vec<u8>,
    slots: [Vec<u8>; 4],
}

impl MemStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl WalStore for MemStore {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes.lock();
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(bytes.row.len());
        let len = buf.len().min(bytes.row.len() - from);
        buf[..len].copy_from_slice(&bytes.row[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, pos: u64, new: &[u8]) -> io::Result<()> {
        let row = &mut self.bytes.lock().row;
        let from = usize::try_from(pos).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = from.checked_add(new.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if row.len() < end {
            row.resize(end, 0);
        }
        row[from..end].copy_from_slice(new);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().row.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.bytes.lock().row.truncate(len);
        Ok(())
    }

    fn slots(&self) -> usize {
        4
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        Ok(self.bytes.lock().slots[slot].clone())
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.bytes.lock().slots[slot] = bytes.to_vec();
        Ok(())
    }
}
