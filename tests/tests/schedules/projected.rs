//! Projections: they are the fold of what is durable, and nobody who waits for that sleeps for ever.

use std::time::Duration;

use shuttle::thread;
use wal_db::{
    EventLog, MemStore, Wal, WalError,
    state::{At, Projection, State, StoreConfig},
};
use wal_tests::assert_is;

use super::{
    explore::{choose, explore, quiet},
    read::First,
};

/// What it was given, in order.
#[derive(Clone, Default)]
struct Ids(Vec<u64>);

impl State for Ids {
    type Event = First;

    fn apply(&mut self, event: First, _: At<'_>) {
        self.0.push(event.id);
    }
}

fn world() -> (EventLog<First>, Projection<Ids>) {
    let config = quiet().with_background_flush(choose(2) == 0);
    let wal = Wal::with_store_and_config(MemStore::new(), config).unwrap();
    let log = wal.typed().unwrap();
    for id in 0..choose(3) as u64 {
        log.append_and_sync(&First { id: 100 + id }).unwrap();
    }
    let projection = log.project(StoreConfig::new()).unwrap();
    (log, projection)
}

/// Appends events, and waits for each until it is in the state.
fn append(
    (log, projection): (&EventLog<First>, &Projection<Ids>),
    ids: std::ops::Range<u64>,
) -> thread::JoinHandle<Result<(), WalError>> {
    let (log, projection) = (log.clone(), projection.clone());
    thread::spawn(move || {
        for id in ids {
            let lsn = log.append_and_sync(&First { id })?;
            assert!(projection.wait_for(lsn, Duration::MAX)?);
            // It may have been cut off since.
            assert!(projection.read(|ids| ids.0.contains(&id))? || log.read(lsn).is_err());
        }
        Ok(())
    })
}

fn all(log: &EventLog<First>) -> Vec<u64> {
    let events = log.replay(..).unwrap();
    events.map(|event| event.unwrap().event.id).collect()
}

#[test]
fn threads_read_what_they_have_written() {
    explore(250, || {
        let (log, projection) = world();
        let appends = [
            append((&log, &projection), 0..2),
            append((&log, &projection), 2..4),
        ];
        for thread in appends {
            thread.join().unwrap().unwrap();
        }
        assert_eq!(projection.read(|ids| ids.0.clone()).unwrap(), all(&log));
        // The thread ends, wherever it is.
        drop(projection);
        log.append_and_sync(&First { id: 9 }).unwrap();
    });
}

#[test]
fn what_was_cut_off_goes_from_the_state() {
    explore(250, || {
        let (log, projection) = world();
        let kept = log.append_and_sync(&First { id: 50 }).unwrap();
        let appends = append((&log, &projection), 0..3);
        let cut = {
            let log = log.clone();
            thread::spawn(move || log.wal().truncate_after(kept).unwrap())
        };
        cut.join().unwrap();
        appends.join().unwrap().unwrap();
        let last = log.append_and_sync(&First { id: 51 }).unwrap();
        assert!(projection.wait_for(last, Duration::MAX).unwrap());
        assert_eq!(projection.read(|ids| ids.0.clone()).unwrap(), all(&log));
    });
}

#[test]
fn a_close_ends_waits_and_the_thread() {
    explore(250, || {
        let (log, projection) = world();
        let appends = append((&log, &projection), 0..3);
        let waits = {
            let (log, projection) = (log.clone(), projection.clone());
            thread::spawn(move || {
                // Nobody makes it durable but the close.
                let lsn = log.append(&First { id: 7 })?;
                projection.wait_for(lsn, Duration::MAX).map(|_| ())
            })
        };
        let closing = log.wal().clone();
        thread::spawn(move || closing.close().unwrap()).join().unwrap();
        for ended in [appends.join().unwrap(), waits.join().unwrap()] {
            if let Err(error) = ended {
                assert_is!(error, WalError::Closed);
            }
        }
        let seen = projection.peek(|ids| ids.0.clone()).unwrap();
        let mut once = seen.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), seen.len(), "{seen:?}");
    });
}
