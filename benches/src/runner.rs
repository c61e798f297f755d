//! Runs a workload: rounds in which the contenders take turns, each result checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::contender::Contender;
use crate::disk;
use crate::load::{Check, Load};
use crate::stats::Summary;
use crate::workload::{Job, Unit, Workload};

const ROUNDS: usize = 5;
const QUICK_ROUNDS: usize = 3;

/// The warm-up run of each contender, which is not counted, has this part of the records.
const WARM_UP_PART: u64 = 16;

/// One round of `open-clean` opens until either is reached, and counts the median.
const OPENS: usize = 16;
const OPENS_TIME: Duration = Duration::from_millis(300);

/// How a comparison is carried out.
pub(crate) struct Plan<'a> {
    root: &'a Path,
    quick: bool,
}

impl<'a> Plan<'a> {
    /// Everything is written below `root`.
    pub(crate) fn new(root: &'a Path, quick: bool) -> Plan<'a> {
        Plan { root, quick }
    }

    pub(crate) fn count(&self, workload: &Workload) -> u64 {
        if self.quick {
            workload.quick_count
        } else {
            workload.count
        }
    }

    fn load(&self, workload: &Workload) -> Load {
        Load {
            threads: workload.threads,
            bytes: workload.bytes,
            count: self.count(workload),
        }
    }

    fn rounds(&self) -> usize {
        if self.quick { QUICK_ROUNDS } else { ROUNDS }
    }
}

/// What became of one contender in one workload.
pub(crate) struct Outcome {
    pub(crate) contender: &'static str,
    pub(crate) note: Option<&'static str>,
    /// A failed run or check has no figure.
    pub(crate) result: Result<Summary>,
}

/// Runs `workload` for every contender that supports it. An error of one contender is its outcome
/// and does not stop the others.
pub(crate) fn run(
    plan: &Plan,
    workload: &Workload,
    contenders: &[Box<dyn Contender>],
) -> Result<Vec<Outcome>> {
    let mut entries: Vec<Entry> = contenders
        .iter()
        .filter(|contender| contender.supports(workload.job) && workload.threads <= contender.max_threads())
        .map(|contender| Entry {
            contender: contender.as_ref(),
            dir: plan.root.join(contender.name()),
            samples: Vec::new(),
            failure: None,
        })
        .collect();
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let load = plan.load(workload);
    for entry in &mut entries {
        entry.attempt(|entry| entry.prepare(workload.job, &load));
    }
    for round in 0..plan.rounds() {
        // Everyone goes first, in the middle and last in turn.
        let first = round % entries.len();
        entries.rotate_left(first);
        for entry in &mut entries {
            disk::settle(plan.root)?;
            entry.attempt(|entry| {
                let figure = entry.round(workload.job, &load)?;
                entry.samples.push(figure);
                Ok(())
            });
        }
        entries.rotate_right(first);
    }
    for entry in &entries {
        remove(&entry.dir)?;
    }
    entries
        .into_iter()
        .map(|entry| entry.outcome(workload.job))
        .collect()
}

/// One contender's part in a workload.
struct Entry<'a> {
    contender: &'a dyn Contender,
    dir: PathBuf,
    samples: Vec<f64>,
    failure: Option<anyhow::Error>,
}

impl Entry<'_> {
    /// Does `step` unless an earlier one failed.
    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) {
        if self.failure.is_none() {
            self.failure = step(self).err();
        }
    }

    /// Warms up, or writes the log that all rounds read.
    fn prepare(&mut self, job: Job, load: &Load) -> Result<()> {
        match job {
            Job::Append | Job::AppendBatch(_) | Job::Commit | Job::Typed(_) => {
                let threads = u64::from(load.threads);
                let share = (load.count / threads / WARM_UP_PART).max(1);
                let warm_up = Load {
                    count: share * threads,
                    ..*load
                };
                self.round(job, &warm_up).map(drop)
            }
            Job::Replay | Job::OpenClean => {
                fs::create_dir(&self.dir)?;
                checked(load, |check| self.contender.append(&self.dir, load, check)).map(drop)
            }
        }
    }

    /// One timed and checked run, as a figure in the job's unit.
    fn round(&self, job: Job, load: &Load) -> Result<f64> {
        let (contender, dir) = (self.contender, self.dir.as_path());
        let elapsed = match job {
            Job::Append => in_new_dir(dir, || checked(load, |check| contender.append(dir, load, check)))?,
            Job::AppendBatch(batch) => in_new_dir(dir, || {
                checked(load, |check| contender.append_batches(dir, load, batch, check))
            })?,
            Job::Commit => in_new_dir(dir, || checked(load, |check| contender.commit(dir, load, check)))?,
            Job::Typed(job) => in_new_dir(dir, || contender.typed(job, dir, load.count))?,
            Job::Replay => {
                let (elapsed, tally) = checked(load, |check| contender.replay(dir, check))?;
                ensure!(
                    tally == load.tally(),
                    "the timed walk saw {} of {} records, or not in order",
                    tally.records,
                    load.count
                );
                elapsed
            }
            Job::OpenClean => {
                let elapsed = median_open(contender, dir)?;
                checked(load, |check| contender.read_back(dir, check))?;
                elapsed
            }
        };
        Ok(figure(job.unit(), elapsed, load.count))
    }

    fn outcome(self, job: Job) -> Result<Outcome> {
        let contender = self.contender.name();
        let result = match self.failure {
            Some(failure) => Err(failure.context(contender)),
            None => Ok(Summary::of(&self.samples).context("no round was run")?),
        };
        let note = self.contender.note(job);
        Ok(Outcome {
            contender,
            note,
            result,
        })
    }
}

