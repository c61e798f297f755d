//! How much staging memory a log uses: little at first, more when appends find it full, and little again after a rest.
//!
//! The ring is emptied and its tail moved on before its size changes, with the committer held, so no claim meets two
//! sizes. The file is long enough before the ring is, and shortened after it.

use std::{
    fs::File,
    io,
    time::{Duration, Instant},
};

use super::{
    turn::{Held, Turn},
    writer::Writer,
};
use crate::{
    error::Result,
    staging::leftover,
    sync::{AtomicBool, Mutex, MutexGuard, Ordering, SIMULATED},
};

/// What a log begins with, if it may have as much: enough for claims of 64 KiB, of which none is longer than an eighth of
/// the ring.
const FIRST_BYTES: u64 = if cfg!(wal_shuttle) { 16 << 10 } else { 512 << 10 };

/// How many times as much it takes when that was full.
const FACTOR: u64 = 4;

/// How long less than [`FIRST_BYTES`] has to be appended before the rest is given back.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(10);

/// How much of `max` bytes a log begins with. Elsewhere than on Linux, nobody has tried to map more of a file than there is.
pub(super) fn first_bytes(max: u64) -> u64 {
    if cfg!(target_os = "linux") {
        max.min(FIRST_BYTES)
    } else {
        max
    }
}

/// The lock under which space is made ready, and the file of staging memory changes.
type Space<'a> = MutexGuard<'a, ()>;

pub(crate) struct Growth {
    /// An append has found the ring full.
    is_wanted: AtomicBool,
    /// The file could not become longer. It is tried again after more of the log has got its space.
    is_refused: AtomicBool,
    /// When it was looked last how much is appended, and the tail of then.
    looked: Mutex<(Instant, u64)>,
}

impl Growth {
    pub(super) fn new() -> Growth {
        Growth {
            is_wanted: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            looked: Mutex::new((Instant::now(), 0)),
        }
    }

    pub(super) fn try_again(&self) {
        self.is_refused.store(false, Ordering::Relaxed);
    }
}

impl Writer {
    fn may_grow(&self) -> bool {
        self.ring.capacity() < self.ring.memory.max() && !self.growth.is_refused.load(Ordering::Relaxed)
    }

    /// An append has found the ring full.
    pub(crate) fn want_more_staging(&self) {
        if !self.may_grow() || self.growth.is_wanted.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.flushes_by_itself() {
            self.background.ring_preparer();
        } else {
            self.guarded(|| self.grow_if_wanted());
        }
    }

    /// Uses more staging memory, if an append has found it full. A failure of the store has poisoned the log; a full disk
    /// is reported by the next write.
    pub(crate) fn grow_if_wanted(&self) {
        if !self.growth.is_wanted.load(Ordering::Acquire) {
            return;
        }
        if self.may_grow() {
            let capacity = (self.ring.capacity() * FACTOR).min(self.ring.memory.max());
            // What takes long comes before the turn.
            let is_there = self.is_extended(capacity, &self.space.lock());
            self.growth.is_refused.store(!is_there, Ordering::Relaxed);
            if is_there && Turn::take(self).run(|held| held.grow(capacity)).unwrap_or(false) {
                self.ring.fault_in();
            }
        }
        self.growth.is_wanted.store(false, Ordering::Release);
    }

    /// Sees to it that the file of staging memory is long enough for a ring of `capacity` bytes.
    fn is_extended(&self, capacity: u64, space: &Space<'_>) -> bool {
        let extended = || self.with_file(space, |file| leftover::extend(file, capacity));
        !self.ring.is_shut() && extended().is_ok_and(|is_there| is_there)
    }

    /// Takes off the file what the ring does not need. If that fails, only space is lost.
    fn shorten_file(&self, space: &Space<'_>) {
        let capacity = self.ring.capacity();
        let _ = self.with_file(space, |file| leftover::shorten(file, capacity));
    }

