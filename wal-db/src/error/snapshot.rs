//! Why a snapshot of a state cannot be used.

use std::io;

use super::WalError;
use crate::format::snapshot::SnapshotFault;

/// Why a snapshot cannot be used. Nothing is lost by that as long as an older one can be, or the log is whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file cannot be read.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
    /// The file is not what was written. It may be removed.
    #[error("it is damaged: {what}, at byte {offset}")]
    #[non_exhaustive]
    Damaged {
        /// Where that was found, in bytes from the beginning of the file.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// A later release wrote it.
    #[error(
        "it is in version {version} of the format with features {features:#x}, which this release does not know; open it \
        with a later one"
    )]
    #[non_exhaustive]
    NewerFormat {
        /// The version.
        version: u32,
        /// The feature bits.
        features: u32,
    },
    /// The file was renamed.
    #[error("it was made under the name {file}; give it that name back")]
    #[non_exhaustive]
    OtherName {
        /// Its name.
        file: String,
    },
    /// `apply` means something else than when it was made.
    #[error("it was made by revision {stored} of the state, and this program has revision {program}")]
    #[non_exhaustive]
    OtherRevision {
        /// [`State::REVISION`](crate::state::State::REVISION) when it was made.
        stored: u32,
        /// What it is in this program.
        program: u32,
    },
    /// The log does not have what it was made from: it is another log, was cut back, or was restored from an older copy.
    #[error("it is not of what this log holds")]
    Log(#[source] Box<WalError>),
    /// The state in it is not one of this program's.
    #[error("its state cannot be read by this program")]
    State(#[source] Box<WalError>),
}

impl From<SnapshotFault> for SnapshotError {
    fn from(fault: SnapshotFault) -> Self {
        match fault {
            SnapshotFault::Io(error) => SnapshotError::Io(error),
            SnapshotFault::Damaged { offset, what } => SnapshotError::Damaged { offset, what },
            SnapshotFault::Version { version, features } => SnapshotError::NewerFormat { version, features },
        }
    }
}
