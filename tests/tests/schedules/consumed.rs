//! Consumers: events are handled in order and once, and nobody who waits for that sleeps for ever.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use shuttle::thread;
use wal_db::{
    EventLog, Lsn, MemStore, Start, Wal, WalError,
    consumer::{Consumer, ConsumerConfig, Poison, Waited},
};
use wal_tests::assert_is;

use super::{
    explore::{choose, explore, quiet},
    read::First,
};

/// A log in memory and its consumer, which cannot handle one event.
#[derive(Clone)]
struct World {
    log: EventLog<First>,
    consumer: Consumer<First>,
    poison: Poison,
    bad: u64,
    handled: Arc<Mutex<Vec<u64>>>,
}

impl World {
    fn new() -> World {
        let config = quiet().with_background_flush(choose(2) == 0);
        let wal = Wal::with_store_and_config(MemStore::new(), config).unwrap();
        let log = wal.typed().unwrap();
        let poison = [Poison::Park, Poison::Skip][choose(2)];
        let config = ConsumerConfig::new()
            .with_start(Start::Head)
            .with_backoff(Duration::ZERO, Duration::ZERO);
        let config = config.with_attempts(1 + choose(2) as u32).with_poison(poison);
        World {
            consumer: log.consumer("c", config).unwrap(),
            log,
            poison,
            bad: choose(8) as u64,
            handled: Arc::default(),
        }
    }

    fn run(&self, is_bad: impl Fn(u64) -> bool) -> Result<(), WalError> {
        self.consumer.run(|event, _| match event.event.id {
            id if is_bad(id) => Err("bad".into()),
            id => {
                self.handled.lock().unwrap().push(id);
                Ok(())
            }
        })
    }

    fn start(&self) -> thread::JoinHandle<Result<(), WalError>> {
        let world = self.clone();
        thread::spawn(move || world.run(|id| id == world.bad))
    }

    fn was_handled(&self, id: u64) -> bool {
        self.handled.lock().unwrap().contains(&id)
    }

    /// Appends events, and waits for each until it was handled.
    fn append(&self, ids: std::ops::Range<u64>) -> thread::JoinHandle<()> {
        let world = self.clone();
        thread::spawn(move || {
            for id in ids {
                let waited = world.log.append_and_sync(&First { id }).and_then(|lsn| {
                    let waited = world.consumer.wait_for(lsn, Duration::MAX)?;
                    Ok((lsn, waited))
                });
                match waited {
                    Ok((_, Waited::Reached)) => assert!(world.was_handled(id) || id == world.bad),
                    Ok((lsn, Waited::Parked { lsn: first })) => {
                        assert!(first <= lsn && !world.was_handled(id) && world.poison == Poison::Park);
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => assert_is!(error, WalError::Closed),
                }
            }
        })
    }

    /// The events in the order of the log.
    fn all(&self) -> Vec<(Lsn, u64)> {
        let events = self.log.replay(..).unwrap().map(|event| event.unwrap());
        events.map(|event| (event.lsn, event.event.id)).collect()
    }

    /// What is handled if nothing is tried again.
    fn expected(&self) -> Vec<u64> {
        let ids = self.all().into_iter().map(|(_, id)| id);
        match self.poison {
            Poison::Park => ids.take_while(|id| *id != self.bad).collect(),
            _ => ids.filter(|id| *id != self.bad).collect(),
        }
    }
}

#[test]
fn events_are_handled_in_order_and_every_wait_ends() {
    explore(250, || {
        let world = World::new();
        let run = world.start();
        let appends = [world.append(0..3), world.append(3..6)];
        let pauses = {
            let world = world.clone();
            thread::spawn(move || {
                world.consumer.pause().unwrap();
                world.consumer.resume().unwrap();
            })
        };
        for thread in appends {
            thread.join().unwrap();
        }
        pauses.join().unwrap();
        world.consumer.stop();
        run.join().unwrap().unwrap();
        assert_eq!(*world.handled.lock().unwrap(), world.expected());

        // What waits is handled after all, in the order of the log.
        let all = world.all();
        for letter in world.consumer.parked().unwrap() {
            world.consumer.retry(letter.lsn).unwrap();
        }
        let waits = {
            let (world, last) = (world.clone(), all[all.len() - 1].0);
            thread::spawn(move || {
                while world.consumer.wait_for(last, Duration::MAX).unwrap() != Waited::Reached {
                    thread::yield_now();
                }
                world.consumer.stop();
            })
        };
        world.run(|_| false).unwrap();
        waits.join().unwrap();
        let is_kept = |id: &u64| world.poison == Poison::Park || *id != world.bad;
        let expected: Vec<u64> = all.into_iter().map(|(_, id)| id).filter(is_kept).collect();
        assert_eq!(*world.handled.lock().unwrap(), expected);
    });
}

#[test]
fn a_consumer_that_is_taken_back_handles_what_comes_after_the_place_once_more() {
    explore(250, || {
        let world = World::new();
        let run = world.start();
        let appends = world.append(0..3);
        let moves = {
            let world = world.clone();
            thread::spawn(move || world.consumer.rewind(Start::Head).unwrap())
        };
        appends.join().unwrap();
        moves.join().unwrap();
        let last = world.all().last().copied().unwrap();
        world.consumer.wait_for(last.0, Duration::MAX).unwrap();
        world.consumer.stop();
        run.join().unwrap().unwrap();
        // Some, and then all from the beginning on.
        let (handled, expected) = (world.handled.lock().unwrap().clone(), world.expected());
        assert!(handled.ends_with(&expected), "{handled:?} and not {expected:?}");
        let first = &handled[..handled.len() - expected.len()];
        assert!(expected.starts_with(first), "{handled:?} and not {expected:?}");
    });
}

#[test]
fn a_close_ends_runs_and_waits() {
    explore(250, || {
        let world = World::new();
        let run = world.start();
        let appends = [world.append(0..2), world.append(2..4)];
        let pauses = {
            let world = world.clone();
            let is_paused = choose(2) == 0;
            thread::spawn(move || {
                if is_paused && let Err(error) = world.consumer.pause() {
                    assert_is!(error, WalError::Closed);
                }
                world.log.wal().clone().close().unwrap();
            })
        };
        pauses.join().unwrap();
        for thread in appends {
            thread.join().unwrap();
        }
        if let Err(error) = run.join().unwrap() {
            assert_is!(error, WalError::Closed);
        }
        let handled = world.handled.lock().unwrap().clone();
        let mut once = handled.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), handled.len(), "{handled:?}");
    });
}
