//! What tests write. Each calls the function of the same name and panics with what it has found.

/// Compares every version that the types write or read with `wal.lock` in the directory of the crate's `Cargo.toml`.
///
/// The derive compares, too, while the crate is compiled; this also finds what it cannot see: shapes of types in
/// `from`, types that a `recursive` field leads to, another `wire`, variants that are gone, versions that went down,
/// and a file that was not there when the crate was compiled.
///
/// With `WAL_LOCK=update` in the environment the lines that are missing are added, and a `wire` that was mended is
/// written into its line. No other shape changes: a type that differs from its line still fails, and then nothing is
/// written.
///
/// All types with lines in the file belong in one call: it asks whether a new type is one that was renamed, and can tell
/// that only by the names which no type has any more. Where that cannot be, as for several programs of one package,
/// `others ["bank", "shop.sold"]` after a semicolon names types and families in the file that are checked elsewhere.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```no_run")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, wal_db::WalRecord)]
/// # #[wal(name = "order")]
/// # struct Order;
/// // in a #[test]
/// wal_db::testing::check_lock!(Order);
/// wal_db::testing::check_lock!(Order; others ["bank"]);
/// ```
#[doc(hidden)] // shown in `testing`
#[macro_export]
macro_rules! check_lock {
    ($($ty:ty),+ $(,)? $(; others [$($other:expr),* $(,)?])?) => {
        if let ::core::result::Result::Err(failed) = $crate::testing::check_lock(
            ::std::path::Path::new(::core::env!("CARGO_MANIFEST_DIR")),
            &[$($crate::testing::DeclaredType::of::<$ty>()),+],
            &[$($($other),*)?],
            $crate::testing::LockMode::from_env(),
        ) {
            ::core::panic!("{failed}");
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "`check_lock!` takes the event types of the program, and after them `others`, names that are checked \
             elsewhere: `check_lock!(Bank, shop::Order; others [\"till\"])`"
        )
    };
}

/// Makes random records of every version in `wal.lock` from its shape alone and reads them as the types of today.
///
/// Every one of 256 (or `PROPTEST_CASES`) for each version has to be read. If it is one event of the same event type
/// today, then every field of the same name and shape has to keep its value: that finds a migration which swaps two
/// fields. So does what is inside a field that has changed: fields by name, elements by position, values by their key,
/// what a variant holds if it still is that variant. An option still has a value or none, a list as many elements. The
/// order of elements counts where the type of today keeps it. Nothing is compared of a set whose elements have changed, nor
/// of a map whose keys have.
///
/// After a semicolon each, in this order:
///
/// | | |
/// | --- | --- |
/// | `codec MyCodec` | the format of the records, instead of the default one |
/// | `strategies [("sku@1", skus())]` | values where a shape does not say which there are: of an `opaque` type, or of a place as `"order.email"`; see [`Strategies`](crate::testing::Strategies::with). Types of other crates with a feature of this crate need none |
/// | `except ["order.total", "order@1"]` | what is not compared: a place that is meant to change, in any version; a version, or as `"order"` all of them |
///
/// A place is called by the name of the event and the steps to it, as `"order.lines.[].sku"`:
///
/// | step | leads to |
/// | --- | --- |
/// | `sku`, or `1` in a tuple | a field; the only one of a `struct Order(u64)` is `0` |
/// | `Card` | what that variant holds |
/// | `some` | what is in an option |
/// | `[]` | the elements of a list, set or array |
/// | `key`, `value` | the keys and the values of a map |
///
/// Newtypes inside an event are no step: they are written as what they hold, and an event that is one has the fields of a
/// struct or tuple in it. In an opaque type there are no places. A type that holds itself has its places where it begins:
/// `"order.tree.label"` is that of every node.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```no_run")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, wal_db::WalRecord)]
/// # #[wal(name = "order")]
/// # struct Order;
/// // in a #[test]
/// wal_db::testing::check_history!(Order; except ["order.total"]);
/// wal_db::testing::check_history!(Order; codec wal_db::codec::Bincode; strategies [("sku@1", "[A-Z]{3}")]);
/// ```
#[doc(hidden)] // shown in `testing`
#[macro_export]
macro_rules! check_history {
    (@codec) => {
        $crate::codec::DefaultCodec
    };
    (@codec $codec:ty) => {
        $codec
    };
    (
        $($ty:ty),+ $(,)?
        $(; codec $codec:ty)?
        $(; strategies [$(($name:expr, $values:expr $(,)?)),* $(,)?])?
        $(; except [$($except:expr),* $(,)?])?
    ) => {{
        type WalFormat = $crate::check_history!(@codec $($codec)?);
        if let ::core::result::Result::Err(failed) = $crate::testing::check_history_with_strategies(
            ::std::path::Path::new(::core::env!("CARGO_MANIFEST_DIR")),
            &[$($crate::testing::ReadableType::with_codec::<$ty, WalFormat>()),+],
            &$crate::testing::Strategies::new()$($(.with($name, $values))*)?,
            &[$($($except),*)?],
        ) {
            ::core::panic!("{failed}");
        }
    }};
    ($($other:tt)*) => {
        ::core::compile_error!(
            "`check_history!` takes the event types of the program, and after them, in this order, `codec`, `strategies` \
             and `except`: `check_history!(Bank, shop::Order; except [\"order.total\"])`"
        )
    };
}

