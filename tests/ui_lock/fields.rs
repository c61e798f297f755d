use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "fields.added", version = 2, since = 2)]
struct Added {
    id: u64,
    note: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "fields.removed")]
struct Removed {
    id: u64,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "fields.renamed")]
struct Renamed {
    id: u64,
    remark: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "fields.moved")]
struct Moved {
    id: u64,
    total: i64,
    note: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "fields.since", version = 3)]
struct Since {
    id: u64,
    #[wal(since = 2, default)]
    note: String,
    #[wal(since = 3, default)]
    by: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "fields.tuple")]
enum Tuple {
    Moved(u64, u64, i64),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "fields.form")]
struct Form(u64, u64);

fn main() {}
