//! What is stored is exactly the fields, what is stored can be read, and what was never stored is an error.

use std::collections::{BTreeMap, HashMap};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    bounded::{MAX_DEPTH, SPARE_ELEMENTS},
    *,
};
use crate::{
    WalRecord, WalSchema,
    codec::{Bincode, CodecId},
    event::WalDecodeOwned,
};

const AT: Lsn = Lsn::new(512);

fn encode<T: WalRecord>(event: &T, out: &mut Vec<u8>) -> Result<(), TypedError> {
    super::encode::<Bincode, T>(event, out).map(|_| ())
}

fn decode<T: WalDecodeOwned>(lsn: Lsn, kind: RecordKind, payload: &[u8]) -> Result<T, TypedError> {
    super::decode_one::<Bincode, T>(lsn, kind, payload)
}

fn encoded<T: WalRecord>(event: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode(event, &mut out).expect("the event encodes");
    out
}

fn read<T: WalDecodeOwned>(payload: &[u8]) -> Result<T, TypedError> {
    decode(AT, RecordKind::Typed, payload)
}

fn with_body<T: WalRecord>(index: usize, body: &[u8]) -> Vec<u8> {
    let EventType { id, version, .. } = T::RECORDS[index];
    let mut payload = Vec::new();
    envelope::encode(
        EventInfo {
            type_id: id,
            version,
            codec: CodecId::BINCODE_2,
        },
        &mut payload,
    );
    payload.extend_from_slice(body);
    payload
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shape")]
enum Shape {
    Unit,
    Newtype(u8),
    Tuple(u8, String),
    Struct { a: u8, b: Option<u8> },
    Empty(),
    Braces {},
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "point", version = 3, since = 3, id = 9)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "pair")]
struct Pair(u8, u8);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "tick")]
struct Tick;

#[test]
fn only_the_fields_of_a_variant_are_stored() {
    let cases: [(Shape, &[u8]); 6] = [
        (Shape::Unit, &[]),
        (Shape::Newtype(7), &[7]),
        (Shape::Tuple(7, "hi".into()), &[7, 2, b'h', b'i']),
        (Shape::Struct { a: 7, b: Some(8) }, &[7, 1, 8]),
        (Shape::Empty(), &[]),
        (Shape::Braces {}, &[]),
    ];
    for (index, (event, body)) in cases.into_iter().enumerate() {
        assert_eq!(encoded(&event), with_body::<Shape>(index, body), "{event:?}");
        assert_eq!(read::<Shape>(&encoded(&event)).expect("reads back"), event);
    }
}

#[test]
fn structs_of_every_kind_are_stored_unchanged() {
    assert_eq!(encoded(&Point { x: 1, y: -1 }), [0xE0, 1, 9, 3, 2, 1]);
    assert_eq!(
        read::<Point>(&[0xE0, 1, 9, 3, 2, 1]).expect("reads back"),
        Point { x: 1, y: -1 }
    );
    assert_eq!(
        read::<Pair>(&encoded(&Pair(1, 2))).expect("reads back"),
        Pair(1, 2)
    );
    assert_eq!(read::<Tick>(&encoded(&Tick)).expect("reads back"), Tick);
}

#[test]
fn variants_can_be_reordered_inserted_and_renamed_in_the_code() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "shape")]
    enum Later {
        Struct {
            a: u8,
            b: Option<u8>,
        },
        Inserted(u64),
        #[serde(rename = "another name for serde")]
        #[wal(rename = "tuple")]
        Renamed(u8, String),
        Newtype(u8),
        Unit,
    }
    let pairs = [
        (Shape::Unit, Later::Unit),
        (Shape::Newtype(7), Later::Newtype(7)),
        (Shape::Tuple(7, "hi".into()), Later::Renamed(7, "hi".into())),
        (Shape::Struct { a: 7, b: None }, Later::Struct { a: 7, b: None }),
    ];
    for (old, new) in pairs {
        assert_eq!(read::<Later>(&encoded(&old)).expect("reads back"), new);
    }
    let Err(TypedError::UnknownType { lsn, family, .. }) = read::<Shape>(&encoded(&Later::Inserted(1)))
    else {
        panic!("an older program does not know the inserted variant");
    };
    assert_eq!((lsn, family), (AT, "shape"));
}

