//! Positions after the end of the log.

use wal_db::{Lsn, WalError};

use super::{KINDS, Log, followed, texts};

fn is_beyond<T>(what: wal_db::Result<T>, lsn: Lsn, end: Lsn) -> bool {
    match what {
        Err(WalError::BeyondEnd {
            lsn: said, end: last, ..
        }) => (said, last) == (lsn, end),
        _ => false,
    }
}

#[test]
fn a_position_after_the_end_is_refused() {
    for kind in KINDS {
        for reopened in [false, true] {
            let mut log = Log::of(kind, ["a", "b", "c"]);
            log = log.reopened_if(reopened);
            log.wal.append(b"staged").unwrap();
            let wal = &log.wal;
            let end = wal.end();
            for lsn in [1, 8, 1000, 1 << 40, (u64::MAX - 64) - end.get()] {
                let lsn = Lsn::new(end.get() + lsn);
                assert!(is_beyond(wal.iter_from(lsn), lsn, end), "{kind:?} {lsn}");
                assert!(is_beyond(wal.range(lsn..), lsn, end), "{kind:?} {lsn}");
                assert!(is_beyond(wal.tail(lsn), lsn, end), "{kind:?} {lsn}");
                assert!(is_beyond(wal.truncate_before(lsn), lsn, end), "{kind:?} {lsn}");
                assert!(is_beyond(wal.hold(lsn), lsn, end), "{kind:?} {lsn}");
                let cursor = wal.hold(Lsn::ZERO).unwrap();
                assert!(is_beyond(cursor.advance(lsn), lsn, end), "{kind:?} {lsn}");
                assert_eq!(cursor.lsn(), Lsn::ZERO);
            }
            assert_eq!(texts(wal.iter().unwrap()), ["a", "b", "c", "staged"], "{kind:?}");
            // The end of a range may be anywhere.
            assert_eq!(texts(wal.range(..Lsn::new(u64::MAX)).unwrap()).len(), 4);
        }
    }
}

#[test]
fn the_end_itself_is_a_position() {
    for kind in KINDS {
        for reopened in [false, true] {
            let mut log = Log::of(kind, ["a", "b", "c"]);
            let end = log.wal.end();
            log = log.reopened_if(reopened);
            let wal = &log.wal;
            assert_eq!(texts(wal.iter_from(end).unwrap()), [""; 0], "{kind:?}");
            let mut tail = wal.tail(end).unwrap();
            wal.hold(end).unwrap().advance(end).unwrap();
            log.put("d");
            assert_eq!(followed(&mut tail), ["d"], "{kind:?} {reopened}");
            log.wal.truncate_before(log.wal.end()).unwrap();
            assert_eq!(texts(log.wal.iter().unwrap()), [""; 0], "{kind:?}");
        }
    }
}
