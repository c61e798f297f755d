//! A state that a thread keeps up to date, beside those who append.

use std::{fmt, time::Duration};

use super::{
    Compacted, PassedOver, Rebuilt, Snapshot, SnapshotStatus, State, StoreConfig,
    following::{Running, Signals},
    snapshots::Keeper,
};
use crate::{
    error::{Result, WalError},
    event::{
        EventLog,
        codec::{Codec, DefaultCodec},
    },
    lsn::Lsn,
    sync::{Arc, AtomicU64, Deadline, OnceLock, Ordering, RwLock},
};

/// A state that follows its log in a thread of its own, from [`EventLog::project`]: a cheap handle, whose clones share the
/// state. Where a [`Store`](super::Store) decides and has appends wait for each other, a projection only reads: nobody
/// waits for it, and it is some microseconds late. It shows only what is durable.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// # use std::time::Duration;
/// # use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord, state::{At, State, StoreConfig}};
///
/// #[derive(Clone, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "paid")]
/// struct Paid { by: String, cents: u64 }
///
/// #[derive(Default)]
/// struct Total(u64);
///
/// impl State for Total {
///     type Event = Paid;
///     fn apply(&mut self, event: Paid, _: At) { self.0 += event.cents; }
/// }
///
/// #[derive(Default)]
/// struct Payers(std::collections::BTreeSet<String>);
///
/// impl State for Payers {
///     type Event = Paid;
///     fn apply(&mut self, event: Paid, _: At) { self.0.insert(event.by); }
/// }
///
/// let log = Wal::with_store(MemStore::new())?.typed::<Paid>()?;
/// let (total, payers) = log.project((StoreConfig::<Total>::new(), StoreConfig::<Payers>::new()))?;
///
/// let lsn = log.append_and_sync(&Paid { by: "ann".into(), cents: 5 })?;
/// assert!(total.wait_for(lsn, Duration::from_secs(10))?);
/// assert_eq!(total.read(|total| total.0)?, 5);
/// assert!(payers.wait_for(lsn, Duration::from_secs(10))?);
/// assert!(payers.read(|payers| payers.0.contains("ann"))?);
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// # When it ends
/// A projection that cannot go on says why at each use: a record that cannot be read, an
/// [`apply`](State::apply) that panics, events that it has not seen and that were dropped, a log that has failed. What it
/// has come to can still be [looked at](Self::peek). If the end of the log is [cut off](crate::Wal::truncate_after), the state is made
/// again, and shown once it has come as far as the log.
pub struct Projection<S: State, C: Codec = DefaultCodec> {
    /// Dropped first: the thread ends while this has the log, which may be closed by the last one that has it.
    running: Arc<Running>,
    shown: Arc<Shown<S, C>>,
}

/// What can be seen of a projection.
pub(super) struct Shown<S: State, C: Codec> {
    keeper: Option<Keeper<S, C>>,
    pub(super) log: EventLog<S::Event, C>,
    pub(super) signals: Arc<Signals>,
    /// Changed by the thread only.
    state: RwLock<Rebuilt<S>>,
    /// Every event before it is in the state.
    came_to: AtomicU64,
    ended: OnceLock<Arc<WalError>>,
    began_with: Option<Snapshot>,
    passed_over: Vec<PassedOver>,
    fresh: fn() -> S,
}

impl<S: State, C: Codec> Shown<S, C> {
    pub(super) fn open(
        log: &EventLog<S::Event, C>,
        config: &StoreConfig<S, C>,
        signals: Arc<Signals>,
    ) -> Result<Self>
    where
        S: Default,
    {
        let keeper = config.keeper(log, S::default)?;
        let (state, began_with, passed_over) = signals.folding.unless_cut(|| match &keeper {
            Some(keeper) => keeper.snapshots.begin(Lsn::new(u64::MAX)),
            None => Ok((Rebuilt::empty(log, S::default())?, None, Vec::new())),
        })?;
        if let Some(keeper) = &keeper {
            keeper.begun_with(began_with.clone());
        }
        Ok(Shown {
            keeper,
            log: log.clone(),
            signals,
            came_to: AtomicU64::new(state.next.get()),
            state: RwLock::new(state),
            ended: OnceLock::new(),
            began_with,
            passed_over,
            fresh: S::default,
        })
    }

