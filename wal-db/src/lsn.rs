//! Where a record is.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::format::GROUP_HEADER_LEN;

/// The log sequence number of a record: its byte offset in the log.
///
/// LSNs are unique, grow with the order of the records, have gaps between them, and stay valid for the life of the log:
/// truncation never gives an LSN to another record.
///
/// ```
/// use wal_db::Lsn;
/// assert!(Lsn::new(16) < Lsn::new(32));
/// assert_eq!(Lsn::new(7).get(), 7);
/// assert_eq!("7".parse(), Ok(Lsn::new(7)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(u64);

impl Lsn {
    /// The lowest LSN, at which a new log begins: with its first record, or with the schema of that if it is an event.
    pub const ZERO: Lsn = Lsn(0);

    /// An LSN from its number, for example one that was stored elsewhere.
    #[inline]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Lsn(value)
    }

    /// The number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Positions count from the first byte of the stream, which is the header of the first group; LSNs count
    /// from the first byte that can be a record.
    #[inline]
    pub(crate) const fn from_pos(pos: u64) -> Self {
        Lsn(pos.saturating_sub(GROUP_HEADER_LEN as u64))
    }

    #[inline]
    pub(crate) const fn pos(self) -> u64 {
        self.0.saturating_add(GROUP_HEADER_LEN as u64)
    }
}

/// A position in the stream, where a signature has a length, an ordinal or a time beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pos(pub(crate) u64);

impl Pos {
    /// After every position.
    pub(crate) const MAX: Pos = Pos(u64::MAX);
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Lsn> for u64 {
    fn from(lsn: Lsn) -> Self {
        lsn.0
    }
}

impl From<u64> for Lsn {
    fn from(value: u64) -> Self {
        Lsn(value)
    }
}

impl FromStr for Lsn {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Lsn)
    }
}
