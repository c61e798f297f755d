//! The wire format of bincode 2, `standard` configuration. The only module that names the crate.

use std::fmt;

use bincode::config;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeSeed;

use super::{Codec, CodecError, CodecId};

// bincode 2 casts a length of 64 bits to `usize`: on a target of 32 bits a stored length of 2^33 would be an empty list,
// and the crate is not maintained any more. A wrong value is worse than a build that fails.
#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "the feature `bincode` of wal-db needs a target of 64 bits, because bincode 2 shortens lengths on others: \
     use `default-features = false, features = [\"derive\", \"postcard\"]`"
);

/// bincode 2 through serde. On targets of 64 bits only; the codec of the feature `postcard` is for all.
///
/// It is called without a byte limit: decoding borrows from the payload, so a length beyond the end is found
/// before anything is allocated (`bounded` asks for borrowed strings and bytes only).
#[derive(Debug)]
pub enum Bincode {}

impl Codec for Bincode {
    const ID: CodecId = CodecId::BINCODE_2;
    const BUILT_IN: Option<super::BuiltIn> = Some(super::BuiltIn(()));

    #[inline]
    fn encode<T>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>
    where
        T: Serialize + ?Sized,
    {
        bincode::serde::encode_into_writer(value, Grow(out), config::standard())
            .map_err(|error| Box::new(Failed(error)) as CodecError)
    }

    #[inline]
    fn decode<'de, S>(seed: S, bytes: &'de [u8]) -> Result<(S::Value, usize), CodecError>
    where
        S: DeserializeSeed<'de>,
    {
        bincode::serde::seed_decode_from_slice(seed, bytes, config::standard())
            .map_err(|error| Box::new(Failed(error)) as CodecError)
    }
}

struct Grow<'a>(&'a mut Vec<u8>);

impl Writer for Grow<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// bincode's errors display as their debug text; the ones that users meet get a sentence.
#[derive(Debug)]
struct Failed<E>(E);

impl fmt::Display for Failed<DecodeError> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            DecodeError::OtherString(message) => f.write_str(message),
            DecodeError::UnexpectedEnd { additional } => {
                write!(f, "the bytes end at least {additional} too early")
            }
            DecodeError::Serde(bincode::serde::DecodeError::AnyNotSupported) => {
                f.write_str("the type asks what comes next, which this format does not say")
            }
            other => other.fmt(f),
        }
    }
}

impl fmt::Display for Failed<EncodeError> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            EncodeError::OtherString(message) => f.write_str(message),
            EncodeError::Serde(bincode::serde::EncodeError::SequenceMustHaveLength) => {
                f.write_str("a sequence or map of unknown length cannot be stored")
            }
            other => other.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for Failed<E>
where
    Self: fmt::Display,
{
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;

    /// The format is stored for years: these bytes must never change.
    #[test]
    fn the_format_is_frozen() {
        let mut out = Vec::new();
        Bincode::encode(
            &(250_u64, 251_u32, -1_i64, "hi", Some(true), [1.5_f32], 'é'),
            &mut out,
        )
        .expect("encodes");
        let frozen = [
            250, 251, 251, 0, 1, 2, b'h', b'i', 1, 1, 0, 0, 0xC0, 0x3F, 0xC3, 0xA9,
        ];
        assert_eq!(out, frozen);
    }

    #[test]
    fn a_length_beyond_32_bits_is_no_short_list() {
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1_u64 << 33).to_le_bytes());
        assert!(Bincode::decode(PhantomData::<Vec<u8>>, &bytes).is_err());
        assert!(Bincode::decode(PhantomData::<String>, &bytes).is_err());
    }

    #[test]
    fn errors_are_sentences() {
        let error = Bincode::decode(PhantomData::<u64>, &[253, 1]).expect_err("too short");
        assert_eq!(error.to_string(), "the bytes end at least 7 too early");
        let error = Bincode::decode(PhantomData::<char>, &[0xFF]).expect_err("no char");
        assert!(error.to_string().contains("InvalidCharEncoding"), "{error}");
    }

    #[test]
    fn decode_says_how_many_bytes_it_took() {
        assert_eq!(
            Bincode::decode(PhantomData::<u8>, &[7, 8, 9]).expect("decodes"),
            (7, 1)
        );
    }
}
