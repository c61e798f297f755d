//! What the simulated disk does when it is called.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    content::{Content, mix},
    disk::{AfterFailedSync, Call, SimDisk, State},
    image::{FileId, SECTOR, Step},
};
use crate::storage::fs::{self, Access, Dir, File, FileSystem, parent};

/// A small step, so that little lies ahead of the records.
const PREPARE_STEP: u64 = 8 << 10;

/// An open file of a simulated disk.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    id: FileId,
    has_lock: AtomicBool,
}

impl FileSystem for SimDisk {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>> {
        self.enter(Call::Look)?.check_dir(path)?;
        Ok(Arc::new(self.dir(path)))
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        let boot = self.enter(Call::Look).map_or(0, |state| state.seen.boot + 1);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&boot.to_le_bytes());
        Some(id)
    }

    fn prepare_step(&self) -> u64 {
        PREPARE_STEP
    }
}

/// An open directory of a simulated disk, where directories are never moved: a path stands for it.
#[derive(Debug)]
struct SimDir {
    disk: SimDisk,
    path: PathBuf,
}

impl SimDir {
    fn names(&self) -> io::Result<Vec<OsString>> {
        let state = self.disk.enter(Call::Look)?;
        state.check_dir(&self.path)?;
        let staging = state.seen.staging.keys();
        let there = state
            .seen
            .names
            .keys()
            .chain(staging)
            .filter(|path| parent(path) == self.path);
        let names = there.filter_map(|path| Some(path.file_name()?.to_owned()));
        Ok(names.collect())
    }

    fn path(&self, name: &OsStr) -> PathBuf {
        if self.path == Path::new(".") {
            PathBuf::from(name)
        } else {
            self.path.join(name)
        }
    }
}

