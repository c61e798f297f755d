//! Group commit: threads that wait for durability, the one that flushes for all, and which are woken.
//!
//! One flush runs at a time, so waiters form two cohorts: those that the running flush covers, and those that came
//! later. When it ends, all of the first are woken, and one of the second is *called*: it flushes next.
//!
//! If others were woken, nobody flushes before the thread that was called and is on its way. The thread that has just
//! flushed would be faster, and would flush without the first cohort, which has not run yet.
//!
//! Nobody sleeps for ever:
//!
//! * A thread that lets the committer go calls a sleeper afterwards, if there is one.
//! * A thread that lines up looks whether the committer is free after it has lined up. Only if somebody is called it does
//!   not look.
//! * A thread that is called looks whether the committer is free. If it goes away instead, because its record is durable
//!   or the store has failed, it calls another one.

use std::{collections::btree_map::IntoValues, task::Waker};

use super::{turn::Turn, writer::Writer};
use crate::{
    error::{Result, WalError},
    log::panics::caught,
    lsn::Lsn,
    sync::{AtomicBool, AtomicU32, Counter, Gate, Mutex, Ordering},
};

pub(crate) struct Line {
    state: Mutex<State>,
    cohorts: [Gate; 2],
    /// The cohort of the thread that was woken to flush and has not looked yet, or [`NOBODY`]. Changed with the state
    /// locked.
    called: AtomicU32,
    /// The flush that has ended last woke threads, and nobody was called since.
    woke_others: AtomicBool,
    /// How many threads are likely to line up for the next flush, besides the one that will lead it: those in line when
    /// the last one ended, those whom that has woken, and the one that led it.
    expected: AtomicU32,
    /// How many are in line for the next flush. Changed with the state locked.
    in_line: AtomicU32,
    /// How many threads and callbacks the last flush has answered.
    answered: Counter,
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

const NOBODY: u32 = u32::MAX;

enum Waited<T> {
    Led(T),
    Covered,
    Failed,
}

/// Somebody who is called instead of waking up.
pub(crate) struct Waiting {
    pub(crate) target: u64,
    pub(crate) call: Box<dyn FnOnce(Result<()>) + Send>,
}

impl Waiting {
    /// Runs the callback, in whatever thread this is. One that panics harms nobody else.
    pub(crate) fn tell(self, outcome: Result<()>) {
        caught(|| (self.call)(outcome));
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
            called: AtomicU32::new(NOBODY),
            woke_others: AtomicBool::new(false),
            expected: AtomicU32::new(0),
            in_line: AtomicU32::new(0),
            answered: Counter::new(0),
        }
    }

    /// A flush begins: `close` ends the last group and says up to where the flush will go. Every earlier claim is
    /// covered, and a thread that lines up from now on can tell.
    pub(crate) fn depart(&self, close: impl FnOnce() -> u64) -> u64 {
        let mut state = self.state.lock();
        state.under_way = close();
        state.next = 1 - state.next;
        self.in_line.store(state.asleep[state.next], Ordering::Relaxed);
        self.call(NOBODY);
        state.under_way
    }

    /// The flush has ended, well or not: wakes those that it covered. `leader_commits`: the thread that led it did so for
    /// a record of its own, and is as likely to come again as they are.
    pub(crate) fn arrive(&self, durable: u64, leader_commits: bool) -> Vec<Waiting> {
        let mut state = self.state.lock();
        state.under_way = 0;
        let covered = 1 - state.next;
        let sleepers = std::mem::take(&mut state.asleep[covered]);
        let done = state.take_covered(durable);
        let answered = u64::from(sleepers) + done.len() as u64 + u64::from(leader_commits);
        self.answered.store(answered, Ordering::Relaxed);
        let all = sleepers + state.asleep[state.next] + u32::from(leader_commits);
        self.expected.store(all.saturating_sub(1), Ordering::Relaxed);
        drop(state);
        // Those who wake will line up again, and must not find the line locked. Nobody lines up in this cohort before
        // the next flush departs, which takes the committer that the caller has.
        let woken = sleepers > 0 && self.cohorts[covered].open_all() > 0;
        self.woke_others.store(woken, Ordering::Relaxed);
        done
    }

