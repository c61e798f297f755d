//! A log can be opened without end: what the timeline forgets of old openings takes nothing away.

use wal_db::{MemStore, Wal};
use wal_tests::{quiet_heap, scale};

use super::kinds::{Counted, counted, numbers};

/// More than the timeline of a manifest has room for.
const OPENINGS: u64 = 2_100;

#[test]
fn a_typed_log_that_was_opened_two_thousand_times_is_read_and_appended_to() {
    let store = MemStore::new();
    let openings = OPENINGS * u64::from(scale());
    for i in 0..openings {
        let wal = Wal::with_store_and_config(store.clone(), quiet_heap()).unwrap();
        let log = wal
            .typed::<Counted>()
            .unwrap_or_else(|error| panic!("opening {i}: {error}"));
        log.append(&counted(i)).unwrap();
    }
    let wal = Wal::with_store_and_config(store, quiet_heap()).unwrap();
    assert_eq!(numbers(&wal), (0..openings).collect::<Vec<_>>());
    assert_eq!(
        wal.schemas().unwrap().iter().count(),
        1,
        "the schema was not lost, nor written again"
    );
}
