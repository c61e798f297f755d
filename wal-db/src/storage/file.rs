//! A log in one file.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{
    Identity, StoreFault, WalStore,
    sys::{self, Access},
};
use crate::{
    Result, WalError,
    format::{
        LogId, SLOT_LEN, is_zero,
        segment::{SEGMENT_HEADER_LEN, SEGMENT_HEADER_USED, SegmentFault, SegmentHeader},
    },
    sync::{AtomicU64, Ordering},
};

const HEADER: u64 = 2 * SLOT_LEN as u64;
const ROW: u64 = HEADER + SEGMENT_HEADER_LEN;

/// How much is made ready at a time, at least.
const PREPARE_STEP: u64 = 4 << 20;

/// A log in one file: the manifest's two slots, a segment header, then the row. The staging memory lies beside it as
/// `<file>.staging`.
#[derive(Debug)]
pub struct FileStore {
    file: File,
    path: PathBuf,
    prepared: AtomicU64,
}

impl FileStore {
    /// Opens the file for writing and locks it; creates it if it is not there or empty.
    ///
    /// # Errors
    /// [`WalError::Locked`] if it is open for writing elsewhere, [`WalError::NotALog`] if it is something else (it
    /// is not changed then), [`WalError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match open_existing(path, Access::Write)? {
            Some(file) if file.metadata()?.len() > 0 => {
                lock(&file, path)?;
                Self::with_file(file, path)
            }
            _ => Self::create(path),
        }
    }

    /// Opens the file for reading; changes and locks nothing.
    ///
    /// # Errors
    /// [`WalError::NotALog`] if it is something else, [`WalError::Io`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match open_existing(path, Access::Read)? {
            Some(file) => Self::with_file(file, path),
            None => Err(WalError::Io {
                context: "opening the log",
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }

    /// Which log the file holds, by its segment header alone.
    pub(crate) fn log_id(&self) -> Option<LogId> {
        let mut bytes = [0; SEGMENT_HEADER_USED];
        sys::read_at(&self.file, HEADER, &mut bytes).ok()?;
        SegmentHeader::decode(&bytes).ok().map(|header| header.log)
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file appears under its name with all it needs, or not at all.
    fn create(path: &Path) -> Result<Self> {
        let new_path = with_suffix(path, ".new");
        let file = sys::open(&new_path, Access::Create).map_err(WalError::io("creating the log"))?;
        lock(&file, path)?;
        if open_existing(path, Access::Read)?.is_some_and(|there| there.metadata().is_ok_and(|m| m.len() > 0))
        {
            // Somebody else was faster.
            return Err(WalError::Locked {
                path: path.to_owned(),
            });
        }
        file.set_len(0)?;
        file.set_len(ROW)?;
        file.sync_all()?;
        std::fs::rename(&new_path, path).map_err(WalError::io("creating the log"))?;
        sys::sync_dir(sys::parent(path)).map_err(WalError::io("making the log's directory durable"))?;
        Self::with_file(file, path)
    }

    fn with_file(file: File, path: &Path) -> Result<Self> {
        let len = file.metadata()?.len();
        // Any slot that was ever written starts with its magic; a file that we created and left has none yet.
        let mut start = [0u8; 8];
        let foreign = |reason| WalError::NotALog {
            path: path.to_owned(),
            reason,
        };
        if len < ROW {
            return Err(foreign("it is too short"));
        }
        let mut any = false;
        for offset in [0, SLOT_LEN as u64, HEADER] {
            sys::read_at(&file, offset, &mut start).map_err(WalError::io("reading the log's header"))?;
            any |= start.starts_with(b"WALDB");
        }
        let made_and_left = len == ROW && is_all_zero(&file)?;
        if !any && !made_and_left {
            return Err(foreign("it has another format"));
        }
        Ok(FileStore {
            file,
            path: path.to_owned(),
            prepared: AtomicU64::new(len - ROW),
        })
    }
}

impl WalStore for FileStore {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        sys::read_at(&self.file, ROW.saturating_add(pos), buf)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        sys::write_at(&self.file, ROW + pos, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len().saturating_sub(ROW))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        if self.len()? > len {
            self.file.set_len(ROW + len)?;
            self.prepared.store(len, Ordering::Release);
            self.file.sync_all()?;
        }
        Ok(())
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        read_slot(&self.file, slot)
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        write_slot(&self.file, slot, bytes)
    }

    fn attach(&self, log: &Identity) -> io::Result<()> {
        attach_header(&self.file, HEADER, LogId(log.log_id), 0, 0, log.read_only)
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        let ready = self.prepared.load(Ordering::Acquire);
        if end > ready {
            let end = end.next_multiple_of(PREPARE_STEP);
            sys::allocate(&self.file, ROW + ready, ROW + end)?;
            self.prepared.store(end, Ordering::Release);
        }
        Ok(self.prepared.load(Ordering::Acquire))
    }

    fn likes_zeros_ahead(&self) -> bool {
        true
    }

    fn truncate_before(&self, pos: u64) -> io::Result<()> {
        self.discard(0, pos)
    }

    fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        sys::punch(&self.file, ROW + start, ROW + end)
    }

    fn keep_aside(&self, pos: u64, bytes: &mut dyn io::Read) -> io::Result<Option<PathBuf>> {
        let path = with_suffix(&self.path, &format!(".cut-{pos}"));
        keep_aside(&path, bytes).map(Some)
    }

    fn staging_file(&self, create: bool) -> io::Result<Option<File>> {
        sys::open_beside(&with_suffix(&self.path, ".staging"), create)
    }
}

