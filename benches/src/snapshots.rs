//! What snapshots of a state cost and spare: loading one, opening long logs with one, and appending beside one.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Wal, WalConfig, WalRecord,
    state::{At, Decision, Snapshot, State, Store, StoreConfig},
};

use crate::latency::Latencies;
use crate::stats::Summary;

#[derive(Args)]
pub(crate) struct SnapshotArgs {
    /// How often each has its turn.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// How many entries the large state has, in thousands.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    entries: u64,
    /// How long the long log is, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 8 << 10)]
    long: u64,
    /// Where the logs are written.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

const SEGMENT: u64 = 64 << 20;
const SHORT_MIB: u64 = 64;
const NOTE_LEN: u64 = 1_000;

#[derive(Clone, Serialize, Deserialize, WalRecord)]
#[wal(name = "stocked")]
struct Stocked {
    article: u64,
    name: String,
    cents: i64,
    note: Vec<u8>,
}

/// What a warehouse has.
#[derive(Default, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "stock")]
struct Stock {
    articles: BTreeMap<u64, (String, i64)>,
}

impl State for Stock {
    type Event = Stocked;

    fn apply(&mut self, event: Stocked, _: At) {
        self.articles.insert(event.article, (event.name, event.cents));
    }
}

fn stocked(i: u64, articles: u64, note: u64) -> Stocked {
    Stocked {
        article: i % articles,
        name: format!("article {}", i % articles),
        cents: i as i64,
        note: vec![7; note as usize],
    }
}

fn open_log(dir: &Path) -> Result<EventLog<Stocked>> {
    Ok(Wal::open_segmented_with(dir, SEGMENT, WalConfig::new())?
        .typed::<Stocked>()?
        .with_read_back(false))
}

fn open(dir: &Path) -> Result<Store<Stock>> {
    let config = StoreConfig::new()
        .with_snapshots("stock")
        .with_snapshot_every(u64::MAX);
    Ok(open_log(dir)?.store(config)?)
}

fn timed<T>(run: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let ran = run()?;
    Ok((ran, start.elapsed().as_secs_f64()))
}

fn median(samples: &[f64]) -> Result<f64> {
    Ok(Summary::of(samples).context("there is a round")?.median)
}

pub(crate) fn run(args: &SnapshotArgs) -> Result<bool> {
    let root = tempfile::Builder::new()
        .prefix("wal-benches-")
        .tempdir_in(&args.dir)?;
    let rounds = args.rounds.max(1);
    println!("{rounds} rounds, medians");
    let large = root.path().join("large");
    let made = fill_large(&large, args.entries * 1_000)?;
    load(&large, &made, rounds)?;
    beside(&large, rounds)?;
    lengths(root.path(), args.long, rounds)?;
    Ok(true)
}

fn fill_large(dir: &Path, entries: u64) -> Result<Snapshot> {
    let log = open_log(dir)?;
    for i in 0..entries {
        let _lsn = log.append(&stocked(i, entries, 0))?;
    }
    drop(log);
    let (store, folded) = timed(|| open(dir))?;
    let (made, took) = timed(|| store.snapshot()?.context("there are events"))?;
    println!(
        "a state of {entries} entries, {:.0} MB as bytes: folded in {folded:.2} s, snapshot made in {took:.2} s",
        made.state_bytes as f64 / 1e6
    );
    Ok(made)
}

/// Opening with the snapshot, and reading its file and decoding the state by hand.
fn load(dir: &Path, made: &Snapshot, rounds: usize) -> Result<()> {
    let file = dir.join("state").join(&made.file);
    let (mut by_store, mut by_hand) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let log = open_log(dir)?;
        let config = StoreConfig::new()
            .with_snapshots("stock")
            .with_snapshot_every(u64::MAX);
        let (store, took) = timed(|| Ok(log.store::<Stock>(config)?))?;
        ensure!(store.recovery().events == 0, "it was not loaded");
        by_store.push(took);
        drop(store);
        let (state, took) = timed(|| {
            let bytes = std::fs::read(&file)?;
            // The state is at the end, with nothing but checksums in it that are left out here.
            let state = without_checksums(&bytes, made);
            let (state, _) =
                bincode::serde::decode_from_slice::<Stock, _>(&state, bincode::config::standard())?;
            Ok(state)
        })?;
        black_box(state);
        by_hand.push(took);
    }
    let (store, hand) = (median(&by_store)?, median(&by_hand)?);
    println!(
        "loaded in {:.0} ms; reading and decoding the file takes {:.0} ms: {:.2} of its speed",
        store * 1e3,
        hand * 1e3,
        hand / store
    );
    Ok(())
}

