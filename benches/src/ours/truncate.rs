//! A log that loses its oldest records, and one that changes its file often.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use wal_db::{Start, Wal};

use super::{open, show};
use crate::load::{Check, Load, stamp};
use crate::measured::{Fact, Measured};

/// Small, so that a run goes through many.
pub(crate) const SMALL_SEGMENT_BYTES: u64 = 4 << 20;

/// Between two truncations.
const PAUSE: Duration = Duration::from_millis(5);

/// Drops everything before the first record of `load`, which is what has to be left.
pub(super) fn before(dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
    let wal = open(dir)?;
    let keep = wal
        .iter_from(Start::Ordinal(load.first))?
        .next()
        .context("the log is shorter")??;
    let bytes = wal.status().bytes;
    let start = Instant::now();
    wal.truncate_before(keep.lsn())?;
    let elapsed = start.elapsed();
    let mib = (bytes - wal.status().bytes) as f64 / f64::from(1 << 20);
    wal.close()?;
    show(&open(dir)?, check)?;
    Ok(Measured::figure(elapsed.as_secs_f64() * 1e6).with(Fact::new("dropped", mib, "MiB")))
}

pub(super) fn rotating(dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
    let wal = Wal::open_segmented(dir, SMALL_SEGMENT_BYTES)?;
    let elapsed = append_all(&wal, load)?;
    let bytes = wal.status().bytes;
    wal.close()?;
    show(&Wal::open_segmented(dir, SMALL_SEGMENT_BYTES)?, check)?;
    let segments = Fact::new("segments", (bytes / SMALL_SEGMENT_BYTES) as f64, "files");
    Ok(Measured::time(elapsed).with(segments))
}

/// Another thread drops all that is durable, again and again.
pub(super) fn truncating(dir: &Path, load: &Load, check: &mut Check) -> Result<Measured> {
    let wal = Wal::open_segmented(dir, SMALL_SEGMENT_BYTES)?;
    let appended = AtomicBool::new(false);
    let (elapsed, truncations) = thread::scope(|scope| -> Result<_> {
        let truncating = scope.spawn(|| -> Result<u64> {
            let mut truncations = 0;
            while !appended.load(Ordering::Relaxed) {
                wal.truncate_before(wal.status().durable)?;
                truncations += 1;
                thread::sleep(PAUSE);
            }
            Ok(truncations)
        });
        let elapsed = append_all(&wal, load);
        appended.store(true, Ordering::Relaxed);
        let truncations = truncating
            .join()
            .map_err(|_| anyhow!("the truncating thread panicked"))??;
        Ok((elapsed?, truncations))
    })?;
    wal.close()?;
    let wal = Wal::open_segmented(dir, SMALL_SEGMENT_BYTES)?;
    let head = wal.iter()?.next().transpose()?;
    let (_, first) = head
        .and_then(|record| stamp(record.data()))
        .unwrap_or((0, load.count));
    let left = Load {
        first,
        count: load.count - first,
        ..*load
    };
    *check = Check::new(&left);
    show(&wal, check)?;
    Ok(Measured::time(elapsed)
        .with(Fact::new("truncations", truncations as f64, "calls"))
        .with(Fact::new("dropped", first as f64, "records")))
}

fn append_all(wal: &Wal, load: &Load) -> Result<Duration> {
    load.drive(|payloads| {
        while let Some(payload) = payloads.next_payload() {
            let _lsn = wal.append(payload)?;
        }
        Ok(())
    })
}
