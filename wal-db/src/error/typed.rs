//! What can be wrong with a typed record.

use std::fmt;

use wal_shape::type_id;

use super::with_sources;
use crate::{
    format::envelope::{CodecId, EnvelopeError},
    lsn::Lsn,
};

/// Why an event could not be stored or read.
///
/// Every error about a stored record carries its LSN, so that the record can be looked at with
/// [`Wal::read`](crate::Wal::read) and [`Record::info`](crate::Record::info). None of them changes the log.
///
/// The fields are named alike in all variants: `lsn` is where the record is, `name` the full name of its event type,
/// `type_id`, `stored` and `codec` its type id, version and wire format as they are stored, `known` the version that this
/// program declares, and `version` the stored one, or the declared one if nothing is stored.
///
/// `Debug` is the text, and below it those of all sources.
#[derive(thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // fields that the text above names
pub enum TypedError {
    /// The record was not appended as an event.
    #[error(
        "the record at LSN {lsn} is not a typed event: read it with `Record::data`, \
         or keep plain records in a log of their own"
    )]
    #[non_exhaustive]
    NotTyped { lsn: Lsn },

    /// The bytes in front of the event cannot be read.
    #[error("the record at LSN {lsn} has no readable envelope: {reason}")]
    #[non_exhaustive]
    Envelope {
        lsn: Lsn,
        /// What is wrong with it.
        reason: EnvelopeError,
    },

    /// Another type than the one asked for is stored here.
    #[error(
        "the record at LSN {lsn} is {} and not a `{expected}`: read it as the type that was appended",
        stored(name.as_deref(), *found)
    )]
    #[non_exhaustive]
    WrongType {
        lsn: Lsn,
        /// The name of the type that was asked for.
        expected: &'static str,
        found: u32,
        /// The full name of the type that is stored, if the reader had the log to ask.
        name: Option<String>,
    },

    /// No variant of the family has the type id that is stored.
    #[error(
        "the record at LSN {lsn} is {} (version {version}, {codec}), which no variant of `{family}` is: a newer program \
         wrote it, or its variant was removed or renamed; bring the variant back, or its old name with \
         `#[wal(alias = \"...\")]`{}",
        stored(name.as_deref(), *type_id),
        of_other_family(name.as_deref(), family)
    )]
    #[non_exhaustive]
    UnknownType {
        lsn: Lsn,
        /// The name of the enum that was asked for.
        family: &'static str,
        type_id: u32,
        version: u16,
        codec: CodecId,
        /// The full name of the type that is stored, if the reader had the log to ask.
        name: Option<String>,
    },

    /// A query names a type that the program's events do not have.
    #[error("`{name}` is no type of these events: they are {}", known.join(", "))]
    #[non_exhaustive]
    NoSuchType {
        name: String,
        /// The names that they have.
        known: Vec<&'static str>,
    },

    /// The event was stored by a program that knows a later version of the type.
    #[error(
        "the `{name}` at LSN {lsn} is version {stored} and this program knows version {known}: \
         read it with the program that wrote it, or a later one"
    )]
    #[non_exhaustive]
    NewerVersion {
        lsn: Lsn,
        name: &'static str,
        stored: u16,
        known: u16,
    },

    /// The event was stored in an earlier version of the type, and the program does not say how to read that.
    #[error(
        "the `{name}` at LSN {lsn} is version {stored}, and this program reads version {known} only: \
         say what changed with `#[wal(since = ...)]` on the new fields or `#[wal(from = ...)]` on the type"
    )]
    #[non_exhaustive]
    OlderVersion {
        lsn: Lsn,
        name: &'static str,
        stored: u16,
        known: u16,
    },

    /// The event is of a type that was retired: it is not read any more.
    #[error(
        "the record at LSN {lsn} is a `{name}` (version {stored}), which is retired: replaying passes over it"
    )]
    #[non_exhaustive]
    Retired {
        lsn: Lsn,
        name: &'static str,
        stored: u16,
    },

    /// An event of an earlier version was read, and its conversion into today's type failed.
    #[error("the `{name}` at LSN {lsn} is version {stored} and cannot be brought up to version {known}")]
    #[non_exhaustive]
    Upcast {
        lsn: Lsn,
        name: &'static str,
        stored: u16,
        known: u16,
        /// What the program's own conversion said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// One stored event is not one event any more: its type was split.
    #[error(
        "the event at LSN {lsn} was split into {count} events: read it with `decode_all`, or replay the log"
    )]
    #[non_exhaustive]
    Split {
        lsn: Lsn,
        /// How many events it is now.
        count: usize,
    },

    /// The log holds records of this type and version in another shape.
    #[error(
        "`{name}` version {version} has another shape in this log:{changes}\n\
         give the type a new version and say how to read the old one, or bring the old shape back"
    )]
    #[non_exhaustive]
    ShapeChanged {
        name: &'static str,
        version: u16,
        /// The differences, one on each line.
        changes: String,
    },

    /// Another event type has this id in the log.
    #[error(
        "`{name}` has the type id {id:#010x}, which is `{stored}` in this log: \
         give `{name}` another one with `#[wal(id = N)]`, or say that it is the same with `#[wal(alias = \"...\")]`"
    )]
    #[non_exhaustive]
    IdTaken {
        /// The id.
        id: u32,
        /// The full name of the program's event type.
        name: &'static str,
        /// The full name of the log's.
        stored: String,
    },

    /// The log holds records of this type under another id.
    #[error(
        "`{name}` has the type id {id:#010x}, and `{stored}` is stored under {stored_id:#010x} in this log, where its \
         records would not be found: {}",
        own_id(stored, *stored_id)
    )]
    #[non_exhaustive]
    OtherId {
        /// The full name of the program's event type.
        name: &'static str,
        /// The id that the program gives it.
        id: u32,
        /// The name in the log: the same, or a former one.
        stored: String,
        /// The id in the log.
        stored_id: u32,
    },

    /// The log holds earlier versions of types of the program, which the program does not say how to read.
    #[error(
        "this log holds versions that nothing in this program reads:{versions}\n\
         say how to read each one: with `#[wal(since = N, default)]` on the fields that came after it, or with \
         `#[wal(from = Old)]` and the type as it was"
    )]
    #[non_exhaustive]
    OlderVersions {
        /// Name and version, one on each line.
        versions: String,
    },

    /// A record that was read in another log is of a type that this log knows under another name or in another shape.
    #[error(
        "the type id of `{name}` version {version} is that of `{stored}` in this log, or that has another shape: \
         copy the record into a log of its own, or tell `Schemas::learn` of the types if one is the new name of the other"
    )]
    #[non_exhaustive]
    OtherSchema {
        /// The full name of the record's type.
        name: String,
        /// The version of the record.
        version: u16,
        /// Name and version of what this log holds.
        stored: String,
    },

    /// The log does not say what such a record looks like.
    #[error(
        "the record at LSN {lsn} has type id {type_id:#010x} (version {version}), and the log holds no schema of it"
    )]
    #[non_exhaustive]
    NoSchema { lsn: Lsn, type_id: u32, version: u16 },

    /// The record does not have the shape that the log says it has, or that cannot be read without the program.
    #[error("the record at LSN {lsn} cannot be read with its schema, `{name}` version {version}")]
    #[non_exhaustive]
    Explain {
        lsn: Lsn,
        name: String,
        version: u16,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The event is in a wire format that this build cannot read.
    #[error(
        "the `{name}` at LSN {lsn} is in {codec}, which this build cannot read: \
         use a release or a build with features that has it"
    )]
    #[non_exhaustive]
    UnknownCodec {
        lsn: Lsn,
        name: &'static str,
        codec: CodecId,
    },

    /// The bytes are not a value of this shape, or exceed the limits on depth and element count.
    #[error(
        "the `{name}` (version {version}) at LSN {lsn} does not decode from {codec}: \
         its shape may have changed without a new version"
    )]
    #[non_exhaustive]
    Codec {
        lsn: Lsn,
        name: &'static str,
        version: u16,
        codec: CodecId,
        /// What the codec found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The event decodes and leaves bytes over: it was stored in another shape.
    #[error(
        "the `{name}` (version {version}) at LSN {lsn} decodes and leaves {left} bytes: \
         its shape has changed without a new version"
    )]
    #[non_exhaustive]
    Trailing {
        lsn: Lsn,
        name: &'static str,
        version: u16,
        /// How many bytes are left over.
        left: usize,
    },

    /// The event cannot be encoded, or could not be read back. Nothing was appended.
    #[error("a `{name}` (version {version}) cannot be stored, nothing was appended")]
    #[non_exhaustive]
    Encode {
        /// The name of the event type, or of the family if the event type is not known.
        name: &'static str,
        /// The version that this program declares, 0 if the event type is not known.
        version: u16,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// Two event types of one family share a type id.
    #[error(
        "`{first}` and `{second}` share the type id {id:#010x}: \
         give the one that is not in any log yet another one with `#[wal(id = N)]`"
    )]
    #[non_exhaustive]
    IdCollision {
        /// The id.
        id: u32,
        /// The full name of the one declared first.
        first: &'static str,
        /// The full name of the other.
        second: &'static str,
    },
}

