//! What the writing of a log counts for [`Metrics`](crate::metrics::Metrics).

use std::{io, time::Duration};

use super::{commit::Waiting, writer::Writer};
use crate::{
    error::WalError,
    format::{GroupHeader, Mark},
    metrics::nanos,
    staging::ring::Closed,
};

impl Writer {
    /// A group was written that has records of so many bytes.
    pub(super) fn count_group(&self, closed: &Closed, header: &GroupHeader, record_bytes: u64) {
        let meter = &self.base.store.meter;
        meter.appends.add(u64::from(header.count));
        meter.append_bytes.add(record_bytes);
        meter.groups.add(1);
        meter.group_bytes.add(closed.next - closed.start);
        let segment_before = |pos: u64| self.base.segment_of(pos.saturating_sub(1));
        if let (Some(before), Some(last)) = (segment_before(closed.start), segment_before(closed.next)) {
            meter.rotations.add(last - before);
        }
    }

    /// The store was flushed.
    pub(super) fn count_flush(&self, took: Duration) {
        if took >= self.config.slow_flush() {
            self.base.store.meter.slow_fsyncs.add(1);
        }
    }

    /// A commit has ended well that began when what was flushed ended at `before`.
    pub(super) fn count_commit(&self, before: &Mark, took: Duration) {
        let (meter, now) = (&self.base.store.meter, self.base.flushed_mark());
        if now.pos > before.pos {
            meter.commit.record(nanos(took));
            meter
                .commit_records
                .record(now.ordinal.saturating_sub(before.ordinal));
            meter.commit_bytes.record(now.pos - before.pos);
        }
    }

    /// A flush has ended, see [`arrive`](super::commit::Line::arrive).
    pub(super) fn arrive(&self, durable: u64, leader_commits: bool) -> Vec<Waiting> {
        let told = self.line.arrive(durable, leader_commits);
        match self.line.answered() {
            0 => {}
            answered => self.base.store.meter.commit_waiters.record(answered),
        }
        told
    }

    /// So many bytes were dropped from the beginning.
    pub(super) fn count_dropped(&self, bytes: u64) {
        self.base.store.meter.head_truncations.add(1);
        self.base.store.meter.head_truncated_bytes.add(bytes);
    }

    /// So many bytes were cut off the end.
    pub(super) fn count_cut(&self, bytes: u64) {
        self.base.store.meter.tail_truncations.add(1);
        self.base.store.meter.tail_truncated_bytes.add(bytes);
    }

    /// The error of a disk that has no space for so many bytes.
    pub(super) fn full(&self, needed: u64, error: &io::Error) -> WalError {
        self.base.store.meter.full.add(1);
        WalError::full(needed, error)
    }
}
