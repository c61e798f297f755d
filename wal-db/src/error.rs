//! What can go wrong, as facts with numbers.

mod consumer;
mod corruption;
mod holder;
mod io_error;
pub(crate) mod path_text;
mod snapshot;
mod typed;

use std::{
    error::Error,
    fmt, io, iter,
    path::{Path, PathBuf},
    sync::Arc,
};

use self::path_text::Of;
pub use self::{
    consumer::ConsumerError,
    corruption::{Corruption, CorruptionReason},
    holder::LockHolder,
    snapshot::SnapshotError,
    typed::TypedError,
};
use crate::{for_now::is_for_now, format::LogId, lsn::Lsn};

/// A `Result` of this crate.
pub type Result<T, E = WalError> = std::result::Result<T, E>;

/// Every error of the log. Misuse, damage and I/O are different variants.
///
/// Its text does not repeat that of its [`source`](Error::source). `Debug`, which is what `main` and `unwrap` print, is the
/// text and below it those of all sources. `path` is that of the log; `None` if its store has none.
#[derive(thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // `path`, which the text above names
pub enum WalError {
    /// The operating system refused a call. Nothing was changed, unless a variant below says so.
    #[error("I/O error{} while {context}", Of(" on ", path.as_deref()))]
    #[non_exhaustive]
    Io {
        /// What the log was doing.
        context: &'static str,
        /// The log, or the file beside it; `None` if its store has no path.
        path: Option<PathBuf>,
        /// What the system said.
        source: io::Error,
    },

