//! A value from a format that does not describe itself. The shape says what comes next, and the deserializer is
//! asked for it in the way in which the type's own implementation would ask.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::{Value, any::Any, budget::Budget, place::Place};
use crate::event::schema::{Shape, ShapeField, ShapeItem, ShapeVariant};

/// No collection reserves room for more than this before its parts are there.
const MAX_RESERVED: usize = 8;

#[derive(Clone)]
pub(super) struct Reading<'c> {
    place: Place<'c>,
    budget: &'c Budget,
    /// Whether the format has names for fields, as one has that describes itself.
    named: bool,
}

impl<'c> Reading<'c> {
    pub(super) fn new(shape: &'c Shape, budget: &'c Budget, named: bool) -> Self {
        let place = Place::whole(shape);
        Reading { place, budget, named }
    }

    fn has_names(&self) -> bool {
        self.named
    }

    fn part(&self, shape: &'c Shape) -> Self {
        let place = self.place.part(shape);
        Reading { place, ..*self }
    }

    /// Follows names until something stands there that has bytes.
    fn resolve<E: Error>(mut self) -> Result<Self, E> {
        loop {
            if let Shape::Ref(name) = self.place.shape {
                self.budget.take_name(name)?;
            }
            match self.place.follow() {
                Ok(Some(place)) => self.place = place,
                Ok(None) => return Ok(self),
                Err(error) => return Err(self.budget.fail(error)),
            }
            self.budget.take()?;
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        self.budget.take()?;
        // It may be written in another form for people, of which its schema says nothing.
        if self.named && d.is_human_readable() && matches!(self.place.shape, Shape::Opaque { .. }) {
            return Any.deserialize(d);
        }
        let this = self.resolve()?;
        match this.place.shape {
            Shape::Unit | Shape::Newtype => <()>::deserialize(d).map(|()| Value::Unit),
            Shape::Bool => bool::deserialize(d).map(Value::Bool),
            Shape::U8 => u8::deserialize(d).map(|n| Value::Unsigned(n.into())),
            Shape::U16 => u16::deserialize(d).map(|n| Value::Unsigned(n.into())),
            Shape::U32 => u32::deserialize(d).map(|n| Value::Unsigned(n.into())),
            Shape::U64 => u64::deserialize(d).map(|n| Value::Unsigned(n.into())),
            Shape::U128 => u128::deserialize(d).map(Value::Unsigned),
            Shape::I8 => i8::deserialize(d).map(|n| Value::Signed(n.into())),
            Shape::I16 => i16::deserialize(d).map(|n| Value::Signed(n.into())),
            Shape::I32 => i32::deserialize(d).map(|n| Value::Signed(n.into())),
            Shape::I64 => i64::deserialize(d).map(|n| Value::Signed(n.into())),
            Shape::I128 => i128::deserialize(d).map(Value::Signed),
            Shape::F32 => f32::deserialize(d).map(Value::F32),
            Shape::F64 => f64::deserialize(d).map(Value::F64),
            Shape::Char => char::deserialize(d).map(Value::Char),
            Shape::Str => String::deserialize(d).map(Value::Str),
            Shape::Bytes => d.deserialize_byte_buf(Bytes),
            Shape::Option(inner) => d.deserialize_option(Maybe(this.part(inner))),
            Shape::Seq(element) => d.deserialize_seq(Elements(this.part(element))),
            Shape::Array(element, len) => d.deserialize_tuple(
                *len,
                Array {
                    element: this.part(element),
                    len: *len,
                },
            ),
            Shape::Map(key, value) => d.deserialize_map(Entries {
                key: this.part(key),
                value: this.part(value),
            }),
            Shape::Tuple(items) => d.deserialize_tuple(items.len(), Tuple { items, at: &this }),
            Shape::Struct(fields) if this.has_names() => {
                d.deserialize_struct("", &[], Struct { fields, at: &this })
            }
            Shape::Struct(fields) => d.deserialize_tuple(fields.len(), Struct { fields, at: &this }),
            Shape::Enum(variants) => d.deserialize_enum("", &[], Enum { variants, at: &this }),
            // `resolve` has followed `Opaque`, `Recursive` and `Ref`.
            _ => Err(D::Error::custom("a name instead of a shape")),
        }
    }
}

macro_rules! expecting {
    ($what:literal) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str($what)
        }
    };
}

pub(super) struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Value;

    expecting!("bytes");

    /// As a format writes them that has no bytes.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(Value::Bytes(bytes))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(bytes))
    }
}

struct Maybe<'c>(Reading<'c>);

impl<'de> Visitor<'de> for Maybe<'_> {
    type Value = Value;

    expecting!("an option");

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        let value = self.0.deserialize(d)?;
        Ok(Value::Option(Some(Box::new(value))))
    }
}

struct Elements<'c>(Reading<'c>);

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Value;

    expecting!("a sequence");

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(MAX_RESERVED));
        while let Some(element) = seq.next_element_seed(self.0.clone())? {
            list.push(element);
        }
        Ok(Value::List(list))
    }
}

struct Array<'c> {
    element: Reading<'c>,
    len: usize,
}

