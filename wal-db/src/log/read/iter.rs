//! Iterating forwards and backwards over the records that were there when the iterator was made.

use std::{iter::FusedIterator, ops::Bound};

use super::{
    dictionary::Entry,
    find,
    record::{Record, RecordKind, RecordRef},
    scan::{Frame, Walker},
    view::View,
};
use crate::{
    config::RecoveryPolicy,
    error::{CorruptionReason, Result, WalError},
    format::GROUP_HEADER_LEN,
    log::base::Extent,
    lsn::Lsn,
    sync::Arc,
};

/// The records of a log in order, from [`Wal::iter`](crate::Wal::iter) and its relatives.
///
/// It sees the records that were appended before it was made and none that come later. As an [`Iterator`] it yields
/// [`Record`]s; [`next_ref`](Self::next_ref) lends them without counting references, which is faster.
///
/// Damage is yielded as an error. Then it ends, or goes on after the damage if the log's [`RecoveryPolicy`] is to skip.
/// It never ends silently before the log does.
///
/// A long walk gets a thread that reads ahead, unless the log is to have none
/// ([`with_background_flush`](crate::WalConfig::with_background_flush)). The thread ends with the iterator.
#[derive(Debug)]
pub struct WalIter {
    view: Arc<View>,
    walker: Walker,
    from: u64,
    /// Records that start here or later are not handed out: they were not asked for, or came after this was made.
    to: u64,
    /// Goes on where the store ends: what waits in the staging memory of another process.
    then: Option<Arc<View>>,
    done: bool,
}

impl WalIter {
    pub(crate) fn with_dictionary<T>(&self, run: impl FnOnce(&[Entry]) -> T) -> Result<T> {
        self.view.with_dictionary(run)
    }

    pub(crate) fn check_process(&self) -> Result<()> {
        self.view.check_process()
    }

    /// Records from position `from` on and before `to`, with a walk that starts at the group at `group`. What lies before
    /// `to` was appended already.
    pub(crate) fn new(view: Arc<View>, group: u64, from: u64, to: u64) -> Self {
        let (end, then) = view.end_and_staged();
        let mut walker = Walker::new(view.base.extent(), group, end);
        if view.config.background_flush() {
            walker = walker.reading_ahead(to);
        }
        WalIter {
            view,
            walker,
            from,
            to,
            then,
            done: false,
        }
    }

    /// The LSN at which it starts: no record that it hands out has a lower one.
    pub(crate) fn start(&self) -> Lsn {
        let first = self.walker.pos() + GROUP_HEADER_LEN as u64;
        Lsn::from_pos(self.from.max(first))
    }

    /// The next record, lent until the next call.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// let wal = Wal::with_store(MemStore::new())?;
    /// wal.append(b"one")?;
    /// let mut records = wal.iter()?;
    /// while let Some(record) = records.next_ref() {
    ///     assert_eq!(record?.data(), b"one");
    /// }
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    // Lent from the call, a record costs nothing to hand over; outside of it, as much as to check.
    #[inline(always)]
    pub fn next_ref(&mut self) -> Option<Result<RecordRef<'_>>> {
        if !self.step_near()
            && let Err(error) = self.step_far()?
        {
            return Some(Err(error));
        }
        let frame = self.walker.frame();
        Some(Ok(RecordRef {
            lsn: Lsn::from_pos(frame.pos),
            kind: RecordKind::of(frame.word.kind),
            more: frame.word.more,
            data: self.walker.payload(frame),
        }))
    }

    /// Steps to the next record if it is at hand.
    #[inline(always)]
    fn step_near(&mut self) -> bool {
        let wanted = self.walker.pos() >= self.from && self.walker.pos() < self.to;
        wanted && !self.done && self.walker.near_frame()
    }

    /// Steps to the next record wherever it is.
    #[cold]
    fn step_far(&mut self) -> Option<Result<()>> {
        if !self.done
            && let Err(error) = self.view.check_process()
        {
            self.done = true;
            return Some(Err(error));
        }
        while !self.done {
            if self.walker.next_at_least() >= self.to {
                // What comes next was not asked for, damaged or not.
                self.done = true;
                break;
            }
            match self.walker.next_from(&self.view.base, self.from) {
                Some(Ok(frame)) if frame.pos < self.to => return Some(Ok(())),
                Some(Err(error)) => return Some(Err(self.after_error(error))),
                Some(Ok(_)) => self.done = true,
                None => match self.then.take() {
                    Some(view) => {
                        // What was cut off meanwhile is not shown, as little as what came before it was.
                        let (group, end) = (view.base.extent().head_group, view.base.written());
                        self.walker = Walker::new(self.view.base.now(), group, end);
                        self.view = view;
                    }
                    // A read-only handle has all that there was.
                    None if self.view.is_read_only() => self.done = true,
                    None => match self.flush_rest() {
                        Ok(more) => self.done = !more,
                        Err(error) => return Some(Err(self.after_error(error))),
                    },
                },
            }
        }
        None
    }

    /// At the end of what was in the store: has the rest of what is asked for written there. Whether there is any.
    fn flush_rest(&mut self) -> Result<bool> {
        let end = self.walker.end();
        if self.to <= end + GROUP_HEADER_LEN as u64 {
            return Ok(false);
        }
        let drained = self.view.drain_if_possible(self.to - 1);
        let written = self.view.base.written();
        match drained {
            // Closing the log has written all of it.
            Err(WalError::Closed) if written > end => {}
            result => result?,
        }
        self.walker.extend(self.view.base.extent(), written);
        Ok(written > end)
    }

    #[cold]
    fn after_error(&mut self, error: WalError) -> WalError {
        let error = self.view.base.of_closed(error);
        let skip = self.view.config.recovery_policy() == RecoveryPolicy::SkipBadRecords;
        if !skip || !matches!(error, WalError::Corruption(_)) {
            self.done = true;
        } else if let Err(error) = self.walker.resync(&self.view.base) {
            self.done = true;
            return error;
        }
        error
    }
}

