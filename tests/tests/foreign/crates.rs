//! Every type of every feature: its schema, random values of it, and how these are printed where they are stored in
//! another form than for people.

use chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use proptest::collection::{hash_map, hash_set, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wal_db::WalRecord;

use crate::{come_back, human};

macro_rules! types {
    ($($name:ident: $ty:ty, $shape:expr, $values:expr, $stored:expr;)*) => {$(
        #[test]
        fn $name() {
            #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
            #[wal(name = "held")]
            struct Held {
                before: u8,
                one: $ty,
                maybe: Option<$ty>,
                many: Vec<$ty>,
                after: u16,
            }

            let shape = Held::RECORDS[0].schema.unwrap().to_string();
            let one = $shape;
            let expected = format!("{{before: u8, one: {one}, maybe: option<{one}>, many: [{one}], after: u16}}");
            assert_eq!(shape, expected);

            let values = $values.boxed();
            let (maybe, many) = (proptest::option::of(values.clone()), vec(values.clone(), 0..3));
            let events = (any::<u8>(), values, maybe, many, any::<u16>());
            let events = events.prop_map(|(before, one, maybe, many, after)| Held {
                before,
                one,
                maybe,
                many,
                after,
            });
            let stored = |value: &$ty| $stored(value);
            come_back(events, |held| {
                json!({
                    "before": held.before,
                    "one": stored(&held.one),
                    "maybe": held.maybe.as_ref().map(stored),
                    "many": held.many.iter().map(stored).collect::<Vec<_>>(),
                    "after": held.after,
                })
            });
        }
    )*};
}

fn seconds() -> impl Strategy<Value = i64> {
    let (first, last) = (
        DateTime::<Utc>::MIN_UTC.timestamp(),
        DateTime::<Utc>::MAX_UTC.timestamp(),
    );
    prop_oneof![3 => 0..1_i64 << 33, 1 => first + 86_400..last - 86_400]
}

fn nanos() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0),
        (0..1000_u32).prop_map(|ms| ms * 1_000_000),
        0..1_000_000_000_u32
    ]
}

fn utc() -> impl Strategy<Value = DateTime<Utc>> {
    (seconds(), nanos()).prop_map(|(secs, nanos)| DateTime::from_timestamp(secs, nanos).unwrap())
}

fn naive() -> impl Strategy<Value = NaiveDateTime> {
    utc().prop_map(|time| time.naive_utc())
}

fn fixed() -> impl Strategy<Value = DateTime<FixedOffset>> {
    let offset = (-1439..=1439_i32).prop_map(|minutes| FixedOffset::east_opt(60 * minutes).unwrap());
    (utc(), offset).prop_map(|(time, offset)| time.with_timezone(&offset))
}

/// A leap second, too.
fn naive_time() -> impl Strategy<Value = NaiveTime> {
    let leap = Just(NaiveTime::from_hms_nano_opt(23, 59, 59, 1_500_000_000).unwrap());
    prop_oneof![10 => naive().prop_map(|time| time.time()), 1 => leap]
}

types! {
    chrono_date_time_utc: DateTime<Utc>, r#"opaque "chrono::DateTime<Utc>" = str"#, utc(), human;
    chrono_date_time_fixed: DateTime<FixedOffset>, r#"opaque "chrono::DateTime<FixedOffset>" = str"#, fixed(), human;
    chrono_date_time_local: DateTime<Local>, r#"opaque "chrono::DateTime<Local>" = str"#,
        utc().prop_map(|time| time.with_timezone(&Local)), human;
    chrono_naive_date: NaiveDate, r#"opaque "chrono::NaiveDate" = str"#, naive().prop_map(|time| time.date()), human;
    chrono_naive_date_time: NaiveDateTime, r#"opaque "chrono::NaiveDateTime" = str"#, naive(), human;
    chrono_naive_time: NaiveTime, r#"opaque "chrono::NaiveTime" = str"#, naive_time(), human;
    chrono_month: chrono::Month, r#"opaque "chrono::Month" = str"#,
        (1..=12_u8).prop_map(|n| chrono::Month::try_from(n).unwrap()), human;
    chrono_weekday: chrono::Weekday, r#"opaque "chrono::Weekday" = str"#,
        (0..7_u8).prop_map(|n| chrono::Weekday::try_from(n).unwrap()), human;
}

