use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
struct Missing;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "")]
struct Empty;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "Bank")]
struct UpperCase;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = 7)]
struct NotAString;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name)]
struct NoValue;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal]
struct NoArguments;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a" version = 1)]
struct NoComma;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "bank")]
enum Variants {
    #[wal(rename = "a")]
    First,
    A,
    #[wal(rename = "b c")]
    Spaced,
    Café,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "bank")]
enum Aliases {
    #[wal(alias = "first")]
    First,
    #[wal(alias = "first")]
    Second,
    #[wal(alias = "bank.third", alias = "fourth", alias = "Fifth")]
    Third,
    #[wal(rename = "fourth")]
    Fourth,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "tick", alias = "tick")]
struct SameAlias;

fn main() {}
