//! The schemas that a log holds, and the comparison of a program's types with them. Where schema records are is the
//! business of `log/write/dictionary.rs`.

use std::collections::HashSet;
use std::marker::PhantomData;

use super::{
    codec::Codec,
    log::EventLog,
    read_back::{self, ReadsBack},
    record::{self, EventType, WalDecodeOwned},
    schema::{Shape, differences},
    unreadable::Ahead,
    value::{EventSchema, Schemas},
};
use crate::{
    error::{Result, TypedError, WalError},
    format::schema::{Link, SchemaRecord},
    log::{Alone, Describe, Described, Entry, Placed, Record, RecordKind, Wal},
    lsn::Lsn,
};

/// The schemas in a log's schema records.
pub(super) fn schemas_in(held: &[Entry]) -> impl Iterator<Item = SchemaRecord<'_>> {
    held.iter()
        .filter_map(|entry| SchemaRecord::parse(&entry.payload))
}

impl EventType {
    /// Stands for this type, its name, version and shape in the search for its schema; never 0.
    #[inline]
    pub(super) fn key<C: Codec>(&self) -> u64 {
        record::key(self.id, self.version, self.fingerprint, C::ID)
    }

    /// The schema record to be added to those that the log holds; `None` if it is among them.
    pub(super) fn entry(&self, held: &[Entry]) -> Result<Option<Vec<u8>>> {
        let Some(schema) = self.schema else {
            return Ok(None);
        };
        self.check_id(held)?;
        if self.is_held(self.version, schema, held)? {
            return Ok(None);
        }
        let shape = schema.to_string();
        let stored = SchemaRecord {
            type_id: self.id,
            version: self.version,
            name: self.name,
            shape: &shape,
        };
        Ok(Some(stored.encode()))
    }

    /// Whether the log holds the schema of this version, as it is, under this type's own id. If it holds one of another
    /// shape for it, that is an error.
    fn is_held(&self, version: u16, schema: &Shape, held: &[Entry]) -> Result<bool> {
        let mut is_held = false;
        let own = schemas_in(held).filter(|stored| self.has_id(stored.type_id));
        for stored in own.filter(|stored| stored.version == version) {
            let is_exact = self.check_shape(version, schema, stored.shape)?;
            is_held |= is_exact && stored.type_id == self.id;
        }
        Ok(is_held)
    }

    /// A name and an id of the log belong to each other: both are this type's, or neither is.
    fn check_id(&self, held: &[Entry]) -> Result<(), TypedError> {
        for stored in schemas_in(held) {
            match (self.has_id(stored.type_id), self.has_name(stored.name)) {
                (true, false) => {
                    return Err(TypedError::IdTaken {
                        id: stored.type_id,
                        name: self.name,
                        stored: stored.name.to_owned(),
                    });
                }
                (false, true) => {
                    return Err(TypedError::OtherId {
                        name: self.name,
                        id: self.id,
                        stored: stored.name.to_owned(),
                        stored_id: stored.type_id,
                    });
                }
                (true, true) | (false, false) => {}
            }
        }
        Ok(())
    }

    /// Whether a record of a version can be read, as far as the type says which ones it reads. Those of a retired type
    /// are passed over.
    fn reads(&self, version: u16) -> bool {
        self.retired || self.schema.is_none() || self.history().any(|known| known.version == version)
    }

    /// Whether the log holds this very shape, and not one that says otherwise what an opaque type is written as.
    fn check_shape(&self, version: u16, schema: &Shape, stored: &str) -> Result<bool, TypedError> {
        // A replay does this each time.
        if schema.is_text(stored) {
            return Ok(true);
        }
        let changes = match stored.parse::<Shape>() {
            Ok(stored) => differences(&stored, schema, "the log"),
            Err(_) => vec![format!(
                "it is `{stored}` in the log and `{schema}` in this program"
            )],
        };
        if changes.is_empty() {
            return Ok(false);
        }
        let changes = changes.iter().map(|change| format!("\n  {change}")).collect();
        Err(TypedError::ShapeChanged {
            name: self.name,
            version,
            changes,
        })
    }
}

/// What a log asks about an event type of the program that it has not met.
struct New<R>(&'static EventType, PhantomData<fn() -> R>);

impl<R: ReadsBack> New<R> {
    #[inline]
    fn described(&self) -> Option<Described<'_>> {
        self.0.schema.map(|_| Described {
            key: self.0.key::<R::Codec>(),
            of: self,
        })
    }
}

impl<R: ReadsBack> Describe for New<R> {
    fn check(&self, payloads: &[&[u8]]) -> Result<()> {
        Ok(read_back::check_all(
            self.0,
            <R::Codec as Codec>::ID,
            payloads,
            R::check,
        )?)
    }

