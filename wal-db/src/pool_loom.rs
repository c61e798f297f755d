//! Interleavings of those who ring for a task, of the threads that take turns, and of its end, with two preemptions.
#![allow(clippy::unwrap_used)] // a thread that panics fails the model

use loom::{
    sync::{
        Arc as Counted,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{Next, Pool, Task, Work};
use crate::sync::{Arc, bounded};

/// A task that looks at what was put down for it.
struct Model {
    put: AtomicU64,
    seen: AtomicU64,
    turns: AtomicU64,
    stopped: AtomicU64,
}

struct Looks(Counted<Model>);

impl Work for Looks {
    fn turn(&self, _rung: bool) -> Next {
        // No two turns at a time.
        assert_eq!(self.0.turns.fetch_add(1, Ordering::Relaxed), 0);
        let put = self.0.put.load(Ordering::Relaxed);
        self.0.seen.store(put, Ordering::Relaxed);
        self.0.turns.fetch_sub(1, Ordering::Relaxed);
        assert_eq!(self.0.stopped.load(Ordering::Relaxed), 0);
        Next::Rest(None)
    }

    fn end(&self) {}
}

/// A pool whose threads are those of the model, and a task that was started.
fn model(threads: usize) -> (Counted<Model>, &'static Pool, Arc<Task>) {
    let model = Counted::new(Model {
        put: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        turns: AtomicU64::new(0),
        stopped: AtomicU64::new(0),
    });
    let pool = Pool::leaked(threads);
    let mut queue = pool.queue.lock();
    queue.threads = threads;
    queue.logs = 1;
    drop(queue);
    let task = Task::new(pool, Box::new(Looks(model.clone())));
    (model, pool, task)
}

fn spawn(pool: &'static Pool) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        while let Some(task) = pool.next() {
            task.run();
        }
    })
}

#[test]
fn a_task_sees_what_was_put_down_before_a_ring() {
    bounded(0, || {
        let (model, pool, task) = model(1);
        let thread = spawn(pool);
        let ringer = {
            let (model, task) = (model.clone(), task.clone());
            thread::spawn(move || {
                model.put.fetch_add(1, Ordering::Relaxed);
                task.ring();
            })
        };
        task.start();
        model.put.fetch_add(1, Ordering::Relaxed);
        task.ring();
        ringer.join().unwrap();
        // The thread ends when the queue is empty.
        pool.leave();
        thread.join().unwrap();
        assert_eq!(model.seen.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn two_threads_give_a_task_one_turn_at_a_time() {
    bounded(0, || {
        let (model, pool, task) = model(2);
        let threads = [spawn(pool), spawn(pool)];
        task.start();
        model.put.fetch_add(1, Ordering::Relaxed);
        task.ring();
        pool.leave();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(model.seen.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn no_turn_goes_on_or_begins_when_a_task_was_stopped() {
    bounded(0, || {
        let (model, pool, task) = model(1);
        let thread = spawn(pool);
        task.start();
        task.ring();
        task.stop();
        assert_eq!(model.turns.load(Ordering::Relaxed), 0);
        model.stopped.store(1, Ordering::Relaxed);
        task.ring();
        pool.leave();
        thread.join().unwrap();
    });
}
