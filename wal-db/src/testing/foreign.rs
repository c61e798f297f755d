//! Random values of types that are known by name: of std's in `event/schema/std_types.rs` and of other crates' in
//! `event/schema/foreign.rs`.

#[allow(unused_imports)] // without any of the features
use proptest::prelude::*;

use super::strategies::Strategies;

macro_rules! with_features {
    ($strategies:ident: $($feature:literal => $module:ident;)*) => {
        $(
            #[cfg(feature = $feature)]
            let $strategies = $module::all($strategies);
        )*
    };
}

pub(super) fn all(strategies: Strategies) -> Strategies {
    let strategies = of_std::all(strategies);
    #[cfg(feature = "seal")]
    let strategies = of_seal::all(strategies);
    with_features! {
        strategies:
        "chrono" => of_chrono;
        "ipnet" => of_ipnet;
        "jiff" => of_jiff;
        "ordered-float" => of_ordered_float;
        "rust_decimal" => of_rust_decimal;
        "time" => of_time;
        "url" => of_url;
        "uuid" => of_uuid;
    }
    strategies
}

mod of_std {
    use std::num::NonZero;

    use super::{Just, Strategies, Strategy, any, prop_oneof};

    macro_rules! nonzero {
        ($strategies:ident: $($ty:ty)+) => {
            $strategies$(.of({
                let ends = prop_oneof![Just(<NonZero<$ty>>::MIN), Just(<NonZero<$ty>>::MAX)];
                let small = (1..=3 as $ty).prop_filter_map("a number", <NonZero<$ty>>::new);
                let other = any::<$ty>().prop_filter_map("a number", NonZero::new);
                prop_oneof![1 => ends, 1 => small, 2 => other]
            }))+
        };
    }

    pub(super) fn all(strategies: Strategies) -> Strategies {
        nonzero!(strategies: u8 u16 u32 u64 u128 i8 i16 i32 i64 i128)
    }
}

/// Bytes of the length that sealed values have. No ring opens them.
#[cfg(feature = "seal")]
mod of_seal {
    use super::{Strategies, Strategy, any};
    use crate::seal::{FileDigest, KeyId, LookupHash, RingId, Sealed};

    pub(super) fn all(strategies: Strategies) -> Strategies {
        let bytes = proptest::collection::vec(any::<u8>(), 97..=225);
        strategies
            .of(bytes.prop_map(Sealed::<()>::of))
            .of(any::<[u8; 8]>().prop_map(RingId))
            .of(any::<[u8; 8]>().prop_map(KeyId))
            .of(any::<[u8; 32]>().prop_map(LookupHash))
            .of(any::<[u8; 32]>().prop_map(FileDigest))
    }
}

/// Seconds since 1970, from the year 1 to the year 9999, most of them in this century.
#[cfg(any(feature = "chrono", feature = "jiff", feature = "time"))]
fn seconds() -> BoxedStrategy<i64> {
    let any = -62_135_510_400..253_402_207_200_i64;
    prop_oneof![3 => 946_684_800..4_102_444_800_i64, 1 => any].boxed()
}

/// Often none, or whole milliseconds, which are written in fewer digits.
#[cfg(any(feature = "chrono", feature = "jiff", feature = "time"))]
fn nanos() -> BoxedStrategy<u32> {
    let millis = (0..1000_u32).prop_map(|millis| millis * 1_000_000);
    prop_oneof![Just(0), millis, 0..1_000_000_000_u32].boxed()
}

/// Minutes from UTC.
#[cfg(any(feature = "chrono", feature = "jiff", feature = "time"))]
fn offset() -> BoxedStrategy<i32> {
    prop_oneof![
        Just(0),
        (-14..=14_i32).prop_map(|hours| 60 * hours),
        -1439..1440_i32
    ]
    .boxed()
}

#[cfg(feature = "chrono")]
mod of_chrono {
    use ::chrono::{DateTime, FixedOffset, Local, Month, Weekday};

    use super::{Strategies, Strategy, nanos, offset, seconds};

    pub(super) fn all(strategies: Strategies) -> Strategies {
        let utc = || {
            (seconds(), nanos())
                .prop_filter_map("a time", |(secs, nanos)| DateTime::from_timestamp(secs, nanos))
        };
        let naive = || utc().prop_map(|time| time.naive_utc());
        strategies
            .of(utc())
            .of((utc(), offset()).prop_filter_map("an offset", |(time, minutes)| {
                FixedOffset::east_opt(60 * minutes).map(|offset| time.with_timezone(&offset))
            }))
            .of(utc().prop_map(|time| time.with_timezone(&Local)))
            .of(naive())
            .of(naive().prop_map(|time| time.date()))
            .of(naive().prop_map(|time| time.time()))
            .of((1..=12_u8).prop_filter_map("a month", |n| Month::try_from(n).ok()))
            .of((0..7_u8).prop_filter_map("a day", |n| Weekday::try_from(n).ok()))
    }
}

#[cfg(feature = "ipnet")]
mod of_ipnet {
    use ::ipnet::{IpNet, Ipv4Net, Ipv6Net};

    use super::{Strategies, Strategy, any, prop_oneof};

    pub(super) fn all(strategies: Strategies) -> Strategies {
        let v4 = || {
            (any::<[u8; 4]>(), 0..=32_u8).prop_filter_map("a net", |(address, prefix)| {
                Ipv4Net::new(address.into(), prefix).ok()
            })
        };
        let v6 = || {
            (any::<[u8; 16]>(), 0..=128_u8).prop_filter_map("a net", |(address, prefix)| {
                Ipv6Net::new(address.into(), prefix).ok()
            })
        };
        let either = prop_oneof![v4().prop_map(IpNet::V4), v6().prop_map(IpNet::V6)];
        strategies.of(v4()).of(v6()).of(either)
    }
}

