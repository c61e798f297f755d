//! Looking at a record's envelope, which needs no codec and no type.

use super::RecordInfo;
use super::envelope;
use super::error::TypedError;
use crate::{Lsn, Record, RecordKind, RecordRef};

impl Record {
    /// The type id, the version and the codec of a typed record, without decoding the event.
    ///
    /// # Errors
    ///
    /// [`TypedError::NotTyped`] if the record holds plain bytes, [`TypedError::Envelope`] if a newer release
    /// wrote it or its bytes are not an envelope.
    pub fn info(&self) -> Result<RecordInfo, TypedError> {
        info(self.lsn(), self.kind(), self.data())
    }
}

impl RecordRef<'_> {
    /// As [`Record::info`].
    ///
    /// # Errors
    ///
    /// As [`Record::info`].
    pub fn info(&self) -> Result<RecordInfo, TypedError> {
        info(self.lsn(), self.kind(), self.data())
    }
}

fn info(lsn: Lsn, kind: RecordKind, payload: &[u8]) -> Result<RecordInfo, TypedError> {
    open(lsn, kind, payload).map(|(info, _)| info)
}

/// Splits a typed record into its envelope and the codec's bytes.
#[inline]
pub(super) fn open(lsn: Lsn, kind: RecordKind, payload: &[u8]) -> Result<(RecordInfo, &[u8]), TypedError> {
    if kind != RecordKind::Typed {
        return Err(TypedError::NotTyped { lsn });
    }
    envelope::parse(payload).map_err(|reason| TypedError::Envelope { lsn, reason })
}
