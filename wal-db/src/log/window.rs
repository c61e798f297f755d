//! What a walk has read of the stream, and the thread that reads ahead of a long one.

use bytes::{Bytes, BytesMut};

use super::base::Base;
use crate::{
    Result,
    storage::WalStore,
    sync::{Arc, mpsc, thread},
};

/// How much is read at a time.
pub(crate) const WINDOW_LEN: usize = 256 << 10;

/// More than this is only asked for behind as many bytes that are there: a length may have been made up.
const TRUSTED: usize = 1 << 20;

/// A walk is a long one when it has read this much in a row, and as much is still to come.
const LONG: u64 = 4 << 20;

/// How much is read ahead at a time: a block, so that a window seldom needs two of them.
const CHUNK_LEN: usize = 512 << 10;

/// Bytes of the stream that were read together.
#[derive(Default)]
pub(crate) struct Window {
    pub(super) start: u64,
    pub(super) bytes: Bytes,
    /// Where the reads that followed one on the other began.
    row_start: u64,
    may_read_ahead: bool,
    ahead: Option<ReadAhead>,
}

impl Window {
    /// Lets a thread read ahead once the walk turns out to be long.
    pub(crate) fn read_ahead(&mut self) {
        self.may_read_ahead = true;
    }

    /// The offset of `pos` in [`bytes`](Self::bytes), where at least `len` bytes follow; `None` if the store ends
    /// before that.
    #[inline]
    pub(crate) fn find(&mut self, base: &Base, pos: u64, len: usize, end: u64) -> Result<Option<usize>> {
        let offset = pos.wrapping_sub(self.start);
        if offset <= self.bytes.len() as u64 && self.bytes.len() as u64 - offset >= len as u64 {
            return Ok(Some(offset as usize));
        }
        self.fill(base, pos, len, end)?;
        Ok((self.bytes.len() >= len).then_some(0))
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Reads a window that starts at `pos`, has `len` bytes if they are there, and does not pass `end`.
    #[cold]
    fn fill(&mut self, base: &Base, pos: u64, len: usize, end: u64) -> Result<()> {
        let old = std::mem::take(&mut self.bytes);
        if !is_next(self.start, old.len(), pos) {
            self.row_start = pos;
        }
        let to_come = end.saturating_sub(pos);
        if self.may_read_ahead && self.ahead.is_none() && (pos - self.row_start).min(to_come) >= LONG {
            self.ahead = ReadAhead::start(base.store.shared(), pos, end);
        }
        let Some(mut ahead) = self.ahead.take() else {
            (self.start, self.bytes) = (pos, self.read(base, pos, len, end, old)?);
            return Ok(());
        };
        // It reads into the same memory again once nobody has a part of it.
        drop(old);
        if let Some(bytes) = ahead.window(pos, len) {
            (self.start, self.bytes, self.ahead) = (pos, bytes, Some(ahead));
            return Ok(());
        }
        // What the thread could not read is looked at here.
        self.row_start = pos;
        (self.start, self.bytes) = (pos, self.read(base, pos, len, end, Bytes::new())?);
        Ok(())
    }

    fn read(&self, base: &Base, pos: u64, len: usize, end: u64, old: Bytes) -> Result<Bytes> {
        let ahead = usize::try_from(end.saturating_sub(pos)).unwrap_or(usize::MAX);
        let want = WINDOW_LEN.min(ahead).max(len);
        // What both windows cover is kept. Records that share the old one keep that; else its memory is used again.
        let first = want.min(TRUSTED.max(old.len()));
        let from = usize::try_from(pos.wrapping_sub(self.start))
            .unwrap_or(usize::MAX)
            .min(old.len());
        let kept = old.len() - from;
        let mut buf = match old.try_into_mut() {
            Ok(mut buf) if buf.capacity() >= first && buf.capacity() <= 4 * want.max(WINDOW_LEN) => {
                buf.copy_within(from.., 0);
                buf
            }
            Ok(old) => Self::larger(first, &old[from..]),
            Err(old) => Self::larger(first, &old[from..]),
        };
        let (mut done, mut upto) = (kept, first);
        loop {
            buf.resize(upto, 0);
            done += base.read(pos + done as u64, &mut buf[done..])?;
            if done < upto || upto == want {
                break;
            }
            upto = want.min(2 * upto);
        }
        buf.truncate(done);
        Ok(buf.freeze())
    }

    fn larger(len: usize, kept: &[u8]) -> BytesMut {
        let mut buf = BytesMut::with_capacity(len);
        buf.extend_from_slice(kept);
        buf
    }
}

/// Whether `pos` is in the `len` bytes at `start` or not far behind them. A walk that goes farther jumps over what was cut
/// off, which need not be there any more.
fn is_next(start: u64, len: usize, pos: u64) -> bool {
    pos.checked_sub(start).is_some_and(|far| far <= (len + CHUNK_LEN) as u64)
}

/// A thread that reads chunks of the stream one behind the other, while the walk is still at earlier ones. It ends with
/// this, at the end of the walk, and at the first chunk that is not there as a whole.
struct ReadAhead {
    /// Where the chunk in hand starts.
    start: u64,
    chunk: Bytes,
    chunks: mpsc::Receiver<BytesMut>,
    /// Memory that is free again.
    emptied: mpsc::Sender<BytesMut>,
    thread: Option<thread::JoinHandle<()>>,
}

impl ReadAhead {
    /// Reads from `pos` to `end`. `None` if there is no thread to be had.
    fn start(store: Arc<dyn WalStore>, pos: u64, end: u64) -> Option<ReadAhead> {
        // One chunk waits while the next one is read.
        let (full, chunks) = mpsc::sync_channel(1);
        let (emptied, empty) = mpsc::channel();
        let run = move || {
            let mut at = pos;
            while at < end {
                let mut buf: BytesMut = empty.try_recv().unwrap_or_default();
                let len = (CHUNK_LEN as u64).min(end - at);
                buf.resize(len as usize, 0);
                let is_whole = store.read_at(at, &mut buf).is_ok_and(|read| read == buf.len());
                if !is_whole || full.send(buf).is_err() {
                    return;
                }
                at += len;
            }
        };
        let thread = thread::Builder::new()
            .name("wal-reader".to_owned())
            .spawn(run)
            .ok()?;
        Some(ReadAhead {
            start: pos,
            chunk: Bytes::new(),
            chunks,
            emptied,
            thread: Some(thread),
        })
    }

    /// Bytes from `pos` on, `len` of them at least. `None` if the thread does not have them.
    fn window(&mut self, pos: u64, len: usize) -> Option<Bytes> {
        if !is_next(self.start, self.chunk.len(), pos) {
            return None;
        }
        while pos >= self.start + self.chunk.len() as u64 {
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

    /// Takes the next chunk in hand.
    fn advance(&mut self) -> Option<()> {
        let next = self.chunks.recv().ok()?;
        self.start += self.chunk.len() as u64;
        let old = std::mem::replace(&mut self.chunk, next.freeze());
        if let Ok(old) = old.try_into_mut() {
            // It may have read everything already.
            let _ = self.emptied.send(old);
        }
        Some(())
    }
}

impl Drop for ReadAhead {
    /// The store is let go before the walk is.
    fn drop(&mut self) {
        // A thread that waits to hand a chunk over learns that nobody takes it.
        (_, self.chunks) = mpsc::sync_channel(1);
        if let Some(thread) = self.thread.take() {
            // One that panicked, in the store, has ended the reading ahead; the walk meets the same place itself.
            let _ = thread.join();
        }
    }
}
