//! A replay whose events several threads decode is the same as one without threads.

use std::{
    collections::BTreeSet,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
    thread,
};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, MemStore, Meta, Replay, Wal, WalConfig, WalError, WalRecord,
    event::{Retired, TypedError, Unreadable},
};
use wal_tests::{
    random::Rng,
    scale,
    scripted::{Op, Scripted},
    wal,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shelf")]
enum Shelf {
    Filled {
        place: u32,
        what: String,
    },
    #[wal(version = 2, from = MovedV1, split = both_ends)]
    Counted {
        place: u8,
        by: i32,
    },
    #[wal(version = 2, from = PricedV1)]
    Priced {
        cents: i64,
    },
    #[wal(retired)]
    Painted(Retired),
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "shelf.counted")]
struct MovedV1 {
    from: u8,
    to: u8,
    count: i32,
}

/// What did not move is no event any more.
fn both_ends(old: MovedV1) -> Vec<Shelf> {
    let counted = |place, by| Shelf::Counted { place, by };
    match old.count {
        0 => Vec::new(),
        i32::MAX => panic!("too many"),
        count => vec![counted(old.from, -count), counted(old.to, count)],
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "shelf.priced")]
struct PricedV1 {
    euros: u32,
}

impl TryFrom<PricedV1> for Shelf {
    type Error = String;

    fn try_from(PricedV1 { euros }: PricedV1) -> Result<Self, String> {
        match euros {
            u32::MAX => Err("nobody pays that".to_owned()),
            _ => Ok(Shelf::Priced {
                cents: i64::from(euros) * 100,
            }),
        }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "shelf.painted")]
struct PaintedV1(u8);

/// Of the next release.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "shelf.filled", version = 3, since = 3)]
struct FilledV3(u64);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "elsewhere")]
struct Foreign(u16);

fn filled(place: u32, len: usize) -> Shelf {
    let what = "tea".repeat(len / 3);
    Shelf::Filled { place, what }
}

/// What is written by releases that differ.
struct Writers {
    wal: Wal,
    shelves: EventLog<Shelf>,
    moved: EventLog<MovedV1>,
    priced: EventLog<PricedV1>,
    painted: EventLog<PaintedV1>,
    foreign: EventLog<Foreign>,
    newer: EventLog<FilledV3>,
}

impl Writers {
    fn new() -> Writers {
        Writers::of(wal())
    }

    /// Of an empty log: it cannot be opened as one of old events when there are newer ones.
    fn of(wal: Wal) -> Writers {
        Writers {
            shelves: wal.typed().unwrap(),
            moved: wal.typed().unwrap(),
            priced: wal.typed().unwrap(),
            painted: wal.typed().unwrap(),
            foreign: wal.typed().unwrap(),
            newer: wal.typed().unwrap(),
            wal,
        }
    }

    /// Appends so many records, of which so many in a thousand cannot be read; where they are.
    fn fill(&self, seed: u64, count: usize, unreadable: usize) -> Vec<Lsn> {
        let Writers {
            wal,
            shelves,
            moved,
            priced,
            painted,
            foreign,
            newer,
        } = self;
        let mut rng = Rng::new(seed);
        let mut lsns = Vec::new();
        while lsns.len() < count {
            let mut meta = Meta::new();
            if rng.below(2) == 0 {
                meta = meta.with_stream(rng.below(3) as u64).with_tag("red");
            }
            let number = rng.below(1000);
            let lsn = match (number < unreadable, number % 8) {
                (true, 0..3) => foreign.append_with_meta(&Foreign(1), &meta),
                (true, 3..5) => newer.append_with_meta(&FilledV3(2), &meta),
                (true, 5 | 6) => priced.append_with_meta(&PricedV1 { euros: u32::MAX }, &meta),
                (true, _) => wal.append(b"plain"),
                (false, 0) => {
                    let (from, to, count) = (1, 2, rng.below(4) as i32);
                    moved.append_with_meta(&MovedV1 { from, to, count }, &meta)
                }
                (false, 1) => priced.append_with_meta(&PricedV1 { euros: 3 }, &meta),
                (false, 2) => painted.append_with_meta(&PaintedV1(4), &meta),
                (false, 3) => {
                    let batch = [0, 1].map(|place| (filled(place, 3), meta.clone()));
                    lsns.extend(shelves.append_batch_with_meta(&batch).unwrap());
                    continue;
                }
                (false, _) => shelves.append_with_meta(&filled(lsns.len() as u32, rng.below(300)), &meta),
            };
            lsns.push(lsn.unwrap());
        }
        lsns
    }