impl Iterator for WalIter {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.step_near()
            && let Err(error) = self.step_far()?
        {
            return Some(Err(error));
        }
        Some(Ok(owned(&self.walker, self.walker.frame())))
    }
}

impl FusedIterator for WalIter {}

pub(crate) fn owned(walker: &Walker, frame: &Frame) -> Record {
    Record {
        lsn: Lsn::from_pos(frame.pos),
        kind: RecordKind::of(frame.word.kind),
        more: frame.word.more,
        data: walker.payload_bytes(frame),
    }
}

impl std::fmt::Debug for Walker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walker")
            .field("pos", &self.pos())
            .field("end", &self.end())
            .finish()
    }
}

/// A log, and the next group of it to read, as in [`RevIter`].
type Before = (Arc<View>, Option<(u64, u64)>);

/// The records of a log from the newest to the oldest, from [`Wal::iter_rev`](crate::Wal::iter_rev). It holds the
/// records of one group at a time: 512 KiB, or one batch or record that is longer.
///
/// Damage is yielded in its place, after what is intact and newer. Then it ends, or goes on before the damage if the log's
/// [`RecoveryPolicy`] is to skip.
#[derive(Debug)]
pub struct RevIter {
    view: Arc<View>,
    /// What is left of the group that is being yielded, in order.
    items: Vec<Result<Record>>,
    /// The next group to read, and where it ends at the latest; `None` at the head of the log.
    next: Option<(u64, u64)>,
    /// What is read was found in staging memory; before it comes this log, from a group on.
    before: Option<Before>,
}

impl RevIter {
    pub(crate) fn with_dictionary<T>(&self, run: impl FnOnce(&[Entry]) -> T) -> Result<T> {
        self.view.with_dictionary(run)
    }

    pub(crate) fn new(view: Arc<View>) -> Result<Self> {
        let (end, staged) = view.end_and_staged();
        let last = Self::ending_at(view, end)?;
        let Some(staged) = staged else { return Ok(last) };
        let end = staged.base.written();
        Ok(RevIter {
            before: Some((last.view, last.next)),
            ..Self::ending_at(staged, end)?
        })
    }

    fn ending_at(view: Arc<View>, end: u64) -> Result<Self> {
        let next = view.look(|extent| group_before(&view, extent, end))?;
        Ok(RevIter {
            view,
            items: Vec::new(),
            next: next.map(|group| (group, end)),
            before: None,
        })
    }

    /// The group at `pos` could not be read, perhaps because a truncation was faster. Then it says where to go on: at
    /// the last record before the cut, or nowhere if the log starts after `pos` now.
    fn explain(&self, pos: u64) -> Result<Option<Option<(u64, u64)>>> {
        self.view.base.now();
        self.view.look(|extent| {
            if pos < extent.head_group {
                return Ok(Some(None));
            }
            let Some(cut) = extent.timeline.cut_around(pos) else {
                return Ok(None);
            };
            let group = group_before(&self.view, extent, cut.cut)?;
            Ok(Some(group.map(|group| (group, cut.start))))
        })
    }

