//! The command `long-life`, a fraction of it: what a log costs does not grow with what it has been through. In full:
//! `cargo run --release -p wal-tests --bin long-life`.

use std::process::Command;

fn lives(part: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_long-life"))
        .args([part, "--quick"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
}

#[test]
fn openings_never_use_a_log_up() {
    lives("openings");
}

#[test]
fn cuts_never_use_a_log_up() {
    lives("cuts");
}

#[test]
fn segments_need_few_descriptors() {
    lives("segments");
}
