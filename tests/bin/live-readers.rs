//! Readers in another process beside a writer at full speed: `cargo run --release -p wal-tests --bin live-readers`.
//!
//! `--seconds S` (600), `--readers N` of each sort (10), `--dir DIR` (a temporary one). Two writers do the same in two logs:
//! they append, sync, rotate, drop the oldest records and cut off the newest. The readers are at one of the logs, so the
//! ratio of what the two have appended is what readers cost a writer, whatever else the machine does. The sorts of
//! readers: open and iterate, verify, salvage, inspect, follow; `--sort NAME`, which may be given again, runs those alone. The exit code is 1 if
//! one of them hears of damage, misses a record, or is shown one twice.
//!
//! Readers that never rest take the processors from both writers, and which of the two they take more from is up to the
//! scheduler. So they run with the policy `SCHED_IDLE`, where `chrt` can set it, and with `nice` 19 elsewhere: they take
//! what the writers leave over. `--on other` is the control: the same readers are at a third log, which nobody writes, so the
//! ratio is what is not theirs.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use wal_db::{Lsn, Record, Result, Retention, SalvageItem, Wal, WalConfig, WalError};

const SEGMENT: u64 = 1 << 20;
const KEPT: u64 = 64 << 20;
const LEN: usize = 128;

/// A writer syncs after so many records, drops after so many syncs, and cuts after so many.
const BATCH: u64 = 4096;
const DROP_EVERY: u64 = 16;
const CUT_EVERY: u64 = 50;
const CUT_OFF: u64 = 100;

/// Who inspects does so now and then: it lists the directory, and the writer has to wait if it makes a name meanwhile.
const REST: Duration = Duration::from_secs(1);

type Failed = String;

fn main() -> ExitCode {
    let mut options = Options {
        role: "all".to_owned(),
        seconds: 600,
        readers: 10,
        dir: None,
        on: "log".to_owned(),
        sorts: Vec::new(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().unwrap_or_default();
        match (name.as_str(), value.parse()) {
            ("--role", _) => options.role = value,
            ("--dir", _) => options.dir = Some(value.into()),
            ("--on", _) if ["log", "other"].contains(&&*value) => options.on = value,
            ("--sort", _) if SORTS.iter().any(|(name, _)| *name == value) => options.sorts.push(value),
            ("--seconds", Ok(seconds)) => options.seconds = seconds,
            ("--readers", Ok(readers)) => options.readers = readers,
            _ => {
                eprintln!(
                    "usage: live-readers [--seconds S] [--readers N] [--dir DIR] [--on log|other] [--sort NAME]"
                );
                return ExitCode::from(2);
            }
        }
    }
    let done = match options.role.as_str() {
        "writer" => write(&options),
        "readers" => read(&options),
        _ => run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    role: String,
    seconds: u64,
    readers: u64,
    dir: Option<PathBuf>,
    on: String,
    sorts: Vec<String>,
}

impl Options {
    fn dir(&self) -> std::result::Result<&Path, Failed> {
        self.dir.as_deref().ok_or_else(|| "no --dir".to_owned())
    }
}

fn text(error: impl std::fmt::Display) -> Failed {
    error.to_string()
}

/// Starts a part of this in a process of its own, by way of the command in front of it.
fn start(options: &Options, role: &str, log: &Path, seconds: u64, by: &[&str]) -> std::io::Result<Child> {
    let exe = std::env::current_exe()?;
    let mut command = match by {
        [] => Command::new(&exe),
        [name, arguments @ ..] => {
            let mut command = Command::new(name);
            command.args(arguments).arg(&exe);
            command
        }
    };
    command
        .args(["--role", role, "--on", &options.on, "--dir"])
        .arg(log)
        .args(["--seconds", &seconds.to_string()])
        .args(["--readers", &options.readers.to_string()]);
    for sort in &options.sorts {
        command.args(["--sort", sort]);
    }
    command.stdout(Stdio::piped()).spawn()
}

/// What starts a process that takes only what others leave over of the processors.
fn in_the_background() -> &'static [&'static str] {
    const IDLE: &[&str] = &["chrt", "--idle", "0"];
    const NICE: &[&str] = &["nice", "-n", "19"];
    let tried = Command::new(IDLE[0]).args(&IDLE[1..]).arg("true").status();
    match tried {
        Ok(status) if status.success() => IDLE,
        _ => NICE,
    }
}

fn run(options: &Options) -> std::result::Result<(), Failed> {
    let temporary = tempfile::tempdir().map_err(text)?;
    let root = options.dir.as_deref().unwrap_or(temporary.path());
    let log = |name: &str| root.join(name);
    for name in ["read", "alone"] {
        // The readers find a log.
        Wal::open_segmented(log(name), SEGMENT)
            .and_then(Wal::close)
            .map_err(text)?;
    }
    let to_read = match options.on.as_str() {
        "log" => log("read"),
        _ => {
            let other = start(options, "writer", &log("other"), 2, &[]).map_err(text)?;
            output(other)?;
            log("other")
        }
    };
    let by = in_the_background();
    let read = start(options, "writer", &log("read"), options.seconds, &[]).map_err(text)?;
    let alone = start(options, "writer", &log("alone"), options.seconds, &[]).map_err(text)?;
    let readers = start(options, "readers", &to_read, options.seconds, by).map_err(text)?;
    let number = |report: String| report.trim().parse::<f64>().map_err(text);
    let (read, alone) = (number(output(read)?)?, number(output(alone)?)?);
    print!("{}", output(readers)?);
    println!("{:<44}{:>14}", "the readers were started by", by.join(" "));
    println!("{:<44}{read:>14}", "records appended beside the readers");
    println!("{:<44}{alone:>14}", "records appended by the writer alone");
    println!("{:<44}{:>14.3}", "ratio", read / alone);
    Ok(())
}

/// What a process has said, once it has ended well.
fn output(child: Child) -> std::result::Result<String, Failed> {
    let output = child.wait_with_output().map_err(text)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("a process failed: {}", output.status)),
    }
}

