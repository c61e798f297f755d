//! shuttle's primitives, with the shape of those that they stand for.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        PoisonError, TryLockError,
        atomic::{AtomicBool as Flag, Ordering},
    },
};

use shuttle::{rand::Rng, sync};
pub(crate) use shuttle::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence},
    thread, thread_local,
};

/// One of two things, as the schedule says.
pub(crate) fn toss() -> bool {
    shuttle::rand::thread_rng().gen_bool(0.5)
}

/// A lock with parking_lot's shape.
#[derive(Default)]
pub(crate) struct Mutex<T> {
    lock: sync::Mutex<T>,
    /// Somebody holds it. Asking the lock would take it for a moment, in which others find it taken.
    held: Flag,
}

/// What holds a [`Mutex`].
pub(crate) struct MutexGuard<'a, T> {
    /// `None` while it is dropped.
    guard: Option<sync::MutexGuard<'a, T>>,
    held: &'a Flag,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex {
            lock: sync::Mutex::new(value),
            held: Flag::new(false),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.hold(self.lock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.lock.try_lock() {
            Ok(guard) => Some(self.hold(guard)),
            Err(TryLockError::Poisoned(poisoned)) => Some(self.hold(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.lock.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_locked(&self) -> bool {
        super::step();
        self.held.load(Ordering::Relaxed)
    }

    /// No thread runs between taking the lock and this.
    fn hold<'a>(&'a self, guard: sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.held.store(true, Ordering::Relaxed);
        MutexGuard {
            guard: Some(guard),
            held: &self.held,
        }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // Others run before the lock is let go, and not between that and the next line.
        self.guard = None;
        self.held.store(false, Ordering::Relaxed);
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.guard {
            Some(guard) => guard,
            None => unreachable!("held until the drop"),
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.guard {
            Some(guard) => guard,
            None => unreachable!("held until the drop"),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

/// A lock with parking_lot's shape.
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
        self.0.try_read().ok()
    }

    pub(crate) fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
