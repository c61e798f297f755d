//! What an event carries beside its fields: when, in which stream, because of what.
//!
//! [`Meta`] and [`MetaRef`] hold the entries as they are stored, in order, so reading allocates nothing and a copy of an
//! event keeps what a later release wrote.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    format::envelope::{
        CAUSATION, COMMAND_ID, CONSUMED, CORRELATION_ID, Consumed, EVENT_ID, FIRST_OF_APPLICATION,
        MAX_METADATA_LEN, MetaRef, STREAM, STREAM_ID, STREAM_NUMBER, TAG, TIME, TIME_REST, put_entry,
        take_entry,
    },
    lsn::Lsn,
};

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

/// What a stream is known by: text, a number, or an id such as a UUID. `with_stream` and `stream` take what it is made
/// from: `"account-7"`, `7_u64`, `[0; 16]`. The three are different keys: `7` is not `"7"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StreamKey<'a> {
    /// Text.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// An id, its bytes in the order of its text.
    Id([u8; 16]),
}

impl StreamKey<'_> {
    /// The key and the value of the entry that it is stored as.
    pub(crate) fn with_entry<T>(self, run: impl FnOnce(u8, &[u8]) -> T) -> T {
        match self {
            StreamKey::Text(text) => run(STREAM, text.as_bytes()),
            StreamKey::Number(number) => run(STREAM_NUMBER, &number.to_le_bytes()),
            StreamKey::Id(id) => run(STREAM_ID, &id),
        }
    }
}

impl<'a> From<&'a str> for StreamKey<'a> {
    fn from(text: &'a str) -> Self {
        StreamKey::Text(text)
    }
}

impl<'a> From<&'a String> for StreamKey<'a> {
    fn from(text: &'a String) -> Self {
        StreamKey::Text(text)
    }
}

impl From<u64> for StreamKey<'_> {
    fn from(number: u64) -> Self {
        StreamKey::Number(number)
    }
}

impl From<[u8; 16]> for StreamKey<'_> {
    fn from(id: [u8; 16]) -> Self {
        StreamKey::Id(id)
    }
}

impl fmt::Display for StreamKey<'_> {
    /// Text and numbers as they are, an id in hexadecimal digits with the hyphens of a UUID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamKey::Text(text) => f.pad(text),
            StreamKey::Number(number) => number.fmt(f),
            StreamKey::Id(id) => {
                for (at, byte) in id.iter().enumerate() {
                    let hyphen = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{hyphen}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// Metadata to append with an event: [`EventLog::append_with_meta`](crate::EventLog::append_with_meta). All of it is
/// optional.
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
/// assert_eq!(meta.stream(), Some("account-7".into()));
/// assert!(meta.tags().eq(["import", "retry"]));
/// assert_eq!(meta.entry(200), Some(&b"eu-west"[..]));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Valid entries, at most `MAX_METADATA_LEN` bytes unless they were read.
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

    /// When it happened, to the nanosecond.
    #[must_use]
    pub fn with_time(self, time: SystemTime) -> Self {
        self.with_time_ns(nanos(time))
    }

    /// When it happened, in microseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn with_time_us(self, micros: i64) -> Self {
        self.with_time_ns(i128::from(micros) * 1000)
    }

    /// When it happened, in nanoseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn with_time_ns(mut self, nanos: i128) -> Self {
        let Ok(micros) = i64::try_from(nanos.div_euclid(1000)) else {
            return self.refuse(MetaError::TimeOutOfRange);
        };
        take_entry(&mut self.entries, TIME_REST);
        let this = self.with(TIME, &micros.to_le_bytes());
        match nanos.rem_euclid(1000) as u16 {
            0 => this,
            rest => this.with(TIME_REST, &rest.to_le_bytes()),
        }
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

    /// The command that was carried out with the event, for example the id of a request: what
    /// [`Condition::command`](crate::index::Condition::command) knows it by when it comes again, and sets.
    #[must_use]
    pub fn with_command_id(self, id: [u8; 16]) -> Self {
        self.with(COMMAND_ID, &id)
    }

    /// The stream that the event is part of, for example the key of an entity:
    /// [`Replay::stream`](crate::Replay::stream) reads one.
    #[must_use]
    pub fn with_stream<'a>(mut self, key: impl Into<StreamKey<'a>>) -> Self {
        for key in STREAM_KEYS {
            take_entry(&mut self.entries, key);
        }
        key.into().with_entry(|key, value| self.with(key, value))
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

    /// Says which event a consumer has handled by appending, or that none was.
    pub(crate) fn with_consumed(mut self, consumed: Option<Consumed<'_>>) -> Self {
        take_entry(&mut self.entries, CONSUMED);
        match consumed {
            Some(consumed) => self.with(CONSUMED, &consumed.to_bytes()),
            None => self,
        }
    }

    /// The same, borrowed.
    #[must_use]
    pub fn view(&self) -> MetaRef<'_> {
        MetaRef { bytes: &self.entries }
    }

    /// The bytes to store.
    pub(super) fn checked(&self) -> Result<&[u8], MetaError> {
        match self.refused {
            Some(error) => Err(error),
            // What was read may be longer than what is written.
            None if self.entries.len() > MAX_METADATA_LEN => Err(MetaError::TooLong {
                max: MAX_METADATA_LEN,
            }),
            None => Ok(&self.entries),
        }
    }

    fn with(mut self, key: u8, value: &[u8]) -> Self {
        if put_entry(&mut self.entries, key, value) {
            return self;
        }
        self.refuse(MetaError::TooLong {
            max: MAX_METADATA_LEN,
        })
    }

    fn refuse(mut self, error: MetaError) -> Self {
        self.refused.get_or_insert(error);
        self
    }
}

