//! The disk as a program sees it, with a journal of what the program did to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    content::Content,
    image::{FileId, Image, SECTOR, Step},
};
use crate::{
    config::WalConfig,
    error::Result,
    log::{Inspection, Salvage, Wal, Watched},
    lsn::Lsn,
    storage::{FileStore, SegmentedStore, fs::FileSystem},
};

/// A disk in memory under real logs, which notes everything that they do to it. Clones are the same disk, until it is
/// [killed](Self::kill).
///
/// ```
/// use wal_db::{WalConfig, testing::SimDisk};
///
/// let disk = SimDisk::new();
/// let wal = disk.open("events", WalConfig::new())?;
/// wal.append(b"in memory that the process shares with the system")?;
/// let disk = disk.kill();
/// drop(wal);
/// assert_eq!(disk.open("events", WalConfig::new())?.status().records, 1);
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    before: Option<Before>,
}

/// Runs before each call, and in the middle of those that are no moment.
#[derive(Clone)]
struct Before(Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Before")
    }
}

/// What a program asks of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// Opening or making a file.
    Open,
    /// Finding or listing a directory, or asking for a name or a length.
    Look,
    /// Making a directory.
    CreateDir,
    /// Changing a name.
    Rename,
    /// Removing a name.
    Remove,
    /// Flushing the names of a directory.
    SyncDir,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Making a file longer or shorter.
    SetLen,
    /// Flushing a file.
    Sync,
    /// Taking blocks.
    Allocate,
    /// Giving blocks back.
    Punch,
    /// Locking.
    Lock,
    /// Opening a file that is to be mapped.
    Map,
}

/// A call that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Calls of this kind, or of every kind.
    pub call: Option<Call>,
    /// So many of them succeed first.
    pub after: u64,
    /// The system's number of the error; 5 is EIO, 28 is ENOSPC.
    pub error: i32,
    /// Whether all that come later fail as well.
    pub forever: bool,
}

/// What becomes of what a failed flush should have flushed. Whether it arrived is never known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AfterFailedSync {
    /// It stays readable and counts as flushed, as on ext4 and XFS: no later flush will try.
    #[default]
    Forgotten,
    /// It is dropped: what is read is what is on the disk, as when the cache is short of memory.
    Reverted,
    /// A later flush tries again.
    Kept,
}

/// How a disk behaves, besides losing what was not flushed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Flushes do nothing and say that they did.
    pub lies: bool,
    /// A call that fails.
    pub fault: Option<Fault>,
    /// What a failed flush leaves.
    pub after_failed_sync: AfterFailedSync,
    /// So many bytes fit into all files.
    pub space: Option<u64>,
    /// Calls are interrupted, and write and read less than they were asked to, in an order that belongs to this number.
    pub moods: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Opened {
    path: PathBuf,
    segmented: bool,
    config: WalConfig,
    pub(super) watched: Watched,
}

impl Opened {
    /// The last record of this log on a disk that holds this; `None` if there is none.
    pub(super) fn last_record(&self, image: Image) -> Result<Option<Lsn>> {
        let disk = SimDisk::of(image);
        let wal = disk.open_read_only(&self.path, self.segmented, self.config)?;
        wal.last_lsn()
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) seen: Image,
    /// What was last flushed of files that were changed since.
    pub(super) synced: BTreeMap<FileId, Content>,
    pub(super) locked: BTreeSet<FileId>,
    pub(super) behaviour: Behaviour,
    journal: Vec<Step>,
    /// Mapped memory, shared with the log that has mapped it.
    maps: BTreeMap<PathBuf, std::fs::File>,
    dead: bool,
    calls: BTreeMap<Call, u64>,
    pub(super) all_calls: u64,
    opened: Vec<Opened>,
    matched: u64,
    failed: u64,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// A disk that holds this, all of it durable.
    #[must_use]
    #[doc(hidden)]
    pub fn of(image: Image) -> SimDisk {
        let state = State {
            seen: image,
            ..State::default()
        };
        SimDisk {
            state: Arc::new(Mutex::new(state)),
            before: None,
        }
    }

    /// The same disk as another process sees it, which lets `before` run before each of its calls: what others do
    /// there, through other clones of the disk, they do between any two calls of this one, and in the middle of long
    /// reads and writes.
    #[must_use]
    #[doc(hidden)]
    pub fn beside(&self, before: impl Fn() + Send + Sync + 'static) -> SimDisk {
        SimDisk {
            state: self.state.clone(),
            before: Some(Before(Arc::new(before))),
        }
    }

    /// Opens a log for reading, in a directory if `segmented`, as [`WalConfig::open_read_only`] does.
    #[doc(hidden)]
    pub fn open_read_only(&self, path: impl AsRef<Path>, segmented: bool, config: WalConfig) -> Result<Wal> {
        Wal::with_store_to_read(self.store_to_read(path.as_ref(), segmented)?, config)
    }

