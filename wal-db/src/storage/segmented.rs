//! A log in a directory of segment files.

mod attach;
mod open;

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use super::{
    Identity, SideFiles, StoreFault, WalStore,
    file::{attach_header, keep_aside, read_slot, unlock, write_slot},
    files::Files,
    fs::{Access, Dir, File, FileSystem, read_at, write_at},
    side::SideDir,
    sys, table,
};
use crate::{
    for_now::{ForNow, for_good, is_full},
    format::{
        LogId, SEGMENT_HEADER_LEN, is_zero,
        segment::{SEGMENT_HEADER_USED, SegmentHeader},
    },
    process::Process,
    sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering},
};

pub(super) const MANIFEST: &str = "manifest";
pub(super) const NEW_MANIFEST: &str = "manifest.new";
const STAGING: &str = "staging";
/// The directory of the [`SideFiles`].
pub(super) const STATE: &str = "state";
const SUFFIX: &str = ".seg";

/// The smallest segment; smaller requests are rounded up.
const MIN_SEGMENT_LEN: u64 = if cfg!(wal_shuttle) { 4 << 10 } else { 64 << 10 };

/// A log in a directory: `manifest`, `staging`, and the stream in files of one size, `0000000000.seg` and so on.
///
/// The directory is found once, when it is opened: it may be moved while the log is open, and another one may get its
/// path.
#[derive(Debug)]
pub struct SegmentedStore {
    fs: Arc<dyn FileSystem>,
    dir: Arc<dyn Dir>,
    path: PathBuf,
    manifest: Arc<dyn File>,
    segment_len: u64,
    read_only: bool,
    log: Mutex<Option<LogId>>,
    /// The highest segment that is there.
    last: AtomicU64,
    /// The highest segment that has to be there: of a log that is only read, its writer may remove later ones that it has
    /// not used.
    needed: AtomicU64,
    /// Every segment of the log was there.
    attached: AtomicBool,
    /// Up to where the stream can be written.
    prepared: Mutex<u64>,
    files: Files,
    /// The process that opened it.
    process: Process,
}

impl SegmentedStore {
    /// The path that the directory was opened with.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// How many bytes of the stream a segment file holds.
    #[must_use]
    pub fn segment_size(&self) -> u64 {
        self.segment_len
    }

    /// The file of a segment, checked to be the right one; `None` if it is not there.
    fn segment(&self, index: u64) -> io::Result<Option<Arc<dyn File>>> {
        self.files.get(index, || self.open_segment(index))
    }

