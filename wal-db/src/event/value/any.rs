//! A value from a format that describes itself: it is asked what comes next.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Value;

#[derive(Clone, Copy)]
pub(super) struct Any;

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

macro_rules! plain {
    ($($method:ident: $ty:ty => $variant:ident;)*) => {
        $(
            fn $method<E: Error>(self, value: $ty) -> Result<Value, E> {
                Ok(Value::$variant(value.into()))
            }
        )*
    };
}

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    plain! {
        visit_bool: bool => Bool;
        visit_i64: i64 => Signed;
        visit_i128: i128 => Signed;
        visit_u64: u64 => Unsigned;
        visit_u128: u128 => Unsigned;
        visit_f32: f32 => F32;
        visit_f64: f64 => F64;
        visit_char: char => Char;
        visit_str: &str => Str;
        visit_string: String => Str;
        visit_bytes: &[u8] => Bytes;
        visit_byte_buf: Vec<u8> => Bytes;
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Unit)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        let value = self.deserialize(d)?;
        Ok(Value::Option(Some(Box::new(value))))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        self.deserialize(d)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element_seed(self)? {
            list.push(element);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry_seed(self, self)? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
