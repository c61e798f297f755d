//! Types that were converted and split: `from` and `split`.

use std::error::Error;

use serde::{Deserialize, Serialize};
use wal_db::{EventLog, WalRecord, event::TypedError};
use wal_tests::assert_is;

use super::{record, today, wal};

#[derive(Debug)]
struct NotPositive(i64);

impl std::fmt::Display for NotPositive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not a price", self.0)
    }
}

impl Error for NotPositive {}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "priced")]
struct PricedV1 {
    euros: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "priced", version = 3, from = PricedV1)]
struct PricedV3 {
    cents: i64,
    #[wal(since = 3, default = true)]
    taxed: bool,
}

impl From<PricedV1> for PricedV3 {
    fn from(old: PricedV1) -> Self {
        PricedV3 {
            cents: old.euros * 100,
            taxed: false,
        }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "priced", version = 2, since = 2)]
struct PricedV2 {
    cents: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "priced", version = 5, from = PricedV3)]
struct Priced {
    cents: u64,
    #[wal(since = 5, default = "de")]
    country: String,
    taxed: bool,
}

impl TryFrom<PricedV3> for Priced {
    type Error = NotPositive;

    fn try_from(old: PricedV3) -> Result<Self, NotPositive> {
        Ok(Priced {
            cents: old.cents.try_into().map_err(|_| NotPositive(old.cents))?,
            country: "fr".to_owned(),
            taxed: old.taxed,
        })
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "priced", version = 4, since = 4)]
struct PricedV4 {
    cents: u64,
    taxed: bool,
}

fn priced(cents: u64, country: &str, taxed: bool) -> Priced {
    Priced {
        cents,
        country: country.to_owned(),
        taxed,
    }
}

#[test]
fn a_first_version_passes_every_step_to_todays_type() {
    assert_eq!(today::<Priced>(&PricedV1 { euros: 3 }), priced(300, "fr", false));
    assert_eq!(today::<Priced>(&PricedV2 { cents: 9 }), priced(9, "fr", true));
    let third = PricedV3 {
        cents: 9,
        taxed: false,
    };
    assert_eq!(today::<Priced>(&third), priced(9, "fr", false));
    let fourth = PricedV4 {
        cents: 9,
        taxed: true,
    };
    assert_eq!(today::<Priced>(&fourth), priced(9, "de", true));
    let versions: Vec<_> = Priced::RECORDS[0].history().map(|v| v.version).collect();
    assert_eq!(versions, [5, 4, 3, 2, 1]);
}

#[test]
fn a_conversion_that_fails_keeps_its_error() {
    let error = record(&PricedV1 { euros: -3 })
        .decode::<Priced>()
        .expect_err("no price");
    let upcast = matches!(
        error,
        TypedError::Upcast {
            name: "priced",
            stored: 1,
            known: 5,
            ..
        }
    );
    assert!(upcast, "{error:?}");
    let source = error.source().expect("a source");
    assert_eq!(source.to_string(), "-300 is not a price");
    assert!(source.is::<NotPositive>());
}

#[test]
fn a_version_before_the_chain_begins_is_an_error() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "late")]
    struct V1(u8);
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "late", version = 2, since = 2)]
    struct V2(u16);
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "late", version = 3, from = V2)]
    struct V3(u32);
    impl From<V2> for V3 {
        fn from(old: V2) -> Self {
            V3(old.0.into())
        }
    }
    assert_eq!(today::<V3>(&V2(7)), V3(7));
    let error = record(&V1(7)).decode::<V3>().expect_err("nothing reads it");
    assert_is!(error, TypedError::OlderVersion { stored: 1, .. });
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "user.renamed")]
struct RenamedV1 {
    names: Vec<String>,
}

fn one_each(old: RenamedV1) -> impl Iterator<Item = User> {
    old.names.into_iter().map(|name| User::Renamed { name })
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "user")]
enum User {
    Joined(u64),
    #[wal(version = 2, from = RenamedV1, split = one_each)]
    Renamed {
        name: String,
    },
}

