//! Random values of a shape.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;

use super::{places::Named, strategies::Strategies};
use crate::event::{
    probe::{NoShape, unordered},
    schema::{Shape, ShapeField, ShapeVariant},
    value::Value,
};

/// How often a type that holds itself does so, at most.
const MAX_NESTING: u32 = 3;
const MAX_ELEMENTS: usize = 4;
/// More than the length of a byte counts.
const LONG: usize = 300;

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
/// Types of other crates that the build has features for have values of their own, see [`Strategies`]; another opaque type
/// has any value of its `wire`. Collections have few elements, apart from a long list now and then. Numbers are often at the ends of a type, and
/// floating point numbers are finite. A struct with the fields of [`Duration`](std::time::Duration) or
/// [`SystemTime`](std::time::SystemTime) is one: its nanoseconds are less than a second.
///
/// ```
/// use proptest::strategy::{Strategy, ValueTree};
/// use proptest::test_runner::TestRunner;
/// use wal_db::testing::shape_values;
/// use wal_db::schema::{Shape, Value};
///
/// let shape: Shape = "{id: u64, tags: [str]}".parse().expect("a shape");
/// let values = shape_values(&shape).expect("it has values");
/// let value = values.new_tree(&mut TestRunner::deterministic()).expect("a value").current();
/// assert!(matches!(value.get("id"), Some(Value::Unsigned(_))));
/// ```
///
/// # Errors
/// [`NoValues::Opaque`] for a foreign type without `wire`, [`NoValues::Empty`] for a shape that no value has.
pub fn shape_values(shape: &Shape) -> Result<BoxedStrategy<Value>, NoValues> {
    let asked = Asked {
        strategies: &Strategies::new(),
        events: Vec::new(),
        human: false,
        used: RefCell::default(),
    };
    // What is looked up later may lead back.
    asked.values(&shape.told())
}

/// What the values of one event are made of.
pub(super) struct Asked<'a> {
    pub(super) strategies: &'a Strategies,
    /// What the event is called, by which its fields are found among the strategies.
    pub(super) events: Vec<&'a str>,
    /// Whether the format is for people.
    pub(super) human: bool,
    /// The strategies that were asked for a value.
    pub(super) used: RefCell<HashSet<String>>,
}

impl Asked<'_> {
    pub(super) fn values(&self, shape: &Shape) -> Result<BoxedStrategy<Value>, NoValues> {
        values(&Making {
            asked: self,
            place: Named::event(shape),
            nesting: MAX_NESTING,
            made: &RefCell::default(),
        })
    }

    fn named(&self, name: &str) -> Option<BoxedStrategy<Value>> {
        let found = self.strategies.get(name, self.human)?;
        self.used.borrow_mut().insert(name.to_owned());
        Some(found)
    }
}

type Values = Result<BoxedStrategy<Value>, NoValues>;

#[derive(Clone)]
struct Making<'a> {
    asked: &'a Asked<'a>,
    place: Named<'a>,
    /// How often types may still hold themselves.
    nesting: u32,
    /// What was made of a type that holds itself: it may do so in many places.
    made: &'a RefCell<HashMap<Made, Values>>,
}

/// The address of a type that holds itself, the name of its place, and the nesting left.
type Made = (*const Shape, Option<Rc<str>>, u32);

impl<'a> Making<'a> {
    fn part(&self, shape: &'a Shape, step: &str) -> Self {
        let place = self.place.part(shape, step);
        Making { place, ..*self }
    }

    /// Values that are not made from the shape.
    fn given(&self) -> Option<BoxedStrategy<Value>> {
        let name = self.place.name.as_deref().filter(|name| !name.is_empty());
        let mut fields = name.iter().flat_map(|name| {
            self.asked
                .events
                .iter()
                .map(move |event| format!("{event}.{name}"))
        });
        fields
            .find_map(|field| self.asked.named(&field))
            .or_else(|| match self.place.shape() {
                Shape::Opaque { name, .. } => self.asked.named(name),
                _ => None,
            })
    }

    /// The shape that a name stands for.
    fn follow(&self) -> Result<Self, NoValues> {
        match self.place.follow() {
            Ok(Some(place)) => Ok(Making { place, ..*self }),
            Err(NoShape::Opaque(name)) => Err(NoValues::Opaque {
                name: name.to_owned(),
            }),
            Ok(None) | Err(NoShape::Unknown(_) | NoShape::Endless) => Err(empty(self.place.shape())),
        }
    }
}

