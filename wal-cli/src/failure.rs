//! What can go wrong, and the exit code that says so.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use wal_db::WalError;

/// A `Result` of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command has ended without doing what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the library says.
    Wal(WalError),
    /// A file that the tool itself reads or writes.
    Io {
        /// What it was doing.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was asked for makes no sense.
    Usage(String),
    /// Another process has the log open for writing.
    Locked(String),
    /// It was begun and not finished.
    Partly {
        /// Why.
        why: Box<Failure>,
        /// Where what it may have changed is kept.
        kept: PathBuf,
    },
    /// It would be done only if the user said more.
    Refused(String),
    /// What the tool itself keeps is damaged.
    Damaged(String),
}

/// Says what was done with a file when a call failed.
pub(crate) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure::Io { doing, path, source }
}

impl From<WalError> for Failure {
    fn from(error: WalError) -> Failure {
        Failure::Wal(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Wal(error) => {
                write!(f, "{error}")?;
                match std::error::Error::source(error) {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
            Failure::Io { doing, path, source } => write!(f, "{}: {source}, while {doing}", path.display()),
            Failure::Partly { why, kept } => {
                write!(f, "{why}; what was changed is kept in {}", kept.display())
            }
            Failure::Usage(text)
            | Failure::Locked(text)
            | Failure::Refused(text)
            | Failure::Damaged(text) => f.write_str(text),
        }
    }
}

/// How a command has ended: the codes of `wal explain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All is well.
    Fine = 0,
    /// What was asked for makes no sense.
    Usage = 2,
    /// The log is damaged.
    Damage = 3,
    /// It is no log.
    NotALog = 4,
    /// A newer release wrote it.
    Newer = 5,
    /// Another process has it open for writing.
    Locked = 6,
    /// The system refused something.
    Io = 7,
    /// It was done, and something is missing.
    Incomplete = 8,
    /// It was not done, because the user has to say more.
    Refused = 9,
}

impl Failure {
    /// The exit code that stands for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Wal(error) => match error {
                WalError::Corruption(_) | WalError::Typed(_) => Exit::Damage,
                WalError::NotALog { .. } => Exit::NotALog,
                WalError::UnsupportedVersion { .. } => Exit::Newer,
                WalError::Locked { .. } => Exit::Locked,
                WalError::Config { .. } => Exit::Refused,
                _ => Exit::Io,
            },
            Failure::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => Exit::Fine,
            Failure::Io { .. } => Exit::Io,
            Failure::Usage(_) => Exit::Usage,
            Failure::Partly { why, .. } => why.exit(),
            Failure::Locked(_) => Exit::Locked,
            Failure::Refused(_) => Exit::Refused,
            Failure::Damaged(_) => Exit::Damage,
        }
    }
}
