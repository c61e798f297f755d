//! From the file into the log, by any number of threads, and on from wherever a dead process left off.
//!
//! The rows of a log need not be a prefix of the file: threads finish in any order. So the log itself is asked which rows
//! it holds, and the others are imported.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::{Context, Error, Result, bail, ensure};
use clap::ValueEnum;
use csv::ByteRecord;
use indicatif::{ProgressBar, ProgressStyle};
use wal_db::{EventLog, WalError};

use crate::{
    events::FlightEvent,
    row,
    state::{Flights, RowSet},
};

/// Rows that a thread takes at a time.
const CHUNK: usize = 64;

/// Rows of one thread between two syncs, with `--sync batch`.
const SYNC_EVERY: usize = 1_000;

/// When rows are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SyncMode {
    /// Each row before its thread takes the next one
    Each,
    /// Every 1,000 rows of a thread
    Batch,
    /// Once, at the end
    End,
}

/// The file, read once: what is fingerprinted is what is imported.
pub(crate) struct Source {
    path: PathBuf,
    bytes: Vec<u8>,
    crc32: u32,
}

impl Source {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let source = Source {
            path: path.to_owned(),
            crc32: crc32fast::hash(&bytes),
            bytes,
        };
        let mut reader = source.reader();
        let header = reader.byte_headers()?;
        ensure!(
            header.iter().eq(row::HEADER.iter().map(|name| name.as_bytes())),
            "{}:1: the header is not {}",
            path.display(),
            row::HEADER.join(",")
        );
        Ok(source)
    }

    fn reader(&self) -> csv::Reader<&[u8]> {
        // A row with too few or too many fields is ours to report.
        csv::ReaderBuilder::new().flexible(true).from_reader(&self.bytes)
    }

    /// Whether a shorter file with this fingerprint was this one before it grew, by whole lines.
    fn begins_with(&self, (bytes, crc32): (u64, u32)) -> bool {
        let beginning = usize::try_from(bytes).ok().and_then(|len| self.bytes.get(..len));
        beginning.is_some_and(|bytes| bytes.ends_with(b"\n") && crc32fast::hash(bytes) == crc32)
    }

    /// The line on which the record starts that was looked for from `byte` on. The reader's own count does not see the line
    /// ends that it skips first.
    fn line_at(&self, byte: u64) -> usize {
        let from = usize::try_from(byte).unwrap_or(usize::MAX).min(self.bytes.len());
        let (before, rest) = self.bytes.split_at(from);
        let skipped = rest.iter().take_while(|byte| b"\r\n".contains(byte));
        1 + before
            .iter()
            .chain(skipped)
            .filter(|&&byte| byte == b'\n')
            .count()
    }
}

/// Writes the file's fingerprint into a new log, and compares it with that of an old one.
pub(crate) fn start(log: &EventLog<FlightEvent>, logged: &Flights, source: &Source) -> Result<()> {
    let (csv_bytes, csv_crc32) = (source.bytes.len() as u64, source.crc32);
    ensure!(logged.misfits == 0, "it holds events that contradict each other");
    // No sync is needed: no crash keeps a row and loses what was appended before it.
    match logged.source {
        None => {
            log.append(&FlightEvent::ImportStarted { csv_bytes, csv_crc32 })?;
        }
        Some(theirs) if theirs == (csv_bytes, csv_crc32) => {}
        Some(theirs) if source.begins_with(theirs) => {
            log.append(&FlightEvent::FileGrown { csv_bytes, csv_crc32 })?;
        }
        Some((bytes, crc32)) => bail!(
            "it was made from another file ({bytes} bytes, CRC-32 {crc32:08x}) than {} ({csv_bytes} bytes, \
             CRC-32 {csv_crc32:08x}); use a new log",
            source.path.display()
        ),
    }
    Ok(())
}

/// Appends every row of `source` that is not in `log`, and returns how many rows the file has.
///
/// Rows are checked in the order of the file. At a bad one the import ends with an error: what stands before it in the
/// file is in the log then, and nothing after it that was not there before.
pub(crate) fn import(
    log: &EventLog<FlightEvent>,
    logged: &RowSet,
    source: &Source,
    threads: usize,
    sync: SyncMode,
) -> Result<u64> {
    let bar = progress(source.bytes.len());
    let rows = Mutex::new(Rows {
        reader: source.reader(),
        record: ByteRecord::new(),
        source,
        logged,
        bar: &bar,
        row: 0,
        ended: false,
        failure: None,
    });
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                if let Err(error) = append_rows(log, &rows, sync) {
                    lock(&rows).fail(Error::from(error).context("appending to the log"));
                }
            });
        }
    });
    bar.finish_and_clear();
    // Also after a bad row: those before it are kept.
    let synced = log.wal().sync();
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = rows.failure {
        return Err(failure);
    }
    synced.context("making the log durable")?;
    Ok(u64::from(rows.row))
}

/// The work of one thread.
fn append_rows(log: &EventLog<FlightEvent>, rows: &Mutex<Rows<'_>>, sync: SyncMode) -> Result<(), WalError> {
    let mut since_sync = 0;
    loop {
        let chunk = lock(rows).take();
        if chunk.is_empty() {
            return Ok(());
        }
        for events in chunk {
            if sync == SyncMode::Each {
                log.append_batch(&events)?;
                continue;
            }
            log.append_batch(&events)?;
            since_sync += 1;
            if sync == SyncMode::Batch && since_sync == SYNC_EVERY {
                log.wal().sync()?;
                since_sync = 0;
            }
        }
    }
}

fn lock<'a, 'r>(rows: &'a Mutex<Rows<'r>>) -> MutexGuard<'a, Rows<'r>> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rows that are still to be imported, for all threads.
struct Rows<'a> {
    reader: csv::Reader<&'a [u8]>,
    record: ByteRecord,
    source: &'a Source,
    logged: &'a RowSet,
    bar: &'a ProgressBar,
    /// How many rows were read.
    row: u32,
    /// No more will be handed out.
    ended: bool,
    failure: Option<Error>,
}

impl Rows<'_> {
    /// The events of the next rows; empty at the end and after a failure.
    fn take(&mut self) -> Vec<Vec<FlightEvent>> {
        let mut chunk = Vec::with_capacity(CHUNK);
        while chunk.len() < CHUNK && !self.ended {
            match self.next_missing() {
                Ok(Some(events)) => chunk.push(events),
                Ok(None) => self.ended = true,
                Err(error) => self.fail(error),
            }
        }
        self.bar.set_position(self.reader.position().byte());
        chunk
    }

    fn next_missing(&mut self) -> Result<Option<Vec<FlightEvent>>> {
        while self.reader.read_byte_record(&mut self.record)? {
            self.row = self.row.checked_add(1).context("more rows than 2^32 - 1")?;
            if !self.logged.contains(self.row) {
                return match row::events(self.row, &self.record) {
                    Ok(events) => Ok(Some(events)),
                    Err(error) => Err(error.context(self.place())),
                };
            }
        }
        Ok(None)
    }

    fn place(&self) -> String {
        let byte = self.record.position().map_or(0, csv::Position::byte);
        format!("{}:{}", self.source.path.display(), self.source.line_at(byte))
    }

    /// The first failure is the one that counts.
    fn fail(&mut self, error: Error) {
        self.ended = true;
        self.failure.get_or_insert(error);
    }
}

fn progress(bytes: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta}");
    ProgressBar::new(bytes as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
