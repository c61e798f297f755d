//! What a state store needs of its log: to know of every record, and to decide and append while nobody else does.

use std::{any::Any, ops::Deref};

use super::{Folding, Wal};
use crate::{
    error::{Result, WalError},
    log::{
        base::Extent,
        read::seek::check_followed,
        write::{
            dictionary::Described,
            turnstile::{Watch, Way},
            writer::Writer,
        },
    },
    lsn::Lsn,
    sync::{Arc, MutexGuard},
};

/// While it lives, every record is counted, of all handles.
pub(crate) struct Counting {
    writer: Arc<Writer>,
    folding: Folding,
}

impl Deref for Counting {
    type Target = Folding;

    fn deref(&self) -> &Folding {
        &self.folding
    }
}

impl Wal {
    pub(crate) fn count_records(&self) -> Result<Counting> {
        self.here()?.check_usable()?;
        let writer = self.writer()?.clone();
        writer.count_records();
        Ok(Counting {
            writer,
            folding: self.folding()?,
        })
    }

    /// The index of the log, which all its users share; made by `make` if there is none.
    pub(crate) fn shared_index<T: Any + Send + Sync>(
        &self,
        make: impl FnOnce(&Wal) -> Result<T>,
    ) -> Result<Arc<T>> {
        self.here()?.check_usable()?;
        let writer = self.writer()?;
        // One that makes the index passes the turnstile after it has the lock.
        writer.turnstile.check_not_passed()?;
        let mut index = writer.index.lock();
        if let Some(Ok(index)) = index.upgrade().map(Arc::downcast) {
            return Ok(index);
        }
        let made = Arc::new(make(self)?);
        let any: Arc<dyn Any + Send + Sync> = made.clone();
        *index = Arc::downgrade(&any);
        Ok(made)
    }
}

impl Counting {
    /// That the log can be used from here, and that this thread is not the one that appends alone.
    #[inline]
    pub(crate) fn check_usable(&self) -> Result<()> {
        self.writer.check_usable()?;
        self.writer.turnstile.check_not_passed()
    }

    /// A number that moves when records are appended or cut off.
    pub(crate) fn passed(&self) -> u64 {
        self.writer.turnstile.passed()
    }

    /// No longer tells it of records, unless another one is told by now.
    pub(crate) fn watch_no_more(&self, watch: &Arc<dyn Watch>) {
        if !self.writer.is_in_child() {
            self.writer.turnstile.watch_no_more(watch);
        }
    }

    /// Nobody else changes the files of an index while it is held.
    pub(crate) fn files_turn(&self) -> MutexGuard<'_, ()> {
        self.writer.index_files.lock()
    }

    /// Puts all that was appended before the call where it can be read. What keeps it out is an error, of the write.
    pub(crate) fn drain(&self) -> Result<()> {
        self.writer.drain_to(u64::MAX)
    }

    /// Waits until nobody else appends. Errors are those of [`check_usable`](Self::check_usable).
    pub(crate) fn pass(&self) -> Result<Alone<'_>> {
        self.writer.check_usable()?;
        Ok(Alone {
            writer: &self.writer,
            way: Way::Counted(self.writer.turnstile.pass()?),
        })
    }

    /// Whether a write or a flush has failed: nothing more is taken then.
    pub(crate) fn has_failed(&self) -> bool {
        self.writer.is_poisoned()
    }

    /// That none has.
    #[inline]
    pub(crate) fn check_not_failed(&self) -> Result<()> {
        match self.has_failed() {
            true => Err(self.writer.poisoned()),
            false => Ok(()),
        }
    }

    /// Up to where the log has to be durable for the record at `lsn` to be.
    pub(crate) fn durable_target(&self, lsn: Lsn) -> Result<u64> {
        self.writer.durable_target(lsn)
    }

    pub(crate) fn is_durable(&self, target: u64) -> bool {
        self.writer.base.durable() >= target
    }

    pub(crate) fn sync_to(&self, target: u64) -> Result<()> {
        self.writer.sync_to(target)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        // A child has locks that may be held for good, and nothing to count.
        if !self.writer.is_in_child() {
            self.writer.count_no_more();
        }
    }
}

