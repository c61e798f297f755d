//! A month of flights as an event log: every row of a CSV file becomes typed events, `Scheduled`, then `Cancelled` or
//! `Departed`, then `Flown` and `Arrived`; the report is printed from the log alone.
//!
//! The events of a row are one atomic batch, and the log itself knows which rows it holds. So a program that is killed at
//! any moment and started again on the same log counts every row exactly once.
//!
//! ```text
//! cargo run -p wal-examples --release --example flights -- \
//!     [--data CSV] [--log DIR] [--json] [--threads N] [--sync each|batch|end]
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
use clap::Parser;
use wal_db::{EventLog, Wal, WalError};

use crate::{
    events::FlightEvent,
    import::{Source, SyncMode},
    report::Report,
    state::Flights,
};

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
        let (log, logged) = open(&dir)?;
        import::start(&log, &logged, &source).with_context(|| in_log(&dir))?;
        import::import(&log, &logged.rows, &source, args.threads.into(), args.sync)?
    };
    // Nothing of the import is left in memory: what follows comes from the files.
    let (_, flights) = open(&dir)?;
    ensure!(
        flights.misfits == 0 && flights.rows.len() == rows,
        "{} holds {} rows and {} contradictions, {} has {rows} rows",
        in_log(&dir),
        flights.rows.len(),
        flights.misfits,
        args.data.display()
    );
    print(&flights, args.json)
}

/// The log, and what its events amount to.
fn open(dir: &Path) -> Result<(EventLog<FlightEvent>, Flights)> {
    let open = || {
        let log = open_unlocked(dir)?.typed()?;
        let flights = log.rebuild()?.state;
        Ok::<_, WalError>((log, flights))
    };
    open().with_context(|| in_log(dir))
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

fn print(flights: &Flights, json: bool) -> Result<()> {
    let report = Report::new(flights);
    let text = if json { report.json()? } else { report.to_string() };
    match writeln!(io::stdout(), "{text}") {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("printing the report"),
    }
}
