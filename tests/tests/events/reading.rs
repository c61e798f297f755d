//! Reading events in other ways than from the first to the last: backwards, one of them, as they come.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, MemStore, Meta, Position, Start, Wal, WalError, WalRecord,
    event::{TypedError, Unreadable},
    read::Follow,
    state::{At, State, StoreConfig},
};
use wal_tests::{disk::Disk, quiet_heap};

/// A line is stored whole in version 1, and read as its words.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "line")]
struct Line(String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "line", version = 2, from = Line, split = words)]
struct Word(String);

fn words(line: Line) -> Vec<Word> {
    let words = line.0.split_whitespace();
    let word = |word: &str| {
        assert!(word != "panic", "as it was asked to");
        Word(word.to_owned())
    };
    words.map(word).collect()
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "line", version = 3, since = 3)]
struct OfTomorrow(String);

fn wal() -> Wal {
    Wal::with_store(MemStore::new()).unwrap()
}

fn word(word: &str) -> Word {
    Word(word.to_owned())
}

fn line(wal: &Wal, text: &str) -> Lsn {
    wal.append_typed(&Line(text.to_owned())).unwrap()
}

/// "today", a line of two words, a line of none, and "last", durable.
fn log() -> (EventLog<Word>, [Lsn; 4]) {
    let wal = wal();
    let first = wal.append_typed(&word("today")).unwrap();
    let lines = [line(&wal, "one two"), line(&wal, " ")];
    let last = wal.append_typed(&word("last")).unwrap();
    wal.sync().unwrap();
    (wal.typed().unwrap(), [first, lines[0], lines[1], last])
}

fn text_of<E: Into<WalError>>(events: impl Iterator<Item = Result<wal_db::Event<Word>, E>>) -> Vec<String> {
    events
        .map(|event| event.map_err(Into::into).unwrap().event.0)
        .collect()
}

#[test]
fn a_replay_from_the_newest_to_the_oldest_is_the_replay_turned_round() {
    let (log, _) = log();
    let forwards: Vec<_> = log.replay(..).unwrap().map(Result::unwrap).collect();
    let mut backwards: Vec<_> = log.replay_rev().unwrap().map(Result::unwrap).collect();
    backwards.reverse();
    assert_eq!(backwards, forwards);
    let text: Vec<_> = forwards.iter().map(|event| event.event.0.as_str()).collect();
    assert_eq!(text, ["today", "one", "two", "last"]);
}

#[test]
fn the_newest_event_of_a_stream_is_found_from_the_end() {
    let log = wal().typed::<Word>().unwrap();
    for (text, stream) in [("a", 7_u64), ("b", 8), ("c", 7), ("d", 8)] {
        log.append_with_meta(&word(text), &Meta::new().with_stream(stream))
            .unwrap();
    }
    log.append_with_meta(&word("e"), &Meta::new().with_stream("7"))
        .unwrap();
    log.append_with_meta(&word("f"), &Meta::new().with_stream([7; 16]))
        .unwrap();
    let newest = |log: &EventLog<Word>| log.replay_rev().unwrap();
    assert_eq!(text_of(newest(&log).stream(7)), ["c", "a"]);
    assert_eq!(
        text_of(newest(&log).stream("7")),
        ["e"],
        "the number 7 is not the text"
    );
    assert_eq!(text_of(newest(&log).stream([7; 16])), ["f"]);
    assert_eq!(log.last().unwrap().unwrap().event, word("f"));
}

