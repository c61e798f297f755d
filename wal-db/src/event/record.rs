//! The contract between a Rust type and the log: which event types it stands for.

use serde::{Deserialize, Serialize, Serializer};
use wal_shape::{same, type_id};

use super::{
    codec::{Codec, CodecId},
    families::Family,
    fields::AsFields,
    read_back::Written,
    schema::Shape,
    stored::{StoredEvent, UnknownEvent, Upcast},
};
use crate::error::TypedError;

/// A type that can be appended to a log and read back from it.
///
/// Derive it. A struct is one event type; an enum is a family of them, one for each variant, and only the fields of a
/// variant are stored, so variants can be reordered and inserted freely. Also derive `Serialize` and `Deserialize`: the
/// variants of an enum are read field by field, so a `Deserialize` written by hand may be bypassed.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::WalRecord;
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "bank")]
/// enum Bank {
///     Opened { id: u64, owner: String },
///     #[wal(rename = "moved", version = 2)]
///     Transferred(u64, u64, i64, #[wal(since = 2, default = "eur")] String),
///     Closed(u64),
/// }
///
/// assert_eq!(Bank::NAME, "bank");
/// assert_eq!(Bank::RECORDS[1].name, "bank.moved");
/// assert_eq!(Bank::RECORDS[1].version, 2);
/// assert_eq!(Bank::Closed(7).record_index(), 2);
/// ```
///
/// # Attributes
///
/// | on | key | meaning |
/// | --- | --- | --- |
/// | type | `name = "..."` | required; `a-z 0-9 _ . -`; never the Rust path: moving code orphans nothing |
/// | enum | `families` | instead of `name`: each variant holds another `WalRecord`; see [below](#several-families-in-one-log) |
/// | variant | `rename = "..."` | the part of its name after the dot; the variant's name in snake case if absent |
/// | type, variant | `alias = "..."` | a former name, as often as needed; on an enum of the family, so of all its variants; on a variant the part after the dot, or with a dot a name in full |
/// | struct, variant | `version = N` | 1 to 65535, 1 if absent |
/// | struct, variant | `since = N` | the first version that is read, 1 if absent; earlier ones were never stored, or are in no log any more |
/// | struct, variant | `id = N` | the type id, instead of the hash of the name |
/// | struct, variant | `from = Old` | the type that it was before, a struct with the same full name and the version before; converted with `From`, or with `TryFrom` and its error kept; several, the oldest first, if a version is not to take the way of the next |
/// | struct, variant | `split = f` | after a `from`: `f(old)` returns the events that one of `Old` is today, none or any number |
/// | variant | `retired` | not used any more, written `Blinked(Retired)`: passed over when the log is replayed, and nobody can make one |
/// | variant | `other` | takes records of types that are not known, written `Unknown(UnknownEvent)`, as the last one; they are an error without it |
/// | field | `since = N` | the first version that has the field, which may stand anywhere |
/// | field | `default`, `default = VALUE` | what it is in records from before: `Default`, text that goes through `Into`, or any expression |
/// | field | `changed(N, ..)` | the versions of the event from which on it holds version 2, 3, and so on, of the field's type, see [there](crate::WalSchema#versions) |
/// | field, type | `opaque`, `wire`, `recursive`, `crate` | as for [`WalSchema`](crate::WalSchema#attributes) |
///
/// # Versions
///
/// Give the event a new version whenever what is stored changes, and say what changed: every version from the first to
/// today's is described by fields with `since` or `changed`, or is what `from` converts from. Each type of a chain reads
/// the versions that its own fields describe, and hands earlier ones to the type that it was before. A chain that begins
/// later than with version 1 says so with `since` on its first type.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord};
///
/// /// What the first release of the program wrote.
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "bank.moved")]
/// struct MovedV1(u64, u64);
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "bank")]
/// enum Bank {
///     #[wal(rename = "moved", version = 3, from = MovedV1)]
///     Transferred {
///         from: u64,
///         to: u64,
///         #[wal(since = 3, default = "eur")]
///         currency: String,
///     },
/// }
///
/// impl From<MovedV1> for Bank {
///     fn from(MovedV1(from, to): MovedV1) -> Self {
///         Bank::Transferred { from, to, currency: "usd".into() }
///     }
/// }
///
/// let wal = Wal::with_store(MemStore::new())?;
/// let lsn = wal.append_typed(&MovedV1(1, 2))?;
/// let event: Bank = wal.read(lsn)?.decode()?;
/// assert_eq!(event, Bank::Transferred { from: 1, to: 2, currency: "usd".into() });
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// A type that holds itself, and one that serde writes as another (`into`, `transparent`), changes with `from` only.
///
/// # Several families in one log
///
/// An enum with `families` stands for all event types of what its variants hold, structs and enums, which may be enums of
/// families themselves. Nothing of the enum is stored: an event is the same in the log, byte for byte, whether it was
/// appended as part of the enum or by itself, and is read as either. So families can be brought together, or taken apart,
/// at any time. [`Wal::typed`] of such an enum replays and follows all of them in the order of the log, has batches with
/// events of each, and keeps states over them.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "order")]
/// enum Order { Placed { id: u64 }, Sent { id: u64 } }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "billed")]
/// struct Billed { order: u64, cents: u32 }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(families)]
/// enum App { Order(Order), Billed(Billed) }
///
/// let wal = Wal::with_store(MemStore::new())?;
/// wal.append_typed(&Order::Placed { id: 7 })?; // before there was an `App`
/// let log = wal.typed::<App>()?;
/// log.append_batch(&[
///     App::Billed(Billed { order: 7, cents: 900 }),
///     App::Order(Order::Sent { id: 7 }),
/// ])?;
///
/// let events: Vec<App> = log.replay(..)?.map(|event| Ok(event?.event)).collect::<wal_db::Result<_>>()?;
/// assert_eq!(events[0], App::Order(Order::Placed { id: 7 }));
/// assert_eq!(events[1], App::Billed(Billed { order: 7, cents: 900 }));
///
/// let mut orders = wal.typed::<Order>()?.replay(..)?.among_others();
/// assert_eq!(orders.by_ref().count(), 2);
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// A record of a type that none of them has goes to the first that has a variant with `other`. Two of them that share a
/// name, an alias or an id do not compile together. A batch of different types needs no such enum: [`Wal::batch`].
///
/// [`Wal::typed`]: crate::Wal::typed
/// [`Wal::batch`]: crate::Wal::batch
///
/// # Lifetimes
///
/// An event may borrow (`&str`, `&[u8]`, `#[serde(borrow)]`) and is then read with
/// [`Record::decode_ref`](crate::Record::decode_ref). It takes no type or const parameters; types inside it do.
///
/// # Limits
///
/// An event may nest 128 levels deep (options, newtype structs, sequences, maps, tuples, structs and the
/// fields of enum variants are a level each), and its sequences and maps may have no more elements together
/// than the event has bytes, plus 1024. They bound what damaged or hostile bytes can cost, and an event
/// beyond them is refused when it is appended.
///
/// # What is written can be read
///
/// A type can write what it does not read: it asks the format what comes next (`serde_json::Value`, many decimal
/// numbers, `#[serde(untagged)]` inside the event), which only JSON says, or its `Serialize` and `Deserialize` do not
/// agree. So the first event of a type, of a batch every one, and now and then a later one are read and written again
/// before they are appended to an open log. One that cannot be read, or is written differently (apart from the order in
/// sets and maps), is refused with [`TypedError::Encode`], which names the field. So is one that tells serde something
/// else than its schema says, such as a number instead of a variant: what reads by the schema would take one for the
/// other. A debug build does so for every event, a release build if [`EventLog::with_read_back`] asks for it.
///
/// [`EventLog::with_read_back`]: crate::EventLog::with_read_back
///
/// # Implementing it by hand
///
/// It works and is not covered by compatibility: hidden items come and go. `FAMILY` says that the type is an
/// enum with serde's derived implementations; `RECORDS` then has one entry for each variant in the order of
/// declaration and `record_index` is the position of the variant. Otherwise `RECORDS` has one entry. An event type without a
/// schema is not read again at its first append, and one that is only ever written is read by its schema. An event
/// whose `record_index` is out of range, or whose `Serialize` writes another variant, is refused with
/// [`TypedError::Encode`] when it is appended.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a log as a typed event",
    label = "not a `WalRecord`",
    note = "add `#[derive(WalRecord)]` and `#[wal(name = \"...\")]` to `{Self}`"
)]
pub trait WalRecord: Serialize {
    /// The name given by `#[wal(name = "...")]`: of the event type, or of the family. For an enum of
    /// [families](#several-families-in-one-log), of which nothing is stored, its name in the code.
    const NAME: &'static str;

