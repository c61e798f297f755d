//! What a log keeps two copies of is whole when one of them is damaged, and `verify` says that it lives on one.

use std::fs;

use wal_db::{Wal, recovery::Copied};
use wal_tests::{
    files::{FORMS, Form, Place, SLOT},
    put, quiet,
};

/// A closed log with a table of cuts.
fn log(form: Form) -> Place {
    let place = Place::fast(form);
    let wal = place.open(quiet().with_timeline_entries(8)).unwrap();
    for seed in 0..20 {
        let kept = put(&wal, seed, 100);
        put(&wal, seed, 100);
        wal.truncate_after(kept.0).unwrap();
    }
    assert!(wal.verify().unwrap().copies.is_empty(), "{form:?}, open");
    wal.close().unwrap();
    place
}

fn found(place: &Place) -> Vec<(Copied, usize)> {
    let report = Wal::open_read_only(place.path()).unwrap().verify().unwrap();
    assert!(report.is_intact() && report.records == 20, "{report:?}");
    report.copies.iter().map(|fault| (fault.of, fault.copy)).collect()
}

#[test]
fn a_log_that_lives_on_one_copy_of_two_says_so() {
    for form in FORMS {
        let place = log(form);
        assert_eq!(found(&place), [], "{form:?}");
        for copy in 0..2 {
            let place = place.killed();
            let mut bytes = fs::read(place.manifest()).unwrap();
            bytes[(copy as u64 * SLOT) as usize + 30] ^= 4;
            fs::write(place.manifest(), bytes).unwrap();
            assert_eq!(found(&place), [(Copied::Manifest, copy)], "{form:?}");
            place.open(quiet()).unwrap().close().unwrap();
            assert_eq!(found(&place), [], "{form:?}, opened again");
        }
        for copy in 0..2 {
            let path = match form {
                Form::File => place.root().join(format!("log.cuts-{copy}")),
                Form::Segmented => place.path().join(format!("cuts-{copy}")),
            };
            let bytes = fs::read(&path).unwrap();
            let mut damaged = bytes.clone();
            damaged[40] ^= 1;
            for bad in [&damaged[..], &[], &bytes[..bytes.len() - 1]] {
                fs::write(&path, bad).unwrap();
                assert_eq!(
                    found(&place),
                    [(Copied::Cuts, copy)],
                    "{form:?}, {} bytes",
                    bad.len()
                );
            }
            fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(found(&place), [], "{form:?}, mended");
    }
}
