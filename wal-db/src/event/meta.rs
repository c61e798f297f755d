//! What an event carries beside its fields: when, in which stream, because of what. Bytes to values and back, no
//! I/O; `docs/format.md`, "Metadata", says what they are.
//!
//! Both types hold the entries as they are stored, in order, so reading allocates nothing and a copy of an event
//! keeps what a later release wrote.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::envelope::{EnvelopeError, put_varint, take_varint};
use crate::lsn::Lsn;

const TIME: u8 = 1;
const EVENT_ID: u8 = 2;
const CORRELATION_ID: u8 = 3;
const CAUSATION: u8 = 4;
const STREAM: u8 = 5;
const TAG: u8 = 6;
/// Keys from here on are the application's.
const FIRST_OF_APPLICATION: u8 = 128;

/// The most that is written for one event, all entries with their keys and lengths.
const MAX_LEN: usize = u16::MAX as usize;

/// Why metadata cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// All of it together is too long.
    #[error("the metadata has more than {max} bytes: keep what is large in the event itself")]
    TooLong {
        /// The most that can be stored.
        max: usize,
    },
    /// Keys below 128 are those of wal-db.
    #[error("key {key} of the metadata is reserved: applications have 128 to 255")]
    ReservedKey {
        /// The key that was given.
        key: u8,
    },
    /// The time cannot be counted in microseconds with 64 bits.
    #[error("the time is more than 292,000 years from 1970")]
    TimeOutOfRange,
}

/// Metadata to append with an event: [`EventLog::append_with_meta`](crate::EventLog::append_with_meta). All of it is optional.
///
/// Setting something twice replaces it, except for tags, of which there can be any number. What cannot be stored
/// (see [`MetaError`]) refuses the append, not the call that set it.
///
/// ```
/// use std::time::SystemTime;
/// use wal_db::Meta;
///
/// let meta = Meta::new()
///     .with_time(SystemTime::now())
///     .with_stream("account-7")
///     .with_tag("import")
///     .with_tag("retry")
///     .with_entry(200, b"eu-west");
/// assert_eq!(meta.stream(), Some("account-7"));
/// assert!(meta.tags().eq(["import", "retry"]));
/// assert_eq!(meta.entry(200), Some(&b"eu-west"[..]));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Valid entries, at most `MAX_LEN` bytes unless they were read.
    entries: Vec<u8>,
    /// The first thing that could not be stored.
    refused: Option<MetaError>,
}

impl Meta {
    /// No metadata.
    #[must_use]
    pub const fn new() -> Self {
        Meta {
            entries: Vec::new(),
            refused: None,
        }
    }

    /// When it happened. Stored in microseconds, rounded down.
    #[must_use]
    pub fn with_time(self, time: SystemTime) -> Self {
        match micros(time) {
            Some(micros) => self.with_time_us(micros),
            None => self.refuse(MetaError::TimeOutOfRange),
        }
    }

