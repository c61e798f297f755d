//! A read model in SQLite: balances that are right however often the program is killed.
//!
//! Starts itself as another process, kills that a few times, lets it end, and compares the balances with the log. The
//! LSN of the last event is a row of the same database and changes in the same transaction as the balances. An event that
//! is handled again after a kill is known by it.
//!
//! `cargo run -p wal-examples --features sqlite --example sqlite`, because it compiles SQLite.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use wal_db::{Event, EventLog, Lsn, Start, Wal, WalRecord, consumer::ConsumerConfig};

const MOVES: u64 = 240;
const ACCOUNTS: u64 = 8;
const KILLS: usize = 5;

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "ledger")]
enum Ledger {
    #[wal(rename = "moved")]
    Moved { from: u64, to: u64, cents: u64 },
}

fn log(dir: &Path) -> wal_db::Result<EventLog<Ledger>> {
    Wal::open_segmented(dir.join("log"), 1 << 20)?.typed()
}

/// SQLite flushes each transaction unless it is told otherwise. So it has to be here: the consumer does not come back to an
/// event once the handler has returned.
fn database(dir: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(dir.join("balances.sqlite"))?;
    db.execute_batch(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS balances (account INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS place (only INTEGER PRIMARY KEY CHECK (only = 1), lsn INTEGER NOT NULL);
         INSERT OR IGNORE INTO place VALUES (1, -1);
         COMMIT;",
    )?;
    Ok(db)
}

/// Takes an event into the balances, unless it is there.
fn apply(db: &mut Connection, event: &Event<Ledger>) -> anyhow::Result<()> {
    let lsn = i64::try_from(event.lsn.get())?;
    let change = db.transaction()?;
    let seen: i64 = change.query_row("SELECT lsn FROM place", (), |row| row.get(0))?;
    if lsn <= seen {
        return Ok(());
    }
    let Ledger::Moved { from, to, cents } = event.event;
    let cents = i64::try_from(cents)?;
    for (account, cents) in [(from, -cents), (to, cents)] {
        change.execute(
            "INSERT INTO balances VALUES (?1, ?2) ON CONFLICT DO UPDATE SET cents = cents + ?2",
            (i64::try_from(account)?, cents),
        )?;
    }
    change.execute("UPDATE place SET lsn = ?1", [lsn])?;
    Ok(change.commit()?)
}

/// The process that is killed. Prints a line for each event that it has handled.
fn service(dir: &Path) -> anyhow::Result<()> {
    let log = log(dir)?;
    for i in log.wal().status().records..MOVES {
        log.append(&Ledger::Moved {
            from: i % ACCOUNTS,
            to: i * 3 % (ACCOUNTS - 1),
            cents: 1 + i,
        })?;
    }
    log.wal().sync()?;
    let last = log.wal().last_lsn()?.unwrap_or(Lsn::ZERO);

    let mut db = database(dir)?;
    let consumer = log.consumer("balances", ConsumerConfig::new().with_start(Start::Head))?;
    if consumer.status()?.cursor > last {
        return Ok(());
    }
    consumer.run(|event, _| {
        apply(&mut db, event)?;
        println!("{}", event.lsn);
        if event.lsn == last {
            consumer.stop();
        }
        Ok(())
    })?;
    Ok(())
}

fn compare(dir: &Path) -> anyhow::Result<()> {
    let mut expected = BTreeMap::<u64, i64>::new();
    for event in log(dir)?.replay(..)? {
        let Ledger::Moved { from, to, cents } = event?.event;
        *expected.entry(from).or_default() -= i64::try_from(cents)?;
        *expected.entry(to).or_default() += i64::try_from(cents)?;
    }
    let db = database(dir)?;
    let mut rows = db.prepare("SELECT account, cents FROM balances")?;
    let rows = rows.query_map((), |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)))?;
    let found = rows.collect::<rusqlite::Result<BTreeMap<u64, i64>>>()?;
    anyhow::ensure!(found == expected, "{found:?} is not {expected:?}");
    println!("{MOVES} moves, balances in SQLite as in the log: {found:?}");
    Ok(())
}

fn main() -> anyhow::Result<()> {
    if let Some(dir) = env::args().nth(1) {
        return service(dir.as_ref());
    }
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(env::current_exe()?);
    command.arg(dir.path()).stdout(Stdio::piped());
    for kill in 1..=KILLS {
        let mut service = command.spawn()?;
        let lines = service.stdout.take().map(|out| BufReader::new(out).lines());
        let handled = lines.into_iter().flatten().take(12 * kill).count();
        service.kill()?;
        service.wait()?;
        println!("killed after {handled} events or some more");
    }
    let status = command.stdout(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "the service failed");
    compare(dir.path())
}
