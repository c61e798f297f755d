//! How a log is opened.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Result, WalError},
    format::{
        MAX_PAYLOAD,
        timeline::{MAX_EPOCHS, Room},
    },
    pool::{Background, Pool},
};

/// What iteration does at a damaged record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RecoveryPolicy {
    /// Yield the error and end.
    #[default]
    StopAtFirstError,
    /// Yield the error and go on with the next record that is intact at its own place.
    SkipBadRecords,
}

/// What opening does about damage. Residue of a crash is not damage: it is cut under every policy, and kept aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OpenPolicy {
    /// Refuse to open a damaged log, and change nothing.
    #[default]
    Exact,
    /// Cut the log at the damage that keeps it from being opened, keep the cut bytes aside, and report what was lost:
    /// everything from there on. The log goes on after all that was ever acknowledged, so no LSN of what was lost is
    /// used again.
    ///
    /// That mends a damaged group or seal at the end of the log, and a file that was cut short. Refused under this
    /// policy as well is a log whose manifest is damaged in both copies, whose segment is missing or another one's, or
    /// whose group is whole and another than the manifest says; [`salvage`](crate::recovery::salvage) reads what can be
    /// read of it, for a new log. Opening does not read the records before the last mark: damage there is met when they
    /// are read, and [`RecoveryPolicy::SkipBadRecords`] passes over it.
    TruncateAtDamage,
}

/// What "durable" takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Durability {
    /// One flush: survives power loss.
    #[default]
    Flushed,
    /// Two flushes: the second one records that the first succeeded, so a disk that later loses a sector of the very
    /// last flush is found out. Takes twice as long.
    Certified,
}

/// Where records wait for their flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Staging {
    /// In a memory-mapped file beside the log, if a store into it cannot need space: `append` costs a copy, and the
    /// record survives the process. Otherwise the log is written through, as with [`WriteThrough`](Self::WriteThrough);
    /// [`Status::staging`](crate::Status::staging) says which it is, and [`NotMapped`] why.
    ///
    /// A store into mapped memory that finds the disk full ends the process by a signal. It can need space on file
    /// systems that copy on write (Btrfs, ZFS, bcachefs), and where files can share blocks (XFS, unless it was made
    /// without `reflink`), once somebody has copied the log with `cp`. In a container, the file system below decides.
    #[default]
    Mapped,
    /// As [`Mapped`](Self::Mapped), wherever the file can be mapped at all. Use it if nobody copies the log's files
    /// while it is open other than by [`backup_to`](crate::Wal::backup_to), or if the disk is never full: a store that
    /// needs space then **ends the process by a signal** (SIGBUS). What was appended by then is there when the log is
    /// opened again. If it is [not known](NotMapped::UnknownBoot) whether the machine went down in between, what was
    /// appended after an unfinished append is not.
    AlwaysMapped,
    /// Nowhere: `append` returns when the store holds the record. One system call for each append that no other
    /// thread shares.
    WriteThrough,
    /// In the process: `append` costs a copy, and **the record dies with the process** until the log is flushed
    /// ([`Wal::drain`](crate::Wal::drain), [`Wal::sync`](crate::Wal::sync), or the background flusher, which is woken
    /// when another quarter of the memory has been used). For file systems where a mapping is unsafe, and for programs
    /// that only use durable appends.
    Heap,
}

/// Where the records of an open log wait for their flush, from [`Status::staging`](crate::Status::staging).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum StagingInUse {
    /// In a mapped file beside the log.
    Mapped,
    /// Nowhere, as it was asked for.
    WriteThrough,
    /// In the process, as it was asked for.
    Heap,
    /// Nowhere, though mapped memory was asked for: the log is written through.
    Instead(NotMapped),
}

