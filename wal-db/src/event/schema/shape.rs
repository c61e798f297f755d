//! Shapes as values and as text. The text is canonical: equal shapes have equal texts, and what `Display` writes
//! `FromStr` reads back.
//!
//! ```text
//! shape   := unit | bool | u8 .. u128 | i8 .. i128 | f32 | f64 | char | str | bytes
//!          | option<shape> | [shape] | [shape; N] | map<shape, shape>
//!          | (shape, shape) | (shape,) | ()
//!          | {name: shape, name: shape}
//!          | enum {Name, Name(shape), Name(shape, shape), Name {name: shape}}
//!          | opaque "name" | opaque "name" = shape
//!          | rec Name shape | @Name
//! ```
//!
//! A name that is not a plain word stands in quotes, in which `\`, `"` and a line feed are escaped.

use std::fmt;
use std::str::FromStr;

use super::{Fnv, is_plain};

/// The shape of a type, owned. See [`Schema`](super::Schema) for what the parts mean.
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

/// Why a text is no shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a shape: {expected} expected at byte {at}")]
#[non_exhaustive]
pub struct ShapeError {
    /// Where in the text.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// Shapes deeper than this are refused: the text may come from a damaged log.
const MAX_DEPTH: u32 = 128;

const WORDS: [(&str, Shape); 17] = [
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
    pub(crate) fn says_all(&self) -> bool {
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

    /// The fingerprint, as [`Schema::fingerprint`](super::Schema::fingerprint).
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
pub(crate) fn list<T>(
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

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        let mut reader = Reader { text, at: 0 };
        let shape = reader.shape(MAX_DEPTH)?;
        if reader.at == text.len() {
            Ok(shape)
        } else {
            Err(reader.expected("the end"))
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> ShapeError {
        ShapeError {
            at: self.at,
            expected,
        }
    }

    /// Takes the token if it is next.
    fn has(&mut self, token: &str) -> bool {
        let has = self.rest().starts_with(token);
        if has {
            self.at += token.len();
        }
        has
    }

    fn take(&mut self, token: &'static str) -> Result<(), ShapeError> {
        if self.has(token) {
            Ok(())
        } else {
            Err(self.expected(token))
        }
    }

    fn shape(&mut self, depth: u32) -> Result<Shape, ShapeError> {
        let depth = depth
            .checked_sub(1)
            .ok_or(self.expected("a shape that is less deep"))?;
        if self.has("option<") {
            let inner = self.shape(depth)?;
            self.take(">")?;
            return Ok(Shape::Option(Box::new(inner)));
        }
        if self.has("[") {
            return self.seq(depth);
        }
        if self.has("map<") {
            let key = self.shape(depth)?;
            self.take(", ")?;
            let value = self.shape(depth)?;
            self.take(">")?;
            return Ok(Shape::Map(Box::new(key), Box::new(value)));
        }
        if self.has("(") {
            let (items, closed_by_comma) = self.items(depth)?;
            return if items.len() == 1 && !closed_by_comma {
                Err(self.expected("a tuple"))
            } else {
                Ok(Shape::Tuple(items))
            };
        }
        if self.has("{") {
            return self.fields(depth);
        }
        if self.has("enum {") {
            return self.variants(depth);
        }
        if self.has("opaque ") {
            let name = self.quoted()?;
            let wire = if self.has(" = ") {
                Some(Box::new(self.shape(depth)?))
            } else {
                None
            };
            return Ok(Shape::Opaque { name, wire });
        }
        if self.has("rec ") {
            let name = self.name()?;
            self.take(" ")?;
            return Ok(Shape::Recursive {
                name,
                body: Box::new(self.shape(depth)?),
            });
        }
        if self.has("@") {
            return Ok(Shape::Ref(self.name()?));
        }
        self.word()
    }

    fn word(&mut self) -> Result<Shape, ShapeError> {
        let end = self
            .rest()
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(self.rest().len());
        let word = &self.rest()[..end];
        let Some((_, shape)) = WORDS.iter().find(|(text, _)| *text == word) else {
            return Err(self.expected("a shape"));
        };
        self.at += end;
        Ok(shape.clone())
    }

    fn seq(&mut self, depth: u32) -> Result<Shape, ShapeError> {
        let inner = Box::new(self.shape(depth)?);
        if self.has("]") {
            return Ok(Shape::Seq(inner));
        }
        self.take("; ")?;
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let number = &self.rest()[..digits];
        let canonical = number == "0" || !number.starts_with('0');
        let len = number
            .parse()
            .ok()
            .filter(|_| canonical)
            .ok_or(self.expected("a number"))?;
        self.at += digits;
        self.take("]")?;
        Ok(Shape::Array(inner, len))
    }

    /// What stands between the parentheses, and whether a comma ended it.
    fn items(&mut self, depth: u32) -> Result<(Vec<Shape>, bool), ShapeError> {
        let mut items = Vec::new();
        if self.has(")") {
            return Ok((items, true));
        }
        loop {
            items.push(self.shape(depth)?);
            if self.has(")") {
                return Ok((items, false));
            }
            if items.len() == 1 && self.has(",)") {
                return Ok((items, true));
            }
            self.take(", ")?;
        }
    }

    fn fields(&mut self, depth: u32) -> Result<Shape, ShapeError> {
        let mut fields = Vec::new();
        if self.has("}") {
            return Ok(Shape::Struct(fields));
        }
        loop {
            let name = self.name()?;
            self.take(": ")?;
            fields.push(ShapeField {
                name,
                shape: self.shape(depth)?,
            });
            if self.has("}") {
                return Ok(Shape::Struct(fields));
            }
            self.take(", ")?;
        }
    }

    fn variants(&mut self, depth: u32) -> Result<Shape, ShapeError> {
        let mut variants = Vec::new();
        if self.has("}") {
            return Ok(Shape::Enum(variants));
        }
        loop {
            let name = self.name()?;
            let fields = if self.has("(") {
                let (mut items, closed_by_comma) = self.items(depth)?;
                match items.pop() {
                    Some(single) if items.is_empty() && !closed_by_comma => match single {
                        Shape::Tuple(_) | Shape::Struct(_) => {
                            return Err(self.expected("the fields of a variant in their shortest form"));
                        }
                        Shape::Unit => Shape::Newtype(Box::new(single)),
                        single => single,
                    },
                    last => Shape::Tuple(items.into_iter().chain(last).collect()),
                }
            } else if self.has(" {") {
                self.fields(depth)?
            } else {
                Shape::Unit
            };
            variants.push(ShapeVariant { name, fields });
            if self.has("}") {
                return Ok(Shape::Enum(variants));
            }
            self.take(", ")?;
        }
    }

    fn name(&mut self) -> Result<String, ShapeError> {
        if self.rest().starts_with('"') {
            let start = self.at;
            let name = self.quoted()?;
            if is_plain(&name) {
                self.at = start;
                return Err(self.expected("a plain name without quotes"));
            }
            return Ok(name);
        }
        let end = self
            .rest()
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(self.rest().len());
        if end == 0 {
            return Err(self.expected("a name"));
        }
        let name = self.rest()[..end].to_owned();
        self.at += end;
        Ok(name)
    }

    fn quoted(&mut self) -> Result<String, ShapeError> {
        self.take("\"")?;
        let mut name = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(name);
                }
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => name.push('\n'),
                    Some((_, c @ ('"' | '\\'))) => name.push(c),
                    _ => break,
                },
                c => name.push(c),
            }
        }
        Err(self.expected("a name in quotes"))
    }
}
