//! Reading and following.

use std::{ops::RangeBounds, time::SystemTime};

use super::{Wal, examined};
use crate::{
    error::{Result, WalError},
    log::{
        examine::verify_config::VerifyConfig,
        read::{
            iter::{self, RevIter, WalIter},
            record::Record,
            seek::Location,
            tail::Tail,
        },
        report::VerifyReport,
    },
    lsn::Lsn,
    position::Position,
};

/// A place to start reading at: where [`Wal::iter_from`], [`Wal::tail`] and [`Wal::seek`] begin. An [`Lsn`], a
/// [`Position`] and a [`SystemTime`] convert into it.
///
/// ```
/// # use wal_db::{Lsn, MemStore, Start, Wal};
/// let wal = Wal::with_store(MemStore::new())?;
/// let lsns = wal.append_batch(&["a", "b", "c"])?;
/// assert_eq!(wal.iter_from(lsns[1])?.count(), 2);
/// assert_eq!(wal.iter_from(Start::Ordinal(2))?.count(), 1);
/// assert_eq!(wal.seek(Start::Ordinal(1))?, lsns[1]);
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// The first record of the log, wherever that is at this moment.
    Head,
    /// The record at this LSN; if none starts there, the next one. If they were cut off by
    /// [`Wal::truncate_after`], what came instead.
    Lsn(Lsn),
    /// The record with this number, counted from 0 since the log was made: records that were dropped from its beginning
    /// count, those that were cut from its end do not. The end, if the log has no such record yet.
    Ordinal(u64),
    /// The first record that was written to the store at this time or later, by the clock of the process that wrote it. If
    /// that clock went backwards, the search ends at one of the places that fit.
    Time(SystemTime),
    /// A position that was stored, once it is sure that it fits: that this is the log in which it was taken, with the
    /// records that came before it there.
    Position(Position),
}

impl From<Lsn> for Start {
    fn from(lsn: Lsn) -> Self {
        Start::Lsn(lsn)
    }
}

impl From<SystemTime> for Start {
    fn from(time: SystemTime) -> Self {
        Start::Time(time)
    }
}

impl From<Position> for Start {
    fn from(position: Position) -> Self {
        Start::Position(position)
    }
}

impl From<&Position> for Start {
    fn from(position: &Position) -> Self {
        Start::Position(*position)
    }
}

