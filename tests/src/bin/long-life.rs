//! What a log costs after a long life: `cargo run --release -p wal-tests --bin long-life`.
//!
//! | part | what it does |
//! | --- | --- |
//! | `openings` | opens a typed log 10,000 times, with an event each |
//! | `cuts` | cuts the end of one log off 100,000 times |
//! | `segments` | fills 50,000 segments, with 64 descriptors |
//!
//! Each prints what an opening reads and the most memory that the process had, after a tenth of its life and at its end,
//! and fails if the log has lost something or the figures have grown beyond what is allowed. They are counts and not times,
//! so a busy machine changes nothing. `--quick` does a fraction of it; a part alone is named. Linux only.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use serde::{Deserialize, Serialize};
use wal_db::{Lsn, Wal, WalConfig, WalRecord};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const PARTS: [&str; 3] = ["openings", "cuts", "segments"];
/// With standard input, output and error.
const DESCRIPTORS: u32 = 64;
const SEGMENT: u64 = 64 << 10;

fn main() -> ExitCode {
    let (mut quick, mut inside, mut parts) = (false, false, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => quick = true,
            "--inside" => inside = true,
            part if PARTS.contains(&part) => parts.push(part.to_owned()),
            other => {
                eprintln!("{other}: usage: long-life [--quick] [openings] [cuts] [segments]");
                return ExitCode::from(2);
            }
        }
    }
    if !Path::new("/proc/self/io").exists() {
        println!("skipped: this system does not say what a process has read");
        return ExitCode::SUCCESS;
    }
    if parts.is_empty() {
        parts = PARTS.map(str::to_owned).to_vec();
    }
    for part in parts {
        let done = if inside {
            live(&part, quick)
        } else {
            in_a_process(&part, quick)
        };
        if let Err(error) = done {
            eprintln!("{part}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Each part has a process of its own: its memory is counted from the start, and few descriptors are a process's.
fn in_a_process(part: &str, quick: bool) -> Outcome<()> {
    let limit = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command
        .args(["-c", &limit])
        .arg(std::env::current_exe()?)
        .args([part, "--inside"]);
    if quick {
        command.arg("--quick");
    }
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(status.to_string().into())
    }
}

fn live(part: &str, quick: bool) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("log");
    let lives = |full: u64, few: u64| if quick { few } else { full };
    match part {
        "openings" => openings(&path, lives(10_000, 400)),
        "cuts" => cuts(&path, lives(100_000, 4_000)),
        _ => segments(&path, lives(50_000, 200)),
    }
}

const fn config() -> WalConfig {
    WalConfig::new()
        .with_background_flush(false)
        .with_staging_bytes(64 << 10)
}

/// What an opening reads, and the most memory until then.
#[derive(Clone, Copy)]
struct Cost {
    read: u64,
    memory: u64,
}

impl Cost {
    /// Of an opening by `open`, whose log is dropped.
    fn of<T>(open: impl FnOnce() -> Outcome<T>) -> Outcome<(Cost, T)> {
        let before = number("/proc/self/io", "rchar:")?;
        let opened = open()?;
        let read = number("/proc/self/io", "rchar:")? - before;
        let memory = number("/proc/self/status", "VmHWM:")? << 10;
        Ok((Cost { read, memory }, opened))
    }

    /// That it has not grown by more than `read` and `memory` bytes since it was `early`.
    fn check(self, what: &str, early: Cost, read: u64, memory: u64) -> Outcome<()> {
        println!("{what}: after a tenth {early}; at the end {self}");
        if self.read > early.read + read || self.memory > early.memory + memory {
            return Err(format!("allowed were {read} more bytes read, and {memory} more of memory").into());
        }
        Ok(())
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an opening reads {} bytes, {} KiB of memory",
            self.read,
            self.memory >> 10
        )
    }
}

