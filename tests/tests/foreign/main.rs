//! Types of other crates in events, with the real crates: what they write is what their schema says.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod crates;
mod history;

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::Serialize;
use serde_json::Value as Json;
use wal_db::{
    EventLog, MemStore, Wal,
    codec::{Bincode, Codec, Json as JsonCodec, Postcard},
    event::WalDecodeOwned,
};

const CASES: u32 = 64;

/// Events come back from a log of each format, and are printed as JSON: as `serde_json` prints them, or, of types that
/// serde writes in one way for people and in another for programs, as they are stored.
fn come_back<T>(events: impl Strategy<Value = T>, stored: impl Fn(&T) -> Json)
where
    T: WalDecodeOwned + PartialEq + Debug,
{
    fn log<T: WalDecodeOwned, C: Codec>() -> (Wal, EventLog<T, C>) {
        let wal = Wal::with_store(MemStore::new()).unwrap();
        let log = wal.typed::<T>().unwrap().with_codec::<C>().with_read_back(true);
        (wal, log)
    }
    fn one<T: WalDecodeOwned + PartialEq + Debug, C: Codec>(
        (wal, log): &(Wal, EventLog<T, C>),
        event: &T,
    ) -> Json {
        let lsn = log.append(event).unwrap();
        let record = wal.read(lsn).unwrap();
        assert_eq!(record.decode::<T>().unwrap(), *event, "{}", C::ID);
        let text = record.to_json(&wal.schemas().unwrap()).unwrap();
        serde_json::from_str(&text).unwrap()
    }
    let (bincode, postcard, json) = (log::<T, Bincode>(), log::<T, Postcard>(), log::<T, JsonCodec>());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&events, |event| {
            let stored = stored(&event);
            prop_assert_eq!(&one(&bincode, &event), &stored);
            prop_assert_eq!(&one(&postcard, &event), &stored);
            prop_assert_eq!(one(&json, &event), human(&event));
            Ok(())
        })
        .unwrap();
}

/// What `serde_json` prints.
fn human<T: Serialize>(value: &T) -> Json {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}
