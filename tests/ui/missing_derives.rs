//! Types without one of the derives that belong together, and conversions that are not there.

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(WalRecord)]
#[wal(name = "alone")]
struct Alone(u8);

#[derive(Serialize, WalRecord)]
#[wal(name = "written")]
struct OnlyWritten(u8);

#[derive(Serialize, Deserialize)]
struct Part(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "held")]
struct Held(Part);

#[derive(Serialize, Deserialize)]
struct EarlierV1(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "earlier", version = 2, from = EarlierV1)]
struct Earlier(u16);

impl From<EarlierV1> for Earlier {
    fn from(old: EarlierV1) -> Self {
        Earlier(old.0.into())
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "unconverted")]
struct UnconvertedV1(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "unconverted", version = 2, from = UnconvertedV1)]
struct Unconverted(u16);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "odd_error")]
struct OddErrorV1(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "odd_error", version = 2, from = OddErrorV1)]
struct OddError(u16);

impl TryFrom<OddErrorV1> for OddError {
    type Error = u8;

    fn try_from(old: OddErrorV1) -> Result<Self, u8> {
        Err(old.0)
    }
}

fn main() {}
