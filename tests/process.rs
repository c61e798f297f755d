//! Real processes: what `append` returned survives SIGKILL and `abort`, a second process is locked out, and a disk
//! that is full by a limit of the system is a `Full` that passes.
//!
//! The other process is this test binary, which runs one of the ignored tests below.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
};

use wal_db::{Staging, Wal, WalConfig, WalError};
use wal_tests::{
    all,
    files::{FORMS, Form, Place, SEGMENT, assert_same_files},
    quiet, scale, within,
};

const THREADS: u64 = 4;

// ---- the parent -------------------------------------------------------------------------------------------------

fn command(role: &str, place: &Place) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", role, "--ignored", "--nocapture"]);
    command
        .env("WAL_TESTS_PATH", place.path())
        .env("WAL_TESTS_FORM", format!("{:?}", place.form));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// The lines that the other process reports, until it ends.
fn reports(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test harness writes to the same pipe.
    lines
        .map_while(Result::ok)
        .filter_map(|line| line.split_once("report: ").map(|(_, report)| report.to_owned()))
}

/// The content of a record, which can be told from its name alone.
fn content(round: u64, thread: u64, count: u64) -> Vec<u8> {
    let name = format!("{round} {thread} {count} ");
    // Now and then one that is too long for the ring.
    let len = match (count * 7 + thread) % 97 {
        0 => 70_000,
        n if n % 5 == 0 => 3000,
        n => n as usize,
    };
    let mut bytes = name.into_bytes();
    bytes.extend((0..len).map(|i| (i as u64 * 13 + count * 7 + thread) as u8));
    bytes
}

fn name_of(content: &[u8]) -> (u64, u64, u64) {
    let mut fields = content.split(|&byte| byte == b' ').map(|field| {
        std::str::from_utf8(field)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    });
    let mut next = || fields.next().flatten().expect("a record that nobody wrote");
    (next(), next(), next())
}

/// Pseudo-random and different in every run of a loop; the seed is in the message of a failure.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Many rounds on one log: append from four threads, kill, open, compare.
fn kill_loop(form: Form, staging: Staging) {
    let place = Place::new(form);
    let seed = std::process::id().into();
    let mut random = Random(seed);
    // By round and thread: how many records were acknowledged, and how many were found when that was last known.
    let mut acked: HashMap<(u64, u64), u64> = HashMap::new();
    let rounds = u64::from(10 * scale());
    let mut total = 0;
    for round in 0..rounds {
        let what = format!("{form:?}, {staging:?}, round {round}, seed {seed}");
        let mut child = command("appends_until_it_is_killed", &place)
            .env("WAL_TESTS_ROUND", round.to_string())
            .env("WAL_TESTS_STAGING", format!("{staging:?}"))
            .spawn()
            .unwrap();
        // Now and then while it opens the log, before anything was appended.
        let until = if random.below(5) == 0 {
            0
        } else {
            random.below(3000)
        };
        let mut reports = reports(&mut child);
        let mut count = |report: String| {
            if let Some(name) = report.strip_prefix("appended ") {
                let (round, thread, count) = name_of(format!("{name} ").as_bytes());
                let acked = acked.entry((round, thread)).or_default();
                assert_eq!(*acked, count, "{what}: a thread goes on in order");
                *acked += 1;
                total += 1;
            }
        };
        reports.next().expect("it starts");
        reports.by_ref().take(until as usize).for_each(&mut count);
        child.kill().unwrap();
        // What it reported before it died is in the pipe.
        reports.for_each(&mut count);
        assert_eq!(child.wait().unwrap().signal(), Some(9), "{what}");

        let wal = place
            .open(quiet())
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut found: HashMap<(u64, u64), u64> = HashMap::new();
        let mut last = None;
        for record in wal.iter().unwrap() {
            let record = record.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(last < Some(record.lsn()), "{what}: order");
            last = Some(record.lsn());
            let (round, thread, count) = name_of(record.data());
            assert_eq!(record.data(), content(round, thread, count), "{what}: content");
            let found = found.entry((round, thread)).or_default();
            assert_eq!(
                *found, count,
                "{what}: a gap in what thread {thread} of round {round} appended"
            );
            *found += 1;
        }
        for (key, &acked) in &acked {
            let found = found.get(key).copied().unwrap_or(0);
            assert!(
                found >= acked,
                "{what}: {key:?}: {acked} were acknowledged, {found} are there"
            );
        }
        for (key, found) in found {
            let acked = acked.entry(key).or_default();
            assert!(
                found <= *acked + 1,
                "{what}: {key:?}: only the append in flight may be there as well"
            );
            *acked = found;
        }
        assert!(wal.verify().unwrap().is_intact(), "{what}");
        // Every other round the next process finds what this one recovered, and no clean close.
        if round % 2 == 0 {
            wal.close().unwrap();
        }
    }
    assert!(total > 100 * rounds, "{total} appends in {rounds} rounds");
}

