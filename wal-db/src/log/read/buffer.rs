//! What a walk has read of the stream.

use bytes::{Bytes, BytesMut};

use super::read_ahead::{ReadAhead, is_next};
use crate::{error::Result, log::base::Base};

pub(crate) const BUFFER_LEN: usize = 256 << 10;

/// More than this is only asked for after as many bytes that are there: a length may have been made up.
const TRUSTED: usize = 1 << 20;

/// A walk is a long one when it has read this much in a row, and as much is still to come.
const LONG: u64 = if cfg!(wal_shuttle) { 1 << 10 } else { 2 << 20 };

/// Bytes of the stream that were read together.
#[derive(Default)]
pub(crate) struct Buffer {
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
    /// Where the reads that followed one on the other began.
    row_start: u64,
    /// Up to where a thread may read ahead.
    ahead_until: u64,
    ahead: Option<ReadAhead>,
}

impl Buffer {
    /// Lets a thread read ahead, up to `until`, once the walk turns out to be long.
    pub(crate) fn allow_reading_ahead(&mut self, until: u64) {
        self.ahead_until = until;
    }

    /// The walk is at a group, where reading ahead can begin.
    pub(crate) fn at_group(&mut self, base: &Base, pos: u64, end: u64) {
        self.note_jump(pos);
        let end = end.min(self.ahead_until);
        let (walked, to_come) = (pos.saturating_sub(self.row_start), end.saturating_sub(pos));
        if self.ahead.is_none() && walked.min(to_come) >= LONG {
            self.ahead = ReadAhead::start(base.store.shared(), pos, end);
            if self.ahead.is_none() {
                // If no thread could be started, the next group will not get one either.
                self.ahead_until = 0;
            }
        }
    }

    fn note_jump(&mut self, pos: u64) {
        if !is_next(self.start, self.bytes.len(), pos) {
            self.row_start = pos;
        }
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

    /// Reads a buffer that starts at `pos`, has `len` bytes if they are there, and does not pass `end`.
    #[cold]
    fn fill(&mut self, base: &Base, pos: u64, len: usize, end: u64) -> Result<()> {
        self.note_jump(pos);
        let mut old = std::mem::take(&mut self.bytes);
        if let Some(mut ahead) = self.ahead.take() {
            // A chunk is only read into again when nobody has a part of it.
            old = Bytes::new();
            if let Some(bytes) = ahead.bytes_at(pos, len) {
                (self.start, self.bytes, self.ahead) = (pos, bytes, Some(ahead));
                return Ok(());
            }
            // What could not be read ahead is looked at here.
            self.row_start = pos;
        }
        (self.start, self.bytes) = (pos, self.read(base, pos, len, end, old)?);
        Ok(())
    }

    fn read(&self, base: &Base, pos: u64, len: usize, end: u64, old: Bytes) -> Result<Bytes> {
        let ahead = usize::try_from(end.saturating_sub(pos)).unwrap_or(usize::MAX);
        let want = BUFFER_LEN.min(ahead).max(len);
        // What both buffers cover is kept. Records that share the old one keep that; else its memory is used again.
        let first = want.min(TRUSTED.max(old.len()));
        let from = usize::try_from(pos.wrapping_sub(self.start))
            .unwrap_or(usize::MAX)
            .min(old.len());
        let kept = old.len() - from;
        let mut buf = match old.try_into_mut() {
            Ok(mut buf) if buf.capacity() >= first && buf.capacity() <= 4 * want.max(BUFFER_LEN) => {
                buf.copy_within(from.., 0);
                buf
            }
            Ok(old) => Self::larger(first, &old[from..]),
            Err(old) => Self::larger(first, &old[from..]),
        };
        let (mut done, mut upto) = (kept, first);
        loop {
            buf.resize(upto, 0);
            done += base.read_some(pos + done as u64, &mut buf[done..])?;
            if done < upto || upto == want {
                break;
            }
            upto = want.min(2 * upto);
        }
        if done < len {
            base.check_next(pos + done as u64)?;
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

#[cfg(all(test, not(any(wal_loom, wal_shuttle))))]
mod tests {
    use super::*;
    use crate::{
        format::{LogId, Mark, timeline::Timeline},
        log::base::Extent,
        storage::{Latched, MemStore},
    };

    #[test]
    fn a_walk_is_long_by_what_it_went_through_and_not_by_where_it_is() {
        let extent = Extent {
            head: 0,
            head_group: 0,
            head_ordinal: 0,
            dropped: 0,
            timeline: Timeline::default(),
        };
        let end = 64 << 20;
        let base = Base::new(
            Latched::new(Box::new(MemStore::new())),
            LogId([7; 16]),
            0,
            extent,
            Mark {
                pos: end,
                ..Mark::default()
            },
        );
        let mut buffer = Buffer::default();
        buffer.allow_reading_ahead(u64::MAX);
        let mut began = None;
        for pos in (end / 2..end).step_by(BUFFER_LEN) {
            buffer.at_group(&base, pos, end);
            began = began.or(buffer.ahead.is_some().then_some(pos - end / 2));
            let _ = buffer.find(&base, pos, 1, end);
        }
        assert_eq!(began, Some(LONG));
    }
}
