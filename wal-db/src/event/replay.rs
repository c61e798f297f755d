//! Replaying a part of the log as events of one type.

use std::{fmt, iter::FusedIterator, marker::PhantomData, time::Duration};

use super::{
    codec::{Codec, DefaultCodec},
    decode_ahead::DecodeAhead,
    filter::Filter,
    held, info,
    meta::{Meta, StreamKey},
    payload,
    record::{WalDecodeOwned, WalRecord},
    stored::Upcast,
    unreadable::{Ahead, Notes, Skipped, Unread, Unreadable},
};
use crate::{
    error::{Result, TypedError, WalError},
    format::envelope::Envelope,
    log::{Counting, Follow, Newer, Record, RecordKind, RecordRef, RevIter, Tail, WalIter},
    lsn::Lsn,
    position::Position,
    sync::Deadline,
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
    /// Whether the next record of the log was appended in the same batch.
    pub batch_continues: bool,
}

/// The events of a part of the log, oldest first; made by [`EventLog::replay`](crate::EventLog::replay). `R` says where
/// its records come from: [`EventLog::replay_rev`](crate::EventLog::replay_rev) makes one that goes from the newest to the
/// oldest, and [`EventLog::tail`](crate::EventLog::tail) one that follows the log.
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
pub struct Replay<E, C = DefaultCodec, R = WalIter> {
    pub(super) records: R,
    pub(super) filter: Filter,
    pub(super) policy: Unreadable,
    pub(super) notes: Notes,
    /// Events of a record that was split, which are still to come.
    split: std::vec::IntoIter<Event<E>>,
    /// A record of which so many events were handed out before.
    taken: Option<(Lsn, u32)>,
    /// Whether no more records are read here.
    pub(super) ended: bool,
    /// Has the events that come after those of a record that was split, if they are decoded ahead.
    pub(super) ahead: Option<Box<DecodeAhead<E>>>,
    /// A record that was taken from a source that waits, and not handed out.
    kept_back: Option<Lsn>,
    /// Shapes that have not been compared, for a source that waits.
    newer: Option<Newer>,
    events: PhantomData<fn() -> (E, C)>,
}

impl<E, C, R> Replay<E, C, R> {
    pub(crate) fn new(records: R) -> Self {
        Replay {
            records,
            filter: Filter::default(),
            policy: Unreadable::default(),
            notes: Notes::default(),
            split: Vec::new().into_iter(),
            taken: None,
            ended: false,
            ahead: None,
            kept_back: None,
            newer: None,
            events: PhantomData,
        }
    }

    pub(crate) fn source(&self) -> &R {
        &self.records
    }

    /// Only events whose metadata names this stream. A later call replaces an earlier one.
    pub fn stream<'k>(mut self, key: impl Into<StreamKey<'k>>) -> Self {
        self.filter.set_stream(key.into());
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

    /// Of which event types the log holds more than `E` knows, so far: later versions of its own, and types that it does
    /// not have. With two releases in service, it tells the older one that the newer one writes.
    ///
    /// It is what the headers of unreadable records say, also of the one whose error ended the replay. At most 1,024
    /// types are kept, in the order in which they were met.
    #[must_use]
    pub fn ahead(&self) -> &[Ahead] {
        &self.notes.ahead
    }
}

impl<E, C, R: Records> Replay<E, C, R> {
    /// Takes the errors that [`Unreadable::Collect`] has kept since the last call, in the order in which they were met. At
    /// most 1,024 wait to be taken; those that come then are counted in [`skipped`](Self::skipped) and not kept.
    pub fn take_collected(&mut self) -> Vec<TypedError> {
        let collected = std::mem::take(&mut self.notes.collected);
        collected.into_iter().map(|error| self.with_name(error)).collect()
    }

    /// The name of a type that the program does not have is for the log to say.
    pub(super) fn with_name(&self, error: TypedError) -> TypedError {
        error.named(|id| self.records.name_of(id))
    }
}

impl<E: WalDecodeOwned, C: Codec, R: Records> Iterator for Replay<E, C, R> {
    type Item = Result<Event<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended && self.split.len() == 0 {
            return self.next_ahead();
        }
        self.next_by(R::next_record, read::<E, C>)
    }
}

impl<E: WalDecodeOwned, C: Codec, R: Records> FusedIterator for Replay<E, C, R> {}

impl<E: WalRecord, C, R> fmt::Debug for Replay<E, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("events", &E::NAME)
            .field("filter", &self.filter)
            .field("policy", &self.policy)
            .field("skipped", &self.notes.skipped)
            .field("ended", &(self.ended && self.ahead.is_none()))
            .finish_non_exhaustive()
    }
}

impl<E: WalDecodeOwned, C: Codec, R: Records> Replay<E, C, R> {
    /// The events, of which the program's code makes each in a closure of the log.
    pub(crate) fn in_closures(mut self, counting: &Counting) -> impl Iterator<Item = Result<Event<E>>> {
        let read =
            |record: RecordRef<'_>, filter: &Filter| counting.in_closure(|| read::<E, C>(record, filter));
        std::iter::from_fn(move || match self.ended && self.split.len() == 0 {
            true => None,
            false => self.next_by(R::next_record, read),
        })
    }

