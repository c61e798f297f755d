//! The testing kit finds what it is for: planted mistakes in migrations, changed releases, events that do not come back.
//!
//! Most types implement the traits by hand, so that each can make exactly one mistake. The last ones are a program's:
//! their `wal.lock` and `golden/` stand beside this file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::num::NonZeroU8;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use wal_db::__private::{StoredEvent, Upcast};
use wal_db::testing::{
    CheckFailed, DeclaredType, FixedClock, GoldenMode, LockMode, MemLog, ReadableType, TempLog,
    assert_roundtrip, check_history, check_lock, golden, roundtrip, roundtrip_all, roundtrip_test,
    shape_values,
};
use wal_db::{
    WalRecord, WalSchema,
    codec::Codec,
    event::{EventType, OlderVersion, TypedError, WalDecode},
    schema::{Part, Shape, ShapeField, ShapeVariant},
};

/// An event type that is no family.
macro_rules! record {
    ($ty:ty, $record:expr) => {
        impl WalRecord for $ty {
            const NAME: &'static str = Self::RECORDS[0].name;
            const RECORDS: &'static [EventType] = &[$record];
            const FAMILY: bool = false;

            fn record_index(&self) -> usize {
                0
            }
        }
    };
}

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

fn lock_of(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("wal.lock")).expect("there is a lock")
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
         if it should, list \"moved.from\" behind `except`\n    the record: {from: 0, to: 1}"
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
        "\"move\" behind `except` is none of the types that are checked, nor in one"
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

/// An array is fields with positions. Its conversion turns one of them round.
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
fn elements_of_an_array_are_known_by_their_positions() {
    let lock = "rows 1 [[i8]; 2]\nrows 2 [[i8]; 2]";
    let found = text(history::<Rows>(lock, &[]));
    let turned = ["[0, 1] and is [1, 0]", "[0, -1] and is [-1, 0]"];
    assert!(
        turned
            .iter()
            .any(|turned| found.contains(&format!("the field `1` was {turned}"))),
        "{found}"
    );
    assert!(!found.contains("`rows` version 2, read"), "{found}");
    assert_eq!(history::<Rows>(lock, &["rows.1"]), Ok(()));
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

const TREE: &str = "rec Tree enum {Leaf(u16), Fork(@Tree, @Tree), Named {name: str, inner: [@Tree]}}";

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
    const FORK: &Shape = &Shape::Tuple(Part::Static(&[Part::Static(INNER), Part::Static(INNER)]));
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

fn lock(dir: &TempDir, types: &[DeclaredType], mode: LockMode) -> Result<Vec<String>, CheckFailed> {
    check_lock(dir.path(), types, mode)
}

const MOVED: &[DeclaredType] = &[DeclaredType::of::<Moved>()];

#[test]
fn what_is_new_is_added_once_and_what_is_there_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = text(lock(&dir, MOVED, LockMode::Check));
    for part in [
        "`moved` version 1 is not in",
        "`moved` version 2 is not in",
        "WAL_LOCK=update cargo test",
    ] {
        assert!(missing.contains(part), "{missing}");
    }
    assert!(!dir.path().join("wal.lock").exists(), "checking writes nothing");

    let added = lock(&dir, MOVED, LockMode::Update).expect("added");
    assert_eq!(added.join("\n") + "\n", LOCKED);
    let file = lock_of(&dir);
    assert!(file.starts_with("# ") && file.ends_with(LOCKED), "{file}");
    assert_eq!(lock(&dir, MOVED, LockMode::Check), Ok(vec![]));
    assert_eq!(lock(&dir, MOVED, LockMode::Update), Ok(vec![]));
    assert_eq!(lock_of(&dir), file);

    let dir = dir_with("# ours\nmoved 1 {from: u64, to: u64}");
    let added = lock(&dir, MOVED, LockMode::Update).expect("added");
    assert_eq!(added.len(), 1);
    assert_eq!(lock_of(&dir), format!("# ours\n{LOCKED}"));
}