#[test]
fn a_killed_process_loses_no_returned_append_in_one_file() {
    kill_loop(Form::File, Staging::Mapped);
}

#[test]
fn a_killed_process_loses_no_returned_append_in_segments() {
    kill_loop(Form::Segmented, Staging::Mapped);
}

#[test]
fn a_killed_process_loses_no_returned_append_without_staging() {
    kill_loop(Form::Segmented, Staging::WriteThrough);
}

#[test]
fn an_abort_inside_append_with_loses_nothing_of_the_other_threads() {
    for form in FORMS {
        let place = Place::new(form);
        let mut child = command("aborts_inside_append_with", &place).spawn().unwrap();
        let acked: Vec<_> = reports(&mut child)
            .filter(|report| report.starts_with("appended"))
            .collect();
        assert_eq!(child.wait().unwrap().signal(), Some(6), "{form:?}: it aborts");
        assert!(acked.len() >= 100, "{}", acked.len());
        let wal = place.open(quiet()).unwrap();
        let found: Vec<_> = all(&wal)
            .into_iter()
            .map(|entry| {
                let (round, thread, count) = name_of(&entry.1);
                assert_eq!(entry.1, content(round, thread, count));
                format!("appended {round} {thread} {count}")
            })
            .collect();
        let missing: Vec<_> = acked.iter().filter(|name| !found.contains(name)).collect();
        assert!(missing.is_empty(), "{form:?}: {missing:?}");
        assert!(wal.recovery().void_bytes >= 500, "{:?}", wal.recovery());
        assert!(found.len() as u64 <= acked.len() as u64 + THREADS);
        assert!(wal.verify().unwrap().is_intact());
    }
}

#[test]
fn a_second_process_is_locked_out_and_changes_nothing() {
    for form in FORMS {
        let place = Place::new(form);
        let mut child = command("holds_the_log", &place).spawn().unwrap();
        let mut reports = reports(&mut child);
        assert_eq!(reports.next().as_deref(), Some("holds"));
        let before = place.bytes();
        for _ in 0..2 {
            match place.open(quiet()) {
                Err(WalError::Locked { path }) => assert!(path.starts_with(place.root())),
                other => panic!("{form:?}: {other:?}"),
            }
        }
        assert_same_files(&before, &place.bytes(), "a second process");
        // Reading is not locked out.
        assert!(Wal::open_read_only(place.path()).is_ok());
        // Nor does a lock outlive its process.
        child.kill().unwrap();
        child.wait().unwrap();
        let wal = place.open(quiet()).unwrap();
        assert_eq!(all(&wal).len(), 1, "{form:?}");
    }
}

