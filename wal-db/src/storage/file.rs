//! A log in one file.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
};

use super::{
    Identity, SideFiles, StoreFault, WalStore,
    fs::{Access, Dir, File, FileSystem, parent, read_at, write_at},
    holder::holder_of,
    recognised,
    side::SideDir,
    sys::{self, System},
    table,
};
use crate::{
    error::{Result, WalError},
    for_now::{for_good, is_full},
    format::{
        LogId, Manifest, SLOT_LEN, is_zero,
        segment::{SEGMENT_HEADER_LEN, SEGMENT_HEADER_USED, SegmentFault, SegmentHeader},
        staging::{STAGING_HEADER_LEN, may_be_replaced},
    },
    process::Process,
    sync::{Arc, AtomicU64, Ordering},
};

const HEADER: u64 = 2 * SLOT_LEN as u64;
const STREAM: u64 = HEADER + SEGMENT_HEADER_LEN;

/// A log in one file: the manifest's two slots, a segment header, then the stream. The staging memory lies beside it as
/// `<file>.staging`.
///
/// The directory is found once, when the file is opened: it may be moved, and its files with it, while the log is open.
#[derive(Debug)]
pub struct FileStore {
    fs: Arc<dyn FileSystem>,
    file: Arc<dyn File>,
    place: Place,
    prepared: AtomicU64,
    /// The process that opened it.
    process: Process,
}

/// Where a file is: its name in an open directory. The path that it had is for people.
#[derive(Debug)]
struct Place {
    dir: Arc<dyn Dir>,
    name: OsString,
    path: PathBuf,
}

impl Place {
    fn of(fs: &dyn FileSystem, path: &Path) -> Result<Place> {
        let Some(name) = path.file_name() else {
            return Err(WalError::NotALog {
                path: path.to_owned(),
                reason: "it is not a regular file",
            });
        };
        Ok(Place {
            dir: fs
                .open_dir(parent(path))
                .map_err(WalError::io("opening the log's directory"))?,
            name: name.to_owned(),
            path: path.to_owned(),
        })
    }

    /// The place of a file beside it, whose name is longer.
    fn beside(&self, suffix: &str) -> Place {
        let name = with_suffix(&self.name, suffix);
        Place {
            dir: self.dir.clone(),
            path: self.path.with_file_name(&name),
            name,
        }
    }

    fn check_names_beside(&self) -> Result<()> {
        let choosing = WalError::io("choosing names for the files beside the log");
        check_names_beside(&*self.dir, &self.name).map_err(choosing)
    }

    fn open(&self, access: Access) -> Result<Option<Arc<dyn File>>> {
        open_existing(&*self.dir, &self.name, &self.path, access)
    }
}

