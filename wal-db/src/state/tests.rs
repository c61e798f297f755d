//! The state is the fold of a prefix of the log, whoever appends.

use serde::{Deserialize, Serialize};

use super::*;
use crate::{MemStore, Wal, WalRecord};

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
    assert_eq!((empty.events, empty.next), (0, log.wal().head()));

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