    /// Appends an event that cannot be read, because its conversion panics.
    fn append_one_that_panics(&self) {
        let too_many = MovedV1 {
            from: 1,
            to: 2,
            count: i32::MAX,
        };
        self.moved.append(&too_many).unwrap();
    }
}

/// One is the plain replay.
fn assert_same(mut plain: Replay<Shelf>, mut ahead: Replay<Shelf>, what: &str) {
    for item in 0.. {
        let next = |replay: &mut Replay<Shelf>| {
            let next = catch_unwind(AssertUnwindSafe(|| replay.next()));
            next.map_err(|panic| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        };
        let what = format!("{what}, item {item}");
        let (expected, found) = (next(&mut plain), next(&mut ahead));
        match (&expected, &found) {
            (Ok(Some(Ok(expected))), Ok(Some(Ok(found)))) => assert_eq!(found, expected, "{what}"),
            _ => assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{what}"),
        }
        assert_eq!(ahead.skipped(), plain.skipped(), "{what}");
        assert_eq!(ahead.ahead(), plain.ahead(), "{what}");
        assert_eq!(format!("{ahead:?}"), format!("{plain:?}"), "{what}");
        if item % 64 == 0 || !matches!(expected, Ok(Some(Ok(_)))) {
            let collected = |replay: &mut Replay<Shelf>| format!("{:?}", replay.take_collected());
            assert_eq!(collected(&mut ahead), collected(&mut plain), "{what}");
        }
        if matches!(expected, Ok(None)) {
            return;
        }
    }
}

/// What a program may say of a replay.
fn configured(replay: Replay<Shelf>, filter: usize, policy: Unreadable) -> Replay<Shelf> {
    let replay = replay.on_unreadable(policy);
    match filter {
        0 => replay,
        1 => replay.among_others(),
        2 => replay.stream(1),
        3 => replay.tagged("red"),
        _ => replay.stream(2).tagged("red").among_others(),
    }
}

const POLICIES: [Unreadable; 3] = [Unreadable::Error, Unreadable::Skip, Unreadable::Collect];

proptest! {
    #![proptest_config(ProptestConfig { cases: 12 * scale() as u32, ..ProptestConfig::default() })]

    /// Of chunks that end with the bytes and with the number of their records.
    #[test]
    fn the_events_the_errors_and_the_notes_are_the_same(
        seed: u64,
        count in 0..4000_usize,
        unreadable in prop_oneof![Just(0), Just(1), Just(100)],
        filter in 0..5_usize,
        policy in 0..3_usize,
        range: (u16, u16),
    ) {
        let writers = Writers::new();
        let lsns = writers.fill(seed, count, unreadable);
        let log = &writers.shelves;
        let at = |part: u16| lsns.get(lsns.len() * usize::from(part) / (4 << 16)).copied();
        let from = at(range.0).unwrap_or(Lsn::ZERO);
        let to = lsns.iter().rev().nth(lsns.len() * usize::from(range.1) / (4 << 16)).copied();
        let replay = || {
            let replay = match to.filter(|&to| to >= from) {
                Some(to) => log.replay(from..=to),
                None => log.replay(from..),
            };
            configured(replay.unwrap(), filter, POLICIES[policy])
        };
        for threads in 1..=5 {
            assert_same(replay(), replay().decode_ahead(threads), &format!("{threads} threads"));
        }
    }
}

#[test]
fn it_begins_anywhere_and_filters_may_be_named_afterwards() {
    let writers = Writers::new();
    writers.fill(7, 3000, 100);
    let log = &writers.shelves;
    let begun = |taken: usize| {
        let mut replay = log.replay(..).unwrap().on_unreadable(Unreadable::Skip);
        assert_eq!(replay.by_ref().take(taken).filter(Result::is_ok).count(), taken);
        replay
    };
    // The records that were split are among the first hundred.
    for taken in 0..100 {
        let what = format!("after {taken}");
        assert_same(begun(taken), begun(taken).decode_ahead(2), &what);
    }
    let tagged = || log.replay(..).unwrap().on_unreadable(Unreadable::Skip);
    assert_same(
        tagged().tagged("red"),
        tagged().decode_ahead(3).tagged("red"),
        "tagged",
    );
    let mut ended = log.replay(..).unwrap();
    assert!(ended.by_ref().any(|event| event.is_err()));
    assert!(ended.decode_ahead(2).next().is_none());
}

#[test]
fn a_panic_in_a_conversion_reaches_who_takes_the_events_and_ends_the_replay() {
    for at in [0, 511, 512, 1700] {
        let writers = Writers::new();
        writers.fill(8, at, 0);
        writers.append_one_that_panics();
        writers.fill(9, 1500, 0);
        writers.append_one_that_panics();
        let replay = || writers.shelves.replay(..).unwrap();
        let mut panics = replay().decode_ahead(2);
        let panic = catch_unwind(AssertUnwindSafe(|| panics.by_ref().for_each(drop))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"too many"));
        for threads in 2..=4 {
            assert_same(
                replay(),
                replay().decode_ahead(threads),
                &format!("{at}, {threads}"),
            );
        }
    }
}

