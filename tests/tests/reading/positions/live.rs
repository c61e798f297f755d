//! A state of a log which is cut at either end: it is never the fold of something else.

use serde::{Deserialize, Serialize};
use wal_db::{
    Lsn, Retention, WalError, WalRecord,
    state::{At, State, StoreConfig},
};
use wal_tests::assert_is;

use super::{KINDS, Log};

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "deposited")]
struct Deposited(u64);

#[derive(Debug, Default)]
struct Balance(u64);

impl State for Balance {
    type Event = Deposited;

    fn apply(&mut self, event: Deposited, _: At) {
        self.0 += event.0;
    }
}

#[test]
fn a_state_whose_events_were_cut_off_is_folded_again() {
    for kind in KINDS {
        let Log { wal, dir: _dir, .. } = Log::new(kind);
        let log = wal.typed::<Deposited>().unwrap();
        let store = log.store::<Balance>(StoreConfig::new()).unwrap();
        let kept = store.commit(Deposited(1)).unwrap();
        store.commit(Deposited(300)).unwrap();
        wal.truncate_after(kept).unwrap();
        assert_eq!(store.read(|balance| balance.0).unwrap(), 1, "{kind:?}");
        log.append_and_sync(&Deposited(100)).unwrap();
        store.commit(Deposited(7)).unwrap();
        assert_eq!(store.read(|balance| balance.0).unwrap(), 108, "{kind:?}");
        assert_eq!(log.rebuild::<Balance>().unwrap().state.0, 108, "{kind:?}");
    }
}

#[test]
fn a_cut_of_what_a_state_has_not_seen_does_not_concern_it() {
    for kind in KINDS {
        let Log { wal, dir: _dir, .. } = Log::new(kind);
        let log = wal.typed::<Deposited>().unwrap();
        let store = log.store::<Balance>(StoreConfig::new()).unwrap();
        let kept = store.commit(Deposited(1)).unwrap();
        log.append_and_sync(&Deposited(300)).unwrap();
        wal.truncate_after(kept).unwrap();
        log.append_and_sync(&Deposited(100)).unwrap();
        assert_eq!(store.read(|balance| balance.0).unwrap(), 101, "{kind:?}");
    }
}

#[test]
fn a_state_that_missed_dropped_events_says_so_and_none_is_made_of_the_rest() {
    for kind in KINDS {
        let Log { wal, dir: _dir, .. } = Log::new(kind);
        let log = wal.typed::<Deposited>().unwrap();
        let store = log.store::<Balance>(StoreConfig::new()).unwrap();
        store.commit(Deposited(1)).unwrap();
        log.append_and_sync(&Deposited(2)).unwrap();
        wal.retain(&Retention::new().with_max_bytes(0)).unwrap();
        log.append_and_sync(&Deposited(4)).unwrap();
        assert_is!(store.read(|_| ()), Err(WalError::Truncated { .. }), "{kind:?}");
        match log.rebuild::<Balance>() {
            Err(WalError::Truncated { lsn, head, .. }) => {
                assert_eq!((lsn, head), (Lsn::ZERO, wal.status().head), "{kind:?}");
            }
            rebuilt => panic!("{kind:?}: the balance of half a history: {rebuilt:?}"),
        }
    }
}
