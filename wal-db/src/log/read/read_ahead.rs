//! A thread that reads the stream ahead of a long walk, and beside it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{
    log::panics::caught,
    process::Process,
    storage::{WalStore, read_full},
    sync::{Arc, Bell, Mutex, thread},
};

/// How much is read at a time, from one multiple of it to the next: as a block, so that a group seldom begins in one
/// chunk and ends in another.
pub(crate) const CHUNK_LEN: usize = if cfg!(wal_loom) {
    8
} else if cfg!(wal_shuttle) {
    512
} else {
    512 << 10
};

/// How many chunks are read before the walk has come to them.
const AHEAD: usize = if cfg!(any(wal_loom, wal_shuttle)) { 2 } else { 4 };

/// The chunks of the stream from where a walk is. If the next one is not there yet, the walk reads the first chunk that
/// nobody reads, instead of waiting.
pub(crate) struct ReadAhead {
    shared: Arc<Shared>,
    /// The chunk in hand, and where it starts.
    chunk: Bytes,
    start: u64,
    thread: Option<thread::JoinHandle<()>>,
    /// The process that has the thread.
    process: Process,
}

struct Shared {
    store: Arc<dyn WalStore>,
    chunks: Mutex<Chunks>,
    /// Rings when a chunk was read, and when there is room for more.
    moved: Bell,
}

struct Chunks {
    /// Those ahead of the one in hand, in order.
    ahead: VecDeque<Chunk>,
    /// Where the next one starts that nobody reads yet.
    next: u64,
    end: u64,
    spare: Vec<BytesMut>,
}

enum Chunk {
    /// Somebody reads the chunk that starts here.
    Reading(u64),
    Whole(BytesMut),
    /// It could not be read, or not all of it.
    Missing,
}

impl Chunks {
    /// Takes it upon the caller to read the next chunk: where it starts, and memory of its length.
    fn claim(&mut self) -> Option<(u64, BytesMut)> {
        if !self.has_work() {
            return None;
        }
        let start = self.next;
        let chunk_len = CHUNK_LEN as u64;
        let len = (chunk_len - start % chunk_len).min(self.end - start);
        self.ahead.push_back(Chunk::Reading(start));
        self.next += len;
        let mut memory = self.spare.pop().unwrap_or_default();
        memory.resize(len as usize, 0);
        Some((start, memory))
    }

    fn has_work(&self) -> bool {
        self.ahead.len() < AHEAD && !self.is_over()
    }

    /// Whether all is read, or need not be.
    fn is_over(&self) -> bool {
        self.next >= self.end
    }

    fn is_next_being_read(&self) -> bool {
        matches!(self.ahead.front(), Some(Chunk::Reading(_)))
    }
}

impl Shared {
    /// Reads the chunk at `start`, which was claimed.
    fn read(&self, start: u64, mut memory: BytesMut) {
        let read = read_full(&*self.store, start, &mut memory);
        let chunk = match read {
            Ok(len) if len == memory.len() => Chunk::Whole(memory),
            _ => Chunk::Missing,
        };
        self.put(start, chunk);
    }

    fn put(&self, start: u64, chunk: Chunk) {
        let mut chunks = self.chunks.lock();
        let is_it = |chunk: &&mut Chunk| matches!(chunk, Chunk::Reading(at) if *at == start);
        if let Some(place) = chunks.ahead.iter_mut().find(is_it) {
            *place = chunk;
        }
        drop(chunks);
        self.moved.ring();
    }

    fn run(&self) {
        loop {
            let mut chunks = self.chunks.lock();
            let claimed = chunks.claim();
            let is_over = chunks.is_over();
            drop(chunks);
            match claimed {
                Some((start, memory)) => {
                    // A store that panics does so again when the walk reads the same place.
                    if caught(|| self.read(start, memory)).is_none() {
                        self.put(start, Chunk::Missing);
                    }
                }
                None if is_over => return,
                None => self.moved.sleep_unless(None, || {
                    let chunks = self.chunks.lock();
                    chunks.has_work() || chunks.is_over()
                }),
            }
        }
    }
}

impl ReadAhead {
    /// Reads from `pos` to `end`. `None` if there is no thread to be had.
    pub(crate) fn start(store: Arc<dyn WalStore>, pos: u64, end: u64) -> Option<ReadAhead> {
        let shared = Arc::new(Shared {
            store,
            chunks: Mutex::new(Chunks {
                ahead: VecDeque::with_capacity(AHEAD),
                next: pos,
                end,
                spare: Vec::new(),
            }),
            moved: Bell::new(),
        });
        let run = {
            let shared = shared.clone();
            move || shared.run()
        };
        let thread = thread::Builder::new()
            .name("wal-reader".to_owned())
            .spawn(run)
            .ok()?;
        Some(ReadAhead {
            shared,
            chunk: Bytes::new(),
            start: pos,
            thread: Some(thread),
            process: Process::this(),
        })
    }

