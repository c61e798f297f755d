//! When the pages of staging memory are made ready.

use wal_db::{WalConfig, store::StagingInUse};
use wal_tests::{
    assert_is,
    child::{Process, Reporter, command, open_here, reports, told},
    files::{Form, Place},
    put, quiet,
};

/// How many bytes of staging memory this process has.
fn resident(staging: &str) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut of_staging = maps.lines().skip_while(|line| !line.ends_with(staging));
    let resident = of_staging.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    resident
        .trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Whether the preparer waits for something to do.
fn preparer_rests() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads.map(|thread| thread.unwrap().path()).any(|thread| {
        let stat = std::fs::read_to_string(thread.join("stat")).unwrap_or_default();
        stat.contains("(wal-preparer) S")
    })
}

#[test]
fn a_log_that_is_only_read_makes_no_pages_ready_that_it_does_not_use() {
    if !std::path::Path::new("/proc/self/smaps").exists() {
        wal_tests::note("skipped: nothing tells how much of a mapping is resident");
        return;
    }
    let place = Place::fast(Form::File);
    let wal = place.open(quiet()).unwrap();
    put(&wal, 0, 100);
    wal.close().unwrap();
    let mut command = command("staging::pages::reads_and_appends_here", &place);
    command.env("WAL_TESTS_STAGING", place.staging());
    let mut child = Process::of(command);
    let heard: Vec<String> = reports(&mut child).collect();
    assert!(child.wait().unwrap().success(), "{heard:?}");
    assert_eq!(heard, ["a part while it is read", "all after an append"]);
}

#[test]
#[ignore = "run by the other, in a process of its own"]
fn reads_and_appends_here() {
    let (staging, reporter) = (told("WAL_TESTS_STAGING"), Reporter::new());
    let wal = open_here(WalConfig::new());
    assert_is!(wal.status().staging, Some(StagingInUse::Mapped));
    assert_eq!(wal.iter().unwrap().count(), 1);
    while !preparer_rests() {
        std::thread::yield_now();
    }
    let capacity = 8 << 20;
    if resident(&staging) < 128 << 10 {
        wal_tests::note("skipped: the system makes no pages ready in advance");
        reporter.report("a part while it is read");
        reporter.report("all after an append");
        return;
    }
    assert!(resident(&staging) < capacity / 8, "{} bytes", resident(&staging));
    reporter.report("a part while it is read");
    wal.append_and_sync(b"first").unwrap();
    while resident(&staging) < capacity {
        std::thread::yield_now();
    }
    reporter.report("all after an append");
}
