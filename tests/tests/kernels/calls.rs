//! System calls that fail, that are interrupted, or that are the last thing a process does: strace makes them so, below
//! the real stores, for the n-th call of every thread.
//!
//! A caller that hears of a failure hears of nothing else from then on. And whatever failed, the log holds afterwards
//! what was appended and what was acknowledged.

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use wal_tests::{
    Entry, all,
    files::{FORMS, Form, Place},
    note, payload, quiet, scale,
};

use super::{
    ledger::{Found, Ledger},
    traced::{Run, Tracing, lacks_strace},
    worker::{QUIET, WITH_THREADS},
};

/// The directories that hold names of a log's files.
fn directories(place: &Place) -> Vec<PathBuf> {
    match place.form {
        Form::File => vec![place.root().to_owned()],
        Form::Segmented => vec![place.root().to_owned(), place.path()],
    }
}

/// Everything of a log: names, and names that files have until they are complete.
fn everything(place: &Place) -> Vec<PathBuf> {
    let path = place.path();
    let below = |name: &str| match place.form {
        Form::File => PathBuf::from(format!("{}.{name}", path.display())),
        Form::Segmented => path.join(name),
    };
    let mut paths = directories(place);
    paths.extend(["new", "staging", "manifest", "manifest.new"].map(below));
    paths.extend(
        (0..200)
            .flat_map(|index| [format!("{index:010}.seg"), format!("{index:010}.seg.new")])
            .map(|name| below(&name)),
    );
    paths.push(path.clone());
    paths
}

/// The log that a worker left holds everything that it was told, and can be used.
fn check(place: &Place, run: &Run) {
    let what = &run.what;
    let mut ledger = Ledger::default();
    run.reports.iter().for_each(|report| ledger.note(report));
    let wal = place
        .open(quiet())
        .unwrap_or_else(|error| panic!("{what}: refused: {error}"));
    let found = Found::of(&wal).unwrap_or_else(|why| panic!("{what}: {why}"));
    if let Err(why) = ledger.check(ledger.all_survived(), &found) {
        panic!(
            "{what}: {why}; {} records were found; {:?}",
            found.len(),
            run.refusals()
        );
    }
    assert!(wal.verify().unwrap().is_intact(), "{what}");
    let mut expected = all(&wal);
    let data = payload(1, 500);
    expected.push(Entry(wal.append_and_sync(&data).unwrap(), data));
    wal.close().unwrap();
    assert_eq!(all(&place.open(quiet()).unwrap()), expected, "{what}");
}

/// After it was told that the log is broken, a worker is not told that anything went well, and can read.
fn assert_sticks(run: &Run) {
    let what = &run.what;
    assert!(
        run.ended,
        "{what}: it hangs or has died after {:?}",
        run.reports.last()
    );
    let broken = run
        .position("refused InDoubt")
        .into_iter()
        .chain(run.position("refused Poisoned"))
        .min();
    for report in &run.reports[broken.unwrap_or(run.reports.len())..] {
        let well = ["appended", "durable", "cut ", "closed"]
            .iter()
            .any(|word| report.starts_with(word));
        assert!(!well, "{what}: \"{report}\" after {:?}", run.refusals());
    }
    assert_eq!(run.position("unreadable"), None, "{what}: {:?}", run.reports);
}

/// A call that is changed, and what its caller has to be told.
struct Fault {
    call: &'static str,
    how: &'static str,
    /// Everything that goes wrong is told to somebody.
    heard: bool,
}

const fn fault(call: &'static str, how: &'static str, heard: bool) -> Fault {
    Fault { call, how, heard }
}

/// Changes the n-th call of each thread, with n growing until there is none; more of them with `WAL_TESTS_SCALE`.
fn sweep(faults: &[Fault], seeds: &[u64], paths: fn(&Place) -> Vec<PathBuf>, each: impl Fn(&Fault, &Run)) {
    if lacks_strace() {
        return;
    }
    let (mut runs, mut changed) = (0, 0);
    for (fault, form, &seed) in faults.iter().flat_map(|fault| {
        FORMS
            .into_iter()
            .flat_map(move |form| seeds.iter().map(move |seed| (fault, form, seed)))
    }) {
        let mut n = 1;
        loop {
            let place = Place::fast(form);
            let how = format!("{}:when={n}", fault.how);
            let tracing = Tracing {
                call: fault.call,
                paths: &paths(&place),
                how: &how,
            };
            let run = tracing.run("worker::uses_a_log_while_calls_fail", &place.path(), form, seed);
            runs += 1;
            changed += run.calls.len();
            each(fault, &run);
            check(&place, &run);
            if run.calls.is_empty() {
                // In one file nothing is ever unlinked.
                let none = form == Form::File && fault.call == "/^unlink";
                assert!(n > 1 || none, "{}: no call at all", run.what);
                break;
            }
            n += 1 + n / scale();
        }
    }
    let names: Vec<_> = faults
        .iter()
        .map(|fault| format!("{} {}", fault.call, fault.how))
        .collect();
    note(&format!("{}: {runs} runs, {changed} calls", names.join(", ")));
}

