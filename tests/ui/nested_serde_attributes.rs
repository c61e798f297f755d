//! What cannot be read back is refused inside events, too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wal_db::WalSchema;

#[derive(Serialize, Deserialize, WalSchema)]
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
    #[serde(rename(serialize = "x", deserialize = "y"))]
    f: u8,
    #[serde(with = "text")]
    g: u8,
    #[serde(serialize_with = "text::serialize", deserialize_with = "text::deserialize")]
    h: u8,
    #[serde(with = "text")]
    #[wal(opaque = "text@1")]
    fine: u8,
    #[serde(skip, default = "seven")]
    also_fine: u8,
    #[serde(rename = "seventh", alias = "last")]
    fine_too: u8,
}

fn seven() -> u8 {
    7
}

mod text {
    pub(crate) fn serialize<S: serde::Serializer>(value: &u8, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u8, D::Error> {
        serde::Deserialize::deserialize(d)
    }
}

#[derive(Serialize, Deserialize, WalSchema)]
#[serde(tag = "t", content = "c")]
enum Tagged {
    First(u8),
}

#[derive(Serialize, Deserialize, WalSchema)]
#[serde(untagged)]
enum Untagged {
    First(u8),
}

#[derive(Serialize, Deserialize, WalSchema)]
enum Variants {
    #[serde(skip)]
    A,
    #[serde(skip_serializing)]
    B,
    #[serde(skip_deserializing)]
    C,
    #[serde(with = "text")]
    D(u8),
    #[serde(rename(serialize = "x"))]
    E {
        #[serde(default)]
        field: u8,
    },
    #[serde(other)]
    F,
}

#[derive(Clone, Serialize, Deserialize, WalSchema)]
#[serde(into = "u8")]
struct Half(u8);

#[derive(Clone, Serialize, Deserialize, WalSchema)]
#[serde(into = "u8", from = "u16")]
struct TwoTypes(u8);

impl From<Half> for u8 {
    fn from(half: Half) -> u8 {
        half.0
    }
}

impl From<TwoTypes> for u8 {
    fn from(two: TwoTypes) -> u8 {
        two.0
    }
}

impl From<u16> for TwoTypes {
    fn from(_: u16) -> Self {
        TwoTypes(0)
    }
}

#[derive(Serialize, WalSchema)]
#[serde(remote = "std::time::Duration")]
struct Remote {
    #[serde(getter = "std::time::Duration::as_secs")]
    secs: u64,
}

#[derive(Default, Serialize, Deserialize, WalSchema)]
#[serde(default)]
struct Defaulted {
    field: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Skipped(#[serde(skip)] u8);

fn main() {}
