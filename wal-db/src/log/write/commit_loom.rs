//! Every interleaving of threads that commit: nobody sleeps for ever, and nobody returns before its target is durable.
#![allow(clippy::unwrap_used)] // a thread that panics fails the model

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use super::{Line, Waited, Waiting};
use crate::sync::{Mutex, bounded};

struct Model {
    line: Line,
    tail: AtomicU64,
    committer: Mutex<()>,
    durable: AtomicU64,
    failed: AtomicBool,
}

impl Model {
    fn new() -> Arc<Model> {
        Arc::new(Model {
            line: Line::new(),
            tail: AtomicU64::new(0),
            committer: Mutex::new(()),
            durable: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        })
    }

    fn append_and_sync(&self) {
        let target = self.tail.fetch_add(1, Ordering::AcqRel) + 1;
        let durable = || self.durable.load(Ordering::SeqCst);
        let waited = self.line.wait(target, durable, || false, || self.lead(true));
        assert!(!matches!(waited, Waited::Failed));
        assert!(durable() >= target, "returned before the record was durable");
    }

    fn lead(&self, well: bool) -> Option<()> {
        let turn = self.committer.try_lock()?;
        let end = self.line.depart(|| self.tail.load(Ordering::Acquire));
        if well {
            self.durable.fetch_max(end, Ordering::SeqCst);
        } else {
            self.fail();
        }
        assert!(
            self.line
                .arrive(self.durable.load(Ordering::SeqCst), true)
                .is_empty()
        );
        drop(turn);
        self.line.hand_over();
        Some(())
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.line.fail();
    }

    /// Waits for a record; whether it is durable.
    fn wait(&self, target: u64, mut lead: impl FnMut() -> Option<()>) -> bool {
        let durable = || self.durable.load(Ordering::SeqCst);
        let failed = || self.failed.load(Ordering::SeqCst);
        match self.line.wait(target, durable, failed, &mut lead) {
            Waited::Led(()) | Waited::Covered => durable() >= target,
            Waited::Failed => false,
        }
    }
}

/// Threads that do the same beside the one that starts them; each has its number, from 1 on.
struct Beside([thread::JoinHandle<()>; 2]);

impl Beside {
    fn start(model: &Arc<Model>, run: fn(&Model, u64)) -> Self {
        Beside([1, 2].map(|number| {
            let model = model.clone();
            thread::spawn(move || run(&model, number))
        }))
    }

    fn join(self) {
        self.0.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn two_threads_commit() {
    loom::model(|| {
        let model = Model::new();
        let other = {
            let model = model.clone();
            thread::spawn(move || model.append_and_sync())
        };
        model.append_and_sync();
        other.join().unwrap();
    });
}

#[test]
fn three_threads_commit() {
    bounded(0, || {
        let model = Model::new();
        let others = Beside::start(&model, |model, _| model.append_and_sync());
        model.append_and_sync();
        others.join();
    });
}

/// The thread that has flushed lines up while another one was called.
#[test]
fn a_thread_commits_twice_beside_two_others() {
    bounded(0, || {
        let model = Model::new();
        let others = Beside::start(&model, |model, _| model.append_and_sync());
        model.append_and_sync();
        model.append_and_sync();
        others.join();
    });
}

/// Durability moves beside the flush, so the thread that was called may have nothing to flush for.
#[test]
fn a_thread_that_is_called_and_goes_calls_another() {
    bounded(0, || {
        let model = Model::new();
        model.tail.store(2, Ordering::Release);
        let turn = model.committer.try_lock().unwrap();
        let waiters = Beside::start(&model, |model, target| {
            assert!(model.wait(target, || model.lead(true)));
        });
        // As if this turn's flush had woken others.
        model.line.woke_others.store(true, Ordering::Relaxed);
        drop(turn);
        model.line.hand_over();
        model.durable.fetch_max(1, Ordering::SeqCst);
        waiters.join();
    });
}

/// As a seal does, and the preparer with a backlog: durability moves, and no flush that anybody lined up for has ended.
#[test]
fn durability_that_moves_without_a_commit_wakes_everybody_whom_it_covers() {
    bounded(0, || {
        let model = Model::new();
        model.tail.store(2, Ordering::Release);
        let turn = model.committer.try_lock().unwrap();
        // Nobody else flushes: a sleeper is woken, or sleeps for ever.
        let waiters = Beside::start(&model, |model, target| assert!(model.wait(target, || None)));
        model.durable.fetch_max(2, Ordering::SeqCst);
        drop(turn);
        model.line.hand_over();
        model.line.wake_all();
        waiters.join();
    });
}

#[test]
fn a_flush_that_fails_wakes_those_whom_it_covers_and_those_who_came_later() {
    bounded(0, || {
        let model = Model::new();
        let waiters = Beside::start(&model, |model, _| {
            let target = model.tail.fetch_add(1, Ordering::AcqRel) + 1;
            assert!(!model.wait(target, || None), "acknowledged what was not flushed");
        });
        assert!(model.lead(false).is_some());
        waiters.join();
    });
}

/// As the preparer's flush: it fails without the committer, while somebody else may have it.
#[test]
fn a_failure_beside_a_commit_leaves_nobody_asleep() {
    bounded(0, || {
        let model = Model::new();
        model.tail.store(1, Ordering::Release);
        let committer = {
            let model = model.clone();
            thread::spawn(move || {
                model.wait(1, || model.lead(true));
            })
        };
        let waiter = {
            let model = model.clone();
            thread::spawn(move || {
                model.wait(1, || None);
            })
        };
        model.fail();
        committer.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn a_ticket_is_told_once_if_its_record_becomes_durable() {
    loom::model(|| {
        tell_once(|model| {
            // Durability moves first, then tickets are looked for.
            model.durable.fetch_max(1, Ordering::SeqCst);
            model.line.take_covered(1).len()
        });
    });
}

#[test]
fn a_ticket_is_told_once_if_the_log_fails() {
    loom::model(|| {
        tell_once(|model| {
            model.fail();
            model.line.take_failed().len()
        });
    });
}

/// Adds a ticket beside somebody who tells those that are there.
fn tell_once(tell: fn(&Model) -> usize) {
    let model = Model::new();
    model.tail.store(1, Ordering::Release);
    let teller = {
        let model = model.clone();
        thread::spawn(move || tell(&model))
    };
    let waiting = Waiting {
        target: 1,
        call: Box::new(|_| ()),
    };
    let known = model.line.add(waiting, || model.durable.load(Ordering::SeqCst));
    assert_eq!(usize::from(known.is_some()) + teller.join().unwrap(), 1);
}
