//! A serializer around JSON's that refuses what would come back as something else.
//!
//! JSON has no number that is not finite: serde_json writes `null`. And `null` is `None`, `()` and every unit struct,
//! so `Some` of one of them would be read as `None`.

use std::fmt::Display;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

pub(super) struct Strict<S> {
    inner: S,
    /// Whether the value is what a `Some` holds.
    in_some: bool,
}

impl<S: Serializer> Strict<S> {
    #[inline]
    pub(super) fn new(inner: S) -> Self {
        Strict {
            inner,
            in_some: false,
        }
    }

    #[inline]
    fn null(self) -> Result<S, S::Error> {
        if self.in_some {
            Err(S::Error::custom(
                "JSON writes this `Some` as `null`, which is read as `None`",
            ))
        } else {
            Ok(self.inner)
        }
    }

    fn finite(self, finite: bool) -> Result<S, S::Error> {
        if finite {
            Ok(self.inner)
        } else {
            Err(S::Error::custom(
                "JSON has no number for a float that is not finite",
            ))
        }
    }
}

struct Inside<'v, T: ?Sized> {
    value: &'v T,
    in_some: bool,
}

impl<T: Serialize + ?Sized> Serialize for Inside<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Strict {
            inner,
            in_some: self.in_some,
        })
    }
}

#[inline]
fn inside<T: ?Sized>(value: &T) -> Inside<'_, T> {
    Inside {
        value,
        in_some: false,
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
                self.inner.$method($($arg),*).map(Parts)
            }
        )*
    };
}

impl<S: Serializer> Serializer for Strict<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Parts<S::SerializeSeq>;
    type SerializeTuple = Parts<S::SerializeTuple>;
    type SerializeTupleStruct = Parts<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Parts<S::SerializeTupleVariant>;
    type SerializeMap = Parts<S::SerializeMap>;
    type SerializeStruct = Parts<S::SerializeStruct>;
    type SerializeStructVariant = Parts<S::SerializeStructVariant>;

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
        serialize_char: char;
        serialize_str: &str;
        serialize_bytes: &[u8];
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
    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.finite(value.is_finite())?.serialize_f32(value)
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.finite(value.is_finite())?.serialize_f64(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.null()?.serialize_none()
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.null()?.serialize_unit()
    }

    #[inline]
    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.null()?.serialize_unit_struct(name)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Inside { value, in_some: true })
    }

    /// A newtype is written as what it holds.
    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(
            name,
            &Inside {
                value,
                in_some: self.in_some,
            },
        )
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
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner
            .serialize_newtype_variant(name, index, variant, &inside(value))
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

/// A value that is written part by part.
pub(super) struct Parts<C>(C);

macro_rules! parts {
    ($($kind:ident: $($method:ident)+;)*) => {
        $(
            impl<C: $kind> $kind for Parts<C> {
                type Ok = C::Ok;
                type Error = C::Error;

                $(
                    #[inline]
                    fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                        self.0.$method(&inside(value))
                    }
                )+

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    self.0.end()
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
    SerializeMap: serialize_key serialize_value;
}

macro_rules! named {
    ($($kind:ident)*) => {
        $(
            impl<C: $kind> $kind for Parts<C> {
                type Ok = C::Ok;
                type Error = C::Error;

                #[inline]
                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    key: &'static str,
                    value: &T,
                ) -> Result<(), C::Error> {
                    self.0.serialize_field(key, &inside(value))
                }

                #[inline]
                fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                    self.0.skip_field(key)
                }

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    self.0.end()
                }
            }
        )*
    };
}

named! { SerializeStruct SerializeStructVariant }
