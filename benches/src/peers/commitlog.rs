//! commitlog 0.2.0, an offset log with a mapped index.
//!
//! An append writes its message set with one `write` and its offset into a mapped index, so both survive the
//! process (C1). Its `flush` calls `File::flush`, which does nothing: there is no C2. The log takes `&mut` and
//! sits in a mutex. Sets are built outside the mutex in one buffer that is reused, since `append_msg` allocates
//! one each time. A single segment of the default 1 GB holds a run, and the index starts large enough for most:
//! it grows by mapping itself again. Reads are of 1 MiB instead of 8 KiB. Checksums are crc32c, and are checked
//! on read.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use commitlog::message::{MessageBuf, MessageSet};
use commitlog::{LogOptions, ReadLimit};
use parking_lot::Mutex;

use crate::contender::Contender;
use crate::load::{Batch, Check, Load, Payloads, Tally};
use crate::workload::Job;

const INDEX_ITEMS: usize = 1 << 20;
const READ_BYTES: usize = 1 << 20;

pub(crate) struct CommitLog;

impl Contender for CommitLog {
    fn name(&self) -> &'static str {
        "commitlog"
    }

    fn settings(&self) -> &'static str {
        "0.2.0: in a Mutex; 1 GB segments, index of 2^20 items; message sets reused; 1 MiB reads; its flush is none: no C2"
    }

    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::Typed(_) | Job::Commit)
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        append_sets(dir, load, check, |payloads, set| {
            let payload = payloads.next_payload();
            payload.map(|payload| push(set, payload)).transpose()
        })
    }

    fn append_batches(&self, dir: &Path, load: &Load, batch: usize, check: &mut Check) -> Result<Duration> {
        append_sets(dir, load, check, |payloads, set| {
            let mut records = Batch::new();
            if !payloads.next_batch(&mut records, batch) {
                return Ok(None);
            }
            records
                .iter()
                .try_for_each(|payload| push(set, payload))
                .map(Some)
        })
    }

    fn commit(&self, _: &Path, _: &Load, _: &mut Check) -> Result<Duration> {
        Err(anyhow!("its flush does nothing"))
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
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        let log = open(dir)?;
        let elapsed = start.elapsed();
        drop(log);
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        walk(&open(dir)?, |payload| check.see(payload))
    }
}

fn open(dir: &Path) -> Result<commitlog::CommitLog> {
    let mut options = LogOptions::new(dir);
    options.index_max_items(INDEX_ITEMS);
    Ok(commitlog::CommitLog::new(options)?)
}

fn push(set: &mut MessageBuf, payload: &[u8]) -> Result<()> {
    set.push(payload)
        .map_err(|error| anyhow!("message not taken: {error:?}"))
}

/// Appends what `fill` puts into the set, until it has nothing more.
fn append_sets(
    dir: &Path,
    load: &Load,
    check: &mut Check,
    fill: impl Fn(&mut Payloads, &mut MessageBuf) -> Result<Option<()>> + Sync,
) -> Result<Duration> {
    let log = Mutex::new(open(dir)?);
    let elapsed = load.drive(|payloads| {
        let mut set = MessageBuf::default();
        while fill(payloads, &mut set)?.is_some() {
            log.lock().append(&mut set)?;
            set.clear();
        }
        Ok(())
    })?;
    drop(log);
    walk(&open(dir)?, |payload| check.see(payload))?;
    Ok(elapsed)
}

fn walk(log: &commitlog::CommitLog, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut next = 0;
    loop {
        let set = log.read(next, ReadLimit::max_bytes(READ_BYTES))?;
        if set.is_empty() {
            return Ok(());
        }
        for message in set.iter() {
            next = message.offset() + 1;
            visit(message.payload())?;
        }
    }
}
