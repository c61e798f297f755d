//! A promise of durability that can be waited for in three ways.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::commit::{Tell, Waiting};
use crate::{error::Result, log::core::Core, lsn::Lsn, sync::Mutex};

/// A record on its way to stable storage, from [`Wal::ticket`](crate::Wal::ticket).
///
/// It is a future, needs no particular runtime, and can instead be waited for ([`wait`](Self::wait)) or given a
/// callback ([`on_durable`](Self::on_durable)). Dropping it loses nothing: the record is appended and will be flushed.
///
/// Without the background flusher, the call that polls, waits or registers a callback flushes by itself.
#[must_use = "the record is not durable until the ticket says so"]
pub struct Ticket {
    core: Arc<Core>,
    lsn: Lsn,
    target: u64,
    waker: Option<Arc<Mutex<Option<Waker>>>>,
}

impl Ticket {
    pub(crate) fn new(core: Arc<Core>, lsn: Lsn, target: u64) -> Self {
        Ticket {
            core,
            lsn,
            target,
            waker: None,
        }
    }

    /// The LSN of the record.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Whether the record is durable now, and was not cut off.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.is_flushed() && self.core.check_not_cut(self.lsn).is_ok()
    }

    fn is_flushed(&self) -> bool {
        self.core.base.durable() >= self.target
    }

    /// What to say once the record was made durable: it may have been cut off since.
    fn made_durable(&self, outcome: Result<()>) -> Result<Lsn> {
        outcome.map_err(|error| error.about(self.lsn))?;
        self.core.check_not_cut(self.lsn)?;
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
        self.made_durable(self.core.sync_to(self.target))
    }

    /// Calls `call` once the outcome is known: at once if it is, else in the thread that flushes, which waits for it
    /// to return. Callbacks run in no particular order. One that panics is dropped.
    ///
    /// # Errors
    /// `call` gets those of [`wait`](Self::wait).
    pub fn on_durable(self, call: impl FnOnce(Result<Lsn>) + Send + 'static) {
        let Ticket {
            core, lsn, target, ..
        } = self;
        // The log keeps the callback, which must not keep the log.
        let log = Arc::downgrade(&core);
        let tell = Tell::Call(Box::new(move |outcome: Result<()>| {
            let kept = || log.upgrade().map_or(Ok(()), |core| core.check_not_cut(lsn));
            let outcome = outcome.map_err(|error| error.about(lsn));
            call(outcome.and_then(|()| kept()).map(|()| lsn));
        }));
        let writer = match core.writer() {
            Ok(writer) if core.flushes_by_itself() => writer,
            _ => return tell.tell(core.sync_to(target)),
        };
        match core.add_ticket(writer, Waiting { target, tell }) {
            Some((waiting, outcome)) => waiting.tell.tell(outcome),
            None => core.want_durable(target),
        }
    }
}

impl Future for Ticket {
    type Output = Result<Lsn>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_flushed() || !self.core.flushes_by_itself() {
            return Poll::Ready(self.made_durable(self.core.sync_to(self.target)));
        }
        if self.core.is_poisoned() {
            return Poll::Ready(Err(self.core.in_doubt().about(self.lsn)));
        }
        if let Some(slot) = &self.waker {
            *slot.lock() = Some(context.waker().clone());
            // The flush may have ended between the check above and the line before.
            if !self.is_flushed() && !self.core.is_poisoned() {
                return Poll::Pending;
            }
            return Poll::Ready(self.made_durable(self.core.sync_to(self.target)));
        }
        let slot = Arc::new(Mutex::new(Some(context.waker().clone())));
        self.waker = Some(slot.clone());
        let waiting = Waiting {
            target: self.target,
            tell: Tell::Wake(slot),
        };
        match self
            .core
            .writer()
            .map(|writer| self.core.add_ticket(writer, waiting))
        {
            Ok(None) => {
                self.core.want_durable(self.target);
                Poll::Pending
            }
            Ok(Some((_, outcome))) => Poll::Ready(self.made_durable(outcome)),
            Err(error) => Poll::Ready(Err(error)),
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