/// # Reading
impl Wal {
    /// All records, oldest first: from its [head](Start::Head) on, wherever that is. Of what was appended before, nothing
    /// is left out; what is not in the store yet is put there when the iterator comes to it, which may wait for a flush
    /// that is under way.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn iter(&self) -> Result<WalIter> {
        self.here()?.iter_positions(None, u64::MAX)
    }

    /// The records from `start` on.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated) if a record from there on was dropped by
    /// [`truncate_before`](Self::truncate_before), with the LSN of the last one that was; [`iter`](Self::iter) reads
    /// what is left. [`BeyondEnd`](crate::WalError::BeyondEnd) if it is an LSN after the [`end`](Self::end). For a
    /// position, [`OtherLog`](crate::WalError::OtherLog), [`Diverged`](crate::WalError::Diverged), and
    /// [`CutBack`](crate::WalError::CutBack) if records before it were cut off since. Otherwise as for
    /// [`iter`](Self::iter).
    pub fn iter_from(&self, start: impl Into<Start>) -> Result<WalIter> {
        let view = self.here()?;
        match start.into() {
            Start::Head => self.iter(),
            Start::Lsn(lsn) => self.range(lsn..),
            Start::Ordinal(ordinal) => view.iter_from_ordinal(ordinal),
            Start::Time(time) => view.iter_from_time(time),
            Start::Position(position) => self.range(view.resolve(&position)?..),
        }
    }

    /// The LSN to start at: every record from `start` on has this one or a higher one, and no record lies between. For
    /// calls that take an LSN, such as [`EventLog::replay`](crate::EventLog::replay). Fails as
    /// [`iter_from`](Self::iter_from).
    pub fn seek(&self, start: impl Into<Start>) -> Result<Lsn> {
        let start = start.into();
        match start {
            Start::Position(position) => self.here()?.resolve(&position),
            start => Ok(self.iter_from(start)?.start()),
        }
    }

    /// The records whose LSNs are in `range`, whether or not its bounds are LSNs of records. Its end may lie anywhere,
    /// and nothing from there on is waited for. A range without a start begins at the [head](Start::Head). Fails as
    /// [`iter_from`](Self::iter_from).
    pub fn range(&self, range: impl RangeBounds<Lsn>) -> Result<WalIter> {
        let (from, to) = iter::positions(range.start_bound(), range.end_bound());
        self.here()?.iter_positions(from, to)
    }

    /// All records, newest first. What is not in the store yet is put there first, which may wait for a flush that is
    /// under way. Fails as [`iter`](Self::iter).
    pub fn iter_rev(&self) -> Result<RevIter> {
        self.here()?.drain_if_possible(u64::MAX)?;
        RevIter::new(self.view().clone())
    }

    /// The record at `lsn`.
    ///
    /// # Errors
    /// [`NoSuchRecord`](crate::WalError::NoSuchRecord) if none starts there, [`Truncated`](crate::WalError::Truncated)
    /// if it was dropped, [`Corruption`](crate::WalError::Corruption) if it is damaged.
    pub fn read(&self, lsn: Lsn) -> Result<Record> {
        self.here()?.read(lsn)
    }

    /// The number of the record at `lsn`, and when it was written. Reads its group. Fails as [`read`](Self::read).
    pub fn locate(&self, lsn: Lsn) -> Result<Location> {
        self.here()?.locate(lsn)
    }

    /// The `ordinal`-th record, counted as in [`Start::Ordinal`]; `None` if the log has no such
    /// record yet. Where it is is guessed from groups that were read before, so it costs about what its group costs.
    ///
    /// # Errors
    /// As for [`iter_from`](Self::iter_from); [`Corruption`](crate::WalError::Corruption) if it is damaged.
    pub fn read_ordinal(&self, ordinal: u64) -> Result<Option<Record>> {
        self.here()?.read_ordinal(ordinal)
    }

    /// The LSN of the newest record; `None` if there is none. Costs what [`iter_rev`](Self::iter_rev) and its first
    /// record cost. Fails as [`iter_rev`](Self::iter_rev).
    pub fn last_lsn(&self) -> Result<Option<Lsn>> {
        let newest = self.iter_rev()?.next().transpose()?;
        Ok(newest.map(|record| record.lsn()))
    }

    /// Follows the log: the records from `start` on, then each that comes, once it is durable. If records before an LSN
    /// or a position were cut off since it was kept, the follower is told so first:
    /// [`CutBack`](crate::WalError::CutBack). Fails as [`iter_from`](Self::iter_from).
    pub fn tail(&self, start: impl Into<Start>) -> Result<Tail> {
        let view = self.here()?;
        match start.into() {
            Start::Lsn(lsn) => Tail::new(view.clone(), lsn.pos()),
            Start::Position(position) => view.tail_at(&position),
            Start::Head => loop {
                match Tail::new(view.clone(), view.base.extent().head) {
                    // The head has moved in between.
                    Err(WalError::Truncated { .. }) => {}
                    tail => return tail,
                }
            },
            start => self.tail(self.seek(start)?),
        }
    }

    /// Reads the whole log, checks everything, and reports every place that is damaged, every file that is not the
    /// log's, and every rule of the format that what is intact breaks.
    ///
    /// # Errors
    /// Only what keeps it from reading. That a file is missing, is another log's or has a damaged header does not: it is
    /// in the report, with whatever else is wrong.
    ///
    /// [`recovery::verify`](crate::recovery::verify) does it by several threads, or to a part of the log, and tells how far
    /// it is; [`recovery::verify_path`](crate::recovery::verify_path) does it to a log that does not open.
    pub fn verify(&self) -> Result<VerifyReport> {
        examined::verify(self, &VerifyConfig::new())
    }
}

/// # Positions of records
impl Position {
    /// The position of the record at `lsn`, to be stored; if none starts there, of the next one. Fails as
    /// [`Wal::iter_from`].
    pub fn of(wal: &Wal, lsn: Lsn) -> Result<Position> {
        wal.here()?.position_of(lsn)
    }

    /// The position after the record at `lsn`, to be stored once that has been taken. Fails as [`Wal::read`].
    pub fn after(wal: &Wal, lsn: Lsn) -> Result<Position> {
        wal.here()?.position_after(lsn)
    }
}
