//! A store that only reads, from memory.

use std::io;

use crate::storage::WalStore;

/// A part of the stream that is in memory only.
pub(crate) struct InMemory {
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
}

impl WalStore for InMemory {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let offset = pos
            .checked_sub(self.start)
            .and_then(|offset| usize::try_from(offset).ok());
        let there = offset
            .and_then(|offset| self.bytes.get(offset..))
            .unwrap_or_default();
        let len = there.len().min(buf.len());
        buf[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.start + self.bytes.len() as u64)
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_slot(&self, _: usize) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn write_slot(&self, _: usize, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
