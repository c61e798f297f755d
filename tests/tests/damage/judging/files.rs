//! A file that is missing, damaged or somebody else's is named, and what is intact is read all the same.

use std::fs;

use wal_db::{
    Result, Wal, WalRecord,
    recovery::{CorruptionReason, SalvageItem},
};
use wal_tests::{
    Entry,
    damage::{many_segments, refused},
    files::{FORMS, Form, GROUP_HEADER, Place, SEGMENT},
    put, quiet, verified,
};

/// Something that happens to a segment, and what is said of it.
type Accident = (&'static str, CorruptionReason, fn(&Place, u64));

const ACCIDENTS: [Accident; 5] = [
    ("missing", CorruptionReason::MissingSegment, |place, segment| {
        fs::remove_file(place.segment(segment)).unwrap();
    }),
    (
        "a flipped bit in its header",
        CorruptionReason::WrongSegment,
        |place, segment| {
            let mut bytes = fs::read(place.segment(segment)).unwrap();
            bytes[20] ^= 1;
            fs::write(place.segment(segment), bytes).unwrap();
        },
    ),
    (
        "another log's",
        CorruptionReason::WrongSegment,
        |place, segment| {
            let other = many_segments().0;
            fs::copy(other.segment(segment), place.segment(segment)).unwrap();
        },
    ),
    (
        "of another version",
        CorruptionReason::WrongSegment,
        |place, segment| {
            let mut bytes = fs::read(place.segment(segment)).unwrap();
            bytes[8] = 2;
            let crc = crc32fast::hash(&bytes[..48]);
            bytes[48..52].copy_from_slice(&crc.to_le_bytes());
            fs::write(place.segment(segment), bytes).unwrap();
        },
    ),
    ("a directory", CorruptionReason::WrongSegment, |place, segment| {
        fs::remove_file(place.segment(segment)).unwrap();
        fs::create_dir(place.segment(segment)).unwrap();
    }),
];

/// The records that lie in the segments that are intact, or that end before the one that is not begins.
fn outside(entries: &[Entry], segment: u64) -> Vec<Entry> {
    let (start, end) = (segment * SEGMENT, (segment + 1) * SEGMENT);
    let frame = |entry: &Entry| {
        let pos = entry.0.get() + 64;
        (pos, pos + 8 + entry.1.len() as u64)
    };
    let is_outside = |entry: &&Entry| frame(entry).1 <= start || frame(entry).0 >= end;
    entries.iter().filter(is_outside).cloned().collect()
}

#[test]
fn verify_names_the_file_at_fault_and_reads_the_others() {
    for (what, reason, happens) in ACCIDENTS {
        for segment in [0, 2] {
            let (place, _, entries) = many_segments();
            // Opened before it happens, so that opening has nothing to say.
            let wal = quiet().open_read_only(place.path()).unwrap();
            happens(&place, segment);
            let what = format!("{what}, segment {segment}");
            let report = verified(&wal).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(report.files.len(), 1, "{what}: {report:?}");
            let file = &report.files[0];
            assert_eq!(file.path, Some(place.segment(segment)), "{what}");
            assert_eq!((file.segment, file.reason), (Some(segment), reason), "{what}");
            assert!(
                report.damage.iter().all(|damage| damage.segment == Some(segment)),
                "{what}: another file is blamed: {report:?}"
            );
            assert!(
                !report.damage.is_empty() && report.violations.is_empty(),
                "{what}: {report:?}"
            );
            assert_eq!(
                report.records,
                outside(&entries, segment).len() as u64,
                "{what}: {report:?}"
            );
        }
    }
}

fn salvaged(place: &Place, what: &str) -> Vec<Entry> {
    let items: Result<Vec<_>> = wal_db::recovery::salvage(place.path()).unwrap().collect();
    let items = items.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let records = items.into_iter().filter_map(|item| match item {
        SalvageItem::Record(record) => Some(Entry(record.lsn(), record.into_data())),
        _ => None,
    });
    records.collect()
}

#[test]
fn salvage_reads_every_record_outside_of_the_file_at_fault_with_a_manifest_and_without() {
    for (what, _, happens) in ACCIDENTS {
        for segment in 0..5 {
            for manifest in [true, false] {
                let (place, _, entries) = many_segments();
                happens(&place, segment);
                if !manifest {
                    fs::remove_file(place.manifest()).unwrap();
                }
                let what = format!("{what}, segment {segment}, manifest: {manifest}");
                let (found, expected) = (salvaged(&place, &what), outside(&entries, segment));
                let lost: Vec<_> = expected.iter().filter(|entry| !found.contains(entry)).collect();
                assert!(lost.is_empty(), "{what}: lost {lost:?}");
                assert!(found.iter().all(|entry| entries.contains(entry)), "{what}");
            }
        }
    }
}

/// One segment is left, with nothing but the beginning of a group in it.
#[test]
fn salvage_without_a_manifest_reads_a_group_that_goes_on_in_a_missing_file() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let entries: Vec<_> = (0..60).map(|seed| put(&wal, seed, 5000)).collect();
    wal.close().unwrap();
    for name in ["manifest", "staging"] {
        let _ = fs::remove_file(place.path().join(name));
    }
    for segment in 1..5 {
        fs::remove_file(place.segment(segment)).unwrap();
    }
    let found = salvaged(&place, "the first segment alone");
    let there = SEGMENT / 5008;
    assert!(
        found.len() as u64 >= there - 1,
        "{} of {there}: {found:?}",
        found.len()
    );
    assert!(entries.starts_with(&found));
}

