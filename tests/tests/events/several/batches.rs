//! Batches of events of any types.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, Meta, Wal, WalError, WalRecord,
    codec::{Json, Postcard},
    event::TypedError,
    testing::SimDisk,
};
use wal_tests::{assert_is, quiet, wal};

use super::{App, Billed, Note, Order, billed, events, note, placed};

#[test]
fn a_batch_takes_events_of_any_types_and_can_be_used_again() {
    let wal = wal();
    let mut batch = wal.batch();
    assert!(batch.is_empty() && batch.append().unwrap().is_empty());
    let meta = Meta::new().with_tag("both");
    batch.push(&placed(1)).unwrap();
    batch.push_with_meta(&Note("a".to_owned()), &meta).unwrap();
    batch.push(&Order::Cancelled).unwrap();
    assert_eq!((batch.len(), wal.status().records), (3, 0));
    let lsns = batch.append().unwrap();
    assert!(lsns.is_sorted() && lsns.len() == 3 && batch.is_empty());
    wal.batch().push(&billed(1, 2)).unwrap().append().unwrap();

    let log = wal.typed::<App>().unwrap();
    let read: Vec<_> = log.replay(..).unwrap().map(Result::unwrap).collect();
    let of_batch: Vec<_> = read
        .iter()
        .map(|event| (event.lsn, event.batch_continues))
        .collect();
    let last = of_batch[3].0;
    assert_eq!(
        of_batch,
        [(lsns[0], true), (lsns[1], true), (lsns[2], false), (last, false)]
    );
    assert_eq!(read[1].meta, meta);
    assert_eq!(wal.schemas().unwrap().len(), 4);
}

/// Reads less than it writes.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "odd")]
struct Odd(
    #[serde(deserialize_with = "even")]
    #[wal(opaque = "even@1", wire = u32)]
    u32,
);

fn even<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        n if n % 2 == 0 => Ok(n),
        _ => Err(serde::de::Error::custom("odd")),
    }
}

#[test]
fn what_cannot_be_read_refuses_the_batch_or_is_not_added() {
    let wal = wal();
    let mut batch = wal.batch();
    batch.push(&Note("a".to_owned())).unwrap();
    // A debug build reads each event again, a release build the first of a type when it is appended.
    let refused = match batch.push(&Odd(3)) {
        Ok(_) => batch.append().map(drop),
        Err(error) => Err(error),
    };
    assert_is!(
        refused,
        Err(WalError::Typed(TypedError::Encode { name: "odd", .. }))
    );
    assert_eq!(wal.status().records, 0, "all or nothing");
    if cfg!(debug_assertions) {
        assert_eq!(batch.len(), 1, "it was not added");
        batch.push(&Odd(4)).unwrap().append().unwrap();
        assert_eq!(wal.status().records, 2);
    }
}

#[test]
fn a_type_that_the_log_knows_otherwise_refuses_the_batch() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "note.taken")]
    struct Other(u8, u8);

    let wal = wal();
    wal.append_typed(&Other(1, 2)).unwrap();
    let mut batch = wal.batch();
    batch
        .push(&Order::Cancelled)
        .unwrap()
        .push(&Note("a".to_owned()))
        .unwrap();
    assert_is!(
        batch.append(),
        Err(WalError::Typed(TypedError::ShapeChanged {
            name: "note.taken",
            ..
        }))
    );
    assert_eq!((wal.status().records, batch.len()), (1, 2));
    assert_is!(
        wal.typed::<App>().map(drop),
        Err(WalError::Typed(TypedError::ShapeChanged {
            name: "note.taken",
            ..
        }))
    );
}

#[test]
fn formats_can_be_mixed_in_a_batch() {
    let wal = wal();
    let mut batch = wal.batch().with_codec::<Postcard>();
    batch.push(&note("a")).unwrap();
    let mut batch = batch.with_codec::<Json>();
    batch.push(&note("b")).unwrap();
    batch.append().unwrap();
    assert_eq!(events(&wal.typed::<App>().unwrap()), [note("a"), note("b")]);
}

/// On every image that a crash can leave, an order is there with its bill and its note, or none of the three.
#[test]
fn a_batch_of_several_types_is_there_or_not_after_a_crash() {
    fn open(disk: &SimDisk) -> wal_db::Result<EventLog<App>> {
        disk.open("app", quiet().with_staging_bytes(64 << 10))?.typed()
    }
    for by_hand in [false, true] {
        let images = wal_db::testing::assert_crash_prefix(
            |disk, promises| {
                let log = open(disk)?;
                for id in 0..4 {
                    promises.next(3 * (id + 1));
                    match by_hand {
                        false => drop(log.append_batch(&[placed(id), billed(id, 5), note("both")])?),
                        true => {
                            let mut batch = log.wal().batch();
                            batch.push(&placed(id))?.push(&Billed { order: id, cents: 5 })?;
                            batch.push(&Note("both".to_owned()))?.append()?;
                        }
                    }
                    if id % 2 == 1 {
                        log.wal().sync()?;
                        promises.durable();
                    }
                }
                Ok(())
            },
            |disk| {
                let mut count = 0;
                for event in open(disk)?.replay(..)? {
                    event?;
                    count += 1;
                }
                Ok(count)
            },
        );
        assert!(images > 50, "{images}");
    }
}

thread_local! {
    /// What is cut off when the next event is read, and the log.
    static CUT: RefCell<Option<(Wal, Lsn)>> = const { RefCell::new(None) };
}

/// When it is read, the end of the log is cut off.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "cutting")]
struct Cutting(
    #[serde(deserialize_with = "cutting")]
    #[wal(opaque = "cutting@1", wire = u32)]
    u32,
);

fn cutting<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    if let Some((wal, from)) = CUT.take() {
        wal.truncate_from(from).map_err(serde::de::Error::custom)?;
    }
    u32::deserialize(deserializer)
}

#[test]
fn a_batch_is_explained_although_a_schema_was_cut_off_while_it_was_appended() {
    let wal = wal();
    wal.append(b"kept").unwrap();
    let first = wal.append_typed(&Note("cut".to_owned())).unwrap();
    let mut batch = wal.batch();
    batch.push(&Note("a".to_owned())).unwrap();
    batch.push(&Cutting(1)).unwrap();
    CUT.set(Some((wal.clone(), first)));
    let lsns = batch.append().unwrap();
    assert!(CUT.take().is_none(), "it was cut");
    let schemas = wal.schemas().unwrap();
    for lsn in lsns {
        let value = wal.read(lsn).unwrap().to_value(&schemas);
        assert!(value.is_ok(), "{lsn}: {value:?}");
    }
    assert_eq!(wal.status().records, 3);
}
