//! What a program gets.

use super::{RingId, vault::MasterId};

/// What was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opened<T> {
    /// The value.
    Clear(T),
    /// The key of its subject was shredded: nobody can read it any more.
    Shredded,
}

impl<T> Opened<T> {
    /// The value, if it was not shredded.
    pub fn clear(self) -> Option<T> {
        match self {
            Opened::Clear(value) => Some(value),
            Opened::Shredded => None,
        }
    }

    /// The same with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Opened<U> {
        match self {
            Opened::Clear(value) => Opened::Clear(change(value)),
            Opened::Shredded => Opened::Shredded,
        }
    }
}

/// What [`Keyring::status`](super::Keyring::status) returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyringStatus {
    /// Which ring it is.
    pub ring: RingId,
    /// What it is for.
    pub scope: String,
    /// How many subjects have a key.
    pub subjects: usize,
    /// How many keys were shredded.
    pub shredded: usize,
    /// The number of the key file: how often it was written anew.
    pub generation: u64,
    /// Bytes of the key file.
    pub file_bytes: u64,
    /// The master key that has wrapped it.
    pub master: MasterId,
}
