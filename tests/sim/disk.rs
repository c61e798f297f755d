//! The disk as the log sees it, and the journal of what the log did to it.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use wal_db::WalStore;

/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// The bytes of a disk: what survived, or what a process sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The row.
    pub row: Vec<u8>,
    /// The two copies of the manifest.
    pub slots: [Vec<u8>; 2],
}

/// What the log did to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `write_at`.
    Write {
        /// Where.
        pos: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A hole, from `discard` and `truncate_before`.
    Hole {
        /// From here.
        start: u64,
        /// To here.
        end: u64,
    },
    /// `sync`.
    Sync,
    /// `sync` that failed: nothing is known of what was not flushed, and the system takes it for flushed.
    FailedSync,
    /// The row becomes longer, with zeros, from `prepare`.
    Grow(u64),
    /// `truncate`.
    Truncate(u64),
    /// `write_slot`.
    Slot {
        /// Which.
        slot: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// Not a call: what the log promised up to here; a number that whoever recorded the run understands.
    Mark(usize),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Write { pos, bytes } => {
                write!(f, "write {pos}..{}", pos + bytes.len() as u64)
            }
            Step::Hole { start, end } => write!(f, "hole {start}..{end}"),
            Step::Sync => write!(f, "sync"),
            Step::FailedSync => write!(f, "sync fails"),
            Step::Grow(len) => write!(f, "grow to {len}"),
            Step::Truncate(len) => write!(f, "truncate to {len}"),
            Step::Slot { slot, bytes } => write!(f, "slot {slot}, {} bytes", bytes.len()),
            Step::Mark(mark) => write!(f, "mark {mark}"),
        }
    }
}

/// A store that keeps a journal. Clones are the same disk, until it is [killed](Self::kill).
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    lies: bool,
    grows: bool,
}

/// What a disk that grows ahead of its use adds.
const AHEAD: usize = 8 << 10;

#[derive(Default)]
struct State {
    /// What a process sees.
    seen: Image,
    journal: Vec<Step>,
    dead: bool,
    sync_fails: bool,
}

impl SimDisk {
    /// A disk that holds these bytes, all of them durable.
    #[must_use]
    pub fn of(image: Image) -> SimDisk {
        let disk = SimDisk::default();
        disk.state().seen = image;
        disk
    }

    /// A disk whose `sync` does nothing and says it did.
    #[must_use]
    pub fn that_lies(mut self) -> SimDisk {
        self.lies = true;
        self
    }

    /// A disk whose row becomes longer before it is written, as files do when space is allocated.
    #[must_use]
    pub fn that_grows(mut self) -> SimDisk {
        self.grows = true;
        self
    }

    /// The process that has the disk is dead: nothing that it still does arrives. Returns the disk for the next one.
    #[must_use]
    pub fn kill(&self) -> SimDisk {
        let mut state = self.state();
        state.dead = true;
        let next = SimDisk {
            lies: self.lies,
            grows: self.grows,
            ..SimDisk::default()
        };
        *next.state() = State {
            seen: std::mem::take(&mut state.seen),
            journal: std::mem::take(&mut state.journal),
            dead: false,
            sync_fails: false,
        };
        next
    }

    /// The next `sync` fails; those after it do nothing for what it should have flushed.
    pub fn fail_next_sync(&self) {
        self.state().sync_fails = true;
    }

    /// Whether a `sync` is still to fail; none is from now on.
    #[must_use]
    pub fn heal(&self) -> bool {
        std::mem::take(&mut self.state().sync_fails)
    }

    /// Notes a mark in the journal.
    pub fn mark(&self, mark: usize) {
        self.state().journal.push(Step::Mark(mark));
    }

    /// Takes the journal.
    #[must_use]
    pub fn journal(&self) -> Vec<Step> {
        std::mem::take(&mut self.state().journal)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        match state.dead {
            true => Err(io::Error::other("the process is dead")),
            false => Ok(state),
        }
    }
}

impl WalStore for SimDisk {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let state = self.state();
        let row = &state.seen.row;
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(row.len());
        let len = buf.len().min(row.len() - from);
        buf[..len].copy_from_slice(&row[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.change()?;
        write(&mut state.seen.row, pos as usize, bytes);
        let bytes = bytes.to_vec();
        state.journal.push(Step::Write { pos, bytes });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.change()?;
        if std::mem::take(&mut state.sync_fails) {
            state.journal.push(Step::FailedSync);
            return Err(io::Error::other("a failed flush"));
        }
        if !self.lies {
            state.journal.push(Step::Sync);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state().seen.row.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.change()?;
        state.seen.row.truncate(len as usize);
        state.journal.push(Step::Truncate(len));
        Ok(())
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        Ok(self.state().seen.slots[slot].clone())
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.change()?;
        let bytes = bytes.to_vec();
        state.seen.slots[slot].clone_from(&bytes);
        state.journal.push(Step::Slot { slot, bytes });
        Ok(())
    }

    fn prepare(&self, _end: u64) -> io::Result<u64> {
        if self.grows {
            let mut state = self.change()?;
            let len = (state.seen.row.len() + 1).next_multiple_of(AHEAD);
            state.seen.row.resize(len, 0);
            state.journal.push(Step::Grow(len as u64));
        }
        Ok(u64::MAX)
    }

    fn truncate_before(&self, pos: u64) -> io::Result<()> {
        self.discard(0, pos)
    }

    fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        let mut state = self.change()?;
        // Blocks are given back whole.
        let start = start.next_multiple_of(SECTOR as u64);
        let end = end.min(state.seen.row.len() as u64) / SECTOR as u64 * SECTOR as u64;
        if start < end {
            state.seen.row[start as usize..end as usize].fill(0);
            state.journal.push(Step::Hole { start, end });
        }
        Ok(())
    }
}

/// Writes into a row, which grows with zeros.
pub(super) fn write(row: &mut Vec<u8>, pos: usize, bytes: &[u8]) {
    let end = pos + bytes.len();
    if row.len() < end {
        row.resize(end, 0);
    }
    row[pos..end].copy_from_slice(bytes);
}
