//! Looking at a log from outside, whatever state it is in. Nothing here writes.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::kept;
use crate::{
    config::WalConfig,
    error::{Corruption, CorruptionReason, Result, WalError, path_text},
    format::{Manifest, timeline::EpochStart},
    log::{
        open::{keeper, reader},
        report::{FileFault, RecoveryReport},
    },
    lsn::Lsn,
    storage::{
        Latched, StoreFault, System,
        fs::{FileSystem, parent},
        segment_index, segment_name,
    },
    sync::Arc,
};

/// What is at a path, from [`inspect`](crate::recovery::inspect).
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The log's id, in hex.
    pub log_id: Option<String>,
    /// Bytes of the log in a segment file; `None` for a log in one file.
    pub segment_size: Option<u64>,
    /// The files that hold the log, in order.
    pub segments: Vec<SegmentInfo>,
    /// The files that keep what was cut off its end when it was opened, for [`salvage`](crate::recovery::salvage).
    #[serde(serialize_with = "path_text::each")]
    pub kept: Vec<PathBuf>,
    /// Files that keep the log from being opened to write: one that is missing, or that has the name of one of the log's,
    /// of the next one it would make as well, and is not it.
    pub files: Vec<FileFault>,
    /// How many of the two copies of the manifest are intact.
    pub intact_manifest_copies: u32,
    /// Those that are intact, as they are at this moment.
    pub manifests: Vec<ManifestCopy>,
    /// The epochs that the newest manifest knows, oldest first: each opening for writing and each cut of the end began one.
    pub epochs: Vec<Epoch>,
    /// Where the log starts.
    pub head: Option<Lsn>,
    /// What opening it to read finds; `None` if that fails.
    pub recovery: Option<RecoveryReport>,
    /// The damage that would keep it from opening.
    pub damage: Option<Corruption>,
}

/// A copy of the manifest: what has to be known before a log is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ManifestCopy {
    /// Which one: 0 or 1.
    pub copy: usize,
    /// How often the manifest was written. The copy with the higher number counts.
    pub generation: u64,
    /// Where the log starts.
    pub head: Lsn,
    /// How many records were dropped before it.
    pub head_ordinal: u64,
    /// Where the log ended when this was written, in bytes of the stream: all before it is durable.
    pub mark: u64,
    /// The highest number of a segment that may be used; `None` for a log in one file.
    pub newest_segment: Option<u64>,
    /// A process has the log open with a staging file, or died with it.
    pub is_staged: bool,
}

impl ManifestCopy {
    fn of(copy: usize, manifest: &Manifest) -> ManifestCopy {
        ManifestCopy {
            copy,
            generation: manifest.generation,
            head: Lsn::from_pos(manifest.head),
            head_ordinal: manifest.head_ordinal,
            mark: manifest.mark.pos,
            newest_segment: (manifest.segment_len > 0).then_some(manifest.newest_segment),
            is_staged: manifest.staging.is_some(),
        }
    }
}

/// A part of a log that one writer wrote, from one opening or cut to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Epoch {
    /// Its number.
    pub epoch: u32,
    /// Where it starts in the stream.
    pub start: u64,
    /// From here to its start the log was cut off; the start itself if nothing was.
    pub cut: u64,
}

/// A file that holds a part of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its number.
    pub index: u64,
    /// Where it is.
    #[serde(serialize_with = "path_text::one")]
    pub path: PathBuf,
    /// Its size in bytes.
    pub file_bytes: u64,
}

/// Looks at the log at `path` without opening it, whatever state it is in. Reads what opening would read, the end of the
/// log; [`Wal::verify`](crate::Wal::verify) and [`salvage`](crate::recovery::salvage) read all of it. Changes nothing.
///
/// # Errors
/// [`WalError::NotALog`], [`WalError::UnsupportedVersion`] and [`WalError::Io`]; damage is what it reports.
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection> {
    let path = path.as_ref();
    inspect_on(Arc::new(System), path).map_err(|error| error.located(Some(path)))
}

