//! A state for each stream, of which those in use are in memory.

use std::{cell::RefCell, fmt};

use super::{
    At, Decided, Decision, EntitiesStatus, Now, Pending, Rebuilt, State, TransactError, cache::Cache,
    decide::Basis, transact::Taken,
};
use crate::{
    error::{Result, WalError},
    event::{
        WalDecodeOwned,
        codec::{Codec, DefaultCodec},
        meta::{Meta, StreamKey},
    },
    index::{Indexed, Item, Query, Wanted},
    log::{Counting, Placed, There},
    lsn::Lsn,
    sync::{Arc, thread_local},
};

/// A state for each stream of a log, for any number of threads: a cheap handle, whose clones share the states. Where a
/// [`Store`](super::Store) has all of them in memory, this has as many as fit and folds another one when it is asked for, from
/// the events that the index finds.
///
/// An entity is what the events of one stream are about: an account, an order. What has no event is the default state.
/// Decisions about different entities do not wait for each other, but for the short moment of an append. What others append to
/// the stream of an entity is seen by the next use of it.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord, state::{At, Decision, EntitiesConfig, State, TransactError}};
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "account")]
/// enum Booking { Paid(u64), Withdrawn(u64) }
///
/// #[derive(Default)]
/// struct Account { cents: u64 }
///
/// impl State for Account {
///     type Event = Booking;
///
///     fn apply(&mut self, event: Booking, _: At) {
///         match event {
///             Booking::Paid(cents) => self.cents += cents,
///             Booking::Withdrawn(cents) => self.cents = self.cents.saturating_sub(cents),
///         }
///     }
/// }
///
/// let log = Wal::with_store(MemStore::new())?.typed::<Booking>()?.indexed()?;
/// let accounts = log.entities::<Account>(EntitiesConfig::new().with_cached(1000));
/// let pay = |name: &str, cents: u64| {
///     accounts.transact(name, |account, _| match account.cents.checked_add(cents) {
///         Some(sum) => Ok(Decision::new(sum).event(Booking::Paid(cents))),
///         None => Err("too much"),
///     })
/// };
/// let withdraw = |name: &str, cents: u64| {
///     accounts.transact(name, |account, _| match account.cents.checked_sub(cents) {
///         Some(left) => Ok(Decision::new(left).event(Booking::Withdrawn(cents))),
///         None => Err("not enough"),
///     })
/// };
/// assert_eq!(pay("ann", 100).expect("it fits").value, 100);
/// assert_eq!(withdraw("ann", 70).expect("it is there").value, 30);
/// assert!(matches!(withdraw("ann", 70), Err(TransactError::Refused("not enough"))));
/// assert!(matches!(withdraw("bob", 1), Err(TransactError::Refused("not enough"))));
/// assert_eq!(accounts.read("ann", |account| account.cents)?, 30);
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// Closures that are given to it, [`State::apply`], and whatever encodes, decodes, makes or drops events and states must not
/// use the log: that is [`Reentrant`](crate::WalError::Reentrant).
///
/// # After a failure
/// If [`apply`](State::apply) panics, the event is a fact all the same, and the next use folds the entity again. So it does if
/// the end of the log was [cut off](crate::Wal::truncate_after). An event that cannot be decoded is an error of its entity,
/// and of no other; a record whose header cannot be read may be in any stream, and is one of all.
pub struct Entities<S: State, C: Codec = DefaultCodec> {
    shared: Arc<Shared<S, C>>,
}

struct Shared<S: State, C: Codec> {
    log: Indexed<S::Event, C>,
    cache: Cache<S>,
    dropped: bool,
}

/// Settings of [`Entities`].
///
/// ```
/// let config = wal_db::state::EntitiesConfig::new().with_cached(100_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it changes nothing by itself"]
pub struct EntitiesConfig {
    cached: usize,
    dropped: bool,
}

impl EntitiesConfig {
    /// The defaults.
    pub const fn new() -> Self {
        EntitiesConfig {
            cached: 10_000,
            dropped: false,
        }
    }

    /// How many entities are kept in memory, of those that were used lately; 10,000 if nothing is said. With 0, each use folds
    /// the entity that it is about.
    pub const fn with_cached(mut self, entities: usize) -> Self {
        self.cached = entities;
        self
    }

    /// Whether entities are made from the events that the log still has when its beginning was dropped. If not, which is the
    /// default, each use says [`Truncated`](crate::WalError::Truncated) then, because an entity may lack its first events.
    ///
    /// They are enough where the program has appended, for each entity that it still needs, an event that says all of its state,
    /// and drops only what comes before these.
    pub const fn with_dropped(mut self, dropped: bool) -> Self {
        self.dropped = dropped;
        self
    }
}