/// Appends records that say how often the log was cut before, and which they are.
fn write(options: &Options) -> std::result::Result<(), Failed> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let wal = Wal::open_segmented(options.dir()?, SEGMENT).map_err(text)?;
    let (mut cuts, mut seq, mut appended, mut syncs) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut payload = [0x5A; LEN];
    while Instant::now() < end {
        let mut kept = Lsn::ZERO;
        for i in 0..BATCH {
            payload[..8].copy_from_slice(&cuts.to_le_bytes());
            payload[8..16].copy_from_slice(&seq.to_le_bytes());
            let lsn = wal.append(&payload).map_err(text)?;
            if i == BATCH - 1 - CUT_OFF {
                kept = lsn;
            }
            (seq, appended) = (seq + 1, appended + 1);
        }
        wal.sync().map_err(text)?;
        syncs += 1;
        if syncs.is_multiple_of(CUT_EVERY) {
            wal.truncate_after(kept).map_err(text)?;
            (cuts, seq) = (cuts + 1, seq - CUT_OFF);
        }
        if syncs.is_multiple_of(DROP_EVERY) {
            wal.retain(&Retention::new().with_max_bytes(KEPT)).map_err(text)?;
        }
    }
    wal.close().map_err(text)?;
    println!("{appended}");
    Ok(())
}

/// Which record it is: how many cuts came before, and its number.
fn number(record: &Record) -> (u64, u64) {
    let word = |at: usize| {
        let bytes = record
            .data()
            .get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    };
    (word(0), word(8))
}

/// What one reader has seen.
#[derive(Default)]
struct Seen {
    rounds: u64,
    records: u64,
    /// How often it heard that the log has moved on.
    moved: u64,
    last: Option<(u64, u64)>,
}

impl Seen {
    /// One more record, which has to be the next one. After a cut that it was not told of, `cuts_are_told` says whether
    /// that is allowed.
    fn next(&mut self, record: &Record, cuts_are_told: bool) -> std::result::Result<(), Failed> {
        let now = number(record);
        if let Some(last) = self.last {
            let follows = now.1 == last.1 + 1;
            let was_cut = now.0 > last.0 && !cuts_are_told;
            if !follows && !was_cut {
                return Err(format!("record {now:?} came after {last:?}"));
            }
        }
        self.last = Some(now);
        self.records += 1;
        Ok(())
    }

    /// An error, which has to say that the log has moved on.
    fn moved(&mut self, error: WalError) -> std::result::Result<(), Failed> {
        self.last = None;
        self.moved += 1;
        match error {
            WalError::Truncated { .. } | WalError::CutBack { .. } => Ok(()),
            other => Err(format!("{other}")),
        }
    }
}

type Sort = (
    &'static str,
    fn(&Path, Instant, &mut Seen) -> std::result::Result<(), Failed>,
);

const SORTS: [Sort; 5] = [
    ("open and iterate", iterate),
    ("verify", verify),
    ("salvage", salvage),
    ("inspect", inspect),
    ("follow", follow),
];

fn open(dir: &Path) -> Result<Wal> {
    Wal::open_read_only_with(dir, WalConfig::new())
}

fn iterate(dir: &Path, end: Instant, seen: &mut Seen) -> std::result::Result<(), Failed> {
    while Instant::now() < end {
        let wal = open(dir).map_err(text)?;
        seen.last = None;
        for record in wal.iter().map_err(text)? {
            match record {
                Ok(record) => seen.next(&record, true)?,
                Err(error) => seen.moved(error)?,
            }
        }
        seen.rounds += 1;
    }
    Ok(())
}

