//! A store in memory that fails, panics, blocks, counts and loses sectors on command.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use wal_db::{Lsn, Result, Wal, WalConfig, WalError, WalStore};

use crate::quiet_heap;
pub use crate::scripted::Op;

/// What happens instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the call returns this error.
    Fail(io::ErrorKind),
    /// Half is done (a write), and the call returns this error.
    Half(io::ErrorKind),
    /// The call panics.
    Panic,
}

/// The error that a broken disk gives. Not one that means "full".
pub const EIO: io::ErrorKind = io::ErrorKind::Other;

/// The store. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default, Clone)]
struct State {
    row: Vec<u8>,
    /// What would survive a power loss.
    synced: Vec<u8>,
    /// The sectors that the next sync writes out. One that fails forgets them, as file systems do.
    dirty: BTreeSet<u64>,
    slots: [Vec<u8>; 2],
    /// What happens, and from which call on.
    faults: HashMap<Op, (u64, Fault)>,
    calls: HashMap<Op, u64>,
    bytes_asked: u64,
    /// Up to where `prepare` and `write_at` have space.
    space: Option<u64>,
    held: Option<Op>,
    waiting: u32,
}

impl Disk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> Disk {
        Disk::default()
    }

    /// From now on, `op` does this, in a call that is held as well.
    pub fn set(&self, op: Op, fault: Fault) {
        self.state().faults.insert(op, (0, fault));
    }

    /// After `calls` more calls of `op`, it does this.
    pub fn set_after(&self, op: Op, calls: u64, fault: Fault) {
        let mut state = self.state();
        let from = state.calls.get(&op).copied().unwrap_or(0) + calls;
        state.faults.insert(op, (from, fault));
    }

    /// From now on, everything works.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.space = None;
    }

    /// There is space for this many bytes of the row in all.
    pub fn set_space(&self, bytes: u64) {
        self.state().space = Some(bytes);
    }

    /// How often `op` was called.
    #[must_use]
    pub fn calls(&self, op: Op) -> u64 {
        self.state().calls.get(&op).copied().unwrap_or(0)
    }

    /// How many bytes of the row `read_at` was asked for.
    #[must_use]
    pub fn bytes_asked(&self) -> u64 {
        self.state().bytes_asked
    }

    /// From now on, `op` blocks in its call until [`let_go`](Self::let_go).
    pub fn hold(&self, op: Op) {
        self.state().held = Some(op);
    }

    /// Waits until a call is blocked.
    pub fn wait_for_held(&self) {
        let state = self.state();
        drop(self.shared.moved.wait_while(state, |state| state.waiting == 0));
    }

    /// Ends [`hold`](Self::hold).
    pub fn let_go(&self) {
        self.state().held = None;
        self.shared.moved.notify_all();
    }

    /// The disk as it is, every written byte included and no more of them durable: what a killed process leaves.
    #[must_use]
    pub fn image(&self) -> Disk {
        let state = self.state();
        let disk = Disk::of(state.row.clone(), &state);
        let (synced, dirty) = (state.synced.clone(), state.dirty.clone());
        (disk.state().synced, disk.state().dirty) = (synced, dirty);
        disk
    }

    /// The sectors that a power loss may lose.
    #[must_use]
    pub fn unsynced(&self) -> Vec<u64> {
        let state = self.state();
        let sectors = (state.row.len() as u64).div_ceil(512);
        let sector = |row: &[u8], i: u64| row.chunks(512).nth(i as usize).map(<[u8]>::to_vec);
        (0..sectors)
            .filter(|&i| sector(&state.row, i) != sector(&state.synced, i))
            .collect()
    }

    /// The disk after a power loss from which the unsynced sectors arrive for which `arrives` says so.
    #[must_use]
    pub fn after_power_loss(&self, arrives: impl Fn(u64) -> bool) -> Disk {
        let unsynced = self.unsynced();
        let state = self.state();
        let mut row = state.synced.clone();
        for sector in unsynced.into_iter().filter(|&sector| arrives(sector)) {
            let from = sector as usize * 512;
            let to = (from + 512).min(state.row.len());
            row.resize(row.len().max(to), 0);
            row[from..to].copy_from_slice(&state.row[from..to]);
        }
        Disk::of(row, &state)
    }

    /// The whole row.
    #[must_use]
    pub fn row(&self) -> Vec<u8> {
        self.state().row.clone()
    }

    /// Changes the row behind the log's back.
    pub fn edit(&self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.state().row);
    }

    /// A copy of the manifest.
    #[must_use]
    pub fn slot(&self, slot: usize) -> Vec<u8> {
        self.state().slots[slot].clone()
    }

    /// Changes both copies of the manifest behind the log's back.
    pub fn edit_slots(&self, change: impl FnMut(&mut Vec<u8>)) {
        self.state().slots.iter_mut().for_each(change);
    }

    fn of(row: Vec<u8>, state: &State) -> Disk {
        let disk = Disk::new();
        *disk.state() = State {
            synced: row.clone(),
            row,
            slots: state.slots.clone(),
            ..State::default()
        };
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic on command leaves nothing half done.
        self.shared
            .state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Counts a call, blocks it if it is held, and returns the error that it is to have.
    fn enter(&self, op: Op) -> (MutexGuard<'_, State>, Option<Fault>) {
        let mut state = self.state();
        *state.calls.entry(op).or_default() += 1;
        if state.held == Some(op) {
            state.waiting += 1;
            self.shared.moved.notify_all();
            state = self
                .shared
                .moved
                .wait_while(state, |state| state.held == Some(op))
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            state.waiting -= 1;
        }
        let calls = state.calls.get(&op).copied().unwrap_or(0);
        let set = state.faults.get(&op).copied();
        let fault = set.filter(|(from, _)| calls > *from).map(|(_, fault)| fault);
        if fault == Some(Fault::Panic) {
            drop(state);
            panic!("a panic on command in {op:?}");
        }
        (state, fault)
    }

    fn done(fault: Option<Fault>) -> io::Result<()> {
        match fault {
            Some(Fault::Fail(kind) | Fault::Half(kind)) => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl WalStore for Disk {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (mut state, fault) = self.enter(Op::Read);
        Disk::done(fault)?;
        state.bytes_asked += buf.len() as u64;
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(state.row.len());
        let len = buf.len().min(state.row.len() - from);
        buf[..len].copy_from_slice(&state.row[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut state, fault) = self.enter(Op::Write);
        let bytes = match fault {
            Some(Fault::Fail(kind)) => return Err(kind.into()),
            Some(Fault::Half(_)) => &bytes[..bytes.len() / 2],
            _ => bytes,
        };
        let end = pos.saturating_add(bytes.len() as u64);
        if state.space.is_some_and(|space| end > space) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Nothing here writes that much; a position that was made up must not take the machine's memory.
        let end = usize::try_from(end).ok().filter(|&end| end <= 1 << 30);
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        if state.row.len() < end {
            state.row.resize(end, 0);
        }
        let start = end - bytes.len();
        state.row[start..end].copy_from_slice(bytes);
        state.dirty.extend(start as u64 / 512..(end as u64).div_ceil(512));
        Disk::done(fault)
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, fault) = self.enter(Op::Sync);
        let dirty = std::mem::take(&mut state.dirty);
        Disk::done(fault)?;
        let State { row, synced, .. } = &mut *state;
        for sector in dirty {
            let from = row.len().min(sector as usize * 512);
            let to = row.len().min(from + 512);
            synced.resize(synced.len().max(to), 0);
            synced[from..to].copy_from_slice(&row[from..to]);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state().row.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let (mut state, fault) = self.enter(Op::Truncate);
        Disk::done(fault)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        state.row.truncate(len);
        state.synced.truncate(len);
        Ok(())
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        Ok(self.slot(slot))
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        let (mut state, fault) = self.enter(Op::WriteSlot);
        Disk::done(fault)?;
        state.slots[slot] = bytes.to_vec();
        Ok(())
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        let (state, fault) = self.enter(Op::Prepare);
        Disk::done(fault)?;
        match state.space {
            Some(space) if end > space => Err(io::ErrorKind::StorageFull.into()),
            Some(_) => Ok(end),
            // A step at a time, so that the log comes back for more.
            None => Ok(end.next_multiple_of(64 << 10)),
        }
    }
}

/// Opens the log on the disk. Panics at an error.
pub fn open(disk: &Disk, config: WalConfig) -> Wal {
    Wal::with_store_and_config(disk.clone(), config).unwrap()
}

/// With background threads, which do not seal while a test runs.
pub const fn busy_heap() -> WalConfig {
    quiet_heap()
        .with_background_flush(true)
        .with_seal_after_ms(3_600_000)
}

/// Whether it is the error that says so.
#[must_use]
pub fn is_in_doubt<T>(result: &Result<T>) -> bool {
    matches!(result, Err(WalError::InDoubt { .. }))
}

/// Whether it is the error that says so.
#[must_use]
pub fn is_poisoned<T>(result: &Result<T>) -> bool {
    matches!(result, Err(WalError::Poisoned { .. }))
}

/// Whether it is the error that says so.
#[must_use]
pub fn is_full<T>(result: &Result<T>) -> bool {
    matches!(result, Err(WalError::Full { .. }))
}

/// Every call that would take or promise something says `Poisoned`, even when the store works again.
pub fn stays_poisoned(wal: &Wal, disk: &Disk) {
    disk.heal();
    let syncs = disk.calls(Op::Sync);
    let writes = disk.calls(Op::Write);
    assert!(wal.status().failure.is_some(), "not poisoned");
    assert!(is_poisoned(&wal.append(b"x")), "append");
    assert!(is_poisoned(&wal.append(&[7; 100_000])), "a large append");
    assert!(is_poisoned(&wal.append_batch(&[b"x", b"y"])), "append_batch");
    assert!(is_poisoned(&wal.append_in_place(3, |_| ())), "append_in_place");
    assert!(is_poisoned(&wal.append_and_sync(b"x")), "append_and_sync");
    assert!(
        is_poisoned(&wal.append(b"x").and_then(|lsn| wal.ticket(lsn))),
        "append and ticket"
    );
    assert!(is_poisoned(&wal.sync()), "sync");
    assert!(is_poisoned(&wal.drain()), "flush");
    assert!(is_poisoned(&wal.truncate_after(Lsn::ZERO)), "truncate_after");
    assert_eq!(
        (disk.calls(Op::Sync), disk.calls(Op::Write)),
        (syncs, writes),
        "the store was tried again"
    );
}
