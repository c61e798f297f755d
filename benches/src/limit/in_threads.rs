//! The limit of group commit by threads that sleep until their record is durable: nothing is done but the write, the
//! flush, and the waking. What lies between this and `limit` is the price of waking threads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use parking_lot::Mutex;
use rustix::thread::futex;

use super::{Limit, block_offset, file_of_groups, push_frame, show};
use crate::contender::Contender;
use crate::load::{Check, Load, Payloads, Tally};
use crate::workload::Job;

pub(crate) struct LimitInThreads;

/// One flush after the other, each with one record of every thread.
struct Rounds {
    file: File,
    threads: u32,
    block_bytes: usize,
    block: Mutex<Vec<u8>>,
    /// How many have put their record into the block.
    arrived: AtomicU32,
    /// Flushes that have ended, or more than there will be if one has failed.
    ended: AtomicU32,
}

const FAILED: u32 = u32::MAX;

impl Rounds {
    fn commit_all(&self, payloads: &mut Payloads) -> Result<()> {
        for round in 0.. {
            let Some(payload) = payloads.next_payload() else {
                break;
            };
            push_frame(&mut self.block.lock(), payload);
            if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
                let flushed = self.flush(round);
                let ended = if flushed.is_ok() { round + 1 } else { FAILED };
                self.ended.store(ended, Ordering::Release);
                futex::wake(&self.ended, futex::Flags::PRIVATE, i32::MAX as u32)?;
                flushed?;
            }
            ensure!(
                self.ended.load(Ordering::Acquire) != FAILED,
                "another thread's flush has failed"
            );
            while self.ended.load(Ordering::Acquire) == round {
                // Interrupted or already moved: it is looked at again.
                let _ = futex::wait(&self.ended, futex::Flags::PRIVATE, round, None);
            }
        }
        Ok(())
    }

    fn flush(&self, round: u32) -> Result<()> {
        let mut block = self.block.lock();
        block.resize(self.block_bytes, 0);
        self.file
            .write_all_at(&block, block_offset(round.into(), self.block_bytes))?;
        self.file.sync_data()?;
        block.clear();
        drop(block);
        self.arrived.store(0, Ordering::Release);
        Ok(())
    }
}

impl Contender for LimitInThreads {
    fn name(&self) -> &'static str {
        "limit-in-threads"
    }

    fn settings(&self) -> &'static str {
        "no log: as limit, and each record is of a thread that sleeps until the flush has ended"
    }

    fn supports(&self, job: Job) -> bool {
        job == Job::Commit
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        Limit.append(dir, load, check)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let (file, block_bytes) = file_of_groups(dir, load)?;
        let rounds = Rounds {
            file,
            threads: load.threads,
            block_bytes,
            block: Mutex::new(Vec::with_capacity(block_bytes)),
            arrived: AtomicU32::new(0),
            ended: AtomicU32::new(0),
        };
        let elapsed = load.drive(|payloads| rounds.commit_all(payloads))?;
        show(&rounds.file, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        Limit.replay(dir, check)
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        Limit.open(dir)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        Limit.read_back(dir, check)
    }
}