    fn open_segment(&self, index: u64) -> io::Result<Option<Arc<dyn File>>> {
        let access = if self.read_only {
            Access::Read
        } else {
            Access::Write
        };
        let file = match self.dir.open(segment_name(index).as_ref(), access) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if sys::is_not_a_file(&error) => {
                return Err(StoreFault::Wrong { segment: index }.error());
            }
            Err(error) => return Err(ForNow::error(error)),
        };
        if let Some(log) = *self.log.lock() {
            attach_header(&*file, 0, log, index, self.segment_len, true)?;
        }
        self.last.fetch_max(index, Ordering::Release);
        Ok(Some(file))
    }

    /// Up to where there is space. What is longer than this process may make a file is for reading.
    fn writable(&self) -> io::Result<u64> {
        let len = self.len()?;
        let start = len.saturating_sub(1) / self.segment_len * self.segment_len;
        let longest = self.fs.longest_file().saturating_sub(SEGMENT_HEADER_LEN);
        Ok(len.min(start.saturating_add(longest)))
    }

    /// What is wrong with a segment of a log that is only read; of one that was removed meanwhile, that. Another log may be
    /// in its place.
    fn fault(&self, error: io::Error) -> io::Error {
        let is_of_a_segment = StoreFault::of(&error).is_some();
        if !self.read_only || !is_of_a_segment {
            return error;
        }
        match self.manifest.is_removed() {
            Ok(true) => io::Error::new(io::ErrorKind::NotFound, "the log was removed while it was read"),
            _ => error,
        }
    }

    /// The parts of `pos..pos + len` by segment: (segment, offset in its file, length).
    fn parts(&self, pos: u64, len: usize) -> impl Iterator<Item = (u64, u64, usize)> + use<> {
        let segment_len = self.segment_len;
        let (mut pos, mut left) = (pos, len as u64);
        std::iter::from_fn(move || {
            let (index, offset) = (pos / segment_len, pos % segment_len);
            let part = left.min(segment_len - offset);
            (pos, left) = (pos + part, left - part);
            (part > 0).then_some((index, SEGMENT_HEADER_LEN + offset, part as usize))
        })
    }

    /// A new segment appears under its name with header and blocks, or not at all.
    fn create_segment(&self, index: u64, log: LogId, first: u64) -> io::Result<()> {
        let name = segment_name(index);
        let new_name = format!("{name}.new");
        let new_name: &OsStr = new_name.as_ref();
        let file = self.new_file(new_name, log)?;
        let result = (|| {
            file.allocate(0, SEGMENT_HEADER_LEN + first)?;
            let header = SegmentHeader {
                log,
                index,
                segment_len: self.segment_len,
            };
            write_at(&*file, 0, &header.encode())?;
            file.sync_all()?;
            self.dir.rename(new_name, name.as_ref())?;
            // The name is there now: whatever the error, this is not tried again. Each name is durable before the next
            // one is made: they arrive in any order, and a hole reads as damage.
            for_good(self.dir.sync())
        })();
        if result.is_err() {
            // This also gives back what was taken before the disk was full.
            let _ = self.dir.remove(new_name);
        }
        result?;
        self.files.hold(index, file);
        self.last.fetch_max(index, Ordering::Release);
        Ok(())
    }

    /// Makes a file, or takes the one that a process that died has left while it made a segment.
    fn new_file(&self, name: &OsStr, log: LogId) -> io::Result<Arc<dyn File>> {
        match self.dir.open(name, Access::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map_err(ForNow::error),
        }
        let file = self.dir.open(name, Access::Write).map_err(ForNow::error)?;
        if log_of(&*file)? != Some(log) && !is_all_zero(&*file)? {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} is not a file of this log", self.path.join(name).display()),
            ));
        }
        file.set_len(0)?;
        Ok(file)
    }

    fn attached(&self) -> io::Result<LogId> {
        Ok(self.log.lock().ok_or(io::ErrorKind::Unsupported)?)
    }

    /// Removes a segment, unless it is not there or is not this log's.
    fn remove(&self, index: u64) -> io::Result<()> {
        let name = segment_name(index);
        let name: &OsStr = name.as_ref();
        let log = self.attached()?;
        let is_ours = match self.dir.open(name, Access::Read) {
            Ok(file) => log_of(&*file)? == Some(log),
            Err(error) if error.kind() == io::ErrorKind::NotFound || sys::is_not_a_file(&error) => false,
            Err(error) => return Err(ForNow::error(error)),
        };
        match is_ours {
            true => self.dir.remove(name).map_err(ForNow::error),
            false => Ok(()),
        }
    }

    fn listed(&self) -> io::Result<Vec<u64>> {
        let names = self.dir.list()?;
        let indexes = names
            .iter()
            .filter_map(|name| name.to_str().and_then(segment_index));
        // A number that no position reaches is somebody else's.
        let ours = indexes.filter(|&index| index < (1 << 62) / self.segment_len);
        let mut indexes: Vec<u64> = ours.collect();
        indexes.sort_unstable();
        Ok(indexes)
    }

    /// Where to read on at `pos`, whose segment is not there. A read reports one that the log needs, if others come later.
    fn next_segment(&self, missing: u64, pos: u64) -> io::Result<u64> {
        let later = self.listed()?.into_iter().find(|&index| index >= missing);
        Ok(match later {
            None => u64::MAX,
            Some(next) if next == missing || missing <= self.needed.load(Ordering::Acquire) => pos,
            Some(next) => next * self.segment_len,
        })
    }

    fn file_len(&self, index: u64) -> io::Result<u64> {
        self.dir.len(segment_name(index).as_ref())
    }

    /// Where the stream ends if this file is its last one.
    fn end_in(&self, index: u64, file_len: u64) -> u64 {
        index * self.segment_len + file_len.saturating_sub(SEGMENT_HEADER_LEN).min(self.segment_len)
    }

    /// The length for a handle that only reads: where the last segment ends that it knows of.
    fn len_without_listing(&self) -> io::Result<Option<u64>> {
        if !self.read_only || !self.attached.load(Ordering::Acquire) {
            return Ok(None);
        }
        let last = self.last.load(Ordering::Acquire);
        match self.file_len(last) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            len => Ok(Some(self.end_in(last, len?))),
        }
    }
}