fn values(at: &Making<'_>) -> Values {
    if let Some(given) = at.given() {
        return Ok(given);
    }
    Ok(match at.place.shape() {
        Shape::Unit => Just(Value::Unit).boxed(),
        Shape::Bool => plain(any::<bool>(), Value::Bool),
        Shape::U8 => unsigned::<u8>(),
        Shape::U16 => unsigned::<u16>(),
        Shape::U32 => unsigned::<u32>(),
        Shape::U64 => unsigned::<u64>(),
        Shape::U128 => unsigned::<u128>(),
        Shape::I8 => signed::<i8>(),
        Shape::I16 => signed::<i16>(),
        Shape::I32 => signed::<i32>(),
        Shape::I64 => signed::<i64>(),
        Shape::I128 => signed::<i128>(),
        Shape::F32 => {
            use proptest::num::f32::{NEGATIVE, NORMAL, POSITIVE, ZERO};
            plain(POSITIVE | NEGATIVE | NORMAL | ZERO, Value::F32)
        }
        Shape::F64 => {
            use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, ZERO};
            plain(POSITIVE | NEGATIVE | NORMAL | ZERO, Value::F64)
        }
        Shape::Char => plain(any::<char>(), Value::Char),
        Shape::Str => plain(some(any::<char>(), true), |chars| {
            Value::Str(chars.into_iter().collect())
        }),
        Shape::Bytes => plain(some(any::<u8>(), true), Value::Bytes),
        Shape::Option(inner) => option(values(&at.part(inner, "some")))?,
        Shape::Seq(inner) => match values(&at.part(inner, "[]")) {
            Ok(elements) => plain(some(elements, is_small(inner)), Value::List),
            Err(NoValues::Empty { .. }) => Just(Value::List(Vec::new())).boxed(),
            Err(error) => return Err(error),
        },
        Shape::Array(inner, len) => plain(vec(values(&at.part(inner, "[]"))?, *len), Value::List),
        Shape::Map(key, value) => {
            let long = is_small(key) && is_small(value);
            map(
                values(&at.part(key, "key")),
                values(&at.part(value, "value")),
                long,
            )?
        }
        Shape::Tuple(items) => {
            let items = items.iter().enumerate();
            plain(
                tuple(items.map(|(i, item)| (i.to_string(), &*item.shape)), at)?,
                Value::Tuple,
            )
        }
        Shape::Struct(fields) => structure(fields, at)?,
        Shape::Enum(variants) => enumeration(variants, at)?,
        Shape::Newtype => Just(Value::Newtype(Box::new(Value::Unit))).boxed(),
        Shape::Ref(_) => itself(at)?,
        _ => values(&at.follow()?)?,
    })
}

fn plain<S>(values: S, of: impl Fn(S::Value) -> Value + 'static) -> BoxedStrategy<Value>
where
    S: Strategy + 'static,
{
    values.prop_map(of).boxed()
}

/// Elements of a list: mostly a few, and now and then as many as no conversion handles one by one.
fn some<S: Strategy + Clone + 'static>(elements: S, long: bool) -> BoxedStrategy<Vec<S::Value>> {
    let few = vec(elements.clone(), 0..=MAX_ELEMENTS);
    if !long {
        return few.boxed();
    }
    prop_oneof![15 => few, 1 => vec(elements, MAX_ELEMENTS..=LONG)].boxed()
}

/// Whether values of a shape are small enough for a long list of them.
fn is_small(shape: &Shape) -> bool {
    match shape {
        Shape::Tuple(items) => items.len() <= MAX_ELEMENTS && items.iter().all(|item| is_plain(&item.shape)),
        Shape::Struct(fields) => {
            fields.len() <= MAX_ELEMENTS && fields.iter().all(|field| is_plain(&field.shape))
        }
        Shape::Option(inner) => is_plain(inner),
        plain => is_plain(plain),
    }
}

fn is_plain(shape: &Shape) -> bool {
    !matches!(
        shape,
        Shape::Seq(_)
            | Shape::Array(..)
            | Shape::Map(..)
            | Shape::Str
            | Shape::Bytes
            | Shape::Option(_)
            | Shape::Tuple(_)
            | Shape::Struct(_)
            | Shape::Enum(_)
            | Shape::Recursive { .. }
            | Shape::Opaque { .. }
            | Shape::Ref(_)
    )
}

/// Any number, and those where a conversion to another type goes wrong: 0, 1, and the ends of every integer type that
/// `T` holds. Numbers of all sizes are as likely, so that half of a wide type's fit in a narrower one.
fn integer<T, W>(of: fn(W) -> Value) -> BoxedStrategy<Value>
where
    T: Arbitrary + Into<W> + TryFrom<i128> + Copy + fmt::Debug + std::ops::Shr<u32, Output = T> + 'static,
    T::Strategy: 'static,
    W: 'static,
{
    let bits = 8 * size_of::<T>() as u32;
    let ends = (3..128).flat_map(|bit: u32| {
        let power = 1_i128 << bit.min(126);
        [power - 1, power, -power, -power - 1]
    });
    let edges: Vec<T> = [0, 1, -1]
        .into_iter()
        .chain(ends)
        .filter_map(|n| T::try_from(n).ok())
        .collect();
    let sized = (any::<T>(), 0..bits).prop_map(|(n, shift)| n >> shift);
    prop_oneof![2 => any::<T>(), 2 => sized, 1 => proptest::sample::select(edges)]
        .prop_map(move |n| of(n.into()))
        .boxed()
}

