//! Bytes and files of a log are damaged, in a smaller one every byte is, in every way there is. Whatever is read afterwards is what was
//! written, or an error says where the damage is, and nothing has changed.
//!
//! What the log went through is in [`image`], what has to be true of it, and the exceptions, in [`judge`], what is done
//! to it in [`bytes`] and [`files`]. In [`small`] no byte is left out.

mod bytes;
mod files;
mod image;
mod judge;
mod small;

use wal_tests::{files::Form, note, seed};

use self::{
    image::{Image, LEFT, Left},
    judge::Tally,
};

fn bytes_of(form: Form, left: &[Left], least: u64) {
    for &left in left {
        let tally = bytes::sweep(&Image::new(form, left));
        note(&format!(
            "bytes, {form:?}, {left:?}, WAL_TESTS_SEED={}: {tally:?}",
            seed()
        ));
        assert!(tally.cases >= least, "{tally:?}");
    }
}

#[test]
fn every_byte_of_a_closed_log_in_segments() {
    bytes_of(Form::Segmented, &[Left::Closed, Left::ClosedBare], 150);
}

#[test]
fn every_byte_of_a_crashed_log_in_segments() {
    bytes_of(
        Form::Segmented,
        &[Left::Killed, Left::Rebooted, Left::Bare, Left::Synced],
        150,
    );
}

#[test]
fn every_byte_of_a_closed_log_in_one_file() {
    bytes_of(Form::File, &[Left::Closed, Left::ClosedBare], 150);
}

#[test]
fn every_byte_of_a_crashed_log_in_one_file() {
    bytes_of(
        Form::File,
        &[Left::Killed, Left::Rebooted, Left::Bare, Left::Synced],
        150,
    );
}

fn files_of(form: Form, least: u64) {
    let mut all = Tally::default();
    for left in LEFT {
        let tally = files::sweep(&Image::new(form, left), &Image::new(form, left));
        note(&format!("files, {form:?}, {left:?}: {tally:?}"));
        all += tally;
    }
    assert!(all.cases >= least, "{all:?}");
}

#[test]
fn every_file_of_a_log_in_segments() {
    files_of(Form::Segmented, 1500);
}

#[test]
fn every_file_of_a_log_in_one_file() {
    files_of(Form::File, 1000);
}