    /// The record is longer than the log's limit. Nothing was appended.
    #[error(
        "record of {len} bytes exceeds the limit of {max} bytes; raise WalConfig::with_max_record_size or split it"
    )]
    #[non_exhaustive]
    RecordTooLarge {
        /// Bytes of the record.
        len: u64,
        /// The most that a record may have.
        max: u64,
    },

    /// The records of a batch are longer together than any batch may be. Nothing was appended.
    #[error(
        "a batch of {len} bytes, framing included, exceeds the {max} bytes that a batch may have; append it in parts"
    )]
    #[non_exhaustive]
    BatchTooLarge {
        /// Bytes of the batch.
        len: u64,
        /// The most that a batch may have.
        max: u64,
    },

    /// Bytes that were written are not what was written.
    #[error(transparent)]
    Corruption(#[from] Corruption),

    /// There is no space for the record. It was not taken, no LSN was used, and the log works again once there is
    /// space.
    ///
    /// A log in one file ends for good at the largest file that its file system takes: the kind is
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge) then, and no truncation helps. Go on in a log in segments.
    #[error("{}", no_space(*needed, *kind, path.as_deref()))]
    #[non_exhaustive]
    Full {
        /// Bytes that were asked for.
        needed: u64,
        /// What is exhausted: [`StorageFull`](io::ErrorKind::StorageFull),
        /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) or [`FileTooLarge`](io::ErrorKind::FileTooLarge).
        kind: io::ErrorKind,
        path: Option<PathBuf>,
    },

    /// There is no space for the staging memory, so the log was not opened. Nothing is left of what was made of it.
    #[error(
        "no space left for {bytes} bytes of staging memory, so the log{} was not opened; free some space, ask for less \
         with WalConfig::with_staging_bytes, or for none with Staging::WriteThrough",
        Of(" ", path.as_deref())
    )]
    #[non_exhaustive]
    NoStagingSpace {
        /// Bytes that were asked for.
        bytes: u64,
        path: Option<PathBuf>,
    },

    /// The records were taken and cannot be made durable at the moment: the disk is full, or a file cannot be opened. They
    /// wait in staging memory, survive the process as any that was appended does, and become durable with the next
    /// [`sync`](crate::Wal::sync) that finds space. Appending one again would have it in the log twice.
    #[error(
        "{} appended{} and {} not durable yet: {cause} and sync, do not append {} again",
        lsn.map_or_else(|| "records were".to_owned(), |lsn| format!("the record at LSN {lsn} was")),
        Of(" to ", path.as_deref()),
        if lsn.is_some() { "is" } else { "are" },
        if lsn.is_some() { "it" } else { "them" },
    )]
    #[non_exhaustive]
    NotDurable {
        /// The record that the call was about; `None` if it was about all of them.
        lsn: Option<Lsn>,
        /// What is missing, and what to do about it.
        cause: String,
        /// As in [`Full`](Self::Full) where the disk is full; another one, as the system has it, where a file cannot be
        /// opened: descriptors or a permission are missing.
        kind: io::ErrorKind,
        path: Option<PathBuf>,
    },

    /// A write or a flush failed: the record may or may not be in the log, now and after a crash. Reopen the log to find
    /// out.
    #[error(
        "the outcome is in doubt{}: {cause}; reopen the log{} to learn what is durable",
        lsn.map(|lsn| format!(" for the record at LSN {lsn}")).unwrap_or_default(),
        Of(" ", path.as_deref())
    )]
    #[non_exhaustive]
    InDoubt {
        /// The record that the call was about; `None` if it has no LSN yet, or the call was about all that were not durable.
        lsn: Option<Lsn>,
        /// The first failure.
        cause: String,
        path: Option<PathBuf>,
    },

    /// An earlier write or flush failed. The call did nothing: what it was to append was not taken. What was durable before
    /// the failure can still be read.
    ///
    /// Every call says so, too, in a child that was forked off the process that opened the log; see [`Wal`](crate::Wal).
    #[error("the log{} is poisoned by an earlier failure: {cause}; reopen it", Of(" ", path.as_deref()))]
    #[non_exhaustive]
    Poisoned {
        /// The first failure.
        cause: String,
        path: Option<PathBuf>,
    },

    /// Another handle, in this process or another, has the log open for writing.
    #[error("{} is open for writing {}; close that handle, or open read-only", path.display(), by(holder.as_ref()))]
    #[non_exhaustive]
    Locked {
        /// The file that is locked.
        path: PathBuf,
        /// The process that has it, where the system tells: on Linux, of a process that this one can see.
        holder: Option<LockHolder>,
    },

    /// What is there was not made by this crate. It was not touched.
    #[error("{} is not a log that can be opened: {reason}; it was not touched", path.display())]
    #[non_exhaustive]
    NotALog {
        /// The file or directory.
        path: PathBuf,
        /// What was found instead.
        reason: &'static str,
    },

    /// The log was written by a newer version of this crate, or uses a feature that this one does not have. It was
    /// not touched.
    #[error("{}", newer(*version, *features, path.as_deref()))]
    #[non_exhaustive]
    UnsupportedVersion {
        /// The version that is stored.
        version: u32,
        /// The feature bits that are not known.
        features: u32,
        path: Option<PathBuf>,
    },

    /// The LSN is not that of a record.
    #[error("no record starts at LSN {lsn}; Wal::iter_from goes on with the next one, if there is one")]
    #[non_exhaustive]
    NoSuchRecord {
        /// The LSN that was asked for.
        lsn: Lsn,
    },

    /// The record was removed by a truncation.
    #[error(
        "the record at LSN {lsn} was dropped; the log starts at LSN {head} now, and Wal::iter reads it from there"
    )]
    #[non_exhaustive]
    Truncated {
        /// The LSN that was asked for.
        lsn: Lsn,
        /// The first LSN that is still there.
        head: Lsn,
    },

    /// The position lies after the end of the log: it comes from another log, or from this one before it was restored
    /// from an older copy. Nothing was changed.
    #[error(
        "LSN {lsn} lies after the end of the log, LSN {end}; is it a position in another log or an older copy?"
    )]
    #[non_exhaustive]
    BeyondEnd {
        /// The LSN that was asked for.
        lsn: Lsn,
        /// The end of the log when it was asked for: the highest position that may be.
        end: Lsn,
    },

    /// The [`Position`](crate::Position) was taken in another log.
    #[error("the position is one in the log {}, and this is the log {}; open that one, or read this one from its head",
        hex(.position), hex(.log))]
    #[non_exhaustive]
    OtherLog {
        /// The id of the log that the position was taken in.
        position: [u8; 16],
        /// The id of this log.
        log: [u8; 16],
    },

    /// The [`Position`](crate::Position) was taken in this log, but after other records than it holds now.
    #[error(
        "what was read before LSN {lsn} is not what the log holds there: it was restored from an older copy, or lost \
         records that were not durable, and has grown differently since; read it from its head again"
    )]
    #[non_exhaustive]
    Diverged {
        /// The LSN of the position.
        lsn: Lsn,
    },

    /// The log was cut back to before what a follower has already delivered. It goes on with what came instead.
    #[error(
        "the log was cut back to LSN {kept_before}, before what was delivered; undo what came from there on, and go on at \
        LSN {next}"
    )]
    #[non_exhaustive]
    CutBack {
        /// Records from here on, of those that were delivered, are gone.
        kept_before: Lsn,
        /// Where the records start that came instead.
        next: Lsn,
    },

    /// The table of truncations is full; see `docs/format.md`, "Limits". Nothing was changed. That happens to a store of
    /// your own that has two slots; with four ([`WalStore::slots`](crate::WalStore::slots)) a log takes 4 million.
    #[error(
        "the log holds {count} suffix truncations, the most it can; give its store four slots (WalStore::slots), or \
         drop old records with truncate_before until their segment is gone"
    )]
    #[non_exhaustive]
    TooManyTruncations {
        /// How many there are.
        count: usize,
    },

    /// The handle was opened read-only.
    #[error("the log is open read-only; open it with Wal::open or Wal::open_segmented to change it")]
    ReadOnly,

    /// The log was closed.
    #[error("the log is closed; open it again")]
    Closed,

    /// The log was used inside a closure that its other users wait for, which others may be around or in between: that of
    /// its own [`Wal::append_in_place`](crate::Wal::append_in_place), or one that reads, decides or applies in a
    /// [`Store`](crate::state::Store) or [`Entities`](crate::state::Entities) of it.
    #[error(
        "the log was used inside a closure that it waits for (of append_in_place or a state); finish that first"
    )]
    Reentrant,

    /// The call would have to wait, and is one that does not: [`Wal::try_append`](crate::Wal::try_append) and its relatives.
    /// Nothing was appended.
    #[error("it would have to wait: {what}; try again, or call what waits")]
    #[non_exhaustive]
    Busy {
        /// For what.
        what: &'static str,
    },

    /// A state panicked when it took in an event. The event is in the log, and the next use folds the state again. If that panics,
    /// too, a [`Store`](crate::state::Store) says so until the end of the log is cut off, and entities try each time.
    #[error(
        "the state panicked when it applied the event at LSN {lsn}: {message}; mend `State::apply`, which has to take \
        every event of the log, and start the program again"
    )]
    #[non_exhaustive]
    ApplyPanicked {
        /// The event.
        lsn: Lsn,
        /// Whether it was in the log before the call, which has appended nothing then. Otherwise it is one that the call
        /// has appended.
        replaying: bool,
        /// What it panicked with, if that is text.
        message: String,
    },

    /// A [projection](crate::state::Projection) follows the log no more. Make it again once what it says is mended.
    #[error("the projection follows the log no more")]
    #[non_exhaustive]
    ProjectionEnded {
        /// Why that is.
        #[source]
        why: Arc<WalError>,
    },

    /// A state cannot be made: records were dropped from the beginning of the log, and no
    /// [snapshot](crate::state::StoreConfig::with_snapshots) of it can be used. What is left would make another state.
    #[error(
        "the state `{name}` cannot be made: the log begins at LSN {head}, and no snapshot can be used{}; open it with the \
        program that made one, or restore a backup",
        if tried.is_empty() { " (there is none)" } else { tried }
    )]
    #[non_exhaustive]
    HistoryMissing {
        /// The name of the state.
        name: String,
        /// The first LSN that is still there.
        head: Lsn,
        /// The snapshots that were tried, a line each, and what is wrong with them.
        tried: String,
    },

    /// A state is not the fold of its events: what was made of some of them before is not what is made of them now. Nothing
    /// was changed.
    #[error(
        "the state is not the fold of its events: from LSN {after} to LSN {upto}, folding them again makes another one; \
        `State::apply` has changed without `State::REVISION`, or depends on something else than its events"
    )]
    #[non_exhaustive]
    StateDiffers {
        /// Up to this LSN, both are the same.
        after: Lsn,
        /// At this LSN, they are not.
        upto: Lsn,
    },

    /// Another store of the log makes the snapshots of the state.
    #[error(
        "a store of this log makes the snapshots of the state `{name}` already; clone that one, or take another name"
    )]
    #[non_exhaustive]
    StoreExists {
        /// The name of the state.
        name: String,
    },

    /// A snapshot was written and cannot be read again as the state that it was made of. There is no such file.
    #[error(
        "a snapshot of the state `{name}` cannot be read again: mend the serde implementations of the state"
    )]
    #[non_exhaustive]
    SnapshotNotReadable {
        /// The name of the state.
        name: String,
        /// What is wrong with it.
        source: Box<SnapshotError>,
    },

    /// A [condition](crate::index::Condition) does not hold. Nothing was appended. Read again what it is about, and decide
    /// again.
    #[error("the condition does not hold: {what}; read again, and decide again")]
    #[non_exhaustive]
    Conflict {
        /// The newest record that is in the way; `None` if one is missing.
        lsn: Option<Lsn>,
        /// What is there that should not be, or is missing.
        what: String,
    },

    /// The [command](crate::index::Condition::command) was carried out before. Nothing was appended.
    #[error("the command was carried out before: its first event is at LSN {lsn}")]
    #[non_exhaustive]
    Duplicate {
        /// Its first event that is in the log.
        lsn: Lsn,
    },

    /// A setting is out of its range.
    #[error("{what}")]
    #[non_exhaustive]
    Config {
        /// Which one, and what it may be.
        what: String,
    },

    /// A typed record could not be written or read.
    #[error(transparent)]
    Typed(#[from] TypedError),

    /// A consumer cannot be used, or has stopped.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
}

