//! The wall clock, which is read for one purpose: seeking by time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) fn now_us() -> u64 {
    micros(SystemTime::now())
}

/// Microseconds since 1970; 0 for earlier times.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn system_time(us: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_micros(us))
        .unwrap_or(UNIX_EPOCH)
}
