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
#[wal(version = 3)]
struct NothingSaysTwo {
    #[wal(since = 3, default)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
enum NothingSays {
    First,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct NoDefault {
    #[wal(since = 2)]
    field: u8,
    #[wal(default)]
    other: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2, split = parts)]
struct Keys {
    #[wal(since = 3, default)]
    late: u8,
    #[wal(version = 2, from = One)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(since = 2)]
enum VariantKeys {
    #[wal(default, changed(2))]
    First,
    #[wal(since = 1)]
    Second,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "lists", version = 3)]
struct Lists {
    #[wal(changed)]
    nothing: Two,
    #[wal(changed())]
    empty: Two,
    #[wal(changed = 2)]
    value: Two,
    #[wal(changed(a))]
    word: Two,
    #[wal(changed(3, 2))]
    down: Three,
    #[wal(changed(0))]
    zero: Two,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "steps", version = 3)]
struct Steps {
    #[wal(since = 2, default)]
    two: u8,
    #[wal(changed(4))]
    late: Two,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "early", version = 3)]
struct Early {
    #[wal(since = 2, default)]
    two: u8,
    #[wal(since = 3, default = Two::First, changed(2))]
    early: Two,
    #[serde(skip)]
    #[wal(changed(2))]
    skipped: u8,
    #[wal(changed(2), opaque = "a@1")]
    opaque: Two,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2, opaque = "a@1")]
struct Opaque(u8);

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2, from = Two)]
struct NothingLeft {
    #[wal(since = 2, default)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct HoldsItself {
    #[wal(since = 2, default)]
    field: u8,
    #[wal(changed(2))]
    inner: Vec<HoldsItself>,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 3)]
enum YoungVariant {
    First,
    #[wal(since = 3)]
    Young {
        #[wal(since = 2, default)]
        older: u8,
    },
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 3)]
enum YoungVariantHolds {
    First,
    #[wal(since = 3)]
    Young {
        #[wal(changed(2))]
        older: Two,
    },
}

fn main() {}
