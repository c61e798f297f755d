//! A place in a log that can be kept somewhere else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    format::{Cursor, LogId},
    lsn::Lsn,
};

/// What is hashed before a position's bytes, so that no other 52 bytes with a CRC-32 are taken for one.
const SALT: &[u8] = b"wal-db position 1";

/// How long a position is in bytes.
const LEN: usize = 56;

/// Stands for the group where there is none.
const NO_GROUP: u64 = u64::MAX;

/// A place in one particular log, to be stored with what its records did and to go on from later:
/// [`Tail::position`](crate::Tail::position), [`Position::of`], [`Start::Position`](crate::Start::Position).
///
/// An [`Lsn`] is a number and fits every log. A position also says which log it is from and what came before it there.
/// Both are checked when it is used:
///
/// * another log is refused, with both ids ([`OtherLog`](crate::WalError::OtherLog));
/// * so is the same log with other records before the position ([`Diverged`](crate::WalError::Diverged)): one that was
///   restored from an older copy and has grown differently since, or one that lost records to a power failure which a
///   follower of [what is only written](crate::read::Follow::Written) had been shown;
/// * a later cut of the end is reported ([`CutBack`](crate::WalError::CutBack)) wherever the position was taken, also
///   at the very [end](crate::Wal::end) of the log, where a plain LSN does not show it.
///
/// What came before is known by the checksum of the last group of records, which covers all groups before it: two
/// histories pass for one by chance once in 4 billion times. If that group was dropped from the beginning of the log,
/// or was cut off, the epochs and the group after it have to tell, and a copy that was opened, cut and trimmed as often
/// as the original may not be recognised. A copy that holds the same records up to the position is not another history.
///
/// It is stored as text ([`Display`](fmt::Display), [`FromStr`], serde) or as [56 bytes](Self::to_bytes). A typo in
/// either is found.
///
/// ```
/// # use wal_db::{MemStore, Position, Start, Wal};
/// let wal = Wal::with_store(MemStore::new())?;
/// wal.append_and_sync(b"one")?;
/// let mut tail = wal.tail(Start::Head)?;
/// assert_eq!(tail.try_next()?.unwrap().data(), b"one");
/// let kept = tail.position()?.to_string();
///
/// wal.append_and_sync(b"two")?;
/// let mut tail = wal.tail(&kept.parse()?)?;
/// assert_eq!(tail.try_next()?.unwrap().data(), b"two");
///
/// let other = Wal::with_store(MemStore::new())?;
/// assert!(other.tail(&kept.parse()?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    pub(crate) log: LogId,
    pub(crate) lsn: Lsn,
    pub(crate) part: u32,
    /// What was read ends here at the latest: before the position, if that comes right after what was cut off.
    pub(crate) read_to: u64,
    /// The newest epoch of the log when the position was taken.
    pub(crate) epoch: u32,
    pub(crate) anchor: Option<Anchor>,
}

/// The last group that starts before a position and can hold a record; the one that holds the record, if some of its events
/// have been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Anchor {
    pub(crate) group: u64,
    /// The checksum of its header.
    pub(crate) digest: u32,
}

/// Text or bytes that are no [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a position in a log, or it was changed")]
pub struct ParsePositionError(());

impl Position {
    /// Where the next record will come from: every record before it has been read.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// How many events of the record at [`lsn`](Self::lsn) have been taken already, if its type was split since it was
    /// stored; 0 otherwise. The log hands out the record once more.
    #[must_use]
    pub fn part(&self) -> u32 {
        self.part
    }

    /// The same place, after `part` events of its record.
    #[must_use]
    pub fn with_part(mut self, part: u32) -> Self {
        self.part = part;
        self
    }

    /// The id of the log.
    #[must_use]
    pub fn log_id(&self) -> [u8; 16] {
        self.log.0
    }

