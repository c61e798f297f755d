//! Files with the names of later segments, which the manifest does not name: the log's own are taken, and for any other
//! the log is refused and nothing is changed. A log whose process died can still be read: what it holds lies before them,
//! and its writer, if it has one, would wait while readers look for names.

use std::{fs, path::Path};

use wal_db::{
    Result, Wal, WalError,
    recovery::{CorruptionReason, SalvageItem},
};
use wal_tests::{
    Entry, all, assert_is,
    damage::many_segments,
    files::{Form, Place, SEGMENT_ROW, assert_same_files},
    put, quiet,
};

type Stranger = (&'static str, fn(&Place, &Path));

const STRANGERS: [Stranger; 6] = [
    ("nothing", |_, path| fs::write(path, b"").unwrap()),
    ("zeros", |_, path| fs::write(path, [0; 70_000]).unwrap()),
    ("text", |_, path| {
        fs::write(path, "somebody's notes\n".repeat(1000)).unwrap()
    }),
    ("another log's", |_, path| {
        let (other, ..) = many_segments();
        fs::copy(other.segment(2), path).unwrap();
    }),
    ("of another place", |place, path| {
        fs::copy(place.segment(0), path).unwrap();
    }),
    ("a directory", |_, path| fs::create_dir(path).unwrap()),
];

/// A closed log of two segments, and the same as its process left it when it died.
fn logs() -> [(&'static str, Place, Vec<Entry>); 2] {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let entries: Vec<_> = (0..16).map(|seed| put(&wal, seed, 5000)).collect();
    wal.sync().unwrap();
    let dead = place.killed();
    wal.close().unwrap();
    [("closed", place, entries.clone()), ("killed", dead, entries)]
}

/// The name that the first later segment would have.
fn next(place: &Place) -> u64 {
    (0..).find(|&index| !place.segment(index).exists()).unwrap()
}

/// Makes a segment of the log itself.
fn make(place: &Place, index: u64) {
    let mut header = fs::read(place.segment(0)).unwrap()[..SEGMENT_ROW as usize].to_vec();
    header[32..40].copy_from_slice(&index.to_le_bytes());
    let crc = crc32fast::hash(&header[..48]);
    header[48..52].copy_from_slice(&crc.to_le_bytes());
    fs::write(place.segment(index), header).unwrap();
}

fn refused<T>(result: Result<T>, path: &Path, what: &str) {
    match result {
        Err(WalError::NotALog { path: named, .. }) => assert_eq!(named, path, "{what}"),
        Err(other) => panic!("{what}: {other:?}"),
        Ok(_) => panic!("{what}: not refused"),
    }
}

#[test]
fn a_later_segment_that_is_somebody_elses_refuses_the_log_untouched() {
    for (what, put_there) in STRANGERS {
        for behind in [0, 3] {
            for (state, place, entries) in logs() {
                let path = place.segment(next(&place) + behind);
                put_there(&place, &path);
                let what = format!("{what}, {state}, {behind} further");
                let before = place.bytes();
                for _ in 0..2 {
                    refused(place.open(quiet()), &path, &what);
                    match state {
                        "closed" => refused(Wal::open_read_only(place.path()), &path, &what),
                        _ => assert_eq!(
                            all(&Wal::open_read_only(place.path()).unwrap()),
                            entries,
                            "{what}"
                        ),
                    }
                    let inspection = wal_db::recovery::inspect(place.path()).unwrap();
                    let files: Vec<_> = inspection.files.iter().map(|file| file.path.clone()).collect();
                    assert_eq!(files, [Some(path.clone())], "{what}");
                    assert!(inspection.log_id.is_some(), "{what}");
                    assert_eq!(inspection.recovery.is_some(), state == "killed", "{what}");
                }
                assert_same_files(&before, &place.bytes(), &what);
                if let Some(verdict) = super::rules::verdict_of_python(&place) {
                    assert_eq!(verdict["verdict"], "no log", "{what}: {verdict}");
                }
                let salvaged: Vec<_> = wal_db::recovery::salvage(place.path())
                    .unwrap()
                    .filter_map(|item| match item.unwrap() {
                        SalvageItem::Record(record) => Some(Entry(record.lsn(), record.into_data())),
                        _ => None,
                    })
                    .collect();
                assert_eq!(salvaged, entries, "{what}");
                if path.is_dir() {
                    fs::remove_dir(&path).unwrap();
                } else {
                    fs::remove_file(&path).unwrap();
                }
                assert_eq!(all(&place.open(quiet()).unwrap()), entries, "{what}: without it");
            }
        }
    }
}

fn is_newer<T>(opened: Result<T>, state: &str) {
    assert_is!(
        opened.map(drop),
        Err(WalError::UnsupportedVersion { version: 2, .. }),
        "{state}"
    );
}

#[test]
fn a_later_segment_of_another_version_refuses_the_log_untouched() {
    for (state, place, entries) in logs() {
        let path = place.segment(next(&place));
        let mut bytes = fs::read(place.segment(0)).unwrap();
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..48]);
        bytes[48..52].copy_from_slice(&crc.to_le_bytes());
        fs::write(path, bytes).unwrap();
        let before = place.bytes();
        is_newer(place.open(quiet()), state);
        match state {
            "closed" => is_newer(Wal::open_read_only(place.path()), state),
            _ => assert_eq!(
                all(&Wal::open_read_only(place.path()).unwrap()),
                entries,
                "{state}"
            ),
        }
        is_newer(wal_db::recovery::inspect(place.path()), state);
        is_newer(place.open(quiet()), state);
        assert_same_files(&before, &place.bytes(), state);
    }
}

#[test]
fn a_later_segment_of_the_log_itself_is_taken() {
    for (state, place, entries) in logs() {
        let index = next(&place);
        make(&place, index);
        assert_eq!(
            all(&Wal::open_read_only(place.path()).unwrap()),
            entries,
            "{state}"
        );
        let wal = place.open(quiet()).unwrap();
        assert_eq!(all(&wal), entries, "{state}");
        let more: Vec<_> = (0..30).map(|seed| put(&wal, seed, 7000)).collect();
        wal.close().unwrap();
        assert_eq!(all(&place.open(quiet()).unwrap())[16..], more, "{state}");
    }
}

#[test]
fn gaps_before_later_segments_of_the_log_refuse_it_untouched_and_are_named_once() {
    for (state, place, entries) in logs() {
        let missing = next(&place);
        for further in [1, 2, 4] {
            make(&place, missing + further);
        }
        let before = place.bytes();
        match place.open(quiet()) {
            Err(WalError::Corruption(damage)) => {
                assert_eq!(damage.reason, CorruptionReason::MissingSegment, "{state}");
                assert_eq!(damage.segment, Some(missing), "{state}");
            }
            other => panic!("{state}: {other:?}"),
        }
        let files: Vec<_> = wal_db::recovery::inspect(place.path())
            .unwrap()
            .files
            .into_iter()
            .map(|file| (file.segment, file.path, file.reason))
            .collect();
        let gaps = [missing, missing + 3].map(|segment| {
            let path = Some(place.segment(segment));
            (Some(segment), path, CorruptionReason::MissingSegment)
        });
        // A closed log cannot be read either: its first gap is the damage, and nothing more is looked at.
        let named = if state == "closed" { 1 } else { 2 };
        assert_eq!(files, gaps[..named], "{state}");
        assert_same_files(&before, &place.bytes(), state);
        for further in [1, 2, 4] {
            fs::remove_file(place.segment(missing + further)).unwrap();
        }
        assert_eq!(all(&place.open(quiet()).unwrap()), entries, "{state}: without it");
    }
}
