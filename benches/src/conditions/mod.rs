//! What an index costs, what it spares, and what conditions cost: beside appends and commits of the same events, in turn.

mod peers;

use std::hint::black_box;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Meta, Wal, WalConfig, WalRecord,
    index::{Condition, Indexed, Item, Query},
    state::{At, Decision, Entities, EntitiesConfig, Model, State},
};

use self::peers::Peer;
use crate::stats::Summary;

#[derive(Args)]
pub(crate) struct ConditionArgs {
    /// How often each has its turn.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Appends in a turn, in thousands.
    #[arg(long, value_name = "N", default_value_t = 200)]
    appends: u64,
    /// Commits of one thread in a turn.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    commits: u64,
    /// How many streams the long log has, in thousands, with ten events each.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    streams: u64,
    /// Where the logs are written.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

const SEGMENT: u64 = 64 << 20;

#[derive(Clone, Serialize, Deserialize, WalRecord)]
#[wal(name = "joined")]
struct Joined {
    course: u64,
    student: u64,
}

fn joined(i: u64) -> Joined {
    Joined {
        course: i % 100,
        student: i,
    }
}

/// How many have joined a course.
struct Seats {
    course: u64,
    taken: u64,
}

impl State for Seats {
    type Event = Joined;

    fn apply(&mut self, _: Joined, _: At) {
        self.taken += 1;
    }
}

impl Model for Seats {
    fn query(&self) -> Query {
        Item::any().tag(tag(self.course)).into()
    }
}

/// How many have joined in a stream.
#[derive(Default)]
struct Joiners(u64);

impl State for Joiners {
    type Event = Joined;