    /// The event types that this type stands for, in the order of declaration.
    const RECORDS: &'static [EventType];

    /// Whether the type is an enum, whose variants are event types of their own.
    #[doc(hidden)]
    const FAMILY: bool;

    /// The families that this type stands for: itself, unless its variants hold others.
    #[doc(hidden)]
    const FAMILIES: &'static [Family] = &[Family {
        ty: std::any::type_name::<Self>,
        name: Self::NAME,
        is_enum: Self::FAMILY,
        records: Self::RECORDS,
    }];

    /// The index into [`RECORDS`](Self::RECORDS) of this value's event type.
    fn record_index(&self) -> usize;

    /// Writes the fields of this value, whose event type is the one at `index`.
    #[doc(hidden)]
    #[inline(always)]
    fn write_fields<S: Serializer>(&self, index: usize, serializer: S) -> Result<S::Ok, S::Error> {
        if Self::FAMILY {
            self.serialize(AsFields::new(serializer, index as u32))
        } else {
            self.serialize(serializer)
        }
    }

    /// Reads again what was encoded, as this type; without one that reads it, by its schema.
    #[doc(hidden)]
    fn read_back<C: Codec>(written: &Written<'_, C>) -> Result<(), TypedError> {
        written.read_by_schema()
    }
}

/// A [`WalRecord`] that can be read back, as `Deserialize<'de>` is to `Serialize`: it may borrow from the record.
///
/// Derived together with [`WalRecord`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a log as a typed event",
    label = "not a `WalDecode`",
    note = "add `#[derive(WalRecord)]` and `#[wal(name = \"...\")]` to `{Self}`, and serde's `Deserialize`"
)]
pub trait WalDecode<'de>: WalRecord + Deserialize<'de> {
    /// Reads an event that was stored in today's version of the event type at `index`.
    #[doc(hidden)]
    #[inline(always)]
    fn decode_today<C: Codec>(stored: &StoredEvent<'de, C>, index: usize) -> Result<Self, TypedError> {
        stored.whole(index)
    }

