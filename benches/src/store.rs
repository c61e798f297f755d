//! What a state store costs: its decisions beside bare commits and appends of the same events, in turn.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Wal, WalConfig, WalRecord,
    state::{At, Decision, State, Store, StoreConfig},
};

use crate::stats::Summary;

#[derive(Args)]
pub(crate) struct StoreArgs {
    /// How often each has its turn.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Commits of one thread, and decisions that are not waited for, in thousands, in a turn.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    commits: u64,
    /// Where the logs are written.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

const SEGMENT: u64 = 64 << 20;

const ACCOUNTS: u64 = 1_000;

#[derive(Clone, Serialize, Deserialize, WalRecord)]
#[wal(name = "moved")]
struct Moved {
    from: u64,
    to: u64,
    cents: i64,
}

/// Money that goes round: what one account loses, another has.
struct Accounts {
    cents: Vec<i64>,
    moves: u64,
}

impl Default for Accounts {
    fn default() -> Self {
        Accounts {
            cents: vec![1_000_000; ACCOUNTS as usize],
            moves: 0,
        }
    }
}

impl State for Accounts {
    type Event = Moved;

    fn apply(&mut self, event: Moved, _: At) {
        self.cents[event.from as usize] -= event.cents;
        self.cents[event.to as usize] += event.cents;
        self.moves += 1;
    }
}

fn moved(i: u64) -> Moved {
    Moved {
        from: i % ACCOUNTS,
        to: (i * 7 + 1) % ACCOUNTS,
        cents: 1,
    }
}

fn decide(accounts: &Accounts, event: Moved) -> Result<Decision<Moved, i64>, i64> {
    let left = accounts.cents[event.from as usize] - event.cents;
    match left {
        ..0 => Err(left),
        _ => Ok(Decision::new(left).event(event)),
    }
}

/// Runs `each` for so many numbers in all, by so many threads; returns how many a second.
fn rate(threads: u64, count: u64, each: impl Fn(u64) -> Result<()> + Sync) -> Result<f64> {
    let start = Instant::now();
    thread::scope(|scope| {
        let run = |thread| {
            let each = &each;
            scope.spawn(move || (0..count / threads).try_for_each(|i| each(i * threads + thread)))
        };
        let threads: Vec<_> = (0..threads).map(run).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

struct Row {
    what: String,
    unit: &'static str,
    bare: Vec<f64>,
    store: Vec<f64>,
}

fn open(dir: &Path) -> Result<EventLog<Moved>> {
    Ok(Wal::open_segmented_with(dir, SEGMENT, WalConfig::new())?
        .typed::<Moved>()?
        .with_read_back(false))
}

pub(crate) fn run(args: &StoreArgs) -> Result<bool> {
    let root = tempfile::Builder::new()
        .prefix("wal-benches-")
        .tempdir_in(&args.dir)?;
    let rounds = args.rounds.max(1);
    let mut rows = Vec::new();
    for threads in [1, 8, 32, 64] {
        let mut row = Row {
            what: format!("durable, {threads} threads"),
            unit: "1/s",
            bare: Vec::new(),
            store: Vec::new(),
        };
        let count = args.commits * (threads * 3 / 4).max(1);
        for round in 0..rounds {
            let log = open(&root.path().join(format!("bare-{threads}-{round}")))?;
            row.bare.push(rate(threads, count, |i| {
                Ok(log.append_and_sync(&moved(i)).map(drop)?)
            })?);
            let store = open_store(&root.path().join(format!("store-{threads}-{round}")))?;
            row.store.push(rate(threads, count, |i| {
                let decided = store.transact(|accounts, _| decide(accounts, moved(i)));
                decided.map(drop).map_err(|refused| anyhow::anyhow!("{refused}"))
            })?);
            check(&store, count)?;
        }
        rows.push(row);
    }
    for threads in [1, 4] {
        rows.push(at_once(root.path(), threads, args.commits * 1_000, rounds)?);
    }
    print(&rows, rounds)?;
    reads(&root.path().join("reads"))
}

/// Appends and decisions that nobody waits for.
fn at_once(root: &Path, threads: u64, count: u64, rounds: usize) -> Result<Row> {
    let mut row = Row {
        what: format!("not waited for, {threads} threads"),
        unit: "ns",
        bare: Vec::new(),
        store: Vec::new(),
    };
    for round in 0..rounds {
        let log = open(&root.join(format!("append-{threads}-{round}")))?;
        let appended = rate(threads, count, |i| Ok(log.append(&moved(i)).map(drop)?))?;
        row.bare.push(1e9 / appended);
        let store = open_store(&root.join(format!("submit-{threads}-{round}")))?;
        let submitted = rate(threads, count, |i| {
            drop(store.submit(|accounts, _| decide(accounts, moved(i)))?);
            Ok(())
        })?;
        row.store.push(1e9 / submitted);
        check(&store, count)?;
    }
    Ok(row)
}

fn open_store(dir: &Path) -> Result<Store<Accounts>> {
    Ok(open(dir)?.store(StoreConfig::new())?)
}

fn check(store: &Store<Accounts>, count: u64) -> Result<()> {
    let (moves, sum) = store.read(|accounts| (accounts.moves, accounts.cents.iter().sum::<i64>()))?;
    ensure!(
        moves == count && sum == 1_000_000 * ACCOUNTS as i64,
        "{moves} moves, {sum} cents"
    );
    Ok(())
}

/// What a look at an idle store costs.
fn reads(dir: &Path) -> Result<bool> {
    const LOOKS: u64 = 5_000_000;
    let store = open_store(dir)?;
    let _lsn = store.commit(moved(1))?;
    let looks = rate(1, LOOKS, |i| {
        black_box(store.read(|accounts| accounts.cents[(i % ACCOUNTS) as usize])?);
        Ok(())
    })?;
    println!("a read of an idle store: {:.0} ns", 1e9 / looks);
    Ok(true)
}

fn print(rows: &[Row], rounds: usize) -> Result<()> {
    println!("{rounds} rounds, medians");
    println!("{:28}{:>16}{:>16}{:>10}", "", "bare append", "store", "of bare");
    for row in rows {
        let [bare, store] = [&row.bare, &row.store].map(|all| Summary::of(all).map(|all| all.median));
        let (bare, store) = bare.zip(store).context("there is a round")?;
        println!(
            "{:28}{bare:>12.0} {:3}{store:>12.0} {:3}{:>9.2}x",
            row.what,
            row.unit,
            row.unit,
            store / bare
        );
    }
    Ok(())
}
