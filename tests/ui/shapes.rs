use serde::{Deserialize, Serialize};
use wal_db::{EventLog, Wal, WalRecord, WalSchema};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
struct Type<T> {
    field: T,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
struct Const<'a, const N: usize> {
    field: &'a str,
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

#[derive(WalSchema)]
union Nested {
    a: u8,
    b: i8,
}

fn use_them(wal: &Wal, log: &EventLog<Type<u8>>) -> wal_db::Result<()> {
    wal.append_typed(&Const::<3> { field: "" })?;
    log.append(&Type { field: 3 })?;
    Ok(())
}

fn main() {}
