//! The places in an event: what is compared in them, and what they are called in `strategies` and `except`.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wal_db::{
    WalRecord, WalSchema,
    event::WalDecodeOwned,
    testing::{LockLine, ReadableType, Strategies, check_history_with_strategies},
};

use super::dir_with;

/// What is found in every version that the type reads; nothing if all is well.
fn found<T: WalDecodeOwned>(strategies: &Strategies, except: &[&str]) -> String {
    let lines = T::RECORDS.iter().flat_map(|record| {
        let versions: Vec<_> = record.history().collect();
        let line = |version, shape| LockLine::new(record.name, version, record.id, shape).to_string() + "\n";
        let lines = versions
            .into_iter()
            .map(|known| line(known.version, known.schema.clone()));
        lines.collect::<Vec<_>>()
    });
    let dir = dir_with(&lines.collect::<String>());
    let types = [ReadableType::of::<T>()];
    let found = check_history_with_strategies(dir.path(), &types, strategies, except);
    found.err().map_or_else(String::new, |failed| failed.to_string())
}

/// A number that is not any number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
#[serde(try_from = "u8", into = "u8")]
struct Even(u8);

impl TryFrom<u8> for Even {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number % 2 {
            0 => Ok(Even(number)),
            _ => Err(format!("{number} is odd")),
        }
    }
}

impl From<Even> for u8 {
    fn from(even: Even) -> u8 {
        even.0
    }
}

fn even() -> impl Strategy<Value = Even> {
    (0..100_u8).prop_map(|half| Even(2 * half))
}

// ---- strategies -----------------------------------------------------------------------------------------------------

#[test]
fn a_strategy_for_field_0_of_a_tuple_is_not_taken_for_the_whole_event() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "pair")]
    struct Pair(Even, u64);

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "paired")]
    struct OfPair((Even, u64));

    assert!(found::<Pair>(&Strategies::new(), &[]).contains("is odd"));
    let pair = Strategies::new().with("pair.0", even());
    assert_eq!(found::<Pair>(&pair, &[]), "");
    let of_pair = Strategies::new().with("paired.0", even());
    assert_eq!(found::<OfPair>(&of_pair, &[]), "");
}

#[test]
fn the_only_field_of_an_event_is_0_whatever_it_is() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "only")]
    enum Only {
        Number(Even),
        Maybe(Option<Even>),
        Many(Vec<Even>),
    }

    let strategies = Strategies::new()
        .with("only.number.0", even())
        .with("only.maybe.0.some", even())
        .with("only.many.0.[]", even());
    assert_eq!(found::<Only>(&strategies, &[]), "");
}

#[test]
fn a_strategy_is_for_every_node_of_a_tree() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
    struct Node {
        label: Even,
        inner: Vec<Node>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "planted")]
    struct Planted {
        left: Node,
        right: Node,
    }

    let left = Strategies::new().with("planted.left.label", even());
    assert!(found::<Planted>(&left, &[]).contains("is odd"));
    let both = left.with("planted.right.label", even());
    assert_eq!(found::<Planted>(&both, &[]), "");
}

#[test]
fn what_an_opaque_type_is_written_as_has_no_places() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "set")]
    struct Set {
        #[wal(opaque = "pair@1", wire = (u8, u8))]
        it: (Even, u8),
    }

    let inside = Strategies::new().with("set.it.0", even());
    assert!(
        found::<Set>(&inside, &[]).contains("\"set.it.0\" after `strategies` is no opaque type and no place")
    );
    for name in ["set.it", "pair@1"] {
        let whole = Strategies::new().with(name, (even(), 0..9_u8));
        assert_eq!(found::<Set>(&whole, &[]), "");
    }
}

