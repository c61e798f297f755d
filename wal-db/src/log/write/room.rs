//! Threads that sleep until there is room for a record, and what wakes them.
//!
//! A thread that finds no room takes the committer and writes a group, which gives its place back. One thread at a time
//! can do that, in its *turn*; the others sleep here. One of them is woken at a time while the flusher has another turn
//! to come, and all of them before it rests, or they would take its processor.
//!
//! Nobody sleeps for ever:
//!
//! * A sleeper has looked after it said that it sleeps. It saw no room, and a thread that has the turn.
//! * Every turn that ends wakes all sleepers, unless the flusher follows it. The flusher's last turn before it rests is
//!   not followed.
//! * A flusher that cannot follow has said so: it is in a callback, which may itself wait for room, or it has ended.
//!   Either it says so before the turn ends, and is seen there, or it rings afterwards.
//! * A flusher in threads that logs share never says that it comes. A callback of another log, which waits for room in
//!   this one, may have the thread that it needs.

use crate::sync::{AtomicBool, Bell, Ordering, fence};

pub(crate) struct Room {
    bell: Bell,
    /// The flusher takes a turn after the one that goes on. Only the thread that has the turn uses this.
    follows: AtomicBool,
    /// The flusher takes a turn before it rests, if it is rung. Only a flusher with a thread of its own says so.
    comes: AtomicBool,
}

impl Room {
    pub(crate) fn new() -> Self {
        Room {
            bell: Bell::new(),
            follows: AtomicBool::new(false),
            comes: AtomicBool::new(false),
        }
    }

    /// For a thread that found no room: sleeps until there may be some, unless `ready` says that there is, or that nobody
    /// has the turn.
    pub(crate) fn sleep_unless(&self, ready: impl FnOnce() -> bool) {
        self.bell.sleep_unless(None, ready);
    }

    /// A group was written and its place given back. `is_roomy` says that this is worth waking somebody for, and `is_last`
    /// that no other group is to be written. Called by the thread that has the turn.
    pub(crate) fn group_written(&self, is_roomy: bool, is_last: bool) {
        if self.follows.load(Ordering::Relaxed) {
            if is_roomy {
                self.bell.ring_for_one();
            }
        } else if is_roomy || is_last {
            self.bell.ring();
        }
    }

    /// The flusher will take a turn after this one, or will not after all. Called by the thread that has the turn; where
    /// that is not the flusher, it rings the flusher after the turn.
    pub(crate) fn flusher_follows(&self, follows: bool) {
        self.follows.store(follows, Ordering::Relaxed);
    }

    /// A turn ends; `release` lets others take theirs.
    pub(crate) fn turn_ends(&self, release: impl FnOnce()) {
        let follows = self.follows.load(Ordering::Relaxed);
        self.follows.store(false, Ordering::Relaxed);
        release();
        if follows && self.flusher_comes() {
            self.bell.ring_for_one();
        } else {
            self.bell.ring();
        }
    }

    fn flusher_comes(&self) -> bool {
        // Orders the end of the turn before the load. A flusher that goes to sleep in a callback sees that the turn has
        // ended, or we see that it does not come; one that ends is seen here, or wakes those who saw the turn.
        fence(Ordering::SeqCst);
        self.comes.load(Ordering::Relaxed)
    }

    /// There is space on the disk, or a turn begins to wait for the disk, or the log was closed or has failed.
    pub(crate) fn changed(&self) {
        self.bell.ring();
    }

    pub(crate) fn flusher_starts(&self) {
        self.comes.store(true, Ordering::Relaxed);
    }

    /// The flusher ends. It wakes those that a turn has left asleep because the flusher would come.
    pub(crate) fn flusher_ends(&self) {
        self.comes.store(false, Ordering::Relaxed);
        self.bell.ring();
    }

    /// Runs something that may run callbacks, in the flusher. A callback may do anything, for example wait for room.
    pub(crate) fn in_callbacks<T>(&self, tell: impl FnOnce() -> T) -> T {
        let came = self.comes.swap(false, Ordering::Relaxed);
        let told = tell();
        self.comes.store(came, Ordering::Relaxed);
        told
    }
}

#[cfg(all(test, wal_loom))]
#[path = "room_loom.rs"]
mod loom_tests;
