//! The list of mistakes that the command `seeded-bugs` puts in says what the code says.

use wal_tests::seeded;

#[test]
fn every_seeded_bug_is_in_the_code_and_has_tests_and_every_mistake_has_one() {
    let wrong = seeded::wrong_with_the_registry();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