    fn entry(&self, held: &[Entry]) -> Result<Option<Vec<u8>>> {
        self.0.entry(held)
    }
}

/// Appends an event of an event type; returns where it is and where it ends.
#[inline]
pub(super) fn append<R: ReadsBack>(
    wal: &Wal,
    payload: &[u8],
    record: &'static EventType,
) -> Result<(Lsn, u64)> {
    let new = New::<R>(record, PhantomData);
    wal.append_described(payload, new.described())
}

/// As [`append`], without waiting.
pub(super) fn try_append<R: ReadsBack>(wal: &Wal, payload: &[u8], record: &'static EventType) -> Result<Lsn> {
    let new = New::<R>(record, PhantomData);
    wal.try_append_described(payload, new.described())
}

/// As [`append`], by the only one who appends.
pub(super) fn append_alone<R: ReadsBack>(
    alone: &mut Alone<'_>,
    payload: &[u8],
    record: &'static EventType,
) -> Result<(Lsn, Placed)> {
    let new = New::<R>(record, PhantomData);
    alone.append(payload, new.described().as_ref())
}

/// The name that schema records give to a type.
pub(crate) fn name_of(held: &[Entry], type_id: u32) -> Option<String> {
    let found = schemas_in(held).find(|stored| stored.type_id == type_id)?;
    Some(found.name.to_owned())
}

/// Compares every version that a program's types read with what the log says of it. Nothing is read as a type that has
/// not been compared, and nothing is appended as one.
pub(super) fn check(wal: &Wal, records: &[EventType]) -> Result<()> {
    wal.with_dictionary(|held| compare(records, held))?
}

pub(super) fn compare(records: &[EventType], held: &[Entry]) -> Result<()> {
    for record in records {
        record.check_id(held)?;
        for older in record.history().filter(|_| !record.retired) {
            record.is_held(older.version, older.schema, held)?;
        }
    }
    Ok(())
}

/// As [`check`], for a log that is opened: it holds no record of an earlier version that nothing reads. What a newer
/// program wrote is told by [`EventLog::ahead`].
pub(super) fn check_opened(wal: &Wal, records: &[EventType]) -> Result<()> {
    let unread = wal.with_dictionary(|held| {
        compare(records, held)?;
        Ok::<_, WalError>(unread_versions(records, held))
    })??;
    // The schemas stay when the records are gone.
    let versions = recorded(wal, unread)?;
    if versions.is_empty() {
        return Ok(());
    }
    let versions = versions
        .iter()
        .map(|(name, _, version)| format!("\n  `{name}` version {version}"));
    Err(TypedError::OlderVersions {
        versions: versions.collect(),
    }
    .into())
}

/// Name, type id and version.
type Version = (String, u32, u16);

/// Earlier versions that the log knows and nothing reads.
fn unread_versions(records: &[EventType], held: &[Entry]) -> Vec<Version> {
    versions(held, |stored| {
        let own = record_of(records, stored.type_id);
        own.is_some_and(|record| stored.version < record.version && !record.reads(stored.version))
    })
}

/// Types and later versions that the log knows and the program does not.
fn unknown_versions(records: &[EventType], held: &[Entry]) -> Vec<Version> {
    versions(held, |stored| {
        let own = record_of(records, stored.type_id);
        !own.is_some_and(|record| record.retired || stored.version <= record.version)
    })
}

fn versions(held: &[Entry], which: impl Fn(&SchemaRecord<'_>) -> bool) -> Vec<Version> {
    schemas_in(held)
        .filter(which)
        .map(|stored| (stored.name.to_owned(), stored.type_id, stored.version))
        .collect()
}

fn record_of(records: &[EventType], type_id: u32) -> Option<&EventType> {
    records.iter().find(|record| record.has_id(type_id))
}

/// The versions of which the log has a record.
fn recorded(wal: &Wal, mut versions: Vec<Version>) -> Result<Vec<Version>> {
    let mut missing: HashSet<(u32, u16)> = versions.iter().map(|(_, id, version)| (*id, *version)).collect();
    if !missing.is_empty() {
        for record in wal.iter()? {
            if let Ok(info) = record?.info()
                && missing.remove(&(info.type_id, info.version))
                && missing.is_empty()
            {
                break;
            }
        }
    }
    versions.retain(|(_, id, version)| !missing.contains(&(*id, *version)));
    Ok(versions)
}

impl SchemaRecord<'_> {
    /// `None` if a later release wrote the shape in another way.
    fn to_event_schema(self) -> Option<EventSchema> {
        let shape = self.shape.parse().ok()?;
        Some(EventSchema::new(self.type_id, self.name, self.version, shape))
    }
}

