//! What is no log of the form that was asked for, and known all the same: the error says what it is and what to do.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
};

use super::{
    fs::{Access, Dir, File, FileSystem, parent, read_at},
    segmented::{MANIFEST, NEW_MANIFEST},
    wal_db_1::{self, Crc32c},
};
use crate::format::{self, Manifest, SLOT_LEN, segment::SegmentHeader, snapshot, staging::StagingHeader};

const WAL_DB_1: &str = "it is a log of the registry's wal-db 1.x (or 0.x), whose files have another format; \
                        docs/from-wal-db-1.md says how to bring its records over";
pub(super) const UNFINISHED: &str =
    "a log was being made here and holds nothing yet; opening it for writing goes on with that";

/// The longest first record that is looked at.
const LONGEST: u32 = 64 << 20;

/// What a file is that is not a log in one file.
pub(super) fn file(file: &dyn File) -> io::Result<Option<&'static str>> {
    let mut slot = vec![0; SLOT_LEN];
    let len = read_at(file, 0, &mut slot)?;
    slot.truncate(len);
    Ok(if slot.is_empty() {
        Some("it is empty")
    } else if SegmentHeader::decode(&slot).is_ok() {
        Some("it is a segment of the log in this directory; open the directory")
    } else if Manifest::decode(&slot).is_ok_and(|manifest| manifest.segment_len > 0) {
        Some("it is the manifest of the log in this directory; open the directory")
    } else if StagingHeader::decode(&slot).is_some() {
        Some("it is the staging memory of a log; open the log")
    } else if slot.starts_with(&snapshot::MAGIC) {
        Some("it is a snapshot of a state; open the log beside it")
    } else if slot.starts_with(&format::table::MAGIC) {
        Some("it is the table of what was cut off of a log; open the log")
    } else if starts_as_wal_db_1(file)? {
        Some(WAL_DB_1)
    } else {
        None
    })
}

fn starts_as_wal_db_1(file: &dyn File) -> io::Result<bool> {
    let mut start = [0; wal_db_1::HEADER_LEN as usize];
    if read_at(file, 0, &mut start)? < start.len() {
        return Ok(false);
    }
    let (stored, len) = wal_db_1::header(start);
    if len > LONGEST || wal_db_1::HEADER_LEN + u64::from(len) > file.len()? {
        return Ok(false);
    }
    let mut crc = Crc32c::new();
    crc.update(&start[4..]);
    let (mut pos, mut left) = (wal_db_1::HEADER_LEN, len as usize);
    let mut buf = vec![0; left.min(64 << 10)];
    while left > 0 {
        let part = left.min(buf.len());
        if read_at(file, pos, &mut buf[..part])? < part {
            return Ok(false);
        }
        crc.update(&buf[..part]);
        (pos, left) = (pos + part as u64, left - part);
    }
    Ok(crc.value() == stored)
}

/// What a directory is that has no segments and no manifest with anything in it.
pub(super) fn directory(dir: &dyn Dir, names: &[OsString]) -> Option<&'static str> {
    let is_unfinished = |name: &OsString| {
        (name == MANIFEST || name == NEW_MANIFEST) && dir.len(name).is_ok_and(|len| len == 0)
    };
    if names.is_empty() {
        Some("the directory is empty")
    } else if names.iter().any(|name| is_segment_of_wal_db_1(name)) {
        Some(WAL_DB_1)
    } else if names.iter().all(is_unfinished) {
        Some(UNFINISHED)
    } else {
        None
    }
}

fn is_segment_of_wal_db_1(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.strip_suffix(".wal"));
    number.is_some_and(|number| number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What has a name that a file was to have.
pub(super) fn instead_of_a_file(dir: &dyn Dir, name: &OsStr) -> &'static str {
    let listed = dir
        .open_dir(name)
        .and_then(|dir| dir.list().map(|names| (dir, names)));
    match listed {
        Ok((dir, names)) => match directory(&*dir, &names) {
            Some(WAL_DB_1) => WAL_DB_1,
            _ => "it is a directory; a log in a directory is opened with open_segmented",
        },
        Err(_) => "it is not a regular file",
    }
}

/// What is at a path that a directory was to have.
pub(super) fn instead_of_a_directory(fs: &dyn FileSystem, path: &Path) -> &'static str {
    let open = || {
        let name = path.file_name()?;
        let dir = fs.open_dir(parent(path)).ok()?;
        dir.open(name, Access::Read).ok()
    };
    let Some(there) = open() else {
        return "it is not a directory";
    };
    let mut magic = [0; 5];
    match file(&*there) {
        Ok(Some(known)) => known,
        _ if read_at(&*there, 0, &mut magic).is_ok() && magic == *b"WALDB" => {
            "it is a log in one file; open it with Wal::open"
        }
        _ => "it is not a directory",
    }
}
