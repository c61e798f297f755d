//! What is inside an event: its schema, and events that hold themselves.

use std::marker::PhantomData;
use wal_tests::shapes::Even;

use serde::{Deserialize, Serialize};
use wal_db::{WalRecord, WalSchema, event::Retired};

use super::{history, shape, today};

/// A type of another crate.
mod foreign {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(crate) struct Uuid([u8; 16]);

    impl Uuid {
        pub(crate) fn new(byte: u8) -> Self {
            Uuid([byte; 16])
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Page<T> {
    items: Vec<T>,
    number: u8,
}

#[derive(WalSchema)]
#[allow(dead_code)] // only its schema is used
struct Grid<T: Copy, const N: usize>([[T; N]; 2])
where
    T: Default;

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(rename_all = "kebab-case")]
enum Tree {
    NoLeaves,
    Leaf(u8),
    #[serde(rename_all = "camelCase")]
    Node {
        left_side: Box<Tree>,
        right: Option<Box<Self>>,
    },
    Many(Vec<Tree>, #[serde(skip)] u8),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "grown", version = 2)]
struct Grown {
    tree: Tree,
    #[wal(since = 2, default = foreign::Uuid::new(0), opaque = "uuid@1", wire = [u8; 16])]
    id: foreign::Uuid,
    #[wal(opaque = "uuid@1")]
    other: foreign::Uuid,
    page: Page<Tree>,
}

mod v1 {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "grown")]
    pub(crate) struct Grown {
        pub tree: Tree,
        #[wal(opaque = "uuid@1")]
        pub other: foreign::Uuid,
        pub page: Page<Tree>,
    }
}

const TREE: &str = "rec 0 enum {\"no-leaves\", leaf(u8), node {leftSide: @0, right: option<@0>}, \
                    many([@0],)}";

fn tree() -> Tree {
    Tree::Node {
        left_side: Box::new(Tree::Leaf(1)),
        right: Some(Box::new(Tree::Many(vec![Tree::NoLeaves], 0))),
    }
}

fn page() -> Page<Tree> {
    Page {
        items: vec![tree()],
        number: 3,
    }
}

#[test]
fn nested_generic_recursive_and_foreign_types() {
    let old = v1::Grown {
        tree: tree(),
        other: foreign::Uuid::new(2),
        page: page(),
    };
    let expected = Grown {
        tree: tree(),
        id: foreign::Uuid::new(0),
        other: foreign::Uuid::new(2),
        page: page(),
    };
    assert_eq!(today::<Grown>(&old), expected);
    let page = format!("{{items: [{TREE}], number: u8}}");
    let v1 = format!("{{tree: {TREE}, other: opaque \"uuid@1\", page: {page}}}");
    let v2 =
        format!("{{tree: {TREE}, id: opaque \"uuid@1\" = [u8; 16], other: opaque \"uuid@1\", page: {page}}}");
    assert_eq!(history(&Grown::RECORDS[0]), [(2, v2), (1, v1.clone())]);
    assert_eq!(shape(&v1::Grown::RECORDS[0]), v1);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "chain")]
struct ChainV1(Option<Box<ChainV1>>);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "chain", version = 2, from = ChainV1)]
struct Chain {
    length: usize,
    next: Option<Box<Self>>,
}

impl From<ChainV1> for Chain {
    fn from(old: ChainV1) -> Self {
        let next = old.0.map(|next| Box::new(Chain::from(*next)));
        Chain {
            length: next.as_ref().map_or(0, |next| next.length + 1),
            next,
        }
    }
}

#[test]
fn an_event_that_holds_itself_is_converted_with_all_it_holds() {
    let old = ChainV1(Some(Box::new(ChainV1(None))));
    let new: Chain = today(&old);
    assert_eq!(new.length, 1);
    assert_eq!(new.next.expect("the inner one").length, 0);
    let expected = [
        (2, "rec 0 {length: u64, next: option<@0>}".to_owned()),
        (1, "rec 0 option<@0>".to_owned()),
    ];
    assert_eq!(history(&Chain::RECORDS[0]), expected);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord, WalSchema)]
#[wal(name = "plan")]
enum Plan {
    Step(u8),
    Both(Box<Plan>, Box<Self>),
    #[wal(retired)]
    Old(Retired),
}

#[test]
fn a_family_that_holds_itself_has_a_schema_as_a_whole() {
    let plan = "rec 0 enum {step_or_not(u8)}";
    assert_ne!(Plan::SCHEMA.to_string(), plan);
    let whole = "rec 0 enum {Step(u8), Both(@0, @0), Old(enum {})}";
    assert_eq!(Plan::SCHEMA.to_string(), whole);
    assert_eq!(shape(&Plan::RECORDS[1]), format!("({whole}, {whole})"));
    let event = Plan::Both(Box::new(Plan::Step(1)), Box::new(Plan::Step(2)));
    assert_eq!(today::<Plan>(&event), event);
}

#[derive(Serialize, Deserialize, WalSchema)]
#[serde(transparent)]
struct Meters {
    value: f64,
    #[serde(skip)]
    unit: PhantomData<u8>,
}

#[derive(WalSchema)]
#[wal(opaque = "packed@2", wire = Vec<u8>)]
#[allow(dead_code)] // what is in it does not matter
struct Packed(std::time::Instant);

#[derive(WalSchema)]
#[wal(bound = "T::Owned: WalSchema, T: ToOwned")]
#[allow(dead_code)] // only its schema is used
struct Owned<T: ?Sized>
where
    T: ToOwned,
{
    owned: T::Owned,
}

#[test]
fn schemas_are_those_of_what_is_written() {
    let text = |schema: &wal_db::schema::Shape| schema.to_string();
    assert_eq!(text(Even::SCHEMA), "u32");
    assert_eq!(text(Meters::SCHEMA), "f64");
    assert_eq!(text(Packed::SCHEMA), "opaque \"packed@2\" = [u8]");
    assert_eq!(text(Grid::<char, 3>::SCHEMA), "[[char; 3]; 2]");
    assert_eq!(text(Owned::<str>::SCHEMA), "{owned: str}");
    for schema in [Even::SCHEMA, Tree::SCHEMA, Plan::SCHEMA, Packed::SCHEMA] {
        let read: wal_db::schema::Shape = text(schema).parse().expect("a shape");
        assert_eq!((&read, read.fingerprint()), (schema, schema.fingerprint()));
    }
}
