//! Several families in one log: enums whose variants hold event types of their own, and batches of events of any types.

mod batches;

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, Meta, Start, Wal, WalError, WalRecord,
    codec::{Bincode, Codec, Json, Postcard},
    event::{Retired, TypedError, UnknownEvent, Unreadable, WalDecodeOwned},
    state::{At, State, StoreConfig},
    testing::{DeclaredType, LockMode, ReadableType, check_history, check_lock},
};
use wal_tests::{assert_is, wal};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "order")]
enum Order {
    Placed {
        id: u64,
        lines: Vec<String>,
    },
    #[wal(version = 2)]
    Sent {
        id: u64,
        #[wal(since = 2, default = "post")]
        with: String,
    },
    #[wal(retired)]
    Parked(Retired),
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "billed", version = 2, from = BilledV1)]
struct Billed {
    order: u64,
    cents: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "note.taken")]
struct Note(String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "stock")]
enum Stock {
    #[wal(version = 2, from = MovedV1, split = both_ends)]
    Counted { place: u8, by: i32 },
    #[wal(id = 77)]
    Emptied(u8),
    #[wal(other)]
    Unknown(UnknownEvent),
}

/// Part of the whole below.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum Goods {
    Stock(Stock),
    Note(Note),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(families)]
enum App {
    Order(Order),
    Billed(Billed),
    Goods(Goods),
}

/// What the release before wrote.
mod old {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "order")]
    pub(crate) enum Order {
        Sent { id: u64 },
        Parked { place: u8 },
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "billed")]
struct BilledV1 {
    cents: u32,
    order: u64,
}

impl TryFrom<BilledV1> for Billed {
    type Error = String;

    fn try_from(old: BilledV1) -> Result<Self, String> {
        match old.cents {
            u32::MAX => Err("nobody pays that".to_owned()),
            cents => Ok(Billed {
                order: old.order,
                cents: cents.into(),
            }),
        }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "stock.counted")]
struct MovedV1 {
    from: u8,
    to: u8,
    count: i32,
}

fn both_ends(old: MovedV1) -> [Stock; 2] {
    let counted = |place, by| Stock::Counted { place, by };
    [
        counted(old.from, old.count.wrapping_neg()),
        counted(old.to, old.count),
    ]
}

fn placed(id: u64) -> App {
    App::Order(Order::Placed {
        id,
        lines: vec!["tea".to_owned()],
    })
}

fn billed(order: u64, cents: i64) -> App {
    App::Billed(Billed { order, cents })
}

fn counted(place: u8, by: i32) -> App {
    App::Goods(Goods::Stock(Stock::Counted { place, by }))
}

fn note(text: &str) -> App {
    App::Goods(Goods::Note(Note(text.to_owned())))
}

fn events<E: WalDecodeOwned, C: Codec>(log: &EventLog<E, C>) -> Vec<E> {
    let replay = log.replay(..).expect("reads");
    replay.map(|event| event.expect("an event").event).collect()
}

fn payloads(wal: &Wal) -> Vec<Vec<u8>> {
    let records = wal.iter().expect("reads");
    records
        .map(|record| record.expect("a record").into_data())
        .collect()
}

// ---- what it stands for ---------------------------------------------------------------------------------------------

#[test]
fn its_event_types_are_those_of_what_its_variants_hold() {
    let names: Vec<_> = App::RECORDS.iter().map(|record| record.name).collect();
    let expected = [
        "order.placed",
        "order.sent",
        "order.parked",
        "order.cancelled",
        "billed",
        "stock.counted",
        "stock.emptied",
        "note.taken",
    ];
    assert_eq!(names, expected);
    assert_eq!(App::RECORDS[..4], *Order::RECORDS);
    assert_eq!(App::RECORDS[5..7], *Stock::RECORDS);
    let indices = [placed(1), billed(1, 2), counted(1, 2), note("a")].map(|event| event.record_index());
    assert_eq!(indices, [0, 4, 5, 7]);
    assert_eq!((App::NAME, Goods::NAME), ("App", "Goods"));
}

