//! Looking at a log that is open: all of it, or what it is made of.

use std::{ops::RangeBounds, path::Path};

use super::Wal;
use crate::{
    error::{LockHolder, Result},
    log::{
        examine::{
            groups::{self, Groups, Segment},
            verify,
            verify_config::VerifyConfig,
        },
        read::iter,
        report::VerifyReport,
    },
    lsn::Lsn,
    storage,
};

/// As [`Wal::verify`], as `config` says.
///
/// ```
/// use wal_db::{MemStore, Wal, recovery::{self, VerifyConfig}};
///
/// let wal = Wal::with_store(MemStore::new())?;
/// wal.append_and_sync(b"event")?;
/// let threads = std::thread::available_parallelism().map_or(1, usize::from);
/// let config = VerifyConfig::new().with_threads(threads);
/// assert_eq!(recovery::verify(&wal, &config)?, wal.verify()?);
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// # Errors
/// As for [`Wal::verify`].
pub fn verify(wal: &Wal, config: &VerifyConfig) -> Result<VerifyReport> {
    wal.here()?.drain_if_possible(u64::MAX)?;
    let manifest = wal.owner.writer.as_ref().map(|writer| writer.manifest.lock());
    verify::verify(wal.view(), manifest, config)
}

/// The groups that hold the records of a range, as they are in the store, in order. Only their headers are read, and not
/// checked against what they head, as [`verify`](crate::recovery::verify) does. What is in staging memory is in no group
/// yet.
///
/// A header that is damaged is an error, and the walk goes on after it.
///
/// ```
/// use wal_db::{MemStore, Wal, recovery};
///
/// let wal = Wal::with_store(MemStore::new())?;
/// wal.append_batch(&["a", "b"])?;
/// wal.sync()?;
/// wal.append_and_sync(b"c")?;
/// let records: Vec<u32> = recovery::groups(&wal, ..)?
///     .map(|group| Ok(group?.records))
///     .collect::<wal_db::Result<_>>()?;
/// assert_eq!(records.iter().sum::<u32>(), 3);
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// # Errors
/// As those of [`Wal::iter_from`](crate::Wal::iter_from). What lies outside the log is no error.
pub fn groups(wal: &Wal, range: impl RangeBounds<Lsn>) -> Result<Groups> {
    let (from, to) = iter::positions(range.start_bound(), range.end_bound());
    wal.here()?.drain_if_possible(u64::MAX)?;
    groups::groups(wal.view(), from.unwrap_or(0), to)
}

/// The files of a log that is open, with what is in each. The bytes between are not read: it costs a few reads for each
/// file. A log in memory has none.
///
/// # Errors
/// [`WalError::Io`](crate::WalError::Io), and those of a log that cannot be used.
pub fn segments(wal: &Wal) -> Result<Vec<Segment>> {
    wal.here()?.drain_if_possible(u64::MAX)?;
    groups::segments(wal.view())
}

/// The process that has the log at a path open for writing; `None` if none has, or if the system does not tell. Linux
/// tells of processes that this one can see: not of those in another container, or on another machine that has the
/// directory as well.
///
/// It may have closed the log when this returns. Only opening the log says for sure that nobody else has it.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let log = dir.path().join("log");
/// let wal = wal_db::Wal::open(&log)?;
/// if let Some(writer) = wal_db::recovery::writer(&log) {
///     assert_eq!(writer.pid, std::process::id());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn writer(path: impl AsRef<Path>) -> Option<LockHolder> {
    storage::writer(path.as_ref())
}
