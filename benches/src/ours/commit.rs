//! Commits in company: of their own kind, of appends, of followers.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use wal_db::{Lsn, SegmentedStore, Wal};

use super::counting::Counting;
use super::{SEGMENT_BYTES, open, show};
use crate::latency::Latencies;
use crate::load::{Check, Load, Payloads, stamp};
use crate::measured::{Fact, Measured};

/// The unpipelined rate that the pipelined one is compared with is that of so many commits.
const ALONE: u64 = 200;

/// Longer than any flush: a follower that gets nothing for so long has lost a record.
const PATIENCE: Duration = Duration::from_secs(60);

/// One thread that has always `in_flight` commits under way.
pub(super) fn pipelined(dir: &Path, load: &Load, in_flight: usize, check: &mut Check) -> Result<Measured> {
    let wal = open(&dir.join("pipelined"))?;
    let elapsed = load.drive(|payloads| {
        let mut tickets = VecDeque::with_capacity(in_flight);
        while let Some(payload) = payloads.next_payload() {
            if tickets.len() == in_flight {
                wait_for_first(&mut tickets)?;
            }
            tickets.push_back(wal.ticket(wal.append(payload)?)?);
        }
        while !tickets.is_empty() {
            wait_for_first(&mut tickets)?;
        }
        Ok(())
    })?;
    wal.close()?;
    show(&open(&dir.join("pipelined"))?, check)?;

    let pipelined = load.count as f64 / elapsed.as_secs_f64();
    let alone = alone(&dir.join("alone"), load)?;
    Ok(Measured::figure(pipelined)
        .with(Fact::new("one at a time", alone, "commits/s"))
        .with(Fact::new("pipelined is", pipelined / alone, "times that")))
}

fn wait_for_first(tickets: &mut VecDeque<wal_db::Ticket>) -> Result<()> {
    let ticket = tickets.pop_front().context("no ticket is left")?;
    let _lsn = ticket.wait()?;
    Ok(())
}

/// Commits per second of one thread that waits for each.
fn alone(dir: &Path, load: &Load) -> Result<f64> {
    let wal = open(dir)?;
    let mut payloads = Load::new(1, load.bytes, ALONE).unwatched(0);
    let start = Instant::now();
    commit_all(&wal, &mut payloads)?;
    let elapsed = start.elapsed();
    wal.close()?;
    Ok(ALONE as f64 / elapsed.as_secs_f64())
}

fn commit_all(wal: &Wal, payloads: &mut Payloads) -> Result<()> {
    while let Some(payload) = payloads.next_payload() {
        let _lsn = wal.append_and_sync(payload)?;
    }
    Ok(())
}

/// Thread 0 commits; thread 1 appends as fast as it can until thread 0 has ended.
pub(super) fn mixed(dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
    let wal = open(dir)?;
    let committed = AtomicBool::new(false);
    let commits = load.count / u64::from(load.threads);
    let (elapsed, appended) = thread::scope(|scope| -> Result<_> {
        let appender = scope.spawn(|| -> Result<u64> {
            let mut payloads = load.unwatched(1);
            payloads.left.end = u64::MAX;
            while !committed.load(Ordering::Relaxed) {
                let payload = payloads.next_payload().context("out of numbers")?;
                let _lsn = wal.append(payload)?;
            }
            Ok(payloads.left.start)
        });
        let start = Instant::now();
        let result = commit_all(&wal, &mut load.payloads(0));
        let elapsed = start.elapsed();
        committed.store(true, Ordering::Relaxed);
        let appended = appender.join().map_err(|_| anyhow!("the appender panicked"))??;
        result.map(|()| (elapsed, appended))
    })?;
    wal.close()?;
    *check = Check::ending(load, &[commits, appended]);
    show(&open(dir)?, check)?;
    let seconds = elapsed.as_secs_f64();
    let mib = (appended * load.bytes as u64) as f64 / f64::from(1 << 20);
    Ok(Measured::figure(commits as f64 / seconds).with(Fact::new(
        "beside appends of",
        mib / seconds,
        "MiB/s",
    )))
}

/// All threads commit all the time; each flush should carry one record of each.
pub(super) fn share(dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
    let (store, flushes) = Counting::new(SegmentedStore::open(dir, SEGMENT_BYTES)?);
    let wal = Wal::with_store(store)?;
    let before = flushes.load(Ordering::Relaxed);
    let elapsed = load.drive(|payloads| commit_all(&wal.clone(), payloads))?;
    let flushes = flushes.load(Ordering::Relaxed) - before;
    wal.close()?;
    show(&open(dir)?, check)?;
    ensure!(flushes > 0, "commits were acknowledged without a flush");
    let per_flush = load.count as f64 / flushes as f64;
    let rate = load.count as f64 / elapsed.as_secs_f64();
    Ok(Measured::figure(per_flush / f64::from(load.threads))
        .with(Fact::new("records in a flush", per_flush, "records"))
        .with(Fact::new("meanwhile", rate, "commits/s")))
}

/// One thread commits, one follows. The delay is from the acknowledgement to the receipt; it is zero for a record that
/// the follower has before the committer is told.
pub(super) fn follow(dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
    let wal = open(dir)?;
    let epoch = Instant::now();
    let nanos = || epoch.elapsed().as_nanos() as u64;
    let acknowledged: Vec<AtomicU64> = (0..load.count).map(|_| AtomicU64::new(0)).collect();
    let received = thread::scope(|scope| -> Result<Vec<u64>> {
        let follower = scope.spawn(|| -> Result<Vec<u64>> {
            let mut tail = wal.tail(Lsn::ZERO)?;
            let mut received = Vec::with_capacity(load.count as usize);
            while (received.len() as u64) < load.count {
                let record = tail.next_timeout(PATIENCE)?.context("a follower waits in vain")?;
                let at = nanos();
                ensure!(
                    stamp(record.data()) == Some((0, received.len() as u64)),
                    "a follower got another record"
                );
                received.push(at);
            }
            Ok(received)
        });
        let mut payloads = load.unwatched(0);
        for acknowledged in &acknowledged {
            let payload = payloads.next_payload().context("too few payloads")?;
            let _lsn = wal.append_and_sync(payload)?;
            acknowledged.store(nanos(), Ordering::Release);
        }
        follower.join().map_err(|_| anyhow!("the follower panicked"))?
    })?;
    wal.close()?;
    show(&open(dir)?, check)?;
    Ok(delays(load, &acknowledged, &received))
}

fn delays(load: &Load, acknowledged: &[AtomicU64], received: &[u64]) -> Measured {
    let mut latencies = Latencies::new();
    let (mut sum, mut early) = (0, 0);
    for (acknowledged, received) in acknowledged.iter().zip(received) {
        let delay = received.saturating_sub(acknowledged.load(Ordering::Acquire));
        latencies.record(Duration::from_nanos(delay));
        sum += delay;
        early += u64::from(delay == 0);
    }
    if let Some((_, sink)) = load.watched {
        sink.add(&latencies, &[]);
    }
    let part = early as f64 / received.len() as f64;
    Measured::time(Duration::from_nanos(sum)).with(Fact::new(
        "there before the acknowledgement",
        part,
        "of all",
    ))
}
