//! What `docs/faults.md` says of every fault names tests that are there, and its figures are filled in.

use std::{fs, path::Path};

use super::{files, names};

/// All code of a test program, or of a module of it: `program::module`.
fn code(place: &str) -> String {
    let place = format!("tests/tests/{}", place.replace("::", "/"));
    let module = |path: &str| *path == format!("{place}.rs") || path.starts_with(&format!("{place}/"));
    let files = files("tests/tests", "rs").into_iter();
    files
        .filter(|(path, _)| module(path))
        .map(|(_, text)| text)
        .collect()
}

/// Whether code has a test of this name that is not left out.
fn has_test(code: &str, name: &str) -> bool {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let is_it = |line: &&str| line.starts_with(&format!("fn {name}("));
    let Some(at) = lines.iter().position(is_it) else {
        return false;
    };
    let above = lines[..at].iter().rev();
    let attributes: Vec<&&str> = above.take_while(|line| line.starts_with('#')).collect();
    attributes.contains(&&"#[test]") && !attributes.iter().any(|line| line.starts_with("#[ignore"))
}

#[test]
fn every_fault_has_a_test_that_is_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let doc = fs::read_to_string(here.join("../docs/faults.md")).unwrap();
    let (_, list) = doc.split_once("\n## Fault by fault\n").unwrap();
    let (mut count, mut tests) = (0, 0);
    for entry in list.split("\n\n").filter(|entry| entry.starts_with("**")) {
        count += 1;
        let entry = entry.replace("\n  ", " ");
        let (fault, proof) = entry.split_once("\n- ").unwrap_or((&entry, ""));
        // Why there is none is said in words.
        assert!(
            !proof.is_empty() || fault.contains("No test: "),
            "no test for: {fault}"
        );
        for line in proof.split("\n- ").filter(|line| !line.is_empty()) {
            // One place and its tests, or places all of whose tests are about the fault.
            let (places, of_them) = line.split_once(": ").unwrap_or((line, ""));
            for place in names(places) {
                let code = code(place);
                assert!(code.contains("#[test]"), "no tests in {place}: {fault}");
                for name in names(of_them) {
                    assert!(has_test(&code, name), "no test {name} in {place}: {fault}");
                    tests += 1;
                }
            }
        }
    }
    assert!(count > 80 && tests > 170, "{count} faults, {tests} tests");
}

/// What stands for a figure until it was measured.
#[test]
fn no_figure_is_left_out() {
    let doc = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md");
    let doc = fs::read_to_string(doc).unwrap();
    let is_left = |word: &&str| {
        let name = word.strip_prefix('@').and_then(|word| word.strip_suffix('@'));
        name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase()))
    };
    let left: Vec<&str> = doc.split_whitespace().filter(is_left).collect();
    assert!(left.is_empty(), "to be filled in: {left:?}");
}

#[test]
fn a_test_that_is_left_out_or_is_none_proves_nothing() {
    let code = "#[test]\nfn one() {}\n#[test]\n#[ignore = \"why\"]\nfn two() {}\nfn three() {}\n";
    let there = ["one", "two", "three", "four"].map(|name| has_test(code, name));
    assert_eq!(there, [true, false, false, false]);
}
