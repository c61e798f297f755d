//! What a replay does about records that it cannot read, and what it remembers of them.

use serde::Serialize;

use crate::{
    error::TypedError,
    format::envelope::{EnvelopeError, EventInfo},
};

/// How many errors are kept for [`Replay::take_collected`](crate::Replay::take_collected), and how many types for
/// [`Replay::ahead`](crate::Replay::ahead): a log full of foreign records must not fill the memory.
const MAX_KEPT: usize = 1024;

/// What a replay does when a record cannot be read as an event; see
/// [`Replay::on_unreadable`](crate::Replay::on_unreadable).
///
/// It is about single records. Damage of the log itself ends a replay in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unreadable {
    /// The replay yields the error and ends: what follows a gap is never handed out.
    #[default]
    Error,
    /// The record is passed over and counted, see [`Skipped`].
    Skip,
    /// The record is passed over and counted, and its error kept.
    Collect,
}

/// How many records a replay has passed over because it could not read them, by reason.
///
/// What a filter passes over is not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Skipped {
    /// Plain records, which were not appended as events ([`TypedError::NotTyped`]).
    pub not_typed: u64,
    /// Of a type that is not asked for ([`TypedError::UnknownType`], [`TypedError::WrongType`]).
    pub unknown_type: u64,
    /// Of a later version than this program knows ([`TypedError::NewerVersion`]).
    pub newer_version: u64,
    /// In an envelope of a later release of this crate ([`EnvelopeError::NewerEnvelope`]).
    pub newer_envelope: u64,
    /// Of an earlier version than this program reads ([`TypedError::OlderVersion`]).
    pub older_version: u64,
    /// Of a type that was retired ([`TypedError::Retired`]). They are passed over whatever the policy.
    pub retired: u64,
    /// Of an earlier version, and the program's own conversion refused them ([`TypedError::Upcast`]).
    pub not_upcast: u64,
    /// In a wire format that this build does not have ([`TypedError::UnknownCodec`]).
    pub unknown_codec: u64,
    /// Values of another shape, which leave bytes over ([`TypedError::Trailing`]).
    pub wrong_shape: u64,
    /// Bytes that are no value of the type ([`TypedError::Codec`]) or no envelope ([`TypedError::Envelope`]).
    pub broken: u64,
}

impl Skipped {
    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Skipped {
            not_typed,
            unknown_type,
            newer_version,
            newer_envelope,
            older_version,
            retired,
            not_upcast,
            unknown_codec,
            wrong_shape,
            broken,
        } = *self;
        let foreign = not_typed + unknown_type + unknown_codec;
        let of_other_times = newer_version + newer_envelope + older_version + retired;
        foreign + of_other_times + not_upcast + wrong_shape + broken
    }

    /// The counter for an error; `None` if it is not about one record.
    fn counter(&mut self, error: &TypedError) -> Option<&mut u64> {
        Some(match error {
            TypedError::NotTyped { .. } => &mut self.not_typed,
            TypedError::UnknownType { .. } | TypedError::WrongType { .. } => &mut self.unknown_type,
            TypedError::NewerVersion { .. } => &mut self.newer_version,
            TypedError::Envelope {
                reason: EnvelopeError::NewerEnvelope { .. },
                ..
            } => &mut self.newer_envelope,
            TypedError::OlderVersion { .. } => &mut self.older_version,
            TypedError::Retired { .. } => &mut self.retired,
            TypedError::Upcast { .. } => &mut self.not_upcast,
            TypedError::UnknownCodec { .. } => &mut self.unknown_codec,
            TypedError::Trailing { .. } => &mut self.wrong_shape,
            TypedError::Codec { .. } | TypedError::Envelope { .. } => &mut self.broken,
            TypedError::Split { .. }
            | TypedError::ShapeChanged { .. }
            | TypedError::NoSchema { .. }
            | TypedError::Explain { .. }
            | TypedError::Encode { .. }
            | TypedError::IdCollision { .. }
            | TypedError::IdTaken { .. }
            | TypedError::OtherId { .. }
            | TypedError::OlderVersions { .. }
            | TypedError::OtherSchema { .. }
            | TypedError::NoSuchType { .. } => return None,
        })
    }
}

