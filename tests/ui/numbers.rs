use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 0)]
struct Zero;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 65536)]
struct TooLarge;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = -1, id = 4294967296)]
struct Negative;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = "1")]
struct Text;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
enum Variants {
    #[wal(version = 70000)]
    First,
}

fn main() {}
