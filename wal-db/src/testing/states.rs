//! Decisions and states: what is decided on a state that some events made, and whether a state is the fold of its events.

use std::fmt::Debug;

use super::{CheckFailed, history::sentence};
use crate::{
    error::{Result, WalError},
    event::{
        WalDecodeOwned,
        apart::{self, Apart},
        codec::DefaultCodec,
        record::WalRecord,
    },
    log::Wal,
    lsn::Lsn,
    state::{Decision, Now, Rebuilt, State, Store, StoreConfig, TransactError},
    storage::MemStore,
};

/// A state that events have made, in a log in memory: a test of a decision begins with it.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// # use serde::{Deserialize, Serialize};
/// use wal_db::{WalRecord, state::{At, Decision, Now, State}, testing::given};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "till")]
/// enum Till { Put(u64), Taken(u64) }
///
/// #[derive(Default)]
/// struct Cents(u64);
///
/// impl State for Cents {
///     type Event = Till;
///     fn apply(&mut self, event: Till, _: At) {
///         match event {
///             Till::Put(cents) => self.0 += cents,
///             Till::Taken(cents) => self.0 -= cents,
///         }
///     }
/// }
///
/// impl Cents {
///     fn take(&self, cents: u64) -> Result<Decision<Till>, String> {
///         match cents <= self.0 {
///             true => Ok(Decision::new(()).event(Till::Taken(cents))),
///             false => Err(format!("there are {}", self.0)),
///         }
///     }
/// }
///
/// let till = || given::<Cents>([Till::Put(100)]);
/// till().when(|cents, _| cents.take(30)).then([Till::Taken(30)]).then_state(|cents| assert_eq!(cents.0, 70));
/// till().when(|cents, _| cents.take(101)).then_refused("there are 100".to_owned());
/// ```
///
/// The events go through a log in the default format: what the state gets is what was read again. Events that are decided
/// are read again before they are compared. The given events have no metadata, and so no time.
///
/// # Panics
/// If an event cannot be stored, or the state panics.
#[must_use = "it asks nothing by itself"]
#[track_caller]
pub fn given<S>(events: impl IntoIterator<Item = S::Event>) -> Given<S>
where
    S: State + Default,
{
    let made = || {
        let log = Wal::with_store(MemStore::new())?.typed::<S::Event>()?;
        for event in events {
            let _lsn = log.append(&event)?;
        }
        log.store(StoreConfig::new())
    };
    match made() {
        Ok(store) => Given { store },
        Err(error) => panic!("the events that are given make no state: {}", sentence(&error)),
    }
}

/// A state that events have made; from [`given`].
#[derive(Debug)]
pub struct Given<S: State> {
    store: Store<S>,
}

impl<S: State> Given<S> {
    /// Decides, as [`Store::transact`] does.
    ///
    /// # Panics
    /// If what was decided cannot be stored, or `apply` panics on it.
    #[must_use = "it compares nothing by itself"]
    #[track_caller]
    pub fn when<A, X>(
        self,
        decide: impl FnOnce(&S, &Now) -> Result<Decision<S::Event, A>, X>,
    ) -> When<S, A, X> {
        let Given { store } = self;
        let events = |lsns: Vec<Lsn>| {
            let read = lsns.into_iter().map(|lsn| Ok(store.log().read(lsn)?.event));
            read.collect::<Result<Vec<_>, WalError>>()
        };
        let outcome = match store.transact(decide) {
            Ok(decided) => events(decided.lsns).map(|events| Ok((decided.value, events))),
            Err(TransactError::Refused(refusal)) => Ok(Err(refusal)),
            Err(TransactError::Wal(error)) => Err(error),
        };
        match outcome {
            Ok(outcome) => When { store, outcome },
            Err(error) => panic!("what was decided cannot be: {}", sentence(&error)),
        }
    }
}

/// What came of a decision; from [`Given::when`]. Each method compares, and panics if it is otherwise.
#[derive(Debug)]
pub struct When<S: State, A, X> {
    store: Store<S>,
    outcome: Result<(A, Vec<S::Event>), X>,
}

impl<S, A, X> When<S, A, X>
where
    S: State<Event: PartialEq + Debug>,
    X: Debug,
{
    /// These events were decided, and no others.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = S::Event>) -> Self {
        let expected: Vec<S::Event> = expected.into_iter().collect();
        let (_, events) = self.accepted();
        assert_eq!(*events, expected, "other events were decided than expected");
        self
    }

    /// It was no refusal, and no event was decided.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then([])
    }

    /// The answer was this one.
    #[track_caller]
    pub fn then_answer(self, expected: A) -> Self
    where
        A: PartialEq + Debug,
    {
        let (answer, _) = self.accepted();
        assert_eq!(*answer, expected, "the answer is another one than expected");
        self
    }

    #[track_caller]
    fn accepted(&self) -> &(A, Vec<S::Event>) {
        match &self.outcome {
            Ok(accepted) => accepted,
            Err(refusal) => panic!("it was refused: {refusal:?}"),
        }
    }
}

impl<S, A, X> When<S, A, X>
where
    S: State<Event: Debug>,
{
    /// It was refused with this.
    #[track_caller]
    pub fn then_refused(self, expected: X) -> Self
    where
        X: PartialEq + Debug,
    {
        match &self.outcome {
            Err(refusal) => assert_eq!(
                *refusal, expected,
                "it was refused for another reason than expected"
            ),
            Ok((_, events)) => panic!("it was not refused: {events:?}"),
        }
        self
    }

    /// Looks at the state afterwards.
    ///
    /// # Panics
    /// If `look` does.
    #[track_caller]
    pub fn then_state(self, look: impl FnOnce(&S)) -> Self {
        match self.store.peek(look) {
            Ok(()) => self,
            Err(error) => panic!("there is no state: {}", sentence(&error)),
        }
    }
}

