//! The latch: the first failure of a store is its last.

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{Identity, StoreFault, WalStore};
use crate::{
    error::WalError,
    for_now::is_for_now,
    metrics::{Meter, nanos},
    process::Process,
    sync::{Arc, AtomicBool, Mutex, OnceLock, Ordering},
};

/// A store with a latch. After a write or a flush has failed, both are refused without being tried: whether a second
/// flush covers what the first one lost cannot be known.
pub(crate) struct Latched {
    store: Arc<dyn WalStore>,
    location: Option<std::sync::Arc<PathBuf>>,
    broken: OnceLock<String>,
    /// Flushes of one file run one at a time: the system reports a failure to one caller only, which has to close the
    /// latch before another flush can say that all is well.
    flushing: Mutex<()>,
    /// The log was closed: another handle may have the store by now, and nothing is changed any more.
    closed: AtomicBool,
    /// Whose the log is. A child that was forked off changes nothing.
    process: Process,
    /// Counts what is done with it.
    pub(crate) meter: Meter,
}

/// Why nothing can be done with a log that was opened before the process was forked off.
const FORKED: &str = "the process was forked; open the log in the child";

impl Latched {
    pub(crate) fn new(store: Box<dyn WalStore>) -> Self {
        Latched {
            location: store.location().map(std::sync::Arc::new),
            store: store.into(),
            broken: OnceLock::new(),
            flushing: Mutex::new(()),
            closed: AtomicBool::new(false),
            process: Process::this(),
            meter: Meter::new(),
        }
    }

    /// Lets others have the store. Nothing is written through this handle from now on; what it reads may be changing.
    /// Nobody may be writing meanwhile.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.store.close();
    }

    /// The path of the log, if its store has one.
    pub(crate) fn location(&self) -> Option<&std::sync::Arc<PathBuf>> {
        self.location.as_ref()
    }

    /// Says in an error that it is one of this log.
    pub(crate) fn error(&self, error: WalError) -> WalError {
        error.located(self.location.as_deref().map(PathBuf::as_path))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether this is a child that was forked off the process that opened the log. Any lock may be held there by a thread
    /// that is not there, so none that others take as well may be waited for.
    pub(crate) fn is_in_child(&self) -> bool {
        !self.process.is_this()
    }

    /// The first failure.
    pub(crate) fn cause(&self) -> Option<&str> {
        if self.is_in_child() {
            return Some(FORKED);
        }
        self.broken.get().map(String::as_str)
    }

    /// Closes the latch for a failure that no call returned, for example a panic.
    pub(crate) fn break_with(&self, cause: String) {
        // The first cause stays.
        let _ = self.broken.set(cause);
    }

    /// Closes the latch for what a call of the store has returned.
    pub(crate) fn break_for(&self, doing: &str, error: &io::Error) {
        self.break_with(format!("{doing}: {error}"));
    }

    /// The store itself, for reading: that is never refused.
    pub(crate) fn shared(&self) -> Arc<dyn WalStore> {
        self.store.clone()
    }

    pub(crate) fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        read_full(&*self.store, pos, buf)
    }

    pub(crate) fn next_data(&self, pos: u64) -> io::Result<u64> {
        self.store.next_data(pos)
    }

    pub(crate) fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let start = Instant::now();
        self.guarded("writing", || self.store.write_at(pos, bytes))?;
        self.meter.write.record(nanos(start.elapsed()));
        Ok(())
    }

    /// How long it took.
    pub(crate) fn sync(&self) -> io::Result<Duration> {
        let _one_at_a_time = self.flushing.lock();
        let begun = self.meter.begin_flush();
        match self.guarded("flushing", || self.store.sync()) {
            Err(error) => {
                // For a flush, "full" is a failure like any other: pages may have been dropped. A log that was closed has
                // nothing to lose.
                if !self.is_closed() {
                    self.break_for("flushing", &error);
                }
                Err(error)
            }
            Ok(()) => Ok(begun.ended()),
        }
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        self.store.len()
    }

    pub(crate) fn truncate(&self, len: u64) -> io::Result<()> {
        self.guarded("cutting", || self.store.truncate(len))
    }

    pub(crate) fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>> {
        self.store.read_slot(slot)
    }

    pub(crate) fn slots(&self) -> usize {
        self.store.slots()
    }

    pub(crate) fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        if slot > 1 {
            // A file of its own, which no manifest names yet: if there is no space for it, nothing has happened.
            return self.guarded("writing the table of cuts", || self.store.write_slot(slot, bytes));
        }
        // In a log of one file this flushes what `sync` flushes; in a log of segments a file of its own, and must not wait
        // for a long backlog.
        let _one_at_a_time = self.segment_len().is_none().then(|| self.flushing.lock());
        let start = Instant::now();
        // Whether the slot holds the old or the new contents cannot be known, so "full" is a failure, too.
        self.guarded("writing the manifest", || self.store.write_slot(slot, bytes))
            .inspect_err(|error| self.break_for("writing the manifest", error))?;
        self.meter.manifest.record(nanos(start.elapsed()));
        Ok(())
    }

    pub(crate) fn lock(&self) -> io::Result<()> {
        self.store.lock()
    }

    pub(crate) fn attach(&self, log: &Identity) -> io::Result<()> {
        self.store.attach(log)
    }

    pub(crate) fn segment_len(&self) -> Option<u64> {
        self.store.segment_len()
    }

    pub(crate) fn prepare(&self, end: u64) -> io::Result<u64> {
        let prepare = || match self.store.prepare(end)? {
            ready if ready < end => Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("the store made room up to {ready}, and was asked for {end}"),
            )),
            // No position is higher.
            ready if ready > 1 << 62 => Ok(u64::MAX),
            ready => Ok(ready),
        };
        self.guarded("preparing space", prepare)
    }

    pub(crate) fn likes_zeros_ahead(&self) -> bool {
        self.store.likes_zeros_ahead()
    }

    pub(crate) fn truncate_before(&self, pos: u64) -> io::Result<()> {
        self.check_open()?;
        self.store.truncate_before(pos)
    }

    pub(crate) fn discard(&self, start: u64, end: u64) -> io::Result<()> {
        self.check_open()?;
        self.store.discard(start, end)
    }

    pub(crate) fn keep_aside(
        &self,
        pos: u64,
        bytes: &mut dyn io::Read,
    ) -> io::Result<Option<std::path::PathBuf>> {
        self.store.keep_aside(pos, bytes)
    }

    pub(crate) fn check_file(&self, pos: u64) -> io::Result<()> {
        self.store.check_file(pos)
    }

    pub(crate) fn file_at(&self, pos: u64) -> Option<std::path::PathBuf> {
        self.store.file_at(pos)
    }

    pub(crate) fn boot_id(&self) -> Option<[u8; 16]> {
        self.store.boot_id()
    }

    pub(crate) fn prepare_step(&self) -> u64 {
        self.store.prepare_step()
    }

    pub(crate) fn staging_file(&self, create: bool) -> io::Result<Option<std::fs::File>> {
        self.store.staging_file(create)
    }

    fn check_open(&self) -> io::Result<()> {
        if self.is_in_child() {
            return Err(io::Error::other(FORKED));
        }
        if self.is_closed() {
            return Err(io::Error::other("the log is closed"));
        }
        Ok(())
    }

    pub(crate) fn staging_place(&self) -> Result<std::path::PathBuf, String> {
        self.store.staging_place()
    }

    pub(crate) fn remove_staging(&self) -> io::Result<()> {
        self.store.remove_staging()
    }

    fn guarded<T>(&self, doing: &str, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.check_open()?;
        if let Some(cause) = self.cause() {
            return Err(io::Error::other(cause.to_owned()));
        }
        let result = call();
        if let Err(error) = &result
            && !is_for_now(error)
        {
            self.break_for(doing, error);
        }
        result
    }
}

