//! Reading an event without its type: as a [`Value`], from its bytes and a schema.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `schemas` | [`Schemas`]: what records of which type and version look like |
//! | `read` | a value from a format that does not describe itself, led by a shape |
//! | `place` | a shape, and what the names in it stand for |
//! | `budget` | what reading one value may cost, whatever the shape and the bytes claim |
//! | `any` | a value from a format that describes itself |
//! | `diff` | the parts in which two values differ |
//! | `unordered` | values whose sets and maps have no order, and where two differ |
//! | `print` | a value as text, and through serde |
//! | `explain` | `Record::to_value` and `Record::to_json` |

mod any;
mod budget;
mod diff;
mod explain;
mod place;
mod print;
mod read;
mod schemas;
mod unordered;

use std::sync::Arc;

pub use diff::Difference;
pub(super) use explain::value_as_stored;
#[cfg(feature = "testing")]
pub(super) use explain::value_of;
#[cfg(feature = "testing")]
pub(crate) use place::NoShape;
pub(crate) use place::Place;
pub use schemas::{EventSchema, Schemas};
pub(super) use unordered::first_difference;
#[cfg(feature = "testing")]
pub(crate) use unordered::unordered;

/// An event, or a part of one, that was read without its type.
///
/// It displays in the manner of Rust, and serializes as serde's derive would have the type: `serde_json` prints the
/// same text for it. [`Record::to_value`](crate::Record::to_value) makes it.
///
/// A format that describes itself says less than a schema does. From JSON, objects are maps with string keys, variants
/// are strings or maps, `null` is [`Value::Unit`], and whole numbers beyond 64 bits are floats.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// No value: `()`, or a struct without fields.
    Unit,
    /// A boolean.
    Bool(bool),
    /// An integer of an unsigned type.
    Unsigned(u128),
    /// An integer of a signed type.
    Signed(i128),
    /// A float of 32 bits.
    F32(f32),
    /// A float of 64 bits.
    F64(f64),
    /// A character.
    Char(char),
    /// A string.
    Str(String),
    /// Bytes that the type hands to serde as such; a `Vec<u8>` is a list.
    Bytes(Vec<u8>),
    /// A value or nothing.
    Option(Option<Box<Value>>),
    /// The elements of a sequence, set or array.
    List(Vec<Value>),
    /// The fields of a tuple.
    Tuple(Vec<Value>),
    /// The entries of a map, in the order in which they are stored.
    Map(Vec<(Value, Value)>),
    /// The fields of a struct, in the order of declaration.
    Struct(Vec<(Arc<str>, Value)>),
    /// A variant of an enum and its fields: [`Value::Unit`], a single one, [`Value::Newtype`], [`Value::Tuple`] or
    /// [`Value::Struct`].
    Variant(Arc<str>, Box<Value>),
    /// The single field of a variant, where that is [`Value::Unit`], as in `Ok(())`; any other stands there itself.
    Newtype(Box<Value>),
}

impl Value {
    /// The field of this name, of a struct or of a variant with named fields; also the value of a string key of a map.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Struct(fields) => fields
                .iter()
                .find(|(field, _)| **field == *name)
                .map(|(_, value)| value),
            Value::Map(entries) => entries
                .iter()
                .find(|(key, _)| matches!(key, Value::Str(key) if key == name))
                .map(|(_, value)| value),
            Value::Variant(_, contents) => contents.get(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let point = Value::Struct(vec![("x".into(), Value::Unsigned(1)), ("y".into(), Value::Unit)]);
        assert_eq!(point.get("x"), Some(&Value::Unsigned(1)));
        assert_eq!(point.get("z"), None);
        let variant = Value::Variant("At".into(), Box::new(point));
        assert_eq!(variant.get("y"), Some(&Value::Unit));
        let map = Value::Map(vec![
            (Value::Unsigned(1), Value::Unit),
            (Value::Str("k".into()), Value::Bool(true)),
        ]);
        assert_eq!(map.get("k"), Some(&Value::Bool(true)));
        assert_eq!(Value::Unit.get("x"), None);
    }
}
