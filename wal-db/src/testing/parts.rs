//! The parts of a value: how the checks name, compare and change them.

pub(super) use crate::event::probe::unordered;
use crate::event::{schema::Shape, value::Value};

/// The fields of a struct, tuple or array with their names or positions; any other value is one field without a name.
pub(super) fn fields<'a>(shape: &'a Shape, value: &'a Value) -> Vec<(String, &'a Shape, &'a Value)> {
    let numbered = || (0..).map(|i: usize| i.to_string());
    match (shape, value) {
        (
            Shape::Recursive { body: inner, .. }
            | Shape::Opaque {
                wire: Some(inner), ..
            },
            value,
        ) => fields(inner, value),
        (Shape::Unit | Shape::Newtype, _) => Vec::new(),
        (Shape::Struct(shapes), Value::Struct(values)) => {
            let fields = shapes.iter().zip(values);
            fields
                .map(|(field, (_, value))| (field.name.to_string(), &*field.shape, value))
                .collect()
        }
        (Shape::Tuple(shapes), Value::Tuple(values)) => {
            let fields = numbered().zip(shapes.iter()).zip(values);
            fields.map(|((at, shape), value)| (at, &**shape, value)).collect()
        }
        (Shape::Array(shape, _), Value::List(values)) => {
            let fields = numbered().zip(values);
            fields.map(|(at, value)| (at, &**shape, value)).collect()
        }
        (shape, whole) => vec![(String::new(), shape, whole)],
    }
}

/// A field inside of fields, found as in [`fields`].
pub(super) fn at<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    let Some((first, rest)) = path.split_first() else {
        return Some(value);
    };
    let field = match value {
        whole if first.is_empty() => Some(whole),
        Value::Struct(fields) => fields
            .iter_mut()
            .find(|(name, _)| **name == **first)
            .map(|(_, field)| field),
        Value::Tuple(items) | Value::List(items) => {
            first.parse().ok().and_then(|at: usize| items.get_mut(at))
        }
        _ => None,
    };
    at(field?, rest)
}

/// Replaces zeros with ones, because types that cannot be zero refuse them.
pub(super) fn avoid_zeros(value: &mut Value) {
    match value {
        Value::Unsigned(n @ 0) => *n = 1,
        Value::Signed(n @ 0) => *n = 1,
        Value::Option(Some(inner)) => avoid_zeros(inner),
        Value::List(items) | Value::Tuple(items) => items.iter_mut().for_each(avoid_zeros),
        Value::Map(entries) => {
            for (key, value) in entries.iter_mut() {
                avoid_zeros(key);
                avoid_zeros(value);
            }
            // Two keys may be one now, of which a map keeps one.
            let mut kept: Vec<Value> = Vec::with_capacity(entries.len());
            entries.retain(|(key, _)| {
                let key = unordered(key);
                let new = !kept.contains(&key);
                kept.push(key);
                new
            });
        }
        Value::Struct(fields) => fields.iter_mut().for_each(|(_, value)| avoid_zeros(value)),
        Value::Variant(_, contents) => avoid_zeros(contents),
        _ => {}
    }
}
