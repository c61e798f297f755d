//! What a consumer needs of its log: a name of its own, and files in which it is kept.

use std::{collections::btree_map::Entry, task::Waker};

use super::Wal;
use crate::{
    error::{ConsumerError, Result, WalError},
    format::snapshot::is_name,
    log::{read::consumer_files::ConsumerFiles, write::writer::Writer},
    lsn::Lsn,
    sync::{Arc, Bell, LAST, Seat, Tasks},
};

/// A consumer's name, which nobody else has while it lives.
pub(crate) struct Consuming {
    writer: Arc<Writer>,
    name: String,
    files: ConsumerFiles,
    /// Rings when something was done, when somebody wants something of the consumer, and when the log is closed.
    pub(crate) changed: Arc<Bell>,
    /// Wait for it to pass an LSN.
    tasks: Tasks,
}

/// Where a task waits for a consumer.
#[derive(Default)]
pub(crate) struct ConsumerSeat {
    passed: Seat,
    ended: Seat,
}

impl Wal {
    /// Where the consumers of this log are kept.
    pub(crate) fn consumer_files(&self) -> Result<ConsumerFiles> {
        let files = self.side_files()?.ok_or_else(|| WalError::Config {
            what: "the store of this log has no place for consumers; give it some with WalStore::side_files"
                .to_owned(),
        })?;
        Ok(ConsumerFiles::new(files))
    }

    pub(crate) fn consuming(&self, name: &str) -> Result<Consuming> {
        if !is_name(name) {
            let what = format!(
                "`{name}` is no name for a consumer: it has up to 64 lowercase letters, digits, `_` and `-`"
            );
            return Err(WalError::Config { what });
        }
        self.here()?.check_usable()?;
        let (writer, files) = (self.writer()?.clone(), self.consumer_files()?);
        let (name, changed) = (name.to_owned(), Arc::new(Bell::new()));
        match writer.consumers.lock().entry(name.clone()) {
            Entry::Occupied(_) => return Err(ConsumerError::Exists { name }.into()),
            Entry::Vacant(free) => free.insert(changed.clone()),
        };
        Ok(Consuming {
            writer,
            name,
            files,
            changed,
            tasks: Tasks::new(),
        })
    }
}

impl Consuming {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// That the log can be used from here.
    pub(crate) fn check_usable(&self) -> Result<()> {
        self.writer.check_usable()
    }

    /// That this is the process that opened the log.
    pub(crate) fn check_process(&self) -> Result<()> {
        self.writer.check_process()
    }

    pub(crate) fn is_in_child(&self) -> bool {
        self.writer.is_in_child()
    }

    /// Changes or reads the files of the consumer. Meanwhile nothing is dropped from the log that a consumer needs, and the
    /// log is not closed: after that, another process may have it.
    pub(crate) fn with_files<T>(&self, run: impl FnOnce(&ConsumerFiles) -> Result<T>) -> Result<T> {
        self.writer.check_process()?;
        let _consumers = self.writer.consumers.lock();
        if self.writer.base.store.is_closed() {
            return Err(WalError::Closed);
        }
        run(&self.files)
    }

    /// Tells those who wait for it that something was done, and that it has come to `lsn`. No lock is held.
    pub(crate) fn came_to(&self, lsn: Lsn) {
        self.changed.ring();
        if !self.is_in_child() {
            self.writer.wake(self.tasks.take_passed(lsn.get()));
        }
    }

    /// Has a task woken when the consumer has passed `lsn`, or the log has ended. The task is to look at both afterwards.
    pub(crate) fn wait(&self, seat: &mut ConsumerSeat, lsn: Lsn, waker: &Waker) {
        self.tasks.wait(&mut seat.passed, lsn.get(), waker);
        // It knows all that can become durable.
        let tasks = &self.writer.base.tasks;
        tasks.wait(&mut seat.ended, LAST, waker);
    }

    /// The task does not wait any more.
    pub(crate) fn leave(&self, seat: &mut ConsumerSeat) {
        // A child has locks that may be held for good.
        if !self.is_in_child() {
            self.tasks.leave(&mut seat.passed);
            self.writer.base.tasks.leave(&mut seat.ended);
        }
    }

    /// That `lsn` is durable, or may become so.
    pub(crate) fn check_may_come(&self, lsn: Lsn) -> Result<()> {
        self.check_usable()?;
        match self.writer.is_poisoned() && self.writer.base.durable() <= lsn.pos() {
            true => Err(self.writer.poisoned()),
            false => Ok(()),
        }
    }

    /// Wakes those who follow the log, so that they look whether something else is to be done.
    pub(crate) fn wake_followers(&self) {
        self.writer.base.progress.ring();
    }
}

impl Drop for Consuming {
    fn drop(&mut self) {
        // A child has locks that may be held for good.
        if !self.writer.is_in_child() {
            self.writer.consumers.lock().remove(&self.name);
        }
    }
}
