//! What the testing kit finds: mistakes that programs make, planted one by one.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};
use wal_tests::own::Own;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wal_db::testing::{
    FixedClock, GoldenMode, MemLog, ReadableType, assert_roundtrip, check_history, golden, golden_with_codec,
    roundtrip_test, roundtrip_with_codec,
};
use wal_db::{
    MemStore, Wal, WalRecord, WalSchema,
    codec::{Bincode, Codec, Json, Postcard},
    state::{At, State, StoreConfig},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "moved")]
struct Moved(i64);

// ---- histories ------------------------------------------------------------------------------------------------------

/// What the conversion below does to a record of version 1.
fn history_of<T: wal_db::event::WalDecodeOwned>(lock: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("wal.lock"), lock).unwrap();
    let found = check_history(dir.path(), &[ReadableType::of::<T>()], &[]);
    found.err().map_or_else(String::new, |failed| failed.to_string())
}

/// What is found about a conversion from version 1 to 2 that changes the field `it`.
macro_rules! planted {
    ($lock:literal, $name:literal, $field:ty, |$old:ident| $mistake:expr) => {{
        #[derive(Debug, Serialize, Deserialize, WalRecord)]
        #[wal(name = $name)]
        struct Old {
            it: $field,
        }

        #[derive(Debug, Serialize, Deserialize, WalRecord)]
        #[wal(name = $name, version = 2, from = Old)]
        struct New {
            it: $field,
            more: u8,
        }

        impl From<Old> for New {
            fn from($old: Old) -> Self {
                New {
                    it: $mistake,
                    more: 0,
                }
            }
        }

        let found = history_of::<New>($lock);
        assert!(found.contains("the field `it` was"), "{found:?}");
    }};
}

#[test]
fn zero_and_the_ends_of_a_type_are_tried() {
    planted!("limit 1 {it: u64}\n", "limit", u64, |old| if old.it == u64::MAX {
        0
    } else {
        old.it
    });
    planted!("count 1 {it: u64}\n", "count", u64, |old| old.it.max(1));
    planted!("least 1 {it: i64}\n", "least", i64, |old| if old.it == i64::MIN {
        0
    } else {
        old.it
    });
}

#[test]
fn numbers_that_just_do_not_fit_a_narrower_type_are_tried() {
    planted!("wide 1 {it: u64}\n", "wide", u64, |old| {
        if old.it <= u64::from(u32::MAX) + 1 {
            u64::from(old.it as u32)
        } else {
            old.it
        }
    });
}

#[test]
fn long_lists_and_texts_are_tried() {
    planted!("many 1 {it: [u64]}\n", "many", Vec<u64>, |old| {
        old.it.into_iter().take(255).collect()
    });
    planted!("text 1 {it: str}\n", "text", String, |old| {
        old.it.chars().take(64).collect()
    });
}

#[test]
fn empty_lists_texts_and_options_are_tried() {
    planted!(
        "none 1 {it: [u64]}\n",
        "none",
        Vec<u64>,
        |old| if old.it.is_empty() { vec![0] } else { old.it }
    );
    planted!(
        "blank 1 {it: str}\n",
        "blank",
        String,
        |old| if old.it.is_empty() { "-".to_owned() } else { old.it }
    );
    planted!("maybe 1 {it: option<u8>}\n", "maybe", Option<u8>, |old| Some(
        old.it.unwrap_or(0)
    ));
    planted!("empty 1 {it: map<u8, u8>}\n", "empty", BTreeMap<u8, u8>, |old| {
        let mut it = old.it;
        if it.is_empty() {
            it.insert(0, 0);
        }
        it
    });
}

