//! What opening and verifying a log found.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    error::{Corruption, CorruptionReason, path_text},
    lsn::Lsn,
};

/// What opening a log found and did. See [`Wal::recovery`](crate::Wal::recovery).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The log did not exist before.
    pub created: bool,
    /// The log had been closed, or had nothing that was not known to be durable, or is new: nothing had to be recovered.
    pub clean: bool,
    /// Bytes that were read to find the end; what was known to be durable is not read.
    pub scanned_bytes: u64,
    /// Records that opening found in the store after the manifest's mark, by reading on from there. Those before the mark
    /// are not read and not counted: after a clean close the mark is the end, and this is 0.
    /// [`Status::records`](crate::Status::records) says how many there are in all.
    pub found_records: u64,
    /// Records that a dead process had appended and not yet written to the store.
    pub staged_records: u64,
    /// Bytes that appends had claimed and never published when their process died, or that staging memory has lost since:
    /// the two look alike. Each is a hole between records that were appended.
    pub void_bytes: u64,
    /// Residue of a crash that was cut off. No record that was acknowledged as durable is in it.
    pub cut: Option<Cut>,
    /// Damage that [`OpenPolicy::TruncateAtDamage`](crate::OpenPolicy::TruncateAtDamage) cut the log at: records that
    /// were acknowledged as durable are lost.
    pub damage: Option<Corruption>,
    /// One of the two copies of the manifest was damaged; the other one was used, and both are good again.
    pub manifest_copy_damaged: bool,
    /// Staging memory was there and could not be used: it was another log's, or from before this log was last
    /// opened, or damaged; or records before it had been written and were lost with the system's cache.
    pub staging_ignored: bool,
    /// The log was open with staging memory when its process died, and that memory is not there: what was appended last
    /// and not yet written to the store is lost.
    pub staging_missing: bool,
    /// Of a log that was cut at damage: records that a dead process had appended and not yet written to the store. They
    /// are in the file that keeps what was cut off, and not in the log.
    pub staged_cut: u64,
    /// Where the log goes on.
    pub end: Lsn,
    /// A number that grows by one with each opening for writing and each cut of the log's end. Making a log takes the first
    /// and opening it the second, so it is 2 in a new one.
    pub epoch: u32,
}

/// Bytes that were cut off the end of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cut {
    /// Where they started in the stream.
    pub start: u64,
    /// Where the last byte that was not zero ended.
    pub end: u64,
    /// The file that keeps them, if the store has one.
    #[serde(serialize_with = "path_text::optional")]
    pub kept_at: Option<PathBuf>,
}

/// What [`Wal::verify`](crate::Wal::verify) read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Records that are intact. The log's own schema records are not among them.
    pub records: u64,
    /// Schema records that are intact.
    pub schemas: u64,
    /// Groups that were read, those without records included.
    pub groups: u64,
    /// Bytes of the stream that were read.
    pub bytes: u64,
    /// Everything that is damaged, in the order of the log.
    pub damage: Vec<Corruption>,
    /// Files that are missing, or are not what their names say. What can be read of them all the same was read.
    pub files: Vec<FileFault>,
    /// Of what the log keeps two copies of, those that are damaged. The other copy of each is whole, so the log is, too, and
    /// [`is_intact`](Self::is_intact) does not ask for them: but one more fault there, and it is not. Opening the log for
    /// writing writes both copies again.
    pub copies: Vec<CopyFault>,
    /// What is intact and breaks a rule of `docs/format.md`: its checksums are right, so it was written like this, by
    /// another implementation. Only the padding after a group, which no checksum covers, may have been damaged since.
    pub violations: Vec<Violation>,
    /// The caller has stopped it, see [`VerifyConfig::with_progress`](crate::recovery::VerifyConfig::with_progress): there is
    /// more that was not read.
    pub stopped: bool,
}

impl VerifyReport {
    /// Whether nothing is wrong with what can be read. A copy that is damaged beside a whole one, see
    /// [`copies`](Self::copies), is not.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.damage.is_empty() && self.files.is_empty() && self.violations.is_empty()
    }
}

/// A damaged copy of something of which there is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CopyFault {
    /// What it is a copy of.
    pub of: Copied,
    /// Which of the two copies it is, 0 or 1: the slot of the manifest, or the number in the name of the file.
    pub copy: usize,
}

/// What a log keeps two copies of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Copied {
    /// The manifest.
    Manifest,
    /// The table of the cuts that the manifest has no room for.
    Cuts,
}

/// A file that is not the one that belongs to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileFault {
    /// Where it is, or should be; `None` if the store does not say.
    #[serde(serialize_with = "path_text::optional")]
    pub path: Option<PathBuf>,
    /// The number of the segment; `None` for a log in one file.
    pub segment: Option<u64>,
    /// What is wrong with it.
    pub reason: CorruptionReason,
}

/// Bytes that are as they were written and should have been written otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Violation {
    /// The LSN of the record; for a group, that of its first one.
    pub lsn: Lsn,
    /// The number of the segment file; `None` for a log in one file.
    pub segment: Option<u64>,
    /// Where the group, or the frame, starts in the stream.
    pub start: u64,
    /// What it breaks.
    pub rule: Rule,
}

/// A rule of `docs/format.md` for writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// The header's number of records is that of the records in the group.
    #[error("the record count of a group is not the number of its records")]
    RecordCount,
    /// A group's ordinal is that of the group before and its records.
    #[error("the ordinal of a group is not that of the group before and its records")]
    Ordinal,
    /// The head ordinal is the ordinal of the head.
    #[error("the head ordinal of the manifest is not the ordinal of the head")]
    HeadOrdinal,
    /// The head is the position of a frame.
    #[error("no frame starts at the head")]
    Head,
    /// A seal holds nothing, and says that everything before it is durable.
    #[error("a seal holds records, or does not say that everything before it is durable")]
    Seal,
    /// The flag of groups with schema records is set in those and no others.
    #[error("the flag for schema records does not fit the group")]
    SchemaFlag,
    /// A batch ends within its group, has one kind, and no void in it.
    #[error("a batch ends with its group, holds a void, or holds records of two kinds")]
    Batch,
    /// Padding is zero.
    #[error("padding that is not zero")]
    Padding,
    /// The header's number of zero sectors is that of the group.
    #[error("the header does not count the zero sectors of its group")]
    ZeroSectors,
    /// The previous distance, where it is there, leads to the group before.
    #[error("the previous distance does not lead to the group before")]
    PreviousDistance,
    /// Epochs do not fall.
    #[error("the epoch of a group is lower than that of the group before")]
    Epoch,
}
