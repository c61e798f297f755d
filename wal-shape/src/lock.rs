//! The lines of `wal.lock`, the file with the shape of every released version.
//!
//! ```text
//! # a comment
//! bank.opened 1 {id: u64}
//! bank.opened 2 {id: u64, currency: str}
//! order 1 id=7 (u64, str)
//! &935c8649440f202a enum {Card {number: str, until: u16}, Invoice {to: str, days: u8, address: str}}
//! order.paid 1 {order: u64, by: &935c8649440f202a}
//! ```
//!
//! A larger type inside an event has a line of its own, named by the hash of its text, which other lines refer to. So a
//! type that many events hold stands there once, and no line changes when another is added.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::str::FromStr;

use crate::name::{name_problem, type_id};
use crate::parse::{ShapeError, read};
use crate::shape::Shape;
use crate::text::line_name;

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
            shape: shape.told(),
        }
    }

    /// Reads all released versions in a file. A mark of a merge that was not resolved is all that is reported of it.
    #[must_use]
    pub fn all(text: &str) -> Vec<Result<Self, BadLine>> {
        let lines = || (1..).zip(without_mark(text).lines());
        if let Some((number, _)) = lines().find(|(_, text)| is_conflict(text)) {
            return vec![Err(BadLine {
                number,
                name: None,
                problem: CONFLICT.to_owned(),
            })];
        }
        let types = Types::of(lines());
        let lines = lines().filter(|(_, text)| !is_comment(text));
        let read = |(number, text): (usize, &str)| {
            let bad = |name: Option<&str>, problem| BadLine {
                number,
                name: name.map(str::to_owned),
                problem,
            };
            if text.starts_with('&') {
                let problem = types.problem(text)?;
                return Some(Err(bad(None, problem)));
            }
            let name = text.split(' ').next().filter(|name| name_problem(name).is_none());
            let line = LockLine::parse(number, text, &types);
            Some(line.map_err(|problem| bad(name, problem)))
        };
        lines.filter_map(read).collect()
    }

    /// The text of a file with these lines. Those that have a number replace the line with it, the others come last;
    /// other lines for released versions are left out, and comments stay. A larger type inside an event has a line of
    /// its own, in front of the first one that holds it.
    #[must_use]
    pub fn written(before: &str, lines: &[Self]) -> String {
        let mut file = Written {
            text: String::new(),
            end: if before.contains("\r\n") { "\r\n" } else { "\n" },
            types: RefCell::default(),
            count: 0,
        };
        let text = without_mark(before);
        file.text.push_str(&before[..before.len() - text.len()]);
        for (number, text) in (1..).zip(text.lines()) {
            match lines.iter().find(|line| line.number == number) {
                Some(line) => file.line(line),
                None if is_comment(text) => file.push(text),
                None => {}
            }
        }
        lines
            .iter()
            .filter(|line| line.number == 0)
            .for_each(|line| file.line(line));
        file.text
    }

    fn parse(number: usize, text: &str, types: &Types<'_>) -> Result<Self, String> {
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
            shape: types.shape(shape)?,
        })
    }

    /// What stands before the shape.
    fn start(&self, out: &mut impl Write) -> fmt::Result {
        write!(out, "{} {} ", self.name, self.version)?;
        self.id.iter().try_for_each(|id| write!(out, "id={id} "))
    }

    /// Whether another line says the same, wherever it stands.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let number = self.number;
        *self
            == LockLine {
                number,
                ..other.clone()
            }
    }

    /// The id under which records of it are stored.
    #[must_use]
    pub fn type_id(&self) -> u32 {
        self.id.unwrap_or_else(|| type_id(&self.name))
    }
}

/// All that it says, with the types in it.
impl fmt::Display for LockLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start(f)?;
        self.shape.fmt(f)
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`wal.lock` line {}: {}", self.number, self.problem)
    }
}

impl std::error::Error for BadLine {}

impl BadLine {
    /// Whether it is a mark of a merge that was not resolved.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.problem == CONFLICT
    }
}

const CONFLICT: &str = "a merge has left its marks: keep the lines of both sides and remove the marks. If both have a \
                        line for one version of an event, keep the one that was released, and give the other event its \
                        next version";

fn is_conflict(line: &str) -> bool {
    ["<<<<<<<", "|||||||", "=======", ">>>>>>>"]
        .iter()
        .any(|mark| line.starts_with(mark))
}

fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

