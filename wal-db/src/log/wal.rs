//! The handle of a log.

use std::{ops::RangeBounds, path::Path, sync::Arc, time::SystemTime};

use super::{
    background::Background,
    commit::Turn,
    core::Core,
    cursor::Cursor,
    dictionary::{Described, Entry},
    inspect::{self, Inspection},
    iter::{self, RevIter, WalIter},
    record::Record,
    report::{RecoveryReport, VerifyReport},
    salvage::{self, Salvage},
    tail::Tail,
    ticket::Ticket,
    truncate::Retention,
    verify,
};
use crate::{
    config::{StagingInUse, WalConfig},
    error::{Result, WalError},
    format::{GROUP_HEADER_LEN, Kind},
    lsn::Lsn,
    position::Position,
    storage::{FileStore, SegmentedStore, System, WalStore},
    sync::{Mutex, thread::JoinHandle},
};

/// An open log. Clones are handles of the same log, for any number of threads; the last one that goes closes it.
///
/// * [`append`](Self::append) returns when the record survives the **process**: a panic, an abort, `kill -9`.
/// * [`sync`](Self::sync) and its relatives return when it survives the **power**.
///
/// A log is its process's own. In a child that was forked off, every call on a handle that the parent opened gives
/// [`Poisoned`](crate::WalError::Poisoned), or [`InDoubt`](crate::WalError::InDoubt) for a record that the parent appended,
/// and dropping one does nothing; iterators and followers hand out what they had read. The child may open other logs, and this
/// one once the parent has closed it. (If the parent dies instead, the child keeps the lock as long as it has the files
/// open: that is until it ends, or runs another program. And what holds for every library in the child of a process with
/// several threads holds for a log that is opened there: a lock that is shared by all locks of a process, such as that of
/// the allocator or of `parking_lot`'s waiting threads, may be held by a thread that is not there.)
///
/// A child that is forked in the closure of [`append_with`](Self::append_with) must not use the bytes. One that is forked
/// in a callback of a [`Ticket`](crate::Ticket) calls no other callback, and where it comes back out of it into a thread of
/// the log, that thread ends; so does the child, with the status 0 and without anything that happens at an exit, if it has
/// started no other. Starting a program is no such fork, and disturbs nothing.
///
/// (With [`Staging::Heap`](crate::Staging::Heap) `append` promises nothing; with a store in memory nothing outlives
/// the process.)
///
/// ```
/// use wal_db::Wal;
///
/// # fn main() -> Result<(), wal_db::WalError> {
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
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Wal {
    owner: Arc<Owner>,
}

