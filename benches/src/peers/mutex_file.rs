//! What people write when they need a log and take no crate: a file behind a mutex.
//!
//! A record is `[crc32][length][payload]`, made outside the mutex and written with one `write_all` under it, so
//! that it is in the page cache when the call returns (C1). A commit flushes under the same mutex (C2): a thread
//! that waits for it waits for the flush, and no flush is shared. A batch is one write. There is no preallocation,
//! no buffer and no header. Opening has to find the end, so it walks the file and checks every record.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use parking_lot::Mutex;

use crate::contender::Contender;
use crate::load::{Batch, Check, Load, Tally};
use crate::workload::Job;

const READ_BYTES: usize = 1 << 20;
const FRAME_BYTES: usize = 8;

pub(crate) struct MutexFile;

impl Contender for MutexFile {
    fn name(&self) -> &'static str {
        "mutex-file"
    }

    fn settings(&self) -> &'static str {
        "Mutex<File>: one write_all of record and crc32 under the mutex; C2 adds sync_data under it; 1 MiB reads"
    }

    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::Typed(_))
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let file = Mutex::new(create(dir)?);
        let elapsed = load.drive(|payloads| {
            let mut frames = Vec::new();
            while let Some(payload) = payloads.next_payload() {
                frames.clear();
                push_frame(&mut frames, payload);
                file.lock().write_all(&frames)?;
            }
            Ok(())
        })?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn append_batches(&self, dir: &Path, load: &Load, batch: usize, check: &mut Check) -> Result<Duration> {
        let file = Mutex::new(create(dir)?);
        let elapsed = load.drive(|payloads| {
            let mut records = Batch::new();
            let mut frames = Vec::new();
            while payloads.next_batch(&mut records, batch) {
                frames.clear();
                records
                    .iter()
                    .for_each(|payload| push_frame(&mut frames, payload));
                file.lock().write_all(&frames)?;
            }
            Ok(())
        })?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let file = Mutex::new(create(dir)?);
        let elapsed = load.drive(|payloads| {
            let mut frames = Vec::new();
            while let Some(payload) = payloads.next_payload() {
                frames.clear();
                push_frame(&mut frames, payload);
                let mut file = file.lock();
                file.write_all(&frames)?;
                file.sync_data()?;
            }
            Ok(())
        })?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let mut tally = Tally::default();
        let start = Instant::now();
        walk(dir, |payload| {
            tally.add(payload);
            Ok(())
        })?;
        let elapsed = start.elapsed();
        self.read_back(dir, check)?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        let file = File::options().append(true).open(dir.join(FILE))?;
        walk(dir, |_| Ok(()))?;
        let elapsed = start.elapsed();
        drop(file);
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        walk(dir, |payload| check.see(payload))
    }
}

const FILE: &str = "log";

fn create(dir: &Path) -> Result<File> {
    Ok(File::options()
        .append(true)
        .create_new(true)
        .open(dir.join(FILE))?)
}

#[inline]
fn push_frame(frames: &mut Vec<u8>, payload: &[u8]) {
    frames.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    frames.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frames.extend_from_slice(payload);
}

/// Hands out every payload up to the end of the file, each checked.
fn walk(dir: &Path, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut file = BufReader::with_capacity(READ_BYTES, File::open(dir.join(FILE))?);
    let mut payload = Vec::new();
    let mut head = [0; FRAME_BYTES];
    loop {
        match file.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let (crc, len) = head.split_at(4);
        payload.resize(u32::from_le_bytes(len.try_into()?) as usize, 0);
        file.read_exact(&mut payload)?;
        ensure!(
            crc == crc32fast::hash(&payload).to_le_bytes(),
            "a checksum does not match"
        );
        visit(&payload)?;
    }
}