    /// How many threads and callbacks the last flush has answered, for the thread that has led it.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn take_covered(&self, durable: u64) -> Vec<Waiting> {
        self.state.lock().take_covered(durable)
    }

    /// Durability has moved without a flush that somebody lined up for: everybody looks.
    pub(crate) fn wake_all(&self) {
        let mut state = self.state.lock();
        state.asleep = [0; 2];
        self.in_line.store(0, Ordering::Relaxed);
        drop(state);
        self.open_both();
    }

    fn open_both(&self) {
        for cohort in &self.cohorts {
            cohort.open_all();
        }
    }

    /// Wakes one of the threads that wait for the next flush. For who has let the committer go, or was called and goes.
    pub(super) fn hand_over(&self) {
        let mut state = self.state.lock();
        let next = state.next;
        let wakes = state.asleep[next] > 0;
        let calls = wakes && self.woke_others.swap(false, Ordering::Relaxed);
        // Said before it wakes, because it may go at once.
        self.call(if calls { next as u32 } else { NOBODY });
        if wakes {
            state.asleep[next] -= 1;
            self.in_line.store(state.asleep[next], Ordering::Relaxed);
            if !self.cohorts[next].open_one() {
                // Those that were counted are awake, or about to sleep, and look by themselves.
                self.call(NOBODY);
            }
        }
    }

    /// How many threads are likely to line up for the next flush and have not yet.
    fn missing(&self) -> u32 {
        let in_line = self.in_line.load(Ordering::Relaxed);
        self.expected.load(Ordering::Relaxed).saturating_sub(in_line)
    }

    fn call(&self, cohort: u32) {
        self.called.store(cohort, Ordering::SeqCst);
    }

    fn called(&self) -> u32 {
        self.called.load(Ordering::SeqCst)
    }

    /// Lines up; returns the cohort, the ticket of its gate, and whether a thread was called to flush.
    fn line_up(&self, target: u64) -> (usize, u32, bool) {
        let mut state = self.state.lock();
        let cohort = if target <= state.under_way {
            1 - state.next
        } else {
            state.next
        };
        state.asleep[cohort] += 1;
        if cohort == state.next {
            self.in_line.store(state.asleep[cohort], Ordering::Relaxed);
        }
        (cohort, self.cohorts[cohort].ticket(), self.called() != NOBODY)
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
        let mut has_slept = false;
        loop {
            if (has_slept || self.called() == NOBODY)
                && let Some(outcome) = lead()
            {
                return Waited::Led(outcome);
            }
            let (cohort, ticket, other_is_called) = self.line_up(target);
            // The committer may have been released between the two; then nobody would wake this thread.
            if (has_slept || !other_is_called)
                && let Some(outcome) = lead()
            {
                return Waited::Led(outcome);
            }
            if durable() < target && !failed() {
                self.cohorts[cohort].wait(ticket, None);
                has_slept = true;
            }
            let is_durable = durable() >= target;
            if is_durable || failed() {
                // It may be this thread that was called.
                if self.called() == cohort as u32 {
                    self.hand_over();
                }
                return if is_durable {
                    Waited::Covered
                } else {
                    Waited::Failed
                };
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
        self.open_both();
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
        let lead = || Turn::try_take(self).map(|turn| turn.commit(target, true));
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
        self.wake_tasks();
    }

    /// Wakes the tasks that wait for what has come by now, in whatever thread this is. No lock is held, as for callbacks.
    pub(crate) fn wake_tasks(&self) {
        if self.is_in_child() {
            return;
        }
        let (durable, synced) = match self.is_poisoned() || self.base.is_finished() {
            true => (u64::MAX, u64::MAX),
            false => (self.base.durable(), self.base.synced()),
        };
        self.wake(self.base.tasks.take_passed(durable));
        self.wake(self.base.syncs.take_passed(synced));
    }

    pub(crate) fn wake(&self, mut wakers: IntoValues<(u64, u64), Waker>) {
        while let Some(next) = wakers.next() {
            caught(|| next.wake());
            if self.is_in_child() {
                return std::mem::forget(wakers);
            }
        }
    }

    /// Tells them, in whatever thread this is. No lock is held: what a callback does is not known. If one forks the
    /// process, those that are left are told by the parent, and in the child they are not even dropped.
    pub(crate) fn tell_all(&self, waiting: Vec<Waiting>, outcome: impl Fn() -> Result<()>) {
        let mut waiting = waiting.into_iter();
        while let Some(next) = waiting.next() {
            next.tell(outcome());
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
            self.wake_tasks();
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
    /// Flushes for all threads in line. Everything that was claimed before is durable afterwards. `for_itself`: this
    /// thread waits for a record of its own, and does not only serve others.
    pub(crate) fn commit(mut self, target: u64, for_itself: bool) -> Result<()> {
        let writer = self.writer;
        if target <= writer.base.durable() {
            return Ok(());
        }
        if writer.is_poisoned() {
            return Err(writer.in_doubt());
        }
        // Where an append waits for the turn itself, nobody could come.
        if !writer.write_through && writer.ring.is_roomy() {
            self.run(|held| held.committer.gathering.wait(|| writer.line.missing()));
        }
        let outcome = self.run(|held| held.commit());
        let durable = writer.base.durable();
        let done = writer.arrive(durable, for_itself);
        self.run(|held| held.write_zeros_ahead());
        drop(self);
        writer.background.watch_for_idleness();
        writer.tell_all(done, || Ok(()));
        writer.wake_tasks();
        outcome
    }
}

#[cfg(all(test, wal_loom))]
#[path = "commit_loom.rs"]
mod loom_tests;
