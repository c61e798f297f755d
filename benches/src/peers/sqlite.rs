//! SQLite 3.54.1 with a write-ahead log, through rusqlite 0.42.0, which brings it.
//!
//! It is a database: each record is a transaction that inserts a row. With `synchronous=OFF` a commit has been
//! written to the log file but not flushed, so it survives the process (C1); with `FULL` it is flushed (C2;
//! `NORMAL` would flush at checkpoints only). The lock is exclusive, which spares the shared index of the log; one
//! connection sits in a mutex, since SQLite has one writer at a time in any case. A checkpoint comes every 64 MiB
//! instead of 4: a commit writes whole pages, and without any the log would take 4 KiB for each record. A batch
//! is one transaction. The database file has no checksums, so a replay checks none.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::contender::Contender;
use crate::load::{Batch, Check, Load, Tally};
use crate::workload::Job;

const CHECKPOINT_PAGES: u32 = 16_384;
const INSERT: &str = "INSERT INTO log (payload) VALUES (?1)";
const SELECT: &str = "SELECT payload FROM log ORDER BY id";

pub(crate) struct Sqlite;

impl Contender for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn settings(&self) -> &'static str {
        "3.54.1: WAL, exclusive lock, checkpoint every 64 MiB, prepared INSERT, in a Mutex; C1 synchronous=OFF, C2 FULL"
    }

    fn note(&self, job: Job) -> Option<&'static str> {
        Some(match job {
            Job::Replay => "database; no checksums on read",
            _ => "database",
        })
    }

    fn supports(&self, job: Job) -> bool {
        !matches!(job, Job::Typed(_))
    }

    fn append(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let connection = create(dir, "OFF")?;
        let elapsed = insert_each(&connection, load)?;
        drop(connection);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn append_batches(&self, dir: &Path, load: &Load, batch: usize, check: &mut Check) -> Result<Duration> {
        let connection = create(dir, "OFF")?;
        let elapsed = load.drive(|payloads| {
            let mut records = Batch::new();
            while payloads.next_batch(&mut records, batch) {
                let mut connection = connection.lock();
                let transaction = connection.transaction()?;
                {
                    let mut insert = transaction.prepare_cached(INSERT)?;
                    for payload in records.iter() {
                        insert.execute([payload])?;
                    }
                }
                transaction.commit()?;
            }
            Ok(())
        })?;
        drop(connection);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn commit(&self, dir: &Path, load: &Load, check: &mut Check) -> Result<Duration> {
        let connection = create(dir, "FULL")?;
        let elapsed = insert_each(&connection, load)?;
        drop(connection);
        self.read_back(dir, check)?;
        Ok(elapsed)
    }

    fn replay(&self, dir: &Path, check: &mut Check) -> Result<(Duration, Tally)> {
        let connection = open(dir, "OFF")?;
        let mut tally = Tally::default();
        let start = Instant::now();
        walk(&connection, |payload| {
            tally.add(payload);
            Ok(())
        })?;
        let elapsed = start.elapsed();
        walk(&connection, |payload| check.see(payload))?;
        Ok((elapsed, tally))
    }

    fn open(&self, dir: &Path) -> Result<Duration> {
        let start = Instant::now();
        let connection = open(dir, "OFF")?;
        // Nothing is read before the first statement.
        let _last: Option<i64> = connection.query_row("SELECT max(id) FROM log", [], |row| row.get(0))?;
        let elapsed = start.elapsed();
        drop(connection);
        Ok(elapsed)
    }

    fn read_back(&self, dir: &Path, check: &mut Check) -> Result<()> {
        walk(&open(dir, "OFF")?, |payload| check.see(payload))
    }
}

fn create(dir: &Path, synchronous: &str) -> Result<Mutex<Connection>> {
    let connection = open(dir, synchronous)?;
    connection.execute_batch("CREATE TABLE log (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)")?;
    Ok(Mutex::new(connection))
}

fn open(dir: &Path, synchronous: &str) -> Result<Connection> {
    let connection = Connection::open(dir.join("log.sqlite"))?;
    connection.execute_batch(&format!(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}; \
         PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
    ))?;
    Ok(connection)
}

fn insert_each(connection: &Mutex<Connection>, load: &Load) -> Result<Duration> {
    load.drive(|payloads| {
        while let Some(payload) = payloads.next_payload() {
            connection.lock().prepare_cached(INSERT)?.execute([payload])?;
        }
        Ok(())
    })
}

fn walk(connection: &Connection, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut select = connection.prepare(SELECT)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        visit(row.get_ref(0)?.as_blob()?)?;
    }
    Ok(())
}
