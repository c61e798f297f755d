//! RocksDB 10.4, through rocksdb 0.24.0: its write-ahead log.
//!
//! It is a database, and there is no log without a table in memory beside it. The table is the cheapest one that there
//! is, a vector, and large enough for a whole run; nothing is compressed. A put has been written to the log when it
//! returns (C1), and with `sync` flushed, in groups (C2). A replay walks the log (`get_updates_since`), not the table, and
//! checks every record's crc32c; files of the log that an opening has put into tables are kept for that. Building it takes
//! a C++ compiler, libclang and half an hour, so it is not one of the `peers`.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use rocksdb::{DB, MemtableFactory, Options, WriteBatch, WriteBatchIterator, WriteOptions};

use crate::contender::Contender;
use crate::load::{Batch, Check, Load, Tally};
use crate::workload::Job;

const TABLE_BYTES: usize = 4 << 30;
/// Longer than any run.
const KEPT_SECONDS: u64 = 1 << 30;

pub(crate) struct RocksDb;

impl Contender for RocksDb {
    fn name(&self) -> &'static str {
        "rocksdb"
    }

    fn settings(&self) -> &'static str {
        "0.24.0 (RocksDB 10.4): no compression, table in a vector, none written out during a run; C1 put; C2 put with sync"
    }

    fn note(&self, _: Job) -> Option<&'static str> {
        Some("database")
    }

    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::Typed(_) | Job::Extra(_))
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        put_all(dir, load, false, check)
    }

    fn append_batches(&self, dir: &Path, load: &Load, batch: usize, check: &mut Check) -> Result<Duration> {
        let log = Log::open(dir)?;
        let elapsed = load.drive(|payloads| {
            let mut records = Batch::new();
            while payloads.next_batch(&mut records, batch) {
                let mut writes = WriteBatch::default();
                for payload in records.iter() {
                    writes.put(log.next_key(), payload);
                }
                log.database.write(writes)?;
            }
            Ok(())
        })?;
        drop(log);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        put_all(dir, load, true, check)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let log = Log::open(dir)?;
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
        let log = Log::open(dir)?;
        let elapsed = start.elapsed();
        drop(log);
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        Log::open(dir)?.walk(|payload| check.see(payload))
    }
}

fn put_all(dir: &Path, load: &Load, sync: bool, check: &mut Check) -> Result<Duration> {
    let log = Log::open(dir)?;
    let elapsed = load.drive(|payloads| {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        while let Some(payload) = payloads.next_payload() {
            log.database.put_opt(log.next_key(), payload, &options)?;
        }
        Ok(())
    })?;
    drop(log);
    RocksDb.read_back(dir, check)?;
    Ok(elapsed)
}

struct Log {
    database: DB,
    next: AtomicU64,
}

impl Log {
    fn open(dir: &Path) -> Result<Log> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(TABLE_BYTES);
        // A vector takes one writer at a time, who puts in what a whole group has written.
        options.set_memtable_factory(MemtableFactory::Vector);
        options.set_allow_concurrent_memtable_write(false);
        options.set_enable_pipelined_write(true);
        options.set_disable_auto_compactions(true);
        options.set_wal_ttl_seconds(KEPT_SECONDS);
        Ok(Log {
            database: DB::open(&options, dir)?,
            next: AtomicU64::new(0),
        })
    }

    fn next_key(&self) -> [u8; 8] {
        self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes()
    }

    fn walk(&self, visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut values = Values {
            visit,
            result: Ok(()),
        };
        for batch in self.database.get_updates_since(0)? {
            batch?.1.iterate(&mut values);
        }
        values.result
    }
}

/// Hands the values of a batch to `visit`, up to its first error.
struct Values<F> {
    visit: F,
    result: Result<()>,
}

impl<F: FnMut(&[u8]) -> Result<()>> WriteBatchIterator for Values<F> {
    fn put(&mut self, _: &[u8], value: &[u8]) {
        if self.result.is_ok() {
            self.result = (self.visit)(value);
        }
    }

    fn delete(&mut self, _: &[u8]) {}
}
