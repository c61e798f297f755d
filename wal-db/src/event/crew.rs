//! Jobs that several threads do, and that come back in the order in which they were given.

use std::{collections::VecDeque, io};

use crate::{
    process::{Process, end_thread_of_child},
    sync::{Arc, AtomicBool, Bell, Mutex, Ordering, thread},
};

/// Its owner gives it jobs and takes them when they are done. If the first one is not done yet, the owner does the first
/// that nobody does, instead of waiting. So everything gets done without a thread, too.
pub(super) struct Crew<J> {
    shared: Arc<Shared<J>>,
    spawn: Spawn<J>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Starts a thread. That jobs can be sent to one is known where the crew is made.
type Spawn<J> = fn(Arc<Shared<J>>) -> io::Result<thread::JoinHandle<()>>;

/// Does a job, and does not panic. Once the flag is set, nobody takes the job again.
pub(super) type Work<J> = fn(&mut J, &AtomicBool);

struct Shared<J> {
    work: Work<J>,
    jobs: Mutex<Jobs<J>>,
    /// Set while the jobs are locked.
    ended: AtomicBool,
    /// Rings for the threads when there is a job, and at the end.
    given: Bell,
    /// Rings for the owner when the first job is done.
    done: Bell,
    /// The process that has the threads.
    process: Process,
}

struct Jobs<J> {
    /// In order.
    places: VecDeque<Place<J>>,
    /// How many were taken.
    taken: u64,
}

enum Place<J> {
    Waiting(J),
    /// A thread does it, and knows it by this number.
    Taken(u64),
    Done(J),
}

impl<J> Crew<J> {
    /// Without a thread.
    pub(super) fn new(work: Work<J>) -> Self
    where
        J: Send + 'static,
    {
        Crew {
            shared: Arc::new(Shared {
                work,
                jobs: Mutex::new(Jobs {
                    places: VecDeque::new(),
                    taken: 0,
                }),
                ended: AtomicBool::new(false),
                given: Bell::new(),
                done: Bell::new(),
                process: Process::this(),
            }),
            spawn: |shared| {
                thread::Builder::new()
                    .name("wal-decoder".to_owned())
                    .spawn(move || shared.run())
            },
            threads: Vec::new(),
        }
    }

    /// Starts so many threads, or as many of them as there are to be had.
    pub(super) fn start(&mut self, threads: usize) {
        let started = (0..threads).map_while(|_| (self.spawn)(self.shared.clone()).ok());
        self.threads = started.collect();
    }

    /// In a child that was forked off, nobody does what the threads were about to do, and the lock may be held.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.shared.process.is_this()
    }

    pub(super) fn give(&self, job: J) {
        self.shared.jobs.lock().places.push_back(Place::Waiting(job));
        self.shared.given.ring_for_one();
    }

    /// Whether [`next`](Self::next) does and waits for nothing.
    pub(super) fn is_next_done(&self) -> bool {
        self.shared.jobs.lock().is_first_done()
    }

    /// The first job, done; `None` if there is none, or in a child that a job has forked off.
    pub(super) fn next(&self) -> Option<J> {
        loop {
            let mut jobs = self.shared.jobs.lock();
            match jobs.places.pop_front()? {
                Place::Done(job) => return Some(job),
                place => jobs.places.push_front(place),
            }
            let taken = jobs.take();
            drop(jobs);
            match taken {
                Some((number, job)) => self.shared.work(number, job)?,
                None => {
                    let done = &self.shared.done;
                    done.sleep_unless(None, || self.is_next_done());
                }
            }
        }
    }
}

impl<J> Drop for Crew<J> {
    /// When it is gone, so are its threads.
    fn drop(&mut self) {
        let threads = std::mem::take(&mut self.threads);
        if !self.is_of_this_process() {
            // The threads are the parent's.
            return std::mem::forget(threads);
        }
        let jobs = self.shared.jobs.lock();
        self.shared.ended.store(true, Ordering::Relaxed);
        drop(jobs);
        self.shared.given.ring();
        for thread in threads {
            // It has no panic of its own.
            let _ = thread.join();
        }
    }
}

impl<J> Jobs<J> {
    /// The first job that nobody does, with a number.
    fn take(&mut self) -> Option<(u64, J)> {
        let at = self.waiting()?;
        self.taken += 1;
        match std::mem::replace(&mut self.places[at], Place::Taken(self.taken)) {
            Place::Waiting(job) => Some((self.taken, job)),
            Place::Taken(_) | Place::Done(_) => None,
        }
    }

    fn waiting(&self) -> Option<usize> {
        let is_waiting = |place: &Place<J>| matches!(place, Place::Waiting(_));
        self.places.iter().position(is_waiting)
    }

    fn is_first_done(&self) -> bool {
        matches!(self.places.front(), Some(Place::Done(_)))
    }
}

impl<J> Shared<J> {
    /// Does the job with this number; `None` in a child that it has forked off.
    fn work(&self, number: u64, mut job: J) -> Option<()> {
        (self.work)(&mut job, &self.ended);
        if !self.process.is_this() {
            return None;
        }
        let mut jobs = self.jobs.lock();
        let is_it = |place: &&mut Place<J>| matches!(place, Place::Taken(taken) if *taken == number);
        if let Some(place) = jobs.places.iter_mut().find(is_it) {
            *place = Place::Done(job);
        }
        let is_first_done = jobs.is_first_done();
        drop(jobs);
        if is_first_done {
            self.done.ring();
        }
        Some(())
    }

    fn run(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            let taken = self.jobs.lock().take();
            let Some((number, job)) = taken else {
                self.given.sleep_unless(None, || {
                    let jobs = self.jobs.lock();
                    self.ended.load(Ordering::Relaxed) || jobs.waiting().is_some()
                });
                continue;
            };
            if self.work(number, job).is_none() {
                return end_thread_of_child();
            }
        }
    }
}

#[cfg(all(test, wal_loom))]
#[path = "crew_loom.rs"]
mod loom_tests;
