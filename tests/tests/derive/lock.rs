//! What the derive says about types that differ from `wal.lock`, and that it says nothing about those that do not.
//!
//! The types are compiled in a project that trybuild makes, so their lock is copied there. The expected texts in
//! `ui_lock/` are those of rustc 1.95; on another release the test says so and passes. After an intended change,
//! `TRYBUILD=overwrite cargo test -p wal-tests --test derive` writes them anew.

use std::fs;
use std::path::Path;

#[test]
fn types_and_their_releases() {
    if !wal_tests::has_the_messages_of_ui_tests() {
        return;
    }
    // Other tests compile in the same project: the names in this lock are in none of them.
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tests/trybuild/wal-tests");
    fs::create_dir_all(&project).expect("the directory of the project");
    fs::copy("ui_lock/wal.lock", project.join("wal.lock")).expect("the lock is copied");
    let cases = trybuild::TestCases::new();
    cases.pass("ui_lock/kept.rs");
    for wrong in ["fields", "types", "versions", "from", "from_renamed", "lines"] {
        cases.compile_fail(format!("ui_lock/{wrong}.rs"));
    }
}
