//! Metadata through the public API: what is appended with an event comes back with it, an event without has none of
//! it in its bytes, and a replay that filters reads headers only.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};
use wal_db::__private::{Codec, StoredEvent, Upcast};
use wal_db::{
    EventLog, Lsn, MemStore, Meta, Replay, Wal, WalError, WalRecord,
    event::{EventType, MetaError, MetaRef, TypedError, WalDecode, WalDecodeOwned},
};
use wal_tests::{assert_is, record, wal};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "note")]
struct Note(u32);

fn notes() -> EventLog<Note> {
    wal().typed().expect("no collision")
}

fn full() -> Meta {
    Meta::new()
        .with_time_us(-1)
        .with_event_id([1; 16])
        .with_correlation_id([2; 16])
        .with_causation(Lsn::new(u64::MAX))
        .with_stream("s\u{e9}jour")
        .with_tag("a")
        .with_tag("")
        .with_entry(128, b"first")
        .with_entry(255, b"")
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: wal_db::Result<T>) -> MetaError {
    match result {
        Err(WalError::Typed(TypedError::Encode { source, .. })) => *source
            .downcast::<MetaError>()
            .expect("the reason is the metadata's"),
        other => panic!("not refused: {other:?}"),
    }
}

/// The events of one type, in a log that holds others as well.
fn among_others<E: WalDecodeOwned>(wal: &Wal) -> Replay<E> {
    let log = wal.typed::<E>().expect("replay");
    log.replay(..).expect("replay").among_others()
}

#[test]
fn every_way_to_append_keeps_the_metadata() {
    let store = MemStore::new();
    let log = Wal::with_store(store.clone())
        .expect("wal")
        .typed::<Note>()
        .expect("typed");
    let mut metas = vec![
        full(),
        Meta::new().with_tag("one"),
        Meta::new(),
        full().with_tag("b"),
    ];
    let mut lsns = vec![log.append_with_meta(&Note(0), &metas[0]).expect("append")];
    let batch = [(Note(1), metas[1].clone()), (Note(2), metas[2].clone())];
    lsns.extend(log.append_batch_with_meta(&batch).expect("append"));
    lsns.push(
        log.wal()
            .typed()
            .expect("append")
            .append_with_meta(&Note(3), &metas[3])
            .expect("append"),
    );
    let ticket = log
        .wal()
        .ticket(log.append_with_meta(&Note(4), &metas[0]).expect("append"))
        .expect("append");
    lsns.push(ticket.wait().expect("durable"));
    metas.push(metas[0].clone());
    drop(log);

    let log = Wal::with_store(store)
        .expect("wal")
        .typed::<Note>()
        .expect("typed");
    let events: Vec<_> = log
        .replay(..)
        .expect("replay")
        .map(|event| event.expect("an event"))
        .collect();
    let read: Vec<_> = events.iter().map(|event| event.meta.clone()).collect();
    assert_eq!(read, metas);
    let numbered: Vec<_> = events.iter().map(|event| (event.lsn, event.event.0)).collect();
    assert_eq!(numbered, lsns.iter().copied().zip(0..).collect::<Vec<_>>());

    let record = log.wal().read(lsns[0]).expect("read");
    assert_eq!(record.meta().expect("metadata"), full().view());
    let borrowed: MetaRef<'_> = record.as_ref().meta().expect("metadata");
    assert_eq!(
        (borrowed.stream(), borrowed.time_us()),
        (Some("s\u{e9}jour".into()), Some(-1))
    );
    assert_eq!(record.decode::<Note>().expect("decode"), Note(0));
}

#[test]
fn an_event_without_metadata_is_stored_as_before() {
    let log = notes();
    let plain = log.append(&Note(7)).expect("append");
    let with_none = log.append_with_meta(&Note(7), &Meta::new()).expect("append");
    let [plain, with_none] = [plain, with_none].map(|lsn| log.wal().read(lsn).expect("read"));
    assert_eq!(plain.data(), with_none.data());
    // Envelope of at most 8 bytes, then 7 as bincode writes it.
    assert_eq!((plain.data().len() <= 9, plain.data().last()), (true, Some(&7)));
    assert!(plain.meta().expect("metadata").is_empty());
}

#[test]
fn a_plain_record_has_no_metadata_to_ask_for() {
    let wal = wal();
    let lsn = wal.append(&[0xE1, 1, 7, 1, 0]).expect("append");
    let record = wal.read(lsn).expect("read");
    let error = record.meta().expect_err("not an event");
    assert_is!(error, TypedError::NotTyped { lsn: at, .. } if *at == lsn);
}

