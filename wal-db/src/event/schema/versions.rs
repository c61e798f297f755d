//! Types inside events in their earlier versions: what they looked like, and how they are read.
//!
//! Such a version is a parameter of a trait, because the shape that it had is a constant like that of today. A container
//! hands the parameter on to what it holds; a type without versions is the same in each. Nothing of this is stored: the
//! version of an event says which versions of other types are in it.

use serde::{Deserialize, Deserializer};
use wal_shape::same;

use super::Shape;

/// A type as it was in its version `W`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what it was in earlier versions",
    label = "`changed` is for types with `#[derive(WalSchema)]`, and for what holds them",
    note = "a type with an implementation of `WalSchema` by hand needs a field of its own, without `changed`"
)]
pub trait SchemaIn<const W: u16> {
    /// Its shape.
    const SCHEMA: &'static Shape;
}

/// A type whose values of version `W` can be read.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read as it was in an earlier version",
    label = "it needs serde's `Deserialize`, and so does every type in it"
)]
pub trait ReadIn<'de, const W: u16>: Deserialize<'de> {
    /// Reads a value that was written in that version.
    ///
    /// # Errors
    /// If the bytes are not one, or its conversion fails.
    fn read_in<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

/// As [`ReadIn::read_in`], for `#[serde(deserialize_with)]`.
#[doc(hidden)]
pub fn read_in<'de, const W: u16, T: ReadIn<'de, W>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::read_in(deserializer)
}

/// A value that serde reads as it was written in version `W` of its type.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct In<T, const W: u16>(pub(crate) T);

impl<'de, T: ReadIn<'de, W>, const W: u16> Deserialize<'de> for In<T, W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read_in(deserializer).map(In)
    }
}

/// The version of a type inside events: of the only type with versions that is in it, itself included.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    number: u16,
    /// Whose version it is. Two types whose versions have the same number did not move on together.
    of: &'static str,
}

impl Version {
    /// Of a type that has no versions and holds none that has.
    pub const NONE: Self = Version::new("", 1);

    /// Of what holds several types that have versions.
    const SEVERAL: Self = Version::new("", 0);

    /// A version of the type with this path in the code.
    #[must_use]
    pub const fn new(of: &'static str, number: u16) -> Self {
        Version { number, of }
    }

    /// The version of what holds these.
    #[must_use]
    pub const fn together(versions: &[Version]) -> Self {
        let (mut version, mut i) = (Version::NONE, 0);
        while i < versions.len() {
            version = match (version, versions[i]) {
                (Version { number: 1, .. }, other) | (other, Version { number: 1, .. }) => other,
                (one, other) if one.is(other) => one,
                _ => return Version::SEVERAL,
            };
            i += 1;
        }
        version
    }

    /// From 1; 0 if several types have versions.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.number
    }

    /// Whether it is the same version of the same type.
    #[must_use]
    pub const fn is(self, other: Version) -> bool {
        self.number == other.number && same(self.of, other.of)
    }
}

/// Types that have no versions and hold none that has.
macro_rules! unversioned {
    ($($ty:ty),+ $(,)?) => {
        $(
            impl<const W: u16> $crate::event::schema::SchemaIn<W> for $ty {
                const SCHEMA: &'static $crate::event::schema::Shape =
                    <$ty as $crate::event::schema::WalSchema>::SCHEMA;
            }

            impl<'de, const W: u16> $crate::event::schema::ReadIn<'de, W> for $ty {}
        )+
    };
}

/// Types whose shape is made of those of their parameters: today's shape of today's, an earlier one of earlier ones.
/// The second brackets hold the parameters that are no part of the shape.
macro_rules! holders {
    (@each $parts:tt $more:tt [$($ty:ty),+] $shape:expr) => {
        $($crate::event::schema::holders! { @one $parts $more [$ty] $shape })+
    };
    (@one [$($part:ident $(?$sized:ident)?)+] [$($more:tt)*] [$ty:ty] $shape:expr) => {
        impl<$($part: $crate::event::schema::WalSchema $(+ ?$sized)?,)+ $($more)*>
            $crate::event::schema::WalSchema for $ty
        {
            const SCHEMA: &'static $crate::event::schema::Shape = $shape;
            const VERSION: $crate::event::schema::Version =
                $crate::event::schema::Version::together(&[$($part::VERSION),+]);
        }

        impl<$($part: $crate::event::schema::SchemaIn<W> $(+ ?$sized)?,)+ const W: u16, $($more)*>
            $crate::event::schema::SchemaIn<W> for $ty
        {
            const SCHEMA: &'static $crate::event::schema::Shape = $shape;
        }
    };
    ($($parts:tt $more:tt $($ty:ty),+ = $shape:expr;)+) => {
        $($crate::event::schema::holders! { @each $parts $more [$($ty),+] $shape })+
    };
}

/// How such a type is read: as one whose parts are [`In`] the version, of which it is made. The first brackets are as
/// above, the last hold what else must be.
macro_rules! read_as {
    ($([$($part:ident)+] [$($more:tt)*] $ty:ty as $raw:ty [$($bounds:tt)*] = |$it:pat_param| $value:expr;)+) => {
        $(
            impl<'de, $($part: $crate::event::schema::ReadIn<'de, W>,)+ const W: u16, $($more)*>
                $crate::event::schema::ReadIn<'de, W> for $ty
            where
                $ty: serde::Deserialize<'de>,
                $raw: serde::Deserialize<'de>,
                $($bounds)*
            {
                fn read_in<De: serde::Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
                    let $it = <$raw as serde::Deserialize>::deserialize(deserializer)?;
                    Ok($value)
                }
            }
        )+
    };
}

pub(super) use unversioned;
pub(crate) use {holders, read_as};