impl WalError {
    pub(crate) fn io(context: &'static str) -> impl FnOnce(io::Error) -> WalError {
        move |source| WalError::Io {
            context,
            path: None,
            source,
        }
    }

    pub(crate) fn full(needed: u64, error: &io::Error) -> WalError {
        WalError::Full {
            needed,
            kind: error.kind(),
            path: None,
        }
    }

    pub(crate) fn newer(version: u32, features: u32) -> WalError {
        WalError::UnsupportedVersion {
            version,
            features,
            path: None,
        }
    }

    /// Says which log it is about, unless it says so already.
    pub(crate) fn located(mut self, log: Option<&Path>) -> WalError {
        let Some(log) = log else {
            return self;
        };
        match &mut self {
            WalError::Io { path, .. }
            | WalError::Full { path, .. }
            | WalError::NotDurable { path, .. }
            | WalError::InDoubt { path, .. }
            | WalError::Poisoned { path, .. }
            | WalError::NoStagingSpace { path, .. }
            | WalError::UnsupportedVersion { path, .. } => {
                path.get_or_insert_with(|| log.to_owned());
            }
            WalError::Corruption(damage) => {
                damage.log.get_or_insert_with(|| Arc::new(log.to_owned()));
            }
            _ => {}
        }
        self
    }
}