// ---- what is compared, by the same names ----------------------------------------------------------------------------

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Before {
    x: i16,
    y: i16,
    list: Vec<[u8; 1]>,
    sorted: BTreeSet<[u8; 1]>,
    hashed: HashSet<[u8; 1]>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct After {
    hashed: HashSet<[u8; 1]>,
    list: Vec<[u8; 1]>,
    sorted: BTreeSet<[u8; 1]>,
    x: i16,
    y: i16,
    more: bool,
}

fn kept(before: Before) -> After {
    let Before {
        x,
        y,
        list,
        sorted,
        hashed,
    } = before;
    let more = true;
    After {
        hashed,
        list,
        sorted,
        x,
        y,
        more,
    }
}

fn swapped(before: Before) -> After {
    let after = kept(before);
    let (x, y) = (after.y, after.x);
    After { x, y, ..after }
}

fn turned(before: Before) -> After {
    let mut after = kept(before);
    after.list.reverse();
    after
}

thread_local! {
    static CONVERSION: Cell<fn(Before) -> After> = const { Cell::new(kept) };
}

/// As the test that runs says.
fn convert(before: Before) -> After {
    CONVERSION.get()(before)
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
enum Held<T> {
    Nowhere,
    Here(T),
    There { at: T },
    Twice(T, T),
}

impl Held<Before> {
    fn convert(self) -> Held<After> {
        match self {
            Held::Nowhere => Held::Nowhere,
            Held::Here(at) => Held::Here(convert(at)),
            Held::There { at } => Held::There { at: convert(at) },
            Held::Twice(first, second) => Held::Twice(convert(first), convert(second)),
        }
    }
}

/// An event whose field `it` holds `Before` and then `After`, at the places that are listed.
macro_rules! held {
    ($before:ty, $after:ty, |$old:ident| $converted:expr, $places:expr) => {{
        #[derive(Debug, Serialize, Deserialize, WalRecord)]
        #[wal(name = "held")]
        struct Old {
            it: $before,
        }

        #[derive(Debug, Serialize, Deserialize, WalRecord)]
        #[wal(name = "held", version = 2, from = Old)]
        struct New {
            it: $after,
        }

        impl From<Old> for New {
            fn from(Old { it: $old }: Old) -> Self {
                New { it: $converted }
            }
        }

        are_places(found::<New>, &$places);
    }};
}

/// Mistakes in what is there are found by the names of the places, and excepted by the same names; and values are made
/// there by strategies of these names.
fn are_places(found: fn(&Strategies, &[&str]) -> String, places: &[&str]) {
    let none = Strategies::new();
    CONVERSION.set(kept);
    assert_eq!(found(&none, &[]), "", "{places:?}");
    for (conversion, fields) in [
        (swapped as fn(Before) -> After, &["x", "y"][..]),
        (turned, &["list"]),
    ] {
        CONVERSION.set(conversion);
        let one = found(&none, &[]);
        let is_named = |place: &&str| one.contains(&format!("the field `{place}.{}` was ", fields[0]));
        assert!(places.iter().any(is_named), "{places:?} {fields:?}: {one}");
        let all: Vec<String> = places
            .iter()
            .flat_map(|place| fields.iter().map(move |field| format!("held.{place}.{field}")))
            .collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(found(&none, &all), "", "{fields:?}");
    }
    CONVERSION.set(swapped);
    let strategies = places.iter().fold(none, |all, place| {
        all.with(&format!("held.{place}.x"), Just(77_i16))
    });
    let of_strategy = found(&strategies, &[]);
    assert!(
        of_strategy.contains(".x` was 77 and is "),
        "{places:?}: {of_strategy}"
    );
}

#[test]
fn every_place_has_one_name() {
    held!(Before, After, |it| convert(it), ["it"]);
    held!(Option<Before>, Option<After>, |it| it.map(convert), ["it.some"]);
    held!(
        Vec<Before>,
        Vec<After>,
        |it| it.into_iter().map(convert).collect(),
        ["it.[]"]
    );
    held!([Before; 2], [After; 2], |it| it.map(convert), ["it.[]"]);
    held!((u8, Before), (u8, After), |it| (it.0, convert(it.1)), ["it.1"]);
    held!(
        Held<Before>,
        Held<After>,
        |it| it.convert(),
        ["it.Here", "it.There.at", "it.Twice.0", "it.Twice.1"]
    );
    held!(
        BTreeMap<u8, Before>,
        BTreeMap<u8, After>,
        |it| it.into_iter().map(|(key, it)| (key, convert(it))).collect(),
        ["it.value"]
    );
    held!(
        HashMap<u8, Before>,
        HashMap<u8, After>,
        |it| it.into_iter().map(|(key, it)| (key, convert(it))).collect(),
        ["it.value"]
    );
    held!(
        Vec<Option<(Before,)>>,
        Vec<Option<(After,)>>,
        |it| it.into_iter().map(|it| it.map(|it| (convert(it.0),))).collect(),
        ["it.[].some.0"]
    );
}

#[test]
fn an_exception_that_is_no_place_is_found() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
    struct Node {
        label: u8,
        #[serde(rename = "a.b")]
        dotted: (u8, u8),
        inner: Vec<Node>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "wood")]
    enum Wood {
        Planted {
            node: Node,
            of: Option<BTreeMap<u8, Held<u8>>>,
            #[wal(opaque = "pair@1", wire = (u8, u8))]
            pair: (u8, u8),
        },
        Felled(Node),
        Burnt([u8; 2]),
    }

    let found = |place: &str| found::<Wood>(&Strategies::new(), &[place]);
    let places = [
        "wood.planted",
        "wood.planted.node",
        "wood.planted.node.label",
        "wood.planted.node.a.b",
        "wood.planted.node.a.b.1",
        "wood.planted.node.inner.[]",
        "wood.planted.of.some.key",
        "wood.planted.of.some.value.There.at",
        "wood.planted.of.some.value.Twice.1",
        "wood.planted.pair",
        "wood.felled.label",
        "wood.burnt.0.[]",
    ];
    for place in places {
        assert_eq!(found(place), "", "{place}");
    }
    let no_places = [
        (
            "wood.planted.nod",
            "there is `wood.planted.node`, `wood.planted.of`, `wood.planted.pair`",
        ),
        (
            "wood.planted.node.labels",
            "there is `wood.planted.node.label`, `wood.planted.node.a.b`, `wood.planted.node.inner`",
        ),
        ("wood.planted.of.value", "there is `wood.planted.of.some`"),
        (
            "wood.planted.of.some.value.Nowhere",
            "there is `wood.planted.of.some.value.Here`",
        ),
        ("wood.planted.pair.0", "`wood.planted.pair` has no parts"),
        ("wood.burnt.[]", "there is `wood.burnt.0`"),
        ("wood.felled.0", "there is `wood.felled.label`"),
    ];
    for (place, there) in no_places {
        let found = found(place);
        let said = format!("\"{place}\" after `except` is no place in an event: {there}");
        assert!(found.starts_with(&said), "{place}: {found}");
    }
}

