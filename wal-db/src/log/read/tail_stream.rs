//! Following a log in a task.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::stream::{FusedStream, Stream};

use super::{record::Record, tail::Tail};
use crate::{
    error::{Result, WalError},
    lsn::Lsn,
    position::Position,
    sync::Seat,
};

/// The records of a log as a stream, from [`Tail::into_stream`]: first those that are there, then each that comes, once it is
/// durable. It needs no runtime and has no thread of its own.
///
/// It ends as the iterator does: when the log is closed, or after an error other than [`CutBack`](WalError::CutBack). The task is
/// woken once for what has come, and for nothing else. A record that a dropped future would have got is got by the next one,
/// so a stream is safe in a `select!`.
///
/// A poll reads from the store what is not in memory any more, and does not wait for anybody. As long as there are records, it
/// is always ready: a task that goes through a long log lets others run now and then by itself.
///
/// ```
/// # use std::{future::{Future, poll_fn}, pin::Pin, task::{Context, Waker}};
/// # use futures_core::Stream;
/// # use wal_db::{Lsn, MemStore, Wal};
/// let wal = Wal::with_store(MemStore::new())?;
/// let mut news = wal.tail(Lsn::ZERO)?.into_stream()?;
/// let mut next = async || poll_fn(|context| Pin::new(&mut news).poll_next(context)).await; // as `StreamExt::next`
/// # let mut context = Context::from_waker(Waker::noop());
/// # assert!(std::pin::pin!(next()).poll(&mut context).is_pending());
///
/// wal.append_and_sync(b"news")?;
/// # let reads = async {
/// assert_eq!(next().await.expect("it goes on")?.data(), b"news");
/// # Ok::<(), wal_db::WalError>(())
/// # };
/// # assert!(std::pin::pin!(reads).poll(&mut context).is_ready());
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is read until the stream is polled"]
pub struct TailStream {
    tail: Tail,
    seat: Seat,
    ended: bool,
}

impl Tail {
    /// A stream of the records from where the follower is. What it is to [follow](Self::follow) is said before.
    ///
    /// # Errors
    /// [`Config`](WalError::Config) where nobody would wake the task: on a handle that only reads, and for
    /// [`Follow::Written`](crate::read::Follow::Written). `docs/async.md` says what to do instead.
    pub fn into_stream(self) -> Result<TailStream> {
        self.check_wakes()?;
        Ok(TailStream {
            tail: self,
            seat: Seat::default(),
            ended: false,
        })
    }
}

impl TailStream {
    /// As [`Tail::next_lsn`].
    pub fn next_lsn(&self) -> Lsn {
        self.tail.next_lsn()
    }

    /// As [`Tail::position`]: the place to store with what the records did, and to follow on from.
    ///
    /// # Errors
    /// Those of [`Tail::position`].
    pub fn position(&self) -> Result<Position> {
        self.tail.position()
    }
}

impl Stream for TailStream {
    type Item = Result<Record>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let TailStream { tail, seat, ended } = &mut *self;
        if *ended {
            return Poll::Ready(None);
        }
        let found = poll_news(
            tail,
            seat,
            context,
            |tail| tail,
            |tail| tail.try_next().transpose(),
        );
        found.map(|found| {
            *ended = found.as_ref().is_err_and(is_last);
            Some(found).filter(|found| !matches!(found, Err(WalError::Closed)))
        })
    }
}

impl FusedStream for TailStream {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl Drop for TailStream {
    fn drop(&mut self) {
        self.tail.leave(&mut self.seat);
    }
}

/// Whether nothing comes after an error.
fn is_last(error: &WalError) -> bool {
    !matches!(error, WalError::CutBack { .. })
}

/// What `next` finds, from a source that follows a log. It looks until it finds something or somebody is going to wake the task.
pub(crate) fn poll_news<S, T>(
    source: &mut S,
    seat: &mut Seat,
    context: &mut Context<'_>,
    tail_of: impl Fn(&S) -> &Tail,
    mut next: impl FnMut(&mut S) -> Option<T>,
) -> Poll<T> {
    loop {
        if let Some(found) = next(source) {
            tail_of(source).leave(seat);
            return Poll::Ready(found);
        }
        if tail_of(source).wait(seat, context.waker()) {
            return Poll::Pending;
        }
    }
}
