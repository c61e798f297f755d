//! What readers of a log share with its writer: the store, and how far it may be read.

use std::io;

use crate::{
    error::{Corruption, CorruptionReason, Result, WalError},
    format::{FrameKey, GroupHeader, LogId, Manifest, Mark, SECTOR, timeline::Timeline},
    lsn::{Lsn, Pos},
    storage::{Latched, StoreFault},
    sync::{Arc, AtomicBool, AtomicU64, Bell, CachePadded, Mutex, Ordering, RwLock, Tasks},
};

/// The readable side of a log.
pub(crate) struct Base {
    pub(crate) store: Latched,
    pub(crate) log: LogId,
    /// 0 for a log in one file.
    pub(crate) segment_len: u64,
    extent: RwLock<Arc<Extent>>,
    /// How often the extent has changed.
    extents: AtomicU64,
    /// Every group before it is in the store.
    written: Reached,
    /// Every group before it is on stable storage.
    flushed: Reached,
    /// As `flushed`, and certified if the log is to be; what is acknowledged.
    durable: CachePadded<AtomicU64>,
    /// Nothing will come any more: the log was closed.
    finished: AtomicBool,
    /// Rings when the log was written, became durable, was closed or has failed; followers listen.
    pub(crate) progress: Bell,
    /// Wait for what is durable to pass what they know, or for the end of the log. The writer wakes them, where it holds no
    /// lock.
    pub(crate) tasks: Tasks,
    /// Every record that starts before it is durable, and it may be there when there is none: a commit moves it to where it has
    /// begun, which `durable` may never come to.
    synced: AtomicU64,
    /// Wait for `synced`, as the others do for what is durable.
    pub(crate) syncs: Tasks,
    /// For a handle that only reads.
    pub(crate) seen: Option<Mutex<Seen>>,
}

/// What a handle for reading only knows of the log, as of when it last looked.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) manifest: Manifest,
    /// After the last intact group.
    pub(crate) mark: Mark,
}

impl Seen {
    pub(crate) fn of(manifest: Manifest) -> Seen {
        let mark = manifest.mark;
        Seen { manifest, mark }
    }
}

/// A mark that moves on, and its position, which is read without a lock.
struct Reached {
    pos: CachePadded<AtomicU64>,
    mark: Mutex<Mark>,
}

impl Reached {
    fn new(mark: Mark) -> Self {
        Reached {
            pos: CachePadded::new(AtomicU64::new(mark.pos)),
            mark: Mutex::new(mark),
        }
    }

    fn pos(&self) -> u64 {
        self.pos.load(Ordering::Acquire)
    }

    fn set(&self, mark: Mark) {
        *self.mark.lock() = mark;
        self.pos.store(mark.pos, Ordering::Release);
    }
}

/// How far the log reaches, and what was cut out of it: what truncation changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// The first live record, or where it will be.
    pub(crate) head: u64,
    pub(crate) head_group: u64,
    pub(crate) head_ordinal: u64,
    /// After the start of the last record that was dropped from the beginning, and the end of the last cut that can no
    /// longer be reported; 0 if there was none.
    pub(crate) dropped: u64,
    pub(crate) timeline: Timeline,
}

impl Extent {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Extent {
            head: manifest.head,
            head_group: manifest.head_group,
            head_ordinal: manifest.head_ordinal,
            dropped: manifest.dropped,
            timeline: manifest.timeline.clone(),
        }
    }

    /// Where the group after one that ends at `pos` starts: there, or after what was cut off.
    pub(crate) fn skip_cut(&self, pos: u64) -> u64 {
        self.timeline.cut_around(pos).map_or(pos, |cut| cut.start)
    }

    /// How many bytes of `from..to` were not cut off.
    pub(crate) fn live_bytes(&self, from: u64, to: u64) -> u64 {
        let cuts = self
            .timeline
            .newest_first()
            .take_while(|entry| entry.start > from);
        let cut_off = cuts.map(|entry| entry.start.min(to).saturating_sub(entry.cut.max(from)));
        to.saturating_sub(from) - cut_off.sum::<u64>()
    }

    /// Where the last so many bytes before `end` begin, without what was cut off.
    pub(crate) fn last_bytes(&self, end: Pos, bytes: u64) -> Pos {
        let (mut pos, mut left) = (end.0, bytes);
        for entry in self.timeline.newest_first() {
            let there = pos.saturating_sub(entry.start);
            if there >= left {
                break;
            }
            (pos, left) = (entry.cut, left - there);
        }
        Pos(pos.saturating_sub(left))
    }

    /// Whether what followed a frame that ends at `pos` was cut off.
    pub(crate) fn is_cut_at(&self, pos: u64) -> bool {
        let cut = self.timeline.cut_around(pos);
        cut.is_some_and(|cut| cut.cut == pos)
    }

    /// That no record at `pos` or after it was dropped from the beginning.
    pub(crate) fn check_kept(&self, pos: u64) -> Result<()> {
        if pos >= self.dropped {
            return Ok(());
        }
        Err(self.truncated(pos))
    }

    /// That what is at `pos` was dropped from the beginning.
    pub(crate) fn truncated(&self, pos: u64) -> WalError {
        WalError::Truncated {
            lsn: Lsn::from_pos(pos),
            head: Lsn::from_pos(self.head),
        }
    }
}

