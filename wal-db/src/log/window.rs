//! What a walk has read of the stream.

use bytes::{Bytes, BytesMut};

use super::{base::Base, read_ahead::ReadAhead};
use crate::Result;

/// How much is read at a time.
pub(crate) const WINDOW_LEN: usize = 256 << 10;

/// More than this is only asked for behind as many bytes that are there: a length may have been made up.
const TRUSTED: usize = 1 << 20;

/// A walk is a long one when it has read this much in a row, and as much is still to come.
const LONG: u64 = 4 << 20;

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

    /// Whether it is made of groups whose content matches their headers.
    pub(crate) fn is_checked(&self) -> bool {
        self.ahead.is_some()
    }

    /// The walk is at a group: from here a thread can read ahead.
    pub(crate) fn at_group(&mut self, base: &Base, pos: u64, end: u64) {
        let walked = pos.saturating_sub(self.row_start);
        if self.may_read_ahead && self.ahead.is_none() && walked.min(end.saturating_sub(pos)) >= LONG {
            self.bytes = Bytes::new();
            self.ahead = ReadAhead::start(base.store.shared(), base.log, pos, end);
        }
    }

    /// The walk goes on at `pos`, and not because the group before it ends there: what lies there was not checked.
    pub(crate) fn read_alone(&mut self, pos: u64) {
        (self.ahead, self.row_start) = (None, pos);
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
        let far = pos.checked_sub(self.start + old.len() as u64);
        if pos < self.start || far.is_some_and(|far| far > WINDOW_LEN as u64) {
            self.row_start = pos;
        }
        if let Some(ahead) = &mut self.ahead {
            if let Some(bytes) = ahead.next(pos, old).filter(|bytes| bytes.len() >= len) {
                (self.start, self.bytes) = (pos, bytes);
                return Ok(());
            }
            // What the thread could not read, or not well, is looked at here. Where it could read nothing at all it will
            // not do better later.
            self.may_read_ahead = ahead.was_useful;
            self.read_alone(pos);
            (self.start, self.bytes) = (pos, self.read(base, pos, len, end, Bytes::new())?);
            return Ok(());
        }
        (self.start, self.bytes) = (pos, self.read(base, pos, len, end, old)?);
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
