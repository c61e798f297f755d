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

use super::{Part, Shape, ShapeField, ShapeVariant, WalSchema};

macro_rules! words {
    ($($shape:ident: $($ty:ty),+;)*) => {
        $($(
            impl WalSchema for $ty {
                const SCHEMA: &'static Shape = &Shape::$shape;
            }
        )+)*
    };
}

words! {
    Unit: ();
    Bool: bool, std::sync::atomic::AtomicBool;
    U8: u8, std::sync::atomic::AtomicU8;
    U16: u16, std::sync::atomic::AtomicU16;
    U32: u32, std::sync::atomic::AtomicU32;
    U64: u64, std::sync::atomic::AtomicU64, usize, std::sync::atomic::AtomicUsize;
    U128: u128;
    I8: i8, std::sync::atomic::AtomicI8;
    I16: i16, std::sync::atomic::AtomicI16;
    I32: i32, std::sync::atomic::AtomicI32;
    I64: i64, std::sync::atomic::AtomicI64, isize, std::sync::atomic::AtomicIsize;
    I128: i128;
    F32: f32;
    F64: f64;
    Char: char;
    Str: str, String, Path, PathBuf;
}

macro_rules! nonzero {
    ($($name:literal: $($ty:ident),+ = $wire:ty;)*) => {
        $($(
            /// Written as the number, and not the same: it does not have every value of it.
            impl WalSchema for std::num::$ty {
                const SCHEMA: &'static Shape = &Shape::Opaque {
                    name: Part::Static($name),
                    wire: Some(Part::Static(<$wire as WalSchema>::SCHEMA)),
                };
            }
        )+)*
    };
}

nonzero! {
    "nonzero u8": NonZeroU8 = u8;
    "nonzero u16": NonZeroU16 = u16;
    "nonzero u32": NonZeroU32 = u32;
    "nonzero u64": NonZeroU64, NonZeroUsize = u64;
    "nonzero u128": NonZeroU128 = u128;
    "nonzero i8": NonZeroI8 = i8;
    "nonzero i16": NonZeroI16 = i16;
    "nonzero i32": NonZeroI32 = i32;
    "nonzero i64": NonZeroI64, NonZeroIsize = i64;
    "nonzero i128": NonZeroI128 = i128;
}

macro_rules! transparent {
    ($($ty:ty),+ $(,)?) => {
        $(
            impl<T: WalSchema + ?Sized> WalSchema for $ty {
                const SCHEMA: &'static Shape = T::SCHEMA;
            }
        )+
    };
}

transparent! { &T, &mut T, Box<T>, Rc<T>, Arc<T>, RefCell<T>, Mutex<T>, RwLock<T> }

macro_rules! transparent_sized {
    ($($ty:ty),+ $(,)?) => {
        $(
            impl<T: WalSchema> WalSchema for $ty {
                const SCHEMA: &'static Shape = T::SCHEMA;
            }
        )+
    };
}

transparent_sized! { Cell<T>, Reverse<T>, Wrapping<T>, Saturating<T> }

impl<T: WalSchema + ToOwned + ?Sized> WalSchema for Cow<'_, T> {
    const SCHEMA: &'static Shape = T::SCHEMA;
}

impl<T: ?Sized> WalSchema for PhantomData<T> {
    const SCHEMA: &'static Shape = &Shape::Unit;
}

impl<T: WalSchema> WalSchema for Option<T> {
    const SCHEMA: &'static Shape = &Shape::Option(Part::Static(T::SCHEMA));
}

macro_rules! sequences {
    ($($ty:ty),+ $(,)?) => {
        $(
            impl<T: WalSchema> WalSchema for $ty {
                const SCHEMA: &'static Shape = &Shape::Seq(Part::Static(T::SCHEMA));
            }
        )+
    };
}

sequences! { [T], Vec<T>, VecDeque<T>, LinkedList<T>, BTreeSet<T>, BinaryHeap<T> }

impl<T: WalSchema, S> WalSchema for HashSet<T, S> {
    const SCHEMA: &'static Shape = &Shape::Seq(Part::Static(T::SCHEMA));
}

impl<T: WalSchema, const N: usize> WalSchema for [T; N] {
    const SCHEMA: &'static Shape = &Shape::Array(Part::Static(T::SCHEMA), N);
}

impl<K: WalSchema, V: WalSchema> WalSchema for BTreeMap<K, V> {
    const SCHEMA: &'static Shape = &Shape::Map(Part::Static(K::SCHEMA), Part::Static(V::SCHEMA));
}

