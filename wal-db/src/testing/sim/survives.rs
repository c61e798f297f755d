//! A state store and what threads decide on it, on every crash image of their run.

use std::{
    any::Any,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Barrier, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    crashes::{CrashPlan, every_crash},
    disk::SimDisk,
    image::Image,
};
use crate::{
    config::{Staging, WalConfig},
    error::{Result, WalError},
    event::{EventLog, WalDecodeOwned},
    lsn::Lsn,
    state::{Decision, Now, State, Store, StoreConfig, TransactError},
    testing::CheckFailed,
};

const THREADS: usize = 4;

/// Every so many commands, a thread makes a snapshot.
const SNAPSHOT_EVERY: usize = 3;

const NAME: &str = "state";

/// Has threads carry out commands on a [`Store`] with snapshots, loses the power after every call that it made to the disk,
/// kills the process there, and opens the store again on what can be left: on all of it if that is not more than 64 images a
/// call, and else on so many. There,
///
/// * `invariant` holds, which panics if it does not. It holds for the empty state, too;
/// * the state is the fold of the log, whether it began with a snapshot or not;
/// * of every decision there are all events or none, and all of one that was answered before the crash. Refusals, and answers
///   without events, are not looked at;
/// * the first command can be decided on once more, and `invariant` holds after it.
///
/// Returns how many different images there were. A dozen commands that get in each other's way are enough, and take a second
/// or so. Which of them meet differs from run to run, so a failure may not come again.
///
/// # Panics
/// With what is wrong, and the calls up to the crash; if `decide` panics, or what it decides cannot be stored.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::WalRecord;
/// use wal_db::state::{At, Decision, State};
/// use wal_db::testing::assert_store_survives;
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "seat")]
/// struct Taken { seat: u8 }
///
/// #[derive(Default, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "hall")]
/// struct Hall { free: Vec<u8>, taken: u8 }
///
/// impl State for Hall {
///     type Event = Taken;
///     fn apply(&mut self, event: Taken, _: At) {
///         self.taken += 1;
///         self.free.retain(|free| *free != event.seat);
///     }
/// }
///
/// let images = assert_store_survives(
///     [1, 2, 1, 3, 2, 1],
///     |hall: &Hall, seat, _| match hall.taken {
///         0 | 1 => Ok(Decision::new(()).event(Taken { seat: *seat })),
///         _ => Err("the hall is full"),
///     },
///     |hall| assert!(hall.taken <= 2),
/// );
/// assert!(images > 10);
/// ```
#[track_caller]
pub fn assert_store_survives<S, K, A, X>(
    commands: impl IntoIterator<Item = K>,
    decide: impl Fn(&S, &K, &Now) -> Result<Decision<S::Event, A>, X> + Sync,
    invariant: impl Fn(&S),
) -> u64
where
    S: State<Event: 'static> + WalDecodeOwned + Default + PartialEq + Send + Sync + 'static,
    K: Sync,
{
    match check_store_survives(CrashPlan::default(), commands, decide, invariant) {
        Ok(images) => images,
        Err(failed) => panic!("{failed}"),
    }
}

/// As [`assert_store_survives`], for a plan of one's own.
///
/// # Errors
/// The first image in which something is wrong; an error of the store itself.
///
/// # Panics
/// If `decide` does.
pub fn check_store_survives<S, K, A, X>(
    plan: CrashPlan,
    commands: impl IntoIterator<Item = K>,
    decide: impl Fn(&S, &K, &Now) -> Result<Decision<S::Event, A>, X> + Sync,
    invariant: impl Fn(&S),
) -> Result<u64, CheckFailed>
where
    S: State<Event: 'static> + WalDecodeOwned + Default + PartialEq + Send + Sync + 'static,
    K: Sync,
{
    let commands: Vec<K> = commands.into_iter().collect();
    let disk = SimDisk::new();
    let ran = run(&disk, &commands, &decide);
    let journal = disk.kill().journal();
    let decisions = ran.map_err(|error| CheckFailed::because(&error))?;
    // By the hash of an image, the first decision of which it has nothing.
    let mut known: HashMap<u64, usize> = HashMap::new();
    every_crash(&journal, plan, |image, answered| {
        let hash = image.hash();
        let missing = match known.get(&hash) {
            Some(missing) => *missing,
            None => {
                let missing = survived(image, &decisions, |store| {
                    store.peek(&invariant)?;
                    if let Some(command) = commands.first()
                        && let Err(TransactError::Wal(error)) =
                            store.transact(|state, now| decide(state, command, now))
                    {
                        return Err(error);
                    }
                    store.peek(&invariant)
                })?;
                known.insert(hash, missing);
                missing
            }
        };
        is_kept(missing, answered)
    })?;
    Ok(known.len() as u64)
}

