//! Panics of what a program has given to the log: callbacks, and stores of its own.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

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

/// What a panic says. What it was called with is not dropped, because that may panic, too.
pub(crate) fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        (None, None) => "with no text".to_owned(),
    };
    std::mem::forget(panic);
    text
}
