//! Runs a workload: rounds in which the contenders take turns, each result checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::contender::Contender;
use crate::latency::{Latencies, Sink};
use crate::load::{Check, Load};
use crate::measured::{Fact, Findings, Measured, Outcome, Value, median_facts};
use crate::stats::Summary;
use crate::watch::Watch;
use crate::workload::{Extra, Job, Workload};
use crate::{child, disk};

const ROUNDS: usize = 5;
const QUICK_ROUNDS: usize = 3;

/// A quick comparison begins no further round of a workload that has had its share of this.
const QUICK_TIME: Duration = Duration::from_secs(40);

/// The warm-up run of each contender, which is not counted, has this part of the records.
const WARM_UP_PART: u64 = 16;

/// One round of `open-clean` opens until either is reached, and counts the median.
const OPENS: usize = 16;
const OPENS_TIME: Duration = Duration::from_millis(300);

/// Records that come after the last flush of a log whose writer is killed: 4 MiB of 4 KiB each.
const TAIL_RECORDS: u64 = 1024;

/// Each round of a truncation drops this part of the log that was written.
const DROPPED_PART: u64 = 8;

/// How a comparison is carried out.
pub(crate) struct Plan<'a> {
    root: &'a Path,
    quick: bool,
    rounds: usize,
    /// For one workload.
    time: Duration,
}

impl<'a> Plan<'a> {
    /// Everything is written below `root`.
    pub(crate) fn new(root: &'a Path, quick: bool, rounds: Option<usize>, workloads: usize) -> Plan<'a> {
        let rounds = rounds.unwrap_or(if quick { QUICK_ROUNDS } else { ROUNDS });
        let share = QUICK_TIME / workloads.max(1) as u32;
        let time = if quick { share } else { Duration::MAX };
        Plan {
            root,
            quick,
            rounds,
            time,
        }
    }

    pub(crate) fn count(&self, workload: &Workload) -> u64 {
        if self.quick {
            workload.quick_count
        } else {
            workload.count
        }
    }
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
        .map(Box::as_ref)
        .filter(|contender| {
            takes_part(*contender, workload.job) && workload.threads <= contender.max_threads()
        })
        .map(|contender| Entry::new(contender, workload, plan.root))
        .collect();
    let load = Load::new(workload.threads, workload.bytes, plan.count(workload));
    // Turns even out what the machine does besides; but the disk has to hold the logs of all who take turns.
    let together = if workload.is_big() {
        1
    } else {
        entries.len().max(1)
    };
    for entries in entries.chunks_mut(together) {
        rounds(plan, entries, &load)?;
    }
    entries.into_iter().map(Entry::outcome).collect()
}

/// What a contender that knows nothing of conditions is asked for.
fn basic(job: Job) -> Job {
    match job {
        Job::ReplayCold | Job::ReplayMemory => Job::Replay,
        job => job,
    }
}

fn takes_part(contender: &dyn Contender, job: Job) -> bool {
    match job {
        Job::Extra(extra) => contender.supports_extra(extra),
        job => contender.supports(basic(job)),
    }
}

fn rounds(plan: &Plan, entries: &mut [Entry], load: &Load) -> Result<()> {
    let start = Instant::now();
    for entry in &mut *entries {
        entry.attempt(|entry| entry.prepare(load));
    }
    for round in 0..plan.rounds {
        if round > 0 && start.elapsed() > plan.time {
            break;
        }
        // Everyone goes first, in the middle and last in turn.
        let first = round % entries.len();
        entries.rotate_left(first);
        for entry in &mut *entries {
            disk::settle(plan.root)?;
            entry.attempt(|entry| entry.counted_round(load));
        }
        entries.rotate_right(first);
    }
    entries.iter().try_for_each(|entry| remove(&entry.dir))
}

/// One contender's part in a workload.
struct Entry<'a> {
    contender: &'a dyn Contender,
    job: Job,
    watch: Watch,
    dir: PathBuf,
    /// The numbers of the records in the log that was written before the first round.
    first: u64,
    end: u64,
    samples: Vec<f64>,
    latencies: Latencies,
    facts: Vec<Vec<Fact>>,
    failure: Option<anyhow::Error>,
}

impl<'a> Entry<'a> {
    fn new(contender: &'a dyn Contender, workload: &Workload, root: &Path) -> Entry<'a> {
        let watch = match workload.watch {
            Watch::Nothing => workload.job.watch(),
            watch => watch,
        };
        Entry {
            contender,
            job: workload.job,
            watch,
            dir: root.join(contender.name()),
            first: 0,
            end: 0,
            samples: Vec::new(),
            latencies: Latencies::new(),
            facts: Vec::new(),
            failure: None,
        }
    }

    /// Does `step` unless an earlier one failed.
    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) {
        if self.failure.is_none() {
            self.failure = step(self).err();
        }
    }

    /// Warms up, or writes the log that all rounds read.
    fn prepare(&mut self, load: &Load) -> Result<()> {
        if self.job.needs_log() {
            fs::create_dir(&self.dir)?;
            self.end = load.count;
            return checked(load, |check| self.contender.append(&self.dir, load, check)).map(drop);
        }
        let threads = u64::from(load.threads);
        let share = (load.count / threads / WARM_UP_PART).max(1);
        let least = if let Watch::Bursts(burst) = self.watch {
            burst
        } else {
            1
        };
        let sink = Sink::new();
        let warm_up = Load {
            count: share.max(least) * threads,
            watched: Some((self.watch, &sink)),
            ..*load
        };
        self.round(&warm_up).map(drop)
    }

