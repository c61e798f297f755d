//! Looks for cliffs: settings at which the log is several times as slow as at the next one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use wal_db::{Start, Wal, WalConfig};

use crate::stats::Summary;

#[derive(Args)]
pub(crate) struct Cliffs {
    /// Only what is measured along this: record, batch, staging, segment, threads or followers.
    #[arg(long, value_name = "NAME")]
    along: Option<String>,
    /// How often each point is measured; twice as often again if it looks like a cliff.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// How many times as slow as its neighbour a point has to be.
    #[arg(long, value_name = "RATIO", default_value_t = 3.0)]
    ratio: f64,
    /// Where the logs are written.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

#[derive(Clone, Copy)]
struct Point {
    record_bytes: usize,
    batch: usize,
    staging_bytes: usize,
    segment_bytes: u64,
    threads: usize,
    followers: usize,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// From here one thing at a time is changed.
const BASE: Point = Point {
    record_bytes: 256,
    batch: 1,
    staging_bytes: 8 << 20,
    segment_bytes: 64 * MIB,
    threads: 1,
    followers: 0,
};

struct Sweep {
    name: &'static str,
    values: Vec<u64>,
    at: fn(u64) -> Point,
}

/// Values that are at most twice the one before, so that a cost that grows with them is no cliff.
fn sweeps() -> Vec<Sweep> {
    let mut records = doubled(8, 2 * MIB);
    records.push(64 * KIB - 8);
    records.sort_unstable();
    vec![
        Sweep {
            name: "record",
            values: records,
            at: |bytes| Point {
                record_bytes: bytes as usize,
                ..BASE
            },
        },
        Sweep {
            name: "batch",
            values: doubled(1, 2048),
            at: |records| Point {
                batch: records as usize,
                ..BASE
            },
        },
        Sweep {
            name: "staging",
            values: doubled(64 * KIB, 32 * MIB),
            at: |bytes| Point {
                staging_bytes: bytes as usize,
                ..BASE
            },
        },
        Sweep {
            name: "segment",
            values: doubled(64 * KIB, 128 * MIB),
            at: |bytes| Point {
                segment_bytes: bytes,
                ..BASE
            },
        },
        Sweep {
            name: "threads",
            values: doubled(1, 64),
            at: |threads| Point {
                threads: threads as usize,
                ..BASE
            },
        },
        Sweep {
            name: "followers",
            values: [vec![0], doubled(1, 8)].concat(),
            at: |followers| Point {
                followers: followers as usize,
                ..BASE
            },
        },
    ]
}

fn doubled(first: u64, last: u64) -> Vec<u64> {
    std::iter::successors(Some(first), |value| Some(2 * value))
        .take_while(|&value| value <= last)
        .collect()
}

/// What is measured at a point, less is better.
#[derive(Clone, Copy)]
struct Measure {
    name: &'static str,
    take: fn(&Point, &Path) -> Result<f64>,
}

const MEASURES: [Measure; 3] = [
    Measure {
        name: "append ns/record",
        take: append_ns,
    },
    Measure {
        name: "commit us",
        take: commit_us,
    },
    Measure {
        name: "commit beside appends us",
        take: mixed_us,
    },
];

/// What a run of appends writes at most, and how many records.
const RUN_BYTES: u64 = 48 * MIB;
const RUN_RECORDS: u64 = 200_000;
const COMMITS: usize = 40;
/// How long commits are measured beside appends.
const MIXED: Duration = Duration::from_millis(150);

pub(crate) fn run(args: &Cliffs) -> Result<bool> {
    let mut cliffs = Vec::new();
    for sweep in sweeps() {
        if args.along.as_deref().is_some_and(|only| only != sweep.name) {
            continue;
        }
        print!("{:<26}", sweep.name);
        sweep
            .values
            .iter()
            .for_each(|value| print!("{:>9}", short(*value)));
        println!();
        for measure in MEASURES {
            let measured = |value: &u64, rounds| {
                let samples = (0..rounds).map(|_| in_a_log(&(sweep.at)(*value), measure.take, &args.dir));
                let samples = samples.collect::<Result<Vec<_>>>()?;
                Ok(Summary::of(&samples).context("there is a round")?.median)
            };
            let mut figures = sweep
                .values
                .iter()
                .map(|value| measured(value, args.rounds.max(1)))
                .collect::<Result<Vec<f64>>>()?;
            for at in 1..figures.len() {
                if is_cliff(&figures[at - 1..=at], args.ratio) {
                    for at in [at - 1, at] {
                        figures[at] = measured(&sweep.values[at], 2 * args.rounds.max(1))?;
                    }
                }
            }
            print!("  {:<24}", measure.name);
            figures
                .iter()
                .for_each(|figure| print!("{:>9}", rounded(*figure)));
            println!();
            for (values, pair) in sweep.values.windows(2).zip(figures.windows(2)) {
                if is_cliff(pair, args.ratio) {
                    cliffs.push(format!(
                        "{} {} to {}: {} from {} to {}",
                        sweep.name,
                        short(values[0]),
                        short(values[1]),
                        measure.name,
                        rounded(pair[0]),
                        rounded(pair[1])
                    ));
                }
            }
        }
        println!();
    }
    match cliffs.len() {
        0 => println!("no point is {} times as slow as its neighbour", args.ratio),
        _ => println!("{} times as slow as a neighbour, measured twice:", args.ratio),
    }
    cliffs.iter().for_each(|cliff| println!("  {cliff}"));
    Ok(true)
}

fn is_cliff(pair: &[f64], ratio: f64) -> bool {
    let (less, more) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
    more > ratio * less
}

/// As 64K or 2M.
fn short(value: u64) -> String {
    match value {
        0 => "0".to_owned(),
        _ if value.is_multiple_of(MIB) => format!("{}M", value / MIB),
        _ if value.is_multiple_of(KIB) => format!("{}K", value / KIB),
        _ => value.to_string(),
    }
}

/// Three digits.
fn rounded(figure: f64) -> String {
    let decimals = match figure {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{figure:.decimals$}")
}

fn in_a_log(point: &Point, take: fn(&Point, &Path) -> Result<f64>, dir: &Path) -> Result<f64> {
    let root = tempfile::Builder::new().prefix("wal-benches-").tempdir_in(dir)?;
    take(point, &root.path().join("log"))
}

impl Point {
    fn open(&self, dir: &Path) -> Result<Wal> {
        let config = WalConfig::new().with_staging_bytes(self.staging_bytes);
        Ok(Wal::open_segmented_with(dir, self.segment_bytes, config)?)
    }

    /// Appends once: a record, or a batch. Returns how many records.
    fn append(&self, wal: &Wal, payload: &[u8]) -> Result<u64> {
        if self.batch == 1 {
            let _lsn = wal.append(payload)?;
        } else {
            let _lsns = wal.append_batch(&vec![payload; self.batch])?;
        }
        Ok(self.batch as u64)
    }
}

/// Runs `work` beside as many followers as the point has, which read all there is until it is done.
fn beside_followers<T>(point: &Point, wal: &Wal, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = AtomicBool::new(false);
    let tails = (0..point.followers).map(|_| wal.tail(Start::Head));
    let tails = tails.collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        for mut tail in tails {
            let done = &done;
            let _follower = scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let _ = tail.next_timeout(Duration::from_millis(1));
                }
            });
        }
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        outcome
    })
}

