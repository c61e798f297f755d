//! What a log says of itself.

use std::path::PathBuf;

use serde::Serialize;

use super::Wal;
use crate::{
    config::{StagingInUse, WalConfig},
    error::path_text,
    format::GROUP_HEADER_LEN,
    lsn::Lsn,
    metrics::Metrics,
};

/// What a log says of itself at one moment, from [`Wal::status`]. Each figure is taken by itself, while others append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Where the log is; `None` if its store has no path.
    #[serde(serialize_with = "path_text::optional")]
    pub path: Option<PathBuf>,
    /// Where the log starts: no record has a lower LSN. It is that of the first record, or of the first to come; in a log
    /// that begins with an event and was never truncated, that of the event's schema.
    pub head: Lsn,
    /// How many records were dropped from the beginning since the log was made: the ordinal of the one at the head.
    pub head_ordinal: u64,
    /// Where the log ends, see [`Wal::end`].
    pub end: Lsn,
    /// Every record before this LSN is durable.
    pub durable: Lsn,
    /// Bytes of the log from its first record on, framing included, without what was cut off its end.
    pub bytes: u64,
    /// Records in the store. Those that still wait in staging memory are not counted; call [`sync`](Wal::sync) or
    /// [`drain`](Wal::drain) first to count them.
    pub records: u64,
    /// Bytes that were appended and are not in the store yet.
    pub staged_bytes: u64,
    /// Bytes that were appended and are not durable yet.
    pub undurable_bytes: u64,
    /// Bytes of the log in a segment file, whatever was asked for when it was opened; `None` for a log in one file or in
    /// memory.
    pub segment_size: Option<u64>,
    /// Where records wait for their flush; `None` for a handle that only reads. What was asked for is not always to be had,
    /// see [`Staging::Mapped`](crate::Staging::Mapped).
    pub staging: Option<StagingInUse>,
    /// Why the log takes no more records, if a write or a flush has failed.
    pub failure: Option<String>,
    /// The settings in force: those that the log was opened with.
    pub config: WalConfig,
}

/// # Figures
impl Wal {
    /// How many bytes the records of the log take, framing included, without what was dropped from its beginning and cut
    /// off its end: 0 exactly if it holds no record. Where the log ends is its [`end`](Self::end), how long its files are
    /// the file system's to say.
    #[must_use]
    pub fn len(&self) -> u64 {
        let (view, extent) = (self.view(), self.view().base.extent());
        let end = view.end();
        if end <= view.base.written() + GROUP_HEADER_LEN as u64 && view.record_count() == 0 {
            return 0;
        }
        extent.live_bytes(extent.head, end)
    }

    /// Whether the log holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the log ends: every record has a lower LSN, and every one to come this or a higher one. It is the highest
    /// position that [`iter_from`](Self::iter_from), [`tail`](Self::tail), [`hold`](Self::hold) and
    /// [`truncate_before`](Self::truncate_before) take.
    ///
    /// Go on from where a reader says that it is ([`next_lsn`](crate::Tail::next_lsn), a [`Position`](crate::Position)), and
    /// not from here: the next record may come here after a cut as well, so a reader that begins here is not told of the cut.
    pub fn end(&self) -> Lsn {
        Lsn::from_pos(self.view().end())
    }

    /// What the log says of itself at this moment.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let lsn = wal.append(b"a record")?;
    /// assert!(wal.status().durable <= lsn && wal.status().undurable_bytes > 0);
    /// wal.sync()?;
    /// assert!(wal.status().durable > lsn && wal.status().failure.is_none());
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        let view = self.view();
        let (written, durable, extent) = (view.base.written(), view.base.durable(), view.base.extent());
        let ahead = |pos: u64| view.end().saturating_sub(pos + GROUP_HEADER_LEN as u64);
        Status {
            path: view.base.store.location().map(|path| path.to_path_buf()),
            head: Lsn::from_pos(extent.head),
            head_ordinal: extent.head_ordinal,
            end: self.end(),
            durable: Lsn::from_pos(durable + GROUP_HEADER_LEN as u64),
            bytes: extent.live_bytes(extent.head, view.end()),
            records: view.record_count(),
            staged_bytes: ahead(written),
            undurable_bytes: ahead(durable),
            segment_size: Some(view.base.segment_len).filter(|&len| len > 0),
            staging: self.owner.writer.as_ref().map(|writer| writer.staging.clone()),
            failure: view.base.store.cause().map(str::to_owned),
            config: view.config,
        }
    }

    /// The figures of the log at this moment; [`metrics`](crate::metrics) says how they are collected.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// let wal = Wal::with_store(MemStore::new())?;
    /// wal.append_batch(&["debit", "credit"])?;
    /// wal.sync()?;
    /// let metrics = wal.metrics();
    /// assert_eq!((metrics.appends, metrics.append_bytes, metrics.commit.count()), (2, 11, 1));
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let (status, base, report) = (self.status(), &self.view().base, self.recovery());
        let mut metrics = base.store.meter.now();
        // A child that was forked off has locks that may be held for good.
        if !self.view().is_in_child() {
            let end_of = |pos: u64| pos + GROUP_HEADER_LEN as u64;
            let (flushed, end) = (end_of(base.flushed()), status.end.pos());
            metrics.undurable_age = base.store.meter.undurable_age(flushed, end);
        }
        metrics.segments = match base.segment_of(status.end.pos()) {
            Some(last) => last + 1 - base.segment_of(status.head.pos()).unwrap_or(0).min(last),
            None => 0,
        };
        metrics.staged_bytes = status.staged_bytes;
        metrics.undurable_bytes = status.undurable_bytes;
        metrics.head = status.head;
        metrics.end = status.end;
        metrics.durable = status.durable;
        metrics.records = status.records;
        metrics.size_bytes = status.bytes;
        metrics.timeline_entries = base.extent().timeline.len() as u64;
        metrics.poisoned = status.failure.is_some();
        metrics.clean_open = report.clean;
        metrics.recovered_from_store = report.found_records;
        metrics.recovered_from_staging = report.staged_records;
        metrics.recovery_cut_bytes = report.cut.as_ref().map_or(0, |cut| cut.end - cut.start);
        metrics
    }
}
