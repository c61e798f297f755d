use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema};

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 3)]
struct Three {
    #[wal(since = 2, default)]
    two: u8,
    #[wal(since = 3, default)]
    three: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
enum Two {
    First,
    #[wal(since = 2)]
    Second,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct AlsoTwo {
    #[wal(since = 2, default)]
    two: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct One(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "counts", version = 3)]
struct Counts {
    none: Three,
    #[wal(changed(2))]
    few: Vec<Three>,
    #[wal(changed(2, 3))]
    right: Three,
    #[wal(changed(2, 3, 3))]
    many: Option<Three>,
    #[wal(changed(3))]
    unversioned: One,
    #[wal(changed(2))]
    several: (Two, Three),
    #[wal(changed(2))]
    equal: std::collections::BTreeMap<u8, (Two, AlsoTwo)>,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "variants")]
enum Variants {
    None(Two),
    #[wal(version = 2, since = 2)]
    Few { two: Box<Two> },
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Holder {
    two: Two,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Page<T> {
    items: Vec<T>,
    two: Two,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "pages")]
struct Pages {
    page: Page<u8>,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 3, from = One)]
struct WrongFrom(u16);

impl From<One> for WrongFrom {
    fn from(One(old): One) -> Self {
        WrongFrom(old.into())
    }
}

fn main() {}
