//! Values whose shape is known and whose type is not: written and read by position, as serde's derives do it.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeTuple, SerializeTupleVariant, Serializer};
use serde::{Deserialize, de};

use crate::{Shape, ShapeField};

/// A value of some [`Shape`].
///
/// It is written as a type of that shape with serde's derived implementations is, in every format that does not store
/// names.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)] // the names of the primitive types say it
pub enum AnyValue {
    Unit,
    Bool(bool),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    F32(f32),
    F64(f64),
    Char(char),
    Str(String),
    Bytes(Vec<u8>),
    Option(Option<Box<AnyValue>>),
    Seq(Vec<AnyValue>),
    Map(Vec<(AnyValue, AnyValue)>),
    /// An array, too.
    Tuple(Vec<AnyValue>),
    Struct(Vec<(String, AnyValue)>),
    Variant {
        index: u32,
        name: String,
        /// [`Unit`](AnyValue::Unit), the value of a single field, [`Tuple`](AnyValue::Tuple) or
        /// [`Struct`](AnyValue::Struct).
        fields: Box<AnyValue>,
        /// Whether `fields` is a single field.
        single: bool,
    },
}

impl AnyValue {
    /// The fields with their names, or positions in a tuple; any other value is one field without a name.
    pub(super) fn fields(&self) -> Vec<(String, &AnyValue)> {
        match self {
            AnyValue::Unit => Vec::new(),
            AnyValue::Struct(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
            AnyValue::Tuple(items) => (0..).map(|i: usize| i.to_string()).zip(items).collect(),
            other => vec![(String::new(), other)],
        }
    }

    /// A field inside of fields, found as in [`fields`](AnyValue::fields).
    pub(super) fn at(&mut self, path: &[String]) -> Option<&mut AnyValue> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        let field = match self {
            AnyValue::Struct(fields) => fields
                .iter_mut()
                .find(|(name, _)| name == first)
                .map(|(_, field)| field),
            AnyValue::Tuple(items) => first.parse().ok().and_then(|at: usize| items.get_mut(at)),
            whole => Some(whole),
        };
        field?.at(rest)
    }

    /// Sequences sorted and without repetitions, maps sorted: a set is a sequence, too, and what it holds has no order.
    pub(super) fn unordered(&self) -> AnyValue {
        let all = |items: &[AnyValue]| items.iter().map(AnyValue::unordered).collect::<Vec<_>>();
        match self {
            AnyValue::Option(inner) => {
                AnyValue::Option(inner.as_ref().map(|inner| Box::new(inner.unordered())))
            }
            AnyValue::Seq(items) => {
                let mut items = all(items);
                items.sort_by_cached_key(ToString::to_string);
                items.dedup();
                AnyValue::Seq(items)
            }
            AnyValue::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.unordered(), value.unordered()));
                let mut entries: Vec<_> = entries.collect();
                entries.sort_by_cached_key(|(key, _)| key.to_string());
                AnyValue::Map(entries)
            }
            AnyValue::Tuple(items) => AnyValue::Tuple(all(items)),
            AnyValue::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (name.clone(), value.unordered()));
                AnyValue::Struct(fields.collect())
            }
            AnyValue::Variant {
                index,
                name,
                fields,
                single,
            } => AnyValue::Variant {
                index: *index,
                name: name.clone(),
                fields: Box::new(fields.unordered()),
                single: *single,
            },
            plain => plain.clone(),
        }
    }

    /// Puts ones in place of zeros, which the types that cannot be zero refuse.
    pub(super) fn avoid_zeros(&mut self) {
        match self {
            AnyValue::U8(n @ 0) => *n = 1,
            AnyValue::U16(n @ 0) => *n = 1,
            AnyValue::U32(n @ 0) => *n = 1,
            AnyValue::U64(n @ 0) => *n = 1,
            AnyValue::U128(n @ 0) => *n = 1,
            AnyValue::I8(n @ 0) => *n = 1,
            AnyValue::I16(n @ 0) => *n = 1,
            AnyValue::I32(n @ 0) => *n = 1,
            AnyValue::I64(n @ 0) => *n = 1,
            AnyValue::I128(n @ 0) => *n = 1,
            AnyValue::Option(Some(inner)) => inner.avoid_zeros(),
            AnyValue::Seq(items) | AnyValue::Tuple(items) => items.iter_mut().for_each(AnyValue::avoid_zeros),
            AnyValue::Map(entries) => {
                for (key, value) in entries {
                    key.avoid_zeros();
                    value.avoid_zeros();
                }
            }
            AnyValue::Struct(fields) => fields.iter_mut().for_each(|(_, value)| value.avoid_zeros()),
            AnyValue::Variant { fields, .. } => fields.avoid_zeros(),
            _ => {}
        }
    }
}

