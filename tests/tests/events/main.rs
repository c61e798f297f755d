//! Typed events: what is appended comes back, in every codec, with its metadata, and into types and values.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod codecs;
mod decode_ahead;
mod decode_ahead_order;
mod described;
mod explain;
mod families;
mod json;
mod metadata;
mod read_back;
mod reading;
mod several;
mod typed;
mod variants;
mod wrong_descriptions;
