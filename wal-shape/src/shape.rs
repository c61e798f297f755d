//! Shapes and their text; docs/format.md has its grammar. The text is canonical: equal shapes have equal texts, and what
//! `Display` writes `FromStr` reads back.

use std::fmt;

use crate::hash::{Fnv, is_plain};

/// The shape of a type, owned. See `wal_db::Schema` for what the parts mean.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // the names of the primitive types say it
pub enum Shape {
    Unit,
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    Char,
    Str,
    Bytes,
    Option(Box<Shape>),
    Seq(Box<Shape>),
    Array(Box<Shape>, usize),
    Map(Box<Shape>, Box<Shape>),
    Tuple(Vec<Shape>),
    Struct(Vec<ShapeField>),
    Enum(Vec<ShapeVariant>),
    /// The single field of a variant, where that is [`Shape::Unit`]; any other stands there itself.
    Newtype(Box<Shape>),
    Opaque {
        name: String,
        wire: Option<Box<Shape>>,
    },
    Recursive {
        name: String,
        body: Box<Shape>,
    },
    Ref(String),
}

/// A named field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShapeField {
    /// Its name in the record.
    pub name: String,
    /// Its type.
    pub shape: Shape,
}

/// A variant of an enum inside an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShapeVariant {
    /// Its name in the record.
    pub name: String,
    /// Its fields: [`Shape::Unit`], the type of a single one, [`Shape::Newtype`] of `()`, [`Shape::Tuple`] or
    /// [`Shape::Struct`].
    pub fields: Shape,
}

pub(crate) const WORDS: [(&str, Shape); 17] = [
    ("unit", Shape::Unit),
    ("bool", Shape::Bool),
    ("u8", Shape::U8),
    ("u16", Shape::U16),
    ("u32", Shape::U32),
    ("u64", Shape::U64),
    ("u128", Shape::U128),
    ("i8", Shape::I8),
    ("i16", Shape::I16),
    ("i32", Shape::I32),
    ("i64", Shape::I64),
    ("i128", Shape::I128),
    ("f32", Shape::F32),
    ("f64", Shape::F64),
    ("char", Shape::Char),
    ("str", Shape::Str),
    ("bytes", Shape::Bytes),
];

impl Shape {
    /// Whether it says of every part what that is written as.
    #[must_use]
    pub fn says_all(&self) -> bool {
        match self {
            Shape::Opaque { wire, .. } => wire.as_ref().is_some_and(|wire| wire.says_all()),
            Shape::Option(inner) | Shape::Seq(inner) | Shape::Array(inner, _) | Shape::Newtype(inner) => {
                inner.says_all()
            }
            Shape::Recursive { body, .. } => body.says_all(),
            Shape::Map(key, value) => key.says_all() && value.says_all(),
            Shape::Tuple(items) => items.iter().all(Shape::says_all),
            Shape::Struct(fields) => fields.iter().all(|field| field.shape.says_all()),
            Shape::Enum(variants) => variants.iter().all(|variant| variant.fields.says_all()),
            _ => true,
        }
    }

    /// The fingerprint: FNV-1a, 64 bits, over the text.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        Fnv::of(&self.to_string())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Option(inner) => write!(f, "option<{inner}>"),
            Shape::Seq(inner) => write!(f, "[{inner}]"),
            Shape::Array(inner, len) => write!(f, "[{inner}; {len}]"),
            Shape::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Shape::Tuple(items) => {
                f.write_str("(")?;
                list(f, items, |f, item| item.fmt(f))?;
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            Shape::Struct(fields) => {
                f.write_str("{")?;
                list(f, fields, |f, field| {
                    write!(f, "{}: {}", Name(&field.name), field.shape)
                })?;
                f.write_str("}")
            }
            Shape::Enum(variants) => {
                f.write_str("enum {")?;
                list(f, variants, |f, variant| {
                    write!(f, "{}", Name(&variant.name))?;
                    match &variant.fields {
                        Shape::Unit => Ok(()),
                        Shape::Newtype(single) => write!(f, "({single})"),
                        tuple @ Shape::Tuple(_) => tuple.fmt(f),
                        fields @ Shape::Struct(_) => write!(f, " {fields}"),
                        single => write!(f, "({single})"),
                    }
                })?;
                f.write_str("}")
            }
            Shape::Newtype(single) => single.fmt(f),
            Shape::Opaque { name, wire } => {
                write!(f, "opaque {}", Quoted(name))?;
                wire.iter().try_for_each(|wire| write!(f, " = {wire}"))
            }
            Shape::Recursive { name, body } => write!(f, "rec {} {body}", Name(name)),
            Shape::Ref(name) => write!(f, "@{}", Name(name)),
            word => {
                let found = WORDS.iter().find(|(_, shape)| shape == word);
                f.write_str(found.map_or("", |(text, _)| text))
            }
        }
    }
}

/// Writes items with commas between them.
pub fn list<T>(
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

struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) {
            f.write_str(self.0)
        } else {
            Quoted(self.0).fmt(f)
        }
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '\n' => f.write_str("\\n")?,
                '"' | '\\' => write!(f, "\\{c}")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}