#[test]
fn one_event_is_read_with_what_it_was_appended_with() {
    let (log, [first, two_words, none, last]) = log();
    let meta = Meta::new().with_time_ns(1_234_567_891).with_stream([3; 16]);
    let with_meta = log.append_with_meta(&word("more"), &meta).unwrap();
    let read = log.read(with_meta).unwrap();
    assert_eq!(
        (read.lsn, read.event, read.stored_version),
        (with_meta, word("more"), 2)
    );
    assert_eq!(
        (read.meta.time_ns(), read.meta.time_us()),
        (Some(1_234_567_891), Some(1_234_567))
    );
    assert_eq!(read.meta, meta);
    assert_eq!(
        (log.read(first).unwrap().event, log.read(last).unwrap().event),
        (word("today"), word("last"))
    );
    for (lsn, count) in [(two_words, 2), (none, 0)] {
        let error = log.read(lsn).unwrap_err();
        assert!(
            matches!(error, WalError::Typed(TypedError::Split { lsn: at, count: n, .. }) if (at, n) == (lsn, count)),
            "{error}"
        );
    }
    assert!(matches!(
        log.read(Lsn::new(1)),
        Err(WalError::NoSuchRecord { .. })
    ));
    assert_eq!(wal().typed::<Word>().unwrap().last().unwrap(), None);
}

#[test]
fn the_borders_of_batches_are_seen() {
    let log = wal().typed::<Word>().unwrap();
    log.append(&word("alone")).unwrap();
    log.append_batch(&["a", "b", "c"].map(word)).unwrap();
    log.append(&word("alone")).unwrap();
    let continues = |event: wal_db::Result<wal_db::Event<Word>>| event.unwrap().batch_continues;
    let forwards: Vec<_> = log.replay(..).unwrap().map(continues).collect();
    assert_eq!(forwards, [false, true, true, false, false]);
}

#[test]
fn a_follower_is_shown_what_is_durable_and_then_what_comes() {
    let (log, [.., last]) = log();
    let mut tail = log.tail(Start::Head).unwrap();
    assert_eq!(
        text_of(std::iter::from_fn(|| tail.try_next().transpose())),
        ["today", "one", "two", "last"]
    );
    let event = log.append(&word("new")).unwrap();
    assert_eq!(tail.try_next().unwrap(), None, "it is not durable");
    assert_eq!(tail.next_timeout(Duration::ZERO).unwrap(), None);
    let mut sooner = log.tail(last).unwrap().follow(Follow::Written);
    assert_eq!(
        sooner
            .next_timeout(Duration::from_secs(600))
            .unwrap()
            .unwrap()
            .event,
        word("last")
    );
    assert_eq!(
        sooner
            .next_timeout(Duration::from_secs(600))
            .unwrap()
            .unwrap()
            .lsn,
        event
    );
    log.wal().sync().unwrap();
    assert_eq!(
        tail.next_timeout(Duration::from_secs(600))
            .unwrap()
            .unwrap()
            .event,
        word("new")
    );
    log.wal().clone().close().unwrap();
    assert_eq!(
        tail.next().map(|event| event.is_ok()),
        None,
        "a closed log ends the iterator"
    );
    assert!(matches!(tail.try_next(), Err(WalError::Closed)));
}

#[test]
fn a_follower_passes_over_what_its_filters_say() {
    let wal = wal();
    for text in ["one", "two", "three"] {
        wal.append(b"plain").unwrap();
        let log = wal.typed::<Word>().unwrap();
        log.append_with_meta(&word(text), &Meta::new().with_stream(text))
            .unwrap();
    }
    wal.sync().unwrap();
    let log = wal.typed::<Word>().unwrap();
    let mut all = log.tail(Start::Head).unwrap().among_others();
    assert_eq!(
        text_of(std::iter::from_fn(|| all.try_next().transpose())),
        ["one", "two", "three"]
    );
    let mut one = log.tail(Start::Head).unwrap().stream("two");
    assert_eq!(
        text_of(std::iter::from_fn(|| one.try_next().transpose())),
        ["two"]
    );
}

/// Wherever a follower stops, another one goes on there: between two events of a record, too.
#[test]
fn a_follower_goes_on_from_every_position() {
    let (log, _) = log();
    let all = ["today", "one", "two", "last"];
    for stop in 0..=all.len() {
        let mut tail = log.tail(Start::Head).unwrap();
        for expected in &all[..stop] {
            assert_eq!(tail.try_next().unwrap().unwrap().event, word(expected));
        }
        let position = tail.position().unwrap();
        let stored = wal_db::Position::from_bytes(&position.to_bytes()).unwrap();
        let mut later = log.tail(stored).unwrap();
        let rest = text_of(std::iter::from_fn(|| later.try_next().transpose()));
        assert_eq!(rest, all[stop..], "after {stop} events, at {position}");
    }
}