impl FileStore {
    /// Opens the file for writing and locks it; creates it if it is not there or empty.
    ///
    /// # Errors
    /// [`WalError::Locked`] if it is open for writing elsewhere, [`WalError::NotALog`] if it is something else (it
    /// is not changed then), [`WalError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::open_on(Arc::new(System), path).map_err(|error| error.located(Some(path)))
    }

    pub(crate) fn open_on(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Self> {
        let place = Place::of(&*fs, path)?;
        let Some(file) = place.open(Access::Write)? else {
            return Self::create(fs, place);
        };
        lock(&*file, path)?;
        // What a process that died has left in the system's cache is durable before anything follows from it.
        place
            .dir
            .sync()
            .map_err(WalError::io("making the log's directory durable"))?;
        if file.len()? == 0 {
            // It was made for us, and may be all that we may write here.
            place.check_names_beside()?;
            not_somebody_elses(&place.beside(".staging"))?;
            file.set_len(STREAM)?;
        }
        file.sync_data().map_err(WalError::io("flushing the log"))?;
        Self::with_file(fs, file, place)
    }

    /// Opens the file for reading; changes and locks nothing.
    ///
    /// # Errors
    /// [`WalError::NotALog`] if it is something else, [`WalError::Io`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::open_read_only_on(Arc::new(System), path).map_err(|error| error.located(Some(path)))
    }

    pub(crate) fn open_read_only_on(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Self> {
        let place = Place::of(&*fs, path)?;
        match place.open(Access::Read)? {
            Some(file) if file.len()? == STREAM && is_all_zero(&*file)? => Err(WalError::NotALog {
                path: place.path,
                reason: recognised::UNFINISHED,
            }),
            Some(file) => Self::with_file(fs, file, place),
            None => Err(WalError::io("opening the log")(io::ErrorKind::NotFound.into())),
        }
    }

    /// Which log the file holds, by its segment header alone.
    pub(crate) fn log_id(&self) -> Option<LogId> {
        let mut bytes = [0; SEGMENT_HEADER_USED];
        read_at(&*self.file, HEADER, &mut bytes).ok()?;
        SegmentHeader::decode(&bytes).ok().map(|header| header.log)
    }

    /// The path that it was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// A file appears under its name with all it needs, or not at all.
    fn create(fs: Arc<dyn FileSystem>, place: Place) -> Result<Self> {
        place.check_names_beside()?;
        not_somebody_elses(&place.beside(".staging"))?;
        let new = place.beside(".new");
        let (file, is_ours) = open_new(&*new.dir, &new.name, &new.path)?;
        if let Err(error) = Self::make(&place, &new, &*file) {
            if is_ours {
                // Nothing is left of what could not be made; where that fails, the next opening uses it.
                let _ = new.dir.remove(&new.name);
            }
            return Err(error);
        }
        Self::with_file(fs, file, place)
    }

    fn make(place: &Place, new: &Place, file: &dyn File) -> Result<()> {
        lock(file, &place.path)?;
        // Another process that had this file may have finished it.
        if place.dir.exists(&place.name)? {
            return Err(faster(&place.path));
        }
        let is_made = file.len()? <= STREAM && is_all_zero(file)?;
        if !is_made {
            return Err(WalError::NotALog {
                path: new.path.clone(),
                reason: "a new log is made under this name, and something else has it",
            });
        }
        file.set_len(0)?;
        file.set_len(STREAM)?;
        file.sync_all()?;
        match place.dir.rename(&new.name, &place.name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(faster(&place.path)),
            result => result.map_err(WalError::io("creating the log"))?,
        }
        place
            .dir
            .sync()
            .map_err(WalError::io("making the log's directory durable"))?;
        Ok(())
    }

    fn with_file(fs: Arc<dyn FileSystem>, file: Arc<dyn File>, place: Place) -> Result<Self> {
        let len = file.len()?;
        // Any slot that was ever written starts with its magic; a file that we created and left has none yet.
        let mut start = [0u8; 8];
        let foreign = |reason| WalError::NotALog {
            path: place.path.clone(),
            reason,
        };
        if len < STREAM {
            return Err(foreign(recognised::file(&*file)?.unwrap_or("it is too short")));
        }
        let mut any = false;
        for offset in [0, SLOT_LEN as u64, HEADER] {
            read_at(&*file, offset, &mut start).map_err(WalError::io("reading the log's header"))?;
            if offset == 0 && matches!(&start, b"WALDBSEG" | b"WALDBSTG" | b"WALDBSNP" | b"WALDBCUT") {
                // Another file of a log.
                let known = recognised::file(&*file)?;
                return Err(foreign(known.unwrap_or("it has another format")));
            }
            any |= start.starts_with(b"WALDB");
        }
        let made_and_left = len == STREAM && is_all_zero(&*file)?;
        if !any && !made_and_left {
            return Err(foreign(
                recognised::file(&*file)?.unwrap_or("it has another format"),
            ));
        }
        Ok(FileStore {
            file,
            place,
            // A file that is already longer than this process may make one is only read.
            prepared: AtomicU64::new(len.min(fs.longest_file()).saturating_sub(STREAM)),
            fs,
            process: Process::this(),
        })
    }
}

/// That the file system takes the names of all files that a log may come to have beside it: one that it does not take would
/// be found out after a crash.
pub(super) fn check_names_beside(dir: &dyn Dir, name: &OsStr) -> io::Result<()> {
    let longest = with_suffix(name, &format!(".cut-{}-9999", u64::MAX));
    dir.exists(&longest).map(drop)
}

/// Whether a new log may have a file as its staging memory: it is not there, or a log has left it.
fn not_somebody_elses(place: &Place) -> Result<()> {
    let Some(file) = place.open(Access::Read)? else {
        return Ok(());
    };
    let mut start = vec![0; STAGING_HEADER_LEN as usize];
    read_at(&*file, 0, &mut start).map_err(WalError::io("reading the staging file"))?;
    if may_be_replaced(&start, file.len()?) {
        return Ok(());
    }
    Err(WalError::NotALog {
        path: place.path.clone(),
        reason: "a new log keeps its staging memory under this name, and something else has it",
    })
}

