//! A clock for tests.

use std::time::{Duration, SystemTime};

use crate::sync::Mutex;

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
    next: Mutex<SystemTime>,
    step: Duration,
}

impl FixedClock {
    /// A clock whose first time is `start`.
    #[must_use]
    pub fn new(start: SystemTime, step: Duration) -> Self {
        FixedClock {
            next: Mutex::new(start),
            step,
        }
    }

    /// The next time. It never goes back: at the last time that [`SystemTime`] can hold the clock stands still. Threads
    /// may share the clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let mut next = self.next.lock();
        let now = *next;
        *next = now.checked_add(self.step).unwrap_or(now);
        now
    }
}

/// What time the logs of this thread take it to be; `None`: what the system says. For tests of a clock that steps.
#[doc(hidden)]
pub fn set_clock(time: Option<SystemTime>) {
    crate::log::set_clock(time);
}