/// Why a log has no mapped staging memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum NotMapped {
    /// The store has no file for it.
    #[error("the store has no file for it")]
    NoFile,
    /// The file system writes every block to a new place.
    #[error("the file system copies on write, so a store into mapped memory could find the disk full")]
    CopiesOnWrite,
    /// Another file can come to share its blocks, by `cp` for example.
    #[error("files can share blocks here, so a store into mapped memory could find the disk full")]
    SharesBlocks,
    /// The file system has layers, as in a container, and nothing shows that what lies below them does not copy on
    /// write.
    #[error("it is not known what lies below the layers of the file system, which could copy on write")]
    UnknownLayers,
    /// Nothing tells one boot of the machine from another (on Linux that is in `/proc`, which a chroot may lack). After
    /// a process has died, the next one could not know whether staging memory lost a part when the machine went down,
    /// and would have to leave out what comes after an unfinished append.
    #[error(
        "it is not known which boot of the machine this is, so staging memory could not be trusted to be whole"
    )]
    UnknownBoot,
    /// The system did not map the file, and said this.
    #[error("the file cannot be mapped: {0}")]
    Refused(String),
}

/// The settings with which a log is opened; all of them may differ from one opening to the next.
/// [`Status::config`](crate::Status::config) says which are in force.
///
/// ```
/// use wal_db::WalConfig;
/// let config = WalConfig::new().with_max_record_size(1 << 20).with_background_flush(false);
/// assert_eq!(config.max_record_size(), 1 << 20);
/// ```
///
/// With serde, a file of settings names those that differ from the defaults, as the getters are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct WalConfig {
    max_record_size: u32,
    recovery_policy: RecoveryPolicy,
    open_policy: OpenPolicy,
    durability: Durability,
    staging: Staging,
    staging_bytes: usize,
    background_flush: bool,
    /// Threads that it shares with other logs.
    #[serde(skip)]
    background: Option<Background>,
    /// How many epochs a manifest holds at most.
    #[serde(skip)]
    timeline_entries: u16,
    seal_after_ms: u64,
    slow_flush_ms: u64,
}

impl WalConfig {
    /// The defaults: records up to 64 MiB, up to 8 MiB of mapped staging, background flusher on.
    pub const fn new() -> Self {
        WalConfig {
            max_record_size: 64 << 20,
            recovery_policy: RecoveryPolicy::StopAtFirstError,
            open_policy: OpenPolicy::Exact,
            durability: Durability::Flushed,
            staging: Staging::Mapped,
            staging_bytes: 8 << 20,
            background_flush: true,
            background: None,
            timeline_entries: MAX_EPOCHS as u16,
            seal_after_ms: 5,
            slow_flush_ms: 1000,
        }
    }

    /// The most bytes that a record may have, up to 2^28 - 1. Binds new records only: longer ones that are in the
    /// log stay readable.
    pub const fn with_max_record_size(mut self, bytes: u32) -> Self {
        self.max_record_size = bytes;
        self
    }

    /// What iterators do at a damaged record.
    pub const fn with_recovery_policy(mut self, policy: RecoveryPolicy) -> Self {
        self.recovery_policy = policy;
        self
    }

    /// What opening does about damage.
    pub const fn with_open_policy(mut self, policy: OpenPolicy) -> Self {
        self.open_policy = policy;
        self
    }

    /// What "durable" takes.
    pub const fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Where records wait for their flush.
    pub const fn with_staging(mut self, staging: Staging) -> Self {
        self.staging = staging;
        self
    }

    /// The most staging memory in bytes: a power of two from 64 KiB to 1 GiB. Others are refused when the log is opened.
    ///
    /// A log begins with 512 KiB of it, or with all of it if that is less. It takes more when an append finds that full,
    /// and goes on with what it has if the disk has no room for more. The background threads give it back when little was
    /// appended for ten seconds. On other systems than Linux a log begins with all of it.
    pub const fn with_staging_bytes(mut self, bytes: usize) -> Self {
        self.staging_bytes = bytes;
        self
    }

    /// Whether the log has background threads: two that write records out, prepare space and seal an idle log, its own
    /// or [shared](Self::with_background), and one for each iterator that goes through megabytes, which reads ahead.
    /// Without them this happens in the calls that need it, and the caller that waits for a ticket flushes it.
    pub const fn with_background_flush(mut self, on: bool) -> Self {
        self.background_flush = on;
        self
    }