#[test]
fn what_is_released_differently_is_shown_and_nothing_is_added() {
    let released = "moved 1 {from: u64, to: u32}\n";
    let dir = dir_with(released);
    let expected = "`moved` version 1 has another shape than in `wal.lock` line 1:\n    \
                    `to` is `u32` in `wal.lock` and `u64` in this program";
    let found = text(lock(&dir, MOVED, LockMode::Check));
    assert!(found.starts_with(expected), "{found}");
    let refused = text(lock(&dir, MOVED, LockMode::Update));
    assert!(
        refused.starts_with(expected) && refused.contains("nothing was added"),
        "{refused}"
    );
    assert_eq!(lock_of(&dir), released);
    for broken in ["moved one\n", "moved 1 {}\nmoved 1 {}\n", "<<<<<<< ours\n"] {
        let dir = dir_with(broken);
        let refused = text(lock(&dir, MOVED, LockMode::Update));
        assert!(refused.starts_with("`wal.lock` line "), "{refused}");
        assert_eq!(lock_of(&dir), broken);
    }
}

#[test]
fn versions_and_ids_are_compared() {
    let went_down = text(lock(
        &dir_with(&format!("{LOCKED}moved 3 unit")),
        MOVED,
        LockMode::Check,
    ));
    assert_eq!(
        went_down,
        "`moved` version 3 is released, and the type is version 2 now: a version never goes down"
    );
    let other_id = text(lock(
        &dir_with("moved 2 id=7 {from: u64, to: u64, note: str}"),
        MOVED,
        LockMode::Check,
    ));
    assert!(
        other_id.contains("is released with the type id 0x00000007"),
        "{other_id}"
    );
    let id = EventType::new("moved", 1).id;
    let taken = text(lock(
        &dir_with(&format!("{LOCKED}gone 1 id={id} unit")),
        MOVED,
        LockMode::Check,
    ));
    assert!(taken.contains("which belongs to `gone`"), "{taken}");
}

moved!(
    MovedChosen,
    |stored| Err(stored.no_migration()),
    EventType::with_id(7, "moved.by", 2).aliases(&["moved"])
);

#[test]
fn chosen_ids_and_former_names_are_part_of_it() {
    let types = &[DeclaredType::of::<MovedChosen>()];
    let dir = tempfile::tempdir().expect("a directory");
    let added = lock(&dir, types, LockMode::Update).expect("added");
    assert_eq!(added[0], "moved.by 1 id=7 {from: u64, to: u64}");
    assert_eq!(lock(&dir_with(LOCKED), types, LockMode::Check), Ok(vec![]));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Door {
    Opened { by: String },
    Locked,
}

const OPENED: &Shape = &Shape::Struct(Part::Static(&[ShapeField::new("by", &Shape::Str)]));

impl WalRecord for Door {
    const NAME: &'static str = "door";
    const RECORDS: &'static [EventType] = &[
        EventType::new("door.opened", 2)
            .schema(OPENED)
            .from(&[EventType::new("door.opened", 1).schema(&Shape::Unit)]),
        EventType::new("door.locked", 1).retire(),
    ];
    const FAMILY: bool = true;

    fn record_index(&self) -> usize {
        match self {
            Door::Opened { .. } => 0,
            Door::Locked => 1,
        }
    }
}

impl<'de> WalDecode<'de> for Door {
    fn decode_older<C: Codec>(stored: &StoredEvent<'de, C>, _: usize) -> Result<Upcast<Self>, TypedError> {
        let () = stored.fields()?;
        Ok(Upcast::Many(Vec::new()))
    }
}

