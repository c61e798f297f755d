//! Opening the directory of a log, or making one.

use std::{collections::BTreeMap, ffi::OsString, io, path::Path};

use super::{MANIFEST, MIN_SEGMENT_LEN, NEW_MANIFEST, SegmentedStore, segment_index};
use crate::{
    error::{Corruption, CorruptionReason, Result, WalError},
    format::{
        LogId,
        manifest::{Copies, SlotFault},
        segment::{SEGMENT_HEADER_USED, SegmentHeader},
    },
    process::Process,
    storage::{
        file::{faster, lock, open_existing, open_new, read_slot},
        files::Files,
        fs::{Access, Dir, File, FileSystem, create_dirs, read_at},
        recognised,
        sys::{self, System},
    },
    sync::{Arc, AtomicBool, AtomicU64, Mutex},
};

impl SegmentedStore {
    /// Bytes of the stream in the shortest segment that there is, and in the longest.
    pub(crate) const MIN: u64 = MIN_SEGMENT_LEN;
    pub(crate) const MAX: u64 = 1 << 40;

    /// Opens the directory for writing and locks it; creates it if it is not there or empty. The stored segment
    /// size wins over `segment_size`, which is rounded up to a multiple of 4 KiB and to 64 KiB at least.
    ///
    /// # Errors
    /// [`WalError::Locked`] if it is open for writing elsewhere, [`WalError::NotALog`] if it holds something else (it
    /// is not changed then), [`WalError::Corruption`] if the manifest is gone, [`WalError::Io`].
    pub fn open(dir: impl AsRef<Path>, segment_size: u64) -> Result<Self> {
        let dir = dir.as_ref();
        Self::open_on(Arc::new(System), dir, segment_size).map_err(|error| error.located(Some(dir)))
    }

    pub(crate) fn open_on(fs: Arc<dyn FileSystem>, path: &Path, segment_size: u64) -> Result<Self> {
        if segment_size == 0 {
            return Err(WalError::Config {
                what: "segments of 0 bytes: they have to have one at least, and are rounded up to 64 KiB"
                    .to_owned(),
            });
        }
        let dir = match open_dir(&*fs, path)? {
            Some(dir) => dir,
            None => create_dirs(&*fs, path).map_err(WalError::io("creating the log's directory"))?,
        };
        let manifest_path = path.join(MANIFEST);
        let manifest = match open_existing(&*dir, MANIFEST.as_ref(), &manifest_path, Access::Write)? {
            Some(file) => {
                lock(&*file, &manifest_path)?;
                // What a process that died has left in the system's cache is durable before anything follows from it.
                dir.sync()
                    .and_then(|()| dir.sync_own_name())
                    .map_err(WalError::io("making the log's directory durable"))?;
                file
            }
            None => create(&*dir, path)?,
        };
        Self::with_manifest(fs, dir, path, manifest, Some(segment_size), false)
    }

