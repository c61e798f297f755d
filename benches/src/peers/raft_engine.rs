//! raft-engine 0.4.2, the log of many consensus groups in one.
//!
//! `write` is C1 without its sync flag and C2 with it; threads that wait share a write and a flush. Entries of a group
//! must come in order without a gap, so each thread writes to a group of its own, as its users do; all groups share
//! one log. Compression is off: the payloads are random. Files have 64 MiB as everyone's.
//!
//! For commits the log is brought to its steady state before the clock starts, where it writes into recycled files:
//! one is filled with zeros by the crate, and records of no thread fill the first file, which is never a recycled
//! one. Appends are not helped by that: they pay no flush that a new block would make dearer.
//!
//! It keeps an index of every entry in memory, which is more than a log does. Entries are protocol buffers; the one
//! here is a single field of bytes, made in a buffer that is reused. Checksums are crc32, and are checked on read.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use protobuf::well_known_types::BytesValue;
use raft_engine::env::DefaultFileSystem;
use raft_engine::{Config, LogBatch, MessageExt, ReadableSize};

use crate::contender::Contender;
use crate::disk;
use crate::load::{Batch, Check, Load, Tally};
use crate::workload::Job;

type Engine = raft_engine::Engine<DefaultFileSystem>;

const FILE_MIB: u64 = 64;
/// The group of records that nobody reads.
const FILLER: u64 = u64::MAX;
const FILLER_BYTES: usize = 1 << 20;
const FETCHED: u64 = 1_024;

pub(crate) struct RaftEngine;

impl Contender for RaftEngine {
    fn name(&self) -> &'static str {
        "raft-engine"
    }

    fn settings(&self) -> &'static str {
        "0.4.2: a group per thread in one log; 64 MiB files; no compression; C2 in a recycled file, written full before"
    }

    fn note(&self, job: Job) -> Option<&'static str> {
        (job != Job::OpenClean).then_some("keeps an index of all entries")
    }

    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::Typed(_))
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let engine = open(dir)?;
        let elapsed = write(&engine, load, false)?;
        drop(engine);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn append_batches(&self, dir: &Path, load: &Load, batch: usize, check: &mut Check) -> Result<Duration> {
        let engine = open(dir)?;
        let elapsed = load.drive(|payloads| {
            let mut records = Batch::new();
            let mut entries = Vec::new();
            let mut log_batch = LogBatch::default();
            while payloads.next_batch(&mut records, batch) {
                entries.resize(records.iter().len(), BytesValue::default());
                for (entry, payload) in entries.iter_mut().zip(records.iter()) {
                    fill(entry, payload);
                }
                log_batch.add_entries::<Record>(group_of(&entries[0].value), &entries)?;
                engine.write(&mut log_batch, false)?;
            }
            Ok(())
        })?;
        drop(engine);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let engine = open_recycled(dir)?;
        disk::settle(dir)?;
        let elapsed = write(&engine, load, true)?;
        drop(engine);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let engine = open(dir)?;
        let mut tally = Tally::default();
        let start = Instant::now();
        walk(&engine, |payload| {
            tally.add(payload);
            Ok(())
        })?;
        let elapsed = start.elapsed();
        walk(&engine, |payload| check.see(payload))?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        let engine = open(dir)?;
        let elapsed = start.elapsed();
        drop(engine);
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        walk(&open(dir)?, |payload| check.see(payload))
    }
}

fn open(dir: &Path) -> Result<Engine> {
    Ok(Engine::open(config(dir)?)?)
}

fn config(dir: &Path) -> Result<Config> {
    Ok(Config {
        dir: dir.to_str().context("the directory is no UTF-8")?.to_owned(),
        target_file_size: ReadableSize::mb(FILE_MIB),
        batch_compression_threshold: ReadableSize(0),
        ..Config::default()
    })
}

/// A new log that has just gone over to its first recycled file.
fn open_recycled(dir: &Path) -> Result<Engine> {
    let engine = Engine::open(Config {
        prefill_for_recycle: true,
        prefill_limit: Some(ReadableSize::mb(FILE_MIB)),
        ..config(dir)?
    })?;
    let mut batch = LogBatch::default();
    // The one beyond the file's size is the first in the next file.
    for _ in 0..=FILE_MIB {
        batch.put(FILLER, b"filler".to_vec(), vec![1; FILLER_BYTES])?;
        engine.write(&mut batch, false)?;
    }
    Ok(engine)
}

fn write(engine: &Engine, load: &Load, sync: bool) -> Result<Duration> {
    load.drive(|payloads| {
        let mut entry = [BytesValue::default()];
        let mut batch = LogBatch::default();
        while let Some(payload) = payloads.next_payload() {
            fill(&mut entry[0], payload);
            batch.add_entries::<Record>(group_of(payload), &entry)?;
            engine.write(&mut batch, sync)?;
        }
        Ok(())
    })
}

/// Entries are numbered by the sequence number in their payload, from one.
struct Record;

impl MessageExt for Record {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        let (_thread, rest) = entry.value.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        rest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) + 1
    }
}

fn fill(entry: &mut BytesValue, payload: &[u8]) {
    entry.value.clear();
    entry.value.extend_from_slice(payload);
}

fn group_of(payload: &[u8]) -> u64 {
    payload
        .first_chunk()
        .map_or(0, |thread| u64::from(u32::from_le_bytes(*thread)))
        + 1
}

/// Hands out every payload, group by group.
fn walk(engine: &Engine, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut entries = Vec::new();
    for group in engine.raft_groups() {
        let (Some(first), Some(last)) = (engine.first_index(group), engine.last_index(group)) else {
            continue;
        };
        for begin in (first..=last).step_by(FETCHED as usize) {
            let end = (begin + FETCHED).min(last + 1);
            engine.fetch_entries_to::<Record>(group, begin, end, None, &mut entries)?;
            for entry in entries.drain(..) {
                visit(&entry.value)?;
            }
        }
    }
    Ok(())
}
