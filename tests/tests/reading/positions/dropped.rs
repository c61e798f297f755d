//! Positions and what was dropped from the beginning.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use wal_db::{Lsn, MemStore, Retention, Start, Wal, WalError};
use wal_tests::{
    files::SEGMENT,
    quiet_heap,
    scripted::{Op, Scripted},
};

use super::{KINDS, Log, followed, texts};

fn is_truncated<T>(what: wal_db::Result<T>, head: Lsn) -> bool {
    match what {
        Err(WalError::Truncated { head: said, .. }) => said == head,
        _ => false,
    }
}

#[test]
fn a_position_that_was_dropped_is_refused() {
    for kind in KINDS {
        for reopened in [false, true] {
            let mut log = Log::new(kind);
            let lsns: Vec<Lsn> = ["a", "b", "c", "d"].iter().map(|text| log.put(text)).collect();
            let head = log.wal.truncate_before(lsns[2]).unwrap();
            log = log.reopened_if(reopened);
            let wal = &log.wal;
            for lsn in [Lsn::ZERO, lsns[0], lsns[1]] {
                assert!(
                    is_truncated(wal.iter_from(lsn), head),
                    "{kind:?} {reopened} {lsn}"
                );
                assert!(is_truncated(wal.range(lsn..lsns[3]), head), "{kind:?} {lsn}");
                assert!(is_truncated(wal.range(lsn..=lsn), head), "{kind:?} {lsn}");
                assert!(is_truncated(wal.tail(lsn), head), "{kind:?} {lsn}");
                assert!(is_truncated(wal.hold(lsn), head), "{kind:?} {lsn}");
            }
            // By its number it is as gone.
            assert!(is_truncated(wal.iter_from(Start::Ordinal(1)), head), "{kind:?}");
            assert!(is_truncated(wal.read_ordinal(1), head), "{kind:?}");
            assert_eq!(texts(wal.read_ordinal(2).unwrap().map(Ok)), ["c"]);
            assert_eq!(texts(wal.iter_from(Start::Ordinal(3)).unwrap()), ["d"]);
            assert_eq!(texts(wal.iter().unwrap()), ["c", "d"]);
            assert_eq!(followed(&mut wal.tail(Start::Head).unwrap()), ["c", "d"]);
            // To drop once more what is gone is done already.
            assert_eq!(wal.truncate_before(lsns[1]).unwrap(), head);
            assert_eq!(texts(wal.range(..=lsns[2]).unwrap()), ["c"]);
            assert_eq!(texts(wal.iter_from(wal.status().head).unwrap()), ["c", "d"]);
            assert_eq!(followed(&mut wal.tail(wal.status().head).unwrap()), ["c", "d"]);
            // After "b" nothing is missing.
            let after = (std::ops::Bound::Excluded(lsns[1]), std::ops::Bound::Unbounded);
            assert_eq!(texts(wal.range(after).unwrap()), ["c", "d"]);
        }
    }
}

#[test]
fn a_follower_that_missed_nothing_goes_on_after_a_retention() {
    for kind in KINDS {
        for reopened in [false, true] {
            let mut log = Log::of(kind, ["a", "b", "c"]);
            let mut tail = log.wal.tail(Lsn::ZERO).unwrap();
            assert_eq!(followed(&mut tail), ["a", "b", "c"]);
            let stored = tail.next_lsn();
            log.wal.retain(&Retention::new().with_max_bytes(0)).unwrap();
            assert_eq!(texts(log.wal.iter().unwrap()), [""; 0]);
            if reopened {
                drop(tail);
                log = log.reopened();
            } else {
                assert_eq!(followed(&mut tail), [""; 0], "{kind:?}");
            }
            log.put("d");
            let mut later = log.wal.tail(stored).unwrap();
            assert_eq!(followed(&mut later), ["d"], "{kind:?} {reopened}");
            assert_eq!(texts(log.wal.iter_from(stored).unwrap()), ["d"], "{kind:?}");
        }
    }
}

#[test]
fn a_follower_that_missed_nothing_goes_on_whatever_lies_before_the_head() {
    for kind in KINDS {
        let log = Log::new(kind);
        log.put("a");
        let mut tail = log.wal.tail(Lsn::ZERO).unwrap();
        assert_eq!(followed(&mut tail), ["a"]);
        let b = log.put("b");
        log.wal.truncate_before(b).unwrap();
        assert_eq!(followed(&mut tail), ["b"], "{kind:?}");
        // A group without a record lies between.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            log.wal
                .append_in_place(8, |_| std::panic::resume_unwind(Box::new(())))
        }));
        log.wal.sync().unwrap();
        let c = log.put("c");
        log.wal.truncate_before(c).unwrap();
        assert_eq!(followed(&mut tail), ["c"], "{kind:?}");
        // And here a cut.
        log.put("d");
        log.wal.truncate_after(c).unwrap();
        let e = log.put("e");
        log.wal.truncate_before(e).unwrap();
        assert_eq!(followed(&mut tail), ["e"], "{kind:?}");
    }
}

/// The group that the follower begins with goes while it looks for what comes after it.
#[test]
fn a_follower_that_has_read_what_is_dropped_meanwhile_goes_on() {
    let cut: Arc<OnceLock<(Wal, Lsn)>> = Arc::default();
    let is_armed = Arc::new(AtomicBool::new(false));
    let script = (cut.clone(), is_armed.clone());
    let mut store = Scripted::new(MemStore::new(), move |_, call| {
        let (cut, is_armed) = &script;
        if call.op == Op::Read && is_armed.swap(false, Ordering::Relaxed) {
            let (wal, head) = cut.get().unwrap();
            wal.truncate_before(*head).unwrap();
        }
        Ok(None)
    });
    store.segment_len = Some(SEGMENT);
    let wal = Wal::with_store_and_config(store, quiet_heap()).unwrap();
    let lsns = ["a", "b"].map(|text| wal.append_and_sync(text.as_bytes()).unwrap());
    assert!(cut.set((wal.clone(), lsns[1])).is_ok());
    let mut tail = wal.tail(Start::Head).unwrap();
    assert_eq!(texts(tail.try_next().unwrap().map(Ok)), ["a"]);
    let mut later = wal.tail(tail.next_lsn()).unwrap();
    is_armed.store(true, Ordering::Relaxed);
    assert_eq!(followed(&mut later), ["b"]);
    assert_eq!(wal.status().head, lsns[1]);
}
