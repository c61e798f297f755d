//! The shapes of the standard library's types, as serde writes them for a format that is not for humans.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::{Saturating, Wrapping};
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime};

use super::{Schema, SchemaField, SchemaVariant, WalSchema};

macro_rules! words {
    ($($schema:ident: $($ty:ty),+;)*) => {
        $($(
            impl WalSchema for $ty {
                const SCHEMA: &'static Schema = &Schema::$schema;
            }
        )+)*
    };
}

words! {
    Unit: ();
    Bool: bool, std::sync::atomic::AtomicBool;
    U8: u8, std::num::NonZeroU8, std::sync::atomic::AtomicU8;
    U16: u16, std::num::NonZeroU16, std::sync::atomic::AtomicU16;
    U32: u32, std::num::NonZeroU32, std::sync::atomic::AtomicU32;
    U64: u64, std::num::NonZeroU64, std::sync::atomic::AtomicU64, usize, std::num::NonZeroUsize,
        std::sync::atomic::AtomicUsize;
    U128: u128, std::num::NonZeroU128;
    I8: i8, std::num::NonZeroI8, std::sync::atomic::AtomicI8;
    I16: i16, std::num::NonZeroI16, std::sync::atomic::AtomicI16;
    I32: i32, std::num::NonZeroI32, std::sync::atomic::AtomicI32;
    I64: i64, std::num::NonZeroI64, std::sync::atomic::AtomicI64, isize, std::num::NonZeroIsize,
        std::sync::atomic::AtomicIsize;
    I128: i128, std::num::NonZeroI128;
    F32: f32;
    F64: f64;
    Char: char;
    Str: str, String, Path, PathBuf;
}

/// Written as what is inside.
macro_rules! transparent {
    ($($ty:ty),+ $(,)?) => {
        $(
            impl<T: WalSchema + ?Sized> WalSchema for $ty {
                const SCHEMA: &'static Schema = T::SCHEMA;
            }
        )+
    };
}

transparent! { &T, &mut T, Box<T>, Rc<T>, Arc<T>, RefCell<T>, Mutex<T>, RwLock<T> }

macro_rules! transparent_sized {
    ($($ty:ty),+ $(,)?) => {
        $(
            impl<T: WalSchema> WalSchema for $ty {
                const SCHEMA: &'static Schema = T::SCHEMA;
            }
        )+
    };
}

transparent_sized! { Cell<T>, Reverse<T>, Wrapping<T>, Saturating<T> }

impl<T: WalSchema + ToOwned + ?Sized> WalSchema for Cow<'_, T> {
    const SCHEMA: &'static Schema = T::SCHEMA;
}

impl<T: ?Sized> WalSchema for PhantomData<T> {
    const SCHEMA: &'static Schema = &Schema::Unit;
}

impl<T: WalSchema> WalSchema for Option<T> {
    const SCHEMA: &'static Schema = &Schema::Option(T::SCHEMA);
}

macro_rules! sequences {
    ($($ty:ty),+ $(,)?) => {
        $(
            impl<T: WalSchema> WalSchema for $ty {
                const SCHEMA: &'static Schema = &Schema::Seq(T::SCHEMA);
            }
        )+
    };
}

sequences! { [T], Vec<T>, VecDeque<T>, LinkedList<T>, BTreeSet<T>, BinaryHeap<T> }

impl<T: WalSchema, S> WalSchema for HashSet<T, S> {
    const SCHEMA: &'static Schema = &Schema::Seq(T::SCHEMA);
}

impl<T: WalSchema, const N: usize> WalSchema for [T; N] {
    const SCHEMA: &'static Schema = &Schema::Array(T::SCHEMA, N);
}

impl<K: WalSchema, V: WalSchema> WalSchema for BTreeMap<K, V> {
    const SCHEMA: &'static Schema = &Schema::Map(K::SCHEMA, V::SCHEMA);
}

