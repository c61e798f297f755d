//! Cutting a log: its end after a record, its beginning before one; while others append and read.
//!
//! Both take effect with one durable write of the manifest. What is removed after that is only space: a crash in
//! between leaves it for the next truncation.

use std::{io, time::Duration};

use super::{
    turn::{Held, Turn},
    writer::Writer,
};
use crate::{
    error::{ConsumerError, Result, WalError},
    format::{GROUP_HEADER_LEN, Manifest, Mark, timeline::EpochStart},
    log::{
        base::{Extent, mark_after},
        clock,
        open::keeper::{self, Left},
        read::{
            consumer_files::ConsumerFiles, dictionary::Set, find, hold::Holds, record::RecordKind,
            scan::Walker,
        },
    },
    lsn::{Lsn, Pos},
    sync::{Arc, LAST},
};

/// Which end of a record a cut is at.
#[derive(Debug, Clone, Copy)]
enum Cut {
    After,
    From,
}

/// What nobody will read again.
enum Dead {
    Nothing,
    Bytes(u64, u64),
    /// Everything before the group with which the log starts.
    Before(u64),
}

/// Tells from where on a state needs the log.
pub(crate) trait Needs: Send + Sync {
    fn needed_from(&self) -> Result<Lsn>;
}

impl Writer {
    /// That the log can be cut: it is open, and no call of the store has failed.
    fn check_cuttable(&self) -> Result<()> {
        self.check_usable()?;
        if self.ring.is_shut() || self.is_poisoned() {
            return Err(self.shut_error());
        }
        Ok(())
    }

    pub(crate) fn truncate_after(&self, lsn: Lsn) -> Result<()> {
        self.cut(lsn, Cut::After)
    }

    pub(crate) fn truncate_from(&self, lsn: Lsn) -> Result<()> {
        self.cut(lsn, Cut::From)
    }

    fn cut(&self, lsn: Lsn, cut: Cut) -> Result<()> {
        self.check_cuttable()?;
        let record = self.read(lsn)?;
        if record.kind() == RecordKind::Schema {
            return Err(WalError::NoSuchRecord { lsn });
        }
        let end = record.lsn().pos() + crate::format::frame_len(record.len());
        let passage = self.turnstile.pass()?;
        passage.count();
        let mut schemas = self.dictionary.lock();
        let mut turn = Turn::take(self);
        // From here on, closing waits for the turn.
        self.check_cuttable()?;
        let result = turn.run(|held| {
            held.committer.consumer.freeze(&self.ring);
            let result = held.cut_at(&mut schemas, (lsn, end), cut);
            let key = self.base.key(held.committer.mark.epoch);
            held.committer.consumer.thaw(&self.ring, key);
            result
        });
        let done = self.arrive(self.base.durable(), false);
        drop(turn);
        drop(schemas);
        drop(passage);
        self.tell_all(done, || Ok(()));
        let dead = result.map_err(WalError::of_what_was_taken);
        // Followers are told at once that something was cut off, which holds also if what comes after that has failed. What was
        // before the cut has become durable.
        self.wake(self.base.tasks.take_passed(LAST));
        self.wake_tasks();
        match dead? {
            Dead::Nothing => {}
            // The space is given back if the store can; the cut holds in any case.
            Dead::Bytes(start, end) if start >= end => {}
            Dead::Bytes(start, end) => drop(self.base.store.discard(start, end)),
            Dead::Before(group) => drop(self.give_back_before(group)),
        }
        Ok(())
    }

    /// Writes the manifest of a cut. Ok means that the cut is durable: the log may have failed all the same, and takes
    /// nothing more then.
    fn publish(&self, next: &mut Manifest) -> Result<()> {
        let Err(unwritten) = keeper::write_manifest(&self.base.store, next) else {
            return Ok(());
        };
        if unwritten.left == Left::Nothing {
            return Err(unwritten.error);
        }
        self.fail();
        match unwritten.left {
            Left::OneCopy => Ok(()),
            _ => Err(self.in_doubt()),
        }
    }

