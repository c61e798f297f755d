//! What is written can be read: the first event of a type that a log takes is read again before it is appended, and in
//! a debug build every event is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wal_db::{
    MemStore, Meta, Wal, WalError, WalRecord, WalSchema,
    codec::{Bincode, Codec, Json, Postcard},
    event::{EventType, TypedError},
    schema::{Part, Shape, ShapeField},
};
use wal_tests::{assert_is, own::Own, wal};

/// As a well-known crate of decimal numbers does by default: it writes text and asks the format what comes next.
#[derive(Debug, Clone, PartialEq)]
struct Decimal(i64, u32);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}e-{}", self.0, self.1))
    }
}

impl FromStr for Decimal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, scale) = text.split_once("e-").ok_or("no decimal")?;
        let number = |error: std::num::ParseIntError| error.to_string();
        Ok(Decimal(
            digits.parse().map_err(number)?,
            scale.parse().map_err(number)?,
        ))
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whatever;

        impl Visitor<'_> for Whatever {
            type Value = Decimal;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a decimal number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Whatever)
    }
}

/// Refused, with nothing appended; returns why.
#[track_caller]
fn refused<T: std::fmt::Debug>(wal: &Wal, name: &str, result: Result<T, WalError>) -> String {
    let Err(WalError::Typed(TypedError::Encode {
        name: found, source, ..
    })) = result
    else {
        panic!("{name}: {result:?}");
    };
    assert_eq!(found, name);
    assert_eq!(wal.iter().expect("reads").count(), 0, "nothing was appended");
    let schemas = wal.schemas().expect("reads");
    assert!(
        schemas.iter().all(|schema| schema.name != name),
        "no schema either"
    );
    source.to_string()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
enum Shop {
    Opened,
    Sold { id: u64, lines: Vec<Line> },
    Priced(#[wal(opaque = "decimal@1")] Decimal),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Line {
    note: String,
    #[wal(opaque = "decimal@1")]
    price: Decimal,
}

fn sold() -> Shop {
    let line = |price| Line {
        note: "n".into(),
        price,
    };
    Shop::Sold {
        id: 7,
        lines: vec![line(Decimal(1, 2))],
    }
}

#[test]
fn a_type_that_asks_what_comes_next_is_refused_at_its_first_append() {
    fn check<C: Codec>(name: &str) {
        let meta = Meta::new().with_stream("s");
        let wal = wal();
        // As in a release build.
        let log = wal
            .typed::<Shop>()
            .expect("typed")
            .with_codec::<C>()
            .with_read_back(false);
        let tries = [
            log.append(&sold()),
            log.append_and_sync(&sold()),
            log.append(&sold())
                .and_then(|lsn| log.wal().ticket(lsn))
                .and_then(wal_db::Ticket::wait),
            log.append_with_meta(&sold(), &meta),
            log.append_batch(&[Shop::Opened, sold()]).map(|lsns| lsns[0]),
            log.append_batch_with_meta(&[(sold(), meta.clone())])
                .map(|lsns| lsns[0]),
        ];
        for result in tries {
            let why = refused(&wal, "shop.sold", result);
            assert_eq!(
                why,
                format!(
                    "it could not be read again: the field `lines.0.price` asks what comes next, which {name} does not \
                     say: store it as text or as a number with `#[serde(with = \"...\")]`, or store the events as JSON"
                )
            );
        }
        let why = refused(&wal, "shop.priced", log.append(&Shop::Priced(Decimal(1, 2))));
        assert!(why.contains("the event asks what comes next"), "{why}");
        log.append(&Shop::Opened).expect("a type without the field");
    }
    check::<Bincode>("bincode 2");
    check::<Postcard>("postcard 1");
    check::<Own>("codec 200");
}

#[test]
fn the_untyped_handle_refuses_it_as_well() {
    let wal = wal();
    for result in [
        wal.append_typed(&sold()),
        wal.typed()
            .and_then(|log| log.append_batch(&[Shop::Opened, sold()]))
            .map(|lsns| lsns[0]),
        wal.typed()
            .and_then(|log| log.append_with_meta(&sold(), &Meta::new().with_tag("t"))),
    ] {
        let why = refused(&wal, "shop.sold", result);
        assert!(why.contains("the field `lines.0.price`"), "{why}");
    }
}

#[test]
fn json_says_what_comes_next_and_takes_it() {
    let wal = wal();
    let log = wal.typed::<Shop>().expect("typed").with_codec::<Json>();
    let lsn = log.append(&sold()).expect("JSON says what comes next");
    let read = wal.read(lsn).expect("reads").decode_with_codec::<Shop, Json>();
    assert_eq!(read.expect("decodes"), sold());
    // Every format is asked for itself.
    let compact = wal
        .typed::<Shop>()
        .expect("typed")
        .with_codec::<Postcard>()
        .with_read_back(false);
    assert!(compact.append(&sold()).is_err(), "JSON says nothing of postcard");
    assert_eq!(wal.iter().expect("reads").count(), 1);
}

/// Times how often one is read.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "counted")]
struct Counted(
    #[serde(deserialize_with = "count")]
    #[wal(opaque = "u8")]
    u8,
);

static READ: AtomicU64 = AtomicU64::new(0);

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    READ.fetch_add(1, Ordering::Relaxed);
    u8::deserialize(deserializer)
}

#[test]
fn only_the_first_append_reads_and_in_a_debug_build_all_do() {
    let reads = |append: &dyn Fn()| {
        let before = READ.load(Ordering::Relaxed);
        append();
        READ.load(Ordering::Relaxed) - before
    };
    let wal = wal();
    let log = wal.typed::<Counted>().expect("typed");
    assert_eq!(log.read_back(), cfg!(debug_assertions));
    let (lazy, careful) = (log.clone().with_read_back(false), log.with_read_back(true));
    let one = |log: &wal_db::EventLog<Counted>| {
        log.append(&Counted(7)).expect("appends");
    };
    assert_eq!(reads(&|| one(&lazy)), 1, "the first one");
    assert_eq!(reads(&|| one(&lazy)), 0);
    assert_eq!(reads(&|| one(&careful)), 1);
    assert_eq!(
        reads(&|| {
            lazy.append_batch(&[Counted(1), Counted(2)]).expect("appends");
        }),
        0
    );
    let untyped = reads(&|| {
        wal.append_typed(&Counted(7)).expect("appends");
    });
    assert_eq!(untyped, u64::from(cfg!(debug_assertions)));
    // Every log is asked for itself, and every format.
    let json = wal.typed::<Counted>().expect("typed").with_codec::<Json>();
    let json = json.with_read_back(false);
    let in_json = |n: u8| {
        json.append(&Counted(n)).expect("appends");
    };
    assert_eq!((reads(&|| in_json(1)), reads(&|| in_json(2))), (1, 0));
}

#[test]
fn every_event_of_a_first_batch_is_read() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "small")]
    struct Small(
        #[serde(deserialize_with = "small")]
        #[wal(opaque = "small@1")]
        u8,
    );

    fn small<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        match u8::deserialize(deserializer)? {
            n @ 0..100 => Ok(n),
            n => Err(D::Error::custom(format!("{n} is too large"))),
        }
    }

    let wal = wal();
    let log = wal.typed::<Small>().expect("typed").with_codec::<Bincode>();
    let why = refused(
        &wal,
        "small",
        log.with_read_back(false).append_batch(&[Small(1), Small(200)]),
    );
    assert_eq!(
        why,
        "it could not be read again: the event: 200 is too large: its `Deserialize` has to take what its `Serialize` writes"
    );
}

