//! The testing kit finds what it is for: planted mistakes in migrations, changed releases, events that do not come back.
//!
//! Most types implement the traits by hand, so that each can make exactly one mistake.

mod events;
mod lock;
mod places;
mod program;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::num::NonZeroU8;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use wal_db::__private::{StoredEvent, Upcast};
use wal_db::testing::{CheckFailed, ReadableType, check_history, shape_values};
use wal_db::{
    WalSchema,
    codec::Codec,
    event::{EventType, OlderVersion, TypedError, WalDecode},
    schema::{Part, Shape, ShapeField, ShapeItem, ShapeVariant},
};
use wal_tests::record;

/// `moved` version 2, with a migration from version 1 to be chosen.
macro_rules! moved {
    ($ty:ident, |$stored:ident| $upcast:expr) => {
        moved!($ty, |$stored| $upcast, EventType::new("moved", 2));
    };
    ($ty:ident, |$stored:ident| $upcast:expr, $record:expr) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        struct $ty {
            from: u64,
            to: u64,
            note: String,
        }

        record!($ty, $record.schema(MOVED_2).older(MOVED_1));

        impl<'de> WalDecode<'de> for $ty {
            fn decode_older<C: Codec>(
                $stored: &StoredEvent<'de, C>,
                _: usize,
            ) -> Result<Upcast<Self>, TypedError> {
                $upcast
            }
        }
    };
}

use moved;

const MOVED_2: &Shape = &Shape::Struct(Part::Static(&[
    ShapeField::new("from", &Shape::U64),
    ShapeField::new("to", &Shape::U64),
    ShapeField::new("note", &Shape::Str),
]));
const MOVED_1: &[OlderVersion] = &[OlderVersion {
    version: 1,
    schema: &Shape::Struct(Part::Static(&[
        ShapeField::new("from", &Shape::U64),
        ShapeField::new("to", &Shape::U64),
    ])),
}];

const LOCKED: &str = "moved 1 {from: u64, to: u64}\nmoved 2 {from: u64, to: u64, note: str}\n";

moved!(Moved, |stored| {
    let (from, to) = stored.fields()?;
    let note = String::new();
    Ok(Upcast::One(Moved { from, to, note }))
});

moved!(MovedSwapped, |stored| {
    let (to, from) = stored.fields()?;
    let note = String::new();
    Ok(Upcast::One(MovedSwapped { from, to, note }))
});

moved!(MovedUnread, |stored| Err(stored.no_migration()));

fn dir_with(lock: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("wal.lock"), lock).expect("the lock is written");
    dir
}

fn history<T: wal_db::event::WalDecodeOwned>(lock: &str, except: &[&str]) -> Result<(), CheckFailed> {
    check_history(dir_with(lock).path(), &[ReadableType::of::<T>()], except)
}

fn text(failed: Result<impl std::fmt::Debug, CheckFailed>) -> String {
    failed.expect_err("a mistake was planted").to_string()
}

#[test]
fn a_migration_that_keeps_every_field_passes() {
    assert_eq!(history::<Moved>(LOCKED, &[]), Ok(()));
}

#[test]
fn a_migration_that_swaps_two_fields_is_found() {
    let found = text(history::<MovedSwapped>(LOCKED, &[]));
    assert_eq!(
        found,
        "`moved` version 1, read as version 2: the field `from` was 0 and is 1; \
         if it should, list \"moved.from\" after `except`\n    the record: {from: 0, to: 1}"
    );
    let one = text(history::<MovedSwapped>(LOCKED, &["moved.from"]));
    assert!(one.contains("the field `to` was"), "{one}");
    assert_eq!(
        history::<MovedSwapped>(LOCKED, &["moved.from", "moved.to"]),
        Ok(())
    );
}

#[test]
fn an_exception_has_to_name_something() {
    let found = text(history::<Moved>(LOCKED, &["moved.to", "move"]));
    assert_eq!(
        found,
        "\"move\" after `except` does not begin with the name of an event type that is checked: there is `moved`"
    );
    let found = text(history::<Moved>(
        LOCKED,
        &["moved@3", "moved.form", "moved.to.cents"],
    ));
    assert_eq!(
        found,
        "\"moved@3\" after `except` is no version in `wal.lock` of a type that is checked\n\
         \"moved.form\" after `except` is no place in an event: there is `moved.from`, `moved.to`, `moved.note`\n\
         \"moved.to.cents\" after `except` is no place in an event: `moved.to` has no parts"
    );
}

/// A struct inside an event has got a field, and its conversion swaps the two that were there.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Placed {
    id: u64,
    place: Place,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    x: i16,
    y: i16,
    z: i16,
}