impl fmt::Display for AnyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnyValue::Unit => f.write_str("()"),
            AnyValue::Bool(value) => value.fmt(f),
            AnyValue::U8(n) => n.fmt(f),
            AnyValue::U16(n) => n.fmt(f),
            AnyValue::U32(n) => n.fmt(f),
            AnyValue::U64(n) => n.fmt(f),
            AnyValue::U128(n) => n.fmt(f),
            AnyValue::I8(n) => n.fmt(f),
            AnyValue::I16(n) => n.fmt(f),
            AnyValue::I32(n) => n.fmt(f),
            AnyValue::I64(n) => n.fmt(f),
            AnyValue::I128(n) => n.fmt(f),
            AnyValue::F32(n) => write!(f, "{n:?}"),
            AnyValue::F64(n) => write!(f, "{n:?}"),
            AnyValue::Char(c) => write!(f, "{c:?}"),
            AnyValue::Str(text) => write!(f, "{text:?}"),
            AnyValue::Bytes(bytes) => write!(f, "0x{}", super::hex(bytes)),
            AnyValue::Option(None) => f.write_str("none"),
            AnyValue::Option(Some(inner)) => write!(f, "some({inner})"),
            AnyValue::Seq(items) => {
                f.write_str("[")?;
                list(f, items, |f, item| item.fmt(f))?;
                f.write_str("]")
            }
            AnyValue::Map(entries) => {
                f.write_str("{")?;
                list(f, entries, |f, (key, value)| write!(f, "{key} => {value}"))?;
                f.write_str("}")
            }
            AnyValue::Tuple(items) => {
                f.write_str("(")?;
                list(f, items, |f, item| item.fmt(f))?;
                f.write_str(")")
            }
            AnyValue::Struct(fields) => {
                f.write_str("{")?;
                list(f, fields, |f, (name, value)| write!(f, "{name}: {value}"))?;
                f.write_str("}")
            }
            AnyValue::Variant {
                name, fields, single, ..
            } => match &**fields {
                AnyValue::Unit => f.write_str(name),
                inner if *single => write!(f, "{name}({inner})"),
                fields => write!(f, "{name}{fields}"),
            },
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    each: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        each(f, item)?;
    }
    Ok(())
}

impl Serialize for AnyValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AnyValue::Unit => serializer.serialize_unit(),
            AnyValue::Bool(value) => value.serialize(serializer),
            AnyValue::U8(n) => n.serialize(serializer),
            AnyValue::U16(n) => n.serialize(serializer),
            AnyValue::U32(n) => n.serialize(serializer),
            AnyValue::U64(n) => n.serialize(serializer),
            AnyValue::U128(n) => n.serialize(serializer),
            AnyValue::I8(n) => n.serialize(serializer),
            AnyValue::I16(n) => n.serialize(serializer),
            AnyValue::I32(n) => n.serialize(serializer),
            AnyValue::I64(n) => n.serialize(serializer),
            AnyValue::I128(n) => n.serialize(serializer),
            AnyValue::F32(n) => n.serialize(serializer),
            AnyValue::F64(n) => n.serialize(serializer),
            AnyValue::Char(c) => c.serialize(serializer),
            AnyValue::Str(text) => text.serialize(serializer),
            AnyValue::Bytes(bytes) => serializer.serialize_bytes(bytes),
            AnyValue::Option(None) => serializer.serialize_none(),
            AnyValue::Option(Some(inner)) => serializer.serialize_some(inner),
            AnyValue::Seq(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| seq.serialize_element(item))?;
                seq.end()
            }
            AnyValue::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries
                    .iter()
                    .try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
            AnyValue::Tuple(items) => tuple(serializer, items.iter(), items.len()),
            AnyValue::Struct(fields) => {
                tuple(serializer, fields.iter().map(|(_, value)| value), fields.len())
            }
            AnyValue::Variant {
                index,
                fields,
                single,
                ..
            } => variant(serializer, *index, fields, *single),
        }
    }
}

