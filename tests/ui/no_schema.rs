//! Every type inside an event has a schema, also inside other types.

use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema};

#[derive(Default, Serialize, Deserialize)]
struct Plain {
    field: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2)]
struct Event {
    id: u64,
    plain: Plain,
    #[wal(since = 2, default)]
    listed: Vec<Option<Plain>>,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "b")]
enum Family {
    First(Plain),
    Second(Box<Family>),
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Nested<T> {
    generic: T,
    plain: (u8, Plain),
    #[serde(skip)]
    skipped: Plain,
    #[wal(opaque = "plain@1")]
    opaque: Plain,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "c")]
struct Generic {
    nested: Nested<Plain>,
}

fn main() {}
