use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "versions.down", version = 2)]
enum Down {
    Opened { id: u64 },
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "versions.struct", version = 1)]
struct Struct {
    id: u64,
    note: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "versions.unread", version = 3)]
struct Unread {
    id: u64,
}

fn main() {}
