//! Types that serde writes as another, skips parts of, or knows more bounds of than their fields say.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::time::Instant;

use wal_db::{
    schema::Shape,
    testing::{DeclaredType, LockMode, ReadableType, check_history, check_lock, differences, shape_values},
};

use super::*;

/// Comes back in each format as it was.
fn comes_back<E: WalDecodeOwned + Debug + PartialEq>(event: &E) {
    becomes(event, event);
}

mod geo {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Point(pub f64, pub f64);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(transparent)]
struct Place(#[wal(opaque = "geo.point@1", wire = (f64, f64))] geo::Point);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(transparent)]
struct Nest(Vec<Nest>);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "placed")]
struct Placed {
    at: Place,
    nest: Nest,
}

#[test]
fn a_transparent_type_holds_what_has_no_schema_or_itself() {
    comes_back(&Placed {
        at: Place(geo::Point(1.5, -2.0)),
        nest: Nest(vec![Nest(vec![]), Nest(vec![Nest(vec![])])]),
    });
    assert_eq!(
        shapes::<Placed>(),
        [r#"1 {at: opaque "geo.point@1" = (f64, f64), nest: rec 0 [@0]}"#]
    );
}

/// It has fields that no log knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[serde(into = "Wire", from = "Wire")]
#[wal(name = "seen")]
struct Seen {
    at: Option<Instant>,
    by: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct Wire {
    by: u8,
}

impl From<Seen> for Wire {
    fn from(seen: Seen) -> Self {
        Wire { by: seen.by }
    }
}

impl From<Wire> for Seen {
    fn from(wire: Wire) -> Self {
        Seen {
            at: None,
            by: wire.by,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(into = "Wire", from = "Wire")]
#[wal(version = 2, from = InnerV1)]
struct Inner {
    at: Option<Instant>,
    by: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct InnerV1 {
    who: u16,
}

impl From<InnerV1> for Inner {
    fn from(old: InnerV1) -> Self {
        Inner {
            at: None,
            by: old.who as u8,
        }
    }
}

impl From<Inner> for Wire {
    fn from(inner: Inner) -> Self {
        Wire { by: inner.by }
    }
}

impl From<Wire> for Inner {
    fn from(wire: Wire) -> Self {
        Inner {
            at: None,
            by: wire.by,
        }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "held")]
struct HeldV1 {
    inner: InnerV1,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "held", version = 2)]
struct Held {
    #[wal(changed(2))]
    inner: Inner,
}

#[test]
fn fields_of_a_type_that_is_written_as_another_need_no_schema() {
    comes_back(&Seen { at: None, by: 7 });
    assert_eq!(shapes::<Seen>(), ["1 {by: u8}"]);
    let inner = Inner { at: None, by: 7 };
    becomes(
        &HeldV1 {
            inner: InnerV1 { who: 7 },
        },
        &Held { inner },
    );
    assert_eq!(shapes::<Held>(), ["2 {inner: {by: u8}}", "1 {inner: {who: u16}}"]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Node<T> {
    value: T,
    inner: Vec<Node<T>>,
    #[wal(since = 2, default = 5)]
    weight: u8,
}

#[derive(Serialize, Deserialize, WalSchema)]
struct NodeV1 {
    value: u16,
    inner: Vec<NodeV1>,
}

/// serde makes what is skipped, and knows that by itself.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Cached<T> {
    items: Vec<T>,
    #[serde(skip)]
    last: T,
}

/// serde is told what keys have to be.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(bound(
    serialize = "K: Serialize + Eq + Hash, V: Serialize",
    deserialize = "K: Deserialize<'de> + Eq + Hash, V: Deserialize<'de>"
))]
struct Index<K: Eq + Hash, V> {
    map: HashMap<K, V>,
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "grown")]
struct GrownV1 {
    tree: NodeV1,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "grown", version = 2)]
struct Grown {
    #[wal(changed(2))]
    tree: Node<u16>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "kept")]
struct Kept {
    cached: Cached<u16>,
    index: Index<String, u8>,
}

#[test]
fn a_generic_type_holds_itself_in_each_of_its_versions() {
    let old = |value, inner| NodeV1 { value, inner };
    let new = |value, inner| Node {
        value,
        inner,
        weight: 5,
    };
    becomes(
        &GrownV1 {
            tree: old(1, vec![old(2, vec![])]),
        },
        &Grown {
            tree: new(1, vec![new(2, vec![])]),
        },
    );
}

#[test]
fn what_serde_skips_and_what_it_is_told_of_parameters_stay() {
    comes_back(&Kept {
        cached: Cached {
            items: vec![1, 2],
            last: 0,
        },
        index: Index {
            map: [("a".to_owned(), 1)].into(),
        },
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "lasted")]
struct Lasted {
    hours: RangeInclusive<u8>,
    names: RangeInclusive<String>,
}

#[test]
fn an_inclusive_range_is_no_other_range_and_none_of_another_type() {
    let [bytes, words, open] = [
        <RangeInclusive<u32> as WalSchema>::SCHEMA,
        <RangeInclusive<i32> as WalSchema>::SCHEMA,
        <std::ops::Range<u32> as WalSchema>::SCHEMA,
    ];
    for other in [words, open] {
        assert_ne!(differences(bytes, other), Vec::<String>::new());
        assert_ne!(bytes.fingerprint(), other.fingerprint());
    }
    comes_back(&Lasted {
        hours: 1..=3,
        names: "a".to_owned()..="b".to_owned(),
    });
    let dir = tempfile::tempdir().expect("a directory");
    check_lock(dir.path(), &[DeclaredType::of::<Lasted>()], &[], LockMode::Update).expect("locked");
    check_history(dir.path(), &[ReadableType::of::<Lasted>()], &[]).expect("each is made of its own type");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Folder {
    #[wal(recursive)]
    files: Vec<File>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct File {
    within: Option<Box<Folder>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Wrap<T> {
    items: Vec<T>,
    #[wal(recursive)]
    up: Option<Box<Other<T>>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Other<T> {
    wrap: Wrap<T>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Tree {
    #[wal(recursive)]
    inner: Wrap<Tree>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "circled")]
struct Circled {
    tree: Tree,
    folder: Folder,
}

#[test]
fn a_circle_has_values_and_knows_the_types_around_it() {
    drop(shape_values(Folder::SCHEMA).expect("values"));
    let leaf = || Tree {
        inner: Wrap {
            items: vec![],
            up: None,
        },
    };
    let up = Other {
        wrap: Wrap {
            items: vec![leaf()],
            up: None,
        },
    };
    comes_back(&Circled {
        tree: Tree {
            inner: Wrap {
                items: vec![leaf()],
                up: Some(Box::new(up)),
            },
        },
        folder: Folder {
            files: vec![File {
                within: Some(Box::new(Folder { files: vec![] })),
            }],
        },
    });
    let text: Shape = Circled::RECORDS[0].schema.expect("a schema").told();
    assert_eq!(text.to_string().parse::<Shape>(), Ok(text));
}
