//! Events that come back from a log as they were.

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use super::{CheckFailed, hex, history::sentence, logs::append_payload};
use crate::{
    event::{
        WalDecodeOwned,
        codec::{Codec, DefaultCodec},
        probe::{self, unordered},
        record::WalRecord,
        schema::Shape,
    },
    log::Wal,
    storage::MemStore,
};

/// Appends an event to a log in memory, reads it, and writes it again.
///
/// [`assert_roundtrip!`](super::assert_roundtrip!) calls it and has an example.
///
/// # Errors
/// [`CheckFailed`], with the bytes and the shape: the event cannot be stored or read, another one comes back, or what
/// comes back is written differently. The order in sets and maps may differ.
pub fn roundtrip<T>(event: &T) -> Result<(), CheckFailed>
where
    T: WalDecodeOwned + PartialEq + Debug,
{
    roundtrip_with_codec::<T, DefaultCodec>(event)
}

/// As [`roundtrip`], in the format `C`.
pub fn roundtrip_with_codec<T, C>(event: &T) -> Result<(), CheckFailed>
where
    T: WalDecodeOwned + PartialEq + Debug,
    C: Codec,
{
    one::<T, C>(event).map_err(CheckFailed::one)
}

/// Checks random events as [`roundtrip`] does, as many as `PROPTEST_CASES` says or 256.
///
/// [`roundtrip_test!`](super::roundtrip_test!) calls it and has an example.
///
/// # Errors
/// As [`roundtrip`], for the smallest event that was found.
pub fn roundtrip_all<S, T>(events: S) -> Result<(), CheckFailed>
where
    S: Strategy<Value = T>,
    T: WalDecodeOwned + PartialEq + Debug,
{
    roundtrip_all_with_codec::<S, T, DefaultCodec>(events)
}

/// As [`roundtrip_all`], in the format `C`.
pub fn roundtrip_all_with_codec<S, T, C>(events: S) -> Result<(), CheckFailed>
where
    S: Strategy<Value = T>,
    T: WalDecodeOwned + PartialEq + Debug,
    C: Codec,
{
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let result =
        TestRunner::new(config).run(&events, |event| one::<T, C>(&event).map_err(TestCaseError::fail));
    result.map_err(|error| match error {
        TestError::Fail(reason, event) => CheckFailed::one(format!("{reason}\n    the event: {event:?}")),
        TestError::Abort(reason) => CheckFailed::one(format!("no events to check: {reason}")),
    })
}

fn one<T: WalDecodeOwned + PartialEq + Debug, C: Codec>(event: &T) -> Result<(), String> {
    let log = Wal::with_store(MemStore::new()).map_err(|error| sentence(&error))?;
    // Not as an event, because that would be refused with less to say of it.
    let (_, payload) = probe::encode::<C, T>(event).map_err(|error| sentence(&error))?;
    let lsn = append_payload(&log, &payload).map_err(|error| sentence(&error))?;
    let record = log.read(lsn).map_err(|error| sentence(&error))?;
    let explained = |problem: String| {
        let shape = shape_of(event).map_or_else(|| "not known".to_owned(), |shape| shape.to_string());
        format!(
            "{problem}\n    the record: {}\n    its shape: {shape}",
            hex(record.data())
        )
    };
    let back: T = record
        .decode_with_codec::<T, C>()
        .map_err(|error| explained(sentence(&error)))?;
    if back != *event {
        return Err(explained(format!("{event:?} was appended and {back:?} was read")));
    }
    let (_, again) = probe::encode::<C, T>(&back).map_err(|error| explained(sentence(&error)))?;
    if again == record.data() || same_but_for_order::<T, C>(event, record.data(), &again) {
        return Ok(());
    }
    Err(explained(format!(
        "what was read is written differently: {}",
        hex(&again)
    )))
}

fn shape_of<T: WalRecord>(event: &T) -> Option<&'static Shape> {
    T::RECORDS.get(event.record_index())?.schema
}

/// A set that was read may hand out its elements in another order.
fn same_but_for_order<T: WalRecord, C: Codec>(event: &T, first: &[u8], second: &[u8]) -> bool {
    let Some(shape) = shape_of(event) else {
        return false;
    };
    let [first, second] = [first, second].map(|payload| {
        let value = probe::value::<C>(payload, shape).ok()?;
        Some(unordered(&value))
    });
    first.is_some() && first == second
}
