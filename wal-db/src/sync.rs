//! The one place that names locks and atomics, so that the lock-free protocols can run under loom.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

pub(crate) use std::sync::Arc;

pub(crate) use crossbeam_utils::CachePadded;
#[cfg(not(loom))]
pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};

#[cfg(loom)]
pub(crate) use self::loom_locks::{Mutex, MutexGuard, RwLock};

/// Reads a number that a compare-and-swap will be tried on.
///
/// Under loom this counts as a write: loom branches where an access follows another thread's conflicting one, and looks
/// at the last access only, so a thread that reads before it swaps would hide the other thread's read from it.
#[inline]
pub(crate) fn load_for_swap(number: &AtomicU64) -> u64 {
    #[cfg(not(loom))]
    return number.load(Ordering::Relaxed);
    #[cfg(loom)]
    return number.fetch_or(0, Ordering::Relaxed);
}

pub(crate) fn yield_now() {
    #[cfg(not(loom))]
    std::thread::yield_now();
    #[cfg(loom)]
    loom::thread::yield_now();
}

pub(crate) fn spin_loop() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// A number that threads can sleep on until it moves.
#[derive(Debug)]
pub(crate) struct Gate {
    ticks: AtomicU32,
    #[cfg(any(loom, not(target_os = "linux")))]
    sleep: portable::Sleep,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Gate {
            ticks: AtomicU32::new(0),
            #[cfg(any(loom, not(target_os = "linux")))]
            sleep: portable::Sleep::new(),
        }
    }

    /// Read this before checking the condition that is waited for.
    pub(crate) fn ticket(&self) -> u32 {
        self.ticks.load(Ordering::SeqCst)
    }
}

/// A gate that costs nothing while nobody sleeps at it.
#[derive(Debug)]
pub(crate) struct Bell {
    gate: Gate,
    asleep: AtomicU32,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Bell {
            gate: Gate::new(),
            asleep: AtomicU32::new(0),
        }
    }

    /// Wakes those who sleep, if any. What they wait for was stored before.
    pub(crate) fn ring(&self) {
        // Orders what was stored before the load: either we see the sleeper, or it sees what we stored.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) > 0 {
            self.gate.open_all();
        }
    }

    /// Sleeps until it rings or the time is over, unless `ready` says that there is no need to.
    pub(crate) fn sleep_unless(&self, timeout: Option<std::time::Duration>, ready: impl FnOnce() -> bool) {
        self.asleep.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let ticket = self.gate.ticket();
        if !ready() {
            self.gate.wait(ticket, timeout);
        }
        self.asleep.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(all(not(loom), target_os = "linux"))]
mod futex {
    use std::time::Duration;

    use rustix::thread::futex;

    use super::{Gate, Ordering};

    impl Gate {
        /// Sleeps until the gate moves past `ticket`, the time is over, or for no reason.
        pub(crate) fn wait(&self, ticket: u32, timeout: Option<Duration>) {
            let timeout = timeout.map(|time| futex::Timespec {
                tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: time.subsec_nanos().into(),
            });
            // Interrupted, timed out, or already moved: the caller looks again in every case.
            let _ = futex::wait(&self.ticks, futex::Flags::PRIVATE, ticket, timeout.as_ref());
        }

        pub(crate) fn open_all(&self) {
            self.ticks.fetch_add(1, Ordering::SeqCst);
            let _ = futex::wake(&self.ticks, futex::Flags::PRIVATE, i32::MAX as u32);
        }

        pub(crate) fn open_one(&self) {
            self.ticks.fetch_add(1, Ordering::SeqCst);
            let _ = futex::wake(&self.ticks, futex::Flags::PRIVATE, 1);
        }
    }
}

#[cfg(any(loom, not(target_os = "linux")))]
mod portable {
    use std::time::Duration;

    #[cfg(loom)]
    use loom::sync::{Condvar, Mutex};
    #[cfg(not(loom))]
    use std::sync::{Condvar, Mutex};

    use super::{Gate, Ordering};

    #[derive(Debug)]
    pub(super) struct Sleep {
        lock: Mutex<()>,
        moved: Condvar,
    }

    impl Sleep {
        pub(super) fn new() -> Self {
            Sleep {
                lock: Mutex::new(()),
                moved: Condvar::new(),
            }
        }
    }

    impl Gate {
        pub(crate) fn wait(&self, ticket: u32, timeout: Option<Duration>) {
            let Ok(guard) = self.sleep.lock.lock() else { return };
            if self.ticket() == ticket {
                match timeout {
                    Some(timeout) => drop(self.sleep.moved.wait_timeout(guard, timeout)),
                    None => drop(self.sleep.moved.wait(guard)),
                }
            }
        }

        pub(crate) fn open_all(&self) {
            let _guard = self.sleep.lock.lock();
            self.ticks.fetch_add(1, Ordering::SeqCst);
            self.sleep.moved.notify_all();
        }

        pub(crate) fn open_one(&self) {
            let _guard = self.sleep.lock.lock();
            self.ticks.fetch_add(1, Ordering::SeqCst);
            self.sleep.moved.notify_one();
        }
    }
}

#[cfg(loom)]
mod loom_locks {
    pub(crate) use loom::sync::MutexGuard;

    /// loom's lock with parking_lot's shape.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
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

        pub(crate) fn write(&self) -> MutexGuard<'_, T> {
            self.0.lock()
        }
    }
}
