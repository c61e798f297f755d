//! Looking at a record's envelope, which needs no codec and no type.

use crate::{
    error::TypedError,
    format::envelope::{self, Envelope, EventInfo, MetaRef},
    log::{Record, RecordKind, RecordRef},
    lsn::Lsn,
};

impl Record {
    /// The type id, the version and the codec of a typed record, without decoding the event.
    ///
    /// # Errors
    /// [`TypedError::NotTyped`] if the record holds plain bytes, [`TypedError::Envelope`] if a newer release
    /// wrote it or its bytes are not an envelope.
    pub fn info(&self) -> Result<EventInfo, TypedError> {
        info(self.lsn(), self.kind(), self.data())
    }

    /// The metadata of a typed record, empty if it has none, without decoding the event. Fails as [`info`](Self::info).
    pub fn meta(&self) -> Result<MetaRef<'_>, TypedError> {
        meta(self.lsn(), self.kind(), self.data())
    }
}

impl<'a> RecordRef<'a> {
    /// As [`Record::info`].
    pub fn info(&self) -> Result<EventInfo, TypedError> {
        info(self.lsn(), self.kind(), self.data())
    }

    /// As [`Record::meta`]. Fails as [`Record::info`].
    pub fn meta(&self) -> Result<MetaRef<'a>, TypedError> {
        meta(self.lsn(), self.kind(), self.data())
    }
}

fn info(lsn: Lsn, kind: RecordKind, payload: &[u8]) -> Result<EventInfo, TypedError> {
    envelope(lsn, kind, payload).map(|envelope| envelope.info)
}

fn meta(lsn: Lsn, kind: RecordKind, payload: &[u8]) -> Result<MetaRef<'_>, TypedError> {
    envelope(lsn, kind, payload).map(|envelope| envelope.meta)
}

/// Splits a typed record into what it says about itself and the codec's bytes.
#[inline(always)]
pub(super) fn open(lsn: Lsn, kind: RecordKind, payload: &[u8]) -> Result<(EventInfo, &[u8]), TypedError> {
    envelope(lsn, kind, payload).map(|envelope| (envelope.info, envelope.body))
}

/// Takes a typed record apart.
#[inline(always)]
pub(super) fn envelope(lsn: Lsn, kind: RecordKind, payload: &[u8]) -> Result<Envelope<'_>, TypedError> {
    if kind != RecordKind::Typed {
        return Err(TypedError::NotTyped { lsn });
    }
    envelope::parse(payload).map_err(|reason| TypedError::Envelope { lsn, reason })
}