    /// Reads the group at `pos` with the damage in it, and notes where the one before it is.
    fn load(&mut self, pos: u64, end: u64) -> Result<()> {
        let base = &self.view.base;
        let extent = base.extent();
        let header = find::read_header(base, pos)?;
        let end = header.as_ref().map_or(end, |header| header.next().min(end));
        let mut walker = Walker::new(extent.clone(), pos, end);
        while let Some(frame) = walker.next_frame(base) {
            match frame {
                Ok(frame) if frame.pos < extent.head => {}
                Ok(frame) => self.items.push(Ok(owned(&walker, &frame))),
                Err(error @ WalError::Corruption(_)) => {
                    walker.resync(base)?;
                    self.items.push(Err(error));
                }
                Err(error) => return Err(error),
            }
        }
        let before = match header {
            Ok(header) => Some(header.prev).filter(|&prev| prev < pos && prev >= extent.head_group),
            Err(_) => group_before(&self.view, &extent, pos)?,
        };
        self.next = before.map(|before| (before, pos));
        Ok(())
    }

    /// Whether the group at `pos`, which was read with damage or not at all, is none any more.
    fn is_gone(&mut self, pos: u64) -> Result<bool> {
        let Some(next) = self.explain(pos)? else {
            return Ok(false);
        };
        self.items.clear();
        self.next = next;
        Ok(true)
    }

    /// Yields nothing after the error.
    fn ended_by(&mut self, error: WalError) -> WalError {
        self.items.clear();
        (self.next, self.before) = (None, None);
        self.view.base.of_closed(error)
    }

    fn fill(&mut self, pos: u64, end: u64) -> Result<()> {
        let loaded = self.load(pos, end);
        let damaged = loaded.is_err() || self.items.iter().any(Result::is_err);
        if damaged && self.is_gone(pos)? {
            return Ok(());
        }
        loaded
    }
}

impl Iterator for RevIter {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.items.is_empty() {
            let Some((pos, end)) = self.next.take() else {
                (self.view, self.next) = self.before.take()?;
                continue;
            };
            let checked = self.view.check_process();
            if let Err(error) = checked.and_then(|()| self.fill(pos, end)) {
                return Some(Err(self.ended_by(error)));
            }
        }
        let skip = self.view.config.recovery_policy() == RecoveryPolicy::SkipBadRecords;
        match self.items.pop()?.map_err(|error| self.view.base.of_closed(error)) {
            Err(error) if !skip || matches!(error, WalError::Closed) => Some(Err(self.ended_by(error))),
            item => Some(item),
        }
    }
}

impl FusedIterator for RevIter {}

/// The last group before `end`, or where its header should be.
fn group_before(view: &View, extent: &Extent, end: u64) -> Result<Option<u64>> {
    let Some(last) = end.checked_sub(1).filter(|&last| last >= extent.head_group) else {
        return Ok(None);
    };
    match find::find_group(&view.base, extent, last) {
        Ok(header) => Ok(Some(header.pos)),
        Err(WalError::Corruption(damage)) if damage.reason == CorruptionReason::GroupHeader => {
            Ok(Some(damage.start))
        }
        Err(error) => Err(error),
    }
}

/// The positions that a range of LSNs covers: from the first, if there is one, to before the second.
pub(crate) fn positions(start: Bound<&Lsn>, end: Bound<&Lsn>) -> (Option<u64>, u64) {
    let from = match start {
        Bound::Included(lsn) => Some(lsn.pos()),
        Bound::Excluded(lsn) => Some(lsn.pos().saturating_add(1)),
        Bound::Unbounded => None,
    };
    let to = match end {
        Bound::Included(lsn) => lsn.pos().saturating_add(1),
        Bound::Excluded(lsn) => lsn.pos(),
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemStore, Retention, Wal};

    /// A walk begins where its start was looked up, and the log may be truncated in between.
    #[test]
    fn what_was_dropped_before_the_walk_began_is_no_damage() {
        let wal = Wal::with_store(MemStore::new()).unwrap();
        let lsns: Vec<_> = (0..60)
            .map(|_| wal.append_and_sync(&[7; 1 << 20]).unwrap())
            .collect();
        let view = wal.view();
        let end = wal.end().pos();
        let starts = [5, 57].map(|i| view.walk_start(lsns[i].pos()).unwrap());
        wal.retain(&Retention::new().with_max_bytes(4 << 20)).unwrap();
        let mut dropped = WalIter::new(view.clone(), starts[0], lsns[5].pos(), end);
        let first = dropped.next();
        let first = first.unwrap().map(|record| record.lsn());
        assert!(matches!(first, Err(WalError::Truncated { .. })), "{first:?}");
        assert!(dropped.next().is_none());
        let mut kept = WalIter::new(view.clone(), starts[1], lsns[57].pos(), end);
        assert_eq!(kept.next().unwrap().unwrap().lsn(), lsns[57]);
    }
}