/// What closes the log when the last handle goes. Iterators, tickets and the background threads hold the core only.
struct Owner {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Figures of an open log, from [`Wal::stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes of the log from its first record on, framing included, without what was cut off its end.
    pub bytes: u64,
    /// Records in the store.
    pub records: u64,
    /// Bytes that were appended and are not in the store yet.
    pub staged_bytes: u64,
    /// Bytes that were appended and are not durable yet.
    pub undurable_bytes: u64,
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
    /// [`OpenPolicy`](crate::OpenPolicy), [`inspect`](Self::inspect) and [`salvage`](Self::salvage).
    /// [`WalError::Config`](crate::WalError::Config): a setting is out of its range.
    /// [`WalError::NoStagingSpace`](crate::WalError::NoStagingSpace): the disk has no space for the staging memory.
    pub fn open_with(path: impl AsRef<Path>, config: WalConfig) -> Result<Wal> {
        config.check()?;
        Self::with_store_and_config(FileStore::open(path)?, config)
    }

    /// Opens the log in the directory `dir`, in files of `segment_size` bytes, or creates it. Old segments can be
    /// dropped one by one, so this is the form for logs that are to stay bounded.
    ///
    /// The size of an existing log stays what it is; [`segment_size`](Self::segment_size) says it. Of a new one, sizes are
    /// rounded up to a multiple of 4 KiB, to 64 KiB at least, and 1 TiB is the most. With small ones a burst meets the speed
    /// of the disk early: appends wait when 8 to 16 segments are not flushed.
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
        Self::start(Core::open(Box::new(store), config, false)?)
    }

    /// Opens the log at `path`, a file or a directory, for reading only. Nothing is locked and nothing is changed, so it
    /// works on a read-only file system and beside a writer in another process.
    ///
    /// Each call that reads looks again how far the log was written, so the handle keeps up with the writer, as a
    /// [`tail`](Self::tail) does. What waits in the writer's staging memory, or was left there by one that died, is
    /// shown after what is in the store, up to the first record that is being appended: such records are not durable,
    /// as [`durable_lsn`](Self::durable_lsn) says, and [`recovery`](Self::recovery) counts those that were there when
    /// the log was opened. A truncation is heard of as [`Truncated`](crate::WalError::Truncated) or
    /// [`CutBack`](crate::WalError::CutBack), never as damage.
    ///
    /// # Errors
    /// As for [`open_with`](Self::open_with), without `Locked` and `Full`.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Wal> {
        Self::open_read_only_with(path, WalConfig::new())
    }

    /// [`open_read_only`](Self::open_read_only) with settings.
    ///
    /// # Errors
    /// As for [`open_read_only`](Self::open_read_only).
    pub fn open_read_only_with(path: impl AsRef<Path>, config: WalConfig) -> Result<Wal> {
        let path = path.as_ref();
        let store = inspect::read_only_store(path).map_err(|error| error.located(Some(path)))?;
        Self::with_store_to_read(store, config)
    }

    pub(crate) fn with_store_to_read(store: Box<dyn WalStore>, config: WalConfig) -> Result<Wal> {
        Self::start(Core::open(store, config, true)?)
    }

    fn start(core: Core) -> Result<Wal> {
        let core = Arc::new(core);
        let started = Background::start(&core).map_err(|error| core.base.store.error(error));
        let threads = Mutex::new(started?);
        Ok(Wal {
            owner: Arc::new(Owner { core, threads }),
        })
    }

    /// What opening the log found and did.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.core().report
    }

    /// How many bytes opening cut off the end: residue of a crash.
    #[must_use]
    pub fn truncated_on_open(&self) -> u64 {
        self.recovery().cut.as_ref().map_or(0, |cut| cut.end - cut.start)
    }

    /// Makes everything durable and closes the log for all of its handles: the lock is free then, and whatever other
    /// handles, tickets, followers and iterators of it are left, the log can be opened again. Their calls give
    /// [`Closed`](crate::WalError::Closed); a follower or an iterator goes on to the end that it had, unless whoever opens the
    /// log next has taken something away by then: that is `Closed` as well. Dropping the last handle
    /// closes as well, but cannot say whether it went well.
    ///
    /// # Errors
    /// As for [`sync`](Self::sync). The log takes nothing more in any case. After
    /// [`NotDurable`](crate::WalError::NotDurable) it stays locked while handles are left, and closing can be tried again.
    pub fn close(self) -> Result<()> {
        self.owner.close()
    }

    /// Looks at the log at `path` without opening it, whatever state it is in. Reads what opening would read, the end of the
    /// log; [`verify`](Self::verify) and [`salvage`](Self::salvage) read all of it. Changes nothing.
    ///
    /// # Errors
    /// [`WalError::NotALog`](crate::WalError::NotALog),
    /// [`WalError::UnsupportedVersion`](crate::WalError::UnsupportedVersion) and [`WalError::Io`](crate::WalError::Io);
    /// damage is what it reports.
    pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection> {
        let path = path.as_ref();
        inspect::inspect(Arc::new(System), path).map_err(|error| error.located(Some(path)))
    }

    /// Reads every record that is still intact in the log at `path`, in order, across damage, with or without a
    /// manifest. Changes nothing. What is in staging memory only comes last.
    ///
    /// The path of a file that keeps what was cut off a log ([`Cut::kept_at`](crate::Cut::kept_at)) will do as well, as long
    /// as it lies where it was made: the records in it come with the LSNs that they had.
    ///
    /// It works beside a writer: a place is called damaged only if it still is after whatever came later was seen, and the
    /// manifest still names it.
    ///
    /// # Errors
    /// [`WalError::NotALog`](crate::WalError::NotALog) if nothing tells which log it is, and
    /// [`WalError::Io`](crate::WalError::Io).
    pub fn salvage(path: impl AsRef<Path>) -> Result<Salvage> {
        let path = path.as_ref();
        salvage::salvage(Arc::new(System), path).map_err(|error| error.located(Some(path)))
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
        self.here()?.backup_to(path.as_ref())
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.owner.core
    }

    /// The log, if this is the process that has opened it.
    fn here(&self) -> Result<&Arc<Core>> {
        self.core().check_process()?;
        Ok(self.core())
    }
}

/// # Appending
impl Wal {
    /// Appends a record and returns its LSN. The record survives the process now, and the power after the next
    /// [`sync`](Self::sync).
    ///
    /// It waits for a flush when the staging memory or the backlog of what is written and not flushed is full.
    ///
    /// # Errors
    /// The record was not taken: [`RecordTooLarge`](crate::WalError::RecordTooLarge),
    /// [`Full`](crate::WalError::Full) (try again when there is space), [`Poisoned`](crate::WalError::Poisoned),
    /// [`Closed`](crate::WalError::Closed), [`ReadOnly`](crate::WalError::ReadOnly),
    /// [`Reentrant`](crate::WalError::Reentrant). With a store that is written through, or a record of more than
    /// 64 KiB, also [`InDoubt`](crate::WalError::InDoubt): it may have been taken.
    #[inline]
    pub fn append(&self, record: &[u8]) -> Result<Lsn> {
        self.core()
            .append(Kind::Data, record)
            .map(|(pos, _)| Lsn::from_pos(pos))
    }

    /// Appends several records that stand one after another, and returns their LSNs. After a crash all of them are
    /// there or none. Together they may have 2 GiB, framing included.
    ///
    /// # Errors
    /// As for [`append`](Self::append), for all of them: [`InDoubt`](crate::WalError::InDoubt) names the first one.
    /// [`BatchTooLarge`](crate::WalError::BatchTooLarge): nothing was taken.
    pub fn append_batch<B: AsRef<[u8]>>(&self, records: &[B]) -> Result<Vec<Lsn>> {
        let records: Vec<&[u8]> = records.iter().map(AsRef::as_ref).collect();
        self.core()
            .append_batch(Kind::Data, &records)
            .map(|(lsns, _)| lsns)
    }

    /// Appends a record of `len` bytes that `fill` writes in place; they are zero when it gets them. If it panics,
    /// nothing was appended and the panic goes on.
    ///
    /// Others wait for `fill` to end before they can flush this log: keep it short. Inside, every call on this log that
    /// reads or writes, on any of its handles, is [`Reentrant`](crate::WalError::Reentrant). Other logs can be used, and
    /// the last handle of another log that is dropped there closes it.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// # fn main() -> Result<(), wal_db::WalError> {
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let lsn = wal.append_with(8, |bytes| bytes.copy_from_slice(&7u64.to_le_bytes()))?;
    /// assert_eq!(wal.read(lsn)?.data(), 7u64.to_le_bytes());
    /// # Ok(())
    /// # }
    /// ```
    pub fn append_with(&self, len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Lsn> {
        self.core()
            .append_with(len, fill)
            .map(|(pos, _)| Lsn::from_pos(pos))
    }

    /// Appends a record and returns once it survives power loss. Threads that do so at the same time share flushes.
    ///
    /// # Errors
    /// [`NotDurable`](crate::WalError::NotDurable): the record was taken and the disk is full; it becomes durable with a later
    /// [`sync`](Self::sync), and appending it again would have it twice. [`InDoubt`](crate::WalError::InDoubt): a write or
    /// the flush failed, and the record may be there. After any other error of [`append`](Self::append) nothing was taken.
    /// `docs/errors.md` has the whole table.
    pub fn append_and_sync(&self, record: &[u8]) -> Result<Lsn> {
        let (pos, end) = self.core().append(Kind::Data, record)?;
        self.core().sync_record(Lsn::from_pos(pos), end)?;
        Ok(Lsn::from_pos(pos))
    }

    /// Appends a record and returns a [`Ticket`] for its durability, without waiting.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// # fn main() -> Result<(), wal_db::WalError> {
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let tickets: Vec<_> = (0..10u8).map(|i| wal.append_durable(&[i])).collect::<Result<_, _>>()?;
    /// for ticket in tickets {
    ///     ticket.wait()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn append_durable(&self, record: &[u8]) -> Result<Ticket> {
        let (pos, end) = self.core().append(Kind::Data, record)?;
        Ok(self.ticket_up_to(Lsn::from_pos(pos), end))
    }

    /// A [`Ticket`] for the durability of a record that was appended in whatever way: in a batch, of which the last
    /// record stands for all, by [`append_with`](Self::append_with), as an event.
    ///
    /// # Errors
    /// [`NoSuchRecord`](crate::WalError::NoSuchRecord) if nothing was appended there yet.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// # fn main() -> Result<(), wal_db::WalError> {
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let lsns = wal.append_batch(&["debit", "credit"])?;
    /// wal.ticket(lsns[1])?.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ticket(&self, lsn: Lsn) -> Result<Ticket> {
        let end = self.here()?.durable_target(lsn)?;
        Ok(self.ticket_up_to(lsn, end))
    }

