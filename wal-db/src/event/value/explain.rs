//! What a program calls to read a record without its type.

use serde::de::{DeserializeSeed, Deserializer};

#[cfg(feature = "json")]
use super::print::for_json;
use super::{Schemas, Value, any::Any, budget::Budget, read::Reading};
use crate::{
    error::TypedError,
    event::{
        bounded::{self, Limits, Shared},
        codec::{self, Codec, CodecError, DefaultCodec},
        info,
        schema::Shape,
    },
    format::envelope::EventInfo,
    log::{Record, RecordKind, RecordRef},
    lsn::Lsn,
};

macro_rules! explaining {
    ($record:ty) => {
        impl $record {
            /// The event as it is stored, read without its type: from the schema of its type and version, or from the
            /// bytes alone if they are in a format that describes itself.
            ///
            /// The value is what the event contains. Of an event enum it is the fields of the variant; which one, the
            /// name says that [`Schemas::of`] finds.
            ///
            #[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```")]
            #[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
            /// use serde::{Deserialize, Serialize};
            /// use wal_db::{MemStore, Wal, WalRecord, schema::EventSchema};
            ///
            /// #[derive(Serialize, Deserialize, WalRecord)]
            /// #[wal(name = "reading", id = 7)]
            /// struct Reading { sensor: u32, celsius: f32 }
            ///
            /// let wal = Wal::with_store(MemStore::new())?;
            /// let lsn = wal.append_typed(&Reading { sensor: 7, celsius: 21.5 })?;
            ///
            /// let shape = "{sensor: u32, celsius: f32}".parse()?;
            /// let schemas = [EventSchema::new(7, "reading", 1, shape)].into_iter().collect();
            /// let value = wal.read(lsn)?.to_value(&schemas)?;
            /// assert_eq!(value.to_string(), "{sensor: 7, celsius: 21.5}");
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            /// [`TypedError::NotTyped`] and [`TypedError::Envelope`] as for [`info`](Self::info);
            /// [`TypedError::NoSchema`] if `schemas` does not have it; [`TypedError::Explain`] if the bytes are not
            /// what the schema says, or cannot be read with it.
            pub fn to_value(&self, schemas: &Schemas) -> Result<Value, TypedError> {
                self.to_value_with_codec::<DefaultCodec>(schemas)
            }

            /// As [`to_value`](Self::to_value), for a log with records in the application's own format `C`.
            pub fn to_value_with_codec<C: Codec>(&self, schemas: &Schemas) -> Result<Value, TypedError> {
                to_value::<C>(self.lsn(), self.kind(), self.data(), schemas)
            }

            /// The event as JSON, read without its type: the text that `serde_json` gives for what the event
            /// contains. A record that is stored as JSON is its own text.
            ///
            /// A float that is infinite or not a number is `null`, as it is there; [`to_value`](Self::to_value) tells
            /// them apart. What `serde_json` does not print, a map with keys that are no text or number, is a list of
            /// pairs. Of types that serde writes in one way for programs and in another for humans, such as IP
            /// addresses, it shows what is stored. Fails as [`to_value`](Self::to_value).
            #[cfg(feature = "json")]
            pub fn to_json(&self, schemas: &Schemas) -> Result<String, TypedError> {
                self.to_json_with_codec::<DefaultCodec>(schemas)
            }

            /// As [`to_json`](Self::to_json), for a log with records in the application's own format `C`.
            #[cfg(feature = "json")]
            pub fn to_json_with_codec<C: Codec>(&self, schemas: &Schemas) -> Result<String, TypedError> {
                to_json::<C>(self.lsn(), self.kind(), self.data(), schemas)
            }
        }
    };
}