/// Appends an event to a log in memory, reads it back and compares, and writes it again and compares the bytes. In the
/// default format, or in the one after `codec`.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, PartialEq, Serialize, Deserialize, wal_db::WalRecord)]
/// # #[wal(name = "order")]
/// # struct Order(u64);
/// wal_db::testing::assert_roundtrip!(Order(7));
/// wal_db::testing::assert_roundtrip!(Order(7); codec wal_db::codec::Bincode);
/// ```
#[doc(hidden)] // shown in `testing`
#[macro_export]
macro_rules! assert_roundtrip {
    ($event:expr $(,)?) => {
        $crate::assert_roundtrip!($event; codec $crate::codec::DefaultCodec)
    };
    ($event:expr; codec $codec:ty) => {
        if let ::core::result::Result::Err(failed) = $crate::testing::roundtrip_with_codec::<_, $codec>(&$event) {
            ::core::panic!("{failed}");
        }
    };
}

/// A test that does for events of a proptest strategy what [`assert_roundtrip!`](crate::testing::assert_roundtrip) does
/// for one, and takes a `codec` as that does.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, PartialEq, Serialize, Deserialize, wal_db::WalRecord)]
/// # #[wal(name = "order")]
/// # struct Order(u64);
/// use proptest::prelude::*;
///
/// wal_db::testing::roundtrip_test!(orders_come_back, Order, any::<u64>().prop_map(Order));
/// ```
#[doc(hidden)] // shown in `testing`
#[macro_export]
macro_rules! roundtrip_test {
    ($(#[$attr:meta])* $name:ident, $ty:ty, $events:expr $(,)?) => {
        $crate::roundtrip_test!($(#[$attr])* $name, $ty, $events; codec $crate::codec::DefaultCodec);
    };
    ($(#[$attr:meta])* $name:ident, $ty:ty, $events:expr; codec $codec:ty) => {
        $(#[$attr])*
        #[test]
        fn $name() {
            if let ::core::result::Result::Err(failed) =
                $crate::testing::roundtrip_all_with_codec::<_, $ty, $codec>($events)
            {
                ::core::panic!("{failed}");
            }
        }
    };
}

/// Reads the record in `tests/golden/name.hex`, in the directory of the crate's `Cargo.toml`, and compares it with an
/// event. A third argument is a directory to use instead of `tests`. The record is in the default format, or in the one
/// after `codec`.
///
/// Make the file while a version is current, with `WAL_GOLDEN=new cargo test`, and commit it: later versions then have
/// to read these very bytes as the event that stands in the test. A file that is there is never overwritten.
///
#[cfg_attr(all(feature = "derive", feature = "bincode"), doc = "```no_run")]
#[cfg_attr(not(all(feature = "derive", feature = "bincode")), doc = "```ignore")]
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, PartialEq, Serialize, Deserialize, wal_db::WalRecord)]
/// # #[wal(name = "order")]
/// # struct Order(u64);
/// // in a #[test]
/// wal_db::testing::golden!("order_1", Order(7));
/// wal_db::testing::golden!("order_1_bincode", Order(7); codec wal_db::codec::Bincode);
/// ```
#[doc(hidden)] // shown in `testing`
#[macro_export]
macro_rules! golden {
    ($name:expr, $value:expr $(,)?) => {
        $crate::golden!($name, $value; codec $crate::codec::DefaultCodec)
    };
    ($name:expr, $value:expr, $dir:expr $(,)?) => {
        $crate::golden!($name, $value, $dir; codec $crate::codec::DefaultCodec)
    };
    ($name:expr, $value:expr; codec $codec:ty) => {
        $crate::golden!(
            $name,
            $value,
            ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/tests");
            codec $codec
        )
    };
    ($name:expr, $value:expr, $dir:expr; codec $codec:ty) => {
        if let ::core::result::Result::Err(failed) = $crate::testing::golden_with_codec::<_, $codec>(
            ::core::convert::AsRef::<::std::path::Path>::as_ref(&$dir),
            $name,
            &$value,
            $crate::testing::GoldenMode::from_env(),
        ) {
            ::core::panic!("{failed}");
        }
    };
}
