//! What the records of a log look like, by type and version.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::{
    event::{
        record::{self, EventType},
        schema::Shape,
    },
    format::envelope::{CodecId, EventInfo},
};

/// What one version of an event type looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventSchema {
    /// The id that stands in the records.
    pub type_id: u32,
    /// The full name; for a variant `family.variant`.
    pub name: String,
    /// The version, from 1.
    pub version: u16,
    /// The shape of the event.
    pub shape: Shape,
}

impl EventSchema {
    /// A schema that was put together by hand; the id is [`EventType::id`].
    pub fn new(type_id: u32, name: impl Into<String>, version: u16, shape: Shape) -> Self {
        EventSchema {
            type_id,
            name: name.into(),
            version,
            shape,
        }
    }
}

/// The schemas of the event types in a log: enough to read its events without the program that wrote them.
///
/// ```
/// use wal_db::schema::{EventSchema, Schemas};
///
/// let shape = "{id: u64, owner: str}".parse()?;
/// let schemas: Schemas = [EventSchema::new(7, "bank.opened", 1, shape)].into_iter().collect();
/// assert_eq!(schemas.get(7, 1).map(|schema| schema.name.as_str()), Some("bank.opened"));
/// assert!(schemas.get(7, 2).is_none());
/// # Ok::<(), wal_db::schema::ShapeError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    list: Vec<EventSchema>,
    /// As [`EventType::key`](crate::event::EventType), for each of them.
    keys: Vec<u64>,
    places: HashMap<(u32, u16), usize>,
    /// Names that mean one type, with its id.
    names: Vec<(u32, Vec<String>)>,
}

/// Stands for the format in the keys of records that are copied: no event of the program was read again then.
const COPIED: CodecId = CodecId::new(0);

impl Schemas {
    /// The schema of a type and version.
    #[must_use]
    pub fn get(&self, type_id: u32, version: u16) -> Option<&EventSchema> {
        self.list.get(*self.places.get(&(type_id, version))?)
    }

    /// The schema of a record, with its name; see [`Record::info`](crate::Record::info).
    #[must_use]
    pub fn of(&self, info: &EventInfo) -> Option<&EventSchema> {
        self.get(info.type_id, info.version)
    }

    /// Stands for the schema of a record, as the key of a program's type does.
    pub(crate) fn key_of(&self, info: &EventInfo) -> Option<u64> {
        let place = self.places.get(&(info.type_id, info.version))?;
        self.keys.get(*place).copied()
    }

    /// All of them, in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, EventSchema> {
        self.list.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds what a program knows: every version that its types read, and that a former name, one in `alias`, means the
    /// same type. [`Record::append_to`](crate::Record::append_to) asks for it.
    pub fn learn(&mut self, records: &[EventType]) {
        for record in records {
            for (id, name) in record.ids().zip(record.names()) {
                for known in record.history() {
                    self.push(EventSchema::new(id, name, known.version, known.schema.told()));
                }
            }
            // With an id of its own it keeps that under every name.
            self.names
                .push((record.id, record.names().map(str::to_owned).collect()));
        }
    }

    /// Says that all of these are of one log, in which an id is always the same type.
    pub(crate) fn of_one_log(mut self) -> Self {
        for schema in &self.list {
            match self.names.iter_mut().find(|(id, _)| *id == schema.type_id) {
                Some((_, names)) => names.push(schema.name.clone()),
                None => self.names.push((schema.type_id, vec![schema.name.clone()])),
            }
        }
        self
    }

    /// Whether two names are known to mean one type, which has this id.
    pub(crate) fn are_one(&self, type_id: u32, name: &str, other: &str) -> bool {
        let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
        let mut known = self.names.iter().filter(|(id, _)| *id == type_id);
        name == other || known.any(|(_, names)| has(names, name) && has(names, other))
    }

    /// Adds one. The first of a type and version stays, except that what an opaque type is written as may be mended by a
    /// later one. `false` if it says what is known.
    pub(crate) fn push(&mut self, schema: EventSchema) -> bool {
        match self.places.entry((schema.type_id, schema.version)) {
            Entry::Occupied(place) => {
                let known = &mut self.list[*place.get()].shape;
                let is_mended = known.fingerprint() == schema.shape.fingerprint() && *known != schema.shape;
                if is_mended {
                    *known = schema.shape;
                }
                is_mended
            }
            Entry::Vacant(place) => {
                place.insert(self.list.len());
                let fingerprint = schema.shape.fingerprint_of(&schema.name);
                self.keys
                    .push(record::key(schema.type_id, schema.version, fingerprint, COPIED));
                self.list.push(schema);
                true
            }
        }
    }
}

impl<'a> IntoIterator for &'a Schemas {
    type Item = &'a EventSchema;
    type IntoIter = std::slice::Iter<'a, EventSchema>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The first schema of a type and version counts, except that a later one may mend what an opaque type is written as.
impl FromIterator<EventSchema> for Schemas {
    fn from_iter<I: IntoIterator<Item = EventSchema>>(schemas: I) -> Self {
        let mut found = Schemas::default();
        found.extend(schemas);
        found
    }
}

/// The first schema of a type and version counts, except that a later one may mend what an opaque type is written as.
impl Extend<EventSchema> for Schemas {
    fn extend<I: IntoIterator<Item = EventSchema>>(&mut self, schemas: I) {
        for schema in schemas {
            self.push(schema);
        }
    }
}

/// What a program knows: every version that it reads, under the name and the former names. Types that do not say what
/// they look like are left out.
impl From<&[EventType]> for Schemas {
    fn from(records: &[EventType]) -> Self {
        let mut schemas = Schemas::default();
        schemas.learn(records);
        schemas
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::OlderVersion;

    const RECORDS: &[EventType] = &[
        EventType::new("a.b", 2)
            .schema(&Shape::U64)
            .older(&[OlderVersion {
                version: 1,
                schema: &Shape::U32,
            }])
            .aliases(&["a.old"]),
        EventType::new("a.silent", 1),
    ];

    #[test]
    fn a_program_knows_every_version_under_every_name() {
        let schemas = Schemas::from(RECORDS);
        let found: Vec<_> = schemas
            .iter()
            .map(|s| (s.type_id, s.name.as_str(), s.version, s.shape.to_string()))
            .collect();
        let (id, old) = (RECORDS[0].id, wal_shape::type_id("a.old"));
        let expected = [
            (id, "a.b", 2, "u64".to_owned()),
            (id, "a.b", 1, "u32".to_owned()),
            (old, "a.old", 2, "u64".to_owned()),
            (old, "a.old", 1, "u32".to_owned()),
        ];
        assert_eq!(found, expected);
        assert_eq!(schemas.len(), 4);
        assert!(!schemas.is_empty());
    }

    #[test]
    fn the_first_schema_of_a_version_counts() {
        let schema = |shape| EventSchema::new(1, "a", 1, shape);
        let mut schemas: Schemas = [schema(Shape::U8)].into_iter().collect();
        assert!(!schemas.push(schema(Shape::U16)));
        assert_eq!(schemas.get(1, 1).map(|s| &s.shape), Some(&Shape::U8));
        assert_eq!((&schemas).into_iter().count(), 1);
    }
}
