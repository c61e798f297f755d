//! A program's own replay, on every crash image of its own run.

use std::{collections::HashMap, fmt};

use super::{
    crashes::{CrashPlan, every_crash},
    disk::{Opened, SimDisk},
    image::{Image, Step},
    medium::Medium,
};
use crate::testing::CheckFailed;

/// What a program has told of itself while it ran: see [`assert_crash_prefix`].
#[derive(Debug)]
pub struct Promises<S> {
    disk: SimDisk,
    states: Vec<S>,
    /// For each of them but the first: what was in the log before the event that leads to it; `None` if that is not
    /// known.
    ends: Vec<Option<End>>,
    /// For every mark in the journal: how many states there were, and the first that may be left.
    marks: Vec<(usize, usize)>,
    durable: usize,
}

/// Where a log ended while the program ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    /// Records before it were there, and none after it.
    position: u64,
    /// How often the log was cut off since it was opened, which uses positions again.
    cuts: u64,
}

impl<S> Promises<S> {
    /// The state after the event that is appended next. From now on a crash may leave it.
    pub fn next(&mut self, state: S) {
        self.states.push(state);
        let log = self.disk.only_log();
        let end = log.and_then(|log| Some(log.watched.upgrade()?.end_and_cuts()));
        self.ends.push(end.map(|(position, cuts)| End { position, cuts }));
        self.mark();
    }

    /// All that was appended is durable: from now on a crash leaves the last state, or one that comes later.
    pub fn durable(&mut self) {
        self.durable = self.states.len() - 1;
        self.mark();
    }

    /// Where the log ended before each state but the first, if that is known of all of them: then a later one is never
    /// lower.
    fn steady_ends(&self) -> Option<Vec<u64>> {
        let ends: Vec<End> = self.ends.iter().copied().collect::<Option<_>>()?;
        let is_steady = ends.iter().all(|end| end.cuts == 0) && ends.is_sorted_by_key(|end| end.position);
        is_steady.then(|| ends.iter().map(|end| end.position).collect())
    }

    fn mark(&mut self) {
        self.disk.mark(self.marks.len());
        self.marks.push((self.states.len(), self.durable));
    }
}

/// Runs a program on a [`SimDisk`], loses the power after every call that it made to the disk, kills the process there
/// and between appends, and replays every image that can be left. Each has to give a state that the program had: at
/// least the one that it knew to be durable, at most the one that it was about to reach. What was replayed has to be
/// there after one more power loss. Returns how many images were replayed.
///
/// The program begins in the default state and must not kill the disk itself. Before each event it says which state the
/// event leads to ([`Promises::next`]), and after each flush that all of it is durable ([`Promises::durable`]). Between
/// two appends that lead to one state the process may die, unless they are one batch.
///
/// A state that equals an earlier one is told from it by what is in the log, if the program opens one log through the
/// disk ([`SimDisk::open`], [`SimDisk::open_segmented`]), keeps it open and never cuts off its end. Otherwise it hides
/// what was lost in between, so let a state count its events.
///
/// Staging memory is made anew for every image: the smallest is the quickest.
///
/// # Panics
/// If an image gives another state or an error: with the calls up to the crash, and what of them arrived.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{EventLog, Result, WalConfig, WalRecord};
/// use wal_db::testing::{SimDisk, assert_crash_prefix};
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "deposited")]
/// struct Deposited(u64);
///
/// fn open(disk: &SimDisk) -> Result<EventLog<Deposited>> {
///     disk.open("account", WalConfig::new().with_staging_bytes(64 << 10))?.typed()
/// }
///
/// let images = assert_crash_prefix(
///     |disk, promises| {
///         let log = open(disk)?;
///         let mut balance = 0;
///         for amount in [5, 20, 100] {
///             balance += amount;
///             promises.next(balance);
///             log.append(&Deposited(amount))?;
///             if amount > 5 {
///                 log.wal().sync()?;
///                 promises.durable();
///             }
///         }
///         Ok(())
///     },
///     |disk| open(disk)?.replay(..)?.map(|event| Ok(event?.event.0)).sum::<Result<u64>>(),
/// );
/// assert!(images > 50);
/// ```
pub fn assert_crash_prefix<S: Default + PartialEq + fmt::Debug>(
    program: impl FnOnce(&SimDisk, &mut Promises<S>) -> crate::error::Result<()>,
    replay: impl Fn(&SimDisk) -> crate::error::Result<S>,
) -> u64 {
    match check_crash_prefix(CrashPlan::default(), program, replay) {
        Ok(images) => images,
        Err(failed) => panic!("{failed}"),
    }
}

/// As [`assert_crash_prefix`], for a plan of one's own.
///
/// # Errors
/// The first image that gives another state or an error; an error of the program.
pub fn check_crash_prefix<S: Default + PartialEq + fmt::Debug>(
    plan: CrashPlan,
    program: impl FnOnce(&SimDisk, &mut Promises<S>) -> crate::error::Result<()>,
    replay: impl Fn(&SimDisk) -> crate::error::Result<S>,
) -> Result<u64, CheckFailed> {
    let disk = SimDisk::new();
    let mut promises = Promises {
        disk: disk.clone(),
        states: vec![S::default()],
        ends: Vec::new(),
        marks: Vec::new(),
        durable: 0,
    };
    let ended = program(&disk, &mut promises);
    let log = disk.only_log();
    let journal = disk.kill().journal();
    ended.map_err(|error| CheckFailed::one(format!("the program itself: {error}")))?;
    let marks = journal
        .iter()
        .filter(|step| matches!(step, Step::Mark(_)))
        .count();
    if marks != promises.marks.len() {
        let cause = "the program has killed its disk: what it did before could not be looked at";
        return Err(CheckFailed::one(cause.to_owned()));
    }
    let mut checker = Checker {
        states: &promises.states,
        log: log.zip(promises.steady_ends()),
        replay,
        known: HashMap::new(),
        images: 0,
    };
    every_crash(&journal, plan, |image, marks| {
        let (end, durable) = marks.checked_sub(1).map_or((1, 0), |last| promises.marks[last]);
        checker.image(image, durable..end)
    })?;
    Ok(checker.images)
}

