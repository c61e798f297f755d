//! The one place that names locks, atomics, threads and time, so that the lock-free protocols can run under loom and
//! the whole log under shuttle (`--cfg wal_loom`, `--cfg wal_shuttle`).
//!
//! shuttle runs all threads on one, switches between them where one of these primitives is used, and takes every ordering
//! for the strongest. loom and Miri check the orderings. Logs are short there, so limits are low (`cfg!(wal_shuttle)`).

#[cfg(not(wal_loom))]
mod locks;
mod tasks;

#[cfg(not(any(wal_loom, wal_shuttle)))]
mod real {
    pub(crate) use std::{
        sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence},
        thread, thread_local,
    };

    pub(crate) use super::locks::{Mutex, MutexGuard, RwLock};
}

#[cfg(wal_loom)]
#[path = "sync/loom.rs"]
mod real;

#[cfg(wal_shuttle)]
#[path = "sync/shuttle.rs"]
mod real;

use std::time::{Duration, Instant};

pub(crate) use std::sync::{Arc, atomic::Ordering};
/// Not of the models: nobody waits for the one, and what the other holds never changes.
pub(crate) use std::sync::{LazyLock, OnceLock};

/// A number that is shown and that nobody waits for or decides by. Not of the models: it would only make them longer.
pub(crate) use std::sync::atomic::AtomicU64 as Counter;

pub(crate) use crossbeam_utils::CachePadded;
/// Threads that borrow from the one that starts them. No model has them.
pub(crate) mod scoped {
    pub(crate) use std::thread::{Builder, scope};
}
pub(crate) use real::{
    AtomicBool, AtomicU32, AtomicU64, Mutex, MutexGuard, RwLock, fence, thread, thread_local,
};
pub(crate) use tasks::{LAST, Seat, Tasks};

#[cfg(all(test, wal_loom))]
pub(crate) use real::bounded;

#[cfg(wal_loom)]
pub(crate) use loom::sync::atomic::AtomicU64 as MemoryWord;
/// The words of memory that is bytes to others. loom wants its own ones, and does not come here.
#[cfg(not(wal_loom))]
pub(crate) use std::sync::atomic::AtomicU64 as MemoryWord;

/// Whether spinning is a step of a schedule, and time means nothing.
pub(crate) const SIMULATED: bool = cfg!(any(wal_loom, wal_shuttle));

/// How many processors this process may use. Found out once, without a lock that a child could find taken.
pub(crate) fn processors() -> u32 {
    use std::sync::atomic::AtomicU32;

    static KNOWN: AtomicU32 = AtomicU32::new(0);
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            let found = std::thread::available_parallelism().map_or(1, |found| found.get() as u32);
            KNOWN.store(found, Ordering::Relaxed);
            found
        }
        known => known,
    }
}

/// Reads a number that a compare-and-swap will be tried on.
///
/// Loom branches on the most recent conflicting access only. A plain load before the swap would hide the other thread's
/// load, so under loom this is a read-modify-write.
#[inline]
pub(crate) fn load_for_swap(number: &AtomicU64) -> u64 {
    #[cfg(not(wal_loom))]
    return number.load(Ordering::Acquire);
    #[cfg(wal_loom)]
    return number.fetch_or(0, Ordering::Acquire);
}

pub(crate) fn spin_loop() {
    #[cfg(not(any(wal_loom, wal_shuttle)))]
    std::hint::spin_loop();
    #[cfg(any(wal_loom, wal_shuttle))]
    thread::yield_now();
}

/// Waits a little for what another thread is about to do; `tries` says how often it was not done yet. Spins, and then
/// sleeps up to a millisecond. It never yields: a yield lasts until every other thread has had the processor, and gives it
/// to none of a lower priority.
pub(crate) fn back_off(tries: u32) {
    match tries {
        0..64 => spin_loop(),
        #[cfg(not(any(wal_loom, wal_shuttle)))]
        _ => thread::sleep(Duration::from_micros(u64::from(tries - 63).min(100) * 10)),
        #[cfg(any(wal_loom, wal_shuttle))]
        _ => thread::yield_now(),
    }
}

/// Another thread may run here, where what comes next is seen by others and is no primitive of this module.
#[inline(always)]
pub(crate) fn step() {
    #[cfg(wal_shuttle)]
    thread::sleep(std::time::Duration::ZERO);
}

/// When a wait ends at the latest.
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Deadline(Instant::now().checked_add(time))
    }

    /// How long it is until then; `None` if there is no end. There is no time under shuttle: it may be over whenever
    /// somebody looks.
    pub(crate) fn left(&self) -> Option<Duration> {
        #[cfg(not(wal_shuttle))]
        return self.0.map(|end| end.saturating_duration_since(Instant::now()));
        #[cfg(wal_shuttle)]
        self.0.map(|_| {
            if real::toss() {
                Duration::ZERO
            } else {
                Duration::MAX
            }
        })
    }
}

