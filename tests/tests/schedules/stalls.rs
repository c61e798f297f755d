//! Schedules in which threads are held up for long.
//!
//! A thread that is held up between two of its steps while others do something long is what many mistakes need twice or
//! three times over. A random choice at each step hardly ever leaves a thread out for a hundred steps, and few
//! preemptions at places that are drawn from a whole run (PCT) hardly ever fall between the right ones.

use std::collections::HashMap;

use shuttle::scheduler::{DataSource, RandomDataSource, Schedule, Scheduler, Task, TaskId};
use wal_tests::random::Rng;

/// One step in so many is followed by a stall.
const ONE_IN: usize = 24;

/// A stall lasts for so many steps of others at most.
const LONGEST: usize = 300;

/// Chooses any thread that is not held up.
#[derive(Debug)]
pub(crate) struct Stalls {
    rng: Rng,
    data: RandomDataSource,
    left: usize,
    /// Up to which step a thread is held up.
    until: HashMap<TaskId, usize>,
    step: usize,
}

impl Stalls {
    /// So many schedules.
    pub(crate) fn new(seed: u64, schedules: usize) -> Stalls {
        Stalls {
            rng: Rng::new(seed),
            data: RandomDataSource::initialize(seed),
            left: schedules,
            until: HashMap::new(),
            step: 0,
        }
    }
}

impl Scheduler for Stalls {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.left = self.left.checked_sub(1)?;
        self.until.clear();
        self.step = 0;
        let seed = self.data.reinitialize();
        self.rng = Rng::new(seed);
        Some(Schedule::new(seed))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        self.step += 1;
        if let Some(current) = current
            && runnable.len() > 1
            && self.rng.below(ONE_IN) == 0
        {
            self.until.insert(current, self.step + self.rng.below(LONGEST));
        }
        let held_up = |id: &TaskId| self.until.get(id).is_some_and(|until| *until > self.step);
        let mut choice: Vec<TaskId> = runnable.iter().map(|task| task.id()).collect();
        if choice.iter().any(|id| !held_up(id)) {
            choice.retain(|id| !held_up(id));
        }
        if is_yielding && choice.len() > 1 {
            choice.retain(|id| Some(*id) != current);
        }
        Some(choice[self.rng.below(choice.len())])
    }

    fn next_u64(&mut self) -> u64 {
        self.data.next_u64()
    }
}
