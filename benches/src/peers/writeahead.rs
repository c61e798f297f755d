//! writeahead 0.4.1, an asynchronous log with group commit in a thread of its own.
//!
//! Every write is flushed before its future resolves (C2); there is no call without a flush, so no C1. Its
//! writers are tasks, and so they are here: one thread polls a task for each of the workload's threads, which
//! spares the crate a wake-up by the kernel for each commit. `writeahead-in-threads` has the workload's threads instead,
//! each of which waits for its own writes, as everybody else's do. It needs no runtime. The queue holds every writer, so
//! that none waits for a place; all else is at the default, zero-written windows of 256 KiB included, which its
//! own measurements chose. Checksums are murmur3, and are checked on read.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::StreamExt;
use futures::executor::block_on;
use futures::future::try_join_all;
use writeahead::{SimpleFile, WriteAheadOptions};

use crate::contender::Contender;
use crate::disk;
use crate::load::{Batch, Check, Load, Tally};
use crate::workload::Job;

type Wal = writeahead::WriteAhead<SimpleFile>;

const QUEUE: usize = 1_024;
/// Records of one write where the time is not taken, and few enough for its limit of 4 MiB at any size in use.
const GROUP_BYTES: usize = 1 << 20;

pub(crate) enum WriteAhead {
    InTasks,
    InThreads,
}

impl Contender for WriteAhead {
    fn name(&self) -> &'static str {
        match self {
            WriteAhead::InTasks => "writeahead",
            WriteAhead::InThreads => "writeahead-in-threads",
        }
    }

    fn settings(&self) -> &'static str {
        match self {
            WriteAhead::InTasks => {
                "0.4.1: async tasks on one thread in place of threads; queue of 1,024; 256 KiB zero windows; always flushes: no C1"
            }
            WriteAhead::InThreads => "the same, each thread blocks on its own writes",
        }
    }

    fn note(&self, job: Job) -> Option<&'static str> {
        (job == Job::Commit && matches!(self, WriteAhead::InTasks)).then_some("tasks of one thread")
    }

    fn supports(&self, job: Job) -> bool {
        match self {
            WriteAhead::InTasks => matches!(job, Job::Commit | Job::Replay | Job::OpenClean),
            WriteAhead::InThreads => job == Job::Commit,
        }
    }

    /// Writes the log that replay and open read.
    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let wal = open(dir)?;
        let group = (GROUP_BYTES / load.bytes).max(1);
        let elapsed = load.drive(|payloads| {
            let mut records = Batch::new();
            while payloads.next_batch(&mut records, group) {
                block_on(wal.write_batch(records.iter().map(<[u8]>::to_vec).collect()))?;
            }
            Ok(())
        })?;
        drop(wal);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let wal = open(dir)?;
        disk::settle(dir)?;
        let writer = wal.writer()?;
        if matches!(self, WriteAhead::InThreads) {
            let elapsed = load.drive(|payloads| {
                while let Some(payload) = payloads.next_payload() {
                    block_on(writer.write(payload.to_vec()))?;
                }
                Ok(())
            })?;
            drop((wal, writer));
            self.read_back(dir, check)?;
            return Ok(elapsed);
        }
        let tasks = (0..load.threads).map(|thread| {
            let (writer, mut payloads) = (writer.clone(), load.payloads(thread));
            async move {
                while let Some(payload) = payloads.next_payload() {
                    writer.write(payload.to_vec()).await?;
                }
                anyhow::Ok(())
            }
        });
        let tasks = try_join_all(tasks);
        let start = Instant::now();
        block_on(tasks)?;
        let elapsed = start.elapsed();
        // The last handle waits for the writing thread.
        drop((wal, writer));
        self.read_back(dir, check)?;
        Ok(elapsed)
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

fn open(dir: &Path) -> Result<Wal> {
    let mut wal = Wal::with_options(WriteAheadOptions {
        log_dir: dir.to_path_buf(),
        queue_capacity: QUEUE,
        ..WriteAheadOptions::default()
    });
    wal.start()?;
    Ok(wal)
}

fn walk(wal: &Wal, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut records = wal.create_stream()?;
    block_on(async {
        while let Some(record) = records.next().await {
            visit(&record?.1)?;
        }
        Ok(())
    })
}
