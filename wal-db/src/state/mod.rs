//! State that is nothing but the fold of its events: rebuilt from the log at start, then kept by appending
//! first and applying second.

use std::fmt;

use crate::{
    error::{Result, WalError},
    event::{
        EventLog, MetaRef, Replay, WalDecodeOwned,
        codec::{Codec, DefaultCodec},
        meta::Meta,
    },
    lsn::Lsn,
};

/// A value that events change, and nothing else does.
///
/// `apply` must depend on the state and the event alone, or two rebuilds of one log differ: no clock, no randomness, no
/// other input. [`At::replaying`] keeps what is to happen in the world (a mail, a payment) out of rebuilds.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord, state::{At, State}};
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
/// let mut counter = log.live::<Counter>()?;
/// counter.commit(Change::Added(5))?;
/// counter.commit(Change::Added(2))?;
/// assert_eq!(counter.state().0, 7);
///
/// assert_eq!(log.rebuild::<Counter>()?.state.0, 7);
/// # Ok::<(), wal_db::WalError>(())
/// ```
pub trait State {
    /// What changes it.
    type Event: WalDecodeOwned;

    /// Takes one event into the state. Called once for each event, in the order of the log; for each part of one that
    /// was split since it was stored, with the same LSN.
    fn apply(&mut self, event: Self::Event, at: At<'_>);
}

/// Where an event that is applied comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct At<'a> {
    /// The LSN of the event.
    pub lsn: Lsn,
    /// Whether the event was read from the log. False only for an event that [`Live::commit`] has just made
    /// durable: each event is applied so at most once, by the handle that appended it.
    pub replaying: bool,
    /// What it was appended with.
    pub meta: MetaRef<'a>,
}

impl<'a> At<'a> {
    /// An event that is read from the log, without metadata: for tests of `apply`.
    #[must_use]
    pub fn replayed(lsn: Lsn) -> Self {
        At {
            lsn,
            replaying: true,
            meta: MetaRef::default(),
        }
    }

    /// An event that [`Live::commit`] has just made durable, without metadata: for tests of `apply`.
    #[must_use]
    pub fn committed(lsn: Lsn) -> Self {
        At {
            replaying: false,
            ..At::replayed(lsn)
        }
    }

    /// The same event, with metadata.
    #[must_use]
    pub fn with_meta(self, meta: &'a Meta) -> Self {
        At {
            meta: meta.view(),
            ..self
        }
    }
}

/// A state made from a log; see [`EventLog::rebuild`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rebuilt<S> {
    /// The state after the last event.
    pub state: S,
    /// The LSN to continue from: every event that is not in the state has this LSN or a later one.
    pub next: Lsn,
    /// How many events the state was made from.
    pub events: u64,
    /// How many parts of the record at `next` are in the state: 0 but in the middle of an event that was split.
    parts: u32,
}

impl<E: WalDecodeOwned, C: Codec> EventLog<E, C> {
    /// Folds the whole log into a new state.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated) if records were dropped from the beginning of the log: a fold of the
    /// rest would be another state. The first record that cannot be read or is not an event of `E`, as in [`Replay`].
    /// There is no partial state then.
    pub fn rebuild<S>(&self) -> Result<Rebuilt<S>>
    where
        S: State<Event = E> + Default,
    {
        let mut rebuilt = Rebuilt {
            state: S::default(),
            next: Lsn::ZERO,
            events: 0,
            parts: 0,
        };
        let dropped = self.wal().status().head_ordinal > 0;
        if dropped {
            return Err(WalError::Truncated {
                lsn: Lsn::ZERO,
                head: self.wal().status().head,
            });
        }
        rebuilt.apply_all(self.replay(..)?)?;
        Ok(rebuilt)
    }

    /// Rebuilds a state and keeps it up to date from there on. Fails as [`rebuild`](Self::rebuild).
    pub fn live<S>(&self) -> Result<Live<S, C>>
    where
        S: State<Event = E> + Default,
    {
        Ok(Live {
            rebuilt: self.rebuild()?,
            log: self.clone(),
            behind: false,
        })
    }
}

impl<S: State> Rebuilt<S> {
    fn apply_all<C: Codec>(&mut self, events: Replay<S::Event, C>) -> Result<()> {
        for event in events {
            let event = event?;
            if event.lsn == self.next && event.part < self.parts {
                continue;
            }
            self.step(event.lsn, event.part + 1, event.parts);
            let at = At::replayed(event.lsn).with_meta(&event.meta);
            self.state.apply(event.event, at);
        }
        Ok(())
    }

