use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
enum Chosen {
    #[wal(id = 7)]
    First,
    #[wal(id = 7)]
    Second,
}

// The hashes of these two names are equal.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "c")]
enum Hashed {
    #[wal(rename = "vdfnzw")]
    First,
    #[wal(rename = "rglexc")]
    Second,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
enum Mixed {
    First,
    #[wal(id = 1645674884)]
    Second,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
enum Aliased {
    First,
    #[wal(id = 1645674884)]
    Second,
    #[wal(alias = "a.first")]
    Third,
}

fn main() {}
