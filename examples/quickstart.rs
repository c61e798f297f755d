//! The first five minutes: open a log, append bytes, make them durable, open it again, read them back.
//!
//! Prints each record with its LSN, which is its byte offset in the log, and what opening found.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use wal_db::{Record, Wal};

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("app.wal");

    let wal = Wal::open(&path)?;
    // Each of these survives the process from here on: a panic, an abort, kill -9.
    let first = wal.append(b"the kettle was filled")?;
    wal.append(b"the kettle was switched on")?;
    // All of them survive a power cut from here on.
    wal.sync()?;
    // Both at once; threads that do this at the same time share a flush.
    let last = wal.append_and_sync(b"the water boils")?;
    println!("appended 3 records, the first at LSN {first}, the last at LSN {last}");
    // The last handle that goes closes the log. `wal.close()` does it now and says whether it went well.
    drop(wal);

    let wal = Wal::open(&path)?;
    println!(
        "reopened: {} records, closed cleanly: {}",
        wal.status().records,
        wal.recovery().clean
    );
    for record in wal.iter()? {
        print(&record?);
    }
    println!("from LSN {last} on:");
    for record in wal.iter_from(last)? {
        print(&record?);
    }
    Ok(())
}

fn print(record: &Record) {
    println!("{:>6}  {}", record.lsn(), String::from_utf8_lossy(record.data()));
}
