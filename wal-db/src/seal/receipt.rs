//! What a shred leaves: names that are no secrets.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::sealed::{Hex, from_hex};
use crate::{
    event::schema::{Part, ReadIn, SchemaIn, Shape, ShapeField, WalSchema},
    format::keyring::Tomb,
};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $len:literal, $shape:literal;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(pub(crate) [u8; $len]);

            impl $name {
                /// Its bytes.
                #[must_use]
                pub fn as_bytes(&self) -> &[u8; $len] {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    Hex(&self.0).fmt(f)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, concat!(stringify!($name), "({})"), Hex(&self.0))
                }
            }

            /// As hexadecimal text, in every format.
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    let bytes = from_hex(&text).and_then(|bytes| bytes.try_into().ok());
                    let wrong = || de::Error::custom(concat!("not ", $len, " bytes as hexadecimal text"));
                    bytes.map($name).ok_or_else(wrong)
                }
            }

            impl WalSchema for $name {
                const SCHEMA: &'static Shape = &Shape::Opaque {
                    name: Part::Static($shape),
                    wire: Some(Part::Static(&Shape::Str)),
                };
            }

            impl<const W: u16> SchemaIn<W> for $name {
                const SCHEMA: &'static Shape = <$name as WalSchema>::SCHEMA;
            }

            impl<'de, const W: u16> ReadIn<'de, W> for $name {}
        )+
    };
}

names! {
    /// Which key ring it is: a random number that it has from its first file on.
    RingId: 8, "wal_db::seal::RingId";
    /// Which key of a ring it is: a random number.
    KeyId: 8, "wal_db::seal::KeyId";
    /// A subject or another value as a keyed hash, which says nothing to those who do not have the ring. See
    /// [`Keyring::lookup_hash`](super::Keyring::lookup_hash).
    LookupHash: 32, "wal_db::seal::LookupHash";
    /// A SHA-256 digest.
    FileDigest: 32, "wal_db::seal::FileDigest";
}

/// What [`Keyring::shred`](super::Keyring::shred) has done. Of the person it holds a keyed hash of the
/// subject's name, which says nothing without the ring, so it can be part of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShredReceipt {
    /// The key ring.
    pub ring: RingId,
    /// The subject: [`Keyring::subject_hash`](super::Keyring::subject_hash) of it.
    pub subject: LookupHash,
    /// The key that is no more.
    pub key: KeyId,
    /// When it was shredded, by the clock of the machine, in microseconds since 1970.
    pub time_us: u64,
    /// The digest of the last key file that held the key.
    pub before: FileDigest,
    /// The digest of the first key file without it, as it was written.
    pub after: FileDigest,
}

impl ShredReceipt {
    /// When it was shredded.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(self.time_us)
    }

    pub(super) fn of(ring: RingId, tomb: &Tomb) -> Self {
        ShredReceipt {
            ring,
            subject: LookupHash(tomb.subject),
            key: KeyId(tomb.id),
            time_us: tomb.time_us,
            before: FileDigest(tomb.before),
            after: FileDigest(tomb.after),
        }
    }

    pub(super) fn tomb(&self) -> Tomb {
        Tomb {
            subject: self.subject.0,
            id: self.key.0,
            time_us: self.time_us,
            before: self.before.0,
            after: self.after.0,
        }
    }
}

const RECEIPT: &Shape = &Shape::Struct(Part::Static(&[
    ShapeField::new("ring", <RingId as WalSchema>::SCHEMA),
    ShapeField::new("subject", <LookupHash as WalSchema>::SCHEMA),
    ShapeField::new("key", <KeyId as WalSchema>::SCHEMA),
    ShapeField::new("time_us", &Shape::U64),
    ShapeField::new("before", <FileDigest as WalSchema>::SCHEMA),
    ShapeField::new("after", <FileDigest as WalSchema>::SCHEMA),
]));

impl WalSchema for ShredReceipt {
    const SCHEMA: &'static Shape = RECEIPT;
}

impl<const W: u16> SchemaIn<W> for ShredReceipt {
    const SCHEMA: &'static Shape = RECEIPT;
}

impl<'de, const W: u16> ReadIn<'de, W> for ShredReceipt {}

/// By the clock of the machine; 0 before 1970.
pub(super) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