    /// Returns once everything that was appended before the call survives power loss.
    ///
    /// # Errors
    /// [`InDoubt`](crate::WalError::InDoubt) if a write or the flush failed: no record that was not durable before is
    /// promised, and none is denied. [`Poisoned`](crate::WalError::Poisoned) if that had happened before.
    /// [`NotDurable`](crate::WalError::NotDurable) if the disk is full: call it again when there is space.
    pub fn sync(&self) -> Result<()> {
        let core = self.here()?;
        core.sync_to(core.tail())
    }

    /// Returns once the record at `lsn`, and everything before it, survives power loss.
    ///
    /// # Errors
    /// As for [`sync`](Self::sync); [`NoSuchRecord`](crate::WalError::NoSuchRecord) if nothing was appended there yet.
    pub fn sync_to(&self, lsn: Lsn) -> Result<()> {
        let core = self.here().map_err(|forked| forked.about(lsn))?;
        let target = core.durable_target(lsn)?;
        core.sync_record(lsn, target)
    }

    /// Hands everything that was appended to the store, without making it durable. Only of interest with
    /// [`Staging::Heap`](crate::Staging::Heap): it survives the process then.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    pub fn flush(&self) -> Result<()> {
        self.here()?
            .hand_over(u64::MAX)
            .map_err(WalError::of_what_was_taken)?;
        // That is for readers too, whom a log that has failed shows what it has written.
        if self.core().is_poisoned() {
            return Err(self.core().poisoned());
        }
        Ok(())
    }

    /// Appends an event, behind its schema if there is one; returns where it is and where it ends.
    #[inline]
    pub(crate) fn append_described(
        &self,
        payload: &[u8],
        described: Option<Described<'_>>,
    ) -> Result<(Lsn, u64)> {
        let (pos, end) = match described {
            Some(described) => self.core().append_described(payload, &described)?,
            None => self.core().append(Kind::Typed, payload)?,
        };
        Ok((Lsn::from_pos(pos), end))
    }

    /// Appends events behind their schemas, all or none.
    pub(crate) fn append_batch_described(
        &self,
        payloads: &[&[u8]],
        entries: &[Described<'_>],
    ) -> Result<Vec<Lsn>> {
        self.core().append_batch_described(payloads, entries)
    }

    /// A ticket for a record that ends at `end`.
    pub(crate) fn ticket_up_to(&self, lsn: Lsn, end: u64) -> Ticket {
        self.core().want_durable(end);
        Ticket::new(self.core().clone(), lsn, end)
    }

    /// That nothing was cut off of what was read before `lsn`.
    pub(crate) fn check_followed(&self, lsn: Lsn) -> Result<()> {
        self.here()?.check_followed(lsn.pos())
    }

    /// The newest schema records.
    pub(crate) fn with_dictionary<T>(&self, run: impl FnOnce(&[Entry]) -> T) -> Result<T> {
        self.here()?.with_dictionary(run)
    }
}

