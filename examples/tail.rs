//! A follower: it first catches up with what is in the log, then waits for what comes, and is shown a record only when it
//! is durable.
//!
//! Prints what the follower sees while another thread writes, and where a second follower goes on that knows how far the
//! first one came.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{thread, time::Duration};

use wal_db::{Lsn, Tail, Wal};

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let wal = Wal::open_segmented(dir.path().join("orders"), 1 << 20)?;
    wal.append(b"order 1")?;
    wal.append(b"order 2")?;
    wal.sync()?;

    // A follower holds no handle of the log, so it keeps nobody from closing it.
    let follower = thread::spawn({
        let tail = wal.tail(Lsn::ZERO)?;
        move || follow(tail, 4)
    });
    for order in 3..=6 {
        thread::sleep(Duration::from_millis(20));
        // Written at once, shown after the sync.
        wal.append_and_sync(format!("order {order}").as_bytes())?;
    }
    let seen = follower.join().expect("the follower did not panic")?;

    // `seen` is all that a follower has to remember, best together with what the records did.
    println!("the first follower stopped; a second goes on at LSN {seen}");
    let second = thread::spawn({
        let tail = wal.tail(seen)?;
        move || follow(tail, usize::MAX)
    });
    wal.append(b"order 7")?;
    // Makes everything durable, and ends every follower after the last record.
    wal.close()?;
    second.join().expect("the follower did not panic")?;
    println!("the log is closed");
    Ok(())
}

/// Takes up to `count` records; ends earlier if the log is closed. Returns where to go on.
fn follow(mut tail: Tail, count: usize) -> wal_db::Result<Lsn> {
    for record in tail.by_ref().take(count) {
        let record = record?;
        println!("{:>6}  {}", record.lsn(), String::from_utf8_lossy(record.data()));
    }
    Ok(tail.next_lsn())
}
