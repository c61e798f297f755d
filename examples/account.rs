//! State that is the fold of its events: each start replays the log, each change is in the log before it is in the state.
//!
//! Prints three runs of one program. The second finds what the first left, and the decision that it takes (is there enough
//! money?) is made from replayed state. Side effects, here a message, happen when an event is new and not when it is
//! replayed.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::path::Path;

use serde::{Deserialize, Serialize};
use wal_db::{
    Wal, WalRecord,
    state::{At, Decision, State, Store, StoreConfig, TransactError},
};

/// Names and versions stand in the log; the Rust names may change.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "account")]
enum Account {
    #[wal(rename = "opened")]
    Opened { owner: String },
    #[wal(rename = "deposited")]
    Deposited { cents: u64 },
    #[wal(rename = "withdrawn")]
    Withdrawn { cents: u64 },
}

#[derive(Debug, Default)]
struct Balance {
    owner: Option<String>,
    cents: u64,
}

impl State for Balance {
    type Event = Account;

    fn apply(&mut self, event: Account, at: At) {
        if !at.replaying {
            println!("  new at LSN {}: {event:?}", at.lsn);
        }
        match event {
            Account::Opened { owner } => self.owner = Some(owner),
            Account::Deposited { cents } => self.cents += cents,
            Account::Withdrawn { cents } => self.cents -= cents,
        }
    }
}

/// Decides, and returns the event: one that is in the log is a fact, and is never refused when it is applied.
fn withdraw(account: &Store<Balance>, cents: u64) -> anyhow::Result<()> {
    let decided = account.transact(|balance, _| match balance.cents.checked_sub(cents) {
        Some(left) => Ok(Decision::new(left).event(Account::Withdrawn { cents })),
        None => Err(balance.cents),
    });
    match decided {
        Ok(decided) => println!("  {} cents are left", decided.value),
        Err(TransactError::Refused(there)) => println!("  refused: {cents} cents, of {there}"),
        Err(TransactError::Wal(error)) => return Err(error.into()),
    }
    Ok(())
}

fn run(dir: &Path, change: impl FnOnce(&Store<Balance>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let log = Wal::open_segmented(dir, 1 << 20)?.typed::<Account>()?;
    let account = log.store::<Balance>(StoreConfig::new())?;
    account.read(|Balance { owner, cents }| {
        let owner = owner.as_deref().unwrap_or("nobody yet");
        println!("started, replayed: owner {owner}, {cents} cents");
    })?;
    change(&account)
}

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path().join("account");

    run(&dir, |account| {
        account.commit(Account::Opened { owner: "Ada".into() })?;
        account.commit(Account::Deposited { cents: 500 })?;
        Ok(())
    })?;
    run(&dir, |account| {
        withdraw(account, 800)?;
        withdraw(account, 200)
    })?;
    run(&dir, |_| Ok(()))
}
