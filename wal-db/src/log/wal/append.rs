//! Appending and committing.

use super::Wal;
use crate::{
    error::{Result, WalError},
    format::Kind,
    log::{
        read::dictionary::Entry,
        write::{
            append::anywhere,
            dictionary::Described,
            ticket::{Durable, Ticket},
        },
    },
    lsn::{Lsn, Pos},
    storage::SideFiles,
};

/// # Appending
impl Wal {
    /// Appends a record and returns its LSN. The record survives the process now, and the power after the next
    /// [`sync`](Self::sync).
    ///
    /// It waits for a flush when the staging memory or the backlog of what is written and not flushed is full.
    ///
    /// # Errors
    /// The record was not taken: [`RecordTooLarge`](crate::WalError::RecordTooLarge), [`Full`](crate::WalError::Full)
    /// (try again when there is space), [`Poisoned`](crate::WalError::Poisoned), [`Closed`](crate::WalError::Closed),
    /// [`ReadOnly`](crate::WalError::ReadOnly), [`Reentrant`](crate::WalError::Reentrant). With a store that is written
    /// through, or a record of more than 64 KiB, also [`InDoubt`](crate::WalError::InDoubt): it may have been taken.
    #[inline(always)] // a call of its own costs a tenth
    pub fn append(&self, record: &[u8]) -> Result<Lsn> {
        self.writer()?
            .append(Kind::Data, record, anywhere)
            .map(|(pos, _)| Lsn::from_pos(pos))
    }