/// # Reading
impl Wal {
    /// All records, oldest first: from the [`head`](Self::head) on, wherever that is. Of what was appended before, nothing
    /// is left out; what is not in the store yet is put there when the iterator comes to it, which may wait for a flush
    /// that is under way.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn iter(&self) -> Result<WalIter> {
        self.here()?.iter_positions(None, u64::MAX)
    }

    /// The records from `lsn` on; if none starts there, from the next one. If they were cut off by
    /// [`truncate_after`](Self::truncate_after), from what came instead.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated) if a record from `lsn` on was dropped by
    /// [`truncate_before`](Self::truncate_before): what is left is had with [`iter`](Self::iter).
    /// [`BeyondEnd`](crate::WalError::BeyondEnd) if `lsn` lies after the [`end`](Self::end). Else as for
    /// [`iter`](Self::iter).
    pub fn iter_from(&self, lsn: Lsn) -> Result<WalIter> {
        self.range(lsn..)
    }

    /// The records whose LSNs are in `range`, whether or not its bounds are LSNs of records. Its end may lie anywhere, and
    /// nothing from there on is waited for. A range without a start begins at the [`head`](Self::head).
    ///
    /// # Errors
    /// As for [`iter_from`](Self::iter_from).
    pub fn range(&self, range: impl RangeBounds<Lsn>) -> Result<WalIter> {
        let (from, to) = iter::positions(range.start_bound(), range.end_bound());
        self.here()?.iter_positions(from, to)
    }

    /// All records, newest first. What is not in the store yet is put there first, which may wait for a flush that is under
    /// way.
    ///
    /// # Errors
    /// As for [`iter`](Self::iter).
    pub fn iter_rev(&self) -> Result<RevIter> {
        self.here()?.flush_through(u64::MAX)?;
        RevIter::new(self.core().clone())
    }

    /// The records from the `ordinal`-th on, counted from 0 since the log was made; records that were dropped from its
    /// beginning count, those that were cut from its end do not. Nothing if the log has no such record yet.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated), with the LSN of the last record that was dropped, if that record was.
    /// Else as for [`iter`](Self::iter).
    pub fn iter_from_ordinal(&self, ordinal: u64) -> Result<WalIter> {
        self.here()?.iter_from_ordinal(ordinal)
    }

    /// The records that were written to the store at `time` or later, by the clock of the process that wrote them. If
    /// that clock went backwards, the search ends at one of the places that fit.
    ///
    /// # Errors
    /// As for [`iter`](Self::iter).
    pub fn iter_from_time(&self, time: SystemTime) -> Result<WalIter> {
        self.here()?.iter_from_time(time)
    }

    /// The record at `lsn`.
    ///
    /// # Errors
    /// [`NoSuchRecord`](crate::WalError::NoSuchRecord) if none starts there,
    /// [`Truncated`](crate::WalError::Truncated) if it was dropped,
    /// [`Corruption`](crate::WalError::Corruption) if it is damaged.
    pub fn read(&self, lsn: Lsn) -> Result<Record> {
        self.here()?.read(lsn)
    }

    /// When the record at `lsn` was written to the store, by the clock of the process that wrote it.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn time_of(&self, lsn: Lsn) -> Result<SystemTime> {
        self.here()?.time_at(lsn)
    }

    /// The `ordinal`-th record, counted as in [`iter_from_ordinal`](Self::iter_from_ordinal); `None` if the log has no such
    /// record yet. Where it is is guessed from groups that were read before, so it costs about what its group costs.
    ///
    /// # Errors
    /// As for [`iter_from_ordinal`](Self::iter_from_ordinal); [`Corruption`](crate::WalError::Corruption) if it is damaged.
    pub fn read_ordinal(&self, ordinal: u64) -> Result<Option<Record>> {
        self.here()?.read_ordinal(ordinal)
    }

    /// The number of the record at `lsn`, counted as in [`iter_from_ordinal`](Self::iter_from_ordinal). Reads its group.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn ordinal_of(&self, lsn: Lsn) -> Result<u64> {
        self.here()?.ordinal_of(lsn)
    }

    /// The LSN of the newest record; `None` if there is none. Costs what [`iter_rev`](Self::iter_rev) and its first record
    /// cost.
    ///
    /// # Errors
    /// As for [`iter_rev`](Self::iter_rev).
    pub fn last_lsn(&self) -> Result<Option<Lsn>> {
        let newest = self.iter_rev()?.next().transpose()?;
        Ok(newest.map(|record| record.lsn()))
    }

    /// Follows the log: the records from `lsn` on, then each that comes, once it is durable. If records before `lsn` were
    /// cut off since it was kept, it is told so first: [`CutBack`](crate::WalError::CutBack).
    ///
    /// # Errors
    /// As for [`iter_from`](Self::iter_from).
    pub fn tail(&self, lsn: Lsn) -> Result<Tail> {
        Tail::new(self.here()?.clone(), lsn.pos())
    }

    /// As [`tail`](Self::tail), from a position that was stored, once it is sure that it fits: that this is the log in which
    /// it was taken, with the records that came before it there.
    ///
    /// # Errors
    /// [`OtherLog`](crate::WalError::OtherLog), [`Diverged`](crate::WalError::Diverged), and as for [`tail`](Self::tail). That
    /// records were cut off which came before the position is the first thing that the follower says.
    pub fn tail_at(&self, position: &Position) -> Result<Tail> {
        self.here()?.tail_at(position)
    }

    /// As [`iter_from`](Self::iter_from), from a position that was stored, once it is sure that it fits.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve) and [`iter_from`](Self::iter_from).
    pub fn iter_at(&self, position: &Position) -> Result<WalIter> {
        self.here()?.iter_at(position)
    }

    /// The LSN of a position that was stored, if it fits the log, for a call that takes an LSN: its own, or a later one with
    /// no record between the two.
    ///
    /// # Errors
    /// [`OtherLog`](crate::WalError::OtherLog), [`Diverged`](crate::WalError::Diverged),
    /// [`CutBack`](crate::WalError::CutBack) if records before it were cut off since, and as for
    /// [`cursor`](Self::cursor).
    pub fn resolve(&self, position: &Position) -> Result<Lsn> {
        self.here()?.resolve(position)
    }

    /// The position of the record at `lsn`, to be stored; if none starts there, of the next one.
    ///
    /// # Errors
    /// As for [`iter_from`](Self::iter_from).
    pub fn position_of(&self, lsn: Lsn) -> Result<Position> {
        self.here()?.position_of(lsn)
    }

    /// The position after the record at `lsn`, to be stored once that has been taken.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn position_after(&self, lsn: Lsn) -> Result<Position> {
        self.here()?.position_after(lsn)
    }

    /// Follows the log from its first record on, wherever its [`head`](Self::head) is at this moment.
    ///
    /// # Errors
    /// As for [`iter`](Self::iter).
    pub fn tail_from_head(&self) -> Result<Tail> {
        loop {
            match self.tail(self.head()) {
                // The head has moved in between.
                Err(crate::error::WalError::Truncated { .. }) => {}
                tail => return tail,
            }
        }
    }

    /// Reads the whole log, checks everything, and reports every place that is damaged, every file that is not the log's, and
    /// every rule of the format that what is intact breaks.
    ///
    /// # Errors
    /// Only what keeps it from reading. That a file is missing, is another log's or has a damaged header does not: it is
    /// in the report, with whatever else is wrong.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.here()?.flush_through(u64::MAX)?;
        verify::verify(self.core())
    }
}

