//! Ways of taking a place at the tail of a log that many threads append to: the log's own, and others in its stead.
//!
//! Everything is as in the log, but for what needs `unsafe`: a ring of words, records of 64 bytes that are checksummed before
//! the claim and copied after it, and a thread that takes them out in order and leaves zeros.

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::latency::Latencies;
use crate::stats::Summary;

#[derive(Args)]
pub(crate) struct Claims {
    /// How many threads append at the same time; may be repeated. 1, 2, 4, 8, 12 and 16 if it is not given.
    #[arg(long, value_name = "N")]
    threads: Vec<usize>,
    /// Milliseconds of a run.
    #[arg(long, value_name = "MS", default_value_t = 150)]
    run_ms: u64,
    /// How often each has its turn.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
}

const PAYLOAD_BYTES: usize = 64;
/// With its header.
const RECORD_WORDS: u64 = 9;
const RING_WORDS: u64 = 1 << 20;
/// The words that are taken out at once: whole records, about 64 KiB.
const BLOCK_WORDS: u64 = (8 << 10) / RECORD_WORDS * RECORD_WORDS;
/// One of so many appends is timed.
const SAMPLE: u64 = 32;
/// How often each thread appends one record.
const MEETINGS: u64 = 2_000;
/// What each thread does between two appends, where it does something.
const WORK: Duration = Duration::from_micros(2);
/// How long all wait after each has appended one record, as for a flush.
const FLUSH: Duration = Duration::from_micros(50);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Compare-and-swap until it succeeds.
    Retry,
    /// An addition, and then a wait for room.
    FetchAdd,
    /// A thread that meets another waits about 0.1 us, and then 10 us.
    Backoff,
    /// Ours: a thread that does nothing but append waits for 10 to 40 us if it meets another. The numbers are those of
    /// `staging/tail.rs`.
    Runs,
}

const WAYS: [Way; 4] = [Way::Retry, Way::FetchAdd, Way::Backoff, Way::Runs];

#[repr(align(128))]
struct Padded<T>(T);

#[repr(align(128))]
struct Tail {
    pos: AtomicU64,
    owner: AtomicU64,
}

struct Ring {
    tail: Tail,
    waiting: Padded<AtomicU64>,
    limit: Padded<AtomicU64>,
    ends: Padded<AtomicBool>,
    words: Vec<AtomicU64>,
}

/// What a thread remembers in `Way::Runs`.
struct Me {
    id: u64,
    taken_over: Option<Instant>,
    claims: u32,
    is_quick: bool,
    at_once: u32,
}

impl Me {
    fn new(id: u64) -> Me {
        Me {
            id,
            taken_over: None,
            claims: 0,
            is_quick: false,
            at_once: 0,
        }
    }

    fn claim_begins(&mut self) {
        self.claims += 1;
        if self.claims == 1 {
            let quick = Duration::from_nanos(250);
            self.is_quick = self.taken_over.is_some_and(|last| last.elapsed() < quick);
        }
    }

    #[cold]
    fn is_patient(&mut self) -> bool {
        if let Some(last) = self.taken_over.take() {
            let longest = Duration::from_nanos(250) * self.claims + Duration::from_micros(5);
            self.at_once = match self.is_quick && last.elapsed() < longest {
                true => (self.at_once + 1).min(16),
                false => self.at_once / 2,
            };
        }
        self.at_once >= 8
    }
}

