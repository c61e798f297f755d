//! The process that uses a log until something happens to it: this test binary, which runs one of the ignored tests
//! below. It reports what it was told, a line each, to the process that started it.
//!
//! - `opened`, `appended LSN PHASE THREAD COUNT`, `durable LSN`: a call has returned.
//! - `cuts before LSN`, `cuts after LSN`: it waits for a line, then truncates; `cut HEAD`: that has returned.
//! - `refused VARIANT`: a call has returned an error.
//! - `unreadable LSN`: what was durable cannot be read; `closed`: the log was closed, and went well.
//! - `ended`: it has done all it was asked for.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
};

use wal_db::{Lsn, Wal, WalConfig};
use wal_tests::{
    child::{Reporter, try_open_here},
    files::Form,
    payload, quiet, ticket,
};

// ---- here -------------------------------------------------------------------------------------------------------

/// What the other process is to do.
pub(crate) struct Job<'a> {
    /// The ignored test.
    pub(crate) role: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) form: Form,
    pub(crate) seed: u64,
    /// The number of its first phase.
    pub(crate) phase: u64,
    pub(crate) phases: u64,
}

impl Job<'_> {
    pub(crate) fn start(&self) -> Worker {
        // One that hangs is killed and has not ended well.
        let mut command = Command::new("timeout");
        command
            .args(["-s", "KILL", "120"])
            .arg(std::env::current_exe().unwrap());
        self.start_under(command)
    }

    /// Starts it by a command that runs its arguments.
    pub(crate) fn start_under(&self, mut command: Command) -> Worker {
        command.args(["--exact", self.role, "--ignored", "--nocapture"]);
        command
            .env("WAL_TESTS_PATH", self.path)
            .env("WAL_TESTS_FORM", format!("{:?}", self.form));
        for (name, value) in [
            ("SEED", self.seed),
            ("PHASE", self.phase),
            ("PHASES", self.phases),
        ] {
            command.env(format!("WAL_TESTS_{name}"), value.to_string());
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // With whatever runs it: what it starts dies with it.
        command.process_group(0);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Worker {
            stdin: child.stdin.take().unwrap(),
            child,
            lines,
        }
    }
}

/// The other process; dies with this value.
pub(crate) struct Worker {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// The next report; `None` when it has ended.
    pub(crate) fn report(&mut self) -> Option<String> {
        // The test harness writes to the same pipe.
        let lines = self.lines.by_ref().map_while(std::io::Result::ok);
        let mut reports =
            lines.filter_map(|line| line.split_once("report: ").map(|(_, report)| report.to_owned()));
        reports.next()
    }

    /// As [`report`](Self::report), of one that has to say that it ends.
    pub(crate) fn report_before_it_ends(&mut self, what: &str) -> Option<String> {
        let report = self.report();
        let report = report.unwrap_or_else(|| panic!("{what}: the worker has died or hangs"));
        (report != "ended").then_some(report)
    }

    /// What it waits for.
    pub(crate) fn go_on(&mut self) {
        // It may be dead already.
        let _ = self.stdin.write_all(b"go\n");
    }

    pub(crate) fn kill(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).output();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended; whether that went well.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The thread whose records are all long.
const BULK: u64 = 9;

/// Seeds of [`uses_a_log_while_calls_fail`]: without background threads, and with them.
pub(crate) const QUIET: u64 = 0;
pub(crate) const WITH_THREADS: u64 = 1;

/// Says which record it is, in its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) phase: u64,
    pub(crate) thread: u64,
    pub(crate) count: u64,
}

impl Name {
    fn appended(self, reporter: &Reporter, lsn: Lsn) {
        let Name { phase, thread, count } = self;
        reporter.report(&format!("appended {} {phase} {thread} {count}", lsn.get()));
    }

    pub(crate) fn content(self) -> Vec<u8> {
        let Name { phase, thread, count } = self;
        let mut bytes = format!("{phase} {thread} {count} ").into_bytes();
        let mixed = (phase * 31 + thread * 7 + count * 13) as usize;
        // Now and then one that is too long for the ring, or for a segment.
        let len = match mixed % 61 {
            _ if thread == BULK => 60_000,
            0 => 70_000,
            n if n % 4 == 0 => 3000 + 100 * n,
            n => 10 * n,
        };
        bytes.extend(payload(mixed, len));
        bytes
    }

