//! Programs that were written for the registry's wal-db 1.x, on this crate: what `docs/from-wal-db-1.md` says of their
//! files and of each call.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod calls;
mod migrating;
mod programs;
mod recognised;
