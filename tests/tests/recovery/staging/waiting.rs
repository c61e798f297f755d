//! A caller that makes a log durable waits for appends that are under way, and lets them have the processor.

use std::sync::mpsc;

use wal_db::Wal;
use wal_tests::{
    files::{Form, Place},
    quiet, within,
};

/// How often a thread of this process has gone to sleep. Giving the processor away, to threads of the same priority only,
/// does not count.
fn sleeps(thread: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.unwrap().trim().parse().unwrap()
}

/// The number of the thread that asks.
fn this_thread() -> String {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn whoever_waits_for_a_long_append_sleeps() {
    if !std::path::Path::new("/proc/thread-self").exists() {
        wal_tests::note("skipped: nothing tells how often a thread sleeps");
        return;
    }
    within("a sync beside a long append", || {
        let place = Place::fast(Form::File);
        let wal = place.open(quiet()).unwrap();
        let (claimed, go) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let other: Wal = wal.clone();
        let syncing = std::thread::spawn(move || {
            go.recv().unwrap();
            tell.send(this_thread()).unwrap();
            other.sync()
        });
        wal.append_in_place(100, |bytes| {
            claimed.send(()).unwrap();
            let thread = told.recv().unwrap();
            let before = sleeps(&thread);
            while sleeps(&thread) < before + 20 {
                std::thread::yield_now();
            }
            bytes.fill(1);
        })
        .unwrap();
        syncing.join().unwrap().unwrap();
        wal.close().unwrap();
    });
}
