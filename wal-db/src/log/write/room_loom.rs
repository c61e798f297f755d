//! Every interleaving of threads that append to a full ring, of those that write it, and of the flusher: nobody sleeps for
//! ever.
#![allow(clippy::unwrap_used)] // a thread that panics fails the model

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use super::Room;
use crate::{log::write::background::Alarm, sync::bounded};

/// Records that fit into the ring. Each is a block of its own.
const PLACES: u64 = 2;

struct Model {
    room: Room,
    flusher: Alarm,
    stop: AtomicBool,
    /// The lock of the committer. It orders no more than a lock has to.
    taken: AtomicBool,
    /// Records that were claimed, and how many of them were written.
    claimed: AtomicU64,
    written: AtomicU64,
    shut: AtomicBool,
    frozen: AtomicBool,
}

impl Model {
    /// The ring is full.
    fn new() -> Arc<Model> {
        Arc::new(Model {
            room: Room::new(),
            flusher: Alarm::new(),
            stop: AtomicBool::new(false),
            taken: AtomicBool::new(false),
            claimed: AtomicU64::new(PLACES),
            written: AtomicU64::new(0),
            shut: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
        })
    }

    fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    fn has_block(&self) -> bool {
        self.written.load(Ordering::Acquire) < self.claimed.load(Ordering::Acquire)
    }

    fn has_room(&self) -> bool {
        self.is_shut() || self.claimed.load(Ordering::Acquire) < self.written.load(Ordering::Acquire) + PLACES
    }

    fn claim(&self) -> bool {
        let claimed = self.claimed.load(Ordering::Acquire);
        claimed < self.written.load(Ordering::Acquire) + PLACES
            && self
                .claimed
                .compare_exchange(claimed, claimed + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    fn try_take(&self) -> bool {
        self.taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    fn take(&self) {
        while !self.try_take() {
            thread::yield_now();
        }
    }

    fn end_turn(&self) {
        self.room.turn_ends(|| self.taken.store(false, Ordering::Release));
    }

    /// Writes the oldest block, if there is one. For the thread that has the turn.
    fn write_block(&self) {
        if self.has_block() {
            self.written.fetch_add(1, Ordering::AcqRel);
            self.room.group_written(false, !self.has_block());
        }
    }

    /// A turn of a thread that is not the flusher.
    fn write_and_pass_on(&self) {
        self.write_block();
        self.room.flusher_follows(true);
        self.end_turn();
        self.flusher.ring();
    }

    /// As `claim` does.
    fn append(&self) {
        while !self.claim() {
            if self.is_shut() {
                return;
            }
            if self.try_take() {
                self.write_and_pass_on();
            } else {
                self.flusher.ring();
                let taken = || self.taken.load(Ordering::Relaxed);
                self.room.sleep_unless(|| self.has_room() || !taken());
            }
        }
    }

    /// As `flush_turn` does.
    fn flush(&self) {
        self.room.flusher_starts();
        while !self.stop.load(Ordering::Acquire) {
            if self.has_block() {
                self.take();
                self.room.flusher_follows(true);
                self.write_block();
                self.room.flusher_follows(self.has_block());
                self.end_turn();
            } else {
                if self.try_take() {
                    self.end_turn();
                }
                self.flusher.sleep(None);
            }
        }
        self.room.flusher_ends();
    }

    fn stop_flusher(&self) {
        self.stop.store(true, Ordering::Release);
        self.flusher.ring();
    }
}

fn spawn(model: &Arc<Model>, run: fn(&Model)) -> thread::JoinHandle<()> {
    let model = model.clone();
    thread::spawn(move || run(&model))
}

#[test]
fn appenders_that_find_no_room_get_it() {
    bounded(0, || {
        let model = Model::new();
        let others = [spawn(&model, Model::append), spawn(&model, Model::append)];
        model.append();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// The longest of them: with a preemption fewer than the others.
#[test]
fn the_flusher_leaves_nobody_asleep_when_it_rests() {
    bounded(1, || {
        let model = Model::new();
        let flusher = spawn(&model, Model::flush);
        let other = spawn(&model, Model::append);
        model.append();
        other.join().unwrap();
        model.stop_flusher();
        flusher.join().unwrap();
    });
}

/// While another thread has a turn that the flusher would have followed.
#[test]
fn the_flusher_leaves_nobody_asleep_when_it_ends() {
    bounded(0, || {
        let model = Model::new();
        model.room.flusher_starts();
        assert!(model.try_take());
        let others = [
            spawn(&model, Model::append),
            spawn(&model, Model::append),
            spawn(&model, |model| model.room.flusher_ends()),
        ];
        model.write_and_pass_on();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// While another thread has a turn that the flusher would have followed.
#[test]
fn a_callback_of_the_flusher_that_waits_for_room_gets_it() {
    bounded(0, || {
        let model = Model::new();
        model.room.flusher_starts();
        assert!(model.try_take());
        let others = [
            spawn(&model, Model::append),
            spawn(&model, |model| {
                model.room.in_callbacks(|| model.append());
                model.room.flusher_ends();
            }),
        ];
        model.write_and_pass_on();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// As a truncation does, in its turn.
#[test]
fn appenders_that_find_the_log_frozen_go_on_when_it_is_not() {
    bounded(0, || {
        let model = Model::new();
        assert!(model.try_take());
        model.frozen.store(true, Ordering::Relaxed);
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                spawn(&model, |model| {
                    let frozen = || model.frozen.load(Ordering::Relaxed);
                    while frozen() {
                        model.room.sleep_unless(|| !frozen());
                    }
                })
            })
            .collect();
        model.frozen.store(false, Ordering::Relaxed);
        model.end_turn();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

/// As a flush that fails beside a turn, and as closing.
#[test]
fn appenders_hear_that_nothing_is_taken_any_more() {
    bounded(0, || {
        let model = Model::new();
        assert!(model.try_take());
        let waiters = [spawn(&model, Model::append), spawn(&model, Model::append)];
        model.shut.store(true, Ordering::Relaxed);
        model.room.changed();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}
