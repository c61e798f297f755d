use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "versions.down")]
enum Down {
    #[wal(version = 2, since = 2)]
    Opened { id: u64 },
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "versions.struct", version = 1)]
struct Struct {
    id: u64,
    note: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "versions.unread", version = 3, since = 3)]
struct Unread {
    id: u64,
}

fn main() {}
