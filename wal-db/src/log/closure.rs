//! Which logs this thread cannot use at the moment, because it is in the closure of their `append_in_place`: it has a claim
//! there that is not published, and a flush waits for it.

use std::cell::{Cell, RefCell};

use crate::{log::read::view::View, sync::thread_local};

thread_local! {
    /// The log of the innermost closure, by its address; [`NONE`] and [`EVERY`] are no addresses.
    static INNERMOST: Cell<usize> = const { Cell::new(NONE) };

    /// The logs of the closures around it.
    static AROUND: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

const NONE: usize = 0;
/// Where nobody can say which ones.
const EVERY: usize = usize::MAX;

/// Whether this thread is in a closure of any log: all that an append looks at.
#[inline(always)]
pub(crate) fn is_in_any() -> bool {
    INNERMOST.with(Cell::get) != NONE
}

impl View {
    /// Whether this thread is in a closure that has a claim of this log.
    #[inline]
    pub(crate) fn is_in_closure(&self) -> bool {
        is_in_any() && self.is_among_closures()
    }

    #[cold]
    fn is_among_closures(&self) -> bool {
        let innermost = INNERMOST.with(Cell::get);
        if innermost == EVERY || innermost == self.address() {
            return true;
        }
        // A list that is gone was empty: the closures that it would have taken since are `EVERY`.
        AROUND
            .try_with(|around| around.borrow().contains(&self.address()))
            .unwrap_or(false)
    }

    /// Runs a closure that has a claim of this log, which cannot be used inside.
    pub(crate) fn in_closure<T>(&self, run: impl FnOnce() -> T) -> T {
        let _leave = Leave::entered(self.address());
        run()
    }

    /// What tells a log from others for as long as it is borrowed.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// Takes a thread back to the closure around, also if the one inside panics.
struct Leave {
    around: usize,
}

impl Leave {
    #[inline]
    fn entered(log: usize) -> Leave {
        let around = INNERMOST.with(|innermost| innermost.replace(log));
        if around != NONE {
            Leave::nest(around);
        }
        Leave { around }
    }

    /// A thread that ends may have no list any more.
    #[cold]
    fn nest(around: usize) {
        let kept = around != EVERY && AROUND.try_with(|list| list.borrow_mut().push(around)).is_ok();
        if !kept {
            INNERMOST.with(|innermost| innermost.set(EVERY));
        }
    }
}

impl Drop for Leave {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.with(|innermost| innermost.set(self.around));
        if self.around != NONE && self.around != EVERY {
            let _ = AROUND.try_with(|list| list.borrow_mut().pop());
        }
    }
}
