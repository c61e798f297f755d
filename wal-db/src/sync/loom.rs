//! loom's primitives, with the shape of those that they stand for.

pub(crate) use std::thread_local; // loom's takes no constant; nothing that runs under loom is local to a thread

pub(crate) use loom::{
    sync::{
        MutexGuard,
        atomic::{AtomicBool, AtomicU32, AtomicU64, fence},
    },
    thread,
};

/// loom's lock, not poisoned by a panic.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.try_lock().is_none()
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

/// Nothing that runs under loom reads in parallel.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(Mutex<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        RwLock(Mutex::new(value))
    }

    pub(crate) fn read(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    pub(crate) fn try_read(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
    }

    pub(crate) fn write(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }
}

/// All schedules with two preemptions at most, unless the environment says how many, or fewer.
#[cfg(test)]
pub(crate) fn bounded(fewer: usize, model: fn()) {
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(bounded.preemption_bound.unwrap_or(2).saturating_sub(fewer));
    bounded.check(model);
}
