//! The state is the fold of a prefix of the log, whichever handle appends.

#[path = "code_tests.rs"]
mod code;

use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    __private::{StoredEvent, Upcast},
    EventLog, Lsn, MemStore, Meta, Result, Wal, WalError, WalRecord,
    codec::Codec,
    event::{EventType, TypedError, WalDecode},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "note")]
struct Note(u32);

/// Remembers what it was given, and how.
#[derive(Debug, Default, Clone, PartialEq)]
struct Seen(Vec<(u32, u64, bool)>);

impl State for Seen {
    type Event = Note;

    fn apply(&mut self, event: Note, at: At) {
        self.0.push((event.0, at.lsn.get(), at.replaying));
    }
}

fn log() -> EventLog<Note> {
    Wal::with_store(MemStore::new())
        .expect("a log in memory")
        .typed()
        .expect("no collision")
}

fn values(seen: &Seen) -> Vec<u32> {
    seen.0.iter().map(|(value, ..)| *value).collect()
}

/// That the state is what a fold of the log gives, but for what was applied when it was appended.
fn assert_is_fold(store: &Store<Seen>) {
    let kept = store.peek(Seen::clone).expect("the state");
    let again = store.log().rebuild::<Seen>().expect("a fold").state;
    let places = |seen: &Seen| seen.0.iter().map(|(v, lsn, _)| (*v, *lsn)).collect::<Vec<_>>();
    assert_eq!(places(&kept), places(&again));
}

#[test]
fn a_rebuild_continues_where_it_ended() {
    let log = log();
    let empty = log.rebuild::<Seen>().expect("rebuild");
    assert_eq!((empty.events, empty.next, empty.last), (0, Lsn::ZERO, None));

    let lsns = log.append_batch(&[Note(1), Note(2)]).expect("append");
    let rebuilt = log.rebuild::<Seen>().expect("rebuild");
    assert_eq!(
        rebuilt.state.0,
        [(1, lsns[0].get(), true), (2, lsns[1].get(), true)]
    );
    assert_eq!((rebuilt.events, rebuilt.last), (2, Some(lsns[1])));

    let third = log.append(&Note(3)).expect("append");
    let rest: Vec<_> = log
        .replay(rebuilt.next..)
        .expect("replay")
        .map(|e| e.expect("an event").lsn)
        .collect();
    assert_eq!(rest, [third]);
}

#[test]
fn a_commit_is_applied_once_and_not_as_a_replay() {
    let log = log();
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    let a = store.commit(Note(1)).expect("commit").get();
    let b = store.commit(Note(2)).expect("commit").get();
    assert_eq!(
        store.read(Seen::clone).expect("read").0,
        [(1, a, false), (2, b, false)]
    );
    assert_eq!(
        log.rebuild::<Seen>().expect("rebuild").state.0,
        [(1, a, true), (2, b, true)]
    );
}

#[test]
fn events_of_others_are_applied_in_their_place() {
    let log = log();
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    let a = store.commit(Note(1)).expect("commit").get();
    let other = log.append(&Note(10)).expect("append").get();
    let b = store.commit(Note(2)).expect("commit").get();
    let batch = log.append_batch(&[Note(11), Note(12)]).expect("append");
    let third = log.wal().append_typed(&Note(13)).expect("append").get();
    assert_eq!(
        store.read(Seen::clone).expect("read").0,
        [
            (1, a, false),
            (10, other, true),
            (2, b, false),
            (11, batch[0].get(), true),
            (12, batch[1].get(), true),
            (13, third, true),
        ]
    );
    assert_is_fold(&store);
}

#[test]
fn a_decision_sees_what_another_store_of_the_log_has_decided() {
    let log = log();
    let stores = [(); 2].map(|()| log.store::<Seen>(StoreConfig::new()).expect("a store"));
    let next = |store: &Store<Seen>| {
        store.transact(|seen, _| {
            let next = seen.0.len() as u32;
            Ok::<_, ()>(Decision::new(next).event(Note(next)))
        })
    };
    for i in 0..10 {
        assert_eq!(next(&stores[i as usize % 3 % 2]).expect("decided").value, i);
    }
    stores.iter().for_each(assert_is_fold);
}