fn app() -> impl Strategy<Value = App> {
    let text = "[a-z\\PC]{0,6}";
    prop_oneof![
        (any::<u64>(), vec(text, 0..3)).prop_map(|(id, lines)| App::Order(Order::Placed { id, lines })),
        (any::<u64>(), text).prop_map(|(id, with)| App::Order(Order::Sent { id, with })),
        Just(App::Order(Order::Cancelled)),
        any::<(u64, i64)>().prop_map(|(order, cents)| billed(order, cents)),
        any::<(u8, i32)>().prop_map(|(place, by)| counted(place, by)),
        any::<u8>().prop_map(|place| App::Goods(Goods::Stock(Stock::Emptied(place)))),
        text.prop_map(|text| note(&text)),
    ]
}

/// Appends the event as what is inside the enums.
fn append_inside<C: Codec>(wal: &Wal, event: &App) -> wal_db::Result<Lsn> {
    fn one<E: WalDecodeOwned, C: Codec>(wal: &Wal, event: &E) -> wal_db::Result<Lsn> {
        wal.typed::<E>()?.with_codec::<C>().append(event)
    }
    match event {
        App::Order(event) => one::<_, C>(wal, event),
        App::Billed(event) => one::<_, C>(wal, event),
        App::Goods(Goods::Stock(event)) => one::<_, C>(wal, event),
        App::Goods(Goods::Note(event)) => one::<_, C>(wal, event),
    }
}

/// However events are appended, the bytes are the same, and so is what is read.
fn is_the_same_inside_and_outside<C: Codec>(all: &[(App, u8)]) {
    let [mixed, inside] = [wal(), wal()];
    for (event, way) in all {
        append_inside::<C>(&inside, event).expect("appends");
        let log = mixed.typed::<App>().expect("typed").with_codec::<C>();
        match way {
            0 => drop(log.append(event).expect("appends")),
            1 => drop(append_inside::<C>(&mixed, event).expect("appends")),
            2 => drop(log.append_batch(std::slice::from_ref(event)).expect("appends")),
            _ => {
                let mut batch = mixed.batch().with_codec::<C>();
                drop(batch.push(event).expect("is added").append().expect("appends"));
            }
        }
    }
    assert_eq!(payloads(&mixed), payloads(&inside));
    let schemas = |wal: &Wal| wal.schemas().expect("reads").iter().cloned().collect::<Vec<_>>();
    assert_eq!(schemas(&mixed), schemas(&inside));

    let app = inside.typed::<App>().expect("typed").with_codec::<C>();
    let expected: Vec<App> = all.iter().map(|(event, _)| event.clone()).collect();
    assert_eq!(events(&app), expected);
    let mut backwards: Vec<App> = app
        .replay_rev()
        .expect("reads")
        .map(|event| event.expect("an event").event)
        .collect();
    backwards.reverse();
    assert_eq!(backwards, expected);
    assert_eq!(
        app.last().expect("reads").map(|event| event.event),
        expected.last().cloned()
    );

    let orders = mixed.typed::<Order>().expect("typed").with_codec::<C>();
    let orders: Vec<App> = orders
        .replay(..)
        .expect("reads")
        .among_others()
        .map(|event| App::Order(event.expect("an order").event))
        .collect();
    let is_order = |event: &&App| matches!(event, App::Order(_));
    assert_eq!(
        orders,
        expected.iter().filter(is_order).cloned().collect::<Vec<_>>()
    );
}

proptest! {
    #[test]
    fn nothing_of_the_enum_is_stored(all in vec((app(), 0..4u8), 0..12)) {
        is_the_same_inside_and_outside::<Bincode>(&all);
        is_the_same_inside_and_outside::<Postcard>(&all);
        is_the_same_inside_and_outside::<Json>(&all);
    }

    #[test]
    fn every_event_comes_back(event in app()) {
        wal_db::testing::assert_roundtrip!(event);
    }
}

#[test]
fn a_log_of_one_family_is_one_of_several_later_and_the_other_way_round() {
    let wal = wal();
    let App::Order(first) = placed(1) else {
        unreachable!()
    };
    wal.typed::<Order>().unwrap().append(&first).unwrap();
    let app = wal.typed::<App>().unwrap();
    app.append(&App::Order(Order::Cancelled)).unwrap();
    assert_eq!(events(&wal.typed::<Order>().unwrap()), [first, Order::Cancelled]);
    assert_eq!(wal.schemas().unwrap().len(), 2);
}

