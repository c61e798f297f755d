//! An event to the payload of its record and back: envelope, contents and limits around the codec.

use std::cell::Cell;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::RecordInfo;
use super::bounded::{self, Exceeded, Limits, SPARE_ELEMENTS};
use super::codec::{Bincode, Codec, CodecError};
use super::contents::{Fields, Stored};
use super::envelope;
use super::error::TypedError;
use super::info;
use super::record::{RecordType, WalRecord};
use crate::{Lsn, RecordKind};

/// Appends the payload of `event` to `out`. After an error `out` may hold a part of it.
pub(super) fn encode<T: WalRecord>(event: &T, out: &mut Vec<u8>) -> Result<(), TypedError> {
    let index = event.record_index();
    let Some(record) = T::RECORDS.get(index) else {
        let source = format!(
            "`record_index` says {index} and `RECORDS` has {} entries",
            T::RECORDS.len()
        )
        .into();
        return Err(TypedError::Encode {
            name: T::NAME,
            version: 0,
            source,
        });
    };
    let RecordType { id, name, version } = *record;
    envelope::encode(
        RecordInfo {
            type_id: id,
            version,
            codec: Bincode::ID,
        },
        out,
    );
    encode_contents::<Bincode, T>(event, index, out).map_err(|source| TypedError::Encode {
        name,
        version,
        source,
    })
}

/// Reads the event that a record holds, checking from the outside in: kind, envelope, type, version, codec,
/// bytes.
pub(super) fn decode<T: WalRecord>(
    lsn: Lsn,
    kind: RecordKind,
    payload: &[u8],
) -> Result<(T, RecordInfo), TypedError> {
    let (info, bytes) = info::open(lsn, kind, payload)?;
    let (index, record) = find::<T>(lsn, info)?;
    let RecordType { name, version, .. } = *record;
    if info.codec != Bincode::ID {
        return Err(TypedError::UnknownCodec {
            lsn,
            name,
            codec: info.codec,
        });
    }
    let (event, used) = decode_contents::<Bincode, T>(index, bytes).map_err(|source| TypedError::Codec {
        lsn,
        name,
        version,
        codec: info.codec,
        source,
    })?;
    match bytes.len() - used {
        0 => Ok((event, info)),
        left => Err(TypedError::Trailing {
            lsn,
            name,
            version,
            left,
        }),
    }
}

/// The record type of `T` that is stored, in the version that is stored.
fn find<T: WalRecord>(lsn: Lsn, info: RecordInfo) -> Result<(usize, &'static RecordType), TypedError> {
    let RecordInfo {
        type_id,
        version: stored,
        codec,
    } = info;
    let Some((index, record)) = T::RECORDS
        .iter()
        .enumerate()
        .find(|(_, record)| record.id == type_id)
    else {
        return Err(if T::FAMILY {
            TypedError::UnknownType {
                lsn,
                family: T::NAME,
                type_id,
                version: stored,
                codec,
            }
        } else {
            TypedError::WrongType {
                lsn,
                expected: T::NAME,
                found: type_id,
            }
        });
    };
    let RecordType {
        name, version: known, ..
    } = *record;
    if stored > known {
        return Err(TypedError::NewerVersion {
            lsn,
            name,
            stored,
            known,
        });
    }
    if stored < known {
        return Err(TypedError::OlderVersion {
            lsn,
            name,
            stored,
            known,
        });
    }
    Ok((index, record))
}

fn encode_contents<C: Codec, T: WalRecord>(
    event: &T,
    index: usize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let start = out.len();
    let left = Cell::new(usize::MAX);
    C::encode(
        &Contents {
            event,
            index,
            limits: Limits::new(&left),
        },
        out,
    )?;
    let elements = usize::MAX - left.get();
    if elements > max_elements(out.len() - start) {
        return Err(Box::new(Exceeded::Elements));
    }
    Ok(())
}

fn decode_contents<C: Codec, T: WalRecord>(index: usize, bytes: &[u8]) -> Result<(T, usize), CodecError> {
    let left = Cell::new(max_elements(bytes.len()));
    C::decode(
        ContentsSeed {
            index,
            limits: Limits::new(&left),
            event: PhantomData,
        },
        bytes,
    )
}

fn max_elements(bytes: usize) -> usize {
    bytes.saturating_add(SPARE_ELEMENTS)
}

/// What the codec writes for an event: its fields, within the limits.
struct Contents<'a, T> {
    event: &'a T,
    index: usize,
    limits: Limits<'a>,
}

impl<T: WalRecord> Serialize for Contents<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bounded = bounded::Writer::new(serializer, self.limits);
        if T::FAMILY {
            self.event.serialize(Fields::new(bounded, self.index as u32))
        } else {
            self.event.serialize(bounded)
        }
    }
}

/// The reverse of `Contents`.
struct ContentsSeed<'a, T> {
    index: usize,
    limits: Limits<'a>,
    event: PhantomData<T>,
}

impl<'de, T: WalRecord> DeserializeSeed<'de> for ContentsSeed<'_, T> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        let bounded = bounded::Reader::new(deserializer, self.limits);
        if T::FAMILY {
            T::deserialize(Stored::new(bounded, self.index as u32))
        } else {
            T::deserialize(bounded)
        }
    }
}

#[cfg(all(test, feature = "derive"))]
#[path = "payload_tests.rs"]
mod tests;