impl Ring {
    fn new() -> Ring {
        Ring {
            tail: Tail {
                pos: AtomicU64::new(0),
                owner: AtomicU64::new(0),
            },
            waiting: Padded(AtomicU64::new(0)),
            limit: Padded(AtomicU64::new(RING_WORDS)),
            ends: Padded(AtomicBool::new(false)),
            words: (0..RING_WORDS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn append(&self, way: Way, me: &mut Me, payload: &[u8; PAYLOAD_BYTES]) {
        me.claim_begins();
        let seen = if way == Way::Backoff { self.pos() } else { 0 };
        let crc = crc32fast::hash(payload);
        let at = match way {
            Way::Retry => self.retry(self.pos()),
            Way::FetchAdd => {
                let at = self.tail.pos.fetch_add(RECORD_WORDS, Ordering::AcqRel);
                self.wait_for_room(at);
                at
            }
            Way::Backoff => self.back_off(seen),
            Way::Runs => self.run(me),
        };
        for (word, bytes) in (at + 1..).zip(payload.chunks_exact(8)) {
            let bytes = bytes.try_into().expect("eight bytes");
            self.word(word)
                .store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        self.word(at).store(u64::from(crc) << 32 | 1, Ordering::Release);
    }

    fn retry(&self, mut tail: u64) -> u64 {
        loop {
            match self.swap(tail) {
                Ok(at) => return at,
                Err(now) => tail = now,
            }
        }
    }

    fn back_off(&self, seen: u64) -> u64 {
        let mut tail = self.pos();
        let mut has_met = tail != seen;
        if has_met {
            spin(8);
            tail = self.pos();
        }
        loop {
            match self.swap(tail) {
                Ok(at) => return at,
                Err(_) => {
                    spin(if has_met { 1024 } else { 8 });
                    has_met = true;
                    tail = self.pos();
                }
            }
        }
    }

    fn run(&self, me: &mut Me) -> u64 {
        let mut tail = self.pos();
        let mut takes_over = false;
        loop {
            if self.tail.owner.load(Ordering::Relaxed) != me.id {
                if !takes_over {
                    takes_over = true;
                    if me.is_patient() {
                        self.let_run();
                        tail = self.pos();
                    }
                }
                self.tail.owner.store(me.id, Ordering::Relaxed);
            }
            match self.swap(tail) {
                Ok(at) => {
                    if takes_over {
                        me.taken_over = Some(Instant::now());
                        me.claims = 0;
                    }
                    return at;
                }
                Err(now) => tail = now,
            }
        }
    }

    fn let_run(&self) {
        let before = self.pos();
        spin(8);
        if self.pos() == before {
            return;
        }
        let start = Instant::now();
        let waiting = self.waiting.0.fetch_add(1, Ordering::Relaxed) + 1;
        let wait = Duration::from_micros((10 * waiting).min(40));
        while start.elapsed() < wait {
            spin(8);
        }
        self.waiting.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn pos(&self) -> u64 {
        self.tail.pos.load(Ordering::Relaxed)
    }

    fn swap(&self, tail: u64) -> Result<u64, u64> {
        self.wait_for_room(tail);
        let next = tail + RECORD_WORDS;
        self.tail
            .pos
            .compare_exchange(tail, next, Ordering::AcqRel, Ordering::Relaxed)
    }

    fn wait_for_room(&self, at: u64) {
        while at + RECORD_WORDS > self.limit.0.load(Ordering::Acquire) {
            spin_loop();
        }
    }

    fn word(&self, at: u64) -> &AtomicU64 {
        &self.words[(at & (RING_WORDS - 1)) as usize]
    }

    /// Takes out what is appended, in order, until it ends.
    fn consume(&self) {
        let mut out = vec![0; BLOCK_WORDS as usize];
        let mut at = 0;
        loop {
            let end = at + BLOCK_WORDS;
            while self.pos() < end {
                if self.ends.0.load(Ordering::Acquire) {
                    return;
                }
                spin(256);
            }
            for record in (at..end).step_by(RECORD_WORDS as usize) {
                while self.word(record).load(Ordering::Acquire) == 0 {
                    spin_loop();
                }
            }
            for (word, out) in (at..end).zip(&mut out) {
                *out = self.word(word).load(Ordering::Relaxed);
            }
            black_box(&out);
            (at..end).for_each(|word| self.word(word).store(0, Ordering::Relaxed));
            at = end;
            self.limit.0.store(at + RING_WORDS, Ordering::Release);
        }
    }
}

fn spin(times: u32) {
    for _ in 0..times {
        spin_loop();
    }
}

fn pass(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        spin_loop();
    }
}

/// What a run has shown: nanoseconds, and the latencies of appends.
type Outcome = (f64, Latencies);

/// Threads that append all the time: nanoseconds of a record, all threads together.
fn all_the_time(way: Way, threads: usize, args: &Claims) -> Result<Outcome> {
    with_work(way, threads, args, Duration::ZERO)
}

/// The same where each works between two appends.
fn now_and_then(way: Way, threads: usize, args: &Claims) -> Result<Outcome> {
    with_work(way, threads, args, WORK)
}

fn with_work(way: Way, threads: usize, args: &Claims, work: Duration) -> Result<Outcome> {
    let ring = Ring::new();
    let run = Duration::from_millis(args.run_ms);
    let barrier = Barrier::new(threads + 1);
    let append = |id| {
        let (mut me, payload) = (Me::new(id), [id as u8; PAYLOAD_BYTES]);
        let mut append = || {
            ring.append(way, &mut me, &payload);
            if !work.is_zero() {
                pass(work);
            }
        };
        let (mut latencies, mut records) = (Latencies::new(), 0);
        let _ = barrier.wait();
        let start = Instant::now();
        loop {
            let before = Instant::now();
            append();
            let after = Instant::now();
            latencies.record((after - before).saturating_sub(work));
            records += 1;
            if after - start >= run {
                return (records, latencies);
            }
            (1..SAMPLE).for_each(|_| append());
            records += SAMPLE - 1;
        }
    };
    let (mut records, mut latencies) = (0, Latencies::new());
    let elapsed = thread::scope(|scope| {
        let consumer = scope.spawn(|| ring.consume());
        let append = &append;
        let appenders: Vec<_> = (1..=threads as u64)
            .map(|me| scope.spawn(move || append(me)))
            .collect();
        let _ = barrier.wait();
        let start = Instant::now();
        for appender in appenders {
            let (its_records, its_latencies) = appender.join().expect("an appender does not panic");
            records += its_records;
            latencies.merge(&its_latencies);
        }
        let elapsed = start.elapsed();
        ring.ends.0.store(true, Ordering::Release);
        consumer.join().expect("the consumer does not panic");
        elapsed
    });
    ensure!(ring.pos() == records * RECORD_WORDS, "a place was lost");
    Ok((elapsed.as_nanos() as f64 / records as f64, latencies))
}

/// Threads that append one record each and then wait together, as those that commit: nanoseconds until all have.
fn one_each(way: Way, threads: usize, _args: &Claims) -> Result<Outcome> {
    let ring = Ring::new();
    ring.limit.0.store(u64::MAX, Ordering::Release);
    let (arrived, meeting) = (Padded(AtomicU64::new(0)), Padded(AtomicU64::new(0)));
    let append = |id| {
        let (mut me, payload) = (Me::new(id), [id as u8; PAYLOAD_BYTES]);
        let mut latencies = Latencies::new();
        for at in 1..=MEETINGS {
            let before = Instant::now();
            ring.append(way, &mut me, &payload);
            latencies.record(before.elapsed());
            if arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == at * threads as u64 {
                pass(FLUSH);
                meeting.0.store(at, Ordering::Release);
            }
            let mut tries = 0;
            while meeting.0.load(Ordering::Acquire) < at {
                tries += 1;
                // The last one may need this processor.
                if tries > 1_000 {
                    thread::yield_now();
                }
                spin_loop();
            }
        }
        latencies
    };
    let start = Instant::now();
    let latencies = thread::scope(|scope| {
        let append = &append;
        let appenders: Vec<_> = (1..=threads as u64)
            .map(|me| scope.spawn(move || append(me)))
            .collect();
        let mut all = Latencies::new();
        for appender in appenders {
            all.merge(&appender.join().expect("an appender does not panic"));
        }
        all
    });
    let elapsed = start.elapsed().saturating_sub(FLUSH * MEETINGS as u32);
    ensure!(
        ring.pos() == MEETINGS * threads as u64 * RECORD_WORDS,
        "a place was lost"
    );
    Ok((elapsed.as_nanos() as f64 / MEETINGS as f64, latencies))
}

pub(crate) fn run(args: &Claims) -> Result<bool> {
    let counts = if args.threads.is_empty() {
        &[1, 2, 4, 8, 12, 16][..]
    } else {
        &args.threads
    };
    println!("ns of an append of {PAYLOAD_BYTES} bytes, all threads together, and its p99.9 in us");
    table(args, counts, all_the_time)?;
    println!("\nthe same with {WORK:?} of other work between the appends of each");
    table(args, counts, now_and_then)?;
    println!("\nns until each thread has appended one, and the p99.9 of an append in us");
    table(args, counts, one_each)?;
    Ok(true)
}

fn table(args: &Claims, counts: &[usize], measure: fn(Way, usize, &Claims) -> Result<Outcome>) -> Result<()> {
    print!("{:<10}", "threads");
    counts.iter().for_each(|threads| print!("{threads:>17}"));
    println!();
    for way in WAYS {
        print!("{:<10}", format!("{way:?}"));
        for &threads in counts {
            let (mut times, mut latencies) = (Vec::new(), Latencies::new());
            for _ in 0..args.rounds.max(1) {
                let (ns, of_round) = measure(way, threads, args)?;
                times.push(ns);
                latencies.merge(&of_round);
            }
            let ns = Summary::of(&times).context("there is a round")?.median;
            print!("{ns:>9.1}{:>8.1}", latencies.at(0.999) as f64 / 1e3);
        }
        println!();
    }
    Ok(())
}