    /// When it happened, in microseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn with_time_us(self, micros: i64) -> Self {
        self.with(TIME, &micros.to_le_bytes())
    }

    /// The event's own id, for example a UUID: what a reader that sees an event twice knows it by.
    #[must_use]
    pub fn with_event_id(self, id: [u8; 16]) -> Self {
        self.with(EVENT_ID, &id)
    }

    /// What the events of one request or process have in common.
    #[must_use]
    pub fn with_correlation_id(self, id: [u8; 16]) -> Self {
        self.with(CORRELATION_ID, &id)
    }

    /// The event because of which this one happened.
    #[must_use]
    pub fn with_causation(self, lsn: Lsn) -> Self {
        self.with(CAUSATION, &lsn.get().to_le_bytes())
    }

    /// The stream that the event is part of, for example the key of an entity:
    /// [`Replay::stream`](crate::Replay::stream) reads one.
    #[must_use]
    pub fn with_stream(self, key: &str) -> Self {
        self.with(STREAM, key.as_bytes())
    }

    /// One more tag: [`Replay::tagged`](crate::Replay::tagged) finds the events that have it.
    #[must_use]
    pub fn with_tag(self, tag: &str) -> Self {
        self.with(TAG, tag.as_bytes())
    }

    /// Anything else, under one of the keys 128 to 255, which are the application's.
    #[must_use]
    pub fn with_entry(self, key: u8, bytes: &[u8]) -> Self {
        if key < FIRST_OF_APPLICATION {
            return self.refuse(MetaError::ReservedKey { key });
        }
        self.with(key, bytes)
    }

    /// The same, borrowed.
    #[must_use]
    pub fn view(&self) -> MetaRef<'_> {
        MetaRef {
            entries: &self.entries,
        }
    }

    /// The bytes to store.
    pub(super) fn checked(&self) -> Result<&[u8], MetaError> {
        match self.refused {
            Some(error) => Err(error),
            // What was read may be longer than what is written.
            None if self.entries.len() > MAX_LEN => Err(MetaError::TooLong { max: MAX_LEN }),
            None => Ok(&self.entries),
        }
    }

    /// Puts an entry in its place: after those with smaller keys, and after or instead of one with the same.
    fn with(mut self, key: u8, value: &[u8]) -> Self {
        if value.len() > MAX_LEN {
            return self.refuse(MetaError::TooLong { max: MAX_LEN });
        }
        let (mut start, mut end) = (0, 0);
        let mut walk = self.view().walk();
        while let Some((at, _)) = walk.next() {
            let behind = self.entries.len() - walk.rest.len();
            match at.cmp(&key) {
                std::cmp::Ordering::Less => (start, end) = (behind, behind),
                std::cmp::Ordering::Equal if repeats(key) => (start, end) = (behind, behind),
                std::cmp::Ordering::Equal => end = behind,
                std::cmp::Ordering::Greater => break,
            }
        }
        let mut entry = vec![key];
        put_varint(value.len() as u32, &mut entry);
        entry.extend_from_slice(value);
        if self.entries.len() - (end - start) + entry.len() > MAX_LEN {
            return self.refuse(MetaError::TooLong { max: MAX_LEN });
        }
        self.entries.splice(start..end, entry);
        self
    }

    fn refuse(mut self, error: MetaError) -> Self {
        self.refused.get_or_insert(error);
        self
    }
}

/// The same questions as to a [`MetaRef`].
impl Meta {
    /// See [`MetaRef::is_empty`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// See [`MetaRef::time`].
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        self.view().time()
    }

    /// See [`MetaRef::time_us`].
    #[must_use]
    pub fn time_us(&self) -> Option<i64> {
        self.view().time_us()
    }

    /// See [`MetaRef::event_id`].
    #[must_use]
    pub fn event_id(&self) -> Option<[u8; 16]> {
        self.view().event_id()
    }

    /// See [`MetaRef::correlation_id`].
    #[must_use]
    pub fn correlation_id(&self) -> Option<[u8; 16]> {
        self.view().correlation_id()
    }

    /// See [`MetaRef::causation`].
    #[must_use]
    pub fn causation(&self) -> Option<Lsn> {
        self.view().causation()
    }

    /// See [`MetaRef::stream`].
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        self.view().stream()
    }

    /// See [`MetaRef::tags`].
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.view().tags()
    }

    /// See [`MetaRef::entry`].
    #[must_use]
    pub fn entry(&self, key: u8) -> Option<&[u8]> {
        self.view().entry(key)
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refused {
            Some(error) => f.debug_tuple("Meta").field(&error).finish(),
            None => self.view().fmt(f),
        }
    }
}

/// Metadata in a record that is being read: [`Record::meta`](crate::Record::meta). Nothing is copied.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct MetaRef<'a> {
    /// Valid entries.
    entries: &'a [u8],
}

impl<'a> MetaRef<'a> {
    /// Checks that the bytes are metadata: whole entries in order, and of those that this release knows the right
    /// length and UTF-8.
    pub(super) fn parse(entries: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut rest = entries;
        let mut previous = 0;
        while let Some((&key, after)) = rest.split_first() {
            let bad = |problem| Err(EnvelopeError::BadMetadata { key, problem });
            rest = after;
            let len = take_varint(&mut rest, u32::MAX, "length of an entry of the metadata")?;
            let Some((value, after)) = rest.split_at_checked(len as usize) else {
                return bad("is longer than the metadata");
            };
            rest = after;
            if key == 0 {
                return bad("is no key");
            }
            if key < previous || key == previous && !repeats(key) {
                return bad("is out of order or repeated");
            }
            if let Some(problem) = misfit(key, value) {
                return bad(problem);
            }
            previous = key;
        }
        Ok(MetaRef { entries })
    }

