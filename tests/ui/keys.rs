use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", unknown = "b", some::path = 1)]
struct Unknown;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", name = "b", version = 1)]
#[wal(version = 2)]
struct Twice;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", id = 7, from = Twice, rename = "b", retired)]
enum OnTheEnum {
    #[wal(crate = "elsewhere")]
    First,
    #[wal(name = "second", default = 2)]
    Second {
        #[wal(sinc = 2, version = 2)]
        field: u8,
    },
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", rename = "b", other, opaque = "x@1")]
struct OnTheStruct {
    #[wal(retired)]
    field: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", crate = "not a path")]
struct BadPath;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2, from = "Old", alias = 7, alias = "B")]
struct BadValues {
    #[wal(since, default =, opaque = "x@1")]
    field: u8,
    #[wal(opaque = "")]
    unnamed: u8,
    #[wal(opaque = "x@1", wire = "u8")]
    quoted: u8,
    #[wal(wire = u8)]
    alone: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
enum Flags {
    #[wal(retired = true)]
    First,
    #[wal(split)]
    Second,
}

fn main() {}
