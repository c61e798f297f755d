//! Which records a replay decodes, by what their headers say.

use super::{info, meta::StreamKey, record::WalRecord};
use crate::{error::TypedError, format::envelope::Envelope, log::RecordRef};

/// What a header must say for its record to be decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// Whether records of other types are passed over.
    pub(super) others: bool,
    /// The entry of the metadata that names the stream.
    stream: Option<(u8, Vec<u8>)>,
    pub(super) tags: Vec<String>,
}

impl Filter {
    pub(super) fn set_stream(&mut self, key: StreamKey<'_>) {
        self.stream = Some(key.with_entry(|key, value| (key, value.to_vec())));
    }

    /// Takes a record apart, unless it is to be passed over.
    #[inline]
    pub(super) fn open<'r, E: WalRecord>(
        &self,
        record: RecordRef<'r>,
    ) -> Result<Option<Envelope<'r>>, TypedError> {
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
                .as_ref()
                .is_none_or(|(key, value)| meta.entry(*key) == Some(value))
            && self.tags.iter().all(|tag| meta.has_tag(tag))
    }
}
