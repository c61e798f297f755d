//! open-wal 0.2.1, a log for one writer.
//!
//! `append` gathers records in memory and `commit` writes and flushes them, so what it has is C2; for C1 it has
//! nothing to wait for. The handle is not shared between threads, and a mutex around append and commit would add
//! the wait but no group, so it takes part with one thread only. The crate makes the first segment
//! and flushes it before the clock starts, 64 MiB as everyone's; it allocates segments and does not write them.
//! Checksums are crc32c, and are checked on read.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use open_wal::{Lsn, NullObserver, Wal, WalConfig};
use parking_lot::Mutex;

use crate::contender::Contender;
use crate::disk;
use crate::load::{Check, Load, Tally};
use crate::workload::Job;

const SEGMENT_BYTES: u64 = 64 << 20;
/// Records of one commit where the time is not taken.
const GROUP: u64 = 1_000;

pub(crate) struct OpenWal;

impl Contender for OpenWal {
    fn name(&self) -> &'static str {
        "open-wal"
    }

    fn settings(&self) -> &'static str {
        "0.2.1: one writer only; 64 MiB segments; append + commit per record; no C1: append is in memory until commit"
    }

    fn supports(&self, job: Job) -> bool {
        matches!(job, Job::Commit | Job::Replay | Job::OpenClean)
    }

    fn max_threads(&self) -> u32 {
        1
    }

    /// Writes the log that replay and open read.
    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        self.write(dir, load, GROUP, check)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        self.write(dir, load, 1, check)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let wal = open(dir)?;
        let mut tally = Tally::default();
        let start = Instant::now();
        walk(&wal, |payload| {
            tally.add(payload);
            Ok(())
        })?;
        let elapsed = start.elapsed();
        walk(&wal, |payload| check.see(payload))?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        let wal = open(dir)?;
        let elapsed = start.elapsed();
        drop(wal);
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        walk(&open(dir)?, |payload| check.see(payload))
    }
}

impl OpenWal {
    fn write(&self, dir: &Path, load: &Load, group: u64, check: &mut Check) -> Result<Duration> {
        let wal = Mutex::new(open(dir)?);
        disk::settle(dir)?;
        let elapsed = load.drive(|payloads| {
            let mut wal = wal.lock();
            let mut records = 0;
            while let Some(payload) = payloads.next_payload() {
                wal.append(payload)?;
                records += 1;
                if records % group == 0 {
                    wal.commit()?;
                }
            }
            wal.commit()?;
            Ok(())
        })?;
        drop(wal);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }
}

fn open(dir: &Path) -> Result<Wal<NullObserver>> {
    let config = WalConfig {
        segment_size: SEGMENT_BYTES,
        ..WalConfig::default()
    };
    let (wal, _report) = Wal::open(dir, config)?;
    Ok(wal)
}

fn walk(wal: &Wal<NullObserver>, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut reader = wal.reader_from(Lsn(0))?;
    while let Some(record) = reader.next() {
        visit(record?.1)?;
    }
    Ok(())
}
