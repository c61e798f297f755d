//! Names: directories and files that are moved, linked, replaced or taken away while a log is open; descriptors and
//! permissions that run out for a moment; and the stores that a program brings along.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod places;
mod stores;
