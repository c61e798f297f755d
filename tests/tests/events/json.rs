//! `to_json` prints what `serde_json` prints for the type, whatever the type is: shapes and values are made up, written
//! as serde's derive writes the type that has the shape, stored in every format, and printed without the type.

use std::cell::RefCell;
use std::collections::HashMap;
use wal_tests::{own::Own, wal};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde::ser::{
    Error as _, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleVariant,
};
use serde::{Serialize, Serializer, de::DeserializeSeed};
use wal_db::testing::{append_payload, shape_values};
use wal_db::{
    Record,
    codec::{Bincode, Codec, CodecError, CodecId, Json, Postcard},
    event::TypedError,
    schema::{EventSchema, Part, Schemas, Shape, ShapeField, ShapeItem, ShapeVariant, Value},
};

const ID: u32 = 7;

/// A record of version 1 that holds this, printed without its type; `None` if the format does not take it.
fn printed<C: Codec>(contents: &impl Serialize, shape: &Shape) -> Option<Result<String, TypedError>> {
    let (record, schemas) = stored::<C>(contents, shape)?;
    Some(record.to_json_with_codec::<C>(&schemas))
}

/// Such a record, and what explains it.
fn stored<C: Codec>(contents: &impl Serialize, shape: &Shape) -> Option<(Record, Schemas)> {
    let mut payload = vec![0xE0, C::ID.get(), ID as u8, 1];
    C::encode(contents, &mut payload).ok()?;
    let wal = wal();
    let lsn = append_payload(&wal, &payload).expect("appends");
    let schemas: Schemas = [EventSchema::new(ID, "made.up", 1, shape.clone())]
        .into_iter()
        .collect();
    Some((wal.read(lsn).expect("reads"), schemas))
}

// ---- the oracle: a value and its shape as serde's derive would write the type --------------------------------------

struct Derived<'a> {
    value: &'a Value,
    shape: &'a Shape,
    scope: Option<&'a Scope<'a>>,
}

struct Scope<'a> {
    name: &'a str,
    body: &'a Shape,
    outer: Option<&'a Scope<'a>>,
}

/// serde wants names to be constants.
fn constant(name: &str) -> &'static str {
    thread_local! {
        static NAMES: RefCell<HashMap<String, &'static str>> = RefCell::default();
    }
    NAMES.with_borrow_mut(|names| {
        *names
            .entry(name.to_owned())
            .or_insert_with(|| name.to_owned().leak())
    })
}

impl<'a> Derived<'a> {
    fn whole(value: &'a Value, shape: &'a Shape) -> Self {
        Derived {
            value,
            shape,
            scope: None,
        }
    }

    fn part(&self, value: &'a Value, shape: &'a Shape) -> Self {
        Derived {
            value,
            shape,
            scope: self.scope,
        }
    }

    fn variant<S: Serializer>(
        &self,
        variants: &'a [ShapeVariant],
        name: &str,
        contents: &'a Value,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        let index = variants
            .iter()
            .position(|variant| *variant.name == *name)
            .ok_or_else(|| S::Error::custom("a variant"))?;
        let (at, name) = (index as u32, constant(name));
        match (&*variants[index].fields, contents) {
            (Shape::Unit, _) => s.serialize_unit_variant("", at, name),
            (Shape::Tuple(shapes), Value::Tuple(values)) => {
                let mut tuple = s.serialize_tuple_variant("", at, name, values.len())?;
                for (value, item) in values.iter().zip(shapes.iter()) {
                    tuple.serialize_field(&self.part(value, &item.shape))?;
                }
                tuple.end()
            }
            (Shape::Struct(fields), Value::Struct(values)) => {
                let mut out = s.serialize_struct_variant("", at, name, values.len())?;
                for ((_, value), ShapeField { name, shape, .. }) in values.iter().zip(fields.iter()) {
                    out.serialize_field(constant(name), &self.part(value, shape))?;
                }
                out.end()
            }
            (Shape::Newtype, Value::Newtype(value)) => {
                s.serialize_newtype_variant("", at, name, &self.part(value, &Shape::Unit))
            }
            (shape, value) => s.serialize_newtype_variant("", at, name, &self.part(value, shape)),
        }
    }
}