/// Runs `job` and compares what it read back with `load`.
fn checked<T>(load: &Load, job: impl FnOnce(&mut Check) -> Result<T>) -> Result<T> {
    let mut check = Check::new(load);
    let value = job(&mut check)?;
    check.finish()?;
    Ok(value)
}

fn in_new_dir<T>(dir: &Path, job: impl FnOnce() -> Result<T>) -> Result<T> {
    fs::create_dir(dir)?;
    let value = job()?;
    remove(dir)?;
    Ok(value)
}

/// Removes `dir`, which a failed run may have left or never made.
fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    Ok(())
}

fn median_open(contender: &dyn Contender, dir: &Path) -> Result<Duration> {
    let start = Instant::now();
    let mut opens = Vec::new();
    while opens.is_empty() || (opens.len() < OPENS && start.elapsed() < OPENS_TIME) {
        opens.push(contender.open(dir)?);
    }
    opens.sort();
    Ok(opens[opens.len() / 2])
}

fn figure(unit: Unit, elapsed: Duration, count: u64) -> f64 {
    let seconds = elapsed.as_secs_f64();
    match unit {
        Unit::NsPerRecord => seconds * 1e9 / count as f64,
        Unit::CommitsPerSecond => count as f64 / seconds,
        Unit::UsPerOpen => seconds * 1e6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Tally;

    /// Loses the record with this index, or none.
    struct Memory {
        name: &'static str,
        lost: Option<usize>,
    }

    impl Contender for Memory {
        fn name(&self) -> &'static str {
            self.name
        }

        fn settings(&self) -> &'static str {
            ""
        }

        fn supports(&self, job: Job) -> bool {
            job == Job::Append
        }

        fn append(&self, _dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
            let mut payloads = load.payloads(0);
            let mut index = 0;
            while let Some(payload) = payloads.next_payload() {
                if self.lost != Some(index) {
                    check.see(payload)?;
                }
                index += 1;
            }
            Ok(Duration::from_micros(load.count))
        }

        fn commit(&self, _: &Path, _: &Load, _: &mut Check) -> Result<Duration> {
            unreachable!("not supported")
        }

        fn replay(&self, _: &Path, _: &mut Check) -> Result<(Duration, Tally)> {
            unreachable!("not supported")
        }

        fn open(&self, _: &Path) -> Result<Duration> {
            unreachable!("not supported")
        }

        fn read_back(&self, _: &Path, _: &mut Check) -> Result<()> {
            unreachable!("not supported")
        }
    }

    fn workload(job: Job) -> Workload {
        Workload {
            name: "test",
            job,
            threads: 1,
            bytes: 16,
            count: 320,
            quick_count: 160,
        }
    }

    fn outcomes(job: Job) -> Vec<Outcome> {
        let root = tempfile::tempdir().unwrap();
        let contenders: Vec<Box<dyn Contender>> = vec![
            Box::new(Memory {
                name: "lossy",
                lost: Some(100),
            }),
            // The last record of the 160, which only the count gives away.
            Box::new(Memory {
                name: "short",
                lost: Some(159),
            }),
            Box::new(Memory {
                name: "sound",
                lost: None,
            }),
        ];
        let outcomes = run(&Plan::new(root.path(), true), &workload(job), &contenders).unwrap();
        assert_eq!(
            fs::read_dir(root.path()).unwrap().count(),
            0,
            "runs leave nothing behind"
        );
        outcomes
    }

    #[test]
    fn a_contender_that_loses_a_record_is_named_and_gets_no_figure() {
        let outcomes = outcomes(Job::Append);
        let error = |index: usize| format!("{:#}", outcomes[index].result.as_ref().unwrap_err());
        assert_eq!(outcomes.len(), 3);
        assert_eq!(
            error(0),
            "lossy: thread 0: record 101 was read back in place of 100"
        );
        assert_eq!(error(1), "short: thread 0: 159 of 160 records were read back");
        let sound = outcomes[2].result.as_ref().unwrap();
        assert_eq!(
            (outcomes[2].contender, sound.median, sound.rounds),
            ("sound", 1000.0, QUICK_ROUNDS)
        );
    }

    #[test]
    fn a_contender_without_the_contract_is_left_out() {
        assert!(outcomes(Job::Commit).is_empty());
    }

    #[test]
    fn figures_are_in_the_unit_they_are_labelled_with() {
        let second = Duration::from_secs(1);
        assert_eq!(figure(Unit::NsPerRecord, second, 1_000_000), 1_000.0);
        assert_eq!(figure(Unit::CommitsPerSecond, second * 2, 1_000), 500.0);
        assert_eq!(figure(Unit::UsPerOpen, second, 77), 1_000_000.0);
    }
}