fn unsigned<T>() -> BoxedStrategy<Value>
where
    T: Arbitrary + Into<u128> + TryFrom<i128> + Copy + fmt::Debug + std::ops::Shr<u32, Output = T> + 'static,
    T::Strategy: 'static,
{
    integer::<T, u128>(Value::Unsigned)
}

fn signed<T>() -> BoxedStrategy<Value>
where
    T: Arbitrary + Into<i128> + TryFrom<i128> + Copy + fmt::Debug + std::ops::Shr<u32, Output = T> + 'static,
    T::Strategy: 'static,
{
    integer::<T, i128>(Value::Signed)
}

fn itself(at: &Making<'_>) -> Values {
    let Some(nesting) = at.nesting.checked_sub(1) else {
        return Err(empty(at.place.shape()));
    };
    let inner = Making {
        nesting,
        ..at.follow()?
    };
    let shape = std::ptr::from_ref(inner.place.shape());
    let key = (shape, inner.place.name.clone(), nesting);
    if let Some(made) = at.made.borrow().get(&key) {
        return made.clone();
    }
    let made = values(&inner);
    at.made.borrow_mut().insert(key, made.clone());
    made
}

fn empty(shape: &Shape) -> NoValues {
    NoValues::Empty {
        shape: shape.to_string(),
    }
}

fn option(inner: Values) -> Values {
    let none = Value::Option(None);
    match inner {
        Ok(inner) => Ok(proptest::option::of(inner)
            .prop_map(|inner| Value::Option(inner.map(Box::new)))
            .boxed()),
        Err(NoValues::Empty { .. }) => Ok(Just(none).boxed()),
        Err(error) => Err(error),
    }
}

/// Without two entries of one key, which a map would not keep.
fn map(key: Values, value: Values, long: bool) -> Values {
    let (key, value) = match (key, value) {
        (Ok(key), Ok(value)) => (key, value),
        (Err(error @ NoValues::Opaque { .. }), _) | (_, Err(error @ NoValues::Opaque { .. })) => {
            return Err(error);
        }
        _ => return Ok(Just(Value::Map(Vec::new())).boxed()),
    };
    Ok(plain(some((key, value), long), |mut entries| {
        let mut keys = HashSet::new();
        entries.retain(|(key, _)| keys.insert(unordered(key).to_string()));
        Value::Map(entries)
    }))
}

fn tuple<'a>(
    items: impl Iterator<Item = (String, &'a Shape)>,
    at: &Making<'a>,
) -> Result<Vec<BoxedStrategy<Value>>, NoValues> {
    items.map(|(step, item)| values(&at.part(item, &step))).collect()
}

fn structure<'a>(fields: &'a [ShapeField], at: &Making<'a>) -> Values {
    let names: Vec<Arc<str>> = fields.iter().map(|field| Arc::from(&*field.name)).collect();
    let is_time = matches!(
        fields,
        [secs, nanos] if *secs.shape == Shape::U64 && *nanos.shape == Shape::U32
            && matches!((&*secs.name, &*nanos.name),
                ("secs", "nanos") | ("secs_since_epoch", "nanos_since_epoch"))
    );
    let values = if is_time {
        let below = |end: u128| plain(0..end, Value::Unsigned);
        vec![below(1 << 33), below(1_000_000_000)]
    } else {
        let fields = fields.iter();
        tuple(fields.map(|field| (field.name.to_string(), &*field.shape)), at)?
    };
    let named = move |values: Vec<Value>| Value::Struct(names.iter().cloned().zip(values).collect());
    Ok(plain(values, named))
}

fn enumeration<'a>(variants: &'a [ShapeVariant], at: &Making<'a>) -> Values {
    let mut any_of = Vec::with_capacity(variants.len());
    for variant in variants {
        let contents = match values(&at.part(&variant.fields, &variant.name)) {
            Ok(contents) => contents,
            Err(NoValues::Empty { .. }) => continue,
            Err(error) => return Err(error),
        };
        let name: Arc<str> = Arc::from(&*variant.name);
        any_of.push(plain(contents, move |contents| {
            Value::Variant(name.clone(), Box::new(contents))
        }));
    }
    if any_of.is_empty() {
        return Err(empty(at.place.shape()));
    }
    Ok(Union::new(any_of).boxed())
}
