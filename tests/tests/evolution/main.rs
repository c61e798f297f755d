//! An event written years ago is read as today's type. Each earlier release of a program is a module of its own here,
//! which writes the records that today's types then read.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod borrowing;
mod chains;
mod dropped;
mod families;
mod fields;
mod finds;
mod inner;
mod kit;
mod mended;
mod nested;
mod nonzero;
mod prefixes;
mod recursion;
mod renamed;
mod schemas;
mod schemas_edges;
mod scopes;

use wal_db::{
    EventLog, Record, Wal, WalRecord,
    event::{EventType, WalDecodeOwned},
};
use wal_tests::wal;

fn record<Old: WalRecord>(old: &Old) -> Record {
    let wal = wal();
    let lsn = wal.append_typed(old).expect("append");
    wal.read(lsn).expect("read")
}

/// What an event of an earlier release is today.
fn today<New: WalDecodeOwned>(old: &impl WalRecord) -> New {
    record(old).decode().expect("decode")
}

fn replay<E: WalDecodeOwned>(wal: &Wal) -> Vec<E> {
    let log: EventLog<E> = wal.typed().expect("no collision");
    let events = log.replay(..).expect("replay");
    events.map(|event| event.expect("an event").event).collect()
}

fn shape(record: &EventType) -> String {
    record.schema.expect("a schema").to_string()
}

/// The versions that are read, the newest first, and what they look like.
fn history(record: &EventType) -> Vec<(u16, String)> {
    let versions = record.history();
    versions
        .map(|older| (older.version, older.schema.to_string()))
        .collect()
}

/// What a macro hands to a derive comes in groups, which must not hide what it says.
#[test]
fn what_comes_through_a_macro_is_seen() {
    use std::marker::PhantomData;

    use serde::{Deserialize, Serialize};
    use wal_db::WalSchema;

    macro_rules! wrapped {
        ($phantom:ty, $name:literal) => {
            #[derive(Serialize, Deserialize, WalSchema)]
            #[serde(transparent)]
            struct Wrapped {
                phantom: $phantom,
                value: u32,
            }

            #[derive(Serialize, Deserialize, WalSchema)]
            struct Renamed {
                #[serde(rename = $name, alias = "old")]
                value: Option<u8>,
            }
        };
    }

    wrapped!(PhantomData<u8>, "new");
    assert_eq!(Wrapped::SCHEMA.to_string(), "u32");
    assert_eq!(Renamed::SCHEMA.to_string(), "{new: option<u8>}");
}
