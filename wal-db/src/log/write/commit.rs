//! Group commit: threads that wait for durability, the one that flushes for all, and which are woken.
//!
//! One flush runs at a time, so waiters form two cohorts: those that the running flush covers, and those that came
//! later. When it ends, all of the first are woken, and one of the second, which flushes next.

use std::task::Waker;

use super::{turn::Turn, writer::Writer};
use crate::{
    error::{Result, WalError},
    log::panics::caught,
    lsn::Lsn,
    sync::{Gate, Mutex},
};

pub(crate) struct Line {
    state: Mutex<State>,
    cohorts: [Gate; 2],
}

#[derive(Default)]
struct State {
    /// Which cohort the next flush will cover; the other one belongs to the flush that runs.
    next: usize,
    /// How many threads sleep in each, or more.
    asleep: [u32; 2],
    /// Up to where the flush that runs will make the log durable; 0 if none runs.
    under_way: u64,
    tickets: Vec<Waiting>,
    failed: bool,
}

enum Waited<T> {
    Led(T),
    Covered,
    Failed,
}

/// Somebody who is told instead of waking up.
pub(crate) struct Waiting {
    pub(crate) target: u64,
    pub(crate) tell: Tell,
}

pub(crate) enum Tell {
    Wake(std::sync::Arc<Mutex<Option<Waker>>>),
    Call(Box<dyn FnOnce(Result<()>) + Send>),
}

impl Tell {
    /// Runs the callback or wakes the task, in whatever thread this is. A callback that panics harms nobody else.
    pub(crate) fn tell(self, outcome: Result<()>) {
        caught(|| match self {
            Tell::Wake(slot) => {
                let waker = slot.lock().take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Tell::Call(call) => call(outcome),
        });
    }
}

impl State {
    fn take_covered(&mut self, durable: u64) -> Vec<Waiting> {
        if self.tickets.is_empty() {
            return Vec::new();
        }
        let (done, waiting) = std::mem::take(&mut self.tickets)
            .into_iter()
            .partition(|waiting| waiting.target <= durable);
        self.tickets = waiting;
        done
    }
}

impl Line {
    pub(crate) fn new() -> Self {
        Line {
            state: Mutex::new(State::default()),
            cohorts: [Gate::new(), Gate::new()],
        }
    }

    /// A flush begins: `close` ends the last group and says up to where the flush will go. Every earlier claim is
    /// covered, and a thread that lines up from now on can tell.
    pub(crate) fn depart(&self, close: impl FnOnce() -> u64) -> u64 {
        let mut state = self.state.lock();
        state.under_way = close();
        state.next = 1 - state.next;
        state.under_way
    }

    /// The flush has ended, well or not: wakes those that it covered.
    pub(crate) fn arrive(&self, durable: u64) -> Vec<Waiting> {
        let mut state = self.state.lock();
        state.under_way = 0;
        let covered = 1 - state.next;
        let sleepers = std::mem::take(&mut state.asleep[covered]);
        let done = state.take_covered(durable);
        drop(state);
        // Those who wake will line up again, and must not find the line locked. Nobody lines up in this cohort before
        // the next flush departs, which takes the committer that the caller has.
        if sleepers > 0 {
            self.cohorts[covered].open_all();
        }
        done
    }

    fn take_covered(&self, durable: u64) -> Vec<Waiting> {
        self.state.lock().take_covered(durable)
    }

    /// Durability has moved without a flush that somebody lined up for: everybody looks.
    pub(crate) fn wake_all(&self) {
        self.state.lock().asleep = [0; 2];
        self.cohorts.iter().for_each(Gate::open_all);
    }

    /// Wakes one of the threads that wait for the next flush. To be called after the committer was let go: a thread
    /// that lines up later finds it free.
    pub(super) fn hand_over(&self) {
        let mut state = self.state.lock();
        let next = state.next;
        if state.asleep[next] > 0 {
            state.asleep[next] -= 1;
            self.cohorts[next].open_one();
        }
    }

    /// Lines up; returns the gate to sleep at.
    fn line_up(&self, target: u64) -> (&Gate, u32) {
        let mut state = self.state.lock();
        let cohort = if target <= state.under_way {
            1 - state.next
        } else {
            state.next
        };
        state.asleep[cohort] += 1;
        (&self.cohorts[cohort], self.cohorts[cohort].ticket())
    }

    /// Waits until `durable` reaches `target`. `lead` flushes, if nobody else does so at the moment, and covers the
    /// target.
    fn wait<T>(
        &self,
        target: u64,
        durable: impl Fn() -> u64,
        failed: impl Fn() -> bool,
        mut lead: impl FnMut() -> Option<T>,
    ) -> Waited<T> {
        loop {
            if let Some(outcome) = lead() {
                return Waited::Led(outcome);
            }
            let (gate, ticket) = self.line_up(target);
            // The committer may have been released between the two; then nobody would wake this thread.
            if let Some(outcome) = lead() {
                return Waited::Led(outcome);
            }
            if durable() < target && !failed() {
                gate.wait(ticket, None);
            }
            if durable() >= target {
                return Waited::Covered;
            }
            if failed() {
                return Waited::Failed;
            }
        }
    }

