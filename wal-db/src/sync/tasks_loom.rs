//! Every interleaving, and every reordering that the memory model allows, of a task that begins or ceases to wait and of
//! those who move the number on.

use std::task::{Wake, Waker};

use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{Seat, Tasks};

/// A number, with the weakest orderings that there are: what is tested has to see to it.
struct Model {
    number: AtomicU64,
    tasks: Tasks,
}

impl Model {
    fn new() -> Arc<Model> {
        Arc::new(Model {
            number: AtomicU64::new(0),
            tasks: Tasks::new(),
        })
    }

    fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    fn move_on(model: &Arc<Self>) -> thread::JoinHandle<()> {
        let model = model.clone();
        thread::spawn(move || {
            let reached = model.number.fetch_add(1, Ordering::Relaxed) + 1;
            model.tasks.take_passed(reached).for_each(Waker::wake);
        })
    }

    /// As a poll: whether the task is going to be woken.
    fn waits(&self, seat: &mut Seat, known: u64, task: &std::sync::Arc<Task>) -> bool {
        self.tasks.wait(seat, known, &task.clone().into());
        self.number() <= known
    }
}

struct Task(AtomicU64);

impl Task {
    fn new() -> std::sync::Arc<Task> {
        std::sync::Arc::new(Task(AtomicU64::new(0)))
    }

    fn wakes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Task {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_task_that_waits_is_woken_once_by_whoever_passes_it() {
    loom::model(|| {
        let (model, task, mut seat) = (Model::new(), Task::new(), Seat::default());
        let others = [Model::move_on(&model), Model::move_on(&model)];
        let waits = model.waits(&mut seat, 0, &task);
        others.into_iter().for_each(|other| other.join().unwrap());
        // One that saw the number moved may have been woken all the same, if it was seen.
        assert!(task.wakes() == 1 || !waits && task.wakes() == 0);
        assert!(!waits || std::sync::Arc::strong_count(&task) == 1);
    });
}

#[test]
fn a_task_that_knows_more_is_woken_by_who_passes_that() {
    loom::model(|| {
        let (model, task, mut seat) = (Model::new(), Task::new(), Seat::default());
        let first = Model::move_on(&model);
        let mut pending = 0;
        for known in 0..2 {
            if known == model.number() && model.waits(&mut seat, known, &task) {
                pending += 1;
            }
        }
        first.join().unwrap();
        assert!(task.wakes() <= pending + 1);
        Model::move_on(&model).join().unwrap();
        assert!(pending == 0 || task.wakes() > 0);
        model.tasks.leave(&mut seat);
        assert_eq!(std::sync::Arc::strong_count(&task), 1);
    });
}

#[test]
fn a_task_that_leaves_is_forgotten() {
    loom::model(|| {
        let (model, task, other) = (Model::new(), Task::new(), Task::new());
        let (mut seat, mut other_seat) = (Seat::default(), Seat::default());
        let waits = model.waits(&mut other_seat, 0, &other);
        assert!(waits);
        let mover = Model::move_on(&model);
        model.waits(&mut seat, 0, &task);
        model.tasks.leave(&mut seat);
        assert!(task.wakes() <= 1);
        mover.join().unwrap();
        // Another one that waits is woken.
        assert_eq!(other.wakes(), 1);
        assert_eq!(std::sync::Arc::strong_count(&task), 1);
    });
}