/// # Truncating
impl Wal {
    /// Removes every record behind the one at `lsn`, durably. Safe while others append and read: appends that run at the
    /// same time come either before the cut and are removed, or after it. LSNs that were removed are never used again.
    ///
    /// # Errors
    /// [`NoSuchRecord`](crate::WalError::NoSuchRecord) if no record starts at `lsn`,
    /// [`TooManyTruncations`](crate::WalError::TooManyTruncations), and as for [`sync`](Self::sync). Nothing was removed,
    /// unless the error is `InDoubt`.
    pub fn truncate_after(&self, lsn: Lsn) -> Result<()> {
        self.here()?.truncate_after(lsn)
    }

    /// Removes the record at `lsn` and every one behind it, durably; nothing is left if it is the first. Else as
    /// [`truncate_after`](Self::truncate_after) the record before it.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// # fn main() -> Result<(), wal_db::WalError> {
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let first = wal.append(b"of a term that was lost")?;
    /// wal.append(b"as well")?;
    /// wal.truncate_from(first)?;
    /// assert!(wal.is_empty());
    /// assert!(wal.append(b"of the next one")? > first);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`truncate_after`](Self::truncate_after).
    pub fn truncate_from(&self, lsn: Lsn) -> Result<()> {
        self.here()?.truncate_from(lsn)
    }

