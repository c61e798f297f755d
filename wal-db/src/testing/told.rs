//! What a value tells serde, as a [`Value`].

use std::sync::Arc;

use serde::de::value::Error;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::event::value::Value;

/// What it tells a format that is for people, or one that is not.
pub(super) fn told<T: Serialize + ?Sized>(value: &T, human: bool) -> Result<Value, Error> {
    value.serialize(Told { human })
}

#[derive(Clone, Copy)]
struct Told {
    human: bool,
}

fn variant(name: &'static str, fields: Value) -> Value {
    Value::Variant(Arc::from(name), Box::new(fields))
}

macro_rules! plain {
    ($($method:ident: $ty:ty => $variant:ident;)*) => {
        $(
            fn $method(self, value: $ty) -> Result<Value, Error> {
                Ok(Value::$variant(value.into()))
            }
        )*
    };
}

impl Serializer for Told {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Entries;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    plain! {
        serialize_bool: bool => Bool;
        serialize_i8: i8 => Signed;
        serialize_i16: i16 => Signed;
        serialize_i32: i32 => Signed;
        serialize_i64: i64 => Signed;
        serialize_i128: i128 => Signed;
        serialize_u8: u8 => Unsigned;
        serialize_u16: u16 => Unsigned;
        serialize_u32: u32 => Unsigned;
        serialize_u64: u64 => Unsigned;
        serialize_u128: u128 => Unsigned;
        serialize_f32: f32 => F32;
        serialize_f64: f64 => F64;
        serialize_char: char => Char;
        serialize_str: &str => Str;
        serialize_bytes: &[u8] => Bytes;
    }

    fn serialize_none(self) -> Result<Value, Error> {
        Ok(Value::Option(None))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Error> {
        Ok(Value::Option(Some(Box::new(value.serialize(self)?))))
    }

    fn serialize_unit(self) -> Result<Value, Error> {
        Ok(Value::Unit)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Error> {
        Ok(Value::Unit)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<Value, Error> {
        Ok(variant(name, Value::Unit))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        Ok(match value.serialize(self)? {
            Value::Unit => variant(name, Value::Newtype(Box::new(Value::Unit))),
            single => variant(name, single),
        })
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, Error> {
        Ok(Parts::new(self, Value::List))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts, Error> {
        Ok(Parts::new(self, Value::Tuple))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts, Error> {
        Ok(Parts::new(self, Value::Tuple))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts, Error> {
        let variant = Some(name);
        Ok(Parts {
            variant,
            ..Parts::new(self, Value::Tuple)
        })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries, Error> {
        Ok(Entries {
            told: self,
            key: None,
            entries: Vec::new(),
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Error> {
        Ok(Fields {
            told: self,
            variant: None,
            fields: Vec::new(),
        })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Fields, Error> {
        Ok(Fields {
            told: self,
            variant: Some(name),
            fields: Vec::new(),
        })
    }

    fn is_human_readable(&self) -> bool {
        self.human
    }
}

fn whole(name: Option<&'static str>, fields: Value) -> Value {
    match name {
        Some(name) => variant(name, fields),
        None => fields,
    }
}

/// Elements, or fields without names.
struct Parts {
    told: Told,
    variant: Option<&'static str>,
    of: fn(Vec<Value>) -> Value,
    parts: Vec<Value>,
}

impl Parts {
    fn new(told: Told, of: fn(Vec<Value>) -> Value) -> Self {
        Parts {
            told,
            variant: None,
            of,
            parts: Vec::new(),
        }
    }
}

macro_rules! parts {
    ($($kind:ident: $method:ident;)*) => {
        $(
            impl $kind for Parts {
                type Ok = Value;
                type Error = Error;

                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                    self.parts.push(value.serialize(self.told)?);
                    Ok(())
                }

                fn end(self) -> Result<Value, Error> {
                    Ok(whole(self.variant, (self.of)(self.parts)))
                }
            }
        )*
    };
}

parts! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

/// Fields with names.
struct Fields {
    told: Told,
    variant: Option<&'static str>,
    fields: Vec<(Arc<str>, Value)>,
}

macro_rules! fields {
    ($($kind:ident)*) => {
        $(
            impl $kind for Fields {
                type Ok = Value;
                type Error = Error;

                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    name: &'static str,
                    value: &T,
                ) -> Result<(), Error> {
                    self.fields.push((Arc::from(name), value.serialize(self.told)?));
                    Ok(())
                }

                fn end(self) -> Result<Value, Error> {
                    Ok(whole(self.variant, Value::Struct(self.fields)))
                }
            }
        )*
    };
}

fields! { SerializeStruct SerializeStructVariant }

struct Entries {
    told: Told,
    key: Option<Value>,
    entries: Vec<(Value, Value)>,
}

impl SerializeMap for Entries {
    type Ok = Value;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = Some(key.serialize(self.told)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let value = value.serialize(self.told)?;
        self.entries.extend(self.key.take().map(|key| (key, value)));
        Ok(())
    }

    fn end(self) -> Result<Value, Error> {
        Ok(Value::Map(self.entries))
    }
}
