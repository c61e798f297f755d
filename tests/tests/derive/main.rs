//! What the derive says of mistakes, and of types that differ from `wal.lock`.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod lock;
mod mistakes;
