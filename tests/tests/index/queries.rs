//! What is selected is what a scan of the whole log finds, whatever was appended, cut off and dropped.

use std::ops::Bound;

use wal_db::{
    EventLog, Lsn, MemStore, Meta, Wal, WalError, WalStore,
    event::TypedError,
    index::{IndexConfig, Indexed, Item, Query},
    state::{At, Decision, Model, State, TransactError},
    store::SideFiles,
};
use wal_tests::random::Rng;

use super::{Thing, any_event, any_query, indexed, log_in_memory, made};

/// A log in memory, and its index with runs of any size.
struct World {
    memory: MemStore,
    run_bytes: u64,
    log: EventLog<Thing>,
    index: Indexed<Thing>,
}

impl World {
    fn new(memory: MemStore, run_bytes: u64) -> World {
        let wal = Wal::with_store_and_config(memory.clone(), wal_tests::quiet_heap()).unwrap();
        let log = wal.typed().unwrap();
        let config = IndexConfig::new().with_run_bytes(run_bytes);
        let index = log.indexed_with(config).unwrap();
        World {
            memory,
            run_bytes,
            log,
            index,
        }
    }

    /// Indexes the log again, after what may have become of the files of the index.
    fn again(self, rng: &mut Rng) -> World {
        let World {
            memory,
            run_bytes,
            log,
            index,
        } = self;
        drop((index, log));
        let files = memory.side_files().unwrap();
        for name in files.list().unwrap() {
            match rng.below(8) {
                0 => files.remove(&name).unwrap(),
                1 | 2 => {
                    let mut bytes = bytes_of(&*files, &name);
                    let at = rng.below(bytes.len());
                    match rng.below(3) {
                        0 => bytes.truncate(at),
                        _ => bytes[at] ^= 1 << rng.below(8),
                    }
                    files.remove(&name).unwrap();
                    files.create(&name, &mut &*bytes).unwrap();
                }
                _ => {}
            }
        }
        World::new(memory, run_bytes)
    }

    /// A decision, once or again, comes to an end and knows every event of its query.
    fn decide(&self, rng: &mut Rng) {
        let asked = any_query(rng);
        let expected = asked.scan(self.log.wal());
        let seen = Seen {
            query: asked.query,
            lsns: Vec::new(),
        };
        let id = [rng.below(6) as u8; 16];
        let was = self.log.replay(..).unwrap().among_others();
        let was = was
            .map(Result::unwrap)
            .find(|event| event.meta.command_id() == Some(id));
        let (event, meta) = any_event(rng);
        let decided = self.index.decide_once(id, seen, |seen, _| {
            Ok::<_, &str>(Decision::new(seen.lsns.clone()).event_with_meta(event.clone(), meta.clone()))
        });
        match (decided, was) {
            (Ok(decided), None) => assert_eq!(decided.value, expected),
            (Err(TransactError::Wal(WalError::Duplicate { lsn, .. })), Some(was)) => assert_eq!(lsn, was.lsn),
            other => panic!("{other:?}"),
        }
    }

    fn check(&self, rng: &mut Rng) {
        let asked = any_query(rng);
        let expected = asked.scan(self.log.wal());
        let selected = self.index.select(&asked.query, ..).unwrap();
        let next = selected.next_lsn();
        let lsns: Vec<Lsn> = selected.map(|event| event.unwrap().lsn).collect();
        assert_eq!(lsns, expected, "{}", asked.query);
        assert_eq!(self.index.newest(&asked.query).unwrap(), expected.last().copied());
        assert!(expected.last().is_none_or(|last| *last < next));
        let (Some(from), Some(last)) = (expected.get(expected.len() / 2), expected.last()) else {
            return;
        };
        let part = self.index.select(&asked.query, *from..next).unwrap();
        let lsns: Vec<Lsn> = part.map(|event| event.unwrap().lsn).collect();
        assert_eq!(lsns, expected[expected.len() / 2..], "{}", asked.query);
        let after = (Bound::Excluded(*from), Bound::Included(*last));
        let part = self.index.select(&asked.query, after).unwrap();
        assert_eq!(
            part.count(),
            expected.len() - expected.len() / 2 - 1,
            "{}",
            asked.query
        );
    }
}

/// Which events it was given.
struct Seen {
    query: Query,
    lsns: Vec<Lsn>,
}

impl State for Seen {
    type Event = Thing;

    fn apply(&mut self, _: Thing, at: At) {
        self.lsns.push(at.lsn);
    }
}

impl Model for Seen {
    fn query(&self) -> Query {
        self.query.clone()
    }
}

