//! A state that is kept up to date, for any number of threads.

use std::fmt;

use super::{At, Rebuilt, State};
use crate::{
    error::{Result, WalError},
    event::{
        EventLog, WalDecodeOwned,
        codec::{Codec, DefaultCodec},
        meta::Meta,
    },
    log::{Alone, Counting},
    lsn::Lsn,
    sync::{Arc, Mutex, RwLock},
};

/// Settings of a [`Store`].
///
/// ```
/// use wal_db::state::StoreConfig;
///
/// let config = StoreConfig::new().with_others(true);
/// # let _ = config;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "it changes nothing by itself"]
pub struct StoreConfig {
    others: bool,
}

impl StoreConfig {
    /// The defaults.
    pub fn new() -> Self {
        StoreConfig::default()
    }

    /// Whether the log may hold records of other types, which are passed over as
    /// [`Replay::among_others`](crate::Replay::among_others) does. If not, which is the default, such a record is an error.
    pub fn with_others(mut self, others: bool) -> Self {
        self.others = others;
        self
    }
}

/// A state and its log, for any number of threads: a cheap handle, whose clones share the state.
///
/// * [`transact`](Self::transact) decides on the state, appends what was decided, applies it, and returns when it is
///   durable. Between the decision and its events comes no other record of the log. Threads share flushes: no decision
///   waits for the flush of another.
/// * [`read`](Self::read) shows the newest state, and returns when that is durable.
///
/// The state is always the fold of the log. Others may append to the log as well, through any handle; the next use of the
/// store applies that first. It is read from the log, so appending through the store is faster. If the end of the log is
/// [cut off](crate::Wal::truncate_after), the next use folds the log again, which takes as long as opening the store, and
/// is impossible if the beginning was dropped meanwhile: each use says [`Truncated`](crate::WalError::Truncated) then.
///
/// While a store exists, all appends to its log wait for each other in one short queue, and for decisions. Closures that
/// are given to a store, [`State::apply`], and whatever encodes, decodes, makes or drops events and states must not append
/// to its log: those calls return [`Reentrant`](crate::WalError::Reentrant), and in closures so do those that read. They
/// should be short, and wait for no other thread.
///
/// # After a failure
/// Where a disk is full or a write fails, answers tell it: see [`transact`](Self::transact). [`peek`](Self::peek) shows the
/// last state after a failure. If `apply` panics, the event is a fact all the same, and the next use folds the log again.
pub struct Store<S: State, C: Codec = DefaultCodec> {
    shared: Arc<Shared<S, C>>,
}

pub(super) struct Shared<S: State, C: Codec> {
    /// Dropped before the log, which may be closed by that.
    pub(super) counting: Counting,
    pub(super) log: EventLog<S::Event, C>,
    config: StoreConfig,
    fresh: fn() -> S,
    /// Changed only by the thread that appends alone.
    pub(super) kept: RwLock<Kept<S>>,
    /// A copy, and of which change it is.
    viewed: Mutex<Option<(u64, Arc<Rebuilt<S>>)>>,
}

/// The state, and what is known of it.
pub(super) struct Kept<S> {
    pub(super) rebuilt: Rebuilt<S>,
    /// What [`Counting::passed`] was when all that was in the log was in the state; `None` if it never was.
    passed: Option<u64>,
    /// Up to where the log has to be durable for everything in the state to be.
    pub(super) rests_on: u64,
    /// Moves with every change.
    pub(super) changes: u64,
    /// `apply` has panicked, and the state is none.
    broken: Option<Broken>,
}

struct Broken {
    lsn: Lsn,
    message: String,
    /// The log was folded again, to no avail, after so many cuts.
    again: Option<u64>,
}

impl Broken {
    fn error(&self) -> WalError {
        WalError::ApplyPanicked {
            lsn: self.lsn,
            replaying: true,
            message: self.message.clone(),
        }
    }
}

