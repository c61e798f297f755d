//! Looking at whatever files there are, and taking out of them what can be had.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use wal_db::{RecoveryPolicy, WalConfig, WalError, recovery::SalvageItem};

use super::{
    image::{Flags, Image},
    open::is_in,
};
use crate::{
    Entry,
    files::{FILE_ROW, SEGMENT, SEGMENT_ROW, SLOT},
};

/// The log is a directory of segments.
const SEGMENTED: u16 = 1 << 8;
/// Its first segment is not there.
const LACKS_FIRST: u16 = 1 << 9;
/// Its manifest is not there.
const LACKS_MANIFEST: u16 = 1 << 10;
/// What is last ends where its bytes end, and not where it should.
const ENDS_EARLY: u16 = 1 << 11;
/// It is looked at twice.
const TWICE: u16 = 1 << 12;

thread_local! {
    static PLACE: Place = Place::new();
}

/// Inspects a log that holds these bytes: no panic, and no error but that it is no log of ours.
pub fn inspect(input: &[u8]) {
    PLACE.with(|place| {
        let Some((path, flags, _)) = place.lay_out(input) else {
            return;
        };
        let inspection = match wal_db::recovery::inspect(path) {
            Ok(inspection) => inspection,
            Err(error) => return is_about_the_files(&error),
        };
        assert!(inspection.intact_manifest_copies <= 2);
        let known = inspection.log_id.is_some() && inspection.head.is_some();
        assert_eq!(known, inspection.intact_manifest_copies > 0);
        let outcome = (inspection.recovery.is_some(), inspection.damage.is_some());
        // A file with the name of its next segment keeps a log from being read, and is no damage of it.
        let is_in_the_way = !inspection.files.is_empty() && outcome == (false, false);
        assert!(
            outcome == (true, false) || outcome == (false, true) || is_in_the_way,
            "{inspection:?}"
        );
        if flags.has(TWICE) {
            let again = wal_db::recovery::inspect(path).expect("it was inspected before");
            assert_eq!(format!("{inspection:?}"), format!("{again:?}"));
        }
    });
}

/// Salvages a log that holds these bytes: no panic; every record is in the bytes, and what can be read of the log in
/// the usual way is salvaged.
pub fn salvage(input: &[u8]) {
    PLACE.with(|place| {
        let Some((path, _, image)) = place.lay_out(input) else {
            return;
        };
        let items = match wal_db::recovery::salvage(path) {
            Ok(items) => items,
            Err(error) => return is_about_the_files(&error),
        };
        let mut records = Vec::new();
        for item in items {
            match item {
                Ok(SalvageItem::Record(record)) => records.push(Entry(record.lsn(), record.into_data())),
                Ok(_) => {}
                Err(error) => is_about_the_files(&error),
            }
        }
        records.iter().for_each(|record| is_in(record, &image));
        let ascending = records.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(ascending, "out of order: {records:?}");

        let config = WalConfig::new().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
        let Ok(wal) = config.open_read_only(path) else {
            return;
        };
        for record in wal.iter().into_iter().flatten().flatten() {
            let record = Entry(record.lsn(), record.into_data());
            assert!(
                records.contains(&record),
                "{record:?} is read and not salvaged: {records:?}"
            );
        }
    });
}

/// Damage is reported and is no error.
fn is_about_the_files(error: &WalError) {
    let fine = matches!(
        error,
        WalError::NotALog { .. } | WalError::UnsupportedVersion { .. }
    );
    assert!(fine, "{error:?}");
}

/// Where logs are laid out, one over the other.
struct Place {
    root: TempDir,
    file: PathBuf,
    dir: PathBuf,
    manifest: PathBuf,
    segments: Vec<PathBuf>,
}

impl Place {
    fn new() -> Place {
        let memory = Path::new("/dev/shm");
        let root = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let root = root.unwrap();
        let dir = root.path().join("dir");
        fs::create_dir(&dir).unwrap();
        Place {
            file: root.path().join("log"),
            manifest: dir.join("manifest"),
            segments: (0..4).map(|i| dir.join(format!("{i:010}.seg"))).collect(),
            dir,
            root,
        }
    }

    /// Writes the files of the log that an input stands for.
    fn lay_out(&self, input: &[u8]) -> Option<(&Path, Flags, Image)> {
        let (flags, image) = Image::parse(input)?;
        let path = if flags.has(SEGMENTED) {
            self.lay_out_segments(flags, &image);
            &self.dir
        } else {
            self.lay_out_file(flags, &image);
            &self.file
        };
        debug_assert!(path.starts_with(self.root.path()));
        Some((path, flags, image))
    }

    fn lay_out_file(&self, flags: Flags, image: &Image) {
        let row = match (image.row.is_empty(), flags.has(ENDS_EARLY)) {
            (true, true) => vec![],
            _ => vec![(FILE_ROW, &image.row[..])],
        };
        let ([first, second], header) = (&image.slots, &image.header[..]);
        let parts = [(0, &first[..]), (SLOT, second), (2 * SLOT, header)];
        write(&self.file, parts.into_iter().chain(row));
    }

    fn lay_out_segments(&self, flags: Flags, image: &Image) {
        if flags.has(LACKS_MANIFEST) {
            let _ = fs::remove_file(&self.manifest);
        } else {
            let [first, second] = &image.slots;
            write(&self.manifest, [(0, &first[..]), (SLOT, second)]);
        }
        let mut parts = image.row.chunks(SEGMENT as usize);
        for (index, path) in self.segments.iter().enumerate() {
            let part = parts.next();
            let Some(part) = part.filter(|_| index > 0 || !flags.has(LACKS_FIRST)) else {
                let _ = fs::remove_file(path);
                continue;
            };
            let header = numbered(&image.header, index as u64);
            let file = write(path, [(0, &header[..]), (SEGMENT_ROW, part)]);
            if !flags.has(ENDS_EARLY) {
                file.set_len(SEGMENT_ROW + SEGMENT).unwrap();
            }
        }
    }
}

/// The header of a later segment: that of the first with another number, and a checksum that is as right as it was.
fn numbered(first: &[u8], index: u64) -> Vec<u8> {
    let mut header = first.to_vec();
    if header.len() >= 52 && index > 0 {
        let crc = |header: &[u8]| crc32fast::hash(&header[..48]).to_le_bytes();
        let right = header[48..52] == crc(&header);
        header[32..40].copy_from_slice(&index.to_le_bytes());
        if right {
            let crc = crc(&header);
            header[48..52].copy_from_slice(&crc);
        }
    }
    header
}

/// Makes a file of these parts.
fn write<'a>(path: &Path, parts: impl IntoIterator<Item = (u64, &'a [u8])>) -> File {
    let file = File::create(path).unwrap();
    let mut len = 0;
    for (pos, bytes) in parts {
        file.write_all_at(bytes, pos).unwrap();
        len = pos + bytes.len() as u64;
    }
    file.set_len(len).unwrap();
    file
}
