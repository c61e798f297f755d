//! A value as text in the manner of Rust, and as serde's derive would hand the type to a format.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Value;
use crate::event::schema::list;

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unit => f.write_str("()"),
            Value::Bool(value) => value.fmt(f),
            Value::Unsigned(value) => value.fmt(f),
            Value::Signed(value) => value.fmt(f),
            Value::F32(value) => fmt::Debug::fmt(value, f),
            Value::F64(value) => fmt::Debug::fmt(value, f),
            Value::Char(value) => fmt::Debug::fmt(value, f),
            Value::Str(value) => fmt::Debug::fmt(value, f),
            Value::Bytes(value) => write!(f, "b\"{}\"", value.escape_ascii()),
            Value::Option(None) => f.write_str("None"),
            Value::Option(Some(value)) => write!(f, "Some({value})"),
            Value::List(items) => {
                f.write_str("[")?;
                list(f, items, |f, item| write!(f, "{item}"))?;
                f.write_str("]")
            }
            Value::Tuple(items) => {
                f.write_str("(")?;
                list(f, items, |f, item| write!(f, "{item}"))?;
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            Value::Map(entries) => {
                f.write_str("{")?;
                list(f, entries, |f, (key, value)| write!(f, "{key}: {value}"))?;
                f.write_str("}")
            }
            Value::Struct(fields) => {
                f.write_str("{")?;
                list(f, fields, |f, (name, value)| write!(f, "{name}: {value}"))?;
                f.write_str("}")
            }
            Value::Variant(name, contents) => variant(f, name, contents),
            Value::Newtype(single) => single.fmt(f),
        }
    }
}

fn variant(f: &mut fmt::Formatter<'_>, name: &Arc<str>, contents: &Value) -> fmt::Result {
    f.write_str(name)?;
    match contents {
        Value::Unit => Ok(()),
        Value::Newtype(single) => write!(f, "({single})"),
        Value::Struct(_) => write!(f, " {contents}"),
        Value::Tuple(items) => {
            f.write_str("(")?;
            list(f, items, |f, item| write!(f, "{item}"))?;
            f.write_str(")")
        }
        single => write!(f, "({single})"),
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Handed {
            value: self,
            to_json: false,
        }
        .serialize(serializer)
    }
}

/// The value for JSON, where a map with keys that JSON does not have is a list of pairs.
#[cfg(feature = "json")]
pub(super) fn for_json(value: &Value) -> impl Serialize {
    Handed { value, to_json: true }
}

#[derive(Clone, Copy)]
struct Handed<'a> {
    value: &'a Value,
    to_json: bool,
}

impl<'a> Handed<'a> {
    fn part(self, value: &'a Value) -> Self {
        Handed { value, ..self }
    }

    fn map<S: Serializer>(self, entries: &'a [(Value, Value)], serializer: S) -> Result<S::Ok, S::Error> {
        let entries_of = || {
            entries
                .iter()
                .map(|(key, value)| (self.part(key), self.part(value)))
        };
        let has_odd_keys = || !entries.iter().all(|(key, _)| is_json_key(key));
        if self.to_json && has_odd_keys() {
            serializer.collect_seq(entries_of())
        } else {
            serializer.collect_map(entries_of())
        }
    }
}

/// Whether `serde_json` makes it the name of an entry.
fn is_json_key(key: &Value) -> bool {
    match key {
        Value::Str(_) | Value::Char(_) | Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) => true,
        Value::F32(value) => value.is_finite(),
        Value::F64(value) => value.is_finite(),
        Value::Option(Some(inner)) | Value::Newtype(inner) => is_json_key(inner),
        Value::Variant(_, contents) => **contents == Value::Unit,
        _ => false,
    }
}

impl Serialize for Handed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Unit => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Unsigned(value) => match u64::try_from(*value) {
                Ok(value) => serializer.serialize_u64(value),
                Err(_) => serializer.serialize_u128(*value),
            },
            Value::Signed(value) => match i64::try_from(*value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) => serializer.serialize_i128(*value),
            },
            Value::F32(value) => serializer.serialize_f32(*value),
            Value::F64(value) => serializer.serialize_f64(*value),
            Value::Char(value) => serializer.serialize_char(*value),
            Value::Str(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.serialize_bytes(value),
            Value::Option(None) => serializer.serialize_none(),
            Value::Option(Some(value)) => serializer.serialize_some(&self.part(value)),
            Value::List(items) | Value::Tuple(items) => {
                serializer.collect_seq(items.iter().map(|item| self.part(item)))
            }
            Value::Map(entries) => self.map(entries, serializer),
            Value::Struct(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (&**name, self.part(value))))
            }
            // As serde tags a variant where a format has no variants of its own; names here are not static.
            Value::Variant(name, contents) if **contents == Value::Unit => serializer.serialize_str(name),
            Value::Variant(name, contents) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(&**name, &self.part(contents))?;
                map.end()
            }
            Value::Newtype(single) => self.part(single).serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_display_in_the_manner_of_rust() {
        let one = || Value::Unsigned(1);
        let variant = |contents| Value::Variant("V".into(), Box::new(contents));
        let cases = [
            (Value::Unit, "()"),
            (Value::Signed(-1), "-1"),
            (Value::F64(1.0), "1.0"),
            (Value::Str("a\"".into()), r#""a\"""#),
            (Value::Bytes(vec![b'a', 0]), r#"b"a\x00""#),
            (Value::Option(Some(Box::new(Value::Option(None)))), "Some(None)"),
            (Value::List(vec![one(), one()]), "[1, 1]"),
            (Value::Tuple(vec![one()]), "(1,)"),
            (Value::Map(vec![(Value::Char('c'), one())]), "{'c': 1}"),
            (Value::Struct(vec![("a".into(), one())]), "{a: 1}"),
            (variant(Value::Unit), "V"),
            (variant(Value::Newtype(Box::new(Value::Unit))), "V(())"),
            (variant(one()), "V(1)"),
            (variant(Value::Tuple(vec![one(), one()])), "V(1, 1)"),
            (variant(Value::Struct(vec![("a".into(), one())])), "V {a: 1}"),
        ];
        for (value, text) in cases {
            assert_eq!(value.to_string(), text);
        }
    }
}
