//! A log that is new, or another one, beside staging memory that an older one has left: it is not its business.

use wal_db::Wal;
use wal_tests::{
    files::{FORMS, Place},
    payload, put, quiet,
};

use super::{dies, remove_but_staging};

/// Opens the log, checks how many records it has, and appends one; the log goes on without a word of damage.
fn goes_on(place: &Place, records: usize, what: &str) {
    let wal = place
        .open(quiet())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(wal.iter().unwrap().count(), records, "{what}");
    wal.append_and_sync(b"goes on").unwrap();
}

#[test]
fn a_log_that_is_made_anew_beside_the_staging_memory_of_an_older_one_opens_every_time() {
    for form in FORMS {
        for clean in [true, false] {
            let place = Place::new(form);
            if clean {
                let wal = place.open(quiet()).unwrap();
                wal.append_and_sync(&payload(1, 3000)).unwrap();
            } else {
                dies(&place, 3, 3);
            }
            remove_but_staging(&place);
            let what = format!("{form:?}, clean: {clean}");
            // In a directory, a manifest is missed where segments are; there are none here.
            if form == wal_tests::files::Form::Segmented {
                std::fs::rename(place.staging(), place.path().with_extension("kept")).unwrap();
                drop(place.open(quiet()).unwrap());
                std::fs::copy(place.path().with_extension("kept"), place.staging()).unwrap();
            }
            for opening in 0..3 {
                goes_on(&place, opening, &what);
            }
        }
    }
}

#[test]
fn a_log_that_died_at_once_after_it_was_made_anew_keeps_what_it_had() {
    let form = wal_tests::files::Form::File;
    let place = Place::new(form);
    dies(&place, 10, 0);
    remove_but_staging(&place);
    // Nothing of it was ever flushed: all of it is in staging memory.
    dies(&place, 0, 3);
    goes_on(&place, 3, "appended before the process died");
    goes_on(&place, 4, "and again");
}

#[test]
fn a_backup_that_is_copied_over_a_log_does_not_hear_of_the_memory_of_what_it_replaced() {
    for form in FORMS {
        for dead in [false, true] {
            let place = Place::new(form);
            let wal = place.open(quiet()).unwrap();
            (0..5).for_each(|i| drop(put(&wal, i, 100)));
            wal.close().unwrap();
            let backup = tempfile::tempdir().unwrap();
            copy(&place.path(), &backup.path().join("log"));
            if dead {
                dies(&place, 20, 7);
            } else {
                let wal = place.open(quiet()).unwrap();
                (0..20).for_each(|i| drop(put(&wal, i, 100)));
            }
            let kept = std::fs::read(place.staging()).unwrap();
            copy(&backup.path().join("log"), &place.path());
            std::fs::write(place.staging(), kept).unwrap();
            let what = format!("{form:?}, dead: {dead}");
            for opening in 0..3 {
                goes_on(&place, 5 + opening, &what);
            }
        }
    }
}

/// Replaces a file by another, or the files of a directory by another's.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    if from.is_dir() {
        let _ = std::fs::remove_dir_all(to);
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    } else {
        std::fs::copy(from, to).unwrap();
    }
}

#[test]
fn the_memory_of_another_opening_of_the_same_log_is_left_out() {
    for form in FORMS {
        let place = Place::new(form);
        dies(&place, 2, 2);
        let older = std::fs::read(place.staging()).unwrap();
        let wal = place.open(quiet()).unwrap();
        assert_eq!(wal.iter().unwrap().count(), 4, "{form:?}");
        wal.close().unwrap();
        dies(&place, 1, 1);
        std::fs::write(place.staging(), older).unwrap();
        let wal: Wal = place.open(quiet()).unwrap();
        assert_eq!(wal.iter().unwrap().count(), 5, "{form:?}: what was durable");
        let report = wal.recovery();
        assert!(report.staging_ignored && !report.clean, "{form:?}: {report:?}");
    }
}