    /// Bytes from `pos` on, `len` of them at least. `None` if they could not be read, or are not what comes next.
    ///
    /// The memory of a chunk is read into again, unless somebody has a part of it.
    pub(crate) fn bytes_at(&mut self, pos: u64, len: usize) -> Option<Bytes> {
        if !is_next(self.start, self.chunk.len(), pos) {
            return None;
        }
        while pos >= self.end() {
            self.advance()?;
        }
        let offset = (pos - self.start) as usize;
        if self.chunk.len() - offset >= len {
            return Some(self.chunk.slice(offset..));
        }
        let mut joined = BytesMut::from(&self.chunk[offset..]);
        while joined.len() < len {
            self.advance()?;
            let part = self.chunk.len().min(len - joined.len());
            joined.extend_from_slice(&self.chunk[..part]);
        }
        Some(joined.freeze())
    }

    fn end(&self) -> u64 {
        self.start + self.chunk.len() as u64
    }

    fn advance(&mut self) -> Option<()> {
        let next = self.next_chunk()?;
        self.start = self.end();
        let last = std::mem::replace(&mut self.chunk, next.freeze());
        let mut chunks = self.shared.chunks.lock();
        chunks.spare.extend(last.try_into_mut());
        let is_low = chunks.ahead.len() <= AHEAD / 2;
        drop(chunks);
        if is_low {
            self.shared.moved.ring();
        }
        Some(())
    }

    fn next_chunk(&mut self) -> Option<BytesMut> {
        loop {
            let mut chunks = self.shared.chunks.lock();
            match chunks.ahead.pop_front() {
                Some(Chunk::Whole(bytes)) => return Some(bytes),
                Some(Chunk::Missing) => return None,
                Some(reading) => chunks.ahead.push_front(reading),
                None => {}
            }
            let claimed = chunks.claim();
            let is_at_the_end = chunks.ahead.is_empty();
            drop(chunks);
            match claimed {
                Some((start, memory)) => self.shared.read(start, memory),
                None if is_at_the_end => return None,
                None => self
                    .shared
                    .moved
                    .sleep_unless(None, || !self.shared.chunks.lock().is_next_being_read()),
            }
        }
    }
}

/// Whether `pos` is in the `len` bytes at `start` or not far after them. A walk that goes farther jumps over what was
/// cut off, which need not be there any more.
pub(crate) fn is_next(start: u64, len: usize, pos: u64) -> bool {
    pos.checked_sub(start)
        .is_some_and(|far| far <= (len + CHUNK_LEN) as u64)
}

impl Drop for ReadAhead {
    /// The thread has let the store go when this ends.
    fn drop(&mut self) {
        if !self.process.is_this() {
            // The thread is the parent's, and so may the lock be.
            std::mem::forget(self.thread.take());
            return;
        }
        let mut chunks = self.shared.chunks.lock();
        chunks.end = 0;
        drop(chunks);
        self.shared.moved.ring();
        if let Some(thread) = self.thread.take() {
            // It has no panic of its own, and those of the store were caught.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_ahead_than_fits_and_nothing_after_the_end() {
        let mut chunks = Chunks {
            ahead: VecDeque::new(),
            next: 7,
            end: ((AHEAD + 2) * CHUNK_LEN) as u64,
            spare: Vec::new(),
        };
        let mut starts = vec![];
        for (start, memory) in std::iter::from_fn(|| chunks.claim()).take(AHEAD + 1) {
            starts.push(start);
            assert_eq!((start + memory.len() as u64) % CHUNK_LEN as u64, 0);
        }
        let chunk_len = CHUNK_LEN as u64;
        let expected: Vec<_> = (1..AHEAD as u64).map(|n| n * chunk_len).collect();
        assert_eq!((starts[0], &starts[1..]), (7, &expected[..]));
        chunks.ahead.clear();
        assert_eq!(std::iter::from_fn(|| chunks.claim()).take(AHEAD).count(), 2);
        assert!(chunks.is_over() && !chunks.has_work());
    }
}

#[cfg(all(test, wal_loom))]
#[path = "read_ahead_loom.rs"]
mod loom_tests;