    /// The mark of a log that ends with the record at `pos` and continues at `start`, and whether it ends there already.
    fn mark_behind(&self, extent: &Arc<Extent>, pos: u64, start: u64) -> Result<(Mark, bool)> {
        let header = find::find_group(&self.base, extent, pos)?;
        let kept = self.index_in_group(extent, &header, pos)? + 1;
        let mut walker = Walker::new(extent.clone(), header.pos, header.next());
        let found = walker.next_from(&self.base, pos).transpose()?;
        if found.is_none_or(|frame| frame.pos != pos) {
            // It is intact by itself, but those before it do not lead to it.
            return Err(WalError::NoSuchRecord {
                lsn: Lsn::from_pos(pos),
            });
        }
        // Whatever comes, it is after the record; it may be damaged.
        let mut rest = Walker::new(extent.clone(), header.next(), start);
        let is_last = walker.next_frame(&self.base).is_none() && rest.next_frame(&self.base).is_none();
        let mark = Mark {
            pos: start,
            ordinal: header.ordinal + kept,
            ..mark_after(&header, self.base.log)
        };
        Ok((mark, is_last))
    }

    /// The mark of a log that loses its first record, the one at `pos`, with all that follow, and continues at `start`.
    fn mark_of_none(&self, extent: &Arc<Extent>, pos: u64, start: u64) -> Result<Mark> {
        let header = find::find_group(&self.base, extent, pos)?;
        Ok(Mark {
            pos: start,
            ordinal: extent.head_ordinal,
            ..mark_after(&header, self.base.log)
        })
    }

    /// The last record before `before`, looked for from `group` back to the head's: where it starts and where it ends.
    fn last_before(
        &self,
        extent: &Arc<Extent>,
        group: Option<u64>,
        before: u64,
    ) -> Result<Option<(u64, u64)>> {
        let mut next = group;
        while let Some(group) = next.filter(|&group| group >= extent.head_group) {
            let header = find::header_at(&self.base, group)?;
            let mut walker = Walker::new(extent.clone(), group, header.next());
            let mut last = None;
            while header.count > 0
                && let Some(frame) = walker.next_frame(&self.base).transpose()?
                && frame.pos < before
            {
                last = Some((frame.pos, frame.end()));
            }
            if last.is_some() {
                return Ok(last);
            }
            next = Some(header.prev).filter(|&prev| prev < group);
        }
        Ok(None)
    }

    pub(crate) fn truncate_before(&self, lsn: Lsn) -> Result<Lsn> {
        self.drop_before(lsn, None, None)
    }

    /// In an epoch, and not in a later one.
    pub(crate) fn truncate_before_unless_held(&self, lsn: Lsn, epoch: u32) -> Result<Lsn> {
        self.drop_before(lsn, Some(&self.holds), Some(epoch))
    }

    fn drop_before(&self, lsn: Lsn, keep: Option<&Holds>, epoch: Option<u32>) -> Result<Lsn> {
        self.check_cuttable()?;
        self.check_end(lsn.pos())?;
        let tail = self.ring.tail();
        self.sync_to(lsn.pos().saturating_add(1).min(tail))?;
        self.move_head(lsn.pos(), keep, epoch).map(Lsn::from_pos)
    }

