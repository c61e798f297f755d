//! A month of flights as an event log: every row of a CSV file becomes typed events, `Scheduled`, then `Cancelled` or
//! `Departed`, then `Flown` and `Arrived`; the report is printed from the log alone.
//!
//! The events of a row are one atomic batch, and the log itself knows which rows it holds. So a program that is killed at
//! any moment and started again on the same log counts every row exactly once.
//!
//! ```text
//! cargo run -p wal-examples --release --example flights -- \
//!     [--data CSV] [--log DIR] [--json] [--threads N] [--sync each|batch|end] [--snapshot] [--as-of DATE]
//! ```
//!
//! A bad row ends the import with its file and line. The rows before it stay in the log, and none after it is added. A log
//! belongs to the file that it was begun with, which may grow at its end: for a corrected file, take a new log.
//!
//! This is release 2 of the program. It reads logs of release 1, whose events were others (`events_v1.rs`), and goes on
//! with them; `data/flights-release-1.log` is one.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use chrono::NaiveDate;
use clap::Parser;
use wal_db::{
    Wal, WalError,
    state::{Store, StoreConfig},
};

use crate::{
    import::{Source, SyncMode},
    report::Report,
    state::Flights,
};

mod as_of;
mod events;
mod events_v1;
mod import;
mod report;
mod row;
mod state;

/// Small, so that an import fills several.
const SEGMENT_BYTES: u64 = 1 << 20;

const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Imports flights into an event log, and reports what the log says.
#[derive(Debug, Parser)]
struct Args {
    /// The rows
    #[arg(long, value_name = "CSV", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/flights-2013-01.csv"))]
    data: PathBuf,

    /// The log's directory; one that is there is gone on with [default: a fresh temporary one]
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    /// How many threads append
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,

    /// When rows are made durable
    #[arg(long, value_enum, default_value_t = SyncMode::Batch)]
    sync: SyncMode,

    /// Keep snapshots of the figures in the log's directory: the next start replays only the events after the last one
    #[arg(long, requires = "log")]
    snapshot: bool,

    /// Report as of the end of this day, like 2013-01-15: the flights that were scheduled up to then (in New York), with all
    /// that came of them, up to the last event of the last one. When they were imported does not matter
    #[arg(long, value_name = "DATE", value_parser = day)]
    as_of: Option<NaiveDate>,
}

fn day(text: &str) -> Result<NaiveDate, &'static str> {
    text.parse().map_err(|_| "expected a day like 2013-01-31")
}

fn main() -> ExitCode {
    let result = match Args::try_parse() {
        Ok(args) => run(&args),
        Err(error) if error.use_stderr() => Err(anyhow!(one_line(&error))),
        Err(help) => help.exit(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "flights: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    said.collect::<Vec<_>>().join(" ").replacen("error: ", "", 1)
}

fn run(args: &Args) -> Result<()> {
    let source = Source::read(&args.data)?;
    let temporary;
    let dir = match &args.log {
        Some(dir) => dir.clone(),
        None => {
            temporary = tempfile::tempdir().context("making a temporary directory")?;
            temporary.path().join("flights")
        }
    };

    let rows = {
        let store = open(&dir, args.snapshot)?;
        let (log, logged) = (store.log().clone(), store.view().with_context(|| in_log(&dir))?);
        // While there is a store, threads append one after another.
        drop(store);
        let logged = &logged.state;
        import::start(&log, logged, &source).with_context(|| in_log(&dir))?;
        import::import(&log, &logged.rows, &source, args.threads.into(), args.sync)?
    };
    // Nothing of the import is left in memory: what follows comes from the files.
    let store = open(&dir, args.snapshot)?;
    let now = store.view().with_context(|| in_log(&dir))?;
    let flights = &now.state;
    ensure!(
        flights.misfits == 0 && flights.rows.len() == rows,
        "{} holds {} rows and {} contradictions, {} has {rows} rows",
        in_log(&dir),
        flights.rows.len(),
        flights.misfits,
        args.data.display()
    );
    if args.snapshot {
        store.snapshot().with_context(|| in_log(&dir))?;
    }
    let then = match args.as_of {
        Some(day) => Some(as_of::as_of(&store, day).with_context(|| in_log(&dir))?),
        None => None,
    };
    let mut report = Report::new(then.as_ref().unwrap_or(flights)).with_as_of(args.as_of);
    if args.snapshot {
        report = report.with_start(store.recovery());
    }
    print(&report, args.json)
}

/// The log, and what its events amount to.
fn open(dir: &Path, has_snapshots: bool) -> Result<Store<Flights>> {
    let open = || {
        let config = match has_snapshots {
            true => StoreConfig::new().with_snapshots("flights"),
            false => StoreConfig::new(),
        };
        open_unlocked(dir)?.typed()?.store(config)
    };
    let store = open().with_context(|| in_log(dir))?;
    for snapshot in &store.recovery().passed_over {
        // A warning: the figures are right all the same.
        let _ = writeln!(io::stderr(), "flights: {}: not used: {snapshot}", in_log(dir));
    }
    Ok(store)
}

/// A process that was killed while it was writing holds its lock until the disk has answered, which may be long after the
/// kill. So a locked log is tried again for a while.
fn open_unlocked(dir: &Path) -> Result<Wal, WalError> {
    let begun = Instant::now();
    loop {
        match Wal::open_segmented(dir, SEGMENT_BYTES) {
            Err(WalError::Locked { .. }) if begun.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_RETRY),
            result => return result,
        }
    }
}

fn in_log(dir: &Path) -> String {
    format!("the log {}", dir.display())
}

fn print(report: &Report<'_>, json: bool) -> Result<()> {
    let text = if json { report.json()? } else { report.to_string() };
    match writeln!(io::stdout(), "{text}") {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("printing the report"),
    }
}
