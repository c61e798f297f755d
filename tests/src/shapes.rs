//! Types that records are read as, whatever is in them.

use serde::{Deserialize, Serialize};
use wal_db::{
    WalSchema,
    codec::{Bincode, Codec, CodecId, Json, Postcard},
    event::{EventType, WalDecode},
};

use crate::{
    random::{Random, Rng},
    record,
};

/// The id of all types that stand for any record.
pub const ID: u32 = 1;

/// A value as a codec writes it, if it can.
pub fn encode<T: Serialize>(value: &T, codec: CodecId) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let written = match codec {
        CodecId::BINCODE_2 => Bincode::encode(value, &mut out),
        CodecId::POSTCARD_1 => Postcard::encode(value, &mut out),
        _ => Json::encode(value, &mut out),
    };
    written.ok().map(|()| out)
}

/// It is lent by its record.
#[derive(Debug, Serialize, Deserialize)]
pub struct Borrowed<'a> {
    /// Text.
    pub text: &'a str,
    /// Bytes.
    pub raw: &'a [u8],
}

record!(Borrowed<'_>, EventType::with_id(ID, "borrowed", 1));

impl<'de> WalDecode<'de> for Borrowed<'de> {}

/// It holds itself, or not.
#[derive(Debug, Serialize, Deserialize, WalSchema)]
pub struct Chain(pub Option<Box<Chain>>);

/// It holds any number of itself.
#[derive(Debug, Serialize, Deserialize, WalSchema)]
pub struct Tree {
    /// A number.
    pub value: i32,
    /// More of it.
    pub children: Vec<Tree>,
}

/// Variants of every form.
#[allow(missing_docs)]
#[derive(Debug, Serialize, Deserialize, WalSchema)]
pub enum Choice {
    Nothing,
    One(u32),
    Two(String, Box<Choice>),
    Named { a: Option<bool>, b: Vec<u8> },
}

impl Random for Chain {
    /// In JSON every chain is `null`, which is why there is one only.
    fn random(_: &mut Rng) -> Self {
        Chain(None)
    }
}

impl Random for Tree {
    fn random(rng: &mut Rng) -> Self {
        let children = [0, 0, 0, 1, 3][rng.below(5)];
        Tree {
            value: rng.any(),
            children: (0..children).map(|_| rng.any()).collect(),
        }
    }
}

impl Random for Choice {
    fn random(rng: &mut Rng) -> Self {
        match rng.below(4) {
            0 => Choice::Nothing,
            1 => Choice::One(rng.any()),
            2 => Choice::Two(rng.any(), rng.any()),
            _ => Choice::Named {
                a: rng.any(),
                b: rng.any(),
            },
        }
    }
}

/// Its field is public, and what it is read from takes even numbers only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(into = "u32", try_from = "u32")]
pub struct Even(pub u32);

impl From<Even> for u32 {
    fn from(even: Even) -> u32 {
        even.0
    }
}

impl TryFrom<u32> for Even {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        number
            .is_multiple_of(2)
            .then_some(Even(number))
            .ok_or_else(|| format!("{number} is odd"))
    }
}
