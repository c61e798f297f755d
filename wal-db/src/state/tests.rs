//! The state is the fold of a prefix of the log, whichever handle appends.

use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    __private::{StoredEvent, Upcast},
    MemStore, Wal, WalRecord,
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

#[test]
fn a_rebuild_continues_where_it_ended() {
    let log = log();
    let empty = log.rebuild::<Seen>().expect("rebuild");
    assert_eq!((empty.events, empty.next), (0, log.wal().status().head));

    let lsns = log.append_batch(&[Note(1), Note(2)]).expect("append");
    let rebuilt = log.rebuild::<Seen>().expect("rebuild");
    assert_eq!(
        rebuilt.state.0,
        [(1, lsns[0].get(), true), (2, lsns[1].get(), true)]
    );
    assert_eq!(rebuilt.events, 2);

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
    let mut live = log.live::<Seen>().expect("live");
    let a = live.commit(Note(1)).expect("commit").get();
    let b = live.commit(Note(2)).expect("commit").get();
    assert_eq!(live.state().0, [(1, a, false), (2, b, false)]);
    assert_eq!(live.catch_up().expect("catch up"), 0);
    assert_eq!(
        log.rebuild::<Seen>().expect("rebuild").state.0,
        [(1, a, true), (2, b, true)]
    );
}

#[test]
fn events_of_others_are_applied_in_their_place() {
    let log = log();
    let mut live = log.live::<Seen>().expect("live");
    let a = live.commit(Note(1)).expect("commit").get();
    let other = log.append(&Note(10)).expect("append").get();
    let b = live.commit(Note(2)).expect("commit").get();
    let last = log.append(&Note(11)).expect("append").get();
    assert_eq!(live.state().0, [(1, a, false), (10, other, true), (2, b, false)]);
    assert_eq!(live.catch_up().expect("catch up"), 1);
    assert_eq!(
        live.into_rebuilt().state.0,
        [(1, a, false), (10, other, true), (2, b, false), (11, last, true)]
    );
}

#[test]
fn a_foreign_record_stops_the_commits_behind_it() {
    let log = log();
    let mut live = log.live::<Seen>().expect("live");
    live.commit(Note(1)).expect("commit");
    log.wal().append(b"plain bytes").expect("append");
    live.commit(Note(2)).expect_err("the plain record is in the way");
    let records = log.wal().iter().expect("iter").count();
    live.commit(Note(3)).expect_err("still in the way");
    assert_eq!(
        log.wal().iter().expect("iter").count(),
        records,
        "nothing more was appended"
    );
    assert_eq!(live.state().0.len(), 1);
    log.rebuild::<Seen>()
        .expect_err("and a rebuild does not pass it over");
}

/// Stored whole, and read as its halves since version 2; a half of 0 is none.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "pair")]
struct Pair(u32, u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Half(u32);

impl WalRecord for Half {
    const NAME: &'static str = "pair";
    const RECORDS: &'static [EventType] = &[EventType::new("pair", 2)];
    const FAMILY: bool = false;

    fn record_index(&self) -> usize {
        0
    }
}

impl<'de> WalDecode<'de> for Half {
    fn decode_older<C: Codec>(
        stored: &StoredEvent<'de, C>,
        _: usize,
    ) -> std::result::Result<Upcast<Self>, TypedError> {
        Ok(stored.older::<Pair>()?.split(|pair| {
            let halves = [Half(pair.0), Half(pair.1)];
            halves.into_iter().filter(|half| half.0 > 0)
        }))
    }
}

/// Panics once at the event that it is told to, after it has taken it in.
#[derive(Debug, Default)]
struct Halves {
    seen: Vec<(u32, u64, bool)>,
    panics_at: Option<u32>,
}

impl State for Halves {
    type Event = Half;

    fn apply(&mut self, event: Half, at: At) {
        self.seen.push((event.0, at.lsn.get(), at.replaying));
        if self.panics_at == Some(event.0) {
            self.panics_at = None;
            panic!("at {}", event.0);
        }
    }
}

#[test]
fn both_halves_of_a_split_event_are_applied_once() {
    let log: EventLog<Half> = Wal::with_store(MemStore::new())
        .expect("wal")
        .typed()
        .expect("typed");
    let mut live = log.live::<Halves>().expect("live");
    let pair = |a, b| log.wal().append_typed(&Pair(a, b)).expect("append").get();
    let first = pair(1, 2);
    assert_eq!(live.catch_up().expect("catch up"), 2);
    assert_eq!(live.catch_up().expect("catch up"), 0);
    let second = pair(3, 4);
    pair(0, 0);
    let own = live.commit(Half(5)).expect("commit").get();
    let last = pair(0, 6);
    assert_eq!(live.catch_up().expect("catch up"), 1);
    assert_eq!(live.catch_up().expect("catch up"), 0);
    let kept = [
        (1, first, true),
        (2, first, true),
        (3, second, true),
        (4, second, true),
        (5, own, false),
        (6, last, true),
    ];
    assert_eq!(live.state().seen, kept);
    let rebuilt = log.rebuild::<Halves>().expect("rebuild");
    assert_eq!(rebuilt.state.seen, kept.map(|(half, lsn, _)| (half, lsn, true)));
    assert_eq!((rebuilt.events, rebuilt.next), (6, live.next()));
}

#[test]
fn a_panic_between_the_halves_loses_none_and_repeats_none() {
    let log: EventLog<Half> = Wal::with_store(MemStore::new())
        .expect("wal")
        .typed()
        .expect("typed");
    let mut live = log.live::<Halves>().expect("live");
    live.rebuilt.state.panics_at = Some(1);
    let first = log.wal().append_typed(&Pair(1, 2)).expect("append");
    let second = log.wal().append_typed(&Pair(3, 4)).expect("append");
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live.catch_up())).expect_err("the state panics");
    assert_eq!(live.state().seen.len(), 1);
    assert_eq!(live.next(), first, "its other half is still to come");
    assert_eq!(live.catch_up().expect("catch up"), 3);
    let (first, second) = (first.get(), second.get());
    assert_eq!(
        live.state().seen,
        [
            (1, first, true),
            (2, first, true),
            (3, second, true),
            (4, second, true)
        ]
    );
}
