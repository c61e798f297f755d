//! Damage is found, named and never read past in silence, by the log, by `verify` and `salvage`, and by an independent reader.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod epochs;
mod files;
mod independent_reader;
mod judging;
mod repairing;
mod sweep;
mod verifying;
