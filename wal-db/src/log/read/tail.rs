//! Following a log: what is there, then what comes.

#[cfg(feature = "futures")]
use std::task::Waker;
use std::time::Duration;

use super::{
    dictionary::{Entry, Newer},
    iter,
    record::Record,
    scan::{Frame, Walker},
    seek::cut_back,
    view::View,
};
#[cfg(feature = "futures")]
use crate::sync::Seat;
use crate::{
    error::{Corruption, Result, WalError},
    format::GROUP_HEADER_LEN,
    log::base::Extent,
    lsn::Lsn,
    position::Position,
    sync::{Arc, Deadline},
};

/// How long a follower in another process than the writer sleeps between two looks: longer each time, until something
/// comes.
const PAUSE_MIN: Duration = Duration::from_micros(250);
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// How long a follower of what is written sleeps at first and at most, before it looks for what is only staged: nobody
/// rings for an append.
const FIRST_NAP: Duration = Duration::from_millis(1);
const LONGEST_NAP: Duration = Duration::from_millis(50);

/// Which records a follower is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Follow {
    /// Those that are durable: nothing that it is shown is ever taken back by power loss. Records become durable when
    /// somebody asks for it, by [`sync`](crate::Wal::sync) and its relatives or with a ticket: in a log where nobody does,
    /// the follower waits.
    #[default]
    Durable,
    /// Those that were appended: sooner, and a power loss may take the newest back. A follower that waits looks for them
    /// every 50 ms at the latest, and has them written to the store.
    Written,
}

/// A follower of a log, from [`Wal::tail`](crate::Wal::tail). It is shown the records in order and without a gap, first
/// those that are there, then each that comes.
///
/// A follower on a handle that [only reads](crate::Wal::open_read_only) follows the writer in whatever process it is, and
/// stays when there is none. Nobody wakes it, so it looks again after pauses of up to 20 ms, and it is shown as durable
/// what the log itself says is: after a [`sync`](crate::Wal::sync) that may be some milliseconds later, when the log is
/// sealed. A log that has neither [mapped staging memory](crate::Staging::Mapped) nor
/// [threads of its own](crate::WalConfig::with_background_flush) says so with its next commit, or when it is closed.
///
/// As an [`Iterator`] it waits for each record without end. It ends when the log is closed, or after an error other than
/// [`CutBack`](WalError::CutBack), which would only come again; [`next_timeout`](Self::next_timeout) still tries.
///
/// ```
/// # use std::time::Duration;
/// # use wal_db::{Lsn, MemStore, Wal};
/// let wal = Wal::with_store(MemStore::new())?;
/// let mut tail = wal.tail(Lsn::ZERO)?;
/// wal.append_and_sync(b"news")?;
/// let record = tail.next_timeout(Duration::from_secs(1))?;
/// assert_eq!(record.unwrap().data(), b"news");
/// assert!(tail.try_next()?.is_none());
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// With the feature `futures`, `Tail::into_stream` makes a stream of it, which tasks follow.
#[derive(Debug)]
pub struct Tail {
    view: Arc<View>,
    walker: Walker,
    /// The log's extent as it was looked at last, and its number; `None` before the first look.
    extent: Arc<Extent>,
    looked: Option<u64>,
    from: u64,
    /// Where what was delivered ends, without what it was told is gone.
    read_to: u64,
    follow: Follow,
    /// Damage was met; it is not passed over.
    broken: Option<Corruption>,
    ended: bool,
}

impl Tail {
    pub(crate) fn new(view: Arc<View>, from: u64) -> Result<Self> {
        let group = view.walk_start(from)?;
        let extent = view.base.extent();
        let read_to = extent.timeline.read_to(from);
        Ok(Tail {
            walker: Walker::new(extent.clone(), group, group),
            view,
            extent,
            looked: None,
            from,
            read_to,
            follow: Follow::Durable,
            broken: None,
            ended: false,
        })
    }

