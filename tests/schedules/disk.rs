//! The simulated disk under a schedule: other threads run before and after each of its calls, and so while a flush is
//! under way, which takes effect at some moment in between.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use wal_db::WalStore;
use wal_tests::{
    random::Rng,
    sim::{
        disk::{Image, SimDisk},
        medium::Medium,
    },
};

/// What fails from some call on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `write_at`.
    Write,
    /// `sync`.
    Sync,
    /// `write_slot`.
    Slot,
}

/// Clones are the same disk. No thread is switched while its locks are held.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    calls: SimDisk,
    /// As long as it says segments are.
    segment: Option<u64>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    medium: Medium,
    /// What fails, after so many more calls of it.
    failing: Option<(Call, usize)>,
    /// Up to where there is space, if that is limited.
    space: Option<u64>,
}

impl Disk {
    /// A disk that says that it has segments of so many bytes.
    pub(crate) fn with_segments(len: u64) -> Disk {
        Disk {
            segment: Some(len),
            ..Disk::default()
        }
    }

    /// The calls of this kind fail, but for so many that come first.
    pub(crate) fn fail(&self, call: Call, after: usize) {
        self.state().failing = Some((call, after));
    }

    /// There is space for so many bytes, and no more.
    pub(crate) fn set_space(&self, bytes: u64) {
        self.state().space = Some(bytes);
    }

    /// What a power cut at this moment leaves: at worst, and a few that are not as bad.
    pub(crate) fn images(&self, rng: &mut Rng, some: usize) -> Vec<Image> {
        let steps = self.calls.journal();
        let mut state = self.state();
        steps.iter().for_each(|step| state.medium.apply(step));
        let medium = &state.medium;
        let worst = medium.after(&medium.nothing());
        let others = (0..some).map(|_| medium.after(&medium.any(rng)));
        std::iter::once(worst).chain(others).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn call<T>(&self, call: Option<Call>, run: impl FnOnce(&SimDisk) -> io::Result<T>) -> io::Result<T> {
        others_run();
        let result = match self.fails(call) {
            true => self.fail_now(call),
            false => run(&self.calls),
        };
        others_run();
        result
    }

    fn fails(&self, call: Option<Call>) -> bool {
        match &mut self.state().failing {
            Some((failing, left)) if Some(*failing) == call => {
                let fails = *left == 0;
                *left = left.saturating_sub(1);
                fails
            }
            _ => false,
        }
    }

    fn fail_now<T>(&self, call: Option<Call>) -> io::Result<T> {
        if call == Some(Call::Sync) {
            self.calls.fail_next_sync();
            let _ = self.calls.sync();
        }
        Err(io::Error::other("the disk is broken"))
    }
}

fn others_run() {
    shuttle::thread::sleep(Duration::ZERO);
}

impl WalStore for Disk {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.call(None, |disk| disk.read_at(pos, buf))
    }

    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        self.call(Some(Call::Write), |disk| disk.write_at(pos, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.call(Some(Call::Sync), SimDisk::sync)
    }

    fn len(&self) -> io::Result<u64> {
        self.calls.len()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.call(None, |disk| disk.truncate(len))
    }

    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        self.calls.read_slot(slot)
    }

    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.call(Some(Call::Slot), |disk| disk.write_slot(slot, bytes))
    }

    fn segment_len(&self) -> Option<u64> {
        self.segment
    }

    fn prepare(&self, end: u64) -> io::Result<u64> {
        self.call(None, |_| match self.state().space {
            Some(space) if end > space => Err(io::ErrorKind::StorageFull.into()),
            Some(_) => Ok(end),
            // A step at a time, so that the log comes back for more.
            None => Ok(end.next_multiple_of(4 << 10)),
        })
    }

    fn truncate_before(&self, pos: u64) -> io::Result<()> {
        // Whole segments only.
        let pos = pos - pos % self.segment.unwrap_or(1);
        self.call(None, |disk| disk.truncate_before(pos))
    }

    fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        self.call(None, |disk| disk.discard(start, end))
    }
}
