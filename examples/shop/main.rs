//! A shop that is killed with -9 again and again, and whose books balance: all parts of wal-db in one program.
//!
//! | part | what it is made of |
//! | --- | --- |
//! | orders, and who may do what | a `Store`: decisions on a state, durable before they are answered; snapshots |
//! | what the owner looks at | a `Projection` |
//! | mails to customers | a consumer: at least once with a token, and noted in the log once |
//! | reminders, cancellations | timers, which are state |
//! | a customer who is forgotten | a sealed name, whose key is shredded |
//!
//! `events.rs` has the events and the decisions, `program.rs` the threads at work. This file starts the program, kills it and
//! starts it again, and then counts.
//!
//! ```text
//! cargo run -p wal-examples --release --example shop -- [--kills N] [--seed N] [--json]
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde::Serialize;
use wal_db::seal::Opened;

use crate::{
    events::{Shop, Status},
    program::{CUSTOMERS, FORGOTTEN, MAILS, ORDERS_EACH},
};

mod events;
mod program;

/// Runs a shop, and kills it
#[derive(Debug, Parser)]
struct Args {
    /// How often it is killed
    #[arg(long, default_value_t = 10)]
    kills: u32,
    /// Chooses the moments
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
    /// Only runs it, in this directory, until all is done
    #[arg(long, hide = true)]
    run: Option<PathBuf>,
}

/// What is in the books at the end.
#[derive(Debug, Default, Serialize)]
struct Books {
    /// How often it was killed before all was done.
    kills: u32,
    orders: u64,
    paid: u64,
    cancelled: u64,
    /// What was paid, in cents.
    cents: u64,
    reminders: u64,
    /// Mails that were sent, and how many of them more than once.
    mails: usize,
    mails_again: usize,
    names_shredded: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(dir) = args.run {
        return program::run(&dir);
    }
    let dir = tempfile::tempdir()?;
    let kills = run_and_kill(dir.path(), args.kills, args.seed)?;
    let books = Books {
        kills,
        ..count(dir.path())?
    };
    match args.json {
        true => println!("{}", serde_json::to_string(&books)?),
        false => println!("{books:#?}"),
    }
    Ok(())
}

fn start(dir: &Path) -> Result<Child> {
    let program = env::current_exe()?;
    Ok(Command::new(program).arg("--run").arg(dir).spawn()?)
}

/// Returns how often it was killed at work.
fn run_and_kill(dir: &Path, times: u32, seed: u64) -> Result<u32> {
    let mut killed = 0;
    let mut random = seed;
    for _ in 0..times {
        let mut shop = start(dir)?;
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        thread::sleep(Duration::from_millis((random >> 33) % 150));
        let is_at_work = shop.try_wait()?.is_none();
        killed += u32::from(is_at_work);
        // On Unix this is a kill -9.
        shop.kill()?;
        let ended = shop.wait()?;
        ensure!(is_at_work || ended.success(), "the shop has failed");
    }
    let ended = start(dir)?.wait()?;
    ensure!(ended.success(), "the shop has failed");
    Ok(killed)
}

/// Counts what is in the log and among the mails, and compares it with what the shop knows.
fn count(dir: &Path) -> Result<Books> {
    let log = program::open_log(dir)?;
    let keys = program::open_keys(dir)?;
    let mut books = Books::default();
    // Of each order, how many events of each kind there are.
    let mut events: BTreeMap<(u64, &str), u32> = BTreeMap::new();
    for event in log.replay(..)? {
        let (order, kind) = match event?.event {
            Shop::Placed { order, name, .. } => {
                books.names_shredded += usize::from(keys.unseal(&name)? == Opened::Shredded);
                (order, "placed")
            }
            Shop::Paid { order, cents } => {
                books.cents += cents;
                (order, "paid")
            }
            Shop::Reminded { order, .. } => (order, "reminded"),
            Shop::Cancelled { order } => (order, "cancelled"),
            Shop::Mailed { order } => (order, "mailed"),
            Shop::Forgotten { .. } => (0, "forgotten"),
        };
        *events.entry((order, kind)).or_default() += 1;
    }
    for ((order, kind), count) in &events {
        ensure!(*count == 1, "{count} events that order {order} was {kind}");
    }
    let has = |order, kind| events.contains_key(&(order, kind));
    ensure!(has(0, "forgotten"), "nobody was forgotten");

    let orders = program::open_orders(&log)?;
    ensure!(
        orders.check()? == log.replay(..)?.count() as u64,
        "the state has not every event"
    );
    let orders = orders.view()?.state.orders.clone();
    for (order, known) in &orders {
        let order = *order;
        let (paid, cancelled) = (has(order, "paid"), has(order, "cancelled"));
        ensure!(
            paid != cancelled,
            "order {order} is neither paid nor cancelled, or both"
        );
        ensure!(
            paid == (known.status == Status::Paid),
            "the state of order {order} is another one"
        );
        ensure!(
            paid == has(order, "mailed"),
            "order {order} is paid and its mail is not there"
        );
        ensure!(
            !cancelled || has(order, "reminded"),
            "nobody was reminded of order {order}"
        );
        books.paid += u64::from(paid);
        books.cancelled += u64::from(cancelled);
        books.reminders += u64::from(has(order, "reminded"));
    }
    books.orders = orders.len() as u64;
    ensure!(
        books.orders == u64::from(CUSTOMERS) * ORDERS_EACH as u64,
        "orders are missing"
    );
    let of_forgotten = orders
        .values()
        .filter(|order| order.customer == FORGOTTEN)
        .count();
    ensure!(
        books.names_shredded == of_forgotten,
        "a name can be read, or cannot"
    );

    let mails = fs::read_to_string(dir.join(MAILS)).context("the mails")?;
    let tokens: BTreeSet<&str> = mails.lines().filter_map(|line| line.split(' ').next()).collect();
    books.mails = tokens.len();
    books.mails_again = mails.lines().count() - tokens.len();
    ensure!(books.mails as u64 == books.paid, "a mail was not sent");
    Ok(books)
}
