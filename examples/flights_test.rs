//! The example `flights` as its user meets it: the report is exact with any number of threads and any way of syncing, kill
//! -9 at random moments included, and what is wrong is said with file and line.

#[path = "flights/events.rs"]
mod events;
#[path = "flights/events_v1.rs"]
mod events_v1;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use wal_db::{Wal, WalRecord, event::Unreadable};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/flights-2013-01.csv");
const EXPECTED: &str = include_str!("data/flights-2013-01.expected.json");

/// Reports as of some days, counted from the data by `data/as_of.py`.
const AS_OF: &str = include_str!("data/flights-as-of.expected.json");

/// Written by release 1 of the program from the first rows of the data.
const RELEASE_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/flights-release-1.log");
const RELEASE_1_ROWS: usize = 1_000;
const RELEASE_1_EXPECTED: &str = include_str!("data/flights-release-1.expected.json");

const MODES: [(&str, &str); 6] = [
    ("1", "each"),
    ("4", "each"),
    ("1", "batch"),
    ("4", "batch"),
    ("1", "end"),
    ("4", "end"),
];

/// `cargo test` builds the examples before it runs this; `cargo test --test flights_test` does not.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its place");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/test");
    let program = profile
        .join("examples")
        .join(format!("flights{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is not built: cargo build --example flights",
        program.display()
    );
    program
}

fn flights(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg("--json").args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    flights(args).output().expect("the example starts")
}

#[track_caller]
fn assert_expected(output: &Output) {
    assert_report(output, EXPECTED);
}

#[track_caller]
fn assert_report(output: &Output, expected: &str) {
    assert!(output.status.success(), "{output:?}");
    let report = text(&output.stdout);
    let parsed = |json: &str| serde_json::from_str::<serde_json::Value>(json).expect("JSON");
    assert_eq!(parsed(report), parsed(expected));
    // A Value does not see the order of the keys.
    assert_eq!(report.trim_end(), expected.trim_end());
    assert_eq!(text(&output.stderr), "", "no progress bar in a pipe");
}

