//! What the testing kit asks of this layer: payloads made and read without a log.

use serde::Serialize;
use serde::de::DeserializeSeed;

use super::codec::{Codec, CodecError};
use super::envelope::{self, EnvelopeError, RecordInfo};
use super::error::TypedError;
use super::payload;
use super::record::{WalDecodeOwned, WalRecord};
use super::stored::Upcast;
use crate::{Lsn, RecordKind};

/// The payload of an event.
pub(crate) fn encode<C: Codec, T: WalRecord>(event: &T) -> Result<Vec<u8>, TypedError> {
    let mut out = Vec::new();
    payload::encode::<C, T>(event, &mut out)?;
    Ok(out)
}

/// The payload of an event whose type is not at hand.
pub(crate) fn encode_any<C: Codec>(
    type_id: u32,
    version: u16,
    contents: &impl Serialize,
) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    let info = RecordInfo {
        type_id,
        version,
        codec: C::ID,
    };
    envelope::encode(info, &mut out);
    C::encode(contents, &mut out)?;
    Ok(out)
}

/// The events that a payload is today.
pub(crate) fn decode<C: Codec, T: WalDecodeOwned>(payload: &[u8]) -> Result<Vec<T>, TypedError> {
    match payload::decode::<C, T>(Lsn::new(0), RecordKind::Typed, payload)?.0 {
        Upcast::One(event) => Ok(vec![event]),
        Upcast::Many(events) => Ok(events),
    }
}

/// What the envelope of a payload says, and the contents behind it.
pub(crate) fn contents<'de, C, S>(payload: &'de [u8], seed: S) -> Result<(RecordInfo, S::Value), CodecError>
where
    C: Codec,
    S: DeserializeSeed<'de>,
{
    let (info, bytes) = split(payload)?;
    let (value, used) = C::decode(seed, bytes)?;
    if used != bytes.len() {
        return Err(format!("{} bytes are left", bytes.len() - used).into());
    }
    Ok((info, value))
}

/// What the envelope of a payload says.
pub(crate) fn info(payload: &[u8]) -> Option<RecordInfo> {
    split(payload).ok().map(|(info, _)| info)
}

fn split(payload: &[u8]) -> Result<(RecordInfo, &[u8]), EnvelopeError> {
    envelope::parse(payload).map(|envelope| (envelope.info, envelope.body))
}

/// The type id that a name has if none was chosen.
pub(crate) fn type_id(name: &str) -> u32 {
    super::record::type_id(name)
}
