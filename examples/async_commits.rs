//! Tasks: a thousand of them commit durably on two threads, and one follows the log and adds up what they did.
//!
//! No task blocks a thread for a flush: each appends, which is a copy into memory, and awaits its ticket. Prints how long that
//! took and how many commits a flush took along.
//!
//! ```text
//! cargo run -p wal-examples --release --features async --example async_commits
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::time::Instant;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::{runtime, task::JoinSet};
use wal_db::{EventLog, Lsn, Start, Wal, WalError, WalRecord};

const TASKS: u64 = 1_000;

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "account")]
enum Account {
    Deposited { cents: u64 },
}

fn main() -> anyhow::Result<()> {
    // A temporary directory is often one in memory, where a flush costs nothing; the build directory is on a disk.
    let mut beside = std::env::current_exe()?;
    beside.pop();
    let dir = tempfile::tempdir_in(&beside)?;
    let log = Wal::open_segmented(dir.path().join("log"), 64 << 20)?.typed::<Account>()?;

    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let begun = Instant::now();
    let (followed, sum) = runtime.block_on(run(&log))?;
    let seconds = begun.elapsed().as_secs_f64();

    assert_eq!(followed, TASKS);
    assert_eq!(sum, (1..=TASKS).sum::<u64>());
    let read = log.wal().verify()?;
    println!("{TASKS} tasks committed durably in {seconds:.3} s");
    println!("the follower saw {followed} deposits of {sum} cents together");
    println!(
        "a flush took {:.1} commits along",
        read.records as f64 / read.groups as f64
    );
    Ok(())
}

/// How many deposits a follower saw, and their sum.
async fn run(log: &EventLog<Account>) -> anyhow::Result<(u64, u64)> {
    let follower = tokio::spawn(follow(log.clone()));
    let mut tasks = JoinSet::new();
    for cents in 1..=TASKS {
        tasks.spawn(deposit(log.clone(), cents));
    }
    while let Some(deposited) = tasks.join_next().await {
        deposited??;
    }
    Ok(follower.await??)
}

/// Returns once the deposit survives a power cut.
async fn deposit(log: EventLog<Account>, cents: u64) -> Result<Lsn, WalError> {
    let lsn = append(&log, Account::Deposited { cents }).await?;
    log.wal().ticket(lsn)?.await
}

/// Appends in this thread if that takes no wait, and where it may wait otherwise.
async fn append(log: &EventLog<Account>, event: Account) -> Result<Lsn, WalError> {
    match log.try_append(&event) {
        Err(WalError::Busy { .. }) => {
            let log = log.clone();
            let append = tokio::task::spawn_blocking(move || log.append(&event));
            append.await.expect("an append does not panic")
        }
        appended => appended,
    }
}

async fn follow(log: EventLog<Account>) -> Result<(u64, u64), WalError> {
    let mut events = log.tail(Start::Head)?.into_stream()?;
    let (mut count, mut sum) = (0, 0);
    while count < TASKS
        && let Some(event) = events.next().await
    {
        let Account::Deposited { cents } = event?.event;
        (count, sum) = (count + 1, sum + cents);
    }
    Ok((count, sum))
}