    /// Reads an event that was stored in an earlier version of the event type at `index`.
    #[doc(hidden)]
    fn decode_older<C: Codec>(
        stored: &StoredEvent<'de, C>,
        index: usize,
    ) -> Result<Upcast<Self>, TypedError> {
        let _ = index;
        Err(stored.no_migration())
    }

    /// Takes a record of a type that the family does not know, if it has a variant for those.
    #[doc(hidden)]
    fn decode_other(raw: UnknownEvent) -> Result<Self, UnknownEvent> {
        Err(raw)
    }
}

/// A [`WalDecode`] that borrows nothing; most events are. Implemented for every such type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a log as a typed event",
    label = "not a `WalDecode` for every lifetime",
    note = "add `#[derive(WalRecord)]` and `#[wal(name = \"...\")]` to `{Self}`, and serde's `Deserialize`",
    note = "if it borrows, read it with `decode_ref`"
)]
pub trait WalDecodeOwned: for<'de> WalDecode<'de> {}

#[diagnostic::do_not_recommend]
impl<T> WalDecodeOwned for T where T: for<'de> WalDecode<'de> {}

/// The name, the version and the id under which a shape of event is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EventType {
    /// What stands in the log for the name: its 32-bit FNV-1a hash, unless `#[wal(id = N)]` chose it.
    pub id: u32,
    /// The full name; for a variant `family.variant`.
    pub name: &'static str,
    /// The version that this program writes and reads, from 1.
    pub version: u16,
    /// Full names under which it was stored before it was renamed.
    pub aliases: &'static [&'static str],
    /// Whether it is not used any more: it is passed over when the log is replayed, and cannot be appended.
    pub retired: bool,
    /// Its shape; `None` for an implementation by hand that does not give one, and for a retired type.
    pub schema: Option<&'static Shape>,
    /// The fingerprint of name and shape, 0 without a shape.
    pub fingerprint: u64,
    /// The shapes of earlier versions that were derived from `since`, oldest first.
    pub older: &'static [OlderVersion],
    /// The event types of the types in `from`, which read still earlier versions, the newest first.
    pub from: &'static [EventType],
}