pub(crate) fn inspect_on(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Inspection> {
    // Listed once, because the writer cannot make names meanwhile.
    let (names, is_dir) = names(&fs, path)?;
    let mut inspection = Inspection {
        log_id: None,
        segment_size: None,
        segments: segments_among(&fs, path, &names, is_dir)?,
        kept: kept::among(&names, path, is_dir),
        files: Vec::new(),
        intact_manifest_copies: 0,
        manifests: Vec::new(),
        epochs: Vec::new(),
        head: None,
        recovery: None,
        damage: None,
    };
    let located = |error: WalError| error.located(Some(path));
    let store = match reader::store_to_read(&fs, path).map_err(located) {
        Ok(store) => Latched::new(store),
        Err(WalError::Corruption(damage)) => {
            inspection.damage = Some(damage);
            return Ok(inspection);
        }
        Err(error) => return Err(error),
    };
    let (intact, newest) = keeper::read_remains(&store);
    inspection.intact_manifest_copies = intact;
    let (segment_len, newest_segment) = newest
        .as_ref()
        .map_or((0, 0), |manifest| (manifest.segment_len, manifest.newest_segment));
    inspection.manifests = keeper::copies_now(&store)
        .each()
        .map(|(copy, manifest)| ManifestCopy::of(copy, manifest))
        .collect();
    if let Some(manifest) = newest {
        inspection.epochs = epochs(&manifest);
        inspection.log_id = Some(manifest.log.to_string());
        inspection.segment_size = (manifest.segment_len > 0).then_some(manifest.segment_len);
        inspection.head = Some(Lsn::from_pos(manifest.head));
    }
    match reader::open_latched(store, WalConfig::new()).map_err(located) {
        Ok(view) => {
            // Reading does not need them, and writing refuses what is wrong there.
            let faults = later_faults(&view.base.store, path, &names, newest_segment, segment_len)?;
            inspection.files.extend(faults);
            inspection.recovery = Some(view.report);
        }
        Err(WalError::Corruption(damage)) => {
            inspection.files.extend(fault_of(&damage, path, segment_len));
            inspection.damage = Some(damage);
        }
        // The log itself was recognised earlier, so this is about a file that has the name of its next segment.
        Err(WalError::NotALog { path, .. }) if segment_len > 0 => {
            let name = path.file_name().and_then(|name| name.to_str());
            inspection.files.push(FileFault {
                segment: name.and_then(segment_index),
                path: Some(path),
                reason: CorruptionReason::WrongSegment,
            });
        }
        Err(error) => return Err(error),
    }
    Ok(inspection)
}

fn epochs(manifest: &Manifest) -> Vec<Epoch> {
    let mut epochs: Vec<Epoch> = manifest
        .timeline
        .newest_first()
        .map(|EpochStart { epoch, start, cut }| Epoch { epoch, start, cut })
        .collect();
    epochs.reverse();
    epochs
}

/// The files for which opening the log to write refuses it, among those with the names of later segments than the newest
/// that the manifest names, and the gaps before them.
fn later_faults(
    store: &Latched,
    path: &Path,
    names: &[OsString],
    newest_segment: u64,
    segment_len: u64,
) -> Result<Vec<FileFault>> {
    let mut later: Vec<u64> = names
        .iter()
        .filter_map(|name| segment_index(name.to_str()?))
        .filter(|index| segment_len > 0 && *index > newest_segment)
        .collect();
    later.sort_unstable();
    let mut faults = Vec::new();
    let mut expected = newest_segment + 1;
    for segment in later {
        // Looked up before the one after it: a writer makes them in order, and removes the last first.
        let mut missing = None;
        for index in expected..segment {
            if later_at(store, index, segment_len)? == Later::None {
                missing = Some(index);
                break;
            }
        }
        expected = segment + 1;
        let (at, reason) = match (later_at(store, segment, segment_len)?, missing) {
            (Later::Strange, _) => (segment, CorruptionReason::WrongSegment),
            (Later::Own, Some(missing)) => (missing, CorruptionReason::MissingSegment),
            (Later::Own | Later::None, _) => continue,
        };
        faults.push(FileFault {
            segment: Some(at),
            path: Some(path.join(segment_name(at))),
            reason,
        });
    }
    Ok(faults)
}

/// What has the name of a later segment.
#[derive(PartialEq)]
enum Later {
    Own,
    Strange,
    None,
}

fn later_at(store: &Latched, segment: u64, segment_len: u64) -> Result<Later> {
    let Err(error) = store.check_file(segment.saturating_mul(segment_len)) else {
        return Ok(Later::Own);
    };
    match StoreFault::of(&error) {
        Some(StoreFault::Wrong { .. }) => Ok(Later::Strange),
        Some(StoreFault::Version { version }) => Err(WalError::newer(version, 0)),
        Some(_) => Ok(Later::None),
        None => Err(WalError::io("reading a segment")(error)),
    }
}

/// The file that damage is about, if it is about one.
fn fault_of(damage: &Corruption, path: &Path, segment_len: u64) -> Option<FileFault> {
    let is_of_a_file = matches!(
        damage.reason,
        CorruptionReason::MissingSegment | CorruptionReason::WrongSegment
    );
    let in_dir = |segment| path.join(segment_name(segment));
    is_of_a_file.then(|| FileFault {
        path: Some(match damage.segment {
            Some(segment) if segment_len > 0 => in_dir(segment),
            _ => path.to_owned(),
        }),
        segment: damage.segment,
        reason: damage.reason,
    })
}

/// The names in a log's directory, or beside a log in one file, and whether it is a directory.
fn names(fs: &Arc<dyn FileSystem>, path: &Path) -> Result<(Vec<OsString>, bool)> {
    let looking = WalError::io("looking at the log");
    Ok(match fs.open_dir(path) {
        Ok(dir) => (dir.list().map_err(looking)?, true),
        // The reader may not be allowed to list what lies beside a file.
        Err(_) => {
            let above = fs.open_dir(parent(path)).and_then(|dir| dir.list());
            (above.unwrap_or_default(), false)
        }
    })
}

/// The files that hold the log. One that goes in the meantime is left out.
pub(crate) fn segments(fs: &Arc<dyn FileSystem>, path: &Path) -> Result<Vec<SegmentInfo>> {
    let (names, is_dir) = names(fs, path)?;
    segments_among(fs, path, &names, is_dir)
}

fn segments_among(
    fs: &Arc<dyn FileSystem>,
    path: &Path,
    names: &[OsString],
    is_dir: bool,
) -> Result<Vec<SegmentInfo>> {
    let looking = |error| WalError::io("looking at the log")(error);
    if !is_dir {
        let dir = fs.open_dir(parent(path)).map_err(looking)?;
        let name = path.file_name().unwrap_or_default();
        return Ok(vec![SegmentInfo {
            index: 0,
            path: path.to_owned(),
            file_bytes: dir.len(name).map_err(looking)?,
        }]);
    }
    let dir = fs.open_dir(path).map_err(looking)?;
    let mut segments = Vec::new();
    for name in names {
        let Some(index) = name.to_str().and_then(segment_index) else {
            continue;
        };
        let file_bytes = match dir.len(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            len => len.map_err(looking)?,
        };
        segments.push(SegmentInfo {
            index,
            path: path.join(name),
            file_bytes,
        });
    }
    segments.sort_by_key(|segment| segment.index);
    Ok(segments)
}

#[cfg(all(test, not(any(wal_loom, wal_shuttle))))]
mod tests {
    use super::*;

    /// A writer that drops the beginning of the log may come between the listing and the look.
    #[test]
    fn a_segment_that_was_removed_since_it_was_listed_is_left_out() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(segment_name(1)), b"12345").expect("a file");
        let names: Vec<OsString> = [0, 1].map(|index| segment_name(index).into()).into();
        let fs: Arc<dyn FileSystem> = Arc::new(System);
        let found = segments_among(&fs, dir.path(), &names, true).expect("a listing");
        let found: Vec<_> = found
            .iter()
            .map(|segment| (segment.index, segment.file_bytes))
            .collect();
        assert_eq!(found, [(1, 5)]);
    }
}
