//! A log explains itself: `writer` appends events of its types, `reader` knows nothing but what the log holds and
//! prints the same JSON, for 10,000 random events of more than 30 shapes.

use wal_db::{
    Lsn, Record, Wal, WalRecord, WalSchema,
    codec::{Bincode, Codec, CodecId, Json, Postcard},
    event::{EventInfo, EventType, TypedError},
    schema::{EventSchema, Part, Schemas, Shape, Value},
};
use wal_tests::{assert_is, wal};

const EVENTS: usize = 10_000;

/// The program that has the types.
mod writer {
    use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
    use std::ops::{Bound, Range};
    use std::time::Duration;

    use serde::{Deserialize, Serialize, Serializer};
    use wal_db::event::WalDecodeOwned;
    use wal_tests::random::{Random, Rng};

    use super::*;

    /// What the reader has to find.
    pub(crate) struct Written {
        pub(crate) lsn: Lsn,
        pub(crate) name: &'static str,
        pub(crate) codec: CodecId,
        pub(crate) text: String,
        /// `None` if it holds what `serde_json::Value` cannot.
        pub(crate) value: Option<serde_json::Value>,
    }

    pub(crate) struct Writer<'w> {
        wal: &'w Wal,
        rng: Rng,
        written: Vec<Written>,
    }

    impl Writer<'_> {
        fn append<T: WalDecodeOwned>(&mut self, event: &T, name: &'static str, contents: impl Serialize) {
            let turn = self.written.len() % 3;
            // JSON refuses what it would change.
            let in_json = if turn == 0 {
                append::<T, Json>(self.wal, event).ok()
            } else {
                None
            };
            let (codec, lsn) = match in_json {
                Some(lsn) => (CodecId::JSON, lsn),
                None if turn == 1 => (
                    CodecId::BINCODE_2,
                    append::<T, Bincode>(self.wal, event).expect("appends"),
                ),
                None => (
                    CodecId::POSTCARD_1,
                    append::<T, Postcard>(self.wal, event).expect("appends"),
                ),
            };
            self.written.push(Written {
                lsn,
                name,
                codec,
                text: serde_json::to_string(&contents).expect("JSON"),
                value: serde_json::to_value(&contents).ok(),
            });
        }
    }

    fn append<T: WalDecodeOwned, C: Codec>(wal: &Wal, event: &T) -> wal_db::Result<Lsn> {
        wal.typed::<T>()?.with_codec::<C>().append(event)
    }

    macro_rules! events {
        ($($(#[$attr:meta])* $event:ident($ty:ty);)*) => {
            $(
                #[derive(Debug, Serialize, Deserialize, WalRecord)]
                $(#[$attr])*
                struct $event($ty);
            )*

            const STRUCTS: usize = [$(stringify!($event)),*].len();

            /// Writes `EVENTS` events in all.
            pub(crate) fn write(wal: &Wal) -> Vec<Written> {
                let mut writer = Writer { wal, rng: Rng::new(3), written: Vec::new() };
                let each = EVENTS.div_ceil(STRUCTS + 1);
                for _ in 0..each {
                    $(
                        let event = $event(writer.rng.any::<$ty>());
                        writer.append(&event, $event::NAME, &event);
                    )*
                    family(&mut writer);
                }
                assert!(STRUCTS >= 30 && writer.written.len() >= EVENTS);
                writer.written
            }
        };
    }

    events! {
        #[wal(name = "nothing")] Nothing(());
        #[wal(name = "flag")] Flag(bool);
        #[wal(name = "unsigned")] Unsigned((u8, u16, u32, u64, u128));
        #[wal(name = "signed")] Signed((i8, i16, i32, i64, i128));
        #[wal(name = "half")] Half(f32);
        #[wal(name = "floats")] Floats((f32, f64));
        #[wal(name = "letter")] Letter(char);
        #[wal(name = "text")] Text(String);
        #[wal(name = "raw")] Raw(Blob);
        #[wal(name = "maybe")] Maybe(Option<Option<u8>>);
        #[wal(name = "octets")] Octets(Vec<u8>);
        #[wal(name = "lines")] Lines(Vec<String>);
        #[wal(name = "digest")] Digest([u8; 32]);
        #[wal(name = "matrix")] Matrix([[i16; 3]; 2]);
        #[wal(name = "scores")] Scores(BTreeMap<String, u64>);
        #[wal(name = "sparse")] Sparse(HashMap<u16, Vec<bool>>);
        #[wal(name = "letters")] Letters(BTreeMap<char, Option<i32>>);
        #[wal(name = "truths")] Truths(BTreeMap<bool, ()>);
        #[wal(name = "wide")] Wide(BTreeMap<i128, u128>);
        #[wal(name = "single")] Single((u8,));
        #[wal(name = "account")] AccountMade(Account);
        #[wal(name = "accounts")] AccountsMade(Vec<Account>);
        #[wal(name = "tier")] TierSet(Tier);
        #[wal(name = "outcome")] Outcome(Result<u8, String>);
        #[wal(name = "done")] Done(Result<(), Level>);
        #[wal(name = "tried")] Tried(Vec<Option<Result<Result<u8, ()>, Unit>>>);
        #[wal(name = "holders")] Holders(Vec<Holder>);
        #[wal(name = "tree")] Planted(Tree);
        #[wal(name = "formula")] Computed(Formula);
        #[wal(name = "took")] Took(Duration);
        #[wal(name = "between")] Between((Range<i64>, Limit));
        #[wal(name = "queue")] Queue(VecDeque<(bool, char)>);
        #[wal(name = "pairs")] Pairs(BTreeSet<(u8, String)>);
        #[wal(name = "quotas")] Quotas(BTreeMap<Level, u8>);
        #[wal(name = "empties")] Empties(Vec<Empty>);
        #[wal(name = "names")] Names(Renamed);
        #[wal(name = "session")] Session(Uuid);
        #[wal(name = "mixed")] Mixed(HashMap<String, Vec<Option<(i8, Tier)>>>);
    }

    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "bank")]
    enum Bank {
        Opened { id: u64, owner: Option<String> },
        Moved(u64, i64),
        Noted(String),
        Closed,
    }

    /// The contents of a variant are its fields.
    fn family(writer: &mut Writer<'_>) {
        let (id, owner, amount) = writer.rng.any::<(u64, Option<String>, i64)>();
        let note = owner.clone().unwrap_or_default();
        let events = [
            Bank::Opened { id, owner },
            Bank::Moved(id, amount),
            Bank::Noted(note),
            Bank::Closed,
        ];
        let event = &events[(id % 4) as usize];
        let name = Bank::RECORDS[event.record_index()].name;
        match event {
            Bank::Opened { id, owner } => {
                #[derive(Serialize)]
                struct Opened<'a> {
                    id: &'a u64,
                    owner: &'a Option<String>,
                }
                writer.append(event, name, Opened { id, owner });
            }
            Bank::Moved(to, amount) => writer.append(event, name, (to, amount)),
            Bank::Noted(note) => writer.append(event, name, note),
            Bank::Closed => writer.append(event, name, ()),
        }
    }

    macro_rules! random {
        ($($ty:ty: |$rng:ident| $value:expr;)*) => {
            $(
                impl Random for $ty {
                    fn random($rng: &mut Rng) -> Self {
                        $value
                    }
                }
            )*
        };
    }

    random! {
        Blob: |rng| Blob(rng.any());
        Account: |rng| Account { id: rng.any(), owner: rng.any(), level: rng.any(), last: rng.any() };
        Level: |rng| match rng.below(3) {
            0 => Level::Basic,
            1 => Level::Gold,
            _ => Level::Platinum,
        };
        Tier: |rng| match rng.below(5) {
            0 => Tier::Basic,
            1 => Tier::Gold { since: rng.any(), level: rng.any() },
            2 => Tier::Named(rng.any()),
            3 => Tier::Point(rng.any()),
            _ => Tier::Custom(rng.any(), rng.any()),
        };
        Tree: |rng| {
            let children = [0, 0, 0, 1, 3][rng.below(5)];
            Tree { value: rng.any(), children: (0..children).map(|_| rng.any()).collect() }
        };
        Formula: |rng| match rng.below(5) {
            0 => Formula::Negated(rng.any()),
            1 => Formula::Sum(rng.any(), rng.any()),
            _ => Formula::Number(rng.any()),
        };
        Limit: |rng| Limit(rng.any());
        Unit: |_rng| Unit;
        Holder: |rng| match rng.below(6) {
            0 => Holder::Nothing,
            1 => Holder::Something(()),
            2 => Holder::Unit(Unit),
            3 => Holder::Pair((), Unit),
            4 => Holder::Single(((),)),
            _ => Holder::Named { one: () },
        };
        Empty: |rng| if rng.any() { Empty::Braces {} } else { Empty::Parens() };
        Renamed: |rng| Renamed { first: rng.any(), r#type: rng.any() };
        Uuid: |rng| Uuid(rng.any());
    }

    #[derive(Debug, Deserialize)]
    struct Blob(Vec<u8>);

    impl WalSchema for Blob {
        const SCHEMA: &'static Shape = &Shape::Bytes;
    }

    impl Serialize for Blob {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    struct Unit;

    /// What has no bytes, in each of the ways in which a variant holds something.
    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    enum Holder {
        Nothing,
        Something(()),
        Unit(Unit),
        Pair((), Unit),
        Single(((),)),
        Named { one: () },
    }

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    struct Account {
        id: u64,
        owner: String,
        level: Option<Level>,
        last: (f32, Empty),
    }

    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, WalSchema)]
    enum Level {
        Basic,
        Gold,
        Platinum,
    }

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    enum Tier {
        Basic,
        Gold { since: u16, level: Level },
        Custom(Box<Tier>, String),
        Named(String),
        Point((i8, i8)),
    }

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    struct Tree {
        value: i32,
        children: Vec<Tree>,
    }

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    enum Formula {
        Number(f64),
        Negated(Box<Formula>),
        Sum(Box<Formula>, Box<Formula>),
    }

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    struct Limit(Bound<i32>);

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    enum Empty {
        Braces {},
        Parens(),
    }

    #[derive(Debug, Serialize, Deserialize, WalSchema)]
    struct Renamed {
        #[serde(rename = "the first \"field\"")]
        first: u8,
        r#type: i8,
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Uuid([u8; 16]);

    impl WalSchema for Uuid {
        const SCHEMA: &'static Shape = &Shape::Opaque {
            name: Part::Static("uuid@1"),
            wire: Some(Part::Static(<[u8; 16]>::SCHEMA)),
        };
    }
}

