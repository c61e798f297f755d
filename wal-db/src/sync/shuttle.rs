//! shuttle's primitives.

use shuttle::rand::Rng;
pub(crate) use shuttle::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence},
    thread, thread_local,
};

pub(crate) use super::locks::{Mutex, MutexGuard, RwLock};

/// One of two things, as the schedule says.
pub(crate) fn toss() -> bool {
    shuttle::rand::thread_rng().gen_bool(0.5)
}
