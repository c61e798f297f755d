//! The shapes of types of other crates, as their own implementations of serde write them for a format that is not for
//! humans. Each is there with the feature of the crate's name.
//!
//! A type whose values are fewer than those of what it is written as, or mean more, is known by a name. It is ours and
//! says what is written, in whatever release of the crate: if one writes something else, its type gets another name.

#[allow(unused_imports)] // without any of the features
use super::{
    Part, ReadIn, Shape, ShapeVariant, WalSchema,
    versions::{In, holders, read_as, unversioned},
};

/// Bytes that are handed to serde as such.
#[cfg(feature = "uuid")]
struct Raw;

#[cfg(feature = "uuid")]
impl WalSchema for Raw {
    const SCHEMA: &'static Shape = &Shape::Bytes;
}

#[cfg(feature = "ipnet")]
struct EitherNet;

#[cfg(feature = "ipnet")]
impl WalSchema for EitherNet {
    const SCHEMA: &'static Shape = &Shape::Enum(Part::Static(&[
        ShapeVariant::new("V4", ipnet::Ipv4Net::SCHEMA),
        ShapeVariant::new("V6", ipnet::Ipv6Net::SCHEMA),
    ]));
}

macro_rules! known_by_name {
    ($($feature:tt: { $($name:literal: $ty:ty = $wire:ty;)+ })+) => {
        $($(
            #[cfg(feature = $feature)]
            impl WalSchema for $ty {
                const SCHEMA: &'static Shape = &Shape::Opaque {
                    name: Part::Static($name),
                    wire: Some(Part::Static(<$wire as WalSchema>::SCHEMA)),
                };
            }

            #[cfg(feature = $feature)]
            unversioned!($ty);
        )+)+
    };
}

known_by_name! {
    "chrono": {
        "chrono::DateTime<Utc>": chrono::DateTime<chrono::Utc> = str;
        "chrono::DateTime<FixedOffset>": chrono::DateTime<chrono::FixedOffset> = str;
        "chrono::DateTime<Local>": chrono::DateTime<chrono::Local> = str;
        "chrono::NaiveDate": chrono::NaiveDate = str;
        "chrono::NaiveDateTime": chrono::NaiveDateTime = str;
        "chrono::NaiveTime": chrono::NaiveTime = str;
        "chrono::Month": chrono::Month = str;
        "chrono::Weekday": chrono::Weekday = str;
    }
    "jiff": {
        "jiff::SignedDuration": jiff::SignedDuration = str;
        "jiff::Span": jiff::Span = str;
        "jiff::Timestamp": jiff::Timestamp = str;
        "jiff::Zoned": jiff::Zoned = str;
        "jiff::civil::Date": jiff::civil::Date = str;
        "jiff::civil::DateTime": jiff::civil::DateTime = str;
        "jiff::civil::ISOWeekDate": jiff::civil::ISOWeekDate = str;
        "jiff::civil::Time": jiff::civil::Time = str;
    }
    "ordered-float": {
        "ordered_float::NotNan<f32>": ordered_float::NotNan<f32> = f32;
        "ordered_float::NotNan<f64>": ordered_float::NotNan<f64> = f64;
    }
    // Text with the feature `serde-str` of the crate, and in its own default; a float with others, which is refused.
    "rust_decimal": {
        "rust_decimal::Decimal": rust_decimal::Decimal = str;
    }
    "time": {
        "time::Date": time::Date = (i32, u16);
        "time::Duration": time::Duration = (i64, i32);
        "time::Month": time::Month = u8;
        "time::OffsetDateTime": time::OffsetDateTime = (i32, u16, u8, u8, u8, u32, i8, i8, i8);
        "time::PrimitiveDateTime": time::PrimitiveDateTime = (i32, u16, u8, u8, u8, u32);
        "time::Time": time::Time = (u8, u8, u8, u32);
        "time::UtcDateTime": time::UtcDateTime = (i32, u16, u8, u8, u8, u32);
        "time::UtcOffset": time::UtcOffset = (i8, i8, i8);
        "time::Weekday": time::Weekday = u8;
    }
    "ipnet": {
        "ipnet::IpNet": ipnet::IpNet = EitherNet;
        "ipnet::Ipv4Net": ipnet::Ipv4Net = [u8; 5];
        "ipnet::Ipv6Net": ipnet::Ipv6Net = [u8; 17];
    }
    "url": {
        "url::Url": url::Url = str;
    }
    "uuid": {
        "uuid::Uuid": uuid::Uuid = Raw;
        "uuid::NonNilUuid": uuid::NonNilUuid = Raw;
        "uuid::Hyphenated": uuid::fmt::Hyphenated = str;
        "uuid::Simple": uuid::fmt::Simple = str;
        "uuid::Urn": uuid::fmt::Urn = str;
        "uuid::Braced": uuid::fmt::Braced = str;
    }
}