#[test]
fn every_mismatch_has_an_error_of_its_own() {
    let point = encoded(&Point { x: 1, y: 2 });
    let not_typed = decode::<Point>(AT, RecordKind::Data, &point);
    assert!(
        matches!(not_typed, Err(TypedError::NotTyped { lsn: AT })),
        "{not_typed:?}"
    );
    let envelope = read::<Point>(&[]);
    assert!(
        matches!(envelope, Err(TypedError::Envelope { lsn: AT, .. })),
        "{envelope:?}"
    );
    let wrong = read::<Pair>(&point);
    assert!(
        matches!(
            wrong,
            Err(TypedError::WrongType {
                lsn: AT,
                expected: "pair",
                found: 9,
                name: None
            })
        ),
        "{wrong:?}"
    );
    let newer = read::<Point>(&[0xE0, 1, 9, 4, 2, 1]);
    assert!(
        matches!(
            newer,
            Err(TypedError::NewerVersion {
                name: "point",
                stored: 4,
                known: 3,
                ..
            })
        ),
        "{newer:?}"
    );
    let older = read::<Point>(&[0xE0, 1, 9, 2, 2, 1]);
    assert!(
        matches!(
            older,
            Err(TypedError::OlderVersion {
                name: "point",
                stored: 2,
                known: 3,
                ..
            })
        ),
        "{older:?}"
    );
    let codec = read::<Point>(&[0xE0, 200, 9, 3, 2, 1]);
    assert!(
        matches!(codec, Err(TypedError::UnknownCodec { name: "point", .. })),
        "{codec:?}"
    );
    let short = read::<Point>(&[0xE0, 1, 9, 3, 2]);
    assert!(
        matches!(
            short,
            Err(TypedError::Codec {
                name: "point",
                version: 3,
                ..
            })
        ),
        "{short:?}"
    );
    let long = read::<Point>(&[0xE0, 1, 9, 3, 2, 1, 0, 0]);
    assert!(
        matches!(
            long,
            Err(TypedError::Trailing {
                name: "point",
                version: 3,
                left: 2,
                ..
            })
        ),
        "{long:?}"
    );
    let metadata = read::<Point>(&[0xE1, 1, 9, 3, 2, 100, 0, 2, 1]);
    assert_eq!(
        metadata.expect("metadata of a later release is passed over"),
        Point { x: 1, y: -1 }
    );
}

#[test]
fn a_codec_error_keeps_its_source() {
    use std::error::Error;

    let error = read::<Point>(&[0xE0, 1, 9, 3, 2]).expect_err("too short");
    let text = error.to_string();
    assert!(
        text.contains("`point` (version 3) at LSN 512") && text.contains("bincode 2"),
        "{text}"
    );
    assert_eq!(
        error.source().expect("a source").to_string(),
        "the bytes end at least 1 too early"
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "text")]
struct Text(String);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "units")]
struct Units(Vec<()>);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "unit_map")]
struct UnitMap(HashMap<(), ()>);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "numbers")]
struct Numbers(Vec<u64>);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "chain")]
struct Chain(Option<Box<Chain>>);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
enum List {
    End,
    Link(u8, Box<List>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "tree")]
struct Tree(Vec<Tree>);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "lists")]
struct Lists(List);

fn length(len: u64) -> Vec<u8> {
    [&[253], &len.to_le_bytes()[..]].concat()
}

fn refused<T: WalDecodeOwned + std::fmt::Debug>(body: &[u8]) -> String {
    match read::<T>(&with_body::<T>(0, body)) {
        Err(TypedError::Codec { source, .. }) => source.to_string(),
        other => panic!("not a codec error: {other:?}"),
    }
}

#[test]
fn a_huge_length_allocates_nothing() {
    for len in [1 << 20, 1 << 36, 1 << 63, u64::MAX] {
        assert!(refused::<Text>(&length(len)).contains("too early"));
        assert!(refused::<Numbers>(&length(len)).contains("too early"));
    }
}

