//! Waiting until a consumer has handled an event.

use std::{future::poll_fn, task::Poll, time::Duration};

use super::{Consumer, book::Book, handle::Shared};
use crate::{
    error::Result,
    event::{WalDecodeOwned, codec::Codec},
    log::ConsumerSeat,
    lsn::Lsn,
    sync::{Arc, Deadline},
};

/// What came of waiting for a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waited {
    /// Every event up to there was handled, or passed over.
    Reached,
    /// So it was, except for those that wait with a parked key; this is the first of them.
    Parked {
        /// The first event that waits.
        lsn: Lsn,
    },
    /// Not yet.
    TimedOut,
}

impl<E: WalDecodeOwned, C: Codec> Consumer<E, C> {
    /// Waits until every event up to the one at `lsn` was handled, but not longer than `timeout`. So a program that has
    /// appended something reads it in what the consumer keeps.
    ///
    /// It does not run the consumer, and does not make the event durable, without which it is not handed out.
    ///
    /// # Errors
    /// [`BeyondEnd`](crate::WalError::BeyondEnd) if `lsn` lies after the end of the log;
    /// [`Closed`](crate::WalError::Closed) once the log is closed; [`Poisoned`](crate::WalError::Poisoned) if it has failed and
    /// the event is not durable, which is heard when the run ends because of that.
    pub fn wait_for(&self, lsn: Lsn, timeout: Duration) -> Result<Waited> {
        let shared = &self.shared;
        shared.log.wal().check_end(lsn)?;
        let deadline = Deadline::after(timeout);
        loop {
            if let Some(waited) = shared.reached(lsn) {
                return Ok(waited);
            }
            shared.consuming.check_may_come(lsn)?;
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Waited::TimedOut);
            }
            let consuming = &shared.consuming;
            consuming.changed.sleep_unless(left, || {
                shared.has_passed(lsn) || consuming.check_may_come(lsn).is_err()
            });
        }
    }

    /// As [`wait_for`](Self::wait_for), without a thread that waits and without a timeout: a task that gives up drops the future.
    /// It is never [`TimedOut`](Waited::TimedOut).
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// # use serde::{Deserialize, Serialize};
    /// # use wal_db::{MemStore, Start, Wal, WalRecord, consumer::{ConsumerConfig, Waited}};
    /// # #[derive(Serialize, Deserialize, WalRecord)]
    /// # #[wal(name = "order")]
    /// # struct Order(u64);
    /// # let log = Wal::with_store(MemStore::new())?.typed::<Order>()?;
    /// # let mailer = log.consumer("mailer", ConsumerConfig::new().with_start(Start::Head))?;
    /// # let runs = { let mailer = mailer.clone(); std::thread::spawn(move || mailer.run(|_, _| Ok(()))) };
    /// # let asks = async {
    /// let ordered = log.append(&Order(7))?;
    /// log.wal().ticket(ordered)?.await?;
    /// assert_eq!(mailer.wait_for_async(ordered).await?, Waited::Reached); // the mail was sent
    /// # mailer.stop();
    /// # Ok::<(), wal_db::WalError>(())
    /// # };
    /// # let (mut asks, mut context) = (std::pin::pin!(asks), std::task::Context::from_waker(std::task::Waker::noop()));
    /// # while asks.as_mut().poll(&mut context).is_pending() {
    /// #     std::thread::yield_now();
    /// # }
    /// # runs.join().unwrap()?;
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`wait_for`](Self::wait_for).
    pub fn wait_for_async(&self, lsn: Lsn) -> impl Future<Output = Result<Waited>> + Unpin + use<E, C> {
        let mut wait = Wait {
            shared: self.shared.clone(),
            lsn,
            seat: ConsumerSeat::default(),
        };
        let mut within = self.shared.log.wal().check_end(lsn);
        poll_fn(move |context| {
            std::mem::replace(&mut within, Ok(()))?;
            let Wait { shared, lsn, seat } = &mut wait;
            // A child has locks that may be held for good.
            shared.consuming.check_process()?;
            let mut has_a_seat = false;
            loop {
                if let Some(waited) = shared.reached(*lsn) {
                    shared.consuming.leave(seat);
                    return Poll::Ready(Ok(waited));
                }
                if let Err(error) = shared.consuming.check_may_come(*lsn) {
                    shared.consuming.leave(seat);
                    return Poll::Ready(Err(error));
                }
                if has_a_seat {
                    return Poll::Pending;
                }
                // It is looked at again: the consumer may have passed it a moment ago.
                shared.consuming.wait(seat, *lsn, context.waker());
                has_a_seat = true;
            }
        })
    }
}

/// A task that waits.
struct Wait<E, C> {
    shared: Arc<Shared<E, C>>,
    lsn: Lsn,
    seat: ConsumerSeat,
}

impl<E, C> Drop for Wait<E, C> {
    fn drop(&mut self) {
        self.shared.consuming.leave(&mut self.seat);
    }
}

impl<E, C> Shared<E, C> {
    fn has_passed(&self, lsn: Lsn) -> bool {
        self.came_to.lock().place > lsn
    }

    fn reached(&self, lsn: Lsn) -> Option<Waited> {
        let came_to = *self.came_to.lock();
        if came_to.place <= lsn {
            return None;
        }
        Some(match came_to.first_parked.filter(|parked| *parked <= lsn) {
            Some(lsn) => Waited::Parked { lsn },
            None => Waited::Reached,
        })
    }
}

/// What of the book those need who wait. Its lock is never held while a file is written, so a poll may take it.
#[derive(Clone, Copy, Default)]
pub(super) struct CameTo {
    pub(super) place: Lsn,
    first_parked: Option<Lsn>,
}

impl CameTo {
    pub(super) fn of(book: &Book) -> Self {
        let waits = book.parked.values().map(|letter| Lsn::new(letter.lsn));
        CameTo {
            place: book.cursor.lsn(),
            first_parked: waits.min(),
        }
    }
}
