//! A value of a type of event that is kept outside the log: a state in a snapshot.

use super::{
    codec::Codec,
    held, payload,
    record::{WalDecodeOwned, WalRecord},
};
use crate::{
    error::Result,
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

/// The value, in today's version. Errors name `lsn`.
pub(crate) fn decode<C: Codec, T: WalDecodeOwned>(bytes: &[u8], schema: Vec<u8>, lsn: Lsn) -> Result<T> {
    let schema = Entry {
        pos: 0,
        payload: schema,
    };
    held::compare(T::RECORDS, &[schema])?;
    Ok(payload::decode_one::<C, T>(lsn, RecordKind::Typed, bytes)?)
}