/// The bytes of the state, without the checksum before each MiB and without its envelope.
fn without_checksums(file: &[u8], made: &Snapshot) -> Vec<u8> {
    const CHUNK: u64 = 1 << 20;
    let checksums = 4 * made.state_bytes.div_ceil(CHUNK);
    let start = file.len() - (made.state_bytes + checksums) as usize;
    let chunks = file[start..].chunks(4 + CHUNK as usize);
    let mut state: Vec<u8> = Vec::with_capacity(made.state_bytes as usize);
    chunks.for_each(|chunk| state.extend_from_slice(&chunk[4..]));
    state.drain(..ENVELOPE_LEN);
    state
}

/// Layout, codec, type id and version.
const ENVELOPE_LEN: usize = 1 + 1 + 5 + 1;

/// Decisions that nobody waits for, with and without a snapshot that is being made.
fn beside(dir: &Path, rounds: usize) -> Result<()> {
    let store = open(dir)?;
    let mut latencies = [Latencies::new(), Latencies::new()];
    let mut made = 0_u64;
    for round in 0..2 * rounds {
        let with = round % 2 == 1;
        let is_over = AtomicBool::new(false);
        made += thread::scope(|scope| -> Result<u64> {
            let snapshots = scope.spawn(|| -> Result<u64> {
                let mut made = 0;
                while with && !is_over.load(Ordering::Relaxed) {
                    let _snapshot = store.snapshot()?;
                    made += 1;
                }
                Ok(made)
            });
            let start = Instant::now();
            let mut i = 0;
            while start.elapsed() < Duration::from_secs(2) {
                let before = Instant::now();
                drop(store.submit(|_, _| Ok::<_, ()>(Decision::new(()).event(stocked(i, 1_000, 0))))?);
                latencies[usize::from(with)].record(before.elapsed());
                // Not as fast as it goes: that is a question of the disk.
                thread::sleep(Duration::from_micros(5));
                i += 1;
            }
            is_over.store(true, Ordering::Relaxed);
            snapshots
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))?
        })?;
    }
    let [without, with] = latencies.map(|latencies| latencies.percentiles());
    println!(
        "a decision that is not waited for: p50 {} ns, p99 {} ns, p99.9 {} ns; beside {made} snapshots p50 {} ns, p99 {} ns, \
         p99.9 {} ns: {:.2} times",
        without.p50,
        without.p99,
        without.p999,
        with.p50,
        with.p99,
        with.p999,
        with.p999 as f64 / without.p999 as f64
    );
    Ok(())
}

/// Opening a short and a long log of the same state.
fn lengths(root: &Path, long_mib: u64, rounds: usize) -> Result<()> {
    let dirs = [SHORT_MIB, long_mib].map(|mib| (mib, root.join(format!("{mib}-mib"))));
    for (mib, dir) in &dirs {
        let log = open_log(dir)?;
        let mut batch = Vec::new();
        for i in 0..(mib << 20) / NOTE_LEN {
            batch.push(stocked(i, 1_000, NOTE_LEN));
            if batch.len() == 100 {
                let _lsns = log.append_batch(&batch)?;
                batch.clear();
            }
        }
        drop(log);
        let _snapshot = open(dir)?.snapshot()?;
    }
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for ((_, dir), took) in dirs.iter().zip(&mut took) {
            let (store, seconds) = timed(|| open(dir))?;
            ensure!(store.recovery().events == 0, "it was not loaded");
            took.push(seconds);
        }
    }
    let [short, long] = took;
    let (short, long) = (median(&short)?, median(&long)?);
    println!(
        "opening a log of {SHORT_MIB} MiB with a snapshot {:.2} ms, one of {long_mib} MiB {:.2} ms: {:.2} times",
        short * 1e3,
        long * 1e3,
        long / short
    );
    Ok(())
}
