//! Events that borrow from the record they are read from.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use wal_db::{Record, WalRecord, WalSchema};

use super::{record, shape};

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "line")]
struct LineV1<'a>(&'a str);

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "line", version = 3, from = LineV1<'a>)]
struct Line<'a, 'b> {
    #[wal(since = 3, default = "none")]
    label: &'b str,
    text: &'a str,
    #[serde(borrow)]
    bytes: Cow<'a, [u8]>,
}

impl<'a> From<LineV1<'a>> for Line<'a, '_> {
    fn from(old: LineV1<'a>) -> Self {
        Line {
            label: "old",
            text: old.0,
            bytes: Cow::Borrowed(&[]),
        }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "line", version = 2, since = 2)]
struct LineV2 {
    text: String,
    bytes: Vec<u8>,
}

fn lies_in(part: &str, record: &Record) -> bool {
    record.data().as_ptr_range().contains(&part.as_ptr())
}

#[test]
fn events_of_every_version_borrow_from_the_record() {
    let first = record(&LineV1("hello"));
    let line: Line<'_, '_> = first.decode_ref().expect("decode");
    assert_eq!((line.label, line.text), ("old", "hello"));
    assert!(lies_in(line.text, &first));

    let (text, bytes) = ("hi".to_owned(), vec![1, 2]);
    let second = record(&LineV2 { text, bytes });
    let line: Line<'_, '_> = second.decode_ref().expect("decode");
    assert_eq!((line.label, line.text), ("none", "hi"));
    assert!(lies_in(line.text, &second));

    let third = record(&line);
    let line: Line<'_, '_> = third.decode_ref().expect("decode");
    assert!(lies_in(line.text, &third) && lies_in(line.label, &third));
    assert_eq!(shape(&Line::RECORDS[0]), "{label: str, text: str, bytes: [u8]}");
}

#[test]
fn a_family_may_borrow() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "page")]
    enum Page<'a> {
        Title(&'a str),
        Body { text: &'a str },
        Empty,
    }
    let record = record(&Page::Body { text: "long" });
    let Page::Body { text } = record.decode_ref().expect("decode") else {
        panic!("another variant");
    };
    assert!(lies_in(text, &record));
}

/// Serde's derives refuse the name of the lifetime, so its implementations are by hand.
#[derive(Debug, PartialEq, Serialize, WalSchema)]
struct Name<'de>(&'de str);

impl<'a: 'de, 'de> Deserialize<'a> for Name<'de> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Name)
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "named")]
struct NamedV1 {
    name: String,
}

#[derive(Debug, PartialEq, Serialize, WalRecord)]
#[wal(name = "named", version = 2)]
struct Named<'de> {
    #[serde(borrow)]
    name: Name<'de>,
    #[wal(since = 2, default = "none")]
    title: &'de str,
}

impl<'a: 'de, 'de> Deserialize<'a> for Named<'de> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, title) = Deserialize::deserialize(deserializer)?;
        Ok(Named { name, title })
    }
}

#[test]
fn a_type_may_call_its_own_lifetime_as_serde_calls_the_one_that_it_reads_from() {
    let first = record(&NamedV1 { name: "ann".into() });
    let named: Named<'_> = first.decode_ref().expect("decode");
    assert_eq!((named.name.0, named.title), ("ann", "none"));
    assert!(lies_in(named.name.0, &first));
    let second = record(&named);
    assert_eq!(second.decode_ref::<Named<'_>>().expect("decode"), named);
}
