//! Tasks that wait for a log: woken once for what has come and for nothing else, by whatever ends the wait, and forgotten
//! when they do not wait any more; and appends that never wait. No runtime: the tests poll by hand.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod committing;
mod consuming;
mod following;
mod trying;