impl Drop for FileStore {
    fn drop(&mut self) {
        unlock(&*self.file, self.process);
    }
}

impl WalStore for FileStore {
    fn location(&self) -> Option<PathBuf> {
        Some(self.place.path.clone())
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        read_at(&*self.file, STREAM.saturating_add(pos), buf)
    }

    fn next_data(&self, pos: u64) -> io::Result<u64> {
        let data = self.file.next_data(STREAM.saturating_add(pos))?;
        Ok(data.map_or(u64::MAX, |data| data.saturating_sub(STREAM)))
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        write_at(&*self.file, STREAM + pos, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.len()?.saturating_sub(STREAM))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        if self.len()? > len {
            self.file.set_len(STREAM + len)?;
            self.prepared.store(len, Ordering::Release);
            for_good(self.file.sync_all())?;
        }
        Ok(())
    }

    fn slots(&self) -> usize {
        4
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        match slot.checked_sub(2) {
            Some(copy) => {
                let place = self.place.beside(&format!(".cuts-{copy}"));
                table::read(&*place.dir, &place.name)
            }
            None => read_slot(&*self.file, slot),
        }
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        match slot.checked_sub(2) {
            Some(copy) => {
                let place = self.place.beside(&format!(".cuts-{copy}"));
                table::write(&*place.dir, &place.name, bytes)
            }
            None => write_slot(&*self.file, slot, bytes),
        }
    }

    fn attach(&self, log: &Identity) -> io::Result<()> {
        attach_header(&*self.file, HEADER, LogId(log.log_id), 0, 0, log.read_only)
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        let ready = self.prepared.load(Ordering::Acquire);
        if end > ready {
            let rounded = end.next_multiple_of(self.prepare_step());
            let end = match self.file.allocate(STREAM + ready, STREAM + rounded) {
                // What is left of the disk may be enough for what was asked for.
                Err(error) if is_full(&error) => {
                    self.file.allocate(STREAM + ready, STREAM + end)?;
                    end
                }
                allocated => allocated.map(|()| rounded)?,
            };
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
        self.file.punch(STREAM + start, STREAM + end)
    }

    fn keep_aside(&self, pos: u64, bytes: &mut dyn io::Read) -> io::Result<Option<PathBuf>> {
        let place = self.place.beside(&format!(".cut-{pos}"));
        let name = keep_aside(&*place.dir, &place.name, bytes)?;
        Ok(Some(place.path.with_file_name(name)))
    }

    fn staging_file(&self, create: bool) -> io::Result<Option<std::fs::File>> {
        let place = self.place.beside(".staging");
        place.dir.staging(&place.name, create)
    }

    fn check_file(&self, _: u64) -> io::Result<()> {
        let mut bytes = [0; SEGMENT_HEADER_USED];
        let len = read_at(&*self.file, HEADER, &mut bytes)?;
        match SegmentHeader::decode(&bytes[..len]) {
            Ok(header) if (header.index, header.segment_len) == (0, 0) => Ok(()),
            Err(SegmentFault::Version(version)) => Err(StoreFault::Version { version }.error()),
            _ => Err(StoreFault::Wrong { segment: 0 }.error()),
        }
    }

    fn file_at(&self, _: u64) -> Option<PathBuf> {
        Some(self.place.path.clone())
    }

    fn close(&self) {
        unlock(&*self.file, self.process);
    }

    fn staging_place(&self) -> std::result::Result<PathBuf, String> {
        Ok(self.place.beside(".staging").path)
    }

    fn remove_staging(&self) -> io::Result<()> {
        let place = self.place.beside(".staging");
        place.dir.remove_staging(&place.name)
    }

    fn side_files(&self) -> Option<Arc<dyn SideFiles>> {
        let Place { dir, name, path } = &self.place;
        Some(Arc::new(SideDir::beside(dir, name, path)))
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        self.fs.boot_id()
    }
}

/// Opens what has a name if anything has; a directory, link, pipe or device is no log.
pub(super) fn open_existing(
    dir: &dyn Dir,
    name: &OsStr,
    path: &Path,
    access: Access,
) -> Result<Option<Arc<dyn File>>> {
    match dir.open(name, access) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if sys::is_not_a_file(&error) => Err(WalError::NotALog {
            path: path.to_owned(),
            reason: recognised::instead_of_a_file(dir, name),
        }),
        Err(error) => Err(WalError::io("opening the log")(error)),
    }
}

