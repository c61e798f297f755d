//! Chains of earlier types.

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a")]
struct V1(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 3, from = V1)]
struct Gap(u16);

impl From<V1> for Gap {
    fn from(old: V1) -> Self {
        Gap(old.0.into())
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "b", version = 2, from = V1)]
struct OtherName(u16);

impl From<V1> for OtherName {
    fn from(old: V1) -> Self {
        OtherName(old.0.into())
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "c")]
enum Family {
    #[wal(version = 2, from = Other)]
    First(u8),
    #[wal(version = 2, from = V1)]
    Second(u8),
    #[wal(version = 4, from = ThirdV2)]
    Third {
        #[wal(since = 4, default)]
        field: u8,
    },
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "c.first")]
enum Other {
    First(u8),
}

impl From<Other> for Family {
    fn from(Other::First(old): Other) -> Self {
        Family::First(old)
    }
}

impl From<V1> for Family {
    fn from(old: V1) -> Self {
        Family::Second(old.0)
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "c.third", version = 3, since = 3)]
struct ThirdV2(u8);

impl From<ThirdV2> for Family {
    fn from(old: ThirdV2) -> Self {
        Family::Third { field: old.0 }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2, from = V1)]
struct NoConversion(u16);

#[derive(Serialize, Deserialize)]
struct Plain(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2, from = Plain)]
struct FromPlain(u16);

impl From<Plain> for FromPlain {
    fn from(old: Plain) -> Self {
        FromPlain(old.0.into())
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "a", version = 2, from = V1, split = to_numbers)]
struct SplitWrong(u16);

fn to_numbers(old: V1) -> Vec<u8> {
    vec![old.0]
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "s", version = 2, since = 2)]
struct SeveralV2(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "s")]
struct SeveralV1(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "s", version = 3, from = SeveralV2, from = SeveralV1)]
struct WrongOrder(u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "s", version = 2)]
struct SeveralSinceV2(u8, #[wal(since = 2, default)] u8);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "s", version = 3, from = SeveralV1, from = SeveralSinceV2)]
struct ReadTwice(u8);

impl From<SeveralV1> for WrongOrder {
    fn from(old: SeveralV1) -> Self {
        WrongOrder(old.0)
    }
}

impl From<SeveralV2> for WrongOrder {
    fn from(old: SeveralV2) -> Self {
        WrongOrder(old.0)
    }
}

impl From<SeveralV1> for ReadTwice {
    fn from(old: SeveralV1) -> Self {
        ReadTwice(old.0)
    }
}

impl From<SeveralSinceV2> for ReadTwice {
    fn from(old: SeveralSinceV2) -> Self {
        ReadTwice(old.0)
    }
}

fn main() {}