impl<E: WalDecodeOwned, C: Codec> EventLog<E, C> {
    /// Folds the log into a state and keeps that up to date from there on.
    ///
    /// A log can have several stores. Each has to read what the others append, so states that change together are better
    /// one: a tuple, for example.
    ///
    /// # Errors
    /// As [`rebuild`](Self::rebuild); [`ReadOnly`](crate::WalError::ReadOnly).
    pub fn store<S>(&self, config: StoreConfig) -> Result<Store<S, C>>
    where
        S: State<Event = E> + Default,
    {
        let shared = Shared {
            counting: self.wal().count_records()?,
            log: self.clone(),
            config,
            fresh: S::default,
            kept: RwLock::new(Kept::of(Rebuilt::empty(self, S::default())?)),
            viewed: Mutex::new(None),
        };
        // Most of it while others append, and what they append meanwhile alone.
        shared.kept.write().fold(&shared)?;
        shared.pass().map_err(WalError::of_what_was_taken)?.leave(None)?;
        Ok(Store {
            shared: Arc::new(shared),
        })
    }
}

impl<S: State> Kept<S> {
    fn of(rebuilt: Rebuilt<S>) -> Self {
        Kept {
            rebuilt,
            passed: None,
            rests_on: 0,
            changes: 0,
            broken: None,
        }
    }

    /// Takes in what the store of the log holds after the state.
    fn fold<C: Codec>(&mut self, shared: &Shared<S, C>) -> Result<()> {
        let before = self.rebuilt.events;
        let mut events = shared.log.replay(self.rebuilt.next..)?;
        if shared.config.others {
            events = events.among_others();
        }
        let folded = self.rebuilt.apply_all(events, Some(&shared.counting));
        self.note(&folded);
        if let Some(last) = self.rebuilt.last.filter(|_| self.rebuilt.events > before) {
            self.changes += 1;
            self.rests_on = self.rests_on.max(shared.counting.durable_target(last)?);
        }
        folded
    }

    fn is_current(&self, passed: u64) -> bool {
        self.passed == Some(passed) && self.broken.is_none()
    }

    fn note(&mut self, applied: &Result<()>) {
        if let Err(WalError::ApplyPanicked { lsn, message, .. }) = applied {
            self.broken = Some(Broken {
                lsn: *lsn,
                message: message.clone(),
                again: None,
            });
        }
    }

    /// Takes in events that were appended with nothing between them and those in the state; `passed` counts them.
    pub(super) fn take(
        &mut self,
        events: impl Iterator<Item = (Lsn, (S::Event, Meta))>,
        counting: &Counting,
        (rests_on, passed): (u64, u64),
    ) -> Result<()> {
        self.changes += 1;
        self.passed = Some(passed);
        self.rests_on = self.rests_on.max(rests_on);
        let mut applied = Ok(());
        for (lsn, (event, meta)) in events {
            let at = At::committed(lsn).with_meta(&meta);
            applied = self.rebuilt.apply(event, at, 1, Some(counting));
            if applied.is_err() {
                break;
            }
        }
        self.note(&applied);
        applied
    }
}

impl<S: State, C: Codec> Shared<S, C> {
    /// Waits until nobody else appends, and has everything in the state that is in the log. Errors are of the write where
    /// what others have appended cannot be put where it can be read.
    pub(super) fn pass(&self) -> Result<Alone<'_>> {
        let is_current = || self.kept.read().is_current(self.counting.passed());
        let alone = self.counting.pass()?;
        if is_current() {
            return Ok(alone);
        }
        // That may wait for a flush, and others append meanwhile.
        drop(alone);
        if !self.counting.has_failed() {
            self.counting.drain()?;
        }
        let alone = self.counting.pass()?;
        if !is_current() {
            self.catch_up()?;
        }
        Ok(alone)
    }

    /// With nobody else appending.
    #[cold]
    fn catch_up(&self) -> Result<()> {
        let (passed, cuts) = (self.counting.passed(), self.counting.cuts());
        if !self.counting.has_failed() {
            self.counting.drain()?;
        }
        let mut kept = self.kept.write();
        // A log that has failed takes nothing, and does not say what it has not written.
        let is_last = self.counting.has_failed();
        match &kept.broken {
            Some(broken) if is_last || broken.again == Some(cuts) => return Err(broken.error()),
            _ if is_last => return Ok(()),
            _ => {}
        }
        let next = kept.rebuilt.next;
        let is_cut = matches!(self.log.wal().check_followed(next), Err(WalError::CutBack { .. }));
        let folded = match kept.broken.is_some() || is_cut {
            false => kept.fold(self),
            true => self.fold_again(&mut kept, cuts),
        };
        folded?;
        kept.passed = Some(passed);
        Ok(())
    }

    /// Begins with a new state. One that ends at a record that cannot be read is a fold of what is before.
    fn fold_again(&self, kept: &mut Kept<S>, cuts: u64) -> Result<()> {
        let mut again = Kept::of(Rebuilt::empty(&self.log, (self.fresh)())?);
        again.changes = kept.changes + 1;
        let folded = again.fold(self);
        match again.broken.take() {
            Some(broken) => {
                kept.broken = Some(Broken {
                    again: Some(cuts),
                    ..broken
                });
            }
            None => *kept = again,
        }
        folded
    }

    /// Runs `see` on the newest state, with what it rests on.
    fn look<T>(&self, see: impl FnOnce(&Kept<S>) -> T) -> Result<T> {
        self.counting.check_usable()?;
        let mut kept = self.kept.read();
        if !kept.is_current(self.counting.passed()) {
            drop(kept);
            // It has everything then that was appended before this call. Another thread may change it again.
            self.pass().map_err(WalError::of_what_was_taken)?.leave(None)?;
            kept = self.kept.read();
            if let Some(broken) = &kept.broken {
                return Err(broken.error());
            }
        }
        Ok(self.counting.in_closure(|| see(&kept)))
    }
}