/// The events of a decision are next to each other while others append, and no decision is made twice.
#[test]
fn decisions_of_many_threads_are_made_one_after_another() {
    let log = log();
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let decided = store.transact(|seen, _| match values(seen).iter().max() {
                        Some(most) if *most >= 10_000 => Err(*most),
                        most => {
                            let next = most.map_or(0, |most| most + 1);
                            Ok(Decision::new(next).events([Note(next), Note(next)]))
                        }
                    });
                    let decided = decided.expect("not so many");
                    assert_eq!(decided.lsns.len(), 2);
                }
            });
        }
        scope.spawn(|| (0..50).for_each(|_| _ = log.append(&Note(0)).expect("append")));
    });
    let seen = values(&store.read(Seen::clone).expect("read"));
    let decided: Vec<u32> = seen.iter().copied().filter(|value| *value > 0).collect();
    assert!(decided.is_sorted());
    assert_eq!(seen.iter().max(), Some(&199));
    let pairs = decided.chunks(2).map(|pair| (pair[0], pair[1]));
    assert!(pairs.eq((1..200).map(|value| (value, value))));
    assert_is_fold(&store);
}

#[test]
fn a_refusal_and_a_panic_append_nothing() {
    let log = log();
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    store.commit(Note(1)).expect("commit");
    let refused = store.transact(|seen, _| match seen.0.len() {
        1 => Err("one is enough"),
        _ => Ok(Decision::new(()).event(Note(2))),
    });
    assert!(matches!(refused, Err(TransactError::Refused("one is enough"))));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(store.transact::<(), ()>(|_, _| panic!("in the decision")));
    }));
    panicked.expect_err("it goes on");
    let asked = store.transact(|seen, _| Ok::<_, ()>(Decision::new(seen.0.len())));
    let asked = asked.expect("no event");
    assert_eq!((asked.value, asked.lsns.len()), (1, 0));
    assert_eq!(log.wal().status().records, 1);
}

#[test]
fn an_answer_is_handed_out_once_it_is_durable() {
    let log = log();
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    let is_durable = |lsn: Lsn| log.wal().ticket(lsn).expect("a record").is_durable();
    let submitted = store.submit(|_, _| Ok::<_, ()>(Decision::new("a").event(Note(1))));
    let submitted = submitted.expect("submitted");
    let lsn = submitted.lsn().expect("an event");
    assert_eq!(submitted.wait().expect("durable").value, "a");
    assert!(is_durable(lsn));

    let unsynced = || log.append(&Note(2)).expect("append");
    let lsn = unsynced();
    store.transact::<(), _>(|_, _| Err("no")).expect_err("refused");
    assert!(is_durable(lsn));
    let lsn = unsynced();
    store.read(|_| ()).expect("read");
    assert!(is_durable(lsn));
    let lsn = unsynced();
    let refused = store.submit::<(), _>(|_, _| Err("no")).expect("submitted");
    let (told, heard) = std::sync::mpsc::channel();
    refused.on_durable(move |outcome| told.send(outcome.is_err()).expect("heard"));
    assert!(heard.recv().expect("told"));
    assert!(is_durable(lsn));
}

#[test]
fn time_never_goes_back_and_is_what_is_replayed() {
    let log = log();
    let late = 4_000_000_000_000_000;
    log.append_with_meta(&Note(1), &Meta::new().with_time_us(late))
        .expect("append");
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    let decided = store.transact(|_, now| Ok::<_, ()>(Decision::new(now.time_us()).event(Note(2))));
    assert_eq!(decided.expect("decided").value, late);
    let own = Meta::new().with_time_us(5).with_stream("s");
    let kept = store.commit_with_meta(Note(3), own.clone()).expect("commit");
    let metas: Vec<Meta> = log
        .replay(..)
        .expect("replay")
        .map(|e| e.expect("an event").meta)
        .collect();
    assert_eq!(metas[1].time_us(), Some(late));
    assert_eq!(metas[2], own);
    assert_eq!(log.read(kept).expect("there").meta, own);
    assert_eq!(store.view().expect("a view").time_us, Some(late));
    assert_eq!(
        Now::at_us(-5_000_000).time(),
        std::time::UNIX_EPOCH - std::time::Duration::from_secs(5)
    );
}

#[test]
fn a_view_is_shared_until_something_changes() {
    let store = log().store::<Seen>(StoreConfig::new()).expect("a store");
    store.commit(Note(1)).expect("commit");
    let first = store.view().expect("a view");
    assert!(std::ptr::eq(&*first, &*store.view().expect("a view")));
    store.commit(Note(2)).expect("commit");
    assert_eq!(values(&store.view().expect("a view").state), [1, 2]);
    assert_eq!(values(&first.state), [1]);
    assert_eq!(first.events, 1);
    assert_eq!(
        store.next_lsn().expect("next"),
        store.view().expect("a view").next
    );
}