#[test]
fn every_way_of_reading_gives_the_events_of_all() {
    let wal = wal();
    let log = wal.typed::<App>().unwrap();
    let mut tail = log.tail(Start::Head).unwrap();
    let meta = Meta::new().with_stream(7);
    let first = log.append_with_meta(&placed(1), &meta).unwrap();
    wal.append_typed(&Note("by itself".to_owned())).unwrap();
    let last = log.append_and_sync(&billed(1, 900)).unwrap();

    let mut tailed = Vec::new();
    while let Some(event) = tail.try_next().unwrap() {
        tailed.push(event.event);
    }
    assert_eq!(tailed, [placed(1), note("by itself"), billed(1, 900)]);
    assert_eq!(log.read(last).unwrap().event, billed(1, 900));
    assert_eq!(wal.read(first).unwrap().decode::<App>().unwrap(), placed(1));
    let of_stream: Vec<_> = log.replay(..).unwrap().stream(7).collect();
    assert_is!(of_stream[..], [Ok(event)] if event.event == placed(1) && event.meta == meta);
    assert_eq!(format!("{log:?}"), "EventLog { events: \"App\", .. }");
}

#[derive(Debug, Default, PartialEq)]
struct Books {
    open: i64,
    owed: i64,
}

impl State for Books {
    type Event = App;

    fn apply(&mut self, event: App, _: At<'_>) {
        match event {
            App::Order(Order::Placed { .. }) => self.open += 1,
            App::Billed(billed) => self.owed += billed.cents,
            _ => {}
        }
    }
}

#[test]
fn a_state_is_made_of_events_of_several_families() {
    let wal = wal();
    let log = wal.typed::<App>().unwrap();
    let store = log.store::<Books>(StoreConfig::new()).unwrap();
    store.commit(placed(1)).unwrap();
    store.commit(billed(1, 900)).unwrap();
    wal.append_typed(&Billed { order: 1, cents: 50 }).unwrap();
    let books = Books { open: 1, owed: 950 };
    store.read(|kept| assert_eq!(*kept, books)).unwrap();
    assert_eq!(log.rebuild::<Books>().unwrap().state, books);
}

// ---- older, retired and unknown events ------------------------------------------------------------------------------

#[test]
fn what_earlier_releases_wrote_is_brought_up_to_date_by_what_the_variants_hold() {
    let wal = wal();
    wal.append_typed(&old::Order::Sent { id: 3 }).unwrap();
    wal.append_typed(&old::Order::Parked { place: 4 }).unwrap();
    wal.append_typed(&BilledV1 { cents: 9, order: 3 }).unwrap();
    let moved = MovedV1 {
        from: 1,
        to: 2,
        count: 10,
    };
    wal.append_typed(&moved).unwrap();
    let sent = App::Order(Order::Sent {
        id: 3,
        with: "post".to_owned(),
    });
    let log = wal.typed::<App>().unwrap();
    assert_eq!(
        events(&log),
        [sent, billed(3, 9), counted(1, -10), counted(2, 10)]
    );
    assert!(log.ahead().unwrap().is_empty());

    let lsn = wal
        .append_typed(&BilledV1 {
            cents: u32::MAX,
            order: 3,
        })
        .unwrap();
    let error = wal.read(lsn).unwrap().decode::<App>().unwrap_err();
    assert_is!(
        error,
        TypedError::Upcast {
            name: "billed",
            stored: 1,
            known: 2,
            ..
        }
    );
}

#[test]
fn a_record_of_no_family_goes_to_the_first_that_takes_those() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "order")]
    enum Newer {
        Returned(u8),
    }
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(families)]
    enum Without {
        Order(Order),
        Billed(Billed),
    }

    let wal = wal();
    let lsn = wal.append_typed(&Newer::Returned(5)).unwrap();
    let read = events(&wal.typed::<App>().unwrap());
    let [event @ App::Goods(Goods::Stock(Stock::Unknown(raw)))] = &read[..] else {
        panic!("{read:?}");
    };
    assert_eq!((raw.version, &raw.bytes[..]), (1, &[5][..]));
    // It is none of the event types, whatever comes after those of the stock.
    assert_eq!(event.record_index(), App::RECORDS.len());
    assert_is!(
        wal.append_typed(event),
        Err(WalError::Typed(TypedError::Encode { name: "App", .. }))
    );

    let without = wal.typed::<Without>().unwrap();
    let error = without.read(lsn).unwrap_err();
    assert_is!(
        error,
        WalError::Typed(TypedError::UnknownType {
            family: "Without",
            ..
        })
    );
    assert!(error.to_string().contains("order.returned"), "{error}");
    let mut skipping = without.replay(..).unwrap().on_unreadable(Unreadable::Skip);
    assert!(skipping.next().is_none());
    assert_eq!(skipping.skipped().unknown_type, 1);
    for ahead in [
        without.ahead().unwrap(),
        wal.typed::<App>().unwrap().ahead().unwrap(),
    ] {
        assert_is!(ahead[..], [ahead] if ahead.name.as_deref() == Some("order.returned"));
    }
}