fn renamed(names: &[&str]) -> RenamedV1 {
    RenamedV1 {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn user(name: &str) -> User {
    User::Renamed {
        name: name.to_owned(),
    }
}

#[test]
fn an_event_may_have_become_none_one_or_many() {
    let wal = wal();
    wal.append_typed(&User::Joined(1)).expect("append");
    let none = wal.append_typed(&renamed(&[])).expect("append");
    let one = wal.append_typed(&renamed(&["a"])).expect("append");
    let many = wal.append_typed(&renamed(&["b", "c", "d"])).expect("append");
    wal.append_typed(&user("e")).expect("append");

    let log: EventLog<User> = wal.typed().expect("no collision");
    let events: Vec<_> = log
        .replay(..)
        .expect("replay")
        .map(|event| event.expect("an event"))
        .collect();
    let of = |lsn| -> Vec<_> { events.iter().filter(|e| e.lsn == lsn).map(|e| &e.event).collect() };
    assert_eq!(events.len(), 6);
    assert!(of(none).is_empty());
    assert_eq!(of(one), [&user("a")]);
    assert_eq!(of(many), [&user("b"), &user("c"), &user("d")]);

    let decode = |lsn| wal.read(lsn).expect("read").decode::<User>();
    assert_eq!(decode(one).expect("one event"), user("a"));
    for (lsn, count) in [(none, 0), (many, 3)] {
        let error = decode(lsn).expect_err("not one event");
        let split = matches!(error, TypedError::Split { lsn: at, count: n, .. } if at == lsn && n == count);
        assert!(split, "{error:?}");
    }
    let all = wal
        .read(many)
        .expect("read")
        .decode_all::<User>()
        .expect("decode");
    assert_eq!(all, [user("b"), user("c"), user("d")]);
}

mod several {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "sent")]
    pub(super) struct V1 {
        pub(super) to: Vec<String>,
    }

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "sent", version = 2, since = 2)]
    pub(super) struct V2 {
        pub(super) to: String,
    }

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "sent", version = 4, from = V2)]
    pub(super) struct V4 {
        pub(super) to: String,
        #[wal(since = 4, default)]
        pub(super) copies: u8,
    }

    impl From<V2> for V4 {
        fn from(old: V2) -> Self {
            V4 {
                to: old.to,
                copies: 3,
            }
        }
    }

    /// The first version has a way of its own, past those of the second and the fourth.
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "sent", version = 5, from = V1, split = one_each, from = V4)]
    pub(super) struct Sent(pub(super) String, pub(super) i32);

    fn one_each(old: V1) -> Vec<Sent> {
        old.to.into_iter().map(|to| Sent(to, 1)).collect()
    }

    impl TryFrom<V4> for Sent {
        type Error = NotPositive;

        fn try_from(old: V4) -> Result<Self, NotPositive> {
            match old.copies {
                0 => Err(NotPositive(0)),
                copies => Ok(Sent(old.to, copies.into())),
            }
        }
    }
}

#[test]
fn earlier_versions_may_have_ways_of_their_own() {
    use several::{Sent, V1, V2, V4};

    let sent = |to: &str, copies| Sent(to.to_owned(), copies);
    let to = || "a".to_owned();
    let first = record(&V1 {
        to: vec![to(), "b".to_owned()],
    });
    let all = first.decode_all::<Sent>().expect("decode");
    assert_eq!(all, [sent("a", 1), sent("b", 1)]);
    assert_eq!(today::<Sent>(&V2 { to: to() }), sent("a", 3));
    assert_eq!(today::<Sent>(&V4 { to: to(), copies: 9 }), sent("a", 9));
    assert_eq!(today::<Sent>(&sent("a", -1)), sent("a", -1));
    let error = record(&V4 { to: to(), copies: 0 })
        .decode::<Sent>()
        .expect_err("no copy");
    assert_is!(
        error,
        TypedError::Upcast {
            stored: 4,
            known: 5,
            ..
        }
    );
    let versions: Vec<_> = Sent::RECORDS[0].history().map(|v| v.version).collect();
    assert_eq!(versions, [5, 4, 3, 2, 1]);

    // What a log holds is compared with all of them.
    let wal = wal();
    wal.append_typed(&V1 { to: vec![to()] }).expect("append");
    let log = wal.typed::<Sent>().expect("every version is read");
    assert_eq!(log.replay(..).expect("replay").count(), 1);
}

/// What an event was split into may be split again: by a later type of the same name, and by what the first split calls.
mod split_again {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "page.read")]
    pub(super) struct ReadV1(pub(super) String);

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "page.read", version = 2, from = ReadV1, split = lines)]
    pub(super) struct ReadV2(pub(super) String);

    fn lines(old: ReadV1) -> Vec<ReadV2> {
        old.0.lines().map(|line| ReadV2(line.to_owned())).collect()
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "page")]
    pub(super) enum Page {
        #[wal(version = 3, from = ReadV2, split = words)]
        Read(String),
        #[wal(version = 2, from = TurnedV1, split = sides)]
        Turned { side: u32 },
    }

    fn words(old: ReadV2) -> Vec<Page> {
        let words = old.0.split(' ').map(|word| match word.strip_prefix('>') {
            Some(_) => sides(TurnedV1 { leaf: 1 }).to_vec(),
            None => vec![Page::Read(word.to_owned())],
        });
        words.flatten().collect()
    }

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "page.turned")]
    pub(super) struct TurnedV1 {
        pub(super) leaf: u32,
    }

    fn sides(old: TurnedV1) -> [Page; 2] {
        [2 * old.leaf, 2 * old.leaf + 1].map(|side| Page::Turned { side })
    }
}

#[test]
fn what_was_split_can_be_split_again() {
    use split_again::{Page, ReadV1, ReadV2, TurnedV1};

    let read = |word: &str| Page::Read(word.to_owned());
    let turned = |side| Page::Turned { side };
    let all = |record: wal_db::Record| record.decode_all::<Page>().expect("decode");
    let first = record(&ReadV1("a b\nc >\nd".to_owned()));
    let expected = [read("a"), read("b"), read("c"), turned(2), turned(3), read("d")];
    assert_eq!(all(first), expected);
    assert_eq!(all(record(&ReadV2("a b".to_owned()))), [read("a"), read("b")]);
    assert_eq!(all(record(&TurnedV1 { leaf: 4 })), [turned(8), turned(9)]);
}