    /// Runs `change` on the file of staging memory, if it has one. False if it is not there any more, or another process
    /// may have it. Two do not change it at the same time.
    fn with_file(&self, _: &Space<'_>, change: impl FnOnce(&File) -> io::Result<()>) -> io::Result<bool> {
        if !self.ring.memory.is_mapped() {
            return Ok(true);
        }
        if self.base.store.is_closed() {
            return Ok(false);
        }
        match self.base.store.staging_file(false)? {
            Some(file) if self.ring.memory.is_of(&file)? => change(&file).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Gives back what is not needed any more, and says when to ask again; `None` if there is nothing to be given back.
    pub(crate) fn give_staging_back(&self) -> Option<Duration> {
        let first = first_bytes(self.ring.memory.max());
        if SIMULATED || self.ring.capacity() == first {
            return None;
        }
        let mut looked = self.growth.looked.lock();
        let (tail, elapsed) = (self.ring.tail(), looked.0.elapsed());
        if let Some(left) = GIVE_BACK_AFTER
            .checked_sub(elapsed)
            .filter(|left| !left.is_zero())
        {
            return Some(left);
        }
        let appended = tail - looked.1;
        *looked = (Instant::now(), tail);
        drop(looked);
        if appended >= first || !Turn::take(self).run(|held| held.shrink()).unwrap_or(false) {
            return Some(GIVE_BACK_AFTER);
        }
        // What has moved the tail is durable soon, so that an idle log is durable to its end.
        self.want_durable(self.base.written());
        None
    }
}

impl Held<'_> {
    /// Uses `capacity` bytes of staging memory from now on, if they are there.
    fn grow(&mut self, capacity: u64) -> Result<bool> {
        let writer = self.writer;
        // Commits do not wait for space that is being made.
        let Some(space) = writer.space.try_lock() else {
            return Ok(false);
        };
        // It may have been shortened since it was extended.
        let grows = writer.is_extended(capacity, &space) && self.resize(capacity)?;
        if grows {
            *writer.growth.looked.lock() = (Instant::now(), writer.ring.tail());
        }
        Ok(grows)
    }

    /// Uses what the log began with.
    pub(crate) fn shrink(&mut self) -> Result<bool> {
        let writer = self.writer;
        let Some(space) = writer.space.try_lock() else {
            return Ok(false);
        };
        let shrinks = self.resize(first_bytes(writer.ring.memory.max()))?;
        writer.shorten_file(&space);
        Ok(shrinks)
    }

    /// As [`shrink`](Self::shrink), when the log was closed: nothing is in the ring, and nobody claims any more.
    pub(crate) fn shrink_for_good(&self, space: &Space<'_>) {
        let memory = &self.writer.ring.memory;
        memory.set_len(first_bytes(memory.max()));
        self.writer.shorten_file(space);
    }

    /// Writes out what is in the ring, and goes on with so many bytes of it. False if the size stays as it is, for example
    /// because a claim is not published, for which nobody waits here.
    fn resize(&mut self, capacity: u64) -> Result<bool> {
        let ring = &self.writer.ring;
        if !self.committer.has_left_nothing() {
            return Ok(false);
        }
        let Some(frozen_at) = self.committer.consumer.begin_resize(ring) else {
            return Ok(false);
        };
        let emptied = self.drain();
        let capacity = emptied.is_ok().then_some(capacity);
        let resized = self.committer.consumer.end_resize(ring, frozen_at, capacity);
        emptied.map(|()| resized)
    }
}

#[cfg(all(test, target_os = "linux", not(any(wal_loom, wal_shuttle, miri))))]
#[allow(clippy::unwrap_used)] // clippy does not see that this is a test
mod tests {
    use super::*;
    use crate::{Wal, WalConfig};

    #[test]
    fn what_was_not_needed_for_a_while_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let config = WalConfig::new().with_background_flush(false);
        let wal = Wal::open_with(dir.path().join("log"), config).unwrap();
        let file_len = || {
            let file = dir.path().join("log.staging");
            std::fs::metadata(file).unwrap().len() - 4096
        };
        let appended = std::cell::Cell::new(0);
        let append = |bytes: u64| {
            for _ in 0..bytes / 1000 {
                wal.append(&[7; 1000]).unwrap();
                appended.update(|appended| appended + 1);
            }
        };
        let writer = wal.writer().unwrap();
        let long_ago = || Instant::now().checked_sub(GIVE_BACK_AFTER).unwrap();
        assert_eq!(
            writer.give_staging_back(),
            None,
            "nothing is there to be given back"
        );

        append(8 << 20);
        let grown = writer.ring.capacity();
        assert!(grown > FIRST_BYTES && file_len() == grown);
        let in_time = writer.give_staging_back().unwrap();
        assert!(in_time <= GIVE_BACK_AFTER);
        *writer.growth.looked.lock() = (long_ago(), writer.ring.tail());
        append(2 * FIRST_BYTES);
        assert_eq!(
            writer.give_staging_back(),
            Some(GIVE_BACK_AFTER),
            "much was appended"
        );
        assert_eq!(writer.ring.capacity(), grown);

        *writer.growth.looked.lock() = (long_ago(), writer.ring.tail());
        append(FIRST_BYTES / 2);
        assert_eq!(writer.give_staging_back(), None, "little was appended");
        assert_eq!((writer.ring.capacity(), file_len()), (FIRST_BYTES, FIRST_BYTES));
        append(8 << 20);
        assert_eq!(writer.ring.capacity(), grown, "it grows again");
        assert_eq!(wal.iter().unwrap().count(), appended.get());
    }
}
