//! What the derive says about each mistake: the message, the place, and that there is one message for one
//! mistake.
//!
//! The expected texts in `ui/` are those of rustc 1.95; on another release the test says so and passes. After
//! an intended change, `TRYBUILD=overwrite cargo test -p wal-tests --test derive` writes them anew.

#[test]
fn derive_mistakes() {
    if !wal_tests::has_the_messages_of_ui_tests() {
        return;
    }
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
