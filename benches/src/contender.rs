//! What a contender must be able to do.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::limit::Limit;
use crate::load::{Check, Load, Tally};
use crate::measured::Measured;
use crate::ours::Ours;
use crate::wal_db_1_1_0::WalDb110;
use crate::workload::{Extra, Job, Typed};

/// The name whose figures are the base of the first ratio column.
pub(crate) const BASE: &str = "wal-db-1.1.0";
/// The name whose figures are the base of the second ratio column.
pub(crate) const LIMIT: &str = "limit";

pub(crate) fn all() -> Vec<Box<dyn Contender>> {
    vec![Box::new(Ours), Box::new(WalDb110), Box::new(Limit)]
}

/// A log under test. Every method gets a directory of its own.
///
/// A method returns only the time of the job itself: opening before it, and closing and reading back
/// after it, are not timed. Calls are coarse so that no dynamic dispatch stands in a timed loop.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    /// The settings used and why they are fair, in one line.
    fn settings(&self) -> &'static str;

    /// What sets the contender apart in `job`: a weaker promise than the contract's, or more work than a log's.
    fn note(&self, _job: Job) -> Option<&'static str> {
        None
    }

    /// Whether the contender can do `job` under its contract at all.
    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::Typed(_) | Job::AppendBatch(_) | Job::Extra(_))
    }

    /// Whether it can do `extra`. Asked in place of [`supports`](Self::supports), which may answer with less care.
    fn supports_extra(&self, _extra: Extra) -> bool {
        false
    }

    /// Appends `load` to a new log in `dir` under C1, shows every record of the log to `check`, and
    /// leaves the log cleanly closed.
    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration>;

    /// The same in batches of `batch` records, each appended by one call.
    fn append_batches(
        &self,
        _dir: &Path,
        _load: &Load,
        _batch: usize,
        _check: &mut Check,
    ) -> Result<Duration> {
        bail!("{} has no batches", self.name())
    }

    /// As [`append`](Self::append), under C2: one durable call per record.
    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration>;

    /// Walks the closed log in `dir` from its first record to its last, tallying each, and then
    /// shows every record to `check`.
    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)>;

    /// Opens the closed log in `dir` until it is ready for use, and closes it again.
    fn open(&self, dir: &Path) -> Result<Duration>;

    /// Shows every record of the closed log in `dir` to `check`.
    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()>;

    /// Does a typed job with `count` events, and compares them all.
    fn typed(&self, job: Typed, _dir: &Path, _count: u64) -> Result<Duration> {
        bail!("{} cannot {job:?}", self.name())
    }

    /// Does `extra`, in an empty directory or with the closed log that [`append`](Self::append) left there (see
    /// [`Job::needs_log`]), and shows every record to `check`.
    fn extra(&self, extra: Extra, dir: &Path, _load: &Load, check: &mut Check) -> Result<Measured> {
        if extra != Extra::OpenCrashed {
            bail!("{} cannot {extra:?}", self.name());
        }
        let elapsed = self.open(dir)?;
        self.read_back(dir, check)?;
        Ok(Measured::time(elapsed))
    }
}
