//! The wall clock, which is read for one purpose: telling how old a group is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) fn now_us() -> u64 {
    micros(now())
}

pub(crate) fn now() -> SystemTime {
    #[cfg(feature = "testing")]
    if let Some(us) = SET.with(std::cell::Cell::get) {
        return system_time(us);
    }
    SystemTime::now()
}

#[cfg(feature = "testing")]
crate::sync::thread_local! {
    static SET: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

/// Sets the clock of this thread, for tests of a clock that steps; `None`: it is the system's again.
#[cfg(feature = "testing")]
pub(crate) fn set(time: Option<SystemTime>) {
    SET.with(|set| set.set(time.map(micros)));
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
