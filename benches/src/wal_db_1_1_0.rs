//! The crate wal-db 1.1.0 from the registry.
//!
//! Its best setting for every job is the plain single file: a segmented log of the same crate pays a
//! map lookup behind a read lock on each write and read, and runs of both in turn showed no gain beyond
//! the noise for any job. The handle is shared by all threads, which is how the crate means group commit
//! to be used. It has no setting for preallocation, staging or the checksum, so there is nothing else to
//! tune. There is no close: dropping the handle is how a log is closed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use wal_db_1_1_0::Wal;

use crate::contender::{BASE, Contender};
use crate::load::{Check, Load, Tally};
use crate::workload::Extra;

pub(crate) struct WalDb110;

impl Contender for WalDb110 {
    fn name(&self) -> &'static str {
        BASE
    }

    fn settings(&self) -> &'static str {
        "Wal::open on a single file, segments show no gain; one handle shared by all threads; defaults"
    }

    fn supports_extra(&self, extra: Extra) -> bool {
        extra == Extra::OpenCrashed
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let wal = Arc::new(Wal::open(file(dir))?);
        let elapsed = load.drive(|payloads| {
            let wal = Arc::clone(&wal);
            while let Some(payload) = payloads.next_payload() {
                let _lsn = wal.append(payload)?;
            }
            Ok(())
        })?;
        show(&wal, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let wal = Arc::new(Wal::open(file(dir))?);
        let elapsed = load.drive(|payloads| {
            let wal = Arc::clone(&wal);
            while let Some(payload) = payloads.next_payload() {
                let _lsn = wal.append_and_sync(payload)?;
            }
            Ok(())
        })?;
        show(&wal, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let wal = Wal::open(file(dir))?;
        let mut tally = Tally::default();
        let start = Instant::now();
        for record in wal.iter()? {
            tally.add(record?.data());
        }
        let elapsed = start.elapsed();
        show(&wal, check)?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let path = file(dir);
        let start = Instant::now();
        let wal = Wal::open(path)?;
        let elapsed = start.elapsed();
        drop(wal);
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        show(&Wal::open(file(dir))?, check)
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("log.wal")
}

/// Reads through the open handle. That reads the file, not memory: the crate keeps nothing back, and a
/// second open would only add its scan of the whole log to the waiting time.
fn show(wal: &Wal, check: &mut Check) -> Result<()> {
    for record in wal.iter()? {
        check.see(record?.data())?;
    }
    Ok(())
}
