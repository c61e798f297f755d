//! What can be forgotten in any log.

mod consumers;
mod cutting;
mod index;
mod projections;
mod reading;
mod snapshots;
mod writing;

use super::Bug;

pub(super) fn classics() -> impl Iterator<Item = &'static Bug> {
    let written = writing::WRITING.iter().chain(cutting::CUTTING);
    written
        .chain(reading::READING)
        .chain(snapshots::SNAPSHOTS)
        .chain(index::INDEX)
        .chain(consumers::CONSUMERS)
        .chain(projections::PROJECTIONS)
}