fn any_uuid() -> impl Strategy<Value = uuid::Uuid> {
    any::<u128>().prop_map(uuid::Uuid::from_u128)
}

types! {
    uuid_uuid: uuid::Uuid, r#"opaque "uuid::Uuid" = bytes"#, any_uuid(), |id: &uuid::Uuid| json!(id.as_bytes());
    uuid_non_nil: uuid::NonNilUuid, r#"opaque "uuid::NonNilUuid" = bytes"#,
        (1..u128::MAX).prop_map(|n| uuid::NonNilUuid::new(uuid::Uuid::from_u128(n)).unwrap()),
        |id: &uuid::NonNilUuid| json!(id.get().as_bytes());
    uuid_hyphenated: uuid::fmt::Hyphenated, r#"opaque "uuid::Hyphenated" = str"#,
        any_uuid().prop_map(uuid::Uuid::hyphenated), human;
    uuid_simple: uuid::fmt::Simple, r#"opaque "uuid::Simple" = str"#, any_uuid().prop_map(uuid::Uuid::simple), human;
    uuid_urn: uuid::fmt::Urn, r#"opaque "uuid::Urn" = str"#, any_uuid().prop_map(uuid::Uuid::urn), human;
    uuid_braced: uuid::fmt::Braced, r#"opaque "uuid::Braced" = str"#, any_uuid().prop_map(uuid::Uuid::braced), human;
}

types! {
    rust_decimal_decimal: rust_decimal::Decimal, r#"opaque "rust_decimal::Decimal" = str"#,
        (-(1_i128 << 96) + 1..1_i128 << 96, 0..=28_u32)
            .prop_map(|(n, scale)| rust_decimal::Decimal::from_i128_with_scale(n, scale)),
        human;
}

fn offset_date_time() -> impl Strategy<Value = time::OffsetDateTime> {
    let offset = (-25..=25_i8, 0..60_i8, 0..60_i8).prop_map(|(hours, minutes, seconds)| {
        let sign = if hours < 0 { -1 } else { 1 };
        time::UtcOffset::from_hms(hours, sign * minutes, sign * seconds).unwrap()
    });
    let nanos = -377_000_000_000..=253_000_000_000_i64;
    (nanos, nanos_of_second(), offset).prop_map(|(secs, nanos, offset)| {
        let utc = time::OffsetDateTime::from_unix_timestamp(secs).unwrap();
        utc.replace_nanosecond(nanos).unwrap().to_offset(offset)
    })
}

fn nanos_of_second() -> impl Strategy<Value = u32> {
    0..1_000_000_000_u32
}

fn primitive() -> impl Strategy<Value = time::PrimitiveDateTime> {
    offset_date_time().prop_map(|time| time::PrimitiveDateTime::new(time.date(), time.time()))
}

types! {
    time_date: time::Date, r#"opaque "time::Date" = (i32, u16)"#, offset_date_time().prop_map(|time| time.date()), human;
    time_duration: time::Duration, r#"opaque "time::Duration" = (i64, i32)"#,
        (any::<i32>(), any::<i32>()).prop_map(|(secs, nanos)| time::Duration::new(secs.into(), nanos)), human;
    time_month: time::Month, r#"opaque "time::Month" = u8"#,
        (1..=12_u8).prop_map(|n| time::Month::try_from(n).unwrap()), human;
    time_offset_date_time: time::OffsetDateTime,
        r#"opaque "time::OffsetDateTime" = (i32, u16, u8, u8, u8, u32, i8, i8, i8)"#, offset_date_time(), human;
    time_primitive_date_time: time::PrimitiveDateTime,
        r#"opaque "time::PrimitiveDateTime" = (i32, u16, u8, u8, u8, u32)"#, primitive(), human;
    time_time: time::Time, r#"opaque "time::Time" = (u8, u8, u8, u32)"#,
        offset_date_time().prop_map(|time| time.time()), human;
    time_utc_date_time: time::UtcDateTime, r#"opaque "time::UtcDateTime" = (i32, u16, u8, u8, u8, u32)"#,
        offset_date_time().prop_map(Into::into), human;
    time_utc_offset: time::UtcOffset, r#"opaque "time::UtcOffset" = (i8, i8, i8)"#,
        offset_date_time().prop_map(|time| time.offset()), human;
    time_weekday: time::Weekday, r#"opaque "time::Weekday" = u8"#,
        (0..7_u8).prop_map(|n| time::Weekday::Monday.nth_next(n)), human;
}