    /// The next event, from the records that `next` gives.
    fn next_by(
        &mut self,
        mut next: impl FnMut(&mut R) -> Option<Result<R::Record<'_>>>,
        read: impl Fn(RecordRef<'_>, &Filter) -> Result<Option<Upcast<Event<E>>>, Unread>,
    ) -> Option<Result<Event<E>>> {
        if let Some(event) = self.next_part() {
            return Some(Ok(event));
        }
        loop {
            // A conversion of the program's may panic, and the panic be caught: the record it was about is a gap.
            self.ended = true;
            let (lsn, read) = match next(&mut self.records) {
                None => {
                    self.ended = !R::WAITS;
                    return None;
                }
                Some(Err(error)) => {
                    self.ended = !matches!(error, WalError::CutBack { .. });
                    return Some(Err(error));
                }
                Some(Ok(record)) => {
                    let record = R::lend(&record);
                    self.kept_back = R::WAITS.then_some(record.lsn());
                    if let Some(newer) = self.newer.as_mut().filter(|_| R::WAITS)
                        && let Err(error) = newer.look(|held| held::compare(E::RECORDS, held))
                    {
                        return Some(Err(error));
                    }
                    let read = read(record, &self.filter).or_else(|unread| {
                        self.notes.unreadable(unread, self.policy)?;
                        Ok(None)
                    });
                    (record.lsn(), read)
                }
            };
            let read = match read {
                Ok(read) => read,
                Err(error) => return Some(Err(self.with_name(error).into())),
            };
            (self.ended, self.kept_back) = (false, None);
            let taken = self.taken.take().filter(|(at, _)| *at == lsn);
            match read {
                None => {}
                Some(Upcast::One(event)) => return Some(Ok(event)),
                Some(Upcast::Many(mut events)) => {
                    let taken = taken.map_or(0, |(_, parts)| parts as usize);
                    events.drain(..taken.min(events.len()));
                    self.split = events.into_iter();
                    if let Some(event) = self.next_part() {
                        return Some(Ok(event));
                    }
                }
            }
        }
    }

    #[inline]
    fn next_part(&mut self) -> Option<Event<E>> {
        if R::NEWEST_FIRST {
            self.split.next_back()
        } else {
            self.split.next()
        }
    }
}

/// The events of a log as they come; made by [`EventLog::tail`](crate::EventLog::tail).
impl<E: WalDecodeOwned, C: Codec> Replay<E, C, Tail> {
    /// Follows `records`, with schemas that were compared after `newer` was made.
    pub(super) fn following(records: Tail, newer: Newer) -> Self {
        Replay {
            newer: Some(newer),
            ..Replay::new(records)
        }
    }

    /// So many events of the record at `lsn` were handed out before.
    pub(super) fn after_parts(mut self, lsn: Lsn, parts: u32) -> Self {
        self.taken = (parts > 0).then_some((lsn, parts));
        self
    }

    /// Chooses which events are shown: those that are durable, if nothing is said.
    pub fn follow(mut self, follow: Follow) -> Self {
        self.records = self.records.follow(follow);
        self
    }

    /// The next event if it is there; `None` if it is not there yet.
    ///
    /// # Errors
    /// Those of [`Tail::try_next`]. A record that cannot be read, unless
    /// [`on_unreadable`](Self::on_unreadable) says otherwise: each further call reads it again, because what follows a gap is
    /// never handed out.
    pub fn try_next(&mut self) -> Result<Option<Event<E>>> {
        self.go_back()?;
        self.next_by(|tail| tail.try_next().transpose(), read::<E, C>)
            .transpose()
    }

    /// As the iterator, without waiting: `None` if nothing is there yet, `Some(None)` at the end.
    #[cfg(feature = "futures")]
    pub(super) fn next_if_there(&mut self) -> Option<Option<Result<Event<E>>>> {
        if self.ended && self.split.len() == 0 {
            return Some(None);
        }
        self.next_by(|tail| tail.try_next().transpose(), read::<E, C>)
            .map(Some)
    }

    /// The next event; waits for it, but not longer than `timeout`. `None`: the time is over. Fails as
    /// [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Event<E>>> {
        self.go_back()?;
        let deadline = Deadline::after(timeout);
        let left = || deadline.left().unwrap_or(Duration::MAX);
        self.next_by(|tail| tail.next_timeout(left()).transpose(), read::<E, C>)
            .transpose()
    }

    /// The place from which the next event will come, to be stored with what the events did, and given to
    /// [`EventLog::tail`](crate::EventLog::tail) later. It may lie between two events of a record that was split.
    ///
    /// # Errors
    /// Those of [`Tail::position`].
    pub fn position(&self) -> Result<Position> {
        let next = match (self.kept_back, self.split.as_slice().first()) {
            (Some(lsn), _) => lsn,
            (None, Some(next)) => return self.records.position_in(next.lsn, next.part),
            (None, None) => self.records.next_lsn(),
        };
        let taken = self.taken.filter(|(lsn, _)| *lsn == next);
        self.records
            .position_in(next, taken.map_or(0, |(_, parts)| parts))
    }

