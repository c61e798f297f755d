//! A retired event has no values, and a variant for those holds nothing else.

use serde::{Deserialize, Serialize};
use wal_db::{Wal, WalRecord, event::{UnknownEvent, Retired}};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
enum Event {
    Kept(u8),
    #[wal(retired)]
    Blinked(Retired),
    #[wal(other)]
    Unknown(UnknownEvent),
}

fn append(wal: &Wal) -> wal_db::Result<()> {
    wal.append_typed(&Event::Blinked(3))?;
    Ok(())
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "b")]
enum Mistaken {
    #[wal(retired)]
    Blinked(u8),
    #[wal(other)]
    Unknown(Vec<u8>),
}

fn main() {}