    /// Moves `next` past an event: `parts` of its `of` stored parts are in the state.
    ///
    /// It moves before the event is applied: an `apply` that panics and is caught must not see its event a second
    /// time, and must see the other parts of it.
    fn step(&mut self, lsn: Lsn, parts: u32, of: u32) {
        (self.next, self.parts) = if parts < of {
            (lsn, parts)
        } else {
            (Lsn::new(lsn.get() + 1), 0)
        };
        self.events += 1;
    }
}

/// A state and its log: events go to the disk first and into the state second; see [`EventLog::live`].
///
/// The state is always the fold of a prefix of the log. Others may append to the log as well; their events
/// are applied in their place, by the next [`commit`](Self::commit) or [`catch_up`](Self::catch_up).
pub struct Live<S: State, C: Codec = DefaultCodec> {
    rebuilt: Rebuilt<S>,
    log: EventLog<S::Event, C>,
    /// An event of `commit` is in the log and not yet in the state.
    behind: bool,
}

impl<S: State, C: Codec> Live<S, C> {
    /// Appends an event, waits until it survives power loss, and applies it; returns its LSN.
    ///
    /// # Errors
    /// As [`EventLog::append_and_sync`]; the state is unchanged then. After [`NotDurable`](crate::WalError::NotDurable)
    /// the event is in the log: the next call applies it, and committing it again would store it twice. If an event
    /// that another writer appended in between cannot be read, its error is returned: the event given here is durable
    /// and not yet applied, and no further event is appended until [`catch_up`](Self::catch_up) succeeds.
    pub fn commit(&mut self, event: S::Event) -> Result<Lsn> {
        self.commit_with_meta(event, &Meta::new())
    }

    /// As [`commit`](Self::commit), with metadata, which [`At::meta`] shows when the event is applied. Fails as
    /// [`EventLog::append_with_meta`] as well.
    pub fn commit_with_meta(&mut self, event: S::Event, meta: &Meta) -> Result<Lsn> {
        if self.behind {
            self.catch_up()?;
        }
        self.log.wal().check_followed(self.rebuilt.next)?;
        let lsn = self.log.append_with_meta(&event, meta)?;
        // Whatever comes of the flush, the event is in the log now.
        self.behind = true;
        self.log.wal().ticket(lsn)?.wait()?;
        self.rebuilt.apply_all(self.log.replay(self.rebuilt.next..lsn)?)?;
        self.behind = false;
        self.rebuilt.step(lsn, 1, 1);
        let at = At::committed(lsn).with_meta(meta);
        self.rebuilt.state.apply(event, at);
        Ok(lsn)
    }

    /// Applies what has been appended to the log by others; returns how many events that was.
    ///
    /// # Errors
    /// [`CutBack`](crate::WalError::CutBack) if events that are in the state were cut off by
    /// [`truncate_after`](crate::Wal::truncate_after), and [`Truncated`](crate::WalError::Truncated) if events that are
    /// not in it were dropped: then the state is not that of the log any more, and has to be rebuilt. Otherwise the
    /// first record that cannot be read or is not an event. What precedes it has been applied.
    pub fn catch_up(&mut self) -> Result<u64> {
        let (from, before) = (self.rebuilt.next, self.rebuilt.events);
        self.log.wal().check_followed(from)?;
        let applied = self
            .log
            .replay(from..)
            .and_then(|events| self.rebuilt.apply_all(events));
        if let Err(cut) = self.log.wal().check_followed(from) {
            // It came meanwhile, and the replay has jumped over it. From its old place, every later call reports it.
            self.rebuilt.next = from;
            return Err(cut);
        }
        applied?;
        self.behind = false;
        Ok(self.rebuilt.events - before)
    }

    /// The state after the last event that was applied.
    #[must_use]
    pub fn state(&self) -> &S {
        &self.rebuilt.state
    }

    /// Every event that is not in the state has this LSN or a later one.
    #[must_use]
    pub fn next(&self) -> Lsn {
        self.rebuilt.next
    }

    /// The log below.
    #[must_use]
    pub fn log(&self) -> &EventLog<S::Event, C> {
        &self.log
    }

    /// Ends the upkeep and hands out the state and where it stands.
    #[must_use]
    pub fn into_rebuilt(self) -> Rebuilt<S> {
        self.rebuilt
    }
}

impl<S: State + fmt::Debug, C: Codec> fmt::Debug for Live<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("rebuilt", &self.rebuilt)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "derive", feature = "bincode"))]
#[path = "tests.rs"]
mod tests;
