//! Fields that were added: `since` and `default`.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, event::TypedError};

use super::{history, record, shape, today};

mod v1 {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "order")]
    pub(crate) struct Order {
        pub id: u64,
        pub items: Vec<String>,
    }
}

mod v2 {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "order", version = 2, since = 2)]
    pub(crate) struct Order {
        pub currency: String,
        pub id: u64,
        pub items: Vec<String>,
    }
}

fn made_up() -> BTreeMap<String, u8> {
    BTreeMap::from([("a".to_owned(), 1)])
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "order", version = 4)]
struct Order {
    #[wal(since = 2, default = "usd")]
    currency: String,
    id: u64,
    #[wal(since = 3, default)]
    note: Option<String>,
    #[serde(skip)]
    cached: u8,
    items: Vec<String>,
    #[wal(since = 4, default = -7)]
    balance: i64,
    #[wal(since = 4, default = made_up())]
    rates: BTreeMap<String, u8>,
    #[wal(since = 4, default = Self::GREETING)]
    greeting: char,
    #[wal(since = 4, default = vec![1, 2].into_iter().map(|n: u8| n + 1).collect::<Vec<_>>())]
    bytes: Vec<u8>,
}

impl Order {
    const GREETING: char = 'h';
}

fn order(currency: &str) -> Order {
    Order {
        currency: currency.to_owned(),
        id: 7,
        note: None,
        cached: 0,
        items: vec!["x".to_owned()],
        balance: -7,
        rates: made_up(),
        greeting: 'h',
        bytes: vec![2, 3],
    }
}

#[test]
fn a_field_may_be_added_anywhere_and_has_its_default_in_earlier_records() {
    let (id, items) = (7, vec!["x".to_owned()]);
    let old = v1::Order {
        id,
        items: items.clone(),
    };
    assert_eq!(today::<Order>(&old), order("usd"));
    let currency = "eur".to_owned();
    assert_eq!(today::<Order>(&v2::Order { currency, id, items }), order("eur"));
    assert_eq!(today::<Order>(&order("chf")), order("chf"));
}

#[test]
fn the_record_type_says_what_every_version_looked_like() {
    let v4 = "{currency: str, id: u64, note: option<str>, items: [str], balance: i64, \
              rates: map<str, u8>, greeting: char, bytes: [u8]}";
    let expected = [
        (4, v4),
        (3, "{currency: str, id: u64, note: option<str>, items: [str]}"),
        (2, "{currency: str, id: u64, items: [str]}"),
        (1, "{id: u64, items: [str]}"),
    ];
    let expected = expected.map(|(version, shape)| (version, shape.to_owned()));
    assert_eq!(history(&Order::RECORDS[0]), expected);
    assert_eq!(shape(&v2::Order::RECORDS[0]), expected[2].1);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "pair", version = 3)]
struct Pair(
    #[wal(since = 2, default = 1)] u8,
    u16,
    #[serde(skip)] u64,
    #[wal(since = 3, default = "x")] String,
);

mod pair {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "pair")]
    pub(crate) struct V1(pub u16, #[serde(skip)] PhantomData<u64>);

    impl V1 {
        pub(crate) fn new(number: u16) -> Self {
            V1(number, PhantomData)
        }
    }

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "pair", version = 2, since = 2)]
    pub(crate) struct V2(pub u8, pub u16);

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "single")]
    pub(crate) struct Single(pub u16);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "single", version = 2)]
struct NotSingle(u16, #[wal(since = 2, default)] u8);

#[test]
fn tuple_structs_grow_in_every_place() {
    assert_eq!(
        today::<Pair>(&pair::V1::new(500)),
        Pair(1, 500, 0, "x".to_owned())
    );
    assert_eq!(today::<Pair>(&pair::V2(3, 500)), Pair(3, 500, 0, "x".to_owned()));
    assert_eq!(today::<NotSingle>(&pair::Single(500)), NotSingle(500, 0));
    let shapes: Vec<_> = history(&NotSingle::RECORDS[0])
        .into_iter()
        .map(|(_, shape)| shape)
        .collect();
    assert_eq!(shapes, ["(u16, u8)", "u16"]);
    assert_eq!(shape(&pair::Single::RECORDS[0]), "u16");
    assert_eq!(shape(&pair::V1::RECORDS[0]), history(&Pair::RECORDS[0])[2].1);
}

#[test]
fn bytes_that_are_not_the_earlier_version_are_an_error() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "order")]
    struct NotV1(u64, Vec<String>, u8);

    let error = record(&NotV1(1, Vec::new(), 1))
        .decode::<Order>()
        .expect_err("one byte more");
    let trailing = matches!(
        error,
        TypedError::Trailing {
            left: 1,
            version: 1,
            ..
        }
    );
    assert!(trailing, "{error:?}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "block", version = 2)]
struct Block {
    text: String,
    array: [u8; Self::LEN],
    #[wal(since = 2, default = [7; Self::LEN])]
    more: [u8; Block::LEN],
}

impl Block {
    const LEN: usize = 2;
}

#[test]
fn a_field_may_use_constants_of_its_type() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "block")]
    struct V1(String, [u8; 2]);

    let block: Block = today(&V1("x".to_owned(), [1, 2]));
    let expected = Block {
        text: "x".to_owned(),
        array: [1, 2],
        more: [7, 7],
    };
    assert_eq!(block, expected);
    assert_eq!(
        shape(&Block::RECORDS[0]),
        "{text: str, array: [u8; 2], more: [u8; 2]}"
    );
}

fn seven() -> u8 {
    7
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "cached")]
enum Cached {
    #[wal(version = 2)]
    First(
        #[serde(skip, default = "seven")] u8,
        #[wal(since = 2, default = 1)] u8,
    ),
    #[wal(version = 2)]
    Second {
        #[serde(skip, default = "seven")]
        skipped: u8,
        #[wal(since = 2, default = 1)]
        added: u8,
    },
}

#[test]
fn fields_that_are_not_stored_are_what_serde_says() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "cached")]
    enum V1 {
        First(#[serde(skip)] PhantomData<u8>),
        Second {},
    }

    assert_eq!(today::<Cached>(&V1::First(PhantomData)), Cached::First(7, 1));
    let second = Cached::Second { skipped: 7, added: 1 };
    assert_eq!(today::<Cached>(&V1::Second {}), second);
    assert_eq!(shape(&V1::RECORDS[0]), "unit");
    let versions = [(2, "(u8,)".to_owned()), (1, "unit".to_owned())];
    assert_eq!(history(&Cached::RECORDS[0]), versions);
}