#[test]
fn metadata_that_cannot_be_stored_refuses_the_append() {
    let log = notes();
    let long = Meta::new().with_stream(&"x".repeat(65_536));
    let MetaError::TooLong { max } = refusal(log.append_with_meta(&Note(1), &long)) else {
        panic!("another reason")
    };
    assert_eq!(max, 65_535);
    let reserved = Meta::new().with_entry(7, b"");
    let batch = [(Note(1), Meta::new()), (Note(2), reserved.clone())];
    assert_eq!(
        refusal(log.append_batch_with_meta(&batch)),
        MetaError::ReservedKey { key: 7 }
    );
    assert_eq!(
        refusal(
            log.append_with_meta(&Note(1), &reserved)
                .and_then(|lsn| log.wal().ticket(lsn))
        ),
        MetaError::ReservedKey { key: 7 }
    );
    assert_eq!(
        refusal(
            log.wal()
                .typed()
                .and_then(|log| log.append_with_meta(&Note(1), &reserved))
        ),
        MetaError::ReservedKey { key: 7 }
    );
    assert!(log.wal().is_empty(), "nothing was appended");
}

fn meta() -> impl Strategy<Value = Meta> {
    let stream = proptest::option::of("[ab]{0,2}");
    (stream, vec("[xy]{0,2}", 0..4)).prop_map(|(stream, tags)| {
        let meta = stream
            .iter()
            .fold(Meta::new(), |meta, stream| meta.with_stream(stream));
        tags.iter().fold(meta, |meta, tag| meta.with_tag(tag))
    })
}

proptest! {
    #[test]
    fn a_filter_finds_what_a_look_at_every_event_finds(
        metas in vec(meta(), 0..20), stream in "[ab]{0,2}", tags in vec("[xy]{0,2}", 0..3),
    ) {
        let log = notes();
        let batch: Vec<_> = (0..).map(Note).zip(metas).collect();
        log.append_batch_with_meta(&batch).expect("append");
        let all: Vec<_> = log.replay(..).expect("replay").map(|event| event.expect("an event")).collect();
        let has_tags = |meta: &Meta| tags.iter().all(|tag| meta.tags().any(|of| of == tag));
        let tagged = || tags.iter().fold(log.replay(..).expect("replay"), |replay, tag| replay.tagged(tag));

        let expected: Vec<_> = all.iter().filter(|event| has_tags(&event.meta)).cloned().collect();
        let found: Vec<_> = tagged().map(|event| event.expect("an event")).collect();
        prop_assert_eq!(&found, &expected);

        let both = expected.into_iter().filter(|event| event.meta.stream() == Some((&stream).into()));
        let found = tagged().stream(&stream).map(|event| event.expect("an event"));
        prop_assert_eq!(found.collect::<Vec<_>>(), both.collect::<Vec<_>>());
    }
}

thread_local! {
    static DECODED: Cell<u32> = const { Cell::new(0) };
}

/// Counts how often it is decoded.
#[derive(Debug, PartialEq, Serialize)]
struct Counted(String);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.set(DECODED.get() + 1);
        String::deserialize(deserializer).map(Counted)
    }
}

/// A family of which one type had another name before.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Order {
    Placed(Counted),
    Shipped { by: Counted },
}

impl WalRecord for Order {
    const NAME: &'static str = "order";
    const RECORDS: &'static [EventType] = &[
        EventType::new("order.placed", 1).aliases(&["order.made", "purchase"]),
        EventType::new("order.shipped", 1),
    ];
    const FAMILY: bool = true;

    fn record_index(&self) -> usize {
        match self {
            Order::Placed(_) => 0,
            Order::Shipped { .. } => 1,
        }
    }
}

impl WalDecode<'_> for Order {}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "purchase")]
struct Purchase(String);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "order.made")]
struct Made(String);

/// A record that is an `order.placed` by its header, and no string after it.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "order.placed")]
struct Undecodable([u8; 2]);

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "login", version = 3, since = 3)]
struct Login([u8; 2]);

const UNDECODABLE: [u8; 2] = [0xFF; 2];

fn placed(by: &str) -> Order {
    Order::Placed(Counted(by.into()))
}