explaining!(Record);
explaining!(RecordRef<'_>);

fn to_value<C: Codec>(
    lsn: Lsn,
    kind: RecordKind,
    payload: &[u8],
    schemas: &Schemas,
) -> Result<Value, TypedError> {
    let (info, bytes) = info::open(lsn, kind, payload)?;
    let shape = schemas.of(&info).map(|schema| &schema.shape);
    if shape.is_none() && !codec::is_self_describing::<C>(info.codec) {
        return Err(TypedError::NoSchema {
            lsn,
            type_id: info.type_id,
            version: info.version,
        });
    }
    value_as_stored::<C>(info, bytes, shape).map_err(|source| failed(lsn, info, schemas, source))
}

/// Reads contents by their shape, or without it if they are in a format that describes itself.
pub(in crate::event) fn value_as_stored<C: Codec>(
    info: EventInfo,
    bytes: &[u8],
    shape: Option<&Shape>,
) -> Result<Value, CodecError> {
    match shape {
        _ if codec::is_self_describing::<C>(info.codec) => read_whole::<C, _>(info, bytes, Any),
        Some(shape) => value_of::<C>(info, bytes, shape),
        None => Err("it has no schema".into()),
    }
}

pub(in crate::event) fn value_of<C: Codec>(
    info: EventInfo,
    bytes: &[u8],
    shape: &Shape,
) -> Result<Value, CodecError> {
    let budget = Budget::new(bytes.len());
    let named = codec::is_self_describing::<C>(info.codec);
    read_whole::<C, _>(info, bytes, Reading::new(shape, &budget, named))
        .map_err(|source| budget.failure().map_or(source, CodecError::from))
}

#[cfg(feature = "json")]
fn to_json<C: Codec>(
    lsn: Lsn,
    kind: RecordKind,
    payload: &[u8],
    schemas: &Schemas,
) -> Result<String, TypedError> {
    let (info, bytes) = info::open(lsn, kind, payload)?;
    let text = if info.codec == codec::CodecId::JSON {
        own_text(bytes)
    } else {
        let value = to_value::<C>(lsn, kind, payload, schemas)?;
        serde_json::to_string(&for_json(&value)).map_err(CodecError::from)
    };
    text.map_err(|source| failed(lsn, info, schemas, source))
}

/// The text itself keeps what a [`Value`] would not, such as integers of 128 bits.
#[cfg(feature = "json")]
fn own_text(bytes: &[u8]) -> Result<String, CodecError> {
    let text = std::str::from_utf8(bytes)?;
    serde_json::from_str::<serde::de::IgnoredAny>(text)?;
    Ok(text.to_owned())
}

/// Reads exactly one value, within the limits that hold for typed events.
fn read_whole<'de, C, S>(info: EventInfo, bytes: &'de [u8], seed: S) -> Result<Value, CodecError>
where
    C: Codec,
    S: DeserializeSeed<'de, Value = Value>,
{
    let shared = Shared::reading(bytes.len());
    let limits = if codec::is_self_describing::<C>(info.codec) {
        Limits::without_type(&shared)
    } else {
        Limits::new(&shared)
    };
    let seed = Within { seed, limits };
    match codec::decode::<C, _>(info.codec, seed, bytes) {
        None => Err(format!(
            "it is in {}, which this build cannot read: use a release or a build with features that has it",
            info.codec
        )
        .into()),
        Some(Ok((value, used))) if used == bytes.len() => Ok(value),
        Some(Ok((_, used))) => Err(format!("it leaves {} bytes over", bytes.len() - used).into()),
        Some(Err(source)) => Err(shared.or_exceeded(source)),
    }
}

struct Within<'b, S> {
    seed: S,
    limits: Limits<'b>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Within<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(bounded::Reader::new(d, self.limits))
    }
}

fn failed(lsn: Lsn, info: EventInfo, schemas: &Schemas, source: CodecError) -> TypedError {
    let EventInfo { type_id, version, .. } = info;
    let name = schemas
        .of(&info)
        .map_or_else(|| format!("type {type_id:#010x}"), |schema| schema.name.clone());
    TypedError::Explain {
        lsn,
        name,
        version,
        source,
    }
}