    fn apply(&mut self, _: Joined, _: At) {
        self.0 += 1;
    }
}

/// How many streams are decided on by each thread. All of them are in memory.
const STREAMS_A_THREAD: u64 = 100;

fn tag(number: u64) -> String {
    format!("student:{number}")
}

fn open(dir: &Path) -> Result<EventLog<Joined>> {
    let wal = Wal::open_segmented_with(dir, SEGMENT, WalConfig::new())?;
    Ok(wal.typed::<Joined>()?.with_read_back(false))
}

pub(crate) fn run(args: &ConditionArgs) -> Result<bool> {
    let root = tempfile::Builder::new()
        .prefix("wal-benches-")
        .tempdir_in(&args.dir)?;
    let rounds = args.rounds.max(1);
    println!("{rounds} rounds, medians");
    let peers = peers::all();
    for peer in &peers {
        println!("{} {}", peer.name(), peer.settings());
    }
    appends(root.path(), rounds, args.appends * 1_000)?;
    for threads in [1, 8, 32, 64] {
        commits(root.path(), rounds, threads, args.commits, &peers)?;
    }
    long(root.path(), rounds, args.streams * 1_000)?;
    Ok(true)
}

/// A log, and its index if the way of appending has one.
enum Log {
    Plain(EventLog<Joined>),
    Indexed(Indexed<Joined>),
}

/// What is timed: its name, whether the log is indexed, and one append.
type Append = fn(&Log, u64) -> Result<()>;

fn meta(i: u64) -> Meta {
    Meta::new().with_tag(&tag(i))
}

fn plain(log: &Log, i: u64) -> Result<()> {
    let log = match log {
        Log::Plain(log) => log,
        Log::Indexed(index) => index.log(),
    };
    let _lsn = log.append_with_meta(&joined(i), &meta(i))?;
    Ok(())
}

fn index(log: &Log) -> Result<&Indexed<Joined>> {
    match log {
        Log::Indexed(index) => Ok(index),
        Log::Plain(_) => anyhow::bail!("it is not indexed"),
    }
}

fn never(log: &Log, i: u64) -> Result<()> {
    let condition = Condition::new().never(Item::any().tag(tag(i)));
    let _lsns = index(log)?.append_if(&[(joined(i), meta(i))], &condition)?;
    Ok(())
}

fn appends(root: &Path, rounds: usize, count: u64) -> Result<()> {
    let ways: [(&str, bool, Append); 3] = [
        ("append_with_meta", false, plain),
        ("append_with_meta, indexed", true, plain),
        ("append_if, never this tag", true, never),
    ];
    let mut samples = vec![Vec::new(); ways.len()];
    for round in 0..rounds {
        for (way, (_, is_indexed, append)) in ways.iter().enumerate() {
            let dir = root.join(format!("appends-{round}-{way}"));
            let log = open(&dir)?;
            let log = match is_indexed {
                true => Log::Indexed(log.indexed()?),
                false => Log::Plain(log),
            };
            let start = Instant::now();
            for i in 0..count {
                append(&log, i)?;
            }
            samples[way].push(start.elapsed().as_secs_f64() / count as f64);
            drop(log);
            std::fs::remove_dir_all(&dir)?;
        }
    }
    let first = median(&samples[0])?;
    for ((name, ..), samples) in ways.iter().zip(&samples) {
        let time = median(samples)?;
        println!(
            "{name}: {:.0} ns, {:.2} times the first",
            time * 1e9,
            time / first
        );
    }
    Ok(())
}

/// Threads that commit, each for tags of its own.
fn commits(root: &Path, rounds: usize, threads: u64, count: u64, peers: &[Box<dyn Peer>]) -> Result<()> {
    let ways = [
        "append_and_sync",
        "append_if_and_sync",
        "decide",
        "entities, transact",
    ];
    let mut ours = vec![Vec::new(); ways.len()];
    let mut theirs = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        let dir = |of: &str| root.join(format!("commits-{threads}-{round}-{of}"));
        for (way, samples) in ours.iter_mut().enumerate() {
            let dir = dir(ways[way]);
            let log = open(&dir)?;
            let index = match way {
                0 => None,
                _ => Some(log.indexed()?),
            };
            let entities = index.as_ref().map(|index| index.entities(EntitiesConfig::new()));
            let commit = |numbers| match (way, &entities) {
                (3, Some(entities)) => decide_all(entities, numbers),
                _ => commit_all(&log, index.as_ref(), way, numbers),
            };
            samples.push(rate(threads, count, commit)?);
            drop((log, index, entities));
            std::fs::remove_dir_all(&dir)?;
        }
        for (peer, samples) in peers.iter().zip(&mut theirs) {
            let rate = peers::commits(peer.as_ref(), &dir(peer.name()), threads, count)?;
            samples.push(rate);
        }
    }
    let first = median(&ours[0])?;
    for (name, samples) in ways.iter().zip(&ours) {
        let rate = median(samples)?;
        println!(
            "{threads} threads, {name}: {:.1} thousand/s, {:.2} of the first",
            rate / 1e3,
            rate / first
        );
    }
    let under_condition = median(&ours[1])?;
    for (name, samples) in peers.iter().map(|peer| peer.name()).zip(&theirs) {
        let rate = median(samples)?;
        println!(
            "{threads} threads, {name}: {:.1} thousand/s; {} is {:.2} times {name}",
            rate / 1e3,
            ways[1],
            under_condition / rate
        );
    }
    Ok(())
}