#[test]
fn a_replay_of_one_type_decodes_nothing_else() {
    let wal = wal();
    wal.append_typed(&placed("a")).expect("append");
    wal.append_typed(&Login(UNDECODABLE)).expect("append");
    wal.append(b"plain bytes").expect("append");
    wal.append_typed(&Purchase("b".into())).expect("append");
    wal.append_typed(&Login(UNDECODABLE)).expect("append");
    let shipped = || Order::Shipped {
        by: Counted("c".into()),
    };
    wal.append_typed(&shipped()).expect("append");
    wal.append_typed(&Made("d".into())).expect("append");

    DECODED.set(0);
    let mut replay = among_others::<Order>(&wal);
    let events: Vec<_> = replay
        .by_ref()
        .map(|event| event.expect("an event").event)
        .collect();
    assert_eq!(events, [placed("a"), placed("b"), shipped(), placed("d")]);
    assert_eq!(DECODED.get(), 4);
    assert_eq!(
        replay.skipped().total(),
        0,
        "what is not asked for is not unreadable"
    );
    assert!(replay.ahead().is_empty());

    let (logins, purchases) = (among_others::<Login>(&wal), among_others::<Purchase>(&wal));
    assert_eq!((logins.count(), purchases.count()), (2, 1));

    wal.append_typed(&Undecodable(UNDECODABLE)).expect("append");
    let last = among_others::<Order>(&wal).last().expect("some");
    let error = last.expect_err("one of its own that cannot be read is an error");
    assert_is!(error, WalError::Typed(TypedError::Codec { .. }));
}

#[test]
fn filters_decode_what_they_let_through_and_nothing_else() {
    let wal = wal();
    let (here, there) = (Meta::new().with_stream("here"), Meta::new().with_stream("there"));
    let log = wal.typed::<Order>().expect("typed");
    log.append_with_meta(&placed("a"), &here).expect("append");
    log.append_with_meta(&placed("b"), &there.clone().with_tag("t"))
        .expect("append");
    wal.typed()
        .expect("append")
        .append_with_meta(&Undecodable(UNDECODABLE), &there)
        .expect("append");
    wal.typed()
        .expect("append")
        .append_with_meta(&Login(UNDECODABLE), &there)
        .expect("append");
    wal.append(b"plain bytes").expect("append");
    log.append(&placed("c")).expect("append");
    log.append_with_meta(&placed("d"), &here.with_tag("t").with_tag("u"))
        .expect("append");

    let found = |replay: wal_db::Replay<Order>| {
        DECODED.set(0);
        let events: Vec<_> = replay.map(|event| event.expect("an event").event).collect();
        assert_eq!(DECODED.get() as usize, events.len());
        events
    };
    let replay = || log.replay(..).expect("replay");
    assert_eq!(found(replay().stream("here")), [placed("a"), placed("d")]);
    assert_eq!(found(replay().tagged("t")), [placed("b"), placed("d")]);
    assert_eq!(found(replay().tagged("t").tagged("u")), [placed("d")]);
    assert_eq!(found(replay().tagged("t").stream("there")), [placed("b")]);
    assert_eq!(found(replay().stream("her")), []);
    let of_type = among_others::<Login>(&wal).stream("there");
    assert_eq!(of_type.count(), 1);
    let plain = replay()
        .find_map(Result::err)
        .expect("without a filter everything is looked at");
    assert_is!(plain, WalError::Typed(TypedError::Codec { .. }));
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "line")]
struct Line(String);

/// A line is stored whole in version 1, and read as its words.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Word(String);

record!(Word, EventType::new("line", 2));

impl<'de> WalDecode<'de> for Word {
    fn decode_older<C: Codec>(stored: &StoredEvent<'de, C>, _: usize) -> Result<Upcast<Self>, TypedError> {
        let words = |line: Line| {
            let words = line.0.split_whitespace();
            words.map(|word| Word(word.into())).collect::<Vec<_>>()
        };
        Ok(stored.older::<Line>()?.split(words))
    }
}

#[test]
fn the_parts_of_a_split_event_share_its_metadata() {
    let wal = wal();
    let meta = full();
    let first = wal
        .typed()
        .expect("append")
        .append_with_meta(&Line("three short words".into()), &meta)
        .expect("append");
    wal.typed()
        .expect("append")
        .append_with_meta(&Line(" ".into()), &meta)
        .expect("append");
    let last = wal.append_typed(&Word("today".into())).expect("append");
    let events: Vec<_> = wal
        .typed::<Word>()
        .expect("typed")
        .replay(..)
        .expect("replay")
        .map(|event| event.expect("an event"))
        .map(|event| (event.event.0, event.lsn, event.part, event.parts, event.meta))
        .collect();
    let part = |word: &str, part| (word.to_owned(), first, part, 3, meta.clone());
    assert_eq!(
        events,
        [
            part("three", 0),
            part("short", 1),
            part("words", 2),
            ("today".to_owned(), last, 0, 1, Meta::new())
        ]
    );
}
