//! What readers are shown while a log grows and is cut, from positions that they have kept, and when they cannot read.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod ahead;
mod cuts;
mod dump;
mod following;
mod groups;
mod inspected;
mod policies;
mod positions;
