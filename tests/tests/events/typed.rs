//! Typed events through the public API: what is appended comes back, as itself and in order, and what cannot
//! come back is an error that says where it stands.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::collection::{btree_map, btree_set, hash_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, WalError, WalRecord, WalSchema,
    codec::CodecId,
    event::TypedError,
    state::{At, State, StoreConfig},
};
use wal_tests::{assert_is, wal};

fn typed_error<T: std::fmt::Debug>(result: Result<T, WalError>) -> TypedError {
    match result {
        Err(WalError::Typed(error)) => error,
        other => panic!("not an error of the typed layer: {other:?}"),
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Address {
    street: String,
    zip: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
enum Tier {
    Basic,
    Gold { since: u16 },
    Custom(Box<Tier>, String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "bank")]
enum Bank {
    Opened {
        id: u64,
        owner: String,
        address: Option<Address>,
        tags: BTreeSet<String>,
    },
    #[wal(rename = "moved", version = 2, since = 2)]
    Transferred(u64, u64, i128),
    Renamed(String),
    TierChanged(Tier),
    Rates(HashMap<u8, f64>, BTreeMap<char, Vec<f32>>),
    #[wal(id = 4_000_000_000)]
    Sealed([u8; 32], u128, (), (bool, i8)),
    r#Type,
    Closed,
}

fn tier() -> impl Strategy<Value = Tier> {
    let leaf = prop_oneof![
        Just(Tier::Basic),
        any::<u16>().prop_map(|since| Tier::Gold { since })
    ];
    leaf.prop_recursive(8, 16, 1, |inner| {
        (inner, any::<String>()).prop_map(|(inner, name)| Tier::Custom(Box::new(inner), name))
    })
}

fn bank() -> impl Strategy<Value = Bank> {
    let address = any::<(String, Option<u32>)>().prop_map(|(street, zip)| Address { street, zip });
    let tags = btree_set(any::<String>(), 0..5);
    prop_oneof![
        (any::<u64>(), any::<String>(), proptest::option::of(address), tags).prop_map(
            |(id, owner, address, tags)| Bank::Opened {
                id,
                owner,
                address,
                tags
            }
        ),
        any::<(u64, u64, i128)>().prop_map(|(from, to, amount)| Bank::Transferred(from, to, amount)),
        any::<String>().prop_map(Bank::Renamed),
        tier().prop_map(Bank::TierChanged),
        (
            hash_map(any::<u8>(), any::<f64>(), 0..5),
            btree_map(any::<char>(), vec(any::<f32>(), 0..4), 0..4)
        )
            .prop_map(|(daily, yearly)| Bank::Rates(daily, yearly)),
        any::<([u8; 32], u128, (bool, i8))>().prop_map(|(a, b, c)| Bank::Sealed(a, b, (), c)),
        Just(Bank::Type),
        Just(Bank::Closed),
    ]
}

proptest! {
    #[test]
    fn any_events_come_back_in_order(single in vec(bank(), 0..6), batch in vec(bank(), 1..6)) {
        let log = wal().typed::<Bank>().expect("no collision");
        let mut lsns = Vec::new();
        for event in &single {
            lsns.push(log.append(event).expect("append"));
        }
        lsns.extend(log.append_batch(&batch).expect("append"));
        let expected: Vec<_> = lsns.iter().copied().zip(single.into_iter().chain(batch)).collect();

        let replayed: Vec<_> = log
            .replay(..)
            .expect("replay")
            .map(|event| event.map(|event| (event.lsn, event.event)).expect("an event"))
            .collect();
        prop_assert_eq!(&replayed, &expected);
        for (lsn, event) in expected {
            let record = log.wal().read(lsn).expect("read");
            prop_assert_eq!(&record.decode::<Bank>().expect("decode"), &event);
            let info = record.info().expect("info");
            let declared = Bank::RECORDS[event.record_index()];
            prop_assert_eq!((info.type_id, info.version), (declared.id, declared.version));
            prop_assert_eq!(info.codec, CodecId::BINCODE_2);
        }
    }

    #[test]
    fn plain_bytes_are_never_taken_for_an_event(bytes: Vec<u8>) {
        let log = wal().typed::<Bank>().expect("no collision");
        let lsn = log.wal().append(&bytes).expect("append");
        let error = log.wal().read(lsn).expect("read").decode::<Bank>().expect_err("not an event");
        let not_typed = matches!(error, TypedError::NotTyped { lsn: at, .. } if at == lsn);
        prop_assert!(not_typed, "{error:?}");
    }
}

#[test]
fn names_versions_and_ids_are_the_declared_ones() {
    let declared: Vec<_> = Bank::RECORDS
        .iter()
        .map(|record| (record.name, record.version))
        .collect();
    let expected = [
        ("bank.opened", 1),
        ("bank.moved", 2),
        ("bank.renamed", 1),
        ("bank.tier_changed", 1),
        ("bank.rates", 1),
        ("bank.sealed", 1),
        ("bank.type", 1),
        ("bank.closed", 1),
    ];
    assert_eq!(declared, expected);
    assert_eq!(Bank::NAME, "bank");
    assert_eq!(Bank::RECORDS[5].id, 4_000_000_000);
    // FNV-1a of "bank.closed": it stands in logs and must never change.
    assert_eq!(Bank::RECORDS[7].id, 0x158e_7d7f);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "reading", version = 3, since = 3)]
struct Reading {
    sensor: u32,
    celsius: f32,
}

#[test]
fn a_mismatch_says_what_and_where() {
    let wal = wal();
    let closed = wal.append_typed(&Bank::Closed).expect("append");
    let reading = wal
        .append_typed(&Reading {
            sensor: 1,
            celsius: 20.5,
        })
        .expect("append");

    let error = wal
        .read(closed)
        .expect("read")
        .decode::<Reading>()
        .expect_err("another type");
    let is_wrong_type =
        matches!(error, TypedError::WrongType { lsn, expected: "reading", .. } if lsn == closed);
    assert!(is_wrong_type, "{error:?}");

    let error = wal
        .read(reading)
        .expect("read")
        .decode::<Bank>()
        .expect_err("another type");
    let is_unknown =
        matches!(error, TypedError::UnknownType { lsn, family: "bank", version: 3, .. } if lsn == reading);
    assert!(is_unknown, "{error:?}");
    assert!(error.to_string().contains(&format!("LSN {reading}")), "{error}");
}

/// `Reading` as other programs declare it.
mod other {
    use super::*;

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "reading", version = 2, since = 2)]
    pub(crate) struct Before {
        pub sensor: u32,
    }

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "reading", version = 4, since = 4)]
    pub(crate) struct Later {
        pub sensor: u32,
        pub celsius: f32,
        pub place: String,
    }

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "reading", version = 3, since = 3)]
    pub(crate) struct Shorter {
        pub sensor: u32,
    }

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "reading", version = 3, since = 3)]
    pub(crate) struct Longer {
        pub sensor: u32,
        pub celsius: f32,
        pub place: String,
    }
}