fn is_kept(missing: usize, answered: usize) -> Result<(), String> {
    match missing < answered {
        true => Err(format!(
            "decision {missing} was answered before, and is not there"
        )),
        false => Ok(()),
    }
}

fn open<S>(disk: &SimDisk) -> Result<Store<S>>
where
    S: State<Event: 'static> + WalDecodeOwned + Default + 'static,
{
    let config = WalConfig::new()
        .with_staging(Staging::Heap)
        .with_staging_bytes(64 << 10);
    let log: EventLog<S::Event> = disk.open("log", config)?.typed()?;
    let config = StoreConfig::new().with_snapshots(NAME);
    log.store(config.with_snapshot_every(u64::MAX))
}

/// Has threads carry out the commands. Returns the events of all decisions in the order in which they were answered; the
/// journal of the disk has a mark after each.
fn run<S, K, A, X>(
    disk: &SimDisk,
    commands: &[K],
    decide: &(impl Fn(&S, &K, &Now) -> Result<Decision<S::Event, A>, X> + Sync),
) -> Result<Vec<Vec<Lsn>>>
where
    S: State<Event: 'static> + WalDecodeOwned + Default + Send + Sync + 'static,
    K: Sync,
{
    let store = open::<S>(disk)?;
    let answers = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let all_are_there = Barrier::new(THREADS);
    let work = || -> Result<()> {
        all_are_there.wait();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(command) = commands.get(number) else {
                return Ok(());
            };
            match store.transact(|state, now| decide(state, command, now)) {
                Ok(decided) => {
                    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    disk.mark(answers.len());
                    answers.push(decided.lsns);
                }
                Err(TransactError::Refused(_)) => {}
                Err(TransactError::Wal(error)) => return Err(error),
            }
            if number % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1 {
                store.snapshot()?;
            }
        }
    };
    thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| scope.spawn(work));
        let ended = threads.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.into_iter().collect::<Result<()>>()
    })?;
    store.snapshot()?;
    drop(store);
    Ok(answers.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Opens the store on what a crash has left, and looks at it. Returns the first decision of which it has nothing.
fn survived<S>(
    image: Image,
    decisions: &[Vec<Lsn>],
    look: impl FnOnce(&Store<S>) -> Result<()>,
) -> Result<usize, String>
where
    S: State<Event: 'static> + WalDecodeOwned + Default + PartialEq + 'static,
{
    let is_fold = |store: &Store<S>| -> Result<bool> {
        let folded = store.log().rebuild::<S>()?.state;
        store.peek(|state| *state == folded)
    };
    let looked = catch_unwind(AssertUnwindSafe(|| {
        let store = open::<S>(&SimDisk::of(image))?;
        let missing = first_missing(&store, decisions)?;
        let was_fold = is_fold(&store)?;
        look(&store)?;
        Ok::<_, WalError>((missing, was_fold && is_fold(&store)?))
    }));
    match looked {
        Ok(Ok((missing, true))) => missing,
        Ok(Ok((_, false))) => Err("the state is not the fold of the log".to_owned()),
        Ok(Err(error)) => Err(format!("the store cannot be opened, or used: {error}")),
        Err(panic) => Err(format!("who looks at the state panics: {}", text(&*panic))),
    }
}

/// The first decision of which the log has nothing; what is wrong if it has a part of one.
fn first_missing<S: State>(store: &Store<S>, decisions: &[Vec<Lsn>]) -> Result<Result<usize, String>> {
    let mut missing = decisions.len();
    for (number, lsns) in decisions.iter().enumerate().rev() {
        let mut there = 0;
        for lsn in lsns {
            match store.log().wal().read(*lsn) {
                Ok(_) => there += 1,
                Err(WalError::NoSuchRecord { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if there == 0 && !lsns.is_empty() {
            missing = number;
        } else if there < lsns.len() {
            let what = format!("of decision {number} there are {there} of {} events", lsns.len());
            return Ok(Err(what));
        }
    }
    Ok(Ok(missing))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panics")
}

#[cfg(all(test, feature = "derive", feature = "bincode"))]
#[path = "survives_tests.rs"]
mod tests;
