//! Dropping records at both ends.

use super::Wal;
use crate::{
    error::Result,
    log::{read::hold::Hold, write::truncate::Retention},
    lsn::Lsn,
};

/// # Truncating
impl Wal {
    /// Removes every record after the one at `lsn`, durably. Safe while others append and read: appends that run at the
    /// same time come either before the cut and are removed, or after it. LSNs that were removed are never used again.
    ///
    /// # Errors
    /// [`NoSuchRecord`](crate::WalError::NoSuchRecord) if no record starts at `lsn`,
    /// [`TooManyTruncations`](crate::WalError::TooManyTruncations), and as for [`sync`](Self::sync). Nothing was removed,
    /// unless the error is `InDoubt`.
    pub fn truncate_after(&self, lsn: Lsn) -> Result<()> {
        self.writer()?.truncate_after(lsn)
    }

    /// Removes the record at `lsn` and every one after it, durably; nothing is left if it is the first. Otherwise as
    /// [`truncate_after`](Self::truncate_after) the record before it.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let first = wal.append(b"of a term that was lost")?;
    /// wal.append(b"as well")?;
    /// wal.truncate_from(first)?;
    /// assert!(wal.is_empty());
    /// assert!(wal.append(b"of the next one")? > first);
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    pub fn truncate_from(&self, lsn: Lsn) -> Result<()> {
        self.writer()?.truncate_from(lsn)
    }

    /// Removes every record before the one at `lsn`, which may be the [`end`](Self::end) (if none starts there: before
    /// the next one), durably, and returns where the log starts now. Whole segment files are deleted, and a log in one
    /// file gives the blocks back where the file system can. Safe while others append and read; readers of what was
    /// removed get [`Truncated`](crate::WalError::Truncated). Nothing happens if they are gone already.
    ///
    /// # Errors
    /// [`BeyondEnd`](crate::WalError::BeyondEnd) if `lsn` lies after the end of the log: nothing was removed. Otherwise
    /// as for [`sync`](Self::sync).
    pub fn truncate_before(&self, lsn: Lsn) -> Result<Lsn> {
        self.writer()?.truncate_before(lsn)
    }

    /// Drops old records by size and age, except those that a [`Hold`] or a [consumer](crate::consumer) still needs, and
    /// returns where the log starts now.
    ///
    /// # Errors
    /// As [`truncate_before`](Self::truncate_before). [`WalError::Consumer`](crate::WalError::Consumer) if what is kept of a
    /// consumer cannot be read (nothing was dropped), or if too much is kept for one:
    /// [`Retention::with_max_kept_for_consumers`].
    pub fn retain(&self, retention: &Retention) -> Result<Lsn> {
        self.writer()?.retain(retention)
    }

    /// Registers a reader that still needs the records from `lsn` on. Once this has returned, [`retain`](Self::retain)
    /// keeps them; [`truncate_before`](Self::truncate_before), which names a position, asks nobody.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated) if some of them were dropped already,
    /// [`BeyondEnd`](crate::WalError::BeyondEnd) if `lsn` lies after the end of the log.
    pub fn hold(&self, lsn: Lsn) -> Result<Hold> {
        self.here()?.hold(lsn)
    }
}