/// One line on stderr, no report; returns the line.
#[track_caller]
fn assert_refused(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    let line = text(&output.stderr).trim_end();
    assert!(line.starts_with("flights: ") && !line.contains('\n'), "{line}");
    line
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn str_of(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    (dir, log)
}

fn open(log: &Path) -> Wal {
    Wal::open_segmented(log, 1 << 20).expect("a log")
}

type Spoil = fn(&str) -> String;

/// A copy of the data in which line `line` (from 1) is `change`d.
fn changed_data(dir: &Path, line: usize, change: Spoil) -> PathBuf {
    let data = fs::read_to_string(DATA).expect("the data");
    let mut lines: Vec<String> = data.lines().map(str::to_owned).collect();
    lines[line - 1] = change(&lines[line - 1]);
    let path = dir.join("changed.csv");
    fs::write(&path, lines.join("\n")).expect("written");
    path
}

#[test]
fn every_mode_reports_the_expected_figures_and_a_second_run_adds_nothing() {
    for (threads, sync) in MODES {
        let (_dir, log) = temporary();
        let args = ["--threads", threads, "--sync", sync, "--log", str_of(&log)];
        assert_expected(&run(&args));
        assert_expected(&run(&args));
    }
    assert_expected(&run(&[]));
}

/// Four threads leave holes between the rows, early kills leave a log with no row or not even a beginning.
#[test]
fn kill_9_at_any_moment_and_a_rerun_lose_and_repeat_nothing() {
    const KILLS_PER_MODE: u32 = 6;
    let begun = Instant::now();
    assert_expected(&run(&["--sync", "end"]));
    let longest = begun.elapsed();
    let mut random = Random(0x5eed_f119_4175_0001);
    for (threads, sync) in MODES {
        let mut kills = 0;
        while kills < KILLS_PER_MODE {
            let (_dir, log) = temporary();
            let args = ["--threads", threads, "--sync", sync, "--log", str_of(&log)];
            kills += kill_until_complete(&args, longest, KILLS_PER_MODE - kills, &mut random);
            // How it goes on has nothing to do with how it began.
            assert_expected(&run(&["--threads", "2", "--log", str_of(&log)]));
        }
    }
}

/// What a kill leaves between the making of the log and its first event, or that of the directory and the log.
#[test]
fn an_empty_log_and_an_empty_directory_are_begun() {
    let (_dir, log) = temporary();
    drop(open(&log));
    assert_expected(&run(&["--log", str_of(&log)]));

    let (_dir, log) = temporary();
    fs::create_dir(&log).expect("created");
    assert_expected(&run(&["--log", str_of(&log)]));
}

/// Starts and kills, on one log, until a run was faster than its killer or `most` were killed; returns how many were.
fn kill_until_complete(args: &[&str], longest: Duration, most: u32, random: &mut Random) -> u32 {
    for kills in 0..most {
        let mut child = flights(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        thread::sleep(Duration::from_micros(random.below(longest.as_micros() as u64)));
        child.kill().expect("killed or gone");
        let output = child.wait_with_output().expect("waited for");
        if output.status.code().is_some() {
            assert_expected(&output);
            return kills;
        }
    }
    most
}

/// splitmix64
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// What stands before the bad row is in the log, and nothing of the row or after it: there are as many records as those
/// rows have events, and one for the start of the import.
#[test]
fn a_bad_row_is_named_and_nothing_of_it_is_logged() {
    const LINE: usize = 13_502;
    let rows: Vec<String> = fs::read_to_string(DATA)
        .expect("the data")
        .lines()
        .map(str::to_owned)
        .collect();
    let events = |row: &str| {
        let fields: Vec<_> = row.split(',').collect();
        2 + 2 * u64::from(!fields[9].is_empty() && !fields[13].is_empty())
    };
    let before: u64 = rows[1..LINE - 1].iter().map(|row| events(row)).sum();
    let bad_rows: [(&str, Spoil); 4] = [
        ("distance is \"far\"", |row| {
            row.rsplit_once(',').expect("fields").0.to_owned() + ",far"
        }),
        ("15 fields", |row| {
            row.rsplit_once(',').expect("fields").0.to_owned()
        }),
        ("month is \"13\"", |row| row.replacen(",1,", ",13,", 1)),
        ("time_hour is", |row| row.replacen("2013-", "2013/", 1)),
    ];
    for (reason, spoil) in bad_rows {
        for threads in ["1", "4"] {
            let (dir, log) = temporary();
            let data = changed_data(dir.path(), LINE, spoil);
            let args = [
                "--data",
                str_of(&data),
                "--threads",
                threads,
                "--log",
                str_of(&log),
            ];
            let place = format!("{}:{LINE}: {reason}", data.display());
            for attempt in 1..=2 {
                let output = run(&args);
                let line = assert_refused(&output);
                assert!(line.contains(&place), "attempt {attempt}: {line}");
                let wal = open(&log);
                assert_eq!(
                    wal.status().records,
                    1 + before,
                    "attempt {attempt}, {threads} threads"
                );
            }
        }
    }
}

#[test]
fn a_log_of_another_file_is_refused() {
    let (dir, log) = temporary();
    assert_expected(&run(&["--log", str_of(&log)]));
    let other = changed_data(dir.path(), 2, |row| row.replacen("UA", "AA", 1));
    let output = run(&["--data", str_of(&other), "--log", str_of(&log)]);
    let line = assert_refused(&output);
    assert!(line.contains("made from another file"), "{line}");
    assert_expected(&run(&["--log", str_of(&log)]));
}

#[test]
fn what_is_no_log_and_what_is_no_data_is_refused_and_not_touched() {
    let (dir, log) = temporary();
    let note = dir.path().join("note.txt");
    fs::write(&note, "mine").expect("written");

    let cases: [(&[&str], &str); 6] = [
        (&["--log", str_of(dir.path())], "is not a log that"),
        (&["--log", str_of(&note)], "is not a log that"),
        (
            &["--data", str_of(&note), "--log", str_of(&log)],
            "note.txt:1: the header is not",
        ),
        (&["--data", "/no/such.csv", "--log", str_of(&log)], "/no/such.csv"),
        (&["--threads", "0", "--log", str_of(&log)], "--threads"),
        (&["--sync", "never", "--log", str_of(&log)], "each, batch, end"),
    ];
    for (args, reason) in cases {
        let output = run(args);
        let line = assert_refused(&output);
        assert!(line.contains(reason), "{line}");
    }
    assert_eq!(fs::read_to_string(&note).expect("there"), "mine");
    assert_eq!(
        fs::read_dir(dir.path()).expect("there").count(),
        1,
        "no log was begun"
    );
}

#[test]
fn a_log_of_other_events_is_refused() {
    let (_dir, log) = temporary();
    let wal = open(&log);
    wal.append_and_sync(b"something else").expect("appended");
    drop(wal);
    let output = run(&["--log", str_of(&log)]);
    let line = assert_refused(&output);
    assert!(line.contains("is not a typed event"), "{line}");
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

/// The report, and how many events it began with and how many were replayed.
#[track_caller]
fn with_snapshot(args: &[&str]) -> (serde_json::Value, [u64; 2]) {
    let output = run(&[args, &["--snapshot"]].concat());
    assert!(output.status.success(), "{output:?}");
    let mut report = json(text(&output.stdout));
    let start = report.as_object_mut().expect("an object").remove("start");
    let start = start.expect("what it began with");
    let events =
        ["snapshot_events", "replayed_events"].map(|figure| start[figure].as_u64().expect("a number"));
    (report, events)
}

#[test]
fn a_report_of_an_earlier_day_is_counted_from_the_rows_up_to_that_day() {
    let expected = json(AS_OF);
    let expected = expected.as_array().expect("reports");
    assert_eq!(expected.len(), 4);
    for (threads, reports) in [("1", &expected[..1]), ("4", &expected[1..])] {
        let (_dir, log) = temporary();
        assert_expected(&run(&["--threads", threads, "--log", str_of(&log)]));
        for report in reports {
            let day = report["as_of"].as_str().expect("a day");
            let output = run(&["--log", str_of(&log), "--as-of", day]);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(json(text(&output.stdout)), *report, "{threads} threads");
        }
        let last = reports.last().expect("one");
        let day = last["as_of"].as_str().expect("a day");
        let (found, _) = with_snapshot(&["--log", str_of(&log), "--as-of", day]);
        assert_eq!(found, *last, "{threads} threads, with a snapshot");
    }
}

#[test]
fn a_day_that_is_none_and_one_without_flights_are_refused() {
    let (_dir, log) = temporary();
    let no_day = "for '--as-of <DATE>': expected a day like 2013-01-31";
    let no_flights = "no flights of 2013-02-01, but of 2013-01-01 to 2013-01-31";
    for (day, reason) in [
        ("yesterday", no_day),
        ("2013-01-32", no_day),
        ("2013-01", no_day),
        ("2013-02-01", no_flights),
    ] {
        let output = run(&["--log", str_of(&log), "--as-of", day]);
        let line = assert_refused(&output);
        assert!(line.contains(reason), "{line}");
    }
}

#[test]
fn a_start_from_a_snapshot_replays_what_is_new_and_reports_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    let first = first_rows(dir.path());
    let args = ["--threads", "4", "--log", str_of(&log)];
    let of_first = [&args[..], &["--data", str_of(&first)]].concat();

    let (report, [before, some]) = with_snapshot(&of_first);
    assert_eq!((report, before), (json(RELEASE_1_EXPECTED), 0));
    assert!(some > 3_000);
    let (report, events) = with_snapshot(&of_first);
    assert_eq!((report, events), (json(RELEASE_1_EXPECTED), [some, 0]));

    let (report, [before, more]) = with_snapshot(&args);
    assert_eq!((report, before), (json(EXPECTED), some));
    let all = open(&log).status().records;
    assert_eq!(some + more, all);
    assert_eq!(with_snapshot(&args), (json(EXPECTED), [all, 0]));
    assert_expected(&run(&args));
    let line = run(&["--snapshot"]);
    assert!(assert_refused(&line).contains("--log"));
}

/// The one before it is used, or the whole log, and the figures are the same.
#[test]
fn a_damaged_snapshot_is_named_and_not_used() {
    let (_dir, log) = temporary();
    let args = ["--log", str_of(&log)];
    let (report, [_, all]) = with_snapshot(&args);
    let files = fs::read_dir(log.join("state")).expect("snapshots");
    let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let mut bytes = fs::read(&files[0]).expect("a snapshot");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&files[0], bytes).expect("written");

    let output = run(&["--log", str_of(&log), "--snapshot"]);
    let said = text(&output.stderr);
    assert!(said.contains("not used: flights."), "{said}");
    assert_eq!(json(text(&output.stdout))["totals"], report["totals"]);
    assert_eq!(with_snapshot(&args), (report, [all, 0]), "it was made again");
}

#[test]
fn snapshots_survive_kill_9() {
    let mut random = Random(0x5eed_f119_4175_0003);
    let begun = Instant::now();
    let (_dir, log) = temporary();
    let (report, _) = with_snapshot(&["--log", str_of(&log)]);
    let longest = begun.elapsed();
    let (_dir, log) = temporary();
    let args = ["--threads", "4", "--log", str_of(&log)];
    for _ in 0..3 {
        let mut child = flights(&[&args[..], &["--snapshot"]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the example starts");
        thread::sleep(Duration::from_micros(random.below(longest.as_micros() as u64)));
        child.kill().expect("killed or gone");
        child.wait().expect("waited for");
    }
    assert_eq!(with_snapshot(&args).0, report);
    assert_expected(&run(&args));
}

/// A copy of the log that release 1 wrote, and of the file that it wrote it from.
fn release_1(dir: &Path) -> (PathBuf, PathBuf) {
    let log = dir.join("log");
    fs::create_dir(&log).expect("created");
    for file in fs::read_dir(RELEASE_1).expect("the log of release 1") {
        let file = file.expect("a file");
        fs::copy(file.path(), log.join(file.file_name())).expect("copied");
    }
    (log, first_rows(dir))
}

/// The file of which release 1 made its log.
fn first_rows(dir: &Path) -> PathBuf {
    let data = fs::read_to_string(DATA).expect("the data");
    let rows: String = data.split_inclusive('\n').take(1 + RELEASE_1_ROWS).collect();
    let path = dir.join("first-rows.csv");
    fs::write(&path, rows).expect("written");
    path
}

#[test]
fn a_log_of_release_1_is_read_and_nothing_is_added() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (log, data) = release_1(dir.path());
    let before = open(&log).status().records;
    let args = ["--log", str_of(&log), "--data", str_of(&data)];
    for _ in 0..2 {
        assert_report(&run(&args), RELEASE_1_EXPECTED);
    }
    assert_eq!(open(&log).status().records, before);
}

/// Its last row is one batch of a release whose `Arrived` was one event, and is not imported again.
#[test]
fn a_log_of_release_1_is_gone_on_with() {
    for threads in ["1", "4"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (log, data) = release_1(dir.path());
        let args = ["--threads", threads, "--log", str_of(&log)];
        assert_expected(&run(&args));
        assert_expected(&run(&args));
        assert_eq!(versions_of("arrived", &log), [1, 2]);
        assert_eq!(versions_of("departed", &log), [1, 2]);

        let output = run(&["--log", str_of(&log), "--data", str_of(&data)]);
        let line = assert_refused(&output);
        assert!(line.contains("made from another file"), "the file shrank: {line}");
    }
}

#[test]
fn a_log_of_release_1_survives_kill_9_while_release_2_goes_on() {
    let mut random = Random(0x5eed_f119_4175_0002);
    let begun = Instant::now();
    assert_expected(&run(&["--sync", "end"]));
    let longest = begun.elapsed();
    for (threads, sync) in [("4", "each"), ("1", "end")] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (log, _) = release_1(dir.path());
        let args = ["--threads", threads, "--sync", sync, "--log", str_of(&log)];
        kill_until_complete(&args, longest, 4, &mut random);
        assert_expected(&run(&["--threads", "2", "--log", str_of(&log)]));
    }
}

/// A file of which a line was cut short is no beginning of it, however its bytes go on.
#[test]
fn a_file_may_grow_by_whole_lines_only() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    let data = fs::read_to_string(DATA).expect("the data");
    let cut = dir.path().join("cut.csv");
    // The distance of the first flight was 14 miles, then.
    let line_2 = data.find(",1400\n").expect("a first row");
    fs::write(&cut, &data[..line_2 + ",14".len()]).expect("written");
    let output = run(&["--log", str_of(&log), "--data", str_of(&cut)]);
    assert!(output.status.success(), "{output:?}");
    let output = run(&["--log", str_of(&log)]);
    let line = assert_refused(&output);
    assert!(line.contains("made from another file"), "{line}");
}