    /// What was read before ends here, if that is not where it begins.
    pub(crate) fn having_read_to(mut self, pos: u64) -> Self {
        self.read_to = pos;
        self
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

    /// The place from which the next record will come, to be stored with what the records did: unlike
    /// [`next_lsn`](Self::next_lsn) it says whether the log in which it is used is this one. Costs no reading after a record
    /// that was delivered.
    ///
    /// # Errors
    /// Whatever the store says, and [`WalError::Corruption`], if the group before has to be read.
    pub fn position(&self) -> Result<Position> {
        self.position_in(self.next_lsn(), 0)
    }

    /// As [`position`](Self::position), after so many events of the record at `lsn`, which was delivered if there are any.
    pub(crate) fn position_in(&self, lsn: Lsn, part: u32) -> Result<Position> {
        self.view.check_process()?;
        let known = (&*self.extent, self.walker.last_header());
        let mut position = self.view.position_at(lsn.pos(), part, known.0, known.1)?;
        if part == 0 {
            // What was cut off or never written between that and the position was not read.
            position.read_to = position.read_to.min(self.read_to);
        }
        Ok(position)
    }

    /// Delivers the record at `lsn` once more, and those after it.
    pub(crate) fn back_to(&mut self, lsn: Lsn) -> Result<()> {
        *self = Tail::new(self.view.clone(), lsn.pos())?.follow(self.follow);
        Ok(())
    }

    pub(crate) fn with_dictionary<T>(&self, run: impl FnOnce(&[Entry]) -> T) -> Result<T> {
        self.view.with_dictionary(run)
    }

    pub(crate) fn newer_schemas(&self) -> Newer {
        Newer::than_now(self.view.clone())
    }

    /// The next record if it is there.
    ///
    /// # Errors
    /// [`WalError::Corruption`] for damage, at which the follower stays; [`WalError::Truncated`] if records that it has not
    /// seen were dropped by [`truncate_before`](crate::Wal::truncate_before); [`WalError::CutBack`] once if records that
    /// were delivered were cut off, then what came instead; [`WalError::Closed`] or [`WalError::Poisoned`] if nothing will
    /// come any more.
    pub fn try_next(&mut self) -> Result<Option<Record>> {
        // Looked at first: what comes before the end is seen after it.
        let finished = self.view.base.is_finished();
        let found = match self.step()? {
            None if self.view.is_read_only() => {
                self.view.refresh(false)?;
                self.step()?
            }
            found => found,
        };
        match found {
            Some(record) => Ok(Some(record)),
            None if self.view.is_poisoned() => Err(self.view.poisoned()),
            None if finished => Err(WalError::Closed),
            None => Ok(None),
        }
    }

    /// The next record; waits for it, but not longer than `timeout`. `None`: the time is over. Fails as
    /// [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Record>> {
        let deadline = Deadline::after(timeout);
        let (mut pause, mut nap) = (PAUSE_MIN, FIRST_NAP);
        loop {
            if let Some(record) = self.try_next()? {
                return Ok(Some(record));
            }
            let mut left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            if self.view.is_read_only() {
                // Nothing tells this process that another one has written.
                let pause_now = left.map_or(pause, |left| left.min(pause));
                let base = &self.view.base;
                base.progress.sleep_unless(Some(pause_now), || base.is_finished());
                pause = PAUSE_MAX.min(2 * pause);
                continue;
            }
            if self.follow == Follow::Written {
                match self.view.drain_if_possible(u64::MAX) {
                    // What was appended before the log was closed is in the store, and is delivered first.
                    Err(WalError::Closed) => {}
                    result => result?,
                }
                left = Some(left.map_or(nap, |left| left.min(nap)));
                nap = (2 * nap).min(LONGEST_NAP);
            }
            let base = &self.view.base;
            base.progress.sleep_unless(left, || self.may_have_news());
        }
    }

    /// Sleeps until there may be more than there was, the log has ended, or somebody has woken its followers. Not if
    /// `is_called`.
    pub(crate) fn sleep_unless(&self, is_called: impl FnOnce() -> bool) {
        let base = &self.view.base;
        base.progress
            .sleep_unless(None, || self.may_have_news() || is_called());
    }

    /// Whether something has come, was cut off, or is over since nothing more was there.
    fn may_have_news(&self) -> bool {
        let base = &self.view.base;
        self.bound() > self.walker.end()
            || self.looked != Some(base.extents())
            || base.is_finished()
            || self.view.is_poisoned()
    }

    fn bound(&self) -> u64 {
        match self.follow {
            Follow::Durable => self.view.base.durable(),
            Follow::Written => self.view.base.written(),
        }
    }