/// An event type of which the log holds more than this program knows; see [`EventLog::ahead`](crate::EventLog::ahead)
/// and [`Replay::ahead`](crate::Replay::ahead).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Ahead {
    /// The id of the event type.
    pub type_id: u32,
    /// Its full name. [`EventLog::ahead`](crate::EventLog::ahead) has it from the log; a replay, which only sees records,
    /// has none for a type that this program does not know.
    pub name: Option<String>,
    /// The highest version that was met.
    pub stored: u16,
    /// The version that this program declares, 0 if it does not know the type.
    pub known: u16,
}

/// Why a record cannot be read.
pub(super) struct Unread {
    pub(super) error: TypedError,
    /// What its envelope says, if that can be read.
    pub(super) info: Option<EventInfo>,
}

/// What a replay remembers of records that it could not read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) skipped: Skipped,
    pub(super) collected: Vec<TypedError>,
    pub(super) ahead: Vec<Ahead>,
}

impl Notes {
    /// Takes note of a record that cannot be read. Hands the error back if it ends the replay.
    #[cold]
    pub(super) fn unreadable(&mut self, unread: Unread, policy: Unreadable) -> Result<(), TypedError> {
        let Unread { error, info } = unread;
        if let Some(info) = info {
            self.note_ahead(&error, info);
        }
        let retired = matches!(error, TypedError::Retired { .. });
        if policy == Unreadable::Error && !retired {
            return Err(error);
        }
        match self.skipped.counter(&error) {
            Some(counter) => *counter += 1,
            None => return Err(error),
        }
        if policy == Unreadable::Collect && !retired && self.collected.len() < MAX_KEPT {
            self.collected.push(error);
        }
        Ok(())
    }

    fn note_ahead(&mut self, error: &TypedError, info: EventInfo) {
        let (name, known) = match *error {
            TypedError::NewerVersion { name, known, .. } => (Some(name), known),
            TypedError::UnknownType { .. } | TypedError::WrongType { .. } => (None, 0),
            _ => return,
        };
        let EventInfo { type_id, version, .. } = info;
        // A type that was renamed is stored under several ids and is still one.
        let same = |ahead: &Ahead| match name {
            Some(_) => ahead.name.as_deref() == name,
            None => ahead.type_id == type_id,
        };
        if let Some(at) = self.ahead.iter().position(same) {
            self.ahead[at].stored = self.ahead[at].stored.max(version);
        } else if self.ahead.len() < MAX_KEPT {
            self.ahead.push(Ahead {
                type_id,
                name: name.map(str::to_owned),
                stored: version,
                known,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lsn, codec::CodecId};

    fn unknown(type_id: u32, version: u16) -> Unread {
        let info = EventInfo {
            type_id,
            version,
            codec: CodecId::BINCODE_2,
        };
        let error = TypedError::UnknownType {
            lsn: Lsn::new(0),
            family: "f",
            type_id,
            version,
            codec: info.codec,
            name: None,
        };
        let info = Some(info);
        Unread { error, info }
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_counted_is_not() {
        let mut notes = Notes::default();
        for type_id in 0..3000 {
            notes
                .unreadable(unknown(type_id, 1), Unreadable::Collect)
                .expect("passed over");
        }
        assert_eq!((notes.collected.len(), notes.ahead.len()), (MAX_KEPT, MAX_KEPT));
        assert_eq!(notes.skipped.unknown_type, 3000);
        assert_eq!(notes.skipped.total(), 3000);
    }

    #[test]
    fn an_error_that_is_not_about_one_record_is_never_skipped() {
        let mut notes = Notes::default();
        let collision = Unread {
            error: TypedError::IdCollision {
                id: 1,
                first: "a",
                second: "b",
            },
            info: None,
        };
        notes
            .unreadable(collision, Unreadable::Skip)
            .expect_err("it says that the program is wrong");
        assert_eq!(notes.skipped.total(), 0);
    }

    #[test]
    fn the_highest_version_counts() {
        let mut notes = Notes::default();
        for version in [2, 5, 3] {
            notes
                .unreadable(unknown(7, version), Unreadable::Skip)
                .expect("passed over");
        }
        let stored: Vec<_> = notes
            .ahead
            .iter()
            .map(|ahead| (ahead.type_id, ahead.stored, ahead.known))
            .collect();
        assert_eq!(stored, [(7, 5, 0)]);
    }
}