fn timestamp() -> impl Strategy<Value = jiff::Timestamp> {
    (-377_000_000_000..=253_000_000_000_i64, 0..1_000_000_000_i32)
        .prop_map(|(secs, nanos)| jiff::Timestamp::new(secs, nanos).unwrap())
}

/// Not in UTC, which a program finds in the database of its time zones; there is none here.
fn zoned() -> impl Strategy<Value = jiff::Zoned> {
    (timestamp(), prop_oneof![-25..0_i8, 1..=25_i8])
        .prop_map(|(time, hours)| time.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(hours))))
}

types! {
    jiff_signed_duration: jiff::SignedDuration, r#"opaque "jiff::SignedDuration" = str"#,
        (any::<i64>(), 0..1_000_000_000_i32)
            .prop_map(|(secs, nanos)| jiff::SignedDuration::new(secs / 2, nanos)),
        human;
    jiff_timestamp: jiff::Timestamp, r#"opaque "jiff::Timestamp" = str"#, timestamp(), human;
    jiff_zoned: jiff::Zoned, r#"opaque "jiff::Zoned" = str"#, zoned(), human;
    jiff_date: jiff::civil::Date, r#"opaque "jiff::civil::Date" = str"#, zoned().prop_map(|time| time.date()), human;
    jiff_date_time: jiff::civil::DateTime, r#"opaque "jiff::civil::DateTime" = str"#,
        zoned().prop_map(|time| time.datetime()), human;
    jiff_iso_week_date: jiff::civil::ISOWeekDate, r#"opaque "jiff::civil::ISOWeekDate" = str"#,
        zoned().prop_map(|time| time.date().iso_week_date()), human;
    jiff_time: jiff::civil::Time, r#"opaque "jiff::civil::Time" = str"#, zoned().prop_map(|time| time.time()), human;
}

