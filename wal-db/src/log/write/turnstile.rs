//! The turnstile: while somebody has to know of every record, as a state store does, appends pass it one at a time and are
//! counted.
//!
//! It costs nothing where nobody needs it: a sign in the tail of the log turns away those who have not passed. Schemas are
//! no records and go past it.
//!
//! A thread that has passed may wait for room in the ring, and takes the dictionary's lock, the turn, and all that come
//! after these. So a thread that has one of them does not come here. Callbacks of tickets are not called meanwhile, because
//! they may append.

use std::cell::Cell;

use super::writer::Writer;
use crate::{
    error::{Result, WalError},
    format::Kind,
    lsn::Lsn,
    sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, RwLock, thread_local},
};

/// Is told of every record that passes the turnstile, in their order, before the next one passes; of a batch at once. What it
/// has appended itself it may take in without being told. It must not use the log.
pub(crate) trait Watch: Send + Sync {
    fn appended(&self, kind: Kind, records: &[(Lsn, &[u8])]);
}

thread_local! {
    /// Its address is a number that no other thread has at the same time.
    static ME: Cell<u8> = const { Cell::new(0) };
}

fn me() -> u64 {
    ME.with(|me| std::ptr::from_ref(me).addr() as u64)
}

pub(crate) struct Turnstile {
    /// How many need it.
    users: Mutex<u32>,
    way: Mutex<()>,
    /// What is told of records that pass.
    watch: RwLock<Option<Arc<dyn Watch>>>,
    /// Which thread has passed; 0 if none has.
    owner: AtomicU64,
    passed: AtomicU64,
}

impl Turnstile {
    pub(crate) fn new() -> Self {
        Turnstile {
            users: Mutex::new(0),
            way: Mutex::new(()),
            watch: RwLock::new(None),
            owner: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        }
    }

    /// Waits until nobody else appends. Code of the program that runs meanwhile is told that it cannot use the log.
    pub(crate) fn pass(&self) -> Result<Passage<'_>> {
        self.check_not_passed()?;
        Ok(self.passage(self.way.lock(), true))
    }

    /// As [`pass`](Self::pass), by somebody who never waits: neither here nor while appending.
    pub(crate) fn try_pass(&self) -> Result<Passage<'_>> {
        self.check_not_passed()?;
        let alone = self.way.try_lock().ok_or(WalError::Busy {
            what: "another thread appends",
        })?;
        Ok(self.passage(alone, false))
    }

    fn passage<'w>(&'w self, alone: MutexGuard<'w, ()>, waits: bool) -> Passage<'w> {
        self.owner.store(me(), Ordering::Relaxed);
        Passage {
            turnstile: self,
            tells: true,
            waits,
            _alone: alone,
        }
    }

    /// That this thread would not wait for itself.
    pub(crate) fn check_not_passed(&self) -> Result<()> {
        match self.owner.load(Ordering::Relaxed) == me() {
            true => Err(WalError::Reentrant),
            false => Ok(()),
        }
    }

    /// A number that moves when records are appended or cut off.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Acquire)
    }

    /// Nobody is told of the records any more, if it was `watch` until now.
    pub(crate) fn watch_no_more(&self, watch: &Arc<dyn Watch>) {
        let mut told = self.watch.write();
        if told.as_ref().is_some_and(|told| Arc::ptr_eq(told, watch)) {
            *told = None;
        }
    }
}

/// Nobody else appends while it is held.
pub(crate) struct Passage<'w> {
    turnstile: &'w Turnstile,
    /// Whether the watch is told of what comes.
    tells: bool,
    /// Whether who appends may wait for room, or for a schema to be written.
    waits: bool,
    _alone: MutexGuard<'w, ()>,
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.turnstile.owner.store(0, Ordering::Relaxed);
    }
}

impl Passage<'_> {
    /// Says that records come, or go. They may not be there yet: who sees the number has to pass to see what it is about.
    pub(crate) fn count(&self) {
        self.turnstile.passed.fetch_add(1, Ordering::AcqRel);
    }

    /// From now on `watch` is told of the records.
    pub(crate) fn set_watch(&self, watch: Arc<dyn Watch>) {
        *self.turnstile.watch.write() = Some(watch);
    }

    /// The watch is not told of what comes: it takes that in by itself before anybody else passes.
    pub(crate) fn tell_nobody(&mut self) {
        self.tells = false;
    }

    fn appended(&self, kind: Kind, records: &[(Lsn, &[u8])]) {
        if self.tells
            && let Some(watch) = &*self.turnstile.watch.read()
        {
            watch.appended(kind, records);
        }
    }
}

/// How an append comes to its place.
pub(crate) enum Way<'w> {
    /// Through the turnstile if it is needed.
    Open,
    /// It has passed.
    Counted(Passage<'w>),
    /// What is no record is not counted.
    Past,
}

impl Way<'_> {
    /// Whether everybody else waits.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Way::Counted(_))
    }

    /// That who appends may wait.
    pub(crate) fn check_waits(&self, what: &'static str) -> Result<()> {
        match self {
            Way::Counted(passage) if !passage.waits => Err(WalError::Busy { what }),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Way::Open)
    }

    /// Called with a record that has its place and is published.
    #[inline(always)]
    pub(super) fn appended(&self, pos: u64, kind: Kind, payload: &[u8]) {
        if let Way::Counted(passage) = self {
            passage.appended(kind, &[(Lsn::from_pos(pos), payload)]);
        }
    }

    /// As [`appended`](Self::appended), with those of a batch.
    pub(super) fn appended_all(&self, kind: Kind, lsns: &[Lsn], payloads: &[&[u8]]) {
        if let Way::Counted(passage) = self {
            let records: Vec<_> = lsns.iter().copied().zip(payloads.iter().copied()).collect();
            passage.appended(kind, &records);
        }
    }

    /// Called after a place was found, so that a record that was refused does not count.
    #[inline(always)]
    pub(super) fn count(&self) {
        if let Way::Counted(passage) = self {
            passage.count();
        }
    }
}

impl Writer {
    /// Every record is counted from now on, until [`count_no_more`](Self::count_no_more) was called as often.
    pub(crate) fn count_records(&self) {
        let mut users = self.turnstile.users.lock();
        *users += 1;
        self.ring.set_counted(true);
    }

    pub(crate) fn count_no_more(&self) {
        let mut users = self.turnstile.users.lock();
        *users -= 1;
        if *users == 0 {
            self.ring.set_counted(false);
        }
    }
}
