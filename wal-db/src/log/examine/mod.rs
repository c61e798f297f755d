//! A log in whatever state it is, for who wants to know what is in it and what is wrong. Nothing here writes.
//!
//! `inspect` looks from outside, `groups` says what the writes and the files of an open log are, `verify` reads all of
//! one, in `pieces` if several threads do it, and says which `rules` of the format are broken, `verify_path` does it to
//! one that may not open, `salvage` hands out all that can still be read, with what is `kept` of what was cut off, and
//! `dump` is that as text. They walk `across` what is missing.

mod across;
#[cfg(feature = "testing")]
pub(crate) mod dump;
pub(crate) mod groups;
pub(crate) mod inspect;
pub(crate) mod kept;
pub(crate) mod pieces;
pub(crate) mod rules;
pub(crate) mod salvage;
pub(crate) mod verify;
pub(crate) mod verify_config;
pub(crate) mod verify_path;
