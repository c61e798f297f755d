//! What the derive says about types that differ from `wal.lock`, and that it says nothing about those that do not.
//!
//! The types are compiled in a project that trybuild makes, so their lock is copied there. The expected texts in
//! `ui_lock/` are those of rustc 1.95; on another release the test says so and passes. After an intended change,
//! `TRYBUILD=overwrite cargo test -p wal-tests --test derive` writes them anew.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn types_and_their_releases() {
    if !wal_tests::has_the_messages_of_ui_tests() {
        return;
    }
    // Other tests compile in the same project: the names in this lock are in none of them.
    let project = target().join("tests/trybuild/wal-tests");
    fs::create_dir_all(&project).expect("the directory of the project");
    fs::copy("ui_lock/wal.lock", project.join("wal.lock")).expect("the lock is copied");
    let cases = trybuild::TestCases::new();
    cases.pass("ui_lock/kept.rs");
    for wrong in [
        "fields",
        "types",
        "inner",
        "versions",
        "from",
        "from_renamed",
        "lines",
    ] {
        cases.compile_fail(format!("ui_lock/{wrong}.rs"));
    }
}

/// Where trybuild builds, which is what cargo says when it is asked: that is not where this test was built if that was
/// said on the command line.
fn target() -> PathBuf {
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    let target = metadata["target_directory"].as_str().expect("a directory");
    PathBuf::from(target)
}
