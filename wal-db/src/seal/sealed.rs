//! What is stored instead of a value.

use std::{
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

use super::{KeyId, RingId};
use crate::{
    event::schema::{Part, ReadIn, SchemaIn, Shape, WalSchema},
    format::keyring::SealedHead,
};

/// A value that only a [`Keyring`](super::Keyring) can read: part of an event, instead of the value.
///
/// It holds the name of the key, never the subject, and bytes that say nothing without the key. It takes 65 bytes more than
/// the value, which is padded: to a multiple of 32 bytes, and from 1024 bytes on by up to 6 %, so that its length says
/// little.
///
/// Two are equal if they are the same bytes. Sealing a value twice gives two that are not.
///
/// # In events
///
/// The shape of every `Sealed<T>` is that of opaque bytes, without the shape of `T`. So an event keeps its version when `T`
/// changes, and the shape of `T` is checked where it matters, when a value is [opened](super::Keyring::unseal): it is part
/// of what is authenticated. JSON has the bytes as hexadecimal text.
pub struct Sealed<T> {
    bytes: Box<[u8]>,
    of: PhantomData<fn() -> T>,
}

impl<T> Sealed<T> {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Sealed {
            bytes: bytes.into(),
            of: PhantomData,
        }
    }

    /// The bytes that are stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key; `None` if the bytes are no sealed value.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        Some(KeyId(self.head()?.key))
    }

    /// The key ring that has sealed it; `None` if the bytes are no sealed value.
    #[must_use]
    pub fn ring(&self) -> Option<RingId> {
        Some(RingId(self.head()?.ring))
    }

    fn head(&self) -> Option<SealedHead> {
        SealedHead::parse(&self.bytes).ok().map(|(head, _)| head)
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Sealed {
            bytes: self.bytes.clone(),
            of: PhantomData,
        }
    }
}

impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Sealed<T> {}

impl<T> Hash for Sealed<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

/// The key and the length, and nothing of the content.
impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key() {
            Some(key) => write!(f, "Sealed({} bytes, key {key})", self.bytes.len()),
            None => write!(f, "Sealed({} bytes)", self.bytes.len()),
        }
    }
}

const SHAPE: &Shape = &Shape::Opaque {
    name: Part::Static("wal_db::seal::Sealed"),
    wire: Some(Part::Static(&Shape::Bytes)),
};

impl<T> WalSchema for Sealed<T> {
    const SCHEMA: &'static Shape = SHAPE;
}

impl<T, const W: u16> SchemaIn<W> for Sealed<T> {
    const SCHEMA: &'static Shape = SHAPE;
}

impl<'de, T, const W: u16> ReadIn<'de, W> for Sealed<T> {}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&Hex(&self.bytes))
        } else {
            serializer.serialize_bytes(&self.bytes)
        }
    }
}

/// Whatever bytes: a replay does not fail because of one that was damaged before it was appended, and opening it says so.
impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            deserializer.deserialize_str(Bytes)
        } else {
            deserializer.deserialize_byte_buf(Bytes)
        };
        bytes.map(Sealed::of)
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a sealed value")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        from_hex(text).ok_or_else(|| E::custom("the text is not hexadecimal"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

/// Two digits for each byte.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| {
        let is_upper = byte.is_ascii_uppercase();
        let digit = char::from(*byte).to_digit(16)?;
        (!is_upper).then_some(digit as u8)
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(high)? << 4 | digit(low)?));
    bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
}
