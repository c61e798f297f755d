//! A clock for tests.

use std::time::{Duration, SystemTime};

use crate::sync::{AtomicU32, Ordering};

/// A clock that hands out the same times in every run: each is a fixed step after the one before.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use wal_db::testing::FixedClock;
///
/// let clock = FixedClock::new(SystemTime::UNIX_EPOCH, Duration::from_secs(5));
/// assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
/// assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(5));
/// ```
#[derive(Debug)]
pub struct FixedClock {
    start: SystemTime,
    step: Duration,
    asked: AtomicU32,
}

impl FixedClock {
    /// A clock whose first time is `start`.
    #[must_use]
    pub fn new(start: SystemTime, step: Duration) -> Self {
        FixedClock {
            start,
            step,
            asked: AtomicU32::new(0),
        }
    }

    /// The next time; the last one that [`SystemTime`] can hold stands still. Threads may share the clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let passed = self.step.saturating_mul(asked);
        self.start.checked_add(passed).unwrap_or(self.start)
    }
}

/// What time the logs of this thread take it to be; `None`: what the system says. For tests of a clock that steps.
#[doc(hidden)]
pub fn set_clock(time: Option<SystemTime>) {
    crate::log::set_clock(time);
}
