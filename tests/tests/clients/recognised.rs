//! Files of the registry's wal-db 1.x are recognised and named, and nothing is changed.

use std::{fs, path::Path};

use wal_db::{Result, Wal, WalError};
use wal_tests::{
    files::{assert_same_files, tree},
    payload, quiet,
};

/// The checksum of that format: CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| bit(crc))
    })
}

/// A record as 1.x writes it: checksum, length, payload.
fn record(payload: &[u8]) -> Vec<u8> {
    let checked = [&(payload.len() as u32).to_le_bytes(), payload].concat();
    [&crc32c(&checked).to_le_bytes()[..], &checked].concat()
}

fn stream(records: &[&[u8]]) -> Vec<u8> {
    records.iter().flat_map(|payload| record(payload)).collect()
}

/// A directory of segments as 1.x makes it, whose head may have been moved.
fn write_segments(dir: &Path, stream: &[u8], segment: usize, head: Option<u64>) {
    fs::create_dir(dir).unwrap();
    for (index, bytes) in stream.chunks(segment).enumerate() {
        let is_dropped = head.is_some_and(|head| ((index + 1) * segment) as u64 <= head);
        if !is_dropped {
            fs::write(dir.join(format!("{index:020}.wal")), bytes).unwrap();
        }
    }
    if let Some(head) = head {
        let head = head.to_le_bytes();
        let marker = [&head[..], &crc32c(&head).to_le_bytes()].concat();
        fs::write(dir.join("head"), marker).unwrap();
    }
}

/// Every way to open what is at `path`, by name.
fn ways(path: &Path) -> Vec<(&'static str, Result<()>)> {
    vec![
        ("open", Wal::open_with(path, quiet()).map(drop)),
        (
            "open_segmented",
            Wal::open_segmented_with(path, 1 << 16, quiet()).map(drop),
        ),
        ("open_read_only", Wal::open_read_only(path).map(drop)),
        ("inspect", wal_db::recovery::inspect(path).map(drop)),
        ("salvage", wal_db::recovery::salvage(path).map(drop)),
    ]
}

/// Whatever opens what is at `root/log` says what it is and where to read on, and changes nothing.
fn is_named(root: &Path, what: &str) {
    let (path, before) = (root.join("log"), tree(root));
    for (way, outcome) in ways(&path) {
        let Err(error @ WalError::NotALog { .. }) = outcome else {
            panic!("{what}, {way}: {outcome:?}");
        };
        let text = error.to_string();
        for part in [&path.display().to_string(), "wal-db 1.x", "docs/from-wal-db-1.md"] {
            assert!(text.contains(part), "{what}, {way}: no {part:?} in {text:?}");
        }
        assert_same_files(&before, &tree(root), what);
    }
}

#[test]
fn a_file_of_wal_db_1_is_named_and_left_alone() {
    let long = payload(1, 300_000);
    let torn = {
        let mut bytes = stream(&[b"first", b"second"]);
        bytes.truncate(bytes.len() - 3);
        bytes
    };
    for (what, bytes) in [
        ("one record", stream(&[b"debit 5"])),
        ("an empty record", stream(&[b""])),
        ("three records", stream(&[b"a", b"b", b"c"])),
        ("a long record", stream(&[&long, b"b"])),
        ("a torn end", torn),
        ("a record that looks like a file of ours", stream(&[b"WALDBSEG"])),
    ] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("log"), bytes).unwrap();
        is_named(root.path(), what);
    }
}

#[test]
fn a_directory_of_wal_db_1_is_named_and_left_alone() {
    let bytes = stream(&[b"a", &payload(2, 100), b"c", &payload(3, 50)]);
    for (what, segment, head) in [
        ("one segment", 1 << 20, None),
        ("records over several segments", 32, None),
        ("a log whose beginning was dropped", 32, Some(117)),
    ] {
        let root = tempfile::tempdir().unwrap();
        write_segments(&root.path().join("log"), &bytes, segment, head);
        is_named(root.path(), what);
    }
    // All of it was cut off.
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("log")).unwrap();
    fs::write(root.path().join("log").join(format!("{:020}.wal", 0)), b"").unwrap();
    is_named(root.path(), "an empty segment");
}

