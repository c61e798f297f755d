//! A replay hands out every event in order, and an error instead of a gap.

use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    MemStore, WalError, WalRecord,
    event::{EnvelopeError, Unreadable},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "step")]
enum Step {
    Left(u32),
    #[wal(version = 2, since = 2)]
    Right {
        by: u32,
    },
}

fn log() -> EventLog<Step> {
    Wal::with_store(MemStore::new())
        .expect("a log in memory")
        .typed()
        .expect("no collision")
}

#[test]
fn damage_in_a_typed_record_ends_the_replay_with_its_lsn() {
    let log = log();
    log.append(&Step::Left(1)).expect("append");
    let damaged = log
        .wal()
        .append_described(&[0xE8, 1, 7, 1], None)
        .expect("append")
        .0;
    log.append(&Step::Left(2)).expect("append");
    let mut replay = log.replay(..).expect("replay");
    assert_eq!(
        replay.next().expect("the first").expect("an event").event,
        Step::Left(1)
    );
    let error = replay.next().expect("the second").expect_err("a newer envelope");
    let WalError::Typed(TypedError::Envelope { lsn, reason }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(lsn, damaged);
    assert!(reason.to_string().contains("newer"), "{reason}");
    assert!(replay.next().is_none());
    assert!(replay.next().is_none());
}

/// A record with these bytes in front of it.
fn append_raw(log: &EventLog<Step>, payload: &[u8]) -> Lsn {
    log.wal().append_described(payload, None).expect("append").0
}

#[test]
fn metadata_that_breaks_a_rule_is_an_envelope_that_cannot_be_read() {
    let log = log();
    let lsn = append_raw(&log, &[0xE1, 1, 7, 1, 2, 5, 9]);
    let record = log.wal().read(lsn).expect("read");
    let reason = EnvelopeError::BadMetadata {
        key: 5,
        problem: "is longer than the metadata",
    };
    let errors = [
        record.meta().map(drop),
        record.info().map(drop),
        record.decode::<Step>().map(drop),
    ];
    for error in errors.map(Result::unwrap_err) {
        assert!(
            matches!(error, TypedError::Envelope { lsn: at, reason: found } if at == lsn && found == reason),
            "{error:?}"
        );
    }
}

#[test]
fn headers_that_cannot_be_read_are_no_filters_business() {
    let log = log();
    append_raw(&log, &[0xE8, 1, 7, 1]);
    append_raw(&log, &[0xE0, 1, 7, 0]);
    append_raw(&log, &[0xE1, 1, 7, 1, 2, 5, 9]);
    append_raw(&log, &[0x00]);
    log.append(&Step::Left(1)).expect("append");
    let of_type = || {
        log.wal()
            .typed::<Step>()
            .expect("replay")
            .replay(..)
            .expect("replay")
            .among_others()
    };
    let filters = [
        of_type(),
        of_type().tagged("a"),
        log.replay(..).expect("replay").stream("a"),
    ];
    for mut replay in filters {
        let error = replay.next().expect("not the end").expect_err("it could be one");
        assert!(
            matches!(error, WalError::Typed(TypedError::Envelope { .. })),
            "{error:?}"
        );
    }
    let mut skipping = of_type().on_unreadable(Unreadable::Skip);
    assert_eq!(skipping.by_ref().count(), 1);
    let skipped = skipping.skipped();
    assert_eq!(
        (skipped.newer_envelope, skipped.broken, skipped.total()),
        (1, 3, 4)
    );
}

/// Its `Serialize` appends to the log that it is itself appended to.
#[derive(Deserialize)]
struct Reentrant;

thread_local! {
    static LOG: std::cell::RefCell<Option<EventLog<Step>>> = const { std::cell::RefCell::new(None) };
}

impl Serialize for Reentrant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let log = LOG.with_borrow(|log| log.clone().expect("set by the test"));
        log.append(&Step::Left(7)).expect("append");
        serializer.serialize_str("reentrant")
    }
}

impl WalRecord for Reentrant {
    const NAME: &'static str = "reentrant";
    const RECORDS: &'static [record::EventType] = &[record::EventType::new("reentrant", 1)];
    const FAMILY: bool = false;

    fn record_index(&self) -> usize {
        0
    }
}

#[test]
fn an_append_inside_an_append_keeps_both_whole() {
    let log = log();
    LOG.set(Some(log.clone()));
    let outer = log.wal().append_typed(&Reentrant).expect("append");
    let records: Vec<_> = log
        .wal()
        .iter()
        .expect("iter")
        .map(|record| record.expect("a record"))
        .collect();
    assert_eq!(records.len(), 2);
    assert_eq!(
        records[0].decode::<Step>().expect("the inner event"),
        Step::Left(7)
    );
    assert_eq!(records[1].lsn(), outer);
    assert!(records[1].data().ends_with(b"\x09reentrant"));
}

#[test]
fn a_hand_written_collision_is_found() {
    #[derive(Serialize, Deserialize)]
    struct Colliding;

    impl WalRecord for Colliding {
        const NAME: &'static str = "c";
        const RECORDS: &'static [record::EventType] = &[
            record::EventType::with_id(1, "c.a", 1),
            record::EventType::with_id(1, "c.b", 1),
        ];
        const FAMILY: bool = false;

        fn record_index(&self) -> usize {
            0
        }
    }

    impl WalDecode<'_> for Colliding {}

    let wal = Wal::with_store(MemStore::new()).expect("a log in memory");
    let errors = [
        wal.typed::<Colliding>().expect_err("a collision"),
        wal.typed::<Colliding>()
            .and_then(|log| Ok(log.replay(..)?.among_others()))
            .expect_err("a collision"),
    ];
    for error in errors {
        assert!(
            matches!(error, WalError::Typed(TypedError::IdCollision { id: 1, .. })),
            "{error:?}"
        );
    }
}