    /// What was read before ends at this LSN, if that is not where it begins.
    pub(crate) fn having_read_to(mut self, lsn: Lsn) -> Self {
        self.records = self.records.having_read_to(lsn.pos());
        self
    }

    /// Goes on after the record that could not be read, if there was one; where it is.
    pub(crate) fn pass_over(&mut self) -> Option<Lsn> {
        self.ended = false;
        self.kept_back.take()
    }

    /// A record that was not handed out comes again.
    fn go_back(&mut self) -> Result<()> {
        if let Some(lsn) = self.kept_back {
            self.records.back_to(lsn)?;
            self.kept_back = None;
        }
        Ok(())
    }
}

/// The events that a record is; `None` if it is passed over.
#[inline]
pub(super) fn read<E: WalDecodeOwned, C: Codec>(
    record: RecordRef<'_>,
    filter: &Filter,
) -> Result<Option<Upcast<Event<E>>>, Unread> {
    if record.kind() == RecordKind::Schema {
        return Ok(None);
    }
    let (error, info) = match filter.open::<E>(record) {
        Ok(None) => return Ok(None),
        Ok(Some(envelope)) => {
            match payload::decode_body::<C, E>(record.lsn(), envelope.info, envelope.body) {
                Ok(Upcast::One(event)) => {
                    return Ok(Some(Upcast::One(part(event, record, &envelope, 0, 1))));
                }
                Ok(Upcast::Many(events)) => {
                    let parts = events.len() as u32;
                    let events = (0..).zip(events);
                    let events = events.map(|(i, event)| part(event, record, &envelope, i, parts));
                    return Ok(Some(Upcast::Many(events.collect())));
                }
                Err(error) => (error, Some(envelope.info)),
            }
        }
        Err(error) => (error, None),
    };
    Err(Unread { error, info })
}

fn part<E>(event: E, record: RecordRef<'_>, envelope: &Envelope<'_>, part: u32, parts: u32) -> Event<E> {
    Event {
        lsn: record.lsn(),
        event,
        stored_version: envelope.info.version,
        meta: envelope.meta.to_meta(),
        part,
        parts,
        batch_continues: record.batch_continues(),
    }
}

impl<E> Event<E> {
    /// The event that a record is, if it is one today.
    pub(super) fn of<C: Codec>(record: &Record) -> Result<Event<E>, TypedError>
    where
        E: WalDecodeOwned,
    {
        let envelope = info::envelope(record.lsn(), record.kind(), record.data())?;
        let event = payload::decode_body::<C, E>(record.lsn(), envelope.info, envelope.body)?;
        Ok(part(event.only(record.lsn())?, record.as_ref(), &envelope, 0, 1))
    }
}

/// Where the records of a [`Replay`] come from.
pub trait Records {
    /// The last record comes first.
    const NEWEST_FIRST: bool = false;
    /// More records may come after the last one.
    const WAITS: bool = false;
    /// A record as it is handed out.
    type Record<'a>
    where
        Self: 'a;

    /// The next record.
    fn next_record(&mut self) -> Option<Result<Self::Record<'_>>>;

    /// The record, borrowed.
    fn lend<'a>(record: &'a Self::Record<'_>) -> RecordRef<'a>;

    /// The name that the log has for a type.
    fn name_of(&self, type_id: u32) -> Option<String>;

    /// Fails in a child that was forked off. Only asked where events are decoded ahead.
    fn check_process(&self) -> Result<()> {
        Ok(())
    }
}

impl Records for WalIter {
    type Record<'a> = RecordRef<'a>;

    #[inline]
    fn next_record(&mut self) -> Option<Result<RecordRef<'_>>> {
        self.next_ref()
    }

    #[inline]
    fn lend<'a>(record: &'a RecordRef<'_>) -> RecordRef<'a> {
        *record
    }

    fn name_of(&self, type_id: u32) -> Option<String> {
        self.with_dictionary(|held| held::name_of(held, type_id)).ok()?
    }

    fn check_process(&self) -> Result<()> {
        WalIter::check_process(self)
    }
}

/// Sources that hand out records with their bytes. Each has one property that the others do not have.
macro_rules! owned_records {
    ($source:ty, $property:ident) => {
        impl Records for $source {
            const $property: bool = true;
            type Record<'a> = Record;

            fn next_record(&mut self) -> Option<Result<Record>> {
                self.next()
            }

            fn lend<'a>(record: &'a Record) -> RecordRef<'a> {
                record.as_ref()
            }

            fn name_of(&self, type_id: u32) -> Option<String> {
                self.with_dictionary(|held| held::name_of(held, type_id))
                    .ok()?
            }
        }
    };
}

owned_records!(RevIter, NEWEST_FIRST);
owned_records!(Tail, WAITS);