fn tuple<'a, S: Serializer>(
    serializer: S,
    mut items: impl Iterator<Item = &'a AnyValue>,
    len: usize,
) -> Result<S::Ok, S::Error> {
    let mut tuple = serializer.serialize_tuple(len)?;
    items.try_for_each(|item| tuple.serialize_element(item))?;
    tuple.end()
}

/// Names are not written, and serde wants them to be constants.
fn variant<S: Serializer>(
    serializer: S,
    index: u32,
    fields: &AnyValue,
    single: bool,
) -> Result<S::Ok, S::Error> {
    if single {
        return serializer.serialize_newtype_variant("", index, "", fields);
    }
    let items: Vec<&AnyValue> = match fields {
        AnyValue::Unit => return serializer.serialize_unit_variant("", index, ""),
        AnyValue::Tuple(items) => items.iter().collect(),
        AnyValue::Struct(fields) => fields.iter().map(|(_, value)| value).collect(),
        other => vec![other],
    };
    let mut tuple = serializer.serialize_tuple_variant("", index, "", items.len())?;
    items.iter().try_for_each(|item| tuple.serialize_field(item))?;
    tuple.end()
}

/// The types that hold themselves, from the innermost outwards.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    name: &'a str,
    body: &'a Shape,
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(name: &'a str, body: &'a Shape, outer: Option<&'a Scope<'a>>) -> Self {
        Scope { name, body, outer }
    }

    /// What a name stands for, and the scope of that.
    pub(super) fn find(this: Option<&'a Self>, name: &str) -> Option<(&'a Shape, &'a Self)> {
        let scope = this?;
        if scope.name == name {
            return Some((scope.body, scope));
        }
        Scope::find(scope.outer, name)
    }
}

/// Reads a value of a shape.
#[derive(Clone, Copy)]
pub(super) struct OfShape<'a> {
    shape: &'a Shape,
    scope: Option<&'a Scope<'a>>,
}

impl<'a> OfShape<'a> {
    pub(super) fn new(shape: &'a Shape) -> Self {
        OfShape { shape, scope: None }
    }

    fn inner(self, shape: &'a Shape) -> Self {
        OfShape { shape, ..self }
    }

    fn named(self, fields: &'a [ShapeField], values: Vec<AnyValue>) -> AnyValue {
        AnyValue::Struct(
            fields
                .iter()
                .map(|field| field.name.clone())
                .zip(values)
                .collect(),
        )
    }
}

impl<'de> DeserializeSeed<'de> for OfShape<'_> {
    type Value = AnyValue;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<AnyValue, D::Error> {
        Ok(match self.shape {
            Shape::Unit => <()>::deserialize(d).map(|()| AnyValue::Unit)?,
            Shape::Bool => AnyValue::Bool(Deserialize::deserialize(d)?),
            Shape::U8 => AnyValue::U8(Deserialize::deserialize(d)?),
            Shape::U16 => AnyValue::U16(Deserialize::deserialize(d)?),
            Shape::U32 => AnyValue::U32(Deserialize::deserialize(d)?),
            Shape::U64 => AnyValue::U64(Deserialize::deserialize(d)?),
            Shape::U128 => AnyValue::U128(Deserialize::deserialize(d)?),
            Shape::I8 => AnyValue::I8(Deserialize::deserialize(d)?),
            Shape::I16 => AnyValue::I16(Deserialize::deserialize(d)?),
            Shape::I32 => AnyValue::I32(Deserialize::deserialize(d)?),
            Shape::I64 => AnyValue::I64(Deserialize::deserialize(d)?),
            Shape::I128 => AnyValue::I128(Deserialize::deserialize(d)?),
            Shape::F32 => AnyValue::F32(Deserialize::deserialize(d)?),
            Shape::F64 => AnyValue::F64(Deserialize::deserialize(d)?),
            Shape::Char => AnyValue::Char(Deserialize::deserialize(d)?),
            Shape::Str => AnyValue::Str(Deserialize::deserialize(d)?),
            Shape::Bytes => d.deserialize_byte_buf(self)?,
            Shape::Option(_) => d.deserialize_option(self)?,
            Shape::Seq(_) => d.deserialize_seq(self)?,
            Shape::Map(..) => d.deserialize_map(self)?,
            Shape::Array(_, len) => d.deserialize_tuple(*len, self)?,
            Shape::Tuple(items) => d.deserialize_tuple(items.len(), self)?,
            Shape::Struct(fields) => d.deserialize_tuple(fields.len(), self)?,
            Shape::Enum(_) => d.deserialize_enum("", &[], self)?,
            Shape::Opaque { wire: Some(wire), .. } => self.inner(wire).deserialize(d)?,
            Shape::Opaque { name, wire: None } => {
                return Err(D::Error::custom(format_args!(
                    "nothing says what `{name}` is written as"
                )));
            }
            Shape::Recursive { name, body } => {
                let scope = Scope::new(name, body, self.scope);
                let inner = OfShape {
                    shape: body,
                    scope: Some(&scope),
                };
                inner.deserialize(d)?
            }
            Shape::Ref(name) => match Scope::find(self.scope, name) {
                Some((shape, scope)) => {
                    let scope = Some(scope);
                    OfShape { shape, scope }.deserialize(d)?
                }
                None => return Err(D::Error::custom(format_args!("`@{name}` stands for nothing"))),
            },
        })
    }
}

