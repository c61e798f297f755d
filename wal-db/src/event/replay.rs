//! Replaying a part of the log as events of one type.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use super::codec::{Codec, DefaultCodec};
use super::error::TypedError;
use super::payload;
use super::record::{WalDecodeOwned, WalRecord};
use super::stored::Upcast;
use crate::{Lsn, RecordKind, Result, WalIter};

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
pub struct Replay<E, C = DefaultCodec> {
    records: WalIter,
    /// Events of a record that was split, which are still to come.
    split: std::vec::IntoIter<Event<E>>,
    ended: bool,
    events: PhantomData<fn() -> (E, C)>,
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
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<E: WalDecodeOwned, C: Codec> Replay<E, C> {
    pub(super) fn new(records: WalIter) -> Self {
        Replay {
            records,
            split: Vec::new().into_iter(),
            ended: false,
            events: PhantomData,
        }
    }

    fn next_event(&mut self) -> Option<Result<Event<E>>> {
        loop {
            let record = match self.records.next_ref()? {
                Ok(record) if record.kind() == RecordKind::Schema => continue,
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            let lsn = record.lsn();
            let (events, info) = match payload::decode::<C, E>(lsn, record.kind(), record.data()) {
                Ok(found) => found,
                Err(TypedError::Retired { .. }) => continue,
                Err(error) => return Some(Err(error.into())),
            };
            let event = |event| Event {
                lsn,
                event,
                stored_version: info.version,
            };
            match events {
                Upcast::One(one) => return Some(Ok(event(one))),
                Upcast::Many(many) => {
                    self.split = many.into_iter().map(event).collect::<Vec<_>>().into_iter();
                    if let Some(first) = self.split.next() {
                        return Some(Ok(first));
                    }
                }
            }
        }
    }
}
