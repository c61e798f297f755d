//! The reading side: a serde `Deserializer` around another one, and around all that it hands out.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::Limits;

pub(in super::super) struct Reader<'b, D> {
    inner: D,
    limits: Limits<'b>,
}

impl<'b, D> Reader<'b, D> {
    #[inline(always)]
    pub(in super::super) fn new(inner: D, limits: Limits<'b>) -> Self {
        Reader { inner, limits }
    }
}

/// What was asked of the format, which decides what its answer counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A value whose elements the bytes decide.
    Open,
    /// A tuple or struct: the type says how many fields there are.
    Fixed,
    /// A string or byte buffer to keep. It is read as a borrowed one and copied, because only a borrowed one
    /// is checked against the bytes present before memory is taken for it.
    Owned,
}

macro_rules! forward {
    ($($method:ident($($arg:ident: $ty:ty),*) => $inner:ident, $asked:ident;)*) => {
        $(
            #[inline(always)]
            fn $method<V: Visitor<'de>>(self, $($arg: $ty,)* visitor: V) -> Result<V::Value, D::Error> {
                let watch = Watch { visitor, limits: self.limits, asked: Asked::$asked };
                self.inner.$inner($($arg,)* watch)
            }
        )*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Reader<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() => deserialize_any, Open;
        deserialize_bool() => deserialize_bool, Open;
        deserialize_i8() => deserialize_i8, Open;
        deserialize_i16() => deserialize_i16, Open;
        deserialize_i32() => deserialize_i32, Open;
        deserialize_i64() => deserialize_i64, Open;
        deserialize_i128() => deserialize_i128, Open;
        deserialize_u8() => deserialize_u8, Open;
        deserialize_u16() => deserialize_u16, Open;
        deserialize_u32() => deserialize_u32, Open;
        deserialize_u64() => deserialize_u64, Open;
        deserialize_u128() => deserialize_u128, Open;
        deserialize_f32() => deserialize_f32, Open;
        deserialize_f64() => deserialize_f64, Open;
        deserialize_char() => deserialize_char, Open;
        deserialize_str() => deserialize_str, Open;
        deserialize_string() => deserialize_str, Owned;
        deserialize_bytes() => deserialize_bytes, Open;
        deserialize_byte_buf() => deserialize_bytes, Owned;
        deserialize_option() => deserialize_option, Open;
        deserialize_unit() => deserialize_unit, Open;
        deserialize_unit_struct(name: &'static str) => deserialize_unit_struct, Open;
        deserialize_newtype_struct(name: &'static str) => deserialize_newtype_struct, Open;
        deserialize_seq() => deserialize_seq, Open;
        deserialize_map() => deserialize_map, Open;
        deserialize_tuple(len: usize) => deserialize_tuple, Fixed;
        deserialize_tuple_struct(name: &'static str, len: usize) => deserialize_tuple_struct, Fixed;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) => deserialize_struct, Fixed;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) => deserialize_enum, Open;
        deserialize_identifier() => deserialize_identifier, Open;
        deserialize_ignored_any() => deserialize_ignored_any, Open;
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Hands the answer on to the visitor, with everything inside it bounded.
struct Watch<'b, V> {
    visitor: V,
    limits: Limits<'b>,
    asked: Asked,
}

macro_rules! hand_on {
    ($($method:ident: $ty:ty;)*) => {
        $(
            #[inline(always)]
            fn $method<E: Error>(self, value: $ty) -> Result<V::Value, E> {
                self.visitor.$method(value)
            }
        )*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    hand_on! {
        visit_bool: bool;
        visit_i8: i8;
        visit_i16: i16;
        visit_i32: i32;
        visit_i64: i64;
        visit_i128: i128;
        visit_u8: u8;
        visit_u16: u16;
        visit_u32: u32;
        visit_u64: u64;
        visit_u128: u128;
        visit_f32: f32;
        visit_f64: f64;
        visit_char: char;
        visit_string: String;
        visit_byte_buf: Vec<u8>;
    }

    #[inline(always)]
    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        match self.asked {
            Asked::Owned => self.visitor.visit_string(value.to_owned()),
            Asked::Open | Asked::Fixed => self.visitor.visit_str(value),
        }
    }

    #[inline(always)]
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        match self.asked {
            Asked::Owned => self.visitor.visit_string(value.to_owned()),
            Asked::Open | Asked::Fixed => self.visitor.visit_borrowed_str(value),
        }
    }

    #[inline(always)]
    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<V::Value, E> {
        match self.asked {
            Asked::Owned => self.visitor.visit_byte_buf(value.to_owned()),
            Asked::Open | Asked::Fixed => self.visitor.visit_bytes(value),
        }
    }

    #[inline(always)]
    fn visit_borrowed_bytes<E: Error>(self, value: &'de [u8]) -> Result<V::Value, E> {
        match self.asked {
            Asked::Owned => self.visitor.visit_byte_buf(value.to_owned()),
            Asked::Open | Asked::Fixed => self.visitor.visit_borrowed_bytes(value),
        }
    }

    #[inline(always)]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    #[inline(always)]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    #[inline(always)]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let limits = self.limits.deeper().map_err(D::Error::custom)?;
        self.visitor.visit_some(Reader { inner, limits })
    }

    #[inline(always)]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let limits = self.limits.deeper().map_err(D::Error::custom)?;
        self.visitor.visit_newtype_struct(Reader { inner, limits })
    }

    #[inline(always)]
    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let limits = self.limits.deeper().map_err(A::Error::custom)?;
        self.visitor.visit_seq(Entries {
            inner,
            limits,
            counted: self.asked != Asked::Fixed,
        })
    }

    #[inline(always)]
    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let limits = self.limits.deeper().map_err(A::Error::custom)?;
        self.visitor.visit_map(Entries {
            inner,
            limits,
            counted: self.asked != Asked::Fixed,
        })
    }

    /// The level is taken by the variant's fields, see `Variant`: a unit variant has none.
    #[inline(always)]
    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Tagged {
            inner,
            limits: self.limits,
        })
    }
}

