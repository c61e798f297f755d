//! Figures of a log at work, and the text in which they are collected.
//!
//! [`Wal::metrics`](crate::Wal::metrics) takes a snapshot, which costs some microseconds and stops nobody: ask as often as
//! they are collected. An append that finds room counts nothing. A program hands the text to whatever collects it:
//!
//! ```
//! use wal_db::{MemStore, Wal, metrics};
//!
//! let (orders, audit) = (Wal::with_store(MemStore::new())?, Wal::with_store(MemStore::new())?);
//! orders.append_and_sync(b"an order")?;
//!
//! // In the handler of `/metrics`, with the content type `metrics::CONTENT_TYPE`:
//! let logs = [orders.metrics().with_log("orders"), audit.metrics().with_log("audit")];
//! let mut text = String::new();
//! metrics::write_all(&mut text, &logs).expect("a string takes all of it");
//! assert!(text.contains("\nwal_appends_total{log=\"orders\"} 1\n"));
//! assert!(text.ends_with("# EOF\n"));
//! # Ok::<(), wal_db::WalError>(())
//! ```
//!
//! Counters and histograms begin with 0 when a log is opened. `docs/operating.md` says which alarms to raise and what to do
//! then; `contrib/` has a dashboard and the rules of the alarms.

mod families;
mod histogram;
mod meter;
mod text;

use std::{
    fmt::{self, Write},
    time::Duration,
};

pub use self::histogram::Histogram;
pub(crate) use self::meter::{Meter, WaitsFor, nanos};
use self::{families::FAMILIES, text::Text};
use crate::lsn::Lsn;

/// What the text is, for a collector: the content type of an answer that holds it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures of a log at one moment, from [`Wal::metrics`](crate::Wal::metrics). Each is taken by itself, while others
/// append. What is counted, is counted since the log was opened. Its text is that of [`write_all`] with this log alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    log: Option<String>,
    /// Records that were appended and written to the store. Those that still wait in staging memory are not counted:
    /// appending does not count.
    pub appends: u64,
    /// The bytes of these records, without what the log adds to them.
    pub append_bytes: u64,
    /// Groups of records that were written, empty ones that seal the log among them.
    pub groups: u64,
    /// The bytes of these groups, as they were written.
    pub group_bytes: u64,
    /// Zeros that were written ahead of small commits.
    pub zero_bytes: u64,
    /// How long each write to the store took.
    pub write: Histogram,
    /// How long each flush of the store took that ended well. One flush of a log in segments may be several of files.
    pub fsync: Histogram,
    /// How long it took to replace one of the two copies of the manifest, durably.
    pub manifest: Histogram,
    /// Flushes of the store that took as long as [`WalConfig::with_slow_flush_ms`](crate::WalConfig::with_slow_flush_ms)
    /// says, or longer.
    pub slow_fsyncs: u64,
    /// How long the flush that goes on has taken by now; zero if none does.
    pub fsync_pending: Duration,
    /// How long each commit took that made something durable: to write what was appended, and to flush it. Flushes of a
    /// backlog are no commits.
    pub commit: Histogram,
    /// How many records each of them made durable.
    pub commit_records: Histogram,
    /// How many bytes of the log.
    pub commit_bytes: Histogram,
    /// How many threads and [tickets](crate::Ticket) with a callback it answered. Tasks are not counted.
    pub commit_waiters: Histogram,
    /// Appends that waited for staging memory.
    pub waits_for_ring: Wait,
    /// Appends that waited for space on the disk to be made ready.
    pub waits_for_space: Wait,
    /// Appends that had to flush first, because much was written and not flushed.
    pub waits_for_backlog: Wait,
    /// Appends that waited for the end of the log to be cut off, or for staging memory to be resized.
    pub waits_for_cut: Wait,
    /// Times that the disk had no space: for a record, or for a group of records.
    pub full: u64,
    /// Segments that were begun.
    pub rotations: u64,
    /// Truncations that removed something from the beginning.
    pub head_truncations: u64,
    /// Those that removed something from the end.
    pub tail_truncations: u64,
    /// Bytes of the log that were removed from the beginning.
    pub head_truncated_bytes: u64,
    /// Bytes that were removed from the end.
    pub tail_truncated_bytes: u64,
    /// Bytes that were appended and are not in the store yet.
    pub staged_bytes: u64,
    /// Bytes that were appended and are not durable yet.
    pub undurable_bytes: u64,
    /// For how long something has waited to be flushed, at least; zero if nothing waits. Appending reads no clock, so what
    /// counts is since when snapshots have seen it: the age is short by the time between two of them at most.
    pub undurable_age: Duration,
    /// Where the log starts.
    pub head: Lsn,
    /// Where it ends.
    pub end: Lsn,
    /// Every record before this LSN is durable.
    pub durable: Lsn,
    /// Records in the store, from the head on.
    pub records: u64,
    /// Bytes of the log from its first record on, framing included, without what was cut off its end.
    pub size_bytes: u64,
    /// Segment files from the head to the end; 0 for a log that has none.
    pub segments: u64,
    /// Entries of the manifest's timeline: one for each opening and each cut of the end that the log has to remember.
    pub timeline_entries: u64,
    /// Whether a write or a flush has failed: the log takes nothing more.
    pub poisoned: bool,
    /// How long opening took.
    pub open_duration: Duration,
    /// Whether nothing had to be recovered then.
    pub clean_open: bool,
    /// Records that opening found in the store after the manifest's mark.
    pub recovered_from_store: u64,
    /// Records that opening found in the staging memory of a dead process.
    pub recovered_from_staging: u64,
    /// Bytes that opening cut off the end.
    pub recovery_cut_bytes: u64,
}

/// How often, and for how long, appends have waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Wait {
    /// How often.
    pub count: u64,
    /// All threads together.
    pub time: Duration,
}

impl Metrics {
    /// Names the log: a label `log` then tells its figures from those of others. Take a name that the program chose, of
    /// which there are few. Logs that are written together need names that differ.
    #[must_use]
    pub fn with_log(mut self, name: impl Into<String>) -> Self {
        self.log = Some(name.into());
        self
    }
}

/// The figures of one log, see [`write_all`].
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_all(f, std::slice::from_ref(self))
    }
}

/// Writes the figures of logs as OpenMetrics text, which ends with `# EOF`.
///
/// # Errors
/// Those of `out` only.
pub fn write_all(out: &mut impl Write, logs: &[Metrics]) -> fmt::Result {
    for family in FAMILIES {
        let mut text = Text::family(out, family.name, family.kind, family.help)?;
        for log in logs {
            for (label, sample) in (family.samples)(log) {
                text.sample(log.log.as_deref(), label, &sample)?;
            }
        }
    }
    writeln!(out, "# EOF")
}