impl<'de> Visitor<'de> for OfShape<'_> {
    type Value = AnyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of the shape `{}`", self.shape)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<AnyValue, E> {
        Ok(AnyValue::Bytes(bytes.to_vec()))
    }

    fn visit_none<E: de::Error>(self) -> Result<AnyValue, E> {
        Ok(AnyValue::Option(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<AnyValue, D::Error> {
        let Shape::Option(inner) = self.shape else {
            return Err(D::Error::custom("an option where none is"));
        };
        let inner = self.inner(inner).deserialize(d)?;
        Ok(AnyValue::Option(Some(Box::new(inner))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AnyValue, A::Error> {
        let mut values = Vec::new();
        let mut next = |shape| -> Result<bool, A::Error> {
            let value = seq.next_element_seed(self.inner(shape))?;
            let found = value.is_some();
            values.extend(value);
            Ok(found)
        };
        match self.shape {
            Shape::Seq(inner) => {
                while next(inner)? {}
                Ok(AnyValue::Seq(values))
            }
            Shape::Array(inner, len) => {
                for i in 0..*len {
                    if !next(inner)? {
                        return Err(A::Error::invalid_length(i, &self));
                    }
                }
                Ok(AnyValue::Tuple(values))
            }
            Shape::Tuple(items) => {
                for (i, item) in items.iter().enumerate() {
                    if !next(item)? {
                        return Err(A::Error::invalid_length(i, &self));
                    }
                }
                Ok(AnyValue::Tuple(values))
            }
            Shape::Struct(fields) => {
                for (i, field) in fields.iter().enumerate() {
                    if !next(&field.shape)? {
                        return Err(A::Error::invalid_length(i, &self));
                    }
                }
                Ok(self.named(fields, values))
            }
            _ => Err(A::Error::custom("a sequence where none is")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
        let Shape::Map(key, value) = self.shape else {
            return Err(A::Error::custom("a map where none is"));
        };
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry_seed(self.inner(key), self.inner(value))? {
            entries.push(entry);
        }
        Ok(AnyValue::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<AnyValue, A::Error> {
        let Shape::Enum(variants) = self.shape else {
            return Err(A::Error::custom("an enum where none is"));
        };
        let (index, access) = data.variant::<u32>()?;
        let variant = usize::try_from(index).ok().and_then(|index| variants.get(index));
        let variant = variant.ok_or_else(|| A::Error::custom(format_args!("there is no variant {index}")))?;
        let inner = self.inner(&variant.fields);
        let mut single = false;
        let fields = match &variant.fields {
            Shape::Unit => {
                access.unit_variant()?;
                AnyValue::Unit
            }
            Shape::Tuple(items) => access.tuple_variant(items.len(), inner)?,
            Shape::Struct(fields) => access.tuple_variant(fields.len(), inner)?,
            _ => {
                single = true;
                access.newtype_variant_seed(inner)?
            }
        };
        Ok(AnyValue::Variant {
            index,
            name: variant.name.clone(),
            fields: Box::new(fields),
            single,
        })
    }
}
