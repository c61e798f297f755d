//! walrus-rust 0.2.0, topics in files of a gigabyte.
//!
//! One topic is the shared log. An append is a `pwrite` (C1 with no flush schedule); with a flush after each it is
//! C2. Files are opened for synchronous writes, which flush a second time, if the first log of the process has that
//! schedule; the first one here never has, so commits pay one flush. Its batch call flushes whatever the schedule
//! is, so it has no batches under C1. Checksums are FNV and are checked on read, which ends at the first bad one.
//!
//! What it takes to run it beside others:
//!
//! - Its messages go to standard output unless an environment variable is set, see [`quiet`].
//! - Its directory is below the working directory, so that is changed while a log is in use.
//! - A log's reading position is kept in memory and only moves on, so each walk opens the log anew. Opening makes a
//!   new file each time, which is removed again.
//! - Open files are never closed. What they occupy is given back once the log has been removed, see [`release`].
//! - Each log leaves a sleeping thread behind.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use walrus_rust::{FsyncSchedule, ReadConsistency};

use crate::contender::Contender;
use crate::load::{Check, Load, Tally};
use crate::workload::Job;

const QUIET: &str = "WALRUS_QUIET";
const DATA_DIR: &str = "WALRUS_DATA_DIR";
/// Below the working directory, where no other directory is named.
const DEFAULT_DATA_DIR: &str = "wal_files";
const KEY: &str = "log";
const TOPIC: &str = "t";
/// It reads at most 2,000 records at a time, which is this many bytes of small ones with their prefixes.
const READ_BYTES: usize = 256 << 10;

/// Starts the program again with the crate's messages off, unless they are. The process cannot change its own
/// environment without unsafe code.
pub(crate) fn quiet() -> Result<()> {
    if env::var_os(QUIET).is_some() && env::var_os(DATA_DIR).is_none() {
        return Ok(());
    }
    let error = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(QUIET, "1")
        .env_remove(DATA_DIR)
        .exec();
    Err(error).context("starting again with messages off")
}

pub(crate) struct Walrus;

impl Contender for Walrus {
    fn name(&self) -> &'static str {
        "walrus"
    }

    fn settings(&self) -> &'static str {
        "0.2.0: one topic; file backend; C1 NoFsync, C2 SyncEach without O_SYNC; no C1 batches: they always flush"
    }

    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::Typed(_) | Job::AppendBatch(_))
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        self.write(dir, load, FsyncSchedule::NoFsync, check)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        self.write(dir, load, FsyncSchedule::SyncEach, check)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let mut tally = Tally::default();
        let elapsed = reading(dir, |wal| {
            let start = Instant::now();
            walk(wal, |payload| {
                tally.add(payload);
                Ok(())
            })?;
            Ok(start.elapsed())
        })?;
        self.read_back(dir, check)?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        reading(dir, |_| Ok(start.elapsed()))
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        reading(dir, |wal| walk(wal, |payload| check.see(payload)))
    }
}

impl Walrus {
    fn write(&self, dir: &Path, load: &Load, schedule: FsyncSchedule, check: &mut Check) -> Result<Duration> {
        release();
        let home = Home::enter(dir)?;
        let wal = open(schedule)?;
        let elapsed = load.drive(|payloads| {
            while let Some(payload) = payloads.next_payload() {
                wal.append_for_topic(TOPIC, payload)?;
            }
            Ok(())
        })?;
        drop((wal, home));
        remember(dir)?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }
}

fn open(schedule: FsyncSchedule) -> Result<walrus_rust::Walrus> {
    // With this consistency the position is not written to a file at each read.
    let consistency = ReadConsistency::AtLeastOnce {
        persist_every: u32::MAX,
    };
    let with =
        |schedule| walrus_rust::Walrus::with_consistency_and_schedule_for_key(KEY, consistency, schedule);
    static FIRST: Once = Once::new();
    let mut first = Ok(());
    FIRST.call_once(|| first = with(FsyncSchedule::NoFsync).map(drop));
    first?;
    Ok(with(schedule)?)
}

/// Opens the log in `dir`, does `job`, and removes the files that opening made.
fn reading<T>(dir: &Path, job: impl FnOnce(&walrus_rust::Walrus) -> Result<T>) -> Result<T> {
    let before = files(dir)?;
    let home = Home::enter(dir)?;
    let wal = open(FsyncSchedule::NoFsync)?;
    let value = job(&wal)?;
    drop((wal, home));
    for made in files(dir)?.into_iter().filter(|file| !before.contains(file)) {
        fs::remove_file(made)?;
    }
    Ok(value)
}

fn walk(wal: &walrus_rust::Walrus, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    loop {
        let entries = wal.batch_read_for_topic(TOPIC, READ_BYTES, true)?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            visit(&entry.data)?;
        }
    }
}

/// The working directory, until it is dropped.
struct Home {
    before: PathBuf,
}

impl Home {
    fn enter(dir: &Path) -> Result<Home> {
        let before = env::current_dir()?;
        env::set_current_dir(dir)?;
        Ok(Home { before })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // There is nobody to tell; the next log would not be found.
        let _ = env::set_current_dir(&self.before);
    }
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir.join(DEFAULT_DATA_DIR).join(KEY))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Files of logs that were written, which the crate keeps open.
static WRITTEN: Mutex<Vec<(PathBuf, File)>> = Mutex::new(Vec::new());

fn remember(dir: &Path) -> Result<()> {
    for path in files(dir)? {
        let file = File::options().write(true).open(&path)?;
        WRITTEN.lock().push((path, file));
    }
    Ok(())
}

/// Empties the files that have been removed.
fn release() {
    WRITTEN
        .lock()
        .retain(|(path, file)| path.exists() || file.set_len(0).is_err());
}