/// What a conversion from `$before` to `$after` is found to do to the field `it`.
macro_rules! converted {
    ($before:ty, $after:ty, |$old:ident| $converted:expr) => {{
        #[derive(Debug, Serialize, Deserialize, WalRecord)]
        #[wal(name = "converted")]
        struct Old {
            it: $before,
        }

        #[derive(Debug, Serialize, Deserialize, WalRecord)]
        #[wal(name = "converted", version = 2, from = Old)]
        struct New {
            it: $after,
        }

        impl From<Old> for New {
            fn from(Old { it: $old }: Old) -> Self {
                New { it: $converted }
            }
        }

        found::<New>(&Strategies::new(), &[])
    }};
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, WalSchema)]
struct Small {
    it: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, WalSchema)]
struct Wide {
    it: u16,
    more: u8,
}

fn wide(small: Small) -> Wide {
    let it = small.it.into();
    Wide {
        it,
        more: 255 - small.it,
    }
}

/// What can be told of it although its parts have changed.
#[test]
fn parts_that_are_lost_where_they_have_changed_are_found() {
    let is_found = |found: String| assert!(found.contains("the field `it` was "), "{found}");
    is_found(converted!(Option<Small>, Option<Wide>, |it| it
        .filter(|it| it.it != 0)
        .map(wide)));
    is_found(converted!(Option<Small>, Option<Wide>, |it| it
        .map(wide)
        .or(Some(Wide { it: 0, more: 0 }))));
    is_found(converted!(Vec<Small>, Vec<Wide>, |it| it
        .into_iter()
        .map(wide)
        .take(255)
        .collect()));
    is_found(converted!(BTreeMap<u8, Small>, BTreeMap<u8, Wide>, |it| it
        .into_iter()
        .map(|(key, it)| (key / 2, wide(it)))
        .collect()));
    is_found(converted!(Held<Small>, Held<Wide>, |it| match it {
        Held::Nowhere => Held::Nowhere,
        Held::Here(it) | Held::There { at: it } | Held::Twice(it, _) => Held::Here(wide(it)),
    }));
}

/// Sets have no places, so nothing is known of what has changed in them.
#[test]
fn sets_and_keys_that_have_changed_are_no_false_alarm() {
    fn all<A: FromIterator<Wide>>(it: impl IntoIterator<Item = Small>) -> A {
        it.into_iter().map(wide).collect()
    }

    assert_eq!(converted!(BTreeSet<Small>, BTreeSet<Wide>, |it| all(it)), "");
    assert_eq!(converted!(HashSet<Small>, HashSet<Wide>, |it| all(it)), "");
    assert_eq!(
        converted!(Vec<BTreeSet<Small>>, Vec<BTreeSet<Wide>>, |it| it
            .into_iter()
            .map(all)
            .collect()),
        ""
    );
    assert_eq!(
        converted!(BTreeMap<Small, u8>, BTreeMap<Wide, u8>, |it| it
            .into_iter()
            .map(|(key, it)| (wide(key), it))
            .collect()),
        ""
    );
    // A list may become a set, and anything another thing.
    assert_eq!(
        converted!(Vec<u8>, BTreeMap<u8, u8>, |it| it.into_iter().map(|it| (it, it)).collect()),
        ""
    );
}

/// A set does not keep them, and a list does, also inside of other things.
#[test]
fn order_counts_in_lists_inside_of_maps_and_lists_of_sets() {
    let is_found = |found: String| assert!(found.contains("the field `it` was "), "{found}");
    is_found(converted!(BTreeMap<u8, Vec<u8>>, BTreeMap<u8, Vec<u8>>, |it| it
        .into_iter()
        .map(|(key, it)| (key, it.into_iter().rev().collect()))
        .collect()));
    is_found(converted!(HashMap<u8, Vec<u8>>, HashMap<u8, Vec<u8>>, |it| it
        .into_iter()
        .map(|(key, it)| (key, it.into_iter().rev().collect()))
        .collect()));
    is_found(converted!(Vec<HashSet<u8>>, Vec<HashSet<u8>>, |it| it
        .into_iter()
        .rev()
        .collect()));
}
