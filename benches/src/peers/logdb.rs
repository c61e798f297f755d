//! logdb 0.6.0, a ring in memory with one thread that writes it out.
//!
//! An append returns once the record is in the ring: a process that is killed loses what was not written out, so
//! its append figures are of a weaker promise than C1 and say so. A commit is an append and `flush`, which waits
//! until the record is flushed (C2). The mode that flushes only when asked is the fastest for both. The ring,
//! and the rest are at their defaults: one shard, since more shards are several logs with an order of their own. Only the
//! segments are longer than 256 MiB, for of a log of several a scan gave back the first. Records of up to 256 bytes are copied into the ring, larger ones are allocated. Checksums are crc32c.
//!
//! A log that is opened and not written to cannot be closed at once: shutting it down or dropping it waits for a
//! flush that it takes for undone, until a time-out. Such a log is left instead, see [`leave`].

use std::mem;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use logdb::{Config, DurabilityMode, ShutdownReport};

use crate::contender::Contender;
use crate::load::{Batch, Check, Load, Tally};
use crate::workload::Job;

const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) struct LogDb;

impl Contender for LogDb {
    fn name(&self) -> &'static str {
        "logdb"
    }

    fn settings(&self) -> &'static str {
        "0.6.0: one shard, flushes only when asked; append leaves the record in memory (C0); C2 is append + flush"
    }

    fn note(&self, job: Job) -> Option<&'static str> {
        matches!(job, Job::Append | Job::AppendBatch(_)).then_some("C0: in memory only")
    }

    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::Typed(_))
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let log = open(dir)?;
        let elapsed = load.drive(|payloads| {
            while let Some(payload) = payloads.next_payload() {
                log.append(payload)?;
            }
            Ok(())
        })?;
        close(log)?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn append_batches(&self, dir: &Path, load: &Load, batch: usize, check: &mut Check) -> Result<Duration> {
        let log = open(dir)?;
        let elapsed = load.drive(|payloads| {
            let mut records = Batch::new();
            while payloads.next_batch(&mut records, batch) {
                log.append_batch(&records.iter().collect::<Vec<_>>())?;
            }
            Ok(())
        })?;
        close(log)?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let log = open(dir)?;
        let elapsed = load.drive(|payloads| {
            while let Some(payload) = payloads.next_payload() {
                log.append(payload)?;
                log.flush()?;
            }
            Ok(())
        })?;
        close(log)?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let log = open(dir)?;
        let mut tally = Tally::default();
        let start = Instant::now();
        walk(&log, |payload| {
            tally.add(payload);
            Ok(())
        })?;
        let elapsed = start.elapsed();
        walk(&log, |payload| check.see(payload))?;
        leave(log)?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        let log = open(dir)?;
        let elapsed = start.elapsed();
        leave(log)?;
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        let log = open(dir)?;
        walk(&log, |payload| check.see(payload))?;
        leave(log)
    }
}

fn open(dir: &Path) -> Result<logdb::LogDb> {
    Ok(logdb::LogDb::open(Config {
        data_dir: dir.to_path_buf(),
        durability_mode: DurabilityMode::Async,
        flush_timeout: TIMEOUT,
        segment_size: 1 << 30,
        ..Config::default()
    })?)
}

fn close(log: logdb::LogDb) -> Result<()> {
    let report = log.shutdown(TIMEOUT)?;
    ensure!(
        matches!(report, ShutdownReport::Clean),
        "not everything was written out"
    );
    Ok(())
}

/// Ends the thread of a log that was only read. What its ring occupies is never given back.
fn leave(log: logdb::LogDb) -> Result<()> {
    log.drain(Duration::ZERO)?;
    mem::forget(log);
    Ok(())
}

fn walk(log: &logdb::LogDb, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    for record in log.scan(0, u64::MAX)? {
        visit(&record?.content)?;
    }
    Ok(())
}
