//! What a program calls: append events, decode records, replay a log of one family of events.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::RangeBounds;

use super::error::TypedError;
use super::record::{self, WalRecord};
use super::{payload, scratch};
use crate::{Lsn, Record, RecordKind, RecordRef, Result, Ticket, Wal, WalIter};

impl Wal {
    /// Appends one event; returns its LSN.
    ///
    /// The event survives the process when this returns, and the power once a [`sync`](Wal::sync) that starts
    /// afterwards has returned.
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// use serde::{Deserialize, Serialize};
    /// use wal_db::{MemStore, Wal, WalRecord};
    ///
    /// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    /// #[wal(name = "reading")]
    /// struct Reading { sensor: u32, celsius: f32 }
    ///
    /// # fn main() -> wal_db::Result<()> {
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let lsn = wal.append_typed(&Reading { sensor: 7, celsius: 21.5 })?;
    /// let record = wal.read(lsn)?;
    /// assert_eq!(record.decode::<Reading>()?, Reading { sensor: 7, celsius: 21.5 });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TypedError::Encode`] if the event cannot be encoded or could not be read back, for example because
    /// it is nested too deeply; otherwise as [`append`](Wal::append). Nothing was appended then.
    pub fn append_typed<T: WalRecord>(&self, event: &T) -> Result<Lsn> {
        scratch::with(|buffer| {
            payload::encode(event, buffer)?;
            self.append_kind(RecordKind::Typed, buffer)
        })
    }

    /// Appends events so that after a crash either all of them are there or none; returns their LSNs in
    /// order.
    ///
    /// They survive as an event of [`append_typed`](Wal::append_typed) does.
    ///
    /// # Errors
    ///
    /// As [`append_typed`](Wal::append_typed). One event that cannot be encoded refuses the whole batch.
    pub fn append_typed_batch<T: WalRecord>(&self, events: &[T]) -> Result<Vec<Lsn>> {
        scratch::with(|buffer| {
            let mut ends = Vec::with_capacity(events.len());
            for event in events {
                payload::encode(event, buffer)?;
                ends.push(buffer.len());
            }
            let mut rest = buffer.as_slice();
            let mut start = 0;
            let mut payloads = Vec::with_capacity(ends.len());
            for end in ends {
                let (payload, after) = rest.split_at(end - start);
                payloads.push(payload);
                (rest, start) = (after, end);
            }
            self.append_batch_kind(RecordKind::Typed, &payloads)
        })
    }

    /// This log as a log of events of one type.
    ///
    /// # Errors
    ///
    /// [`TypedError::IdCollision`] if two record types of `E` share a type id. The derive finds that at
    /// compile time.
    pub fn typed<E: WalRecord>(&self) -> Result<EventLog<E>> {
        record::check_ids(E::RECORDS)?;
        Ok(EventLog {
            wal: self.clone(),
            events: PhantomData,
        })
    }
}

impl Record {
    /// The event that this record holds.
    ///
    /// # Errors
    ///
    /// A [`TypedError`] that carries the LSN: the record is no event, is another type or version, is in a
    /// format that this build cannot read, or its bytes are not exactly one `T`.
    pub fn decode<T: WalRecord>(&self) -> Result<T, TypedError> {
        payload::decode(self.lsn(), self.kind(), self.data()).map(|(event, _)| event)
    }
}

impl RecordRef<'_> {
    /// As [`Record::decode`].
    ///
    /// # Errors
    ///
    /// As [`Record::decode`].
    pub fn decode<T: WalRecord>(&self) -> Result<T, TypedError> {
        payload::decode(self.lsn(), self.kind(), self.data()).map(|(event, _)| event)
    }
}

/// A log whose events are all of type `E`. A cheap handle, like [`Wal`]: clones share the log.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "door")]
/// enum Door { Opened { by: String }, Closed }
///
/// # fn main() -> wal_db::Result<()> {
/// let log = Wal::with_store(MemStore::new())?.typed::<Door>()?;
/// log.append(&Door::Opened { by: "ann".into() })?;
/// let second = log.append_and_sync(&Door::Closed)?;
///
/// for event in log.replay(second..)? {
///     assert_eq!(event?.event, Door::Closed);
/// }
/// # Ok(())
/// # }
/// ```
pub struct EventLog<E> {
    wal: Wal,
    events: PhantomData<fn(E) -> E>,
}

