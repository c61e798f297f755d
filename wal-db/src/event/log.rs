//! What a program calls: append events, decode records, open a log of one family of events.

use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::{borrow::Borrow, fmt};

use super::{
    batch::Events,
    codec::{Codec, DefaultCodec},
    held,
    meta::Meta,
    payload,
    read_back::{AsDeclared, AsEvent, ReadsBack},
    record::{self, EventType, WalDecode, WalDecodeOwned, WalRecord},
    replay::{Event, Replay},
    scratch,
    stored::Upcast,
};
use crate::{
    error::{Result, TypedError},
    log::{Alone, Placed, Record, RecordRef, RevIter, Start, Tail, Wal},
    lsn::Lsn,
};

/// Whether every event is read again before it is appended if nothing is said.
pub(super) const READS_BACK: bool = cfg!(debug_assertions);

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
    /// let wal = Wal::with_store(MemStore::new())?;
    /// let lsn = wal.append_typed(&Reading { sensor: 7, celsius: 21.5 })?;
    /// let record = wal.read(lsn)?;
    /// assert_eq!(record.decode::<Reading>()?, Reading { sensor: 7, celsius: 21.5 });
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    ///
    /// # Errors
    /// [`TypedError::Encode`] if the event cannot be encoded or could not be read back, for example because
    /// it is nested too deeply; [`TypedError::IdTaken`], [`TypedError::OtherId`] or [`TypedError::ShapeChanged`] if the log
    /// holds another type with its id, the type with another id, or another shape of its version. Nothing was appended then. Otherwise as [`append`](Wal::append); to find the
    /// schemas that the log holds it may be read, as by [`schemas`](Wal::schemas).
    pub fn append_typed<T: WalRecord>(&self, event: &T) -> Result<Lsn> {
        let encode = |buffer: &mut Vec<u8>| payload::encode::<DefaultCodec, T>(event, buffer);
        Ok(append::<Declared<T>>(self, READS_BACK, encode)?.0)
    }

    /// This log as a log of events of one type.
    ///
    /// Takes no longer for a long log than for a short one, unless the schemas list an earlier version that `E` does not
    /// read: then the log is searched for a record of it, each time, because schemas stay when records are truncated.
    ///
    /// # Errors
    /// [`TypedError::ShapeChanged`] if the log holds another shape of a type and version that `E` reads.
    /// [`TypedError::OlderVersions`] if the log holds a record of an earlier version of a type of `E` that nothing reads;
    /// a later one is no error, see [`EventLog::ahead`].
    /// [`TypedError::IdTaken`] if an id of `E` is that of a type with another name in this log, [`TypedError::OtherId`] if
    /// a type of `E` is there with another id.
    /// [`TypedError::IdCollision`] if two event types of `E` share a type id; the derive finds that at compile time.
    /// Otherwise as [`schemas`](Wal::schemas): the schemas are read; and as [`iter`](Wal::iter) where it is searched.
    pub fn typed<E: WalDecodeOwned>(&self) -> Result<EventLog<E>> {
        record::check_ids(E::RECORDS)?;
        held::check_opened(self, E::RECORDS)?;
        Ok(EventLog {
            wal: self.clone(),
            reads_back: READS_BACK,
            events: PhantomData,
        })
    }
}

/// An event of which only that it can be written is known.
type Declared<T> = AsDeclared<DefaultCodec, T>;

/// Appends what `encode` makes; returns where it is and where it ends.
#[inline]
fn append<R: ReadsBack>(
    wal: &Wal,
    reads_back: bool,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<&'static EventType, TypedError>,
) -> Result<(Lsn, u64)> {
    scratch::with(|buffer| {
        let record = encode(buffer)?;
        if reads_back {
            R::check(record, buffer)?;
        }
        held::append::<R>(wal, buffer, record)
    })
}

/// As [`append`], without waiting.
fn try_append<R: ReadsBack>(
    wal: &Wal,
    reads_back: bool,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<&'static EventType, TypedError>,
) -> Result<Lsn> {
    scratch::with(|buffer| {
        let record = encode(buffer)?;
        if reads_back {
            R::check(record, buffer)?;
        }
        held::try_append::<R>(wal, buffer, record)
    })
}

