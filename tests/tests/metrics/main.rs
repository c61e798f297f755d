//! What a log counts is what was done, and the text in which it is printed is what the standard says: a reader of it that is
//! as strict as the standard takes it, and the dashboard and the alarms name what is in it.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod counted;
mod openmetrics;
mod text;
