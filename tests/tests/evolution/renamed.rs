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
        let problems = check_lock(dir.path(), &types, mode).unwrap_err().to_string();
        for part in [
            "is `store` the new name of `shop`",
            "alias = \"shop\"",
            "store.opened 1 {owner: str, at: u64}",
        ] {
            assert!(problems.contains(part), "no {part}: {problems}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), RELEASED);
    }
    // It is: then nothing is missing but the new name.
    let types = [DeclaredType::of::<Renamed>()];
    check_lock(dir.path(), &types, LockMode::Update).unwrap();
}

#[test]
fn another_type_of_a_released_shape_is_added_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let line = "store.opened 1 {owner: str, at: u64}\n";
    std::fs::write(dir.path().join("wal.lock"), [RELEASED, line].concat()).unwrap();
    let types = [DeclaredType::of::<Store>()];
    assert_eq!(check_lock(dir.path(), &types, LockMode::Check), Ok(Vec::new()));
}