/// Appends what `encode` makes of each event, all or none.
fn append_each<R: ReadsBack, T>(
    wal: &Wal,
    reads_back: bool,
    events: &[T],
    encode: impl Fn(&T, &mut Vec<u8>) -> Result<&'static EventType, TypedError>,
) -> Result<Vec<Lsn>> {
    scratch::with(|buffer| encode_each::<R, T>(buffer, reads_back, events, encode)?.append(wal, buffer))
}

/// What was encoded into a buffer.
pub(crate) enum Encoded {
    One(&'static EventType),
    Batch(Events),
}

fn encode_each<R: ReadsBack, T>(
    buffer: &mut Vec<u8>,
    reads_back: bool,
    events: &[T],
    encode: impl Fn(&T, &mut Vec<u8>) -> Result<&'static EventType, TypedError>,
) -> Result<Events, TypedError> {
    let mut batch = Events::with_capacity(events.len());
    for event in events {
        batch.push::<R>(buffer, reads_back, |buffer| encode(event, buffer))?;
    }
    Ok(batch)
}

macro_rules! decoding {
    ($record:ty) => {
        impl $record {
            /// The event that this record holds, in today's version of `T`.
            ///
            /// A record does not know its log, so this does not compare the shape of `T` with the one that the log
            /// holds, as [`Wal::typed`] and [`EventLog::replay`] do. A type that was changed without a new version may
            /// be decoded wrongly.
            ///
            /// # Errors
            /// A [`TypedError`] that carries the LSN: the record is no event, is another type or a newer version, is
            /// in a format that this build cannot read, its bytes are not exactly one `T`, or an event of an earlier
            /// version cannot be brought up to today's.
            pub fn decode<T: WalDecodeOwned>(&self) -> Result<T, TypedError> {
                self.decode_with_codec::<T, DefaultCodec>()
            }

            /// As [`decode`](Self::decode), for a log with records in the application's own format `C`.
            pub fn decode_with_codec<T: WalDecodeOwned, C: Codec>(&self) -> Result<T, TypedError> {
                payload::decode_one::<C, T>(self.lsn(), self.kind(), self.data())
            }

            /// As [`decode`](Self::decode), with a `T` that borrows from the record: nothing is copied or allocated
            /// that the type does not ask for.
            pub fn decode_ref<'a, T: WalDecode<'a>>(&'a self) -> Result<T, TypedError> {
                payload::decode_one::<DefaultCodec, T>(self.lsn(), self.kind(), self.data())
            }

            /// The events that this record is today: one, or any number if its type was split since. Fails as
            /// [`decode`](Self::decode).
            pub fn decode_all<T: WalDecodeOwned>(&self) -> Result<Vec<T>, TypedError> {
                match payload::decode::<DefaultCodec, T>(self.lsn(), self.kind(), self.data())? {
                    Upcast::One(event) => Ok(vec![event]),
                    Upcast::Many(events) => Ok(events),
                }
            }
        }
    };
}

decoding!(Record);
decoding!(RecordRef<'_>);

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
/// let log = Wal::with_store(MemStore::new())?.typed::<Door>()?;
/// log.append(&Door::Opened { by: "ann".into() })?;
/// let second = log.append_and_sync(&Door::Closed)?;
///
/// for event in log.replay(second..)? {
///     assert_eq!(event?.event, Door::Closed);
/// }
/// # Ok::<(), wal_db::WalError>(())
/// ```
pub struct EventLog<E, C = DefaultCodec> {
    wal: Wal,
    reads_back: bool,
    events: PhantomData<fn(E) -> (E, C)>,
}

impl<E: WalDecodeOwned, C: Codec> EventLog<E, C> {
    /// The same log, with events that are written in the format `D` from now on. What is in the log is read in the format
    /// that it says.
    #[must_use]
    pub fn with_codec<D: Codec>(self) -> EventLog<E, D> {
        const { super::codec::check::<D>() }
        EventLog {
            wal: self.wal,
            reads_back: self.reads_back,
            events: PhantomData,
        }
    }

    /// Whether every event is [read and written again](WalRecord#what-is-written-can-be-read) before it is appended
    /// through this handle and its clones. That finds single values that cannot be read: one that its own `try_from`
    /// does not take, or a `deserialize_with` that is stricter than its `serialize_with`.
    ///
    /// On by default in a debug build, off in a release build. It costs a decoding and an encoding for each append, and
    /// what they allocate. `testing::roundtrip_test!` finds such values before they are released.
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// # use serde::{Deserialize, Serialize};
    /// # use wal_db::{MemStore, Wal, WalRecord};
    /// #[derive(Serialize, Deserialize, WalRecord)]
    /// #[wal(name = "sold")]
    /// struct Sold(#[serde(deserialize_with = "even")] #[wal(opaque = "even@1")] u32);
    ///
    /// # fn even<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    /// #     let n = u32::deserialize(d)?;
    /// #     if n % 2 == 0 { Ok(n) } else { Err(serde::de::Error::custom("odd")) }
    /// # }
    /// let log = Wal::with_store(MemStore::new())?.typed::<Sold>()?.with_read_back(true);
    /// log.append(&Sold(2))?;
    /// assert!(log.append(&Sold(3)).is_err());
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    #[must_use]
    pub fn with_read_back(mut self, on: bool) -> Self {
        self.reads_back = on;
        self
    }

    /// Whether every event is read again before it is appended; see [`with_read_back`](Self::with_read_back).
    #[must_use]
    pub fn read_back(&self) -> bool {
        self.reads_back
    }

    #[inline]
    fn append_one(&self, event: &E) -> Result<(Lsn, u64)> {
        append::<AsEvent<C, E>>(&self.wal, self.reads_back, |buffer| {
            payload::encode::<C, E>(event, buffer)
        })
    }

    fn append_all<T>(
        &self,
        events: &[T],
        encode: impl Fn(&T, &mut Vec<u8>) -> Result<&'static EventType, TypedError>,
    ) -> Result<Vec<Lsn>> {
        append_each::<AsEvent<C, E>, T>(&self.wal, self.reads_back, events, encode)
    }

    /// Appends one event; as [`Wal::append_typed`].
    pub fn append(&self, event: &E) -> Result<Lsn> {
        Ok(self.append_one(event)?.0)
    }

    /// As [`append`](Self::append), and never waits; see [`Wal::try_append`]. It is also [`Busy`](crate::WalError::Busy) if the
    /// schema of the type has to be written first: before the first event of a type, and now and then again.
    ///
    /// # Errors
    /// [`Busy`](crate::WalError::Busy), and those of [`append`](Self::append) except [`Full`](crate::WalError::Full).
    pub fn try_append(&self, event: &E) -> Result<Lsn> {
        let encode = |buffer: &mut Vec<u8>| payload::encode::<C, E>(event, buffer);
        try_append::<AsEvent<C, E>>(&self.wal, self.reads_back, encode)
    }

    /// As [`try_append`](Self::try_append), with metadata.
    ///
    /// # Errors
    /// [`Busy`](crate::WalError::Busy), and those of [`append_with_meta`](Self::append_with_meta) except
    /// [`Full`](crate::WalError::Full).
    pub fn try_append_with_meta(&self, event: &E, meta: &Meta) -> Result<Lsn> {
        let encode = |buffer: &mut Vec<u8>| payload::encode_with_meta::<C, E>(event, meta, buffer);
        try_append::<AsEvent<C, E>>(&self.wal, self.reads_back, encode)
    }

    /// Appends events so that after a crash either all of them are there or none; returns their LSNs in order.
    ///
    /// They survive as an event of [`append`](Self::append) does.
    ///
    /// # Errors
    /// As [`append`](Self::append). One event that cannot be encoded refuses the whole batch.
    pub fn append_batch(&self, events: &[E]) -> Result<Vec<Lsn>> {
        self.append_all(events, payload::encode::<C, E>)
    }

    /// Appends one event and waits until it survives power loss.
    ///
    /// # Errors
    /// Those of [`append`](Self::append). [`NotDurable`](crate::WalError::NotDurable) and
    /// [`InDoubt`](crate::WalError::InDoubt) mean what they do after [`Wal::append_and_sync`].
    pub fn append_and_sync(&self, event: &E) -> Result<Lsn> {
        let (lsn, end) = self.append_one(event)?;
        self.wal.sync_record(lsn, end)?;
        Ok(lsn)
    }

    /// As [`append`](Self::append), with metadata, which is read with [`Record::meta`] or as part of an
    /// [`Event`](crate::Event).
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// # use serde::{Deserialize, Serialize};
    /// # use wal_db::{MemStore, Meta, Wal, WalRecord};
    /// # #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    /// # #[wal(name = "door")]
    /// # enum Door { Opened { by: String }, Closed }
    /// let log = Wal::with_store(MemStore::new())?.typed::<Door>()?;
    /// let front = Meta::new().with_stream("front");
    /// let opened = log.append_with_meta(&Door::Opened { by: "ann".into() }, &front)?;
    /// log.append_with_meta(&Door::Closed, &Meta::new().with_stream("back"))?;
    /// log.append_with_meta(&Door::Closed, &front.with_causation(opened))?;
    ///
    /// let closed = log.replay(..)?.stream("front").last().expect("two events")?;
    /// assert_eq!(closed.event, Door::Closed);
    /// assert_eq!(closed.meta.causation(), Some(opened));
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    ///
    /// # Errors
    /// As [`append`](Self::append); [`TypedError::Encode`] from a [`MetaError`](crate::event::MetaError) if the
    /// metadata cannot be stored.
    pub fn append_with_meta(&self, event: &E, meta: &Meta) -> Result<Lsn> {
        let encode = |buffer: &mut Vec<u8>| payload::encode_with_meta::<C, E>(event, meta, buffer);
        Ok(append::<AsEvent<C, E>>(&self.wal, self.reads_back, encode)?.0)
    }

    /// As [`append_batch`](Self::append_batch), each event with metadata. Fails as
    /// [`append_with_meta`](Self::append_with_meta).
    pub fn append_batch_with_meta(&self, events: &[(E, Meta)]) -> Result<Vec<Lsn>> {
        self.append_all(events, |(event, meta), buffer| {
            payload::encode_with_meta::<C, E>(event, meta, buffer)
        })
    }

    /// Encodes events with metadata, of which there is one at least, into an empty buffer.
    pub(crate) fn encode<B: Borrow<E>>(
        &self,
        buffer: &mut Vec<u8>,
        events: &[(B, Meta)],
    ) -> Result<Encoded, TypedError> {
        let encode = |(event, meta): &(B, Meta), buffer: &mut Vec<u8>| {
            payload::encode_with_meta::<C, E>(event.borrow(), meta, buffer)
        };
        let [event] = events else {
            let batch = encode_each::<AsEvent<C, E>, _>(buffer, self.reads_back, events, encode)?;
            return Ok(Encoded::Batch(batch));
        };
        let record = encode(event, buffer)?;
        if self.reads_back {
            AsEvent::<C, E>::check(record, buffer)?;
        }
        Ok(Encoded::One(record))
    }

    /// Appends what was encoded, all or none, by the only one who appends.
    pub(crate) fn append_alone(
        &self,
        alone: &mut Alone<'_>,
        encoded: &Encoded,
        bytes: &[u8],
    ) -> Result<(Vec<Lsn>, Placed)> {
        match encoded {
            Encoded::One(record) => {
                let (lsn, placed) = held::append_alone::<AsEvent<C, E>>(alone, bytes, record)?;
                Ok((vec![lsn], placed))
            }
            Encoded::Batch(batch) => batch.append_alone(alone, bytes),
        }
    }

    /// That the log holds the shapes of the program's types.
    pub(crate) fn check_shapes(&self) -> Result<()> {
        held::check(&self.wal, E::RECORDS)
    }

    /// The events in `range`, oldest first. [`Replay`] says how to have only those of a stream or with a tag, and how
    /// to go on after what cannot be read.
    ///
    /// # Errors
    /// If the log cannot be read from the start of the range, as [`Wal::range`]; [`TypedError::ShapeChanged`] if the log
    /// has come to hold another shape of a type since [`Wal::typed`] compared them.
    pub fn replay(&self, range: impl RangeBounds<Lsn>) -> Result<Replay<E, C>> {
        let records = self.wal.range(range)?;
        held::check(&self.wal, E::RECORDS)?;
        Ok(Replay::new(records))
    }

    /// All events, newest first; the parts of an event that was split as well. What comes later is not seen.
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// # use serde::{Deserialize, Serialize};
    /// # use wal_db::{MemStore, Meta, Wal, WalRecord};
    /// # #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    /// # #[wal(name = "door")]
    /// # enum Door { Opened { by: String }, Closed }
    /// let log = Wal::with_store(MemStore::new())?.typed::<Door>()?;
    /// log.append_with_meta(&Door::Closed, &Meta::new().with_stream(7))?;
    /// log.append_with_meta(&Door::Opened { by: "ann".into() }, &Meta::new().with_stream(8))?;
    ///
    /// let last_of_7 = log.replay_rev()?.stream(7).next().expect("one")?;
    /// assert_eq!(last_of_7.event, Door::Closed);
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    ///
    /// # Errors
    /// As [`replay`](Self::replay).
    pub fn replay_rev(&self) -> Result<Replay<E, C, RevIter>> {
        let records = self.wal.iter_rev()?;
        held::check(&self.wal, E::RECORDS)?;
        Ok(Replay::new(records))
    }

    /// Follows the log: the events from `start` on, then each that comes, once it is durable. As an [`Iterator`] it waits
    /// for each event, and ends as [`Tail`] does.
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// # use serde::{Deserialize, Serialize};
    /// # use wal_db::{MemStore, Wal, WalRecord, Start};
    /// # #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    /// # #[wal(name = "door")]
    /// # enum Door { Opened { by: String }, Closed }
    /// let log = Wal::with_store(MemStore::new())?.typed::<Door>()?;
    /// let mut tail = log.tail(Start::Head)?;
    /// assert_eq!(tail.try_next()?, None);
    ///
    /// log.append_and_sync(&Door::Closed)?;
    /// assert_eq!(tail.try_next()?.expect("it is durable").event, Door::Closed);
    /// let later = tail.position()?;
    ///
    /// log.append_and_sync(&Door::Opened { by: "ann".into() })?;
    /// assert!(matches!(log.tail(later)?.try_next()?.expect("one").event, Door::Opened { .. }));
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Wal::tail`], and as [`replay`](Self::replay) for a shape that has changed.
    pub fn tail(&self, start: impl Into<Start>) -> Result<Replay<E, C, Tail>> {
        let start = start.into();
        let (lsn, parts) = match &start {
            Start::Position(position) => (position.lsn(), position.part()),
            _ => (Lsn::ZERO, 0),
        };
        let records = self.wal.tail(start)?;
        let newer = records.newer_schemas();
        held::check(&self.wal, E::RECORDS)?;
        Ok(Replay::following(records, newer).after_parts(lsn, parts))
    }

    /// The event at `lsn`.
    ///
    /// # Errors
    /// Those of [`Wal::read`] and of [`Record::decode`]; of an event that was split since it was stored,
    /// [`replay`](Self::replay) has all parts.
    pub fn read(&self, lsn: Lsn) -> Result<Event<E>> {
        let record = self.wal.read(lsn)?;
        held::check(&self.wal, E::RECORDS)?;
        let read = Event::of::<C>(&record).map_err(|error| {
            error.named(|id| {
                let name = self.wal.with_dictionary(|held| held::name_of(held, id));
                name.ok().flatten()
            })
        });
        Ok(read?)
    }

    /// The newest event; `None` if there is none. Fails as [`replay_rev`](Self::replay_rev).
    pub fn last(&self) -> Result<Option<Event<E>>> {
        self.replay_rev()?.next().transpose()
    }

    /// The log below, for everything that does not depend on the type of the events.
    #[must_use]
    pub fn wal(&self) -> &Wal {
        &self.wal
    }
}

impl<E, C> Clone for EventLog<E, C> {
    fn clone(&self) -> Self {
        EventLog {
            wal: self.wal.clone(),
            reads_back: self.reads_back,
            events: PhantomData,
        }
    }
}

impl<E: WalRecord, C> fmt::Debug for EventLog<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog")
            .field("events", &E::NAME)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "derive", feature = "bincode"))]
#[path = "log_tests.rs"]
mod tests;