/// Opens what is at `path` if anything is; a directory, link, pipe or device is no log.
pub(super) fn open_existing(path: &Path, access: Access) -> Result<Option<File>> {
    match sys::open(path, access) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if sys::is_not_a_file(&error) => Err(WalError::NotALog {
            path: path.to_owned(),
            reason: "it is not a regular file",
        }),
        Err(error) => Err(WalError::io("opening the log")(error)),
    }
}

pub(super) fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(WalError::Locked {
            path: path.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(error)) => Err(WalError::io("locking the log")(error)),
    }
}

pub(super) fn read_slot(file: &File, slot: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; SLOT_LEN];
    let len = sys::read_at(file, (slot * SLOT_LEN) as u64, &mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

pub(super) fn write_slot(file: &File, slot: usize, bytes: &[u8]) -> io::Result<()> {
    sys::write_at(file, (slot * SLOT_LEN) as u64, bytes)?;
    file.sync_data()
}

/// Writes the segment header if nothing is there, and compares it otherwise.
pub(super) fn attach_header(
    file: &File,
    offset: u64,
    log: LogId,
    index: u64,
    segment_len: u64,
    read_only: bool,
) -> io::Result<()> {
    let ours = SegmentHeader {
        log,
        index,
        segment_len,
    };
    let mut bytes = [0; SEGMENT_HEADER_USED];
    let len = sys::read_at(file, offset, &mut bytes)?;
    if bytes[..len].iter().all(|&byte| byte == 0) && !read_only {
        sys::write_at(file, offset, &ours.encode())?;
        return file.sync_data();
    }
    match SegmentHeader::decode(&bytes[..len]) {
        Ok(header) if header == ours => Ok(()),
        Err(SegmentFault::Version(version)) => Err(StoreFault::Version { version }.error()),
        _ => Err(StoreFault::Wrong { segment: index }.error()),
    }
}

/// Writes the bytes to `path`, or beside it if a file from an earlier cut has that name.
pub(super) fn keep_aside(path: &Path, bytes: &mut dyn io::Read) -> io::Result<PathBuf> {
    let mut free = path.to_owned();
    for n in 1.. {
        if !free.try_exists()? {
            break;
        }
        free = with_suffix(path, &format!("-{n}"));
    }
    let path = free.as_path();
    let mut file = sys::open(path, Access::Create)?;
    io::copy(bytes, &mut file)?;
    file.sync_all()?;
    sys::sync_dir(sys::parent(path))?;
    Ok(path.to_owned())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn is_all_zero(file: &File) -> io::Result<bool> {
    let mut bytes = vec![0; ROW as usize];
    let len = sys::read_at(file, 0, &mut bytes)?;
    Ok(is_zero(&bytes[..len]))
}