/// # Reading
impl<S: State, C: Codec> Store<S, C> {
    pub(super) fn shared(&self) -> &Shared<S, C> {
        &self.shared
    }

    /// Shows the state with everything that was appended before the call, and returns what `see` makes of it once all
    /// that it may rest on survives power loss. Costs a lock where that is so already.
    ///
    /// Decisions wait until `see` has ended; other readers do not.
    ///
    /// # Errors
    /// If something that others appended is not in the state, as [`rebuild`](EventLog::rebuild). As
    /// [`Wal::sync`](crate::Wal::sync).
    pub fn read<T>(&self, see: impl FnOnce(&S) -> T) -> Result<T> {
        let (seen, rests_on) = self
            .shared
            .look(|kept| (see(&kept.rebuilt.state), kept.rests_on))?;
        // What others have appended is not in the state of a log that has failed meanwhile.
        self.shared.counting.check_not_failed()?;
        self.shared.counting.sync_to(rests_on)?;
        Ok(seen)
    }

    /// As [`read`](Self::read), without the wait: a power loss may take back what it shows. It works in a log that has
    /// failed, too, and shows the last state then.
    ///
    /// # Errors
    /// If something that others appended is not in the state, as [`rebuild`](EventLog::rebuild).
    pub fn peek<T>(&self, see: impl FnOnce(&S) -> T) -> Result<T> {
        self.shared.look(|kept| see(&kept.rebuilt.state))
    }

    /// A copy of the state that nothing holds up and nothing changes. One that was made of this state before is shared. Like
    /// [`peek`](Self::peek), it may show what is not durable yet; fails as that. The store keeps the last copy.
    pub fn view(&self) -> Result<Arc<Rebuilt<S>>>
    where
        S: Clone,
    {
        self.shared.look(|kept| {
            let mut viewed = self.shared.viewed.lock();
            match &*viewed {
                Some((changes, view)) if *changes == kept.changes => view.clone(),
                _ => {
                    let view = Arc::new(kept.rebuilt.clone());
                    *viewed = Some((kept.changes, view.clone()));
                    view
                }
            }
        })
    }

    /// Every event that is not in the state has this LSN or a later one; with everything that was appended before the
    /// call. Fails as [`peek`](Self::peek).
    pub fn next_lsn(&self) -> Result<Lsn> {
        self.shared.look(|kept| kept.rebuilt.next)
    }

    /// The log below.
    #[must_use]
    pub fn log(&self) -> &EventLog<S::Event, C> {
        &self.shared.log
    }
}

impl<S: State, C: Codec> Clone for Store<S, C> {
    fn clone(&self) -> Self {
        Store {
            shared: self.shared.clone(),
        }
    }
}

impl<S: State, C: Codec> fmt::Debug for Store<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("log", self.shared.log.wal())
            .finish_non_exhaustive()
    }
}
