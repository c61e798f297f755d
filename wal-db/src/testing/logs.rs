//! Logs of events that leave nothing behind.

use std::ops::Deref;
use std::path::Path;

use tempfile::TempDir;

use crate::{EventLog, MemStore, Result, Wal, WalDecodeOwned};

/// Small, so that a test crosses the end of a segment when it writes a little more.
const SEGMENT_SIZE: u64 = 1 << 20;

/// A log of events in memory.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::WalRecord;
/// use wal_db::testing::MemLog;
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "counted")]
/// struct Counted(u64);
///
/// # fn main() -> wal_db::Result<()> {
/// let log = MemLog::<Counted>::new()?;
/// log.append(&Counted(7))?;
/// let log = log.reopen()?;
/// assert_eq!(log.events()?, [Counted(7)]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MemLog<E: WalDecodeOwned> {
    log: EventLog<E>,
    store: MemStore,
}

impl<E: WalDecodeOwned> MemLog<E> {
    /// An empty log.
    ///
    /// # Errors
    ///
    /// As [`Wal::typed`].
    pub fn new() -> Result<Self> {
        MemLog::open(MemStore::new())
    }

    /// Closes the log and opens it again, as the next run of a program would. Clones of the [`EventLog`] have to be gone.
    ///
    /// # Errors
    ///
    /// As [`Wal::with_store`].
    pub fn reopen(self) -> Result<Self> {
        drop(self.log);
        MemLog::open(self.store)
    }

    /// All events, oldest first.
    ///
    /// # Errors
    ///
    /// The first event that cannot be read.
    pub fn events(&self) -> Result<Vec<E>> {
        events(&self.log)
    }

    fn open(store: MemStore) -> Result<Self> {
        Ok(MemLog {
            log: Wal::with_store(store.clone())?.typed()?,
            store,
        })
    }
}

impl<E: WalDecodeOwned> Deref for MemLog<E> {
    type Target = EventLog<E>;

    fn deref(&self) -> &EventLog<E> {
        &self.log
    }
}

/// A log of events in segments of 1 MiB in a temporary directory, which is removed with it.
#[derive(Debug)]
pub struct TempLog<E: WalDecodeOwned> {
    // Closed before the directory goes.
    log: EventLog<E>,
    dir: TempDir,
}

impl<E: WalDecodeOwned> TempLog<E> {
    /// An empty log.
    ///
    /// # Errors
    ///
    /// If the directory or the log in it cannot be made.
    pub fn new() -> Result<Self> {
        TempLog::open(tempfile::tempdir()?)
    }

    /// Closes the log and opens it again, as the next run of a program would. Clones of the [`EventLog`] have to be gone.
    ///
    /// # Errors
    ///
    /// As [`Wal::open_segmented`].
    pub fn reopen(self) -> Result<Self> {
        drop(self.log);
        TempLog::open(self.dir)
    }

    /// All events, oldest first.
    ///
    /// # Errors
    ///
    /// The first event that cannot be read.
    pub fn events(&self) -> Result<Vec<E>> {
        events(&self.log)
    }

    /// The directory with the segments.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn open(dir: TempDir) -> Result<Self> {
        Ok(TempLog {
            log: Wal::open_segmented(dir.path(), SEGMENT_SIZE)?.typed()?,
            dir,
        })
    }
}

impl<E: WalDecodeOwned> Deref for TempLog<E> {
    type Target = EventLog<E>;

    fn deref(&self) -> &EventLog<E> {
        &self.log
    }
}

fn events<E: WalDecodeOwned>(log: &EventLog<E>) -> Result<Vec<E>> {
    log.replay(..)?
        .map(|event| event.map(|event| event.event))
        .collect()
}
