//! The snapshots of one state: choosing one to begin with, and making new ones beside the log's users.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Weak,
};

use super::{
    Rebuilt, State,
    rebuilt::replay_after,
    snapshot::{Files, Form, PassedOver, Snapshot},
};
use crate::{
    error::{Result, SnapshotError, WalError},
    event::{EventLog, WalDecodeOwned, codec::Codec},
    log::{Folding, Needs, StateName, States, panic_text},
    lsn::Lsn,
    position::Position,
    process::{Process, end_thread_of_child},
    sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, thread},
};

/// After how many bytes of log a snapshot is made if nothing is said.
const EVERY_BYTES: u64 = 64 << 20;

/// What a store or a projection is told of snapshots.
pub(super) struct Settings<S: State, C: Codec> {
    pub(super) name: String,
    pub(super) every_bytes: u64,
    form: Form<S>,
    spawn: Spawn<S, C>,
    needs: ToNeeds<S, C>,
}

type Spawn<S, C> = fn(Arc<Snapshots<S, C>>) -> io::Result<thread::JoinHandle<()>>;
type ToNeeds<S, C> = fn(&Arc<Snapshots<S, C>>) -> Weak<dyn Needs>;

impl<S: State, C: Codec> Settings<S, C> {
    pub(super) fn new(name: String) -> Self
    where
        S: WalDecodeOwned + 'static,
        S::Event: 'static,
    {
        Settings {
            name,
            every_bytes: EVERY_BYTES,
            form: Form::of::<C>(),
            spawn: |snapshots| {
                thread::Builder::new()
                    .name("wal-snapshot".to_owned())
                    .spawn(move || snapshots.make_in_thread())
            },
            needs: |snapshots| {
                let needs: Arc<dyn Needs> = snapshots.clone();
                Arc::downgrade(&needs)
            },
        }
    }
}

impl<S: State, C: Codec> Clone for Settings<S, C> {
    fn clone(&self) -> Self {
        Settings {
            name: self.name.clone(),
            ..*self
        }
    }
}

/// What the thread that makes snapshots needs. It does not know the store, which waits for it when it goes.
pub(super) struct Snapshots<S: State, C: Codec> {
    folding: Folding,
    log: EventLog<S::Event, C>,
    files: Files,
    settings: Settings<S, C>,
    others: bool,
    fresh: fn() -> S,
    /// Only one is made at a time.
    turn: Mutex<()>,
    made: Mutex<Made>,
    is_making: AtomicBool,
    ended: AtomicBool,
    process: Process,
}

/// A snapshot that was read, and the state in it.
type Loaded<S> = (Snapshot, Rebuilt<S>);

#[derive(Default)]
struct Made {
    newest: Option<Snapshot>,
    failure: Option<String>,
}

impl<S: State, C: Codec> Snapshots<S, C> {
    fn new(
        settings: Settings<S, C>,
        log: &EventLog<S::Event, C>,
        others: bool,
        fresh: fn() -> S,
    ) -> Result<Self> {
        let files = Files::of(log.wal())?;
        Ok(Snapshots {
            folding: log.wal().folding()?,
            log: log.clone(),
            files,
            settings,
            others,
            fresh,
            turn: Mutex::new(()),
            made: Mutex::new(Made::default()),
            is_making: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            process: Process::this(),
        })
    }

    /// The states in snapshots that hold events before `before` alone, as far as they can be used, the newest first.
    fn loaded(&self, before: Lsn) -> Result<impl Iterator<Item = Result<Loaded<S>, PassedOver>>> {
        let files = self.files.list(&self.settings.name)?;
        let files = files
            .into_iter()
            .filter(move |file| Files::is_before(file, before));
        Ok(files.map(|file| {
            let go_on = || self.go_on();
            let loaded = self
                .files
                .load(self.log.wal(), &file, self.settings.form, S::REVISION, &go_on);
            match loaded {
                Ok((snapshot, state)) => {
                    let rebuilt = Rebuilt::of_snapshot(&self.log, state, &snapshot);
                    Ok((snapshot, rebuilt))
                }
                Err(error) => Err(PassedOver { file, error }),
            }
        }))
    }