    /// As [`append`](Self::append), and never waits: where that would, nothing is appended and this is
    /// [`Busy`](crate::WalError::Busy). A task then calls [`append`](Self::append) where it may wait, or tries again later: the
    /// background threads make room meanwhile, and in a log without them nobody does.
    ///
    /// What takes no place in staging memory is always `Busy`: a record of more than 64 KiB, and any with
    /// [`Staging::WriteThrough`](crate::Staging::WriteThrough).
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal, WalError};
    /// let wal = Wal::with_store(MemStore::new())?;
    /// match wal.try_append(b"news") {
    ///     Err(WalError::Busy { .. }) => println!("another thread has to append it"),
    ///     appended => println!("at {}", appended?),
    /// }
    /// # Ok::<(), WalError>(())
    /// ```
    ///
    /// # Errors
    /// [`Busy`](crate::WalError::Busy), and those of [`append`](Self::append) except [`Full`](crate::WalError::Full).
    pub fn try_append(&self, record: &[u8]) -> Result<Lsn> {
        let placed = self.writer()?.try_append(Kind::Data, record, Pos::MAX)?;
        Ok(Lsn::from_pos(placed.0))
    }

    /// Appends several records that stand one after another, and returns their LSNs. After a crash all of them are
    /// there or none. Together they may have 2 GiB, framing included.
    ///
    /// # Errors
    /// As for [`append`](Self::append), for all of them: [`InDoubt`](crate::WalError::InDoubt) names the first one.
    /// [`BatchTooLarge`](crate::WalError::BatchTooLarge): nothing was taken.
    pub fn append_batch<B: AsRef<[u8]>>(&self, records: &[B]) -> Result<Vec<Lsn>> {
        let records: Vec<&[u8]> = records.iter().map(AsRef::as_ref).collect();
        self.writer()?
            .append_batch(Kind::Data, &records, anywhere)
            .map(|(lsns, _)| lsns)
    }

    /// Appends a record of `len` bytes that `fill` writes in place; they are zero when it gets them. If it panics,
    /// nothing was appended and the panic goes on.
    ///
    /// Others wait for `fill` to end before they can flush this log, and while a [state store](crate::state::Store) of it
    /// exists, before they can append: keep it short, and wait for nobody. Inside, every call on this log that
    /// reads or writes, on any of its handles, is [`Reentrant`](crate::WalError::Reentrant). Other logs can be used, and
    /// the last handle of another log that is dropped there closes it.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let lsn = wal.append_in_place(8, |bytes| bytes.copy_from_slice(&7u64.to_le_bytes()))?;
    /// assert_eq!(wal.read(lsn)?.data(), 7u64.to_le_bytes());
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    pub fn append_in_place(&self, len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Lsn> {
        self.writer()?.append_in_place(len, fill).map(Lsn::from_pos)
    }

    /// Appends a record and returns once it survives power loss. Threads that do so at the same time share flushes.
    ///
    /// # Errors
    /// [`NotDurable`](crate::WalError::NotDurable): the record was taken and the disk is full; it becomes durable with
    /// a later [`sync`](Self::sync), and appending it again would store it twice.
    /// [`InDoubt`](crate::WalError::InDoubt): a write or the flush failed, and the record may be there. After any other
    /// error of [`append`](Self::append) nothing was taken. `docs/errors.md` has the whole table.
    pub fn append_and_sync(&self, record: &[u8]) -> Result<Lsn> {
        let writer = self.writer()?;
        let (pos, end) = writer.append(Kind::Data, record, anywhere)?;
        writer.sync_record(Lsn::from_pos(pos), end)?;
        Ok(Lsn::from_pos(pos))
    }

    /// A [`Ticket`] for the durability of a record that was appended, in whatever way: one of many appends that do not
    /// wait for each other's flushes, an event, or a batch, whose last record stands for all.
    ///
    /// # Errors
    /// [`NoSuchRecord`](crate::WalError::NoSuchRecord) if nothing was appended there yet.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let lsns = wal.append_batch(&["debit", "credit"])?;
    /// let booked = wal.ticket(lsns[1])?;
    /// // ... other work, and then:
    /// booked.wait()?;
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    pub fn ticket(&self, lsn: Lsn) -> Result<Ticket> {
        Ticket::new(self.here()?.clone(), self.owner.writer.clone(), lsn)
    }

    /// Returns once everything that was appended before the call survives power loss.
    ///
    /// # Errors
    /// [`InDoubt`](crate::WalError::InDoubt) if a write or the flush failed: records that were not durable yet may or
    /// may not survive. [`Poisoned`](crate::WalError::Poisoned) if that had happened before.
    /// [`NotDurable`](crate::WalError::NotDurable) if the disk is full: call it again when there is space.
    pub fn sync(&self) -> Result<()> {
        let end = self.here()?.end();
        self.writer()?.sync_to(end)
    }

    /// As [`sync`](Self::sync), without a thread that waits: what was appended before this call is durable once the future is
    /// ready. Dropping it loses nothing. Without the background flusher, the poll flushes by itself.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// # async fn commit() -> wal_db::Result<()> {
    /// let wal = Wal::with_store(MemStore::new())?;
    /// wal.append(b"first")?;
    /// wal.append(b"second")?;
    /// wal.sync_async().await?;
    /// # Ok(())
    /// # }
    /// # let mut commit = std::pin::pin!(commit());
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// # while commit.as_mut().poll(&mut context).is_pending() {
    /// #     std::thread::yield_now();
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`sync`](Self::sync), when it is polled.
    pub fn sync_async(&self) -> impl Future<Output = Result<()>> + use<> {
        let begun = self.begin_sync();
        async move { begun?.await }
    }

    fn begin_sync(&self) -> Result<Durable> {
        let view = self.here()?;
        let writer = self.writer()?;
        if writer.is_poisoned() {
            return Err(view.poisoned());
        }
        Ok(Durable::sync_of(view.clone(), writer.clone()))
    }

    /// Hands everything that was appended to the store, without making it durable. Only of interest with
    /// [`Staging::Heap`](crate::Staging::Heap): it survives the process then. Fails as [`append`](Self::append).
    pub fn drain(&self) -> Result<()> {
        self.here()?
            .drain_to(u64::MAX)
            .map_err(WalError::of_what_was_taken)?;
        // Readers call this, too: a log that has failed shows what it has written.
        if self.view().is_poisoned() {
            return Err(self.view().poisoned());
        }
        Ok(())
    }

    /// Appends an event, after its schema if there is one; returns where it is and where it ends.
    #[inline]
    pub(crate) fn append_described(
        &self,
        payload: &[u8],
        described: Option<Described<'_>>,
    ) -> Result<(Lsn, u64)> {
        let writer = self.writer()?;
        let (pos, end) = match described {
            Some(described) => writer.append_described(payload, &described)?,
            None => writer.append(Kind::Typed, payload, anywhere)?,
        };
        Ok((Lsn::from_pos(pos), end))
    }

    /// As [`append_described`](Self::append_described), without waiting.
    pub(crate) fn try_append_described(
        &self,
        payload: &[u8],
        described: Option<Described<'_>>,
    ) -> Result<Lsn> {
        let writer = self.writer()?;
        let (pos, _) = match described {
            Some(described) => writer.try_append_described(payload, &described)?,
            None => writer.try_append(Kind::Typed, payload, Pos::MAX)?,
        };
        Ok(Lsn::from_pos(pos))
    }

    /// Appends events after their schemas, all or none.
    pub(crate) fn append_batch_described(
        &self,
        payloads: &[&[u8]],
        entries: &[Described<'_>],
    ) -> Result<Vec<Lsn>> {
        self.writer()?.append_batch_described(payloads, entries)
    }

    pub(crate) fn sync_record(&self, lsn: Lsn, end: u64) -> Result<()> {
        self.writer()?.sync_record(lsn, end)
    }

    /// That nothing was cut off of what was read before `lsn`.
    pub(crate) fn check_followed(&self, lsn: Lsn) -> Result<()> {
        self.here()?.check_followed(lsn.pos())
    }

    /// That it is not after the end.
    pub(crate) fn check_end(&self, lsn: Lsn) -> Result<()> {
        self.here()?.check_end(lsn.pos())
    }

    /// Puts all that was appended where it can be read; what keeps it out is an error.
    pub(crate) fn drain_to_read(&self) -> Result<()> {
        let drained = self.here()?.drain_to(u64::MAX);
        drained.map_err(WalError::of_what_was_taken)
    }

    /// Files beside it, if its store keeps some.
    pub(crate) fn side_files(&self) -> Result<Option<std::sync::Arc<dyn SideFiles>>> {
        Ok(self.here()?.base.store.shared().side_files())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.view().base.store.is_closed()
    }

    pub(crate) fn log_id(&self) -> [u8; 16] {
        self.view().base.log.0
    }

    pub(crate) fn with_dictionary<T>(&self, run: impl FnOnce(&[Entry]) -> T) -> Result<T> {
        self.here()?.with_dictionary(run)
    }
}
