//! Panics of what a program has given to the log: callbacks, and stores of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs it; `None` if it panics. What it panics with is not dropped, because that may panic, too, and then nothing holds
/// that panic.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(panic) => {
            std::mem::forget(panic);
            None
        }
    }
}
