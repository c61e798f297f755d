use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "lines.malformed")]
struct Malformed {
    id: u64,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "lines.twice")]
struct Twice {
    id: u64,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "lines.chosen")]
struct Chosen {
    id: u64,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "lines.taken", id = 8)]
struct Taken {
    id: u64,
}

fn main() {}