    /// Opens the directory for reading; changes and locks nothing.
    ///
    /// # Errors
    /// [`WalError::NotALog`] if it holds something else, [`WalError::Io`].
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        Self::open_read_only_on(Arc::new(System), dir).map_err(|error| error.located(Some(dir)))
    }

    pub(crate) fn open_read_only_on(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Self> {
        let Some(dir) = open_dir(&*fs, path)? else {
            return Err(opening_dir(io::ErrorKind::NotFound.into()));
        };
        match open_existing(&*dir, MANIFEST.as_ref(), &path.join(MANIFEST), Access::Read)? {
            Some(manifest) => Self::with_manifest(fs, dir, path, manifest, None, true),
            None => Err(no_manifest(&*dir, path)?),
        }
    }

    /// Opens what segments there are, without a manifest, for salvage: which log it is and how long its segments are
    /// comes from the first segment whose header is intact.
    pub(crate) fn open_segments(
        fs: Arc<dyn FileSystem>,
        path: &Path,
    ) -> Result<(Self, LogId, std::ops::RangeInclusive<u64>)> {
        let dir = fs.open_dir(path).map_err(opening_dir)?;
        let (mut headers, mut refused) = (Vec::new(), None);
        for name in dir.list().map_err(opening_dir)? {
            let Some(index) = name.to_str().and_then(segment_index) else {
                continue;
            };
            let mut bytes = [0; SEGMENT_HEADER_USED];
            let opened = dir.open(&name, Access::Read);
            match opened.and_then(|file| read_at(&*file, 0, &mut bytes).map(|_| file)) {
                Ok(file) => {
                    let header = SegmentHeader::decode(&bytes).ok();
                    let header = header.filter(|header| header.index == index);
                    headers.extend(header.map(|header| (header, file)));
                }
                Err(error) if sys::is_not_a_file(&error) => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        headers.sort_by_key(|(header, _)| header.index);
        // A file of another log may lie among them: the log is the one that most of them belong to.
        let mut of = BTreeMap::new();
        for (header, _) in &headers {
            *of.entry(header.log.0).or_insert(0) += 1;
        }
        if let Some((&most, _)) = of.iter().max_by_key(|(_, count)| **count) {
            headers.retain(|(header, _)| header.log.0 == most);
        }
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            if let Some(refused) = refused {
                return Err(WalError::io("reading the segments")(refused));
            }
            return Err(match no_manifest(&*dir, path)? {
                WalError::Corruption(_) => WalError::NotALog {
                    path: path.to_owned(),
                    reason: "no segment with an intact header",
                },
                error => error,
            });
        };
        let (log, segment_len, indexes) = (first.0.log, first.0.segment_len, first.0.index..=last.0.index);
        // The file stands in for the manifest, which salvage does not read from it.
        let manifest = first.1.clone();
        let store = SegmentedStore {
            fs,
            dir,
            path: path.to_owned(),
            manifest,
            segment_len: segment_len.max(MIN_SEGMENT_LEN),
            read_only: true,
            log: Mutex::new(Some(log)),
            last: AtomicU64::new(*indexes.end()),
            needed: AtomicU64::new(*indexes.end()),
            attached: AtomicBool::new(false),
            prepared: Mutex::new(0),
            files: Files::new(),
            process: Process::this(),
        };
        Ok((store, log, indexes))
    }

    pub(super) fn with_manifest(
        fs: Arc<dyn FileSystem>,
        dir: Arc<dyn Dir>,
        path: &Path,
        manifest: Arc<dyn File>,
        asked: Option<u64>,
        read_only: bool,
    ) -> Result<Self> {
        let read = |slot| read_slot(&*manifest, slot).map_err(WalError::io("reading the manifest"));
        let slots = [read(0)?, read(1)?];
        let copies = Copies::decode(&slots);
        let stored = copies.newest().map(|(_, newest)| newest);
        if stored.is_none() && copies.has(SlotFault::Foreign) && !copies.has(SlotFault::Damaged) {
            return Err(WalError::NotALog {
                path: path.to_owned(),
                reason: "its manifest has another format",
            });
        }
        if read_only && slots.iter().all(Vec::is_empty) && !has_segments(&dir.list().map_err(opening_dir)?) {
            return Err(WalError::NotALog {
                path: path.to_owned(),
                reason: recognised::UNFINISHED,
            });
        }
        let segment_len = match stored {
            Some(stored) if stored.segment_len == 0 => {
                return Err(WalError::NotALog {
                    path: path.to_owned(),
                    reason: "its manifest is that of a file",
                });
            }
            Some(stored) => stored.segment_len,
            _ => asked
                .unwrap_or(MIN_SEGMENT_LEN)
                .clamp(Self::MIN, Self::MAX)
                .next_multiple_of(4096),
        };
        Ok(SegmentedStore {
            fs,
            dir,
            path: path.to_owned(),
            manifest,
            segment_len,
            read_only,
            log: Mutex::new(None),
            last: AtomicU64::new(0),
            needed: AtomicU64::new(u64::MAX),
            attached: AtomicBool::new(false),
            prepared: Mutex::new(0),
            files: Files::new(),
            process: Process::this(),
        })
    }
}

/// Opens a log's directory if it is there.
fn open_dir(fs: &dyn FileSystem, path: &Path) -> Result<Option<Arc<dyn Dir>>> {
    match fs.open_dir(path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(WalError::NotALog {
            path: path.to_owned(),
            reason: recognised::instead_of_a_directory(fs, path),
        }),
        Err(error) => Err(opening_dir(error)),
    }
}

fn opening_dir(error: io::Error) -> WalError {
    WalError::io("opening the log's directory")(error)
}

/// Makes the manifest, which appears under its name locked and empty.
fn create(dir: &dyn Dir, path: &Path) -> Result<Arc<dyn File>> {
    let names = dir.list().map_err(opening_dir)?;
    let manifest = path.join(MANIFEST);
    if names.iter().any(|name| name == MANIFEST) {
        return Err(faster(&manifest));
    }
    if names.iter().any(|name| name != NEW_MANIFEST) {
        return Err(no_manifest(dir, path)?);
    }
    let (file, is_ours) = open_new(dir, NEW_MANIFEST.as_ref(), &path.join(NEW_MANIFEST))?;
    if let Err(error) = make(dir, path, &*file) {
        if is_ours {
            // Nothing is left of what could not be made; where that fails, the next opening uses it.
            let _ = dir.remove(NEW_MANIFEST.as_ref());
        }
        return Err(error);
    }
    Ok(file)
}

fn make(dir: &dyn Dir, path: &Path, file: &dyn File) -> Result<()> {
    let manifest = path.join(MANIFEST);
    lock(file, &manifest)?;
    // Another process that had this file may have finished it.
    if dir.exists(MANIFEST.as_ref())? {
        return Err(faster(&manifest));
    }
    if file.len()? > 0 {
        return Err(WalError::NotALog {
            path: path.join(NEW_MANIFEST),
            reason: "a new log is made under this name, and something else has it",
        });
    }
    match dir.rename(NEW_MANIFEST.as_ref(), MANIFEST.as_ref()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(faster(&manifest)),
        result => result.map_err(WalError::io("creating the manifest"))?,
    }
    let flush_names = || {
        dir.sync()?;
        dir.sync_own_name()?;
        Ok(())
    };
    flush_names().map_err(WalError::io("making the log's directory durable"))
}

fn has_segments(names: &[OsString]) -> bool {
    let mut names = names.iter().filter_map(|name| name.to_str());
    names.any(|name| segment_index(name).is_some())
}

/// A directory without a manifest: a log that lost it, or no log.
fn no_manifest(dir: &dyn Dir, path: &Path) -> Result<WalError> {
    let names = dir.list().map_err(opening_dir)?;
    Ok(if has_segments(&names) {
        Corruption::of_manifest(CorruptionReason::MissingManifest).into()
    } else {
        WalError::NotALog {
            path: path.to_owned(),
            reason: recognised::directory(dir, &names)
                .unwrap_or("the directory holds something else and no manifest"),
        }
    })
}
