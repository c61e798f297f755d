//! Events that borrow from the record they are read from.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use wal_db::{Record, WalRecord};

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
