//! How long it takes to replay events of several kinds, by how many threads they are decoded.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use wal_db::{EventLog, Wal, WalConfig, WalRecord, event::WalDecodeOwned};

use crate::threads;

#[derive(Args)]
pub(crate) struct ReplayThreads {
    /// How many events of each kind, in millions.
    #[arg(long, value_name = "N", default_value_t = 2)]
    millions: u64,
    /// The most threads, as many as there are processors if it is not given. 1, 2, 4 and so on below it are measured, too.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Only events of this kind: readings, curves, transfers or orders.
    #[arg(long, value_name = "KIND")]
    only: Option<String>,
    /// How often each has its turn.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Where the logs are written.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

/// Nothing but numbers.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "reading")]
struct Reading {
    sensor: u32,
    at_us: u64,
    celsius: f64,
}

fn reading(i: u64) -> Reading {
    Reading {
        sensor: i as u32 % 5000,
        at_us: 1_700_000_000_000_000 + i,
        celsius: i as f64 / 7.0,
    }
}

/// Many numbers, in one piece of memory.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "curve")]
struct Curve {
    id: u64,
    points: Vec<f32>,
}

fn curve(i: u64) -> Curve {
    Curve {
        id: i,
        points: (0..100).map(|n| (i + n) as f32 / 7.0).collect(),
    }
}

/// Two short texts.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "transfer")]
struct Transfer {
    id: u64,
    from: String,
    to: String,
    cents: i64,
}

fn transfer(i: u64) -> Transfer {
    Transfer {
        id: i,
        from: format!("account-{:06}", i % 997),
        to: format!("account-{:06}", i % 991),
        cents: i as i64 * 37 - 1000,
    }
}

/// Texts, a list and a map.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "order")]
struct Order {
    id: u64,
    customer: String,
    lines: Vec<Line>,
    notes: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize, wal_db::WalSchema)]
struct Line {
    article: String,
    count: u32,
    cents: i64,
}

fn order(i: u64) -> Order {
    let line = |n: u64| Line {
        article: format!("article-{:05}", (i + n) % 9973),
        count: 1 + (n as u32 % 3),
        cents: (i % 100 * n) as i64,
    };
    let note = |n: u64| (format!("key-{n}"), format!("what was said of {}", i % 89 + n));
    Order {
        id: i,
        customer: format!("customer-{:06}", i % 997),
        lines: (0..4).map(line).collect(),
        notes: (0..6).map(note).collect(),
    }
}

const SEGMENT: u64 = 64 << 20;

pub(crate) fn run(args: &ReplayThreads) -> Result<bool> {
    let counts = threads::counts(args.threads)?;
    let root = tempfile::Builder::new()
        .prefix("wal-benches-")
        .tempdir_in(&args.dir)?;
    println!(
        "{} million events of each kind, {} rounds, medians",
        args.millions,
        args.rounds.max(1)
    );
    println!(
        "{:<12}{:>8}{:>10}{:>12}{:>16}",
        "events", "bytes", "threads", "ns an event", "of one thread"
    );
    let at = |name: &str| root.path().join(name);
    kind(args, &counts, &at("readings"), reading, |event| event.at_us)?;
    kind(args, &counts, &at("curves"), curve, |event| event.id)?;
    kind(args, &counts, &at("transfers"), transfer, |event| event.id)?;
    kind(args, &counts, &at("orders"), order, |event| event.id)?;
    Ok(true)
}

/// Measures events of one kind. `key` says of one which it is.
fn kind<E: WalDecodeOwned + Send + 'static>(
    args: &ReplayThreads,
    counts: &[usize],
    dir: &Path,
    event: fn(u64) -> E,
    key: fn(&E) -> u64,
) -> Result<()> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    if args.only.as_ref().is_some_and(|only| *only != name) {
        return Ok(());
    }
    let events = args.millions * 1_000_000;
    let wal = Wal::open_segmented_with(dir, SEGMENT, WalConfig::new())?;
    let log = wal.typed::<E>()?.with_read_back(false);
    let mut sum = 0_u64;
    for i in 0..events {
        let event = event(i);
        sum = sum.wrapping_add(key(&event));
        let _lsn = log.append(&event)?;
    }
    wal.sync()?;
    let first = log.replay(..)?.next().context("there is an event")??;
    let bytes = wal.read(first.lsn)?.len();

    let mut times: Vec<Vec<f64>> = vec![Vec::new(); counts.len()];
    for _ in 0..args.rounds.max(1) {
        for (&threads, times) in counts.iter().zip(&mut times) {
            let start = Instant::now();
            let found = replay(&log, threads, key)?;
            times.push(start.elapsed().as_nanos() as f64 / events as f64);
            ensure!(found == (events, sum), "not what was written: {found:?}");
        }
    }
    wal.close()?;
    let medians = threads::medians(&times)?;
    for (threads, median) in counts.iter().zip(&medians) {
        println!(
            "{name:<12}{bytes:>8}{threads:>10}{median:>12.1}{:>15.2}x",
            medians[0] / median
        );
    }
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// How many events there are, and the sum of their keys.
fn replay<E: WalDecodeOwned + Send + 'static>(
    log: &EventLog<E>,
    threads: usize,
    key: fn(&E) -> u64,
) -> Result<(u64, u64)> {
    let (mut events, mut sum) = (0, 0_u64);
    for event in log.replay(..)?.decode_ahead(threads) {
        let event = black_box(event?.event);
        events += 1;
        sum = sum.wrapping_add(key(&event));
    }
    Ok((events, sum))
}