fn number(file: &str, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let digits = line.and_then(|line| line.split_whitespace().next());
    Ok(digits.ok_or_else(|| format!("no {name} in {file}"))?.parse()?)
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "counted")]
struct Counted(u64);

/// A job that runs every hour, for a year.
fn openings(path: &Path, lives: u64) -> Outcome<()> {
    let open = || Outcome::Ok(Wal::open_with(path, config())?.typed::<Counted>()?);
    let mut early = None;
    for n in 0..lives {
        let (cost, log) = Cost::of(open)?;
        log.append(&Counted(n))?;
        log.wal().clone().close()?;
        if n == lives / 10 {
            early = Some(cost);
        }
    }
    let (late, log) = Cost::of(open)?;
    let mut events = 0;
    for event in log.replay(..)? {
        if event?.event.0 != events {
            return Err(format!("event {events} is missing").into());
        }
        events += 1;
    }
    if events != lives {
        return Err(format!("{events} events of {lives}").into());
    }
    late.check(
        &format!("{lives} openings"),
        early.unwrap_or(late),
        256 << 10,
        4 << 20,
    )
}

/// A log whose end is taken back again and again, as that of a follower in a consensus.
fn cuts(path: &Path, lives: u64) -> Outcome<()> {
    let open = || Outcome::Ok(Wal::open_with(path, config())?);
    let mut wal = open()?;
    let mut kept: Vec<Lsn> = Vec::new();
    let mut early = None;
    for n in 0..lives {
        let lsn = wal.append(&n.to_le_bytes())?;
        wal.append(b"taken back")?;
        wal.truncate_after(lsn)?;
        kept.push(lsn);
        if n == lives / 10 {
            wal.close()?;
            let (cost, again) = Cost::of(open)?;
            (early, wal) = (Some(cost), again);
        }
    }
    wal.close()?;
    let (late, wal) = Cost::of(open)?;
    let mut found = 0_usize;
    for record in wal.iter()? {
        let record = record?;
        if kept.get(found) != Some(&record.lsn()) || record.data() != (found as u64).to_le_bytes() {
            return Err(format!("{:?} is not what was kept", record.lsn()).into());
        }
        found += 1;
    }
    if found != kept.len() {
        return Err(format!("{found} records of {}", kept.len()).into());
    }
    // An opening reads one copy of the table of cuts, 24 bytes each. A cut holds the old one, the new one, and one
    // that is compared with it.
    let table = lives * 24;
    late.check(
        &format!("{lives} cuts"),
        early.unwrap_or(late),
        table + (64 << 10),
        4 * table + (2 << 20),
    )
}

/// A log that keeps everything, in small files.
fn segments(path: &Path, lives: u64) -> Outcome<()> {
    let open = || Outcome::Ok(Wal::open_segmented_with(path, SEGMENT, config())?);
    let mut wal = open()?;
    let record = vec![7; SEGMENT as usize / 2];
    let mut early = None;
    let (mut appended, mut files) = (0_u64, 0);
    while files < lives {
        for _ in 0..200 {
            wal.append(&record)?;
            appended += 1;
        }
        files = appended / 2;
        if early.is_none() && files >= lives / 10 {
            wal.close()?;
            let (cost, again) = Cost::of(open)?;
            (early, wal) = (Some(cost), again);
        }
    }
    wal.close()?;
    let files = named(path)?;
    let (late, wal) = Cost::of(open)?;
    if wal.status().records != appended {
        return Err(format!("{} records of {appended}", wal.status().records).into());
    }
    let first = wal.iter()?.next().ok_or("no record")??;
    let last = wal.iter_rev()?.next().ok_or("no record")??;
    if first.data() != record || last.data() != record {
        return Err("the first or the last record is another".into());
    }
    late.check(
        &format!("{files} files, {DESCRIPTORS} descriptors"),
        early.unwrap_or(late),
        1 << 20,
        32 << 20,
    )
}

fn named(path: &Path) -> Outcome<usize> {
    let names: Vec<PathBuf> = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    Ok(names.len())
}