#[test]
fn families_their_retired_and_their_lost_variants() {
    let types = &[DeclaredType::of::<Door>()];
    let released = "door.opened 1 unit\ndoor.opened 2 {by: str}\ndoor.locked 1 (u8, u8)\n";
    assert_eq!(lock(&dir_with(released), types, LockMode::Check), Ok(vec![]));
    assert_eq!(
        text(lock(
            &dir_with(&format!(
                "{released}door.shut 1 unit\ndoor.shut 2 u8\ndoors.x 1 u8"
            )),
            types,
            LockMode::Check
        )),
        "`door.shut` is released and `door` has no such variant: bring it back, \
         give its new name the `alias` `door.shut`, or retire it with `#[wal(retired)]`"
    );
    let lost = text(lock(
        &dir_with("door.opened 3 unit\ndoor.opened 2 {by: str}\ndoor.opened 1 unit"),
        types,
        LockMode::Check,
    ));
    assert!(lost.contains("`door.opened` version 3 is released"), "{lost}");
    // One old event is any number of new ones: nothing to compare, but it has to be read.
    assert_eq!(history::<Door>(released, &[]), Ok(()));
    let unread = text(history::<Door>("door.opened 1 u8", &[]));
    assert!(
        unread.starts_with("`door.opened` version 1, read as version 2: "),
        "{unread}"
    );
}

#[test]
fn a_type_without_a_schema_cannot_be_compared() {
    #[derive(Serialize, Deserialize)]
    struct Plain;
    record!(Plain, EventType::new("plain", 1));
    let found = text(lock(
        &dir_with(""),
        &[DeclaredType::of::<Plain>()],
        LockMode::Update,
    ));
    assert!(found.contains("`plain` has no schema"), "{found}");
}

fn moves() -> impl Strategy<Value = Moved> {
    (any::<u64>(), any::<u64>(), ".{0,8}").prop_map(|(from, to, note)| Moved { from, to, note })
}

roundtrip_test!(moves_come_back, Moved, moves());

#[test]
fn events_come_back() {
    assert_roundtrip!(Moved {
        from: 1,
        to: 2,
        note: "rent".into()
    });
    // A map has no order, so its bytes may differ.
    let map: HashMap<u8, f64> = (0..50).map(|i| (i, 0.5)).collect();
    assert_roundtrip!(Choosy {
        number: NonZeroU8::MAX,
        maybe: None,
        set: BTreeSet::new(),
        map,
        time: SystemTime::UNIX_EPOCH,
        took: Duration::ZERO,
        tree: Tree::Fork(Box::new(Tree::Leaf(1)), Box::new(Tree::Leaf(2))),
        one_of: Ok((1, 'x')),
    });
}

/// Forgets its hour when it is read.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Forgetful {
    day: u16,
    #[serde(deserialize_with = "forget")]
    hour: u8,
}

fn forget<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u8, D::Error> {
    u8::deserialize(d).map(|hour| hour % 24)
}

const FORGETFUL: &Shape = &Shape::Struct(Part::Static(&[
    ShapeField::new("day", &Shape::U16),
    ShapeField::new("hour", &Shape::U8),
]));

record!(Forgetful, EventType::new("forgetful", 1).schema(FORGETFUL));
impl WalDecode<'_> for Forgetful {}

#[test]
fn an_event_that_comes_back_differently_is_shown_with_its_bytes() {
    assert_eq!(roundtrip(&Forgetful { day: 1, hour: 23 }), Ok(()));
    let found = text(roundtrip(&Forgetful { day: 1, hour: 24 }));
    assert!(
        found.starts_with(
            "Forgetful { day: 1, hour: 24 } was appended and Forgetful { day: 1, hour: 0 } was read\n    the record: e001"
        ),
        "{found}"
    );
    assert!(
        found.ends_with("0118\n    its shape: {day: u16, hour: u8}"),
        "{found}"
    );
    let any = (any::<u16>(), any::<u8>()).prop_map(|(day, hour)| Forgetful { day, hour });
    let found = text(roundtrip_all(any));
    assert!(
        found.ends_with("the event: Forgetful { day: 0, hour: 24 }"),
        "the smallest: {found}"
    );
}

