//! What a call promises and what it says: when the store fails, at every call, when the disk is full, when something runs
//! out for a moment.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod calls;
mod io;
mod limits;
mod messages;
mod outcomes;
mod told;
