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

#[derive(Serialize, Deserialize, WalSchema)]
enum Method {
    Card { number: String, until: u16 },
    Invoice { to: String, days: u16, address: String },
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "types.paid")]
struct Paid {
    by: Method,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "types.tree")]
struct Tree {
    value: u8,
    inner: Option<Box<Tree>>,
}

fn main() {}