#[test]
fn golden_bytes_are_made_once_and_read_for_ever() {
    let dir = tempfile::tempdir().expect("a directory");
    let value = Moved {
        from: 1,
        to: 300,
        note: "rent for the first quarter".into(),
    };
    let path = dir.path().join("golden/moved_2.hex");
    let missing = text(golden(dir.path(), "moved_2", &value, GoldenMode::Check));
    assert!(missing.contains("WAL_GOLDEN=new cargo test"), "{missing}");
    assert!(!path.exists(), "checking writes nothing");

    assert_eq!(golden(dir.path(), "moved_2", &value, GoldenMode::New), Ok(()));
    let written = fs::read_to_string(&path).expect("the file");
    assert!(written.starts_with("# `moved` version 2\ne001"), "{written}");
    golden!("moved_2", value, dir.path());

    let other = Moved { from: 2, ..value };
    let differs = text(golden(dir.path(), "moved_2", &other, GoldenMode::New));
    assert!(
        differs.contains("expected was Moved { from: 2, to: 300"),
        "{differs}"
    );
    assert_eq!(
        fs::read_to_string(&path).expect("the file"),
        written,
        "never overwritten"
    );
}

#[test]
fn golden_bytes_of_an_earlier_version() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("golden")).expect("a directory");
    let write = |name: &str, text: &str| {
        fs::write(dir.path().join(format!("golden/{name}.hex")), text).expect("the file");
    };
    let old = Moved {
        from: 1,
        to: 2,
        note: String::new(),
    };
    let id = EventType::new("moved", 1).id;
    let leb = [0, 7, 14, 21, 28].map(|shift| (id >> shift & 0x7f) | if shift < 28 { 0x80 } else { 0 });
    let leb = leb.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    write(
        "moved_1",
        &format!("# `moved` version 1\ne0 01 {leb}\n01 01 02\n"),
    );
    assert_eq!(golden(dir.path(), "moved_1", &old, GoldenMode::Check), Ok(()));
    let unread = MovedUnread {
        from: 1,
        to: 2,
        note: String::new(),
    };
    let found = text(golden(dir.path(), "moved_1", &unread, GoldenMode::Check));
    assert!(
        found.contains("cannot be read any more: the `moved` at LSN 0 is version 1"),
        "{found}"
    );

    write("odd", "# x\ne00");
    let found = text(golden(dir.path(), "odd", &old, GoldenMode::Check));
    assert!(
        found.ends_with("line 2 is not made of pairs of hexadecimal digits"),
        "{found}"
    );
    let found = text(golden(dir.path(), "../up", &old, GoldenMode::New));
    assert!(found.starts_with("`../up` is no name for a file"), "{found}");
}

fn three() -> Vec<Moved> {
    let event = |from| Moved {
        from,
        to: 0,
        note: String::new(),
    };
    (0..3).map(event).collect()
}

#[test]
fn logs_for_tests_open_again() -> wal_db::Result<()> {
    let events = three();
    let log = MemLog::new()?;
    log.append(&events[0])?;
    let log = log.reopen()?;
    log.append_batch(&events[1..])?;
    assert_eq!(log.events()?, events);
    assert_eq!(log.reopen()?.events()?, events);

    let log = TempLog::new()?;
    log.append_and_sync(&events[0])?;
    let log = log.reopen()?;
    log.append_batch(&events[1..])?;
    let path = log.path().to_owned();
    assert!(Path::exists(&path));
    assert_eq!(log.reopen()?.events()?, events);
    assert!(!Path::exists(&path), "it removes itself");
    Ok(())
}

#[test]
fn the_clock_advances_by_its_step() {
    let clock = FixedClock::new(SystemTime::UNIX_EPOCH, Duration::from_millis(250));
    let times: Vec<_> = (0..3).map(|_| clock.now()).collect();
    let after = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
    assert_eq!(times, [after(0), after(250), after(500)]);
}