/// The program that does not.
mod reader {
    use super::*;

    const SHAPES: &[(&str, &str)] = &[
        ("nothing", "unit"),
        ("flag", "bool"),
        ("unsigned", "(u8, u16, u32, u64, u128)"),
        ("signed", "(i8, i16, i32, i64, i128)"),
        ("half", "f32"),
        ("floats", "(f32, f64)"),
        ("letter", "char"),
        ("text", "str"),
        ("raw", "bytes"),
        ("maybe", "option<option<u8>>"),
        ("octets", "[u8]"),
        ("lines", "[str]"),
        ("digest", "[u8; 32]"),
        ("matrix", "[[i16; 3]; 2]"),
        ("scores", "map<str, u64>"),
        ("sparse", "map<u16, [bool]>"),
        ("letters", "map<char, option<i32>>"),
        ("truths", "map<bool, unit>"),
        ("wide", "map<i128, u128>"),
        ("single", "(u8,)"),
        ("account", ACCOUNT),
        ("accounts", ACCOUNTS),
        ("tier", TIER),
        ("outcome", "enum {Ok(u8), Err(str)}"),
        ("done", "enum {Ok(unit), Err(enum {Basic, Gold, Platinum})}"),
        (
            "tried",
            "[option<enum {Ok(enum {Ok(u8), Err(unit)}), Err(unit)}>]",
        ),
        (
            "holders",
            "[enum {Nothing, Something(unit), Unit(unit), Pair(unit, unit), Single(unit,), Named {one: unit}}]",
        ),
        ("tree", "rec 0 {value: i32, children: [@0]}"),
        ("formula", "rec 0 enum {Number(f64), Negated(@0), Sum(@0, @0)}"),
        ("took", "{secs: u64, nanos: u32}"),
        (
            "between",
            "({start: i64, end: i64}, enum {Unbounded, Included(i32), Excluded(i32)})",
        ),
        ("queue", "[(bool, char)]"),
        ("pairs", "[(u8, str)]"),
        ("quotas", "map<enum {Basic, Gold, Platinum}, u8>"),
        ("empties", "[enum {Braces {}, Parens()}]"),
        ("names", r#"{"the first \"field\"": u8, type: i8}"#),
        ("session", r#"opaque "uuid@1" = [u8; 16]"#),
        ("mixed", MIXED),
        ("bank.opened", "{id: u64, owner: option<str>}"),
        ("bank.moved", "(u64, i64)"),
        ("bank.noted", "str"),
        ("bank.closed", "unit"),
    ];

    const ACCOUNT: &str = "{id: u64, owner: str, level: option<enum {Basic, Gold, Platinum}>, \
                           last: (f32, enum {Braces {}, Parens()})}";
    const ACCOUNTS: &str = "[{id: u64, owner: str, level: option<enum {Basic, Gold, Platinum}>, \
                            last: (f32, enum {Braces {}, Parens()})}]";
    const TIER: &str = "rec 0 enum {Basic, Gold {since: u16, level: enum {Basic, Gold, Platinum}}, \
                        Custom(@0, str), Named(str), Point(i8, i8)}";
    const MIXED: &str = "map<str, [option<(i8, rec 0 enum {Basic, Gold {since: u16, \
                         level: enum {Basic, Gold, Platinum}}, Custom(@0, str), Named(str), Point(i8, i8)})>]>";

    /// The log says of its types what is expected of it, and nothing else.
    pub(crate) fn assert_schemas(wal: &Wal) {
        let found = wal.schemas().expect("the log's own schemas");
        for &(name, shape) in SHAPES {
            let expected = schema(name, shape);
            assert_eq!(found.get(expected.type_id, 1), Some(&expected));
        }
        assert_eq!(found.len(), SHAPES.len());
    }

    pub(crate) fn schema(name: &'static str, shape: &str) -> EventSchema {
        let shape = shape.parse().expect("a shape");
        EventSchema::new(EventType::new(name, 1).id, name, 1, shape)
    }

    /// An event as this program sees it.
    pub(crate) struct Seen {
        pub(crate) lsn: Lsn,
        pub(crate) info: EventInfo,
        pub(crate) name: String,
        pub(crate) json: String,
        pub(crate) value: Value,
    }

    pub(crate) fn read(wal: &Wal) -> Vec<Seen> {
        let schemas = wal.schemas().expect("the log's own schemas");
        let records = wal.iter().expect("reads");
        records
            .map(|record| {
                let record = record.expect("reads");
                let info = record.info().expect("a typed record");
                Seen {
                    lsn: record.lsn(),
                    info,
                    name: schemas.of(&info).expect("a schema").name.clone(),
                    json: record.to_json(&schemas).expect("JSON"),
                    value: record.to_value(&schemas).expect("a value"),
                }
            })
            .collect()
    }
}

#[test]
fn ten_thousand_events_print_as_their_types_would() {
    let wal = wal();
    let written = writer::write(&wal);
    reader::assert_schemas(&wal);
    let seen = reader::read(&wal);
    assert_eq!(seen.len(), written.len());
    let mut codecs = [0; 4];
    for (written, seen) in written.iter().zip(&seen) {
        assert_eq!((seen.lsn, seen.name.as_str()), (written.lsn, written.name));
        assert_eq!(seen.info.codec, written.codec);
        assert_eq!(seen.json, written.text, "{} {}", written.name, written.codec);
        // What JSON says of itself has no floats of 32 bits; its text was compared.
        if written.codec != CodecId::JSON {
            assert_eq!(
                serde_json::to_value(&seen.value).ok(),
                written.value,
                "{}",
                written.name
            );
        }
        codecs[usize::from(written.codec.get())] += 1;
    }
    assert!(codecs[1..].iter().all(|&count| count > 2500), "{codecs:?}");
}

/// What went wrong with the only record of a log.
fn explained(wal: &Wal, schemas: &Schemas) -> TypedError {
    let record = first(wal);
    let value = record.to_value(schemas).expect_err("not a value");
    let json = record.as_ref().to_json(schemas).expect_err("no JSON");
    assert_eq!(value.to_string(), json.to_string());
    value
}

fn first(wal: &Wal) -> Record {
    let mut records = wal.iter().expect("reads");
    records.next().expect("a record").expect("reads")
}

fn schemas(name: &'static str, shape: &str) -> Schemas {
    [reader::schema(name, shape)].into_iter().collect()
}

#[derive(Debug, serde::Serialize, serde::Deserialize, WalRecord)]
#[wal(name = "sale")]
struct Sale {
    id: (u64, u64),
    at: std::net::IpAddr,
}

fn a_sale<C: Codec>() -> Wal {
    let wal = wal();
    let at = [127, 0, 0, 1].into();
    let log = wal.typed::<Sale>().expect("opens").with_codec::<C>();
    log.append(&Sale { id: (1, 2), at }).expect("appends");
    wal
}

const ADDRESS: &str = "enum {V4([u8; 4]), V6([u8; 16])}";

#[test]
fn what_cannot_be_explained_says_why() {
    fn check<C: Codec>() {
        let wal = a_sale::<C>();
        let none = explained(&wal, &Schemas::default());
        assert_is!(none, TypedError::NoSchema { version: 1, .. });
        let cases = [
            (format!("{{id: opaque \"uuid@1\", at: {ADDRESS}}}"), "`uuid@1`"),
            (format!("{{id: (u64, u64), at: {ADDRESS}, more: u8}}"), "end"),
            (
                "{id: (u64, u64), at: enum {}}".into(),
                "variant 0 of an enum that has 0",
            ),
            ("{id: (u64, u64)}".into(), "leaves 5 bytes over"),
            ("[unit; 18446744073709551615]".into(), "more parts than bytes"),
            ("rec A @A".into(), "from name to name"),
            ("(u8, @A)".into(), "names `A`"),
            ("rec A (@A, u8)".into(), "nested more than 128 levels deep"),
        ];
        for (shape, says) in cases {
            let error = explained(&wal, &schemas("sale", &shape));
            let TypedError::Explain {
                lsn,
                name,
                version: 1,
                source,
                ..
            } = error
            else {
                panic!("{error:?}");
            };
            assert_eq!(lsn, first(&wal).lsn());
            assert_eq!(name, "sale");
            assert!(source.to_string().contains(says), "{shape}: {source}");
        }
    }
    check::<Bincode>();
    check::<Postcard>();
}

#[test]
fn a_plain_record_is_no_event() {
    let wal = wal();
    wal.append(b"bytes").expect("appends");
    assert_is!(
        explained(&wal, &wal.schemas().expect("schemas")),
        TypedError::NotTyped { .. }
    );
}

#[test]
fn values_show_what_is_stored() {
    let schemas = schemas("sale", &format!("{{id: (u64, u64), at: {ADDRESS}}}"));
    let wal = a_sale::<Postcard>();
    let record = first(&wal);
    let value = record.to_value(&schemas).expect("a value");
    assert_eq!(value.to_string(), "{id: (1, 2), at: V4([127, 0, 0, 1])}");
    assert_eq!(
        record.to_json(&schemas).expect("JSON"),
        r#"{"id":[1,2],"at":{"V4":[127,0,0,1]}}"#
    );
}

#[test]
fn json_needs_no_schema() {
    let wal = a_sale::<Json>();
    let record = first(&wal);
    let none = Schemas::default();
    assert_eq!(
        record.to_json(&none).expect("JSON"),
        r#"{"id":[1,2],"at":"127.0.0.1"}"#
    );
    let value = record.to_value(&none).expect("a value");
    assert_eq!(value.to_string(), r#"{"id": [1, 2], "at": "127.0.0.1"}"#);
    assert_eq!(value.get("at"), Some(&Value::Str("127.0.0.1".into())));
}