// ---- what is read is what was written ------------------------------------------------------------------------------

#[test]
fn an_event_that_would_be_read_as_another_is_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
    struct Inner {
        a: u8,
        #[serde(serialize_with = "twice")]
        #[wal(opaque = "twice", wire = u32)]
        b: u32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "doubled")]
    struct Doubled {
        inner: Inner,
    }

    fn twice<S: Serializer>(n: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(2 * n)
    }

    fn check<C: Codec>() {
        let wal = wal();
        let log = wal
            .typed::<Doubled>()
            .expect("typed")
            .with_codec::<C>()
            .with_read_back(false);
        let inner = Inner { a: 1, b: 4 };
        let why = refused(&wal, "doubled", log.append(&Doubled { inner }));
        assert_eq!(
            why,
            "it would be read as something else: the field `inner.b` is 8 and would be 16: its `Deserialize` has to \
             give back what its `Serialize` has written"
        );
    }
    check::<Bincode>();
    check::<Postcard>();
    check::<Json>();
    check::<Own>();
}

/// The schema says which variant a number is, and another program reads by it.
#[test]
fn a_variant_that_the_schema_calls_otherwise_is_refused_where_only_its_number_is_stored() {
    #[derive(Debug, Deserialize, WalSchema)]
    enum Side {
        Buy(u32),
        Sell(u32),
    }

    impl Serialize for Side {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Side::Buy(count) => serializer.serialize_newtype_variant("Side", 0, "Bid", count),
                Side::Sell(count) => serializer.serialize_newtype_variant("Side", 1, "Sell", count),
            }
        }
    }

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "order")]
    struct Order {
        side: Side,
    }

    fn check<C: Codec>() {
        let wal = wal();
        let log = wal.typed::<Order>().expect("typed").with_codec::<C>();
        let side = Side::Buy(1);
        let why = refused(&wal, "order", log.append(&Order { side }));
        assert!(why.contains("variant 0, `Bid`"), "{why}");
        let side = Side::Sell(1);
        log.append(&Order { side }).expect("it is called that");
    }
    check::<Bincode>();
    check::<Postcard>();
}

