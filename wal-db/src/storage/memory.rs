//! A log in memory, for tests and for state that need not outlive the process.

use std::{collections::BTreeMap, io};

use super::{SideFile, SideFiles, WalStore};
use crate::{
    process::Process,
    sync::{Arc, AtomicU64, Mutex, Ordering},
};

/// The stream is kept in pieces of this size, so that what is not needed any more can be given back.
const CHUNK: u64 = 64 << 10;

/// A store in memory. Clones share their bytes, so a log can be "reopened" from a clone that was kept; as long as one of
/// them is in a log that is open for writing, the others are [`Locked`](crate::WalError::Locked).
///
/// ```
/// use wal_db::{MemStore, Wal};
/// let store = MemStore::new();
/// let wal = Wal::with_store(store.clone())?;
/// let lsn = wal.append(b"no file involved")?;
/// drop(wal);
/// assert_eq!(Wal::with_store(store)?.read(lsn)?.data(), b"no file involved");
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[derive(Debug)]
pub struct MemStore {
    bytes: Arc<Mutex<Bytes>>,
    /// The process in which this clone has locked the bytes, if it has.
    locked_in: AtomicU64,
}

#[derive(Debug, Default)]
struct Bytes {
    len: u64,
    /// The pieces of the stream by their numbers. One that is not there reads as zeros.
    stream: BTreeMap<u64, Box<[u8]>>,
    slots: [Vec<u8>; 4],
    side: BTreeMap<String, Arc<[u8]>>,
    locked: bool,
}

impl MemStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Arc::default())
    }

    fn of(bytes: Arc<Mutex<Bytes>>) -> Self {
        MemStore {
            bytes,
            locked_in: AtomicU64::new(0),
        }
    }

    fn unlock(&self) {
        let locked_in = self.locked_in.load(Ordering::Acquire);
        // In a child that was forked off since, a thread that is not there may be using the bytes.
        if locked_in == Process::this().number() && self.locked_in.swap(0, Ordering::AcqRel) == locked_in {
            self.bytes.lock().locked = false;
        }
    }
}

impl Default for MemStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for MemStore {
    fn clone(&self) -> Self {
        Self::of(self.bytes.clone())
    }
}

impl Drop for MemStore {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl Bytes {
    /// Makes the bytes from `start` to `end` zero, and gives the pieces back that lie between.
    fn clear(&mut self, start: u64, end: u64) {
        let (first, behind) = (start.div_ceil(CHUNK), end / CHUNK);
        if first < behind {
            let mut rest = self.stream.split_off(&first);
            self.stream.append(&mut rest.split_off(&behind));
        }
        for (from, to) in [(start, end.min(first * CHUNK)), (start.max(behind * CHUNK), end)] {
            if from < to
                && let Some(chunk) = self.stream.get_mut(&(from / CHUNK))
            {
                let from_in_chunk = (from % CHUNK) as usize;
                chunk[from_in_chunk..][..(to - from) as usize].fill(0);
            }
        }
    }
}

/// The range `pos..pos + len` by piece: (piece, offset in it, range of the whole).
fn parts(pos: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = pos + done as u64;
        let offset = (at % CHUNK) as usize;
        let part = (CHUNK as usize - offset).min(len - done);
        let range = done..done + part;
        done += part;
        (part > 0).then_some((at / CHUNK, offset, range))
    })
}

