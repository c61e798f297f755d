//! Claims in staging memory that were never published.

use std::os::unix::fs::FileExt;

use wal_tests::{
    all,
    files::{FORMS, GROUP_HEADER, Place},
    put, quiet,
};

/// Where the ring starts in the staging file, and how long it is with [`quiet`].
const RING: (u64, u64) = (4096, 1 << 20);

#[test]
fn a_claim_of_which_nothing_was_stored_is_void_and_what_comes_after_it_is_kept() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let mut entries: Vec<_> = (0..3).map(|seed| put(&wal, seed, 100)).collect();
        let dead = place.killed();
        let (at, len) = (entries[1].0.get() + GROUP_HEADER, 112);
        let staging = std::fs::OpenOptions::new()
            .write(true)
            .open(dead.staging())
            .unwrap();
        staging.write_all_at(&vec![0; len], RING.0 + at % RING.1).unwrap();
        let wal = dead.open(quiet()).unwrap();
        entries.remove(1);
        assert_eq!(all(&wal), entries, "{form:?}");
        assert_eq!(wal.recovery().void_bytes, len as u64, "{form:?}");
        assert!(!wal.recovery().clean, "{form:?}");
    }
}
