//! The fault table of `docs/faults.md` names tests that are there.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

use std::{fs, path::Path};

/// All test code below a folder.
fn code(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &code(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

#[test]
fn every_row_of_the_fault_table_has_a_test_that_is_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(here.join("Cargo.toml")).unwrap();
    let code = code(here);
    let doc = fs::read_to_string(here.join("../docs/faults.md")).unwrap();
    let (_, table) = doc.split_once("## The table").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2)
        .collect();
    for row in &rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        for name in &names {
            let there = code.contains(&format!("fn {name}("))
                || manifest.contains(&format!("name = \"{name}\""))
                || name.contains("::");
            assert!(there, "no test {name}, which is to prove: {row}");
        }
        assert!(!names.is_empty(), "no test for: {row}");
    }
    assert!(rows.len() > 35, "{} rows", rows.len());
}
