//! What the derive says about each mistake: the message, the place, and that there is one message for one
//! mistake.
//!
//! The expected texts in `ui/` are those of rustc 1.95; on another release the test says so and passes. After
//! an intended change, `TRYBUILD=overwrite cargo test -p wal-tests --test derive_ui` writes them anew.

use std::process::Command;

const PINNED: &str = "rustc 1.95.";

#[test]
fn derive_mistakes() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("rustc runs")
        .stdout;
    let version = String::from_utf8_lossy(&version);
    if !version.starts_with(PINNED) {
        println!("skipped: the expected messages are those of {PINNED}x, this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
