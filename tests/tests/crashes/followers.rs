//! SIGKILL of a writer and of two followers beside it, each a process of its own, over and over. The writer goes on to new
//! segments and cuts its log at both ends. A follower keeps a position with what it has seen, and goes on from there: it
//! sees every durable record once, in order, or hears why not.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use wal_db::{Lsn, Position, Record, Start, Wal, WalError};
use wal_tests::{
    PATIENCE,
    child::{Process, Reporter, command, open_here, reports, told},
    files::{Form, Place},
    note, quiet,
    random::Rng,
    scale, seed,
};

use super::kills::Says;

/// Kills for each log.
const KILLS: u64 = 16;
const FOLLOWERS: usize = 2;

/// What a record says of itself: the number of cuts and openings before it, which no later one shares, and how many records
/// came before it and were not cut off.
type Name = (u64, u64);

fn content(name: Name, len: usize) -> Vec<u8> {
    let mut bytes = [name.0.to_le_bytes(), name.1.to_le_bytes()].concat();
    bytes.resize(16 + len, 7);
    bytes
}

fn name_of(record: &Record) -> Name {
    let word = |at: usize| u64::from_le_bytes(record.data()[at..at + 8].try_into().unwrap());
    (word(0), word(8))
}

// ---- the processes that are killed ------------------------------------------------------------------------------

/// Ends the process with the one that started it.
fn end_with_parent() {
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
}

struct Writer {
    wal: Wal,
    reporter: Reporter,
    name: Name,
    rng: Rng,
}

impl Writer {
    fn open(reporter: Reporter, cuts: u64, rng: Rng) -> Writer {
        reporter.report("opens");
        let wal = open_here(quiet().with_background_flush(true).with_seal_after_ms(1));
        let last = wal.iter_rev().unwrap().next().transpose().unwrap();
        reporter.report("opened");
        let name = (cuts, last.map_or(0, |last| name_of(&last).1 + 1));
        Writer {
            wal,
            reporter,
            name,
            rng,
        }
    }

    fn append(&mut self, records: usize) {
        for _ in 0..records {
            let content = content(self.name, self.rng.below(1200));
            self.wal.append(&content).unwrap();
            self.name.1 += 1;
        }
        self.wal.sync().unwrap();
        self.reporter.report("appended");
    }

    /// Any record of the newest ones, or of all.
    fn any(&mut self) -> Option<Record> {
        let from_end = [20, 2000][self.rng.below(2)];
        let at = self.rng.below(from_end);
        let record = self.wal.iter_rev().unwrap().nth(at);
        record.transpose().unwrap()
    }

