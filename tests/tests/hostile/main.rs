//! Bytes that somebody made up, files that are not the log's, and whatever else a process may have beside its log.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod bytes;
mod corpus;
mod edges;
mod names;
mod payloads;
mod strangers;
mod vouched;
