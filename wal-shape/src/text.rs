//! The text of shapes; docs/format.md has its grammar. It is canonical: equal shapes have equal texts, and what `Display`
//! writes `FromStr` reads back.

use std::cell::RefCell;
use std::fmt::{self, Display, Write};
use std::hash::{Hash, Hasher};

use crate::print::fnv;
use crate::shape::{Shape, ShapeField, ShapeItem, WORDS};

impl Shape {
    /// Whether this is its text today. Allocates nothing.
    pub(crate) fn is_written(&self, text: &str) -> bool {
        let mut rest = Rest(text);
        write!(rest, "{self}").is_ok() && rest.0.is_empty()
    }

    /// Whether this is its text, as it stands in a log. Releases before wrote the names of types that hold themselves.
    #[must_use]
    pub fn is_text(&self, text: &str) -> bool {
        self.is_written(text) || text.parse().is_ok_and(|shape: Shape| shape == *self)
    }

    /// The shape as its text says it: nothing is looked up later, and types that hold themselves are named by their
    /// places.
    #[must_use]
    pub fn told(&self) -> Self {
        self.to_string().parse().unwrap_or_else(|_| self.clone())
    }

    /// Its text in `wal.lock`. Larger types inside it have lines of their own there, which `lines` takes unless it has
    /// them.
    pub(crate) fn in_lines(&self, lines: &RefCell<Vec<String>>) -> String {
        let shown = Shown {
            lines: Some(lines),
            ..Shown::whole(self)
        };
        shown.to_string()
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

impl Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown::whole(self).fmt(f)
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        let may_be = self.is_open() || other.is_open() || self.fingerprint() == other.fingerprint();
        may_be && self.to_string() == other.to_string()
    }
}

impl Eq for Shape {}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_string().hash(state);
    }
}

/// A type inside another with a longer text than this has a line of its own in `wal.lock`.
const LONG: usize = 64;

/// The name of a line for a type: the hash of its text there.
pub(crate) fn line_name(text: &str) -> String {
    format!("&{:016x}", fnv(text))
}

/// The types around a part that hold themselves, the innermost first.
#[derive(Clone, Copy)]
struct Scope<'a> {
    name: &'a str,
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// How many are around it.
    fn level(&self) -> usize {
        std::iter::successors(self.outer, |scope| scope.outer).count()
    }

    /// The innermost with this name.
    fn find(innermost: Option<&'a Self>, name: &str) -> Option<&'a Self> {
        std::iter::successors(innermost, |scope| scope.outer).find(|scope| scope.name == name)
    }
}

/// A shape in its place.
#[derive(Clone, Copy)]
struct Shown<'a> {
    shape: &'a Shape,
    scope: Option<&'a Scope<'a>>,
    /// The lines for types inside it, if it is to be written with such lines.
    lines: Option<&'a RefCell<Vec<String>>>,
    /// Whether it has no line of its own in any case.
    is_whole: bool,
}

impl<'a> Shown<'a> {
    fn whole(shape: &'a Shape) -> Self {
        Shown {
            shape,
            scope: None,
            lines: None,
            is_whole: true,
        }
    }

    fn part(self, shape: &'a Shape) -> Self {
        Shown {
            shape,
            is_whole: false,
            ..self
        }
    }

    /// Without the names of types that would hold themselves and do not.
    fn stripped(self) -> Self {
        match self.shape {
            Shape::Recursive { name, body } if !body.is_named_in(name) => {
                Shown { shape: body, ..self }.stripped()
            }
            Shape::Later { name, shape } if !leads_to(shape(), name()) => Shown {
                shape: shape(),
                ..self
            }
            .stripped(),
            _ => self,
        }
    }

    /// The name of the line that it has of its own, if it has one.
    fn line(self) -> Option<String> {
        let lines = self.lines.filter(|_| !self.is_whole)?;
        let has_parts = matches!(
            self.shape,
            Shape::Struct(_) | Shape::Enum(_) | Shape::Recursive { .. }
        );
        if !has_parts || !self.shape.is_closed() {
            return None;
        }
        let text = self.shape.in_lines(lines);
        if text.len() <= LONG {
            return None;
        }
        let name = line_name(&text);
        let line = format!("{name} {text}");
        let mut lines = lines.borrow_mut();
        if !lines.contains(&line) {
            lines.push(line);
        }
        Some(name)
    }

    fn fields(self, f: &mut fmt::Formatter<'_>, fields: &[ShapeField]) -> fmt::Result {
        f.write_str("{")?;
        list(f, fields, |f, field| {
            write!(f, "{}: {}", Name(&field.name), self.part(&field.shape))
        })?;
        f.write_str("}")
    }

