//! Variants that are not appended.

use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, event::{UnknownEvent, Retired}};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
struct Old(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
enum Shapes {
    #[wal(retired)]
    Unit,
    #[wal(retired)]
    Named { field: Retired },
    #[wal(retired, version = 2, from = Old)]
    Converted(Retired),
    #[wal(other)]
    Early(UnknownEvent),
    Second,
    #[wal(other, rename = "x", version = 2, id = 7, alias = "y")]
    Again(UnknownEvent),
    #[wal(other, retired)]
    Last { raw: UnknownEvent },
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "b")]
enum Other {
    First,
    #[wal(other, rename = "x", version = 2, id = 7, alias = "y")]
    Named(UnknownEvent),
}

fn main() {}
