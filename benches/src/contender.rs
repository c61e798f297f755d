//! What a contender must be able to do.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::limit::{Limit, LimitInThreads};
use crate::load::{Check, Load, Tally};
use crate::measured::Measured;
use crate::ours::{Ours, OursInTasks};
use crate::peers;
use crate::wal_db_1_1_0::WalDb110;
use crate::workload::{Extra, Job, Typed};

/// The name whose figures are the base of the first ratio column.
pub(crate) const BASE: &str = "wal-db-1.1.0";
/// The name whose figures are the base of the second ratio column.
pub(crate) const LIMIT: &str = "limit";

pub(crate) fn all() -> Vec<Box<dyn Contender>> {
    let mut all: Vec<Box<dyn Contender>> = vec![
        Box::new(Ours),
        Box::new(OursInTasks),
        Box::new(WalDb110),
        Box::new(Limit),
        Box::new(LimitInThreads),
    ];
    all.extend(peers::all());
    all
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

    /// Whether it can do `extra`. Asked instead of [`supports`](Self::supports), which may answer with less care.
    fn supports_extra(&self, _extra: Extra) -> bool {
        false
    }

    /// How many threads may share the log.
    fn max_threads(&self) -> u32 {
        u32::MAX
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::{self, Plan};
    use crate::workload::{WORKLOADS, Workload};

    /// Every job that a contender does is done and read back; returns who did it.
    fn try_all(job: Job, threads: u32) -> Vec<&'static str> {
        let workload = Workload {
            job,
            threads,
            bytes: 100,
            count: 1_200,
            quick_count: 1_200,
            ..WORKLOADS[0]
        };
        let root = tempfile::tempdir().unwrap();
        let outcomes = runner::run(&Plan::new(root.path(), true, None, 1), &workload, &all()).unwrap();
        for outcome in &outcomes {
            let figure = outcome
                .result
                .as_ref()
                .unwrap_or_else(|error| panic!("{job:?}: {error:#}"));
            assert!(figure.summary.median > 0.0, "{job:?}: {}", outcome.contender);
        }
        outcomes.iter().map(|outcome| outcome.contender).collect()
    }

    /// One test, so that nobody else's file is open while a peer changes the working directory.
    #[test]
    fn every_contender_keeps_every_record_in_every_job_it_does() {
        for threads in [1, 3] {
            assert!(try_all(Job::Append, threads).len() >= 4);
            assert!(try_all(Job::AppendBatch(7), threads).len() >= 2);
            let committed = try_all(Job::Commit, threads);
            assert!(committed.len() >= 4);
            let one_writer_only = threads == 1 && cfg!(feature = "open-wal");
            assert_eq!(committed.contains(&"open-wal"), one_writer_only);
        }
        assert!(try_all(Job::Replay, 1).len() >= 4);
        assert!(try_all(Job::OpenClean, 1).len() >= 4);
    }

    #[test]
    fn names_are_unique_and_ours_comes_first() {
        let names: Vec<_> = all().iter().map(|contender| contender.name()).collect();
        let first = [
            "ours",
            "ours-in-tasks",
            BASE,
            LIMIT,
            "limit-in-threads",
            "mutex-file",
        ];
        assert_eq!(names[..6], first);
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
        }
    }
}
