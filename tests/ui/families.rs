//! Enums whose variants hold event types of their own.

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "order")]
enum Order {
    Placed(u64),
    #[wal(id = 4711)]
    Sent,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "shop", alias = "order")]
enum Shop {
    Placed(u64),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "note", id = 4711)]
struct Note(u8);

#[derive(Serialize, Deserialize)]
struct Plain(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(families, name = "app", version = 2, alias = "old")]
enum Named {
    Note(Note),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum Variants {
    Named { note: Note },
    Unit,
    Two(Note, Order),
    #[wal(rename = "renamed")]
    Renamed(Note),
    Later(#[wal(since = 2, default)] Order),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum Empty {}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(families)]
struct Struct(Note);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "on_variant")]
enum OnVariant {
    #[wal(family)]
    Note(Note),
}

#[derive(Serialize, Deserialize, WalRecord)]
enum Nameless {
    Order(Order),
    Note(Note),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum SharedAlias {
    Order(Order),
    Shop(Shop),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum SharedId {
    Order(Order),
    Note(Note),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum Inner {
    Order(Order),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum Twice {
    Inner(Inner),
    Order(Order),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum NotARecord {
    Plain(Plain),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "led")]
enum LedIntoOne {
    Order(Order),
}

fn main() {}