impl fmt::Debug for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_sources(self, f)
    }
}

/// The text of an error, and below it that of each source.
pub(crate) fn with_sources(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    sources(error).try_for_each(|source| write!(f, "\n  caused by: {source}"))
}

/// What an error came from, and what that came from.
pub(crate) fn sources(error: &dyn Error) -> impl Iterator<Item = &dyn Error> {
    iter::successors(error.source(), |&error| error.source())
}

fn no_space(needed: u64, kind: io::ErrorKind, path: Option<&Path>) -> String {
    let log = Of(" in ", path);
    match kind {
        io::ErrorKind::FileTooLarge => format!(
            "no space left{log} for {needed} more bytes, nothing was appended: the file is as long as its file system or a \
             limit of the process (ulimit -f) lets it be, whatever is dropped from its beginning; raise the limit, or go \
             on in a log in segments (Wal::open_segmented, Record::append_to)"
        ),
        io::ErrorKind::QuotaExceeded => format!(
            "no space left{log} for {needed} more bytes, nothing was appended: the quota is used up; free some space or \
             raise it, and append again"
        ),
        _ => format!(
            "no space left{log} for {needed} more bytes, nothing was appended; free some space and append again"
        ),
    }
}

fn newer(version: u32, features: u32, path: Option<&Path>) -> String {
    let (log, read) = (Of(" ", path), crate::format::FORMAT_VERSION);
    let what = if version == read {
        format!("uses features that this release does not know ({features:#x})")
    } else {
        format!("has format version {version}, and this release reads version {read}")
    };
    format!("the log{log} {what}; open it with the release that wrote it or a later one; it was not touched")
}

