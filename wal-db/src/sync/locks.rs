//! The locks, of the standard library or of shuttle: not poisoned by a panic, and one says whether it is held.
//!
//! Those of the standard library sleep when they have to wait. Locks that give the processor away first (parking_lot's)
//! wait until all others that want it have had it: beside fifty busy threads on two processors, 10 to 70 ms each time.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        PoisonError, TryLockError,
        atomic::{AtomicU32 as Count, Ordering},
    },
};

#[cfg(wal_shuttle)]
use shuttle::sync;
#[cfg(not(wal_shuttle))]
use std::sync;

#[derive(Default)]
pub(crate) struct Mutex<T> {
    lock: sync::Mutex<T>,
    /// How many threads hold it: two for a moment, when one has let it go and does not say so yet. Asking the lock itself
    /// would take it for a moment, in which others find it taken.
    holders: Count,
}

/// What holds a [`Mutex`]. The lock is let go before it is no longer counted, as the fields are dropped in order.
pub(crate) struct MutexGuard<'a, T> {
    guard: sync::MutexGuard<'a, T>,
    _counted: Counted<'a>,
}

struct Counted<'a>(&'a Count);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex {
            lock: sync::Mutex::new(value),
            holders: Count::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.hold(self.lock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        unless_taken(self.lock.try_lock()).map(|guard| self.hold(guard))
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.lock.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_locked(&self) -> bool {
        super::step();
        self.holders.load(Ordering::Relaxed) > 0
    }

    fn hold<'a>(&'a self, guard: sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.holders.fetch_add(1, Ordering::Relaxed);
        MutexGuard {
            guard,
            _counted: Counted(&self.holders),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        RwLock(sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_read(&self) -> Option<sync::RwLockReadGuard<'_, T>> {
        unless_taken(self.0.try_read())
    }

    pub(crate) fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unless_taken<G>(tried: Result<G, TryLockError<G>>) -> Option<G> {
    match tried {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