impl Dir for SimDir {
    fn open(&self, name: &OsStr, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.disk.open_file(&self.path(name), access)?))
    }

    fn list(&self) -> io::Result<Vec<OsString>> {
        // A listing is no moment: what others make and remove meanwhile is in it or not, one by one.
        let early = self.names()?;
        let late = self.names()?;
        let comes_early = |name: &OsString| {
            name.as_encoded_bytes()
                .iter()
                .map(|&byte| u32::from(byte))
                .sum::<u32>()
                % 2
                == 0
        };
        let early = early.into_iter().filter(comes_early);
        Ok(early
            .chain(late.into_iter().filter(|name| !comes_early(name)))
            .collect())
    }

    fn len(&self, name: &OsStr) -> io::Result<u64> {
        let state = self.disk.enter(Call::Look)?;
        let file = state.seen.file(self.path(name)).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.len() as u64)
    }

    fn exists(&self, name: &OsStr) -> io::Result<bool> {
        let state = self.disk.enter(Call::Look)?;
        Ok(state.seen.names.contains_key(&self.path(name)))
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let mut state = self.disk.enter(Call::Rename)?;
        let (from, to) = (self.path(from), self.path(to));
        let file = state.seen.names.get(&from).copied().flatten();
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        if state.seen.names.contains_key(&to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.seen.names.remove(&from);
        state.seen.names.insert(to.clone(), Some(file));
        state.note(Step::Rename { from, to, file });
        Ok(())
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        let mut state = self.disk.enter(Call::Remove)?;
        let path = self.path(name);
        let file = state.seen.names.get(&path).copied().flatten();
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        state.seen.names.remove(&path);
        state.note(Step::Remove { path, file });
        Ok(())
    }

    fn create_dir(&self, name: &OsStr) -> io::Result<()> {
        let mut state = self.disk.enter(Call::CreateDir)?;
        state.check_dir(&self.path)?;
        let path = self.path(name);
        if !state.seen.names.contains_key(&path) {
            state.seen.names.insert(path.clone(), None);
            state.note(Step::CreateDir(path));
        }
        Ok(())
    }

    /// Only copies remove a directory, and those are made in the file system of the machine.
    fn remove_dir(&self, _: &OsStr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open_dir(&self, name: &OsStr) -> io::Result<Arc<dyn Dir>> {
        self.disk.open_dir(&self.path(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.path)
    }

    fn sync_own_name(&self) -> io::Result<()> {
        self.disk.sync_dir(parent(&self.path))
    }

    fn staging(&self, name: &OsStr, create: bool) -> io::Result<Option<std::fs::File>> {
        self.disk.enter(Call::Map)?.map(&self.path(name), create)
    }

    fn remove_staging(&self, name: &OsStr) -> io::Result<()> {
        self.disk.enter(Call::Map)?.unmap(&self.path(name));
        Ok(())
    }
}

impl File for SimFile {
    fn read_some(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.enter(Call::Read)?;
        let len = shortened(&mut state, buf.len())?;
        let pos = usize::try_from(offset).unwrap_or(usize::MAX);
        let read = |state: &State, pos, buf: &mut [u8]| {
            let content = state.seen.files.get(&self.id);
            content.map_or(0, |content| content.read(pos, buf))
        };
        let mut done = 0;
        if let Some(middle) = self.disk.middle(pos, len) {
            done = read(&state, pos, &mut buf[..middle]);
            if done < middle {
                return Ok(done);
            }
            state = self.disk.in_the_middle(state);
        }
        Ok(done + read(&state, pos + done, &mut buf[done..len]))
    }

    fn write_some(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let (mut state, error) = self.disk.enter_failing(Call::Write)?;
        let mut len = shortened(&mut state, bytes.len())?;
        if error.is_some() {
            // A part of it may have been written.
            len /= 2;
        }
        let pos = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if len < bytes.len() {
            // A part of a sector is never left.
            let end = (pos + len) / SECTOR * SECTOR;
            len = end.checked_sub(pos).filter(|&len| len > 0).unwrap_or(bytes.len());
        }
        let had = self.len_in(&state);
        if !state.has_space((pos + len).saturating_sub(had)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let bytes = &bytes[..len];
        if let Some(middle) = self.disk.middle(pos, len) {
            state.change(self.id).write(pos, &bytes[..middle]);
            state = self.disk.in_the_middle(state);
        }
        state.change(self.id).write(pos, bytes);
        state.note(Step::Write {
            file: self.id,
            pos,
            bytes: bytes.to_vec(),
        });
        error.map_or(Ok(len), Err)
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.enter(Call::Look)?;
        Ok(self.len_in(&state) as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.enter(Call::SetLen)?;
        self.change_len(&mut state, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, error) = self.disk.enter_failing(Call::Sync)?;
        let Some(error) = error else {
            if !state.behaviour.lies {
                state.synced.remove(&self.id);
                state.note(Step::Sync(self.id));
            }
            return Ok(());
        };
        match state.behaviour.after_failed_sync {
            AfterFailedSync::Kept => {}
            AfterFailedSync::Forgotten => state.note(Step::FailedSync(self.id)),
            AfterFailedSync::Reverted => {
                let content = state.partly_flushed(self.id);
                state.seen.files.insert(self.id, content.clone());
                state.synced.remove(&self.id);
                let file = self.id;
                state.note(Step::Reverted { file, content });
            }
        }
        Err(error)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn allocate(&self, _start: u64, end: u64) -> io::Result<()> {
        let mut state = self.disk.enter(Call::Allocate)?;
        match self.len_in(&state) as u64 {
            len if len < end => self.change_len(&mut state, end),
            _ => Ok(()),
        }
    }

    fn punch(&self, start: u64, end: u64) -> io::Result<()> {
        let mut state = self.disk.enter(Call::Punch)?;
        // Blocks are given back whole.
        let start = (start as usize).next_multiple_of(SECTOR);
        let end = (end as usize).min(self.len_in(&state)) / SECTOR * SECTOR;
        if start < end {
            state.change(self.id).clear(start, end);
            let file = self.id;
            state.note(Step::Hole { file, start, end });
        }
        Ok(())
    }

    fn is_removed(&self) -> io::Result<bool> {
        let state = self.disk.enter(Call::Look)?;
        Ok(!state.seen.names.values().any(|file| *file == Some(self.id)))
    }

    fn try_lock(&self) -> io::Result<bool> {
        let free = self.disk.enter(Call::Lock)?.locked.insert(self.id);
        self.has_lock.fetch_or(free, Ordering::Relaxed);
        Ok(free)
    }

    fn unlock(&self) -> io::Result<()> {
        if self.has_lock.swap(false, Ordering::Relaxed) {
            self.disk.unlock(self.id);
        }
        Ok(())
    }
}

impl SimFile {
    fn len_in(&self, state: &State) -> usize {
        state.seen.files.get(&self.id).map_or(0, |content| content.len())
    }

    fn change_len(&self, state: &mut State, len: u64) -> io::Result<()> {
        let (had, len) = (self.len_in(state), len as usize);
        if !state.has_space(len.saturating_sub(had)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if len != had {
            state.change(self.id).set_len(len);
            let file = self.id;
            state.note(Step::Length { file, len });
        }
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let _ = self.unlock(); // it does not fail
    }
}

impl State {
    fn create(&mut self, path: &Path) -> io::Result<FileId> {
        self.check_dir(parent(path))?;
        let file = self.seen.next_file;
        self.seen.next_file += 1;
        self.seen.names.insert(path.to_owned(), Some(file));
        self.seen.files.entry(file).or_default();
        let path = path.to_owned();
        self.note(Step::Create { path, file });
        Ok(file)
    }

    /// What is on the disk after a flush of a file has failed: some sectors as they were, some as they should be.
    fn partly_flushed(&self, file: FileId) -> Content {
        let now = self.seen.files.get(&file).cloned().unwrap_or_default();
        let mut content = self.synced.get(&file).cloned().unwrap_or_else(|| now.clone());
        content.set_len(now.len());
        for sector in (0..now.len()).step_by(SECTOR) {
            if mix(self.all_calls, sector as u64) >> 63 == 0 {
                let len = SECTOR.min(now.len() - sector);
                content.write(sector, &now.part(sector, len));
            }
        }
        content
    }

    fn check_dir(&self, dir: &Path) -> io::Result<()> {
        match self.seen.names.get(dir) {
            _ if dir == Path::new(".") => Ok(()),
            Some(None) => Ok(()),
            Some(Some(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn shortened(state: &mut State, len: usize) -> io::Result<usize> {
    match state.mood() {
        Some(mood) if mood & 1 == 0 => Err(io::ErrorKind::Interrupted.into()),
        Some(mood) if len > 1 => Ok(1 + (mood >> 1) as usize % (len - 1)),
        _ => Ok(len),
    }
}

/// Files for programs that do not use this crate's stores. Calls fail as the disk's behaviour says.
impl SimDisk {
    /// Opens a file for reading and writing, or makes it. Its name is durable when its directory is flushed.
    #[doc(hidden)]
    pub fn file(&self, path: impl AsRef<Path>) -> io::Result<SimFile> {
        self.open_file(path.as_ref(), Access::Create)
    }

    /// Makes the names in a directory durable; `.` is the one above all.
    #[doc(hidden)]
    pub fn sync_names(&self, dir: impl AsRef<Path>) -> io::Result<()> {
        self.sync_dir(dir.as_ref())
    }

    fn dir(&self, path: &Path) -> SimDir {
        SimDir {
            disk: self.clone(),
            path: path.to_owned(),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let (mut state, error) = self.enter_failing(Call::SyncDir)?;
        state.check_dir(dir)?;
        if let Some(error) = error {
            state.note(Step::FailedSyncDir(dir.to_owned()));
            return Err(error);
        }
        if !state.behaviour.lies {
            state.note(Step::SyncDir(dir.to_owned()));
        }
        Ok(())
    }

    fn open_file(&self, path: &Path, access: Access) -> io::Result<SimFile> {
        let mut state = self.enter(Call::Open)?;
        let is_new = matches!(access, Access::Create | Access::New);
        let id = match state.seen.names.get(path) {
            Some(_) if access == Access::New => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(Some(id)) => *id,
            Some(None) => return Err(io::ErrorKind::IsADirectory.into()),
            None if !is_new => return Err(io::ErrorKind::NotFound.into()),
            None => state.create(path)?,
        };
        drop(state);
        Ok(SimFile {
            disk: self.clone(),
            id,
            has_lock: AtomicBool::new(false),
        })
    }
}

impl SimFile {
    /// Reads until `buf` is full or the file ends.
    pub fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        fs::read_at(self, pos, buf)
    }

    /// Writes all of `bytes`.
    pub fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        fs::write_at(self, pos, bytes)
    }

    /// Flushes the file.
    pub fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    /// Makes the file longer or shorter.
    pub fn resize(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    /// How long the file is.
    pub fn size(&self) -> io::Result<u64> {
        File::len(self)
    }
}