#[test]
fn another_version_or_shape_is_not_read_as_this_one() {
    let wal = wal();
    let lsn = wal
        .append_typed(&Reading {
            sensor: 1,
            celsius: 20.5,
        })
        .expect("append");
    let record = wal.read(lsn).expect("read");

    let error = record
        .decode::<other::Before>()
        .expect_err("stored by a newer program");
    assert_is!(
        error,
        TypedError::NewerVersion {
            stored: 3,
            known: 2,
            ..
        }
    );
    let error = record
        .decode::<other::Later>()
        .expect_err("stored by an older program");
    assert_is!(
        error,
        TypedError::OlderVersion {
            stored: 3,
            known: 4,
            ..
        }
    );
    let error = record
        .decode::<other::Shorter>()
        .expect_err("bytes are left over");
    assert_is!(
        error,
        TypedError::Trailing {
            left: 4,
            version: 3,
            name: "reading",
            ..
        }
    );
    let error = record.decode::<other::Longer>().expect_err("bytes are missing");
    assert_is!(
        error,
        TypedError::Codec {
            version: 3,
            name: "reading",
            ..
        }
    );
    assert!(
        std::error::Error::source(&error).is_some(),
        "the codec's own error is kept"
    );
}

#[test]
fn a_replay_ends_at_the_first_record_it_cannot_read() {
    let log = wal().typed::<Bank>().expect("no collision");
    log.append(&Bank::Closed).expect("append");
    let plain = log.wal().append(b"plain bytes").expect("append");
    let last = log.append(&Bank::Type).expect("append");

    let mut replay = log.replay(..).expect("replay");
    assert_eq!(
        replay.next().expect("one event").expect("it is one").event,
        Bank::Closed
    );
    let error = typed_error(replay.next().expect("an error and not the end"));
    assert_is!(error, TypedError::NotTyped { lsn, .. } if *lsn == plain);
    assert!(
        replay.next().is_none() && replay.next().is_none(),
        "nothing follows the gap"
    );

    let rest: Vec<_> = log
        .replay(last..)
        .expect("replay")
        .map(|e| e.expect("an event").event)
        .collect();
    assert_eq!(rest, [Bank::Type]);
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "deep")]
struct Deep(Option<Box<Deep>>);

