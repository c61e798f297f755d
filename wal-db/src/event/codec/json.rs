//! JSON. The only module of the codecs that names its crate.

use serde::Serialize;
use serde::de::DeserializeSeed;
use serde_json::{Deserializer, Serializer};

use super::{Codec, CodecError, CodecId};
use crate::event::guarded::{Guarded, Holder, Rule};

/// JSON through serde, without white space. Every field is stored with its name, so a record is larger, and readable
/// without its type.
///
/// What JSON would change on the way is refused when it is appended: floats that are not finite, and `Some` of what is
/// itself written as `null`. As serde reads JSON, a field that the type does not have is passed over.
#[derive(Debug)]
pub enum Json {}

impl Codec for Json {
    const ID: CodecId = CodecId::JSON;
    const BUILT_IN: Option<super::BuiltIn> = Some(super::BuiltIn(()));
    const SELF_DESCRIBING: bool = true;

    #[inline]
    fn encode<T>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(Guarded::new(Strict { in_some: false }, &mut Serializer::new(out)))?;
        Ok(())
    }

    /// Takes all of `bytes`: a value that ends before them is an error.
    #[inline]
    fn decode<'de, S>(seed: S, bytes: &'de [u8]) -> Result<(S::Value, usize), CodecError>
    where
        S: DeserializeSeed<'de>,
    {
        let mut deserializer = Deserializer::from_slice(bytes);
        // The limit around all codecs holds. This one counts an enum twice, and would refuse what was stored.
        deserializer.disable_recursion_limit();
        let value = seed.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok((value, bytes.len()))
    }
}

/// Refuses what would come back as something else. JSON has no number that is not finite: serde_json writes `null`. And
/// `null` is `None`, `()` and every unit struct, so `Some` of one of them would be read as `None`.
#[derive(Clone, Copy)]
struct Strict {
    /// Whether the value is what a `Some` holds.
    in_some: bool,
}

impl Rule for Strict {
    type Refusal = &'static str;

    #[inline]
    fn inside(self, of: Holder) -> Result<Self, &'static str> {
        let in_some = match of {
            Holder::Some => true,
            // It is written as what it holds.
            Holder::Newtype => self.in_some,
            Holder::Parts => false,
        };
        Ok(Strict { in_some })
    }

    #[inline]
    fn nothing(self) -> Result<(), &'static str> {
        match self.in_some {
            true => Err("JSON writes this `Some` as `null`, which is read as `None`"),
            false => Ok(()),
        }
    }

    #[inline]
    fn float(self, is_finite: bool) -> Result<(), &'static str> {
        match is_finite {
            true => Ok(()),
            false => Err("JSON has no number for a float that is not finite"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::marker::PhantomData;

    use super::*;

    fn encoded<T: Serialize>(value: &T) -> Result<String, CodecError> {
        let mut out = Vec::new();
        Json::encode(value, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    /// The format is stored for years: these bytes must never change.
    #[test]
    fn the_format_is_frozen() {
        let value = (
            (250_u64, u128::MAX, -1_i64, "h\"i\n", Some(true), None::<u8>),
            (0.1_f32, 12.25_f64, 'é', [1_u8, 2]),
            BTreeMap::from([(7_u8, ())]),
            Ok::<u8, ()>(7),
        );
        assert_eq!(
            encoded(&value).expect("encodes"),
            r#"[[250,340282366920938463463374607431768211455,-1,"h\"i\n",true,null],[0.1,12.25,"é",[1,2]],{"7":null},{"Ok":7}]"#
        );
    }

    #[test]
    fn all_of_the_bytes_are_the_value() {
        assert_eq!(Json::decode(PhantomData::<u8>, b"7").expect("decodes"), (7, 1));
        assert!(Json::decode(PhantomData::<u8>, b"7 8").is_err());
        assert!(Json::decode(PhantomData::<Vec<u8>>, b"[7]]").is_err());
    }

    #[test]
    fn it_borrows_what_has_no_escapes() {
        let bytes = br#""plain""#;
        let (text, _) = Json::decode(PhantomData::<&str>, bytes).expect("decodes");
        assert_eq!(text.as_ptr(), bytes[1..].as_ptr());
        assert!(Json::decode(PhantomData::<&str>, br#""a\nb""#).is_err());
    }

    #[test]
    fn floats_come_back_to_the_last_bit() {
        for bits in (0..10_000_u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            let float = f64::from_bits(bits);
            if float.is_finite() {
                let text = encoded(&float).expect("encodes");
                let (back, _) = Json::decode(PhantomData::<f64>, text.as_bytes()).expect("decodes");
                assert_eq!(back.to_bits(), bits, "{text}");
            }
            let single = f32::from_bits(bits as u32);
            if single.is_finite() {
                let text = encoded(&single).expect("encodes");
                let (back, _) = Json::decode(PhantomData::<f32>, text.as_bytes()).expect("decodes");
                assert_eq!(back.to_bits(), single.to_bits(), "{text}");
            }
        }
    }

    #[test]
    fn what_json_would_change_is_refused() {
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(encoded(&float).is_err());
            assert!(encoded(&Some((float as f32, 1))).is_err());
        }
        assert!(encoded(&Some(())).is_err());
        assert!(encoded(&vec![Some(None::<u8>)]).is_err());
        assert_eq!(encoded(&Some((None::<u8>, ()))).expect("encodes"), "[null,null]");
        assert_eq!(encoded(&Some(Some(7))).expect("encodes"), "7");
    }
}
