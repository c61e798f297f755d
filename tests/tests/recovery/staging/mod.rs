//! Staging memory of every state, from every log, in every place: what is this log's and of its last opening counts,
//! anything else is left out or refused, and what is missing is reported.

mod claims;
mod following;
mod foreign;
#[cfg(target_os = "linux")]
mod growth;
mod known;
mod lost;
mod pages;
mod stale;
mod unmapped;
mod waiting;

use std::os::unix::process::ExitStatusExt;

use wal_tests::{
    child::{Process, command, open_here, told},
    files::{Form, Place},
    put, quiet,
};

/// Removes the log and leaves its staging memory where it is.
pub(crate) fn remove_but_staging(place: &Place) {
    match place.form {
        Form::File => std::fs::remove_file(place.path()).unwrap(),
        Form::Segmented => {
            for entry in std::fs::read_dir(place.path()).unwrap() {
                let path = entry.unwrap().path();
                if path != place.staging() {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
    }
}

/// A process that opens the log, appends so many records and syncs, appends some more, and dies.
pub(crate) fn dies(place: &Place, durable: usize, staged: usize) {
    let mut command = command("staging::dies_here", place);
    command.env("WAL_TESTS_COUNTS", format!("{durable} {staged}"));
    assert_eq!(
        Process::of(command).wait().unwrap().signal(),
        Some(6),
        "it aborts"
    );
}

#[test]
#[ignore = "run by the others, in a process of its own"]
fn dies_here() {
    let counts: Vec<usize> = told("WAL_TESTS_COUNTS")
        .split(' ')
        .map(|count| count.parse().unwrap())
        .collect();
    let wal = open_here(quiet());
    (0..counts[0]).for_each(|i| drop(put(&wal, i, 100)));
    wal.sync().unwrap();
    (0..counts[1]).for_each(|i| drop(put(&wal, i, 100)));
    std::process::abort();
}