#[test]
fn a_difference_that_no_schema_shows_is_found() {
    /// Trims what it reads, and says nothing of how it is written.
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "trimmed")]
    struct Trimmed {
        #[serde(deserialize_with = "trim")]
        #[wal(opaque = "trimmed@1")]
        text: String,
    }

    fn trim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        String::deserialize(deserializer).map(|text| text.trim().to_owned())
    }

    let wal = wal();
    let log = wal
        .typed::<Trimmed>()
        .expect("typed")
        .with_codec::<Bincode>()
        .with_read_back(false);
    let why = refused(&wal, "trimmed", log.append(&Trimmed { text: " a".into() }));
    assert!(
        why.starts_with("it would be read as something else: its bytes"),
        "{why}"
    );
    log.append(&Trimmed { text: "a".into() })
        .expect("nothing to trim");
}

#[test]
fn what_has_no_order_and_what_is_not_equal_to_itself_is_taken() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "heap")]
    struct Heap {
        set: HashSet<u32>,
        map: HashMap<String, Vec<f64>>,
        float: f64,
        #[wal(opaque = "set")]
        unknown: HashSet<u64>,
        sorted: BTreeMap<(u8, char), Option<Option<()>>>,
    }

    fn check<C: Codec>() {
        let wal = wal();
        let log = wal
            .typed::<Heap>()
            .expect("typed")
            .with_codec::<C>()
            .with_read_back(true);
        for n in 0..20 {
            log.append(&Heap {
                set: (0..n).collect(),
                map: (0..n).map(|n| (n.to_string(), vec![f64::NAN; 2])).collect(),
                float: f64::NAN,
                unknown: (0..n.into()).collect(),
                sorted: [((1, 'x'), Some(None)), ((2, 'y'), None)].into(),
            })
            .expect("it is the same");
        }
    }
    check::<Bincode>();
    check::<Postcard>();
    check::<Own>();
}

