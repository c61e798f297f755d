//! What a fold of a log needs of it: to see it as it is, and a name for its snapshots.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Weak,
    time::Duration,
};

use super::{There, Wal};
use crate::{
    error::{Result, WalError},
    log::{
        read::view::View,
        write::{truncate::Needs, writer::Writer},
    },
    lsn::Lsn,
    sync::Arc,
};

/// A log as those see it that fold it.
pub(crate) struct Folding {
    view: Arc<View>,
}

impl Wal {
    pub(crate) fn folding(&self) -> Result<Folding> {
        let view = self.here()?.clone();
        view.check_usable()?;
        Ok(Folding { view })
    }
}

impl Folding {
    pub(crate) fn is_read_only(&self) -> bool {
        self.view.is_read_only()
    }

    /// That this is the process that opened the log, and that it is not asked in a [closure](Self::in_closure).
    pub(crate) fn check_outside(&self) -> Result<()> {
        self.view.check_process()?;
        match self.view.is_in_closure() {
            true => Err(WalError::Reentrant),
            false => Ok(()),
        }
    }

    /// Everything before this position is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.view.base.durable()
    }

    /// Which records are there.
    pub(crate) fn there(&self) -> There {
        There::in_extent(self.view.base.extent())
    }

    /// A number that moves when the end of the log is cut off: not before the cut can be seen, and not after it.
    pub(crate) fn cuts(&self) -> u32 {
        self.view.base.extent().timeline.newest().epoch
    }

    /// Calls `run` until the end of the log is not cut off meanwhile. What it returned before that is not of this log.
    pub(crate) fn unless_cut<T>(&self, mut run: impl FnMut() -> Result<T>) -> Result<T> {
        loop {
            let cuts = self.cuts();
            let ran = run();
            if self.cuts() == cuts {
                return ran;
            }
        }
    }

    /// Runs code of the program that others wait for, and that must not wait for them: it cannot use the log.
    pub(crate) fn in_closure<T>(&self, run: impl FnOnce() -> T) -> T {
        self.view.in_closure(run)
    }

    /// Whether nothing more will come.
    pub(crate) fn is_finished(&self) -> bool {
        self.view.base.is_finished()
    }

    /// Sleeps until there is more in the store, or more of it is durable, or it has ended; unless `ready`.
    pub(crate) fn sleep_unless(&self, timeout: Option<Duration>, ready: impl FnOnce() -> bool) {
        let base = &self.view.base;
        base.progress
            .sleep_unless(timeout, || base.is_finished() || ready());
    }

    /// Wakes those who follow the log, so that they look whether something else is to be done.
    pub(crate) fn wake_followers(&self) {
        self.view.base.progress.ring();
    }
}

/// The states that keep snapshots, and what reports their needs; `None` while one is being made.
pub(crate) type States = BTreeMap<String, Option<Arc<dyn Needs>>>;

/// The name of a state that keeps snapshots, which no other one of the log has while it lives.
pub(crate) struct StateName {
    writer: Arc<Writer>,
    name: String,
}

impl Wal {
    pub(crate) fn take_state_name(&self, name: &str) -> Result<StateName> {
        self.here()?.check_usable()?;
        let (writer, name) = (self.writer()?.clone(), name.to_owned());
        match writer.states.lock().entry(name.clone()) {
            Entry::Vacant(free) => free.insert(None),
            Entry::Occupied(_) => return Err(WalError::StoreExists { name }),
        };
        Ok(StateName { writer, name })
    }

    /// Calls `run` with the states that keep snapshots. Until it returns, no name is taken or given back.
    pub(crate) fn with_states<T>(&self, run: impl FnOnce(&States) -> Result<T>) -> Result<T> {
        self.here()?.check_usable()?;
        let states = self.writer()?.states.lock();
        let open = states
            .iter()
            .map(|(name, needs)| (name.clone(), needs.as_ref().and_then(Weak::upgrade)));
        run(&open.collect())
    }
}

impl StateName {
    /// Registers what reports from where on the state needs the log; until then it needs all of it.
    pub(crate) fn set_needs(&self, needs: Weak<dyn Needs>) {
        self.writer.states.lock().insert(self.name.clone(), Some(needs));
    }

    /// As [`Wal::truncate_before`], but keeps what is [held](Wal::hold), and does nothing if the end of the log was cut off
    /// since [`cuts`](Folding::cuts) was `cuts`: then it is not known what is needed.
    pub(crate) fn truncate_before_unless_held(&self, lsn: Lsn, cuts: u32) -> Result<Lsn> {
        self.writer.truncate_before_unless_held(lsn, cuts)
    }
}

impl Drop for StateName {
    fn drop(&mut self) {
        // A child has locks that may be held for good.
        if !self.writer.is_in_child() {
            self.writer.states.lock().remove(&self.name);
        }
    }
}
