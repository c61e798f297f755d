//! A limit on how long files may be (`ulimit -f`). A write beyond it gets a signal that ends the process, unless
//! that is ignored: a log asks before.

use std::io::ErrorKind;

use wal_db::{Retention, Wal, WalConfig, WalError};
use wal_tests::{
    all, assert_is,
    child::{Reporter, told, told_form, try_open_here},
    files::{FORMS, Form, Place, SEGMENT},
    put, quiet,
};

use super::{reports, run_after};

/// In sectors, as a shell counts.
const LIMITS: [u64; 6] = [16, 300, 1_500, 3_000, 10_000, 20_000];

fn limited(sectors: u64, role: &str, place: &Place) -> Vec<String> {
    let what = format!("{role}, {:?}, {sectors} sectors", place.form);
    reports(&run_after(&format!("ulimit -f {sectors}"), role, place), &what)
}

#[test]
fn a_log_under_a_limit_on_the_length_of_files_is_full_and_nobody_dies() {
    for (form, sectors) in FORMS
        .iter()
        .flat_map(|&form| LIMITS.map(|sectors| (form, sectors)))
    {
        let place = Place::new(form);
        let reports = limited(sectors, "lengths::appends_until_it_is_refused", &place);
        let what = format!("{form:?}, {sectors} sectors: {reports:?}");
        match reports[0].strip_prefix("appended ") {
            Some(count) => {
                assert_eq!(reports[1..], ["ended"], "{what}");
                let wal = place.open(quiet()).unwrap();
                assert_eq!(all(&wal).len(), count.parse::<usize>().unwrap(), "{what}");
                put(&wal, 0, 100_000);
            }
            // There is no space for staging memory.
            None => assert!(sectors < 1_032, "{what}"),
        }
    }
}

#[test]
fn a_log_that_is_longer_than_the_limit_takes_nothing_and_can_be_read() {
    for form in FORMS {
        for is_closed in [true, false] {
            let place = Place::new(form);
            let config = quiet().with_staging_bytes(64 << 10);
            let wal = place.open(config).unwrap();
            (0..60).for_each(|i| drop(put(&wal, i, 100_000)));
            wal.sync().unwrap();
            put(&wal, 60, 1000);
            let killed = place.killed();
            wal.close().unwrap();
            let place = if is_closed { place } else { killed };
            let reports = limited(1_000, "lengths::goes_on", &place);
            let what = format!("{form:?}, closed: {is_closed}: {reports:?}");
            match (form, is_closed) {
                (Form::File, true) => assert_eq!(reports, ["full: FileTooLarge", "ended"], "{what}"),
                // There is no space for the record that was staged; it is not lost.
                (Form::File, false) => assert_eq!(reports, ["not opened: FileTooLarge"], "{what}"),
                // Segments are shorter than the limit.
                (Form::Segmented, _) => assert_eq!(reports, ["appended", "ended"], "{what}"),
            }
            let wal = place.open(config).unwrap();
            let appended = usize::from(form == Form::Segmented);
            assert_eq!(all(&wal).len(), 61 + appended, "{what}");
        }
    }
}

#[test]
fn where_the_beginning_of_a_long_log_was_no_segment_is_made_again() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet().with_staging_bytes(64 << 10)).unwrap();
    let entries: Vec<_> = (0..60).map(|i| put(&wal, i, 100_000)).collect();
    wal.truncate_before(entries[50].0).unwrap();
    wal.close().unwrap();
    let first = || wal_db::recovery::inspect(place.path()).unwrap().segments[0].index;
    let before = first();
    assert!(before * SEGMENT > 1_000 * 512, "the head is after the limit");
    let reports = limited(1_000, "lengths::appends_one", &place);
    assert_eq!((&reports[..], first()), (&["ended".to_owned()][..], before));
}

#[test]
fn a_copy_that_would_be_longer_than_the_limit_is_refused_and_nothing_is_left_of_it() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet().with_staging_bytes(64 << 10)).unwrap();
    (0..60).for_each(|i| drop(put(&wal, i, 100_000)));
    wal.close().unwrap();
    let reports = limited(1_000, "lengths::copies", &place);
    assert_eq!(reports, ["FileTooLarge", "ended"]);
    assert!(!place.root().join("copy").exists());
}

fn full(error: WalError) -> String {
    match error {
        WalError::Full { kind, .. } => format!("full: {kind:?}"),
        WalError::Io { source, .. } => format!("not opened: {:?}", source.kind()),
        other => format!("refused: {other}"),
    }
}

#[test]
#[ignore = "a process of a_log_under_a_limit_on_the_length_of_files_is_full_and_nobody_dies"]
fn appends_until_it_is_refused() {
    let reporter = Reporter::new();
    let path = told("WAL_TESTS_PATH");
    let config = WalConfig::new().with_staging_bytes(1 << 20);
    let opened = match told_form() {
        Form::File => Wal::open_with(path, config),
        Form::Segmented => Wal::open_segmented_with(path, 64 << 20, config),
    };
    let wal = match opened {
        Ok(wal) => wal,
        Err(error) => return reporter.report(&format!("not opened: {error}")),
    };
    // Far more than any of the limits; then as much as there is space for, of the shortest.
    let mut refused = Vec::new();
    for len in [10_000, 0] {
        let record = vec![7; len];
        refused.push((0..1_000_000).find_map(|_| wal.append(&record).err()).unwrap());
    }
    for error in refused {
        assert_is!(
            error,
            WalError::Full {
                kind: ErrorKind::FileTooLarge,
                ..
            }
        );
    }
    wal.sync().unwrap();
    let count = all(&wal).len();
    reporter.report(&format!("appended {count}"));
    wal.close().unwrap();
    reporter.report("ended");
}

#[test]
#[ignore = "a process of a_log_that_is_longer_than_the_limit_takes_nothing_and_can_be_read"]
fn goes_on() {
    let reporter = Reporter::new();
    let wal = match try_open_here(quiet().with_staging_bytes(64 << 10)) {
        Ok(wal) => wal,
        Err(error) => return reporter.report(&full(error)),
    };
    reporter.report(&match wal.append(&[1; 10_000]) {
        Ok(_) => "appended".to_owned(),
        Err(error) => full(error),
    });
    assert!(all(&wal).len() >= 61);
    wal.retain(&Retention::new().with_max_bytes(1 << 40)).unwrap();
    wal.verify().unwrap();
    let _ = wal.close();
    reporter.report("ended");
}

#[test]
#[ignore = "the process of where_the_beginning_of_a_long_log_was_no_segment_is_made_again"]
fn appends_one() {
    let reporter = Reporter::new();
    let wal = try_open_here(quiet().with_staging_bytes(64 << 10)).unwrap();
    put(&wal, 60, 100_000);
    wal.close().unwrap();
    reporter.report("ended");
}

#[test]
#[ignore = "a process of a_copy_that_would_be_longer_than_the_limit_is_refused_and_nothing_is_left_of_it"]
fn copies() {
    let reporter = Reporter::new();
    let path = std::path::PathBuf::from(told("WAL_TESTS_PATH"));
    let wal = Wal::open_read_only(&path).unwrap();
    reporter.report(&match wal.backup_to(path.with_file_name("copy")) {
        Ok(_) => "copied".to_owned(),
        Err(WalError::Io { source, .. }) => format!("{:?}", source.kind()),
        Err(other) => format!("{other:?}"),
    });
    reporter.report("ended");
}
