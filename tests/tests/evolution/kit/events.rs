//! Events that come back or do not, bytes that are kept for ever, and logs for tests.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::num::NonZeroU8;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wal_db::testing::{
    FixedClock, GoldenMode, MemLog, TempLog, assert_roundtrip, golden, roundtrip, roundtrip_all,
    roundtrip_test,
};
use wal_db::{
    event::{EventType, WalDecode},
    schema::{Part, Shape, ShapeField},
};
use wal_tests::record;

use super::{Choosy, Moved, MovedUnread, Tree, text};

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
