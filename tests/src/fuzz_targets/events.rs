//! The types that the target `decode` reads everything as. All have one id, so that any record is read as each of them.

use std::{collections::BTreeMap, marker::PhantomData};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wal_db::{
    Record, WalRecord,
    codec::{Bincode, Codec, CodecId, Json, Postcard},
    event::WalDecodeOwned,
};

use crate::shapes::{Borrowed, Chain, Choice, Tree, encode};

/// A type, as the target sees it.
pub(super) struct Kind {
    pub(super) shape: &'static str,
    /// Reads a record as one, and what was read once more.
    pub(super) read: fn(&Record),
    /// A value, as a codec writes it if it can.
    pub(super) sample: fn(CodecId) -> Option<Vec<u8>>,
}

macro_rules! kinds {
    ($($ty:ty = $shape:literal, $sample:expr;)*) => {
        pub(super) const KINDS: &[Kind] = &[
            $(Kind {
                shape: $shape,
                read: read::<$ty>,
                sample: |codec| encode(&$sample, codec),
            },)*
            Kind {
                shape: "{text: str, raw: [u8]}",
                read: |record| drop(record.decode_ref::<Borrowed<'_>>()),
                sample: |codec| encode(&Borrowed { text: "text", raw: b"raw" }, codec),
            },
        ];
    };
}

kinds! {
    Numbers = "(u8, i16, u64, (i128, u128))", Numbers((1, -300, u64::MAX, (i128::MIN, 5)));
    Text = "(str, char, bool, option<f64>, f32)", Text((text(), 'x', true, Some(1.5), -0.5));
    Units = "[unit]", Units(vec![(); 3]);
    Lists = "[[[u16]]]", Lists(vec![vec![vec![1, 300], vec![]], vec![]]);
    Blocks = "[[u64; 32]]", Blocks(vec![[7; 32]]);
    Maps = "(map<str, [u64]>, map<i32, str>)", Maps(([(text(), vec![1, 2])].into(), [(-1, text())].into()));
    Chained = "rec 0 option<@0>", Chained(Chain(Some(Chain(None).into())));
    Forest = "rec 0 {value: i32, children: [@0]}", Forest(Tree {
        value: -1,
        children: vec![Tree { value: 2, children: vec![] }],
    });
    Choices = "[rec 0 enum {Nothing, One(u32), Two(str, @0), Named {a: option<bool>, b: [u8]}}]",
        Choices(vec![
            Choice::One(300),
            Choice::Two(text(), Choice::Nothing.into()),
            Choice::Named { a: Some(true), b: vec![1, 2] },
        ]);
    Grown = "{name: str, count: u32, note: option<str>, tags: [str]}", Grown {
        name: text(),
        count: 7,
        note: Some(text()),
        tags: vec![text()],
    };
    Price = "{cents: i64, currency: str}", Price { cents: -250, currency: text() };
}

fn text() -> String {
    "é\n\"".into()
}

/// Reads a record as a `T`. What was read can be written, and read, and written the same.
fn read<T: WalDecodeOwned + Serialize + DeserializeOwned>(record: &Record) {
    let _ = record.decode_all::<T>();
    let Ok(value) = record.decode::<T>() else { return };
    let codec = record.info().expect("it was decoded").codec;
    let Some(once) = encode(&value, codec) else { return };
    let again = match codec {
        CodecId::BINCODE_2 => Bincode::decode(PhantomData::<T>, &once),
        CodecId::POSTCARD_1 => Postcard::decode(PhantomData::<T>, &once),
        _ => Json::decode(PhantomData::<T>, &once),
    };
    let (again, used) = again.unwrap_or_else(|error| panic!("{codec}: {error}: {once:02x?}"));
    assert_eq!(used, once.len(), "{codec}: bytes are left over");
    assert_eq!(
        encode(&again, codec).as_deref(),
        Some(&once[..]),
        "{codec}: another value"
    );
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "numbers", id = 1)]
struct Numbers((u8, i16, u64, (i128, u128)));

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "text", id = 1)]
struct Text((String, char, bool, Option<f64>, f32));

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "units", id = 1)]
struct Units(Vec<()>);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "lists", id = 1)]
struct Lists(Vec<Vec<Vec<u16>>>);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "blocks", id = 1)]
struct Blocks(Vec<[u64; 32]>);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "maps", id = 1)]
struct Maps((BTreeMap<String, Vec<u64>>, BTreeMap<i32, String>));

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "chain", id = 1)]
struct Chained(Chain);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "forest", id = 1)]
struct Forest(Tree);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "choices", id = 1)]
struct Choices(Vec<Choice>);

/// A type that has grown.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "grown", id = 1, version = 3)]
struct Grown {
    name: String,
    #[wal(since = 2, default = 1)]
    count: u32,
    #[wal(since = 2, default)]
    note: Option<String>,
    #[wal(since = 3, default)]
    tags: Vec<String>,
}

/// A type that was another one.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "price", id = 1, version = 2, from = PriceV1)]
struct Price {
    cents: i64,
    currency: String,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "price", id = 1)]
struct PriceV1 {
    euros: i32,
}

impl From<PriceV1> for Price {
    fn from(old: PriceV1) -> Self {
        Price {
            cents: i64::from(old.euros) * 100,
            currency: "eur".into(),
        }
    }
}