macro_rules! as_borrowed {
    ($($name:ident($($arg:ident: $ty:ty)?) -> $answer:ty;)*) => {
        /// The same questions as to a [`MetaRef`].
        impl Meta {
            $(
                #[doc = concat!("See [`MetaRef::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(&self $(, $arg: $ty)?) -> $answer {
                    self.view().$name($($arg)?)
                }
            )*

            /// See [`MetaRef::tags`].
            pub fn tags(&self) -> impl Iterator<Item = &str> {
                self.view().tags()
            }
        }
    };
}

as_borrowed! {
    is_empty() -> bool;
    time() -> Option<SystemTime>;
    time_us() -> Option<i64>;
    time_ns() -> Option<i128>;
    event_id() -> Option<[u8; 16]>;
    correlation_id() -> Option<[u8; 16]>;
    causation() -> Option<Lsn>;
    command_id() -> Option<[u8; 16]>;
    stream() -> Option<StreamKey<'_>>;
    entry(key: u8) -> Option<&[u8]>;
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refused {
            Some(error) => f.debug_tuple("Meta").field(&error).finish(),
            None => self.view().fmt(f),
        }
    }
}

impl<'a> MetaRef<'a> {
    /// When it happened; `None` as well if this system's clock cannot express it.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        let nanos = self.time_ns()?;
        let (seconds, rest) = (
            nanos.unsigned_abs() / 1_000_000_000,
            nanos.unsigned_abs() % 1_000_000_000,
        );
        let distance = Duration::new(u64::try_from(seconds).ok()?, rest as u32);
        if nanos < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        }
    }

    /// When it happened, in microseconds since 1970-01-01 00:00 UTC, rounded down.
    #[must_use]
    pub fn time_us(&self) -> Option<i64> {
        self.number(TIME).map(u64::cast_signed)
    }

    /// When it happened, in nanoseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn time_ns(&self) -> Option<i128> {
        let rest = self.short(TIME_REST).unwrap_or(0);
        Some(i128::from(self.time_us()?) * 1000 + i128::from(rest))
    }

    /// The event's own id.
    #[must_use]
    pub fn event_id(&self) -> Option<[u8; 16]> {
        self.id(EVENT_ID)
    }

    /// What it has in common with other events of one request or process.
    #[must_use]
    pub fn correlation_id(&self) -> Option<[u8; 16]> {
        self.id(CORRELATION_ID)
    }

    /// The event because of which it happened.
    #[must_use]
    pub fn causation(&self) -> Option<Lsn> {
        self.number(CAUSATION).map(Lsn::new)
    }

    /// The command that was carried out with it.
    #[must_use]
    pub fn command_id(&self) -> Option<[u8; 16]> {
        self.id(COMMAND_ID)
    }

    /// The stream that it is part of.
    #[must_use]
    pub fn stream(&self) -> Option<StreamKey<'a>> {
        let (key, value) = self.entries().find(|(key, _)| STREAM_KEYS.contains(key))?;
        match key {
            STREAM => std::str::from_utf8(value).ok().map(StreamKey::Text),
            STREAM_NUMBER => self.number(key).map(StreamKey::Number),
            _ => self.id(key).map(StreamKey::Id),
        }
    }

    /// Its tags, in the order in which they were given.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let tags = self.entries().filter(|(key, _)| *key == TAG);
        tags.filter_map(|(_, tag)| std::str::from_utf8(tag).ok())
    }

    /// A copy that can be kept, or appended with another event.
    #[must_use]
    pub fn to_meta(&self) -> Meta {
        Meta {
            entries: self.bytes.to_vec(),
            refused: None,
        }
    }

    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.entries().any(|entry| entry == (TAG, tag.as_bytes()))
    }
}

/// The keys that a stream may stand under, in the order in which a reader looks.
pub(crate) const STREAM_KEYS: [u8; 3] = [STREAM, STREAM_NUMBER, STREAM_ID];

fn nanos(time: SystemTime) -> i128 {
    let of = |time: Duration| time.as_nanos().cast_signed();
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => of(after),
        Err(before) => -of(before.duration()),
    }
}

#[cfg(test)]
#[path = "meta_tests.rs"]
mod tests;
