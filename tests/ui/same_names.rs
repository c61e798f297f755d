//! Names of fields and variants that stand twice, and types that hold themselves as another type.

use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "fields")]
struct Fields {
    #[serde(rename = "x")]
    a: u32,
    #[serde(rename = "x")]
    b: u32,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Nested {
    #[serde(alias = "b")]
    a: u32,
    b: u32,
}

#[derive(Serialize, Deserialize, WalSchema)]
enum Paid {
    #[serde(alias = "Card")]
    Cash,
    Card,
}

#[derive(Serialize, Deserialize, WalSchema)]
#[serde(bound = "")]
struct Swapped<A: Serialize + for<'a> Deserialize<'a>, B: Serialize + for<'a> Deserialize<'a>> {
    a: A,
    b: B,
    next: Option<Box<Swapped<B, A>>>,
}

fn main() {}