    fn items(self, f: &mut fmt::Formatter<'_>, items: &[ShapeItem]) -> fmt::Result {
        f.write_str("(")?;
        list(f, items, |f, item| self.part(&item.shape).fmt(f))?;
        f.write_str(if items.len() == 1 { ",)" } else { ")" })
    }

    /// What comes after the name of a variant.
    fn of_variant(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stripped = self.stripped();
        match stripped.shape {
            Shape::Unit => Ok(()),
            Shape::Tuple(items) => stripped.items(f, items),
            Shape::Struct(fields) => {
                f.write_str(" ")?;
                stripped.fields(f, fields)
            }
            _ => write!(f, "({stripped})"),
        }
    }

    fn recursive(self, f: &mut fmt::Formatter<'_>, name: &str, body: &Shape) -> fmt::Result {
        let inside = Scope {
            name,
            outer: self.scope,
        };
        write!(f, "rec {} ", inside.level())?;
        let body = Shown {
            scope: Some(&inside),
            ..self.part(body)
        };
        body.fmt(f)
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.stripped();
        if let Some(name) = shown.line() {
            return f.write_str(&name);
        }
        match shown.shape {
            Shape::Option(inner) => write!(f, "option<{}>", shown.part(inner)),
            Shape::Seq(inner) => write!(f, "[{}]", shown.part(inner)),
            Shape::Array(inner, len) => write!(f, "[{}; {len}]", shown.part(inner)),
            Shape::Map(key, value) => write!(f, "map<{}, {}>", shown.part(key), shown.part(value)),
            Shape::Tuple(items) => shown.items(f, items),
            Shape::Struct(fields) => shown.fields(f, fields),
            Shape::Enum(variants) => {
                f.write_str("enum {")?;
                list(f, variants, |f, variant| {
                    Name(&variant.name).fmt(f)?;
                    shown.part(&variant.fields).of_variant(f)
                })?;
                f.write_str("}")
            }
            Shape::Newtype => f.write_str("unit"),
            Shape::Opaque { name, wire } => {
                write!(f, "opaque {}", Quoted(name))?;
                wire.iter()
                    .try_for_each(|wire| write!(f, " = {}", shown.part(wire)))
            }
            Shape::Recursive { name, body } => shown.recursive(f, name, body),
            Shape::Later { name, shape } => match Scope::find(shown.scope, name()) {
                Some(around) => write!(f, "@{}", around.level()),
                None => shown.recursive(f, name(), shape()),
            },
            Shape::Ref(name) => match Scope::find(shown.scope, name) {
                Some(around) => write!(f, "@{}", around.level()),
                None => write!(f, "@{}", Name(name)),
            },
            word => {
                let is_it = |(_, shape): &&(&str, Shape)| {
                    std::mem::discriminant(shape) == std::mem::discriminant(word)
                };
                f.write_str(WORDS.iter().find(is_it).map_or("", |(text, _)| text))
            }
        }
    }
}

/// Whether a type that is looked up is met again in it.
fn leads_to(shape: &Shape, name: &str) -> bool {
    let is_other = |part: &Shape| !matches!(part, Shape::Later { name: other, .. } if other() == name);
    !shape.all(&is_other, &mut Vec::new())
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

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) {
            f.write_str(self.0)
        } else {
            Quoted(self.0).fmt(f)
        }
    }
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        text.parse().expect(text)
    }

    /// Releases before wrote the name of the type. Such a text is the same shape.
    #[test]
    fn types_that_hold_themselves_are_named_by_their_place() {
        let cases = [
            ("rec Node {next: option<@Node>}", "rec 0 {next: option<@0>}"),
            ("(rec A [@A], rec B [@B])", "(rec 0 [@0], rec 0 [@0])"),
            ("rec A (rec B (@A, [@B]), @A)", "rec 0 (rec 1 (@0, [@1]), @0)"),
            ("rec A (rec A [@A], @A)", "rec 0 (rec 1 [@1], @0)"),
            ("rec A {id: u64}", "{id: u64}"),
            ("rec A [rec B {a: @A}]", "rec 0 [{a: @0}]"),
            ("rec A rec B [@B]", "rec 0 [@0]"),
            ("enum {V(rec A option<@A>)}", "enum {V(rec 0 option<@0>)}"),
        ];
        for (old, new) in cases {
            assert_eq!(shape(old).to_string(), new);
            assert_eq!(shape(new).to_string(), new);
            assert_eq!(shape(old), shape(new), "{old}");
            assert!(shape(new).is_text(old) && shape(old).is_text(new), "{old}");
        }
        assert_ne!(shape("rec A [rec B (@A, @B)]"), shape("rec A [rec B (@B, @A)]"));
    }
}