    /// A state to begin with again.
    pub(super) fn begin(&self) -> Result<Rebuilt<S>> {
        match &self.keeper {
            Some(keeper) => Ok(keeper.snapshots.begin(Lsn::new(u64::MAX))?.0),
            None => Rebuilt::empty(&self.log, (self.fresh)()),
        }
    }

    pub(super) fn next(&self) -> Lsn {
        Lsn::new(self.came_to.load(Ordering::Acquire))
    }

    pub(super) fn read_to(&self) -> Lsn {
        self.state.read().read_to()
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Rebuilt<S>) -> T) -> T {
        let mut state = self.state.write();
        let changed = change(&mut state);
        let next = state.next;
        if self.has_ended() {
            // It does not have the event at which it has ended.
            return changed;
        }
        self.came_to.store(next.get(), Ordering::Release);
        drop(state);
        if let Some(keeper) = &self.keeper {
            keeper.reached(next);
        }
        changed
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    pub(super) fn end(&self, why: &Arc<WalError>) {
        // The first reason stays.
        let _ = self.ended.set(why.clone());
        self.signals.changed.ring();
    }

    fn check_followed(&self) -> Result<()> {
        match self.ended.get() {
            None => Ok(()),
            Some(why) if matches!(**why, WalError::Closed) => Err(WalError::Closed),
            Some(why) => Err(WalError::ProjectionEnded { why: why.clone() }),
        }
    }

    /// That there is a state.
    fn check_whole(&self) -> Result<()> {
        match self.ended.get().map(|why| &**why) {
            Some(WalError::ApplyPanicked { .. }) => self.check_followed(),
            _ => Ok(()),
        }
    }

    fn look<T>(
        &self,
        check: impl FnOnce(&Self) -> Result<()>,
        see: impl FnOnce(&Rebuilt<S>) -> T,
    ) -> Result<T> {
        self.signals.folding.check_outside()?;
        let state = self.state.read();
        // It may have ended while the state was waited for.
        check(self)?;
        Ok(self.signals.folding.in_closure(|| see(&state)))
    }

    fn keeper(&self) -> Result<&Keeper<S, C>> {
        self.log.wal().folding()?;
        self.keeper.as_ref().ok_or_else(|| WalError::Config {
            what: "the projection keeps no snapshots; make it with StoreConfig::with_snapshots".to_owned(),
        })
    }
}

/// How a projection is doing, from [`Projection::status`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectionStatus {
    /// Every event that is not in the state has this LSN or a later one.
    pub next: Lsn,
    /// How many events the state was made from.
    pub events: u64,
    /// The LSN of the last event in the state.
    pub last: Option<Lsn>,
    /// The latest time that the metadata of an event in the state gives, in microseconds since 1970-01-01 00:00 UTC.
    pub time_us: Option<i64>,
    /// Why it follows the log no more; `None` as long as it does.
    pub failure: Option<String>,
}

impl<S: State, C: Codec> Projection<S, C> {
    pub(super) fn new(shown: Arc<Shown<S, C>>, running: Arc<Running>) -> Self {
        Projection { shown, running }
    }

    /// Shows the state as it is at the moment, and returns what `see` makes of it. The projection does not go on meanwhile, and
    /// `see` cannot use the log.
    ///
    /// # Errors
    /// [`ProjectionEnded`](WalError::ProjectionEnded), [`Closed`](WalError::Closed): it follows the log no more.
    /// [`Reentrant`](WalError::Reentrant) inside what a state or the log waits for.
    pub fn read<T>(&self, see: impl FnOnce(&S) -> T) -> Result<T> {
        self.shown
            .look(Shown::check_followed, |rebuilt| see(&rebuilt.state))
    }