#[test]
fn long_lists_of_parts_and_long_maps_are_tried() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
    struct Line {
        id: u32,
        done: bool,
    }

    planted!(
        "lines 1 {it: [{id: u32, done: bool}]}\n",
        "lines",
        Vec<Line>,
        |old| { old.it.into_iter().take(255).collect() }
    );
    planted!("table 1 {it: map<u32, u8>}\n", "table", BTreeMap<u32, u8>, |old| {
        old.it.into_iter().take(100).collect()
    });
    planted!(
        "set 1 {it: [u32]}\n",
        "set",
        std::collections::BTreeSet<u32>,
        |old| { old.it.into_iter().take(100).collect() }
    );
}

#[test]
fn casts_that_lose_something_are_tried() {
    planted!("signed 1 {it: i64}\n", "signed", i64, |old| i64::from(
        old.it as i32
    ));
    planted!("absolute 1 {it: i32}\n", "absolute", i32, |old| old
        .it
        .wrapping_abs());
    planted!(
        "unsigned 1 {it: u64}\n",
        "unsigned",
        u64,
        |old| old.it as i64 as f64 as u64
    );
    planted!("float 1 {it: f64}\n", "float", f64, |old| f64::from(
        old.it as f32
    ));
    planted!("letter 1 {it: char}\n", "letter", char, |old| char::from_u32(
        u32::from(old.it) & 0xFFFF
    )
    .unwrap_or('?'));
}

// ---- in every format ------------------------------------------------------------------------------------------------

mod stored {
    use super::*;

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "paid")]
    pub(crate) struct V1 {
        from: Account,
        to: Account,
        cents: u64,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "paid", version = 2, from = V1)]
    pub(crate) struct Paid {
        from: Account,
        to: Account,
        cents: u64,
        pub(crate) note: Option<String>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "paid", version = 2, from = V1)]
    pub(crate) struct Swapped {
        from: Account,
        to: Account,
        cents: u64,
        note: Option<String>,
    }

    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, WalSchema)]
    pub(crate) enum Account {
        Cash,
        Bank(u32),
        Shared(u8, char),
        Named {
            #[serde(rename = "the \"name\"")]
            name: String,
            tags: Vec<i16>,
        },
    }

    impl From<V1> for Paid {
        fn from(V1 { from, to, cents }: V1) -> Self {
            Paid {
                from,
                to,
                cents,
                note: None,
            }
        }
    }

    impl From<V1> for Swapped {
        fn from(V1 { from, to, cents }: V1) -> Self {
            Swapped {
                from: to,
                to: from,
                cents,
                note: None,
            }
        }
    }

    pub(crate) fn paid(cents: u64) -> Paid {
        Paid {
            from: Account::Named {
                name: "a".into(),
                tags: vec![-1],
            },
            to: Account::Cash,
            cents,
            note: Some("n".into()),
        }
    }

    /// What formats write in the most different ways.
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "rich")]
    pub(crate) struct Rich {
        unsigned: (u8, u16, u64, u128),
        signed: [i128; 2],
        others: (f32, f64, bool, char, ()),
        map: BTreeMap<u16, Vec<Account>>,
        by_account: BTreeMap<char, Option<Result<u8, ()>>>,
        tree: Tree,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
    struct Tree {
        value: Option<i8>,
        children: Vec<Tree>,
    }
}

use stored::{Paid, Rich, Swapped, paid};

/// The shape of today's version, as `wal.lock` has it.
fn line<T: WalRecord>(version: u16) -> String {
    let history = T::RECORDS[0].history();
    let known = history.into_iter().find(|known| known.version == version);
    let shape = known.unwrap().schema;
    format!("{} {version} {shape}\n", T::NAME)
}

