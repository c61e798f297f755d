//! Damage.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;

use super::path_text::{self, Of};
use crate::lsn::Lsn;

/// Damage: where it is, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the log{} is damaged at LSN {lsn}{}, bytes {start}..{end}: {reason}; wal_db::recovery::salvage reads what is intact",
    Of(" ", self.path()), .segment.map(|index| format!(" (segment {index})")).unwrap_or_default())]
#[non_exhaustive]
pub struct Corruption {
    /// The first LSN that cannot be trusted.
    pub lsn: Lsn,
    /// The number of the segment file; `None` for a log in one file.
    pub segment: Option<u64>,
    /// Where the damaged bytes start, counted from the first byte of the stream.
    pub start: u64,
    /// Where they end, as far as it is known; of a segment that is not there or not the log's, where that ends.
    pub end: u64,
    /// What is wrong.
    pub reason: CorruptionReason,
    /// The log.
    #[serde(rename = "path", serialize_with = "path_text::optional")]
    pub(crate) log: Option<Arc<PathBuf>>,
}

impl Corruption {
    /// Damage of the manifest, which has no place among the records.
    pub(crate) fn of_manifest(reason: CorruptionReason) -> Self {
        Corruption {
            lsn: Lsn::ZERO,
            segment: None,
            start: 0,
            end: 0,
            reason,
            log: None,
        }
    }

    /// The log that is damaged; `None` if its store has no path.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.log.as_deref().map(PathBuf::as_path)
    }
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum CorruptionReason {
    /// A group's header is not one, or belongs elsewhere.
    #[error("the header of a group is damaged")]
    GroupHeader,
    /// A group's header does not continue the group before it.
    #[error("a group does not continue the one before it")]
    Chain,
    /// A group's content is not what was written.
    #[error("the content of a group does not match its checksum")]
    GroupContent,
    /// A frame is damaged, or belongs elsewhere.
    #[error("a record does not match its checksum")]
    Frame,
    /// The file ends before the log does.
    #[error("the file ends before the log does")]
    Short,
    /// A segment file is not there.
    #[error("a segment file is missing")]
    MissingSegment,
    /// A segment file is another one's, or another log's, or its header is damaged.
    #[error("a segment file is not the one that belongs here")]
    WrongSegment,
    /// Both copies of the manifest are damaged.
    #[error("both copies of the manifest are damaged")]
    Manifest,
    /// The manifest is not there, though segments are.
    #[error("the manifest is missing")]
    MissingManifest,
    /// Where the manifest or another one says that a schema record is, there is none.
    #[error("a schema record is not where it should be")]
    Schema,
}