    /// As [`begin`](Self::begin), of all snapshots, the oldest first.
    pub(super) fn all(&self, before: Lsn) -> Result<Vec<Rebuilt<S>>> {
        let loaded = self.loaded(before)?.filter_map(Result::ok);
        let mut all: Vec<_> = loaded.map(|(_, rebuilt)| rebuilt).collect();
        all.reverse();
        Ok(all)
    }

    /// A state to begin with: from the newest snapshot of events before `before`, or before the first event.
    pub(super) fn begin(&self, before: Lsn) -> Result<(Rebuilt<S>, Option<Snapshot>, Vec<PassedOver>)> {
        let mut passed_over = Vec::new();
        for loaded in self.loaded(before)? {
            match loaded {
                Ok((snapshot, rebuilt)) => return Ok((rebuilt, Some(snapshot), passed_over)),
                Err(passed) => passed_over.push(passed),
            }
        }
        match Rebuilt::empty(&self.log, (self.fresh)()) {
            Err(WalError::Truncated { head, .. }) => Err(self.missing(head, before, &passed_over)),
            empty => Ok((empty?, None, passed_over)),
        }
    }

    fn missing(&self, head: Lsn, before: Lsn, passed_over: &[PassedOver]) -> WalError {
        let mut tried: String = passed_over.iter().map(|passed| format!("\n  {passed}")).collect();
        let files = self.files.list(&self.settings.name).unwrap_or_default();
        for file in files.iter().filter(|file| !Files::is_before(file, before)) {
            tried.push_str(&format!("\n  {file}: it has later events, too"));
        }
        WalError::HistoryMissing {
            name: self.settings.name.clone(),
            head,
            tried,
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.log.wal().is_closed() || !self.process.is_this()
    }

    fn go_on(&self) -> io::Result<()> {
        match self.has_ended() {
            true => Err(io::Error::other("the store or its log was closed meanwhile")),
            false => Ok(()),
        }
    }

    /// Makes a snapshot of what is durable, unless the newest one is that. `None` if there is nothing yet.
    fn make(&self) -> Result<Option<Snapshot>> {
        let _turn = self.turn.lock();
        self.folding.unless_cut(|| self.try_to_make())
    }

    fn try_to_make(&self) -> Result<Option<Snapshot>> {
        let (mut rebuilt, base, _) = self.begin(Lsn::new(u64::MAX))?;
        let before = rebuilt.next;
        let durable = Lsn::from_pos(self.folding.durable());
        if rebuilt.next < durable {
            let events = replay_after(&self.log, rebuilt.next, durable, self.others)?;
            let mut events = events.map_while(|event| (!self.has_ended()).then_some(event));
            rebuilt.apply_all(&mut events, Some(&self.folding))?;
            if self.has_ended() {
                return Err(WalError::Closed);
            }
            if self.others {
                rebuilt.has_read(self.last_before(durable)?);
            }
        }
        if rebuilt.next == before {
            self.made.lock().newest.clone_from(&base);
            return Ok(base);
        }
        let snapshot = self.write(&rebuilt)?;
        self.made.lock().newest = Some(snapshot.clone());
        // The snapshot is there, whatever becomes of this.
        let pruned = self
            .files
            .prune(self.log.wal(), base.as_ref(), &snapshot, &|| self.go_on());
        self.made.lock().failure = pruned.err().map(|error| format!("{error:?}"));
        Ok(Some(snapshot))
    }

    /// The last record before a position, of whatever type.
    fn last_before(&self, lsn: Lsn) -> Result<Option<Lsn>> {
        for record in self.log.wal().iter_rev()? {
            let record = record?;
            if record.lsn() < lsn {
                return Ok(Some(record.lsn()));
            }
        }
        Ok(None)
    }

    fn write(&self, rebuilt: &Rebuilt<S>) -> Result<Snapshot> {
        let snapshot = Snapshot {
            name: self.settings.name.clone(),
            file: String::new(),
            next: rebuilt.next,
            last: rebuilt.last,
            events: rebuilt.events,
            time_us: rebuilt.time_us,
            revision: S::REVISION,
            state_bytes: 0,
        };
        let wal = self.log.wal();
        let position = Position::after(wal, snapshot.needed_from())?;
        let go_on = || self.go_on();
        let form = self.settings.form;
        let snapshot = self
            .files
            .write(form, &rebuilt.state, snapshot, position, &go_on)?;
        if self.log.read_back() {
            match self.files.load(wal, &snapshot.file, form, S::REVISION, &go_on) {
                // These are about the log, and about the moment.
                Ok(_) | Err(SnapshotError::Log(_) | SnapshotError::Io(_)) => {}
                Err(error) => {
                    self.files.remove(&snapshot.file)?;
                    return Err(WalError::SnapshotNotReadable {
                        name: snapshot.name,
                        source: Box::new(error),
                    });
                }
            }
        }
        Ok(snapshot)
    }

    fn make_in_thread(&self) {
        let made = catch_unwind(AssertUnwindSafe(|| self.make()));
        if !self.process.is_this() {
            // The program's code has forked it off.
            return end_thread_of_child();
        }
        let failure = match made {
            Ok(Ok(_)) => None,
            Ok(Err(_)) if self.has_ended() => None,
            // With its sources.
            Ok(Err(error)) => Some(format!("{error:?}")),
            Err(panic) => Some(format!("the state panicked: {}", panic_text(panic))),
        };
        if failure.is_some() {
            self.made.lock().failure = failure;
        }
        self.is_making.store(false, Ordering::Release);
    }
}

impl<S: State, C: Codec> Needs for Snapshots<S, C> {
    /// From the last record that the older one of the newest two that can be used has seen, or all of it.
    fn needed_from(&self) -> Result<Lsn> {
        let _turn = self.turn.lock();
        let older = self.loaded(Lsn::new(u64::MAX))?.filter_map(Result::ok).nth(1);
        Ok(older.map_or(Lsn::ZERO, |(older, _)| older.needed_from()))
    }
}

/// How the snapshots of a store are doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SnapshotStatus {
    /// The newest one that was read or made here.
    pub newest: Option<Snapshot>,
    /// Why the last one could not be made in the background, or older ones could not be removed after it was made.
    pub failure: Option<String>,
    /// Whether one is being made in the background.
    pub is_making: bool,
}