/// Which records were not dropped from the beginning of the log, or cut off its end.
pub(crate) struct There(Arc<Extent>);

impl There {
    pub(super) fn in_extent(extent: Arc<Extent>) -> Self {
        There(extent)
    }

    pub(crate) fn has(&self, lsn: Lsn) -> bool {
        !self.is_dropped(lsn) && !self.is_cut(lsn)
    }

    /// Whether it was dropped from the beginning.
    pub(crate) fn is_dropped(&self, lsn: Lsn) -> bool {
        lsn.pos() < self.0.head
    }

    /// Whether it was cut off the end.
    pub(crate) fn is_cut(&self, lsn: Lsn) -> bool {
        self.0.timeline.cut_around(lsn.pos()).is_some()
    }

    /// Where a reader that has come to `lsn` is, without what it has read that was cut off.
    pub(crate) fn without_cuts(&self, lsn: Lsn) -> Lsn {
        let mut pos = lsn.pos();
        while let Some(cut) = self.0.timeline.cut_behind(pos) {
            pos = cut.cut;
        }
        Lsn::from_pos(pos)
    }

    /// That nothing was cut off of what was read before `lsn`.
    pub(crate) fn check_followed(&self, lsn: Lsn) -> Result<()> {
        check_followed(&self.0, lsn.pos())
    }

    /// That no record was dropped from the beginning of the log.
    pub(crate) fn check_whole(&self) -> Result<()> {
        match self.0.head_ordinal {
            0 => Ok(()),
            _ => Err(self.truncated(Lsn::ZERO)),
        }
    }

    /// That what is at `lsn` was dropped from the beginning.
    pub(crate) fn truncated(&self, lsn: Lsn) -> WalError {
        self.0.truncated(lsn.pos())
    }

    /// That no record from `lsn` on was dropped from the beginning.
    pub(crate) fn check_kept(&self, lsn: Lsn) -> Result<()> {
        self.0.check_kept(lsn.pos())
    }
}

/// Nobody else appends to the log while it lives.
pub(crate) struct Alone<'w> {
    writer: &'w Writer,
    way: Way<'w>,
}

/// Where records that were appended alone start and end.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    first: u64,
    end: u64,
}

impl Placed {
    /// Up to where the log has to be durable for them to be.
    pub(crate) fn end(self) -> u64 {
        self.end
    }
}

impl Alone<'_> {
    /// What [`Counting::passed`] is.
    pub(crate) fn passed(&self) -> u64 {
        self.writer.turnstile.passed()
    }

    /// From now on, `watch` is told of each record.
    pub(crate) fn set_watch(&self, watch: Arc<dyn Watch>) {
        if let Way::Counted(passage) = &self.way {
            passage.set_watch(watch);
        }
    }

    /// The one that is told of each record is not told of those that are appended from here: it is who appends them, and takes
    /// them in before it [leaves](Self::leave).
    pub(crate) fn tell_nobody(&mut self) {
        if let Way::Counted(passage) = &mut self.way {
            passage.tell_nobody();
        }
    }

    /// Appends an event after its schema.
    pub(crate) fn append(&mut self, payload: &[u8], schema: Option<&Described<'_>>) -> Result<(Lsn, Placed)> {
        let (first, end) = self.writer.append_described_on(&mut self.way, payload, schema)?;
        Ok((Lsn::from_pos(first), Placed { first, end }))
    }

    /// Appends events after their schemas, all or none; there is one at least.
    pub(crate) fn append_batch(
        &mut self,
        payloads: &[&[u8]],
        schemas: &[Described<'_>],
    ) -> Result<(Vec<Lsn>, Placed)> {
        let (lsns, end) = self
            .writer
            .append_batch_described_on(&mut self.way, payloads, schemas)?;
        let first = lsns.first().map_or(end, |first| first.pos());
        Ok((lsns, Placed { first, end }))
    }

    /// Lets others append, and does what is left to do for what was appended.
    pub(crate) fn leave(self, placed: Option<Placed>) -> Result<()> {
        let Alone { writer, way } = self;
        drop(way);
        // The state's code may have forked the process.
        writer.check_process()?;
        placed.map_or(Ok(()), |placed| writer.after_append(placed.first, placed.end))
    }
}
