//! Each key has one form: with `=` or with parentheses.

use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema};

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Two {
    #[wal(since = 2, default)]
    two: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "equals", version = 2)]
struct Equals {
    #[wal(changed = (2))]
    list: Two,
    #[wal(changed = [2])]
    brackets: Two,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "parentheses", version(2))]
struct Version {
    two: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "default", version = 2)]
struct Default {
    #[wal(since = 2, default(5))]
    two: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "since", version = 2)]
struct Since {
    #[wal(since(2), default)]
    two: u8,
}

fn main() {}