const PLACE: &Shape = &Shape::Struct(Part::Static(&[
    ShapeField::new("x", &Shape::I16),
    ShapeField::new("y", &Shape::I16),
    ShapeField::new("z", &Shape::I16),
]));
const PLACED: &Shape = &Shape::Struct(Part::Static(&[
    ShapeField::new("id", &Shape::U64),
    ShapeField::new("place", PLACE),
]));

record!(Placed, EventType::new("placed", 2).schema(PLACED));

impl<'de> WalDecode<'de> for Placed {
    fn decode_older<C: Codec>(stored: &StoredEvent<'de, C>, _: usize) -> Result<Upcast<Self>, TypedError> {
        let (id, (y, x)) = stored.fields()?;
        let place = Place { x, y, z: 0 };
        Ok(Upcast::One(Placed { id, place }))
    }
}

#[test]
fn fields_that_are_swapped_inside_a_struct_are_found() {
    let lock = "placed 1 {id: u64, place: {x: i16, y: i16}}";
    let found = text(history::<Placed>(lock, &[]));
    assert!(found.contains("the field `place.x` was 0 and is "), "{found}");
    assert_eq!(
        history::<Placed>(lock, &["placed.place.x", "placed.place.y"]),
        Ok(())
    );
    assert_eq!(history::<Placed>(lock, &["placed.place"]), Ok(()));
}

/// Its conversion turns both round: it matters in one of them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Turned {
    set: HashSet<u8>,
    list: Vec<u8>,
    pair: [u8; 2],
    note: String,
}

const TURNED: &Shape = &Shape::Struct(Part::Static(&[
    ShapeField::new("set", <HashSet<u8>>::SCHEMA),
    ShapeField::new("list", <Vec<u8>>::SCHEMA),
    ShapeField::new("pair", <[u8; 2]>::SCHEMA),
    ShapeField::new("note", &Shape::Str),
]));

record!(Turned, EventType::new("turned", 2).schema(TURNED));

impl<'de> WalDecode<'de> for Turned {
    fn decode_older<C: Codec>(stored: &StoredEvent<'de, C>, _: usize) -> Result<Upcast<Self>, TypedError> {
        let (set, list, [first, second]): (Vec<u8>, Vec<u8>, [u8; 2]) = stored.fields()?;
        Ok(Upcast::One(Turned {
            set: set.into_iter().rev().collect(),
            list: list.into_iter().rev().collect(),
            pair: [second, first],
            note: String::new(),
        }))
    }
}

#[test]
fn order_counts_in_a_list_and_not_in_a_set() {
    let lock = "turned 1 {set: [u8], list: [u8], pair: [u8; 2]}";
    let found = text(history::<Turned>(lock, &["turned.pair"]));
    assert!(
        found.contains("the field `list` was [0, 1] and is [1, 0]"),
        "{found}"
    );
    let found = text(history::<Turned>(lock, &["turned.list"]));
    assert!(
        found.contains("the field `pair` was [0, 1] and is [1, 0]"),
        "{found}"
    );
    assert_eq!(history::<Turned>(lock, &["turned.list", "turned.pair"]), Ok(()));
}

/// An array has positions. Its conversion turns what is in one of them round.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rows([Vec<i8>; 2]);

record!(Rows, EventType::new("rows", 2).schema(<[Vec<i8>; 2]>::SCHEMA));

impl<'de> WalDecode<'de> for Rows {
    fn decode_older<C: Codec>(stored: &StoredEvent<'de, C>, _: usize) -> Result<Upcast<Self>, TypedError> {
        let mut rows: [Vec<i8>; 2] = stored.fields()?;
        rows[1].reverse();
        Ok(Upcast::One(Rows(rows)))
    }
}

#[test]
fn elements_of_an_array_keep_their_positions() {
    let lock = "rows 1 [[i8]; 2]\nrows 2 [[i8]; 2]";
    let found = text(history::<Rows>(lock, &[]));
    let turned = ["[0, 1]] and is [[], [1, 0]]", "[0, -1]] and is [[], [-1, 0]]"];
    assert!(
        turned
            .iter()
            .any(|turned| found.contains(&format!("the field `0` was [[], {turned}"))),
        "{found}"
    );
    assert!(!found.contains("`rows` version 2, read"), "{found}");
    assert_eq!(history::<Rows>(lock, &["rows.0.[]"]), Ok(()));
}

/// It holds itself in so many places that what is made for each cannot be made anew.
#[test]
fn types_that_hold_themselves_often_are_made_once() {
    let fields: Vec<_> = (0..2000).map(|i| format!("f{i}: option<@T>")).collect();
    let shape: Shape = format!("rec T {{{}}}", fields.join(", "))
        .parse()
        .expect("a shape");
    let values = shape_values(&shape);
    assert!(values.is_ok());
}

