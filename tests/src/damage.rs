//! Logs to damage, and what has to be true of a damaged log.

use std::{collections::BTreeMap, path::PathBuf};

use wal_db::{
    Wal, WalError,
    recovery::{Corruption, SalvageItem},
};

use crate::{
    Entry, corruption,
    files::{Form, Place, SEGMENT, assert_same_files},
    put, quiet, until_error,
};

/// A log of six synced groups of three records, open, of which the last three lie in the second segment.
#[must_use]
pub fn synced(form: Form) -> (Place, Wal, Vec<Entry>) {
    let place = Place::new(form);
    let wal = place.open(quiet()).unwrap();
    let mut entries = Vec::new();
    for group in 0..6 {
        let len = if group < 3 { 7200 } else { 6000 };
        for record in 0..3 {
            entries.push(put(&wal, group * 3 + record, len + 100 * record));
        }
        wal.sync().unwrap();
    }
    let ends = [entries[9].0, wal.status().durable].map(|lsn| lsn.get() / SEGMENT);
    assert_eq!(ends, [1, 1]);
    (place, wal, entries)
}

/// The records that salvage reads, and the damage that it meets.
#[must_use]
pub fn salvaged(place: &Place) -> (Vec<Entry>, Vec<Corruption>) {
    let (mut entries, mut damage) = (Vec::new(), Vec::new());
    for item in wal_db::recovery::salvage(place.path()).unwrap() {
        match item.unwrap() {
            SalvageItem::Record(record) => entries.push(Entry(record.lsn(), record.into_data())),
            SalvageItem::Damage(place) => damage.push(place),
            _ => {}
        }
    }
    (entries, damage)
}

/// Every file with its bytes, but for a staging file without any.
#[must_use]
pub fn bytes(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = place.bytes();
    let staging = place.staging();
    let name = staging.strip_prefix(place.root()).unwrap();
    if files.get(name).is_some_and(Vec::is_empty) {
        files.remove(name);
    }
    files
}

/// Opening is refused for damage, and no byte of any file changes.
pub fn refused(place: &Place) -> Corruption {
    let before = bytes(place);
    let damage = corruption(place.open(quiet()));
    assert_same_files(&before, &bytes(place), "a refused opening");
    assert_eq!(corruption(place.open(quiet())), damage, "a second opening");
    damage
}

/// Damage somewhere in the log: opening is refused without a change, or every way to read everything ends in an
/// error, after records that are right.
pub fn never_silent(place: &Place, expected: &[Entry], what: &str) {
    let before = bytes(place);
    match place.open(quiet()) {
        // Which error it has to be is the subject of `damage_of_the_first_segment_is_corruption_and_not_truncation`.
        Err(WalError::Corruption(_) | WalError::Truncated { .. }) => {
            assert_same_files(&before, &bytes(place), what);
        }
        Err(other) => panic!("{what}: {other:?}"),
        Ok(wal) => {
            let (read, error) = until_error(&wal);
            assert!(expected.starts_with(&read), "{what}: wrong records");
            assert!(
                error.is_some(),
                "{what}: ends silently after {} of {}",
                read.len(),
                expected.len()
            );
            assert!(
                !wal.verify().is_ok_and(|report| report.is_intact()),
                "{what}: verify"
            );
        }
    }
}

/// A closed log of several segments, and an image of it before it was closed.
#[must_use]
pub fn many_segments() -> (Place, Place, Vec<Entry>) {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let mut entries = Vec::new();
    for i in 0..60 {
        entries.push(put(&wal, i, 5000));
        if i % 5 == 4 {
            wal.sync().unwrap();
        }
    }
    assert!(wal.end().get() > 4 * SEGMENT);
    let image = place.without_staging();
    wal.close().unwrap();
    assert!(place.segment(4).exists() && !place.segment(5).exists());
    (place, image, entries)
}
