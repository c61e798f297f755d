//! Shapes and their text; docs/format.md has its grammar. The text is canonical: equal shapes have equal texts, and
//! what `Display` writes `FromStr` reads back.

use std::fmt::{self, Write};

use crate::part::Part;
use crate::print::Print;

/// The shape of a type, as serde hands it to a format that does not describe itself: a constant that describes a type
/// of the program, or what was read from text, in `wal.lock` and in a log.
///
/// In a constant, each reference to a part is a [`Part::Static`]. A shape with parts that is handed to a function there
/// is best a constant of its own: the compiler cannot know that it need not be dropped.
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
    /// A value or nothing.
    Option(Part<Shape>),
    /// Any number of elements; sets, too.
    Seq(Part<Shape>),
    /// A fixed number of elements.
    Array(Part<Shape>, usize),
    /// Keys and values.
    Map(Part<Shape>, Part<Shape>),
    /// Values of different types.
    Tuple(Part<[Part<Shape>]>),
    /// Named fields in their order.
    Struct(Part<[ShapeField]>),
    /// One of several variants, by position.
    Enum(Part<[ShapeVariant]>),
    /// The single field of a variant, where that is `()`, which is not the same as no field: serde writes `Ok(())` and
    /// a variant without fields in two ways where a format has names. Any other single field stands there itself.
    Newtype,
    /// A type that is known by name only; `wire` says what it is written as, if the user has said so.
    Opaque {
        name: Part<str>,
        wire: Option<Part<Shape>>,
    },
    /// A type that holds itself, where it begins.
    Recursive {
        name: Part<str>,
        body: Part<Shape>,
    },
    /// The same, inside it.
    Ref(Part<str>),
}

/// A named field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShapeField {
    /// Its name in the record.
    pub name: Part<str>,
    /// Its type.
    pub shape: Part<Shape>,
    pub(crate) print: Print,
}

/// A variant of an enum inside an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShapeVariant {
    /// Its name in the record.
    pub name: Part<str>,
    /// Its fields: [`Shape::Unit`], [`Shape::single`], [`Shape::Tuple`] or [`Shape::Struct`].
    pub fields: Part<Shape>,
    pub(crate) print: Print,
}

impl ShapeField {
    /// A field of a constant.
    #[must_use]
    pub const fn new(name: &'static str, shape: &'static Shape) -> Self {
        ShapeField {
            name: Part::Static(name),
            shape: Part::Static(shape),
            print: ShapeField::print_of(name, shape),
        }
    }

    /// A field of a shape that is put together while the program runs.
    #[must_use]
    pub fn of(name: Part<str>, shape: Part<Shape>) -> Self {
        let print = ShapeField::print_of(&name, &shape);
        ShapeField { name, shape, print }
    }
}

impl ShapeVariant {
    /// A variant of a constant.
    #[must_use]
    pub const fn new(name: &'static str, fields: &'static Shape) -> Self {
        ShapeVariant {
            name: Part::Static(name),
            fields: Part::Static(fields),
            print: ShapeVariant::print_of(name, fields),
        }
    }

    /// A variant of a shape that is put together while the program runs.
    #[must_use]
    pub fn of(name: Part<str>, fields: Part<Shape>) -> Self {
        let print = ShapeVariant::print_of(&name, &fields);
        ShapeVariant { name, fields, print }
    }
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
            Shape::Option(inner) | Shape::Seq(inner) | Shape::Array(inner, _) => inner.says_all(),
            Shape::Recursive { body, .. } => body.says_all(),
            Shape::Map(key, value) => key.says_all() && value.says_all(),
            Shape::Tuple(items) => items.iter().all(|item| item.says_all()),
            Shape::Struct(fields) => fields.iter().all(|field| field.shape.says_all()),
            Shape::Enum(variants) => variants.iter().all(|variant| variant.fields.says_all()),
            _ => true,
        }
    }

    /// What a variant with this single field has in the place of its fields.
    #[must_use]
    pub const fn single(field: &'static Shape) -> &'static Shape {
        match field {
            Shape::Unit => &Shape::Newtype,
            field => field,
        }
    }

    /// Whether this is its text, as it stands in a log. Allocates nothing.
    #[must_use]
    pub fn is_written(&self, text: &str) -> bool {
        let mut rest = Rest(text);
        write!(rest, "{self}").is_ok() && rest.0.is_empty()
    }
}

/// A text that is compared with what is written.
struct Rest<'a>(&'a str);

impl Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
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
                    match &*variant.fields {
                        Shape::Unit => Ok(()),
                        tuple @ Shape::Tuple(_) => tuple.fmt(f),
                        fields @ Shape::Struct(_) => write!(f, " {fields}"),
                        single => write!(f, "({single})"),
                    }
                })?;
                f.write_str("}")
            }
            Shape::Newtype => f.write_str("unit"),
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

/// Whether a name needs no quotes.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(plain)
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
