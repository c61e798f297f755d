//! What is said of a group as a whole: one that does not belong where it stands, one that was cut in two, the first one of a
//! segment, and what lies after bytes that look like frames.

use std::fs;

use wal_db::{
    Wal,
    recovery::{CorruptionReason, inspect},
    testing::dump,
};
use wal_tests::{
    Entry,
    damage::salvaged,
    files::{FORMS, Form, GROUP_HEADER, Group, Place, SECTOR, SEGMENT, patch_group},
    payload, put, quiet, verified,
};

/// A closed log of three records, each in a group of its own. Its last group has none.
fn closed(form: Form) -> (Place, Vec<Entry>, Group) {
    let place = Place::new(form);
    let wal = place.open(quiet()).unwrap();
    let entries = (0..3)
        .map(|seed| {
            let entry = put(&wal, seed, 300);
            wal.sync().unwrap();
            entry
        })
        .collect();
    wal.close().unwrap();
    let last = *place.groups().last().unwrap();
    (place, entries, last)
}

/// Changes a header, and makes its checksum right again.
fn change(place: &Place, group: Group, change: impl FnOnce(&mut [u8])) {
    let log = fs::read(place.manifest()).unwrap()[24..40].to_vec();
    let mut header = place.stream(group.pos, GROUP_HEADER);
    patch_group(&log, group.pos, &mut header, change);
    place.overwrite(group.pos, &header);
}

/// The records are found, and what is wrong with the last group is told once.
fn is_damaged_at_its_end(place: &Place, entries: &[Entry], last: Group, what: &str) {
    let (found, damage) = salvaged(place);
    assert_eq!(found, entries, "{what}");
    let places = damage.iter().map(|damage| (damage.start, damage.reason));
    let places: Vec<_> = places.collect();
    assert_eq!(places, [(last.pos, CorruptionReason::Chain)], "{what}");
}

#[test]
fn a_group_that_does_not_continue_the_one_before_is_damage_even_at_the_end() {
    for form in FORMS {
        let (place, entries, last) = closed(form);
        change(&place, last, |header| header[36] ^= 1);
        is_damaged_at_its_end(&place, &entries, last, &format!("{form:?}"));
        // A dump does not show it as a group of the log either.
        let lines: Vec<String> = dump(place.path()).unwrap().map(Result::unwrap).collect();
        let begin = |start: String| lines.iter().any(|line| line.starts_with(&start));
        assert!(begin(format!("damage {}..", last.pos)), "{form:?}: {lines:#?}");
        assert!(!begin(format!("group {}..", last.pos)), "{form:?}: {lines:#?}");
    }
}

#[test]
fn a_group_that_is_longer_than_the_log_is_damage() {
    for form in FORMS {
        let (place, entries, last) = closed(form);
        change(&place, last, |header| header[18] += 16);
        is_damaged_at_its_end(&place, &entries, last, &format!("{form:?}"));
    }
}

#[test]
fn damage_of_what_was_cut_off_a_group_is_none() {
    for form in FORMS {
        // The group ends with a sector, and within one.
        for len in [312, 5000] {
            let place = Place::fast(form);
            let wal = place.open(quiet()).unwrap();
            let data = payload(1, len);
            let lsns = wal.append_batch(&[&data, &data, &data]).unwrap();
            wal.truncate_after(lsns[0]).unwrap();
            put(&wal, 2, 100);
            wal.sync().unwrap();
            place.flip(lsns[2].get() + GROUP_HEADER + 100);
            let report = verified(&wal).unwrap();
            assert!(report.is_intact(), "{form:?}, {len}: {report:?}");
            assert_eq!((report.records, report.groups), (2, 2), "{form:?}, {len}");
        }
    }
}

#[test]
fn a_log_that_ends_with_a_segment_misses_none_after_it() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    // The group that is written on close has a header only.
    put(&wal, 1, (SEGMENT - SECTOR - GROUP_HEADER - 8) as usize);
    wal.close().unwrap();
    let end = place.groups().last().unwrap().next();
    assert!(end == SEGMENT && !place.segment(1).exists());
    let report = verified(&Wal::open_read_only(place.path()).unwrap()).unwrap();
    assert!(report.is_intact() && report.records == 1, "{report:?}");
}

#[test]
fn the_first_group_after_a_missing_segment_is_known_by_its_header() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let len = (SEGMENT / 2 - GROUP_HEADER - 8) as usize;
    for seed in 0..6 {
        put(&wal, seed, len);
        wal.sync().unwrap();
    }
    wal.close().unwrap();
    let groups = place.groups();
    assert!(groups.iter().any(|group| group.pos == 2 * SEGMENT));
    let reader = Wal::open_read_only(place.path()).unwrap();
    fs::remove_file(place.segment(1)).unwrap();
    let report = verified(&reader).unwrap();
    assert_eq!(report.groups, groups.len() as u64 - 2, "{report:?}");
    assert_eq!((report.records, report.damage.len()), (4, 1), "{report:?}");
}

#[test]
fn a_long_group_that_ends_with_a_segment_is_read_although_the_next_one_is_missing() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let long = put(&wal, 1, (5 * SEGMENT - GROUP_HEADER - 8) as usize);
    wal.sync().unwrap();
    put(&wal, 2, SEGMENT as usize);
    wal.close().unwrap();
    assert_eq!(place.groups()[1].pos, 5 * SEGMENT);
    fs::remove_file(place.segment(5)).unwrap();
    let (found, damage) = salvaged(&place);
    assert_eq!(found, [long]);
    let reasons: Vec<_> = damage.iter().map(|damage| damage.reason).collect();
    assert_eq!(reasons, [CorruptionReason::MissingSegment]);
}

#[test]
fn a_record_after_bytes_that_look_like_long_frames_is_found() {
    const FRAMES: usize = 30;
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let mut long = vec![0; 1 << 20];
        // What they say they hold is more than the group does, and less than four times as much.
        for frame in long.chunks_exact_mut(8).take(FRAMES) {
            frame[4..].copy_from_slice(&(100_000_u32 | 1 << 28).to_le_bytes());
        }
        let lsns = wal.append_batch(&[long.as_slice(), b"after"]).unwrap();
        wal.close().unwrap();
        place.flip(lsns[0].get() + GROUP_HEADER + 8 + (1 << 19));
        let (found, damage) = salvaged(&place);
        let found: Vec<_> = found.iter().map(|entry| entry.0).collect();
        assert_eq!((found, damage.len()), (vec![lsns[1]], 1), "{form:?}: {damage:?}");
    }
}

#[test]
fn inspecting_tells_how_long_the_segments_are() {
    for form in FORMS {
        let (place, ..) = closed(form);
        let expected = (form == Form::Segmented).then_some(SEGMENT);
        assert_eq!(inspect(place.path()).unwrap().segment_size, expected, "{form:?}");
    }
}
