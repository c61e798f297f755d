//! Reads again what was encoded, before a log takes the first event of its type: see
//! [`WalRecord`](crate::WalRecord#what-is-written-can-be-read).
//!
//! It runs where the log looks for the schema of a type that it has not met (`log/write/dictionary.rs`), so that an
//! append of a known type pays nothing for it.

use std::marker::PhantomData;

use super::{
    codec::{Codec, CodecId},
    described::difference,
    payload,
    record::{EventType, WalDecode, WalDecodeOwned, WalRecord},
    stored::Upcast,
    trace::{Located, Traced},
    value::{Value, first_difference, value_as_stored},
};
use crate::{
    error::TypedError,
    format::envelope::{self, EventInfo},
    lsn::Lsn,
};

pub(super) trait ReadsBack {
    type Codec: Codec;

    /// Refuses what would be in the log and could not be read, or would be read as something else.
    fn check(record: &'static EventType, payload: &[u8]) -> Result<(), TypedError>;
}

/// As `E`, which can be read.
pub(super) struct AsEvent<C, E>(PhantomData<(C, E)>);

impl<C: Codec, E: WalDecodeOwned> ReadsBack for AsEvent<C, E> {
    type Codec = C;

    #[cold]
    fn check(record: &'static EventType, payload: &[u8]) -> Result<(), TypedError> {
        Written::<C>::check(record, payload, |written| written.read::<E>())
    }
}

/// As `T` says that it is read: all that is known of it is that it can be written.
pub(super) struct AsDeclared<C, T>(PhantomData<(C, T)>);

impl<C: Codec, T: WalRecord> ReadsBack for AsDeclared<C, T> {
    type Codec = C;

    #[cold]
    fn check(record: &'static EventType, payload: &[u8]) -> Result<(), TypedError> {
        Written::<C>::check(record, payload, T::read_back)
    }
}

/// An event that was encoded and is not appended yet.
#[doc(hidden)]
pub struct Written<'p, C> {
    record: &'static EventType,
    info: EventInfo,
    body: &'p [u8],
    codec: PhantomData<C>,
}

impl<'p, C: Codec> Written<'p, C> {
    fn check(
        record: &'static EventType,
        payload: &'p [u8],
        read: impl FnOnce(&Self) -> Result<(), TypedError>,
    ) -> Result<(), TypedError> {
        match envelope::parse(payload) {
            Ok(envelope) => read(&Written {
                record,
                info: envelope.info,
                body: envelope.body,
                codec: PhantomData,
            }),
            Err(reason) => Err(TypedError::Envelope {
                lsn: Lsn::ZERO,
                reason,
            }),
        }
    }

