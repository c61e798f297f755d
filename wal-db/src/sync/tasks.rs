//! Tasks that wait until a number has passed what they know of it.

use std::{
    collections::{BTreeMap, btree_map::IntoValues},
    task::Waker,
};

use super::{AtomicU64, Mutex, Ordering, fence};

/// What a task knows that waits for nothing but the end.
pub(crate) const LAST: u64 = u64::MAX - 1;

/// Tasks that wait for a number that others move on. It costs nothing while there are none, and a task costs nothing once
/// it was woken, or has [left](Self::leave).
///
/// Wakers are programs': none is called, cloned or dropped while a lock is held here.
#[derive(Debug)]
pub(crate) struct Tasks {
    waiting: Mutex<Waiting>,
    /// How many wait. Changed with `waiting` locked.
    count: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By what they know, and then in the order in which they came.
    wakers: BTreeMap<(u64, u64), Waker>,
    came: u64,
}

/// Where a task waits, or has waited until it was woken.
#[derive(Debug, Default)]
pub(crate) struct Seat(Option<(u64, u64)>);

impl Tasks {
    pub(crate) fn new() -> Self {
        Tasks {
            waiting: Mutex::new(Waiting::default()),
            count: AtomicU64::new(0),
        }
    }

    /// Has a task woken, once, when the number passes what it knows. A seat is for one task: the last waker counts. The
    /// caller looks at the number again afterwards, because it may have moved a moment ago.
    pub(crate) fn wait(&self, seat: &mut Seat, known: u64, waker: &Waker) {
        if !self.is_seated(seat, known, waker) {
            let waker = waker.clone();
            let mut waiting = self.waiting.lock();
            let left = seat.0.take().and_then(|key| waiting.wakers.remove(&key));
            waiting.came += 1;
            let key = (known, waiting.came);
            waiting.wakers.insert(key, waker);
            self.count.store(waiting.wakers.len() as u64, Ordering::Relaxed);
            drop(waiting);
            seat.0 = Some(key);
            drop(left);
        }
        // Orders this before the caller's look: either it sees the number moved, or who has moved it sees the task.
        fence(Ordering::SeqCst);
    }

    fn is_seated(&self, seat: &Seat, known: u64, waker: &Waker) -> bool {
        let Some(key) = seat.0.filter(|key| key.0 == known) else {
            return false;
        };
        let waiting = self.waiting.lock();
        waiting
            .wakers
            .get(&key)
            .is_some_and(|seated| seated.will_wake(waker))
    }

    /// The task does not wait any more.
    pub(crate) fn leave(&self, seat: &mut Seat) {
        let Some(key) = seat.0.take() else {
            return;
        };
        let mut waiting = self.waiting.lock();
        let left = waiting.wakers.remove(&key);
        self.count.store(waiting.wakers.len() as u64, Ordering::Relaxed);
        drop(waiting);
        drop(left);
    }

    /// The number was moved to `reached` before: those to be woken, who know less.
    pub(crate) fn take_passed(&self, reached: u64) -> IntoValues<(u64, u64), Waker> {
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return BTreeMap::new().into_values();
        }
        let mut waiting = self.waiting.lock();
        let later = waiting.wakers.split_off(&(reached, 0));
        let passed = std::mem::replace(&mut waiting.wakers, later);
        self.count.store(waiting.wakers.len() as u64, Ordering::Relaxed);
        drop(waiting);
        passed.into_values()
    }
}

#[cfg(all(test, wal_loom))]
#[path = "tasks_loom.rs"]
mod loom_tests;
