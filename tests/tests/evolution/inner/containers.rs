//! What holds a type with versions: containers, generic types, and types that are written as others.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;
use std::num::Wrapping;
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use indexmap::{IndexMap, IndexSet};
use url::Host;
use uuid::Uuid;

use super::*;

macro_rules! key {
    ($name:ident: $(#[$attr:meta])* { $($fields:tt)* }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, WalSchema)]
        $(#[$attr])*
        struct $name {
            id: u8,
            $($fields)*
        }
    };
}

key!(OldKey: {});
key!(Key: #[wal(version = 2)] {
    #[wal(since = 2, default = 9)]
    kind: u16,
});

fn old_key(id: u8) -> OldKey {
    OldKey { id }
}

fn key(id: u8) -> Key {
    Key { id, kind: 9 }
}

/// The same event in the two releases.
macro_rules! release {
    ($name:ident $version:literal [$($changed:tt)*] $key:ident $make:ident) => {
        #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
        #[wal(name = "held", version = $version)]
        struct $name {
            $($changed)* option: Option<$key>,
            $($changed)* vec: Vec<$key>,
            $($changed)* vec_deque: VecDeque<$key>,
            $($changed)* linked: LinkedList<$key>,
            $($changed)* boxed: Box<$key>,
            $($changed)* slice: Box<[$key]>,
            $($changed)* rc: Rc<$key>,
            $($changed)* arc: Arc<[$key]>,
            $($changed)* cow: Cow<'static, $key>,
            $($changed)* cell: Cell<$key>,
            $($changed)* ref_cell: RefCell<$key>,
            $($changed)* reverse: Reverse<$key>,
            $($changed)* wrapping: (Wrapping<u8>, $key),
            $($changed)* array: [$key; 3],
            $($changed)* keys: BTreeMap<$key, u8>,
            $($changed)* values: HashMap<String, $key>,
            $($changed)* sorted: BTreeSet<$key>,
            $($changed)* hashed: HashSet<$key>,
            $($changed)* indexed: IndexMap<$key, Option<$key>>,
            $($changed)* index_set: IndexSet<$key>,
            $($changed)* range: Range<$key>,
            $($changed)* inclusive: RangeInclusive<$key>,
            $($changed)* from: RangeFrom<$key>,
            $($changed)* to: RangeTo<$key>,
            $($changed)* bound: Bound<$key>,
            $($changed)* result: Result<$key, (u8, $key)>,
            $($changed)* host: (Host<String>, $key),
            $($changed)* tuple: ((u8, String), Option<Box<[$key; 1]>>, Duration, Uuid, PhantomData<u8>),
            $($changed)* deep: BTreeMap<u8, Vec<Option<($key, String)>>>,
        }

        impl $name {
            fn new() -> Self {
                Self {
                    option: Some($make(1)),
                    vec: vec![$make(1), $make(2)],
                    vec_deque: [$make(1)].into(),
                    linked: [$make(1)].into(),
                    boxed: Box::new($make(1)),
                    slice: [$make(1)].into(),
                    rc: Rc::new($make(1)),
                    arc: [$make(1)].into(),
                    cow: Cow::Owned($make(1)),
                    cell: Cell::new($make(1)),
                    ref_cell: RefCell::new($make(1)),
                    reverse: Reverse($make(1)),
                    wrapping: (Wrapping(3), $make(1)),
                    array: [$make(1), $make(2), $make(3)],
                    keys: [($make(1), 1)].into(),
                    values: [("a".to_owned(), $make(1))].into(),
                    sorted: [$make(1), $make(2)].into(),
                    hashed: [$make(1)].into(),
                    indexed: [($make(2), Some($make(1))), ($make(1), None)].into(),
                    index_set: [$make(2), $make(1)].into(),
                    range: $make(1)..$make(2),
                    inclusive: $make(1)..=$make(2),
                    from: $make(1)..,
                    to: ..$make(1),
                    bound: Bound::Excluded($make(1)),
                    result: Err((1, $make(1))),
                    host: (Host::Domain("a".into()), $make(1)),
                    tuple: ((1, "a".into()), Some(Box::new([$make(1)])), Duration::MAX, Uuid::nil(), PhantomData),
                    deep: [(1, vec![None, Some(($make(1), String::new()))])].into(),
                }
            }
        }
    };
}

release!(OldHeld 1 [] OldKey old_key);
release!(Held 2 [#[wal(changed(2))]] Key key);

#[test]
fn a_type_with_versions_may_be_in_any_container() {
    // A map whose keys are structs is nothing that JSON can write.
    let log = wal();
    append::<Bincode, _>(&log, &OldHeld::new());
    append::<Postcard, _>(&log, &OldHeld::new());
    assert_eq!(replay::<Held>(&log), [Held::new(), Held::new()]);
    let (old, new) = (shapes::<OldHeld>(), shapes::<Held>());
    assert_eq!(new[1], old[0]);
    assert_ne!(new[0][1..], old[0][1..]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Page<T> {
    items: Vec<T>,
    number: u32,
    marker: PhantomData<T>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
enum Tree<K: Ord> {
    Leaf,
    Node(K, Box<Tree<K>>),
    Many { all: [Option<K>; 2], last: Vec<Self> },
}

trait Entity {
    type Id: Debug + PartialEq;
}

#[derive(Debug, PartialEq)]
struct Shop;

impl Entity for Shop {
    type Id = Key;
}

#[derive(Debug, PartialEq)]
struct OldShop;

impl Entity for OldShop {
    type Id = OldKey;
}

/// What it holds is not the parameter, but a type that belongs to it.
#[derive(Debug, Serialize, Deserialize, WalSchema)]
#[serde(bound = "T::Id: Serialize + serde::de::DeserializeOwned")]
#[wal(bound = "T::Id: WalSchema")]
struct Id<T: Entity> {
    id: T::Id,
    count: u8,
}

impl<T: Entity> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, self.count) == (&other.id, other.count)
    }
}

/// Generic, with a version of its own.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Counted<T, U = u8> {
    #[wal(since = 2, default)]
    count: Option<U>,
    item: T,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct OldCounted<T> {
    item: T,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(transparent)]
struct Seen<T> {
    key: T,
    #[serde(skip)]
    times: u8,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(into = "(Key, u8)", from = "(Key, u8)")]
struct Numbered(u8, Key);

impl From<(Key, u8)> for Numbered {
    fn from((key, number): (Key, u8)) -> Self {
        Numbered(number, key)
    }
}

impl From<Numbered> for (Key, u8) {
    fn from(Numbered(number, key): Numbered) -> Self {
        (key, number)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "generic")]
struct OldGeneric {
    page: Page<OldKey>,
    tree: Tree<OldKey>,
    counted: OldCounted<String>,
    both: (OldCounted<u8>, Vec<OldCounted<String>>),
    seen: Seen<OldKey>,
    numbered: (OldKey, u8),
    id: Id<OldShop>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "generic", version = 4)]
struct Generic {
    #[wal(changed(2))]
    page: Page<Key>,
    #[wal(changed(2))]
    tree: Tree<Key>,
    #[wal(changed(3))]
    counted: Counted<String>,
    #[wal(changed(4))]
    both: (Counted<u8>, Vec<Counted<String>>),
    #[wal(changed(4))]
    seen: Seen<Key>,
    #[wal(changed(4))]
    numbered: Numbered,
    #[wal(changed(4))]
    id: Id<Shop>,
}

#[test]
fn a_generic_or_transparent_type_is_as_what_it_holds() {
    let page = |items| Page {
        items,
        number: 2,
        marker: PhantomData,
    };
    let old_page = Page {
        items: vec![old_key(1)],
        number: 2,
        marker: PhantomData,
    };
    let old_tree = Tree::Node(
        old_key(1),
        Box::new(Tree::Many {
            all: [None, Some(old_key(2))],
            last: vec![Tree::Leaf, Tree::Node(old_key(3), Box::new(Tree::Leaf))],
        }),
    );
    let tree = Tree::Node(
        key(1),
        Box::new(Tree::Many {
            all: [None, Some(key(2))],
            last: vec![Tree::Leaf, Tree::Node(key(3), Box::new(Tree::Leaf))],
        }),
    );
    let old = OldGeneric {
        page: old_page,
        tree: old_tree,
        counted: OldCounted { item: "a".into() },
        both: (OldCounted { item: 8 }, vec![OldCounted { item: "b".into() }]),
        seen: Seen {
            key: old_key(4),
            times: 0,
        },
        numbered: (old_key(5), 6),
        id: Id {
            id: old_key(7),
            count: 1,
        },
    };
    let new = Generic {
        page: page(vec![key(1)]),
        tree,
        counted: Counted {
            count: None,
            item: "a".into(),
        },
        both: (
            Counted { count: None, item: 8 },
            vec![Counted {
                count: None,
                item: "b".into(),
            }],
        ),
        seen: Seen {
            key: key(4),
            times: 0,
        },
        numbered: Numbered(6, key(5)),
        id: Id { id: key(7), count: 1 },
    };
    becomes(&old, &new);
    assert_eq!(shapes::<Generic>()[3], shapes::<OldGeneric>()[0]);
}

/// Holds itself, and borrows.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct Nest<'a> {
    #[serde(borrow)]
    inner: Vec<Nest<'a>>,
    name: &'a str,
    #[wal(since = 2, default = "new")]
    title: &'a str,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct OldNest {
    inner: Vec<OldNest>,
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "nested")]
struct OldNested(OldNest);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "nested", version = 2)]
struct Nested<'a>(
    #[serde(borrow)]
    #[wal(changed(2))]
    Nest<'a>,
);

#[test]
fn a_type_that_holds_itself_or_borrows_has_versions() {
    let nest = |name: &str, inner| OldNest {
        inner,
        name: name.into(),
    };
    let old = record(&OldNested(nest("a", vec![nest("b", vec![])])));
    let [title, name] = ["new", "b"];
    let inner = vec![Nest {
        inner: vec![],
        name,
        title,
    }];
    let name = "a";
    let new = Nested(Nest { inner, name, title });
    assert_eq!(old.decode_ref::<Nested<'_>>().expect("decode"), new);
    assert_eq!(
        shapes::<Nested<'_>>(),
        [
            "2 rec 0 {inner: [@0], name: str, title: str}",
            "1 rec 0 {inner: [@0], name: str}",
        ]
    );
}