    /// Removes every record before the one at `lsn`, which may be the [`end`](Self::end) (if none starts there: before the next one), durably, and returns
    /// where the log starts now. Whole segment files are deleted, and a log in one file gives the blocks back where the
    /// file system can. Safe while others append and read; readers that are behind get
    /// [`Truncated`](crate::WalError::Truncated). Nothing happens if they are gone already.
    ///
    /// # Errors
    /// [`BeyondEnd`](crate::WalError::BeyondEnd) if `lsn` lies after the end of the log: nothing was removed. Else as for
    /// [`sync`](Self::sync).
    pub fn truncate_before(&self, lsn: Lsn) -> Result<Lsn> {
        self.here()?.truncate_before(lsn)
    }

    /// Drops old records by size and age, except those that a [`Cursor`] still needs, and returns where the log starts
    /// now.
    ///
    /// # Errors
    /// As for [`truncate_before`](Self::truncate_before).
    pub fn retain(&self, retention: &Retention) -> Result<Lsn> {
        self.here()?.retain(retention)
    }

    /// Registers somebody who still needs the records from `lsn` on. Once this has returned, [`retain`](Self::retain) keeps
    /// them; [`truncate_before`](Self::truncate_before), which names a position, asks nobody.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated) if some of them were dropped already,
    /// [`BeyondEnd`](crate::WalError::BeyondEnd) if `lsn` lies after the end of the log.
    pub fn cursor(&self, lsn: Lsn) -> Result<Cursor> {
        self.here()?.cursor(lsn)
    }
}

