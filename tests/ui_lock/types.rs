use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "types.plain")]
struct Plain {
    id: u32,
    note: String,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Place {
    x: i32,
    y: i64,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "types.nested")]
struct Nested {
    id: u64,
    place: Place,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "types.since", version = 2)]
struct Since {
    id: u64,
    #[wal(since = 2, default)]
    note: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "types.family")]
enum Family {
    Moved(u64, i64),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "types.newtype")]
struct Newtype(u32);

fn main() {}