fn verify(dir: &Path, end: Instant, seen: &mut Seen) -> std::result::Result<(), Failed> {
    while Instant::now() < end {
        let report = open(dir).and_then(|wal| wal.verify()).map_err(text)?;
        if !report.is_intact() {
            return Err(format!("{report:?}"));
        }
        (seen.rounds, seen.records) = (seen.rounds + 1, seen.records + report.records);
    }
    Ok(())
}

fn salvage(dir: &Path, end: Instant, seen: &mut Seen) -> std::result::Result<(), Failed> {
    while Instant::now() < end {
        seen.last = None;
        for item in Wal::salvage(dir).map_err(text)? {
            let item = match item {
                Ok(item) => item,
                Err(error) => {
                    seen.moved(error)?;
                    continue;
                }
            };
            match item {
                SalvageItem::Damage(damage) => return Err(damage.to_string()),
                SalvageItem::Record(record) | SalvageItem::Staged(record) => {
                    let now = number(&record);
                    let jumped = seen
                        .last
                        .is_some_and(|last| now.0 == last.0 && now.1 > last.1 + 1);
                    if jumped {
                        // The oldest records are dropped meanwhile; then all that is missing is.
                        let head = first_of(dir)?;
                        if head.is_some_and(|head| head < now.1) {
                            return Err(format!(
                                "{now:?} after {:?}, and the log starts at {head:?}",
                                seen.last
                            ));
                        }
                        seen.moved += 1;
                        seen.last = None;
                    }
                    seen.next(&record, false)?;
                }
                _ => {}
            }
        }
        seen.rounds += 1;
    }
    Ok(())
}

/// The number of the first record; `None` if the log has moved on before that was read.
fn first_of(dir: &Path) -> std::result::Result<Option<u64>, Failed> {
    let first = open(dir).and_then(|wal| wal.iter()?.next().transpose());
    match first {
        Ok(first) => Ok(first.map(|record| number(&record).1)),
        Err(WalError::Truncated { .. }) => Ok(None),
        Err(error) => Err(text(error)),
    }
}

fn inspect(dir: &Path, end: Instant, seen: &mut Seen) -> std::result::Result<(), Failed> {
    while Instant::now() < end {
        let inspection = Wal::inspect(dir).map_err(text)?;
        if let Some(damage) = inspection.damage {
            return Err(damage.to_string());
        }
        seen.rounds += 1;
        std::thread::sleep(REST);
    }
    Ok(())
}

fn follow(dir: &Path, end: Instant, seen: &mut Seen) -> std::result::Result<(), Failed> {
    // A log that nobody writes is followed from its beginning again and again.
    let is_written = !dir.ends_with("other");
    while Instant::now() < end {
        let wal = open(dir).map_err(text)?;
        seen.last = None;
        let mut tail = wal.tail(wal.head()).map_err(text)?;
        while Instant::now() < end {
            match tail.next_timeout(Duration::from_millis(100)) {
                Ok(Some(record)) => seen.next(&record, true)?,
                Ok(None) if is_written => {}
                Ok(None) => break,
                Err(error @ WalError::CutBack { .. }) => seen.moved(error)?,
                Err(error) => {
                    // Overtaken by the retention: it begins again.
                    seen.moved(error)?;
                    break;
                }
            }
        }
        seen.rounds += 1;
    }
    Ok(())
}

fn read(options: &Options) -> std::result::Result<(), Failed> {
    let dir = options.dir()?;
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut sums: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let mut readers = Vec::new();
        let wanted = |name: &str| options.sorts.is_empty() || options.sorts.iter().any(|sort| sort == name);
        for (name, run) in SORTS.into_iter().filter(|(name, _)| wanted(name)) {
            for _ in 0..options.readers {
                let body = move || {
                    let mut seen = Seen::default();
                    let result = run(dir, end, &mut seen);
                    (seen, result)
                };
                readers.push((name, scope.spawn(body)));
            }
        }
        for (name, reader) in readers {
            match reader.join() {
                Ok((seen, result)) => {
                    let sum = sums.entry(name).or_default();
                    *sum = (sum.0 + seen.rounds, sum.1 + seen.records, sum.2 + seen.moved);
                    failures.extend(result.err().map(|error| format!("{name}: {error}")));
                }
                Err(_) => failures.push(format!("{name}: a panic")),
            }
        }
    });
    for (name, (rounds, records, moved)) in sums {
        println!(
            "{name:<18} rounds {rounds:>8} records {records:>12} heard that the log moved on {moved:>8}"
        );
    }
    println!("{:<44}{:>14}", "false alarms, misses and repeats", failures.len());
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n")),
    }
}
