//! Following a log: what is there, then what comes.

use std::time::Duration;

use super::{core::Core, iter, record::Record, scan::Walker};
use crate::{
    Lsn, Result, WalError,
    sync::{Arc, Deadline},
};

/// How long a follower in another process than the writer sleeps between two looks: longer each time, until something
/// comes.
const PAUSE_MIN: Duration = Duration::from_micros(250);
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Which records a follower is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Follow {
    /// Those that are durable: nothing that it is shown is ever taken back by power loss.
    #[default]
    Durable,
    /// Those that are in the store: sooner, and a power loss may take the newest back.
    Written,
}

/// A follower of a log, from [`Wal::tail`](crate::Wal::tail). It is shown the records in order and without a gap, first
/// those that are there, then each that comes.
///
/// A follower on a handle that [only reads](crate::Wal::open_read_only) follows the writer in whatever process it is, and
/// stays when there is none. Nobody wakes it, so it looks again after pauses of up to 20 ms, and it is shown as durable
/// what the log itself says is: after a [`sync`](crate::Wal::sync) that may be some milliseconds later, when the log is
/// sealed.
///
/// ```
/// # use std::time::Duration;
/// # use wal_db::{Lsn, MemStore, Wal};
/// # fn main() -> Result<(), wal_db::WalError> {
/// let wal = Wal::with_store(MemStore::new())?;
/// let mut tail = wal.tail(Lsn::ZERO)?;
/// wal.append_and_sync(b"news")?;
/// let record = tail.next_timeout(Duration::from_secs(1))?;
/// assert_eq!(record.unwrap().data(), b"news");
/// assert!(tail.try_next()?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tail {
    core: Arc<Core>,
    walker: Walker,
    from: u64,
    follow: Follow,
    /// Damage was met; it is not passed over.
    broken: bool,
}

impl Tail {
    pub(crate) fn new(core: Arc<Core>, from: Lsn) -> Result<Self> {
        let (from, walker) = core.look(|shape| {
            let from = from.pos().max(shape.head);
            let group = core.group_at(shape, from)?;
            Ok((from, Walker::new(shape.clone(), group, group)))
        })?;
        Ok(Tail {
            core,
            walker,
            from,
            follow: Follow::Durable,
            broken: false,
        })
    }

    /// Chooses which records are shown.
    #[must_use]
    pub fn follow(mut self, follow: Follow) -> Self {
        self.follow = follow;
        self
    }

    /// The LSN from which the next record will come. To follow on from here later, keep it with what the records did.
    pub fn next_lsn(&self) -> Lsn {
        Lsn::from_pos(self.from)
    }

    /// The next record if it is there.
    ///
    /// # Errors
    /// [`WalError::Corruption`] for damage, at which the follower stays; [`WalError::Truncated`] if the records were
    /// dropped by [`truncate_before`](crate::Wal::truncate_before); [`WalError::CutBack`] once if records that were
    /// delivered were cut off, then what came instead; [`WalError::Closed`] or [`WalError::Poisoned`] if nothing will
    /// come any more.
    pub fn try_next(&mut self) -> Result<Option<Record>> {
        // Looked at first: what comes before the end is seen after it.
        let finished = self.core.is_closed();
        let found = match self.step()? {
            None if self.core.writer().is_err() => {
                self.core.refresh(false)?;
                self.step()?
            }
            found => found,
        };
        match found {
            Some(record) => Ok(Some(record)),
            None if self.core.is_poisoned() => Err(self.core.poisoned()),
            None if finished => Err(WalError::Closed),
            None => Ok(None),
        }
    }

    /// The next record; waits for it, but not longer than `timeout`. `None`: the time is over.
    ///
    /// # Errors
    /// As for [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Record>> {
        let deadline = Deadline::after(timeout);
        let mut pause = PAUSE_MIN;
        loop {
            if let Some(record) = self.try_next()? {
                return Ok(Some(record));
            }
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let Ok(writer) = self.core.writer() else {
                // Nobody tells this process that another one has written.
                self.core.sleep(left.map_or(pause, |left| left.min(pause)));
                pause = PAUSE_MAX.min(2 * pause);
                continue;
            };
            if self.follow == Follow::Written {
                self.core.flush_through(u64::MAX)?;
            }
            let there = self.walker.end();
            writer.progress.sleep_unless(left, || {
                self.bound() > there || self.core.is_closed() || self.core.is_poisoned()
            });
        }
    }

    fn bound(&self) -> u64 {
        match self.follow {
            Follow::Durable if seeded_bug!("followers-see-what-is-not-durable") => self.core.base.written(),
            Follow::Durable => self.core.base.durable(),
            Follow::Written => self.core.base.written(),
        }
    }

    fn step(&mut self) -> Result<Option<Record>> {
        if self.broken {
            return Err(self
                .core
                .base
                .damage(self.from, self.from, crate::CorruptionReason::Frame)
                .into());
        }
        if self.walker.pos() >= self.from && self.walker.near_frame() {
            let frame = *self.walker.frame();
            self.from = frame.end();
            return Ok(Some(iter::owned(&self.walker, &frame)));
        }
        let base = &self.core.base;
        let (bound, shape) = (self.bound(), base.shape());
        if self.from < shape.head {
            return Err(WalError::Truncated {
                lsn: Lsn::from_pos(self.from),
                head: Lsn::from_pos(shape.head),
            });
        }
        if let Some(cut) = shape.timeline.cut_around(self.from) {
            let kept_before = Lsn::from_pos(cut.cut);
            let delivered = self.from > cut.cut;
            self.from = cut.start;
            self.walker = Walker::new(shape.clone(), cut.start, cut.start);
            if delivered {
                return Err(WalError::CutBack {
                    kept_before,
                    next: Lsn::from_pos(cut.start),
                });
            }
        }
        self.walker.extend(shape, bound);
        while let Some(frame) = self.walker.next_frame(base) {
            let frame = frame.inspect_err(|error| self.broken = matches!(error, WalError::Corruption(_)))?;
            if frame.pos >= self.from {
                self.from = frame.end();
                return Ok(Some(iter::owned(&self.walker, &frame)));
            }
        }
        Ok(None)
    }
}

impl Iterator for Tail {
    type Item = Result<Record>;

    /// Waits for the next record without end; `None` once the log is closed.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_timeout(Duration::MAX) {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => {}
                Err(WalError::Closed) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
