//! The reading side: a deserializer that presents stored fields as the enum variant that the envelope names.

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// The fields of the variant at `index`, to be read as the enum.
pub(in super::super) struct Stored<D> {
    inner: D,
    index: u32,
}

impl<D> Stored<D> {
    #[inline(always)]
    pub(in super::super) fn new(inner: D, index: u32) -> Self {
        Stored { inner, index }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Stored<D> {
    type Error = D::Error;

    #[inline(always)]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_enum(Variant {
            inner: self.inner,
            index: self.index,
            name,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, D::Error> {
        Err(D::Error::custom(
            "an event enum does not deserialize as an enum: use serde's derive",
        ))
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Variant<D> {
    inner: D,
    index: u32,
    name: &'static str,
}

impl<'de, D: Deserializer<'de>> EnumAccess<'de> for Variant<D> {
    type Error = D::Error;
    type Variant = Self;

    #[inline(always)]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), D::Error> {
        let tag = seed.deserialize(self.index.into_deserializer())?;
        Ok((tag, self))
    }
}

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for Variant<D> {
    type Error = D::Error;

    #[inline(always)]
    fn unit_variant(self) -> Result<(), D::Error> {
        <()>::deserialize(self.inner)
    }

    #[inline(always)]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, D::Error> {
        seed.deserialize(self.inner)
    }

    #[inline(always)]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple(len, visitor)
    }

    #[inline(always)]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_struct(self.name, fields, visitor)
    }
}
