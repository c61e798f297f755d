//! What `from` and `split` need beside them.

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
struct V1(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", from = V1)]
struct NoVersion(u16);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2, split = split)]
struct NoFrom(u16);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2, from = V1)]
struct NothingLeft {
    #[wal(since = 2, default)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 6, from = V1)]
struct Gap {
    #[wal(since = 3, default)]
    third: u8,
    #[wal(since = 5, default)]
    fifth: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2, from = Itself)]
struct Itself(u16);

// A chain whose first type has a mistake is one message, and not one for each type of it.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "Chain")]
struct ChainV1(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "chain", version = 2, from = ChainV1)]
struct Chain(u16);

impl From<ChainV1> for Chain {
    fn from(old: ChainV1) -> Self {
        Chain(old.0.into())
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2, split = split, from = V1)]
struct SplitFirst(u16);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2, from = V1, split = split, split = split)]
struct TwoSplits(u16);

fn main() {}
