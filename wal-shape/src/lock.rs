//! The lines of `wal.lock`, the file with the shape of every released version.
//!
//! ```text
//! # a comment
//! bank.opened 1 {id: u64}
//! bank.opened 2 {id: u64, currency: str}
//! order 1 id=7 (u64, str)
//! ```

use std::fmt;
use std::str::FromStr;

use crate::name::{name_problem, type_id};
use crate::parse::ShapeError;
use crate::shape::Shape;

/// A released version, as a line of `wal.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockLine {
    /// Where it stands in the file, from 1; 0 if it is in none yet.
    pub number: usize,
    /// The full name of the event type.
    pub name: String,
    /// The version, from 1.
    pub version: u16,
    /// The type id, if it was chosen and is not the hash of the name.
    pub id: Option<u32>,
    /// What records of it look like.
    pub shape: Shape,
}

/// A line that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: usize,
    /// The name at its start, if it is one.
    pub name: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

impl LockLine {
    /// A new line, for records that are stored under `type_id`.
    #[must_use]
    pub fn new(name: &str, version: u16, type_id: u32, shape: Shape) -> Self {
        LockLine {
            number: 0,
            name: name.to_owned(),
            version,
            id: (type_id != self::type_id(name)).then_some(type_id),
            shape,
        }
    }

    /// Reads all lines of a file but comments and blank ones.
    pub fn all(text: &str) -> impl Iterator<Item = Result<Self, BadLine>> {
        let lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
        let lines = lines.filter(|(_, text)| !text.trim().is_empty() && !text.starts_with('#'));
        lines.map(|(number, text)| {
            LockLine::parse(number, text).map_err(|problem| {
                let name = text.split(' ').next();
                BadLine {
                    number,
                    name: name
                        .filter(|name| name_problem(name).is_none())
                        .map(str::to_owned),
                    problem,
                }
            })
        })
    }

    fn parse(number: usize, text: &str) -> Result<Self, String> {
        let mut words = text.splitn(3, ' ');
        let name = words.next().unwrap_or_default();
        if let Some(problem) = name_problem(name) {
            return Err(problem);
        }
        let version = words
            .next()
            .and_then(decimal::<u16>)
            .filter(|&version| version > 0)
            .ok_or("a version from 1 to 65535 comes after the name")?;
        let mut shape = words.next().ok_or("a shape comes after the version")?;
        let mut id = None;
        if let Some(rest) = shape.strip_prefix("id=") {
            let (number, rest) = rest.split_once(' ').ok_or("a shape comes after the id")?;
            id = Some(decimal::<u32>(number).ok_or("an id is a number from 0 to 4294967295")?);
            shape = rest;
        }
        Ok(LockLine {
            number,
            name: name.to_owned(),
            version,
            id,
            shape: shape.parse().map_err(|ShapeError { at, expected }| {
                format!("`{shape}` is no shape: {expected} expected at byte {at}")
            })?,
        })
    }

    /// The id under which records of it are stored.
    #[must_use]
    pub fn type_id(&self) -> u32 {
        self.id.unwrap_or_else(|| type_id(&self.name))
    }
}

/// As it stands in the file.
impl fmt::Display for LockLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.name, self.version)?;
        self.id.iter().try_for_each(|id| write!(f, "id={id} "))?;
        self.shape.fmt(f)
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`wal.lock` line {}: {}", self.number, self.problem)
    }
}

impl std::error::Error for BadLine {}

/// Digits only: `parse` also takes a sign.
fn decimal<N: FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_as_they_are_read() {
        let text = "bank.opened 2 {id: u64, currency: str}\nbank.closed 1 id=7 u64";
        let file = format!("# released\n\n{text}\n");
        let lines: Vec<_> = LockLine::all(&file).map(|line| line.expect("a line")).collect();
        let written: Vec<_> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(written.join("\n"), text);
        assert_eq!((lines[0].number, lines[0].version, lines[0].id), (3, 2, None));
        assert_eq!((lines[1].number, lines[1].type_id()), (4, 7));
        assert_eq!(lines[0].type_id(), type_id("bank.opened"));
        for line in lines {
            let LockLine { name, version, .. } = &line;
            let new = LockLine::new(name, *version, line.type_id(), line.shape.clone());
            assert_eq!(new.to_string(), line.to_string());
        }
    }

    /// Windows' editors begin a file with a mark, and end lines in two characters.
    #[test]
    fn marks_of_editors_are_no_part_of_a_line() {
        let lines = LockLine::all("\u{feff}bank 1 u8\r\nbank 2 u16\r\n");
        let lines: Vec<_> = lines.map(|line| line.expect("a line").to_string()).collect();
        assert_eq!(lines, ["bank 1 u8", "bank 2 u16"]);
    }

    #[test]
    fn other_lines_are_refused_with_their_number() {
        let cases = [
            ("Bank 1 u8", "'B'"),
            ("bank", "a version"),
            ("bank 0 u8", "a version"),
            ("bank +1 u8", "a version"),
            ("bank 01 u8", "a version"),
            ("bank 65536 u8", "a version"),
            ("bank 1", "a shape comes after the version"),
            ("bank 1 id=7", "a shape comes after the id"),
            ("bank 1 id=x u8", "an id"),
            ("bank 1 id=-7 u8", "an id"),
            (
                "bank 1 {a: u9}",
                "`{a: u9}` is no shape: a shape expected at byte 4",
            ),
            ("bank 1 {a: u8", "is no shape"),
            ("bank 1 {a: u8}}", "is no shape"),
            ("bank 1 {a u8}", "is no shape"),
            ("bank 1 {a: u8, }", "is no shape"),
            ("bank 1 (u8, [u8)]", "is no shape"),
            ("bank 1 u8, u8", "is no shape"),
            ("bank 1 opaque \"a", "is no shape"),
            ("bank 1 ", "is no shape"),
        ];
        for (text, problem) in cases {
            let file = format!("# one\n{text}");
            let mut lines = LockLine::all(&file);
            let bad = lines.next().expect("a line").expect_err(text);
            let bad_text = bad.to_string();
            assert!(bad_text.starts_with("`wal.lock` line 2: "), "{bad_text}");
            assert!(bad_text.contains(problem), "{bad_text}");
            assert_eq!(bad.name.as_deref(), text.starts_with('b').then_some("bank"));
        }
        let conflict = LockLine::all("<<<<<<< ours").next().expect("a line");
        assert_eq!(conflict.expect_err("no name").name, None);
    }
}
