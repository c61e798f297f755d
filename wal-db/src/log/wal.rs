//! The handle of a log.

mod append;
mod consuming;
mod counting;
mod cut;
mod examined;
mod figures;
mod folding;
mod read;

use std::{path::Path, sync::Arc};

pub(crate) use self::{
    consuming::{ConsumerSeat, Consuming},
    counting::{Alone, Counting, Placed, There},
    folding::{Folding, StateName, States},
};
pub use self::{
    examined::{groups, segments, verify, writer},
    figures::Status,
    read::Start,
};
use super::{
    open::reader,
    read::view::View,
    report::RecoveryReport,
    write::{background::BackgroundWork, turn::Turn, writer::Writer},
};
use crate::{
    config::WalConfig,
    error::{Result, WalError},
    lsn::Lsn,
    storage::{FileStore, SegmentedStore, WalStore},
    sync::{Mutex, thread::JoinHandle},
};

/// An open log. Clones are handles of the same log, for any number of threads; the last one that goes closes it.
///
/// * [`append`](Self::append) returns when the record survives the **process**: a panic, an abort, `kill -9`.
/// * [`sync`](Self::sync) and its relatives return when it survives the **power**.
///
/// A log belongs to its process. In a forked child, every call on a handle that the parent opened gives
/// [`Poisoned`](crate::WalError::Poisoned), or [`InDoubt`](crate::WalError::InDoubt) for a record that the parent
/// appended, and dropping one does nothing; iterators and followers hand out what they had read. The child may open
/// other logs, and this one once the parent has closed it. If the parent dies instead, the child keeps the lock until
/// it ends or runs another program. As for every library in the child of a process with several threads, a lock of the
/// allocator may be held there by a thread that does not exist.
///
/// A child that is forked in the closure of [`append_in_place`](Self::append_in_place) must not use the bytes. One that
/// is forked in a callback of a [`Ticket`](crate::Ticket) calls no other callback; if it returns from there into a
/// thread of the log, that thread ends, and so does the child if it has started no other: with status 0, and without
/// running exit handlers. Starting a program disturbs nothing.
///
/// (With [`Staging::Heap`](crate::Staging::Heap) `append` promises nothing; with a store in memory nothing outlives
/// the process.)
///
/// ```
/// use wal_db::Wal;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("app.wal");
/// let wal = Wal::open(&path)?;
/// let lsn = wal.append(b"a state change")?;
/// wal.sync()?;
/// drop(wal);
///
/// let wal = Wal::open(&path)?;
/// for record in wal.iter()? {
///     let record = record?;
///     assert_eq!((record.lsn(), record.data()), (lsn, &b"a state change"[..]));
/// }
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[derive(Clone)]
pub struct Wal {
    owner: Arc<Owner>,
}

#[cfg(feature = "testing")]
pub(crate) type Watched = std::sync::Weak<Writer>;

/// What closes the log when the last handle goes. Iterators hold the view only, tickets and the background threads the
/// writer.
struct Owner {
    view: Arc<View>,
    /// `None` for a handle that only reads.
    writer: Option<Arc<Writer>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// # Opening
impl Wal {
    /// Opens the log in the file at `path`, or creates it.
    ///
    /// # Errors
    /// See [`open_with`](Self::open_with).
    pub fn open(path: impl AsRef<Path>) -> Result<Wal> {
        Self::open_with(path, WalConfig::new())
    }

