//! A type or family that got another name without an `alias`.

use serde::{Deserialize, Serialize};
use wal_db::{
    WalRecord,
    testing::{DeclaredType, LockMode, check_lock},
};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "store")]
enum Store {
    Opened { owner: String, at: u64 },
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "store", alias = "shop")]
enum Renamed {
    Opened { owner: String, at: u64 },
}

const RELEASED: &str = "shop.opened 1 {owner: str, at: u64}\n";

#[test]
fn a_new_name_for_a_released_shape_is_asked_about_and_not_added() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wal.lock");
    std::fs::write(&file, RELEASED).unwrap();
    let types = [DeclaredType::of::<Store>()];
    for mode in [LockMode::Check, LockMode::Update] {
        let problems = check_lock(dir.path(), &types, &[], mode).unwrap_err().to_string();
        for part in [
            "is `store` the new name of `shop`",
            "alias = \"shop\"",
            "others [\"shop\"]",
        ] {
            assert!(problems.contains(part), "no {part}: {problems}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), RELEASED);
    }
    // It is: then nothing is missing but the new name.
    let types = [DeclaredType::of::<Renamed>()];
    check_lock(dir.path(), &types, &[], LockMode::Update).unwrap();
}

/// One call knows nothing of the types in another one.
#[test]
fn a_new_type_of_a_shape_that_another_call_checks_is_no_renamed_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wal.lock");
    std::fs::write(&file, RELEASED).unwrap();
    let types = [DeclaredType::of::<Store>()];
    let check = |others: &[&str], mode| check_lock(dir.path(), &types, others, mode);
    // One that is not the one asked about answers nothing.
    for others in [&["sho"][..], &["shop.opened.x"], &["till"]] {
        let problems = check(others, LockMode::Update).unwrap_err().to_string();
        assert!(
            problems.contains("is `store` the new name of `shop`"),
            "{problems}"
        );
    }
    for others in [&["shop"][..], &["till", "shop.opened"]] {
        std::fs::write(&file, RELEASED).unwrap();
        let missing = check(others, LockMode::Check).unwrap_err().to_string();
        assert!(
            missing.starts_with("`store.opened` version 1 is not in") && !missing.contains("new name"),
            "{missing}"
        );
        let added = check(others, LockMode::Update).unwrap();
        assert_eq!(added, ["store.opened 1 {owner: str, at: u64}"]);
    }
    assert_eq!(check(&[], LockMode::Check), Ok(vec![]));
}

/// A variant of the family is a type now, and that is in another call.
#[test]
fn a_variant_that_moved_to_a_type_that_another_call_checks_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let released = "store.opened 1 {owner: str, at: u64}\nstore.closed 1 u8\n";
    std::fs::write(dir.path().join("wal.lock"), released).unwrap();
    let types = [DeclaredType::of::<Store>()];
    let problems = check_lock(dir.path(), &types, &[], LockMode::Check)
        .unwrap_err()
        .to_string();
    assert!(problems.contains("others [\"store.closed\"]"), "{problems}");
    let moved = check_lock(dir.path(), &types, &["store.closed"], LockMode::Check);
    assert_eq!(moved, Ok(vec![]));
}

/// Lines are not there yet when they are written.
#[test]
fn a_misspelt_name_of_what_is_checked_elsewhere_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let released = "store.opened 1 {owner: str, at: u64}\ntill.closed 1 u8\nsold 1 u8\n";
    std::fs::write(dir.path().join("wal.lock"), released).unwrap();
    let types = [DeclaredType::of::<Store>()];
    let check = |others: &[&str], mode| check_lock(dir.path(), &types, others, mode);
    for others in [&["till", "sold"][..], &["till.closed"]] {
        assert_eq!(check(others, LockMode::Check), Ok(vec![]));
    }
    for other in ["tills", "til", "till.close", "sold.all"] {
        let problems = check(&["sold", other], LockMode::Check).unwrap_err();
        let [problem] = problems.problems() else {
            panic!("{problems}")
        };
        let expected = format!("\"{other}\" after `others` has no line in `wal.lock`");
        assert!(problem.starts_with(&expected), "{problem}");
        assert_eq!(check(&["sold", other], LockMode::Update), Ok(vec![]));
    }
}

#[test]
fn what_is_checked_here_is_not_checked_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let types = [DeclaredType::of::<Renamed>()];
    for other in ["store", "store.opened", "shop.opened"] {
        let problems = check_lock(dir.path(), &types, &[other], LockMode::Update).unwrap_err();
        let expected = format!("\"{other}\" after `others` is checked here: leave it out");
        assert_eq!(problems.problems()[0], expected);
    }
}