impl Default for EntitiesConfig {
    fn default() -> Self {
        EntitiesConfig::new()
    }
}

/// # Entities
impl<E: WalDecodeOwned, C: Codec> Indexed<E, C> {
    /// A state for each stream. Nothing is read before one is asked for.
    ///
    /// Events of types that `E` does not have are passed over if they are [through this handle](Self::with_others).
    #[must_use]
    pub fn entities<S>(&self, config: EntitiesConfig) -> Entities<S, C>
    where
        S: State<Event = E> + Default,
    {
        Entities {
            shared: Arc::new(Shared {
                log: self.clone(),
                cache: Cache::of(config.cached),
                dropped: config.dropped,
            }),
        }
    }
}

impl<S: State + Default, C: Codec> Entities<S, C> {
    /// Decides on the newest state of an entity, appends the events of the decision in its stream, applies them, and returns the
    /// answer once the events and all that it rests on survive power loss. A refusal waits for that, too. The next decision
    /// about the entity does not wait for it.
    ///
    /// Nothing comes in the stream between the state that `decide` sees and its events. Where something may have come
    /// meanwhile, `decide` is asked again, so it should do nothing but decide. If it panics, nothing is appended and the panic
    /// goes on.
    ///
    /// An event whose metadata names another stream goes there, and is not applied to this entity.
    ///
    /// # Errors
    /// [`Refused`](TransactError::Refused): what `decide` said. Otherwise [`Wal`](TransactError::Wal) with those of
    /// [`read`](Self::read), except that a full disk is [`Full`](crate::WalError::Full), and of
    /// [`EventLog::append_batch_with_meta`](crate::EventLog::append_batch_with_meta), of which nothing was appended;
    /// [`ApplyPanicked`](crate::WalError::ApplyPanicked), which says whether the events are in the log;
    /// [`NotDurable`](crate::WalError::NotDurable) and [`InDoubt`](crate::WalError::InDoubt) as for
    /// [`Wal::append_and_sync`](crate::Wal::append_and_sync).
    pub fn transact<'k, A, X>(
        &self,
        key: impl Into<StreamKey<'k>>,
        decide: impl FnMut(&S, &Now) -> Result<Decision<S::Event, A>, X>,
    ) -> Result<Decided<A>, TransactError<X>> {
        let taken = self.take_in(None, key.into(), decide)?;
        taken.wait(self.shared.log.counting())
    }

    /// As [`transact`](Self::transact), for a command that may come again: its events get the id, as
    /// [`Condition::command`](crate::index::Condition::command) has it.
    ///
    /// # Errors
    /// As [`transact`](Self::transact); [`Duplicate`](crate::WalError::Duplicate) if it was carried out before, on whatever
    /// entity, told once that is durable. `decide` is not asked then. A command that was refused can be tried again.
    pub fn transact_once<'k, A, X>(
        &self,
        command: [u8; 16],
        key: impl Into<StreamKey<'k>>,
        decide: impl FnMut(&S, &Now) -> Result<Decision<S::Event, A>, X>,
    ) -> Result<Decided<A>, TransactError<X>> {
        let log = &self.shared.log;
        let taken = self.take_in(Some(command), key.into(), decide);
        taken
            .map_err(|error| log.once_durable(error))?
            .wait(log.counting())
    }

    /// As [`transact`](Self::transact), without the wait: what is returned says when the answer can be given.
    ///
    /// # Errors
    /// Those of [`transact`](Self::transact) that come before the wait. A refusal comes after it.
    pub fn submit<'k, A, X>(
        &self,
        key: impl Into<StreamKey<'k>>,
        decide: impl FnMut(&S, &Now) -> Result<Decision<S::Event, A>, X>,
    ) -> Result<Pending<A, X>> {
        let log = &self.shared.log;
        let taken = self.take_in(None, key.into(), decide)?;
        taken.pending(log.counting(), log.log().wal())
    }

    /// Shows an entity with everything that was appended to its stream before the call, and returns what `see` makes of it once
    /// all that it rests on survives power loss. Decisions about the entity may wait until `see` has ended.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated) if the beginning of the log was dropped, unless
    /// [that is allowed](EntitiesConfig::with_dropped). Otherwise as [`Indexed::stream`] and reading what it returns, and as
    /// [`Wal::sync`](crate::Wal::sync); [`ApplyPanicked`](crate::WalError::ApplyPanicked).
    pub fn read<'k, T>(&self, key: impl Into<StreamKey<'k>>, see: impl FnOnce(&S) -> T) -> Result<T> {
        let log = &self.shared.log;
        let (seen, rests_on) = self.look(key.into(), see, |entity, next| log.rests_on(entity, next))?;
        log.counting().sync_to(rests_on)?;
        Ok(seen)
    }

    /// As [`read`](Self::read), without the wait: a power loss may take back what it shows. In a log that has failed, it shows
    /// the last state of an entity that is in memory, unless somebody else has appended to its stream since.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for those of the wait.
    pub fn peek<'k, T>(&self, key: impl Into<StreamKey<'k>>, see: impl FnOnce(&S) -> T) -> Result<T> {
        Ok(self.look(key.into(), see, |_, _| Ok(()))?.0)
    }

    /// How many entities are in memory, and how often one was that was asked for.
    ///
    /// # Errors
    /// [`Closed`](WalError::Closed), [`Poisoned`](WalError::Poisoned) in a child of the process,
    /// [`Reentrant`](WalError::Reentrant).
    pub fn status(&self) -> Result<EntitiesStatus> {
        let Shared { log, cache, .. } = &*self.shared;
        log.counting().check_usable()?;
        Ok(cache.status())
    }

    /// The log below.
    #[must_use]
    pub fn log(&self) -> &Indexed<S::Event, C> {
        &self.shared.log
    }

    fn take_in<A, X>(
        &self,
        command: Option<[u8; 16]>,
        key: StreamKey<'_>,
        mut decide: impl FnMut(&S, &Now) -> Result<Decision<S::Event, A>, X>,
    ) -> Result<Taken<A, X>> {
        let log = &self.shared.log;
        self.with(key, |entity, queries| {
            log.decide_on(command, queries, entity, |state, now| {
                decide(state, now).map(|decision| decision.in_stream(key))
            })
        })
    }

    /// Runs `see` on the newest state, after `rests_on` has said what that rests on.
    fn look<T, R>(
        &self,
        key: StreamKey<'_>,
        see: impl FnOnce(&S) -> T,
        rests_on: impl Fn(&Deciding<'_, S>, Lsn) -> Result<R>,
    ) -> Result<(T, R)> {
        let log = &self.shared.log;
        let mut see = Some(see);
        self.with(key, |entity, queries| {
            let next = log.next();
            let caught_up = entity.catch_up(log, queries, next);
            caught_up.map_err(WalError::of_what_was_taken)?;
            let rests_on = rests_on(entity, next)?;
            let Some(see) = see.take() else {
                unreachable!("nothing fails after it");
            };
            let seen = log.counting().in_closure(|| see(entity.shown()));
            Ok((seen, rests_on))
        })
    }

    /// Runs something on an entity while nobody else uses it; again, on a new state, if this one is not the fold of the log any
    /// more.
    fn with<T>(
        &self,
        key: StreamKey<'_>,
        mut run: impl FnMut(&mut Deciding<'_, S>, &[Vec<Wanted<'_>>]) -> Result<T>,
    ) -> Result<T> {
        let Shared { log, cache, dropped } = &*self.shared;
        let (counting, dropped) = (log.counting(), *dropped);
        counting.check_usable()?;
        let item = Item::any().stream(key);
        let kept = cache.get(&item);
        let query = Query::from(item);
        let queries = [log.wanted(&query)?];
        let _held = Held::of(log.address())?;
        let mut kept = kept.lock();
        let mut dropped_to = None;
        loop {
            let was_kept = kept.is_some();
            let entity = kept.get_or_insert_with(|| {
                let state = counting.in_closure(S::default);
                Entity::before_any_event(log.log().wal().log_id(), state)
            });
            let ran = run(&mut Deciding { key, entity, dropped }, &queries);
            let is_another_log = match &ran {
                Err(WalError::CutBack { .. }) => true,
                // Or it was dropped a moment ago.
                Err(WalError::Truncated { head, .. }) => {
                    was_kept || dropped && dropped_to.replace(*head) != Some(*head)
                }
                Err(WalError::ApplyPanicked { .. }) => false,
                _ => return ran,
            };
            *kept = None;
            if !is_another_log {
                return ran;
            }
        }
    }
}