/// Checks after each of these events that a state is nothing but the fold of those so far: that it
///
/// * is the same when the log is folded again: that finds a clock with a fine grain, the order of a `HashMap`, random numbers,
///   a counter of the program's, and not what stays the same for the time of the test, as a date or an environment variable;
/// * is the same in a store as in a replay: it does not look at [`At::replaying`](crate::state::At::replaying), and its
///   events come back from the log as they were;
/// * is the same if it goes through a snapshot: its serde implementations leave nothing out.
///
/// Give it events of every kind that there is, each more than once. The state is written and read after each of them, in
/// the default format.
///
/// # Panics
/// With what is wrong: which law is broken, after which event, and in which parts the states differ.
#[track_caller]
pub fn assert_state_laws<S>(events: impl IntoIterator<Item = S::Event>)
where
    S: State + WalDecodeOwned + Default + PartialEq,
{
    if let Err(failed) = check_state_laws::<S>(events) {
        panic!("{failed}");
    }
}

/// As [`assert_state_laws`], with the problem as an error.
///
/// # Errors
/// [`CheckFailed`].
pub fn check_state_laws<S>(events: impl IntoIterator<Item = S::Event>) -> Result<(), CheckFailed>
where
    S: State + WalDecodeOwned + Default + PartialEq,
{
    let broken = find_broken_law::<S>(events).map_err(|error| CheckFailed::because(&error))?;
    CheckFailed::unless_empty(broken.into_iter().collect())
}

const FOLDS: usize = 16;

fn find_broken_law<S>(events: impl IntoIterator<Item = S::Event>) -> Result<Option<String>>
where
    S: State + WalDecodeOwned + Default + PartialEq,
{
    let log = Wal::with_store(MemStore::new())?.typed::<S::Event>()?;
    let store = log.store::<S>(StoreConfig::new())?;
    let fresh = || Rebuilt::empty(&log, S::default());
    let (mut fold, mut again, mut stored) = (fresh()?, fresh()?, fresh()?);
    for (number, event) in events.into_iter().enumerate() {
        let broken = |law: &str, found: &S, expected: &S| {
            let parts = parts(expected, found);
            Ok(Some(format!(
                "after event {number}, counted from 0, {law}:{parts}"
            )))
        };
        let lsn = store.commit(event)?;
        for state in [&mut fold, &mut again] {
            state.apply_all([log.read(lsn)], None)?;
        }
        let (expected, other) = (&fold.state, &again.state);
        #[allow(clippy::eq_op, reason = "a NaN does not equal itself")]
        if expected != expected {
            return Ok(Some(format!(
                "after event {number}, counted from 0, the state does not equal itself, as a NaN does not: nothing can be \
                 said of it"
            )));
        }
        let law = "another fold of the same log makes another state, so `apply` depends on something else than the events \
                   and what `At` says of them (a clock, the order of a HashMap, something static, an address)";
        if expected != other {
            return broken(law, other, expected);
        }
        let is_as_expected = store.peek(|live| live == expected)?;
        let went_on = stored
            .apply_all([log.read(lsn)], None)
            .and_then(|()| through_snapshot(&mut stored));
        if !is_as_expected || went_on.is_err() || stored.state != *expected {
            // Two folds may be the same by chance, and many are not.
            for _ in 0..FOLDS {
                let other = log.rebuild::<S>()?.state;
                if other != *expected {
                    return broken(law, &other, expected);
                }
            }
        }
        let law = "the state of a store is not the fold of its log, so `apply` looks at `At::replaying`, or the event does \
                   not come back from the log as it was";
        if let Some(found) = store.peek(|live| (live != expected).then(|| broken(law, live, expected)))? {
            return found;
        }
        if let Err(error) = went_on {
            return Ok(Some(format!(
                "after event {number}, counted from 0, a state that came back from snapshots cannot go on: {}",
                sentence(&error)
            )));
        }
        if stored.state != *expected {
            let law = "the state that comes back from a snapshot is another one, so its serde implementations leave \
                       something out or change it";
            return broken(law, &stored.state, expected);
        }
    }
    Ok(None)
}

/// Writes a state as a snapshot does, and reads it.
fn through_snapshot<S: State + WalDecodeOwned>(rebuilt: &mut Rebuilt<S>) -> Result<()> {
    let Apart { payload, schema } = apart::encode::<DefaultCodec, S>(&rebuilt.state)?;
    rebuilt.state = apart::decode::<DefaultCodec, S>(&payload, schema, rebuilt.next)?;
    Ok(())
}

/// A line for each part in which a state differs from the one that was expected.
fn parts<S: WalRecord>(expected: &S, found: &S) -> String {
    const MOST: usize = 10;
    let values = || Ok::<_, WalError>((apart::to_value(expected)?, apart::to_value(found)?));
    let (expected, found) = match values() {
        Ok(values) => values,
        Err(error) => return format!("\n  it cannot be shown: {}", sentence(&error)),
    };
    // The order in sets is seldom the cause.
    let mut differences = expected.diff_but_order(&found);
    if differences.is_empty() {
        differences = expected.diff(&found);
    }
    let mut lines: String = differences
        .iter()
        .take(MOST)
        .map(|difference| format!("\n  {difference}"))
        .collect();
    match differences.len() {
        0 => lines.push_str("\n  in nothing that can be shown"),
        count if count > MOST => lines.push_str(&format!("\n  and {} more", count - MOST)),
        _ => {}
    }
    lines
}
