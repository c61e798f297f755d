use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<u8>,
    #[serde(flatten)]
    b: BTreeMap<String, u8>,
    #[serde(default)]
    c: u8,
    #[serde(skip_serializing)]
    d: u8,
    #[serde(skip_deserializing)]
    e: u8,
    #[serde(skip_serializing, skip_deserializing)]
    fine: u8,
    #[serde(skip, default = "seven")]
    also_fine: u8,
    #[serde(rename = "g", alias = "h")]
    fine_too: u8,
}

fn seven() -> u8 {
    7
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
#[serde(tag = "t", content = "c")]
enum Tagged {
    First(u8),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
#[serde(untagged)]
enum Untagged {
    First(u8),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
enum Variants {
    #[serde(skip)]
    A,
    #[serde(skip_serializing)]
    B,
    #[serde(skip_deserializing)]
    C,
    #[serde(rename = "fine")]
    D {
        #[serde(default)]
        field: u8,
    },
    #[serde(untagged)]
    E(u8),
}

#[derive(Clone, Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
#[serde(from = "u8", into = "u8")]
enum Converted {
    First,
}

impl From<u8> for Converted {
    fn from(_: u8) -> Self {
        Converted::First
    }
}

impl From<Converted> for u8 {
    fn from(_: Converted) -> u8 {
        0
    }
}

#[derive(Default, Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
#[serde(default)]
struct Defaulted {
    field: u8,
}

fn main() {}