#[test]
fn a_type_of_another_family_is_ahead_of_one_and_not_of_all() {
    let wal = wal();
    wal.append_typed(&Note("a".to_owned())).unwrap();
    let ahead = wal.typed::<Order>().unwrap().ahead().unwrap();
    assert_is!(ahead[..], [ahead] if ahead.name.as_deref() == Some("note.taken"));
    assert!(wal.typed::<App>().unwrap().ahead().unwrap().is_empty());
    let mut replay = wal.typed::<Order>().unwrap().replay(..).unwrap();
    let error = replay.next().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("a `note.taken`") && error.contains("an enum with `#[wal(families)]`"),
        "{error}"
    );
}

#[test]
fn what_is_held_may_borrow() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "said")]
    struct Said<'a>(&'a str);

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "heard")]
    enum Heard<'a> {
        Well(#[serde(borrow)] Cow<'a, str>),
        Badly,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(families)]
    enum Talk<'a, 'b> {
        Said(#[serde(borrow)] Said<'a>),
        Heard(#[serde(borrow)] Heard<'b>),
    }

    let wal = wal();
    let text = "hello".to_owned();
    let lsn = wal
        .append_typed(&Talk::Heard(Heard::Well(text.as_str().into())))
        .unwrap();
    let record = wal.read(lsn).unwrap();
    let talk = record.decode_ref::<Talk<'_, '_>>().unwrap();
    assert_is!(talk, Talk::Heard(Heard::Well(Cow::Borrowed("hello"))));
    // What is added to a batch need not live as long as it.
    let mut batch = wal.batch();
    for i in 0..3 {
        let text = i.to_string();
        batch.push(&Said(&text)).unwrap();
    }
    let lsns = batch.append().unwrap();
    assert_eq!(
        wal.read(lsns[2]).unwrap().decode_ref::<Said<'_>>().unwrap(),
        Said("2")
    );
    wal.append_typed(&Heard::Badly).unwrap();
}

// ---- what was released ----------------------------------------------------------------------------------------------

#[test]
fn the_lines_of_a_family_are_in_the_lock_once() {
    let dir = tempfile::tempdir().unwrap();
    let both = [
        DeclaredType::of::<Order>(),
        DeclaredType::of::<App>(),
        DeclaredType::of::<Goods>(),
        DeclaredType::of::<Note>(),
    ];
    let added = check_lock(dir.path(), &both, &[], LockMode::Update).expect("nothing is released twice");
    let names: Vec<_> = added.iter().map(|line| line.split_once(' ').unwrap().0).collect();
    let expected = [
        "billed",
        "billed",
        "note.taken",
        "order.cancelled",
        "order.placed",
        "order.sent",
        "order.sent",
        "stock.counted",
        "stock.counted",
        "stock.emptied",
    ];
    assert_eq!(names, expected);
    let app = [DeclaredType::of::<App>()];
    assert_eq!(check_lock(dir.path(), &app, &[], LockMode::Check), Ok(vec![]));
    let history = [ReadableType::of::<App>()];
    check_history(dir.path(), &history, &["billed"]).expect("every version is read");

    // What is released and gone is missed in the family that it was of.
    let released = std::fs::read_to_string(dir.path().join("wal.lock")).unwrap();
    std::fs::write(dir.path().join("wal.lock"), released + "order.lost 1 unit\n").unwrap();
    let missed = check_lock(dir.path(), &app, &[], LockMode::Check)
        .unwrap_err()
        .to_string();
    assert!(
        missed.contains("`order.lost` is released and `order` has no such variant"),
        "{missed}"
    );
}