#[test]
fn histories_are_checked_in_every_format() {
    fn check<C: Codec>() {
        let lock = line::<Paid>(1) + &line::<Paid>(2) + &line::<Rich>(1);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("wal.lock"), lock).unwrap();
        let right = [
            ReadableType::with_codec::<Paid, C>(),
            ReadableType::with_codec::<Rich, C>(),
        ];
        let found = check_history(dir.path(), &right, &[]);
        assert_eq!(found, Ok(()), "{}", C::ID);
        let swapped = check_history(dir.path(), &[ReadableType::with_codec::<Swapped, C>()], &[]);
        let swapped = swapped.unwrap_err().to_string();
        assert!(
            swapped.contains("version 1, read as version 2: the field `from` was"),
            "{}: {swapped}",
            C::ID
        );
        let one = check_history(
            dir.path(),
            &[ReadableType::with_codec::<Swapped, C>()],
            &["paid.from", "paid.to"],
        );
        assert_eq!(one, Ok(()), "{}", C::ID);
    }
    check::<Bincode>();
    check::<Postcard>();
    check::<Json>();
    check::<Own>();
}

#[test]
fn golden_bytes_are_those_of_the_format() {
    fn check<C: Codec>() {
        let dir = tempfile::tempdir().unwrap();
        golden_with_codec::<_, C>(dir.path(), "paid_2", &paid(7), GoldenMode::New).unwrap();
        assert_eq!(
            golden_with_codec::<_, C>(dir.path(), "paid_2", &paid(7), GoldenMode::Check),
            Ok(())
        );
        let other = golden_with_codec::<_, C>(dir.path(), "paid_2", &paid(8), GoldenMode::Check);
        assert!(other.is_err());
        let text = fs::read_to_string(dir.path().join("golden/paid_2.hex")).unwrap();
        let digits = text.lines().nth(1).unwrap();
        assert_eq!(digits[2..4], format!("{:02x}", C::ID.get()), "{text}");
    }
    check::<Bincode>();
    check::<Postcard>();
    check::<Json>();
    check::<Own>();
}

/// It says nothing of the second field in its own format.
enum Forgetful {}

impl Codec for Forgetful {
    const ID: wal_db::codec::CodecId = wal_db::codec::CodecId::new(201);

    fn encode<T: Serialize + ?Sized>(
        value: &T,
        out: &mut Vec<u8>,
    ) -> std::result::Result<(), wal_db::codec::CodecError> {
        Postcard::encode(value, out)?;
        if let Some(last) = out.last_mut() {
            *last = 0;
        }
        Ok(())
    }

    fn decode<'de, S: serde::de::DeserializeSeed<'de>>(
        seed: S,
        bytes: &'de [u8],
    ) -> std::result::Result<(S::Value, usize), wal_db::codec::CodecError> {
        Postcard::decode(seed, bytes)
    }
}

#[test]
fn events_that_do_not_come_back_in_a_format_are_found() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "maybe")]
    struct Maybe(Option<Option<u8>>);

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "pair")]
    struct Pair(u8, u8);

    for event in [Maybe(None), Maybe(Some(Some(1)))] {
        assert_roundtrip!(event; codec Json);
    }
    assert_roundtrip!(Maybe(Some(None)));
    assert_roundtrip!(Maybe(Some(None)); codec Own);
    let found = roundtrip_with_codec::<_, Json>(&Maybe(Some(None)))
        .unwrap_err()
        .to_string();
    assert!(found.contains("read as `None`"), "{found}");

    assert_eq!(roundtrip_with_codec::<_, Own>(&Pair(1, 2)), Ok(()));
    let found = roundtrip_with_codec::<_, Forgetful>(&Pair(1, 2))
        .unwrap_err()
        .to_string();
    assert!(
        found.contains("Pair(1, 2) was appended and Pair(1, 0) was read"),
        "{found}"
    );
}

roundtrip_test!(pairs_come_back_in_json, Moved, any::<i64>().prop_map(Moved); codec Json);

/// The macros, as a program writes them.
#[test]
fn macros_take_a_format() {
    let dir = env!("CARGO_MANIFEST_DIR");
    golden!("moved_json", Moved(-7), dir; codec Json);
    golden!("moved_own", Moved(-7), dir; codec Own);
}

// ---- the rest -------------------------------------------------------------------------------------------------------

