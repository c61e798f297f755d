//! What runs out for a moment: descriptors, permissions, patience. A log that cannot open or make a file refuses what it
//! cannot take, keeps what it has taken, and goes on later.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod descriptors;
mod moments;
