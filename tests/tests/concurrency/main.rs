//! Panics, closures that use logs, and readers beside a writer.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod panics;
mod readers;
mod reentrant;
mod sharing;
