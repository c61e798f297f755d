//! Real processes: what `append` returned survives `abort`, a second process is locked out for as long as the first one
//! lives, and a disk that is full by a limit of the system is a `Full` that passes. SIGKILL is the subject of `kills`.

use std::{
    os::unix::process::ExitStatusExt,
    process::Command,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
};

use wal_db::{Wal, WalError, recovery::writer};
use wal_tests::{
    all, assert_is,
    child::{Process, Reporter, command, open_here, reports},
    files::{FORMS, Form, Place, assert_same_files},
    note, quiet, within,
};

const THREADS: u64 = 4;

// ---- the parent -------------------------------------------------------------------------------------------------

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

#[test]
fn an_abort_inside_append_with_loses_nothing_of_the_other_threads() {
    for form in FORMS {
        let place = Place::new(form);
        let mut child = Process::of(command("process::aborts_inside_append_in_place", &place));
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

/// A process that has the log open.
fn holder(place: &Place) -> Process {
    let mut child = Process::of(command("process::holds_the_log", place));
    assert_eq!(reports(&mut child).next().as_deref(), Some("holds"));
    child
}

#[test]
fn a_second_process_is_locked_out_and_changes_nothing() {
    for form in FORMS {
        let place = Place::new(form);
        let mut child = holder(&place);
        let before = place.bytes();
        for _ in 0..2 {
            match place.open(quiet()) {
                Err(error @ WalError::Locked { .. }) => names(&error, &place, &child),
                other => panic!("{form:?}: {other:?}"),
            }
        }
        assert_same_files(&before, &place.bytes(), "a second process");
        // Reading is not locked out.
        assert!(Wal::open_read_only(place.path()).is_ok());
        // Nor does a lock outlive its process.
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(writer(place.path()), None);
        let wal = place.open(quiet()).unwrap();
        assert_eq!(all(&wal).len(), 1, "{form:?}");
    }
}

/// The error says which process has the log, where the system tells.
fn names(error: &WalError, place: &Place, child: &Process) {
    let WalError::Locked { path, holder, .. } = error else {
        panic!("{error:?}");
    };
    assert!(path.starts_with(place.root()));
    assert_eq!(&writer(place.path()), holder);
    if cfg!(target_os = "linux") {
        assert_eq!(holder.as_ref().map(|holder| holder.pid), Some(child.id()));
        assert!(
            error
                .to_string()
                .contains(&format!("by process {} (", child.id()))
        );
    }
}

/// A holder that does not run is still the holder: nobody can know what it does when it goes on.
#[test]
#[cfg(target_os = "linux")] // which tells when a process has stopped
fn a_stopped_process_keeps_the_lock_until_it_is_killed() {
    for form in FORMS {
        let place = Place::new(form);
        let mut child = holder(&place);
        signal(&child, "STOP");
        let status = format!("/proc/{}/stat", child.id());
        within("a process that is told to stop", move || {
            let is_stopped = || std::fs::read_to_string(&status).unwrap().contains(") T ");
            while !is_stopped() {
                std::thread::yield_now();
            }
        });
        let before = place.bytes();
        for _ in 0..2 {
            assert_is!(place.open(quiet()), Err(WalError::Locked { .. }), "{form:?}");
        }
        assert_same_files(&before, &place.bytes(), "a second process");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(all(&place.open(quiet()).unwrap()).len(), 1, "{form:?}");
    }
}

#[cfg(target_os = "linux")]
fn signal(child: &std::process::Child, name: &str) {
    let command = format!("kill -{name} {}", child.id());
    let status = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(status.success(), "{command}");
}

#[test]
fn a_file_that_may_not_grow_is_full_and_works_again_later() {
    let tools = Command::new("prlimit").arg("--version").output().is_ok();
    if !cfg!(target_os = "linux") || !tools {
        note("skipped: needs Linux and prlimit");
        return;
    }
    let place = Place::new(Form::File);
    let child = command("process::fills_its_limit", &place);
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

fn append_named(wal: &Wal, reporter: &Reporter, round: u64, thread: u64, count: u64) {
    let content = content(round, thread, count);
    // All the ways to append; a batch of one is a batch.
    match count % 4 {
        0 => drop(wal.append_batch(&[content]).unwrap()),
        1 => drop(
            wal.append_in_place(content.len(), |space| space.copy_from_slice(&content))
                .unwrap(),
        ),
        _ => drop(wal.append(&content).unwrap()),
    }
    reporter.report(&format!("appended {round} {thread} {count}"));
}

#[test]
#[ignore = "the process of an_abort_inside_append_with_loses_nothing_of_the_other_threads"]
fn aborts_inside_append_in_place() {
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
        let _ = wal.append_in_place(500, |space| {
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
        assert_is!(refused, Some(WalError::Full { .. }));
        let tail = wal.end().get();
        assert_is!(append(&wal), Err(WalError::Full { .. }));
        assert_is!(wal.append(&[1; 100_000]), Err(WalError::Full { .. }));
        assert_eq!((wal.end().get(), wal.status().failure), (tail, None));
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
