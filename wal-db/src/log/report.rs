//! What opening and verifying a log found.

use std::path::PathBuf;

use crate::{Corruption, Lsn};

/// What opening a log found and did. See [`Wal::recovery`](crate::Wal::recovery).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The log did not exist before.
    pub created: bool,
    /// The log had been closed, or had nothing that was not known to be durable, or is new: nothing had to be recovered.
    pub clean: bool,
    /// Bytes that were read to find the end; what was known to be durable is not read.
    pub scanned_bytes: u64,
    /// Records behind the last durable mark that were found in the store.
    pub found_records: u64,
    /// Records that a dead process had appended and not yet written to the store.
    pub staged_records: u64,
    /// Bytes that appends had claimed and never published when their process died.
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Where they started in the stream.
    pub start: u64,
    /// Where the last byte that was not zero ended.
    pub end: u64,
    /// The file that keeps them, if the store has one.
    pub kept_at: Option<PathBuf>,
}

/// What [`Wal::verify`](crate::Wal::verify) read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Records that are intact.
    pub records: u64,
    /// Groups that are intact.
    pub groups: u64,
    /// Bytes of the stream that were read.
    pub bytes: u64,
    /// Everything that is wrong, in the order of the log.
    pub damage: Vec<Corruption>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.damage.is_empty()
    }
}