impl Serialize for Derived<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match (self.shape, self.value) {
            (Shape::Recursive { name, body }, value) => Derived {
                value,
                shape: body,
                scope: Some(&Scope {
                    name,
                    body,
                    outer: self.scope,
                }),
            }
            .serialize(s),
            (Shape::Ref(name), value) => {
                let scope = std::iter::successors(self.scope, |scope| scope.outer)
                    .find(|scope| scope.name == &**name)
                    .ok_or_else(|| S::Error::custom("a name"))?;
                Derived {
                    value,
                    shape: scope.body,
                    scope: Some(scope),
                }
                .serialize(s)
            }
            (Shape::Opaque { wire: Some(wire), .. }, value) => self.part(value, wire).serialize(s),
            (Shape::Unit, _) => s.serialize_unit_struct("Unit"),
            (Shape::U8, Value::Unsigned(n)) => s.serialize_u8(*n as u8),
            (Shape::U16, Value::Unsigned(n)) => s.serialize_u16(*n as u16),
            (Shape::U32, Value::Unsigned(n)) => s.serialize_u32(*n as u32),
            (Shape::U64, Value::Unsigned(n)) => s.serialize_u64(*n as u64),
            (Shape::U128, Value::Unsigned(n)) => s.serialize_u128(*n),
            (Shape::I8, Value::Signed(n)) => s.serialize_i8(*n as i8),
            (Shape::I16, Value::Signed(n)) => s.serialize_i16(*n as i16),
            (Shape::I32, Value::Signed(n)) => s.serialize_i32(*n as i32),
            (Shape::I64, Value::Signed(n)) => s.serialize_i64(*n as i64),
            (Shape::I128, Value::Signed(n)) => s.serialize_i128(*n),
            (Shape::Bool, Value::Bool(value)) => s.serialize_bool(*value),
            (Shape::F32, Value::F32(value)) => s.serialize_f32(*value),
            (Shape::F64, Value::F64(value)) => s.serialize_f64(*value),
            (Shape::Char, Value::Char(value)) => s.serialize_char(*value),
            (Shape::Str, Value::Str(value)) => s.serialize_str(value),
            (Shape::Bytes, Value::Bytes(value)) => s.serialize_bytes(value),
            (Shape::Option(_), Value::Option(None)) => s.serialize_none(),
            (Shape::Option(shape), Value::Option(Some(value))) => s.serialize_some(&self.part(value, shape)),
            (Shape::Seq(shape), Value::List(items)) => {
                s.collect_seq(items.iter().map(|item| self.part(item, shape)))
            }
            (Shape::Array(shape, _), Value::List(items)) => {
                let mut tuple = s.serialize_tuple(items.len())?;
                for item in items {
                    tuple.serialize_element(&self.part(item, shape))?;
                }
                tuple.end()
            }
            (Shape::Tuple(shapes), Value::Tuple(values)) => {
                let mut tuple = s.serialize_tuple(values.len())?;
                for (value, item) in values.iter().zip(shapes.iter()) {
                    tuple.serialize_element(&self.part(value, &item.shape))?;
                }
                tuple.end()
            }
            (Shape::Struct(fields), Value::Struct(values)) => {
                let mut out = s.serialize_struct("Struct", values.len())?;
                for ((_, value), ShapeField { name, shape, .. }) in values.iter().zip(fields.iter()) {
                    out.serialize_field(constant(name), &self.part(value, shape))?;
                }
                out.end()
            }
            (Shape::Map(key, value), Value::Map(entries)) => s.collect_map(
                entries
                    .iter()
                    .map(|(k, v)| (self.part(k, key), self.part(v, value))),
            ),
            (Shape::Enum(variants), Value::Variant(name, contents)) => {
                self.variant(variants, name, contents, s)
            }
            (shape, value) => Err(S::Error::custom(format!("{value} is no {shape}"))),
        }
    }
}

// ---- shapes ---------------------------------------------------------------------------------------------------------

const PLAIN: [Shape; 17] = [
    Shape::Unit,
    Shape::Bool,
    Shape::U8,
    Shape::U16,
    Shape::U32,
    Shape::U64,
    Shape::U128,
    Shape::I8,
    Shape::I16,
    Shape::I32,
    Shape::I64,
    Shape::I128,
    Shape::F32,
    Shape::F64,
    Shape::Char,
    Shape::Str,
    Shape::Bytes,
];

fn named<T: std::fmt::Debug>(
    parts: impl Strategy<Value = T> + 'static,
    least: usize,
) -> impl Strategy<Value = Vec<(String, T)>> {
    let name = prop_oneof![4 => "[a-z_]{1,3}", 1 => "[ -~é\n]{0,3}"];
    proptest::collection::vec((name, parts), least..4).prop_map(|mut parts| {
        // Two of one name are one in JSON.
        for (at, (name, _)) in parts.iter_mut().enumerate() {
            name.push_str(&at.to_string());
        }
        parts
    })
}

fn fields(parts: impl Strategy<Value = Shape> + 'static) -> impl Strategy<Value = Vec<ShapeField>> {
    named(parts, 0).prop_map(|parts| {
        let field = |(name, shape): (String, Shape)| ShapeField::of(name.into(), shape.into());
        parts.into_iter().map(field).collect()
    })
}