/// A position that is asked for before anything was read is the one that was given.
#[test]
fn a_position_between_two_events_stays_until_the_next_is_taken() {
    let (log, [_, two_words, ..]) = log();
    let mut tail = log.tail(two_words).unwrap();
    assert_eq!(tail.try_next().unwrap().unwrap().event, word("one"));
    let between = tail.position().unwrap();
    assert_eq!((between.lsn(), between.part()), (two_words, 1));
    let mut later = log.tail(between).unwrap();
    assert_eq!(later.position().unwrap().part(), 1);
    let mut again = log.tail(later.position().unwrap()).unwrap();
    assert_eq!(again.try_next().unwrap().unwrap().event, word("two"));
    assert_eq!(later.try_next().unwrap().unwrap().event, word("two"));

    // The record is cut off, and with it the event that was taken; what comes instead is handed out whole.
    log.wal().truncate_from(two_words).unwrap();
    line(log.wal(), "three four");
    log.wal().sync().unwrap();
    let mut instead = log.tail(between).unwrap();
    assert!(matches!(instead.try_next(), Err(WalError::CutBack { .. })));
    let events = text_of(std::iter::from_fn(|| instead.try_next().transpose()));
    assert_eq!(events, ["three", "four"]);
}

/// What follows a gap is never handed out: the record that cannot be read comes again.
#[test]
fn a_follower_stays_at_a_record_that_it_cannot_read() {
    let wal = wal();
    let log = wal.typed::<Word>().unwrap();
    // In a group of its own: the position before what comes next is that of a follower that has not seen its group.
    log.append_and_sync(&word("known")).unwrap();
    let unknown = wal.append_typed(&OfTomorrow("later".into())).unwrap();
    log.append_and_sync(&word("after")).unwrap();

    let mut tail = log.tail(Start::Head).unwrap();
    assert_eq!(tail.try_next().unwrap().unwrap().event, word("known"));
    for _ in 0..3 {
        let error = tail.try_next().unwrap_err();
        assert!(
            matches!(error, WalError::Typed(TypedError::NewerVersion { lsn, .. }) if lsn == unknown),
            "{error}"
        );
        assert_eq!(tail.position().unwrap(), Position::of(&wal, unknown).unwrap());
    }
    assert!(tail.next_timeout(Duration::from_secs(600)).is_err());
    assert_eq!(
        tail.next().map(|event| event.is_ok()),
        None,
        "as an iterator it has ended"
    );
    assert_eq!(tail.ahead()[0].stored, 3);

    let mut passing = log.tail(Start::Head).unwrap().on_unreadable(Unreadable::Collect);
    assert_eq!(
        text_of(std::iter::from_fn(|| passing.try_next().transpose())),
        ["known", "after"]
    );
    assert_eq!(
        (passing.skipped().newer_version, passing.take_collected().len()),
        (1, 1)
    );
}

#[test]
fn a_panic_in_a_conversion_leaves_no_gap_for_a_follower() {
    let wal = wal();
    let bad = line(&wal, "panic");
    wal.append_typed(&word("after")).unwrap();
    wal.sync().unwrap();
    let mut tail = wal.typed::<Word>().unwrap().tail(Start::Head).unwrap();
    for _ in 0..2 {
        catch_unwind(AssertUnwindSafe(|| tail.try_next())).expect_err("the conversion panics");
        assert_eq!(tail.position().unwrap().lsn(), bad);
    }
}

/// What a cut takes back is told once, and the follower goes on.
#[test]
fn a_follower_hears_of_a_cut_and_goes_on() {
    let (log, [first, ..]) = log();
    let mut tail = log.tail(Start::Head).unwrap();
    while tail.try_next().unwrap().is_some() {}
    log.wal().truncate_after(first).unwrap();
    log.append_and_sync(&word("instead")).unwrap();
    assert!(matches!(tail.next(), Some(Err(WalError::CutBack { .. }))));
    assert_eq!(tail.next().unwrap().unwrap().event, word("instead"));
}