#[test]
fn an_error_of_the_store_and_a_panic_in_it_come_after_what_was_read() {
    for panics in [false, true] {
        let store = Scripted::new(MemStore::new(), move |_, call| {
            let is_there = (1 << 20..3 << 20).contains(&call.at) && call.op == Op::Read;
            match panics {
                _ if !is_there => Ok(None),
                true => panic!("the store is broken"),
                false => Err(io::Error::other("the disk is broken")),
            }
        });
        let alone = WalConfig::new().with_background_flush(false);
        let wal = Wal::with_store_and_config(store, alone).unwrap();
        let writers = Writers::of(wal);
        writers.fill(10, 12_000, 0);
        writers.wal.sync().unwrap();
        let replay = || writers.shelves.replay(..).unwrap();
        let mut replay_alone = replay();
        let read = std::iter::from_fn(|| {
            let next = catch_unwind(AssertUnwindSafe(|| replay_alone.next()));
            next.ok()?.filter(Result::is_ok)
        });
        assert!(read.count() > 2000, "there is something before it");
        // How far the threads are when it comes is different each time.
        for time in 0..20 {
            let what = format!("panics: {panics}, time {time}");
            assert_same(replay(), replay().decode_ahead(3), &what);
        }
    }
}

/// As many as are longer than all that is read and decoded ahead.
fn long() -> (Wal, EventLog<Shelf>, Vec<Lsn>) {
    let wal = wal();
    let lsns = (0..20_000)
        .map(|place| wal.append_typed(&filled(place, 600)).unwrap())
        .collect();
    wal.sync().unwrap();
    let log = wal.typed::<Shelf>().unwrap();
    (wal, log, lsns)
}

/// The events are the first of the log, and then comes this.
fn assert_first(events: Replay<Shelf>, lsns: &[Lsn], ends: fn(&WalError) -> bool) -> usize {
    let mut lsns = lsns.iter();
    let mut seen = 0;
    for event in events {
        match event {
            Ok(event) => assert_eq!(Some(&event.lsn), lsns.next()),
            Err(error) => {
                assert!(ends(&error), "{error}");
                return seen;
            }
        }
        seen += 1;
    }
    panic!("it ended with the {seen}th event");
}

#[test]
fn a_head_that_moves_over_it_is_an_error_after_the_events_before() {
    let (wal, log, lsns) = long();
    let mut events = log.replay(..).unwrap().decode_ahead(2);
    assert_eq!(events.next().unwrap().unwrap().lsn, lsns[0]);
    wal.truncate_before(lsns[19_000]).unwrap();
    let is_it = |error: &WalError| matches!(error, WalError::Truncated { .. });
    assert!(assert_first(events, &lsns[1..], is_it) < 18_000);
}

#[test]
fn a_cut_before_its_end_ends_it_as_it_ends_one_without_threads() {
    let ended = |threads| {
        let (wal, log, lsns) = long();
        let mut events = log.replay(..).unwrap().decode_ahead(threads);
        assert_eq!(events.next().unwrap().unwrap().lsn, lsns[0]);
        wal.truncate_after(lsns[15_000]).unwrap();
        wal.append_typed(&filled(7, 7)).unwrap();
        let rest: Vec<_> = events.collect();
        let lsns = rest.iter().flatten().map(|event| event.lsn);
        let lsns: Vec<Lsn> = lsns.collect();
        (lsns, format!("{:?}", rest.last().unwrap()))
    };
    assert_eq!(ended(2), ended(1));
}

#[test]
fn closing_the_log_ends_it_as_it_ends_one_without_threads() {
    let ended = |threads| {
        let (wal, log, _) = long();
        let mut events = log.replay(..).unwrap().decode_ahead(threads);
        assert!(events.next().is_some());
        wal.close().unwrap();
        let rest: Vec<_> = events.collect();
        assert!(rest.iter().rev().skip(1).all(Result::is_ok));
        format!("{:?}", rest.last().unwrap().as_ref().map(|_| "an event"))
    };
    assert_eq!(ended(2), ended(1));
}

