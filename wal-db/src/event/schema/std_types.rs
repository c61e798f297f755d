//! The shapes of the standard library's types, as serde writes them for a format that is not for humans.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::{Saturating, Wrapping};
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime};

use serde::Deserializer;

use super::versions::{self, In, holders, read_as, unversioned};
use super::{Part, ReadIn, Shape, ShapeField, ShapeItem, ShapeVariant, Version, WalSchema};
use crate::lsn::Lsn;

macro_rules! words {
    ($($shape:ident: $($ty:ty),+;)*) => {
        $($(
            impl WalSchema for $ty {
                const SCHEMA: &'static Shape = &Shape::$shape;
            }

            unversioned!($ty);
        )+)*
    };
}

words! {
    Unit: ();
    Bool: bool, std::sync::atomic::AtomicBool;
    U8: u8, std::sync::atomic::AtomicU8;
    U16: u16, std::sync::atomic::AtomicU16;
    U32: u32, std::sync::atomic::AtomicU32;
    U64: u64, std::sync::atomic::AtomicU64, usize, std::sync::atomic::AtomicUsize, Lsn;
    U128: u128;
    I8: i8, std::sync::atomic::AtomicI8;
    I16: i16, std::sync::atomic::AtomicI16;
    I32: i32, std::sync::atomic::AtomicI32;
    I64: i64, std::sync::atomic::AtomicI64, isize, std::sync::atomic::AtomicIsize;
    I128: i128;
    F32: f32;
    F64: f64;
    Char: char;
    Str: String, PathBuf;
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

            unversioned!(std::num::$ty);
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

macro_rules! unsized_text {
    ($($ty:ty),+) => {
        $(
            impl WalSchema for $ty {
                const SCHEMA: &'static Shape = &Shape::Str;
            }

            impl<const W: u16> versions::SchemaIn<W> for $ty {
                const SCHEMA: &'static Shape = &Shape::Str;
            }

            impl<'de: 'a, 'a, const W: u16> ReadIn<'de, W> for &'a $ty {}
            impl<const W: u16> ReadIn<'_, W> for Box<$ty> {}
        )+
    };
}

unsized_text! { str, Path }

impl<'de: 'a, 'a, const W: u16> ReadIn<'de, W> for &'a [u8] {}

holders! {
    [T ?Sized] [] &T, &mut T, Box<T>, Rc<T>, Arc<T>, RefCell<T>, Mutex<T>, RwLock<T> = T::SCHEMA;
    [T] [] Cell<T>, Reverse<T>, Wrapping<T>, Saturating<T> = T::SCHEMA;
    [T] [] Option<T> = &Shape::Option(Part::Static(T::SCHEMA));
    [T] [] [T], Vec<T>, VecDeque<T>, LinkedList<T>, BTreeSet<T>, BinaryHeap<T> =
        &Shape::Seq(Part::Static(T::SCHEMA));
    [T] [S] HashSet<T, S> = &Shape::Seq(Part::Static(T::SCHEMA));
    [T] [const N: usize] [T; N] = &Shape::Array(Part::Static(T::SCHEMA), N);
    [K V] [] BTreeMap<K, V> = &Shape::Map(Part::Static(K::SCHEMA), Part::Static(V::SCHEMA));
    [K V] [S] HashMap<K, V, S> = &Shape::Map(Part::Static(K::SCHEMA), Part::Static(V::SCHEMA));
    [T] [] Range<T> = &Shape::Struct(Part::Static(&[
        ShapeField::new("start", T::SCHEMA),
        ShapeField::new("end", T::SCHEMA),
    ]));
    // Written as a range is, and not the same.
    [T] [] RangeInclusive<T> = &Shape::Struct(Part::Static(&[
        ShapeField::new("start", T::SCHEMA),
        ShapeField::new("end", &Shape::Opaque {
            name: Part::Static("inclusive"),
            wire: Some(Part::Static(T::SCHEMA)),
        }),
    ]));
    [T] [] RangeFrom<T> = &Shape::Struct(Part::Static(&[ShapeField::new("start", T::SCHEMA)]));
    [T] [] RangeTo<T> = &Shape::Struct(Part::Static(&[ShapeField::new("end", T::SCHEMA)]));
    [T] [] Bound<T> = &Shape::Enum(Part::Static(&[
        ShapeVariant::new("Unbounded", &Shape::Unit),
        ShapeVariant::new("Included", Shape::single(T::SCHEMA)),
        ShapeVariant::new("Excluded", Shape::single(T::SCHEMA)),
    ]));
    [T E] [] Result<T, E> = &Shape::Enum(Part::Static(&[
        ShapeVariant::new("Ok", Shape::single(T::SCHEMA)),
        ShapeVariant::new("Err", Shape::single(E::SCHEMA)),
    ]));
}

read_as! {
    [T] [] Box<T> as In<T, W> [] = |In(it)| Box::new(it);
    [T] [] Rc<T> as In<T, W> [] = |In(it)| Rc::new(it);
    [T] [] Arc<T> as In<T, W> [] = |In(it)| Arc::new(it);
    [T] [] RefCell<T> as In<T, W> [] = |In(it)| RefCell::new(it);
    [T] [] Mutex<T> as In<T, W> [] = |In(it)| Mutex::new(it);
    [T] [] RwLock<T> as In<T, W> [] = |In(it)| RwLock::new(it);
    [T] [] Cell<T> as In<T, W> [T: Copy] = |In(it)| Cell::new(it);
    [T] [] Reverse<T> as In<T, W> [] = |In(it)| Reverse(it);
    [T] [] Wrapping<T> as In<T, W> [] = |In(it)| Wrapping(it);
    [T] [] Saturating<T> as In<T, W> [] = |In(it)| Saturating(it);
    [T] [] Option<T> as Option<In<T, W>> [] = |it| it.map(|In(it)| it);
    [T] [] Box<[T]> as Vec<In<T, W>> [] = |it| it.into_iter().map(|In(it)| it).collect();
    [T] [] Rc<[T]> as Vec<In<T, W>> [] = |it| it.into_iter().map(|In(it)| it).collect();
    [T] [] Arc<[T]> as Vec<In<T, W>> [] = |it| it.into_iter().map(|In(it)| it).collect();
    [T] [] Vec<T> as Vec<In<T, W>> [] = |it| it.into_iter().map(|In(it)| it).collect();
    [T] [] VecDeque<T> as Vec<In<T, W>> [] = |it| it.into_iter().map(|In(it)| it).collect();
    [T] [] LinkedList<T> as Vec<In<T, W>> [] = |it| it.into_iter().map(|In(it)| it).collect();
    [T] [] BTreeSet<T> as Vec<In<T, W>> [T: Ord] = |it| it.into_iter().map(|In(it)| it).collect();
    [T] [] BinaryHeap<T> as Vec<In<T, W>> [T: Ord] = |it| it.into_iter().map(|In(it)| it).collect();
    [T] [S: BuildHasher + Default] HashSet<T, S> as Vec<In<T, W>> [T: Eq + Hash] =
        |it| it.into_iter().map(|In(it)| it).collect();
    [T] [const N: usize] [T; N] as [In<T, W>; N] [] = |it| it.map(|In(it)| it);
    [K V] [] BTreeMap<K, V> as BTreeMap<In<K, W>, In<V, W>> [K: Ord] =
        |it| it.into_iter().map(|(In(key), In(value))| (key, value)).collect();
    [K V] [S: BuildHasher + Default] HashMap<K, V, S> as HashMap<In<K, W>, In<V, W>> [K: Eq + Hash] =
        |it| it.into_iter().map(|(In(key), In(value))| (key, value)).collect();
    [T] [] Range<T> as Range<In<T, W>> [] = |it| it.start.0..it.end.0;
    [T] [] RangeInclusive<T> as RangeInclusive<In<T, W>> [] = |it| {
        let (In(start), In(end)) = it.into_inner();
        start..=end
    };
    [T] [] RangeFrom<T> as RangeFrom<In<T, W>> [] = |it| it.start.0..;
    [T] [] RangeTo<T> as RangeTo<In<T, W>> [] = |it| ..it.end.0;
    [T] [] Bound<T> as Bound<In<T, W>> [] = |it| it.map(|In(it)| it);
    [T E] [] Result<T, E> as Result<In<T, W>, In<E, W>> [] = |it| it.map(|In(it)| it).map_err(|In(it)| it);
}

impl<T: WalSchema + ToOwned + ?Sized> WalSchema for Cow<'_, T> {
    const SCHEMA: &'static Shape = T::SCHEMA;
    const VERSION: Version = T::VERSION;
}

