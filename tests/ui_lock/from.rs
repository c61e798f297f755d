use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "from.chain", version = 2, since = 2)]
struct ChainV2 {
    id: u32,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "from.chain", version = 3, from = ChainV2)]
struct Chain {
    id: u64,
}

impl From<ChainV2> for Chain {
    fn from(old: ChainV2) -> Self {
        Chain { id: old.id.into() }
    }
}

fn main() {}
