//! What the writes and the files of a log are, against the bytes that are there.

use wal_db::{
    Lsn, MemStore, Wal,
    recovery::{CorruptionReason, Group, SegmentState, groups, segments},
};
use wal_tests::{
    damage::{many_segments, synced},
    files::{FORMS, Form, Place, SEGMENT},
    put, quiet,
};

fn all(wal: &Wal) -> Vec<Group> {
    groups(wal, ..).unwrap().map(|group| group.unwrap()).collect()
}

#[test]
fn every_write_is_a_group_with_its_records_and_its_place() {
    for form in FORMS {
        let (place, wal, entries) = synced(form);
        for reader in [&wal, &Wal::open_read_only(place.path()).unwrap()] {
            let found = all(reader);
            let places: Vec<_> = found
                .iter()
                .map(|group| (group.start, group.start + group.bytes))
                .collect();
            let there: Vec<_> = place
                .groups()
                .iter()
                .map(|group| (group.pos, group.next()))
                .collect();
            assert_eq!(places, there, "{form:?}");
            assert_eq!(
                found.iter().map(|group| group.records).collect::<Vec<_>>(),
                [3; 6]
            );
            for (i, group) in found.iter().enumerate() {
                let first = entries[3 * i].0;
                assert_eq!((group.lsn, group.ordinal), (first, 3 * i as u64));
                assert_eq!(group.time, wal.locate(first).unwrap().time);
                assert!(!group.is_seal && !group.has_schemas && group.durable <= group.start);
            }
        }
        let within = |from: Lsn, to: Lsn| groups(&wal, from..to).unwrap().count();
        assert_eq!(within(entries[4].0, entries[5].0), 1, "{form:?}: of one record");
        assert_eq!(
            within(entries[3].0, entries[6].0),
            1,
            "{form:?}: not the next one"
        );
        assert_eq!(
            within(entries[3].0, Lsn::new(entries[6].0.get() + 1)),
            2,
            "{form:?}"
        );
        assert_eq!(groups(&wal, wal.end()..).unwrap().count(), 0);
        wal.close().unwrap();
        let last = *all(&Wal::open_read_only(place.path()).unwrap()).last().unwrap();
        assert!(
            last.is_seal && last.records == 0 && last.durable == last.start,
            "{last:?}"
        );
    }
}

#[test]
fn what_was_cut_off_or_dropped_is_in_no_group() {
    for form in FORMS {
        let (_place, wal, entries) = synced(form);
        wal.truncate_before(entries[6].0).unwrap();
        wal.truncate_from(entries[15].0).unwrap();
        let _entry = put(&wal, 0, 100);
        wal.sync().unwrap();
        let firsts: Vec<_> = all(&wal).iter().map(|group| group.ordinal).collect();
        assert_eq!(firsts, [6, 9, 12, 15], "{form:?}");
    }
}

#[test]
fn a_damaged_header_is_an_error_and_the_groups_after_it_come() {
    for form in FORMS {
        let (place, wal, _) = synced(form);
        wal.close().unwrap();
        let there = place.groups();
        place.flip(there[2].pos + 20);
        let wal = Wal::open_read_only(place.path()).unwrap();
        let (mut starts, mut damage) = (Vec::new(), Vec::new());
        for group in groups(&wal, ..).unwrap() {
            match group {
                Ok(group) => starts.push(group.start),
                Err(error) => damage.push(wal_tests::corruption::<()>(Err(error))),
            }
        }
        let intact = there
            .iter()
            .map(|group| group.pos)
            .filter(|pos| *pos != there[2].pos);
        assert_eq!(starts, intact.collect::<Vec<_>>(), "{form:?}");
        assert_eq!(damage.len(), 1);
        assert_eq!(
            (damage[0].start, damage[0].reason),
            (there[2].pos, CorruptionReason::GroupHeader)
        );
    }
}

#[test]
fn a_segment_says_what_it_is_to_the_log() {
    let (place, _, entries) = many_segments();
    let wal = place.open(quiet()).unwrap();
    let found = segments(&wal).unwrap();
    let full = found.iter().filter(|segment| segment.state == SegmentState::Full);
    assert!(full.clone().count() >= 4 && full.clone().all(|segment| segment.used_bytes == SEGMENT));
    let newest: Vec<_> = found
        .iter()
        .filter(|segment| segment.state == SegmentState::Newest)
        .collect();
    assert_eq!(newest.len(), 1);
    let there = place.groups();
    for segment in &found {
        assert_eq!(segment.path, place.segment(segment.index));
        assert_eq!(segment.file_bytes, segment.path.metadata().unwrap().len());
        assert_eq!(segment.start, segment.index * SEGMENT);
        let within = segment.start..segment.start + SEGMENT;
        let first = there.iter().find(|group| within.contains(&group.pos));
        assert_eq!(
            segment.first.map(|group| group.start),
            first.map(|group| group.pos)
        );
    }
    let middle = entries
        .iter()
        .find(|entry| entry.0.get() > 2 * SEGMENT + SEGMENT / 2)
        .unwrap();
    wal.truncate_before(middle.0).unwrap();
    let mut left = segments(&wal).unwrap();
    // The segment before the head may be there for a while.
    left.retain(|segment| segment.state != SegmentState::Dropped);
    assert_eq!(left[0].index, all(&wal)[0].start / SEGMENT);
    assert!(left[0].used_bytes < SEGMENT, "{:?}", left[0]);
    assert_eq!(left[0].first.unwrap().start, all(&wal)[0].start);
}

#[test]
fn a_log_in_one_file_is_one_segment_and_a_log_in_memory_has_none() {
    let (place, wal, _) = synced(Form::File);
    let found = segments(&wal).unwrap();
    assert_eq!(
        (found.len(), found[0].index, found[0].state),
        (1, 0, SegmentState::Newest)
    );
    assert_eq!(found[0].path, place.path());
    assert_eq!(found[0].used_bytes, place.groups().last().unwrap().next());
    assert!(
        segments(&Wal::with_store(MemStore::new()).unwrap())
            .unwrap()
            .is_empty()
    );
    let new = Place::new(Form::Segmented);
    let wal = new.open(quiet()).unwrap();
    assert!(
        segments(&wal)
            .unwrap()
            .iter()
            .all(|segment| segment.first.is_none())
    );
    assert_eq!(all(&wal), []);
}
