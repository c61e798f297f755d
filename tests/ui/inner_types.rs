use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema};

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 3)]
struct Three {
    #[wal(since = 2, default)]
    two: u8,
    #[wal(since = 3, default)]
    three: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
enum Two {
    First,
    #[wal(since = 2)]
    Second,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct One(u8);

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2, from = One)]
struct NoConversion(u16);

#[derive(Serialize, Deserialize)]
struct ByHand;

impl WalSchema for ByHand {
    const SCHEMA: &'static wal_db::schema::Shape = &wal_db::schema::Shape::Unit;
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "holds", version = 2)]
struct Holds {
    #[wal(changed(2))]
    beside: (ByHand, Two),
}

fn main() {}