    /// Makes the log start with the first record at or after `target`, durably, but not after what `keep` still needs, if
    /// it is given, and only if `epoch` is the newest one, if that is given. Nobody can ask for more to be kept meanwhile.
    /// Returns where it starts now.
    fn move_head(&self, target: u64, keep: Option<&Holds>, epoch: Option<u32>) -> Result<u64> {
        // No consumer begins or goes back meanwhile.
        let _consumers = keep.map(|_| self.consumers.lock());
        let consumer = keep.map_or(Ok(None), |_| self.slowest_consumer(true))?;
        // No schema is being written meanwhile, so the mark can move.
        let _schemas = self.dictionary.lock();
        let mut manifest = self.manifest.lock();
        // From here on, closing waits for the manifest.
        self.check_cuttable()?;
        let extent = self.base.extent();
        let mut kept = keep.map(Holds::lock);
        let slowest = kept.as_mut().and_then(|holds| holds.slowest());
        let target = target.min(slowest.unwrap_or(u64::MAX));
        let target = consumer.map_or(target, |(needed_from, _)| target.min(needed_from.pos()));
        let is_of_another = epoch.is_some_and(|epoch| epoch != extent.timeline.newest().epoch);
        if target <= extent.head || is_of_another {
            return Ok(extent.head);
        }
        let mark = self.base.flushed_mark();
        let moved = self.head_at(&extent, target, mark)?;
        let mut next = manifest.clone();
        // A scan must not start in front of the head: nothing may be left there.
        self.set_mark(&mut next, mark);
        next.head = moved.head;
        next.head_group = moved.head_group;
        next.head_ordinal = moved.head_ordinal;
        next.dropped = moved.dropped;
        next.timeline = moved.timeline.clone();
        self.publish(&mut next)?;
        *manifest = next;
        self.count_dropped(extent.live_bytes(extent.head, moved.head));
        let (head, group) = (moved.head, moved.head_group);
        self.base.set_extent(moved);
        drop(kept);
        self.head_moved();
        // The head has moved even if this fails; the next truncation tries again.
        let _ = self.give_back_before(group);
        Ok(head)
    }

    /// Gives back the space of what lies before the group with which the log starts.
    fn give_back_before(&self, group: u64) -> io::Result<()> {
        // A store without segments keeps the head's window, where the schemas of its records are.
        let first = match self.base.segment_len {
            0 => self.base.window_start(group),
            _ => group,
        };
        self.base.store.truncate_before(first)
    }

    /// The extent of a log that starts with the first record at or after `target`, or at the durable end.
    fn head_at(&self, extent: &Arc<Extent>, target: u64, end: Mark) -> Result<Extent> {
        let target = extent.skip_cut(target);
        let group = self.group_at(extent, target.min(end.pos))?;
        let mut walker = Walker::new(extent.clone(), group, end.pos);
        let mut timeline = extent.timeline.clone();
        let first = walker.next_from(&self.base, target).transpose()?;
        let header = walker.header().copied();
        let Some((frame, header)) = first.zip(header) else {
            let forgotten = timeline.drop_before(self.base.window_start(end.pos));
            let head = end.pos + GROUP_HEADER_LEN as u64;
            let last = Some(end.prev).filter(|&prev| prev < end.pos);
            return Ok(Extent {
                head,
                head_group: end.pos,
                head_ordinal: end.ordinal,
                dropped: self.dropped_before(extent, head, last).max(after_cut(forgotten)),
                timeline,
            });
        };
        let forgotten = timeline.drop_before(self.base.window_start(header.pos));
        Ok(Extent {
            head: frame.pos,
            head_group: header.pos,
            head_ordinal: header.ordinal + self.index_in_group(extent, &header, frame.pos)?,
            dropped: self
                .dropped_before(extent, frame.pos, Some(header.pos))
                .max(after_cut(forgotten)),
            timeline,
        })
    }

    /// After the start of the last record before `head`, which is in `group` or in one before it. Where damage hides
    /// it, it may be anywhere before the head.
    fn dropped_before(&self, extent: &Arc<Extent>, head: u64, group: Option<u64>) -> u64 {
        match self.last_before(extent, group, head) {
            Ok(Some((last, _))) => extent.dropped.max(last + 1),
            Ok(None) => extent.dropped,
            Err(_) => head,
        }
    }