    fn step(&mut self) -> Result<Option<Record>> {
        if let Some(damage) = &self.broken {
            return Err(damage.clone().into());
        }
        if self.looked == Some(self.view.base.extents())
            && self.walker.pos() >= self.from
            && self.walker.near_frame()
        {
            let frame = *self.walker.frame();
            return Ok(Some(self.deliver(&frame)));
        }
        self.view.check_process()?;
        loop {
            let bound = self.bound();
            self.look()?;
            self.walker.extend(self.extent.clone(), bound);
            return match self.walker.next_from(&self.view.base, self.from) {
                // What was cut off may have become durable by that.
                None if bound < self.extent.timeline.newest().start && bound < self.bound() => continue,
                None => {
                    self.pass_what_was_cut_off(bound);
                    Ok(None)
                }
                Some(Ok(frame)) => Ok(Some(self.deliver(&frame))),
                // A truncation may be all that is wrong.
                Some(Err(WalError::Corruption(_) | WalError::Truncated { .. }))
                    if self.looked != Some(self.view.base.extents()) =>
                {
                    continue;
                }
                Some(Err(WalError::Corruption(_))) if self.view.base.store.is_closed() => {
                    Err(WalError::Closed)
                }
                Some(Err(WalError::Corruption(damage))) => {
                    self.broken = Some(damage.clone());
                    Err(damage.into())
                }
                Some(Err(error)) => Err(error),
            };
        }
    }

    fn deliver(&mut self, frame: &Frame) -> Record {
        self.from = frame.end();
        self.read_to = self.from;
        iter::owned(&self.walker, frame)
    }

    /// There is nothing more before `bound`. What it did not deliver and is gone was cut off: what came instead is waited for
    /// after that.
    fn pass_what_was_cut_off(&mut self, bound: u64) {
        let newest = self.extent.timeline.newest();
        if bound >= newest.start {
            self.from = self.from.max(newest.start + GROUP_HEADER_LEN as u64);
        }
    }

    /// Looks at what truncation has changed, and whether it concerns what was delivered or is still to come.
    fn look(&mut self) -> Result<()> {
        let extents = self.view.base.extents();
        if self.looked == Some(extents) {
            return Ok(());
        }
        let extent = self.view.base.extent();
        extent.check_kept(self.from)?;
        (self.extent, self.looked) = (extent, Some(extents));
        if let Some(cut) = self.extent.timeline.cut_behind(self.read_to) {
            (self.from, self.read_to) = (cut.start + GROUP_HEADER_LEN as u64, cut.cut);
            self.walker = Walker::new(self.extent.clone(), cut.start, cut.start);
            return Err(cut_back(cut));
        }
        if self.walker.pos() < self.extent.head_group {
            let head = self.extent.head_group;
            self.walker = Walker::new(self.extent.clone(), head, head);
        }
        Ok(())
    }
}

#[cfg(feature = "futures")]
impl Tail {
    /// That somebody wakes the task that follows.
    pub(crate) fn check_wakes(&self) -> Result<()> {
        let what = match (self.view.is_read_only(), self.follow) {
            (true, _) => "a stream on a handle that only reads: nobody in this process wakes it",
            (_, Follow::Written) => {
                "a stream of what is written and not durable: nobody wakes it for an append"
            }
            (_, Follow::Durable) => return Ok(()),
        };
        let what =
            format!("{what}; follow with Tail::next_timeout in a thread, or poll Tail::try_next by a timer");
        Err(WalError::Config { what })
    }

    /// Has the task woken when there is something new. Not if there is already, and then it is to look again.
    pub(crate) fn wait(&self, seat: &mut Seat, waker: &Waker) -> bool {
        self.view.base.tasks.wait(seat, self.walker.end(), waker);
        !self.may_have_news()
    }

    /// The task does not wait any more.
    pub(crate) fn leave(&self, seat: &mut Seat) {
        // A child has locks that may be held for good.
        if !self.view.is_in_child() {
            self.view.base.tasks.leave(seat);
        }
    }
}

impl Iterator for Tail {
    type Item = Result<Record>;

    /// Waits for the next record without end; `None` once the log is closed, or after an error that lasts.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.next_timeout(Duration::MAX) {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => {}
                Err(WalError::Closed) => self.ended = true,
                Err(error) => {
                    self.ended = !matches!(error, WalError::CutBack { .. });
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