    /// Whether the event was appended without metadata.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When it happened; `None` as well if this system's clock cannot express it.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        let micros = self.time_us()?;
        let distance = Duration::from_micros(micros.unsigned_abs());
        if micros < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        }
    }

    /// When it happened, in microseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn time_us(&self) -> Option<i64> {
        self.array(TIME).map(i64::from_le_bytes)
    }

    /// The event's own id.
    #[must_use]
    pub fn event_id(&self) -> Option<[u8; 16]> {
        self.array(EVENT_ID)
    }

    /// What it has in common with other events of one request or process.
    #[must_use]
    pub fn correlation_id(&self) -> Option<[u8; 16]> {
        self.array(CORRELATION_ID)
    }

    /// The event because of which it happened.
    #[must_use]
    pub fn causation(&self) -> Option<Lsn> {
        self.array(CAUSATION).map(u64::from_le_bytes).map(Lsn::new)
    }

    /// The stream that it is part of.
    #[must_use]
    pub fn stream(&self) -> Option<&'a str> {
        self.entry(STREAM).and_then(|key| std::str::from_utf8(key).ok())
    }

    /// Its tags, in the order in which they were given.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let tags = self.walk().filter(|(key, _)| *key == TAG);
        tags.filter_map(|(_, tag)| std::str::from_utf8(tag).ok())
    }

    /// The bytes under a key. The application's keys are 128 to 255; those below are listed in `docs/format.md`.
    #[must_use]
    pub fn entry(&self, key: u8) -> Option<&'a [u8]> {
        let mut entries = self.walk();
        entries.find_map(|(at, value)| (at == key).then_some(value))
    }

    /// Every entry as it is stored, in the order of the keys; also those that this release does not know.
    pub fn entries(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        self.walk()
    }

    /// A copy that can be kept, or appended with another event.
    #[must_use]
    pub fn to_meta(&self) -> Meta {
        Meta {
            entries: self.entries.to_vec(),
            refused: None,
        }
    }

    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.walk().any(|entry| entry == (TAG, tag.as_bytes()))
    }

    fn array<const N: usize>(&self, key: u8) -> Option<[u8; N]> {
        self.entry(key)?.try_into().ok()
    }

    fn walk(&self) -> Walk<'a> {
        Walk { rest: self.entries }
    }
}

impl fmt::Debug for MetaRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (key, value) in self.walk() {
            match std::str::from_utf8(value) {
                Ok(text) if matches!(key, STREAM | TAG) => map.entry(&key, &text),
                _ => map.entry(&key, &value),
            };
        }
        map.finish()
    }
}

/// Entries that were checked, one after the other.
struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Walk<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&key, mut rest) = self.rest.split_first()?;
        let len = take_varint(&mut rest, u32::MAX, "").ok()?;
        let (value, rest) = rest.split_at_checked(len as usize)?;
        self.rest = rest;
        Some((key, value))
    }
}

/// What keeps a value from being one of its key.
fn misfit(key: u8, value: &[u8]) -> Option<&'static str> {
    let (fits, problem) = match key {
        TIME | CAUSATION => (value.len() == 8, "is not 8 bytes long"),
        EVENT_ID | CORRELATION_ID => (value.len() == 16, "is not 16 bytes long"),
        STREAM | TAG => (std::str::from_utf8(value).is_ok(), "is not UTF-8"),
        _ => return None,
    };
    (!fits).then_some(problem)
}

/// Keys that a later release defines may repeat as well; it is not for this one to say.
fn repeats(key: u8) -> bool {
    (TAG..FIRST_OF_APPLICATION).contains(&key)
}

fn micros(time: SystemTime) -> Option<i64> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).ok(),
        Err(before) => {
            let nanos = i128::try_from(before.duration().as_nanos()).ok()?;
            i64::try_from((-nanos).div_euclid(1000)).ok()
        }
    }
}

#[cfg(test)]
#[path = "meta_tests.rs"]
mod tests;