impl WalStore for MemStore {
    fn lock(&self) -> io::Result<()> {
        let mut bytes = self.bytes.lock();
        if bytes.locked {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        bytes.locked = true;
        self.locked_in.store(Process::this().number(), Ordering::Release);
        Ok(())
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes.lock();
        let left = usize::try_from(bytes.len.saturating_sub(pos)).unwrap_or(usize::MAX);
        let len = buf.len().min(left);
        for (chunk, from, part) in parts(pos, len) {
            let target = &mut buf[part];
            match bytes.stream.get(&chunk) {
                Some(there) => target.copy_from_slice(&there[from..][..target.len()]),
                None => target.fill(0),
            }
        }
        Ok(len)
    }

    fn write_at(&self, pos: u64, new: &[u8]) -> io::Result<()> {
        let end = pos
            .checked_add(new.len() as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let mut bytes = self.bytes.lock();
        for (chunk, from, part) in parts(pos, new.len()) {
            let there = bytes
                .stream
                .entry(chunk)
                .or_insert_with(|| vec![0; CHUNK as usize].into());
            there[from..][..part.len()].copy_from_slice(&new[part]);
        }
        bytes.len = bytes.len.max(end);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut bytes = self.bytes.lock();
        if len < bytes.len {
            let end = bytes.len.next_multiple_of(CHUNK);
            bytes.clear(len, end);
            bytes.len = len;
        }
        Ok(())
    }

    fn truncate_before(&self, pos: u64) -> io::Result<()> {
        self.discard(0, pos)
    }

    fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        let mut bytes = self.bytes.lock();
        let end = end.min(bytes.len);
        if start < end {
            bytes.clear(start, end);
        }
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

    fn side_files(&self) -> Option<Arc<dyn SideFiles>> {
        Some(Arc::new(SideBytes(self.bytes.clone())))
    }

    fn close(&self) {
        self.unlock();
    }
}

struct SideBytes(Arc<Mutex<Bytes>>);

impl SideFiles for SideBytes {
    fn create(&self, name: &str, content: &mut dyn io::Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        self.0.lock().side.insert(name.to_owned(), bytes.into());
        Ok(())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SideFile>> {
        let bytes = self.0.lock().side.get(name).cloned();
        Ok(Box::new(Content(bytes.ok_or(io::ErrorKind::NotFound)?)))
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut all = self.0.lock();
        let file = all.side.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let mut content = file.to_vec();
        let place = usize::try_from(offset)
            .ok()
            .and_then(|at| content.get_mut(at..)?.get_mut(..bytes.len()));
        place.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(bytes);
        *file = content.into();
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().side.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().side.remove(name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Content(Arc<[u8]>);

impl SideFile for Content {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.0.get(offset..));
        let len = rest.map_or(0, <[u8]>::len).min(buf.len());
        buf[..len].copy_from_slice(&rest.unwrap_or_default()[..len]);
        Ok(len)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

#[cfg(all(test, not(wal_loom), not(wal_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_any_more_takes_no_memory() {
        let store = MemStore::new();
        let pieces = || store.bytes.lock().stream.len();
        store.write_at(0, &[7; 10 * CHUNK as usize + 100]).unwrap();
        assert_eq!(pieces(), 11);
        store.truncate_before(4 * CHUNK + 10).unwrap();
        assert_eq!(pieces(), 7);
        store.discard(5 * CHUNK + 1, 7 * CHUNK).unwrap();
        assert_eq!(pieces(), 6);
        store.truncate(8 * CHUNK + 1).unwrap();
        assert_eq!((pieces(), store.len().unwrap()), (4, 8 * CHUNK + 1));
        let mut stream = vec![9; 9 * CHUNK as usize];
        assert_eq!(store.read_at(0, &mut stream).unwrap(), 8 * CHUNK as usize + 1);
        let is_kept = |pos: u64| match pos {
            _ if pos < 4 * CHUNK + 10 => false,
            _ if (5 * CHUNK + 1..7 * CHUNK).contains(&pos) => false,
            _ => pos <= 8 * CHUNK,
        };
        for pos in 0..=8 * CHUNK {
            assert_eq!(stream[pos as usize], if is_kept(pos) { 7 } else { 0 }, "{pos}");
        }
        store.write_at(9 * CHUNK, &[1]).unwrap();
        assert_eq!(store.read_at(8 * CHUNK + 1, &mut stream).unwrap(), CHUNK as usize);
        assert!(stream[..CHUNK as usize - 1].iter().all(|&byte| byte == 0));
    }
}
