//! Readers in another process beside a writer at full speed: `cargo run --release -p wal-tests --bin live-readers`.
//!
//! `--seconds S` (600), `--readers N` of each sort (10), `--dir DIR` (a temporary one). The sorts of readers: open and
//! iterate, verify, salvage, inspect, follow; `--sort NAME`, which may be given again, runs those alone. The exit code
//! is 1 if one of them hears of damage, misses a record, or is shown one twice.
//!
//! Two writers do the same in two logs: they append, sync, rotate, drop the oldest records and cut off the newest. The
//! readers are at one of the two, in turns of some seconds at the one and at the other. So the ratio of what the
//! writers have appended is what readers cost a writer, whatever else the machine does and whichever writer has the
//! better processor. Readers that never rest take the processors from both, and it would be the same for any other
//! program: the control says how much of the ratio that is. Its readers are at a third log of the same size, which a
//! process has open and does not write. Run and control take turns, `--seconds` of each; `--on log` and `--on other`
//! run one of them alone.
//!
//! Readers are started as any program is. With a lower priority they would cost the writer more, not less: one that
//! holds a lock of the directory and does not get a processor keeps the writer from making the next segment meanwhile.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use wal_db::{
    Lsn, Record, Result, Retention, Wal, WalConfig, WalError,
    recovery::{self, VerifyConfig},
};

const SEGMENT: u64 = 1 << 20;
const KEPT: u64 = 64 << 20;
const LEN: usize = 128;

/// A writer syncs after so many records, drops after so many syncs, and cuts after so many.
const BATCH: u64 = 4096;
const DROP_EVERY: u64 = 16;
const CUT_EVERY: u64 = 50;
const CUT_OFF: u64 = 100;

/// How many seconds the readers are at one log, about.
const TURN: u64 = 3;

/// An inspection comes now and then: it lists the directory, and the writer has to wait if it makes a name meanwhile.
const REST: Duration = Duration::from_secs(1);

type Failed = String;

