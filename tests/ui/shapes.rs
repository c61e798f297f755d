use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
struct Type<T> {
    field: T,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
struct Borrowed<'a> {
    field: &'a str,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
struct Const<const N: usize> {
    field: u8,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
enum Empty {}

#[derive(WalRecord)]
#[wal(name = "a")]
union Union {
    a: u8,
    b: i8,
}

fn main() {}
