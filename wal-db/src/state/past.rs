//! States of earlier moments, and which events changed something.

use std::{fmt, iter::FusedIterator, ops::Bound, ops::RangeBounds};

use super::{At, Rebuilt, State};
use crate::{
    error::Result,
    event::{
        EventLog, Replay, WalDecodeOwned, apart,
        codec::{Codec, DefaultCodec},
        meta::Meta,
        record::WalRecord,
        replay::Event,
        value::Difference,
    },
    log::Start,
    lsn::Lsn,
};

/// The parts in which two states differ, by the shape of their type; see [`Value::diff`](crate::schema::Value::diff). Equal
/// states that hold a `HashSet` may differ in its order; a `BTreeSet` has one.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// # use serde::{Deserialize, Serialize};
/// # use std::collections::BTreeMap;
/// # use wal_db::{WalRecord, state::diff};
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "accounts")]
/// struct Accounts { cents: BTreeMap<u32, u64>, moves: u64 }
///
/// let then = Accounts { cents: [(7, 100)].into(), moves: 0 };
/// let now = Accounts { cents: [(7, 90), (8, 10)].into(), moves: 1 };
/// let shown: Vec<String> = diff(&then, &now)?.iter().map(ToString::to_string).collect();
/// assert_eq!(shown, ["cents.7: 100 -> 90", "cents.8: added 10", "moves: 0 -> 1"]);
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// # Errors
/// If a state cannot be written, or does not write what its shape says: [`Typed`](crate::WalError::Typed).
pub fn diff<S: WalRecord>(before: &S, after: &S) -> Result<Vec<Difference>> {
    Ok(apart::to_value(before)?.diff(&apart::to_value(after)?))
}

/// An event that changed what is looked at; from [`EventLog::changes`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change<T> {
    /// The LSN of the event.
    pub lsn: Lsn,
    /// What the event was appended with.
    pub meta: Meta,
    /// What it was before.
    pub before: T,
    /// What it has been since.
    pub after: T,
}

impl<E: WalDecodeOwned, C: Codec> EventLog<E, C> {
    /// The state as it was at a moment: the fold of all events before the place that `moment` names. Of an LSN that is the
    /// state before the event there, of [`Start::Ordinal`] the state after so many records, and of a time the state of what
    /// had been written by then. It can be asked "what if" by applying more events to it, which are appended nowhere.
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// # use serde::{Deserialize, Serialize};
    /// # use wal_db::{MemStore, Start, Wal, WalRecord, state::{At, State}};
    /// # #[derive(Serialize, Deserialize, WalRecord)]
    /// # #[wal(name = "paid")]
    /// # struct Paid(u64);
    /// # #[derive(Default)]
    /// # struct Sum(u64);
    /// # impl State for Sum {
    /// #     type Event = Paid;
    /// #     fn apply(&mut self, event: Paid, _: At) { self.0 += event.0; }
    /// # }
    /// let log = Wal::with_store(MemStore::new())?.typed::<Paid>()?;
    /// let lsns = log.append_batch(&[Paid(1), Paid(20), Paid(300)])?;
    /// assert_eq!(log.as_of::<Sum>(lsns[2])?.state.0, 21);
    /// assert_eq!(log.as_of::<Sum>(Start::Ordinal(1))?.state.0, 1);
    ///
    /// let mut what = log.as_of::<Sum>(lsns[1])?;
    /// what.suppose(Paid(5))?;
    /// assert_eq!(what.state.0, 6);
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    ///
    /// # Errors
    /// As [`rebuild`](Self::rebuild), and as [`Wal::seek`](crate::Wal::seek) of the moment.
    pub fn as_of<S>(&self, moment: impl Into<Start>) -> Result<Rebuilt<S>>
    where
        S: State<Event = E> + Default,
    {
        let mut rebuilt = Rebuilt::empty(self, S::default())?;
        self.wal().drain_to_read()?;
        let before = self.wal().seek(moment)?;
        rebuilt.apply_all(self.replay(..before)?, None)?;
        Ok(rebuilt)
    }