#[derive(Debug, serde::Serialize, serde::Deserialize, WalRecord)]
#[wal(name = "noted")]
struct Noted(u32);

#[test]
fn schema_records_are_counted_apart() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let notes = wal.typed::<Noted>().unwrap();
    for n in 0..3 {
        notes.append(&Noted(n)).unwrap();
    }
    wal.sync().unwrap();
    let report = verified(&wal).unwrap();
    assert_eq!((report.records, report.schemas), (3, 1), "{report:?}");
    assert_eq!(wal.status().records, 3);
    drop(notes);
    wal.close().unwrap();
    let items: Vec<_> = wal_db::recovery::salvage(place.path())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let records = items.iter().filter(|item| matches!(item, SalvageItem::Record(_)));
    let schemas = items.iter().filter(|item| matches!(item, SalvageItem::Schema(_)));
    assert_eq!(
        (records.count(), schemas.count(), items.len()),
        (3, 1, 4),
        "{items:?}"
    );
}

#[test]
fn found_records_are_those_that_opening_had_to_find() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    for seed in 0..7 {
        put(&wal, seed, 100);
    }
    wal.sync().unwrap();
    let image = place.killed();
    let dead = image.open(quiet()).unwrap();
    assert_eq!((dead.recovery().found_records, dead.status().records), (7, 7));
    wal.close().unwrap();
    let closed = place.open(quiet()).unwrap();
    // The mark of a log that was closed is its end.
    assert_eq!((closed.recovery().found_records, closed.status().records), (0, 7));
}

#[test]
fn a_log_in_one_file_whose_header_was_damaged_since_is_named() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    put(&wal, 1, 100);
    wal.sync().unwrap();
    let mut bytes = fs::read(place.path()).unwrap();
    bytes[(2 * 65_536) + 20] ^= 1;
    fs::write(place.path(), &bytes).unwrap();
    let report = verified(&wal).unwrap();
    assert_eq!(report.files[0].path, Some(place.path()), "{report:?}");
    assert_eq!((report.records, report.damage.len()), (1, 0), "{report:?}");
}

#[test]
fn a_damaged_record_is_reported_once_and_its_group_is_counted() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let mut entries = Vec::new();
    for seed in 0..6 {
        entries.push(put(&wal, seed, 100));
        if seed % 3 == 2 {
            wal.sync().unwrap();
        }
    }
    let groups = verified(&wal).unwrap().groups;
    let bytes = fs::read(place.path()).unwrap();
    for Entry(lsn, data) in &entries {
        let at = bytes
            .windows(data.len())
            .position(|there| there == &data[..])
            .unwrap();
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(place.path(), damaged).unwrap();
        let report = verified(&wal).unwrap();
        assert_eq!((report.records, report.groups), (5, groups), "{lsn}: {report:?}");
        assert_eq!(report.damage.len(), 1, "{lsn}: {report:?}");
    }
}