impl Wal {
    /// The shapes of all event types that the log holds, in every version: enough to read its events without the
    /// program that wrote them, with [`Record::to_value`] and `Record::to_json`.
    ///
    /// Costs the same however long the log is.
    ///
    /// # Errors
    /// As [`read`](Wal::read); damage if a schema is not where it should be.
    pub fn schemas(&self) -> Result<Schemas> {
        let held = self.with_dictionary(<[Entry]>::to_vec)?;
        let schemas: Schemas = schemas_in(&held)
            .filter_map(SchemaRecord::to_event_schema)
            .collect();
        Ok(schemas.of_one_log())
    }
}

impl Schemas {
    /// Takes in a schema record, from [`salvage`](crate::recovery::salvage) for example, which meets them in a damaged
    /// log. `false` if it is not a schema record, or says what is known.
    pub fn take(&mut self, record: &Record) -> bool {
        if record.kind() != RecordKind::Schema {
            return false;
        }
        let schema = Link::parse(record.data(), u64::MAX)
            .and_then(|(_, rest)| SchemaRecord::parse(rest)?.to_event_schema());
        schema.is_some_and(|schema| self.push(schema))
    }
}

impl<E: WalDecodeOwned, C: Codec> EventLog<E, C> {
    /// The event types of which the log has records that `E` does not know: of a later version, or of a type that `E`
    /// does not have under its name, a former name or its id. Then a newer program has written to the log, or a type was
    /// renamed without an `alias`, and a [`replay`](Self::replay) will meet what it cannot read. Retired types are known
    /// in all versions.
    ///
    /// In a log of several families all but those of `E` are listed. Ask an enum of
    /// [families](crate::WalRecord#several-families-in-one-log) that holds them all.
    ///
    /// Costs the same however long the log is, unless the log knows such a type: then its records are read, from the
    /// first on, until one of each has been met. Types of which truncation has left none are not listed.
    ///
    /// # Errors
    /// As [`Wal::schemas`], and as [`Wal::iter`] where records are read.
    pub fn ahead(&self) -> Result<Vec<Ahead>> {
        let wal = self.wal();
        let unknown = wal.with_dictionary(|held| unknown_versions(E::RECORDS, held))?;
        let mut ahead: Vec<Ahead> = Vec::new();
        // The schemas stay when the records are gone.
        for (name, type_id, stored) in recorded(wal, unknown)? {
            match ahead.iter_mut().find(|other| other.type_id == type_id) {
                Some(other) => other.stored = other.stored.max(stored),
                None => ahead.push(Ahead {
                    type_id,
                    name: Some(name),
                    stored,
                    known: record_of(E::RECORDS, type_id).map_or(0, |record| record.version),
                }),
            }
        }
        Ok(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wal_shape::type_id;

    fn held(name: &str, shape: &str) -> Vec<Entry> {
        let record = SchemaRecord {
            type_id: type_id(name),
            version: 1,
            name,
            shape,
        };
        vec![Entry {
            pos: 0,
            payload: record.encode(),
        }]
    }

    fn event_type(shape: &str) -> EventType {
        let shape: Shape = shape.parse().expect("a shape");
        EventType::new("grown", 1).schema(Box::leak(Box::new(shape)))
    }

    /// Releases before wrote the Rust name of a type that holds itself.
    #[test]
    fn a_log_with_names_of_types_that_hold_themselves_still_opens() {
        let tree = event_type("{tree: rec Renamed {inner: [@Renamed]}}");
        let old = held("grown", "{tree: rec Tree {inner: [@Tree]}}");
        assert!(tree.entry(&old).expect("the same shape").is_none());
        let other = held("grown", "{tree: rec Tree {inner: [option<@Tree>]}}");
        let error = tree.entry(&other).expect_err("another shape").to_string();
        assert!(
            error.contains("`tree.inner.[]` is `option<@0>` in the log"),
            "{error}"
        );
    }

    #[test]
    fn a_mended_wire_is_written_once_and_counts() {
        let wrong = held("grown", "{id: opaque \"id@1\" = str}");
        let mended = event_type("{id: opaque \"id@1\" = [u8; 16]}");
        let entry = mended
            .entry(&wrong)
            .expect("the same type")
            .expect("it is not held");
        let both = [
            wrong,
            vec![Entry {
                pos: 1,
                payload: entry,
            }],
        ]
        .concat();
        assert!(mended.entry(&both).expect("the same type").is_none());
        let schemas: Schemas = schemas_in(&both)
            .filter_map(SchemaRecord::to_event_schema)
            .collect();
        let counts = schemas.get(type_id("grown"), 1).expect("a schema");
        assert_eq!(counts.shape.to_string(), "{id: opaque \"id@1\" = [u8; 16]}");
        let other = event_type("{id: opaque \"id@2\" = [u8; 16]}");
        assert!(other.entry(&both).is_err());
    }
}