#[test]
fn a_foreign_record_stops_the_decisions_after_it() {
    let log = log();
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    store.commit(Note(1)).expect("commit");
    let foreign = log.wal().append(b"plain bytes").expect("append");
    for _ in 0..2 {
        let error = store.commit(Note(2)).expect_err("the plain record is in the way");
        assert!(error.to_string().contains(&foreign.to_string()), "{error}");
        store.read(|_| ()).expect_err("it is not the fold of the log");
    }
    assert_eq!(log.wal().status().records, 2, "nothing more was appended");
    log.rebuild::<Seen>()
        .expect_err("and a rebuild does not pass it over");

    let others = StoreConfig::new().with_others(true);
    let among_others = log.store::<Seen>(others).expect("a store");
    log.wal().append(b"more").expect("append");
    among_others.commit(Note(2)).expect("commit");
    assert_eq!(values(&among_others.read(Seen::clone).expect("read")), [1, 2]);
}

#[test]
fn a_cut_takes_its_events_out_of_the_state() {
    let log = log();
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    let first = store.commit(Note(1)).expect("commit");
    store.commit(Note(2)).expect("commit");
    let pending = store.submit(|_, _| Ok::<_, ()>(Decision::new(()).event(Note(3))));
    log.wal().truncate_after(first).expect("cut");
    let cut = pending.expect("submitted").wait();
    assert!(
        matches!(cut, Err(TransactError::Wal(WalError::CutBack { .. }))),
        "{cut:?}"
    );
    assert_eq!(values(&store.read(Seen::clone).expect("read")), [1]);
    store.commit(Note(4)).expect("commit");
    assert_eq!(values(&store.read(Seen::clone).expect("read")), [1, 4]);
    log.wal().truncate_from(first).expect("cut");
    assert_eq!(store.peek(|seen| seen.0.len()).expect("peek"), 0);
    assert_is_fold(&store);
}

#[test]
fn events_that_were_dropped_stay_in_the_state_and_missed_ones_are_told() {
    let log = log();
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    store.commit(Note(1)).expect("commit");
    let second = store.commit(Note(2)).expect("commit");
    log.wal().truncate_before(second).expect("truncate");
    store.commit(Note(3)).expect("commit");
    assert_eq!(values(&store.read(Seen::clone).expect("read")), [1, 2, 3]);
    log.append(&Note(4)).expect("append");
    let kept = log.append(&Note(5)).expect("append");
    log.wal().truncate_before(kept).expect("truncate");
    let error = store.read(|_| ()).expect_err("4 was never seen");
    assert!(
        matches!(error, WalError::Truncated { head, .. } if head == kept),
        "{error}"
    );
    log.store::<Seen>(StoreConfig::new())
        .expect_err("its first events are gone");
}

/// Inside a closure of the store, its log says so instead of waiting for itself.
#[test]
fn a_closure_cannot_use_the_log() {
    let log = log();
    let store = log.store::<Seen>(StoreConfig::new()).expect("a store");
    store.commit(Note(1)).expect("commit");
    let inner = store.clone();
    let tries = move || {
        let calls: [(&str, Result<()>); 7] = [
            ("append", inner.log().append(&Note(9)).map(drop)),
            (
                "replay",
                inner
                    .log()
                    .replay(..)
                    .and_then(|mut all| all.next().transpose())
                    .map(drop),
            ),
            ("commit", inner.commit(Note(9)).map(drop)),
            ("read", inner.read(|_| ())),
            ("peek", inner.peek(|_| ())),
            ("submit", inner.submit::<(), ()>(|_, _| Err(())).map(drop)),
            ("store", inner.log().store::<Seen>(StoreConfig::new()).map(drop)),
        ];
        for (call, outcome) in calls {
            assert!(matches!(outcome, Err(WalError::Reentrant)), "{call}: {outcome:?}");
        }
    };
    store.read(|_| tries()).expect("read");
    store.peek(|_| tries()).expect("peek");
    let decided = store.transact(|_, _| {
        tries();
        Ok::<_, ()>(Decision::new(()))
    });
    decided.expect("decided");
    let other = self::log();
    store
        .read(|_| other.append(&Note(1)).expect("another log"))
        .expect("read");
    assert_eq!(values(&store.read(Seen::clone).expect("read")), [1]);
}