#[test]
fn a_version_that_is_not_read_is_found() {
    let found = text(history::<MovedUnread>(LOCKED, &[]));
    assert!(
        found.starts_with("`moved` version 1, read as version 2: the `moved` at LSN 0 is version 1"),
        "{found}"
    );
    assert!(
        !found.contains("`moved` version 2"),
        "version 2 itself is read: {found}"
    );
}

#[test]
fn a_history_without_a_release_is_no_history() {
    let found = text(history::<Moved>("other 1 u8", &[]));
    assert!(found.contains("`moved` has no version in `wal.lock`"), "{found}");
}

/// Its number cannot be zero, its set has an order of its own, its times have less than a second of nanoseconds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Choosy {
    number: NonZeroU8,
    maybe: Option<NonZeroU8>,
    set: BTreeSet<i16>,
    map: HashMap<u8, f64>,
    time: SystemTime,
    took: Duration,
    tree: Tree,
    one_of: Result<(u8, char), String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf(u16),
    Fork(Box<Tree>, Box<Tree>),
    Named { name: String, inner: Vec<Tree> },
}

const TREE: &str = "rec 0 enum {Leaf(u16), Fork(@0, @0), Named {name: str, inner: [@0]}}";

const CHOOSY: &Shape = &Shape::Struct(Part::Static(&[
    ShapeField::new("number", NonZeroU8::SCHEMA),
    ShapeField::new("maybe", <Option<NonZeroU8>>::SCHEMA),
    ShapeField::new("set", <BTreeSet<i16>>::SCHEMA),
    ShapeField::new("map", <HashMap<u8, f64>>::SCHEMA),
    ShapeField::new("time", SystemTime::SCHEMA),
    ShapeField::new("took", Duration::SCHEMA),
    ShapeField::new("tree", TREE_SCHEMA),
    ShapeField::new("one_of", <Result<(u8, char), String>>::SCHEMA),
]));

const TREE_SCHEMA: &Shape = {
    const INNER: &Shape = &Shape::Ref(Part::Static("Tree"));
    const FORK: &Shape = &Shape::Tuple(Part::Static(&[ShapeItem::new(INNER), ShapeItem::new(INNER)]));
    const NAMED: &Shape = &Shape::Struct(Part::Static(&[
        ShapeField::new("name", &Shape::Str),
        ShapeField::new("inner", &Shape::Seq(Part::Static(INNER))),
    ]));
    const TREE: &Shape = &Shape::Enum(Part::Static(&[
        ShapeVariant::new("Leaf", &Shape::U16),
        ShapeVariant::new("Fork", FORK),
        ShapeVariant::new("Named", NAMED),
    ]));
    &Shape::Recursive {
        name: Part::Static("Tree"),
        body: Part::Static(TREE),
    }
};

record!(Choosy, EventType::new("choosy", 1).schema(CHOOSY));
impl WalDecode<'_> for Choosy {}

#[test]
fn values_are_those_that_the_standard_types_take() {
    let shape = CHOOSY.to_string();
    assert!(shape.contains(TREE), "{shape}");
    assert_eq!(history::<Choosy>(&format!("choosy 1 {shape}"), &[]), Ok(()));
}

#[test]
fn a_shape_that_is_not_the_types_is_found() {
    let shape = CHOOSY.to_string().replace("Leaf(u16)", "Leaf(str)");
    let found = text(history::<Choosy>(&format!("choosy 1 {shape}"), &[]));
    assert!(
        found.starts_with("`choosy` version 1, read as version 1: "),
        "{found}"
    );
}

#[test]
fn foreign_types_need_their_wire() {
    let found = text(history::<Moved>(
        "moved 1 {from: u64, to: opaque \"uuid@1\"}",
        &[],
    ));
    assert!(
        found.starts_with(
            "`moved` version 1 cannot be checked, no records can be made of it: \
             `opaque \"uuid@1\"` is known by name only"
        ),
        "{found}"
    );
    assert_eq!(
        history::<Moved>("moved 1 {from: u64, to: opaque \"uuid@1\"}", &["moved"]),
        Ok(())
    );
    assert_eq!(
        history::<Moved>("moved 1 {from: u64, to: opaque \"id@1\" = u64}", &[]),
        Ok(())
    );
}

#[test]
fn shapes_without_a_value_are_refused() {
    for shape in ["enum {}", "rec A {a: @A}", "@A", "(u8, enum {})"] {
        let shape: Shape = shape.parse().expect("a shape");
        assert!(shape_values(&shape).is_err(), "{shape}");
    }
    for shape in [
        "option<enum {}>",
        "[enum {}]",
        "map<u8, enum {}>",
        "enum {A(enum {}), B}",
    ] {
        let shape: Shape = shape.parse().expect("a shape");
        assert!(shape_values(&shape).is_ok(), "{shape}");
    }
}