fn assert_heard(fault: &Fault, run: &Run) {
    assert_sticks(run);
    let told = run.refusals();
    // On a full disk, a file that is not complete is thrown away, and made again later; zeros ahead of the log are left out.
    let is_spared = |call: &String| {
        fault.how != "error=EIO" && (call.contains(".new>") || call.contains(r#", "\0\0\0\0\0\0\0\0"#))
    };
    if fault.heard && !run.calls.iter().all(is_spared) {
        assert!(!told.is_empty(), "{}: nobody hears of {:?}", run.what, run.calls);
    }
    assert!(told.is_empty() || !run.calls.is_empty(), "{}: {told:?}", run.what);
}

#[test]
fn whatever_flush_fails_is_heard_and_sticks() {
    // For a flush "full" is a failure like any other.
    let faults = [
        fault("fdatasync", "error=EIO", true),
        fault("fdatasync", "error=ENOSPC", true),
        // As after a close of the descriptor by somebody else.
        fault("fdatasync", "error=EBADF", true),
        fault("fsync", "error=EIO", true),
    ];
    sweep(&faults, &[QUIET, WITH_THREADS], everything, assert_heard);
}

/// When the log is made, and when it gets more segments.
#[test]
fn a_failed_flush_of_a_directory_is_heard_and_sticks() {
    let faults = [
        fault("fsync", "error=EIO", true),
        fault("fsync", "error=ENOSPC", true),
    ];
    sweep(&faults, &[QUIET, WITH_THREADS], directories, |fault, run| {
        assert_heard(fault, run);
        let opened = run.position("opened").is_some();
        let told = run.refusals();
        // What was being made then is not used. What a cut or closing removes has an error of its own, and fails nothing
        // else.
        let at = run.position("refused Io").unwrap_or(0);
        let by_cut = at > 0 && run.reports[at - 1].starts_with("cuts before");
        let by_close = run.reports[at..] == ["refused Io", "ended"];
        assert!(
            !opened
                || told.is_empty()
                || told.contains(&"Poisoned")
                || told == ["Io"] && (by_cut || by_close),
            "{}: {told:?}",
            run.what
        );
    });
}

#[test]
fn whatever_other_call_fails_is_heard_and_loses_nothing() {
    let faults = [
        fault("pwrite64", "error=EIO", true),
        fault("/^rename", "error=EIO", true),
        fault("ftruncate", "error=EIO", true),
        fault("fallocate", "error=EIO", false),
        fault("openat", "error=EIO", false),
        fault("openat", "error=EMFILE", false),
        fault("pread64", "error=EIO", false),
        fault("/^unlink", "error=EIO", false),
    ];
    sweep(&faults, &[QUIET], everything, assert_heard);
}

#[test]
fn a_call_that_finds_the_disk_full_loses_nothing() {
    let faults = [
        fault("pwrite64", "error=ENOSPC", true),
        fault("pwrite64", "error=EDQUOT", true),
        fault("fallocate", "error=ENOSPC", false),
        fault("/^rename", "error=ENOSPC", false),
        fault("openat", "error=ENOSPC", false),
    ];
    sweep(&faults, &[QUIET], everything, |fault, run| {
        assert_heard(fault, run);
        if fault.call == "pwrite64" {
            return;
        }
        let (told, opened) = (run.refusals(), run.position("opened").is_some());
        // A directory that cannot be opened is one that was not flushed. Files are opened for writing.
        let is_flush = |call: &String| call.contains("openat(") && !call.contains("O_RDWR");
        let expected: &[&str] = match (opened, run.calls.iter().any(is_flush)) {
            // A staging file that cannot be made for want of space says so.
            (false, _) if fault.call != "fallocate" => &["Io", "Full", "NoStagingSpace"],
            // What a log that has failed for good removes is an error of its own.
            (true, true) => &["Poisoned", "Io"],
            _ => &["Full"],
        };
        let as_expected = told.iter().all(|error| expected.contains(error));
        assert!(as_expected, "{}: {told:?} and not {expected:?}", run.what);
        let works_again = run.position("closed").is_some();
        assert!(
            works_again || expected != ["Full"],
            "{}: it works again",
            run.what
        );
    });
}

#[test]
fn a_process_that_is_killed_in_any_call_loses_nothing() {
    let calls = [
        "fdatasync",
        "fsync",
        "pwrite64",
        "fallocate",
        "ftruncate",
        "/^rename",
        "/^unlink",
    ];
    let faults = calls.map(|call| fault(call, "signal=KILL", false));
    sweep(&faults, &[QUIET], everything, |_, run| {
        assert_eq!(run.refusals(), Vec::<&str>::new(), "{}", run.what);
        assert_eq!(run.ended, run.calls.is_empty(), "{}", run.what);
    });
}

#[test]
fn nobody_hears_of_a_call_that_was_interrupted() {
    if lacks_strace() {
        return;
    }
    let calls = [
        "pwrite64",
        "pread64",
        "fallocate",
        "fdatasync",
        "fsync",
        "ftruncate",
    ];
    let interrupted = calls.map(|call| (call, "error=EINTR:when=1+2"));
    let unknown = ("fallocate", "error=EOPNOTSUPP");
    for ((call, how), form) in interrupted
        .into_iter()
        .chain([unknown])
        .flat_map(|call| FORMS.map(|form| (call, form)))
    {
        let place = Place::fast(form);
        let tracing = Tracing {
            call,
            paths: &everything(&place),
            how,
        };
        let run = tracing.run("worker::uses_a_log_while_calls_fail", &place.path(), form, QUIET);
        assert!(!run.calls.is_empty(), "{}", run.what);
        assert_eq!(run.refusals(), Vec::<&str>::new(), "{}", run.what);
        assert!(run.ended && run.position("closed").is_some(), "{}", run.what);
        check(&place, &run);
    }
}

/// A process that is being started has every descriptor of the one that starts it, for a moment, and with it the lock.
#[test]
fn a_closed_log_is_free_though_processes_are_being_started() {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
        }
        let opened = FORMS.map(|form| {
            let place = Place::fast(form);
            (0..100 * scale()).try_for_each(|_| place.open(quiet())?.close())
        });
        done.store(true, Ordering::Relaxed);
        assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    });
}
