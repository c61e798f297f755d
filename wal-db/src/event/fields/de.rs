//! The reading side: a deserializer that presents stored fields as the enum variant that the envelope names.

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// The fields of the variant at `index`, to be read as the enum.
pub(in super::super) struct FromFields<D> {
    inner: D,
    index: u32,
}

impl<D> FromFields<D> {
    #[inline(always)]
    pub(in super::super) fn new(inner: D, index: u32) -> Self {
        FromFields { inner, index }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for FromFields<D> {
    type Error = D::Error;

    #[inline(always)]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_enum(Variant {
            inner: self.inner,
            index: self.index,
            // If serde knows further names of a variant, this may be one of those.
            name: variants.get(self.index as usize).copied().unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde::de::value::Error as ValueError;

    use super::*;

    /// Says in its error which struct it was asked for.
    struct Names;

    impl<'de> Deserializer<'de> for Names {
        type Error = ValueError;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            name: &'static str,
            _: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, ValueError> {
            Err(ValueError::custom(name))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
            Err(ValueError::custom("something else"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    struct Choice;

    impl<'de> Visitor<'de> for Choice {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a variant")
        }

        fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<(), A::Error> {
            let (_, variant): (u32, _) = access.variant()?;
            variant.struct_variant(&["a"], Choice)
        }
    }

    /// A format that stores names finds the one that was written: the writer gives a struct that of the variant.
    #[test]
    fn a_struct_variant_is_read_under_the_name_that_it_is_written_under() {
        let asked =
            |index| FromFields::new(Names, index).deserialize_enum("Enum", &["First", "Second"], Choice);
        assert_eq!(asked(1), Err(ValueError::custom("Second")));
    }
}
