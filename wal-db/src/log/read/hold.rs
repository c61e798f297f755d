//! Holds: what a reader of the log still needs.

use std::sync::Weak;

use super::view::View;
use crate::{
    error::Result,
    lsn::Lsn,
    sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering},
};

/// The place up to which somebody has read the log. While it exists, [`Wal::retain`](crate::Wal::retain) keeps what
/// comes after it. It lives in memory: store the LSN with what the records did, and make a hold of it again after a
/// restart.
#[derive(Debug)]
#[must_use = "what it keeps is kept as long as it lives"]
pub struct Hold {
    view: Weak<View>,
    pos: Arc<AtomicU64>,
}

impl Hold {
    /// The first LSN that is still needed.
    pub fn lsn(&self) -> Lsn {
        Lsn::from_pos(self.pos.load(Ordering::Acquire))
    }

    /// Everything before `lsn` is not needed any more. A hold never moves back.
    ///
    /// # Errors
    /// [`BeyondEnd`](crate::WalError::BeyondEnd) if `lsn` lies after the end of the log. The hold stays where it was.
    pub fn advance(&self, lsn: Lsn) -> Result<()> {
        // A log that is gone keeps nothing.
        if let Some(view) = self.view.upgrade() {
            view.check_process()?;
            view.check_end(lsn.pos())?;
        }
        self.pos.fetch_max(lsn.pos(), Ordering::AcqRel);
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Holds(Mutex<Places>);

#[derive(Default)]
pub(crate) struct Places {
    places: Vec<Weak<AtomicU64>>,
    /// With this many places, those of holds that are gone are looked for.
    prune_at: usize,
}

impl Holds {
    /// Nobody registers as long as the lock is held.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock()
    }
}

impl Places {
    pub(crate) fn slowest(&mut self) -> Option<u64> {
        self.prune();
        let places = self.places.iter().filter_map(Weak::upgrade);
        places.map(|pos| pos.load(Ordering::Acquire)).min()
    }

    fn add(&mut self, pos: &Arc<AtomicU64>) {
        if self.places.len() >= self.prune_at {
            self.prune();
        }
        self.places.push(Arc::downgrade(pos));
    }

    fn prune(&mut self) {
        self.places.retain(|place| place.strong_count() > 0);
        self.prune_at = 2 * self.places.len() + 64;
    }
}

impl View {
    /// Registers a reader that needs the records from `lsn` on. From here on no retention drops them.
    pub(crate) fn hold(self: &Arc<Self>, lsn: Lsn) -> Result<Hold> {
        // A retention that has not taken the lock will see the hold; one that held it has moved the head.
        let mut holds = self.holds.lock();
        self.check_position(&self.base.extent(), lsn.pos())?;
        let pos = Arc::new(AtomicU64::new(lsn.pos()));
        holds.add(&pos);
        Ok(Hold {
            view: Arc::downgrade(self),
            pos,
        })
    }
}