    pub(crate) fn retain(&self, retention: &Retention) -> Result<Lsn> {
        self.check_cuttable()?;
        let tail = self.ring.tail();
        let slowest = self.holds.lock().slowest();
        let needed_from = slowest.unwrap_or(tail).min(tail);
        let mut keep_from = 0;
        if let Some(bytes) = retention.max_bytes {
            keep_from = self.base.extent().last_bytes(Pos(tail), bytes).0;
        }
        if let Some(age) = retention.max_age {
            let oldest = clock::now().checked_sub(age).map_or(0, clock::micros);
            keep_from =
                keep_from.max(self.look(|extent| self.first_young(extent, oldest, Pos(needed_from)))?);
        }
        let keep_from = keep_from.min(needed_from);
        // Somebody may register meanwhile; that is seen when the head moves.
        let head = self.drop_before(Lsn::from_pos(keep_from), Some(&self.holds), None)?;
        if let Some(max_bytes) = retention.max_kept_for_consumers
            && let Some((needed_from, name)) = self.slowest_consumer(false)?
        {
            let kept_bytes = keep_from.saturating_sub(needed_from.max(head).pos());
            if kept_bytes > max_bytes {
                return Err(ConsumerError::KeepsTooMuch {
                    name,
                    needed_from,
                    kept_bytes,
                    max_bytes,
                }
                .into());
            }
        }
        Ok(head)
    }

    /// The consumer of this log that needs the oldest record, and from where on it needs it. If that `must_last`, none needs
    /// an older one after a power loss.
    fn slowest_consumer(&self, must_last: bool) -> Result<Option<(Lsn, String)>> {
        let Some(files) = self.base.store.shared().side_files().map(ConsumerFiles::new) else {
            return Ok(None);
        };
        let mut slowest = None;
        for name in files.names()? {
            if let Some(kept) = files.load(&name)?
                && kept.cursor.log == self.base.log
            {
                let this = (kept.needed_from(), name);
                slowest = Some(slowest.map_or(this.clone(), |slowest| this.min(slowest)));
            }
        }
        if must_last && slowest.is_some() {
            files.sync()?;
        }
        Ok(slowest)
    }

    /// Where the first group starts, from the head on and before `to`, that was written at `oldest` or later, or the
    /// last one ends. Times need not grow from group to group, so what is dropped was looked at, all of it.
    fn first_young(&self, extent: &Arc<Extent>, oldest: u64, to: Pos) -> Result<u64> {
        let end = self.base.written().min(to.0);
        let mut pos = extent.head_group;
        while pos < end {
            let next = match find::read_header(&self.base, pos)? {
                Ok(header) if extent.timeline.owns(&header) => Some(header),
                // Damage has no age; what comes after it decides.
                _ => find::find_header(&self.base, extent, pos, end)?,
            };
            match next {
                Some(header) if header.time_us < oldest => pos = extent.skip_cut(header.next()),
                Some(header) => return Ok(header.pos),
                None => break,
            }
        }
        Ok(pos)
    }
}