fn tuple(parts: BoxedStrategy<Shape>) -> impl Strategy<Value = Shape> {
    let items = proptest::collection::vec(parts.prop_map(|part| ShapeItem::of(part.into())), 0..3);
    items.prop_map(|items| Shape::Tuple(items.into()))
}

fn variants(parts: BoxedStrategy<Shape>) -> impl Strategy<Value = Vec<ShapeVariant>> {
    let contents = prop_oneof![
        Just(Shape::Unit),
        Just(Shape::Newtype),
        parts.clone().prop_map(|single| match single {
            Shape::Unit => Shape::Newtype,
            single => single,
        }),
        tuple(parts.clone()),
        fields(parts).prop_map(|fields| Shape::Struct(fields.into())),
    ];
    named(contents, 1).prop_map(|parts| {
        let variant = |(name, fields): (String, Shape)| ShapeVariant::of(name.into(), fields.into());
        parts.into_iter().map(variant).collect()
    })
}

fn shapes() -> BoxedStrategy<Shape> {
    let plain = proptest::sample::select(PLAIN.to_vec());
    let around = |inner: BoxedStrategy<Shape>| {
        let boxed = || inner.clone().prop_map(Part::from);
        let result = |(ok, error): (Shape, Shape)| {
            let variant = |name: &str, single| {
                let fields = match single {
                    Shape::Unit => Shape::Newtype,
                    single => single,
                };
                ShapeVariant::of(name.to_owned().into(), fields.into())
            };
            Shape::Enum(vec![variant("Ok", ok), variant("Err", error)].into())
        };
        prop_oneof![
            2 => boxed().prop_map(Shape::Option),
            1 => boxed().prop_map(Shape::Seq),
            1 => (boxed(), 0_usize..3).prop_map(|(shape, len)| Shape::Array(shape, len)),
            2 => (boxed(), boxed()).prop_map(|(key, value)| Shape::Map(key, value)),
            2 => (proptest::sample::select(PLAIN.to_vec()), boxed())
                .prop_map(|(key, value)| Shape::Map(key.into(), value)),
            2 => tuple(inner.clone()),
            2 => fields(inner.clone()).prop_map(|fields| Shape::Struct(fields.into())),
            2 => variants(inner.clone()).prop_map(|variants| Shape::Enum(variants.into())),
            2 => (inner.clone(), inner.clone()).prop_map(result),
            1 => boxed().prop_map(|wire| Shape::Opaque { name: Part::Static("o@1"), wire: Some(wire) }),
            1 => inner.clone().prop_map(|shape| Shape::Recursive {
                name: Part::Static("R"),
                body: Shape::Tuple(
                    [shape, Shape::Option(Shape::Ref(Part::Static("R")).into())]
                        .map(|item| ShapeItem::of(item.into()))
                        .to_vec()
                        .into(),
                )
                .into(),
            }),
        ]
        .boxed()
    };
    plain
        .prop_recursive(3, 12, 3, move |inner| around(inner.boxed()))
        .boxed()
}

/// Now and then a float that is none.
fn with_odd_floats(value: &mut Value, odd: &mut impl Iterator<Item = f64>) {
    match value {
        Value::F32(float) => {
            if let Some(odd) = odd.next().filter(|odd| *odd != 0.0) {
                *float = odd as f32;
            }
        }
        Value::F64(float) => {
            if let Some(odd) = odd.next().filter(|odd| *odd != 0.0) {
                *float = odd;
            }
        }
        Value::Option(Some(inner)) | Value::Newtype(inner) | Value::Variant(_, inner) => {
            with_odd_floats(inner, odd);
        }
        Value::List(items) | Value::Tuple(items) => {
            items.iter_mut().for_each(|item| with_odd_floats(item, odd))
        }
        Value::Struct(fields) => fields
            .iter_mut()
            .for_each(|(_, field)| with_odd_floats(field, odd)),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
            with_odd_floats(key, odd);
            with_odd_floats(value, odd);
        }),
        _ => {}
    }
}

/// How often the formats took a value, and JSON has one.
#[derive(Debug, Default)]
struct Seen {
    same: u32,
    not_json: u32,
    odd_floats: u32,
}

fn agree<C: Codec>(derived: &Derived<'_>, seen: &RefCell<Seen>) -> Result<(), TestCaseError> {
    let Derived { value, shape, .. } = derived;
    let Some(text) = printed::<C>(derived, shape) else {
        // JSON and no other refuses what it would change.
        prop_assert_eq!(C::ID, CodecId::JSON);
        return Ok(());
    };
    let text = text.map_err(|error| {
        let why = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
        TestCaseError::fail(format!("{}: {value} as {shape}: {error}: {why}", C::ID))
    })?;
    match serde_json::to_string(derived) {
        Ok(expected) => {
            seen.borrow_mut().same += 1;
            prop_assert_eq!(text, expected, "{}: {} as {}", C::ID, value, shape);
        }
        Err(_) => {
            seen.borrow_mut().not_json += 1;
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&text);
            prop_assert!(parsed.is_ok(), "{}", text);
        }
    }
    Ok(())
}

