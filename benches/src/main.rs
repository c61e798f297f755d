//! Timed comparison of the log with its peers and with the bare system calls.
//!
//! `compare` runs every workload for every contender in interleaved rounds, reads each result back,
//! and prints medians. A contender is compared only under the contract the workload names:
//!
//! - **C1**: when the call returns, the record survives a kill of the process (page cache).
//! - **C2**: when the call returns, the record survives power loss.
//!
//! To add a workload, add a line to the table in `workload.rs`; to add a contender, write one file in
//! `peers` that implements `Contender` and name it in `peers::all`. `docs/performance.md` has the commands.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program that prints its figures

mod against;
mod check;
mod child;
mod claims;
mod cliffs;
mod conditions;
mod contender;
mod disk;
mod flights;
mod idle;
mod job;
mod latency;
mod limit;
mod line;
mod load;
mod many;
mod measured;
mod memory;
mod ours;
mod peers;
mod plot;
mod replay_threads;
mod report;
mod runner;
mod snapshots;
mod stats;
mod store;
mod table;
mod threads;
mod typed;
mod verify;
mod wal_db_1_1_0;
mod watch;
mod workload;

// The flights are the examples', and so is their reader.
#[path = "../../examples/flights/events.rs"]
mod events;
#[path = "../../examples/flights/events_v1.rs"]
mod events_v1;
#[path = "../../examples/flights/row.rs"]
mod row;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::child::Child;
use crate::contender::Contender;
use crate::report::Report;
use crate::runner::Plan;
use crate::workload::{WORKLOADS, When, Workload};

#[derive(Parser)]
#[command(about = "Timed comparison of the log with its peers and with the bare system calls")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run workloads for all contenders and compare them.
    Compare(Compare),
    /// Measure ways of taking a place at the tail of a log.
    Claims(claims::Claims),
    /// Look for settings at which the log is several times as slow as at the next one.
    Cliffs(cliffs::Cliffs),
    /// Decide in a state store, beside bare appends and commits.
    Store(store::StoreArgs),
    /// Append under conditions, find streams by an index, and decide on what was found.
    Conditions(conditions::ConditionArgs),
    /// Load snapshots of a state, open long logs with one, and append beside one.
    Snapshots(snapshots::SnapshotArgs),
    /// Verify a long log, by several threads.
    Verify(verify::Verify),
    /// Replay events that several threads decode.
    ReplayThreads(replay_threads::ReplayThreads),
    /// Measure what many logs in one process cost.
    ManyLogs(many::ManyLogs),
    /// Measure what a log does while nearly nothing is called.
    Idle(idle::IdleProfile),
    #[command(hide = true)]
    Child(Child),
}

#[derive(Args)]
struct Compare {
    /// Workloads to run; when none is named, those that take minutes at most.
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<String>,
    /// Run only this contender (may be repeated).
    #[arg(long = "contender", value_name = "NAME")]
    contenders: Vec<String>,
    /// Fewer workloads, fewer rounds and smaller sizes: under a minute in total.
    #[arg(long)]
    quick: bool,
    /// All workloads: hours, and tens of gigabytes on the disk.
    #[arg(long, conflicts_with = "workloads")]
    all: bool,
    /// How many times each contender has its turn.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=7))]
    rounds: Option<u8>,
    /// Print one JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// Write the JSON lines to a file as well.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Compare with what --save wrote, and fail if ours got slower.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// How many times as slow ours may be as it was, both relative to the limit of their runs.
    #[arg(long, value_name = "RATIO", default_value_t = 1.25)]
    tolerance: f64,
    /// Draw the figures.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// List workloads and contenders, and run nothing.
    #[arg(long)]
    list: bool,
    /// Where the logs are written; the file system under it is what is measured.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

fn main() -> ExitCode {
    let passed = match Cli::parse().command {
        Command::Compare(args) => compare(&args),
        Command::ManyLogs(args) => many::run(&args),
        Command::Claims(args) => claims::run(&args),
        Command::Cliffs(args) => cliffs::run(&args),
        Command::Store(args) => store::run(&args),
        Command::Conditions(args) => conditions::run(&args),
        Command::Snapshots(args) => snapshots::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::ReplayThreads(args) => replay_threads::run(&args),
        Command::Idle(args) => idle::run(&args),
        Command::Child(child) => child::run(&child).map(|()| true),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every contender passed every check.
fn compare(args: &Compare) -> Result<bool> {
    #[cfg(feature = "walrus")]
    peers::walrus::quiet()?;
    let contenders = select_contenders(&args.contenders)?;
    let before = args.against.as_deref().map(line::load).transpose()?;
    let workloads = select_workloads(args)?;
    if args.list {
        report::list(&workloads, &contenders);
        return Ok(true);
    }
    // The directory goes away with this value, on success and on error alike.
    let root = tempfile::Builder::new()
        .prefix("wal-benches-")
        .tempdir_in(&args.dir)
        .with_context(|| format!("creating a directory in {}", args.dir.display()))?;
    let mut report = Report::new(args.json);
    report.disk(&disk::probe(root.path())?, latency::clock_ns())?;

    let rounds = args.rounds.map(usize::from);
    let plan = Plan::new(root.path(), args.quick, rounds, workloads.len());
    let mut all_passed = true;
    for workload in workloads {
        let outcomes = runner::run(&plan, workload, &contenders)?;
        all_passed &= outcomes.iter().all(|outcome| outcome.result.is_ok());
        report.workload(workload, plan.count(workload), &outcomes)?;
        // Now, so that a run that is broken off has its figures.
        if let Some(path) = &args.save {
            line::save(path, &report.lines)?;
        }
    }
    if let Some(path) = &args.plot {
        plot::draw(path, &report.lines, &report.curves)?;
    }
    if let Some(before) = before {
        let changes = against::changes(&before, &report.lines, args.tolerance);
        all_passed &= report.changes(&changes)?;
    }
    Ok(all_passed)
}

fn select_workloads(args: &Compare) -> Result<Vec<&'static Workload>> {
    if args.workloads.is_empty() {
        let wanted = |workload: &&Workload| match workload.when {
            When::Always => true,
            When::Unhurried => args.all || args.list || !args.quick,
            When::All => args.all || args.list,
        };
        return Ok(WORKLOADS.iter().filter(wanted).collect());
    }
    args.workloads
        .iter()
        .map(|name| {
            WORKLOADS
                .iter()
                .find(|workload| workload.name == name)
                .with_context(|| format!("no workload is called {name}; --list shows them"))
        })
        .collect()
}

fn select_contenders(names: &[String]) -> Result<Vec<Box<dyn Contender>>> {
    let mut contenders = contender::all();
    if let Some(unknown) = names
        .iter()
        .find(|name| contenders.iter().all(|c| c.name() != name.as_str()))
    {
        bail!("no contender is called {unknown}; --list shows them");
    }
    if !names.is_empty() {
        contenders.retain(|contender| names.iter().any(|name| name == contender.name()));
    }
    Ok(contenders)
}