struct Checker<'a, S, R> {
    states: &'a [S],
    /// The log of the program, and where it ended before each state.
    log: Option<(Opened, Vec<u64>)>,
    replay: R,
    /// What images gave, by their hash, and up to which state their log goes if that decides.
    known: HashMap<u64, (S, Option<usize>)>,
    images: u64,
}

impl<S: PartialEq + fmt::Debug, R: Fn(&SimDisk) -> crate::error::Result<S>> Checker<'_, S, R> {
    fn image(&mut self, image: Image, may_be: std::ops::Range<usize>) -> Result<(), String> {
        self.images += 1;
        let hash = image.hash();
        let (state, reached) = match self.known.remove(&hash) {
            Some(known) => known,
            None => {
                let state = self.replay_twice(image.clone())?;
                let reached = self.reached(&state, image);
                (state, reached)
            }
        };
        let mut legal = may_be.clone().filter(|&at| self.states[at] == state);
        // The event of the last state that the log goes up to may be there and not yet all that belongs to it.
        let is_reached = |at: usize| reached.is_none_or(|last| at == last || at + 1 == last);
        let outcome = if legal.clone().any(is_reached) {
            Ok(())
        } else if let (Some(hidden), Some(last)) = (legal.next(), reached) {
            Err(format!(
                "the replay gives {state:?}, which is also the state number {hidden} of the run, but the log goes up to \
                 the event of state number {last}: events were lost, and it has to be the state number {} to {}",
                may_be.start,
                may_be.end - 1
            ))
        } else {
            Err(format!(
                "the replay gives {state:?}; it has to give the state number {} to {} of the run: {:?}",
                may_be.start,
                may_be.end - 1,
                &self.states[may_be.clone()]
            ))
        };
        self.known.insert(hash, (state, reached));
        outcome
    }

    /// Up to the event of which state the log of an image goes, if the state that it gave was there more than once.
    fn reached(&self, state: &S, image: Image) -> Option<usize> {
        let (log, ends) = self.log.as_ref()?;
        let repeats = self.states.iter().filter(|other| *other == state).count() > 1;
        if !repeats {
            return None;
        }
        // A log that is only half made has no record, and what it gives is judged by the state alone.
        let last = log.last_record(image).ok()?;
        Some(ends.partition_point(|end| last.is_some_and(|last| last.pos() >= *end)))
    }

    /// Replays an image, and what is left of it when the power is lost right after.
    fn replay_twice(&self, image: Image) -> Result<S, String> {
        let disk = SimDisk::of(image.clone());
        let state = (self.replay)(&disk).map_err(|error| format!("the replay fails: {error}"))?;
        let mut medium = Medium::of(image);
        for step in disk.kill().journal() {
            medium.apply(&step);
        }
        let left = SimDisk::of(medium.after(&medium.nothing()));
        let again = (self.replay)(&left);
        let again = again.map_err(|error| format!("a second replay fails: {error}"))?;
        if again != state {
            return Err(format!(
                "the replay gives {state:?}, and after one more power loss {again:?}"
            ));
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Staging, Wal, WalConfig};

    fn open(disk: &SimDisk) -> crate::error::Result<Wal> {
        let config = WalConfig::new()
            .with_background_flush(false)
            .with_staging(Staging::Heap)
            .with_staging_bytes(64 << 10);
        disk.open_segmented("log", 64 << 10, config)
    }

    fn count(disk: &SimDisk) -> crate::error::Result<u64> {
        open(disk)?.iter()?.map(|record| record.map(|_| 1)).sum()
    }

    /// Says that a record is durable before it is.
    fn too_early(disk: &SimDisk, promises: &mut Promises<u64>) -> crate::error::Result<()> {
        let log = open(disk)?;
        promises.next(1);
        log.append(b"a")?;
        promises.durable();
        log.sync()
    }

    #[test]
    fn a_promise_that_is_made_too_early_is_found() {
        let failed = check_crash_prefix(CrashPlan::default(), too_early, count).unwrap_err();
        let text = failed.to_string();
        assert!(
            text.contains("gives 0") && text.contains("the power was lost"),
            "{text}"
        );
    }

    #[test]
    fn a_program_that_kills_its_disk_is_found() {
        let kills = |disk: &SimDisk, promises: &mut Promises<u64>| {
            promises.next(1);
            open(disk)?.append_and_sync(b"a")?;
            let _next = disk.kill();
            Ok(())
        };
        let failed = check_crash_prefix(CrashPlan::default(), kills, count).unwrap_err();
        assert!(failed.to_string().contains("has killed its disk"), "{failed}");
    }

    #[test]
    fn a_replay_that_forgets_is_found() {
        let program = |disk: &SimDisk, promises: &mut Promises<u64>| {
            let log = open(disk)?;
            for n in 1..4 {
                promises.next(n);
                log.append_and_sync(b"a")?;
                promises.durable();
            }
            Ok(())
        };
        assert!(assert_crash_prefix(program, count) > 20);
        let forgets = |disk: &SimDisk| Ok(count(disk)?.min(2));
        let failed = check_crash_prefix(CrashPlan::default(), program, forgets).unwrap_err();
        assert!(failed.to_string().contains("gives 2"), "{failed}");
    }
}