/// An empty file holds nothing of anybody: who only reads it is told, and who writes gets a new log in it.
#[test]
fn an_empty_log_of_wal_db_1_is_an_empty_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("log");
    fs::write(&path, b"").unwrap();
    let read = Wal::open_read_only(&path).unwrap_err().to_string();
    assert!(read.contains("it is empty"), "{read}");
    let wal = Wal::open_with(&path, quiet()).unwrap();
    assert!(wal.recovery().created && wal.is_empty());

    let dir = root.path().join("dir");
    fs::create_dir(&dir).unwrap();
    let read = Wal::open_read_only(&dir).unwrap_err().to_string();
    assert!(read.contains("the directory is empty"), "{read}");
    assert!(
        Wal::open_segmented_with(&dir, 1 << 16, quiet())
            .unwrap()
            .recovery()
            .created
    );
}

/// What only looks like a record of that format at first sight.
#[test]
fn a_record_that_does_not_match_its_checksum_is_no_log_of_wal_db_1() {
    let mut damaged = record(b"debit 5");
    damaged[9] ^= 1;
    for (what, bytes) in [
        ("a flipped bit", damaged),
        ("a length beyond the file", record(&[1; 100])[..50].to_vec()),
        ("a length of 4 GiB", [[0xff; 8], [1; 8]].concat()),
        ("seven bytes", vec![1; 7]),
        ("zeros", vec![0; 200_000]),
    ] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("log"), bytes).unwrap();
        for (way, outcome) in ways(&root.path().join("log")) {
            let Err(error @ WalError::NotALog { .. }) = outcome else {
                panic!("{what}, {way}: {outcome:?}");
            };
            assert!(!error.to_string().contains("wal-db 1"), "{what}, {way}: {error}");
        }
    }
}

/// The writer above writes what that crate writes, and what that crate writes is recognised.
#[cfg(feature = "wal-db-1-1-0")]
#[test]
fn what_the_crate_itself_writes_is_what_is_recognised() {
    let root = tempfile::tempdir().unwrap();
    let records: [&[u8]; 3] = [b"one", b"", &[7; 100]];
    let path = root.path().join("log");
    let wal = wal_db_1_1_0::Wal::open(&path).unwrap();
    for record in records {
        let _ = wal.append(record).unwrap();
    }
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(fs::read(&path).unwrap(), stream(&records));
    is_named(root.path(), "a file of wal-db 1.1.0");

    let (root, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = root.path().join("log");
    let wal = wal_db_1_1_0::Wal::open_segmented(&path, 32).unwrap();
    let mut last = None;
    for record in records {
        last = Some(wal.append(record).unwrap());
    }
    wal.sync().unwrap();
    let head = wal.truncate_before(last.unwrap()).unwrap().get();
    drop(wal);
    write_segments(&ours.path().join("log"), &stream(&records), 32, Some(head));
    assert_same_files(&tree(ours.path()), &tree(root.path()), "segments of wal-db 1.1.0");
    is_named(root.path(), "a directory of wal-db 1.1.0");
}

/// Why a path must never be given to both crates.
#[cfg(feature = "wal-db-1-1-0")]
#[test]
fn wal_db_1_cuts_a_file_of_ours_to_nothing_and_begins_a_second_log_in_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let (file, dir) = (root.path().join("log"), root.path().join("dir"));
    for wal in [
        Wal::open(&file).unwrap(),
        Wal::open_segmented(&dir, 1 << 16).unwrap(),
    ] {
        wal.append_and_sync(b"ours").unwrap();
        wal.close().unwrap();
    }
    assert_eq!(wal_db_1_1_0::Wal::open(&file).unwrap().iter().unwrap().count(), 0);
    assert_eq!(fs::metadata(&file).unwrap().len(), 0, "it is gone");

    let theirs = wal_db_1_1_0::Wal::open_segmented(&dir, 1 << 16).unwrap();
    assert_eq!(theirs.iter().unwrap().count(), 0, "it does not see ours");
    let _ = theirs.append_and_sync(b"theirs").unwrap();
    let ours = Wal::open_segmented(&dir, 1 << 16).unwrap();
    assert_eq!(ours.iter().unwrap().count(), 1, "and ours is as it was");
}