    /// The name of a record whose every byte is right.
    pub(crate) fn of(content: &[u8]) -> Option<Name> {
        let mut fields = content.splitn(4, |&byte| byte == b' ');
        let mut next = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
        let name = Name {
            phase: next()?,
            thread: next()?,
            count: next()?,
        };
        (name.content() == content).then_some(name)
    }
}

// ---- there ------------------------------------------------------------------------------------------------------

const THREADS: u64 = 4;

fn number(name: &str) -> u64 {
    std::env::var(format!("WAL_TESTS_{name}"))
        .expect("run by another test")
        .parse()
        .unwrap()
}

/// By the seed: the defaults, or little staging memory and threads that flush, prepare and seal all the time.
fn config(seed: u64) -> WalConfig {
    match seed % 2 {
        0 => WalConfig::new(),
        _ => WalConfig::new()
            .with_staging_bytes(64 << 10)
            .with_seal_after_ms(1),
    }
}

/// In phases: four threads append and commit; then one of them cuts the log, or opens it anew.
#[test]
#[ignore = "the process of the tests in power.rs"]
fn works_until_the_power_goes() {
    let (reporter, seed) = (Reporter::new(), number("SEED"));
    let (first, phases) = (number("PHASE"), number("PHASES"));
    let mut wal = try_open_here(config(seed)).unwrap();
    reporter.report("opened");
    let mut live = Vec::new();
    for phase in first..first + phases {
        let appended = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (wal, reporter, appended) = (&wal, &reporter, &appended);
                scope.spawn(move || {
                    let lsns = append_many(wal, reporter, phase, thread, seed);
                    appended.lock().unwrap().extend(lsns);
                });
            }
        });
        let mut appended = appended.into_inner().unwrap();
        appended.sort();
        live.extend(appended);
        let choice = (seed / 2 + phase) as usize;
        match choice % 3 {
            0 => {
                let lsn: Lsn = live[live.len() * (choice % 5 + 1) / 8];
                reporter.report(&format!("cuts after {}", lsn.get()));
                reporter.wait();
                wal.truncate_after(lsn).unwrap();
                live.retain(|at| *at <= lsn);
                reporter.report("cut 0");
            }
            1 => {
                let lsn = live[live.len() * (choice % 4 + 1) / 6];
                reporter.report(&format!("cuts before {}", lsn.get()));
                reporter.wait();
                let head = wal.truncate_before(lsn).unwrap();
                live.retain(|at| *at >= head);
                reporter.report(&format!("cut {}", head.get()));
            }
            _ => {
                wal.close().unwrap();
                wal = try_open_here(config(seed + phase)).unwrap();
                reporter.report("opened");
            }
        }
    }
    reporter.report("ended");
    reporter.wait();
}

/// In all the ways to append and to make durable. Returns where the records are, all of which are durable.
fn append_many(wal: &Wal, reporter: &Reporter, phase: u64, thread: u64, seed: u64) -> Vec<Lsn> {
    let mut lsns = Vec::new();
    let mut count = 0;
    let steps = 8 + (seed + phase + thread) % 9;
    for step in 0..steps {
        let mut next = || {
            count += 1;
            Name {
                phase,
                thread,
                count: count - 1,
            }
        };
        match (step + thread + seed) % 4 {
            0 => {
                let name = next();
                let lsn = wal.append_and_sync(&name.content()).unwrap();
                name.appended(reporter, lsn);
                lsns.push(lsn);
            }
            1 => {
                let name = next();
                let ticket = ticket(wal, &name.content());
                name.appended(reporter, ticket.lsn());
                lsns.push(ticket.lsn());
                ticket.wait().unwrap();
            }
            2 => {
                let names = [next(), next(), next()];
                let at = wal.append_batch(&names.map(Name::content)).unwrap();
                at.iter()
                    .zip(names)
                    .for_each(|(lsn, name)| name.appended(reporter, *lsn));
                lsns.extend(at);
                // Left to the next one.
                continue;
            }
            _ => {
                let name = next();
                let lsn = wal.append(&name.content()).unwrap();
                name.appended(reporter, lsn);
                lsns.push(lsn);
                wal.ticket(lsn).unwrap().wait().unwrap();
            }
        }
        reporter.durable(*lsns.last().unwrap());
    }
    wal.sync().unwrap();
    reporter.durable(*lsns.last().unwrap());
    lsns
}

