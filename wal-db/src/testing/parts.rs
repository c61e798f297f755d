//! The parts of a value: how the checks name, compare and change them.

use crate::{Shape, Value};

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
        (Shape::Unit | Shape::Newtype(_), _) => Vec::new(),
        (Shape::Struct(shapes), Value::Struct(values)) => {
            let fields = shapes.iter().zip(values);
            fields
                .map(|(field, (_, value))| (field.name.clone(), &field.shape, value))
                .collect()
        }
        (Shape::Tuple(shapes), Value::Tuple(values)) => {
            let fields = numbered().zip(shapes).zip(values);
            fields.map(|((at, shape), value)| (at, shape, value)).collect()
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

/// Lists sorted and without repetitions, maps sorted: a set is a list, too, and what it holds has no order.
pub(super) fn unordered(value: &Value) -> Value {
    let all = |items: &[Value]| items.iter().map(unordered).collect::<Vec<_>>();
    match value {
        Value::Option(Some(inner)) => Value::Option(Some(Box::new(unordered(inner)))),
        Value::List(items) => {
            let mut items = all(items);
            items.sort_by_cached_key(ToString::to_string);
            items.dedup();
            Value::List(items)
        }
        Value::Map(entries) => {
            let entries = entries.iter();
            let mut entries: Vec<_> = entries
                .map(|(key, value)| (unordered(key), unordered(value)))
                .collect();
            entries.sort_by_cached_key(|(key, _)| key.to_string());
            Value::Map(entries)
        }
        Value::Tuple(items) => Value::Tuple(all(items)),
        Value::Struct(fields) => {
            let fields = fields.iter();
            Value::Struct(
                fields
                    .map(|(name, value)| (name.clone(), unordered(value)))
                    .collect(),
            )
        }
        Value::Variant(name, contents) => Value::Variant(name.clone(), Box::new(unordered(contents))),
        plain => plain.clone(),
    }
}

/// Puts ones in place of zeros, which the types that cannot be zero refuse.
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