thread_local! {
    /// The logs of which this thread has an entity locked.
    static HELD: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// This thread has an entity of a log locked, and would wait for itself if code of the program that runs meanwhile, wherever
/// that is, asked for another one: two threads might do so the other way round.
struct Held(usize);

impl Held {
    fn of(log: usize) -> Result<Held> {
        let is_held = HELD.try_with(|held| {
            let is_held = held.borrow().contains(&log);
            if !is_held {
                held.borrow_mut().push(log);
            }
            is_held
        });
        // A list that is gone has nothing in it: the thread ends.
        match is_held.unwrap_or(false) {
            true => Err(WalError::Reentrant),
            false => Ok(Held(log)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // There is nothing to take from a list that is gone.
        let _ = HELD.try_with(|held| held.borrow_mut().retain(|log| *log != self.0));
    }
}

/// The state of a stream, as it is kept.
pub(super) struct Entity<S> {
    rebuilt: Rebuilt<S>,
    /// The first event in it.
    first: Option<Lsn>,
    /// Up to where the log has to be durable for everything in it to be.
    rests_on: u64,
}

impl<S: State> Entity<S> {
    fn before_any_event(log: [u8; 16], state: S) -> Self {
        Entity {
            rebuilt: Rebuilt::before_any_event(log, state),
            first: None,
            rests_on: 0,
        }
    }
}

/// The state of a stream, as it is decided on.
struct Deciding<'s, S> {
    key: StreamKey<'s>,
    entity: &'s mut Entity<S>,
    /// Whether the log may lack its beginning.
    dropped: bool,
}

impl<S: State> Basis for Deciding<'_, S> {
    type Event = S::Event;
    type Shown = S;

    fn shown(&self) -> &S {
        &self.entity.rebuilt.state
    }

    fn catch_up<C: Codec>(
        &mut self,
        log: &Indexed<S::Event, C>,
        queries: &[Vec<Wanted<'_>>],
        next: Lsn,
    ) -> Result<()> {
        let from = self.entity.rebuilt.next;
        self.check(&log.counting().there(), from)?;
        if from == next {
            return Ok(());
        }
        let folded = self.fold(log, queries, next);
        // Some of it may have been cut off or dropped a moment ago: whatever came of the rest then.
        let there = log.counting().there();
        self.check(&there, from)?;
        self.check(&there, next)?;
        folded
    }

    fn last(&self) -> Option<Lsn> {
        self.entity.rebuilt.last
    }

    fn rests_on(&self, _: &Counting) -> Result<u64> {
        Ok(self.entity.rests_on)
    }

    fn time_us(&self) -> Option<i64> {
        self.entity.rebuilt.time_us
    }

    fn take(
        &mut self,
        counting: &Counting,
        (lsns, placed): (&[Lsn], Placed),
        events: Vec<(S::Event, Meta)>,
    ) -> Result<()> {
        for (lsn, (event, meta)) in lsns.iter().zip(events) {
            if meta.stream() == Some(self.key) {
                self.entity.first.get_or_insert(*lsn);
                self.entity.rests_on = placed.end();
                let at = At::committed(*lsn).with_meta(&meta);
                self.entity.rebuilt.apply(event, at, 1, Some(counting))?;
            }
        }
        Ok(())
    }
}

impl<S: State> Deciding<'_, S> {
    /// That the log has what the entity has taken in, and everything from `next` on, as it was.
    fn check(&self, there: &There, next: Lsn) -> Result<()> {
        there.check_followed(next)?;
        if next > Lsn::ZERO {
            there.check_kept(next)?;
        }
        match (self.dropped, self.entity.first) {
            (false, _) => there.check_whole(),
            (true, Some(first)) if there.is_dropped(first) => Err(there.truncated(first)),
            (true, _) => Ok(()),
        }
    }

    fn fold<C: Codec>(
        &mut self,
        log: &Indexed<S::Event, C>,
        queries: &[Vec<Wanted<'_>>],
        next: Lsn,
    ) -> Result<()> {
        let (counting, entity) = (log.counting(), &mut *self.entity);
        let (from, before) = (entity.rebuilt.next, entity.rebuilt.events);
        let from = Some(from).filter(|from| *from > Lsn::ZERO);
        for wanted in queries {
            let events = log.find(wanted, from, next, || log.drain())?;
            let events = events.in_closures(counting).inspect(|event| {
                if let Ok(event) = event {
                    entity.first.get_or_insert(event.lsn);
                }
            });
            let applied = entity.rebuilt.apply_all(events, Some(counting));
            // Also of those before one that cannot be read.
            if let Some(last) = entity.rebuilt.last.filter(|_| entity.rebuilt.events > before) {
                entity.rests_on = counting.durable_target(last)?;
            }
            applied?;
        }
        entity.rebuilt.has_all_before(next);
        Ok(())
    }
}

impl<S: State, C: Codec> Clone for Entities<S, C> {
    fn clone(&self) -> Self {
        Entities {
            shared: self.shared.clone(),
        }
    }
}

impl<S: State, C: Codec> fmt::Debug for Entities<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entities")
            .field("log", self.shared.log.log().wal())
            .finish_non_exhaustive()
    }
}