    /// Lets the log share the threads that write records out, prepare space and seal it, with all that get the same ones.
    /// With [`with_background_flush(false)`](Self::with_background_flush) it uses none of them.
    pub const fn with_background(mut self, background: &Background) -> Self {
        self.background = Some(*background);
        self
    }

    /// How long the log has to be idle, in milliseconds, before the background flusher seals it.
    pub const fn with_seal_after_ms(mut self, milliseconds: u64) -> Self {
        self.seal_after_ms = milliseconds;
        self
    }

    /// How long a flush of the store takes, in milliseconds, for it to be a slow one, which is
    /// [counted](crate::metrics::Metrics::slow_fsyncs); a second if nothing is said. With 0 every one is.
    pub const fn with_slow_flush_ms(mut self, milliseconds: u64) -> Self {
        self.slow_flush_ms = milliseconds;
        self
    }

    /// See [`with_max_record_size`](Self::with_max_record_size).
    #[must_use]
    pub const fn max_record_size(&self) -> u32 {
        self.max_record_size
    }

    /// See [`with_recovery_policy`](Self::with_recovery_policy).
    #[must_use]
    pub const fn recovery_policy(&self) -> RecoveryPolicy {
        self.recovery_policy
    }

    /// See [`with_open_policy`](Self::with_open_policy).
    #[must_use]
    pub const fn open_policy(&self) -> OpenPolicy {
        self.open_policy
    }

    /// See [`with_durability`](Self::with_durability).
    #[must_use]
    pub const fn durability(&self) -> Durability {
        self.durability
    }

    /// See [`with_staging`](Self::with_staging).
    #[must_use]
    pub const fn staging(&self) -> Staging {
        self.staging
    }

    /// See [`with_staging_bytes`](Self::with_staging_bytes).
    #[must_use]
    pub const fn staging_bytes(&self) -> usize {
        self.staging_bytes
    }

    /// See [`with_background_flush`](Self::with_background_flush).
    #[must_use]
    pub const fn background_flush(&self) -> bool {
        self.background_flush
    }

    /// What was given to [`with_background`](Self::with_background).
    #[must_use]
    pub const fn background(&self) -> Option<Background> {
        self.background
    }

    /// See [`with_seal_after_ms`](Self::with_seal_after_ms).
    #[must_use]
    pub const fn seal_after_ms(&self) -> u64 {
        self.seal_after_ms
    }

    /// See [`with_slow_flush_ms`](Self::with_slow_flush_ms).
    #[must_use]
    pub const fn slow_flush_ms(&self) -> u64 {
        self.slow_flush_ms
    }

    /// Has the log put cuts into a table when the manifest holds this many epochs, 4 at least, for tests of that.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub const fn with_timeline_entries(mut self, entries: u16) -> Self {
        self.timeline_entries = entries;
        self
    }

    /// How the timeline of a log may grow, in a store with so many slots.
    pub(crate) fn timeline_room(&self, slots: usize) -> Room {
        Room {
            entries: usize::from(self.timeline_entries).clamp(4, MAX_EPOCHS),
            table: slots > 3,
        }
    }

    /// Whether every setting is in its range.
    pub(crate) fn check(&self) -> Result<()> {
        let (staging, limit) = (self.staging_bytes, self.max_record_size);
        let what = if !staging.is_power_of_two() || !(64 << 10..=1 << 30).contains(&staging) {
            format!("staging of {staging} bytes: it has to be a power of two from 64 KiB to 1 GiB")
        } else if limit == 0 || limit > MAX_PAYLOAD {
            format!("a record limit of {limit} bytes: it has to be from 1 to {MAX_PAYLOAD}")
        } else {
            return Ok(());
        };
        Err(WalError::Config { what })
    }

    /// The threads that it shares, those of this process.
    pub(crate) fn pool(&self) -> Option<&'static Pool> {
        self.background
            .filter(|_| self.background_flush)
            .map(|background| background.pool())
    }

    pub(crate) const fn slow_flush(&self) -> Duration {
        Duration::from_millis(self.slow_flush_ms)
    }

    pub(crate) const fn seal_after(&self) -> Duration {
        Duration::from_millis(self.seal_after_ms)
    }
}

impl Default for WalConfig {
    fn default() -> Self {
        Self::new()
    }
}