/// # Figures
impl Wal {
    /// How many bytes the records of the log take, framing included, without what was dropped from its beginning and cut
    /// off its end: 0 exactly if it holds no record. Where the log ends is its [`end`](Self::end), how long its files are
    /// the file system's to say.
    #[must_use]
    pub fn len(&self) -> u64 {
        let (core, shape) = (self.core(), self.core().base.shape());
        let end = core.end();
        if end <= core.base.written() + GROUP_HEADER_LEN as u64 && core.record_count() == 0 {
            return 0;
        }
        shape.live_bytes(shape.head, end)
    }

    /// Whether the log holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The settings in force: those that the log was opened with. What came of [`Staging::Mapped`](crate::Staging::Mapped) is
    /// told by [`staging`](Self::staging).
    pub fn config(&self) -> WalConfig {
        self.core().config
    }

    /// How many bytes of the log a segment file holds, whatever was asked for when it was opened; `None` for a log in one
    /// file or in memory.
    #[must_use]
    pub fn segment_size(&self) -> Option<u64> {
        Some(self.core().base.segment_len).filter(|&len| len > 0)
    }

    /// How many records are in the store. Those that still wait in staging memory are not counted; call
    /// [`sync`](Self::sync) or [`flush`](Self::flush) first to count them.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.core().record_count()
    }

    /// Where the log starts: no record has a lower LSN. It is that of the first record, or of the first to come; in a log
    /// that begins with an event and was never truncated, that of the event's schema.
    pub fn head(&self) -> Lsn {
        Lsn::from_pos(self.core().base.shape().head)
    }

    /// Where the log ends: every record has a lower LSN, and every one to come this or a higher one. It is the highest
    /// position that [`iter_from`](Self::iter_from), [`tail`](Self::tail), [`cursor`](Self::cursor) and
    /// [`truncate_before`](Self::truncate_before) take.
    pub fn end(&self) -> Lsn {
        Lsn::from_pos(self.core().end())
    }

    /// How many records were dropped from the beginning since the log was made: the ordinal of the one at the
    /// [`head`](Self::head).
    #[must_use]
    pub fn head_ordinal(&self) -> u64 {
        self.core().base.shape().head_ordinal
    }

    /// Every record before this LSN is durable.
    pub fn durable_lsn(&self) -> Lsn {
        Lsn::from_pos(self.core().base.durable() + GROUP_HEADER_LEN as u64)
    }

    /// Why the log takes no more records, if a write or flush has failed.
    #[must_use]
    pub fn poisoned_by(&self) -> Option<&str> {
        self.core().base.store.cause()
    }

    /// Where records wait for their flush; `None` for a handle that only reads. What was asked for is not always to be had,
    /// see [`Staging::Mapped`](crate::Staging::Mapped).
    #[must_use]
    pub fn staging(&self) -> Option<&StagingInUse> {
        self.core().writer().ok().map(|writer| &writer.staging)
    }

    /// Figures of this moment; each is taken by itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let core = self.core();
        let (written, shape) = (core.base.written(), core.base.shape());
        let ahead = |pos: u64| core.tail().saturating_sub(pos + GROUP_HEADER_LEN as u64);
        Stats {
            bytes: shape.live_bytes(shape.head, core.tail()),
            records: core.record_count(),
            staged_bytes: ahead(written),
            undurable_bytes: ahead(core.base.durable()),
        }
    }
}

impl Owner {
    fn close(&self) -> Result<()> {
        self.core.check_process()?;
        // Inside the closure of `append_with`, whoever flushes waits for us.
        if self.core.is_in_closure() {
            return Err(WalError::Reentrant);
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        if let Ok(writer) = self.core.writer() {
            writer.background.stop(threads);
            // A flush that a background thread began has ended; what it left waiting is served by the close.
            drop(Turn::take(writer));
        }
        self.core.close()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.core.is_in_child() {
            // The threads are the parent's.
            std::mem::forget(std::mem::take(self.threads.get_mut()));
            return;
        }
        // Whoever wants to know calls `close`. What was acknowledged is safe either way.
        let _ = self.close();
    }
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wal")
            .field("head", &self.head())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}
