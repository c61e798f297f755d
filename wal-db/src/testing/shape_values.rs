//! Random values of a shape.

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;

use super::value::{AnyValue, Scope};
use crate::{Shape, ShapeField, ShapeVariant};

/// How often a type that holds itself does so, at most.
const MAX_NESTING: u32 = 3;
const MAX_ELEMENTS: usize = 4;

/// Random values of a shape cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoValues {
    /// It holds a type that is known by name only.
    #[error(
        "`opaque \"{name}\"` is known by name only: \
         say what it is written as with `#[wal(opaque = \"{name}\", wire = Type)]`"
    )]
    Opaque {
        /// The name.
        name: String,
    },
    /// It has no finite value, or names a type that it is not inside of.
    #[error("the shape `{shape}` has no value")]
    Empty {
        /// The part that has none.
        shape: String,
    },
}

/// Random values of a shape, as a proptest strategy.
///
/// Collections have few elements, and floating point numbers are finite. A struct with the fields of
/// [`Duration`](std::time::Duration) or [`SystemTime`](std::time::SystemTime) is one: its nanoseconds are less than a
/// second.
///
/// ```
/// use proptest::strategy::{Strategy, ValueTree};
/// use proptest::test_runner::TestRunner;
/// use wal_db::Shape;
/// use wal_db::testing::{AnyValue, shape_values};
///
/// let shape: Shape = "{id: u64, tags: [str]}".parse().expect("a shape");
/// let values = shape_values(&shape).expect("it has values");
/// let value = values.new_tree(&mut TestRunner::deterministic()).expect("a value").current();
/// assert!(matches!(value, AnyValue::Struct(fields) if fields[0].0 == "id"));
/// ```
///
/// # Errors
///
/// [`NoValues::Opaque`] for a foreign type without `wire`, [`NoValues::Empty`] for a shape that no value has.
pub fn shape_values(shape: &Shape) -> Result<BoxedStrategy<AnyValue>, NoValues> {
    let place = Place {
        scope: None,
        nesting: MAX_NESTING,
        made: &RefCell::default(),
    };
    values(shape, place)
}

type Values = Result<BoxedStrategy<AnyValue>, NoValues>;

/// Where in the whole a shape stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    scope: Option<&'a Scope<'a>>,
    /// How often types may still hold themselves.
    nesting: u32,
    /// What was made of a type that holds itself, by its address and the nesting left: it may do so in many places.
    made: &'a RefCell<HashMap<(*const Shape, u32), Values>>,
}

fn values(shape: &Shape, place: Place<'_>) -> Values {
    Ok(match shape {
        Shape::Unit => Just(AnyValue::Unit).boxed(),
        Shape::Bool => any::<bool>().prop_map(AnyValue::Bool).boxed(),
        Shape::U8 => any::<u8>().prop_map(AnyValue::U8).boxed(),
        Shape::U16 => any::<u16>().prop_map(AnyValue::U16).boxed(),
        Shape::U32 => any::<u32>().prop_map(AnyValue::U32).boxed(),
        Shape::U64 => any::<u64>().prop_map(AnyValue::U64).boxed(),
        Shape::U128 => any::<u128>().prop_map(AnyValue::U128).boxed(),
        Shape::I8 => any::<i8>().prop_map(AnyValue::I8).boxed(),
        Shape::I16 => any::<i16>().prop_map(AnyValue::I16).boxed(),
        Shape::I32 => any::<i32>().prop_map(AnyValue::I32).boxed(),
        Shape::I64 => any::<i64>().prop_map(AnyValue::I64).boxed(),
        Shape::I128 => any::<i128>().prop_map(AnyValue::I128).boxed(),
        Shape::F32 => {
            use proptest::num::f32::{NEGATIVE, NORMAL, POSITIVE, ZERO};
            (POSITIVE | NEGATIVE | NORMAL | ZERO)
                .prop_map(AnyValue::F32)
                .boxed()
        }
        Shape::F64 => {
            use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, ZERO};
            (POSITIVE | NEGATIVE | NORMAL | ZERO)
                .prop_map(AnyValue::F64)
                .boxed()
        }
        Shape::Char => any::<char>().prop_map(AnyValue::Char).boxed(),
        Shape::Str => vec(any::<char>(), 0..8)
            .prop_map(|chars| AnyValue::Str(chars.into_iter().collect()))
            .boxed(),
        Shape::Bytes => vec(any::<u8>(), 0..8).prop_map(AnyValue::Bytes).boxed(),
        Shape::Option(inner) => option(values(inner, place))?,
        Shape::Seq(inner) => match values(inner, place) {
            Ok(inner) => vec(inner, 0..=MAX_ELEMENTS).prop_map(AnyValue::Seq).boxed(),
            Err(NoValues::Empty { .. }) => Just(AnyValue::Seq(Vec::new())).boxed(),
            Err(error) => return Err(error),
        },
        Shape::Array(inner, len) => vec(values(inner, place)?, *len).prop_map(AnyValue::Tuple).boxed(),
        Shape::Map(key, value) => map(values(key, place), values(value, place))?,
        Shape::Tuple(items) => tuple(items.iter(), place)?.prop_map(AnyValue::Tuple).boxed(),
        Shape::Struct(fields) => structure(fields, place)?,
        Shape::Enum(variants) => enumeration(shape, variants, place)?,
        Shape::Opaque { wire: Some(wire), .. } => values(wire, place)?,
        Shape::Opaque { name, wire: None } => return Err(NoValues::Opaque { name: name.clone() }),
        Shape::Recursive { name, body } => {
            let scope = Scope::new(name, body, place.scope);
            let scope = Some(&scope);
            values(body, Place { scope, ..place })?
        }
        Shape::Ref(name) => {
            let found = Scope::find(place.scope, name);
            let (Some((body, scope)), Some(nesting)) = (found, place.nesting.checked_sub(1)) else {
                return Err(empty(shape));
            };
            let key = (std::ptr::from_ref(body), nesting);
            if let Some(made) = place.made.borrow().get(&key) {
                return made.clone();
            }
            let scope = Some(scope);
            let made = values(
                body,
                Place {
                    scope,
                    nesting,
                    ..place
                },
            );
            place.made.borrow_mut().insert(key, made.clone());
            made?
        }
    })
}

