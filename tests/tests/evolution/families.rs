//! Variants that were moved, renamed, retired, and not known.

use std::error::Error;

use serde::{Deserialize, Serialize};
use wal_db::{
    WalError, WalRecord,
    event::{Retired, TypedError, UnknownEvent},
};

use super::{record, replay, today, wal};

mod old {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "bank")]
    pub(crate) enum Bank {
        Opened { id: u64 },
        Blinked { times: u8 },
        Transferred(u64, i64),
        Closed,
    }

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "ledger")]
    pub(crate) enum Ledger {
        Closed,
        Moved(u64),
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "bank.moved")]
struct MovedV1(u64, i64);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "bank", alias = "ledger")]
enum Bank {
    Closed,
    Inserted,
    #[wal(retired)]
    Blinked(Retired),
    #[wal(rename = "moved", alias = "transferred", version = 2, from = MovedV1)]
    Move {
        to: u64,
        cents: i64,
    },
    #[wal(version = 2)]
    Opened {
        #[wal(since = 2, default = "usd")]
        currency: String,
        id: u64,
    },
    #[wal(id = 77)]
    Chosen(u8),
    #[wal(other)]
    Unknown(UnknownEvent),
}

impl From<MovedV1> for Bank {
    fn from(MovedV1(to, cents): MovedV1) -> Self {
        Bank::Move { to, cents }
    }
}

#[test]
fn variants_change_places_names_and_fields() {
    let wal = wal();
    wal.typed()
        .expect("append")
        .append_batch(&[
            old::Bank::Opened { id: 1 },
            old::Bank::Blinked { times: 3 },
            old::Bank::Transferred(2, -5),
            old::Bank::Closed,
        ])
        .expect("append");
    wal.append_typed(&MovedV1(3, 4)).expect("append");
    wal.append_typed(&old::Ledger::Closed).expect("append");
    wal.append_typed(&Bank::Chosen(9)).expect("append");
    let expected = [
        Bank::Opened {
            currency: "usd".to_owned(),
            id: 1,
        },
        Bank::Move { to: 2, cents: -5 },
        Bank::Closed,
        Bank::Move { to: 3, cents: 4 },
        Bank::Closed,
        Bank::Chosen(9),
    ];
    assert_eq!(replay::<Bank>(&wal), expected);
}

#[test]
fn a_retired_event_is_an_error_where_it_is_asked_for() {
    let record = record(&old::Bank::Blinked { times: 3 });
    let error = record.decode::<Bank>().expect_err("retired");
    let retired = matches!(
        error,
        TypedError::Retired {
            name: "bank.blinked",
            stored: 1,
            ..
        }
    );
    assert!(retired, "{error:?}");
    let blinked = &Bank::RECORDS[2];
    assert!(blinked.retired && blinked.schema.is_none());
}

#[test]
fn a_record_of_an_unknown_type_goes_to_the_variant_for_those() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "bank.later", version = 3, since = 3)]
    struct Later(u8, u8);

    let Bank::Unknown(raw) = today::<Bank>(&Later(1, 2)) else {
        panic!("taken for another event");
    };
    let later = &Later::RECORDS[0];
    assert_eq!((raw.type_id, raw.version), (later.id, 3));
    assert_eq!(raw.bytes, [1, 2]);

    let unknown = Bank::Unknown(raw);
    assert_eq!(unknown.record_index(), Bank::RECORDS.len());
    let wal = wal();
    let error = wal.append_typed(&unknown).expect_err("its shape is not known");
    let WalError::Typed(error @ TypedError::Encode { name: "bank", .. }) = error else {
        panic!("another error: {error:?}");
    };
    let source = error.source().expect("a source").to_string();
    assert!(source.contains("unknown type"), "{source}");
    assert!(wal.is_empty());
}

#[test]
fn ids_and_aliases_are_what_is_declared() {
    let ids: Vec<_> = Bank::RECORDS
        .iter()
        .map(|r| (r.name, r.version, r.aliases))
        .collect();
    let expected: [(&str, u16, &[&str]); 6] = [
        ("bank.closed", 1, &["ledger.closed"]),
        ("bank.inserted", 1, &["ledger.inserted"]),
        ("bank.blinked", 1, &["ledger.blinked"]),
        (
            "bank.moved",
            2,
            &["bank.transferred", "ledger.moved", "ledger.transferred"],
        ),
        ("bank.opened", 2, &["ledger.opened"]),
        ("bank.chosen", 1, &["ledger.chosen"]),
    ];
    assert_eq!(ids, expected);
    assert_eq!(Bank::RECORDS[5].id, 77);
}

#[test]
fn an_alias_of_a_struct_and_a_full_alias_of_a_variant() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "tick", alias = "bank.opened", alias = "clock.tick")]
    struct Tick {
        id: u64,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "clock")]
    enum Clock {
        #[wal(alias = "bank.opened", alias = "beat")]
        Tock { id: u64 },
    }
    let old = old::Bank::Opened { id: 6 };
    assert_eq!(today::<Tick>(&old), Tick { id: 6 });
    assert_eq!(today::<Clock>(&old), Clock::Tock { id: 6 });
    assert_eq!(Clock::RECORDS[0].aliases, ["bank.opened", "clock.beat"]);
}