impl<K: WalSchema, V: WalSchema, S> WalSchema for HashMap<K, V, S> {
    const SCHEMA: &'static Shape = &Shape::Map(Part::Static(K::SCHEMA), Part::Static(V::SCHEMA));
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {
        $(
            impl<$($name: WalSchema),+> WalSchema for ($($name,)+) {
                const SCHEMA: &'static Shape = &Shape::Tuple(Part::Static(&[$(Part::Static($name::SCHEMA)),+]));
            }
        )+
    };
}

tuples! {
    (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
    (A B C D E F G H I) (A B C D E F G H I J) (A B C D E F G H I J K) (A B C D E F G H I J K L)
    (A B C D E F G H I J K L M) (A B C D E F G H I J K L M N) (A B C D E F G H I J K L M N O)
    (A B C D E F G H I J K L M N O P)
}

impl WalSchema for Duration {
    const SCHEMA: &'static Shape = &Shape::Struct(Part::Static(&[
        ShapeField::new("secs", &Shape::U64),
        ShapeField::new("nanos", &Shape::U32),
    ]));
}

impl WalSchema for SystemTime {
    const SCHEMA: &'static Shape = &Shape::Struct(Part::Static(&[
        ShapeField::new("secs_since_epoch", &Shape::U64),
        ShapeField::new("nanos_since_epoch", &Shape::U32),
    ]));
}

impl<T: WalSchema> WalSchema for Range<T> {
    const SCHEMA: &'static Shape = &Shape::Struct(Part::Static(&[
        ShapeField::new("start", T::SCHEMA),
        ShapeField::new("end", T::SCHEMA),
    ]));
}

/// Written as a [`Range`] is, and not the same.
impl<T: WalSchema> WalSchema for RangeInclusive<T> {
    const SCHEMA: &'static Shape = &Shape::Opaque {
        name: Part::Static("inclusive range"),
        wire: Some(Part::Static(<Range<T> as WalSchema>::SCHEMA)),
    };
}

impl<T: WalSchema> WalSchema for RangeFrom<T> {
    const SCHEMA: &'static Shape = &Shape::Struct(Part::Static(&[ShapeField::new("start", T::SCHEMA)]));
}

impl<T: WalSchema> WalSchema for RangeTo<T> {
    const SCHEMA: &'static Shape = &Shape::Struct(Part::Static(&[ShapeField::new("end", T::SCHEMA)]));
}

impl<T: WalSchema> WalSchema for Bound<T> {
    const SCHEMA: &'static Shape = &Shape::Enum(Part::Static(&[
        ShapeVariant::new("Unbounded", &Shape::Unit),
        ShapeVariant::new("Included", Shape::single(T::SCHEMA)),
        ShapeVariant::new("Excluded", Shape::single(T::SCHEMA)),
    ]));
}

impl<T: WalSchema, E: WalSchema> WalSchema for Result<T, E> {
    const SCHEMA: &'static Shape = &Shape::Enum(Part::Static(&[
        ShapeVariant::new("Ok", Shape::single(T::SCHEMA)),
        ShapeVariant::new("Err", Shape::single(E::SCHEMA)),
    ]));
}

impl WalSchema for Ipv4Addr {
    const SCHEMA: &'static Shape = <[u8; 4] as WalSchema>::SCHEMA;
}

impl WalSchema for Ipv6Addr {
    const SCHEMA: &'static Shape = <[u8; 16] as WalSchema>::SCHEMA;
}

impl WalSchema for IpAddr {
    const SCHEMA: &'static Shape = &Shape::Enum(Part::Static(&[
        ShapeVariant::new("V4", Ipv4Addr::SCHEMA),
        ShapeVariant::new("V6", Ipv6Addr::SCHEMA),
    ]));
}

impl WalSchema for SocketAddrV4 {
    const SCHEMA: &'static Shape = <(Ipv4Addr, u16) as WalSchema>::SCHEMA;
}

impl WalSchema for SocketAddrV6 {
    const SCHEMA: &'static Shape = <(Ipv6Addr, u16) as WalSchema>::SCHEMA;
}

impl WalSchema for SocketAddr {
    const SCHEMA: &'static Shape = &Shape::Enum(Part::Static(&[
        ShapeVariant::new("V4", SocketAddrV4::SCHEMA),
        ShapeVariant::new("V6", SocketAddrV6::SCHEMA),
    ]));
}