impl Drop for SegmentedStore {
    fn drop(&mut self) {
        unlock(&*self.manifest, self.process);
    }
}

impl WalStore for SegmentedStore {
    fn location(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        // What comes after this segment is for the next call.
        let Some((index, offset, len)) = self.parts(pos, buf.len()).next() else {
            return Ok(0);
        };
        let needed = self.needed.load(Ordering::Acquire);
        match self.segment(index).map_err(|error| self.fault(error))? {
            Some(file) => read_at(&*file, offset, &mut buf[..len]),
            None if index <= needed && index < self.last.load(Ordering::Acquire) => {
                Err(self.fault(StoreFault::Missing { segment: index }.error()))
            }
            None => Ok(0),
        }
    }

    fn next_data(&self, pos: u64) -> io::Result<u64> {
        let (index, offset) = (pos / self.segment_len, pos % self.segment_len);
        let Some(file) = self.segment(index)? else {
            return self.next_segment(index, pos);
        };
        let start = index * self.segment_len;
        let data = file.next_data(SEGMENT_HEADER_LEN + offset)?;
        let within = data.map(|data| data.saturating_sub(SEGMENT_HEADER_LEN));
        // What comes after this segment is for the next question.
        Ok(start + within.unwrap_or(u64::MAX).min(self.segment_len))
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes;
        for (index, offset, len) in self.parts(pos, bytes.len()) {
            let (part, rest) = bytes.split_at(len);
            let file = self
                .segment(index)?
                .ok_or_else(|| StoreFault::Missing { segment: index }.error())?;
            write_at(&*file, offset, part)?;
            // Only now: a flush that runs meanwhile must not count before the bytes are there.
            self.files.wrote(index, file)?;
            bytes = rest;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.files.flush()
    }

    fn len(&self) -> io::Result<u64> {
        if let Some(len) = self.len_without_listing()? {
            return Ok(len);
        }
        for index in self.listed()?.into_iter().rev() {
            match self.file_len(index) {
                // Unused segments go when the log is closed, the last one first.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.read_only => {}
                len => {
                    self.last.fetch_min(index, Ordering::Release);
                    return Ok(self.end_in(index, len?));
                }
            }
        }
        Ok(0)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let (index, rest) = (len / self.segment_len, len % self.segment_len);
        let keep = if rest == 0 && index > 0 { index - 1 } else { index };
        let doomed: Vec<u64> = self.listed()?.into_iter().filter(|&index| index > keep).collect();
        self.files.forget(|index| index <= keep);
        for index in doomed.iter().rev() {
            self.remove(*index)?;
            // One by one, the last first: names arrive in any order, and a hole before what is left reads as damage.
            for_good(self.dir.sync())?;
        }
        self.last.store(keep, Ordering::Release);
        if keep == index
            && let Some(file) = self.segment(index)?
            && file.len()? > SEGMENT_HEADER_LEN + rest
        {
            file.set_len(SEGMENT_HEADER_LEN + rest)?;
            for_good(file.sync_all())?;
        }
        *self.prepared.lock() = self.writable()?;
        Ok(())
    }

    fn slots(&self) -> usize {
        4
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        match slot.checked_sub(2) {
            Some(copy) => table::read(&*self.dir, format!("cuts-{copy}").as_ref()),
            None => read_slot(&*self.manifest, slot),
        }
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        match slot.checked_sub(2) {
            Some(copy) => table::write(&*self.dir, format!("cuts-{copy}").as_ref(), bytes),
            None => write_slot(&*self.manifest, slot, bytes),
        }
    }

    fn attach(&self, log: &Identity) -> io::Result<()> {
        let attached = self.attach_here(log);
        attached.map_err(|error| self.fault(error))
    }

    fn segment_len(&self) -> Option<u64> {
        Some(self.segment_len)
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        let mut prepared = self.prepared.lock();
        let log = self.attached()?;
        while *prepared < end {
            let (index, offset) = (*prepared / self.segment_len, *prepared % self.segment_len);
            let wanted = (end - index * self.segment_len).min(self.segment_len);
            let whole = wanted.next_multiple_of(self.prepare_step()).min(self.segment_len);
            let make = |next| match self.segment(index)? {
                Some(file) => file.allocate(SEGMENT_HEADER_LEN + offset, SEGMENT_HEADER_LEN + next),
                None => self.create_segment(index, log, next),
            };
            let next = match make(whole) {
                // What is left of the disk may be enough for what was asked for.
                Err(error) if is_full(&error) && wanted < whole => {
                    make(wanted)?;
                    wanted
                }
                made => made.map(|()| whole)?,
            };
            *prepared = index * self.segment_len + next;
        }
        Ok(*prepared)
    }

    fn prepare_step(&self) -> u64 {
        self.fs.prepare_step().min(self.segment_len)
    }

    fn likes_zeros_ahead(&self) -> bool {
        true
    }

    fn truncate_before(&self, pos: u64) -> io::Result<()> {
        // The segment that ends at `pos` stays: a log that ends there is as long as its last segment says.
        let first = pos.saturating_sub(1) / self.segment_len;
        let doomed: Vec<u64> = self
            .listed()?
            .into_iter()
            .filter(|&index| index < first)
            .collect();
        self.files.forget(|index| index >= first);
        // The oldest first, so that what is left after a crash has no hole.
        for index in &doomed {
            self.remove(*index)?;
        }
        if doomed.is_empty() {
            Ok(())
        } else {
            self.dir.sync()
        }
    }

    fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        for (index, offset, len) in self.parts(start, len) {
            if let Some(file) = self.segment(index)? {
                file.punch(offset, offset + len as u64)?;
            }
        }
        Ok(())
    }

