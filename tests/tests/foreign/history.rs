//! `check_history!` makes values of types that a shape only names, and of fields that do not take every value.

use std::fs;

use chrono::{DateTime, NaiveDate, Utc};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use wal_db::{
    WalRecord, WalSchema,
    codec::{Bincode, Codec, Json, Postcard},
    event::{EventType, Retired, WalDecodeOwned},
    testing::{LockLine, ReadableType, Strategies, check_history_with_strategies},
};

/// A `wal.lock` with every version that these types read.
fn released(types: &[&[EventType]]) -> String {
    let records = types.iter().copied().flatten();
    let lines = records.flat_map(|record| {
        let line = |version, shape| LockLine::new(record.name, version, record.id, shape).to_string() + "\n";
        let versions: Vec<_> = record.history().collect();
        versions
            .into_iter()
            .map(move |known| line(known.version, known.schema.clone()))
    });
    lines.collect()
}

fn found<T: WalDecodeOwned, C: Codec>(lock: &str, strategies: &Strategies, except: &[&str]) -> String {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("wal.lock"), lock).unwrap();
    let types = [ReadableType::with_codec::<T, C>()];
    match check_history_with_strategies(dir.path(), &types, strategies, except) {
        Ok(()) => String::new(),
        Err(failed) => failed.to_string(),
    }
}

/// The same in every format.
fn found_in_each<T: WalDecodeOwned>(lock: &str, strategies: &Strategies, except: &[&str]) -> [String; 3] {
    [
        found::<T, Bincode>(lock, strategies, except),
        found::<T, Postcard>(lock, strategies, except),
        found::<T, Json>(lock, strategies, except),
    ]
}

const NOTHING: [String; 3] = [String::new(), String::new(), String::new()];

#[test]
fn types_of_other_crates_have_values() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "paid")]
    struct PaidV1 {
        id: uuid::Uuid,
        at: DateTime<Utc>,
        amount: rust_decimal::Decimal,
        from: Option<ipnet::IpNet>,
        link: Vec<url::Url>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "paid", version = 3, from = PaidV1)]
    struct Paid {
        id: uuid::Uuid,
        amount: rust_decimal::Decimal,
        at: DateTime<Utc>,
        from: Option<ipnet::IpNet>,
        link: Vec<url::Url>,
        #[wal(since = 3, default)]
        due: Option<NaiveDate>,
    }

    impl From<PaidV1> for Paid {
        fn from(old: PaidV1) -> Self {
            let PaidV1 {
                id,
                at,
                amount,
                from,
                link,
            } = old;
            Paid {
                id,
                amount,
                at,
                from,
                link,
                due: None,
            }
        }
    }

    let lock = released(&[Paid::RECORDS]);
    assert_eq!(lock.lines().count(), 3);
    assert_eq!(found_in_each::<Paid>(&lock, &Strategies::new(), &[]), NOTHING);
}

#[test]
fn every_type_of_every_feature_has_values() {
    macro_rules! all {
        ($($field:ident: $ty:ty,)*) => {
            #[derive(Debug, Serialize, Deserialize, WalRecord)]
            #[wal(name = "all")]
            struct All { $($field: $ty,)* }
        };
    }

    all! {
        a: DateTime<chrono::FixedOffset>, b: DateTime<chrono::Local>, c: chrono::NaiveDateTime, d: chrono::NaiveTime,
        e: chrono::Month, f: chrono::Weekday, g: jiff::Timestamp, h: jiff::Zoned, i: jiff::Span, j: jiff::SignedDuration,
        k: jiff::civil::Date, l: jiff::civil::DateTime, m: jiff::civil::Time, n: jiff::civil::ISOWeekDate,
        o: ordered_float::NotNan<f32>, p: ordered_float::NotNan<f64>, q: time::Date, r: time::Duration, s: time::Month,
        t: time::OffsetDateTime, u: time::PrimitiveDateTime, v: time::Time, w: time::UtcDateTime, x: time::UtcOffset,
        y: time::Weekday, z: ipnet::Ipv4Net, aa: ipnet::Ipv6Net, ab: uuid::NonNilUuid, ac: uuid::fmt::Simple,
        ad: uuid::fmt::Urn, ae: uuid::fmt::Braced, af: uuid::fmt::Hyphenated, ag: bytes::Bytes, ah: smol_str::SmolStr,
        ai: indexmap::IndexMap<smol_str::SmolStr, u8>, aj: indexmap::IndexSet<u16>,
    }
    assert_eq!(
        found_in_each::<All>(&released(&[All::RECORDS]), &Strategies::new(), &[]),
        NOTHING
    );
}

/// Text that is not any text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Sku(String);

impl TryFrom<String> for Sku {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("SKU-") {
            Some(_) => Ok(Sku(text)),
            None => Err(format!("`{text}` is no SKU")),
        }
    }
}

impl From<Sku> for String {
    fn from(sku: Sku) -> Self {
        sku.0
    }
}

fn skus() -> impl Strategy<Value = Sku> {
    "SKU-[0-9]{1,5}".prop_map(Sku)
}