/// The versions in which the events of a variant are stored, in ascending order.
fn versions_of(variant: &str, log: &Path) -> Vec<u16> {
    let name = format!("flights.{variant}");
    let records = events::FlightEvent::RECORDS;
    let id = records
        .iter()
        .find(|record| record.name == name)
        .expect("a variant")
        .id;
    let mut versions = Vec::new();
    for record in open(log).iter().expect("the log") {
        let info = record.expect("a record").info().expect("an event");
        if info.type_id == id && !versions.contains(&info.version) {
            versions.push(info.version);
        }
    }
    versions.sort_unstable();
    versions
}

/// Two releases in service: the one whose `Arrived` holds the time in the air sees that the other one writes.
#[test]
fn release_1_sees_that_release_2_has_written() {
    let (_dir, log) = temporary();
    assert_expected(&run(&["--log", str_of(&log)]));
    let wal = open(&log);
    let old = wal.typed::<events_v1::ArrivedV1>().expect("a log");
    let ahead = old.ahead().expect("schemas");
    let arrived = ahead
        .iter()
        .find(|ahead| ahead.name.as_deref() == Some("flights.arrived"));
    assert_eq!(arrived.map(|ahead| (ahead.stored, ahead.known)), Some((2, 1)));
    let mut replay = wal
        .typed::<events_v1::ArrivedV1>()
        .expect("a log")
        .replay(..)
        .expect("a log")
        .among_others()
        .on_unreadable(Unreadable::Skip);
    assert!(replay.next().is_none());
    assert_eq!(replay.skipped().newer_version, 26_398);
}

/// `wal.lock` has a line for every version that this release reads, and no other line of its events.
#[test]
fn every_released_version_is_locked_and_still_read() {
    let lock = include_str!("wal.lock").lines();
    let locked = lock.filter(|line| line.starts_with("flights."));
    let mut locked: Vec<_> = locked.map(str::to_owned).collect();
    let mut read: Vec<_> = events::FlightEvent::RECORDS
        .iter()
        .flat_map(|record| record.history().map(|older| (record.name, older)))
        .map(|(name, older)| format!("{name} {} {}", older.version, older.schema))
        .collect();
    locked.sort_unstable();
    read.sort_unstable();
    assert_eq!(locked, read);
}
