//! Replaying a part of the log as events of one type.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use super::{
    codec::{Codec, DefaultCodec},
    dictionary, info,
    meta::Meta,
    payload,
    record::{WalDecodeOwned, WalRecord},
    stored::Upcast,
    unreadable::{Ahead, Notes, Skipped, Unreadable},
};
use crate::{
    error::{Result, TypedError},
    format::envelope::Envelope,
    log::{RecordKind, RecordRef, WalIter},
    lsn::Lsn,
};

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
    /// What it was appended with; empty, and nothing allocated, if that is nothing.
    pub meta: Meta,
    /// Which event of its record it is, from 0. Other than 0 only if its type was split since it was stored:
    /// [`lsn`](Self::lsn) and [`meta`](Self::meta) are then the same for all parts.
    pub part: u32,
    /// How many events its record is: 1 unless its type was split.
    pub parts: u32,
}

/// The events of a part of the log, oldest first; made by [`EventLog::replay`](crate::EventLog::replay).
///
/// A record that is not an event of type `E`, or that cannot be read, is an error with its LSN, and the last item: what
/// follows a gap is never handed out. To go on after it, replay from a later LSN, or say so beforehand with
/// [`on_unreadable`](Self::on_unreadable). Records in which the log keeps notes of its own are passed over, and so are
/// events of retired types.
///
/// A panic in a conversion of the program's own, if it is caught, ends the replay as an error does.
///
/// Filters look at the header of a record: what they pass over is not decoded, and not an error whatever it is.
#[must_use = "nothing is read until the iterator is driven"]
pub struct Replay<E, C = DefaultCodec> {
    records: WalIter,
    filter: Filter,
    policy: Unreadable,
    notes: Notes,
    /// Events of a record that was split, which are still to come.
    split: std::vec::IntoIter<Event<E>>,
    ended: bool,
    events: PhantomData<fn() -> (E, C)>,
}

impl<E, C> Replay<E, C> {
    pub(super) fn new(records: WalIter) -> Self {
        Replay {
            records,
            filter: Filter::default(),
            policy: Unreadable::default(),
            notes: Notes::default(),
            split: Vec::new().into_iter(),
            ended: false,
            events: PhantomData,
        }
    }

    /// Only events whose metadata names this stream. A later call replaces an earlier one.
    pub fn stream(mut self, key: impl Into<String>) -> Self {
        self.filter.stream = Some(key.into());
        self
    }

    /// Only events whose metadata has this tag; after several calls, all of the tags.
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        self.filter.tags.push(tag.into());
        self
    }

    /// Only events of the types of `E`, in a log that holds others as well.
    ///
    /// Records of other types and plain records are passed over by what their headers say, without decoding them. A
    /// variant of `E` for [other](crate::event::UnknownEvent) records never gets one then. A record that is of a type of `E`
    /// and cannot be read is an error, or what [`on_unreadable`](Self::on_unreadable) makes of it; so is one whose header
    /// cannot be read, for it could be one.
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// use serde::{Deserialize, Serialize};
    /// use wal_db::{MemStore, Wal, WalRecord};
    ///
    /// #[derive(Serialize, Deserialize, WalRecord)]
    /// #[wal(name = "order")]
    /// struct Order(u64);
    ///
    /// #[derive(Serialize, Deserialize, WalRecord)]
    /// #[wal(name = "login")]
    /// struct Login(String);
    ///
    /// let wal = Wal::with_store(MemStore::new())?;
    /// wal.append_typed(&Login("ann".into()))?;
    /// wal.append_typed(&Order(7))?;
    /// wal.append(b"plain bytes")?;
    ///
    /// let mut orders = wal.typed::<Order>()?.replay(..)?.among_others();
    /// assert_eq!(orders.next().expect("one")?.event.0, 7);
    /// assert!(orders.next().is_none());
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    pub fn among_others(mut self) -> Self {
        self.filter.others = true;
        self
    }

    /// What to do about records that cannot be read; [`Unreadable::Error`] if nothing is said.
    pub fn on_unreadable(mut self, policy: Unreadable) -> Self {
        self.policy = policy;
        self
    }

    /// How many records were passed over so far because they could not be read.
    #[must_use]
    pub fn skipped(&self) -> Skipped {
        self.notes.skipped
    }

    /// Takes the errors that [`Unreadable::Collect`] has kept since the last call, in the order of the log. At most
    /// 1,024 wait to be taken; those that come then are counted in [`skipped`](Self::skipped) and not kept.
    pub fn take_collected(&mut self) -> Vec<TypedError> {
        let collected = std::mem::take(&mut self.notes.collected);
        collected.into_iter().map(|error| self.with_name(error)).collect()
    }

    /// Of which event types the log holds more than this program knows, so far: later versions of its own, and types
    /// that the family does not have. With two releases in service, it tells the older one that the newer one writes.
    ///
    /// It is what the headers of unreadable records say, also of the one whose error ended the replay. At most 1,024
    /// types are kept, in the order in which they were met.
    #[must_use]
    pub fn ahead(&self) -> &[Ahead] {
        &self.notes.ahead
    }
}