#[derive(Default)]
struct Latest {
    by: String,
    replayed: u64,
}

impl State for Latest {
    type Event = Word;

    fn apply(&mut self, _: Word, at: At<'_>) {
        self.by = at
            .meta
            .stream()
            .map(|stream| stream.to_string())
            .unwrap_or_default();
        self.replayed += u64::from(at.replaying);
    }
}

#[test]
fn a_state_sees_what_an_event_was_appended_with() {
    let log = wal().typed::<Word>().unwrap();
    let store = log.store::<Latest>(StoreConfig::new()).unwrap();
    let latest = || store.read(|latest| (latest.by.clone(), latest.replayed)).unwrap();
    let ann = Meta::new().with_stream("ann");
    store.commit_with_meta(word("a"), ann.clone()).unwrap();
    assert_eq!(latest(), ("ann".to_owned(), 0));
    store.commit(word("b")).unwrap();
    assert_eq!(latest(), (String::new(), 0));
    log.append_with_meta(&word("c"), &Meta::new().with_stream(7))
        .unwrap();
    assert_eq!(latest(), ("7".to_owned(), 1));

    let mut alone = Latest::default();
    alone.apply(word("x"), At::replayed(Lsn::ZERO).with_meta(&ann));
    alone.apply(word("y"), At::committed(Lsn::new(1)));
    assert_eq!((alone.by.as_str(), alone.replayed), ("", 1));
}

/// With one event of a record taken, the record has been read: a cut of it is told, as one of an event is.
#[test]
fn a_follower_between_two_events_hears_that_their_record_was_cut_off() {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    let lines = ["zero", "one two", "three four"].map(|text| line(&wal, text));
    wal.sync().unwrap();
    let log: EventLog<Word> = wal.typed().unwrap();
    let mut tail = log.tail(lines[2]).unwrap();
    assert_eq!(tail.try_next().unwrap().unwrap().event, word("three"));
    let between = tail.position().unwrap();
    // The record before it ends where the cut begins.
    wal.truncate_from(lines[2]).unwrap();
    line(&wal, "five six");
    wal.sync().unwrap();
    let mut instead = log.tail(between).unwrap();
    assert!(matches!(instead.try_next(), Err(WalError::CutBack { .. })));
    let events = text_of(std::iter::from_fn(|| instead.try_next().transpose()));
    assert_eq!(events, ["five", "six"]);
}

/// The cut took nothing of what the follower has read.
#[test]
fn a_follower_between_two_events_of_the_first_record_after_a_cut_goes_on() {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    let lines = ["zero", "one two"].map(|text| line(&wal, text));
    wal.truncate_from(lines[1]).unwrap();
    let first = line(&wal, "three four");
    wal.sync().unwrap();
    let log: EventLog<Word> = wal.typed().unwrap();
    let mut tail = log.tail(first).unwrap();
    assert_eq!(tail.try_next().unwrap().unwrap().event, word("three"));
    let mut later = log.tail(tail.position().unwrap()).unwrap();
    let events = text_of(std::iter::from_fn(|| later.try_next().transpose()));
    assert_eq!(events, ["four"]);
}

/// Another record at the place of one that a power failure took is another history.
#[test]
fn a_follower_between_two_events_learns_that_a_power_failure_took_their_record() {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    line(&wal, "durable");
    wal.sync().unwrap();
    let log: EventLog<Word> = wal.typed().unwrap();
    let lost = line(&wal, "one two");
    wal.drain().unwrap();
    let mut tail = log.tail(lost).unwrap().follow(Follow::Written);
    assert_eq!(tail.try_next().unwrap().unwrap().event, word("one"));
    let between = tail.position().unwrap();
    let disk = disk.after_power_loss(|_| false);
    let wal = Wal::with_store_and_config(disk, quiet_heap()).unwrap();
    assert_eq!(line(&wal, "three four"), lost);
    wal.sync().unwrap();
    let log: EventLog<Word> = wal.typed().unwrap();
    let followed = log.tail(between);
    assert!(matches!(followed, Err(WalError::Diverged { .. })), "{followed:?}");
}
