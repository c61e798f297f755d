//! An application's own format.

use serde::{Serialize, de::DeserializeSeed};
use wal_db::codec::{Codec, CodecError, CodecId, Postcard};

/// Postcard, under a number of its own.
#[derive(Debug)]
pub enum Own<const ID: u8 = 200> {}

impl<const NUMBER: u8> Codec for Own<NUMBER> {
    const ID: CodecId = CodecId::new(NUMBER);

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        Postcard::encode(value, out)
    }

    fn decode<'de, S: DeserializeSeed<'de>>(
        seed: S,
        bytes: &'de [u8],
    ) -> Result<(S::Value, usize), CodecError> {
        Postcard::decode(seed, bytes)
    }
}
