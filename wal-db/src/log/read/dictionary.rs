//! The schemas that a log holds, as its readers know them: the newest set of schema records, and where they are.

use super::view::View;
use crate::{
    error::{Result, WalError},
    format::schema::LINK_LEN,
    sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering},
};

/// What an open log knows of its schemas.
pub(crate) struct Dictionary {
    /// Positions of schema frames, ascending: the last one that was there at opening, and those written since.
    pub(crate) positions: Mutex<Vec<u64>>,
    set: Mutex<Set>,
    /// How often it has changed. A record that can be read was appended after the change with its schema.
    changes: AtomicU64,
}

/// The newest set, once it was needed.
pub(crate) type Set = Option<Vec<Entry>>;

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) pos: u64,
    pub(crate) payload: Vec<u8>,
}

impl Dictionary {
    pub(crate) fn new(newest: Option<u64>) -> Self {
        Dictionary {
            positions: Mutex::new(newest.into_iter().collect()),
            set: Mutex::new(None),
            changes: AtomicU64::new(0),
        }
    }

    /// Locks the set. To be done before the committer is taken or the log frozen, never the other way round.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Set> {
        self.set.lock()
    }

    /// The last schema frame before `pos` that is known of.
    pub(crate) fn newest_before(&self, pos: u64) -> Option<u64> {
        let positions = self.positions.lock();
        let after = positions.partition_point(|&at| at < pos);
        after.checked_sub(1).map(|at| positions[at])
    }

    pub(crate) fn newest(&self) -> Option<u64> {
        self.newest_before(u64::MAX)
    }

    /// Frames were written there.
    pub(crate) fn add(&self, positions: &[u64]) {
        self.positions.lock().extend(positions);
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets where schema frames were before `pos`, except the newest one.
    pub(crate) fn forget_before(&self, pos: u64) {
        let mut positions = self.positions.lock();
        let gone = positions.partition_point(|&at| at < pos);
        let gone = gone.min(positions.len().saturating_sub(1));
        positions.drain(..gone);
    }

    /// For a log that another process writes: `newest` is the last schema frame by now.
    pub(crate) fn see(&self, newest: Option<u64>) {
        let mut set = self.lock();
        if self.newest() != newest {
            self.begin_anew(&mut set, newest);
        }
    }

    /// Forgets all but `newest`, the last schema frame.
    pub(crate) fn begin_anew(&self, set: &mut Set, newest: Option<u64>) {
        *set = None;
        *self.positions.lock() = newest.into_iter().collect();
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

/// The schemas of a log for a reader that has looked at them and reads what comes later, too.
pub(crate) struct Newer {
    view: Arc<View>,
    seen: u64,
}

impl Newer {
    /// What is looked at from now on counts as seen.
    pub(crate) fn than_now(view: Arc<View>) -> Self {
        let seen = view.dictionary.changes.load(Ordering::Acquire);
        Newer { view, seen }
    }

    /// Looks at the schemas if others have come since it was done last. After an error they are looked at again.
    #[inline]
    pub(crate) fn look(&mut self, look: impl FnOnce(&[Entry]) -> Result<()>) -> Result<()> {
        let changes = self.view.dictionary.changes.load(Ordering::Acquire);
        if changes != self.seen {
            self.view.with_dictionary(look)??;
            self.seen = changes;
        }
        Ok(())
    }
}

impl View {
    pub(crate) fn with_dictionary<T>(&self, run: impl FnOnce(&[Entry]) -> T) -> Result<T> {
        if self.is_in_closure() {
            return Err(WalError::Reentrant);
        }
        loop {
            let extent = self.base.extent();
            let error = match self.loaded(&mut self.dictionary.lock()) {
                Ok(entries) => return Ok(run(entries)),
                Err(error) => error,
            };
            let moved = !Arc::ptr_eq(&extent, &self.base.now());
            if !moved || !matches!(error, WalError::Corruption(_)) {
                return Err(error);
            }
        }
    }

    pub(crate) fn loaded<'s>(&self, set: &'s mut Set) -> Result<&'s mut Vec<Entry>> {
        if set.is_none() {
            let newest = self.newest_schema();
            if let Some(newest) = newest.filter(|_| !self.is_read_only()) {
                self.drain_if_possible(newest)?;
            }
            *set = Some(self.read_set(newest)?);
        }
        Ok(set.get_or_insert_default())
    }

    /// Follows the links from the last frame of a set to its first.
    fn read_set(&self, newest: Option<u64>) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut next = newest;
        while let Some(pos) = next {
            let (link, record) = self.base.schema_frame(pos)?;
            let payload = record.data()[LINK_LEN..].to_vec();
            entries.push(Entry { pos, payload });
            next = link
                .before(pos)
                .filter(|&(before, same_set)| same_set && self.base.is_there(before))
                .map(|(before, _)| before);
        }
        entries.reverse();
        Ok(entries)
    }

    pub(crate) fn newest_schema(&self) -> Option<u64> {
        self.dictionary.newest().filter(|&pos| self.base.is_there(pos))
    }
}