    fn cut(&mut self) {
        if let Some(last) = self.any() {
            self.reporter.report("cuts");
            self.wal.truncate_after(last.lsn()).unwrap();
            self.name = (self.name.0 + 1, name_of(&last).1 + 1);
            self.reporter.report("cut");
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(first) = self.any() {
            self.reporter.report("drops");
            self.wal.truncate_before(first.lsn()).unwrap();
            self.reporter.report("dropped");
        }
    }

    fn close(mut self, life: u64) -> Writer {
        self.reporter.report("closes");
        self.wal.close().unwrap();
        Writer::open(self.reporter, life, Rng::new(self.rng.number()))
    }
}

#[test]
#[ignore = "the writer of followers_of_a_killed_writer"]
fn writes_until_it_is_killed() {
    end_with_parent();
    let rng = Rng::new(told("WAL_TESTS_SEED").parse().unwrap());
    let round: u64 = told("WAL_TESTS_ROUND").parse().unwrap();
    let mut writer = Writer::open(Reporter::new(), round << 32, rng);
    if told("WAL_TESTS_DOES") == "ends" {
        writer.append(10);
        writer.wal.close().unwrap();
        writer.reporter.report("ended");
        return;
    }
    for step in 1.. {
        match writer.rng.below(40) {
            0 => writer.cut(),
            1 => writer.drop_oldest(),
            2 => writer = writer.close(round << 32 | step << 16),
            _ => {
                let records = 1 + writer.rng.below(40);
                writer.append(records);
            }
        }
        // So that followers come along.
        thread::sleep(Duration::from_millis(1));
    }
}

/// What a follower has seen, one thing a line, each with the position after it.
struct Seen(File);

impl Seen {
    fn note(&mut self, what: &str, position: Option<&Position>) {
        let position = position.map(|position| position.to_bytes());
        let hex: String = position
            .iter()
            .flatten()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.0.write_all(format!("{what} {hex}\n").as_bytes()).unwrap();
    }
}

/// Where a follower goes on: after what it has noted last.
fn start(path: &Path) -> Start {
    let text = fs::read_to_string(path).unwrap_or_default();
    let hex = text.lines().last().and_then(|line| line.rsplit(' ').next());
    let Some(hex) = hex.filter(|hex| !hex.is_empty()) else {
        return Start::Head;
    };
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    let bytes: [u8; 56] = std::array::from_fn(byte);
    Start::Position(Position::from_bytes(&bytes).unwrap())
}

#[test]
#[ignore = "a follower of followers_of_a_killed_writer"]
fn follows_until_it_is_killed() {
    end_with_parent();
    let (reporter, path) = (Reporter::new(), PathBuf::from(told("WAL_TESTS_SEEN")));
    let mut rng = Rng::new(told("WAL_TESTS_SEED").parse().unwrap());
    let until = told("WAL_TESTS_UNTIL").parse().ok().map(Lsn::new);
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let mut seen = Seen(file.unwrap());
    reporter.report("opens");
    let wal = quiet().open_read_only(told("WAL_TESTS_PATH")).unwrap();
    reporter.report("opened");
    loop {
        let mut tail = match wal.tail(start(&path)) {
            Ok(tail) => tail,
            Err(WalError::Truncated { .. }) => {
                seen.note("dropped", None);
                reporter.report("dropped");
                continue;
            }
            Err(error) => return reporter.report(&format!("wrong {error:?}")),
        };
        loop {
            match tail.next_timeout(PATIENCE) {
                Ok(Some(record)) => {
                    let (name, lsn) = (name_of(&record), record.lsn());
                    let line = format!("record {} {} {}", lsn.get(), name.0, name.1);
                    seen.note(&line, Some(&tail.position().unwrap()));
                    if name.1 % 16 == 0 {
                        reporter.report("seen");
                    }
                    if rng.below(400) == 0 {
                        // It falls back, and may be overtaken.
                        thread::sleep(Duration::from_millis(50));
                    }
                    if until == Some(lsn) {
                        return reporter.report("ended");
                    }
                }
                Ok(None) => reporter.report("wrong: nothing comes"),
                Err(WalError::CutBack { kept_before, .. }) => {
                    let line = format!("cut {}", kept_before.get());
                    seen.note(&line, Some(&tail.position().unwrap()));
                    reporter.report("cut");
                }
                Err(WalError::Truncated { .. }) => {
                    seen.note("dropped", None);
                    reporter.report("dropped");
                    break;
                }
                Err(error) => return reporter.report(&format!("wrong {error:?}")),
            }
        }
    }
}

// ---- the one that kills -----------------------------------------------------------------------------------------

struct World {
    place: Place,
    seen: tempfile::TempDir,
    rng: Rng,
    round: u64,
}

type Running = (Process, Box<dyn Iterator<Item = String>>);

impl World {
    fn seen(&self, follower: usize) -> PathBuf {
        self.seen.path().join(follower.to_string())
    }

    fn start(&mut self, role: &str, follower: usize, does: &str, until: Option<Lsn>) -> Running {
        self.round += 1;
        let mut command = command(&format!("followers::{role}_until_it_is_killed"), &self.place);
        command
            .env("WAL_TESTS_SEED", self.rng.number().to_string())
            .env("WAL_TESTS_ROUND", self.round.to_string())
            .env("WAL_TESTS_DOES", does)
            .env("WAL_TESTS_SEEN", self.seen(follower))
            .env(
                "WAL_TESTS_UNTIL",
                until.map_or_else(String::new, |lsn| lsn.get().to_string()),
            )
            .stderr(std::process::Stdio::inherit());
        let mut process = Process::of(command);
        let reports = Box::new(reports(&mut process));
        (process, reports)
    }

    /// Kills a process after so many reports of a kind, and a moment more.
    fn kill(&mut self, running: Running, kinds: &[(&str, usize)]) {
        let (mut process, mut reports) = running;
        let (kind, most) = kinds[self.rng.below(kinds.len())];
        let mut left = self.rng.below(most);
        for report in reports.by_ref() {
            check(&report);
            if report == kind && left == 0 {
                break;
            }
            left -= usize::from(report == kind);
        }
        let more = [0, self.rng.below(3000)][self.rng.below(2)];
        thread::sleep(Duration::from_micros(more as u64));
        process.kill().unwrap();
        reports.for_each(|report| check(&report));
        assert_eq!(process.wait().unwrap().signal(), Some(9));
    }