impl<E: WalDecodeOwned, C: Codec> Iterator for Replay<E, C> {
    type Item = Result<Event<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.split.next() {
            return Some(Ok(event));
        }
        if self.ended {
            return None;
        }
        // A conversion of the program's may panic, and the panic be caught: the record it was about is a gap.
        self.ended = true;
        let item = self.next_event();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl<E: WalDecodeOwned, C: Codec> FusedIterator for Replay<E, C> {}

impl<E: WalRecord, C> fmt::Debug for Replay<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("events", &E::NAME)
            .field("filter", &self.filter)
            .field("policy", &self.policy)
            .field("skipped", &self.notes.skipped)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<E, C> Replay<E, C> {
    /// The name of a type that the program does not have is for the log to say.
    fn with_name(&self, error: TypedError) -> TypedError {
        error.named(|id| {
            let name = self.records.with_dictionary(|held| dictionary::name_of(held, id));
            name.ok().flatten()
        })
    }
}

impl<E: WalDecodeOwned, C: Codec> Replay<E, C> {
    fn next_event(&mut self) -> Option<Result<Event<E>>> {
        loop {
            let record = match self.records.next_ref()? {
                Ok(record) if record.kind() == RecordKind::Schema => continue,
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            let lsn = record.lsn();
            let read = match self.filter.open::<E>(record) {
                Ok(None) => continue,
                Ok(Some(envelope)) => payload::decode_body::<C, E>(lsn, envelope.info, envelope.body)
                    .map(|events| (events, envelope))
                    .map_err(|error| (error, Some(envelope.info))),
                Err(error) => Err((error, None)),
            };
            match read {
                Ok((Upcast::One(event), envelope)) => return Some(Ok(part(event, lsn, &envelope, 0, 1))),
                Ok((Upcast::Many(events), envelope)) => {
                    let parts = events.len() as u32;
                    let events = (0..).zip(events);
                    let events = events.map(|(i, event)| part(event, lsn, &envelope, i, parts));
                    self.split = events.collect::<Vec<_>>().into_iter();
                    if let Some(first) = self.split.next() {
                        return Some(Ok(first));
                    }
                }
                Err((error, info)) => {
                    if let Err(error) = self.notes.unreadable(error, info, self.policy) {
                        return Some(Err(self.with_name(error).into()));
                    }
                }
            }
        }
    }
}

fn part<E>(event: E, lsn: Lsn, envelope: &Envelope<'_>, part: u32, parts: u32) -> Event<E> {
    Event {
        lsn,
        event,
        stored_version: envelope.info.version,
        meta: envelope.meta.to_meta(),
        part,
        parts,
    }
}

/// What a header must say for its record to be decoded.
#[derive(Debug, Default)]
struct Filter {
    /// Whether records of other types are passed over.
    others: bool,
    stream: Option<String>,
    tags: Vec<String>,
}

impl Filter {
    /// Takes a record apart, unless it is to be passed over.
    #[inline]
    fn open<'r, E: WalRecord>(&self, record: RecordRef<'r>) -> Result<Option<Envelope<'r>>, TypedError> {
        match info::envelope(record.lsn(), record.kind(), record.data()) {
            Ok(envelope) => Ok(self.lets_through::<E>(&envelope).then_some(envelope)),
            // It has no header, so it is of no type, in no stream and has no tag.
            Err(TypedError::NotTyped { .. }) if self.is_set() => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[inline]
    fn is_set(&self) -> bool {
        self.others || self.stream.is_some() || !self.tags.is_empty()
    }

    #[inline]
    fn lets_through<E: WalRecord>(&self, envelope: &Envelope<'_>) -> bool {
        let Envelope { info, meta, .. } = envelope;
        let mut records = E::RECORDS.iter();
        (!self.others || records.any(|record| record.has_id(info.type_id)))
            && self
                .stream
                .as_deref()
                .is_none_or(|stream| meta.stream() == Some(stream))
            && self.tags.iter().all(|tag| meta.has_tag(tag))
    }
}
