//! A stored event while it is read: what the envelope says, the bytes, and the ways from an earlier version to today's
//! type. Generated code works with these; programs meet [`UnknownEvent`] only.

use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    codec::{Codec, CodecId},
    payload,
    record::{EventType, WalDecode},
    schema::{Part, Shape, WalSchema},
};
use crate::{error::TypedError, format::envelope::EventInfo, lsn::Lsn};

/// An event in the version in which it was stored.
#[doc(hidden)]
pub struct StoredEvent<'de, C> {
    pub(super) lsn: Lsn,
    pub(super) record: &'static EventType,
    pub(super) info: EventInfo,
    pub(super) bytes: &'de [u8],
    pub(super) codec: PhantomData<C>,
}

impl<'de, C: Codec> StoredEvent<'de, C> {
    #[inline(always)]
    pub(super) fn new(lsn: Lsn, record: &'static EventType, info: EventInfo, bytes: &'de [u8]) -> Self {
        StoredEvent {
            lsn,
            record,
            info,
            bytes,
            codec: PhantomData,
        }
    }

    /// The version that is stored.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.info.version
    }

    /// Reads the fields as `T`, whose fields they were in that version.
    ///
    /// # Errors
    /// If the bytes are not exactly one `T`.
    #[inline(always)]
    pub fn fields<T: Deserialize<'de>>(&self) -> Result<T, TypedError> {
        payload::read(self, None)
    }

    /// Reads the event as today's `T`, by serde's implementation for the type as a whole.
    ///
    /// # Errors
    /// If the bytes are not exactly one `T`.
    #[inline(always)]
    pub fn whole<T: WalDecode<'de>>(&self, index: usize) -> Result<T, TypedError> {
        payload::read(self, T::FAMILY.then_some(index))
    }

    /// Reads the event as an earlier type of the same name, in that type's version or before it.
    ///
    /// # Errors
    /// As [`fields`](Self::fields); if the earlier type cannot read that version.
    pub fn older<Old: WalDecode<'de>>(&self) -> Result<Upcast<Old>, TypedError> {
        let Some(record) = Old::RECORDS.first() else {
            return Err(self.no_migration());
        };
        match self.info.version.cmp(&record.version) {
            std::cmp::Ordering::Equal => self.fields().map(Upcast::One),
            std::cmp::Ordering::Less => Old::decode_older(self, 0),
            std::cmp::Ordering::Greater => Err(self.no_migration()),
        }
    }

    /// The version is older than what this program reads.
    #[must_use]
    pub fn no_migration(&self) -> TypedError {
        TypedError::OlderVersion {
            lsn: self.lsn,
            name: self.record.name,
            stored: self.info.version,
            known: self.record.version,
        }
    }

    fn failed(&self, source: Failed) -> TypedError {
        TypedError::Upcast {
            lsn: self.lsn,
            name: self.record.name,
            stored: self.info.version,
            known: self.record.version,
            source,
        }
    }
}

/// What an event of an earlier version has become.
#[doc(hidden)]
#[derive(Debug)]
pub enum Upcast<T> {
    /// Most are still one event.
    One(T),
    /// Those of a type that was split.
    Many(Vec<T>),
}

impl<T> Upcast<T> {
    /// The event, if it is one.
    pub(super) fn only(self, lsn: Lsn) -> Result<T, TypedError> {
        match self {
            Upcast::One(event) => Ok(event),
            Upcast::Many(mut events) => match (events.pop(), events.len()) {
                (Some(event), 0) => Ok(event),
                (last, before) => Err(TypedError::Split {
                    lsn,
                    count: before + usize::from(last.is_some()),
                }),
            },
        }
    }

    /// The same events, in what holds them.
    #[inline(always)]
    pub fn map<New>(self, hold: impl Fn(T) -> New) -> Upcast<New> {
        match self {
            Upcast::One(event) => Upcast::One(hold(event)),
            Upcast::Many(events) => Upcast::Many(events.into_iter().map(hold).collect()),
        }
    }

    /// One step of a chain: each event becomes one of the next type.
    ///
    /// # Errors
    /// The first conversion that fails.
    pub fn convert<New, C>(self, stored: &StoredEvent<'_, C>) -> Result<Upcast<New>, TypedError>
    where
        C: Codec,
        New: FromEarlier<T>,
    {
        let convert = |old| New::from_earlier(old).map_err(|error| stored.failed(error));
        Ok(match self {
            Upcast::One(old) => Upcast::One(convert(old)?),
            Upcast::Many(old) => Upcast::Many(old.into_iter().map(convert).collect::<Result<_, _>>()?),
        })
    }

    /// One step of a chain: each event becomes any number of the next type.
    pub fn split<New, I>(self, split: impl Fn(T) -> I) -> Upcast<New>
    where
        I: IntoIterator<Item = New>,
    {
        Upcast::Many(match self {
            Upcast::One(old) => split(old).into_iter().collect(),
            Upcast::Many(old) => old.into_iter().flat_map(split).collect(),
        })
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What a type with `from` has to be: the compiler says it with these words if it is not.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "nothing converts `{Old}` into `{Self}`",
    label = "this earlier version is not converted",
    note = "write `impl From<{Old}> for {Self}`, or `TryFrom` if it can fail, with an error that is `Error + Send + Sync`"
)]
pub trait FromEarlier<Old>: Sized {
    /// The event of the later type.
    ///
    /// # Errors
    /// What the conversion of the program says.
    fn from_earlier(old: Old) -> Result<Self, Failed>;
}

#[diagnostic::do_not_recommend]
impl<Old, New> FromEarlier<Old> for New
where
    New: TryFrom<Old>,
    New::Error: Into<Failed>,
{
    fn from_earlier(old: Old) -> Result<Self, Failed> {
        New::try_from(old).map_err(Into::into)
    }
}

/// A record of a type that the program does not know, kept by a variant with `#[wal(other)]`.
///
/// It is only ever read: appending it again is refused, for its schema is not known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct UnknownEvent {
    /// The id of the event type.
    pub type_id: u32,
    /// The version that is stored.
    pub version: u16,
    /// The wire format of `bytes`.
    pub codec: CodecId,
    /// The event as it is stored.
    pub bytes: Vec<u8>,
}

impl Serialize for UnknownEvent {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(
            "a record of an unknown type cannot be appended: its shape is not known",
        ))
    }
}

impl<'de> Deserialize<'de> for UnknownEvent {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom(
            "a record of an unknown type is not part of another",
        ))
    }
}

/// What a variant with `#[wal(retired)]` holds: there is no value of it, so nobody can append one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Retired {}

impl Serialize for Retired {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> Deserialize<'de> for Retired {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("a retired event is not read any more"))
    }
}

/// A family that is also part of other events counts these variants, and never writes one.
impl WalSchema for UnknownEvent {
    const SCHEMA: &'static Shape = &Shape::Enum(Part::Static(&[]));
}

impl WalSchema for Retired {
    const SCHEMA: &'static Shape = &Shape::Enum(Part::Static(&[]));
}

/// What a field with a certain meaning has to be: the compiler says it with these words if it is not.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "this variant holds a `{T}` and nothing else",
    label = "another type"
)]
pub trait Is<T> {
    /// The value itself.
    fn from_it(it: T) -> Self;
}

impl<T> Is<T> for T {
    fn from_it(it: T) -> Self {
        it
    }
}
