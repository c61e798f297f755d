//! A value of a type of event that is kept outside the log: a state in a snapshot.

use super::{
    codec::{Codec, DefaultCodec},
    held, info, payload,
    record::{WalDecodeOwned, WalRecord},
    schema::Shape,
    value::{Value, value_as_stored},
};
use crate::{
    error::{Result, TypedError},
    format::schema::SchemaRecord,
    log::{Entry, RecordKind},
    lsn::Lsn,
};

/// A value as bytes.
pub(crate) struct Apart {
    /// The payload that its record would have.
    pub(crate) payload: Vec<u8>,
    /// The schema record; empty if the shape is not known.
    pub(crate) schema: Vec<u8>,
}

pub(crate) fn encode<C: Codec, T: WalRecord>(value: &T) -> Result<Apart> {
    let mut payload = Vec::new();
    let schema = payload::encode::<C, T>(value, &mut payload)?.entry(&[])?;
    Ok(Apart {
        payload,
        schema: schema.unwrap_or_default(),
    })
}

/// The value, as one that was read without its type. Of an enum it is the variant.
pub(crate) fn to_value<T: WalRecord>(value: &T) -> Result<Value> {
    let mut bytes = Vec::new();
    let record = payload::encode::<DefaultCodec, T>(value, &mut bytes)?;
    let contents = value_of::<DefaultCodec>(&bytes, record.schema)?;
    Ok(match T::FAMILY {
        true => {
            let own = record.name.strip_prefix(T::NAME);
            let variant = own.and_then(|own| own.strip_prefix('.')).unwrap_or(record.name);
            Value::Variant(variant.into(), Box::new(contents))
        }
        false => contents,
    })
}

/// What is in a payload, by a schema record or none.
pub(crate) fn read<C: Codec>(bytes: &[u8], schema: &[u8]) -> Result<Value> {
    let shape = SchemaRecord::parse(schema).and_then(|schema| schema.shape.parse::<Shape>().ok());
    value_of::<C>(bytes, shape.as_ref())
}

fn value_of<C: Codec>(bytes: &[u8], shape: Option<&Shape>) -> Result<Value> {
    let (info, contents) = info::open(Lsn::ZERO, RecordKind::Typed, bytes)?;
    let value = value_as_stored::<C>(info, contents, shape);
    Ok(value.map_err(|source| TypedError::Explain {
        lsn: Lsn::ZERO,
        name: format!("type {:#010x}", info.type_id),
        version: info.version,
        source,
    })?)
}

/// The value, in today's version. Errors name `lsn`.
pub(crate) fn decode<C: Codec, T: WalDecodeOwned>(bytes: &[u8], schema: Vec<u8>, lsn: Lsn) -> Result<T> {
    let schema = Entry {
        pos: 0,
        payload: schema,
    };
    held::compare(T::RECORDS, &[schema])?;
    Ok(payload::decode_one::<C, T>(lsn, RecordKind::Typed, bytes)?)
}
