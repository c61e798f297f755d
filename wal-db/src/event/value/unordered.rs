//! Values whose sets and maps have no order, and where two of them differ.

use super::Value;

/// Lists sorted and without repetitions, maps sorted: a set is a list, too, and what it holds has no order.
pub(crate) fn unordered(value: &Value) -> Value {
    let all = |items: &[Value]| items.iter().map(unordered).collect::<Vec<_>>();
    match value {
        Value::Option(Some(inner)) => Value::Option(Some(Box::new(unordered(inner)))),
        Value::Newtype(inner) => Value::Newtype(Box::new(unordered(inner))),
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

/// The way to the first part in which two values differ, and the part in both; `None` if they are the same but for the
/// order in sets and maps. A float that is no number is the same as another one.
pub(in crate::event) fn first_difference(a: &Value, b: &Value) -> Option<(Vec<String>, Value, Value)> {
    let mut path = Vec::new();
    let (a, b) = differing(&unordered(a), &unordered(b), &mut path)?;
    Some((path, a, b))
}

fn differing(a: &Value, b: &Value, path: &mut Vec<String>) -> Option<(Value, Value)> {
    let parts: Vec<(String, &Value, &Value)> = match (a, b) {
        (Value::Option(Some(a)), Value::Option(Some(b))) | (Value::Newtype(a), Value::Newtype(b)) => {
            return differing(a, b, path);
        }
        (Value::Variant(name, a), Value::Variant(other, b)) if name == other => return differing(a, b, path),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) if a.len() == b.len() => {
            let parts = a.iter().zip(b).enumerate();
            parts.map(|(at, (a, b))| (at.to_string(), a, b)).collect()
        }
        (Value::Struct(a), Value::Struct(b)) if a.len() == b.len() => {
            let parts = a.iter().zip(b);
            parts
                .map(|((name, a), (_, b))| (name.to_string(), a, b))
                .collect()
        }
        (Value::Map(entries), Value::Map(others)) if keys(entries) == keys(others) => {
            let parts = entries.iter().zip(others);
            parts.map(|((key, a), (_, b))| (named(key), a, b)).collect()
        }
        (a, b) => {
            return (!same(a, b)).then(|| (a.clone(), b.clone()));
        }
    };
    for (name, a, b) in parts {
        path.push(name);
        if let Some(found) = differing(a, b, path) {
            return Some(found);
        }
        path.pop();
    }
    None
}

/// A float that is no number is the same as another one: `Display` knows one, and `==` none.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    a == b || a.to_string() == b.to_string()
}

fn keys(entries: &[(Value, Value)]) -> Vec<String> {
    entries.iter().map(|(key, _)| key.to_string()).collect()
}

pub(super) fn named(key: &Value) -> String {
    match key {
        Value::Str(name) => name.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[f64]) -> Value {
        Value::List(items.iter().map(|item| Value::F64(*item)).collect())
    }

    #[test]
    fn order_and_not_a_number_are_no_difference() {
        let map = |items: &[f64]| Value::Map(vec![(Value::Str("k".into()), list(items))]);
        assert_eq!(
            first_difference(&map(&[1.0, f64::NAN]), &map(&[f64::NAN, 1.0])),
            None
        );
        let found = first_difference(&map(&[1.0]), &map(&[2.0]));
        assert_eq!(
            found,
            Some((vec!["k".into(), "0".into()], Value::F64(1.0), Value::F64(2.0)))
        );
        let found = first_difference(&list(&[1.0]), &list(&[]));
        assert_eq!(found, Some((Vec::new(), list(&[1.0]), list(&[]))));
    }

    #[test]
    fn what_differs_in_a_variant_is_named_and_other_variants_differ_as_a_whole() {
        let variant = |name: &str, item| Value::Variant(name.into(), Box::new(list(&[item])));
        let (one, two, other) = (variant("a", 1.0), variant("a", 2.0), variant("b", 1.0));
        let found = first_difference(&one, &two);
        assert_eq!(found, Some((vec!["0".into()], Value::F64(1.0), Value::F64(2.0))));
        assert_eq!(
            first_difference(&one, &other),
            Some((Vec::new(), one.clone(), other))
        );
    }
}
