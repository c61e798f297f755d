//! The type in `from` has only the new name, so its own derive does not know what was released under the old one.
use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "from.renamed", version = 2, since = 2)]
struct RenamedV2 {
    id: u32,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "from.renamed", alias = "from.before", version = 3, from = RenamedV2)]
struct Renamed {
    id: u64,
}

impl From<RenamedV2> for Renamed {
    fn from(old: RenamedV2) -> Self {
        Renamed { id: old.id.into() }
    }
}

fn main() {}
