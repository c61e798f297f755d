//! What a log counts while it is open.
//!
//! Only a thread that writes, flushes, truncates or waits counts something, with numbers that nobody decides by. An append
//! that finds room touches none of this.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    Metrics, Wait,
    histogram::{Recorder, Scale},
};
use crate::{
    lsn::Lsn,
    sync::{Counter, Mutex, Ordering},
};

pub(crate) struct Meter {
    /// Everything that is a moment is told by how long after this it was.
    made: Instant,
    pub(crate) opened_in: Total,
    pub(crate) appends: Total,
    pub(crate) append_bytes: Total,
    pub(crate) groups: Total,
    pub(crate) group_bytes: Total,
    pub(crate) zero_bytes: Total,
    pub(crate) write: Recorder,
    pub(crate) fsync: Recorder,
    pub(crate) manifest: Recorder,
    pub(crate) slow_fsyncs: Total,
    pub(crate) commit: Recorder,
    pub(crate) commit_records: Recorder,
    pub(crate) commit_bytes: Recorder,
    pub(crate) commit_waiters: Recorder,
    waits: [(Total, Total); 4],
    pub(crate) full: Total,
    pub(crate) rotations: Total,
    pub(crate) head_truncations: Total,
    pub(crate) head_truncated_bytes: Total,
    pub(crate) tail_truncations: Total,
    pub(crate) tail_truncated_bytes: Total,
    /// When the flush that goes on began, in nanoseconds, and 1; 0 if none goes on.
    flush_began: Counter,
    seen: Mutex<VecDeque<Seen>>,
}

/// What an append waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WaitsFor {
    Ring,
    Space,
    Backlog,
    Cut,
}

/// A number that grows.
pub(crate) struct Total(Counter);

impl Total {
    pub(crate) fn new() -> Total {
        Total(Counter::new(0))
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where the log ended at a moment.
struct Seen {
    end: u64,
    at: Instant,
}

/// How many moments are remembered: when nothing becomes durable, the oldest ones are what counts.
const SEEN_MAX: usize = 64;

/// A flush that goes on.
pub(crate) struct Flush<'a> {
    meter: &'a Meter,
    start: Instant,
}

impl Meter {
    pub(crate) fn new() -> Meter {
        Meter {
            made: Instant::now(),
            opened_in: Total::new(),
            appends: Total::new(),
            append_bytes: Total::new(),
            groups: Total::new(),
            group_bytes: Total::new(),
            zero_bytes: Total::new(),
            write: Recorder::new(Scale::Time),
            fsync: Recorder::new(Scale::Time),
            manifest: Recorder::new(Scale::Time),
            slow_fsyncs: Total::new(),
            commit: Recorder::new(Scale::Time),
            commit_records: Recorder::new(Scale::Count),
            commit_bytes: Recorder::new(Scale::Count),
            commit_waiters: Recorder::new(Scale::Count),
            waits: [(); 4].map(|()| (Total::new(), Total::new())),
            full: Total::new(),
            rotations: Total::new(),
            head_truncations: Total::new(),
            head_truncated_bytes: Total::new(),
            tail_truncations: Total::new(),
            tail_truncated_bytes: Total::new(),
            flush_began: Counter::new(0),
            seen: Mutex::new(VecDeque::new()),
        }
    }

    /// What was counted by now. The rest is for somebody else to fill in.
    pub(crate) fn now(&self) -> Metrics {
        Metrics {
            appends: self.appends.now(),
            append_bytes: self.append_bytes.now(),
            groups: self.groups.now(),
            group_bytes: self.group_bytes.now(),
            zero_bytes: self.zero_bytes.now(),
            write: self.write.now(),
            fsync: self.fsync.now(),
            manifest: self.manifest.now(),
            slow_fsyncs: self.slow_fsyncs.now(),
            fsync_pending: self.flush_pending(),
            commit: self.commit.now(),
            commit_records: self.commit_records.now(),
            commit_bytes: self.commit_bytes.now(),
            commit_waiters: self.commit_waiters.now(),
            waits_for_ring: self.waits(WaitsFor::Ring),
            waits_for_space: self.waits(WaitsFor::Space),
            waits_for_backlog: self.waits(WaitsFor::Backlog),
            waits_for_cut: self.waits(WaitsFor::Cut),
            full: self.full.now(),
            rotations: self.rotations.now(),
            head_truncations: self.head_truncations.now(),
            tail_truncations: self.tail_truncations.now(),
            head_truncated_bytes: self.head_truncated_bytes.now(),
            tail_truncated_bytes: self.tail_truncated_bytes.now(),
            open_duration: Duration::from_nanos(self.opened_in.now()),
            log: None,
            staged_bytes: 0,
            undurable_bytes: 0,
            undurable_age: Duration::ZERO,
            head: Lsn::ZERO,
            end: Lsn::ZERO,
            durable: Lsn::ZERO,
            records: 0,
            size_bytes: 0,
            segments: 0,
            timeline_entries: 0,
            poisoned: false,
            clean_open: false,
            recovered_from_store: 0,
            recovered_from_staging: 0,
            recovery_cut_bytes: 0,
        }
    }

    /// An append has waited since `start`.
    pub(crate) fn waited(&self, what: WaitsFor, start: Instant) {
        let (count, time) = &self.waits[what as usize];
        count.add(1);
        time.add(nanos(start.elapsed()));
    }

    pub(crate) fn waits(&self, what: WaitsFor) -> Wait {
        let (count, time) = &self.waits[what as usize];
        Wait {
            count: count.now(),
            time: Duration::from_nanos(time.now()),
        }
    }

    /// A flush of the log begins; one goes on at a time.
    pub(crate) fn begin_flush(&self) -> Flush<'_> {
        let start = Instant::now();
        let began = nanos(start.duration_since(self.made)) + 1;
        self.flush_began.store(began, Ordering::Relaxed);
        Flush { meter: self, start }
    }

    /// How long the flush that goes on has taken by now; zero if none does.
    pub(crate) fn flush_pending(&self) -> Duration {
        match self.flush_began.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            began => self
                .made
                .elapsed()
                .saturating_sub(Duration::from_nanos(began - 1)),
        }
    }

    /// For how long, at least, something has waited that is not durable: since the log was first seen to end after
    /// `durable`. The log ends at `end` now.
    pub(crate) fn undurable_age(&self, durable: u64, end: u64) -> Duration {
        let mut seen = self.seen.lock();
        let now = Instant::now();
        // What a truncation has cut off does not wait any more.
        seen.retain(|seen| seen.end > durable && seen.end <= end);
        if end > durable && seen.len() < SEEN_MAX && seen.back().is_none_or(|last| last.end < end) {
            seen.push_back(Seen { end, at: now });
        }
        seen.front()
            .map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest.at))
    }
}

impl Flush<'_> {
    /// It has ended well; how long it took.
    pub(crate) fn ended(self) -> Duration {
        let took = self.start.elapsed();
        self.meter.fsync.record(nanos(took));
        took
    }
}

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.meter.flush_began.store(0, Ordering::Relaxed);
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