impl Held<'_> {
    /// With the log frozen: makes everything durable, then begins an epoch that continues after the record at `lsn`,
    /// which ends at `end`, or after the one before it. Returns what nobody will read again.
    fn cut_at(&mut self, schemas: &mut Set, (lsn, end): (Lsn, u64), cut: Cut) -> Result<Dead> {
        self.commit()?;
        let Held { writer, committer } = self;
        let extent = writer.base.extent();
        if lsn.pos() < extent.head || extent.timeline.cut_around(lsn.pos()).is_some() {
            // Another truncation was faster.
            return Err(WalError::NoSuchRecord { lsn });
        }
        let start = committer.consumer.open();
        let last = match cut {
            Cut::After => Some((lsn.pos(), end)),
            Cut::From => {
                let group = find::find_group(&writer.base, &extent, lsn.pos())?.pos;
                let last = writer.last_before(&extent, Some(group), lsn.pos())?;
                if last.is_some_and(|(_, end)| end > lsn.pos()) {
                    return Err(WalError::NoSuchRecord { lsn });
                }
                last.filter(|&(last, _)| last >= extent.head)
            }
        };
        let (kept, is_done) = match last {
            Some((last, _)) => writer.mark_behind(&extent, last, start)?,
            None => (writer.mark_of_none(&extent, lsn.pos(), start)?, false),
        };
        if is_done {
            return Ok(Dead::Nothing);
        }
        let cut = last.map_or(lsn.pos(), |(_, end)| end);
        let newest_schema = writer.schema_frame_before(cut)?;
        let mut manifest = writer.manifest.lock();
        let epoch = manifest.timeline.newest().epoch + 1;
        let mut next = manifest.clone();
        let room = writer.config.timeline_room(writer.base.store.slots());
        if !next.timeline.push_within(EpochStart { start, cut, epoch }, room) {
            return Err(WalError::TooManyTruncations {
                count: next.timeline.len(),
            });
        }
        next.mark = Mark { epoch, ..kept };
        next.schema = newest_schema;
        let is_empty = last.is_none();
        if is_empty {
            next.head = start + GROUP_HEADER_LEN as u64;
            next.head_group = start;
            next.head_ordinal = kept.ordinal;
        }
        writer.publish(&mut next)?;
        *manifest = next;
        writer.count_cut(start - cut);
        committer.begin_epoch(manifest.mark);
        writer.base.go_on_from(manifest.mark);
        writer.ring.set_epoch(epoch);
        writer.covered.cut();
        writer.dictionary.begin_anew(schemas, newest_schema);
        writer.base.set_extent(Extent::of(&manifest));
        if is_empty {
            writer.head_moved();
            return Ok(Dead::Before(start));
        }
        let dead_from = find::read_header(&writer.base, kept.prev)?.map_or(start, |header| header.next());
        Ok(Dead::Bytes(dead_from, start))
    }
}

/// The first position that cannot have read what a cut that ends at `start` has removed.
fn after_cut(start: u64) -> u64 {
    if start > 0 { start + 1 } else { 0 }
}

/// How much of a log to keep. What any limit gives up is dropped, in whole records, except what a
/// [`Hold`](crate::Hold) or a [consumer](crate::consumer) still needs. A limit holds when [`Wal::retain`](crate::Wal::retain) returns; what is appended later counts the next time.
///
/// ```
/// use std::time::Duration;
/// use wal_db::Retention;
/// let retention = Retention::new().with_max_bytes(1 << 30).with_max_age(Duration::from_secs(7 * 24 * 3600));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct Retention {
    max_bytes: Option<u64>,
    max_age: Option<Duration>,
    max_kept_for_consumers: Option<u64>,
}

impl Retention {
    /// Keeps everything.
    pub const fn new() -> Self {
        Retention {
            max_bytes: None,
            max_age: None,
            max_kept_for_consumers: None,
        }
    }

    /// Keeps the last so many bytes of the log, framing included: from the head to the end at the time of the call,
    /// durable or not, without what was cut off. (What is given up is made durable before it is dropped.) Files take more:
    /// whole segments, and space that is made ready ahead.
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Keeps what was written in this time, by the clock of the writer, and all that comes after the first record that
    /// is so young: after a clock that went back and forth, too much is kept and never too little.
    pub const fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// How many bytes of log may be kept beyond the limits because a [consumer](crate::consumer) has not read them, running or
    /// not; any number if nothing is said. If one needs more, [`Wal::retain`](crate::Wal::retain) drops what it can, and
    /// returns [`ConsumerError::KeepsTooMuch`](crate::consumer::ConsumerError::KeepsTooMuch), which names it.
    pub const fn with_max_kept_for_consumers(mut self, bytes: u64) -> Self {
        self.max_kept_for_consumers = Some(bytes);
        self
    }
}
