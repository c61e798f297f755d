//! The whole log under random schedules, on a disk that loses power: at every acknowledgement, what it promised has to be
//! in the worst image that the disk can leave at that moment.
//!
//! Compiled with `--cfg wal_shuttle` only, which replaces the locks, atomics and threads of the log by shuttle's
//! (`wal-db/src/sync.rs`):
//!
//! ```text
//! RUSTFLAGS='--cfg wal_shuttle' cargo test --release -p wal-tests --test schedules --target-dir target/shuttle
//! ```
//!
//! `WAL_TESTS_SCALE` multiplies the number of schedules, `SHUTTLE_RANDOM_SEED` chooses others.
//!
//! **To replay a failure**, pass the string that shuttle prints ("failing schedule") to the same test, which then runs that
//! schedule alone: `WAL_TESTS_SCHEDULE=9102...` before the command, and the test's name after it.
#![cfg(wal_shuttle)] // without it there is nothing here: the primitives exist under shuttle only
#![allow(clippy::unwrap_used)] // a scenario that cannot go on fails the test

mod appending;
mod asked;
mod closing;
mod consumed;
mod deciding;
mod disk;
mod entities;
mod explore;
mod failing;
mod indexed;
mod kept;
mod oracle;
mod projected;
mod read;
mod rotating;
mod stalls;
mod tasks;
mod truncating;
mod typed;
mod watch;
mod witness;