#[test]
fn a_programs_own_opaque_type_takes_a_strategy() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "sold", version = 2)]
    struct Sold {
        #[wal(opaque = "sku@1", wire = String)]
        sku: Sku,
        #[wal(since = 2, default)]
        pieces: u32,
    }

    let lock = released(&[Sold::RECORDS]);
    let without = found::<Sold, Bincode>(&lock, &Strategies::new(), &[]);
    assert!(
        without.contains("is no SKU") && without.contains(r#"("name@1", ...)"#),
        "{without}"
    );
    let with = Strategies::new().with("sku@1", skus());
    assert_eq!(found_in_each::<Sold>(&lock, &with, &[]), NOTHING);
    // Or text of the same form.
    let text = Strategies::new().with("sku@1", "SKU-[0-9]{1,5}");
    assert_eq!(found_in_each::<Sold>(&lock, &text, &[]), NOTHING);
    let misspelt = found::<Sold, Bincode>(&lock, &with.with("sku@2", skus()), &[]);
    assert_eq!(
        misspelt,
        "\"sku@2\" after `strategies` is no opaque type and no place in what is checked"
    );
}

/// A mistake in a conversion is found, though only a strategy makes values.
#[test]
fn a_swap_of_opaque_fields_is_found() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "moved")]
    struct MovedV1 {
        from: uuid::Uuid,
        to: uuid::Uuid,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "moved", version = 2, from = MovedV1)]
    struct Moved {
        from: uuid::Uuid,
        to: uuid::Uuid,
        cents: i64,
    }

    impl From<MovedV1> for Moved {
        fn from(old: MovedV1) -> Self {
            Moved {
                from: old.to,
                to: old.from,
                cents: 0,
            }
        }
    }

    for found in found_in_each::<Moved>(&released(&[Moved::RECORDS]), &Strategies::new(), &[]) {
        assert!(
            found.starts_with("`moved` version 1, read as version 2: the field `from` was "),
            "{found}"
        );
    }
}

/// Its shape is that of any text, as it was released.
#[test]
fn a_validated_field_takes_a_strategy() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
    #[serde(try_from = "String", into = "String")]
    struct Name(String);

    impl TryFrom<String> for Name {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            Sku::try_from(text).map(|Sku(text)| Name(text))
        }
    }

    impl From<Name> for String {
        fn from(name: Name) -> Self {
            name.0
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
    struct Line {
        name: Name,
        note: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "shop")]
    enum Shop {
        Sold { lines: Vec<Line>, first: Option<Name> },
        Named(Name),
    }

    let lock = released(&[Shop::RECORDS]);
    assert!(lock.contains("shop.named 1 str\n"), "{lock}");
    let names = || skus().prop_map(|Sku(text)| Name(text));
    let strategies = Strategies::new()
        .with("shop.sold.lines.[].name", names())
        .with("shop.sold.first.some", names())
        .with("shop.named.0", names());
    assert_eq!(found_in_each::<Shop>(&lock, &strategies, &[]), NOTHING);
    let without = found::<Shop, Postcard>(&lock, &Strategies::new(), &[]);
    assert!(without.contains(r#"("shop.named.field", ...)"#), "{without}");
}

#[test]
fn a_release_without_wire_is_made_with_what_is_known_today() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "sold")]
    struct Sold {
        #[wal(opaque = "sku@1", wire = String)]
        sku: Sku,
    }

    let with = Strategies::new().with("sku@1", skus());
    for lock in [
        "sold 1 {sku: opaque \"sku@1\"}\n",
        "sold 1 {sku: opaque \"sku@1\" = bytes}\n",
    ] {
        assert_eq!(found_in_each::<Sold>(lock, &with, &[]), NOTHING);
    }
}

#[test]
fn an_exception_can_be_one_version() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "moved")]
    struct MovedV1 {
        from: u64,
        to: u64,
    }

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "moved", version = 2, from = MovedV1)]
    struct MovedV2 {
        from: u64,
        to: u64,
        cents: u64,
    }

    impl From<MovedV1> for MovedV2 {
        fn from(old: MovedV1) -> Self {
            MovedV2 {
                from: old.to,
                to: old.from,
                cents: 0,
            }
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "moved", version = 3, from = MovedV2)]
    struct Moved {
        from: u64,
        to: u64,
        cents: u64,
        note: String,
    }

    impl From<MovedV2> for Moved {
        fn from(old: MovedV2) -> Self {
            Moved {
                from: old.from,
                to: old.to,
                cents: old.cents / 2,
                note: String::new(),
            }
        }
    }

    let lock = released(&[Moved::RECORDS]);
    let found = |except: &[&str]| found::<Moved, Bincode>(&lock, &Strategies::new(), except);
    assert!(found(&[]).contains("`moved` version 1,") && found(&[]).contains("`moved` version 2,"));
    let one = found(&["moved@1"]);
    assert!(
        !one.contains("`moved` version 1,") && one.contains("`moved` version 2,"),
        "{one}"
    );
    assert_eq!(found(&["moved@1", "moved.cents"]), "");
    let misspelt = found(&["moved", "moved@4"]);
    assert!(
        misspelt.starts_with("\"moved@4\" after `except` is no version in"),
        "{misspelt}"
    );
}

/// As example 7 of the guide has it.
#[test]
fn events_that_became_one_are_checked() {
    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "till.paid_in")]
    struct PaidInV1 {
        cents: u32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "till")]
    enum Till {
        Paid {
            cents: i64,
        },
        #[wal(version = 2, from = PaidInV1)]
        PaidIn(Retired),
    }

    impl From<PaidInV1> for Till {
        fn from(old: PaidInV1) -> Self {
            Till::Paid {
                cents: old.cents.into(),
            }
        }
    }

    let lock = released(&[Till::RECORDS]);
    assert_eq!(lock.lines().count(), 3, "{lock}");
    assert_eq!(found_in_each::<Till>(&lock, &Strategies::new(), &[]), NOTHING);
}
