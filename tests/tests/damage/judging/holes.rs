//! A file that was made much longer than what was written to it: holes are passed over.

use std::fs::OpenOptions;

use wal_db::recovery::SalvageItem;
use wal_tests::{
    all,
    files::{Form, Place},
    put, quiet,
};

const LONG: u64 = 8 << 30;

#[test]
fn a_file_that_was_extended_by_much_is_not_read_through() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let entries: Vec<_> = (0..20).map(|seed| put(&wal, seed, 500)).collect();
    wal.sync().unwrap();
    let dead = place.without_staging();
    wal.close().unwrap();
    for place in [place, dead] {
        let file = OpenOptions::new().write(true).open(place.path()).unwrap();
        file.set_len(LONG).unwrap();
        let little = 16 << 20;
        let inspection = wal_db::recovery::inspect(place.path()).unwrap();
        assert!(inspection.recovery.unwrap().scanned_bytes < little);
        let found = wal_db::recovery::salvage(place.path())
            .unwrap()
            .map(Result::unwrap);
        let found: Vec<_> = found.collect();
        let are_records = found.iter().all(|item| matches!(item, SalvageItem::Record(_)));
        assert!(are_records && found.len() == entries.len(), "{found:?}");
        let wal = place.open(quiet()).unwrap();
        assert!(wal.recovery().scanned_bytes < little, "{:?}", wal.recovery());
        assert_eq!(all(&wal), entries);
    }
}