#[test]
fn every_shape_in_every_format_prints_as_serde_json_prints_it() {
    let config = Config {
        failure_persistence: None,
        cases: 2_000 * wal_tests::scale(),
        max_global_rejects: 100_000,
        ..Config::default()
    };
    let values = shapes().prop_filter_map("no value", |shape| {
        let values = shape_values(&shape).ok()?;
        Some((Just(shape), values))
    });
    let odd = [0.0, 0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
    let odd = proptest::collection::vec(proptest::sample::select(odd.to_vec()), 0..8);
    let cases = (values.prop_flat_map(|pair| pair), odd);
    let seen = RefCell::new(Seen::default());
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let result = TestRunner::new_with_rng(config, rng).run(&cases, |((shape, mut value), odd)| {
        if odd.iter().any(|odd| !odd.is_finite()) {
            seen.borrow_mut().odd_floats += 1;
        }
        with_odd_floats(&mut value, &mut odd.into_iter());
        let text = shape.to_string();
        prop_assert_eq!(text.parse::<Shape>(), Ok(shape.clone()), "{}", text);
        let derived = Derived::whole(&value, &shape);
        agree::<Bincode>(&derived, &seen)?;
        agree::<Postcard>(&derived, &seen)?;
        agree::<Json>(&derived, &seen)?;
        agree::<Own<255>>(&derived, &seen)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let seen = seen.into_inner();
    assert!(
        seen.same > 2_000 && seen.not_json > 100 && seen.odd_floats > 100,
        "{seen:?}"
    );
}

#[test]
fn a_map_whose_keys_json_does_not_have_is_a_list_of_pairs() {
    let cases = [
        (
            "{id: u8, map: map<(u8, str), bool>}",
            Value::Struct(vec![
                ("id".into(), Value::Unsigned(1)),
                (
                    "map".into(),
                    Value::Map(vec![(
                        Value::Tuple(vec![Value::Unsigned(2), Value::Str("k".into())]),
                        Value::Bool(true),
                    )]),
                ),
            ]),
            r#"{"id":1,"map":[[[2,"k"],true]]}"#,
        ),
        (
            "map<f64, u8>",
            Value::Map(vec![
                (Value::F64(f64::NAN), Value::Unsigned(1)),
                (Value::F64(0.5), Value::Unsigned(2)),
            ]),
            "[[null,1],[0.5,2]]",
        ),
        ("map<(u8, u8), u8>", Value::Map(Vec::new()), "{}"),
        (
            "[map<option<str>, map<unit, f32>>]",
            Value::List(vec![Value::Map(vec![(
                Value::Option(Some(Box::new(Value::Str("k".into())))),
                Value::Map(vec![(Value::Unit, Value::F32(f32::INFINITY))]),
            )])]),
            r#"[{"k":[[null,null]]}]"#,
        ),
    ];
    for (shape, value, expected) in cases {
        let shape: Shape = shape.parse().expect("a shape");
        let text = printed::<Bincode>(&Derived::whole(&value, &shape), &shape).expect("it is stored");
        assert_eq!(text.expect("it is printed"), expected);
    }
}

/// A format of the application's own that knows where a list ends, and of which nobody knows that.
enum Lists {}

impl Codec for Lists {
    const ID: CodecId = CodecId::new(201);

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        Json::encode(value, out)
    }

    fn decode<'de, S: DeserializeSeed<'de>>(
        seed: S,
        bytes: &'de [u8],
    ) -> Result<(S::Value, usize), CodecError> {
        Json::decode(seed, bytes)
    }
}

#[test]
fn what_has_too_few_parts_is_refused_with_what_it_should_have_been() {
    for (shape, expected) in [
        ("(u8, u8, u8)", "too few parts for a tuple of 3 fields"),
        ("[u8; 3]", "too few parts for an array of 3 elements"),
        ("{a: u8, b: u8, c: u8}", "too few parts for a struct of 3 fields"),
    ] {
        let shape: Shape = shape.parse().expect("a shape");
        let (record, schemas) = stored::<Lists>(&(1, 2), &shape).expect("it is stored");
        let refused = record.to_value_with_codec::<Lists>(&schemas);
        let refused = refused.expect_err("it is too short");
        let source = std::error::Error::source(&refused).map(ToString::to_string);
        assert!(
            source.is_some_and(|text| text.contains(expected)),
            "{shape}: {refused}"
        );
    }
}