#[test]
fn an_event_that_could_not_be_read_back_is_not_appended() {
    let wal = wal();
    let deep = (0..1000).fold(Deep(None), |inner, _| Deep(Some(Box::new(inner))));
    let error = typed_error(wal.append_typed(&deep));
    assert_is!(
        error,
        TypedError::Encode {
            name: "deep",
            version: 1,
            ..
        }
    );
    let error = typed_error(wal.typed().and_then(|log| log.append_batch(&[Deep(None), deep])));
    assert_is!(error, TypedError::Encode { name: "deep", .. });
    assert_eq!(
        wal.iter().expect("iter").count(),
        0,
        "not even the first of the batch"
    );
}

#[test]
fn every_way_to_append_returns_the_lsn_of_its_event() {
    let log: EventLog<Bank> = wal().typed().expect("no collision");
    let mut lsns = vec![
        log.append(&Bank::Closed).expect("append"),
        log.append_and_sync(&Bank::Type).expect("append"),
        log.wal()
            .ticket(log.append(&Bank::Renamed("x".into())).expect("append"))
            .expect("append")
            .wait()
            .expect("durable"),
    ];
    lsns.extend(log.append_batch(&[Bank::Closed, Bank::Type]).expect("append"));
    assert!(log.append_batch(&[]).expect("an empty batch").is_empty());

    let replayed: Vec<_> = log
        .clone()
        .replay(..)
        .expect("replay")
        .map(|e| e.expect("an event").lsn)
        .collect();
    assert_eq!(replayed, lsns);
    assert!(lsns.is_sorted());
}

/// The derive finds the crate where the attribute says.
mod reexported {
    pub(crate) use wal_db as events;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, events::WalRecord)]
    #[wal(name = "tick", crate = "crate::typed::reexported::events")]
    pub(crate) struct Tick;
}

#[test]
fn a_program_may_reexport_the_crate() {
    let wal = wal();
    let lsn = wal.append_typed(&reexported::Tick).expect("append");
    assert_eq!(
        wal.read(lsn)
            .expect("read")
            .decode::<reexported::Tick>()
            .expect("decode"),
        reexported::Tick
    );
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Names {
    names: Vec<String>,
    greetings: usize,
}

impl State for Names {
    type Event = Bank;

    fn apply(&mut self, event: Bank, at: At) {
        if let Bank::Renamed(name) = event {
            self.names.push(name);
            self.greetings += usize::from(!at.replaying);
        }
    }
}

#[test]
fn state_is_rebuilt_from_its_events_without_repeating_their_effects() {
    let log = wal().typed::<Bank>().expect("no collision");
    let store = log.store::<Names>(StoreConfig::new()).expect("a store");
    store.commit(Bank::Renamed("ann".into())).expect("commit");
    log.append(&Bank::Renamed("bob".into())).expect("append");
    store.commit(Bank::Renamed("cem".into())).expect("commit");
    let names = ["ann", "bob", "cem"];
    let greetings = store.read(|state| {
        assert_eq!(state.names, names);
        state.greetings
    });
    assert_eq!(greetings.expect("read"), 2);

    let rebuilt = log.rebuild::<Names>().expect("rebuild");
    assert_eq!(rebuilt.state.names, names);
    assert_eq!((rebuilt.state.greetings, rebuilt.events), (0, 3));
    assert_eq!(rebuilt.next, store.next_lsn().expect("next"));
}
