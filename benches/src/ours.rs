//! The log of this workspace.
//!
//! Nothing is tuned: segments of 64 MiB, every other setting at its default. Each thread holds a clone
//! of one handle. The log is closed and opened again before it is read back, so that the check sees
//! the files and not what the writer still has in memory.

mod commit;
mod counting;
mod read;
mod tasks;
mod truncate;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use wal_db::Wal;

use crate::contender::Contender;
use crate::load::{Batch, Check, Load, Payloads, Tally};
use crate::measured::Measured;
use crate::typed;
use crate::workload::{Extra, Job, Typed};

pub(crate) use tasks::OursInTasks;
pub(crate) use truncate::SMALL_SEGMENT_BYTES;

const SEGMENT_BYTES: u64 = 64 << 20;

pub(crate) struct Ours;

impl Contender for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn settings(&self) -> &'static str {
        "Wal::open_segmented, 64 MiB segments; a clone of one handle per thread; defaults"
    }

    fn supports(&self, _: Job) -> bool {
        true
    }

    fn supports_extra(&self, _: Extra) -> bool {
        true
    }

    fn extra(&self, extra: Extra, dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
        match extra {
            Extra::CommitPipelined(in_flight) => commit::pipelined(dir, load, in_flight, check),
            Extra::CommitMixed => commit::mixed(dir, load, check),
            Extra::CommitShare => commit::share(dir, load, check),
            Extra::Follow => commit::follow(dir, load, check),
            Extra::PointReads => read::points(dir, check),
            Extra::SeekTime => read::seek_time(dir, load, check),
            Extra::TruncateBefore => truncate::before(dir, load, check),
            Extra::AppendRotating => truncate::rotating(dir, load, check),
            Extra::AppendTruncating => truncate::truncating(dir, load, check),
            Extra::OpenCrashed => read::open_crashed(dir, check),
        }
    }

    fn typed(&self, job: Typed, dir: &Path, count: u64) -> Result<Duration> {
        typed::ours(job, dir, count)
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let wal = open(dir)?;
        let elapsed = load.drive(|payloads| append_all(&wal.clone(), load, payloads))?;
        wal.close()?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn append_batches(&self, dir: &Path, load: &Load, batch: usize, check: &mut Check) -> Result<Duration> {
        let wal = open(dir)?;
        let elapsed = load.drive(|payloads| {
            let wal = wal.clone();
            let mut records = Batch::new();
            while payloads.next_batch(&mut records, batch) {
                let _lsns = wal.append_batch(&records.iter().collect::<Vec<_>>())?;
            }
            Ok(())
        })?;
        wal.close()?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let wal = open(dir)?;
        let elapsed = load.drive(|payloads| {
            let wal = wal.clone();
            while let Some(payload) = payloads.next_payload() {
                let _lsn = wal.append_and_sync(payload)?;
            }
            Ok(())
        })?;
        wal.close()?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let wal = open(dir)?;
        let mut tally = Tally::default();
        let start = Instant::now();
        let mut records = wal.iter()?;
        while let Some(record) = records.next_ref() {
            tally.add(record?.data());
        }
        let elapsed = start.elapsed();
        drop(records);
        show(&wal, check)?;
        wal.close()?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        let wal = open(dir)?;
        let elapsed = start.elapsed();
        wal.close()?;
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        let wal = open(dir)?;
        show(&wal, check)?;
        Ok(wal.close()?)
    }
}

/// Called, not inlined, so that instructions can be counted from its begin to its end.
#[inline(never)]
fn append_all(wal: &Wal, load: &Load, payloads: &mut Payloads) -> Result<()> {
    let in_bursts = load.burst().is_some();
    while let Some(payload) = payloads.next_payload() {
        let _lsn = wal.append(payload)?;
        if in_bursts && payloads.burst_over() {
            wal.drain()?;
        }
    }
    Ok(())
}

fn open(dir: &Path) -> Result<Wal> {
    Ok(Wal::open_segmented(dir, SEGMENT_BYTES)?)
}

fn show(wal: &Wal, check: &mut Check) -> Result<()> {
    let mut records = wal.iter()?;
    while let Some(record) = records.next_ref() {
        check.see(record?.data())?;
    }
    Ok(())
}
