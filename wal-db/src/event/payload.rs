//! An event to the payload of its record and back: envelope, fields and limits around the codec.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::{
    bounded::{self, Limits, Shared},
    codec::{self, Codec, CodecError},
    fields::FromFields,
    guarded::Guarded,
    info,
    meta::{Meta, MetaError},
    record::{EventType, WalDecode, WalRecord},
    stored::{StoredEvent, UnknownEvent, Upcast},
};
use crate::{
    error::TypedError,
    format::envelope::{self, EventInfo},
    log::RecordKind,
    lsn::Lsn,
};

/// The event type of an event.
fn event_type<T: WalRecord>(event: &T) -> Result<&'static EventType, TypedError> {
    let (index, known) = (event.record_index(), T::RECORDS.len());
    T::RECORDS.get(index).ok_or_else(|| TypedError::Encode {
        name: T::NAME,
        version: 0,
        source: if T::FAMILY && index == known {
            "a record of an unknown type cannot be appended: its shape is not known".into()
        } else {
            format!("`record_index` says {index} and `RECORDS` has {known} entries").into()
        },
    })
}

/// Appends the payload of `event` to `out`; returns its event type. After an error `out` may hold a part of it.
#[inline]
pub(super) fn encode<C: Codec, T: WalRecord>(
    event: &T,
    out: &mut Vec<u8>,
) -> Result<&'static EventType, TypedError> {
    encode_under::<C, T>(event, out, |info, out| {
        envelope::encode(info, out);
        Ok(())
    })
}

/// As [`encode`], with metadata.
pub(super) fn encode_with_meta<C: Codec, T: WalRecord>(
    event: &T,
    meta: &Meta,
    out: &mut Vec<u8>,
) -> Result<&'static EventType, TypedError> {
    encode_under::<C, T>(event, out, |info, out| {
        envelope::encode_with_meta(info, meta.checked()?, out);
        Ok(())
    })
}

#[inline]
fn encode_under<C: Codec, T: WalRecord>(
    event: &T,
    out: &mut Vec<u8>,
    envelope: impl FnOnce(EventInfo, &mut Vec<u8>) -> Result<(), MetaError>,
) -> Result<&'static EventType, TypedError> {
    let record = event_type(event)?;
    let EventType {
        id, name, version, ..
    } = *record;
    let refused = |source| TypedError::Encode {
        name,
        version,
        source,
    };
    let info = EventInfo {
        type_id: id,
        version,
        codec: C::ID,
    };
    envelope(info, out).map_err(|error| refused(error.into()))?;
    encode_body::<C, T>(event, event.record_index(), out).map_err(refused)?;
    Ok(record)
}

/// Reads the events that a record is today, checking from the outside in: kind, envelope, type, version, codec, bytes.
/// An event of an earlier version is brought up to today's type.
#[inline]
pub(super) fn decode<'de, C: Codec, T: WalDecode<'de>>(
    lsn: Lsn,
    kind: RecordKind,
    payload: &'de [u8],
) -> Result<Upcast<T>, TypedError> {
    let (info, bytes) = info::open(lsn, kind, payload)?;
    decode_body::<C, T>(lsn, info, bytes)
}

/// As [`decode`], after the envelope.
#[inline]
pub(super) fn decode_body<'de, C: Codec, T: WalDecode<'de>>(
    lsn: Lsn,
    info: EventInfo,
    bytes: &'de [u8],
) -> Result<Upcast<T>, TypedError> {
    match of_today::<T>(info) {
        Some((index, record)) => {
            T::decode_today(&StoredEvent::<C>::new(lsn, record, info, bytes), index).map(Upcast::One)
        }
        None => decode_otherwise::<C, T>(lsn, info, bytes),
    }
}

/// As [`decode`], for a record that is one event today. An event of today's version, as most are, goes to the caller
/// straight from where it is read: each time that it is handed on costs as much as reading some of its fields.
#[inline(always)]
pub(super) fn decode_one<'de, C: Codec, T: WalDecode<'de>>(
    lsn: Lsn,
    kind: RecordKind,
    payload: &'de [u8],
) -> Result<T, TypedError> {
    let (info, bytes) = info::open(lsn, kind, payload)?;
    match of_today::<T>(info) {
        Some((index, record)) => T::decode_today(&StoredEvent::<C>::new(lsn, record, info, bytes), index),
        None => decode_otherwise::<C, T>(lsn, info, bytes)?.only(lsn),
    }
}