impl<'de> Visitor<'de> for Array<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {} elements", self.len)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(self.len.min(MAX_RESERVED));
        for _ in 0..self.len {
            list.push(next(&mut seq, self.element.clone(), &self)?);
        }
        Ok(Value::List(list))
    }
}

fn next<'de, A: SeqAccess<'de>>(
    seq: &mut A,
    part: Reading<'_>,
    whole: &dyn serde::de::Expected,
) -> Result<Value, A::Error> {
    seq.next_element_seed(part)?
        .ok_or_else(|| A::Error::custom(format_args!("too few parts for {whole}")))
}

struct Entries<'c> {
    key: Reading<'c>,
    value: Reading<'c>,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Value;

    expecting!("a map");

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(0).min(MAX_RESERVED));
        while let Some(key) = map.next_key_seed(self.key.clone())? {
            entries.push((key, map.next_value_seed(self.value.clone())?));
        }
        Ok(Value::Map(entries))
    }
}

struct Tuple<'c, 'r> {
    items: &'c [ShapeItem],
    at: &'r Reading<'c>,
}

impl<'de> Visitor<'de> for Tuple<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a tuple of {} fields", self.items.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::with_capacity(self.items.len().min(MAX_RESERVED));
        for item in self.items {
            values.push(next(&mut seq, self.at.part(&item.shape), &self)?);
        }
        Ok(Value::Tuple(values))
    }
}

struct Struct<'c, 'r> {
    fields: &'c [ShapeField],
    at: &'r Reading<'c>,
}

impl<'de> Visitor<'de> for Struct<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a struct of {} fields", self.fields.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::with_capacity(self.fields.len().min(MAX_RESERVED));
        for ShapeField { name, shape, .. } in self.fields {
            let name = self.at.budget.name(name)?;
            values.push((name, next(&mut seq, self.at.part(shape), &self)?));
        }
        Ok(Value::Struct(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let names = || self.fields.iter().map(|field| &*field.name);
        let mut values: Vec<Option<Value>> = vec![None; self.fields.len()];
        while let Some(at) = map.next_key_seed(Index(names))? {
            let place = usize::try_from(at).ok().filter(|at| *at < values.len());
            match place {
                Some(at) => values[at] = Some(map.next_value_seed(self.at.part(&self.fields[at].shape))?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let mut fields = Vec::with_capacity(values.len().min(MAX_RESERVED));
        for (ShapeField { name, .. }, value) in self.fields.iter().zip(values) {
            let value =
                value.ok_or_else(|| A::Error::custom(format_args!("the field `{name}` is missing")))?;
            fields.push((self.at.budget.name(name)?, value));
        }
        Ok(Value::Struct(fields))
    }
}

struct Enum<'c, 'r> {
    variants: &'c [ShapeVariant],
    at: &'r Reading<'c>,
}

impl<'de> Visitor<'de> for Enum<'_, '_> {
    type Value = Value;

    expecting!("an enum");

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let names = || self.variants.iter().map(|variant| &*variant.name);
        let (index, contents) = access.variant_seed(Index(names))?;
        let variant = usize::try_from(index)
            .ok()
            .and_then(|index| self.variants.get(index));
        let Some(ShapeVariant { name, fields, .. }) = variant else {
            let variants = self.variants.len();
            return Err(self.at.budget.fail(format_args!(
                "variant {index} of an enum that has {variants} by its schema"
            )));
        };
        let name = self.at.budget.name(name)?;
        let contents = match &**fields {
            Shape::Unit => contents.unit_variant().map(|()| Value::Unit)?,
            Shape::Tuple(items) => contents.tuple_variant(items.len(), Tuple { items, at: self.at })?,
            Shape::Newtype => {
                let single = contents.newtype_variant_seed(self.at.part(&Shape::Unit))?;
                Value::Newtype(Box::new(single))
            }
            Shape::Struct(fields) if self.at.has_names() => {
                contents.struct_variant(&[], Struct { fields, at: self.at })?
            }
            Shape::Struct(fields) => contents.tuple_variant(fields.len(), Struct { fields, at: self.at })?,
            single => contents.newtype_variant_seed(self.at.part(single))?,
        };
        Ok(Value::Variant(name, Box::new(contents)))
    }
}

/// The position of a variant or field among these names, asked for as derived implementations do. A format has either
/// the position or the name.
struct Index<F>(F);

impl<'de, 'n, F, I> DeserializeSeed<'de> for Index<F>
where
    F: Fn() -> I,
    I: Iterator<Item = &'n str>,
{
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<u64, D::Error> {
        d.deserialize_identifier(self)
    }
}

impl<'n, F, I> Visitor<'_> for Index<F>
where
    F: Fn() -> I,
    I: Iterator<Item = &'n str>,
{
    type Value = u64;

    expecting!("the position of a variant, or its name");

    fn visit_str<E: Error>(self, name: &str) -> Result<u64, E> {
        // A name that is not there has a position that is not there.
        let at = self.0().position(|known| known == name);
        Ok(at.map_or(u64::MAX, |at| at as u64))
    }

    fn visit_u64<E: Error>(self, index: u64) -> Result<u64, E> {
        Ok(index)
    }
}