    /// As [`read`](Self::read), also when the projection has ended; unless that is because `apply` has panicked, after which
    /// there is no state.
    pub fn peek<T>(&self, see: impl FnOnce(&S) -> T) -> Result<T> {
        self.shown.look(Shown::check_whole, |rebuilt| see(&rebuilt.state))
    }

    /// A copy of the state, which nothing holds up and nothing changes, with where it stands. Fails as [`read`](Self::read).
    pub fn view(&self) -> Result<Rebuilt<S>>
    where
        S: Clone,
    {
        self.shown.look(Shown::check_followed, Clone::clone)
    }

    /// Waits until the state has every event up to the one at `lsn`, but not longer than `timeout`; whether it has. So a program
    /// reads what it has just written. It does not make the event durable, without which the projection does not see it. An
    /// event that was cut off is not waited for.
    ///
    /// # Errors
    /// [`BeyondEnd`](WalError::BeyondEnd) if `lsn` lies after the end of the log, unless the writer is in another process;
    /// as [`read`](Self::read).
    #[must_use = "it may not have the event yet"]
    pub fn wait_for(&self, lsn: Lsn, timeout: Duration) -> Result<bool> {
        let shown = &*self.shown;
        shown.signals.folding.check_outside()?;
        if !shown.signals.folding.is_read_only() {
            shown.log.wal().check_end(lsn)?;
        }
        let deadline = Deadline::after(timeout);
        loop {
            if shown.next() > lsn {
                return Ok(true);
            }
            shown.check_followed()?;
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            shown
                .signals
                .changed
                .sleep_unless(left, || shown.next() > lsn || shown.has_ended());
        }
    }

    /// How it is doing.
    ///
    /// # Errors
    /// [`Reentrant`](WalError::Reentrant), and that of a log in a process that was forked off.
    pub fn status(&self) -> Result<ProjectionStatus> {
        let failure = self.shown.ended.get().map(|why| format!("{why:?}"));
        let any = |_: &Shown<S, C>| Ok(());
        self.shown.look(any, |rebuilt| ProjectionStatus {
            next: rebuilt.next,
            events: rebuilt.events,
            last: rebuilt.last,
            time_us: rebuilt.time_us,
            failure,
        })
    }

    /// The log below.
    #[must_use]
    pub fn log(&self) -> &EventLog<S::Event, C> {
        &self.shown.log
    }
}

/// # Snapshots
/// With [`StoreConfig::with_snapshots`].
impl<S: State, C: Codec> Projection<S, C> {
    /// The snapshot that it began with; `None` if that was the beginning of the log.
    #[must_use]
    pub fn began_with(&self) -> Option<&Snapshot> {
        self.shown.began_with.as_ref()
    }

    /// Newer snapshots that could not be used, and why.
    #[must_use]
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.shown.passed_over
    }

    /// Makes a snapshot of everything that was durable before the call, as [`Store::snapshot`](super::Store::snapshot) does.
    pub fn snapshot(&self) -> Result<Option<Snapshot>> {
        self.shown.keeper()?.make()
    }

    /// How the snapshots are doing that are made in the background; as [`Store::snapshot_status`](super::Store::snapshot_status).
    pub fn snapshot_status(&self) -> Result<SnapshotStatus> {
        Ok(self.shown.keeper()?.status())
    }

    /// Drops from the beginning of the log what no state with snapshots and no consumer needs; see
    /// [`Store::compact`](super::Store::compact).
    pub fn compact(&self) -> Result<Compacted> {
        self.shown.keeper()?.compact()
    }
}

impl<S: State, C: Codec> Clone for Projection<S, C> {
    fn clone(&self) -> Self {
        Projection {
            shown: self.shown.clone(),
            running: self.running.clone(),
        }
    }
}

impl<S: State, C: Codec> fmt::Debug for Projection<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projection")
            .field("log", self.shown.log.wal())
            .field("next", &self.shown.next())
            .finish_non_exhaustive()
    }
}
