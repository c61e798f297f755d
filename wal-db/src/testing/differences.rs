//! How two shapes differ, field by field.

use crate::event::{probe, schema::Shape};

/// What differs between the shape of an event in `wal.lock` and that in the program, one sentence for each place; none
/// if the shapes are equal. Places are called as [`check_history!`](super::check_history!) calls them.
///
/// ```
/// use wal_db::testing::differences;
///
/// let released = "{id: u64, note: str}".parse().expect("a shape");
/// let now = "{id: u32, note: str, by: str}".parse().expect("a shape");
/// assert_eq!(
///     differences(&released, &now),
///     [
///         "`id` is `u64` in `wal.lock` and `u32` in this program",
///         "`by` is a field in this program and not in `wal.lock`",
///     ]
/// );
/// ```
#[must_use]
pub fn differences(released: &Shape, now: &Shape) -> Vec<String> {
    probe::differences(released, now, "`wal.lock`")
}