/// The second release of a family. The first one had no currency, one amount in whole units, and one kind of name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, wal_db::WalRecord)]
#[wal(name = "kit.account", version = 2)]
enum Account {
    Opened {
        id: u64,
        #[wal(since = 2, default = "usd")]
        currency: String,
    },
    #[wal(from = MovedV1)]
    Moved { from: u64, to: u64, cents: i64 },
    #[wal(from = NamedV1, split = split_name)]
    Named { given: String, family: String },
    #[wal(version = 1, id = 4711)]
    Closed(u64),
    #[wal(retired)]
    Blinked(wal_db::event::Retired),
}

#[derive(Serialize, Deserialize, wal_db::WalRecord)]
#[wal(name = "kit.account.moved")]
struct MovedV1 {
    from: u64,
    to: u64,
    units: i32,
}

impl From<MovedV1> for Account {
    fn from(old: MovedV1) -> Self {
        Account::Moved {
            from: old.from,
            to: old.to,
            cents: i64::from(old.units) * 100,
        }
    }
}

#[derive(Serialize, Deserialize, wal_db::WalRecord)]
#[wal(name = "kit.account.named")]
struct NamedV1(String);

fn split_name(old: NamedV1) -> Option<Account> {
    let (given, family) = old.0.split_once(' ')?;
    let (given, family) = (given.to_owned(), family.to_owned());
    Some(Account::Named { given, family })
}

/// As `Account::Moved`, with a mistake in the conversion.
#[derive(Debug, PartialEq, Serialize, Deserialize, wal_db::WalRecord)]
#[wal(name = "kit.account.moved", version = 2, from = MovedV1)]
struct MovedWrongly {
    from: u64,
    to: u64,
    cents: i64,
}

impl From<MovedV1> for MovedWrongly {
    fn from(old: MovedV1) -> Self {
        MovedWrongly {
            from: old.to,
            to: old.from,
            cents: i64::from(old.units) * 100,
        }
    }
}

#[test]
fn a_program_checks_what_it_has_released() {
    check_lock!(Account);
    check_history!(Account);
    let golden = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    assert!(
        golden("account_opened_1.hex").exists(),
        "made by the first release"
    );
    golden!(
        "account_opened_1",
        Account::Opened {
            id: 300,
            currency: "usd".into()
        },
        env!("CARGO_MANIFEST_DIR")
    );
    golden!(
        "account_named_1",
        Account::Named {
            given: "Ada".into(),
            family: "King".into()
        },
        env!("CARGO_MANIFEST_DIR")
    );
}

#[test]
fn a_program_with_a_wrong_conversion_is_told() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = text(check_history(dir, &[ReadableType::of::<MovedWrongly>()], &[]));
    assert!(
        found.starts_with(
            "`kit.account.moved` version 1, read as version 2: the field `from` was 0 and is 1;"
        ),
        "{found}"
    );
}

#[test]
fn two_types_with_one_name_are_not_locked() {
    #[derive(serde::Serialize, serde::Deserialize, wal_db::WalRecord)]
    #[wal(name = "copied")]
    struct Original(u64);

    #[derive(serde::Serialize, serde::Deserialize, wal_db::WalRecord)]
    #[wal(name = "pasted", alias = "copied")]
    struct Copy(u64);

    let dir = tempfile::tempdir().expect("a directory");
    let types = [DeclaredType::of::<Original>(), DeclaredType::of::<Copy>()];
    let error = check_lock(dir.path(), &types, LockMode::Update).expect_err("one name");
    assert!(
        error
            .to_string()
            .contains("`copied` and `pasted` are two of the types"),
        "{error}"
    );
    let lock = fs::read_to_string(dir.path().join("wal.lock")).unwrap_or_default();
    assert_eq!(lock, "", "nothing was added");
}