/// The snapshots of a store, and the thread that makes them when enough was appended.
pub(super) struct Keeper<S: State, C: Codec> {
    pub(super) snapshots: Arc<Snapshots<S, C>>,
    name: StateName,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    /// The next one is made when the state has come so far.
    due: AtomicU64,
}

impl<S: State, C: Codec> Keeper<S, C> {
    pub(super) fn new(
        settings: Settings<S, C>,
        log: &EventLog<S::Event, C>,
        others: bool,
        fresh: fn() -> S,
    ) -> Result<Self> {
        let snapshots = Arc::new(Snapshots::new(settings, log, others, fresh)?);
        let name = log.wal().take_state_name(&snapshots.settings.name)?;
        name.set_needs((snapshots.settings.needs)(&snapshots));
        Ok(Keeper {
            snapshots,
            name,
            thread: Mutex::new(None),
            due: AtomicU64::new(0),
        })
    }

    /// A snapshot was loaded, or none.
    pub(super) fn begun_with(&self, newest: Option<Snapshot>) {
        self.put_off(newest.as_ref().map_or(Lsn::ZERO, |newest| newest.next));
        self.snapshots.made.lock().newest = newest;
    }

    fn put_off(&self, from: Lsn) {
        let due = from.get().saturating_add(self.snapshots.settings.every_bytes);
        self.due.store(due, Ordering::Relaxed);
    }