impl<K: WalSchema, V: WalSchema, S> WalSchema for HashMap<K, V, S> {
    const SCHEMA: &'static Schema = &Schema::Map(K::SCHEMA, V::SCHEMA);
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {
        $(
            impl<$($name: WalSchema),+> WalSchema for ($($name,)+) {
                const SCHEMA: &'static Schema = &Schema::Tuple(&[$($name::SCHEMA),+]);
            }
        )+
    };
}

tuples! {
    (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
    (A B C D E F G H I) (A B C D E F G H I J) (A B C D E F G H I J K) (A B C D E F G H I J K L)
}

const fn field(name: &'static str, schema: &'static Schema) -> SchemaField {
    SchemaField { name, schema }
}

const fn variant(name: &'static str, fields: &'static Schema) -> SchemaVariant {
    SchemaVariant { name, fields }
}

impl WalSchema for Duration {
    const SCHEMA: &'static Schema =
        &Schema::Struct(&[field("secs", &Schema::U64), field("nanos", &Schema::U32)]);
}

impl WalSchema for SystemTime {
    const SCHEMA: &'static Schema = &Schema::Struct(&[
        field("secs_since_epoch", &Schema::U64),
        field("nanos_since_epoch", &Schema::U32),
    ]);
}

impl<T: WalSchema> WalSchema for Range<T> {
    const SCHEMA: &'static Schema = &Schema::Struct(&[field("start", T::SCHEMA), field("end", T::SCHEMA)]);
}

/// Written as a [`Range`] is, and not the same.
impl<T: WalSchema> WalSchema for RangeInclusive<T> {
    const SCHEMA: &'static Schema = &Schema::Opaque {
        name: "inclusive range",
        wire: Some(<Range<T> as WalSchema>::SCHEMA),
    };
}

impl<T: WalSchema> WalSchema for RangeFrom<T> {
    const SCHEMA: &'static Schema = &Schema::Struct(&[field("start", T::SCHEMA)]);
}

impl<T: WalSchema> WalSchema for RangeTo<T> {
    const SCHEMA: &'static Schema = &Schema::Struct(&[field("end", T::SCHEMA)]);
}

impl<T: WalSchema> WalSchema for Bound<T> {
    const SCHEMA: &'static Schema = &Schema::Enum(&[
        variant("Unbounded", &Schema::Unit),
        variant("Included", T::SCHEMA),
        variant("Excluded", T::SCHEMA),
    ]);
}

impl<T: WalSchema, E: WalSchema> WalSchema for Result<T, E> {
    const SCHEMA: &'static Schema = &Schema::Enum(&[
        variant("Ok", &Schema::Newtype(T::SCHEMA)),
        variant("Err", &Schema::Newtype(E::SCHEMA)),
    ]);
}

impl WalSchema for Ipv4Addr {
    const SCHEMA: &'static Schema = <[u8; 4] as WalSchema>::SCHEMA;
}

impl WalSchema for Ipv6Addr {
    const SCHEMA: &'static Schema = <[u8; 16] as WalSchema>::SCHEMA;
}

impl WalSchema for IpAddr {
    const SCHEMA: &'static Schema =
        &Schema::Enum(&[variant("V4", Ipv4Addr::SCHEMA), variant("V6", Ipv6Addr::SCHEMA)]);
}

impl WalSchema for SocketAddrV4 {
    const SCHEMA: &'static Schema = <(Ipv4Addr, u16) as WalSchema>::SCHEMA;
}

impl WalSchema for SocketAddrV6 {
    const SCHEMA: &'static Schema = <(Ipv6Addr, u16) as WalSchema>::SCHEMA;
}

impl WalSchema for SocketAddr {
    const SCHEMA: &'static Schema = &Schema::Enum(&[
        variant("V4", SocketAddrV4::SCHEMA),
        variant("V6", SocketAddrV6::SCHEMA),
    ]);
}
