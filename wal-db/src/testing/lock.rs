//! The file `wal.lock`: the shape of every released version.

use std::collections::{HashMap, hash_map::Entry};
use std::path::Path;
use std::str::FromStr;
use std::{fs, io};

use wal_shape::BadLine;
pub use wal_shape::LockLine;

use crate::event::EventType;

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
    /// A merge has left its marks.
    #[error("`wal.lock` line {line}: {problem}")]
    Conflict {
        /// The number of the first, from 1.
        line: usize,
        /// What to do.
        problem: String,
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

    /// The released versions of an event type, under its name and those that it had before.
    pub(super) fn of(&self, record: &EventType) -> impl Iterator<Item = &LockLine> + use<'_> {
        let record = *record;
        self.lines.iter().filter(move |line| record.has_name(&line.name))
    }
}

impl LockError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        LockError::Io {
            path: path.display().to_string(),
            source,
        }
    }
}

impl From<BadLine> for LockError {
    fn from(bad: BadLine) -> Self {
        let is_conflict = bad.is_conflict();
        let BadLine {
            number: line,
            problem,
            ..
        } = bad;
        if is_conflict {
            LockError::Conflict { line, problem }
        } else {
            LockError::Line { line, problem }
        }
    }
}

impl FromStr for Lock {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self, LockError> {
        let mut lines: Vec<LockLine> = Vec::new();
        let mut seen = HashMap::new();
        for line in LockLine::all(text) {
            let line = line?;
            let (name, version) = (&line.name, line.version);
            match seen.entry((name.clone(), version)) {
                Entry::Vacant(place) => {
                    place.insert(lines.len());
                    lines.push(line);
                }
                Entry::Occupied(first) => {
                    let first = &lines[*first.get()];
                    if !first.says_the_same(&line) {
                        return Err(LockError::Line {
                            line: line.number,
                            problem: format!(
                                "`{name}` version {version} stands in line {} already, otherwise; remove the one that \
                                 was not released",
                                first.number
                            ),
                        });
                    }
                }
            }
        }
        Ok(Lock { lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_or_stand_there_twice_are_refused_with_their_number() {
        let cases = [
            ("bank 1", "a shape"),
            ("a 1 u8\na 1 u9", "no shape"),
            (
                "a 1 u8\na 1 u16",
                "`a` version 1 stands in line 2 already, otherwise",
            ),
        ];
        for (text, problem) in cases {
            let error = Lock::from_str(&format!("#\n{text}")).expect_err(text).to_string();
            let line = 1 + text.lines().count();
            assert!(error.starts_with(&format!("`wal.lock` line {line}: ")), "{error}");
            assert!(error.contains(problem), "{error}");
        }
    }
    /// Both sides of a merge may have added the same version.
    #[test]
    fn a_line_that_stands_there_twice_counts_once() {
        let lock = Lock::from_str("a 1 u8\nb 1 u8\na 1 u8").expect("a lock");
        assert_eq!(lock.lines().len(), 2);
    }

    #[test]
    fn a_merge_that_was_not_resolved_is_an_error_of_its_own() {
        let error = Lock::from_str("a 1 u8\n<<<<<<< ours\na 2 u8").expect_err("a mark");
        assert!(matches!(error, LockError::Conflict { line: 2, .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("keep the lines of both sides and remove the marks"),
            "{error}"
        );
    }
}