    /// The state has come to `next`: makes a snapshot in the background if one is due.
    #[inline]
    pub(super) fn reached(&self, next: Lsn) {
        if next.get() >= self.due.load(Ordering::Relaxed) {
            self.start(next);
        }
    }

    #[cold]
    fn start(&self, next: Lsn) {
        if !self.snapshots.process.is_this() || self.snapshots.is_making.swap(true, Ordering::AcqRel) {
            return;
        }
        // If it fails, the next try is not at once either.
        self.put_off(next);
        let mut thread = self.thread.lock();
        if let Some(last) = thread.take() {
            // It has nothing more to do.
            let _ = last.join();
        }
        match (self.snapshots.settings.spawn)(self.snapshots.clone()) {
            Ok(started) => *thread = Some(started),
            Err(error) => {
                let failure = format!("no thread could be started for it: {error}");
                self.snapshots.made.lock().failure = Some(failure);
                self.snapshots.is_making.store(false, Ordering::Release);
            }
        }
    }

    pub(super) fn make(&self) -> Result<Option<Snapshot>> {
        match self.snapshots.make() {
            Err(_) if self.snapshots.log.wal().is_closed() => Err(WalError::Closed),
            made => {
                if let Ok(Some(made)) = &made {
                    self.put_off(made.next);
                }
                made
            }
        }
    }

    pub(super) fn status(&self) -> SnapshotStatus {
        let made = self.snapshots.made.lock();
        SnapshotStatus {
            newest: made.newest.clone(),
            failure: made.failure.clone(),
            is_making: self.snapshots.is_making.load(Ordering::Acquire),
        }
    }

    /// Drops what no snapshot of any state needs from the beginning of the log.
    pub(super) fn compact(&self) -> Result<Compacted> {
        let Snapshots { folding, log, .. } = &*self.snapshots;
        log.wal()
            .with_states(|states| folding.unless_cut(|| self.compact_for(states)))
    }

    fn compact_for(&self, states: &States) -> Result<Compacted> {
        let Snapshots {
            folding, files, log, ..
        } = &*self.snapshots;
        let cuts = folding.cuts();
        let mut names = files.names()?;
        names.extend(states.keys().cloned());
        let mut kept: Option<(Lsn, String)> = None;
        for name in names {
            let needed = match states.get(&name) {
                Some(Some(needs)) => needs.needed_from()?,
                Some(None) => Lsn::ZERO,
                None => match files.needed_from(log.wal(), &name)? {
                    Some(needed) => needed,
                    None => continue,
                },
            };
            if kept.as_ref().is_none_or(|(least, _)| needed < *least) {
                kept = Some((needed, name));
            }
        }
        // The store itself has a name.
        let (needed, kept_for) = kept.unwrap_or_default();
        files.sync()?;
        let head = match needed {
            Lsn::ZERO => log.wal().status().head,
            needed => self.name.truncate_before_unless_held(needed, cuts)?,
        };
        Ok(Compacted { head, kept_for })
    }
}

/// What [`Store::compact`](super::Store::compact) did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// The first LSN that is still there.
    pub head: Lsn,
    /// The state whose snapshots need it: the log begins at the last record that the older one of its newest two has seen,
    /// or as before if it has less than two. If that is a state that is not kept any more,
    /// [`forget`](super::forget) it.
    pub kept_for: String,
}

impl<S: State, C: Codec> Drop for Keeper<S, C> {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().take();
        if !self.snapshots.process.is_this() {
            // The thread is the parent's.
            return std::mem::forget(thread);
        }
        self.snapshots.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = thread {
            // Its panics are caught.
            let _ = thread.join();
        }
    }
}
