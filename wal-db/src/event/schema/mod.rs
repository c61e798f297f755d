//! What the types of events look like. [`WalSchema`] describes a type by a constant, so the shape of a whole type, with
//! everything inside it, can be compared while the program is compiled. Shapes are in `wal-shape`.

mod diff;
mod foreign;
mod std_types;
mod versions;

pub(crate) use diff::differences;
pub(crate) use versions::{In, holders, read_as};
#[doc(hidden)]
pub use versions::{ReadIn, SchemaIn, Version, read_in};
pub(crate) use wal_shape::list;
pub use wal_shape::{Part, Shape, ShapeError, ShapeField, ShapeItem, ShapeVariant};

/// A type whose values can be part of an event.
///
/// Implemented for the types of the standard library that serde stores, with [features](#types-of-other-crates) for
/// those of some crates, and by `#[derive(WalSchema)]` for structs and enums. Any other foreign type takes
/// `#[wal(opaque = "name@1")]` on the field that holds it.
///
/// The derive describes what serde's derives write: it follows `rename`, `rename_all`, `skip`, `transparent`, and
/// `into` with `from` or `try_from`, and refuses attributes whose result cannot be read back. Type parameters have to
/// be `WalSchema` too. A type may hold itself, in a `Box` or `Vec` for example; its shape says by how many such types are
/// around it where it is met again. See [below](#types-that-lead-back-to-themselves) for those that do so by way of others.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::WalSchema;
///
/// #[derive(Serialize, Deserialize, WalSchema)]
/// struct Address { street: String, zip: Option<u32> }
///
/// #[derive(Serialize, Deserialize, WalSchema)]
/// enum Route { Here(Address), Via { next: Box<Route>, meters: f64 } }
///
/// let route = Route::SCHEMA.to_string();
/// let address = "{street: str, zip: option<u32>}";
/// assert_eq!(route, format!("rec 0 enum {{Here {address}, Via {{next: @0, meters: f64}}}}"));
/// ```
///
/// # Attributes
///
/// | on | key | meaning |
/// | --- | --- | --- |
/// | type | `version = N` | its version, 1 if not given |
/// | type | `from = Old` | it was the type `Old` before, and is made of it by `From` or `TryFrom` |
/// | field, variant | `since = N` | the first version that has it |
/// | field | `default`, `default = VALUE` | beside `since`: its value in what was written before it was there |
/// | field | `changed(N, ..)` | the versions of this type from which on it holds version 2, 3, and so on, of the field's |
/// | field | `opaque = "name@1"` | instead of the shape of a type that has none; change the name when its bytes change |
/// | type | `opaque = "name@1"` | the same for a type with serde implementations by hand |
/// | field, type | `wire = Type` | beside `opaque`: what it is written as |
/// | field | `recursive` | it [leads back](#types-that-lead-back-to-themselves) to the type that has it |
/// | type | `bound = "T: Trait"` | instead of the bounds on type parameters |
/// | type | `crate = "path"` | where `wal_db` is found, for a crate that re-exports it |
///
/// A type that is also a [`WalRecord`](crate::WalRecord) has its attributes too, and the versions of an event.
///
/// # Versions
///
/// A type inside events changes as an event does, in versions of its own, and what holds it says when:
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{WalRecord, WalSchema};
///
/// #[derive(Serialize, Deserialize, WalSchema)]
/// #[wal(version = 2)]
/// struct Address { street: String, #[wal(since = 2, default)] zip: Option<u32> }
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "sent", version = 3)]
/// struct Sent {
///     #[wal(since = 2, default)]
///     note: String,
///     #[wal(changed(3))] // `Address` was in version 1 until version 2 of this event
///     to: Option<Address>,
/// }
/// ```
///
/// Versions are not stored. Those of the events say which of them a record has; `docs/evolution.md` tells the rest.
///
/// # Types that lead back to themselves
///
/// If types hold each other, one field of the circle says so with `recursive`. The compiler reports a cycle (E0391) with
/// that word in it where none does. A field needs it, too, if the type is a parameter of a type that the derive does not
/// know, and is held there: `Page<Tree>` in `Tree`. It does not need it if the parameter is only named, as in `Id<User>`.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::WalSchema;
///
/// #[derive(Serialize, Deserialize, WalSchema)]
/// struct Folder { files: Vec<File> }
///
/// #[derive(Serialize, Deserialize, WalSchema)]
/// struct File { name: String, #[wal(recursive)] unpacked: Option<Box<Folder>> }
///
/// let folder = "{files: [{name: str, unpacked: rec 0 option<{files: [{name: str, unpacked: @0}]}>}]}";
/// assert_eq!(Folder::SCHEMA.to_string(), folder);
/// ```
///
/// Such a field is looked up when the program runs, so an event that holds it is compared with `wal.lock` by
/// [`check_lock!`](crate::testing) alone, and with the log by [`Wal::typed`](crate::Wal::typed). The shape depends on
/// the field that has the word: it stays where it is.
///
/// # Implementing it by hand
///
/// It is for a type with serde implementations by hand, and only `SCHEMA` is needed: the shape of what they write. When
/// that changes, the shape has to change, too.
///
/// ```
/// use wal_db::{WalSchema, schema::Shape};
///
/// /// Its serde implementations write and read a number from 0 to 100.
/// struct Percent(f64);
///
/// impl WalSchema for Percent {
///     const SCHEMA: &'static Shape = u8::SCHEMA;
/// }
///
/// assert_eq!(<Vec<Percent>>::SCHEMA.to_string(), "[u8]");
/// ```
///
/// Such a type has no versions. So it cannot be in one field with a type that has some, and the compiler does not see
/// that a type inside it has moved on: only `wal.lock` and [`Wal::typed`](crate::Wal::typed) do. A container of your own,
/// and any type that is to have versions, takes the derive instead: with `#[serde(into = "Vec<T>", from = "Vec<T>")]`,
/// for example, it has the versions of what it is written as.
///
/// # Types of other crates
///
/// | feature | types | what they are written as |
/// | --- | --- | --- |
/// | `bytes` | `Bytes`, `BytesMut` | bytes |
/// | `chrono` | `DateTime` of `Utc`, `FixedOffset` and `Local`, `NaiveDate`, `NaiveDateTime`, `NaiveTime`, `Month`, `Weekday` | text, ISO 8601 |
/// | `indexmap` | `IndexMap`, `IndexSet` | a map, a sequence |
/// | `ipnet` | `IpNet`, `Ipv4Net`, `Ipv6Net` | the bytes of the address and the prefix; text in JSON |
/// | `jiff` | `Timestamp`, `Zoned`, `Span`, `SignedDuration`, `civil::{Date, DateTime, ISOWeekDate, Time}` | text, ISO 8601 |
/// | `ordered-float` | `OrderedFloat`, `NotNan` | the float |
/// | `rust_decimal` | `Decimal` | text; the crate's feature `serde-str` is needed, see below |
/// | `smol_str` | `SmolStr` | text |
/// | `time` | `Date`, `Duration`, `Month`, `OffsetDateTime`, `PrimitiveDateTime`, `Time`, `UtcDateTime`, `UtcOffset`, `Weekday` | their numbers; text in JSON with the crate's feature `serde-human-readable` |
/// | `url` | `Url`, `Host` | text, an enum |
/// | `uuid` | `Uuid`, `NonNilUuid`, `fmt::{Hyphenated, Simple, Urn, Braced}` | 16 bytes with a length, text in JSON; those of `fmt` text |
///
/// It is what the crate's own serde writes, with its feature `serde`, which is set along. Types that cannot have every
/// value of what they are written as are known by name, such as `chrono::DateTime<Utc>`, and std's `NonZeroU32` and its
/// like. So a field that is text in one release and a time in the next has changed.
///
/// `Decimal` is written as text and asks what comes next when it is read, which bincode and postcard do not say, so the
/// first append is refused. Its crate's feature `serde-str` mends that for the whole program, which then reads no
/// decimals from JSON numbers: so it is yours to set, beside this one:
/// `rust_decimal = { version = "1", features = ["serde-str"] }`. Events that are stored as JSON do not need it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no wal schema",
    label = "its shape is not known, so it cannot be part of an event",
    note = "add `#[derive(WalSchema)]` to `{Self}`, or `#[wal(opaque = \"name@1\")]` to the field if the type is foreign",
    note = "types of these crates have one with the feature of `wal-db` that has the crate's name: `bytes`, `chrono`, \
            `indexmap`, `ipnet`, `jiff`, `ordered-float`, `rust_decimal`, `smol_str`, `time`, `url`, `uuid`",
    note = "if it is a parameter of a generic type that does not store it, or depends on one, say on the generic type what \
            has to hold instead: `#[wal(bound = \"\")]`, or `#[wal(bound = \"T::Id: WalSchema\")]`",
    note = "if `{Self}` derives `WalRecord` and is to stay an event type of its own, hold it in an enum with `#[wal(families)]`"
)]
pub trait WalSchema {
    /// The shape of the type as serde writes it.
    const SCHEMA: &'static Shape;

    /// The same, from the derive. The compiler shows its name where types lead back to each other and no field says so.
    #[doc(hidden)]
    const WRITE_WAL_RECURSIVE_ON_A_FIELD_THAT_LEADS_BACK: &'static Shape = Self::SCHEMA;

    /// The version given by `#[wal(version = N)]`, or that of what it holds if it is a container.
    #[doc(hidden)]
    const VERSION: Version = Version::NONE;
}
