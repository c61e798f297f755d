//! What opening makes of what a crash has left, and of staging memory of every state.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod deaths;
mod model;
mod openings;
mod staging;
mod tail;
