//! Between the errors of a log and those of `std::io`.

use std::io;

use super::WalError;

impl WalError {
    /// The kind of the I/O error that says the same.
    fn kind(&self) -> io::ErrorKind {
        use io::ErrorKind;
        match self {
            WalError::Io { source, .. } => source.kind(),
            WalError::Full { kind, .. } | WalError::NotDurable { kind, .. } => *kind,
            WalError::NoStagingSpace { .. } => ErrorKind::StorageFull,
            WalError::Locked { .. } => ErrorKind::ResourceBusy,
            WalError::Busy { .. } => ErrorKind::WouldBlock,
            WalError::ReadOnly => ErrorKind::ReadOnlyFilesystem,
            WalError::NoSuchRecord { .. } | WalError::Truncated { .. } => ErrorKind::NotFound,
            WalError::RecordTooLarge { .. }
            | WalError::BatchTooLarge { .. }
            | WalError::BeyondEnd { .. }
            | WalError::OtherLog { .. }
            | WalError::Diverged { .. }
            | WalError::Config { .. } => ErrorKind::InvalidInput,
            WalError::Corruption(_)
            | WalError::NotALog { .. }
            | WalError::UnsupportedVersion { .. }
            | WalError::Typed(_) => ErrorKind::InvalidData,
            _ => ErrorKind::Other,
        }
    }
}

/// For programs whose own errors are [`io::Error`]s: the kind that fits best, with the [`WalError`] as its source.
///
/// ```
/// use std::io;
/// use wal_db::{MemStore, Wal};
/// fn log() -> io::Result<()> {
///     let wal = Wal::with_store(MemStore::new())?;
///     wal.append_and_sync(b"a record")?;
///     Ok(())
/// }
/// # log().unwrap();
/// ```
impl From<WalError> for io::Error {
    fn from(error: WalError) -> Self {
        io::Error::new(error.kind(), error)
    }
}

impl From<io::Error> for WalError {
    fn from(source: io::Error) -> Self {
        WalError::io("using the log")(source)
    }
}