fn main() -> ExitCode {
    let mut options = Options {
        role: "all".to_owned(),
        seconds: 600,
        readers: 10,
        dir: None,
        on: None,
        sorts: Vec::new(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().unwrap_or_default();
        match (name.as_str(), value.parse()) {
            ("--role", _) => options.role = value,
            ("--dir", _) => options.dir = Some(value.into()),
            ("--on", _) if ["log", "other"].contains(&&*value) => options.on = Some(value),
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
        "writer" => options.dir().and_then(|dir| write(dir, options.seconds)),
        "keeper" => options.dir().and_then(keep),
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
    /// Run or control; `None` for both.
    on: Option<String>,
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

/// Starts a part of this in a process of its own.
fn start(options: &Options, role: &str, log: &Path, seconds: u64) -> std::result::Result<Child, Failed> {
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    command
        .args(["--role", role, "--dir"])
        .arg(log)
        .args(["--seconds", &seconds.to_string()])
        .args(["--readers", &options.readers.to_string()]);
    for sort in &options.sorts {
        command.args(["--sort", sort]);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().map_err(text)
}

/// What a process has said until it ended, and whether it ended well.
fn output(child: Child) -> std::result::Result<(String, bool), Failed> {
    let output = child.wait_with_output().map_err(text)?;
    Ok((
        String::from_utf8_lossy(&output.stdout).into_owned(),
        output.status.success(),
    ))
}

/// What the two writers appended in a second, the one that was read and the one that was not, turn by turn.
#[derive(Default)]
struct Rates(Vec<[f64; 2]>);

impl Rates {
    /// The middle of the ratios, and its standard error: one writer may be twice as fast as the other for a turn, only
    /// because its threads have the better processor.
    fn ratio(&self) -> Measured {
        let logs = self.0.iter().map(|[read, alone]| (read / alone).ln());
        let count = self.0.len() as f64;
        let mean = logs.clone().sum::<f64>() / count;
        let squares: f64 = logs.map(|log| (log - mean).powi(2)).sum();
        Measured {
            ratio: mean.exp(),
            error: (squares / (count - 1.0).max(1.0) / count).sqrt() * mean.exp(),
        }
    }

    fn mean(&self, of: usize) -> f64 {
        self.0.iter().map(|rates| rates[of]).sum::<f64>() / self.0.len() as f64
    }

    fn print(&self, name: &str) {
        let line = |what: &str, rate| println!("{:<56}{rate:>14.0}", format!("{name}: {what}"));
        line("records a second of the writer with readers", self.mean(0));
        line("records a second of the other writer", self.mean(1));
        self.ratio().print(&format!("{name}: ratio"));
    }
}

struct Measured {
    ratio: f64,
    error: f64,
}

impl Measured {
    fn over(&self, other: &Measured) -> Measured {
        let ratio = self.ratio / other.ratio;
        Measured {
            ratio,
            error: (self.error / self.ratio).hypot(other.error / other.ratio) * ratio,
        }
    }

    fn print(&self, what: &str) {
        println!("{what:<56}{:>14.3} +- {:.3}", self.ratio, self.error);
    }
}

/// What the readers of a sort have seen: rounds, records, and how often they heard that the log had moved on.
type Sums = BTreeMap<String, [u64; 3]>;

fn run(options: &Options) -> std::result::Result<(), Failed> {
    let temporary = tempfile::tempdir().map_err(text)?;
    let root = options.dir.as_deref().unwrap_or(temporary.path());
    let logs = ["first", "second", "other"].map(|name| root.join(name));
    let mut keeper = start(options, "keeper", &logs[2], 0)?;
    for log in &logs[..2] {
        fill(log)?;
    }
    let kept = wait_until_filled(&mut keeper)?;

    let is_wanted = |name: &str| options.on.as_deref().is_none_or(|on| on == name);
    let turns = (options.seconds / TURN).max(1);
    let (mut run, mut control) = (Rates::default(), Rates::default());
    let (mut sums, mut is_well) = (Sums::new(), true);
    for turn in 0..turns {
        let of_turn = (options.seconds / turns) + u64::from(turn < options.seconds % turns);
        let (read, alone) = match turn % 2 {
            0 => (&logs[0], &logs[1]),
            _ => (&logs[1], &logs[0]),
        };
        let mut take = |to_read: &Path, rates: &mut Rates| {
            is_well &= take_turn(options, [read, alone, to_read], of_turn, rates, &mut sums)?;
            Ok::<_, Failed>(())
        };
        if is_wanted("log") {
            take(read, &mut run)?;
        }
        if is_wanted("other") {
            take(&logs[2], &mut control)?;
        }
    }
    drop(kept);
    output(keeper)?;

    for (name, [rounds, records, moved]) in sums {
        println!(
            "{name:<18} rounds {rounds:>8} records {records:>12} heard that the log moved on {moved:>8}"
        );
    }
    let rates = [("run", &run), ("control", &control)];
    for (name, rates) in rates.into_iter().filter(|(_, rates)| !rates.0.is_empty()) {
        rates.print(name);
    }
    if options.on.is_none() {
        run.ratio().over(&control.ratio()).print("ratio of the ratios");
    }
    match is_well {
        true => Ok(()),
        false => Err("false alarms, misses or repeats: see above".to_owned()),
    }
}

/// One turn: two writers, and the readers at one of their logs or at a third one. Whether all went well.
fn take_turn(
    options: &Options,
    [read, alone, to_read]: [&Path; 3],
    seconds: u64,
    rates: &mut Rates,
    sums: &mut Sums,
) -> std::result::Result<bool, Failed> {
    let writers = [read, alone].map(|log| start(options, "writer", log, seconds));
    let readers = start(options, "readers", to_read, seconds)?;
    let [read, alone] = writers.map(|writer| {
        let (rate, is_well) = output(writer?)?;
        match is_well {
            true => rate.trim().parse::<f64>().map_err(text),
            false => Err("a writer failed".to_owned()),
        }
    });
    rates.0.push([read?, alone?]);
    let (report, is_well) = output(readers)?;
    for line in report.lines() {
        let mut parts = line.split('\t');
        let sum = sums
            .entry(parts.next().unwrap_or_default().to_owned())
            .or_default();
        for (sum, part) in sum.iter_mut().zip(parts) {
            *sum += part.parse::<u64>().map_err(text)?;
        }
    }
    Ok(is_well)
}

/// Appends records that say how often the log was cut or opened before, and which they are.
struct Writer {
    wal: Wal,
    cuts: u64,
    seq: u64,
    syncs: u64,
    appended: u64,
    payload: [u8; LEN],
}

impl Writer {
    fn open(dir: &Path) -> Result<Writer> {
        let wal = Wal::open_segmented(dir, SEGMENT)?;
        let last = wal.iter_rev()?.next().transpose()?;
        let (cuts, seq) = last.map_or((0, 0), |last| {
            let (cuts, seq) = number(&last);
            (cuts + 1, seq + 1)
        });
        Ok(Writer {
            wal,
            cuts,
            seq,
            syncs: 0,
            appended: 0,
            payload: [0x5A; LEN],
        })
    }

    fn batch(&mut self) -> Result<()> {
        let mut kept = Lsn::ZERO;
        for i in 0..BATCH {
            self.payload[..8].copy_from_slice(&self.cuts.to_le_bytes());
            self.payload[8..16].copy_from_slice(&self.seq.to_le_bytes());
            let lsn = self.wal.append(&self.payload)?;
            if i == BATCH - 1 - CUT_OFF {
                kept = lsn;
            }
            (self.seq, self.appended) = (self.seq + 1, self.appended + 1);
        }
        self.wal.sync()?;
        self.syncs += 1;
        if self.syncs.is_multiple_of(CUT_EVERY) {
            self.wal.truncate_after(kept)?;
            (self.cuts, self.seq) = (self.cuts + 1, self.seq - CUT_OFF);
        }
        if self.syncs.is_multiple_of(DROP_EVERY) {
            self.wal.retain(&Retention::new().with_max_bytes(KEPT))?;
        }
        Ok(())
    }

    /// Writes until the log is as long as it will be.
    fn fill(&mut self) -> Result<()> {
        while self.appended * (LEN as u64) < 2 * KEPT {
            self.batch()?;
        }
        Ok(())
    }
}

fn fill(dir: &Path) -> std::result::Result<(), Failed> {
    let mut writer = Writer::open(dir).map_err(text)?;
    writer.fill().and_then(|()| writer.wal.close()).map_err(text)
}

/// Says how many records it appends in a second.
fn write(dir: &Path, seconds: u64) -> std::result::Result<(), Failed> {
    let mut writer = Writer::open(dir).map_err(text)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        writer.batch().map_err(text)?;
    }
    let rate = writer.appended as f64 / start.elapsed().as_secs_f64();
    writer.wal.close().map_err(text)?;
    println!("{rate}");
    Ok(())
}

/// Fills a log, says so, and has it open until its input ends.
fn keep(dir: &Path) -> std::result::Result<(), Failed> {
    let mut writer = Writer::open(dir).map_err(text)?;
    writer.fill().map_err(text)?;
    println!();
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).map_err(text)?;
    writer.wal.close().map_err(text)
}

/// Returns what the keeper's input ends with.
fn wait_until_filled(keeper: &mut Child) -> std::result::Result<Option<ChildStdin>, Failed> {
    let said = keeper.stdout.as_mut().ok_or("no output")?;
    said.read_exact(&mut [0]).map_err(text)?;
    Ok(keeper.stdin.take())
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
    WalConfig::new().open_read_only(dir)
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
        // By one thread, and by two.
        let config = VerifyConfig::new().with_threads(1 + seen.rounds as usize % 2);
        let report = open(dir)
            .and_then(|wal| recovery::verify(&wal, &config))
            .map_err(text)?;
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
        for item in recovery::salvage(dir).map_err(text)? {
            let item = match item {
                Ok(item) => item,
                Err(error) => {
                    seen.moved(error)?;
                    continue;
                }
            };
            match item {
                recovery::SalvageItem::Damage(damage) => return Err(damage.to_string()),
                recovery::SalvageItem::Record(record) | recovery::SalvageItem::Staged(record) => {
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
        let inspection = wal_db::recovery::inspect(dir).map_err(text)?;
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
        let mut tail = wal.tail(wal.status().head).map_err(text)?;
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
        println!("{name}\t{rounds}\t{records}\t{moved}");
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n")),
    }
}
