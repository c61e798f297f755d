//! Following the events of a log in a task.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::stream::{FusedStream, Stream};

use super::{
    codec::{Codec, DefaultCodec},
    record::{WalDecodeOwned, WalRecord},
    replay::{Event, Replay},
    unreadable::{Ahead, Skipped},
};
use crate::{
    error::{Result, TypedError, WalError},
    log::{Tail, poll_news},
    position::Position,
    sync::Seat,
};

/// The events of a log as a stream, from [`Replay::into_stream`]: first those that are there, then each that comes, once it is
/// durable. It ends as the iterator does, and is polled and woken as a [`TailStream`](crate::read::TailStream).
#[must_use = "nothing is read until the stream is polled"]
pub struct EventStream<E, C = DefaultCodec> {
    events: Replay<E, C, Tail>,
    seat: Seat,
    ended: bool,
}

impl<E: WalDecodeOwned, C: Codec> Replay<E, C, Tail> {
    /// A stream of the events from where the follower is. Its filters, and what it does about unreadable records, are said
    /// before.
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// # use std::{future::{Future, poll_fn}, pin::Pin, task::{Context, Waker}};
    /// # use futures_core::Stream;
    /// # use serde::{Deserialize, Serialize};
    /// # use wal_db::{MemStore, Start, Wal, WalRecord};
    /// # #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    /// # #[wal(name = "door")]
    /// # enum Door { Opened { by: String }, Closed }
    /// let log = Wal::with_store(MemStore::new())?.typed::<Door>()?;
    /// log.append_and_sync(&Door::Closed)?;
    ///
    /// let mut doors = log.tail(Start::Head)?.into_stream()?;
    /// # let reads = async {
    /// let next = poll_fn(|context| Pin::new(&mut doors).poll_next(context)).await; // as `StreamExt::next`
    /// assert_eq!(next.expect("it goes on")?.event, Door::Closed);
    /// # Ok::<(), wal_db::WalError>(())
    /// # };
    /// # assert!(std::pin::pin!(reads).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](WalError::Config), as for [`Tail::into_stream`].
    pub fn into_stream(self) -> Result<EventStream<E, C>> {
        self.source().check_wakes()?;
        Ok(EventStream {
            events: self,
            seat: Seat::default(),
            ended: false,
        })
    }
}

impl<E: WalDecodeOwned, C: Codec> EventStream<E, C> {
    /// As [`Replay::position`](Replay#method.position): the place to store with what the events did, and to follow on from.
    ///
    /// # Errors
    /// Those of [`Tail::position`].
    pub fn position(&self) -> Result<Position> {
        Replay::position(&self.events)
    }

    /// As [`Replay::skipped`].
    #[must_use]
    pub fn skipped(&self) -> Skipped {
        self.events.skipped()
    }

    /// As [`Replay::ahead`].
    #[must_use]
    pub fn ahead(&self) -> &[Ahead] {
        self.events.ahead()
    }

    /// As [`Replay::take_collected`].
    pub fn take_collected(&mut self) -> Vec<TypedError> {
        self.events.take_collected()
    }
}

// Nothing in it is pinned.
impl<E, C> Unpin for EventStream<E, C> {}

impl<E: WalDecodeOwned, C: Codec> Stream for EventStream<E, C> {
    type Item = Result<Event<E>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let EventStream { events, seat, ended } = &mut *self;
        if *ended {
            return Poll::Ready(None);
        }
        let found = poll_news(events, seat, context, Replay::source, Replay::next_if_there);
        found.map(|found| {
            let found = found.filter(|found| !matches!(found, Err(WalError::Closed)));
            *ended = found.is_none();
            found
        })
    }
}

impl<E: WalDecodeOwned, C: Codec> FusedStream for EventStream<E, C> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<E, C> Drop for EventStream<E, C> {
    fn drop(&mut self) {
        self.events.source().leave(&mut self.seat);
    }
}

impl<E: WalRecord, C> fmt::Debug for EventStream<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventStream").field(&self.events).finish()
    }
}