    /// Reads what is left of a log, as [`salvage`](crate::recovery::salvage) does.
    #[doc(hidden)]
    pub fn salvage(&self, path: impl AsRef<Path>) -> Result<Salvage> {
        crate::log::salvage_on(self.fs(), path.as_ref())
    }

    /// Looks at a log, as [`inspect`](crate::recovery::inspect) does.
    #[doc(hidden)]
    pub fn inspect(&self, path: impl AsRef<Path>) -> Result<Inspection> {
        crate::log::inspect_on(self.fs(), path.as_ref())
    }

    fn store_to_read(&self, path: &Path, segmented: bool) -> Result<Box<dyn crate::storage::WalStore>> {
        Ok(if segmented {
            Box::new(SegmentedStore::open_read_only_on(self.fs(), path)?)
        } else {
            Box::new(FileStore::open_read_only_on(self.fs(), path)?)
        })
    }

    /// Opens a log in a file of this disk, as [`Wal::open_with`] does.
    pub fn open(&self, path: impl AsRef<Path>, config: WalConfig) -> Result<Wal> {
        let path = path.as_ref();
        let wal = Wal::with_store_and_config(self.file_store(path)?, config)?;
        self.watch(path, false, config, &wal);
        Ok(wal)
    }

    /// Opens a log in a directory of this disk, as [`Wal::open_segmented_with`] does.
    pub fn open_segmented(&self, dir: impl AsRef<Path>, segment_size: u64, config: WalConfig) -> Result<Wal> {
        let dir = dir.as_ref();
        let wal = Wal::with_store_and_config(self.segmented_store(dir, segment_size)?, config)?;
        self.watch(dir, true, config, &wal);
        Ok(wal)
    }

    fn watch(&self, path: &Path, segmented: bool, config: WalConfig, wal: &Wal) {
        self.state().opened.push(Opened {
            path: path.to_owned(),
            segmented,
            config,
            watched: wal.watched(),
        });
    }

    /// The log that was opened here last; `None` if that was none, or more than one.
    pub(super) fn only_log(&self) -> Option<Opened> {
        let state = self.state();
        let last = state.opened.last()?;
        let is_only = state.opened.iter().all(|other| other.path == last.path);
        is_only.then(|| last.clone())
    }

    /// The store of [`open`](Self::open) alone. Fails as [`FileStore::open`].
    pub fn file_store(&self, path: impl AsRef<Path>) -> Result<FileStore> {
        FileStore::open_on(self.fs(), path.as_ref())
    }

    /// The store of [`open_segmented`](Self::open_segmented) alone. Fails as [`SegmentedStore::open`].
    pub fn segmented_store(&self, dir: impl AsRef<Path>, segment_size: u64) -> Result<SegmentedStore> {
        SegmentedStore::open_on(self.fs(), dir.as_ref(), segment_size)
    }

    /// The process that has the disk is dead: nothing that it still does arrives. Returns the disk for the next one,
    /// which sees what was written, flushed or not, and the memory that was mapped.
    #[must_use]
    pub fn kill(&self) -> SimDisk {
        let mut state = self.state();
        state.note_maps();
        state.dead = true;
        let next = State {
            seen: std::mem::take(&mut state.seen),
            synced: std::mem::take(&mut state.synced),
            behaviour: state.behaviour.clone(),
            journal: std::mem::take(&mut state.journal),
            ..State::default()
        };
        SimDisk {
            state: Arc::new(Mutex::new(next)),
            before: None,
        }
    }

