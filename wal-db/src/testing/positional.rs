//! A value written as serde's derives write the type that it is of.

use std::cell::RefCell;
use std::collections::HashSet;

use serde::ser::{
    Error, Serialize, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleVariant,
    Serializer,
};

use crate::event::{
    probe::Place,
    schema::{Shape, ShapeField, ShapeVariant},
    value::Value,
};

/// serde wants names to be constants. Each is kept for ever, once a thread; the types of a program have few.
fn constant(name: &str) -> &'static str {
    thread_local! {
        static NAMES: RefCell<HashSet<&'static str>> = RefCell::default();
    }
    NAMES.with_borrow_mut(|names| match names.get(name) {
        Some(known) => known,
        None => {
            let name: &'static str = name.to_owned().leak();
            names.insert(name);
            name
        }
    })
}

/// A value beside its shape, which knows what a [`Value`] does not: the sizes of numbers, and the positions of
/// variants.
pub(super) struct Positional<'a> {
    value: &'a Value,
    place: Place<'a>,
}

impl<'a> Positional<'a> {
    pub(super) fn new(value: &'a Value, shape: &'a Shape) -> Self {
        let place = Place::whole(shape);
        Positional { value, place }
    }

    fn part(&self, value: &'a Value, shape: &'a Shape) -> Self {
        let place = self.place.part(shape);
        Positional { value, place }
    }

    fn mismatch<E: Error>(&self) -> E {
        E::custom(format_args!(
            "`{}` is no value of the shape `{}`",
            self.value, self.place.shape
        ))
    }

    fn integer<T, N, S>(&self, n: N, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: TryFrom<N> + Serialize,
        S: Serializer,
    {
        let n = T::try_from(n).map_err(|_| self.mismatch())?;
        n.serialize(serializer)
    }

    /// The fields of a tuple, array or struct, if the value has as many.
    fn fields(&self, shape: &'a Shape) -> Option<Vec<Self>> {
        Some(match (shape, self.value) {
            (Shape::Tuple(shapes), Value::Tuple(values)) if shapes.len() == values.len() => {
                let fields = values.iter().zip(shapes.iter());
                fields
                    .map(|(value, item)| self.part(value, &item.shape))
                    .collect()
            }
            (Shape::Array(shape, len), Value::List(values) | Value::Tuple(values))
                if *len == values.len() =>
            {
                values.iter().map(|value| self.part(value, shape)).collect()
            }
            (Shape::Struct(fields), Value::Struct(values)) if fields.len() == values.len() => {
                let fields = values.iter().zip(fields.iter());
                fields
                    .map(|((_, value), field)| self.part(value, &field.shape))
                    .collect()
            }
            _ => return None,
        })
    }

    fn variant<S: Serializer>(
        &self,
        variants: &'a [ShapeVariant],
        (name, contents): (&str, &'a Value),
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut indexed = (0_u32..).zip(variants);
        let Some((index, variant)) = indexed.find(|(_, variant)| *variant.name == *name) else {
            return Err(self.mismatch());
        };
        let contents = self.part(contents, &variant.fields);
        let name = constant(name);
        let parts = |fields| contents.fields(fields).ok_or_else(|| self.mismatch());
        match &*variant.fields {
            Shape::Unit => serializer.serialize_unit_variant("", index, name),
            fields @ Shape::Tuple(_) => {
                let parts = parts(fields)?;
                let mut tuple = serializer.serialize_tuple_variant("", index, name, parts.len())?;
                parts.iter().try_for_each(|part| tuple.serialize_field(part))?;
                tuple.end()
            }
            shape @ Shape::Struct(fields) => {
                let parts = parts(shape)?;
                let mut named = serializer.serialize_struct_variant("", index, name, parts.len())?;
                for (part, field) in parts.iter().zip(fields.iter()) {
                    named.serialize_field(constant(&field.name), part)?;
                }
                named.end()
            }
            _ => serializer.serialize_newtype_variant("", index, name, &contents),
        }
    }

    fn structure<S: Serializer>(&self, fields: &'a [ShapeField], serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self.fields(self.place.shape).ok_or_else(|| self.mismatch())?;
        let mut named = serializer.serialize_struct("", parts.len())?;
        for (part, field) in parts.iter().zip(fields) {
            named.serialize_field(constant(&field.name), part)?;
        }
        named.end()
    }
}

impl Serialize for Positional<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A type may be written in another form for people, of which its schema says nothing.
        if serializer.is_human_readable() && matches!(self.place.shape, Shape::Opaque { .. }) {
            return self.value.serialize(serializer);
        }
        if let Some(place) = self.place.follow().map_err(S::Error::custom)? {
            let value = self.value;
            return Positional { value, place }.serialize(serializer);
        }
        match (self.place.shape, self.value) {
            (Shape::Unit, Value::Unit) => serializer.serialize_unit(),
            (Shape::Newtype, Value::Newtype(value)) => self.part(value, &Shape::Unit).serialize(serializer),
            (Shape::Bool, Value::Bool(value)) => serializer.serialize_bool(*value),
            (Shape::U8, Value::Unsigned(n)) => self.integer::<u8, _, S>(*n, serializer),
            (Shape::U16, Value::Unsigned(n)) => self.integer::<u16, _, S>(*n, serializer),
            (Shape::U32, Value::Unsigned(n)) => self.integer::<u32, _, S>(*n, serializer),
            (Shape::U64, Value::Unsigned(n)) => self.integer::<u64, _, S>(*n, serializer),
            (Shape::U128, Value::Unsigned(n)) => serializer.serialize_u128(*n),
            (Shape::I8, Value::Signed(n)) => self.integer::<i8, _, S>(*n, serializer),
            (Shape::I16, Value::Signed(n)) => self.integer::<i16, _, S>(*n, serializer),
            (Shape::I32, Value::Signed(n)) => self.integer::<i32, _, S>(*n, serializer),
            (Shape::I64, Value::Signed(n)) => self.integer::<i64, _, S>(*n, serializer),
            (Shape::I128, Value::Signed(n)) => serializer.serialize_i128(*n),
            (Shape::F32, Value::F32(n)) => serializer.serialize_f32(*n),
            (Shape::F64, Value::F64(n)) => serializer.serialize_f64(*n),
            (Shape::Char, Value::Char(c)) => serializer.serialize_char(*c),
            (Shape::Str, Value::Str(text)) => serializer.serialize_str(text),
            (Shape::Bytes, Value::Bytes(bytes)) => serializer.serialize_bytes(bytes),
            (Shape::Option(_), Value::Option(None)) => serializer.serialize_none(),
            (Shape::Option(shape), Value::Option(Some(value))) => {
                serializer.serialize_some(&self.part(value, shape))
            }
            (Shape::Seq(shape), Value::List(items)) => {
                serializer.collect_seq(items.iter().map(|item| self.part(item, shape)))
            }
            (Shape::Map(key, value), Value::Map(entries)) => {
                let entries = entries.iter();
                serializer.collect_map(entries.map(|(k, v)| (self.part(k, key), self.part(v, value))))
            }
            (Shape::Enum(variants), Value::Variant(name, contents)) => {
                self.variant(variants, (name, contents), serializer)
            }
            (Shape::Struct(fields), _) => self.structure(fields, serializer),
            (shape, _) => {
                let fields = self.fields(shape).ok_or_else(|| self.mismatch())?;
                let mut tuple = serializer.serialize_tuple(fields.len())?;
                fields
                    .iter()
                    .try_for_each(|field| tuple.serialize_element(field))?;
                tuple.end()
            }
        }
    }
}

