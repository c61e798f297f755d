//! What an event carries beside its fields: when, in which stream, because of what.
//!
//! [`Meta`] and [`MetaRef`] hold the entries as they are stored, in order, so reading allocates nothing and a copy of an
//! event keeps what a later release wrote.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    format::envelope::{
        CAUSATION, CORRELATION_ID, EVENT_ID, FIRST_OF_APPLICATION, MAX_METADATA_LEN, MetaRef, STREAM, TAG,
        TIME, put_entry,
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
/// assert_eq!(meta.stream(), Some("account-7"));
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
    event_id() -> Option<[u8; 16]>;
    correlation_id() -> Option<[u8; 16]>;
    causation() -> Option<Lsn>;
    stream() -> Option<&str>;
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
        self.number(TIME).map(u64::cast_signed)
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

    /// The stream that it is part of.
    #[must_use]
    pub fn stream(&self) -> Option<&'a str> {
        self.entry(STREAM).and_then(|key| std::str::from_utf8(key).ok())
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