    /// Changes how the disk behaves; a fault counts calls from here.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        let mut state = self.state();
        let before = state.behaviour.fault;
        change(&mut state.behaviour);
        if state.behaviour.fault != before {
            (state.matched, state.failed) = (0, 0);
        }
    }

    /// Ends faults and gives space; returns how many calls the fault has failed.
    pub fn heal(&self) -> u64 {
        let mut state = self.state();
        (state.behaviour.fault, state.behaviour.space) = (None, None);
        state.matched = 0;
        std::mem::take(&mut state.failed)
    }

    /// How often a program made a call, or any.
    #[must_use]
    #[doc(hidden)]
    pub fn calls(&self, call: Option<Call>) -> u64 {
        let state = self.state();
        call.map_or(state.all_calls, |call| {
            state.calls.get(&call).copied().unwrap_or(0)
        })
    }

    /// How many bytes all files have.
    #[must_use]
    #[doc(hidden)]
    pub fn used(&self) -> u64 {
        self.state().used() as u64
    }

    /// Notes a number in the journal.
    #[doc(hidden)]
    pub fn mark(&self, mark: usize) {
        self.state().note(Step::Mark(mark));
    }

    /// Takes the journal: everything that was done since the disk was made or this was last called.
    #[must_use]
    #[doc(hidden)]
    pub fn journal(&self) -> Vec<Step> {
        std::mem::take(&mut self.state().journal)
    }

    /// What a process sees at the moment; nothing of it need be durable.
    #[must_use]
    #[doc(hidden)]
    pub fn seen(&self) -> Image {
        let mut state = self.state();
        state.note_maps();
        state.seen.clone()
    }

    /// A process that had files locked is dead, and others go on: what it wrote stays as it is.
    #[doc(hidden)]
    pub fn unlock_all(&self) {
        self.state().locked.clear();
    }

    pub(super) fn unlock(&self, file: FileId) {
        self.state().locked.remove(&file);
    }

    fn fs(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn let_others_run(&self) {
        if let Some(Before(run)) = &self.before
            && !self.state().dead
        {
            run();
        }
    }

    /// Where somebody else may come between the two parts of reading or writing so many bytes, if anybody is beside:
    /// the system copies one page after the other.
    pub(super) fn middle(&self, pos: usize, len: usize) -> Option<usize> {
        let middle = ((pos + len / 2) / SECTOR * SECTOR).checked_sub(pos)?;
        (self.before.is_some() && middle > 0).then_some(middle)
    }

    pub(super) fn in_the_middle<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        drop(state);
        self.let_others_run();
        self.state()
    }

    /// Begins a call: counts it, and fails it if it is to fail.
    pub(super) fn enter(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        let (state, error) = self.enter_failing(call)?;
        error.map_or(Ok(state), Err)
    }

    /// As [`enter`](Self::enter), for a call that has an effect when it fails.
    pub(super) fn enter_failing(&self, call: Call) -> io::Result<(MutexGuard<'_, State>, Option<io::Error>)> {
        crate::sync::step();
        self.let_others_run();
        let mut state = self.state();
        if state.dead {
            return Err(io::Error::other("the process is dead"));
        }
        state.all_calls += 1;
        *state.calls.entry(call).or_default() += 1;
        let error = state.failure(call);
        Ok((state, error))
    }
}

impl State {
    fn failure(&mut self, call: Call) -> Option<io::Error> {
        let fault = self.behaviour.fault?;
        if fault.call.is_some_and(|only| only != call) {
            return None;
        }
        self.matched += 1;
        let now = self.matched == fault.after + 1 || fault.forever && self.matched > fault.after;
        self.failed += u64::from(now);
        if now && !fault.forever {
            self.behaviour.fault = None;
        }
        now.then(|| io::Error::from_raw_os_error(fault.error))
    }

    /// Whether a call gets into a mood: it is interrupted, or does less than it was asked to.
    pub(super) fn mood(&mut self) -> Option<u64> {
        let moods = self.behaviour.moods.as_mut()?;
        *moods = super::content::mix(*moods, 0x9E37_79B9_7F4A_7C15);
        (*moods >> 61 < 3).then_some(*moods)
    }

    /// Notes a step, after what mapped memory held when it was made.
    pub(super) fn note(&mut self, step: Step) {
        self.note_maps();
        self.journal.push(step);
    }

    fn note_maps(&mut self) {
        for (path, file) in &mut self.maps {
            let mut bytes = Vec::new();
            let read = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| file.read_to_end(&mut bytes));
            if read.is_ok() && self.seen.staging.get(path) != Some(&bytes) {
                self.seen.staging.insert(path.clone(), bytes.clone());
                let path = path.clone();
                self.journal.push(Step::Staging { path, bytes });
            }
        }
    }

    /// A file that can be mapped, with what its memory held; or a new one.
    pub(super) fn map(&mut self, path: &Path, create: bool) -> io::Result<Option<std::fs::File>> {
        if create {
            self.unmap(path);
            self.maps.insert(path.to_owned(), memory_file()?);
        }
        if !self.maps.contains_key(path) {
            let Some(held) = self.seen.staging.get(path).filter(|held| !held.is_empty()) else {
                return Ok(None);
            };
            let mut file = memory_file()?;
            file.write_all(held)?;
            self.maps.insert(path.to_owned(), file);
        }
        self.maps.get(path).map(std::fs::File::try_clone).transpose()
    }

    pub(super) fn unmap(&mut self, path: &Path) {
        self.note_maps();
        self.maps.remove(path);
        if let Some(held) = self.seen.staging.get_mut(path)
            && !std::mem::take(held).is_empty()
        {
            let (path, bytes) = (path.to_owned(), Vec::new());
            self.journal.push(Step::Staging { path, bytes });
        }
    }

    pub(super) fn change(&mut self, file: FileId) -> &mut Content {
        let content = self.seen.files.entry(file).or_default();
        self.synced.entry(file).or_insert_with(|| content.clone());
        content
    }

    pub(super) fn has_space(&self, more: usize) -> bool {
        let space = self.behaviour.space;
        more == 0 || space.is_none_or(|space| (self.used() + more) as u64 <= space)
    }

    fn used(&self) -> usize {
        self.seen.files.values().map(Content::len).sum()
    }
}

#[cfg(target_os = "linux")]
fn memory_file() -> io::Result<std::fs::File> {
    let file = rustix::fs::memfd_create("staging", rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(file.into())
}

#[cfg(not(target_os = "linux"))]
fn memory_file() -> io::Result<std::fs::File> {
    tempfile::tempfile()
}