fn empty(shape: &Shape) -> NoValues {
    NoValues::Empty {
        shape: shape.to_string(),
    }
}

fn option(inner: Values) -> Values {
    let none = AnyValue::Option(None);
    match inner {
        Ok(inner) => Ok(proptest::option::of(inner)
            .prop_map(|inner| AnyValue::Option(inner.map(Box::new)))
            .boxed()),
        Err(NoValues::Empty { .. }) => Ok(Just(none).boxed()),
        Err(error) => Err(error),
    }
}

/// Without two entries of one key, which a map would not keep.
fn map(key: Values, value: Values) -> Values {
    let (key, value) = match (key, value) {
        (Ok(key), Ok(value)) => (key, value),
        (Err(error @ NoValues::Opaque { .. }), _) | (_, Err(error @ NoValues::Opaque { .. })) => {
            return Err(error);
        }
        _ => return Ok(Just(AnyValue::Map(Vec::new())).boxed()),
    };
    let entries = vec((key, value), 0..=MAX_ELEMENTS).prop_map(|entries| {
        let mut unique: Vec<(AnyValue, AnyValue)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if unique
                .iter()
                .all(|(other, _)| other.unordered() != key.unordered())
            {
                unique.push((key, value));
            }
        }
        AnyValue::Map(unique)
    });
    Ok(entries.boxed())
}

fn tuple<'a>(
    items: impl Iterator<Item = &'a Shape>,
    place: Place<'_>,
) -> Result<Vec<BoxedStrategy<AnyValue>>, NoValues> {
    items.map(|item| values(item, place)).collect()
}

fn structure(fields: &[ShapeField], place: Place<'_>) -> Values {
    let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
    let is_time = matches!(
        fields,
        [secs, nanos] if secs.shape == Shape::U64 && nanos.shape == Shape::U32
            && matches!((secs.name.as_str(), nanos.name.as_str()),
                ("secs", "nanos") | ("secs_since_epoch", "nanos_since_epoch"))
    );
    let values = if is_time {
        let secs = (0..1_u64 << 33).prop_map(AnyValue::U64).boxed();
        let nanos = (0..1_000_000_000_u32).prop_map(AnyValue::U32).boxed();
        vec![secs, nanos]
    } else {
        tuple(fields.iter().map(|field| &field.shape), place)?
    };
    let named = move |values: Vec<AnyValue>| AnyValue::Struct(names.iter().cloned().zip(values).collect());
    Ok(values.prop_map(named).boxed())
}

fn enumeration(shape: &Shape, variants: &[ShapeVariant], place: Place<'_>) -> Values {
    let mut any_of = Vec::with_capacity(variants.len());
    for (index, variant) in (0_u32..).zip(variants) {
        let fields = match values(&variant.fields, place) {
            Ok(fields) => fields,
            Err(NoValues::Empty { .. }) => continue,
            Err(error) => return Err(error),
        };
        let name = variant.name.clone();
        let single = !matches!(variant.fields, Shape::Unit | Shape::Tuple(_) | Shape::Struct(_));
        let made = fields.prop_map(move |fields| AnyValue::Variant {
            index,
            name: name.clone(),
            fields: Box::new(fields),
            single,
        });
        any_of.push(made.boxed());
    }
    if any_of.is_empty() {
        return Err(empty(shape));
    }
    Ok(Union::new(any_of).boxed())
}
