//! What is released and still the same, or is said to be older, compiles.
use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema, event::Retired};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.order", version = 2)]
struct Order {
    id: u64,
    #[wal(since = 2, default)]
    note: Option<String>,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.family")]
enum Family {
    Opened(u64, String),
    #[wal(retired)]
    Blinked(Retired),
    Closed,
    Unreleased(u8),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.converted", version = 1)]
struct ConvertedV1 {
    amount: u32,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.converted", version = 2, from = ConvertedV1)]
struct Converted {
    cents: u64,
}

impl From<ConvertedV1> for Converted {
    fn from(old: ConvertedV1) -> Self {
        Converted {
            cents: u64::from(old.amount) * 100,
        }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.tree")]
struct Tree {
    value: u8,
    inner: Vec<Tree>,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Pair {
    first: u8,
    second: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.newtype")]
struct Newtype(Pair);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.now", alias = "kept.before", id = 77)]
struct Renamed<'a>(std::borrow::Cow<'a, str>);

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Place {
    x: i32,
    #[wal(since = 2, default)]
    y: i32,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
enum Kind {
    #[wal(since = 2)]
    Village(u8),
    Town,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.inner", version = 3)]
struct Inner {
    #[wal(changed(3))]
    place: Place,
    #[wal(changed(2))]
    kind: Kind,
}

/// Was called `Tree` when it was released.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.branch")]
struct Branch {
    value: u8,
    inner: Vec<Branch>,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.chain")]
struct Chain(Option<Box<Chain>>);

#[derive(Serialize, Deserialize, WalSchema)]
struct Folder {
    files: Vec<File>,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct File {
    name: String,
    #[wal(recursive)]
    unpacked: Option<Box<Folder>>,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.packed")]
struct Packed {
    folder: Folder,
}

#[derive(Serialize, Deserialize, WalSchema)]
enum Method {
    Card { number: String, until: u16 },
    Invoice { to: String, days: u8, address: String },
}

/// A type with a line of its own.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.paid")]
struct Paid {
    by: Method,
    or: Option<Method>,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "kept.mended")]
struct Mended {
    #[wal(opaque = "id@1", wire = [u8; 16])]
    id: [u8; 16],
}

fn main() {}
