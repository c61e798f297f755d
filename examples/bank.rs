//! A bank of many tellers: threads decide on one state, and what they decide is in the log before it is in the state.
//!
//! Prints what the tellers did, then starts again from a snapshot and finds the same. No money is made or lost, however
//! the threads meet: between the state that a decision sees and its event comes no other event. A transfer that was refused
//! was refused on a state that survives a power loss, as one that was made.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{collections::BTreeMap, path::Path, thread, time::Instant};

use serde::{Deserialize, Serialize};
use wal_db::{
    Wal, WalRecord,
    state::{At, Decision, State, Store, StoreConfig, TransactError},
};

const ACCOUNTS: u32 = 20;
const TELLERS: u32 = 16;
const TRANSFERS: u32 = 100;

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "bank")]
enum Bank {
    #[wal(rename = "opened")]
    Opened { account: u32, cents: u64 },
    #[wal(rename = "moved")]
    Moved { from: u32, to: u32, cents: u64 },
}

#[derive(Debug, Default, Serialize, Deserialize, WalRecord)]
#[wal(name = "accounts")]
struct Accounts {
    cents: BTreeMap<u32, u64>,
    moves: u64,
}

impl State for Accounts {
    type Event = Bank;

    /// An event is a fact. Whether it may happen was decided before.
    fn apply(&mut self, event: Bank, _: At) {
        match event {
            Bank::Opened { account, cents } => {
                self.cents.insert(account, cents);
            }
            Bank::Moved { from, to, cents } => {
                *self.cents.entry(from).or_default() -= cents;
                *self.cents.entry(to).or_default() += cents;
                self.moves += 1;
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("account {0} has {1} cents")]
    TooLittle(u32, u64),
    #[error("there is no account {0}")]
    NoAccount(u32),
}

impl Accounts {
    /// What is left after a transfer. A decision needs no log, so a test calls it with a state that it has made.
    fn transfer(&self, from: u32, to: u32, cents: u64) -> Result<Decision<Bank, u64>, Refused> {
        let there = *self.cents.get(&from).ok_or(Refused::NoAccount(from))?;
        self.cents.get(&to).ok_or(Refused::NoAccount(to))?;
        let left = there.checked_sub(cents).ok_or(Refused::TooLittle(from, there))?;
        Ok(Decision::new(left).event(Bank::Moved { from, to, cents }))
    }
}

fn open(dir: &Path) -> anyhow::Result<Store<Accounts>> {
    let start = Instant::now();
    let log = Wal::open_segmented(dir, 16 << 20)?.typed::<Bank>()?;
    let bank = log.store::<Accounts>(StoreConfig::new().with_snapshots("accounts"))?;
    let (moves, sum) = bank.read(|bank| (bank.moves, bank.cents.values().sum::<u64>()))?;
    let millis = start.elapsed().as_secs_f64() * 1e3;
    let replayed = bank.recovery().events;
    println!("open after {millis:.1} ms: {moves} transfers, {sum} cents; {replayed} events replayed");
    Ok(bank)
}

/// A teller makes transfers one after another; returns how many, and how many were refused.
fn teller(bank: &Store<Accounts>, number: u32) -> anyhow::Result<(u32, u32)> {
    let (mut made, mut refused) = (0, 0);
    for i in 0..TRANSFERS {
        let (from, to) = ((number + i) % ACCOUNTS, (number * 7 + i * 3) % ACCOUNTS);
        let cents = u64::from(i % 9) * 50;
        match bank.transact(|accounts, _| accounts.transfer(from, to, cents)) {
            Ok(_) => made += 1,
            Err(TransactError::Refused(Refused::TooLittle(..))) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((made, refused))
}

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path().join("bank");

    let bank = open(&dir)?;
    for account in 0..ACCOUNTS {
        bank.commit(Bank::Opened {
            account,
            cents: 1_000,
        })?;
    }
    let tellers = thread::scope(|scope| {
        let bank = &bank;
        let tellers: Vec<_> = (0..TELLERS)
            .map(|number| scope.spawn(move || teller(bank, number)))
            .collect();
        tellers
            .into_iter()
            .map(|teller| teller.join().map_err(|_| anyhow::anyhow!("a teller panicked"))?)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let made: u32 = tellers.iter().map(|(made, _)| made).sum();
    let refused: u32 = tellers.iter().map(|(_, refused)| refused).sum();
    println!("{TELLERS} tellers: {made} transfers made, {refused} refused");
    // By itself this happens each time that 64 MiB of events were appended.
    bank.snapshot()?;
    drop(bank);

    let bank = open(&dir)?;
    let (moves, sum) = bank.read(|bank| (bank.moves, bank.cents.values().sum::<u64>()))?;
    anyhow::ensure!(moves == u64::from(made), "a transfer was lost");
    anyhow::ensure!(sum == u64::from(ACCOUNTS) * 1_000, "money was made or lost");
    Ok(())
}
