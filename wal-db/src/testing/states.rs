//! Decisions and states: what is decided on a state that some events made, and whether a state is the fold of its events.

use std::fmt::Debug;

use super::{CheckFailed, history::sentence};
use crate::{
    error::{Result, WalError},
    event::{
        EventLog, WalDecodeOwned,
        apart::{self, Apart},
        codec::DefaultCodec,
        probe::unordered,
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
/// The events go through the log: what the state gets is what was read again. So do those that are decided.
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
    /// If what was decided cannot be stored, or the state panics when it takes that.
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

/// Checks that a state is nothing but the fold of these events: that it
///
/// * is the same whenever the log is folded: it depends on no clock, no order of a `HashMap`, no counter of the program's,
/// * is the same in a store as in a replay: it does not look at [`At::replaying`](crate::state::At::replaying),
/// * is the same if it goes through a snapshot after any event: its serde implementations leave nothing out.
///
/// Give it events of every kind that there is, each more than once.
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
    let failed = |error: WalError| CheckFailed::because(&error);
    let log = Wal::with_store(MemStore::new())
        .and_then(|wal| wal.typed::<S::Event>())
        .map_err(failed)?;
    let store = log.store::<S>(StoreConfig::new()).map_err(failed)?;
    for event in events {
        let _lsn = store.commit(event).map_err(failed)?;
    }
    let fold = || log.rebuild::<S>().map(|rebuilt| rebuilt.state).map_err(failed);
    let (one, other) = (fold()?, fold()?);
    let mut problems = Vec::new();
    if one != other {
        problems.push(format!(
            "two folds of the same log make two states, so `apply` depends on something else than the events and what \
             `At` says of them (a clock, the order of a HashMap, something static, an address):{}",
            parts(&one, &other)
        ));
        // The other laws compare folds.
        return CheckFailed::unless_empty(problems);
    }
    let live = store.peek(|live| (*live != one).then(|| parts(live, &one)));
    if let Some(parts) = live.map_err(failed)? {
        problems.push(format!(
            "the state of a store is not the fold of its log, so `apply` looks at `At::replaying`, or at something that \
             changes between the two:{parts}"
        ));
    }
    problems.extend(through_snapshots::<S>(&log).map_err(failed)?);
    CheckFailed::unless_empty(problems)
}

/// Folds a log twice, once with the state as it is and once as it comes back from a snapshot after each event.
fn through_snapshots<S>(log: &EventLog<S::Event>) -> Result<Option<String>>
where
    S: State + WalDecodeOwned + Default + PartialEq,
{
    let mut plain = Rebuilt::empty(log, S::default())?;
    let mut stored = Rebuilt::empty(log, S::default())?;
    for (number, (event, again)) in log.replay(..)?.zip(log.replay(..)?).enumerate() {
        plain.apply_all([event], None)?;
        stored.apply_all([again], None)?;
        let Apart { payload, schema } = apart::encode::<DefaultCodec, S>(&stored.state)?;
        let read = apart::decode::<DefaultCodec, S>(&payload, schema, stored.next);
        stored.state = match read {
            Ok(state) => state,
            Err(error) => {
                return Ok(Some(format!(
                    "after event {number}, counted from 0, the state cannot be read from a snapshot: {}",
                    sentence(&error)
                )));
            }
        };
        if plain.state != stored.state {
            return Ok(Some(format!(
                "after event {number}, counted from 0, the state that comes back from a snapshot is another one, so its \
                 serde implementations leave something out or change it:{}",
                parts(&stored.state, &plain.state)
            )));
        }
    }
    Ok(None)
}

/// A line for each part in which two states differ, as they are stored.
fn parts<S: WalRecord>(found: &S, expected: &S) -> String {
    const MOST: usize = 10;
    let values = || Ok::<_, WalError>((apart::to_value(found)?, apart::to_value(expected)?));
    let (found, expected) = match values() {
        Ok(values) => values,
        Err(error) => return format!("\n  it cannot be shown: {}", sentence(&error)),
    };
    // The order in sets is seldom it.
    let mut differences = unordered(&found).diff(&unordered(&expected));
    if differences.is_empty() {
        differences = found.diff(&expected);
    }
    let mut lines: String = differences
        .iter()
        .take(MOST)
        .map(|difference| format!("\n  {difference}"))
        .collect();
    match differences.len() {
        0 => lines.push_str("\n  in what is not stored"),
        count if count > MOST => lines.push_str(&format!("\n  and {} more", count - MOST)),
        _ => {}
    }
    lines
}
