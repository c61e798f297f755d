//! How much of a log is verified, by how many threads, and what is told meanwhile.

use std::{
    fmt,
    ops::{ControlFlow, RangeBounds},
};

use crate::{
    log::read::iter,
    lsn::Lsn,
    sync::{Arc, AtomicBool, AtomicU64, Ordering},
};

/// How to verify a log, for [`recovery::verify`](crate::recovery::verify) and
/// [`recovery::verify_path`](crate::recovery::verify_path).
#[derive(Clone, Default)]
pub struct VerifyConfig {
    pub(super) threads: usize,
    /// From this position to before that one.
    range: Option<(u64, u64)>,
    progress: Option<Told>,
}

type Told = std::sync::Arc<dyn Fn(VerifyProgress) -> ControlFlow<()> + Send + Sync>;

/// How far verifying has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Bytes of the stream that were read.
    pub done_bytes: u64,
    /// Bytes that will have been read in the end. A log that shrinks meanwhile ends sooner.
    pub all_bytes: u64,
}

/// So many bytes are read between one call and the next, if groups are no longer.
const STEP: u64 = 1 << 20;

impl VerifyConfig {
    /// The whole log, by the thread that asks.
    #[must_use]
    pub fn new() -> Self {
        VerifyConfig::default()
    }

    /// Reads with so many threads; the one that asks is among them. It finds the same, and sooner where processors are
    /// free and the disk can follow; of a log with damage, later. A short log, or one with a single group, leaves threads
    /// without work.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Reads the groups of these records only, and of those around them that were written with them. What lies outside
    /// the log is no error. The copies of the manifest and the files of the whole log are looked at all the same.
    #[must_use]
    pub fn with_range(mut self, range: impl RangeBounds<Lsn>) -> Self {
        let (from, to) = iter::positions(range.start_bound(), range.end_bound());
        self.range = Some((from.unwrap_or(0), to));
        self
    }

    /// Calls this now and then, from any of the threads; what it returns says whether to go on. It may sleep to read more
    /// slowly. A report of what was read until it said [`Break`](ControlFlow::Break) is
    /// [`stopped`](crate::recovery::VerifyReport::stopped).
    #[must_use]
    pub fn with_progress(
        mut self,
        progress: impl Fn(VerifyProgress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.progress = Some(std::sync::Arc::new(progress));
        self
    }

    pub(super) fn from(&self) -> u64 {
        self.range.map_or(0, |(from, _)| from)
    }

    pub(super) fn to(&self) -> u64 {
        self.range.map_or(u64::MAX, |(_, to)| to)
    }

    pub(super) fn meter(&self, all_bytes: u64) -> Arc<Meter> {
        Arc::new(Meter {
            done_bytes: AtomicU64::new(0),
            all_bytes,
            is_stopped: AtomicBool::new(false),
            progress: self.progress.clone(),
        })
    }
}

impl fmt::Debug for VerifyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyConfig")
            .field("threads", &self.threads)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// Counts what all threads have read.
pub(super) struct Meter {
    done_bytes: AtomicU64,
    all_bytes: u64,
    is_stopped: AtomicBool,
    progress: Option<Told>,
}

impl Meter {
    /// So much more was read.
    pub(super) fn add(&self, bytes: u64) {
        let before = self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        let done_bytes = before + bytes;
        if before / STEP != done_bytes / STEP
            && let Some(progress) = &self.progress
        {
            let now = VerifyProgress {
                done_bytes,
                all_bytes: self.all_bytes.max(done_bytes),
            };
            if progress(now).is_break() {
                self.is_stopped.store(true, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}