    /// Adds somebody to be told; gives it back if the outcome is known: whether it is durable or the store has failed.
    fn add(&self, waiting: Waiting, durable: impl FnOnce() -> u64) -> Option<(Waiting, bool)> {
        let mut state = self.state.lock();
        if waiting.target <= durable() {
            return Some((waiting, true));
        }
        if state.failed {
            return Some((waiting, false));
        }
        state.tickets.push(waiting);
        None
    }

    pub(crate) fn has_tickets(&self) -> bool {
        !self.state.lock().tickets.is_empty()
    }

    /// The store has failed: nobody will be served any more.
    pub(crate) fn fail(&self) {
        self.state.lock().failed = true;
        self.cohorts.iter().for_each(Gate::open_all);
    }

    /// Those who have not heard of the failure.
    pub(crate) fn take_failed(&self) -> Vec<Waiting> {
        let mut state = self.state.lock();
        if state.failed {
            std::mem::take(&mut state.tickets)
        } else {
            Vec::new()
        }
    }
}

impl Writer {
    /// Returns once the record at `lsn`, which was appended and ends at `end`, is durable.
    pub(crate) fn sync_record(&self, lsn: Lsn, end: u64) -> Result<()> {
        self.sync_to(end).map_err(|error| error.about(lsn))
    }

    /// Returns once everything before `target`, which was claimed before the call, is durable.
    pub(crate) fn sync_to(&self, target: u64) -> Result<()> {
        self.wait_for(target).map_err(WalError::of_what_was_taken)
    }

    fn wait_for(&self, target: u64) -> Result<()> {
        if target <= self.base.durable() {
            return Ok(());
        }
        match self.check_usable() {
            // Closing has made everything durable, or has failed.
            Err(WalError::Closed) if !self.is_poisoned() => return Ok(()),
            Err(WalError::Closed) => return Err(self.poisoned()),
            usable => usable?,
        }
        if self.is_poisoned() {
            return Err(self.poisoned());
        }
        let lead = || Turn::try_take(self).map(|turn| turn.commit(target));
        match self
            .line
            .wait(target, || self.base.durable(), || self.is_poisoned(), lead)
        {
            Waited::Led(outcome) => outcome,
            Waited::Covered => Ok(()),
            Waited::Failed => Err(self.in_doubt()),
        }
    }

    /// Wakes and tells those that something other than a commit has made durable.
    pub(crate) fn wake_covered(&self) {
        if self.is_in_child() {
            return;
        }
        self.line.wake_all();
        self.tell_all(self.line.take_covered(self.base.durable()), || Ok(()));
    }

    /// Tells them, in whatever thread this is. No lock is held: what a callback does is not known. If one forks the
    /// process, those that are left are told by the parent, and in the child they are not even dropped.
    pub(crate) fn tell_all(&self, waiting: Vec<Waiting>, outcome: impl Fn() -> Result<()>) {
        let mut waiting = waiting.into_iter();
        while let Some(next) = waiting.next() {
            next.tell.tell(outcome());
            if self.is_in_child() {
                return std::mem::forget(waiting);
            }
        }
    }

    pub(crate) fn add_ticket(&self, waiting: Waiting) -> Option<(Waiting, Result<()>)> {
        let (waiting, durable) = self.line.add(waiting, || self.base.durable())?;
        Some((waiting, if durable { Ok(()) } else { Err(self.in_doubt()) }))
    }

    pub(crate) fn tell_failed(&self) {
        if !self.is_in_child() {
            self.tell_all(self.line.take_failed(), || Err(self.in_doubt()));
        }
    }

    /// Runs something that uses the store. If that panics, the log is poisoned and the panic goes on.
    pub(crate) fn guarded<T>(&self, run: impl FnOnce() -> T) -> T {
        struct Unwinding<'a>(&'a Writer);
        impl Drop for Unwinding<'_> {
            fn drop(&mut self) {
                self.0.base.store.break_with("a panic in the store".to_owned());
                self.0.fail();
            }
        }
        let unwinding = Unwinding(self);
        let result = run();
        std::mem::forget(unwinding);
        result
    }
}

impl Turn<'_> {
    /// Flushes for all threads in line. Everything that was claimed before is durable afterwards.
    pub(crate) fn commit(mut self, target: u64) -> Result<()> {
        let writer = self.writer;
        if target <= writer.base.durable() {
            return Ok(());
        }
        if writer.is_poisoned() {
            return Err(writer.in_doubt());
        }
        let outcome = self.run(|held| held.commit());
        let durable = writer.base.durable();
        let done = writer.line.arrive(durable);
        self.run(|held| held.write_zeros_ahead());
        drop(self);
        writer.background.watch_for_idleness();
        writer.tell_all(done, || Ok(()));
        outcome
    }
}

#[cfg(all(test, wal_loom))]
#[path = "commit_loom.rs"]
mod loom_tests;
