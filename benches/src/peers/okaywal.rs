//! okaywal 0.3.1, entries of chunks in recycled files.
//!
//! Committing an entry always flushes (C2), shared by all that wait; there is no call without a flush, so no C1.
//! The log is one file with room for the whole run: at a checkpoint the crate hands its entries to the user and
//! recycles the file, after which they could not be read back. The file is filled with zeros by the crate and
//! flushed before the clock starts. The buffer is 64 KiB instead of 16, which spares nothing in commits but
//! writes in batches.
//!
//! The only way to read a log is its recovery, which hands the entries to a manager while it opens, so a replay is
//! an open. Logs for replay and open have entries of 1,000 chunks, a record each: with an entry for each record
//! writing them would take a flush for each. Checksums are crc32c of each chunk, and are checked by the manager.

use std::fmt::{self, Debug, Formatter};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use okaywal::{Configuration, Entry, EntryId, LogManager, ReadChunkResult, SegmentReader, WriteAheadLog};
use parking_lot::Mutex;

use crate::contender::Contender;
use crate::disk;
use crate::load::{Batch, Check, Load, Tally};
use crate::workload::Job;

const FILE_BYTES: u64 = 64 << 20;
const BUFFER_BYTES: usize = 64 << 10;
/// More than an entry of one chunk adds to its record.
const OVERHEAD_BYTES: u64 = 32;
const CHUNKS: usize = 1_000;

pub(crate) struct OkayWal;

impl Contender for OkayWal {
    fn name(&self) -> &'static str {
        "okaywal"
    }

    fn settings(&self) -> &'static str {
        "0.3.1: one zero-filled file for the run, no checkpoint; 64 KiB buffer; an entry per commit; always flushes: no C1"
    }

    fn note(&self, job: Job) -> Option<&'static str> {
        matches!(job, Job::Replay | Job::OpenClean).then_some("1,000 records an entry; open is replay")
    }

    fn supports(&self, job: Job) -> bool {
        matches!(job, Job::Commit | Job::Replay | Job::OpenClean)
    }

    /// Writes the log that replay and open read.
    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let wal = create(dir, load.count, load.bytes as u64)?;
        let elapsed = load.drive(|payloads| {
            let mut records = Batch::new();
            while payloads.next_batch(&mut records, CHUNKS) {
                let mut entry = wal.begin_entry()?;
                for payload in records.iter() {
                    entry.write_chunk(payload)?;
                }
                entry.commit()?;
            }
            Ok(())
        })?;
        wal.shutdown()?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let wal = create(dir, load.count, load.bytes as u64)?;
        disk::settle(dir)?;
        let elapsed = load.drive(|payloads| {
            while let Some(payload) = payloads.next_payload() {
                let mut entry = wal.begin_entry()?;
                entry.write_chunk(payload)?;
                entry.commit()?;
            }
            Ok(())
        })?;
        wal.shutdown()?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let (elapsed, tally) = recover(dir, Tally::default(), |tally, payload| {
            tally.add(payload);
            Ok(())
        })?;
        self.read_back(dir, check)?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        // Reading the chunks is faster than leaving them: the crate then seeks past each.
        let (elapsed, _records) = recover(dir, 0_u64, |records, _| {
            *records += 1;
            Ok(())
        })?;
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        // The manager has to own what it shows the records to.
        let nothing = Load::new(0, 0, 0);
        let lent = std::mem::replace(check, Check::new(&nothing));
        let (_elapsed, seen) = recover(dir, lent, Check::see)?;
        *check = seen;
        Ok(())
    }
}

/// Makes a log with room for so many records of so many bytes.
pub(crate) fn create(dir: &Path, records: u64, bytes: u64) -> Result<WriteAheadLog> {
    let bytes = records * (bytes + OVERHEAD_BYTES);
    let bytes = u32::try_from(bytes.next_multiple_of(FILE_BYTES)).context("a file has at most 4 GiB")?;
    let manager = Manager {
        state: Arc::default(),
        visit: |(), _| bail!("a new log has a record"),
    };
    Ok(configuration(dir).preallocate_bytes(bytes).open(manager)?)
}

fn configuration(dir: &Path) -> Configuration {
    Configuration::default_for(dir)
        .preallocate_bytes(FILE_BYTES as u32)
        .checkpoint_after_bytes(u64::MAX)
        .buffer_bytes(BUFFER_BYTES)
}

/// Opens the log in `dir`, shows every record to `visit`, and closes it; the time is that of opening.
pub(crate) fn recover<S: Send + 'static>(dir: &Path, state: S, visit: Visit<S>) -> Result<(Duration, S)> {
    let state = Arc::new(Mutex::new(state));
    let manager = Manager {
        state: Arc::clone(&state),
        visit,
    };
    let configuration = configuration(dir);
    let start = Instant::now();
    let wal = configuration.open(manager)?;
    let elapsed = start.elapsed();
    wal.shutdown()?;
    let state = Arc::into_inner(state).context("the log is still open")?;
    Ok((elapsed, state.into_inner()))
}

pub(crate) type Visit<S> = fn(&mut S, &[u8]) -> Result<()>;

struct Manager<S> {
    state: Arc<Mutex<S>>,
    visit: Visit<S>,
}

impl<S> Debug for Manager<S> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Manager")
    }
}

impl<S: Send + 'static> LogManager for Manager<S> {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut payload = Vec::new();
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            payload.resize(chunk.bytes_remaining() as usize, 0);
            chunk.read_exact(&mut payload)?;
            if !chunk.check_crc()? {
                return Err(io::Error::other("a checksum does not match"));
            }
            (self.visit)(&mut state, &payload).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn checkpoint_to(&mut self, _: EntryId, _: &mut SegmentReader, _: &WriteAheadLog) -> io::Result<()> {
        Err(io::Error::other("a checkpoint would take records away"))
    }
}
