//! What is mapped for a log goes with it.

use wal_tests::{
    child::{Reporter, open_here},
    files::{Form, Place},
    note, quiet,
};

use super::{reports, run_after};

/// How much of this process a forked child finds zero.
fn wiped() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let (mut size, mut sum) = (0, 0);
    for line in maps.lines() {
        if let Some(text) = line.strip_prefix("Size:") {
            let number = text.trim().strip_suffix(" kB").unwrap();
            size = number.parse::<u64>().unwrap();
        }
        if line.starts_with("VmFlags:") && line.split(' ').any(|flag| flag == "wf") {
            sum += size;
        }
    }
    sum
}

#[test]
fn a_log_that_is_closed_leaves_nothing_mapped() {
    let place = Place::fast(Form::File);
    let output = run_after("true", "mappings::opens_and_closes", &place);
    assert_eq!(reports(&output, "opening")[..], ["ended"]);
}

#[test]
#[ignore = "the process of a_log_that_is_closed_leaves_nothing_mapped"]
fn opens_and_closes() {
    let reporter = Reporter::new();
    drop(open_here(quiet()));
    // One page stays, which tells this process from its children.
    let before = wiped();
    if before == 0 {
        note("skipped: the system does not say what a forked child finds zero");
    }
    (0..20).for_each(|_| drop(open_here(quiet())));
    assert_eq!(wiped(), before);
    reporter.report("ended");
}
