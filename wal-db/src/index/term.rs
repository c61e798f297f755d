//! What events are found by: a number for each stream, tag, command and type.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::format::envelope::{COMMAND_ID, MetaRef, STREAM, STREAM_ID, STREAM_NUMBER, TAG};

/// What is hashed before the id of a type; no key of the metadata.
const TYPE: u8 = 0;

/// Gives terms their numbers. Two terms can have one: an event that is found by a number is looked at before it counts.
pub(super) struct Terms {
    hasher: SipHasher13,
}

impl Terms {
    /// Those of the log with this id.
    pub(super) fn of(log: [u8; 16]) -> Self {
        Terms {
            hasher: SipHasher13::new_with_key(&log),
        }
    }

    pub(super) fn of_type(&self, id: u32) -> u64 {
        self.of_entry(TYPE, &id.to_le_bytes())
    }

    /// The term that an entry of the metadata is.
    pub(super) fn of_entry(&self, key: u8, value: &[u8]) -> u64 {
        let mut hasher = self.hasher;
        hasher.write_u8(key);
        hasher.write(value);
        match cfg!(test) {
            // The tests of this crate have to do with numbers that many terms have.
            true => hasher.finish() & 3,
            false => hasher.finish(),
        }
    }

    /// The terms of an event but for its type; one that it has twice comes twice.
    pub(super) fn of_entries<'t>(&'t self, meta: &MetaRef<'t>) -> impl Iterator<Item = u64> + 't {
        let named = meta
            .entries()
            .filter(|(key, _)| matches!(*key, STREAM | TAG | STREAM_NUMBER | STREAM_ID | COMMAND_ID));
        named.map(|(key, value)| self.of_entry(key, value))
    }
}
