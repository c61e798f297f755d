use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema};

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Place {
    x: i32,
    #[wal(since = 2, default)]
    y: i32,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
enum Kind {
    #[wal(since = 2)]
    Village(u8),
    Town,
}

/// The place was in version 2 from the beginning.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "inner.before", version = 2)]
struct Before {
    #[wal(changed(2))]
    place: Place,
    #[wal(since = 2, default)]
    note: String,
}

/// It moved on with version 3.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "inner.step", version = 3)]
struct Step {
    #[wal(changed(2))]
    place: Place,
    #[wal(since = 2, default)]
    note: String,
    #[wal(since = 3, default)]
    more: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "inner.family")]
enum Family {
    #[wal(version = 2)]
    Moved(#[wal(changed(2))] Vec<Kind>),
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Point(i32, i32);

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2, from = Point)]
struct There {
    x: i32,
}

impl From<Point> for There {
    fn from(old: Point) -> Self {
        There { x: old.0 }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "inner.from", version = 2)]
struct From1 {
    #[wal(changed(2))]
    there: There,
}

fn main() {}