#[test]
fn what_lies_between_a_lost_header_and_a_missing_segment_is_read() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let entries: Vec<Entry> = (0..120)
        .map(|seed| {
            let entry = put(&wal, seed, 2000);
            wal.sync().unwrap();
            entry
        })
        .collect();
    wal.close().unwrap();
    let header = |entry: &Entry| entry.0.get();
    let segment_of = |pos: u64| pos / SEGMENT;
    let lost = entries
        .iter()
        .position(|entry| header(entry) > SEGMENT + SEGMENT / 2)
        .unwrap();
    let reader = Wal::open_read_only(place.path()).unwrap();
    place.flip(header(&entries[lost]) + 8);
    fs::remove_file(place.segment(2)).unwrap();
    let expected: Vec<&Entry> = entries
        .iter()
        .filter(|entry| {
            let (first, last) = (
                segment_of(header(entry)),
                segment_of(header(entry) + GROUP_HEADER + 2007),
            );
            first == last && first != 2
        })
        .collect();
    let found = salvaged(&place, "both");
    for entry in expected {
        assert!(entry.0 == entries[lost].0 || found.contains(entry), "{}", entry.0);
    }
    let report = verified(&reader).unwrap();
    let reasons: Vec<_> = report.damage.iter().map(|damage| damage.reason).collect();
    assert_eq!(
        reasons,
        [CorruptionReason::GroupHeader, CorruptionReason::MissingSegment]
    );
}

/// What was durable lies in a file that is not the log's any more, so this is no write that was interrupted.
#[test]
fn a_group_that_goes_on_in_a_damaged_file_is_not_taken_for_torn() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    for seed in 0..2 {
        put(&wal, seed, 40_000);
        wal.sync().unwrap();
    }
    let dead = place.without_staging();
    let mut bytes = fs::read(dead.segment(1)).unwrap();
    bytes[20] ^= 1;
    fs::write(dead.segment(1), bytes).unwrap();
    let damage = refused(&dead);
    assert_eq!(
        (damage.reason, damage.start),
        (CorruptionReason::WrongSegment, SEGMENT)
    );
}

#[test]
fn a_last_segment_that_is_no_file_refuses_the_log_and_is_named() {
    let (place, ..) = many_segments();
    fs::remove_file(place.segment(4)).unwrap();
    fs::create_dir(place.segment(4)).unwrap();
    let damage = refused(&place);
    assert_eq!(
        (damage.reason, damage.segment),
        (CorruptionReason::WrongSegment, Some(4))
    );
}

/// Nothing that is there looks damaged then, but the manifest knows that the log went on.
#[test]
fn a_log_that_lost_its_end_between_two_groups_is_salvaged_with_a_word_of_that() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entries: Vec<Entry> = (0..6)
            .map(|seed| {
                let entry = put(&wal, seed, 100);
                wal.sync().unwrap();
                entry
            })
            .collect();
        let killed = place.killed();
        wal.close().unwrap();
        for (what, place) in [("closed", place), ("killed", killed)] {
            let (groups, whole) = (place.groups(), wal_tests::damage::salvaged(&place));
            assert_eq!(whole, (entries.clone(), Vec::new()), "{form:?}, {what}");
            let end = groups[groups.len() - 1].next();
            for (count, group) in groups.iter().enumerate().skip(1) {
                let place = place.killed();
                place.cut_file(group.pos);
                let (left, damage) = wal_tests::damage::salvaged(&place);
                assert_eq!(left, entries[..count], "{form:?}, {what}, {count}");
                let damage = damage.iter().map(|lost| (lost.start, lost.end, lost.reason));
                let lost = (group.pos, end, CorruptionReason::Short);
                assert_eq!(damage.collect::<Vec<_>>(), [lost], "{form:?}, {what}, {count}");
            }
        }
    }
}