    /// The position as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 56] {
        let mut bytes = [0; LEN];
        let (group, digest) = self.anchor_numbers();
        bytes[..16].copy_from_slice(&self.log.0);
        bytes[16..24].copy_from_slice(&self.lsn.get().to_le_bytes());
        bytes[24..28].copy_from_slice(&self.part.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[32..40].copy_from_slice(&group.to_le_bytes());
        bytes[40..44].copy_from_slice(&digest.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.read_to.to_le_bytes());
        let crc = crc(&bytes[..52]);
        bytes[52..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// A position from its bytes.
    ///
    /// # Errors
    /// If they are not those of a position.
    pub fn from_bytes(bytes: &[u8; 56]) -> Result<Self, ParsePositionError> {
        let mut fields = Cursor(bytes);
        let log = LogId(fields.take());
        let lsn = Lsn::new(fields.u64());
        let (part, epoch) = (fields.u32(), fields.u32());
        let (group, digest) = (fields.u64(), fields.u32());
        let read_to = fields.u64();
        if fields.u32() != crc(&bytes[..52]) {
            return Err(ParsePositionError(()));
        }
        Ok(Position {
            log,
            lsn,
            part,
            read_to,
            epoch,
            anchor: (group != NO_GROUP).then_some(Anchor { group, digest }),
        })
    }

    fn anchor_numbers(&self) -> (u64, u32) {
        self.anchor
            .map_or((NO_GROUP, 0), |anchor| (anchor.group, anchor.digest))
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(SALT);
    hasher.update(bytes);
    hasher.finalize()
}

/// `LSN.PART@` and the rest of the bytes in hexadecimal digits.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes();
        write!(f, "{}.{}@", self.lsn, self.part)?;
        let rest = bytes[..16].iter().chain(&bytes[28..]);
        rest.into_iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let parse = || {
            let (place, rest) = text.split_once('@')?;
            let (lsn, part) = place.split_once('.')?;
            let (lsn, part): (u64, u32) = (lsn.parse().ok()?, part.parse().ok()?);
            let rest = rest.as_bytes();
            if rest.len() != 2 * (LEN - 12) {
                return None;
            }
            let mut bytes = [0; LEN];
            let places = (0..16).chain(28..LEN);
            for (at, digits) in places.zip(rest.chunks(2)) {
                let mut digits = digits.iter().map(|&digit| char::from(digit).to_digit(16));
                bytes[at] = digits.try_fold(0, |byte, digit| Some(byte << 4 | digit? as u8))?;
            }
            bytes[16..24].copy_from_slice(&lsn.to_le_bytes());
            bytes[24..28].copy_from_slice(&part.to_le_bytes());
            Position::from_bytes(&bytes).ok()
        };
        parse().ok_or(ParsePositionError(()))
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Position;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the text of a position in a log")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Position, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions() -> [Position; 3] {
        let position = Position {
            log: LogId(*b"0123456789abcdef"),
            lsn: Lsn::new(1 << 40),
            part: 2,
            read_to: 1 << 39,
            epoch: 77,
            anchor: Some(Anchor {
                group: 512,
                digest: 0xdead_beef,
            }),
        };
        let plain = Position {
            lsn: Lsn::ZERO,
            part: 0,
            anchor: None,
            ..position
        };
        [position, plain, position.with_part(u32::MAX)]
    }

    #[test]
    fn a_position_is_what_was_stored() {
        for position in positions() {
            assert_eq!(Position::from_bytes(&position.to_bytes()), Ok(position));
            let text = position.to_string();
            assert_eq!(text.parse(), Ok(position), "{text}");
            assert!(text.starts_with(&format!("{}.{}@", position.lsn(), position.part())));
        }
    }

    #[test]
    fn a_position_that_was_changed_is_none() {
        let position = positions()[0];
        for bit in 0..LEN * 8 {
            let mut bytes = position.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Position::from_bytes(&bytes).is_err(), "bit {bit}");
        }
        let text = position.to_string();
        for at in 0..text.len() {
            assert!(text[..at].parse::<Position>().is_err(), "{at}");
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'1' { b'2' } else { b'1' };
            let other = String::from_utf8(other).expect("ASCII");
            assert!(other.parse::<Position>().is_err(), "{other}");
        }
        for text in ["", "@", "1.2@", "1.2", "\u{e9}", "1.2@é"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
        let odd = "é".repeat(LEN - 12);
        assert!(format!("1.2@{odd}").parse::<Position>().is_err());
    }
}