    /// Starts and kills them all.
    fn live(&mut self) {
        let mut writer = self.start("writes", 0, "", None);
        // A follower needs a log that is there.
        assert!(writer.1.any(|report| report == "opened"));
        let mut followers = VecDeque::new();
        for follower in 0..FOLLOWERS {
            followers.push_back((follower, self.start("follows", follower, "", None)));
        }
        for _ in 0..KILLS {
            if self.rng.any() {
                let (follower, running) = followers.pop_front().unwrap();
                self.kill(
                    running,
                    &[("opens", 1), ("opened", 1), ("seen", 30), ("seen", 30)],
                );
                if self.rng.any() {
                    // It may be overtaken before it comes back.
                    let is_drop = |report: &String| {
                        check(report);
                        report == "dropped"
                    };
                    assert!(writer.1.any(|report| is_drop(&report)));
                }
                followers.push_back((follower, self.start("follows", follower, "", None)));
            } else {
                let kinds = [
                    ("opens", 1),
                    ("opened", 1),
                    ("appended", 60),
                    ("cuts", 3),
                    ("cut", 3),
                    ("drops", 3),
                    ("dropped", 3),
                    ("closes", 3),
                ];
                self.kill(writer, &kinds);
                writer = self.start("writes", 0, "", None);
            }
        }
        self.kill(writer, &[("appended", 60)]);
        for (_, running) in followers {
            self.kill(running, &[("opened", 1)]);
        }
    }

    /// Lets them come to the end of the log, and compares.
    fn end(&mut self) -> Counts {
        let ended = |running: Running| {
            let mut reports = running.1;
            let ended = reports.find(|report| {
                check(report);
                report == "ended"
            });
            assert!(ended.is_some());
        };
        ended(self.start("writes", 0, "ends", None));
        let wal = self.place.open(quiet()).unwrap();
        let records = wal.iter().unwrap().map(Result::unwrap);
        let log: Vec<_> = records.map(|record| (record.lsn(), name_of(&record))).collect();
        drop(wal);
        let until = log.last().map(|(lsn, _)| *lsn);
        let mut counts = Counts::default();
        for follower in 0..FOLLOWERS {
            ended(self.start("follows", follower, "", until));
            counts.compare(&self.seen(follower), &log);
        }
        counts
    }
}

fn check(report: &str) {
    assert!(!report.starts_with("wrong"), "{report}");
}

#[derive(Debug, Default)]
struct Counts {
    records: u64,
    cuts: u64,
    drops: u64,
}

impl Counts {
    /// Whether a follower has seen everything once and in order, up to the end of the log.
    fn compare(&mut self, path: &Path, log: &[(Lsn, Name)]) {
        // Without a gap, and without what it was told of being cut off.
        let mut kept: Vec<(Lsn, Name)> = Vec::new();
        let mut newest = None;
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let context = || format!("{:#?}", &lines[at.saturating_sub(8)..=at]);
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            match words[0] {
                "record" => {
                    let (lsn, name) = (Lsn::new(number(1)), (number(2), number(3)));
                    assert!(newest < Some((lsn, name)), "{}", context());
                    assert!(newest.is_none_or(|newest| newest.1 < name), "{}", context());
                    let before = kept.last().map(|(_, name)| name.1);
                    assert!(before.is_none_or(|before| before + 1 == name.1), "{}", context());
                    kept.push((lsn, name));
                    newest = Some((lsn, name));
                    self.records += 1;
                }
                "cut" => {
                    kept.retain(|(lsn, _)| lsn.get() < number(1));
                    self.cuts += 1;
                }
                _ => {
                    kept.clear();
                    self.drops += 1;
                }
            }
        }
        let (first, head) = (kept[0].0, log[0].0);
        let seen: Vec<_> = kept.iter().filter(|(lsn, _)| *lsn >= head).collect();
        let there: Vec<_> = log.iter().filter(|(lsn, _)| *lsn >= first).collect();
        assert_eq!(seen, there);
    }
}

#[test]
fn followers_of_a_killed_writer_see_every_record_once() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    for life in 0..u64::from(scale()) {
        let mut world = World {
            place: Place::fast(Form::Segmented),
            seen: tempfile::tempdir().unwrap(),
            rng: Rng::new(rng.number()),
            round: 0,
        };
        let _says = Says(format!("life {life}, WAL_TESTS_SEED={seed}"));
        world.live();
        let counts = world.end();
        note(&format!("{KILLS} kills: {counts:?}"));
        assert!(counts.records > 0);
    }
}
