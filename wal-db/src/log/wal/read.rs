//! Reading and following.

use std::{ops::RangeBounds, time::SystemTime};

use super::Wal;
use crate::{
    error::Result,
    log::{
        open::report::VerifyReport,
        read::{
            iter::{self, RevIter, WalIter},
            record::Record,
            tail::Tail,
            verify,
        },
    },
    lsn::Lsn,
    position::Position,
};

/// # Reading
impl Wal {
    /// All records, oldest first: from the [`head`](Self::head) on, wherever that is. Of what was appended before, nothing
    /// is left out; what is not in the store yet is put there when the iterator comes to it, which may wait for a flush
    /// that is under way.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn iter(&self) -> Result<WalIter> {
        self.here()?.iter_positions(None, u64::MAX)
    }

    /// The records from `lsn` on; if none starts there, from the next one. If they were cut off by
    /// [`truncate_after`](Self::truncate_after), from what came instead.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated) if a record from `lsn` on was dropped by
    /// [`truncate_before`](Self::truncate_before): what is left is had with [`iter`](Self::iter).
    /// [`BeyondEnd`](crate::WalError::BeyondEnd) if `lsn` lies after the [`end`](Self::end). Else as for
    /// [`iter`](Self::iter).
    pub fn iter_from(&self, lsn: Lsn) -> Result<WalIter> {
        self.range(lsn..)
    }

    /// The records whose LSNs are in `range`, whether or not its bounds are LSNs of records. Its end may lie anywhere, and
    /// nothing from there on is waited for. A range without a start begins at the [`head`](Self::head).
    ///
    /// # Errors
    /// As for [`iter_from`](Self::iter_from).
    pub fn range(&self, range: impl RangeBounds<Lsn>) -> Result<WalIter> {
        let (from, to) = iter::positions(range.start_bound(), range.end_bound());
        self.here()?.iter_positions(from, to)
    }

    /// All records, newest first. What is not in the store yet is put there first, which may wait for a flush that is under
    /// way.
    ///
    /// # Errors
    /// As for [`iter`](Self::iter).
    pub fn iter_rev(&self) -> Result<RevIter> {
        self.here()?.flush_through(u64::MAX)?;
        RevIter::new(self.core().clone())
    }

    /// The records from the `ordinal`-th on, counted from 0 since the log was made; records that were dropped from its
    /// beginning count, those that were cut from its end do not. Nothing if the log has no such record yet.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated), with the LSN of the last record that was dropped, if that record was.
    /// Else as for [`iter`](Self::iter).
    pub fn iter_from_ordinal(&self, ordinal: u64) -> Result<WalIter> {
        self.here()?.iter_from_ordinal(ordinal)
    }

    /// The records that were written to the store at `time` or later, by the clock of the process that wrote them. If
    /// that clock went backwards, the search ends at one of the places that fit.
    ///
    /// # Errors
    /// As for [`iter`](Self::iter).
    pub fn iter_from_time(&self, time: SystemTime) -> Result<WalIter> {
        self.here()?.iter_from_time(time)
    }

    /// The record at `lsn`.
    ///
    /// # Errors
    /// [`NoSuchRecord`](crate::WalError::NoSuchRecord) if none starts there,
    /// [`Truncated`](crate::WalError::Truncated) if it was dropped,
    /// [`Corruption`](crate::WalError::Corruption) if it is damaged.
    pub fn read(&self, lsn: Lsn) -> Result<Record> {
        self.here()?.read(lsn)
    }

    /// When the record at `lsn` was written to the store, by the clock of the process that wrote it.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn time_of(&self, lsn: Lsn) -> Result<SystemTime> {
        self.here()?.time_at(lsn)
    }

    /// The `ordinal`-th record, counted as in [`iter_from_ordinal`](Self::iter_from_ordinal); `None` if the log has no such
    /// record yet. Where it is is guessed from groups that were read before, so it costs about what its group costs.
    ///
    /// # Errors
    /// As for [`iter_from_ordinal`](Self::iter_from_ordinal); [`Corruption`](crate::WalError::Corruption) if it is damaged.
    pub fn read_ordinal(&self, ordinal: u64) -> Result<Option<Record>> {
        self.here()?.read_ordinal(ordinal)
    }

    /// The number of the record at `lsn`, counted as in [`iter_from_ordinal`](Self::iter_from_ordinal). Reads its group.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn ordinal_of(&self, lsn: Lsn) -> Result<u64> {
        self.here()?.ordinal_of(lsn)
    }

    /// The LSN of the newest record; `None` if there is none. Costs what [`iter_rev`](Self::iter_rev) and its first record
    /// cost.
    ///
    /// # Errors
    /// As for [`iter_rev`](Self::iter_rev).
    pub fn last_lsn(&self) -> Result<Option<Lsn>> {
        let newest = self.iter_rev()?.next().transpose()?;
        Ok(newest.map(|record| record.lsn()))
    }

    /// Follows the log: the records from `lsn` on, then each that comes, once it is durable. If records before `lsn` were
    /// cut off since it was kept, it is told so first: [`CutBack`](crate::WalError::CutBack).
    ///
    /// # Errors
    /// As for [`iter_from`](Self::iter_from).
    pub fn tail(&self, lsn: Lsn) -> Result<Tail> {
        Tail::new(self.here()?.clone(), lsn.pos())
    }

    /// As [`tail`](Self::tail), from a position that was stored, once it is sure that it fits: that this is the log in which
    /// it was taken, with the records that came before it there.
    ///
    /// # Errors
    /// [`OtherLog`](crate::WalError::OtherLog), [`Diverged`](crate::WalError::Diverged), and as for [`tail`](Self::tail). That
    /// records were cut off which came before the position is the first thing that the follower says.
    pub fn tail_at(&self, position: &Position) -> Result<Tail> {
        self.here()?.tail_at(position)
    }

    /// As [`iter_from`](Self::iter_from), from a position that was stored, once it is sure that it fits.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve) and [`iter_from`](Self::iter_from).
    pub fn iter_at(&self, position: &Position) -> Result<WalIter> {
        self.here()?.iter_at(position)
    }

    /// The LSN of a position that was stored, if it fits the log, for a call that takes an LSN: its own, or a later one with
    /// no record between the two.
    ///
    /// # Errors
    /// [`OtherLog`](crate::WalError::OtherLog), [`Diverged`](crate::WalError::Diverged),
    /// [`CutBack`](crate::WalError::CutBack) if records before it were cut off since, and as for
    /// [`cursor`](Self::cursor).
    pub fn resolve(&self, position: &Position) -> Result<Lsn> {
        self.here()?.resolve(position)
    }

    /// The position of the record at `lsn`, to be stored; if none starts there, of the next one.
    ///
    /// # Errors
    /// As for [`iter_from`](Self::iter_from).
    pub fn position_of(&self, lsn: Lsn) -> Result<Position> {
        self.here()?.position_of(lsn)
    }

    /// The position after the record at `lsn`, to be stored once that has been taken.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn position_after(&self, lsn: Lsn) -> Result<Position> {
        self.here()?.position_after(lsn)
    }

    /// Follows the log from its first record on, wherever its [`head`](Self::head) is at this moment.
    ///
    /// # Errors
    /// As for [`iter`](Self::iter).
    pub fn tail_from_head(&self) -> Result<Tail> {
        loop {
            match self.tail(self.head()) {
                // The head has moved in between.
                Err(crate::error::WalError::Truncated { .. }) => {}
                tail => return tail,
            }
        }
    }

    /// Reads the whole log, checks everything, and reports every place that is damaged, every file that is not the log's, and
    /// every rule of the format that what is intact breaks.
    ///
    /// # Errors
    /// Only what keeps it from reading. That a file is missing, is another log's or has a damaged header does not: it is
    /// in the report, with whatever else is wrong.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.here()?.flush_through(u64::MAX)?;
        verify::verify(self.core())
    }
}
