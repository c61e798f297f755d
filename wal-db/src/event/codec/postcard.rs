//! The wire format of postcard 1. The only module that names the crate.

use std::fmt;

use postcard::Error;
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeSeed;

use super::{Codec, CodecError, CodecId};

/// postcard 1 through serde: integers of variable length, fields without names, small and stable.
///
/// Strings and bytes are borrowed from the payload, so a length beyond its end is found before anything is allocated.
#[derive(Debug)]
pub enum Postcard {}

impl Codec for Postcard {
    const ID: CodecId = CodecId::POSTCARD_1;
    const BUILT_IN: Option<super::BuiltIn> = Some(super::BuiltIn(()));

    #[inline]
    fn encode<T>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>
    where
        T: Serialize + ?Sized,
    {
        postcard::serialize_with_flavor(value, Grow(out))
            .map_err(|error| Box::new(Failed(error)) as CodecError)
    }

    #[inline]
    fn decode<'de, S>(seed: S, bytes: &'de [u8]) -> Result<(S::Value, usize), CodecError>
    where
        S: DeserializeSeed<'de>,
    {
        let mut deserializer = postcard::Deserializer::from_bytes(bytes);
        seed.deserialize(&mut deserializer)
            .and_then(|value| Ok((value, bytes.len() - deserializer.finalize()?.len())))
            .map_err(|error| Box::new(Failed(error)) as CodecError)
    }
}

struct Grow<'a>(&'a mut Vec<u8>);

impl Flavor for Grow<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// postcard keeps no message of serde's, so its errors say little; these say as much in our words.
#[derive(Debug)]
struct Failed(Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Error::WontImplement => "the type asks what comes next, which this format does not say",
            Error::SerializeSeqLengthUnknown => "a sequence or map of unknown length cannot be stored",
            Error::DeserializeUnexpectedEnd => "the bytes end too early",
            Error::DeserializeBadVarint => "a number is too large for its type",
            Error::DeserializeBadBool => "a bool is neither 0 nor 1",
            Error::DeserializeBadOption => "an option is neither 0 nor 1",
            Error::DeserializeBadChar => "a char is none",
            Error::DeserializeBadUtf8 => "a string is not UTF-8",
            Error::SerdeSerCustom => "the type refuses to be written (this format does not keep its words)",
            Error::SerdeDeCustom => {
                "the bytes are no value of the type, or nested too deeply (this format does not keep its words)"
            }
            ref other => return other.fmt(f),
        })
    }
}

impl std::error::Error for Failed {}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;

    /// The format is stored for years: these bytes must never change.
    #[test]
    fn the_format_is_frozen() {
        let mut out = Vec::new();
        Postcard::encode(
            &(250_u64, 127_u16, -1_i64, "hi", Some(true), [1.5_f32], 'é'),
            &mut out,
        )
        .expect("encodes");
        let frozen = [
            0xFA, 1, 127, 1, 2, b'h', b'i', 1, 1, 0, 0, 0xC0, 0x3F, 2, 0xC3, 0xA9,
        ];
        assert_eq!(out, frozen);
    }

    #[test]
    fn it_appends_and_says_how_many_bytes_it_took() {
        let mut out = vec![9];
        Postcard::encode(&7_u8, &mut out).expect("encodes");
        assert_eq!(out, [9, 7]);
        assert_eq!(
            Postcard::decode(PhantomData::<u8>, &[7, 8, 9]).expect("decodes"),
            (7, 1)
        );
    }

    #[test]
    fn it_borrows() {
        let bytes = [2, b'h', b'i', 1, 7];
        let ((text, raw), used) = Postcard::decode(PhantomData::<(&str, &[u8])>, &bytes).expect("decodes");
        assert_eq!((text, raw, used), ("hi", &[7_u8][..], 5));
        assert_eq!(text.as_ptr(), bytes[1..].as_ptr());
    }

    #[test]
    fn a_length_beyond_32_bits_is_no_short_list() {
        // 2^33 in groups of seven bits
        let bytes = [0x80, 0x80, 0x80, 0x80, 0x20];
        assert!(Postcard::decode(PhantomData::<Vec<u8>>, &bytes).is_err());
        assert!(Postcard::decode(PhantomData::<&str>, &bytes).is_err());
    }

    #[test]
    fn errors_are_sentences() {
        let error = Postcard::decode(PhantomData::<u64>, &[0x80]).expect_err("too short");
        assert_eq!(error.to_string(), "the bytes end too early");
        let error = Postcard::decode(PhantomData::<bool>, &[2]).expect_err("no bool");
        assert_eq!(error.to_string(), "a bool is neither 0 nor 1");
    }
}