/// Appends in all threads of the point until there are so many records; nanoseconds of one, all threads together.
fn append_ns(point: &Point, dir: &Path) -> Result<f64> {
    let wal = point.open(dir)?;
    let records = (RUN_BYTES / (point.record_bytes as u64 + 8)).min(RUN_RECORDS);
    let of_each = (records / point.threads as u64).max(1);
    let payload = vec![7; point.record_bytes];
    beside_followers(point, &wal, || {
        let start = Instant::now();
        let appended = thread::scope(|scope| {
            let threads: Vec<_> = (0..point.threads)
                .map(|_| {
                    scope.spawn(|| -> Result<u64> {
                        let mut appended = 0;
                        while appended < of_each {
                            appended += point.append(&wal, &payload)?;
                        }
                        Ok(appended)
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("an appender does not panic"))
                .sum::<Result<u64>>()
        })?;
        Ok(start.elapsed().as_nanos() as f64 / appended as f64)
    })
}

/// Commits in all threads of the point; the median in microseconds.
fn commit_us(point: &Point, dir: &Path) -> Result<f64> {
    let wal = point.open(dir)?;
    let payload = vec![7; point.record_bytes];
    beside_followers(point, &wal, || {
        let latencies = thread::scope(|scope| {
            let threads: Vec<_> = (0..point.threads)
                .map(|_| scope.spawn(|| commits(point, &wal, &payload, |done| done == COMMITS)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a committer does not panic"))
                .collect::<Result<Vec<_>>>()
        })?;
        median(&latencies.concat())
    })
}

/// Commits of one thread while those of the point append all the time; the median in microseconds.
fn mixed_us(point: &Point, dir: &Path) -> Result<f64> {
    let wal = point.open(dir)?;
    let payload = vec![7; point.record_bytes];
    let done = AtomicBool::new(false);
    beside_followers(point, &wal, || {
        let latencies = thread::scope(|scope| {
            let appenders: Vec<_> = (0..point.threads)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        while !done.load(Ordering::Relaxed) {
                            point.append(&wal, &payload)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            let start = Instant::now();
            let latencies = commits(point, &wal, &payload, |_| start.elapsed() > MIXED);
            done.store(true, Ordering::Relaxed);
            for appender in appenders {
                appender.join().expect("an appender does not panic")?;
            }
            latencies
        })?;
        median(&latencies)
    })
}

/// The time of each commit until `ends` says so after one, in microseconds.
fn commits(point: &Point, wal: &Wal, payload: &[u8], ends: impl Fn(usize) -> bool) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    while latencies.is_empty() || !ends(latencies.len()) {
        let start = Instant::now();
        point.append(wal, payload)?;
        wal.sync()?;
        latencies.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(latencies)
}

fn median(samples: &[f64]) -> Result<f64> {
    Ok(Summary::of(samples).context("there is a commit")?.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cliff_is_found_in_both_directions() {
        assert!(is_cliff(&[10.0, 31.0], 3.0) && is_cliff(&[31.0, 10.0], 3.0));
        assert!(!is_cliff(&[10.0, 29.0], 3.0) && !is_cliff(&[29.0, 10.0], 3.0));
    }

    #[test]
    fn no_value_is_more_than_twice_the_one_before() {
        for sweep in sweeps() {
            let pairs = sweep.values.windows(2).filter(|pair| pair[0] > 0);
            assert!(pairs.clone().count() > 2);
            assert!(
                pairs.clone().all(|pair| pair[1] <= 2 * pair[0] + 16),
                "{}",
                sweep.name
            );
        }
    }

    #[test]
    fn every_end_of_every_sweep_can_be_measured() {
        let dir = tempfile::tempdir().unwrap();
        for sweep in sweeps() {
            for value in [sweep.values[0], sweep.values[sweep.values.len() - 1]] {
                let us = in_a_log(&(sweep.at)(value), commit_us, dir.path()).unwrap();
                assert!(us > 0.0, "{} {value}", sweep.name);
            }
        }
    }
}
