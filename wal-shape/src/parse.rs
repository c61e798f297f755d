//! Shapes from text, strictly: no text but the one that `Display` writes is read, apart from the names of types that
//! hold themselves, for which any name will do.

use std::fmt;
use std::str::FromStr;

use crate::part::Part;
use crate::shape::{Shape, ShapeField, ShapeItem, ShapeVariant, WORDS};
use crate::text::is_plain;

/// Why a text is no shape.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShapeError {
    /// Where in the text.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a shape: {} expected at byte {}", self.expected, self.at)
    }
}

impl std::error::Error for ShapeError {}

/// Shapes deeper than this are refused: the text may come from a damaged log.
const MAX_DEPTH: u32 = 128;

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        read(text, &|_| None)
    }
}

/// Reads a text in which `&` and a hash stand for what `lines` knows under that name.
pub(crate) fn read(text: &str, lines: &Lines<'_>) -> Result<Shape, ShapeError> {
    let mut reader = Reader { text, at: 0, lines };
    let shape = reader.shape(MAX_DEPTH)?;
    if reader.at == text.len() {
        Ok(shape)
    } else {
        Err(reader.expected("the end"))
    }
}

/// The shape under a name that begins with `&`.
pub(crate) type Lines<'a> = dyn Fn(&str) -> Option<Shape> + 'a;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lines: &'a Lines<'a>,
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
            return Ok(Shape::Option(inner.into()));
        }
        if self.has("[") {
            return self.seq(depth);
        }
        if self.has("map<") {
            let key = self.shape(depth)?;
            self.take(", ")?;
            let value = self.shape(depth)?;
            self.take(">")?;
            return Ok(Shape::Map(key.into(), value.into()));
        }
        if self.has("(") {
            let (items, closed_by_comma) = self.items(depth)?;
            return if items.len() == 1 && !closed_by_comma {
                Err(self.expected("a tuple"))
            } else {
                Ok(Shape::Tuple(items.into()))
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
                Some(self.shape(depth)?.into())
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
                body: self.shape(depth)?.into(),
            });
        }
        if self.has("@") {
            return Ok(Shape::Ref(self.name()?));
        }
        if self.rest().starts_with('&') {
            let end = self.rest()[1..].find(|c: char| !c.is_ascii_hexdigit());
            let name = &self.rest()[..end.map_or(self.rest().len(), |end| end + 1)];
            let len = name.len();
            let shape = (self.lines)(name).ok_or(self.expected("a shape"))?;
            self.at += len;
            return Ok(shape);
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
        let inner = self.shape(depth)?.into();
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
    fn items(&mut self, depth: u32) -> Result<(Vec<ShapeItem>, bool), ShapeError> {
        let mut items = Vec::new();
        if self.has(")") {
            return Ok((items, true));
        }
        loop {
            items.push(ShapeItem::of(self.shape(depth)?.into()));
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
            return Ok(Shape::Struct(fields.into()));
        }
        loop {
            let name = self.name()?;
            self.take(": ")?;
            fields.push(ShapeField::of(name, self.shape(depth)?.into()));
            if self.has("}") {
                return Ok(Shape::Struct(fields.into()));
            }
            self.take(", ")?;
        }
    }

    fn variants(&mut self, depth: u32) -> Result<Shape, ShapeError> {
        let mut variants = Vec::new();
        if self.has("}") {
            return Ok(Shape::Enum(variants.into()));
        }
        loop {
            let name = self.name()?;
            let fields = if self.has("(") {
                let (mut items, closed_by_comma) = self.items(depth)?;
                match items.pop() {
                    Some(single) if items.is_empty() && !closed_by_comma => match *single.shape {
                        Shape::Tuple(_) | Shape::Struct(_) => {
                            return Err(self.expected("the fields of a variant in their shortest form"));
                        }
                        Shape::Unit => Shape::Newtype.into(),
                        _ => single.shape,
                    },
                    last => {
                        items.extend(last);
                        Shape::Tuple(items.into()).into()
                    }
                }
            } else if self.has(" {") {
                self.fields(depth)?.into()
            } else {
                Shape::Unit.into()
            };
            variants.push(ShapeVariant::of(name, fields));
            if self.has("}") {
                return Ok(Shape::Enum(variants.into()));
            }
            self.take(", ")?;
        }
    }

    fn name(&mut self) -> Result<Part<str>, ShapeError> {
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
        Ok(name.into())
    }

    fn quoted(&mut self) -> Result<Part<str>, ShapeError> {
        self.take("\"")?;
        let mut name = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(name.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_read_is_written_as_it_was() {
        let texts = [
            "unit",
            "()",
            "{}",
            "enum {}",
            "((u8, u8),)",
            "(map<str, (u8, u8)>, [u8; 4], enum {A, B(u8, u8), C(unit), D {c: u8}, E(), F(u8,)})",
            r#"{"odd, \"name\"": opaque "a}, b\\", b: opaque "c" = [u8]}"#,
            "{\"two\\nlines\": option<f64>}",
            "rec 0 {next: option<@0>}",
        ];
        for text in texts {
            let shape: Shape = text.parse().expect(text);
            assert_eq!(shape.to_string(), text);
            assert!(shape.is_written(text), "{text}");
            assert!(
                !shape.is_written(&format!("{text} ")) && !shape.is_written(&text[1..]),
                "{text}"
            );
        }
    }

    #[test]
    fn any_other_text_is_refused() {
        let cases = [
            ("", "a shape expected at byte 0"),
            ("u9", "a shape expected at byte 0"),
            ("u8 ", "the end expected at byte 2"),
            ("(u8)", "a tuple expected at byte 4"),
            ("[u8; 04]", "a number expected at byte 5"),
            ("{a:u8}", ":  expected at byte 2"),
            ("{\"a\": u8}", "a plain name without quotes expected at byte 1"),
            ("opaque \"a\\t\"", "a name in quotes expected at byte 8"),
            (
                "enum {A((u8, u8))}",
                "the fields of a variant in their shortest form",
            ),
        ];
        for (text, problem) in cases {
            let error = text.parse::<Shape>().expect_err(text).to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
        let deep = |depth: usize| format!("{}u8{}", "[".repeat(depth), "]".repeat(depth));
        assert!(deep(127).parse::<Shape>().is_ok());
        assert!(deep(128).parse::<Shape>().is_err());
    }
}