    /// One timed and checked run, counted in the job's unit.
    fn counted_round(&mut self, load: &Load) -> Result<()> {
        let sink = Sink::new();
        let watched = match self.watch {
            Watch::Nothing => None,
            watch => Some((watch, &sink)),
        };
        let Measured { value, facts } = self.round(&Load { watched, ..*load })?;
        let found = sink.take();
        let unit = self.job.unit();
        self.samples.push(match (value, self.watch) {
            (_, Watch::Bursts(burst)) => {
                let median = found.median_burst().context("no burst was timed")?;
                unit.figure(median, burst)
            }
            (Value::Time(elapsed), _) => unit.figure(elapsed, load.count),
            (Value::Figure(figure), _) => figure,
        });
        self.latencies.merge(&found.latencies);
        self.facts.push(facts);
        Ok(())
    }

    fn round(&mut self, load: &Load) -> Result<Measured> {
        let (contender, dir) = (self.contender, self.dir.as_path());
        let elapsed = match self.job {
            Job::Append => in_new_dir(dir, || checked(load, |check| contender.append(dir, load, check)))?,
            Job::AppendBatch(batch) => in_new_dir(dir, || {
                checked(load, |check| contender.append_batches(dir, load, batch, check))
            })?,
            Job::Commit => in_new_dir(dir, || checked(load, |check| contender.commit(dir, load, check)))?,
            Job::Typed(job) => in_new_dir(dir, || contender.typed(job, dir, load.count))?,
            Job::Replay => self.replay(load)?,
            Job::ReplayCold => {
                disk::drop_cache(dir)?;
                self.replay_cold(load)?
            }
            Job::ReplayMemory => return self.replay_in_child(load),
            Job::OpenClean => {
                let elapsed = median_open(contender, dir)?;
                checked(load, |check| contender.read_back(dir, check))?;
                elapsed
            }
            Job::Extra(Extra::OpenCrashed) => return self.open_crashed(load),
            Job::Extra(Extra::TruncateBefore) => return self.truncate(load),
            Job::Extra(extra) => {
                let run = || checked(load, |check| contender.extra(extra, dir, load, check));
                return if self.job.needs_log() {
                    run()
                } else {
                    in_new_dir(dir, run)
                };
            }
        };
        Ok(Measured::time(elapsed))
    }

    fn replay(&self, load: &Load) -> Result<Duration> {
        let (elapsed, tally) = checked(load, |check| self.contender.replay(&self.dir, check))?;
        ensure!(
            tally == load.tally(),
            "the timed walk saw {} of {} records, or not in order",
            tally.records,
            load.count
        );
        Ok(elapsed)
    }

    /// From the call to the first record that is shown after the walk: a contender that reads the log to open it would
    /// walk what is no longer cold.
    fn replay_cold(&self, load: &Load) -> Result<Duration> {
        let mut check = Check::new(load);
        let start = Instant::now();
        let (walked, tally) = self.contender.replay(&self.dir, &mut check)?;
        let elapsed = check.begun.map_or(walked, |begun| begun - start);
        check.finish()?;
        ensure!(tally == load.tally(), "the walk saw other records");
        Ok(elapsed)
    }

    fn replay_in_child(&self, load: &Load) -> Result<Measured> {
        let child::Replayed { elapsed, growth } = child::replay(self.contender.name(), &self.dir, load)?;
        let ns = elapsed.as_secs_f64() * 1e9 / load.count as f64;
        Ok(Measured::figure(growth.peak)
            .with(Fact::new("still there at the end", growth.end, "MiB"))
            .with(Fact::new("of that not from files", growth.end_anonymous, "MiB"))
            .with(Fact::new("replay", ns, "ns/record")))
    }

    /// The log grows by what each killed writer adds.
    fn open_crashed(&mut self, load: &Load) -> Result<Measured> {
        let tail = Load {
            first: self.end,
            count: TAIL_RECORDS,
            ..*load
        };
        child::append_and_die(self.contender.name(), &self.dir, &tail)?;
        self.end += tail.count;
        let all = Load {
            count: self.end,
            ..*load
        };
        checked(&all, |check| {
            self.contender.extra(Extra::OpenCrashed, &self.dir, &all, check)
        })
    }

    fn truncate(&mut self, load: &Load) -> Result<Measured> {
        self.first += load.count / DROPPED_PART;
        ensure!(
            self.first < self.end,
            "nothing is left to drop: ask for fewer rounds"
        );
        let left = Load {
            first: self.first,
            count: self.end - self.first,
            ..*load
        };
        checked(&left, |check| {
            self.contender
                .extra(Extra::TruncateBefore, &self.dir, &left, check)
        })
    }

    fn outcome(self) -> Result<Outcome> {
        let contender = self.contender.name();
        let result = match self.failure {
            Some(failure) => Err(failure.context(contender)),
            None => Ok(Findings {
                summary: Summary::of(&self.samples).context("no round was run")?,
                latencies: Some(self.latencies).filter(|latencies| !latencies.is_empty()),
                facts: median_facts(&self.facts),
            }),
        };
        let note = self.contender.note(basic(self.job));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Tally;
    use crate::workload::WORKLOADS;

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
            job,
            bytes: 16,
            count: 320,
            quick_count: 160,
            ..WORKLOADS[0]
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
        let outcomes = run(
            &Plan::new(root.path(), true, None, 1),
            &workload(job),
            &contenders,
        )
        .unwrap();
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
            (outcomes[2].contender, sound.summary.median, sound.summary.rounds),
            ("sound", 1000.0, QUICK_ROUNDS)
        );
    }

    #[test]
    fn a_contender_without_the_contract_is_left_out() {
        for job in [Job::Commit, Job::ReplayCold, Job::Extra(Extra::Follow)] {
            assert!(outcomes(job).is_empty(), "{job:?}");
        }
    }
}
