//! State that is nothing but the fold of its events.
//!
//! A [`State`] says how it changes with an event. A [`Store`] keeps one up to date: it decides on it, appends what was
//! decided, and applies that. [`Entities`] do so for each stream, and have those in memory that are in use.
//! [`EventLog::rebuild`](crate::EventLog::rebuild) folds a log once. `docs/state.md` in the
//! repository shows how to model with them.

mod at;
mod cache;
mod config;
mod decide;
mod entities;
mod following;
mod past;
mod projection;
mod rebuilt;
mod snapshot;
mod snapshots;
mod store;
mod timers;
mod transact;

pub use self::{
    at::At,
    cache::EntitiesStatus,
    config::{StoreConfig, StoreRecovery},
    decide::{Fold, Model, Models},
    entities::{Entities, EntitiesConfig},
    following::ToProject,
    past::{Change, Changes, diff},
    projection::{Projection, ProjectionStatus},
    rebuilt::Rebuilt,
    snapshot::{PassedOver, Snapshot, forget, snapshots},
    snapshots::{Compacted, SnapshotStatus},
    store::Store,
    timers::Timers,
    transact::{Decided, Decision, Now, Pending, TransactError},
};
pub use crate::error::SnapshotError;
use crate::event::WalDecodeOwned;

/// A value that events change, and nothing else does.
///
/// `apply` must depend on the state, the event and what [`At`] says of it, or two rebuilds of one log differ: no clock, no
/// randomness ([`At::seed`] gives some), no order of a `HashMap`, no other input. It must take every event that the log
/// holds: an event is a fact, and refusing is done before, by what [decides](Store::transact).
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord, state::{At, Decision, State, StoreConfig, TransactError}};
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "counter")]
/// enum Change { Added(i64), Reset }
///
/// #[derive(Default)]
/// struct Counter(i64);
///
/// impl State for Counter {
///     type Event = Change;
///
///     fn apply(&mut self, event: Change, _: At) {
///         match event {
///             Change::Added(n) => self.0 += n,
///             Change::Reset => self.0 = 0,
///         }
///     }
/// }
///
/// let log = Wal::with_store(MemStore::new())?.typed::<Change>()?;
/// let counter = log.store::<Counter>(StoreConfig::new())?;
/// counter.commit(Change::Added(5))?;
///
/// let at_most_ten = |n: i64| counter.transact(move |counter, _| match counter.0 + n {
///     sum if sum > 10 => Err("too much"),
///     sum => Ok(Decision::new(sum).event(Change::Added(n))),
/// });
/// assert_eq!(at_most_ten(4).expect("it fits").value, 9);
/// assert!(matches!(at_most_ten(2), Err(TransactError::Refused("too much"))));
/// assert_eq!(counter.read(|counter| counter.0)?, 9);
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// A tuple of states that have the same events is a state: one replay feeds all of them.
pub trait State {
    /// What changes it.
    type Event: WalDecodeOwned;

    /// Which meaning [`apply`](Self::apply) has. Raise it when the same events make another state than before: snapshots
    /// that were made by an earlier one are not used then, and the log is folded from its beginning. A log that was
    /// [compacted](Store::compact) does not have that any more.
    const REVISION: u32 = 0;

    /// Takes one event into the state. Called once for each event, in the order of the log; for each part of one that
    /// was split since it was stored, with the same LSN.
    fn apply(&mut self, event: Self::Event, at: At<'_>);
}

macro_rules! tuples {
    ($($first:ident $($other:ident)*;)*) => {$(
        #[allow(non_snake_case, reason = "a value has the name of its type")]
        impl<$first, $($other),*> State for ($first, $($other,)*)
        where
            $first: State<Event: Clone>,
            $($other: State<Event = $first::Event>,)*
        {
            type Event = $first::Event;

            fn apply(&mut self, event: Self::Event, at: At<'_>) {
                let ($first, $($other,)*) = self;
                $($other.apply(event.clone(), at);)*
                $first.apply(event, at);
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
}

#[cfg(all(test, feature = "derive", feature = "bincode"))]
mod tests;
