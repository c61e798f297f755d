//! Every form that a variant may have comes back, whatever serde's attributes say of its fields, in every codec.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use wal_db::{
    MemStore, Record, Wal, WalRecord, WalSchema,
    codec::{Bincode, Codec, Json, Postcard},
    event::TypedError,
};

/// Numbers that are written as hexadecimal text.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        u32::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(D::Error::custom)
    }
}

#[allow(non_snake_case)] // names are made by a rule
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "forms")]
#[serde(
    rename = "Everything",
    rename_all = "snake_case",
    rename_all_fields = "SCREAMING-KEBAB-CASE",
    deny_unknown_fields
)]
enum Form {
    Unit,
    Empty {},
    Newtype(u8),
    Tuple(u8, String, Vec<u8>),
    #[serde(rename = "another", rename_all = "camelCase")]
    Named {
        row_id: u32,
        r#type: String,
        #[serde(skip)]
        not_stored: u64,
        rest: Option<Box<Inner>>,
    },
    Shouted {
        row_id: u32,
        rowName: String,
    },
    Hex {
        #[serde(with = "hex")]
        #[wal(opaque = "hex@1")]
        a: u32,
    },
    HexNewtype(
        #[serde(with = "hex")]
        #[wal(opaque = "hex@1")]
        u32,
    ),
    HexTuple(
        #[serde(with = "hex")]
        #[wal(opaque = "hex@1")]
        u32,
        u8,
    ),
    #[wal(version = 2)]
    Grown {
        a: u8,
        #[wal(since = 2, default)]
        b: u16,
    },
    Holed(u8, #[serde(skip)] u8, u16),
    NothingStored(#[serde(skip)] u8),
    Array {
        bytes: [u8; 3],
        pair: (u8, i64),
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Inner {
    deeper: Option<Box<Inner>>,
    b: u8,
}

fn forms() -> Vec<Form> {
    let innermost = Inner { deeper: None, b: 1 };
    let inner = Inner {
        deeper: Some(innermost.into()),
        b: 2,
    };
    vec![
        Form::Unit,
        Form::Empty {},
        Form::Newtype(7),
        Form::Tuple(1, "two".into(), vec![3, 4]),
        Form::Named {
            row_id: 5,
            r#type: "kind".into(),
            not_stored: 0,
            rest: Some(inner.into()),
        },
        Form::Shouted {
            row_id: 6,
            rowName: "six".into(),
        },
        Form::Hex { a: 0xFF },
        Form::HexNewtype(0xABC),
        Form::HexTuple(0xDEF, 8),
        Form::Grown { a: 1, b: 2 },
        Form::Holed(1, 0, 2),
        Form::NothingStored(0),
        Form::Array {
            bytes: [1, 2, 3],
            pair: (4, -5),
        },
    ]
}

/// The records of a log that holds these events.
fn stored<T: WalRecord>(events: &[T]) -> Vec<Record> {
    let wal = Wal::with_store(MemStore::new()).expect("opens");
    for event in events {
        wal.append_typed(event).expect("appends");
    }
    let records = wal.iter().expect("reads");
    let records: Vec<_> = records.map(|record| record.expect("reads")).collect();
    assert_eq!(records.len(), events.len());
    records
}

#[test]
fn every_form_of_a_variant_comes_back_in_every_codec() {
    fn check<C: Codec>() {
        let wal = Wal::with_store(MemStore::new()).expect("opens");
        let log = wal.typed::<Form>().expect("typed").with_codec::<C>();
        for form in forms() {
            log.append(&form).expect("appends");
        }
        let records: Vec<_> = wal
            .iter()
            .expect("reads")
            .map(|record| record.expect("reads"))
            .collect();
        let one_by_one: Vec<Form> = records
            .iter()
            .map(|record| record.decode_with_codec::<Form, C>().expect("decodes"))
            .collect();
        assert_eq!(one_by_one, forms());
        let replayed: Vec<Form> = log
            .replay(..)
            .expect("replays")
            .map(|event| event.expect("decodes").event)
            .collect();
        assert_eq!(replayed, forms());
    }
    check::<Bincode>();
    check::<Postcard>();
    check::<Json>();
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "lent")]
enum Lent<'a, 'b: 'a> {
    Pair {
        short: &'a str,
        long: &'b str,
    },
    #[serde(borrow)]
    Maybe(Cow<'a, str>),
    Bytes(&'b [u8]),
    Parts(&'a str, u8, &'b str),
    Nested {
        #[serde(borrow)]
        inner: Option<Text<'b>>,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Text<'t> {
    text: &'t str,
}

#[test]
fn every_form_of_a_variant_borrows_from_its_record() {
    let events = [
        Lent::Pair {
            short: "a",
            long: "bc",
        },
        Lent::Maybe("def".into()),
        Lent::Bytes(b"ghi"),
        Lent::Parts("jkl", 1, "mno"),
        Lent::Nested {
            inner: Some(Text { text: "pqr" }),
        },
    ];
    for (record, event) in stored(&events).iter().zip(events) {
        let lent: Lent<'_, '_> = record.decode_ref().expect("decodes");
        assert_eq!(lent, event);
        let from = match lent {
            Lent::Pair { long, .. } | Lent::Parts(_, _, long) => long.as_ptr(),
            Lent::Maybe(Cow::Borrowed(text)) => text.as_ptr(),
            Lent::Bytes(bytes) => bytes.as_ptr(),
            Lent::Nested {
                inner: Some(Text { text }),
            } => text.as_ptr(),
            owned => panic!("{owned:?} was copied"),
        };
        assert!(record.data().as_ptr_range().contains(&from));
    }
}

/// What one variant borrows, serde's derive takes for borrowed in all.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shared")]
enum Shared<'a, 'b>
where
    'a: 'b,
{
    Name {
        name: &'a str,
    },
    Nested {
        inner: Text<'a>,
    },
    Other {
        one: Slice<'b>,
        two: &'b str,
    },
    #[wal(version = 2)]
    Grown {
        inner: Text<'a>,
        #[wal(since = 2, default)]
        more: Option<Text<'b>>,
    },
}

type Slice<'s> = &'s [u8];

#[test]
fn what_another_variant_borrows_is_borrowed() {
    let events = [
        Shared::Name { name: "a" },
        Shared::Nested {
            inner: Text { text: "b" },
        },
        Shared::Other { one: b"c", two: "d" },
        Shared::Grown {
            inner: Text { text: "e" },
            more: Some(Text { text: "f" }),
        },
    ];
    for (record, event) in stored(&events).iter().zip(events) {
        assert_eq!(record.decode_ref::<Shared<'_, '_>>().expect("decodes"), event);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord, WalSchema)]
#[wal(name = "tree")]
enum Tree<'a> {
    Leaf { name: &'a str },
    Node { left: Box<Self>, right: Box<Tree<'a>> },
}

#[test]
fn a_borrowing_enum_may_hold_itself() {
    let leaf = |name| Box::new(Tree::Leaf { name });
    let trees = [Tree::Node {
        left: leaf("left"),
        right: leaf("right"),
    }];
    let records = stored(&trees);
    let decoded: Tree<'_> = records[0].decode_ref().expect("decodes");
    assert_eq!([decoded], trees);
}

#[test]
fn what_is_no_such_variant_is_refused_by_the_name_of_the_variant() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "lent")]
    enum Other {
        Pair(u8),
        Nested(u8),
    }
    let wal = Wal::with_store(MemStore::new()).expect("opens");
    let log = wal.typed::<Other>().expect("typed").with_codec::<Json>();
    let expected = [
        (Other::Pair(7), "struct variant Lent::Pair"),
        (Other::Nested(8), "struct variant Lent::Nested"),
    ];
    for (event, words) in expected {
        let lsn = log.append(&event).expect("appends");
        let record = wal.read(lsn).expect("reads");
        let Err(TypedError::Codec { source, .. }) = record.decode_ref::<Lent<'_, '_>>() else {
            panic!("it was read as a {words}");
        };
        assert!(source.to_string().contains(words), "{source}");
    }
}