#[test]
fn a_file_that_may_not_grow_is_full_and_works_again_later() {
    let tools = Command::new("prlimit").arg("--version").output().is_ok();
    if !cfg!(target_os = "linux") || !tools {
        #[allow(clippy::print_stderr)] // who reads the output wants to know
        {
            eprintln!("skipped: needs Linux and prlimit");
        }
        return;
    }
    let place = Place::new(Form::File);
    let child = command("fills_its_limit", &place);
    // A limit that can be raised again, whose signal is ignored.
    let mut limited = Command::new("sh");
    limited
        .arg("-c")
        .arg("ulimit -S -f 20000; trap '' XFSZ; exec \"$0\" \"$@\"");
    limited.arg(child.get_program()).args(child.get_args());
    for (key, value) in child.get_envs() {
        limited.env(key, value.unwrap());
    }
    let output = limited.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let count: usize = text
        .split("report: appended ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let entries = all(&place.open(quiet()).unwrap());
    assert_eq!(entries.len(), count);
    assert!(
        entries
            .iter()
            .enumerate()
            .all(|(i, entry)| entry.1 == vec![i as u8; 10_000])
    );
}

// ---- the other process ------------------------------------------------------------------------------------------

struct Reporter(File);

impl Reporter {
    /// The pipe itself: what is reported is out of this process when the call returns.
    fn new() -> Reporter {
        Reporter(std::io::stdout().as_fd().try_clone_to_owned().unwrap().into())
    }

    fn report(&self, what: &str) {
        (&self.0)
            .write_all(format!("report: {what}\n").as_bytes())
            .unwrap();
    }
}

fn open_here(config: WalConfig) -> Wal {
    let path = PathBuf::from(std::env::var_os("WAL_TESTS_PATH").expect("run by another test"));
    match std::env::var("WAL_TESTS_FORM").unwrap().as_str() {
        "File" => Wal::open_with(path, config).unwrap(),
        _ => Wal::open_segmented_with(path, SEGMENT, config).unwrap(),
    }
}

fn append_named(wal: &Wal, reporter: &Reporter, round: u64, thread: u64, count: u64) {
    let content = content(round, thread, count);
    // All the ways to append; a batch of one is a batch.
    match count % 4 {
        0 => drop(wal.append_batch(&[content]).unwrap()),
        1 => drop(
            wal.append_with(content.len(), |space| space.copy_from_slice(&content))
                .unwrap(),
        ),
        _ => drop(wal.append(&content).unwrap()),
    }
    reporter.report(&format!("appended {round} {thread} {count}"));
}

#[test]
#[ignore = "the process that kill_loop kills"]
fn appends_until_it_is_killed() {
    let reporter = Reporter::new();
    reporter.report("opens");
    let round: u64 = std::env::var("WAL_TESTS_ROUND").unwrap().parse().unwrap();
    let staging = match std::env::var("WAL_TESTS_STAGING").unwrap().as_str() {
        "Mapped" => Staging::Mapped,
        _ => Staging::WriteThrough,
    };
    // With threads that flush, prepare and seal all the time.
    let config = WalConfig::new()
        .with_staging_bytes(64 << 10)
        .with_seal_after_ms(1)
        .with_staging(staging);
    let wal = open_here(config);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (wal, reporter) = (&wal, &reporter);
            scope.spawn(move || {
                for count in 0.. {
                    append_named(wal, reporter, round, thread, count);
                    if count % 50 == 49 {
                        wal.sync().unwrap();
                    }
                }
            });
        }
    });
}

#[test]
#[ignore = "the process of an_abort_inside_append_with_loses_nothing_of_the_other_threads"]
fn aborts_inside_append_with() {
    let reporter = Reporter::new();
    let wal = open_here(quiet().with_staging_bytes(1 << 20));
    let (claimed, appended) = (Barrier::new(THREADS as usize), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 1..THREADS {
            let (wal, reporter, claimed, appended) = (&wal, &reporter, &claimed, &appended);
            scope.spawn(move || {
                claimed.wait();
                for count in 0..300 {
                    // Short ones only: a long one would wait for the claim.
                    append_named(wal, reporter, 0, thread, count * 97 + 1);
                    appended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        append_named(&wal, &reporter, 0, 0, 1);
        let _ = wal.append_with(500, |space| {
            space[..100].fill(0xee);
            claimed.wait();
            while appended.load(Ordering::SeqCst) < 100 {
                std::thread::yield_now();
            }
            std::process::abort();
        });
    });
}

#[test]
#[ignore = "the process of a_second_process_is_locked_out_and_changes_nothing"]
fn holds_the_log() {
    let wal = open_here(quiet());
    wal.append(b"mine").unwrap();
    Reporter::new().report("holds");
    // Until it is killed, or its parent is gone.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    drop(wal);
}

#[test]
#[ignore = "the process of a_file_that_may_not_grow_is_full_and_works_again_later"]
fn fills_its_limit() {
    let count = within("appending to a file that may not grow", || {
        let wal = open_here(quiet());
        let mut count = 0;
        let mut append = |wal: &Wal| wal.append(&vec![count as u8; 10_000]).map(|_| count += 1);
        let refused = (0..10_000).find_map(|_| append(&wal).err());
        assert!(matches!(refused, Some(WalError::Full { .. })), "{refused:?}");
        let tail = wal.len();
        assert!(matches!(append(&wal), Err(WalError::Full { .. })));
        assert!(matches!(wal.append(&[1; 100_000]), Err(WalError::Full { .. })));
        assert_eq!((wal.len(), wal.poisoned_by()), (tail, None));
        wal.sync().unwrap();
        let raised = Command::new("prlimit")
            .args(["--pid", &std::process::id().to_string(), "--fsize=unlimited"])
            .status()
            .unwrap();
        assert!(raised.success());
        for _ in 0..100 {
            append(&wal).unwrap();
        }
        wal.close().unwrap();
        count
    });
    Reporter::new().report(&format!("appended {count} records"));
}