/// Appends and makes nothing durable.
#[test]
#[ignore = "the process of the tests in power.rs that is killed"]
fn appends_until_it_is_killed() {
    let (reporter, phase) = (Reporter::new(), number("PHASE"));
    // Most of it goes to the page cache, the rest stays in staging memory.
    let wal = try_open_here(quiet().with_staging_bytes(64 << 10)).unwrap();
    reporter.report("opened");
    for count in 0.. {
        let name = Name {
            phase,
            thread: 0,
            count,
        };
        name.appended(&reporter, wal.append(&name.content()).unwrap());
    }
}

/// One after the other: appends, with and without waiting; enough to need new segments; a cut; the end.
#[test]
#[ignore = "the process of the tests in calls.rs"]
fn uses_a_log_while_calls_fail() {
    let reporter = Reporter::new();
    let config = match number("SEED") {
        QUIET => quiet(),
        _ => WalConfig::new().with_seal_after_ms(1),
    };
    let opened = reporter.heard(try_open_here(config.with_staging_bytes(64 << 10)));
    if let Some(wal) = opened {
        reporter.report("opened");
        let names = |thread, counts: std::ops::Range<u64>| {
            counts.map(move |count| Name {
                phase: 0,
                thread,
                count,
            })
        };
        let (mut appended, mut durable) = (Vec::new(), Vec::new());
        for name in names(0, 0..20).chain(names(BULK, 0..80)).chain(names(1, 0..20)) {
            let (lsn, synced) = append_one(&wal, &reporter, name);
            appended.extend(lsn);
            durable.extend(lsn.filter(|_| synced));
        }
        if let Some(lsn) = appended.get(appended.len() / 2) {
            reporter.report(&format!("cuts before {}", lsn.get()));
            reporter.wait();
            if let Some(head) = reporter.heard(wal.truncate_before(*lsn)) {
                reporter.report(&format!("cut {}", head.get()));
            }
        }
        // One read may be made to fail, and is an error value then.
        let head = wal.status().head;
        let unreadable = |lsn: &&Lsn| **lsn >= head && wal.read(**lsn).is_err() && wal.read(**lsn).is_err();
        for lsn in durable.iter().filter(unreadable) {
            reporter.report(&format!("unreadable {}", lsn.get()));
        }
        if reporter.heard(wal.close()).is_some() {
            reporter.report("closed");
        }
    }
    reporter.report("ended");
}

/// Where the record is, if it was taken, and whether it is durable.
fn append_one(wal: &Wal, reporter: &Reporter, name: Name) -> (Option<Lsn>, bool) {
    let content = name.content();
    let ticket = match name.count % 3 {
        0 => reporter
            .heard(wal.append(&content).and_then(|lsn| wal.ticket(lsn)))
            .map(|ticket| (ticket.lsn(), Some(ticket))),
        _ => reporter.heard(wal.append(&content)).map(|lsn| (lsn, None)),
    };
    let Some((lsn, ticket)) = ticket else {
        return (None, false);
    };
    name.appended(reporter, lsn);
    let synced = match ticket {
        Some(ticket) => reporter.heard(ticket.wait()).is_some(),
        None if name.count % 3 == 1 => reporter.heard(wal.sync()).is_some(),
        None => false,
    };
    if synced {
        reporter.durable(lsn);
    }
    (Some(lsn), synced)
}

/// Appends as long as there is space, once there is little.
#[test]
#[ignore = "the process of the tests in space.rs"]
fn appends_until_it_is_full() {
    let reporter = Reporter::new();
    let wal = try_open_here(quiet()).unwrap();
    wal.append_and_sync(b"record").unwrap();
    reporter.report("opened");
    reporter.wait();
    let content = payload(1, 10_000);
    while reporter.heard(wal.append(&content)).is_some() {}
    reporter.heard(wal.sync());
    reporter.report("ended");
}

#[test]
#[ignore = "a process of the tests in calls.rs"]
fn appends_one_record() {
    let reporter = Reporter::new();
    let wal = try_open_here(quiet()).unwrap();
    reporter.report("opened");
    reporter.durable(wal.append_and_sync(b"record").unwrap());
    // Closing flushes more.
    std::mem::forget(wal);
    reporter.report("ended");
}