#[cfg(all(test, feature = "derive", feature = "bincode", feature = "postcard"))]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::marker::PhantomData;
    use std::time::Duration;

    use proptest::prop_assert_eq;
    use proptest::test_runner::{TestCaseError, TestRunner};
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};

    use super::{super::shape_values, *};
    use crate::{
        WalSchema,
        codec::{Bincode, Codec, Postcard},
        event::probe::{self, unordered},
    };

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    struct Nothing;

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    struct Everything {
        unsigned: (u8, u16, u32, u64, u128),
        signed: (i8, i16, i32, i64, i128),
        others: (f32, f64, (), bool, char, String, Nothing),
        lists: (Vec<u16>, [i32; 3], [Option<char>; 0]),
        map: BTreeMap<String, Option<i64>>,
        took: Duration,
        tree: Option<Box<Tree>>,
        one_of: Result<(u8, char), [u64; 2]>,
    }

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    enum Tree {
        Empty,
        Leaf(u64),
        Fork(Box<Tree>, i8, Box<Tree>),
        Named { name: String, inner: Vec<Tree> },
        Row([u32; 2]),
    }

    /// Values made of the shape alone are values of the type, and are written as it is.
    fn is_written_as_derived<C, T>()
    where
        C: Codec,
        T: WalSchema + Serialize + DeserializeOwned + Debug,
    {
        let shape = T::SCHEMA;
        let write = |value: &Value| {
            let written = probe::encode_any::<C>(1, 1, &Positional::new(value, shape));
            written.expect("the value is of the shape")
        };
        let before = probe::encode_any::<C>(1, 1, &()).expect("an envelope").len();
        let one = |value: Value| {
            let bytes = write(&value);
            let typed = C::decode(PhantomData::<T>, &bytes[before..]);
            let (typed, used) = typed.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(before + used, bytes.len());
            let derived = probe::encode_any::<C>(1, 1, &typed).expect("the type is written");
            // The type's maps have an order of their own.
            let read = probe::value::<C>(&derived, shape).expect("it has the shape");
            prop_assert_eq!(write(&read), derived, "{:?}", typed);
            prop_assert_eq!(unordered(&read), unordered(&value));
            Ok(())
        };
        let values = shape_values(shape).expect("it has values");
        TestRunner::deterministic()
            .run(&values, one)
            .expect("the same bytes");
    }

    #[test]
    fn values_are_written_as_derived_types_are() {
        is_written_as_derived::<Bincode, Everything>();
        is_written_as_derived::<Postcard, Everything>();
    }

    #[test]
    fn values_of_other_shapes_are_refused() {
        let one = || Value::Unsigned(1);
        let cases = [
            ("u8", Value::Unsigned(1 << 8)),
            ("u16", Value::Unsigned(1 << 16)),
            ("u32", Value::Unsigned(1 << 32)),
            ("u64", Value::Unsigned(1 << 64)),
            ("i8", Value::Signed(1 << 7)),
            ("i16", Value::Signed(1 << 15)),
            ("i32", Value::Signed(1 << 31)),
            ("i64", Value::Signed(1 << 63)),
            ("u8", Value::Signed(1)),
            ("[u8; 2]", Value::List(vec![one()])),
            ("(u8, u8)", Value::Tuple(vec![one()])),
            ("{a: u8}", Value::Struct(Vec::new())),
            ("enum {A}", Value::Variant("B".into(), Box::new(Value::Unit))),
            ("enum {A(u8, u8)}", Value::Variant("A".into(), Box::new(one()))),
            ("rec A @A", one()),
        ];
        for (shape, value) in cases {
            let parsed: Shape = shape.parse().expect("a shape");
            let written = probe::encode_any::<Bincode>(1, 1, &Positional::new(&value, &parsed));
            assert!(written.is_err(), "{value} as {shape}");
        }
    }
}
