//! Where the bytes live.

pub(crate) mod copy;
#[cfg_attr(not(unix), path = "dir_path.rs")]
mod dir;
mod file;
mod files;
pub(crate) mod fs;
mod holder;
mod latch;
mod memory;
pub(crate) mod place;
mod recognised;
mod segmented;
mod side;
pub(crate) mod sys;
mod table;
mod wal_db_1;

use std::{fmt, fs::File, io, path::PathBuf, sync::Arc};

pub use file::FileStore;
pub(crate) use file::lock;
pub(crate) use holder::writer;
pub(crate) use latch::{Latched, read_full};
pub use memory::MemStore;
pub use segmented::SegmentedStore;
pub(crate) use segmented::{segment_index, segment_name};
pub(crate) use side::{Reading, side_error};
pub use side::{SideFile, SideFiles};
pub(crate) use sys::{System, is_not_a_file};

/// What a log is stored in: the stream, bytes that grow at their end, and two small slots beside it.
///
/// The log writes the stream in order and never puts other bytes where a [`sync`](Self::sync) has covered some. Zeros
/// may be written ahead of what is to come, and recovery may write the same bytes again.
///
/// Once a `write_at`, `sync`, `prepare`, `truncate` or `write_slot` has failed, none of these is called again, because
/// nobody can know whether another try covers what the first one lost. A `write_at` or `prepare` that fails because
/// space is missing is the exception: it is tried again when there may be some. Reading, giving space back and
/// [`close`](Self::close) go on.
///
/// A store that can run out of space says so in [`prepare`](Self::prepare), with an error of the kind
/// [`StorageFull`](io::ErrorKind::StorageFull), [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) or
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge): the record is then refused before it is taken. The same error from
/// `write_at` comes too late for that. A record that waits in staging memory is written again later; one that does not
/// (see [`Staging`](crate::Staging)) is in doubt, and the log is poisoned.
///
/// Bytes that were never written, or that [`truncate`](Self::truncate) removed, read as zero or as the end.
///
/// An error is whatever the medium says, unless a method asks for one of its own.
///
/// A store must be safe to use from several threads at once. A method that forks the process must not return in the
/// child: the log has locks then, and what it is doing is half done. Implementations need the seven methods that have
/// no default; see the example `custom_store`.
pub trait WalStore: Send + Sync + 'static {
    /// Where the store keeps its bytes: the errors of the log name it.
    fn location(&self) -> Option<PathBuf> {
        None
    }

    /// Takes the bytes for one log that writes, until the store is closed or dropped. Called before anything else when a
    /// log is opened for writing, and not for one that is opened for reading only.
    ///
    /// Two logs that write the same bytes destroy each other, and nothing but the store can keep them apart. One that
    /// nobody else can have, or that was locked when it was made, has nothing to do here.
    ///
    /// # Errors
    /// Of the kind [`ResourceBusy`](io::ErrorKind::ResourceBusy) if another log has them: opening then fails with
    /// [`WalError::Locked`](crate::WalError::Locked).
    fn lock(&self) -> io::Result<()> {
        Ok(())
    }

    /// Reads from `pos` on, and returns how much was read: 0 at the end and after it. Less than `buf` holds is no end;
    /// the log reads on from there.
    ///
    /// # Errors
    /// Whatever the medium says; nothing is assumed about `buf` then.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Where the first byte from `pos` on may be that is not zero; `u64::MAX` if there is none. So what was taken and never
    /// written need not be read: the log asks after it has read many zeros in a row.
    ///
    /// # Errors
    /// Whatever the medium says; it is read then.
    fn next_data(&self, pos: u64) -> io::Result<u64> {
        Ok(pos)
    }

    /// Writes all of `bytes` at `pos`. What it wrote survives the process, if the store is one that does.
    ///
    /// # Errors
    /// Whatever the medium says; any part may have been written then.
    fn write_at(&self, pos: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns once everything that was written before the call survives power loss.
    ///
    /// # Errors
    /// Whatever the medium says. The log is poisoned then: sync is not tried again.
    fn sync(&self) -> io::Result<()>;

    /// The end: no byte at or after it exists.
    fn len(&self) -> io::Result<u64>;

    /// Whether no byte exists.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes everything from `len` on, durably.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// The bytes that were last written to a slot, and whatever follows them; none or zeros if it never was.
    fn read_slot(&self, slot: usize) -> io::Result<Vec<u8>>;

    /// Replaces a slot, durably. A crash may damage this slot but not another. The first one may come before
    /// [`attach`](Self::attach).
    fn write_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()>;

    /// How many slots there are: 2, or 4. A log with more suffix truncations than a manifest has room for keeps a table of
    /// the older ones in slots 2 and 3, 24 bytes each; a store with two slots holds 2,046 of them.
    fn slots(&self) -> usize {
        2
    }

    /// Tells the store which log it holds, before the stream is read or written. For stores that keep a header of their
    /// own. A handle that only reads says it again when it finds that the log was truncated: names may stand for other
    /// files then.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if what it holds is another log's.
    fn attach(&self, _log: &Identity) -> io::Result<()> {
        Ok(())
    }

    /// How many bytes of the stream a segment holds, for a store that keeps it in segments. Then
    /// [`write_slot`](Self::write_slot) may run beside [`sync`](Self::sync), and must not take the report of an error
    /// away from it.
    fn segment_len(&self) -> Option<u64> {
        None
    }

    /// Makes room up to `end` at least, so that writing there cannot run out of space; returns how far there is room
    /// now. A thread of its own calls it ahead of the records, and so does an append that finds no room. Less than
    /// `end` is taken for "full".
    ///
    /// # Errors
    /// An error that means "full" is passed on as [`WalError::Full`](crate::WalError::Full) and tried again later.
    fn prepare(&self, _end: u64) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// How many bytes are made ready ahead of the records, at least.
    fn prepare_step(&self) -> u64 {
        4 << 20
    }

    /// Whether writing zeros ahead of use makes later flushes cheaper, as it does for files whose blocks are
    /// allocated and not written.
    fn likes_zeros_ahead(&self) -> bool {
        false
    }

    /// May give back the space of everything before `pos`; it will not be read again.
    ///
    /// # Errors
    /// Whatever the medium says; called again later.
    fn truncate_before(&self, _pos: u64) -> io::Result<()> {
        Ok(())
    }

    /// May give back the space of the bytes from `start` to `end`; they will not be read again.
    ///
    /// # Errors
    /// Whatever the medium says; not called again.
    fn discard(&self, _start: u64, _end: u64) -> io::Result<()> {
        Ok(())
    }

    /// Keeps bytes that are about to be cut off, durably, for somebody to look at; returns where.
    fn keep_aside(&self, _pos: u64, _bytes: &mut dyn io::Read) -> io::Result<Option<PathBuf>> {
        Ok(None)
    }

    /// A file that can be mapped as staging memory, opened for reading and writing: the one that is there; or, if
    /// `create` is set, a new and empty one in its place. What others have mapped stays theirs then. It is used if a
    /// store into its mapping cannot need space, see [`Staging`](crate::Staging), and removed otherwise.
    fn staging_file(&self, _create: bool) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// Looks again at the file that holds the byte at `pos`, as it is there now: that it has its name, and that its header
    /// says what it should. For stores that keep headers of their own; [`Wal::verify`](crate::Wal::verify) asks.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is not the one that belongs there.
    fn check_file(&self, _pos: u64) -> io::Result<()> {
        Ok(())
    }

    /// The file that holds the byte at `pos`, for people.
    fn file_at(&self, _pos: u64) -> Option<PathBuf> {
        None
    }

    /// The log was closed, though handles of it may still be there and read. A store that excludes a second log lets go
    /// of the bytes here, and when it is dropped.
    fn close(&self) {}

    /// Where the staging file is, if it is there; or why there is none.
    ///
    /// # Errors
    /// Why the log has no staging file.
    fn staging_place(&self) -> Result<PathBuf, String> {
        Err("the store has no file for it".to_owned())
    }

    /// Removes the staging file, if it is there.
    fn remove_staging(&self) -> io::Result<()> {
        Ok(())
    }

    /// Files beside the log, for a store that can keep some: snapshots of a [state](crate::state) are in them.
    fn side_files(&self) -> Option<Arc<dyn SideFiles>> {
        None
    }

    /// Which boot of which machine this is, if it is known: what the staging file holds is whole only if it was put there
    /// since. By default the system is asked.
    fn boot_id(&self) -> Option<[u8; 16]> {
        sys::boot_id()
    }
}

