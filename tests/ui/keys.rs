use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", rename = "b", some::path = 1)]
struct Unknown;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", name = "b", version = 1)]
#[wal(version = 2)]
struct Twice;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", id = 7)]
enum OnTheEnum {
    #[wal(crate = "elsewhere")]
    First,
    Second {
        #[wal(since = 2)]
        field: u8,
    },
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", crate = "not a path")]
struct BadPath;

fn main() {}
