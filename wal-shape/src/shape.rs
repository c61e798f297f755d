//! Shapes and their text; docs/format.md has its grammar. The text is canonical: equal shapes have equal texts, and
//! what `Display` writes `FromStr` reads back.

use std::fmt;

use crate::hash::{Fnv, is_plain};
use crate::part::Part;

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
}

/// A variant of an enum inside an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShapeVariant {
    /// Its name in the record.
    pub name: Part<str>,
    /// Its fields: [`Shape::Unit`], [`Shape::single`], [`Shape::Tuple`] or [`Shape::Struct`].
    pub fields: Part<Shape>,
}

impl ShapeField {
    /// A field of a constant.
    #[must_use]
    pub const fn new(name: &'static str, shape: &'static Shape) -> Self {
        ShapeField {
            name: Part::Static(name),
            shape: Part::Static(shape),
        }
    }
}

impl ShapeVariant {
    /// A variant of a constant.
    #[must_use]
    pub const fn new(name: &'static str, fields: &'static Shape) -> Self {
        ShapeVariant {
            name: Part::Static(name),
            fields: Part::Static(fields),
        }
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

    /// The fingerprint of the shape: FNV-1a, 64 bits, over its canonical text.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.hash(Fnv::new()).finish()
    }

    /// The same together with the name of what has the shape.
    #[must_use]
    pub const fn fingerprint_of(&self, name: &str) -> u64 {
        self.hash(Fnv::new().text(name).byte(0)).finish()
    }

    /// Feeds the text to the hash, piece by piece; `Display` writes the same.
    const fn hash(&self, fnv: Fnv) -> Fnv {
        match self {
            Shape::Unit | Shape::Newtype => fnv.text("unit"),
            Shape::Bool => fnv.text("bool"),
            Shape::U8 => fnv.text("u8"),
            Shape::U16 => fnv.text("u16"),
            Shape::U32 => fnv.text("u32"),
            Shape::U64 => fnv.text("u64"),
            Shape::U128 => fnv.text("u128"),
            Shape::I8 => fnv.text("i8"),
            Shape::I16 => fnv.text("i16"),
            Shape::I32 => fnv.text("i32"),
            Shape::I64 => fnv.text("i64"),
            Shape::I128 => fnv.text("i128"),
            Shape::F32 => fnv.text("f32"),
            Shape::F64 => fnv.text("f64"),
            Shape::Char => fnv.text("char"),
            Shape::Str => fnv.text("str"),
            Shape::Bytes => fnv.text("bytes"),
            Shape::Option(inner) => inner.get().hash(fnv.text("option<")).text(">"),
            Shape::Seq(inner) => inner.get().hash(fnv.text("[")).text("]"),
            Shape::Array(inner, len) => {
                let fnv = inner.get().hash(fnv.text("[")).text("; ");
                fnv.number(*len).text("]")
            }
            Shape::Map(key, value) => {
                let fnv = key.get().hash(fnv.text("map<")).text(", ");
                value.get().hash(fnv).text(">")
            }
            Shape::Tuple(items) => Shape::hash_tuple(items.get(), fnv),
            Shape::Struct(fields) => Shape::hash_struct(fields.get(), fnv),
            Shape::Enum(variants) => Shape::hash_enum(variants.get(), fnv),
            Shape::Opaque { name, wire } => {
                let fnv = fnv.text("opaque ").quoted(name.get());
                match wire {
                    Some(wire) => wire.get().hash(fnv.text(" = ")),
                    None => fnv,
                }
            }
            Shape::Recursive { name, body } => body.get().hash(fnv.text("rec ").name(name.get()).text(" ")),
            Shape::Ref(name) => fnv.text("@").name(name.get()),
        }
    }

    const fn hash_tuple(items: &[Part<Shape>], mut fnv: Fnv) -> Fnv {
        fnv = fnv.text("(");
        let mut i = 0;
        while i < items.len() {
            if i > 0 {
                fnv = fnv.text(", ");
            }
            fnv = items[i].get().hash(fnv);
            i += 1;
        }
        fnv.text(if items.len() == 1 { ",)" } else { ")" })
    }

    const fn hash_struct(fields: &[ShapeField], mut fnv: Fnv) -> Fnv {
        fnv = fnv.text("{");
        let mut i = 0;
        while i < fields.len() {
            if i > 0 {
                fnv = fnv.text(", ");
            }
            fnv = fnv.name(fields[i].name.get()).text(": ");
            fnv = fields[i].shape.get().hash(fnv);
            i += 1;
        }
        fnv.text("}")
    }

    const fn hash_enum(variants: &[ShapeVariant], mut fnv: Fnv) -> Fnv {
        fnv = fnv.text("enum {");
        let mut i = 0;
        while i < variants.len() {
            if i > 0 {
                fnv = fnv.text(", ");
            }
            fnv = fnv.name(variants[i].name.get());
            fnv = variants[i].fields.get().hash_fields(fnv);
            i += 1;
        }
        fnv.text("}")
    }

    /// The fields of a variant in their shortest form.
    const fn hash_fields(&self, fnv: Fnv) -> Fnv {
        match self {
            Shape::Unit => fnv,
            Shape::Tuple(items) => Shape::hash_tuple(items.get(), fnv),
            Shape::Struct(fields) => Shape::hash_struct(fields.get(), fnv.text(" ")),
            single => single.hash(fnv.text("(")).text(")"),
        }
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