#[cfg(feature = "bytes")]
mod bytes {
    use super::{Shape, WalSchema, unversioned};

    impl WalSchema for ::bytes::Bytes {
        const SCHEMA: &'static Shape = &Shape::Bytes;
    }

    impl WalSchema for ::bytes::BytesMut {
        const SCHEMA: &'static Shape = &Shape::Bytes;
    }

    unversioned! { ::bytes::Bytes, ::bytes::BytesMut }
}

#[cfg(feature = "indexmap")]
mod indexmap {
    use std::hash::{BuildHasher, Hash};

    use ::indexmap::{IndexMap, IndexSet};

    use super::{In, Part, Shape, holders, read_as};

    holders! {
        [K V] [S] IndexMap<K, V, S> = &Shape::Map(Part::Static(K::SCHEMA), Part::Static(V::SCHEMA));
        [T] [S] IndexSet<T, S> = &Shape::Seq(Part::Static(T::SCHEMA));
    }

    read_as! {
        [K V] [S: BuildHasher + Default] IndexMap<K, V, S> as IndexMap<In<K, W>, In<V, W>, S> [K: Eq + Hash] =
            |it| it.into_iter().map(|(In(key), In(value))| (key, value)).collect();
        [T] [S: BuildHasher + Default] IndexSet<T, S> as Vec<In<T, W>> [T: Eq + Hash] =
            |it| it.into_iter().map(|In(it)| it).collect();
    }
}

#[cfg(feature = "ordered-float")]
mod float {
    use ::ordered_float::OrderedFloat;

    use super::{ReadIn, holders};

    holders! {
        [T] [] OrderedFloat<T> = T::SCHEMA;
    }

    impl<'de, T, const W: u16> ReadIn<'de, W> for OrderedFloat<T> where Self: serde::Deserialize<'de> {}
}

#[cfg(feature = "smol_str")]
impl WalSchema for smol_str::SmolStr {
    const SCHEMA: &'static Shape = &Shape::Str;
}

#[cfg(feature = "smol_str")]
unversioned!(smol_str::SmolStr);

#[cfg(feature = "url")]
mod host {
    use ::url::Host;

    use super::{In, Part, Shape, ShapeVariant, WalSchema, holders, read_as};

    holders! {
        [S] [] Host<S> = &Shape::Enum(Part::Static(&[
            ShapeVariant::new("Domain", Shape::single(S::SCHEMA)),
            ShapeVariant::new("Ipv4", <std::net::Ipv4Addr as WalSchema>::SCHEMA),
            ShapeVariant::new("Ipv6", <std::net::Ipv6Addr as WalSchema>::SCHEMA),
        ]));
    }

    read_as! {
        [S] [] Host<S> as Host<In<S, W>> [] = |it| match it {
            Host::Domain(In(it)) => Host::Domain(it),
            Host::Ipv4(it) => Host::Ipv4(it),
            Host::Ipv6(it) => Host::Ipv6(it),
        };
    }
}