/// An earlier version of an event type that this program still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OlderVersion {
    /// The version.
    pub version: u16,
    /// What it looked like.
    pub schema: &'static Shape,
}

impl EventType {
    /// An event type whose id is the hash of its name.
    ///
    /// # Panics
    /// If `version` is 0. In a `const`, where event types belong, that is a compile error.
    #[must_use]
    pub const fn new(name: &'static str, version: u16) -> Self {
        Self::with_id(type_id(name), name, version)
    }

    /// An event type with a chosen id.
    ///
    /// # Panics
    /// If `version` is 0. In a `const`, where event types belong, that is a compile error.
    #[must_use]
    pub const fn with_id(id: u32, name: &'static str, version: u16) -> Self {
        assert!(version > 0, "versions count from 1");
        EventType {
            id,
            name,
            version,
            aliases: &[],
            retired: false,
            schema: None,
            fingerprint: 0,
            older: &[],
            from: &[],
        }
    }

    /// Says what it looks like.
    #[must_use]
    pub const fn schema(self, schema: &'static Shape) -> Self {
        EventType {
            schema: Some(schema),
            fingerprint: schema.fingerprint_of(self.name),
            ..self
        }
    }

    /// Adds the names that it had before.
    #[must_use]
    pub const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        EventType { aliases, ..self }
    }

    /// Marks it as retired.
    #[must_use]
    pub const fn retire(self) -> Self {
        EventType {
            retired: true,
            ..self
        }
    }

    /// Adds the earlier versions that are read as the same type without later fields.
    #[must_use]
    pub const fn older(self, older: &'static [OlderVersion]) -> Self {
        EventType { older, ..self }
    }

    /// Adds the event types of the earlier types from which it is converted, the newest first.
    #[must_use]
    pub const fn from(self, from: &'static [EventType]) -> Self {
        EventType { from, ..self }
    }

    /// Its name, and those that it had before.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        [self.name].into_iter().chain(self.aliases.iter().copied())
    }

    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

    /// Its id, and those of the names that it had before.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        [self.id]
            .into_iter()
            .chain(self.aliases.iter().map(|alias| type_id(alias)))
    }

    /// Whether a stored type id means this type.
    #[inline]
    pub(crate) fn has_id(&self, id: u32) -> bool {
        self.id == id || self.aliases.iter().any(|alias| type_id(alias) == id)
    }

    /// Every version that this program reads and its shape, the newest first.
    pub fn history(&self) -> impl Iterator<Item = OlderVersion> + use<> {
        let own = self.schema.map(|schema| OlderVersion {
            version: self.version,
            schema,
        });
        let older = own.into_iter().chain(self.older.iter().rev().copied());
        let from: Vec<_> = self.from.iter().flat_map(EventType::history).collect();
        older.chain(from)
    }
}

/// The event types of `T`, or none if it has no `WalRecord`: that is said where its events are read.
#[doc(hidden)]
#[derive(Debug)]
pub struct Of<T>(std::marker::PhantomData<T>);

impl<T: WalRecord> Of<T> {
    /// Those of the type.
    pub const RECORDS: &'static [EventType] = T::RECORDS;
    /// Whether it is an enum.
    pub const FAMILY: bool = T::FAMILY;
}

/// What [`Of`] says of a type without `WalRecord`.
#[doc(hidden)]
pub trait NotRecord {
    /// None.
    const RECORDS: &'static [EventType] = &[];
    /// Nothing is known of it.
    const FAMILY: bool = false;
}

impl<T> NotRecord for Of<T> {}

/// What is wrong with a type in `from`, for the checks that the derive writes.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainProblem {
    /// Nothing.
    None,
    /// It is an enum.
    Family,
    /// It has another name.
    Name,
    /// It is not the version that is converted.
    Version,
}

/// What comes after a type in `from`.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Next<'a> {
    /// The type itself, which reads what comes after this version.
    Version(u16),
    /// Another type in `from`.
    Types(&'a [EventType]),
}

/// Whether one of these types reads a version, itself or from an earlier type.
#[doc(hidden)]
#[must_use]
pub const fn reads(records: &[EventType], version: u16) -> bool {
    let mut i = 0;
    while i < records.len() {
        let EventType {
            version: own,
            older,
            from,
            ..
        } = records[i];
        if own == version || reads(from, version) {
            return true;
        }
        let mut at = 0;
        while at < older.len() {
            if older[at].version == version {
                return true;
            }
            at += 1;
        }
        i += 1;
    }
    false
}