    /// Reads it as `T`, and writes that again.
    ///
    /// # Errors
    /// [`TypedError::Encode`] if it cannot be read, or is written otherwise then.
    pub fn read<T: WalDecode<'p>>(&self) -> Result<(), TypedError> {
        let read = payload::decode_body::<Traced<C>, T>(Lsn::ZERO, self.info, self.body);
        let event = match read {
            Ok(Upcast::One(event)) => event,
            // Nothing is written in a version that is converted when it is read.
            Ok(Upcast::Many(_)) => return Ok(()),
            Err(error) => return Err(self.unreadable(&error)),
        };
        let mut again = Vec::new();
        let record = payload::encode::<C, T>(&event, &mut again)?;
        if record.id != self.record.id {
            return Err(self.refused(format!(
                "it would be read as something else: as a `{}`",
                record.name
            )));
        }
        match envelope::parse(&again) {
            Ok(envelope) if !self.is_same(envelope.body) => Err(self.changed(envelope.body)),
            _ => self.compare(&event),
        }
    }

    /// A format that says itself what it holds does not need the schema, and a type may be written to it otherwise.
    fn compare<T: WalRecord>(&self, event: &T) -> Result<(), TypedError> {
        let schema = self.record.schema.filter(|_| !C::SELF_DESCRIBING);
        match schema.and_then(|schema| difference(event, schema)) {
            None => Ok(()),
            Some(mut difference) => {
                difference.path.reverse();
                Err(self.refused(format!(
                    "its schema does not say how it is written: {} is {difference}: let the schema say what its \
                     `Serialize` writes, for a field with `#[wal(opaque = \"name@1\", wire = Type)]`",
                    field(&difference.path)
                )))
            }
        }
    }

    /// Reads it without its type, by its schema. A type without one, and a format that says itself what it holds, are
    /// taken at their word.
    ///
    /// # Errors
    /// [`TypedError::Encode`] if it does not have the shape.
    pub fn read_by_schema(&self) -> Result<(), TypedError> {
        let Some(schema) = self.record.schema.filter(|_| !C::SELF_DESCRIBING) else {
            return Ok(());
        };
        if !schema.says_all() {
            return Ok(());
        }
        match value_as_stored::<C>(self.info, self.body, Some(schema)) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refused(format!(
                "it could not be read again by its schema `{schema}`: {error}: let the schema say what its `Serialize` writes"
            ))),
        }
    }

    /// Sets and maps may come back in another order.
    fn is_same(&self, again: &[u8]) -> bool {
        if again == self.body {
            return true;
        }
        match self.values(again) {
            Some([before, after]) => first_difference(&before, &after).is_none(),
            None => sorted(again) == sorted(self.body),
        }
    }

    /// What was written first, and what was written again; `None` if that cannot be read without the type.
    fn values(&self, again: &[u8]) -> Option<[Value; 2]> {
        let shape = self.record.schema;
        let value = |bytes| value_as_stored::<C>(self.info, bytes, shape).ok();
        Some([value(self.body)?, value(again)?])
    }

    fn changed(&self, again: &[u8]) -> TypedError {
        let difference = self
            .values(again)
            .and_then(|[before, after]| first_difference(&before, &after));
        let what = match difference {
            Some((path, before, after)) => format!("{} is {before} and would be {after}", field(&path)),
            None => "its bytes are others then".to_owned(),
        };
        self.refused(format!(
            "it would be read as something else: {what}: its `Deserialize` has to give back what its `Serialize` has \
             written"
        ))
    }

    fn unreadable(&self, error: &TypedError) -> TypedError {
        let source = std::error::Error::source(error);
        let located = source.and_then(|source| source.downcast_ref::<Located>());
        let why = match located {
            Some(Located {
                path, asked: true, ..
            }) => format!(
                "{} asks what comes next, which {} does not say: store it as text or as a number with \
                 `#[serde(with = \"...\")]`, or store the events as JSON",
                field(path),
                C::ID
            ),
            Some(Located { path, source, .. }) => format!(
                "{}: {source}: its `Deserialize` has to take what its `Serialize` writes",
                field(path)
            ),
            None => match (error, source) {
                (TypedError::Trailing { left, .. }, _) => {
                    format!("its `Deserialize` leaves {left} bytes of what its `Serialize` writes")
                }
                (TypedError::Codec { .. }, Some(source)) => source.to_string(),
                (error, _) => error.to_string(),
            },
        };
        self.refused(format!("it could not be read again: {why}"))
    }

    fn refused(&self, why: String) -> TypedError {
        TypedError::Encode {
            name: self.record.name,
            version: self.record.version,
            source: why.into(),
        }
    }
}

fn field(path: &[String]) -> String {
    match path {
        [] => "the event".to_owned(),
        path => format!("the field `{}`", path.join(".")),
    }
}

fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.sort_unstable();
    bytes
}

/// Checks those of the payloads that are events of this type, in this format.
pub(super) fn check_all(
    record: &'static EventType,
    codec: CodecId,
    payloads: &[&[u8]],
    check: impl Fn(&'static EventType, &[u8]) -> Result<(), TypedError>,
) -> Result<(), TypedError> {
    let is_own = |payload: &[u8]| {
        envelope::parse(payload)
            .is_ok_and(|envelope| (envelope.info.type_id, envelope.info.codec) == (record.id, codec))
    };
    let mut own = payloads.iter().filter(|payload| is_own(payload));
    own.try_for_each(|payload| check(record, payload))
}
