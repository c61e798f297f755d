//! The writing side: what the reading side would refuse is refused before it is stored.

use std::fmt::Display;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::Limits;

/// A serializer that stops at the limits.
pub(in super::super) struct Writer<'b, S> {
    inner: S,
    limits: Limits<'b>,
}

impl<'b, S> Writer<'b, S> {
    #[inline]
    pub(in super::super) fn new(inner: S, limits: Limits<'b>) -> Self {
        Writer { inner, limits }
    }
}

/// A value inside the event, which sees a bounded serializer in its turn.
struct Inside<'b, 'v, T: ?Sized> {
    value: &'v T,
    limits: Limits<'b>,
}

impl<T: Serialize + ?Sized> Serialize for Inside<'_, '_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Writer {
            inner: serializer,
            limits: self.limits,
        })
    }
}

macro_rules! forward {
    ($($method:ident: $ty:ty;)*) => {
        $(
            #[inline]
            fn $method(self, value: $ty) -> Result<S::Ok, S::Error> {
                self.inner.$method(value)
            }
        )*
    };
}

macro_rules! open {
    ($($method:ident($($arg:ident: $ty:ty),*) => $out:ident;)*) => {
        $(
            #[inline]
            fn $method(self, $($arg: $ty),*) -> Result<Self::$out, S::Error> {
                let limits = self.limits.deeper().map_err(S::Error::custom)?;
                Ok(Parts { inner: self.inner.$method($($arg),*)?, limits })
            }
        )*
    };
}

impl<'b, S: Serializer> Serializer for Writer<'b, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Parts<'b, S::SerializeSeq>;
    type SerializeTuple = Parts<'b, S::SerializeTuple>;
    type SerializeTupleStruct = Parts<'b, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Parts<'b, S::SerializeTupleVariant>;
    type SerializeMap = Parts<'b, S::SerializeMap>;
    type SerializeStruct = Parts<'b, S::SerializeStruct>;
    type SerializeStructVariant = Parts<'b, S::SerializeStructVariant>;

    forward! {
        serialize_bool: bool;
        serialize_i8: i8;
        serialize_i16: i16;
        serialize_i32: i32;
        serialize_i64: i64;
        serialize_i128: i128;
        serialize_u8: u8;
        serialize_u16: u16;
        serialize_u32: u32;
        serialize_u64: u64;
        serialize_u128: u128;
        serialize_f32: f32;
        serialize_f64: f64;
        serialize_char: char;
        serialize_str: &str;
        serialize_bytes: &[u8];
        serialize_unit_struct: &'static str;
    }

    open! {
        serialize_seq(len: Option<usize>) => SerializeSeq;
        serialize_tuple(len: usize) => SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) => SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            => SerializeTupleVariant;
        serialize_map(len: Option<usize>) => SerializeMap;
        serialize_struct(name: &'static str, len: usize) => SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            => SerializeStructVariant;
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let limits = self.limits.deeper().map_err(S::Error::custom)?;
        self.inner.serialize_some(&Inside { value, limits })
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let limits = self.limits.deeper().map_err(S::Error::custom)?;
        self.inner
            .serialize_newtype_struct(name, &Inside { value, limits })
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let limits = self.limits.deeper().map_err(S::Error::custom)?;
        self.inner
            .serialize_newtype_variant(name, index, variant, &Inside { value, limits })
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// A value that is written part by part: elements, entries or fields.
pub(in super::super) struct Parts<'b, C> {
    inner: C,
    limits: Limits<'b>,
}

impl<C: SerializeSeq> SerializeSeq for Parts<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.limits.take_element().map_err(C::Error::custom)?;
        self.inner.serialize_element(&Inside {
            value,
            limits: self.limits,
        })
    }

    #[inline]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}

impl<C: SerializeMap> SerializeMap for Parts<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.limits.take_element().map_err(C::Error::custom)?;
        self.inner.serialize_key(&Inside {
            value,
            limits: self.limits,
        })
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.inner.serialize_value(&Inside {
            value,
            limits: self.limits,
        })
    }

    #[inline]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}

macro_rules! positional {
    ($($kind:ident: $method:ident;)*) => {
        $(
            impl<C: $kind> $kind for Parts<'_, C> {
                type Ok = C::Ok;
                type Error = C::Error;

                #[inline]
                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                    self.inner.$method(&Inside { value, limits: self.limits })
                }

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    self.inner.end()
                }
            }
        )*
    };
}

positional! {
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

macro_rules! named {
    ($($kind:ident)*) => {
        $(
            impl<C: $kind> $kind for Parts<'_, C> {
                type Ok = C::Ok;
                type Error = C::Error;

                #[inline]
                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    key: &'static str,
                    value: &T,
                ) -> Result<(), C::Error> {
                    self.inner.serialize_field(key, &Inside { value, limits: self.limits })
                }

                #[inline]
                fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                    self.inner.skip_field(key)
                }

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    self.inner.end()
                }
            }
        )*
    };
}

named! { SerializeStruct SerializeStructVariant }
