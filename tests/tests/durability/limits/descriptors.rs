//! A limit of 64 descriptors, real files, and segments as small as they get.

use std::process::Command;

use wal_db::WalConfig;
use wal_tests::{
    child::{Reporter, command, open_here},
    files::{Form, Place, SEGMENT},
    note, payload, within,
};

/// Runs a role under the limit; returns what it reported.
fn under_the_limit(role: &str, place: &Place) -> String {
    let child = command(role, place);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("ulimit -n 64; exec \"$0\" \"$@\"");
    limited.arg(child.get_program()).args(child.get_args());
    for (key, value) in child.get_envs() {
        limited.env(key, value.unwrap());
    }
    let output = limited.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (_, report) = text.split_once("report: ").expect("a report");
    report.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_burst_through_small_segments_needs_few_descriptors() {
    if !cfg!(target_os = "linux") {
        return note("skipped: needs /proc");
    }
    let place = Place::new(Form::Segmented);
    let most: usize = under_the_limit("limits::descriptors::appends_a_burst", &place)
        .parse()
        .unwrap();
    // What the harness has open, the manifest, the directory, the staging file, and the segments.
    assert!(most < 56, "{most} descriptors");
}

#[test]
fn a_log_of_many_small_segments_opens_under_the_limit() {
    if !cfg!(target_os = "linux") {
        return note("skipped: needs /proc");
    }
    let place = Place::new(Form::Segmented);
    under_the_limit("limits::descriptors::appends_a_burst", &place);
    let read = under_the_limit("limits::descriptors::reads_it_all", &place);
    assert_eq!(read, RECORDS.to_string());
}

/// In 300 segments.
const RECORDS: usize = 300 * SEGMENT as usize / LEN;
const LEN: usize = 6000;

#[test]
#[ignore = "the process of a_burst_through_small_segments_needs_few_descriptors"]
fn appends_a_burst() {
    let most = within("appending a burst", || {
        let wal = open_here(WalConfig::new());
        let mut most = 0;
        for i in 0..RECORDS {
            wal.append(&payload(i, LEN)).unwrap();
            if i % 10 == 0 {
                most = most.max(std::fs::read_dir("/proc/self/fd").unwrap().count());
            }
        }
        wal.sync().unwrap();
        most = most.max(std::fs::read_dir("/proc/self/fd").unwrap().count());
        wal.close().unwrap();
        most
    });
    Reporter::new().report(&most.to_string());
}

#[test]
#[ignore = "the process of a_log_of_many_small_segments_opens_under_the_limit"]
fn reads_it_all() {
    let read = within("reading it all", || {
        let wal = open_here(WalConfig::new());
        let mut read = 0;
        for (i, record) in wal.iter().unwrap().enumerate() {
            assert!(record.unwrap().data() == payload(i, LEN), "record {i}");
            read += 1;
        }
        assert!(wal.verify().unwrap().is_intact());
        read
    });
    Reporter::new().report(&read.to_string());
}