    fn keep_aside(&self, pos: u64, bytes: &mut dyn io::Read) -> io::Result<Option<PathBuf>> {
        let name = keep_aside(&*self.dir, format!("cut-{pos}").as_ref(), bytes)?;
        Ok(Some(self.path.join(name)))
    }

    fn staging_file(&self, create: bool) -> io::Result<Option<std::fs::File>> {
        self.dir.staging(STAGING.as_ref(), create)
    }

    fn check_file(&self, pos: u64) -> io::Result<()> {
        let checked = self.check_segment(pos / self.segment_len);
        checked.map_err(|error| self.fault(error))
    }

    fn file_at(&self, pos: u64) -> Option<PathBuf> {
        Some(self.path.join(segment_name(pos / self.segment_len)))
    }

    fn close(&self) {
        unlock(&*self.manifest, self.process);
    }

    fn staging_place(&self) -> std::result::Result<PathBuf, String> {
        Ok(self.path.join(STAGING))
    }

    fn remove_staging(&self) -> io::Result<()> {
        self.dir.remove_staging(STAGING.as_ref())
    }

    fn side_files(&self) -> Option<Arc<dyn SideFiles>> {
        let path = self.path.join(STATE);
        Some(Arc::new(SideDir::new(self.dir.clone(), STATE, path)))
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        self.fs.boot_id()
    }
}

/// Which log a segment file belongs to, if its header is intact.
fn log_of(file: &dyn File) -> io::Result<Option<LogId>> {
    let mut bytes = [0; SEGMENT_HEADER_USED];
    let len = read_at(file, 0, &mut bytes)?;
    Ok(SegmentHeader::decode(&bytes[..len]).ok().map(|header| header.log))
}

fn is_all_zero(file: &dyn File) -> io::Result<bool> {
    let (mut buf, mut pos) = (vec![0; 64 << 10], 0);
    loop {
        match read_at(file, pos, &mut buf)? {
            0 => return Ok(true),
            len if !is_zero(&buf[..len]) => return Ok(false),
            len => pos += len as u64,
        }
    }
}

pub(crate) fn segment_name(index: u64) -> String {
    format!("{index:010}{SUFFIX}")
}

/// The number in the name of a segment file.
pub(crate) fn segment_index(name: &str) -> Option<u64> {
    let index = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (name == segment_name(index)).then_some(index)
}