impl Base {
    /// The log that ends with the mark of its manifest.
    pub(crate) fn of(store: Latched, manifest: &Manifest) -> Self {
        let extent = Extent::of(manifest);
        Self::new(store, manifest.log, manifest.segment_len, extent, manifest.mark)
    }

    pub(crate) fn new(store: Latched, log: LogId, segment_len: u64, extent: Extent, end: Mark) -> Self {
        Base {
            store,
            log,
            segment_len,
            extent: RwLock::new(Arc::new(extent)),
            extents: AtomicU64::new(0),
            written: Reached::new(end),
            flushed: Reached::new(end),
            durable: CachePadded::new(AtomicU64::new(end.pos)),
            finished: AtomicBool::new(false),
            progress: Bell::new(),
            tasks: Tasks::new(),
            synced: AtomicU64::new(end.pos),
            syncs: Tasks::new(),
            seen: None,
        }
    }

    pub(crate) fn extent(&self) -> Arc<Extent> {
        if self.store.is_in_child() {
            // The thread that was changing it when the process was forked is not there to finish.
            return self
                .extent
                .try_read()
                .map_or_else(Arc::default, |extent| extent.clone());
        }
        self.extent.read().clone()
    }

    pub(crate) fn set_extent(&self, extent: Extent) {
        *self.extent.write() = Arc::new(extent);
        self.extents.fetch_add(1, Ordering::Release);
        // A follower may have read what was cut off.
        self.progress.ring();
    }

    /// A number that differs once the extent has changed. Read before the extent, so that a change in between is seen later.
    pub(crate) fn extents(&self) -> u64 {
        self.extents.load(Ordering::Acquire)
    }

    /// The manifest as of when somebody last looked, for a handle that only reads.
    pub(crate) fn seen_manifest(&self) -> Option<Manifest> {
        self.seen.as_ref().map(|seen| seen.lock().manifest.clone())
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.pos()
    }

    /// The mark after the last group that is in the store: a flush that begins now covers what is before it.
    pub(crate) fn written_mark(&self) -> Mark {
        if self.store.is_in_child() {
            return self
                .written
                .mark
                .try_lock()
                .map_or_else(Mark::default, |mark| *mark);
        }
        *self.written.mark.lock()
    }

    pub(crate) fn set_written(&self, mark: Mark) {
        self.written.set(mark);
        self.progress.ring();
    }

    /// Records in the store, counted from the making of the log.
    pub(crate) fn ordinal(&self) -> u64 {
        self.written_mark().ordinal
    }

    pub(crate) fn flushed(&self) -> u64 {
        self.flushed.pos()
    }

    /// The mark after the last group that is known to be on stable storage.
    pub(crate) fn flushed_mark(&self) -> Mark {
        *self.flushed.mark.lock()
    }

    /// Moves the flushed mark forward; flushes may end in another order than they began.
    pub(crate) fn raise_flushed(&self, mark: Mark) {
        let mut held = self.flushed.mark.lock();
        if held.pos < mark.pos {
            *held = mark;
            self.flushed.pos.store(mark.pos, Ordering::Release);
        }
    }

    /// The log goes on from `mark`, up to which it is written and on stable storage.
    pub(crate) fn go_on_from(&self, mark: Mark) {
        self.flushed.set(mark);
        self.set_written(mark);
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }

