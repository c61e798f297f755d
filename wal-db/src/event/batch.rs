//! Events that are appended together: encoded one after another, each with what its log wants to know of its type.

use std::fmt;
use std::marker::PhantomData;

use super::{
    codec::{Codec, CodecId, DefaultCodec},
    log::READS_BACK,
    meta::Meta,
    payload,
    read_back::{self, AsDeclared, ReadsBack},
    record::{EventType, WalRecord},
};
use crate::{
    error::{Result, TypedError},
    log::{Alone, Describe, Described, Entry, Placed, Wal},
    lsn::Lsn,
};

/// Events of any types that are appended together; made by [`Wal::batch`]. After a crash all of them are there or none.
///
/// Types that are often appended together can also be the variants of one
/// [enum of families](WalRecord#several-families-in-one-log), which is then read in one replay, too.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord};
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "order")]
/// enum Order { Placed { id: u64 }, Sent { id: u64 } }
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "billed")]
/// struct Billed { order: u64, cents: u32 }
///
/// let wal = Wal::with_store(MemStore::new())?;
/// let mut batch = wal.batch();
/// batch.push(&Order::Placed { id: 7 })?;
/// batch.push(&Billed { order: 7, cents: 900 })?;
/// let lsns = batch.append()?;
/// assert_eq!(wal.read(lsns[1])?.decode::<Billed>()?.cents, 900);
///
/// // Or in one line, and durable when it returns.
/// wal.batch().push(&Order::Sent { id: 7 })?.push(&Billed { order: 7, cents: 100 })?.append()?;
/// wal.sync()?;
/// assert_eq!(wal.status().records, 4);
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[must_use = "nothing is appended before `append`"]
pub struct EventBatch<'w, C = DefaultCodec> {
    wal: &'w Wal,
    bytes: Vec<u8>,
    events: Events,
    codec: PhantomData<fn() -> C>,
}

impl Wal {
    /// An empty batch, for events of different types that are there together or not at all.
    pub fn batch(&self) -> EventBatch<'_> {
        EventBatch {
            wal: self,
            bytes: Vec::new(),
            events: Events::default(),
            codec: PhantomData,
        }
    }
}

impl<'w, C: Codec> EventBatch<'w, C> {
    /// The same batch; what is added from now on is written in the format `D`.
    pub fn with_codec<D: Codec>(self) -> EventBatch<'w, D> {
        const { super::codec::check::<D>() }
        EventBatch {
            wal: self.wal,
            bytes: self.bytes,
            events: self.events,
            codec: PhantomData,
        }
    }

    /// Adds an event. It is encoded now, so it need not be kept.
    ///
    /// # Errors
    /// [`TypedError::Encode`] as for [`Wal::append_typed`]; the batch is as it was then.
    pub fn push<T: WalRecord>(&mut self, event: &T) -> Result<&mut Self> {
        self.add::<T>(|bytes| payload::encode::<C, T>(event, bytes))
    }

    /// As [`push`](Self::push), with metadata.
    ///
    /// # Errors
    /// As [`EventLog::append_with_meta`](crate::EventLog::append_with_meta).
    pub fn push_with_meta<T: WalRecord>(&mut self, event: &T, meta: &Meta) -> Result<&mut Self> {
        self.add::<T>(|bytes| payload::encode_with_meta::<C, T>(event, meta, bytes))
    }

    fn add<T: WalRecord>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<&'static EventType, TypedError>,
    ) -> Result<&mut Self> {
        let EventBatch { bytes, events, .. } = self;
        events.push::<AsDeclared<C, T>>(bytes, READS_BACK, encode)?;
        Ok(self)
    }

    /// How many events are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.ends.len()
    }

    /// Whether there is none in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.ends.is_empty()
    }

    /// Appends the events, all or none, and returns their LSNs in order. The batch is empty then, and can be used again.
    ///
    /// They survive the process when this returns, and the power once a [`sync`](Wal::sync) that starts afterwards has
    /// returned.
    ///
    /// # Errors
    /// As [`EventLog::append_batch`](crate::EventLog::append_batch). The batch still has its events then, for another try
    /// where one makes sense.
    pub fn append(&mut self) -> Result<Vec<Lsn>> {
        let lsns = self.events.append(self.wal, &self.bytes)?;
        self.bytes.clear();
        self.events.clear();
        Ok(lsns)
    }
}

impl<C> fmt::Debug for EventBatch<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBatch")
            .field("events", &self.events.ends.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Where in a buffer events end, and the types that they are of.
#[derive(Default)]
pub(crate) struct Events {
    ends: Vec<usize>,
    types: Vec<OfType>,
}

impl Events {
    pub(super) fn with_capacity(count: usize) -> Self {
        Events {
            ends: Vec::with_capacity(count),
            types: Vec::new(),
        }
    }

    /// Adds an event to those in `bytes`; after an error it is as before.
    pub(super) fn push<R: ReadsBack>(
        &mut self,
        bytes: &mut Vec<u8>,
        reads_back: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<&'static EventType, TypedError>,
    ) -> Result<(), TypedError> {
        let start = bytes.len();
        let added = encode(bytes).and_then(|record| {
            if reads_back {
                R::check(record, &bytes[start..])?;
            }
            Ok(record)
        });
        let record = added.inspect_err(|_| bytes.truncate(start))?;
        self.ends.push(bytes.len());
        let key = record.key::<R::Codec>();
        if record.schema.is_some() && self.types.iter().all(|of| of.key != key) {
            self.types.push(OfType {
                record,
                key,
                codec: <R::Codec as Codec>::ID,
                check: R::check,
            });
        }
        Ok(())
    }

    pub(super) fn append(&self, wal: &Wal, bytes: &[u8]) -> Result<Vec<Lsn>> {
        wal.append_batch_described(&self.payloads(bytes), &self.described())
    }

    /// As [`append`](Self::append), by the only one who appends; there is an event at least.
    pub(super) fn append_alone(&self, alone: &mut Alone<'_>, bytes: &[u8]) -> Result<(Vec<Lsn>, Placed)> {
        alone.append_batch(&self.payloads(bytes), &self.described())
    }

    fn payloads<'b>(&self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut start = 0;
        let ends = self.ends.iter();
        ends.map(|&end| &bytes[std::mem::replace(&mut start, end)..end])
            .collect()
    }

    fn described(&self) -> Vec<Described<'_>> {
        let described = self.types.iter().map(|of| Described { key: of.key, of });
        described.collect()
    }

    fn clear(&mut self) {
        self.ends.clear();
        self.types.clear();
    }
}

/// An event type in a batch, and how its events are read again.
struct OfType {
    record: &'static EventType,
    key: u64,
    codec: CodecId,
    check: fn(&'static EventType, &[u8]) -> Result<(), TypedError>,
}

impl Describe for OfType {
    fn check(&self, payloads: &[&[u8]]) -> Result<()> {
        Ok(read_back::check_all(
            self.record,
            self.codec,
            payloads,
            self.check,
        )?)
    }

    fn entry(&self, held: &[Entry]) -> Result<Option<Vec<u8>>> {
        self.record.entry(held)
    }
}
