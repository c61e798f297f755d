//! Fields that were added.

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2)]
struct Halves {
    #[wal(since = 2)]
    no_default: u8,
    #[wal(default = 7)]
    no_since: u8,
    #[wal(since = 2, default)]
    #[serde(skip)]
    skipped: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "b", version = 2)]
struct Numbers {
    #[wal(since = 1, default)]
    first: u8,
    #[wal(since = 0, default)]
    zero: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "c")]
struct Later {
    #[wal(since = 2, default)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "d", version = 4)]
struct Gap {
    #[wal(since = 3, default)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "e")]
enum Family {
    #[wal(version = 9)]
    Gaps {
        #[wal(since = 2, default)]
        field: u8,
    },
    #[wal(version = 3)]
    Gap {
        #[wal(since = 2, default)]
        field: u8,
    },
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "on_the_enum", version = 2)]
enum OnTheEnum {
    Same(u64),
    Changed(#[wal(since = 2, default)] u8),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "nothing")]
enum NothingNew {
    #[wal(version = 2)]
    Same(u64),
    #[wal(version = 3, since = 2)]
    Same2(u64),
    #[wal(version = 4, since = 4)]
    First(u64),
    #[wal(since = 2)]
    NotYet(u64),
    #[wal(version = 2, since = 2, from = Gap)]
    Both(u64),
    #[wal(since = 2, retired)]
    Retiring(wal_db::event::Retired),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "f", version = 2)]
struct Recursive {
    next: Option<Box<Recursive>>,
    #[wal(since = 2, default)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "g", version = 2)]
#[serde(transparent)]
struct Transparent {
    #[wal(since = 2, default)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "h", version = 2)]
struct Values {
    #[wal(since = 2, default = "seven")]
    text: NoDefault,
    #[wal(since = 2, default = 7)]
    number: String,
    #[wal(since = 2, default)]
    none: NoDefault,
}

#[derive(Serialize, Deserialize, wal_db::WalSchema)]
struct NoDefault;

fn main() {}