#[test]
fn events_that_borrow_are_read_too() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "label")]
    struct Label<'a, 'b> {
        text: &'a str,
        #[serde(borrow)]
        more: std::borrow::Cow<'b, str>,
    }

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "labels")]
    enum Labels<'a> {
        #[wal(rename = "bad")]
        Bad {
            text: &'a str,
            #[wal(opaque = "decimal@1")]
            price: Decimal,
        },
        Good(&'a [u8]),
    }

    let wal = wal();
    let text = String::from("plain");
    let bad = Labels::Bad {
        text: &text,
        price: Decimal(1, 1),
    };
    let why = refused(&wal, "labels.bad", wal.append_typed(&bad));
    assert!(why.contains("the field `price` asks"), "{why}");
    wal.append_typed(&Labels::Good(text.as_bytes())).expect("appends");
    wal.append_typed(&Label {
        text: &text,
        more: text.as_str().into(),
    })
    .expect("appends");
}

/// Written by hand, to be appended only: it has a schema and nothing that reads it.
#[derive(Serialize)]
struct Announced<T> {
    id: u8,
    rest: T,
}

const ANNOUNCED: &Shape = &Shape::Struct(Part::Static(&[
    ShapeField::new("id", &Shape::U8),
    ShapeField::new("rest", &Shape::Str),
]));

impl<T: Serialize> WalRecord for Announced<T> {
    const NAME: &'static str = "announced";
    const RECORDS: &'static [EventType] = &[EventType::new("announced", 1).schema(ANNOUNCED)];
    const FAMILY: bool = false;

    fn record_index(&self) -> usize {
        0
    }
}

#[test]
fn a_type_that_is_only_written_is_read_by_its_schema() {
    let wal = wal();
    let wrong = Announced { id: 1, rest: 7_u64 };
    let why = refused(&wal, "announced", wal.append_typed(&wrong));
    assert!(
        why.starts_with("it could not be read again by its schema `{id: u8, rest: str}`"),
        "{why}"
    );
    wal.append_typed(&Announced { id: 1, rest: "s" })
        .expect("appends");
}

/// A `Deserialize` may use the log that it is read for: nothing is locked.
#[test]
fn what_reads_an_event_may_append_to_the_same_log() {
    thread_local! {
        static LOG: std::cell::RefCell<Option<Wal>> = const { std::cell::RefCell::new(None) };
    }

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "first")]
    struct First(
        #[serde(deserialize_with = "noting")]
        #[wal(opaque = "noting", wire = u8)]
        u8,
    );

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "noted")]
    struct Noted(u8);

    fn noting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        let n = u8::deserialize(deserializer)?;
        let log = LOG.with_borrow(Clone::clone);
        if let Some(log) = log {
            log.append_typed(&Noted(n)).map_err(D::Error::custom)?;
        }
        Ok(n)
    }

    let wal = wal();
    LOG.set(Some(wal.clone()));
    let log = wal.typed::<First>().expect("typed").with_read_back(false);
    log.append(&First(7)).expect("appends");
    LOG.set(None);
    assert_eq!(wal.iter().expect("reads").count(), 2);
}

#[test]
fn a_copied_event_and_one_that_was_there_say_nothing_of_how_the_program_writes() {
    let store = MemStore::new();
    let (old, new) = (wal(), Wal::with_store(store.clone()).expect("opens"));
    let lsn = old
        .typed::<Shop>()
        .map(|log| log.with_codec::<Json>())
        .and_then(|log| log.append(&sold()))
        .expect("JSON takes it");
    let record = old.read(lsn).expect("reads");
    record
        .append_to(&new, &old.schemas().expect("reads"))
        .expect("copies");
    let is_refused = |wal: Wal| {
        let log = wal.typed::<Shop>().expect("typed").with_read_back(false);
        let refused = log.append(&sold());
        assert_is!(refused, Err(WalError::Typed(TypedError::Encode { .. })));
        assert_eq!(wal.iter().expect("reads").count(), 1);
    };
    is_refused(new);
    is_refused(Wal::with_store(store).expect("opens again"));
}