/// Editors of Windows begin a file with a mark.
fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// The lines for types, by their names. A name is the hash of what comes after it, so two lines with one name say the
/// same, a type cannot hold itself by them, and one that was edited is found.
struct Types<'a> {
    lines: HashMap<&'a str, &'a str>,
    /// Those that were read.
    shapes: RefCell<HashMap<&'a str, Shape>>,
}

impl<'a> Types<'a> {
    fn of(lines: impl Iterator<Item = (usize, &'a str)>) -> Self {
        let lines = lines.filter_map(|(_, text)| text.split_once(' '));
        Types {
            lines: lines.filter(|(name, text)| *name == line_name(text)).collect(),
            shapes: RefCell::default(),
        }
    }

    fn get(&self, name: &str) -> Option<Shape> {
        let (&name, text) = self.lines.get_key_value(name)?;
        if let Some(shape) = self.shapes.borrow().get(name) {
            return Some(shape.clone());
        }
        let shape = read(text, &|name| self.get(name)).ok()?;
        self.shapes.borrow_mut().insert(name, shape.clone());
        Some(shape)
    }

    fn shape(&self, text: &str) -> Result<Shape, String> {
        read(text, &|name| self.get(name)).map_err(|ShapeError { at, expected }| {
            let rest = text.get(at..).unwrap_or_default();
            if rest.starts_with('&') {
                let end = rest.find([',', '}', ')', '>', ']', ';']);
                let name = &rest[..end.unwrap_or(rest.len())];
                return format!("the line that begins with `{name}` is gone or was edited: {BRING_BACK}");
            }
            format!("`{text}` is no shape, {expected} expected at byte {at}: bring the line back from the history of the file")
        })
    }

    /// What is wrong with a line for a type.
    fn problem(&self, line: &str) -> Option<String> {
        match line.split_once(' ') {
            Some((name, text)) if self.lines.contains_key(name) => self.shape(text).err(),
            _ => Some(format!("a line for a type was edited: {BRING_BACK}")),
        }
    }
}

const BRING_BACK: &str = "bring it back from the history of the file";

/// A file that is written.
struct Written {
    text: String,
    end: &'static str,
    types: RefCell<Vec<String>>,
    /// How many of the types are in the text.
    count: usize,
}

impl Written {
    fn line(&mut self, line: &LockLine) {
        let mut text = String::new();
        let _ = line.start(&mut text); // text takes everything
        text.push_str(&line.shape.in_lines(&self.types));
        let types = self.types.borrow()[self.count..].to_vec();
        self.count += types.len();
        types.iter().for_each(|text| self.push(text));
        self.push(&text);
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str(self.end);
    }
}

/// Digits only: `parse` also takes a sign.
fn decimal<N: FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<LockLine> {
        let lines = LockLine::all(text).into_iter();
        lines.map(|line| line.expect("a line")).collect()
    }

    fn bad(text: &str) -> Vec<BadLine> {
        LockLine::all(text).into_iter().filter_map(Result::err).collect()
    }

    #[test]
    fn lines_are_written_as_they_are_read() {
        let text = "bank.opened 2 {id: u64, currency: str}\nbank.closed 1 id=7 u64";
        let file = format!("# released\n\n{text}\n");
        let lines = lines(&file);
        let written: Vec<_> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(written.join("\n"), text);
        assert_eq!(LockLine::written(&file, &lines), file);
        assert_eq!((lines[0].number, lines[0].version, lines[0].id), (3, 2, None));
        assert_eq!((lines[1].number, lines[1].type_id()), (4, 7));
        assert_eq!(lines[0].type_id(), type_id("bank.opened"));
        for line in lines {
            let LockLine { name, version, .. } = &line;
            let new = LockLine::new(name, *version, line.type_id(), line.shape.clone());
            assert_eq!(new.to_string(), line.to_string());
        }
    }

    const METHOD: &str = "enum {Card {number: str, until: u16}, Invoice {to: str, days: u8, address: str}}";

    /// As a release before wrote it, and as it is today.
    fn files() -> (String, String) {
        let order = |method: &str| format!("{{by: {method}, or: option<{method}>, also: [str]}}");
        let before = format!(
            "# released\npaid 1 {}\n\nback 1 id=7 {{by: {METHOD}}}\n",
            order(METHOD)
        );
        let name = line_name(METHOD);
        let today = format!(
            "# released\n{name} {METHOD}\npaid 1 {}\n\nback 1 id=7 {{by: {name}}}\n",
            order(&name)
        );
        (before, today)
    }