/// Runs `commit` by so many threads, with `count` numbers for each; returns how many numbers there were a second.
fn rate(threads: u64, count: u64, commit: impl Fn(Range<u64>) -> Result<()> + Sync) -> Result<f64> {
    let start = Instant::now();
    thread::scope(|scope| {
        let run = |thread| {
            let commit = &commit;
            scope.spawn(move || commit(thread * count..(thread + 1) * count))
        };
        let threads: Vec<_> = (0..threads).map(run).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    Ok(threads as f64 * count as f64 / start.elapsed().as_secs_f64())
}

fn decide_all(entities: &Entities<Joiners>, numbers: Range<u64>) -> Result<()> {
    let first = numbers.start;
    for i in numbers {
        let key = first + i % STREAMS_A_THREAD;
        let decided = entities.transact(key, |joiners, _| match joiners.0 {
            u64::MAX => Err("full"),
            taken => Ok(Decision::new(taken).event(joined(i))),
        });
        ensure!(decided.is_ok(), "it was refused");
    }
    Ok(())
}

fn commit_all(
    log: &EventLog<Joined>,
    index: Option<&Indexed<Joined>>,
    way: usize,
    numbers: Range<u64>,
) -> Result<()> {
    for i in numbers {
        match (way, index) {
            (1, Some(index)) => {
                let condition = Condition::new().never(Item::any().tag(tag(i)));
                let _lsns = index.append_if_and_sync(&[(joined(i), meta(i))], &condition)?;
            }
            (_, Some(index)) => {
                let seats = Seats { course: i, taken: 0 };
                let decided = index.decide(seats, |seats, _| match seats.taken {
                    0 => Ok(Decision::new(()).event_with_meta(joined(i), meta(i))),
                    _ => Err("taken"),
                });
                ensure!(decided.is_ok(), "it was refused");
            }
            (_, None) => {
                let lsn = log.append_with_meta(&joined(i), &meta(i))?;
                log.wal().ticket(lsn)?.wait()?;
            }
        }
    }
    Ok(())
}

/// A log of many streams whose events are spread all over it.
fn long(root: &Path, rounds: usize, streams: u64) -> Result<()> {
    let dir = root.join("long");
    let log = open(&dir)?;
    let start = Instant::now();
    {
        let index = log.indexed()?;
        for i in 0..10 * streams {
            let meta = Meta::new().with_stream(i % streams);
            let _lsn = index.log().append_with_meta(&joined(i), &meta)?;
        }
        log.wal().sync()?;
    }
    println!(
        "{streams} streams of 10 events: appended in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    drop(log);
    drop(std::fs::remove_dir_all(dir.join("state")));
    let log = open(&dir)?;
    let start = Instant::now();
    let index = log.indexed()?;
    let took = start.elapsed().as_secs_f64();
    println!(
        "indexed from the log in {took:.1} s, {:.0} ns an event",
        took * 1e9 / (10 * streams) as f64
    );
    drop(index);
    let files: u64 = match std::fs::read_dir(dir.join("state")) {
        Ok(files) => files
            .map(|file| Ok(file?.metadata()?.len()))
            .sum::<Result<u64>>()?,
        // A small index is in memory.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error.into()),
    };
    let log_bytes = log.wal().status().bytes;
    println!(
        "{:.0} MB of log, {:.0} MB of index",
        log_bytes as f64 / 1e6,
        files as f64 / 1e6
    );
    let (mut opened, mut streamed, mut scanned) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let start = Instant::now();
        let index = log.indexed()?;
        opened.push(start.elapsed().as_secs_f64());
        ensure!(index.stream(0_u64)?.count() == 10, "the shapes are read by now");
        let start = Instant::now();
        const LOOKED: u64 = 1_000;
        for i in 0..LOOKED {
            let stream = (i * 7_919 + round as u64) % streams;
            let mut events = 0;
            for event in index.stream(stream)? {
                black_box(event?);
                events += 1;
            }
            ensure!(events == 10, "stream {stream} has {events} events");
        }
        streamed.push(start.elapsed().as_secs_f64() / LOOKED as f64);
        let start = Instant::now();
        ensure!(log.replay(..)?.stream(7).count() == 10, "a scan finds them, too");
        scanned.push(start.elapsed().as_secs_f64());
        println!("{} runs", index.status()?.runs);
    }
    println!(
        "indexed again in {:.1} ms; a stream read in {:.1} us, by a scan in {:.0} ms",
        median(&opened)? * 1e3,
        median(&streamed)? * 1e6,
        median(&scanned)? * 1e3
    );
    Ok(())
}

fn median(samples: &[f64]) -> Result<f64> {
    Ok(Summary::of(samples).context("there is a round")?.median)
}