/// Reads until `buf` is full or the store ends, whatever a single call of the store reads. Where something is wrong with a
/// segment, or it cannot be opened at the moment, what comes before it is read.
pub(crate) fn read_full(store: &dyn WalStore, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match store.read_at(pos.saturating_add(done as u64), &mut buf[done..]) {
            Ok(0) => break,
            Ok(read) if read > buf.len() - done => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the store says that it read more than it was asked for",
                ));
            }
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if done > 0 && (StoreFault::of(&error).is_some() || is_for_now(&error)) => {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{AtomicU32, Ordering};

    struct Failing {
        kind: io::ErrorKind,
        calls: Arc<AtomicU32>,
    }

    impl WalStore for Failing {
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            Err(self.kind.into())
        }
        fn sync(&self) -> io::Result<()> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            Err(self.kind.into())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn truncate(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn read_slot(&self, _: usize) -> io::Result<Vec<u8>> {
            Ok(Vec::new())
        }
        fn write_slot(&self, _: usize, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
    }

    fn failing(kind: io::ErrorKind) -> (Latched, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        (
            Latched::new(Box::new(Failing {
                kind,
                calls: calls.clone(),
            })),
            calls,
        )
    }

    #[test]
    fn a_failed_flush_is_never_tried_again() {
        for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
            let (store, calls) = failing(kind);
            assert!(store.sync().is_err());
            assert!(store.sync().is_err());
            assert!(store.write_at(0, &[1]).is_err());
            assert_eq!(calls.load(Ordering::Relaxed), 1, "{kind:?}");
        }
    }

    #[test]
    fn a_full_disk_does_not_close_the_latch_on_a_write() {
        let (store, calls) = failing(io::ErrorKind::StorageFull);
        assert!(store.write_at(0, &[1]).is_err());
        assert!(store.write_at(0, &[1]).is_err());
        assert_eq!((calls.load(Ordering::Relaxed), store.cause()), (2, None));
    }
}
