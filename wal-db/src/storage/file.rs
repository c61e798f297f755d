//! A log in one file.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    Identity, StoreFault, WalStore,
    fs::{Access, File, FileSystem, parent, read_at, sync_name, write_at},
    staging_file::MAGIC as STAGING_MAGIC,
    sys::{self, System},
};
use crate::{
    Result, WalError,
    format::{
        LogId, SLOT_LEN, is_zero,
        segment::{SEGMENT_HEADER_LEN, SEGMENT_HEADER_USED, SegmentFault, SegmentHeader},
    },
    sync::{Arc, AtomicU64, Ordering},
};

const HEADER: u64 = 2 * SLOT_LEN as u64;
const ROW: u64 = HEADER + SEGMENT_HEADER_LEN;

/// A log in one file: the manifest's two slots, a segment header, then the row. The staging memory lies beside it as
/// `<file>.staging`.
#[derive(Debug)]
pub struct FileStore {
    fs: Arc<dyn FileSystem>,
    file: Arc<dyn File>,
    path: PathBuf,
    prepared: AtomicU64,
    /// Who opened it.
    process: u32,
}

impl FileStore {
    /// Opens the file for writing and locks it; creates it if it is not there or empty.
    ///
    /// # Errors
    /// [`WalError::Locked`] if it is open for writing elsewhere, [`WalError::NotALog`] if it is something else (it
    /// is not changed then), [`WalError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_on(Arc::new(System), path.as_ref())
    }

    /// As [`open`](Self::open), on another file system.
    pub(crate) fn open_on(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Self> {
        match open_existing(&*fs, path, Access::Write)? {
            Some(file) if file.len()? > 0 => {
                lock(&*file, path)?;
                // What a process that died has left in the system's cache is durable before anything follows from it.
                if !seeded_bug!("no-directory-flush-at-opening") {
                    sync_name(&*fs, path).map_err(WalError::io("making the log's directory durable"))?;
                }
                if !seeded_bug!("no-flush-at-opening") {
                    file.sync_data().map_err(WalError::io("flushing the log"))?;
                }
                Self::with_file(fs, file, path)
            }
            _ => Self::create(fs, path),
        }
    }

    /// Opens the file for reading; changes and locks nothing.
    ///
    /// # Errors
    /// [`WalError::NotALog`] if it is something else, [`WalError::Io`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_read_only_on(Arc::new(System), path.as_ref())
    }

    /// As [`open_read_only`](Self::open_read_only), on another file system.
    pub(crate) fn open_read_only_on(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Self> {
        match open_existing(&*fs, path, Access::Read)? {
            Some(file) => Self::with_file(fs, file, path),
            None => Err(WalError::Io {
                context: "opening the log",
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }

    /// Which log the file holds, by its segment header alone.
    pub(crate) fn log_id(&self) -> Option<LogId> {
        let mut bytes = [0; SEGMENT_HEADER_USED];
        read_at(&*self.file, HEADER, &mut bytes).ok()?;
        SegmentHeader::decode(&bytes).ok().map(|header| header.log)
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file appears under its name with all it needs, or not at all.
    fn create(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Self> {
        let new_path = with_suffix(path, ".new");
        not_somebody_elses(&*fs, &with_suffix(path, ".staging"))?;
        let file = fs
            .open(&new_path, Access::Create)
            .map_err(WalError::io("creating the log"))?;
        lock(&*file, path)?;
        if open_existing(&*fs, path, Access::Read)?.is_some_and(|there| there.len().is_ok_and(|len| len > 0))
        {
            // Somebody else was faster.
            return Err(WalError::Locked {
                path: path.to_owned(),
            });
        }
        let is_made = file.len()? <= ROW && is_all_zero(&*file)?;
        if !is_made && !seeded_bug!("foreign-file-emptied") {
            return Err(WalError::NotALog {
                path: new_path,
                reason: "a new log is made under this name, and something else has it",
            });
        }
        file.set_len(0)?;
        file.set_len(ROW)?;
        if !seeded_bug!("new-file-not-flushed") {
            file.sync_all()?;
        }
        fs.rename(&new_path, path)
            .map_err(WalError::io("creating the log"))?;
        if !seeded_bug!("no-directory-flush-for-a-file") {
            fs.sync_dir(parent(path))
                .map_err(WalError::io("making the log's directory durable"))?;
        }
        Self::with_file(fs, file, path)
    }

    fn with_file(fs: Arc<dyn FileSystem>, file: Arc<dyn File>, path: &Path) -> Result<Self> {
        let len = file.len()?;
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
            read_at(&*file, offset, &mut start).map_err(WalError::io("reading the log's header"))?;
            any |= start.starts_with(b"WALDB");
        }
        let made_and_left = len == ROW && is_all_zero(&*file)?;
        if !any && !made_and_left && seeded_bug!("foreign-file-emptied") {
            file.set_len(0)?;
            file.set_len(ROW)?;
        } else if !any && !made_and_left {
            return Err(foreign("it has another format"));
        }
        Ok(FileStore {
            fs,
            file,
            path: path.to_owned(),
            prepared: AtomicU64::new(len - ROW),
            process: std::process::id(),
        })
    }
}

/// Whether a new log may have the file at `path` as its staging memory: it is not there, or a log has left it.
fn not_somebody_elses(fs: &dyn FileSystem, path: &Path) -> Result<()> {
    let Some(file) = open_existing(fs, path, Access::Read)? else {
        return Ok(());
    };
    let mut start = [0; STAGING_MAGIC.len()];
    read_at(&*file, 0, &mut start).map_err(WalError::io("reading the staging file"))?;
    if is_zero(&start) || start == STAGING_MAGIC || seeded_bug!("foreign-file-emptied") {
        return Ok(());
    }
    Err(WalError::NotALog {
        path: path.to_owned(),
        reason: "a new log keeps its staging memory under this name, and something else has it",
    })
}

impl Drop for FileStore {
    fn drop(&mut self) {
        unlock(&*self.file, self.process);
    }
}

impl WalStore for FileStore {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        read_at(&*self.file, ROW.saturating_add(pos), buf)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        write_at(&*self.file, ROW + pos, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.len()?.saturating_sub(ROW))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        if self.len()? > len {
            self.file.set_len(ROW + len)?;
            self.prepared.store(len, Ordering::Release);
            if !seeded_bug!("cut-not-flushed") {
                self.file.sync_all()?;
            }
        }
        Ok(())
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        read_slot(&*self.file, slot)
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        write_slot(&*self.file, slot, bytes)
    }

    fn attach(&self, log: &Identity) -> io::Result<()> {
        attach_header(&*self.file, HEADER, LogId(log.log_id), 0, 0, log.read_only)
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        let ready = self.prepared.load(Ordering::Acquire);
        if end > ready {
            let end = end.next_multiple_of(self.prepare_step());
            self.file.allocate(ROW + ready, ROW + end)?;
            self.prepared.store(end, Ordering::Release);
        }
        Ok(self.prepared.load(Ordering::Acquire))
    }

    fn prepare_step(&self) -> u64 {
        self.fs.prepare_step()
    }

    fn likes_zeros_ahead(&self) -> bool {
        true
    }

    fn truncate_before(&self, pos: u64) -> io::Result<()> {
        self.discard(0, pos)
    }

    fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        self.file.punch(ROW + start, ROW + end)
    }

    fn keep_aside(&self, pos: u64, bytes: &mut dyn io::Read) -> io::Result<Option<PathBuf>> {
        let path = with_suffix(&self.path, &format!(".cut-{pos}"));
        keep_aside(&*self.fs, &path, bytes).map(Some)
    }

    fn staging_file(&self, create: bool) -> io::Result<Option<std::fs::File>> {
        self.fs.staging(&with_suffix(&self.path, ".staging"), create)
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        self.fs.boot_id()
    }
}

/// Opens what is at `path` if anything is; a directory, link, pipe or device is no log.
pub(super) fn open_existing(
    fs: &dyn FileSystem,
    path: &Path,
    access: Access,
) -> Result<Option<Arc<dyn File>>> {
    match fs.open(path, access) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if sys::is_not_a_file(&error) => Err(WalError::NotALog {
            path: path.to_owned(),
            reason: "it is not a regular file",
        }),
        Err(error) => Err(WalError::io("opening the log")(error)),
    }
}

pub(super) fn lock(file: &dyn File, path: &Path) -> Result<()> {
    match seeded_bug!("no-lock") || file.try_lock().map_err(WalError::io("locking the log"))? {
        true => Ok(()),
        false => Err(WalError::Locked {
            path: path.to_owned(),
        }),
    }
}

/// Closing the file is not enough: a process that is just being started has it as well, for a moment. One that was forked
/// off has it for good, and must not unlock it.
pub(super) fn unlock(file: &dyn File, process: u32) {
    if std::process::id() == process {
        // Where this fails, closing has to do.
        let _ = file.unlock();
    }
}

pub(super) fn read_slot(file: &dyn File, slot: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; SLOT_LEN];
    let len = read_at(file, (slot * SLOT_LEN) as u64, &mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

pub(super) fn write_slot(file: &dyn File, slot: usize, bytes: &[u8]) -> io::Result<()> {
    write_at(file, (slot * SLOT_LEN) as u64, bytes)?;
    if seeded_bug!("manifest-not-flushed") {
        return Ok(());
    }
    file.sync_data()
}

/// Writes the segment header if nothing is there, and compares it otherwise.
pub(super) fn attach_header(
    file: &dyn File,
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
    let len = read_at(file, offset, &mut bytes)?;
    if bytes[..len].iter().all(|&byte| byte == 0) && !read_only {
        write_at(file, offset, &ours.encode())?;
        if seeded_bug!("new-segment-not-flushed") {
            return Ok(());
        }
        return file.sync_data();
    }
    match SegmentHeader::decode(&bytes[..len]) {
        Ok(header) if header == ours || seeded_bug!("any-segment-taken") => Ok(()),
        Err(SegmentFault::Version(version)) => Err(StoreFault::Version { version }.error()),
        _ => Err(StoreFault::Wrong { segment: index }.error()),
    }
}

/// Writes the bytes to `path`, or beside it if a file from an earlier cut has that name.
pub(super) fn keep_aside(fs: &dyn FileSystem, path: &Path, bytes: &mut dyn io::Read) -> io::Result<PathBuf> {
    let mut free = path.to_owned();
    for n in 1.. {
        if !fs.exists(&free)? {
            break;
        }
        free = with_suffix(path, &format!("-{n}"));
    }
    let kept = write_aside(fs, &free, bytes);
    if kept.is_err() {
        // What a full disk took stays free for the next attempt.
        let _ = fs.remove(&free);
    }
    kept.map(|()| free)
}

fn write_aside(fs: &dyn FileSystem, path: &Path, bytes: &mut dyn io::Read) -> io::Result<()> {
    let file = fs.open(path, Access::Create)?;
    let (mut buf, mut len) = (vec![0; 64 << 10], 0);
    loop {
        let read = match bytes.read(&mut buf) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        write_at(&*file, len, &buf[..read])?;
        len += read as u64;
    }
    file.sync_all()?;
    if !seeded_bug!("no-directory-flush-for-kept-bytes") {
        fs.sync_dir(parent(path))?;
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether the start of a file, up to where the row begins, is zero.
fn is_all_zero(file: &dyn File) -> io::Result<bool> {
    let mut bytes = vec![0; ROW as usize];
    let len = read_at(file, 0, &mut bytes)?;
    Ok(is_zero(&bytes[..len]))
}
