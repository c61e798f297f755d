//! A file of somebody else under the name of staging memory: the log is refused, and the file is as it was.

use wal_db::{Wal, WalError};
use wal_tests::{
    assert_is,
    files::{FORMS, Place},
    payload, quiet,
};

#[test]
fn a_foreign_file_at_the_place_of_staging_memory_is_never_touched() {
    for form in FORMS {
        for existing in [true, false] {
            if !existing && form == wal_tests::files::Form::Segmented {
                // A directory with somebody else's file in it is no place for a new log at all.
                continue;
            }
            let place = Place::new(form);
            if existing {
                place.open(quiet()).unwrap().append(b"here").unwrap();
                let _ = std::fs::remove_file(place.staging());
            }
            for content in [b"somebody's letters".to_vec(), vec![7; 100_000]] {
                std::fs::write(place.staging(), &content).unwrap();
                let refused = place.open(quiet());
                match &refused {
                    Err(WalError::NotALog { path, .. }) => assert_eq!(*path, place.staging(), "{form:?}"),
                    other => panic!("{form:?}, existing: {existing}: {other:?}"),
                }
                assert_eq!(std::fs::read(place.staging()).unwrap(), content, "{form:?}");
                std::fs::remove_file(place.staging()).unwrap();
            }
            let wal = place.open(quiet()).unwrap();
            assert_eq!(wal.iter().unwrap().count(), usize::from(existing), "{form:?}");
        }
    }
}

#[test]
fn a_log_that_is_named_like_the_staging_memory_of_another_one_is_not_destroyed_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, beside) = (dir.path().join("x"), dir.path().join("x.staging"));
    let named = Wal::open_with(&beside, quiet()).unwrap();
    named.append_and_sync(b"mine").unwrap();
    assert_is!(Wal::open_with(&path, quiet()), Err(WalError::NotALog { .. }));
    named.append_and_sync(b"still mine").unwrap();
    named.close().unwrap();
    assert_eq!(
        Wal::open_with(&beside, quiet()).unwrap().iter().unwrap().count(),
        2
    );
    assert!(!path.exists(), "nothing was made");
}

/// A header may say anything: what is read and taken is bounded by whose it is, and by what is there.
#[test]
fn a_header_that_promises_a_huge_ring_costs_nothing() {
    for capacity in [1u64 << 30, 1 << 40, 1 << 62] {
        let place = Place::new(wal_tests::files::Form::File);
        place.open(quiet()).unwrap().append(&payload(1, 10)).unwrap();
        let mut bytes = std::fs::read(place.staging()).unwrap();
        bytes.truncate(4096);
        bytes[44] = 0;
        bytes[48..56].copy_from_slice(&capacity.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(place.staging(), &bytes).unwrap();
        // A sparse file: reading it all would be felt.
        let file = std::fs::File::options()
            .write(true)
            .open(place.staging())
            .unwrap();
        file.set_len(4096 + capacity.min(1 << 36)).unwrap();
        let wal = place.open(quiet()).unwrap();
        assert_eq!(wal.iter().unwrap().count(), 1, "{capacity}");
    }
}