/// Whether the way of an event that was stored in this version to today's type begins at the type of these records, or
/// before it.
#[doc(hidden)]
#[must_use]
#[inline]
pub fn begins_at(records: &[EventType], version: u16) -> bool {
    records.first().is_some_and(|record| version <= record.version)
}

impl ChainProblem {
    /// Looks at the event types of a type in `from`; a type with mistakes of its own has none.
    #[must_use]
    pub const fn of(records: &[EventType], family: bool, name: &str, next: Next<'_>) -> Self {
        if family {
            return ChainProblem::Family;
        }
        let [record, ..] = records else {
            return ChainProblem::None;
        };
        let fits = match next {
            Next::Version(version) => record.version == version,
            Next::Types([next, ..]) => record.version < next.version && !reads(&[*next], record.version),
            Next::Types([]) => true,
        };
        if !same(record.name, name) {
            ChainProblem::Name
        } else if !fits {
            ChainProblem::Version
        } else {
            ChainProblem::None
        }
    }

    /// Whether it is an enum.
    #[must_use]
    pub const fn is_family(self) -> bool {
        matches!(self, ChainProblem::Family)
    }

    /// Whether it has another name.
    #[must_use]
    pub const fn is_name(self) -> bool {
        matches!(self, ChainProblem::Name)
    }

    /// Whether it is another version.
    #[must_use]
    pub const fn is_version(self) -> bool {
        matches!(self, ChainProblem::Version)
    }
}

/// Stands for a type, its name, version and shape in the search for its schema; never 0. A type that is written in two
/// formats is searched for twice, because it can be read in one and not in the other.
#[inline]
pub(crate) fn key(type_id: u32, version: u16, fingerprint: u64, codec: CodecId) -> u64 {
    let own = u64::from(type_id) << 16 | u64::from(version);
    let factor = 0x9E37_79B9_7F4A_7C15 ^ u64::from(codec.get()) << 1;
    (own ^ fingerprint).wrapping_mul(factor) | 1
}

/// Two event types of one program must not share an id: a record would decode as the other one.
pub(super) fn check_ids(records: &[EventType]) -> Result<(), TypedError> {
    for (i, second) in records.iter().enumerate() {
        if let Some(first) = records[..i].iter().find(|first| first.id == second.id) {
            return Err(TypedError::IdCollision {
                id: second.id,
                first: first.name,
                second: second.name,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_id_replaces_the_hash_of_the_name() {
        const HASHED: EventType = EventType::new("foobar", 1);
        assert_eq!(HASHED.id, 0xbf9c_f968);
        let chosen = EventType::with_id(7, "foobar", 3);
        assert_eq!((chosen.id, chosen.name, chosen.version), (7, "foobar", 3));
    }

    #[test]
    fn a_chain_is_of_one_name_and_its_versions_follow_each_other() {
        const OLD: &[EventType] = &[EventType::new("a.b", 2)];
        const FITS: ChainProblem = ChainProblem::of(OLD, false, "a.b", Next::Version(2));
        assert_eq!(FITS, ChainProblem::None);
        assert!(ChainProblem::of(OLD, true, "a.b", Next::Version(2)).is_family());
        assert!(ChainProblem::of(OLD, false, "a.c", Next::Version(2)).is_name());
        assert!(ChainProblem::of(OLD, false, "a.bc", Next::Version(2)).is_name());
        assert!(ChainProblem::of(OLD, false, "a.b", Next::Version(1)).is_version());
        assert_eq!(
            ChainProblem::of(&[], false, "a.b", Next::Version(1)),
            ChainProblem::None
        );
    }

    #[test]
    fn a_collision_names_both_types() {
        let records = [
            EventType::new("a", 1),
            EventType::new("b", 1),
            EventType::with_id(type_id("a"), "c", 1),
        ];
        assert!(check_ids(&records[..2]).is_ok());
        let Err(TypedError::IdCollision { first, second, id }) = check_ids(&records) else {
            panic!("the collision was not found");
        };
        assert_eq!((first, second, id), ("a", "c", type_id("a")));
    }
}
