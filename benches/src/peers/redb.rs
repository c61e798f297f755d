//! redb 4.6.0, a copy-on-write B-tree.
//!
//! It is a database: each record is a transaction that inserts a row under the record's number. Its commits are
//! durable (C2) or held in the process's memory until a durable one follows, so it has no C1. One-phase commit
//! and no quick repair are its defaults and the fastest. Writers wait for each other and share no flush. Pages
//! carry checksums that are checked in repair and not on read.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use crate::contender::Contender;
use crate::load::{Batch, Check, Load, Tally};
use crate::workload::Job;

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// Records of one transaction where the time is not taken.
const GROUP: usize = 10_000;

pub(crate) struct Redb;

impl Contender for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn settings(&self) -> &'static str {
        "4.6.0: a durable transaction per commit, one-phase, no quick repair; no C1: others stay in memory"
    }

    fn note(&self, job: Job) -> Option<&'static str> {
        Some(match job {
            Job::Replay => "database; no checksums on read",
            _ => "database",
        })
    }

    fn supports(&self, job: Job) -> bool {
        matches!(job, Job::Commit | Job::Replay | Job::OpenClean)
    }

    /// Writes the log that replay and open read.
    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        self.write(dir, load, GROUP, check)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        self.write(dir, load, 1, check)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let database = open(dir)?;
        let mut tally = Tally::default();
        let start = Instant::now();
        walk(&database, |payload| {
            tally.add(payload);
            Ok(())
        })?;
        let elapsed = start.elapsed();
        walk(&database, |payload| check.see(payload))?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        let database = open(dir)?;
        let elapsed = start.elapsed();
        drop(database);
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        walk(&open(dir)?, |payload| check.see(payload))
    }
}

impl Redb {
    fn write(&self, dir: &Path, load: &Load, group: usize, check: &mut Check) -> Result<Duration> {
        let database = open(dir)?;
        let elapsed = load.drive(|payloads| {
            let mut records = Batch::new();
            while payloads.next_batch(&mut records, group) {
                insert(&database, &records)?;
            }
            Ok(())
        })?;
        drop(database);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }
}

fn open(dir: &Path) -> Result<Database> {
    Ok(Database::create(dir.join("log.redb"))?)
}

fn insert(database: &Database, records: &Batch) -> Result<()> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(LOG)?;
        let next = table.len()?;
        for (key, payload) in (next..).zip(records.iter()) {
            table.insert(key, payload)?;
        }
    }
    Ok(transaction.commit()?)
}

fn walk(database: &Database, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let transaction = database.begin_read()?;
    for record in transaction.open_table(LOG)?.iter()? {
        visit(record?.1.value())?;
    }
    Ok(())
}
