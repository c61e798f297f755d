//! fjall 3.1.13, a log-structured key-value store.
//!
//! It is a database: the key is the record's number, and besides its journal each record goes into a sorted table.
//! An insert has been written to the journal when it returns and survives the process (C1). For commits nothing
//! is written until `persist(SyncData)`, which writes and flushes (C2). The table in memory is large enough for a
//! whole run, so that no table is written out while the clock runs; it is written out before the log is closed, so
//! that opening need not replay the journal. Compression is off: the payloads are random. A batch is one of its
//! batches. Checksums are xxh3, and are checked on read.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::contender::Contender;
use crate::load::{Batch, Check, Load, Tally};
use crate::workload::Job;

const TABLE_BYTES: u64 = 4 << 30;

pub(crate) struct Fjall;

impl Contender for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn settings(&self) -> &'static str {
        "3.1.13: no compression, no table written out during a run; C1 insert; C2 insert + persist(SyncData)"
    }

    fn note(&self, _: Job) -> Option<&'static str> {
        Some("database")
    }

    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::Typed(_))
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let log = Log::open(dir, false)?;
        let elapsed = load.drive(|payloads| {
            while let Some(payload) = payloads.next_payload() {
                log.records.insert(log.next_key(), payload)?;
            }
            Ok(())
        })?;
        log.close()?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn append_batches(&self, dir: &Path, load: &Load, batch: usize, check: &mut Check) -> Result<Duration> {
        let log = Log::open(dir, false)?;
        let elapsed = load.drive(|payloads| {
            let mut records = Batch::new();
            while payloads.next_batch(&mut records, batch) {
                let mut writes = log.database.batch().durability(Some(PersistMode::Buffer));
                for payload in records.iter() {
                    writes.insert(&log.records, log.next_key(), payload);
                }
                writes.commit()?;
            }
            Ok(())
        })?;
        log.close()?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let log = Log::open(dir, true)?;
        let elapsed = load.drive(|payloads| {
            while let Some(payload) = payloads.next_payload() {
                log.records.insert(log.next_key(), payload)?;
                log.database.persist(PersistMode::SyncData)?;
            }
            Ok(())
        })?;
        log.close()?;
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let log = Log::open(dir, false)?;
        let mut tally = Tally::default();
        let start = Instant::now();
        log.walk(|payload| {
            tally.add(payload);
            Ok(())
        })?;
        let elapsed = start.elapsed();
        log.walk(|payload| check.see(payload))?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        let log = Log::open(dir, false)?;
        let elapsed = start.elapsed();
        drop(log);
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        Log::open(dir, false)?.walk(|payload| check.see(payload))
    }
}

struct Log {
    records: Keyspace,
    next: AtomicU64,
    // Dropped last: it joins its threads.
    database: Database,
}

impl Log {
    /// With `manual` an insert stays in the journal's buffer until it is persisted.
    fn open(dir: &Path, manual: bool) -> Result<Log> {
        let database = Database::builder(dir)
            .manual_journal_persist(manual)
            .max_journaling_size(TABLE_BYTES)
            .open()?;
        let options = || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(manual)
                .max_memtable_size(TABLE_BYTES)
        };
        Ok(Log {
            records: database.keyspace("log", options)?,
            next: AtomicU64::new(0),
            database,
        })
    }

    /// A thread's records keep their order, as its numbers ascend.
    fn next_key(&self) -> [u8; 8] {
        self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes()
    }

    fn walk(&self, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for record in self.records.iter() {
            visit(&record.value()?)?;
        }
        Ok(())
    }

    fn close(self) -> Result<()> {
        self.records.rotate_memtable_and_wait()?;
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}
