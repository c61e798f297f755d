//! Staging memory that is gone: what was only there is lost, and that is said.

use wal_db::Wal;
use wal_tests::{
    files::{FORMS, Place},
    lsns_of, quiet,
};

use super::dies;

#[test]
fn staging_memory_that_is_gone_after_a_death_is_reported() {
    for form in FORMS {
        let place = Place::new(form);
        dies(&place, 2, 100);
        std::fs::remove_file(place.staging()).unwrap();
        let wal = place.open(quiet()).unwrap();
        let report = wal.recovery();
        assert!(report.staging_missing && !report.clean, "{form:?}: {report:?}");
        assert_eq!(wal.iter().unwrap().count(), 2, "{form:?}: what was durable");
        wal.close().unwrap();
        // It is said once, and a log that was closed needs none.
        std::fs::remove_file(place.staging()).unwrap();
        let wal = place.open(quiet()).unwrap();
        let report = wal.recovery();
        assert!(!report.staging_missing && report.clean, "{form:?}: {report:?}");
    }
}

#[test]
fn a_log_without_mapped_memory_misses_none() {
    for form in FORMS {
        let place = Place::new(form);
        let config = quiet().with_staging(wal_db::Staging::WriteThrough);
        let wal: Wal = place.open(config).unwrap();
        wal.append(b"written").unwrap();
        // The log is left as a killed process leaves it.
        let image = tempfile::tempdir().unwrap();
        let copy = image.path().join("log");
        if place.path().is_dir() {
            std::fs::create_dir(&copy).unwrap();
            for entry in std::fs::read_dir(place.path()).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
            }
            let found = Wal::open_segmented_with(&copy, 1 << 20, quiet()).unwrap();
            assert!(!found.recovery().staging_missing, "{form:?}");
        } else {
            std::fs::copy(place.path(), &copy).unwrap();
            let found = Wal::open_with(&copy, quiet()).unwrap();
            assert!(!found.recovery().staging_missing, "{form:?}");
        }
    }
}

#[test]
fn staged_records_behind_a_cut_at_damage_are_kept_aside_and_counted() {
    for form in FORMS {
        let place = Place::new(form);
        dies(&place, 5, 50);
        // The last durable record is damaged: opening cuts there if it is told to.
        let offset = match form {
            wal_tests::files::Form::File => 2 * (64 << 10) + 4096,
            wal_tests::files::Form::Segmented => 4096,
        };
        let path = match form {
            wal_tests::files::Form::File => place.path(),
            wal_tests::files::Form::Segmented => place.segment(0),
        };
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[offset + 200] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(place.open(quiet()).is_err(), "{form:?}: refused by default");
        let config = quiet().with_open_policy(wal_db::OpenPolicy::TruncateAtDamage);
        let wal = place.open(config).unwrap();
        let report = wal.recovery();
        assert_eq!(report.staged_cut, 50, "{form:?}: {report:?}");
        let cut = report.cut.as_ref().expect("what was cut is kept");
        let kept = std::fs::read(cut.kept_at.as_ref().unwrap()).unwrap();
        let record = wal_tests::payload(49, 100);
        assert!(
            kept.windows(record.len()).any(|bytes| bytes == record),
            "{form:?}: the last staged record is in no file"
        );
    }
}

#[test]
fn a_page_of_staging_memory_that_is_gone_is_a_hole_that_is_reported() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let lsns: Vec<_> = (0..400_u16)
            .map(|n| wal.append(&[n as u8; 56]).unwrap())
            .collect();
        let killed = place.killed();
        let mut bytes = std::fs::read(killed.staging()).unwrap();
        // The header has a page of its own, and the log is new: positions are places in the memory.
        bytes[4096 + 8192..4096 + 12288].fill(0);
        std::fs::write(killed.staging(), bytes).unwrap();
        let found = killed.open(quiet()).unwrap();
        let read = lsns_of(found.iter());
        let report = found.recovery();
        assert!(
            read.len() < lsns.len() && report.void_bytes >= 4096,
            "{form:?}: {report:?}"
        );
        assert!(
            lsns.len() - read.len() <= 66,
            "{form:?}: no more than the page: {}",
            read.len()
        );
        assert!(read.contains(&lsns[0]) && read.contains(&lsns[399]), "{form:?}");
        drop(wal);
    }
}