/// It has no `==`, because a day is not always as long as another one.
#[test]
fn jiff_span() {
    #[derive(Debug, Serialize, Deserialize, WalRecord)]
    #[wal(name = "waited")]
    struct Waited(jiff::Span);

    impl PartialEq for Waited {
        fn eq(&self, other: &Self) -> bool {
            self.0.fieldwise() == other.0.fieldwise()
        }
    }

    let schema = Waited::RECORDS[0].schema.unwrap().to_string();
    assert_eq!(schema, r#"opaque "jiff::Span" = str"#);
    let spans = (0..9_998_i64, 0..12_i64, 0..1_000_000_i64, 0..1_000_i64);
    let spans = spans.prop_map(|(years, months, hours, nanos)| {
        Waited(
            jiff::Span::new()
                .years(years)
                .months(months)
                .hours(hours)
                .nanoseconds(nanos),
        )
    });
    come_back(spans, human);
}

fn v4() -> impl Strategy<Value = ipnet::Ipv4Net> {
    (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(addr, prefix)| ipnet::Ipv4Net::new(addr.into(), prefix).unwrap())
}

fn v6() -> impl Strategy<Value = ipnet::Ipv6Net> {
    (any::<[u8; 16]>(), 0..=128_u8)
        .prop_map(|(addr, prefix)| ipnet::Ipv6Net::new(addr.into(), prefix).unwrap())
}

fn of_v4(net: &ipnet::Ipv4Net) -> serde_json::Value {
    let [a, b, c, d] = net.addr().octets();
    json!([a, b, c, d, net.prefix_len()])
}

fn of_v6(net: &ipnet::Ipv6Net) -> serde_json::Value {
    let mut bytes = net.addr().octets().to_vec();
    bytes.push(net.prefix_len());
    json!(bytes)
}

fn of_net(net: &ipnet::IpNet) -> serde_json::Value {
    match net {
        ipnet::IpNet::V4(net) => json!({ "V4": of_v4(net) }),
        ipnet::IpNet::V6(net) => json!({ "V6": of_v6(net) }),
    }
}

types! {
    ipnet_v4: ipnet::Ipv4Net, r#"opaque "ipnet::Ipv4Net" = [u8; 5]"#, v4(), of_v4;
    ipnet_v6: ipnet::Ipv6Net, r#"opaque "ipnet::Ipv6Net" = [u8; 17]"#, v6(), of_v6;
    ipnet_either: ipnet::IpNet,
        concat!(
            r#"opaque "ipnet::IpNet" = enum {V4(opaque "ipnet::Ipv4Net" = [u8; 5]), "#,
            r#"V6(opaque "ipnet::Ipv6Net" = [u8; 17])}"#,
        ),
        prop_oneof![v4().prop_map(ipnet::IpNet::V4), v6().prop_map(ipnet::IpNet::V6)], of_net;
}

fn url() -> impl Strategy<Value = url::Url> {
    let text = "(https?|ftp|mailto|x-own)://[a-z]{1,8}(\\.[a-zäß]{2,5}){1,2}(:[1-9][0-9]{1,3})?/[a-z /é]{0,10}(\\?[a-z]=[0-9])?";
    text.prop_filter_map("a URL", |text| url::Url::parse(&text).ok())
}

fn host() -> impl Strategy<Value = url::Host> {
    prop_oneof![
        "[a-z]{1,9}".prop_map(url::Host::Domain),
        any::<[u8; 4]>().prop_map(|addr| url::Host::Ipv4(addr.into())),
        any::<[u8; 16]>().prop_map(|addr| url::Host::Ipv6(addr.into())),
    ]
}

fn of_host(host: &url::Host) -> serde_json::Value {
    match host {
        url::Host::Domain(name) => json!({ "Domain": name }),
        url::Host::Ipv4(addr) => json!({ "Ipv4": addr.octets() }),
        url::Host::Ipv6(addr) => json!({ "Ipv6": addr.octets() }),
    }
}

types! {
    url_url: url::Url, r#"opaque "url::Url" = str"#, url(), human;
    url_host: url::Host, "enum {Domain(str), Ipv4([u8; 4]), Ipv6([u8; 16])}", host(), of_host;
}

fn float() -> impl Strategy<Value = f64> {
    proptest::num::f64::NORMAL | proptest::num::f64::ZERO
}

types! {
    bytes_bytes: bytes::Bytes, "bytes", vec(any::<u8>(), 0..300).prop_map(bytes::Bytes::from), human;
    bytes_mut: bytes::BytesMut, "bytes",
        vec(any::<u8>(), 0..9).prop_map(|bytes| bytes::BytesMut::from(&bytes[..])), human;
    smol_str_smol_str: smol_str::SmolStr, "str", ".{0,40}".prop_map(smol_str::SmolStr::from), human;
    indexmap_map: indexmap::IndexMap<String, Vec<u16>>, "map<str, [u16]>",
        hash_map(".{0,3}", vec(any::<u16>(), 0..3), 0..4).prop_map(|map| map.into_iter().collect()), human;
    indexmap_set: indexmap::IndexSet<i32>, "[i32]",
        hash_set(any::<i32>(), 0..4).prop_map(|set| set.into_iter().collect()), human;
    ordered_float_ordered: ordered_float::OrderedFloat<f64>, "f64",
        float().prop_map(ordered_float::OrderedFloat), human;
    ordered_float_not_nan: ordered_float::NotNan<f64>, r#"opaque "ordered_float::NotNan<f64>" = f64"#,
        float().prop_map(|n| ordered_float::NotNan::new(n).unwrap()), human;
    ordered_float_not_nan_32: ordered_float::NotNan<f32>, r#"opaque "ordered_float::NotNan<f32>" = f32"#,
        any::<i16>().prop_map(|n| ordered_float::NotNan::new(f32::from(n) / 7.0).unwrap()), human;
}
