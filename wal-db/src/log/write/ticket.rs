//! A promise of durability that can be waited for in three ways.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    commit::{Tell, Waiting},
    writer::Writer,
};
use crate::{
    error::{Result, WalError},
    log::read::view::View,
    lsn::Lsn,
    sync::Mutex,
};

/// A record on its way to stable storage, from [`Wal::ticket`](crate::Wal::ticket).
///
/// It is a future, needs no particular runtime, and can instead be waited for ([`wait`](Self::wait)) or given a
/// callback ([`on_durable`](Self::on_durable)). Dropping it loses nothing: the record is appended and will be flushed.
///
/// Without the background flusher, the call that polls, waits or registers a callback flushes by itself.
#[must_use = "the record is not durable until the ticket says so"]
pub struct Ticket {
    view: Arc<View>,
    /// `None` for a handle that only reads.
    writer: Option<Arc<Writer>>,
    lsn: Lsn,
    target: u64,
    waker: Option<Arc<Mutex<Option<Waker>>>>,
}

impl Ticket {
    pub(crate) fn new(view: Arc<View>, writer: Option<Arc<Writer>>, lsn: Lsn) -> Result<Self> {
        let target = view.durable_target(lsn)?;
        if let Some(writer) = &writer {
            writer.want_durable(target);
        }
        Ok(Ticket {
            view,
            writer,
            lsn,
            target,
            waker: None,
        })
    }

    /// The LSN of the record.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Whether the record is durable now, and was not cut off.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.is_flushed() && self.view.check_not_cut(self.lsn).is_ok()
    }

    fn is_flushed(&self) -> bool {
        self.view.base.durable() >= self.target
    }

    fn sync(&self) -> Result<()> {
        match &self.writer {
            Some(writer) => writer.sync_to(self.target),
            None if self.is_flushed() => Ok(()),
            None => self.view.check_process().and(Err(WalError::ReadOnly)),
        }
    }

    /// The writer, if it flushes for those that do not wait.
    fn flusher(&self) -> Option<&Arc<Writer>> {
        self.writer.as_ref().filter(|writer| writer.flushes_by_itself())
    }

    /// What to say once the record was made durable: it may have been cut off since.
    fn made_durable(&self, outcome: Result<()>) -> Result<Lsn> {
        outcome.map_err(|error| error.about(self.lsn))?;
        self.view.check_not_cut(self.lsn)?;
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
        self.made_durable(self.sync())
    }

    /// Calls `call` once the outcome is known: at once if it is, else in the thread that flushes, which waits for it
    /// to return. Callbacks run in no particular order. One that panics is dropped.
    ///
    /// # Errors
    /// `call` gets those of [`wait`](Self::wait).
    pub fn on_durable(self, call: impl FnOnce(Result<Lsn>) + Send + 'static) {
        let (lsn, target) = (self.lsn, self.target);
        // The log keeps the callback, which must not keep the log.
        let view = Arc::downgrade(&self.view);
        let tell = Tell::Call(Box::new(move |outcome: Result<()>| {
            let kept = || view.upgrade().map_or(Ok(()), |view| view.check_not_cut(lsn));
            let outcome = outcome.map_err(|error| error.about(lsn));
            call(outcome.and_then(|()| kept()).map(|()| lsn));
        }));
        let Some(writer) = self.flusher() else {
            return tell.tell(self.sync());
        };
        match writer.add_ticket(Waiting { target, tell }) {
            Some((waiting, outcome)) => waiting.tell.tell(outcome),
            None => writer.want_durable(target),
        }
    }
}

impl Future for Ticket {
    type Output = Result<Lsn>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let writer = match self.flusher() {
            Some(writer) if !self.is_flushed() => writer.clone(),
            _ => return Poll::Ready(self.made_durable(self.sync())),
        };
        if writer.is_poisoned() {
            return Poll::Ready(Err(writer.in_doubt().about(self.lsn)));
        }
        if let Some(slot) = &self.waker {
            *slot.lock() = Some(context.waker().clone());
            // The flush may have ended between the check above and the line before.
            if !self.is_flushed() && !writer.is_poisoned() {
                return Poll::Pending;
            }
            return Poll::Ready(self.made_durable(self.sync()));
        }
        let slot = Arc::new(Mutex::new(Some(context.waker().clone())));
        self.waker = Some(slot.clone());
        let waiting = Waiting {
            target: self.target,
            tell: Tell::Wake(slot),
        };
        match writer.add_ticket(waiting) {
            None => {
                writer.want_durable(self.target);
                Poll::Pending
            }
            Some((_, outcome)) => Poll::Ready(self.made_durable(outcome)),
        }
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