/// A number that threads can sleep on until it moves.
#[derive(Debug)]
pub(crate) struct Gate {
    ticks: AtomicU32,
    #[cfg(any(wal_loom, wal_shuttle, not(target_os = "linux")))]
    sleep: portable::Sleep,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Gate {
            ticks: AtomicU32::new(0),
            #[cfg(any(wal_loom, wal_shuttle, not(target_os = "linux")))]
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

    /// Wakes all sleepers, if any. What they wait for was stored before.
    pub(crate) fn ring(&self) {
        if self.is_waited_for() {
            self.gate.open_all();
        }
    }

    /// Wakes one of the sleepers, if any; the others only by chance.
    pub(crate) fn ring_for_one(&self) {
        if self.is_waited_for() {
            self.gate.open_one();
        }
    }

    fn is_waited_for(&self) -> bool {
        // Orders what was stored before the load: either we see the sleeper, or it sees what we stored.
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) > 0
    }

    /// Sleeps until it rings or the time is over, unless `ready` says that there is no need to.
    pub(crate) fn sleep_unless(&self, timeout: Option<Duration>, ready: impl FnOnce() -> bool) {
        self.asleep.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let ticket = self.gate.ticket();
        if !ready() {
            self.gate.wait(ticket, timeout);
        }
        self.asleep.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(all(not(any(wal_loom, wal_shuttle)), target_os = "linux"))]
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

        /// Wakes all sleepers; how many there were.
        pub(crate) fn open_all(&self) -> usize {
            self.ticks.fetch_add(1, Ordering::SeqCst);
            futex::wake(&self.ticks, futex::Flags::PRIVATE, i32::MAX as u32).unwrap_or(0)
        }

        /// Wakes one sleeper; whether there was one. Threads that are about to sleep see that the gate has moved.
        pub(crate) fn open_one(&self) -> bool {
            self.ticks.fetch_add(1, Ordering::SeqCst);
            futex::wake(&self.ticks, futex::Flags::PRIVATE, 1).is_ok_and(|woken| woken > 0)
        }
    }
}

#[cfg(any(wal_loom, wal_shuttle, not(target_os = "linux")))]
mod portable {
    use std::{sync::PoisonError, time::Duration};

    #[cfg(wal_loom)]
    use loom::sync::{Condvar, Mutex};
    #[cfg(wal_shuttle)]
    use shuttle::sync::{Condvar, Mutex};
    #[cfg(not(any(wal_loom, wal_shuttle)))]
    use std::sync::{Condvar, Mutex};

    use super::{Gate, Ordering};

    #[derive(Debug)]
    pub(super) struct Sleep {
        /// How many threads sleep, or have been woken and have not got the lock yet.
        asleep: Mutex<u32>,
        moved: Condvar,
    }

    impl Sleep {
        pub(super) fn new() -> Self {
            Sleep {
                asleep: Mutex::new(0),
                moved: Condvar::new(),
            }
        }
    }

    impl Gate {
        pub(crate) fn wait(&self, ticket: u32, timeout: Option<Duration>) {
            let mut asleep = self.sleep.asleep.lock().unwrap_or_else(PoisonError::into_inner);
            if self.ticket() != ticket {
                return;
            }
            *asleep += 1;
            let mut asleep = match timeout {
                // There is no time, so it is over as soon as others have run.
                #[cfg(wal_shuttle)]
                Some(_) => {
                    drop(asleep);
                    super::thread::yield_now();
                    self.sleep.asleep.lock().unwrap_or_else(PoisonError::into_inner)
                }
                #[cfg(not(wal_shuttle))]
                Some(timeout) => {
                    let woken = self.sleep.moved.wait_timeout(asleep, timeout);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .sleep
                    .moved
                    .wait(asleep)
                    .unwrap_or_else(PoisonError::into_inner),
            };
            *asleep -= 1;
        }

        pub(crate) fn open_all(&self) -> usize {
            let asleep = self.sleep.asleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.ticks.fetch_add(1, Ordering::SeqCst);
            self.sleep.moved.notify_all();
            *asleep as usize
        }

        pub(crate) fn open_one(&self) -> bool {
            let asleep = self.sleep.asleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.ticks.fetch_add(1, Ordering::SeqCst);
            self.sleep.moved.notify_one();
            *asleep > 0
        }
    }
}

#[cfg(all(test, wal_loom))]
#[path = "sync/bell_loom.rs"]
mod loom_tests;
