//! Appends that never wait.

use serde::{Deserialize, Serialize};
use wal_db::{
    Meta, Staging, Wal, WalConfig, WalError, WalRecord,
    state::{At, Decision, State, StoreConfig},
};
use wal_tests::{
    assert_is,
    disk::{Disk, Op, busy_heap, open},
    quiet_heap, within,
};

fn wal() -> Wal {
    open(&Disk::new(), quiet_heap())
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "tried")]
struct Tried(u64);

fn data(wal: &Wal) -> Vec<Vec<u8>> {
    let records = wal.iter().unwrap().map(|record| record.unwrap());
    records.map(|record| record.data().to_vec()).collect()
}

#[test]
fn what_is_taken_at_once_is_there_in_order() {
    let wal = wal();
    let first = wal.try_append(b"first").unwrap();
    let second = wal.append(b"second").unwrap();
    let third = wal.try_append(b"third").unwrap();
    assert!(first < second && second < third);
    wal.ticket(third).unwrap().wait().unwrap();
    assert_eq!(data(&wal), [&b"first"[..], b"second", b"third"]);
    wal.clone().close().unwrap();
    assert_is!(wal.try_append(b"x"), Err(WalError::Closed));
}

/// The flusher is held in the middle of a flush, and everything else is full by then.
#[test]
fn a_full_ring_is_busy_and_roomy_again_after_the_flush() {
    within("an append that must not wait", || {
        let disk = Disk::new();
        let wal = open(&disk, busy_heap());
        disk.hold(Op::Write);
        let mut taken = 0u64;
        let busy = loop {
            match wal.try_append(&[7; 1000]) {
                Ok(_) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 100_000, "it is never full");
        };
        assert_is!(busy, WalError::Busy { .. });
        assert_eq!(std::io::Error::from(busy).kind(), std::io::ErrorKind::WouldBlock);
        assert_is!(wal.try_append(&[7; 1000]), Err(WalError::Busy { .. }));
        disk.let_go();
        while let Err(error) = wal.try_append(&[8; 1000]) {
            assert_is!(error, WalError::Busy { .. });
            std::thread::yield_now();
        }
        wal.sync().unwrap();
        assert_eq!(data(&wal).len() as u64, taken + 1);
    });
}

#[test]
fn what_does_not_go_through_staging_memory_is_busy() {
    let wal = wal();
    assert_is!(wal.try_append(&[0; 70_000]), Err(WalError::Busy { .. }));
    let config = quiet_heap().with_staging(Staging::WriteThrough);
    let through = open(&Disk::new(), config);
    assert_is!(through.try_append(b"x"), Err(WalError::Busy { .. }));
    assert!(data(&wal).is_empty() && data(&through).is_empty());
    let small = open(&Disk::new(), WalConfig::new().with_max_record_size(10));
    assert_is!(small.try_append(&[0; 11]), Err(WalError::RecordTooLarge { .. }));
}

#[test]
fn the_first_event_of_a_type_is_busy() {
    let log = wal().typed::<Tried>().unwrap();
    let meta = Meta::new().with_stream("s");
    assert_is!(log.try_append(&Tried(0)), Err(WalError::Busy { .. }));
    assert_is!(
        log.try_append_with_meta(&Tried(0), &meta),
        Err(WalError::Busy { .. })
    );
    log.append(&Tried(0)).unwrap();
    log.try_append(&Tried(1)).unwrap();
    log.try_append_with_meta(&Tried(2), &meta).unwrap();
    let events: Vec<_> = log
        .replay(..)
        .unwrap()
        .map(|event| event.unwrap().event)
        .collect();
    assert_eq!(events, [0, 1, 2].map(Tried));
}

#[derive(Default)]
struct Sum(u64);

impl State for Sum {
    type Event = Tried;

    fn apply(&mut self, event: Tried, _: At<'_>) {
        self.0 += event.0;
    }
}

/// A log with a store counts what is appended, one after another.
#[test]
fn beside_a_store_it_is_seen_by_the_next_decision() {
    let log = wal().typed::<Tried>().unwrap();
    let store = log.store::<Sum>(StoreConfig::new()).unwrap();
    store.commit(Tried(1)).unwrap();
    log.try_append(&Tried(10)).unwrap();
    assert_eq!(store.peek(|sum| sum.0).unwrap(), 11);
    let mut inside = None;
    let decided = store.transact(|sum, _| {
        inside = Some(log.try_append(&Tried(100)));
        Ok::<_, ()>(Decision::new(sum.0).event(Tried(1000)))
    });
    assert_is!(inside, Some(Err(WalError::Reentrant)));
    assert_eq!(decided.unwrap().value, 11);

    // Another thread is in a decision.
    let (in_it, goes_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            store.transact(|_, _| {
                in_it.wait();
                goes_on.wait();
                Err::<Decision<_>, ()>(())
            })
        });
        in_it.wait();
        assert_is!(log.try_append(&Tried(1)), Err(WalError::Busy { .. }));
        goes_on.wait();
    });
    log.try_append(&Tried(1)).unwrap();
    assert_eq!(store.peek(|sum| sum.0).unwrap(), 1012);
}