/// A collection that takes the announced length at its word.
#[derive(Debug, Serialize, WalRecord)]
#[wal(name = "trusting")]
struct Trusting(Vec<u64>);

impl<'de> Deserialize<'de> for Trusting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reserve;

        impl<'de> serde::de::Visitor<'de> for Reserve {
            type Value = Trusting;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("numbers")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Trusting, A::Error> {
                let mut numbers = Vec::with_capacity(seq.size_hint().unwrap_or(0));
                while let Some(number) = seq.next_element()? {
                    numbers.push(number);
                }
                Ok(Trusting(numbers))
            }
        }

        // As the derived `Serialize` of a newtype struct writes its inner value.
        deserializer.deserialize_seq(Reserve)
    }
}

#[test]
fn an_announced_length_is_capped_by_the_bytes_present() {
    let numbers = encoded(&Trusting(vec![1, 2, 3]));
    assert_eq!(read::<Trusting>(&numbers).expect("reads back").0, [1, 2, 3]);
    assert!(refused::<Trusting>(&length(1 << 60)).contains("too early"));
}

#[test]
fn elements_without_bytes_end_at_once() {
    assert!(refused::<Units>(&length(1 << 33)).contains("more sequence and map elements than bytes"));
    assert!(refused::<UnitMap>(&length(1 << 33)).contains("more sequence and map elements than bytes"));
}

#[test]
fn a_recursive_type_ends_before_the_stack_does() {
    for body in [[1; 100_000], [0; 100_000]] {
        for outcome in [
            read::<Chain>(&with_body::<Chain>(0, &body)).map(drop),
            read::<Tree>(&with_body::<Tree>(0, &body)).map(drop),
            read::<Lists>(&with_body::<Lists>(0, &body)).map(drop),
        ] {
            assert!(
                matches!(
                    outcome,
                    Err(TypedError::Codec { .. } | TypedError::Trailing { .. })
                ),
                "{outcome:?}"
            );
        }
    }
    assert!(refused::<Chain>(&[1; 100_000]).contains("nested more than 128 levels"));
    assert!(refused::<Tree>(&[1; 100_000]).contains("nested more than 128 levels"));
    assert!(refused::<Lists>(&[1; 100_000]).contains("nested more than 128 levels"));
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let units = |extra| Units(vec![(); SPARE_ELEMENTS + extra]);
    // The length of the sequence takes three bytes.
    assert_eq!(read::<Units>(&encoded(&units(3))).expect("reads back"), units(3));
    let error = encode(&units(4), &mut Vec::new()).expect_err("more elements than can be read");
    assert!(
        matches!(
            error,
            TypedError::Encode {
                name: "units",
                version: 1,
                ..
            }
        ),
        "{error:?}"
    );

    // Every link is a newtype struct and an option.
    let chain = |links| (0..links).fold(Chain(None), |chain, _| Chain(Some(Box::new(chain))));
    let links = MAX_DEPTH as usize / 2 - 1;
    assert_eq!(
        read::<Chain>(&encoded(&chain(links))).expect("reads back"),
        chain(links)
    );
    let error = encode(&chain(links + 1), &mut Vec::new()).expect_err("deeper than can be read");
    assert!(
        matches!(
            error,
            TypedError::Encode {
                name: "chain",
                version: 1,
                ..
            }
        ),
        "{error:?}"
    );
    let list = |links| Lists((0..links).fold(List::End, |list, _| List::Link(1, Box::new(list))));
    let links = MAX_DEPTH as usize - 1;
    assert_eq!(
        read::<Lists>(&encoded(&list(links))).expect("reads back"),
        list(links)
    );
    encode(&list(links + 1), &mut Vec::new()).expect_err("deeper than can be read");
}

/// An enum whose hand-written impls do not agree with each other.
#[derive(Debug, Deserialize)]
enum Lying {
    #[allow(dead_code)]
    First,
    Second,
}

impl Serialize for Lying {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Lying::First => serializer.serialize_u8(0),
            Lying::Second => serializer.serialize_unit_variant("Lying", 0, "First"),
        }
    }
}