/// An event of which each test sees the conversions.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "seen")]
struct SeenV1 {
    test: u8,
    number: u32,
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "seen", version = 2, from = SeenV1)]
struct Seen {
    test: u8,
    number: u32,
}

impl From<SeenV1> for Seen {
    fn from(SeenV1 { test, number }: SeenV1) -> Self {
        match test {
            WHERE => {
                let name = thread::current().name().map(str::to_owned);
                THREADS.lock().unwrap().insert(name);
            }
            _ => {
                LIVING.fetch_add(1, Ordering::SeqCst);
                CONVERTED.fetch_add(1, Ordering::SeqCst);
            }
        }
        Seen { test, number }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if self.test == ALIVE {
            LIVING.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

const WHERE: u8 = 0;
static THREADS: Mutex<BTreeSet<Option<String>>> = Mutex::new(BTreeSet::new());

const ALIVE: u8 = 1;
static LIVING: AtomicI64 = AtomicI64::new(0);
static CONVERTED: AtomicI64 = AtomicI64::new(0);

fn seen(test: u8, count: u32) -> EventLog<Seen> {
    let wal = wal();
    for number in 0..count {
        wal.append_typed(&SeenV1 { test, number }).unwrap();
    }
    wal.typed().unwrap()
}

fn is_alone() -> bool {
    thread::available_parallelism().map_or(1, usize::from) == 1
}

#[test]
fn a_short_log_and_one_thread_need_no_other() {
    let here = BTreeSet::from([thread::current().name().map(str::to_owned)]);
    let converted_in = |count, threads| {
        let log = seen(WHERE, count);
        THREADS.lock().unwrap().clear();
        assert_eq!(
            log.replay(..).unwrap().decode_ahead(threads).count() as u32,
            count
        );
        THREADS.lock().unwrap().clone()
    };
    for (count, threads) in [(500, 8), (5000, 0), (5000, 1)] {
        assert_eq!(converted_in(count, threads), here, "{count}, {threads}");
    }
    if !is_alone() {
        let others = || converted_in(50_000, 2).contains(&Some("wal-decoder".to_owned()));
        assert!((0..100).any(|_| others()), "no other thread took any");
    }
}

#[test]
fn what_is_not_taken_is_bounded_and_goes_with_the_replay() {
    let log = seen(ALIVE, 50_000);
    for taken in [0, 1, 511, 512, 513, 2000, 20_000, 50_000] {
        for threads in [2, 3] {
            CONVERTED.store(0, Ordering::SeqCst);
            let mut events = log.replay(..).unwrap().decode_ahead(threads);
            let count = events.by_ref().take(taken).map(Result::unwrap).count();
            assert_eq!(count, taken);
            // Four chunks for each thread, and the one in hand.
            let most = taken + (4 * threads + 1) * 512;
            assert!(CONVERTED.load(Ordering::SeqCst) as usize <= most, "{taken}");
            drop(events);
            assert_eq!(LIVING.load(Ordering::SeqCst), 0, "{taken}");
            // No thread is left that converts any more.
            let converted = CONVERTED.load(Ordering::SeqCst);
            thread::yield_now();
            assert_eq!(CONVERTED.load(Ordering::SeqCst), converted);
        }
    }
}

#[test]
fn a_panic_that_nobody_comes_to_harms_nobody() {
    let writers = Writers::new();
    writers.fill(11, 700, 0);
    let lsn = writers.wal.append(b"plain").unwrap();
    writers.fill(12, 100, 0);
    writers.append_one_that_panics();
    writers.fill(13, 1000, 0);
    let mut events = writers.shelves.replay(..).unwrap().decode_ahead(3);
    let error = events.find_map(Result::err).unwrap();
    assert!(matches!(error, WalError::Typed(TypedError::NotTyped { lsn: at, .. }) if at == lsn));
    assert!(events.next().is_none());
}

#[test]
fn a_replay_goes_to_other_threads() {
    fn goes<T: Send + Sync>(_: &T) {}
    let (_wal, log, lsns) = long();
    let mut events = log.replay(..).unwrap().decode_ahead(2);
    goes(&events);
    assert_eq!(events.next().unwrap().unwrap().lsn, lsns[0]);
    let counted = thread::spawn(move || events.map(Result::unwrap).count());
    assert_eq!(counted.join().unwrap(), lsns.len() - 1);
}