#[cfg(feature = "jiff")]
mod of_jiff {
    use ::jiff::{SignedDuration, Span, Timestamp, tz::Offset, tz::TimeZone};

    use super::{Strategies, Strategy, nanos, offset, seconds};

    pub(super) fn all(strategies: Strategies) -> Strategies {
        let timestamp = || {
            (seconds(), nanos()).prop_filter_map("a time", |(secs, nanos)| {
                Timestamp::new(secs, nanos.try_into().ok()?).ok()
            })
        };
        let zoned = || {
            // UTC is looked up by its name, and not every program has a database of time zones.
            let east = offset().prop_map(|minutes| if minutes == 0 { 60 } else { minutes });
            (timestamp(), east).prop_filter_map("an offset", |(time, minutes)| {
                let offset = Offset::from_seconds(60 * minutes).ok()?;
                Some(time.to_zoned(TimeZone::fixed(offset)))
            })
        };
        let span = (0..100_i64, 0..12_i64, 0..1000_i64, 0..1_000_000_000_i64);
        strategies
            .of(timestamp())
            .of(zoned())
            .of(zoned().prop_map(|time| time.datetime()))
            .of(zoned().prop_map(|time| time.date()))
            .of(zoned().prop_map(|time| time.time()))
            .of(zoned().prop_map(|time| time.date().iso_week_date()))
            .of((seconds(), nanos()).prop_map(|(secs, nanos)| SignedDuration::new(secs, nanos.cast_signed())))
            .of(span.prop_filter_map("a span", |(years, months, hours, nanos)| {
                let span = Span::new()
                    .try_years(years)
                    .and_then(|span| span.try_months(months));
                span.and_then(|span| span.try_hours(hours)?.try_nanoseconds(nanos))
                    .ok()
            }))
    }
}

#[cfg(feature = "ordered-float")]
mod of_ordered_float {
    use ::ordered_float::NotNan;
    use proptest::num;

    use super::{Strategies, Strategy};

    pub(super) fn all(strategies: Strategies) -> Strategies {
        let single = num::f32::NORMAL | num::f32::ZERO;
        let double = num::f64::NORMAL | num::f64::ZERO;
        strategies
            .of(single.prop_filter_map("a number", |n| NotNan::new(n).ok()))
            .of(double.prop_filter_map("a number", |n| NotNan::new(n).ok()))
    }
}

#[cfg(feature = "rust_decimal")]
mod of_rust_decimal {
    use ::rust_decimal::Decimal;

    use super::{Strategies, Strategy, any, prop_oneof};

    pub(super) fn all(strategies: Strategies) -> Strategies {
        let number = prop_oneof![
            any::<i32>().prop_map(i128::from),
            -(1_i128 << 96) + 1..1_i128 << 96
        ];
        strategies.of(
            (number, 0..=28_u32).prop_filter_map("a number", |(number, scale)| {
                Decimal::try_from_i128_with_scale(number, scale).ok()
            }),
        )
    }
}

#[cfg(feature = "time")]
mod of_time {
    use ::time::{Duration, OffsetDateTime, PrimitiveDateTime, UtcDateTime, UtcOffset};

    use super::{Strategies, Strategy, nanos, offset, seconds};

    pub(super) fn all(strategies: Strategies) -> Strategies {
        let time = || {
            (seconds(), nanos(), offset()).prop_filter_map("a time", |(secs, nanos, minutes)| {
                let offset = UtcOffset::from_whole_seconds(60 * minutes).ok()?;
                let time = OffsetDateTime::from_unix_timestamp(secs).ok()?;
                time.replace_nanosecond(nanos).ok()?.checked_to_offset(offset)
            })
        };
        strategies
            .of(time())
            .of(time().prop_map(|time| PrimitiveDateTime::new(time.date(), time.time())))
            .of(time().prop_map(UtcDateTime::from))
            .of(time().prop_map(|time| time.date()))
            .of(time().prop_map(|time| time.time()))
            .of(time().prop_map(|time| time.offset()))
            .of(time().prop_map(|time| time.month()))
            .of(time().prop_map(|time| time.weekday()))
            .of((seconds(), nanos()).prop_map(|(secs, nanos)| Duration::new(secs, nanos.cast_signed())))
    }
}

#[cfg(feature = "url")]
mod of_url {
    use ::url::Url;

    use super::{Strategies, Strategy};

    pub(super) fn all(strategies: Strategies) -> Strategies {
        let text = "(https?|ftp)://[a-z]{1,8}(\\.[a-z]{2,5}){1,2}(:[1-9][0-9]{1,3})?(/[a-z0-9]{1,4}){0,3}(\\?[a-z]=[0-9])?";
        strategies.of(text.prop_filter_map("a URL", |text| Url::parse(&text).ok()))
    }
}

#[cfg(feature = "uuid")]
mod of_uuid {
    use ::uuid::{NonNilUuid, Uuid};

    use super::{Strategies, Strategy, any};

    pub(super) fn all(strategies: Strategies) -> Strategies {
        let id = || any::<u128>().prop_map(Uuid::from_u128);
        strategies
            .of(id())
            .of(id().prop_filter_map("an id", NonNilUuid::new))
            .of(id().prop_map(Uuid::hyphenated))
            .of(id().prop_map(Uuid::simple))
            .of(id().prop_map(Uuid::urn))
            .of(id().prop_map(Uuid::braced))
    }
}
