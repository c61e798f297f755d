//! Opening after a crash, and reads in other orders than the log's.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use wal_db::Lsn;

use super::{open, show};
use crate::load::{Check, Load, in_random_order, stamp};
use crate::measured::{Fact, Measured};

const SEEKS: u64 = 2_000;

/// Opens a log whose writer was killed.
pub(super) fn open_crashed(dir: &Path, check: &mut Check) -> Result<Measured> {
    let start = Instant::now();
    let wal = open(dir)?;
    let elapsed = start.elapsed();
    let found = wal.recovery().clone();
    ensure!(!found.clean, "the killed writer left nothing to recover");
    show(&wal, check)?;
    wal.close()?;
    Ok(Measured::time(elapsed)
        .with(Fact::new("recovered", found.found_records as f64, "written"))
        .with(Fact::new("and", found.staged_records as f64, "staged records")))
}

/// Reads every record by its LSN.
pub(super) fn points(dir: &Path, check: &mut Check) -> Result<Measured> {
    let wal = open(dir)?;
    let mut lsns: Vec<Lsn> = Vec::new();
    for record in wal.iter()? {
        lsns.push(record?.lsn());
    }
    let elapsed = in_random_order(lsns.len() as u64, |number| {
        let record = wal.read(lsns[number as usize])?;
        ensure!(
            stamp(record.data()) == Some((0, number)),
            "another record is there"
        );
        Ok(())
    })?;
    show(&wal, check)?;
    wal.close()?;
    Ok(Measured::time(elapsed))
}

/// Finds the first record of times between the first record's and the last one's.
pub(super) fn seek_time(dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
    let wal = open(dir)?;
    let first = wal.iter()?.next().context("the log is empty")??;
    let last = wal.iter_rev()?.next().context("the log is empty")??;
    let (from, to) = (wal.locate(first.lsn())?.time, wal.locate(last.lsn())?.time);
    let span = to.duration_since(from).unwrap_or_default();
    let time = |number: u64| from + span.mul_f64(number as f64 / SEEKS as f64);
    let mut found = Vec::with_capacity(SEEKS as usize);
    let elapsed = in_random_order(SEEKS, |number| {
        let record = wal
            .iter_from(time(number))?
            .next()
            .context("nothing is as late")??;
        found.push((time(number), record.lsn()));
        Ok(())
    })?;
    found.iter().try_for_each(|&(time, lsn)| -> Result<()> {
        ensure!(
            at_or_after(wal.locate(lsn)?.time, time),
            "an earlier record was found"
        );
        Ok(())
    })?;
    show(&wal, check)?;
    wal.close()?;
    ensure!(load.count > 0, "nothing was written");
    Ok(Measured::figure(elapsed.as_secs_f64() * 1e6 / SEEKS as f64))
}

/// A log keeps times in microseconds.
fn at_or_after(found: SystemTime, asked: SystemTime) -> bool {
    found + Duration::from_micros(1) > asked
}