    /// Opens the log in the file at `path` with settings, or creates it. What a crash left is recovered;
    /// [`recovery`](Self::recovery) tells what was found.
    ///
    /// # Errors
    /// Nothing has been changed when an error is returned, except by [`WalError::Io`](crate::WalError::Io) and
    /// [`WalError::Full`](crate::WalError::Full), which leave the log as good as it was.
    ///
    /// [`WalError::Locked`](crate::WalError::Locked): open for writing elsewhere.
    /// [`WalError::NotALog`](crate::WalError::NotALog): something else is there.
    /// [`WalError::UnsupportedVersion`](crate::WalError::UnsupportedVersion): written by a newer version.
    /// [`WalError::Corruption`](crate::WalError::Corruption): acknowledged records are damaged, of those that opening reads,
    /// after the log's last mark; see
    /// [`OpenPolicy`](crate::OpenPolicy), [`inspect`](crate::recovery::inspect) and [`salvage`](crate::recovery::salvage).
    /// [`WalError::Config`](crate::WalError::Config): a setting is out of its range.
    /// [`WalError::NoStagingSpace`](crate::WalError::NoStagingSpace): the disk has no space for the staging memory.
    pub fn open_with(path: impl AsRef<Path>, config: WalConfig) -> Result<Wal> {
        config.check()?;
        Self::with_store_and_config(FileStore::open(path)?, config)
    }

    /// Opens the log in the directory `dir`, in files of `segment_size` bytes, or creates it. Old segments can be
    /// dropped one by one, so this is the form for logs that are to stay bounded.
    ///
    /// The size of an existing log stays what it is; [`Status::segment_size`](crate::Status::segment_size) says it. Of
    /// a new one, sizes are rounded up to a multiple of 4 KiB, to 64 KiB at least, and 1 TiB is the most. With small
    /// ones a burst meets the speed of the disk early: appends wait when 8 to 16 segments are not flushed.
    ///
    /// # Errors
    /// See [`open_with`](Self::open_with).
    pub fn open_segmented(dir: impl AsRef<Path>, segment_size: u64) -> Result<Wal> {
        Self::open_segmented_with(dir, segment_size, WalConfig::new())
    }

    /// [`open_segmented`](Self::open_segmented) with settings.
    ///
    /// # Errors
    /// See [`open_with`](Self::open_with).
    pub fn open_segmented_with(dir: impl AsRef<Path>, segment_size: u64, config: WalConfig) -> Result<Wal> {
        config.check()?;
        Self::with_store_and_config(SegmentedStore::open(dir, segment_size)?, config)
    }

    /// Opens the log in a store of your own, or creates it.
    ///
    /// # Errors
    /// See [`open_with`](Self::open_with).
    pub fn with_store(store: impl WalStore) -> Result<Wal> {
        Self::with_store_and_config(store, WalConfig::new())
    }

    /// [`with_store`](Self::with_store) with settings.
    ///
    /// # Errors
    /// See [`open_with`](Self::open_with).
    pub fn with_store_and_config(store: impl WalStore, config: WalConfig) -> Result<Wal> {
        let writer = Writer::open(Box::new(store), config)?;
        let started = BackgroundWork::start(&writer).map_err(|error| writer.base.store.error(error));
        Ok(Wal {
            owner: Arc::new(Owner {
                view: writer.view.clone(),
                threads: Mutex::new(started?),
                writer: Some(writer),
            }),
        })
    }

    /// Opens the log at `path`, a file or a directory, for reading only. Nothing is locked and nothing is changed, so it
    /// works on a read-only file system and beside a writer in another process.
    ///
    /// Each call that reads looks again how far the log was written, so the handle keeps up with the writer, as a
    /// [`tail`](Self::tail) does. What waits in the writer's staging memory, or was left there by one that died, comes
    /// after what is in the store, up to the first record that is still being appended. Such records are not durable,
    /// as [`Status::durable`](crate::Status::durable) says. A truncation is reported as
    /// [`Truncated`](crate::WalError::Truncated) or [`CutBack`](crate::WalError::CutBack), never as damage.
    ///
    /// # Errors
    /// As for [`open_with`](Self::open_with), without `Locked` and `Full`.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Wal> {
        WalConfig::new().open_read_only(path)
    }

    pub(crate) fn with_store_to_read(store: Box<dyn WalStore>, config: WalConfig) -> Result<Wal> {
        Ok(Wal {
            owner: Arc::new(Owner {
                view: Arc::new(reader::open(store, config)?),
                writer: None,
                threads: Mutex::new(Vec::new()),
            }),
        })
    }

