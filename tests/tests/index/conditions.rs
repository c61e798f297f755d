//! Conditions, alone and among threads.

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use wal_db::{
    EventLog, Lsn, MemStore, Meta, Wal, WalError, WalRecord,
    index::{Condition, IndexConfig, Indexed, Item},
    state::{At, Decision, State, StoreConfig},
};
use wal_tests::{
    random::Rng,
    scripted::{Op, Scripted},
};

use super::{Thing, any_event, any_query, indexed, log_in_memory, made};

fn tagged(number: u64, tag: &str) -> [(Thing, Meta); 1] {
    [(made(number), Meta::new().with_tag(tag))]
}

fn in_stream(number: u64) -> [(Thing, Meta); 1] {
    [(made(number), Meta::new().with_stream(7))]
}

fn conflict_at(appended: &Result<Vec<Lsn>, WalError>) -> Option<Lsn> {
    match appended {
        Err(WalError::Conflict { lsn, .. }) => *lsn,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_must_never_have_come_is_refused_the_second_time() {
    let log = indexed();
    let free = Condition::new().never(Item::any().tag("name:ann"));
    let first = log.append_if(&tagged(1, "name:ann"), &free).unwrap();
    let second = log.append_if(&tagged(2, "name:ann"), &free);
    assert_eq!(conflict_at(&second), Some(first[0]));
    assert!(
        second
            .unwrap_err()
            .to_string()
            .contains("any event with tag `name:ann`")
    );
    assert_eq!(log.select(Item::any(), ..).unwrap().count(), 1);
    // What was cut off is not there.
    log.log().wal().truncate_from(first[0]).unwrap();
    let _ = log.append_if(&tagged(3, "name:ann"), &free).unwrap();
    // What was dropped does not count.
    let last = log.log().append(&made(4)).unwrap();
    let _ = log.log().wal().truncate_before(last).unwrap();
    let _ = log.append_if_and_sync(&tagged(5, "name:ann"), &free).unwrap();
}

#[test]
fn a_stream_goes_on_from_the_event_that_was_its_last() {
    let log = indexed();
    let at = |last: Option<Lsn>| Condition::new().stream(7, last);
    let first = log.append_if(&in_stream(1), &at(None)).unwrap()[0];
    assert_eq!(conflict_at(&log.append_if(&in_stream(2), &at(None))), Some(first));
    let elsewhere = log.log().append(&made(3)).unwrap();
    assert_eq!(
        conflict_at(&log.append_if(&in_stream(2), &at(Some(elsewhere)))),
        None
    );
    let second = log.append_if(&in_stream(2), &at(Some(first))).unwrap()[0];
    assert_eq!(
        conflict_at(&log.append_if(&in_stream(3), &at(Some(first)))),
        Some(second)
    );
    // The last one is another one after a cut.
    log.log().wal().truncate_after(elsewhere).unwrap();
    assert_eq!(
        conflict_at(&log.append_if(&in_stream(3), &at(Some(second)))),
        None
    );
    let third = log.append_if(&in_stream(3), &at(Some(first))).unwrap()[0];
    // It may have been dropped.
    let after = log.log().append(&made(4)).unwrap();
    let _ = log.log().wal().truncate_before(after).unwrap();
    let _ = log.append_if(&in_stream(4), &at(Some(third))).unwrap();
}

#[test]
fn the_end_of_the_log_is_any_record() {
    let log = indexed();
    let wal = log.log().wal().clone();
    let at = |last: Option<Lsn>| Condition::new().end(last);
    let first = log.append_if(&[(made(1), Meta::new())], &at(None)).unwrap()[0];
    assert_eq!(
        conflict_at(&log.append_if(&[(made(2), Meta::new())], &at(None))),
        Some(first)
    );
    let plain = wal.append(b"no event").unwrap();
    assert_eq!(
        conflict_at(&log.append_if(&[(made(2), Meta::new())], &at(Some(first)))),
        Some(plain)
    );
    wal.truncate_after(first).unwrap();
    let second = log
        .append_if(&[(made(2), Meta::new())], &at(Some(first)))
        .unwrap()[0];
    assert_eq!(wal.last_lsn().unwrap(), Some(second));
}

#[test]
fn a_command_is_carried_out_once() {
    let log = indexed();
    let free = Condition::new().command([7; 16]).never(Item::any().tag("a"));
    let two = [tagged(1, "a"), tagged(2, "a")].concat();
    let lsns = log.append_if(&two, &free).unwrap();
    for _ in 0..2 {
        // And not a conflict with itself.
        let again = log.append_if_and_sync(&two, &free).unwrap_err();
        assert!(
            matches!(again, WalError::Duplicate { lsn, .. } if lsn == lsns[0]),
            "{again}"
        );
    }
    let meta = log.log().read(lsns[1]).unwrap().meta;
    assert_eq!(meta.command_id(), Some([7; 16]));
    let other = Condition::new().command([8; 16]);
    let _ = log.append_if(&two, &other).unwrap();
}

#[test]
fn who_has_seen_events_that_were_cut_off_is_told() {
    let log = indexed();
    let first = log
        .log()
        .append_with_meta(&made(1), &Meta::new().with_tag("a"))
        .unwrap();
    let _ = log
        .log()
        .append_with_meta(&made(2), &Meta::new().with_tag("a"))
        .unwrap();
    let next = log.select(Item::any().tag("a"), ..).unwrap().next_lsn();
    log.log().wal().truncate_after(first).unwrap();
    let seen = Condition::new().unchanged(Item::any().tag("a"), next);
    let error = log.append_if(&tagged(3, "a"), &seen).unwrap_err();
    assert!(matches!(error, WalError::CutBack { .. }), "{error}");
    assert_eq!(log.log().replay(..).unwrap().count(), 1);
}

#[test]
fn nothing_is_appended_by_an_empty_list_but_the_condition_is_looked_at() {
    let log = indexed();
    let free = Condition::new().never(Item::any().tag("a"));
    assert_eq!(log.append_if(&[], &free).unwrap(), []);
    let lsn = log.append_if_and_sync(&tagged(1, "a"), &free).unwrap()[0];
    assert_eq!(conflict_at(&log.append_if_and_sync(&[], &free)), Some(lsn));
}

/// What a thread has seen, and where its event is.
struct Done {
    asked: super::Asked,
    next: Lsn,
    lsn: Lsn,
}

/// Every event that was appended under a condition is the first one, from where its thread had read on, that the query of the
/// condition means; and every conflict names one that it means.
#[test]
fn threads_append_only_what_nothing_has_come_between() {
    for run_bytes in [256, 4096, 1 << 20] {
        let config = IndexConfig::new().with_run_bytes(run_bytes);
        threads_append_under_conditions(&super::log_in_memory().indexed_with(config).unwrap());
    }
}

fn threads_append_under_conditions(log: &Indexed<Thing>) {
    let done = Mutex::new(Vec::new());
    let conflicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for seed in 0..8 {
            let (done, conflicts) = (&done, &conflicts);
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                for _ in 0..150 {
                    let asked = any_query(&mut rng);
                    let event = any_event(&mut rng);
                    if rng.below(4) == 0 {
                        let _ = log.log().append_with_meta(&event.0, &event.1).unwrap();
                        continue;
                    }
                    let (next, condition) = match rng.below(4) {
                        0 => (Lsn::ZERO, Condition::new().never(&asked.query)),
                        _ => {
                            let next = log.select(&asked.query, ..).unwrap().next_lsn();
                            (next, Condition::new().unchanged(&asked.query, next))
                        }
                    };
                    match log.append_if(&[event], &condition) {
                        Ok(lsns) => done.lock().unwrap().push(Done {
                            asked,
                            next,
                            lsn: lsns[0],
                        }),
                        Err(WalError::Conflict { lsn, .. }) => {
                            conflicts.lock().unwrap().push((asked, next, lsn.unwrap()));
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let (done, conflicts) = (done.into_inner().unwrap(), conflicts.into_inner().unwrap());
    let wal = log.log().wal();
    let records: Vec<_> = wal.iter().unwrap().map(Result::unwrap).collect();
    for Done { asked, next, lsn } in &done {
        let between = records
            .iter()
            .filter(|record| (*next..*lsn).contains(&record.lsn()));
        let found = between.filter(|record| asked.means(record)).count();
        assert_eq!(found, 0, "{} from {next} to {lsn}", asked.query);
    }
    for (asked, next, lsn) in &conflicts {
        let record = records.iter().find(|record| record.lsn() == *lsn).unwrap();
        assert!(*lsn >= *next && asked.means(record), "{} at {lsn}", asked.query);
    }
    assert!(
        done.len() > 300 && !conflicts.is_empty(),
        "{} {}",
        done.len(),
        conflicts.len()
    );
}

#[test]
fn of_many_threads_that_want_a_name_one_gets_it() {
    let log = indexed();
    for round in 0..50 {
        let name = format!("name:{round}");
        let wins = thread::scope(|scope| {
            let tries: Vec<_> = (0..4)
                .map(|number| {
                    let (log, name): (&Indexed<Thing>, _) = (&log, &name);
                    scope.spawn(move || {
                        let free = Condition::new().never(Item::any().tag(name));
                        log.append_if(&tagged(number, name), &free).is_ok()
                    })
                })
                .collect();
            tries
                .into_iter()
                .filter(|_| true)
                .map(|one| one.join().unwrap())
                .filter(|won| *won)
                .count()
        });
        assert_eq!(wins, 1, "{name}");
    }
}

/// Both have seen that nobody has the name before either of them could append.
#[test]
fn what_came_while_one_waited_for_others_is_looked_at() {
    let log = indexed();
    let store = log.log().store(StoreConfig::<Numbers>::new()).unwrap();
    for is_taken in [true, false] {
        let name = format!("name:{is_taken}");
        let free = Condition::new().never(Item::any().tag(&name));
        let wins = thread::scope(|scope| {
            let mut tries = Vec::new();
            let decided = store.transact(|_, _| {
                let append = |number| log.append_if(&tagged(number, &name), &free).is_ok();
                tries.extend((0..2).map(|number| scope.spawn(move || append(number))));
                // They wait for this one.
                thread::sleep(Duration::from_millis(100));
                let decision = Decision::new(());
                let [(event, meta)] = tagged(2, &name);
                Ok::<_, ()>(match is_taken {
                    true => decision.event_with_meta(event, meta),
                    false => decision,
                })
            });
            decided.unwrap();
            let won = tries.into_iter().map(|one| one.join().unwrap());
            won.filter(|won| *won).count()
        });
        assert_eq!(wins, usize::from(!is_taken), "{name}");
    }
}

#[test]
fn a_stream_whose_last_event_was_cut_off_and_passed_by_the_head_is_a_conflict() {
    let log = indexed();
    let first = log
        .append_if(&in_stream(1), &Condition::new().stream(7, None))
        .unwrap()[0];
    log.log().wal().truncate_from(first).unwrap();
    assert_eq!(
        conflict_at(&log.append_if(&in_stream(2), &Condition::new().stream(7, first))),
        None
    );
    let _ = log
        .append_if(&in_stream(2), &Condition::new().stream(7, None))
        .unwrap();
}

#[test]
fn what_is_cut_off_before_anything_was_appended_is_no_longer_what_was_read() {
    let log = log_in_memory();
    for number in 0..3 {
        let meta = Meta::new().with_tag("a");
        let _ = log.append_with_meta(&made(number), &meta).unwrap();
    }
    let index = log.indexed().unwrap();
    let read = index.select(Item::any().tag("a"), ..).unwrap();
    let next = read.next_lsn();
    let last = read.last().unwrap().unwrap().lsn;
    log.wal().truncate_from(last).unwrap();
    assert!(index.status().unwrap().next < next);
    let as_read = Condition::new().unchanged(Item::any().tag("a"), next);
    for _ in 0..2 {
        let refused = index.append_if(&[(made(7), Meta::new())], &as_read).unwrap_err();
        assert!(matches!(refused, WalError::CutBack { .. }), "{refused}");
        let _ = log.append(&made(8)).unwrap();
    }
}

#[test]
fn what_nobody_can_know_any_more_is_truncated_and_no_yes() {
    let log = indexed();
    let tagged_a = Item::any().tag("a");
    let seen = log.select(tagged_a.clone(), ..).unwrap().next_lsn();
    let first = log.append_if(&in_stream(1), &Condition::new()).unwrap()[0];
    let _ = log.append_if(&tagged(2, "a"), &Condition::new()).unwrap();
    let _ = log.append_if(&in_stream(3), &Condition::new()).unwrap();
    let last = log.log().append(&made(4)).unwrap();
    let _ = log.log().wal().truncate_before(last).unwrap();
    for condition in [
        Condition::new().unchanged(tagged_a, seen),
        Condition::new().stream(7, first),
    ] {
        let error = log.append_if(&tagged(5, "a"), &condition).unwrap_err();
        assert!(
            matches!(error, WalError::Truncated { .. }),
            "{condition:?}: {error}"
        );
    }
}

#[test]
fn who_has_read_more_than_there_is_is_told() {
    let log = indexed();
    let beyond = Lsn::new(1 << 40);
    for condition in [
        Condition::new().unchanged(Item::any(), beyond),
        Condition::new().unchanged(Item::any().tag("a"), beyond),
    ] {
        let error = log.append_if(&tagged(1, "a"), &condition).unwrap_err();
        assert!(matches!(error, WalError::BeyondEnd { .. }), "{error}");
    }
    assert_eq!(
        conflict_at(&log.append_if(&tagged(1, "a"), &Condition::new().stream(7, beyond))),
        None
    );
    // The end of the log is not beyond it.
    let end = log.log().wal().end();
    let _ = log
        .append_if(&tagged(1, "a"), &Condition::new().unchanged(Item::any(), end))
        .unwrap();
}

#[test]
fn after_a_cut_what_is_left_can_be_gone_on_from() {
    let log = indexed();
    let lsns = log.log().append_batch(&[made(1), made(2), made(3)]).unwrap();
    log.log().wal().truncate_after(lsns[0]).unwrap();
    let all = log.select(Item::any(), ..).unwrap();
    let next = all.next_lsn();
    assert_eq!(all.count(), 1);
    let seen = Condition::new().unchanged(Item::any(), next);
    let _ = log.append_if(&tagged(4, "a"), &seen).unwrap();
    assert!(log.append_if(&tagged(5, "a"), &seen).is_err());
    assert_eq!(log.select(Item::any(), next..).unwrap().count(), 1);
}

#[test]
fn the_stream_that_is_named_last_counts() {
    let log = indexed();
    let _ = log.append_if(&in_stream(1), &Condition::new()).unwrap();
    assert_eq!(
        log.select(Item::any().stream("a").stream(7), ..).unwrap().count(),
        1
    );
}

#[test]
fn a_condition_in_a_closure_of_the_log_is_told_and_so_is_a_question() {
    let log = indexed();
    let store = log.log().store::<Numbers>(StoreConfig::new()).unwrap();
    store
        .peek(|_| {
            assert!(matches!(
                log.append_if(&tagged(1, "a"), &Condition::new()),
                Err(WalError::Reentrant)
            ));
            assert!(matches!(log.newest(Item::any()), Err(WalError::Reentrant)));
            assert!(matches!(log.select(Item::any(), ..), Err(WalError::Reentrant)));
            assert!(matches!(log.log().indexed(), Err(WalError::Reentrant)));
        })
        .unwrap();
    // The index is told of what a store appends, and the store of what is appended through the index.
    let lsn = store
        .commit_with_meta(made(1), Meta::new().with_tag("a"))
        .unwrap();
    assert_eq!(log.newest(Item::any().tag("a")).unwrap(), Some(lsn));
    let _ = log.append_if(&tagged(2, "a"), &Condition::new()).unwrap();
    assert_eq!(store.peek(|numbers| numbers.0).unwrap(), 2);
    log.log().wal().clone().close().unwrap();
    assert!(matches!(log.newest(Item::any()), Err(WalError::Closed)));
    assert!(matches!(
        log.append_if(&tagged(3, "a"), &Condition::new()),
        Err(WalError::Closed)
    ));
}

#[derive(Default)]
struct Numbers(u64);

impl State for Numbers {
    type Event = Thing;

    fn apply(&mut self, _: Thing, _: At) {
        self.0 += 1;
    }
}

/// A batch is there as a whole, or not yet.
#[test]
fn nobody_sees_half_a_batch() {
    let log = indexed();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (log, done) = (&log, &done);
        scope.spawn(move || {
            for number in 0..2_000 {
                let two = [tagged(number, "a"), tagged(number, "a")].concat();
                let _ = log.append_if(&two, &Condition::new()).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let events = log.select(Item::any().tag("a"), ..).unwrap();
            assert_eq!(events.count() % 2, 0);
        }
    });
}

#[test]
fn what_a_refusal_rests_on_is_durable_when_it_is_told() {
    let log = indexed();
    let durable = || log.log().wal().status().durable;
    let first = log.append_if(&tagged(1, "a"), &Condition::new()).unwrap()[0];
    assert!(durable() <= first);
    let free = Condition::new().never(Item::any().tag("a"));
    assert_eq!(
        conflict_at(&log.append_if_and_sync(&tagged(2, "a"), &free)),
        Some(first)
    );
    assert!(durable() > first);

    let second = log
        .append_if(&tagged(2, "b"), &Condition::new().command([1; 16]))
        .unwrap()[0];
    assert!(durable() <= second);
    let again = log.append_if_and_sync(&tagged(2, "b"), &Condition::new().command([1; 16]));
    assert!(matches!(again, Err(WalError::Duplicate { lsn, .. }) if lsn == second));
    assert!(durable() > second);
}

#[test]
fn a_log_is_indexed_while_others_append() {
    let log = super::log_in_memory();
    thread::scope(|scope| {
        let append = || {
            for number in 0..20_000 {
                let _ = log
                    .append_with_meta(&made(number), &Meta::new().with_tag("a"))
                    .unwrap();
            }
        };
        let threads = [(); 3].map(|()| scope.spawn(append));
        loop {
            let is_last = threads.iter().all(thread::ScopedJoinHandle::is_finished);
            let index = log.indexed().unwrap();
            let events = index.select(Item::any().tag("a"), ..).unwrap();
            let next = events.next_lsn();
            assert_eq!(events.count(), log.replay(..next).unwrap().count());
            if is_last {
                break;
            }
        }
    });
}

#[test]
fn what_is_appended_while_the_log_is_read_is_in_the_index() {
    let wal = Arc::new(Mutex::new(None::<EventLog<Thing>>));
    let store = Scripted::new(MemStore::new(), {
        let wal = wal.clone();
        move |_, call| {
            // Once: the index reads again when nobody can append.
            let log = (call.op == Op::Read).then(|| wal.lock().unwrap().take());
            if let Some(log) = log.flatten() {
                let _ = log.append(&made(2)).unwrap();
            }
            Ok(None)
        }
    });
    let log = Wal::with_store_and_config(store, wal_tests::quiet_heap()).unwrap();
    let log = log.typed::<Thing>().unwrap();
    let first = log.append(&made(1)).unwrap();
    *wal.lock().unwrap() = Some(log.clone());
    let index = log.indexed().unwrap();
    assert!(wal.lock().unwrap().is_none());
    let events = index.select(Item::any(), ..).unwrap();
    let numbers = events.map(|event| event.unwrap().event);
    assert_eq!(numbers.collect::<Vec<_>>(), [made(1), made(2)]);
    // And a condition sees it.
    let unchanged = Condition::new().unchanged(Item::any(), Lsn::new(first.get() + 1));
    let _ = conflict_at(&index.append_if(&tagged(3, "a"), &unchanged)).unwrap();
}

thread_local! {
    static NOISE: RefCell<Option<Wal>> = const { RefCell::new(None) };
}

/// Appends a record while it is encoded, or would.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "noisy")]
struct Noisy {
    #[serde(serialize_with = "with_noise")]
    #[wal(opaque = "noise@1")]
    number: u64,
}

fn with_noise<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    if let Some(wal) = NOISE.take() {
        wal.append(b"noise").map_err(S::Error::custom)?;
    }
    number.serialize(serializer)
}

/// And what stands in the way of a command that comes again is not what is wrong with its events.
#[test]
fn an_event_that_uses_the_log_while_it_is_encoded_is_told_unless_the_condition_does_not_hold() {
    let wal = Wal::with_store_and_config(MemStore::new(), wal_tests::quiet_heap()).unwrap();
    let log = wal.typed::<Noisy>().unwrap().indexed().unwrap();
    let events = |number| [(Noisy { number }, Meta::new().with_tag("a"))];
    let once = Condition::new().command([1; 16]);
    let first = log.append_if(&events(1), &once).unwrap();
    for condition in [Condition::new(), Condition::new().command([2; 16])] {
        NOISE.set(Some(wal.clone()));
        let told = log.append_if(&events(2), &condition).unwrap_err();
        let cause = std::error::Error::source(&told);
        assert!(format!("{told}: {cause:?}").contains("closure"), "{told:?}");
    }
    NOISE.set(Some(wal.clone()));
    let again = log.append_if(&events(3), &once);
    assert!(matches!(again, Err(WalError::Duplicate { lsn, .. }) if lsn == first[0]));
    assert_eq!(wal.iter().unwrap().count(), 1);
}