#[test]
fn a_clock_never_goes_back() {
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64 - 10);
    let clock = FixedClock::new(far, Duration::from_secs(4));
    let times: Vec<_> = (0..10).map(|_| clock.now()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times[8], times[9], "it stands still");
}

#[test]
fn a_panic_in_a_conversion_ends_a_replay() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "fragile")]
    struct Before(u8);

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "fragile", version = 2, from = Before)]
    struct Now(u16);

    impl From<Before> for Now {
        fn from(old: Before) -> Self {
            assert_ne!(old.0, 2, "the conversion fails");
            Now(old.0.into())
        }
    }

    let wal = Wal::with_store(MemStore::new()).unwrap();
    for n in 1..4 {
        wal.append_typed(&Before(n)).unwrap();
    }
    let mut replay = wal.typed::<Now>().unwrap().replay(..).unwrap().among_others();
    assert_eq!(replay.next().unwrap().unwrap().event.0, 1);
    assert!(catch_unwind(AssertUnwindSafe(|| replay.next().is_some())).is_err());
    let after = replay.next();
    assert!(
        after.is_none(),
        "what follows a gap is never handed out: {after:?}"
    );
}

#[derive(Debug, Default, PartialEq)]
struct Balance(i64);

impl State for Balance {
    type Event = Moved;

    fn apply(&mut self, event: Moved, _: At) {
        self.0 += event.0;
    }
}

#[test]
fn states_and_logs_for_tests_serve_every_codec() {
    fn serves<C: wal_db::codec::Codec>() {
        let log = MemLog::<Moved, C>::with_codec().unwrap();
        let store = log.store::<Balance>(StoreConfig::new()).unwrap();
        store.commit(Moved(7)).unwrap();
        log.append(&Moved(1)).unwrap();
        assert_eq!(store.read(|balance| balance.0).unwrap(), 8);
        drop(store);
        let log = log.reopen().unwrap();
        assert_eq!(log.rebuild::<Balance>().unwrap().state, Balance(8), "{}", C::ID);
        assert_eq!(log.events().unwrap(), [Moved(7), Moved(1)]);
        let codecs = log
            .wal()
            .iter()
            .unwrap()
            .map(|record| record.unwrap().info().unwrap().codec);
        assert!(codecs.into_iter().all(|codec| codec == C::ID));
    }
    serves::<Postcard>();
    serves::<Json>();
    serves::<Own>();
}

/// Its conversion fails the first time, as one that needs a moment.
mod moody {
    use super::*;

    thread_local! {
        pub(crate) static IN_A_MOOD: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "moody")]
    pub(crate) struct Before(pub(crate) u8);

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "moody", version = 2, from = Before)]
    pub(crate) struct Now(pub(crate) i64);

    impl From<Before> for Now {
        fn from(old: Before) -> Self {
            assert!(!(old.0 == 2 && IN_A_MOOD.take()), "the conversion fails");
            Now(old.0.into())
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Seen(pub(crate) Vec<i64>);

    impl State for Seen {
        type Event = Now;

        fn apply(&mut self, event: Now, _: At) {
            self.0.push(event.0);
        }
    }
}

#[test]
fn a_panic_in_a_conversion_that_is_caught_loses_a_state_nothing() {
    use moody::{Before, IN_A_MOOD, Now, Seen};

    let wal = Wal::with_store(MemStore::new()).unwrap();
    let log = wal.typed::<Now>().unwrap();
    let store = log.store::<Seen>(StoreConfig::new()).unwrap();
    let seen = || store.read(|seen| seen.0.clone());
    for n in 1..4 {
        wal.append_typed(&Before(n)).unwrap();
    }
    IN_A_MOOD.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| seen().is_ok())).is_err());
    assert_eq!(seen().unwrap(), [1, 2, 3]);

    wal.append_typed(&Before(2)).unwrap();
    IN_A_MOOD.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| store.commit(Now(9)).is_ok())).is_err());
    assert_eq!(seen().unwrap(), [1, 2, 3, 2], "9 was not appended");
}