    /// Moves the durable position forward; flushes may end in another order than they began.
    pub(crate) fn raise_durable(&self, pos: u64) {
        self.durable.fetch_max(pos, Ordering::SeqCst);
        self.progress.ring();
    }

    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Ordering::SeqCst)
    }

    /// A commit that began here has ended well.
    pub(crate) fn raise_synced(&self, pos: u64) {
        self.synced.fetch_max(pos, Ordering::SeqCst);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.progress.ring();
    }

    pub(crate) fn key(&self, epoch: u32) -> FrameKey {
        FrameKey::new(self.log, epoch)
    }

    pub(crate) fn segment_of(&self, pos: u64) -> Option<u64> {
        pos.checked_div(self.segment_len)
    }

    /// Where the segment ends that a position is in.
    fn segment_end(&self, pos: u64) -> Option<u64> {
        let segment = self.segment_of(pos)?;
        Some(segment.saturating_add(1).saturating_mul(self.segment_len))
    }

    pub(crate) fn damage(&self, start: u64, end: u64, reason: CorruptionReason) -> Corruption {
        Corruption {
            lsn: Lsn::from_pos(start),
            segment: self.segment_of(start),
            start,
            end,
            reason,
            log: self.store.location().cloned(),
        }
    }

    /// Reads what is there at `pos`, up to the length of `buf`. Less than that is all there is.
    pub(crate) fn read(&self, pos: u64, buf: &mut [u8]) -> Result<usize> {
        let got = self.read_some(pos, buf)?;
        if got < buf.len() {
            self.check_next(pos + got as u64)?;
        }
        Ok(got)
    }

    /// Reads what is there at `pos`, up to where something is wrong with a segment.
    pub(crate) fn read_some(&self, pos: u64, buf: &mut [u8]) -> Result<usize> {
        let read = self.store.read_at(pos, buf);
        read.map_err(|error| self.read_error(pos, buf.len(), error))
    }

    /// That nothing is wrong with the segment that starts at `pos`, if one does, where a read of the one before ended.
    pub(crate) fn check_next(&self, pos: u64) -> Result<()> {
        if self.segment_len > 0 && pos.is_multiple_of(self.segment_len) {
            self.read_some(pos, &mut [0])?;
        }
        Ok(())
    }

    /// Where to read on at `pos`, where zeros were met, and before `end`: after the hole, if that is one. A sector that
    /// is not all in it is read.
    pub(crate) fn skip_hole(&self, pos: u64, end: u64) -> u64 {
        match self.store.next_data(pos) {
            Ok(data) => (data / SECTOR * SECTOR).clamp(pos, end.max(pos)),
            _ => pos,
        }
    }

    /// Where to read on after `got` of `want` bytes were read at `pos`: a segment that is cut short is no reason to
    /// leave out what comes after it.
    pub(crate) fn after_read(&self, pos: u64, got: usize, want: usize) -> u64 {
        match got == want {
            true => pos + got as u64,
            false => self
                .segment_end(pos.saturating_add(got as u64))
                .unwrap_or(u64::MAX),
        }
    }

    /// What an error says to a reader that goes on after the log was closed: the next handle may have changed anything,
    /// so what looks damaged need not be.
    pub(crate) fn of_closed(&self, error: WalError) -> WalError {
        match error {
            WalError::Corruption(_) if self.store.is_closed() => WalError::Closed,
            error => error,
        }
    }

    /// An error of the store while it was read at `pos`: damage if that is what it is.
    pub(crate) fn read_error(&self, pos: u64, len: usize, error: io::Error) -> WalError {
        let reason = match StoreFault::of(&error) {
            Some(StoreFault::Missing { .. }) => CorruptionReason::MissingSegment,
            Some(StoreFault::Wrong { .. } | StoreFault::Foreign { .. }) => CorruptionReason::WrongSegment,
            Some(StoreFault::Version { version }) => {
                return self.store.error(WalError::newer(version, 0));
            }
            None => {
                return self.store.error(WalError::io("reading the log")(error));
            }
        };
        let extent = self.now();
        if pos < extent.head_group {
            // Not damage: a truncation was faster than the reader.
            return WalError::Truncated {
                lsn: Lsn::from_pos(pos),
                head: Lsn::from_pos(extent.head),
            };
        }
        // It is wrong with the whole segment, however much was asked for.
        let end = self.segment_end(pos).unwrap_or(pos.saturating_add(len as u64));
        WalError::Corruption(self.damage(pos, end, reason))
    }
}

/// The mark after a group.
pub(crate) fn mark_after(header: &GroupHeader, log: LogId) -> Mark {
    Mark {
        pos: header.next(),
        ordinal: header.ordinal + u64::from(header.count),
        prev: header.pos,
        prev_digest: header.digest(log),
        epoch: header.epoch,
    }
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base")
            .field("log", &self.log.to_string())
            .finish_non_exhaustive()
    }
}
