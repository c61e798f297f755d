//! Every interleaving of threads that commit: nobody sleeps for ever, and nobody returns before its target is durable.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{Line, Waited};
use crate::{format::Mark, sync::Mutex};

struct Model {
    line: Line,
    tail: AtomicU64,
    committer: Mutex<()>,
    durable: AtomicU64,
}

impl Model {
    fn new() -> Arc<Model> {
        Arc::new(Model {
            line: Line::new(Mark::default()),
            tail: AtomicU64::new(0),
            committer: Mutex::new(()),
            durable: AtomicU64::new(0),
        })
    }

    fn append_and_sync(&self) {
        let target = self.tail.fetch_add(1, Ordering::AcqRel) + 1;
        let durable = || self.durable.load(Ordering::SeqCst);
        let waited = self.line.wait(target, durable, || false, || self.lead());
        assert!(!matches!(waited, Waited::Failed));
        assert!(durable() >= target, "returned before the record was durable");
    }

    fn lead(&self) -> Option<()> {
        let turn = self.committer.try_lock()?;
        let end = self.line.depart(|| self.tail.load(Ordering::Acquire));
        self.durable.fetch_max(end, Ordering::SeqCst);
        assert!(self.line.arrive(end).is_empty());
        drop(turn);
        self.line.hand_over();
        Some(())
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
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(bounded.preemption_bound.unwrap_or(2));
    bounded.check(|| {
        let model = Model::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let model = model.clone();
                thread::spawn(move || model.append_and_sync())
            })
            .collect();
        model.append_and_sync();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}