    /// What opening the log found and did.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.view().report
    }

    /// Makes everything durable and closes the log for all of its handles: the lock is free then, and whatever other
    /// handles, tickets, followers and iterators of it are left, the log can be opened again. Their calls give
    /// [`Closed`](crate::WalError::Closed); a follower or an iterator goes on to the end that it had, unless the next
    /// handle has removed something by then: that is `Closed` as well. Dropping the last handle closes as well, but
    /// cannot say whether it went well.
    ///
    /// # Errors
    /// As for [`sync`](Self::sync). The log takes nothing more in any case. After
    /// [`NotDurable`](crate::WalError::NotDurable) it stays locked while handles are left, and closing can be tried again.
    pub fn close(self) -> Result<()> {
        self.owner.close()
    }

    /// Copies the log as it is now to `path`, while it is in use: a file for a log in one file, else a directory, which is
    /// made if it is not there. The copy is durable, and all of it was read again and checked, before this returns.
    /// Nothing is written over. Returns where the copy ends: it holds every record before that LSN.
    ///
    /// A handle that writes makes durable what was appended before the call, and copies that. One that
    /// [only reads](Self::open_read_only), in another process than the writer, copies what it can read, staging memory
    /// included. Appends go on meanwhile. What is dropped from the beginning in the meantime is not in the copy; if the
    /// end is cut off, it is made again.
    ///
    /// See `docs/backup.md` for what other programs do to a log that they copy.
    ///
    /// # Errors
    /// [`WalError::Io`](crate::WalError::Io) of the kind `AlreadyExists` if something is at `path`,
    /// [`WalError::Corruption`](crate::WalError::Corruption) if a record is damaged, and as for [`sync`](Self::sync). No
    /// copy is left then.
    pub fn backup_to(&self, path: impl AsRef<Path>) -> Result<Lsn> {
        self.here()?
            .backup_to(path.as_ref(), || match &self.owner.writer {
                Some(writer) => writer.manifest_of_now(),
                None => self.view().manifest_of_view(),
            })
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.owner.view
    }

    /// The log, if this is the process that has opened it.
    fn here(&self) -> Result<&Arc<View>> {
        self.view().check_process()?;
        Ok(self.view())
    }

    /// What writes the log, whatever process this is.
    #[inline(always)]
    pub(super) fn writer(&self) -> Result<&Arc<Writer>> {
        match &self.owner.writer {
            Some(writer) => Ok(writer),
            None => self.no_writer(),
        }
    }

    #[cold]
    fn no_writer(&self) -> Result<&Arc<Writer>> {
        self.view().check_process().and(Err(WalError::ReadOnly))
    }

    #[cfg(feature = "testing")]
    pub(crate) fn watched(&self) -> Watched {
        let writer = self.owner.writer.as_ref();
        writer.map_or_else(Watched::new, Arc::downgrade)
    }
}

impl WalConfig {
    /// [`Wal::open_read_only`] with settings. Fails as [`Wal::open_read_only`].
    pub fn open_read_only(self, path: impl AsRef<Path>) -> Result<Wal> {
        let path = path.as_ref();
        let store = reader::read_only_store(path).map_err(|error| error.located(Some(path)))?;
        Wal::with_store_to_read(store, self)
    }
}

impl Owner {
    fn close(&self) -> Result<()> {
        self.view.check_process()?;
        // A flush waits for the closure of `append_in_place` to end, and this call would wait for the flush.
        if self.view.is_in_closure() {
            return Err(WalError::Reentrant);
        }
        let Some(writer) = &self.writer else {
            self.view.base.finish();
            return Ok(());
        };
        // Not locked while they are waited for: one may be in a callback that closes the log, too.
        let threads = std::mem::take(&mut *self.threads.lock());
        writer.background.stop(threads);
        // A flush that a background thread began has ended; what it left waiting is served by the close.
        drop(Turn::take(writer));
        writer.close()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.view.is_in_child() {
            // The threads are the parent's.
            std::mem::forget(std::mem::take(self.threads.get_mut()));
            return;
        }
        // Only `close` reports the outcome. What was acknowledged is safe either way.
        let _ = self.close();
    }
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wal")
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
