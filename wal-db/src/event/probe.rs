//! What the testing kit asks of this layer: payloads made and read without a log.

use std::cell::Cell;

use serde::{Serialize, Serializer};

pub(crate) use super::schema::differences;
use super::stored::Upcast;
pub(crate) use super::value::{NoShape, Place, unordered};
use super::{
    codec::{self, Codec, CodecError},
    payload,
    record::{EventType, WalDecodeOwned, WalRecord},
    schema::Shape,
    value::{Value, value_of},
};
use crate::{
    error::TypedError,
    format::envelope::{self, EventInfo},
    log::RecordKind,
    lsn::Lsn,
};

/// The payload of an event, and its event type.
pub(crate) fn encode<C: Codec, T: WalRecord>(event: &T) -> Result<(&'static EventType, Vec<u8>), TypedError> {
    let mut out = Vec::new();
    let record = payload::encode::<C, T>(event, &mut out)?;
    Ok((record, out))
}

/// The payload of an event whose type is not at hand.
pub(crate) fn encode_any<C: Codec>(
    type_id: u32,
    version: u16,
    contents: &impl Serialize,
) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    let info = EventInfo {
        type_id,
        version,
        codec: C::ID,
    };
    envelope::encode(info, &mut out);
    codec::encode::<C, _>(contents, &mut out)?;
    Ok(out)
}

/// The events that a payload is today.
pub(crate) fn decode<C: Codec, T: WalDecodeOwned>(payload: &[u8]) -> Result<Vec<T>, TypedError> {
    match payload::decode::<C, T>(Lsn::new(0), RecordKind::Typed, payload)? {
        Upcast::One(event) => Ok(vec![event]),
        Upcast::Many(events) => Ok(events),
    }
}

/// Whether the format is for people, so that some types are written to it in another form.
pub(crate) fn is_human<C: Codec>() -> bool {
    struct Asks<'a>(&'a Cell<bool>);

    impl Serialize for Asks<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.set(serializer.is_human_readable());
            serializer.serialize_unit()
        }
    }

    let human = Cell::new(false);
    // A format that cannot write it has been asked all the same.
    let _ = codec::encode::<C, _>(&Asks(&human), &mut Vec::new());
    human.get()
}

/// What a payload contains, by its shape.
pub(crate) fn value<C: Codec>(payload: &[u8], shape: &Shape) -> Result<Value, CodecError> {
    let envelope = envelope::parse(payload)?;
    value_of::<C>(envelope.info, envelope.body, shape)
}
