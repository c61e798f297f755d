//! A promise of durability that can be waited for in three ways.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{commit::Waiting, writer::Writer};
use crate::{
    error::{Result, WalError},
    format::GROUP_HEADER_LEN,
    log::read::view::View,
    lsn::Lsn,
    sync::{Arc, Seat, Tasks},
};

/// A record on its way to stable storage, from [`Wal::ticket`](crate::Wal::ticket).
///
/// It is a future, needs no particular runtime, and can instead be waited for ([`wait`](Self::wait)) or given a
/// callback ([`on_durable`](Self::on_durable)). Dropping it loses nothing: the record is appended and will be flushed.
///
/// Without the background flusher, the call that polls, waits or registers a callback flushes by itself.
#[must_use = "the record is not durable until the ticket says so"]
pub struct Ticket {
    lsn: Lsn,
    durable: Durable,
}

/// A part of the log on its way to stable storage, for one who waits for that in any way.
pub(crate) struct Durable {
    view: Arc<View>,
    /// `None` for a handle that only reads.
    writer: Option<Arc<Writer>>,
    target: u64,
    /// Whether it is about all that was claimed before `target`, and not about a record there.
    is_sync: bool,
    seat: Seat,
}

impl Durable {
    /// Everything before `target`, where there is a record.
    fn new(view: Arc<View>, writer: Option<Arc<Writer>>, target: u64) -> Self {
        if let Some(writer) = &writer {
            writer.want_durable(target);
        }
        Durable {
            view,
            writer,
            target,
            is_sync: false,
            seat: Seat::default(),
        }
    }

    /// Everything that was claimed by now.
    pub(crate) fn sync_of(view: Arc<View>, writer: Arc<Writer>) -> Self {
        // The last group starts before it, or there after all that was claimed.
        let target = writer.ring.tail().saturating_sub(GROUP_HEADER_LEN as u64);
        writer.want_synced(target);
        Durable {
            view,
            writer: Some(writer),
            target,
            is_sync: true,
            seat: Seat::default(),
        }
    }

    fn is_flushed(&self) -> bool {
        let base = &self.view.base;
        match self.is_sync {
            true => base.synced() >= self.target,
            false => base.durable() >= self.target,
        }
    }

    fn tasks(&self) -> &Tasks {
        match self.is_sync {
            true => &self.view.base.syncs,
            false => &self.view.base.tasks,
        }
    }

    fn sync(&self) -> Result<()> {
        match &self.writer {
            Some(writer) => writer.sync_to(self.target),
            None if self.is_flushed() => Ok(()),
            None => self.view.check_process().and(Err(WalError::ReadOnly)),
        }
    }

    /// The task does not wait any more.
    fn leave(&mut self) {
        // A child has locks that may be held for good.
        if !self.view.is_in_child() {
            let mut seat = std::mem::take(&mut self.seat);
            self.tasks().leave(&mut seat);
        }
    }

    /// The writer, if it flushes for those that do not wait.
    fn flusher(&self) -> Option<&Arc<Writer>> {
        self.writer.as_ref().filter(|writer| writer.flushes_by_itself())
    }
}

// Nothing in it is pinned.
impl Unpin for Durable {}

impl Future for Durable {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        let known = this.target.saturating_sub(1);
        let mut has_a_seat = false;
        loop {
            let over = match this.flusher() {
                // What is durable is less than what was flushed, where that has to be certified.
                Some(writer) if this.is_flushed() => Some(writer.check_process()),
                Some(writer) if writer.is_poisoned() => Some(Err(writer.in_doubt())),
                Some(_) => None,
                None => Some(this.sync()),
            };
            if let Some(over) = over {
                this.leave();
                return Poll::Ready(over);
            }
            if has_a_seat {
                return Poll::Pending;
            }
            // It is looked at again: the flush may have ended, or the flusher, a moment ago.
            let mut seat = std::mem::take(&mut this.seat);
            this.tasks().wait(&mut seat, known, context.waker());
            this.seat = seat;
            has_a_seat = true;
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Ticket {
    pub(crate) fn new(view: Arc<View>, writer: Option<Arc<Writer>>, lsn: Lsn) -> Result<Self> {
        let target = view.durable_target(lsn)?;
        let durable = Durable::new(view, writer, target);
        Ok(Ticket { lsn, durable })
    }

    /// The LSN of the record.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Whether the record is durable now, and was not cut off.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable.is_flushed() && self.durable.view.check_not_cut(self.lsn).is_ok()
    }

    /// What to say once the record was made durable: it may have been cut off since.
    fn made_durable(&self, outcome: Result<()>) -> Result<Lsn> {
        outcome.map_err(|error| error.about(self.lsn))?;
        self.durable.view.check_not_cut(self.lsn)?;
        Ok(self.lsn)
    }

    /// Blocks until the record is durable, flushing if nobody else does.
    ///
    /// # Errors
    /// [`WalError::InDoubt`](crate::WalError::InDoubt) if a write or flush failed: the record may or may not be
    /// durable. [`WalError::NotDurable`](crate::WalError::NotDurable) if the disk is full: it is appended, and will be when
    /// there is space. [`WalError::CutBack`](crate::WalError::CutBack) if it was durable, and was cut off by
    /// [`truncate_after`](crate::Wal::truncate_after) since.
    pub fn wait(self) -> Result<Lsn> {
        self.made_durable(self.durable.sync())
    }

    /// Calls `call` once the outcome is known: at once if it is, else in the thread that flushes, which waits for it
    /// to return. Callbacks run in no particular order. One that panics is dropped.
    ///
    /// # Errors
    /// `call` gets those of [`wait`](Self::wait).
    pub fn on_durable(self, call: impl FnOnce(Result<Lsn>) + Send + 'static) {
        let (lsn, durable) = (self.lsn, &self.durable);
        // The log keeps the callback, which must not keep the log.
        let view = Arc::downgrade(&durable.view);
        let call = Box::new(move |outcome: Result<()>| {
            let kept = || view.upgrade().map_or(Ok(()), |view| view.check_not_cut(lsn));
            let outcome = outcome.map_err(|error| error.about(lsn));
            call(outcome.and_then(|()| kept()).map(|()| lsn));
        });
        let target = durable.target;
        let waiting = Waiting { target, call };
        let Some(writer) = durable.flusher() else {
            return waiting.tell(durable.sync());
        };
        match writer.add_ticket(waiting) {
            Some((waiting, outcome)) => waiting.tell(outcome),
            None => writer.want_durable(target),
        }
    }
}

impl Future for Ticket {
    type Output = Result<Lsn>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.durable).poll(context);
        polled.map(|outcome| self.made_durable(outcome))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("lsn", &self.lsn)
            .field("durable", &self.is_durable())
            .finish()
    }
}
