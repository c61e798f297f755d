use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema};

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2, alias = "x", bounds = "T: Copy")]
struct Versioned {
    #[wal(since = 2, default)]
    field: u8,
    #[wal(wire = u8)]
    alone: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
enum Variants {
    #[wal(rename = "x")]
    First,
    #[wal(retired)]
    Second,
    #[wal(unknown)]
    Third,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(bound = "not a bound")]
struct Bound<T>(T);

// Both derives say it once.
#[derive(Serialize, Deserialize, WalRecord, WalSchema)]
#[wal(name = "a", versio = 2)]
struct Both {
    #[serde(default)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(name = "not_a_record")]
struct Named<'a> {
    #[serde(borrow, default)]
    field: &'a str,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(opaque = "pair@1", wire = (T, T))]
struct Pair<T>(T, T);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "b")]
struct Uses {
    #[wal(changed(1))]
    field: Versioned,
    bound: Bound<u8>,
    both: Both,
}

fn main() {}