/// Which log a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The log's random id.
    pub log_id: [u8; 16],
    /// The first byte that has not been given back by [`WalStore::truncate_before`].
    pub head: u64,
    /// The highest segment that was made ready; a store without segments ignores it.
    pub newest_segment: u64,
    /// Whether the log is open for reading only.
    pub read_only: bool,
    /// With `read_only`, whether its writer may be at work: then a directory that the writer changes is better not listed,
    /// for that makes it wait.
    pub in_use: bool,
}

/// What is wrong with a segment file; the source of an `InvalidData` error of the file stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFault {
    Missing {
        segment: u64,
    },
    Wrong {
        segment: u64,
    },
    Version {
        version: u32,
    },
    /// A name that the log would use next, and no segment of it.
    Foreign {
        segment: u64,
    },
}

impl StoreFault {
    pub(crate) fn of(error: &io::Error) -> Option<StoreFault> {
        error.get_ref()?.downcast_ref::<StoreFault>().copied()
    }

    fn error(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreFault::Missing { segment } => write!(f, "segment {segment} is missing"),
            StoreFault::Wrong { segment } => write!(f, "segment {segment} is not the one that belongs here"),
            StoreFault::Foreign { segment } => write!(f, "segment {segment} is somebody else's file"),
            StoreFault::Version { version } => write!(f, "unknown format version {version}"),
        }
    }
}

impl std::error::Error for StoreFault {}