impl WalError {
    /// Whether nothing was changed and the call may work later.
    pub(crate) fn is_for_now(&self) -> bool {
        match self {
            WalError::Full { .. } => true,
            WalError::Io { source, .. } => is_for_now(source),
            _ => false,
        }
    }

    /// For calls that append nothing: what cannot be done at the moment is about records that were taken before.
    pub(crate) fn of_what_was_taken(self) -> WalError {
        self.about_taken(None)
    }

    fn about_taken(self, lsn: Option<Lsn>) -> WalError {
        match self {
            WalError::Full { needed, kind, path } => WalError::NotDurable {
                lsn,
                cause: format!("no space left for {needed} more bytes; free some space"),
                kind,
                path,
            },
            WalError::Io {
                context,
                path,
                source,
            } if is_for_now(&source) => WalError::NotDurable {
                lsn,
                cause: format!("{context} failed, {source}; mend that"),
                kind: source.kind(),
                path,
            },
            error => error,
        }
    }

    /// For calls that fail before they take a record: of that nothing is in doubt.
    pub(crate) fn of_nothing_taken(self) -> WalError {
        match self {
            WalError::InDoubt { cause, path, .. } => WalError::Poisoned { cause, path },
            error => error,
        }
    }

    /// Says that an outcome is about no record of the caller's.
    pub(crate) fn about_none(mut self) -> WalError {
        if let WalError::InDoubt { lsn, .. } | WalError::NotDurable { lsn, .. } = &mut self {
            *lsn = None;
        }
        self
    }

    /// Says which record an outcome is about. What was appended before the log failed is in doubt, however late the
    /// question comes.
    pub(crate) fn about(self, record: Lsn) -> WalError {
        let lsn = Some(record);
        match self {
            WalError::InDoubt { cause, path, .. } | WalError::Poisoned { cause, path } => {
                WalError::InDoubt { lsn, cause, path }
            }
            WalError::NotDurable {
                cause, kind, path, ..
            } => WalError::NotDurable {
                lsn,
                cause,
                kind,
                path,
            },
            error => error.about_taken(lsn),
        }
    }
}

fn by(holder: Option<&LockHolder>) -> String {
    match holder {
        None => "elsewhere".to_owned(),
        Some(holder) if holder.pid == std::process::id() => "elsewhere in this process".to_owned(),
        Some(holder) => format!("by {holder}"),
    }
}

fn hex(id: &[u8; 16]) -> LogId {
    LogId(*id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::for_now::ForNow;

    #[test]
    fn each_text_says_what_the_others_do_not_and_debug_is_all_of_them() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        for source in [denied(), ForNow::error(denied())] {
            let error = WalError::io("opening the log")(source).located(Some(Path::new("/srv/log")));
            assert_eq!(
                format!("{error:?}"),
                "I/O error on /srv/log while opening the log\n  caused by: permission denied"
            );
        }
    }
}
