//! Logs of events in memory, or in a directory that is removed with them.

use std::ops::Deref;
use std::path::Path;

use tempfile::TempDir;

use crate::{
    error::Result,
    event::{
        EventLog, WalDecodeOwned,
        codec::{Codec, DefaultCodec},
    },
    log::Wal,
    lsn::Lsn,
    storage::MemStore,
};

/// Small, so that a test crosses the end of a segment when it writes a little more.
const SEGMENT_SIZE: u64 = 1 << 20;

/// A log of events in memory, which are written in the format `C`.
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
/// let log = MemLog::<Counted>::new()?;
/// log.append(&Counted(7))?;
/// let log = log.reopen()?;
/// assert_eq!(log.events()?, [Counted(7)]);
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[derive(Debug)]
pub struct MemLog<E: WalDecodeOwned, C: Codec = DefaultCodec> {
    log: EventLog<E, C>,
    store: MemStore,
}

impl<E: WalDecodeOwned> MemLog<E> {
    /// An empty log. Fails as [`Wal::typed`].
    pub fn new() -> Result<Self> {
        MemLog::open(MemStore::new())
    }
}

impl<E: WalDecodeOwned, C: Codec> MemLog<E, C> {
    /// An empty log of events in the format `C`. Fails as [`Wal::typed`].
    pub fn with_codec() -> Result<Self> {
        MemLog::open(MemStore::new())
    }

    /// Closes the log and opens it again, as the next run of a program would. Clones of the [`EventLog`] have to be
    /// gone. Fails as [`Wal::with_store`].
    pub fn reopen(self) -> Result<Self> {
        drop(self.log);
        MemLog::open(self.store)
    }

    /// All events, oldest first.
    ///
    /// # Errors
    /// The first event that cannot be read.
    pub fn events(&self) -> Result<Vec<E>> {
        events(&self.log)
    }

    fn open(store: MemStore) -> Result<Self> {
        Ok(MemLog {
            log: Wal::with_store(store.clone())?.typed()?.with_codec(),
            store,
        })
    }
}

impl<E: WalDecodeOwned, C: Codec> Deref for MemLog<E, C> {
    type Target = EventLog<E, C>;

    fn deref(&self) -> &EventLog<E, C> {
        &self.log
    }
}

/// A log of events in segments of 1 MiB in a temporary directory, which is removed with it. They are written in the
/// format `C`.
#[derive(Debug)]
pub struct TempLog<E: WalDecodeOwned, C: Codec = DefaultCodec> {
    // Closed before the directory goes.
    log: EventLog<E, C>,
    dir: TempDir,
}

impl<E: WalDecodeOwned> TempLog<E> {
    /// An empty log.
    ///
    /// # Errors
    /// If the directory or the log in it cannot be made.
    pub fn new() -> Result<Self> {
        TempLog::open(tempfile::tempdir()?)
    }
}

impl<E: WalDecodeOwned, C: Codec> TempLog<E, C> {
    /// An empty log of events in the format `C`.
    ///
    /// # Errors
    /// If the directory or the log in it cannot be made.
    pub fn with_codec() -> Result<Self> {
        TempLog::open(tempfile::tempdir()?)
    }

    /// Closes the log and opens it again, as the next run of a program would. Clones of the [`EventLog`] have to be
    /// gone. Fails as [`Wal::open_segmented`].
    pub fn reopen(self) -> Result<Self> {
        drop(self.log);
        TempLog::open(self.dir)
    }

    /// All events, oldest first.
    ///
    /// # Errors
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
            log: Wal::open_segmented(dir.path(), SEGMENT_SIZE)?
                .typed()?
                .with_codec(),
            dir,
        })
    }
}

impl<E: WalDecodeOwned, C: Codec> Deref for TempLog<E, C> {
    type Target = EventLog<E, C>;

    fn deref(&self) -> &EventLog<E, C> {
        &self.log
    }
}

/// Appends a typed record that holds these bytes, its envelope included: for tests of what a program does about records
/// that something else wrote, or that are damaged. Their type has no schema in the log by that alone. Fails as
/// [`Wal::append`].
pub fn append_payload(wal: &Wal, payload: &[u8]) -> Result<Lsn> {
    wal.append_described(payload, None).map(|(lsn, _)| lsn)
}

fn events<E: WalDecodeOwned, C: Codec>(log: &EventLog<E, C>) -> Result<Vec<E>> {
    log.replay(..)?
        .map(|event| event.map(|event| event.event))
        .collect()
}