/// The event type that is stored, if it is one of today's, in today's version.
#[inline(always)]
fn of_today<T: WalRecord>(info: EventInfo) -> Option<(usize, &'static EventType)> {
    let (index, record) = with_id::<T>(info.type_id)?;
    let same = info.version == record.version;
    (same && !record.retired).then_some((index, record))
}

#[inline(always)]
fn with_id<T: WalRecord>(id: u32) -> Option<(usize, &'static EventType)> {
    T::RECORDS
        .iter()
        .enumerate()
        .find(|(_, record)| record.has_id(id))
}

/// An event of an earlier version, or one that is not read: then it is said why.
#[inline(never)]
fn decode_otherwise<'de, C: Codec, T: WalDecode<'de>>(
    lsn: Lsn,
    info: EventInfo,
    bytes: &'de [u8],
) -> Result<Upcast<T>, TypedError> {
    let EventInfo {
        type_id,
        version: stored,
        codec,
    } = info;
    let Some((index, record)) = with_id::<T>(type_id) else {
        if !T::FAMILY {
            return Err(TypedError::WrongType {
                lsn,
                expected: T::NAME,
                found: type_id,
                name: None,
            });
        }
        let raw = UnknownEvent {
            type_id,
            version: stored,
            codec,
            bytes: bytes.to_vec(),
        };
        let unknown = |_| TypedError::UnknownType {
            lsn,
            family: T::NAME,
            type_id,
            version: stored,
            codec,
            name: None,
        };
        return T::decode_other(raw).map(Upcast::One).map_err(unknown);
    };
    let EventType {
        name, version: known, ..
    } = *record;
    if record.retired {
        return Err(TypedError::Retired { lsn, name, stored });
    }
    if stored > known {
        return Err(TypedError::NewerVersion {
            lsn,
            name,
            stored,
            known,
        });
    }
    T::decode_older(&StoredEvent::<C>::new(lsn, record, info, bytes), index)
}

/// Reads exactly one value; `variant` is the position of the variant that it is the fields of.
#[inline(always)]
pub(super) fn read<'de, C: Codec, T: Deserialize<'de>>(
    stored: &StoredEvent<'de, C>,
    variant: Option<usize>,
) -> Result<T, TypedError> {
    let StoredEvent {
        lsn,
        record: &EventType { name, .. },
        info: EventInfo { version, codec, .. },
        bytes,
        ..
    } = *stored;
    let shared = Shared::reading(bytes.len());
    let seed = BodySeed {
        variant,
        limits: Limits::new(&shared),
        event: PhantomData,
    };
    match codec::decode::<C, _>(codec, seed, bytes) {
        None => Err(TypedError::UnknownCodec { lsn, name, codec }),
        Some(Err(source)) => Err(TypedError::Codec {
            lsn,
            name,
            version,
            codec,
            source: shared.or_exceeded(source),
        }),
        Some(Ok((event, used))) if used == bytes.len() => Ok(event),
        Some(Ok((_, used))) => Err(TypedError::Trailing {
            lsn,
            name,
            version,
            left: bytes.len() - used,
        }),
    }
}

fn encode_body<C: Codec, T: WalRecord>(event: &T, index: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    let shared = Shared::writing();
    let body = Body {
        event,
        index,
        limits: Limits::new(&shared),
    };
    codec::encode::<C, _>(&body, out).map_err(|error| shared.or_exceeded(error))?;
    shared.check(out.len() - start)?;
    Ok(())
}

/// What the codec writes for an event: its fields, within the limits.
struct Body<'a, T> {
    event: &'a T,
    index: usize,
    limits: Limits<'a>,
}

impl<T: WalRecord> Serialize for Body<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bounded = Guarded::new(self.limits, serializer);
        self.event.write_fields(self.index, bounded)
    }
}

/// The reverse of `Body`.
struct BodySeed<'a, T> {
    variant: Option<usize>,
    limits: Limits<'a>,
    event: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for BodySeed<'_, T> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        let bounded = bounded::Reader::new(deserializer, self.limits);
        match self.variant {
            Some(index) => T::deserialize(FromFields::new(bounded, index as u32)),
            None => T::deserialize(bounded),
        }
    }
}

#[cfg(all(test, feature = "derive", feature = "bincode"))]
#[path = "payload_tests.rs"]
mod tests;