/// Makes a file under the name that a log has while it is made, or opens what a process that died, or another one, has
/// there; and whether it was made here.
pub(super) fn open_new(dir: &dyn Dir, name: &OsStr, path: &Path) -> Result<(Arc<dyn File>, bool)> {
    match dir.open(name, Access::New) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = open_existing(dir, name, path, Access::Write)?;
            // Another process has just given it its name.
            there.map(|file| (file, false)).ok_or_else(|| faster(path))
        }
        Err(error) => Err(WalError::io("creating the log")(error)),
    }
}

/// Somebody else has made the log meanwhile.
pub(super) fn faster(path: &Path) -> WalError {
    WalError::Locked {
        path: path.to_owned(),
        holder: holder_of(path),
    }
}

pub(crate) fn lock(file: &dyn File, path: &Path) -> Result<()> {
    match file.try_lock().map_err(WalError::io("locking the log"))? {
        true => Ok(()),
        false => Err(faster(path)),
    }
}

/// Closing the file is not enough: a process that is just being started has it as well, for a moment. One that was forked
/// off has it for good, and must not unlock it.
pub(super) fn unlock(file: &dyn File, process: Process) {
    if process.is_this() {
        // If this fails, closing the file unlocks it.
        let _ = file.unlock();
    }
}

/// How much of a slot is read at first: more than most manifests have.
const SLOT_START: usize = 4096;

/// Reads a manifest; all of the slot if none starts there.
pub(super) fn read_slot(file: &dyn File, slot: usize) -> io::Result<Vec<u8>> {
    let start = (slot * SLOT_LEN) as u64;
    let mut bytes = vec![0; SLOT_START];
    let mut len = read_at(file, start, &mut bytes)?;
    if len == SLOT_START && Manifest::len_of(&bytes).is_none_or(|len| len > SLOT_START) {
        bytes.resize(SLOT_LEN, 0);
        len += read_at(file, start + len as u64, &mut bytes[len..])?;
    }
    bytes.truncate(len);
    Ok(bytes)
}

pub(super) fn write_slot(file: &dyn File, slot: usize, bytes: &[u8]) -> io::Result<()> {
    write_at(file, (slot * SLOT_LEN) as u64, bytes)?;
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
        return file.sync_data();
    }
    match SegmentHeader::decode(&bytes[..len]) {
        Ok(header) if header == ours => Ok(()),
        Err(SegmentFault::Version(version)) => Err(StoreFault::Version { version }.error()),
        _ => Err(StoreFault::Wrong { segment: index }.error()),
    }
}

/// Writes the bytes to a new file, whose name is longer than `name` if something has that; returns the name.
pub(super) fn keep_aside(dir: &dyn Dir, name: &OsStr, bytes: &mut dyn io::Read) -> io::Result<OsString> {
    let mut free = name.to_owned();
    for n in 1_u64.. {
        let access = Access::New;
        match dir.open(&free, access) {
            Ok(file) => {
                let kept = write_aside(dir, &*file, bytes);
                if kept.is_err() {
                    // What a full disk took stays free for the next attempt.
                    let _ = dir.remove(&free);
                }
                return kept.map(|()| free);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        free = with_suffix(name, &format!("-{n}"));
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn write_aside(dir: &dyn Dir, file: &dyn File, bytes: &mut dyn io::Read) -> io::Result<()> {
    let (mut buf, mut len) = (vec![0; 64 << 10], 0);
    loop {
        let read = match bytes.read(&mut buf) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        write_at(file, len, &buf[..read])?;
        len += read as u64;
    }
    file.sync_all()?;
    dir.sync()?;
    Ok(())
}

fn with_suffix(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

/// Whether the start of a file, up to where the stream begins, is zero.
fn is_all_zero(file: &dyn File) -> io::Result<bool> {
    let mut bytes = vec![0; STREAM as usize];
    let len = read_at(file, 0, &mut bytes)?;
    Ok(is_zero(&bytes[..len]))
}
