//! What `wal.lock` and its checks see of types inside events that have versions.

use std::fs;

use tempfile::TempDir;
use wal_db::testing::{CheckFailed, DeclaredType, LockMode, ReadableType, check_history, check_lock};

use super::*;

/// A directory with the lock of the event, a line for each version.
fn locked(lines: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let lines = lines.iter().map(|(name, rest)| format!("{name} {rest}\n"));
    fs::write(dir.path().join("wal.lock"), lines.collect::<String>()).expect("the lock is written");
    dir
}

pub(super) fn own_lines<E: WalRecord>(name: &str) -> TempDir {
    let shapes = shapes::<E>();
    locked(&shapes.iter().map(|shape| (name, &**shape)).collect::<Vec<_>>())
}

pub(super) fn history_of<E: WalDecodeOwned>(dir: &TempDir) -> Result<(), CheckFailed> {
    check_history(dir.path(), &[ReadableType::of::<E>()], &[])
}

#[test]
fn random_records_of_every_version_are_read() {
    assert_eq!(history_of::<Sent>(&own_lines::<Sent>("sent")), Ok(()));
    assert_eq!(history_of::<Packed>(&own_lines::<Packed>("packed")), Ok(()));
    assert_eq!(history_of::<Young>(&own_lines::<Young>("young")), Ok(()));
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2, from = Point)]
struct Place {
    x: i32,
    y: i32,
    z: i32,
}

impl From<Point> for Place {
    fn from(old: Point) -> Self {
        Place {
            x: old.y,
            y: old.x,
            z: 0,
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "placed", version = 2)]
struct Placed {
    #[wal(changed(2))]
    at: Place,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
enum Where {
    Nowhere,
    There {
        #[wal(changed(2))]
        at: Place,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "lay", version = 2)]
struct Lay {
    #[wal(changed(2))]
    at: Option<Where>,
}

#[test]
fn such_a_conversion_is_found_in_options_and_variants() {
    let found = history_of::<Lay>(&own_lines::<Lay>("lay")).expect_err("it swaps them");
    let found = found.to_string();
    assert!(found.contains("the field `at.some.There.at.x`"), "{found}");
}

#[test]
fn a_conversion_inside_an_event_that_mixes_up_fields_is_found() {
    let found = history_of::<Placed>(&own_lines::<Placed>("placed")).expect_err("it swaps them");
    let found = found.to_string();
    assert!(
        found.contains("`placed` version 1") && found.contains("at.x"),
        "{found}"
    );
}

#[test]
fn a_version_of_a_type_inside_an_event_that_was_released_otherwise_is_found() {
    let today = "2 {at: {x: i32, y: i32, z: i32}}";
    let check = |first: &str| {
        let dir = locked(&[("placed", first), ("placed", today)]);
        check_lock(dir.path(), &[DeclaredType::of::<Placed>()], &[], LockMode::Check)
    };
    check("1 {at: {x: i32, y: i32}}").expect("as it was released");
    let found = check("1 {at: {x: i32, y: i64}}")
        .expect_err("another type")
        .to_string();
    assert!(found.contains("at.y"), "{found}");
}