    /// Which events changed something: folds the log, looks at the state with `look` after each event, and hands out those
    /// events in `range` after which it saw something else. Of an event that was split, each part is looked at.
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// # use serde::{Deserialize, Serialize};
    /// # use wal_db::{MemStore, Wal, WalRecord, state::{At, State}};
    /// # #[derive(Serialize, Deserialize, WalRecord)]
    /// # #[wal(name = "paid")]
    /// # struct Paid(u64);
    /// # #[derive(Default)]
    /// # struct Most(u64);
    /// # impl State for Most {
    /// #     type Event = Paid;
    /// #     fn apply(&mut self, event: Paid, _: At) { self.0 = self.0.max(event.0); }
    /// # }
    /// let log = Wal::with_store(MemStore::new())?.typed::<Paid>()?;
    /// let lsns = log.append_batch(&[Paid(5), Paid(3), Paid(7)])?;
    /// let changes: Vec<_> = log.changes(lsns[1].., |most: &Most| most.0)?.collect::<Result<_, _>>()?;
    /// assert_eq!((changes.len(), changes[0].lsn), (1, lsns[2]));
    /// assert_eq!((changes[0].before, changes[0].after), (5, 7));
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    ///
    /// # Errors
    /// As [`rebuild`](Self::rebuild); those of single records come from the iterator.
    pub fn changes<S, T, F>(&self, range: impl RangeBounds<Lsn>, mut look: F) -> Result<Changes<S, T, F, C>>
    where
        S: State<Event = E> + Default,
        T: PartialEq + Clone,
        F: FnMut(&S) -> T,
    {
        let rebuilt = Rebuilt::empty(self, S::default())?;
        self.wal().drain_to_read()?;
        let from = match range.start_bound() {
            Bound::Included(lsn) => *lsn,
            Bound::Excluded(lsn) => Lsn::new(lsn.get().saturating_add(1)),
            Bound::Unbounded => Lsn::ZERO,
        };
        Ok(Changes {
            events: self.replay((Bound::Unbounded, range.end_bound().cloned()))?,
            seen: look(&rebuilt.state),
            rebuilt,
            look,
            from,
            ended: false,
        })
    }
}

/// The events that changed something, oldest first; from [`EventLog::changes`]. It ends after an error.
#[must_use = "nothing is read until the iterator is driven"]
pub struct Changes<S: State, T, F, C = DefaultCodec> {
    events: Replay<S::Event, C>,
    rebuilt: Rebuilt<S>,
    look: F,
    seen: T,
    from: Lsn,
    ended: bool,
}

impl<S: State, T: PartialEq + Clone, F: FnMut(&S) -> T, C: Codec> Changes<S, T, F, C> {
    /// Takes in an event; `None` if nothing changed, or nobody asked about it.
    fn take(&mut self, event: Event<S::Event>) -> Result<Option<Change<T>>> {
        let at = At::of_record(event.lsn, &event.meta, event.part, self.rebuilt.log);
        self.rebuilt.apply(event.event, at, event.parts, None)?;
        let after = (self.look)(&self.rebuilt.state);
        if after == self.seen {
            return Ok(None);
        }
        let before = std::mem::replace(&mut self.seen, after.clone());
        Ok((event.lsn >= self.from).then_some(Change {
            lsn: event.lsn,
            meta: event.meta,
            before,
            after,
        }))
    }
}

impl<S: State, T: PartialEq + Clone, F: FnMut(&S) -> T, C: Codec> Iterator for Changes<S, T, F, C> {
    type Item = Result<Change<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            // Also if `look` panics, and that is caught.
            self.ended = true;
            match self.events.next()?.and_then(|event| self.take(event)) {
                Ok(None) => self.ended = false,
                Ok(Some(change)) => {
                    self.ended = false;
                    return Some(Ok(change));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

impl<S: State, T: PartialEq + Clone, F: FnMut(&S) -> T, C: Codec> FusedIterator for Changes<S, T, F, C> {}

impl<S: State, T, F, C> fmt::Debug for Changes<S, T, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("next", &self.rebuilt.next)
            .field("from", &self.from)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
