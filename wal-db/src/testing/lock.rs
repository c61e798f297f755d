//! The file `wal.lock`: the shape of every released version.
//!
//! ```text
//! # a comment
//! bank.opened 1 {id: u64}
//! bank.opened 2 {id: u64, currency: str}
//! order 1 id=7 (u64, str)
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::{fmt, fs, io};

use wal_shape::type_id;

use crate::event::{RecordType, Shape};

/// The lines of a `wal.lock`.
///
/// ```
/// use wal_db::testing::Lock;
///
/// let lock: Lock = "bank.opened 1 {id: u64}".parse()?;
/// assert_eq!(lock.lines()[0].shape.to_string(), "{id: u64}");
/// # Ok::<(), wal_db::testing::LockError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    lines: Vec<LockLine>,
}

/// A released version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockLine {
    /// Where it stands in the file, from 1.
    pub number: usize,
    /// The full name of the record type.
    pub name: String,
    /// The version, from 1.
    pub version: u16,
    /// The type id, if it was chosen and is not the hash of the name.
    pub id: Option<u32>,
    /// What records of it look like.
    pub shape: Shape,
}

/// Why a `wal.lock` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The file cannot be read or written.
    #[error("`{path}` cannot be used")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A line is none.
    #[error("`wal.lock` line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl Lock {
    /// Reads a file; one that does not exist has no lines.
    ///
    /// # Errors
    ///
    /// [`LockError`], with the path or the line.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        match fs::read_to_string(path) {
            Ok(text) => text.parse(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(source) => Err(LockError::io(path, source)),
        }
    }

    /// The released versions in the order of the file.
    #[must_use]
    pub fn lines(&self) -> &[LockLine] {
        &self.lines
    }

    /// The released versions of a record type, under its name and those that it had before.
    pub(super) fn of(&self, record: &RecordType) -> impl Iterator<Item = &LockLine> + use<'_> {
        let record = *record;
        self.lines
            .iter()
            .filter(move |line| has_name(&record, &line.name))
    }
}

pub(super) fn has_name(record: &RecordType, name: &str) -> bool {
    record.name == name || record.aliases.contains(&name)
}

impl LockError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        LockError::Io {
            path: path.display().to_string(),
            source,
        }
    }
}

impl LockLine {
    /// The id under which records of it are stored.
    #[must_use]
    pub fn type_id(&self) -> u32 {
        self.id.unwrap_or_else(|| type_id(&self.name))
    }

    /// The line of a version of a record type.
    pub(super) fn new(record: &RecordType, version: u16, shape: Shape) -> Self {
        let hash = type_id(record.name);
        LockLine {
            number: 0,
            name: record.name.to_owned(),
            version,
            id: (record.id != hash).then_some(record.id),
            shape,
        }
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

impl FromStr for Lock {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self, LockError> {
        let mut lines: Vec<LockLine> = Vec::new();
        let mut seen = HashMap::new();
        for (number, text) in (1..).zip(text.lines()) {
            if text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let problem = |problem| LockError::Line {
                line: number,
                problem,
            };
            let line = line(number, text).map_err(problem)?;
            if let Some(first) = seen.insert((line.name.clone(), line.version), number) {
                let (name, version) = (&line.name, line.version);
                return Err(problem(format!(
                    "`{name}` version {version} stands in line {first} already; remove the one that was not released"
                )));
            }
            lines.push(line);
        }
        Ok(Lock { lines })
    }
}

fn line(number: usize, text: &str) -> Result<LockLine, String> {
    let mut words = text.splitn(3, ' ');
    let name = words.next().unwrap_or_default();
    let is_name = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!("`{name}` is no name"));
    }
    let version = words
        .next()
        .and_then(decimal::<u16>)
        .filter(|&version| version > 0);
    let version = version.ok_or("a version from 1 to 65535 stands behind the name")?;
    let mut shape = words.next().ok_or("a shape stands behind the version")?;
    let mut id = None;
    if let Some(rest) = shape.strip_prefix("id=") {
        let (number, rest) = rest.split_once(' ').ok_or("a shape stands behind the id")?;
        id = Some(decimal::<u32>(number).ok_or("an id is a number from 0 to 4294967295")?);
        shape = rest;
    }
    Ok(LockLine {
        number,
        name: name.to_owned(),
        version,
        id,
        shape: shape.parse().map_err(|error| format!("`{shape}` is {error}"))?,
    })
}

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
        let lock: Lock = format!("# released\n\n{text}\n").parse().expect("a lock");
        let lines: Vec<_> = lock.lines().iter().map(ToString::to_string).collect();
        assert_eq!(lines.join("\n"), text);
        assert_eq!((lock.lines()[0].number, lock.lines()[1].type_id()), (3, 7));
    }

    #[test]
    fn other_lines_are_refused_with_their_number() {
        let cases = [
            ("Bank 1 u8", "`Bank` is no name"),
            ("bank", "a version"),
            ("bank 0 u8", "a version"),
            ("bank +1 u8", "a version"),
            ("bank 1", "a shape"),
            ("bank 1 id=7", "a shape"),
            ("bank 1 id=-7 u8", "an id"),
            (
                "bank 1 {a: u9}",
                "`{a: u9}` is not a shape: a shape expected at byte 4",
            ),
            ("a 1 u8\na 1 u8", "`a` version 1 stands in line 2 already"),
        ];
        for (text, problem) in cases {
            let error = Lock::from_str(&format!("#\n{text}")).expect_err(text).to_string();
            let line = 1 + text.lines().count();
            assert!(error.starts_with(&format!("`wal.lock` line {line}: ")), "{error}");
            assert!(error.contains(problem), "{error}");
        }
    }
}
