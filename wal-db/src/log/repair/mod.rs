//! Repairing a log that does not open, with the smallest change that lets it open.
//!
//! `files` knows the places of a log's files, whatever is in them; `manifest` makes a manifest from the groups; `patched`
//! shows the log as it would be, so that what a repair leaves is known before anything is written; `plan` says what there is
//! to do, and `apply` does it.

mod apply;
mod files;
mod manifest;
mod patched;
mod plan;

pub use plan::{Repair, RepairStep, Touched, repair};