impl<T: versions::SchemaIn<W> + ToOwned + ?Sized, const W: u16> versions::SchemaIn<W> for Cow<'_, T> {
    const SCHEMA: &'static Shape = T::SCHEMA;
}

impl<'de, T: ToOwned + ?Sized, const W: u16> ReadIn<'de, W> for Cow<'_, T>
where
    T::Owned: ReadIn<'de, W>,
{
    fn read_in<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::Owned::read_in(deserializer).map(Cow::Owned)
    }
}

impl<T: ?Sized> WalSchema for PhantomData<T> {
    const SCHEMA: &'static Shape = &Shape::Unit;
}

impl<T: ?Sized, const W: u16> versions::SchemaIn<W> for PhantomData<T> {
    const SCHEMA: &'static Shape = &Shape::Unit;
}

impl<T: ?Sized, const W: u16> ReadIn<'_, W> for PhantomData<T> {}

macro_rules! tuples {
    ($(($($name:ident $value:ident)+))+) => {
        $(
            holders! {
                [$($name)+] [] ($($name,)+) =
                    &Shape::Tuple(Part::Static(&[$(ShapeItem::new($name::SCHEMA)),+]));
            }

            read_as! {
                [$($name)+] [] ($($name,)+) as ($(In<$name, W>,)+) [] = |($(In($value),)+)| ($($value,)+);
            }
        )+
    };
}

tuples! {
    (A a) (A a B b) (A a B b C c) (A a B b C c D d) (A a B b C c D d E e) (A a B b C c D d E e F f)
    (A a B b C c D d E e F f G g) (A a B b C c D d E e F f G g H h) (A a B b C c D d E e F f G g H h I i)
    (A a B b C c D d E e F f G g H h I i J j) (A a B b C c D d E e F f G g H h I i J j K k)
    (A a B b C c D d E e F f G g H h I i J j K k L l) (A a B b C c D d E e F f G g H h I i J j K k L l M m)
    (A a B b C c D d E e F f G g H h I i J j K k L l M m N n)
    (A a B b C c D d E e F f G g H h I i J j K k L l M m N n O o)
    (A a B b C c D d E e F f G g H h I i J j K k L l M m N n O o P p)
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

unversioned! { Duration, SystemTime, Ipv4Addr, Ipv6Addr, IpAddr, SocketAddrV4, SocketAddrV6, SocketAddr }