    #[test]
    fn a_type_inside_events_has_one_line() {
        let (before, today) = files();
        assert_eq!(LockLine::written(&before, &lines(&before)), today);
        assert_eq!(LockLine::written(&today, &lines(&today)), today);
        let told = |file: &str| lines(file).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(&before), told(&today));
        assert!(
            today.contains("&935c8649440f202a enum"),
            "as in the header: {today}"
        );
    }

    #[test]
    fn types_with_lines_hold_each_other() {
        let tree = format!(
            "rec 0 {{value: {METHOD}, inner: [@0], text: {{aaaaaaaaaaaaaaaaaaaaaaaa: [@0], \
                            bbbbbbbbbbbbbbbbbbbbbbbbbbb: u8}}}}"
        );
        let event =
            format!("event 1 {{one: {tree}, two: enum {{A({tree}), B {{c: {METHOD}}}, C({METHOD})}}}}");
        let file = LockLine::written(&event, &lines(&event));
        assert_eq!(
            file.lines().filter(|line| line.starts_with('&')).count(),
            3,
            "{file}"
        );
        assert_eq!(lines(&file)[0].to_string(), event);
        assert_eq!(LockLine::written(&file, &lines(&file)), file);
    }

    /// `merge=union` in `.gitattributes` keeps the lines of both sides, in any order, and some twice.
    #[test]
    fn lines_of_two_branches_stand_together() {
        let (_, today) = files();
        let mut both: Vec<_> = today.lines().chain(today.lines()).collect();
        both.reverse();
        let both = both.join("\n");
        assert_eq!(bad(&both), []);
        assert_eq!(lines(&both).len(), 4);
    }

    #[test]
    fn a_mark_of_a_merge_is_all_that_is_said() {
        let file = "bank 1 u8\n<<<<<<< ours\nbank 2 u9\n=======\nbank 2 u16\n>>>>>>> theirs\n";
        let [conflict] = &bad(file)[..] else {
            panic!("{:?}", bad(file))
        };
        assert!(conflict.is_conflict() && conflict.number == 2 && conflict.name.is_none());
        assert_eq!(LockLine::all(file).len(), 1);
        for mark in ["||||||| base", "=======", ">>>>>>> theirs"] {
            assert!(bad(mark)[0].is_conflict(), "{mark}");
        }
    }

    #[test]
    fn a_line_for_a_type_is_neither_edited_nor_dropped() {
        let (_, today) = files();
        let edited = bad(&today.replace("days: u8", "days: u16"));
        let problems: Vec<_> = edited.iter().map(ToString::to_string).collect();
        let name = line_name(METHOD);
        let gone = format!("the line that begins with `{name}` is gone or was edited: {BRING_BACK}");
        assert_eq!(
            problems,
            [
                format!("`wal.lock` line 2: a line for a type was edited: {BRING_BACK}"),
                format!("`wal.lock` line 3: {gone}"),
                format!("`wal.lock` line 5: {gone}"),
            ]
        );
        let dropped: Vec<_> = today.lines().filter(|line| !line.starts_with('&')).collect();
        assert_eq!(bad(&dropped.join("\n"))[1].problem, gone);
    }

    /// Windows' editors begin a file with a mark, and end lines in two characters.
    #[test]
    fn marks_of_editors_are_no_part_of_a_line_and_stay() {
        let file = "\u{feff}# mine\r\nbank 1 u8\r\nbank 2 u16\r\n";
        let mut lines = lines(file);
        let read: Vec<_> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(read, ["bank 1 u8", "bank 2 u16"]);
        assert_eq!(LockLine::written(file, &lines), file);
        lines.push(LockLine::new("bank", 3, type_id("bank"), Shape::U32));
        assert_eq!(LockLine::written(file, &lines), format!("{file}bank 3 u32\r\n"));
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
                "`{a: u9}` is no shape, a shape expected at byte 4: bring the line back from the history of the file",
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
            let [bad] = &bad(&file)[..] else { panic!("{text}") };
            let bad_text = bad.to_string();
            assert!(bad_text.starts_with("`wal.lock` line 2: "), "{bad_text}");
            assert!(bad_text.contains(problem), "{bad_text}");
            assert_eq!(bad.name.as_deref(), text.starts_with('b').then_some("bank"));
        }
    }
}