fn bytes_of(files: &dyn SideFiles, name: &str) -> Vec<u8> {
    let file = files.open(name).unwrap();
    let mut bytes = vec![0; file.size_bytes().unwrap() as usize];
    assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

#[test]
fn what_is_selected_is_what_a_scan_finds() {
    let mut runs = 0;
    for seed in 0..25 {
        let mut rng = Rng::new(seed);
        let memory = MemStore::new();
        let run_bytes = [0, 1, 300, 2_000, 50_000, 1 << 30][rng.below(6)];
        {
            // Some of it is there before the index is.
            let wal = Wal::with_store_and_config(memory.clone(), wal_tests::quiet_heap()).unwrap();
            let log = wal.typed().unwrap();
            for _ in 0..rng.below(40) {
                append(&log, &mut rng);
            }
        }
        let mut world = World::new(memory, run_bytes);
        for _ in 0..60 {
            match rng.below(14) {
                0 => {
                    let _ = world.log.wal().append(b"no event").unwrap();
                }
                1 => {
                    cut_off(&world.log, &mut rng);
                    // Before anything comes instead.
                    world.decide(&mut rng);
                }
                2 => drop_some(&world.log, &mut rng),
                3 | 4 => {
                    world = world.again(&mut rng);
                    runs += world.index.status().unwrap().runs;
                }
                5 => world.decide(&mut rng),
                _ => append(&world.log, &mut rng),
            }
            world.check(&mut rng);
        }
    }
    assert!(runs > 100, "{runs}");
}

fn append(log: &EventLog<Thing>, rng: &mut Rng) {
    match rng.below(5) {
        0 => {
            let batch: Vec<_> = (0..=rng.below(4)).map(|_| any_event(rng)).collect();
            let _ = log.append_batch_with_meta(&batch).unwrap();
        }
        1 => {
            let mut batch = log.wal().batch();
            let (first, meta) = any_event(rng);
            let (second, _) = any_event(rng);
            batch
                .push_with_meta(&first, &meta)
                .unwrap()
                .push(&second)
                .unwrap();
            let _ = batch.append().unwrap();
        }
        _ => {
            let (event, meta) = any_event(rng);
            let _ = log.append_with_meta(&event, &meta).unwrap();
        }
    }
}

fn lsns(log: &EventLog<Thing>) -> Vec<Lsn> {
    log.wal()
        .iter()
        .unwrap()
        .map(|record| record.unwrap().lsn())
        .collect()
}

fn cut_off(log: &EventLog<Thing>, rng: &mut Rng) {
    let records: Vec<_> = log
        .replay(..)
        .unwrap()
        .among_others()
        .map(|event| event.unwrap().lsn)
        .collect();
    if let Some(last) = records.len().checked_sub(1 + rng.below(4)) {
        log.wal().truncate_after(records[last]).unwrap();
    }
}

fn drop_some(log: &EventLog<Thing>, rng: &mut Rng) {
    let lsns = lsns(log);
    if let Some(lsn) = lsns.get(rng.below(4)) {
        let _ = log.wal().truncate_before(*lsn).unwrap();
    }
}

#[test]
fn a_stream_is_read_without_the_others() {
    let log = indexed();
    for number in 0..100 {
        let meta = Meta::new().with_stream(number % 10);
        let _ = log.log().append_with_meta(&made(number), &meta).unwrap();
    }
    let numbers = |stream: u64| {
        let events = log.stream(stream).unwrap();
        let events: Vec<Thing> = events.map(|event| event.unwrap().event).collect();
        events
    };
    assert_eq!(numbers(3), (0..10).map(|i| made(10 * i + 3)).collect::<Vec<_>>());
    assert_eq!(numbers(10), []);
    // A number is no text.
    assert_eq!(log.stream("3").unwrap().count(), 0);
}

#[test]
fn a_type_that_the_events_do_not_have_is_an_error() {
    let log = indexed();
    let error = log.select(Item::of(["thing.mode"]), ..).unwrap_err();
    assert!(
        matches!(&error, WalError::Typed(TypedError::NoSuchType { name, .. }) if name == "thing.mode"),
        "{error}"
    );
    assert!(error.to_string().contains("thing.made"), "{error}");
}

#[test]
fn what_was_dropped_from_the_beginning_cannot_be_selected_from() {
    let log = indexed();
    let lsns = log.log().append_batch(&[made(1), made(2), made(3)]).unwrap();
    let _ = log.log().wal().truncate_before(lsns[1]).unwrap();
    let error = log.select(Item::any(), lsns[0]..).unwrap_err();
    assert!(matches!(error, WalError::Truncated { .. }), "{error}");
    assert_eq!(log.select(Item::any(), ..).unwrap().count(), 2);
}

#[test]
fn all_handles_of_a_log_share_an_index() {
    let log = log_in_memory();
    let first = log.indexed().unwrap();
    let second = log.indexed().unwrap();
    let lsn = log
        .append_with_meta(&made(1), &Meta::new().with_tag("a"))
        .unwrap();
    drop(first);
    assert_eq!(second.newest(Item::any().tag("a")).unwrap(), Some(lsn));
    drop(second);
    // It was gone meanwhile.
    let lsn = log
        .append_with_meta(&made(2), &Meta::new().with_tag("a"))
        .unwrap();
    let third = log.indexed().unwrap();
    assert_eq!(third.newest(Item::any().tag("a")).unwrap(), Some(lsn));
    assert_eq!(third.select(Item::any().tag("a"), ..).unwrap().count(), 2);
}
