//! A state that is kept up to date, for any number of threads.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    At, Compacted, Rebuilt, Snapshot, SnapshotStatus, State, StoreConfig, StoreRecovery,
    rebuilt::replay_after, snapshots::Keeper,
};
use crate::{
    error::{Result, WalError},
    event::{
        EventLog, WalDecodeOwned,
        codec::{Codec, DefaultCodec},
        meta::Meta,
    },
    log::{Alone, Counting, Start},
    lsn::Lsn,
    sync::{Arc, Mutex, RwLock},
};

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
/// is impossible if the beginning was dropped meanwhile: each use says [`Truncated`](crate::WalError::Truncated) then, or
/// [`HistoryMissing`](crate::WalError::HistoryMissing) if no snapshot can be used either.
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
    /// Dropped before the log, which may be closed by that; so is the next one.
    keeper: Option<Keeper<S, C>>,
    pub(super) counting: Counting,
    pub(super) log: EventLog<S::Event, C>,
    others: bool,
    recovery: StoreRecovery,
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
    again: Option<u32>,
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
    /// As [`rebuild`](Self::rebuild); [`ReadOnly`](crate::WalError::ReadOnly). With snapshots,
    /// [`HistoryMissing`](crate::WalError::HistoryMissing) if the beginning of the log was dropped and none can be used,
    /// [`StoreExists`](crate::WalError::StoreExists) if another store of the log makes those of this name, and
    /// [`Config`](crate::WalError::Config) for an invalid name and a log whose store has no place for them.
    pub fn store<S>(&self, config: StoreConfig<S, C>) -> Result<Store<S, C>>
    where
        S: State<Event = E> + Default,
    {
        let began = Instant::now();
        let counting = self.wal().count_records()?;
        let shared = counting.unless_cut(|| self.open_shared(&config, began))?;
        Ok(Store {
            shared: Arc::new(shared),
        })
    }

    fn open_shared<S>(&self, config: &StoreConfig<S, C>, began: Instant) -> Result<Shared<S, C>>
    where
        S: State<Event = E> + Default,
    {
        let counting = self.wal().count_records()?;
        let keeper = config.keeper(self, S::default)?;
        let (rebuilt, snapshot, passed_over) = match &keeper {
            Some(keeper) => keeper.snapshots.begin(Lsn::new(u64::MAX))?,
            None => (Rebuilt::empty(self, S::default())?, None, Vec::new()),
        };
        let before = rebuilt.events;
        if let Some(keeper) = &keeper {
            keeper.begun_with(snapshot.clone());
        }
        let mut shared = Shared {
            keeper,
            counting,
            log: self.clone(),
            others: config.others,
            recovery: StoreRecovery {
                snapshot,
                passed_over,
                events: 0,
                took: Duration::ZERO,
            },
            fresh: S::default,
            kept: RwLock::new(Kept::of(rebuilt)),
            viewed: Mutex::new(None),
        };
        // Most of it while others append, and what they append meanwhile alone.
        shared.kept.write().fold(&shared)?;
        shared.pass().map_err(WalError::of_what_was_taken)?.leave(None)?;
        let (next, events) = {
            let kept = shared.kept.read();
            (kept.rebuilt.next, kept.rebuilt.events)
        };
        shared.reached(next);
        shared.recovery.events = events.saturating_sub(before);
        shared.recovery.took = began.elapsed();
        Ok(shared)
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
        let folded = shared.fold(&mut self.rebuilt, Lsn::new(u64::MAX));
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
        // All of it can be read, and nothing comes meanwhile.
        let last = match self.others {
            true => self.log.wal().last_lsn()?,
            false => None,
        };
        let next = kept.rebuilt.next;
        let is_cut = matches!(self.log.wal().check_followed(next), Err(WalError::CutBack { .. }));
        let folded = match kept.broken.is_some() || is_cut {
            false => kept.fold(self),
            true => self.fold_again(&mut kept, cuts),
        };
        folded?;
        kept.rebuilt.has_read(last);
        kept.passed = Some(passed);
        Ok(())
    }

    /// Begins with a new state. One that ends at a record that cannot be read is a fold of what is before.
    fn fold_again(&self, kept: &mut Kept<S>, cuts: u32) -> Result<()> {
        let mut again = Kept::of(self.begin(Lsn::new(u64::MAX))?);
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

    /// A state to begin with, of events before `before`.
    fn begin(&self, before: Lsn) -> Result<Rebuilt<S>> {
        match &self.keeper {
            Some(keeper) => Ok(keeper.snapshots.begin(before)?.0),
            None => Rebuilt::empty(&self.log, (self.fresh)()),
        }
    }

    /// Takes the events before `to` into a state.
    fn fold(&self, rebuilt: &mut Rebuilt<S>, to: Lsn) -> Result<()> {
        let events = replay_after(&self.log, rebuilt.next, to, self.others)?;
        rebuilt.apply_all(events, Some(&self.counting))
    }

    /// The state has come to `next`.
    #[inline]
    pub(super) fn reached(&self, next: Lsn) {
        if let Some(keeper) = &self.keeper {
            keeper.reached(next);
        }
    }

    fn keeper(&self) -> Result<&Keeper<S, C>> {
        self.counting.check_usable()?;
        self.keeper.as_ref().ok_or_else(|| WalError::Config {
            what: "the store keeps no snapshots; open it with StoreConfig::with_snapshots".to_owned(),
        })
    }

    /// Runs `see` on the newest state, with what it rests on.
    pub(super) fn look<T>(&self, see: impl FnOnce(&Kept<S>) -> T) -> Result<T> {
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
            self.reached(kept.rebuilt.next);
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

/// # Snapshots
/// With [`StoreConfig::with_snapshots`].
impl<S: State, C: Codec> Store<S, C> {
    /// What the store was made from when it was opened.
    #[must_use]
    pub fn recovery(&self) -> &StoreRecovery {
        &self.shared.recovery
    }

    /// Makes a snapshot with everything that was appended before the call, and returns once it is durable; the newest one,
    /// if that has it all. `None` if there is no event. It is made from the last snapshot and the events after it: nobody
    /// waits, but for another snapshot that is being made.
    ///
    /// # Errors
    /// [`Config`](crate::WalError::Config) if the store keeps none; as [`Wal::sync`](crate::Wal::sync), and as opening the
    /// store; [`Io`](crate::WalError::Io) if it cannot be written. No file is there then that was not there before.
    /// [`Closed`](crate::WalError::Closed) if the log is closed meanwhile.
    pub fn snapshot(&self) -> Result<Option<Snapshot>> {
        let keeper = self.shared.keeper()?;
        self.log().wal().sync()?;
        keeper.make()
    }

    /// The state as it was at a moment, as [`EventLog::as_of`] has it, from the newest snapshot before that. Without
    /// snapshots, from the beginning of the log.
    ///
    /// # Errors
    /// As opening the store, and as [`Wal::seek`](crate::Wal::seek) of the moment.
    pub fn as_of(&self, moment: impl Into<Start>) -> Result<Rebuilt<S>> {
        let shared = &*self.shared;
        shared.counting.check_usable()?;
        let wal = self.log().wal();
        wal.drain_to_read()?;
        let before = wal.seek(moment)?;
        shared.counting.unless_cut(|| {
            let mut rebuilt = shared.begin(before)?;
            shared.fold(&mut rebuilt, before)?;
            Ok(rebuilt)
        })
    }

    /// Folds the events again, from one snapshot to the next and to the state as it is, and compares: that the state and its
    /// snapshots are what [`apply`](State::apply) makes of the log today. Begins with the log, or where that is dropped with
    /// the oldest snapshot that can be used. Others go on meanwhile. Needs as many states in memory as there are snapshots, and
    /// two. Returns how many events were folded.
    ///
    /// # Errors
    /// [`StateDiffers`](crate::WalError::StateDiffers) says between which two LSNs; as opening the store.
    pub fn check(&self) -> Result<u64>
    where
        S: Clone + PartialEq,
    {
        self.shared.counting.unless_cut(|| self.check_as_it_is())
    }

    fn check_as_it_is(&self) -> Result<u64>
    where
        S: Clone + PartialEq,
    {
        let shared = &*self.shared;
        let now = self.view()?;
        let wal = self.log().wal();
        wal.drain_to_read()?;
        let mut snapshots = match &shared.keeper {
            Some(keeper) => keeper.snapshots.all(now.next)?,
            None => Vec::new(),
        }
        .into_iter();
        let mut again = match wal.status().head_ordinal {
            0 => Rebuilt::empty(self.log(), (shared.fresh)())?,
            _ => match snapshots.next() {
                Some(oldest) => oldest,
                None => shared.begin(now.next)?,
            },
        };
        let before = again.events;
        let mut compare = |with: &Rebuilt<S>| {
            let after = again.next;
            shared.fold(&mut again, with.next)?;
            match again.state == with.state {
                true => Ok(again.events),
                false => Err(WalError::StateDiffers {
                    after,
                    upto: with.next,
                }),
            }
        };
        for snapshot in snapshots {
            compare(&snapshot)?;
        }
        Ok(compare(&now)?.saturating_sub(before))
    }

    /// How the snapshots are doing that are made in the background. They are tried again later if they fail, and decisions
    /// know nothing of it.
    ///
    /// # Errors
    /// [`Config`](crate::WalError::Config) if the store keeps none.
    pub fn snapshot_status(&self) -> Result<SnapshotStatus> {
        Ok(self.shared.keeper()?.status())
    }

    /// Drops from the beginning of the log what the snapshots do not need, and what no [`Hold`](crate::Hold) needs. All states
    /// count that have a store with snapshots or a snapshot beside the log. Each keeps what comes after the older one of its
    /// newest two, which are read again first; a state with fewer than two usable snapshots keeps the whole log. States
    /// without snapshots do not count: such a store cannot be opened any more. Nor do positions that are stored somewhere:
    /// [hold](crate::Wal::hold) what they need first.
    ///
    /// From then on the snapshots are more than a short cut: do not delete them, and copy them with the log, as
    /// [`Wal::backup_to`](crate::Wal::backup_to) does. The beginning of the log is not there for a
    /// [`REVISION`](State::REVISION) that is raised. After two snapshots of a new version of the state there is none left that
    /// the program before can read.
    ///
    /// # Errors
    /// [`Config`](crate::WalError::Config) if the store keeps no snapshots; [`Io`](crate::WalError::Io) if they cannot be
    /// listed; as [`Wal::truncate_before`](crate::Wal::truncate_before).
    pub fn compact(&self) -> Result<Compacted> {
        self.shared.keeper()?.compact()
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