impl WalRecord for Lying {
    const NAME: &'static str = "lying";
    const RECORDS: &'static [EventType] = &[
        EventType::new("lying.first", 1),
        EventType::new("lying.second", 1),
    ];
    const FAMILY: bool = true;

    fn record_index(&self) -> usize {
        match self {
            Lying::First => 0,
            Lying::Second => 1,
        }
    }
}

#[test]
fn an_event_is_not_stored_under_a_name_that_is_not_its_own() {
    for event in [Lying::First, Lying::Second] {
        let error = encode(&event, &mut Vec::new()).expect_err("the impls disagree");
        let TypedError::Encode { source, .. } = error else {
            panic!("{error:?}")
        };
        assert!(source.to_string().contains("use serde's derive"), "{source}");
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
enum Nested {
    Leaf,
    Number(i64),
    Both(Box<Nested>, Box<Nested>),
    Many {
        items: Vec<Nested>,
        label: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "rich")]
enum Rich {
    Unit,
    #[wal(version = 2, since = 2)]
    Text(String),
    #[wal(id = 0)]
    Numbers(u128, i128, u16, i8, f32, f64, char, bool),
    Struct {
        list: Vec<Option<u32>>,
        map: BTreeMap<String, Vec<u8>>,
        units: Vec<()>,
        tuple: (u8, [i16; 3]),
        #[serde(skip)]
        cache: u64,
        nested: Nested,
    },
    Nested(Nested),
}

fn nested() -> impl Strategy<Value = Nested> {
    let leaf = prop_oneof![Just(Nested::Leaf), any::<i64>().prop_map(Nested::Number)];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Nested::Both(Box::new(a), Box::new(b))),
            (vec(inner, 0..5), any::<Option<String>>())
                .prop_map(|(items, label)| Nested::Many { items, label }),
        ]
    })
}

fn rich() -> impl Strategy<Value = Rich> {
    let numbers = any::<(u128, i128, u16, i8, f32, f64, char, bool)>();
    let parts = (
        any::<Vec<Option<u32>>>(),
        btree_map(any::<String>(), any::<Vec<u8>>(), 0..4),
        vec(Just(()), 0..200),
        any::<(u8, [i16; 3])>(),
        nested(),
    );
    prop_oneof![
        Just(Rich::Unit),
        any::<String>().prop_map(Rich::Text),
        numbers.prop_map(|(a, b, c, d, e, f, g, h)| Rich::Numbers(a, b, c, d, e, f, g, h)),
        parts.prop_map(|(list, map, units, tuple, nested)| Rich::Struct {
            list,
            map,
            units,
            tuple,
            cache: 0,
            nested
        }),
        nested().prop_map(Rich::Nested),
    ]
}

proptest! {
    #[test]
    fn any_event_reads_back(event in rich()) {
        let payload = encoded(&event);
        prop_assert_eq!(read::<Rich>(&payload).expect("reads back"), event);
    }

    #[test]
    fn an_event_cut_short_or_drawn_out_is_an_error(
        event in rich(),
        cut in any::<prop::sample::Index>(),
        extra: u8,
    ) {
        let mut payload = encoded(&event);
        prop_assert!(read::<Rich>(&payload[..cut.index(payload.len())]).is_err());
        payload.push(extra);
        let trailing = matches!(read::<Rich>(&payload), Err(TypedError::Trailing { left: 1, .. }));
        prop_assert!(trailing);
    }

    #[test]
    fn hostile_bytes_never_panic(
        index in 0..Rich::RECORDS.len(),
        body in vec(any::<u8>(), 0..300),
        raw: Vec<u8>,
    ) {
        let _ = read::<Rich>(&raw);
        if let Ok(event) = read::<Rich>(&with_body::<Rich>(index, &body)) {
            prop_assert_eq!(event.record_index(), index);
            encode(&event, &mut Vec::new()).expect("what was read can be written");
        }
    }

    #[test]
    fn damaged_events_never_panic(event in rich(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut payload = encoded(&event);
        let at = at.index(payload.len());
        payload[at] = byte;
        let _ = read::<Rich>(&payload);
    }
}
