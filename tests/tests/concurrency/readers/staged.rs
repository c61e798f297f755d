//! What a process left in staging memory when it died is shown by who only looks, and marked.

use wal_db::{Lsn, Start, Wal, recovery::SalvageItem};
use wal_tests::{
    Entry, all,
    files::{FORMS, Place, SECTOR, assert_same_files},
    lsns_of, pairs, put, quiet,
};

/// Five records that are durable, and seven that are in staging memory only.
fn left(place: &Place) -> (Place, Vec<Entry>) {
    let wal = place.open(quiet()).unwrap();
    let mut entries: Vec<_> = (0..5).map(|seed| put(&wal, seed, 300)).collect();
    wal.sync().unwrap();
    entries.extend((5..12).map(|seed| put(&wal, seed, 300)));
    let left = place.killed();
    (left, entries)
}

#[test]
fn a_handle_that_reads_shows_what_staging_memory_holds_and_changes_nothing() {
    for form in FORMS {
        let (place, entries) = left(&Place::new(form));
        let before = place.bytes();
        let reader = Wal::open_read_only(place.path()).unwrap();
        assert_eq!(reader.recovery().staged_records, 7, "{form:?}");
        assert!(!reader.recovery().clean);
        assert_eq!(all(&reader), entries, "{form:?}");
        // What is durable ends before them.
        assert!(
            (entries[4].0..=entries[5].0).contains(&reader.status().durable),
            "{form:?}"
        );
        for (ordinal, entry) in (0..).zip(&entries) {
            assert_eq!(reader.read(entry.0).unwrap().data(), entry.1, "{form:?}");
            assert_eq!(reader.locate(entry.0).unwrap().ordinal, ordinal, "{form:?}");
            let from = lsns_of(reader.iter_from(entry.0));
            assert_eq!(from[0], entry.0);
        }
        let lsns: Vec<Lsn> = entries.iter().map(|entry| entry.0).collect();
        let mut newest_first = lsns_of(reader.iter_rev());
        newest_first.reverse();
        assert_eq!(newest_first, lsns, "{form:?}");
        for ordinal in 0..=12 {
            let from = reader.iter_from(Start::Ordinal(ordinal)).unwrap();
            assert_eq!(from.count() as u64, 12 - ordinal, "{form:?}, {ordinal}");
        }
        drop(reader);
        assert_same_files(&before, &place.bytes(), "a log that was read");
        let wal = place.open(quiet()).unwrap();
        assert_eq!((all(&wal), wal.recovery().staged_records), (entries, 7));
    }
}

#[test]
fn inspecting_counts_what_staging_memory_holds() {
    for form in FORMS {
        let (place, _) = left(&Place::new(form));
        let inspection = wal_db::recovery::inspect(place.path()).unwrap();
        assert_eq!(inspection.recovery.unwrap().staged_records, 7, "{form:?}");
        assert_eq!(inspection.damage, None);
    }
}

/// A process that dies in the middle of handing a group to the store leaves half of it there, and all of it in staging
/// memory.
#[test]
fn half_of_a_group_in_the_store_is_no_damage_if_staging_memory_has_all_of_it() {
    for (form, is_first) in pairs(FORMS, [true, false]) {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let mut entries: Vec<_> = (0..5).map(|seed| put(&wal, seed, 300)).collect();
        wal.sync().unwrap();
        if !is_first {
            // Another group that is not durable comes before.
            entries.push(put(&wal, 5, 300));
            wal.drain().unwrap();
        }
        let waiting = entries.len();
        entries.extend((waiting..12).map(|seed| put(&wal, seed, 300)));
        let left = place.killed();
        wal.drain().unwrap();
        let group = entries[waiting].0.get();
        left.overwrite(group, &place.stream(group, 2 * SECTOR));

        let mut found = Vec::new();
        for item in wal_db::recovery::salvage(left.path()).unwrap() {
            match item.unwrap() {
                SalvageItem::Record(record) | SalvageItem::Staged(record) => {
                    found.push(Entry(record.lsn(), record.data().to_vec()));
                }
                other => panic!("{form:?}: {other:?}"),
            }
        }
        assert_eq!(found, entries, "{form:?}");
        assert_eq!(
            wal_db::recovery::inspect(left.path()).unwrap().damage,
            None,
            "{form:?}"
        );
        let reader = Wal::open_read_only(left.path()).unwrap();
        assert_eq!(all(&reader), entries, "{form:?}");
        assert!(reader.verify().unwrap().is_intact(), "{form:?}");
        assert_eq!(all(&left.open(quiet()).unwrap()), entries, "{form:?}");
    }
}

#[test]
fn a_reader_stops_at_a_record_that_is_being_appended() {
    let place = Place::new(wal_tests::files::Form::File);
    let wal = place.open(quiet()).unwrap();
    let first = put(&wal, 1, 100);
    wal.append_in_place(50, |bytes| {
        bytes.fill(7);
        // Another thread has appended, and the record before is not there yet.
        let (other, path) = (wal.clone(), place.path());
        let others = std::thread::spawn(move || {
            put(&other, 2, 100);
            let reader = Wal::open_read_only(path).unwrap();
            (all(&reader), reader.recovery().staged_records)
        });
        assert_eq!(others.join().unwrap(), (vec![first.clone()], 1));
    })
    .unwrap();
    let reader = Wal::open_read_only(place.path()).unwrap();
    assert_eq!(all(&reader).len(), 3);
}

/// A follower asks only for what is in the store; an iterator of the same handle has asked for what is staged as well.
#[test]
fn a_follower_takes_nothing_from_under_one_who_reads_what_is_staged() {
    for form in FORMS {
        let (place, entries) = left(&Place::new(form));
        let reader = Wal::open_read_only(place.path()).unwrap();
        let mut tail = reader.tail(Start::Head).unwrap();
        let durable = (0..5).map(|_| tail.try_next().unwrap().unwrap().lsn());
        assert!(durable.eq(entries[..5].iter().map(|entry| entry.0)), "{form:?}");
        assert!(tail.try_next().unwrap().is_none(), "{form:?}");
        for entry in &entries {
            assert_eq!(reader.read(entry.0).unwrap().data(), entry.1, "{form:?}");
        }
        let end = reader.end();
        assert!(end > entries[11].0, "{form:?}");
        assert!(tail.try_next().unwrap().is_none(), "{form:?}");
        assert_eq!(reader.end(), end, "{form:?}");
    }
}
