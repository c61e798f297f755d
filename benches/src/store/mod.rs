//! What a state store costs: its decisions beside bare commits and appends of the same events, in turn.

mod peers;

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

use self::peers::Peer;
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
#[derive(Clone)]
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

impl Accounts {
    /// What the move leaves; an error if it would leave less than nothing.
    fn left(&self, event: &Moved) -> Result<i64, i64> {
        let left = self.cents[event.from as usize] - event.cents;
        match left {
            ..0 => Err(left),
            _ => Ok(left),
        }
    }

    fn carry_out(&mut self, event: &Moved) {
        self.cents[event.from as usize] -= event.cents;
        self.cents[event.to as usize] += event.cents;
        self.moves += 1;
    }
}

impl State for Accounts {
    type Event = Moved;

    fn apply(&mut self, event: Moved, _: At) {
        self.carry_out(&event);
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
    let left = accounts.left(&event)?;
    Ok(Decision::new(left).event(event))
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
    peers: Vec<Vec<f64>>,
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
    let peers = peers::all();
    let mut rows = Vec::new();
    for threads in [1, 8, 32, 64] {
        let count = args.commits * (threads * 3 / 4).max(1);
        rows.push(durable(root.path(), threads, count, rounds, &peers)?);
    }
    for threads in [1, 4] {
        rows.push(at_once(root.path(), threads, args.commits * 1_000, rounds)?);
    }
    print(&rows, rounds, &peers)?;
    changes(&root.path().join("changes"), rounds)?;
    reads(&root.path().join("reads"))
}

/// Commits and decisions that are waited for.
fn durable(root: &Path, threads: u64, count: u64, rounds: usize, peers: &[Box<dyn Peer>]) -> Result<Row> {
    let mut row = Row {
        what: format!("durable, {threads} threads"),
        unit: "1/s",
        bare: Vec::new(),
        store: Vec::new(),
        peers: vec![Vec::new(); peers.len()],
    };
    for round in 0..rounds {
        let dir = |of: &str| root.join(format!("{of}-{threads}-{round}"));
        let log = open(&dir("bare"))?;
        row.bare.push(rate(threads, count, |i| {
            Ok(log.append_and_sync(&moved(i)).map(drop)?)
        })?);
        let store = open_store(&dir("store"))?;
        row.store.push(rate(threads, count, |i| {
            let decided = store.transact(|accounts, _| decide(accounts, moved(i)));
            decided.map(drop).map_err(|refused| anyhow::anyhow!("{refused}"))
        })?);
        store.read(|accounts| check(accounts, count))??;
        drop((log, store));
        for (peer, samples) in peers.iter().zip(&mut row.peers) {
            samples.push(peers::decisions(
                peer.as_ref(),
                &dir(peer.name()),
                threads,
                count,
            )?);
        }
    }
    Ok(row)
}

/// Appends and decisions that nobody waits for.
fn at_once(root: &Path, threads: u64, count: u64, rounds: usize) -> Result<Row> {
    let mut row = Row {
        what: format!("not waited for, {threads} threads"),
        unit: "ns",
        bare: Vec::new(),
        store: Vec::new(),
        peers: Vec::new(),
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
        store.read(|accounts| check(accounts, count))??;
    }
    Ok(row)
}

fn open_store(dir: &Path) -> Result<Store<Accounts>> {
    Ok(open(dir)?.store(StoreConfig::new())?)
}

fn check(accounts: &Accounts, count: u64) -> Result<()> {
    let (moves, sum) = (accounts.moves, accounts.cents.iter().sum::<i64>());
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

/// What it costs to find the events that changed one account, beside folding all of them.
fn changes(dir: &Path, rounds: usize) -> Result<()> {
    const MOVES: u64 = 1_000_000;
    let log = open(dir)?;
    for i in 0..MOVES {
        let _lsn = log.append(&moved(i))?;
    }
    let (mut folds, mut found) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        check(&log.rebuild::<Accounts>()?.state, MOVES)?;
        folds.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let mut count = 0;
        for change in log.changes(.., |accounts: &Accounts| accounts.cents[7])? {
            let _change = change?;
            count += 1;
        }
        // It loses and gets in one move of each round of the accounts.
        ensure!(
            count == 2 * MOVES / ACCOUNTS,
            "{count} moves are about one account"
        );
        found.push(start.elapsed().as_secs_f64());
    }
    let (fold, changes) = (median(&folds)?, median(&found)?);
    println!(
        "rebuild: {:.0} ns an event; changes of one account: {:.0} ns, {:.2} of that speed",
        fold * 1e9 / MOVES as f64,
        changes * 1e9 / MOVES as f64,
        fold / changes
    );
    Ok(())
}

fn print(rows: &[Row], rounds: usize, peers: &[Box<dyn Peer>]) -> Result<()> {
    println!("{rounds} rounds, medians");
    println!("{:28}{:>16}{:>16}{:>10}", "", "bare append", "store", "of bare");
    for row in rows {
        let (bare, store) = (median(&row.bare)?, median(&row.store)?);
        println!(
            "{:28}{bare:>12.0} {:3}{store:>12.0} {:3}{:>9.2}x",
            row.what,
            row.unit,
            row.unit,
            store / bare
        );
    }
    for (place, peer) in peers.iter().enumerate() {
        println!("{} {}", peer.name(), peer.settings());
        for row in rows.iter().filter(|row| !row.peers.is_empty()) {
            let (theirs, store) = (median(&row.peers[place])?, median(&row.store)?);
            let note = peer.note().map(|note| format!(", {note}")).unwrap_or_default();
            println!(
                "{}: {theirs:.0} {}; the store is {:.2} times {}{note}",
                row.what,
                row.unit,
                store / theirs,
                peer.name(),
            );
        }
    }
    Ok(())
}

fn median(samples: &[f64]) -> Result<f64> {
    Ok(Summary::of(samples).context("there is a round")?.median)
}
