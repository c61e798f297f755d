//! The lists of mistakes: what the command `seeded-bugs` puts in, and what `cargo mutants` tries.

use std::{fs, path::Path};

use wal_tests::seeded;

#[test]
fn every_seeded_bug_is_in_the_code_and_has_tests_and_every_mistake_has_one() {
    let wrong = seeded::wrong_with_the_registry();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cargo_mutants_is_told_of_programs_that_there_are() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| fs::read_to_string(here.join(path)).unwrap();
    let settings = text("../.cargo/mutants.toml");
    let programs: Vec<&str> = settings
        .split("\"--test\", \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(!programs.is_empty());
    for program in programs {
        assert!(
            here.join("tests").join(program).join("main.rs").is_file(),
            "{program}"
        );
    }
}