impl<E: WalRecord> EventLog<E> {
    /// Appends one event; as [`Wal::append_typed`].
    ///
    /// # Errors
    ///
    /// As [`Wal::append_typed`].
    pub fn append(&self, event: &E) -> Result<Lsn> {
        self.wal.append_typed(event)
    }

    /// Appends events, all or none; as [`Wal::append_typed_batch`].
    ///
    /// # Errors
    ///
    /// As [`Wal::append_typed_batch`].
    pub fn append_batch(&self, events: &[E]) -> Result<Vec<Lsn>> {
        self.wal.append_typed_batch(events)
    }

    /// Appends one event and waits until it survives power loss.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), with nothing appended. If the flush fails the event is in doubt, as
    /// after a failed [`Wal::append_and_sync`].
    pub fn append_and_sync(&self, event: &E) -> Result<Lsn> {
        self.append_durable(event)?.wait()
    }

    /// Appends events, all or none, and waits until they survive power loss.
    ///
    /// # Errors
    ///
    /// As [`append_and_sync`](Self::append_and_sync).
    pub fn append_batch_and_sync(&self, events: &[E]) -> Result<Vec<Lsn>> {
        let lsns = self.append_batch(events)?;
        self.wal.sync()?;
        Ok(lsns)
    }

    /// Appends one event and returns without waiting; the [`Ticket`] says when it survives power loss.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), with nothing appended. A failed flush is reported by the ticket.
    pub fn append_durable(&self, event: &E) -> Result<Ticket> {
        scratch::with(|buffer| {
            payload::encode(event, buffer)?;
            self.wal.append_durable_kind(RecordKind::Typed, buffer)
        })
    }

    /// The events in `range`, oldest first.
    ///
    /// # Errors
    ///
    /// If the log cannot be read from the start of the range, as [`Wal::range`].
    pub fn replay(&self, range: impl RangeBounds<Lsn>) -> Result<Replay<E>> {
        Ok(Replay {
            records: self.wal.range(range)?,
            ended: false,
            events: PhantomData,
        })
    }

    /// The log below, for everything that does not depend on the type of the events.
    #[must_use]
    pub fn wal(&self) -> &Wal {
        &self.wal
    }
}

impl<E> Clone for EventLog<E> {
    fn clone(&self) -> Self {
        EventLog {
            wal: self.wal.clone(),
            events: PhantomData,
        }
    }
}

impl<E: WalRecord> fmt::Debug for EventLog<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog")
            .field("events", &E::NAME)
            .finish_non_exhaustive()
    }
}

/// An event and where it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event<E> {
    /// The LSN of its record.
    pub lsn: Lsn,
    /// The event.
    pub event: E,
    /// The version in which it is stored.
    pub stored_version: u16,
}

/// The events of a part of the log, oldest first; made by [`EventLog::replay`].
///
/// A record that is not an event of type `E`, or that cannot be read, is an error with its LSN, and the last
/// item: what follows a gap is never handed out. To go on behind it, replay from a later LSN. Records in
/// which the log keeps notes of its own are passed over.
#[must_use = "nothing is read until the iterator is driven"]
pub struct Replay<E> {
    records: WalIter,
    ended: bool,
    events: PhantomData<fn() -> E>,
}

impl<E: WalRecord> Iterator for Replay<E> {
    type Item = Result<Event<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = next_event(&mut self.records);
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl<E: WalRecord> FusedIterator for Replay<E> {}

impl<E: WalRecord> fmt::Debug for Replay<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("events", &E::NAME)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

fn next_event<E: WalRecord>(records: &mut WalIter) -> Option<Result<Event<E>>> {
    loop {
        let record = match records.next_ref()? {
            Ok(record) if record.kind() == RecordKind::Schema => continue,
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        let lsn = record.lsn();
        return Some(match payload::decode(lsn, record.kind(), record.data()) {
            Ok((event, info)) => Ok(Event {
                lsn,
                event,
                stored_version: info.version,
            }),
            Err(error) => Err(error.into()),
        });
    }
}

#[cfg(all(test, feature = "derive"))]
#[path = "log_tests.rs"]
mod tests;