impl fmt::Debug for TypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_sources(self, f)
    }
}

/// What to write for the id under which a type is stored.
fn own_id(name: &str, stored: u32) -> String {
    match stored == type_id(name) {
        true => "write no `id`".to_owned(),
        false => format!("write `#[wal(id = {stored})]`"),
    }
}

/// What else to do if the name does not begin with that of the family.
fn of_other_family(name: Option<&str>, family: &str) -> &'static str {
    let is_of_family = |name: &str| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    match name.is_none_or(is_of_family) {
        true => "",
        false => {
            "; if it is of another family in the same log, hold that in an enum with `#[wal(families)]`, too, or pass \
             over it with `Replay::among_others`"
        }
    }
}

/// How a message calls the type of a stored record.
fn stored(name: Option<&str>, type_id: u32) -> String {
    match name {
        Some(name) => format!("a `{name}`"),
        None => format!("of the type with id {type_id:#010x} (`Wal::schemas` has its name)"),
    }
}

impl TypedError {
    /// With the name of the type that is stored, if the error is about that and the log knows it.
    pub(crate) fn named(mut self, look_up: impl FnOnce(u32) -> Option<String>) -> TypedError {
        match &mut self {
            TypedError::WrongType { found: id, name, .. }
            | TypedError::UnknownType {
                type_id: id, name, ..
            } => *name = look_up(*id),
            _ => {}
        }
        self
    }
}