struct Seed<'b, S> {
    inner: S,
    limits: Limits<'b>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    #[inline(always)]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Reader {
            inner,
            limits: self.limits,
        })
    }
}

/// The elements of a sequence, the entries of a map, or the fields of a tuple or struct.
struct Entries<'b, A> {
    inner: A,
    limits: Limits<'b>,
    counted: bool,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let element = self.inner.next_element_seed(Seed {
            inner: seed,
            limits: self.limits,
        })?;
        if self.counted && element.is_some() {
            self.limits.take_element().map_err(A::Error::custom)?;
        }
        Ok(element)
    }

    #[inline(always)]
    fn size_hint(&self) -> Option<usize> {
        self.limits.cap(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    #[inline(always)]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let key = self.inner.next_key_seed(Seed {
            inner: seed,
            limits: self.limits,
        })?;
        if self.counted && key.is_some() {
            self.limits.take_element().map_err(A::Error::custom)?;
        }
        Ok(key)
    }

    #[inline(always)]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Seed {
            inner: seed,
            limits: self.limits,
        })
    }

    #[inline(always)]
    fn size_hint(&self) -> Option<usize> {
        self.limits.cap(self.inner.size_hint())
    }
}

struct Tagged<'b, A> {
    inner: A,
    limits: Limits<'b>,
}

impl<'b, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Tagged<'b, A> {
    type Error = A::Error;
    type Variant = Variant<'b, A::Variant>;

    #[inline(always)]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (tag, inner) = self.inner.variant_seed(Seed {
            inner: seed,
            limits: self.limits,
        })?;
        Ok((
            tag,
            Variant {
                inner,
                limits: self.limits,
            },
        ))
    }
}

struct Variant<'b, A> {
    inner: A,
    limits: Limits<'b>,
}

impl<'b, A> Variant<'b, A> {
    #[inline(always)]
    fn watch<V>(self, visitor: V) -> (A, Watch<'b, V>) {
        (
            self.inner,
            Watch {
                visitor,
                limits: self.limits,
                asked: Asked::Fixed,
            },
        )
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variant<'_, A> {
    type Error = A::Error;

    #[inline(always)]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline(always)]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let limits = self.limits.deeper().map_err(A::Error::custom)?;
        self.inner.newtype_variant_seed(Seed { inner: seed, limits })
    }

    #[inline(always)]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let (inner, watch) = self.watch(visitor);
        inner.tuple_variant(len, watch)
    }

    #[inline(always)]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let (inner, watch) = self.watch(visitor);
        inner.struct_variant(fields, watch)
    }
}
