//! Records that were read and are appended as they are, in the same log or in another.

use super::{
    held::schemas_in,
    schema::{Shape, differences},
    value::{EventSchema, Schemas},
};
use crate::{
    error::{Result, TypedError, WalError},
    format::{envelope, schema::SchemaRecord},
    log::{Describe, Described, Entry, Record, RecordKind, Wal},
    lsn::Lsn,
};

impl Record {
    /// Appends the record to `wal` as it is, byte for byte: an event stays an event, with its type, version, codec and
    /// metadata, and nothing of it is decoded. `schemas` are those of the log that it comes from ([`Wal::schemas`], or
    /// what [`Schemas::take`] has collected from [`salvage`](crate::recovery::salvage)): the shape of the event is
    /// written as well, unless `wal` holds it. Returns the new LSN.
    ///
    /// If a type that was renamed kept its id, `wal` may know it by another name than the log that it comes from:
    /// [`Schemas::learn`] tells `schemas` that they are one.
    ///
    /// The record is one of its own afterwards, also if it was part of a batch. An LSN inside it, such as the causation in
    /// its metadata, is copied like everything else.
    ///
    /// ```
    /// # use wal_db::{MemStore, Wal};
    /// # let old = Wal::with_store(MemStore::new())?;
    /// # old.append_batch(&["one", "two"])?;
    /// let new = Wal::with_store(MemStore::new())?;
    /// let schemas = old.schemas()?;
    /// for record in old.iter()? {
    ///     record?.append_to(&new, &schemas)?;
    /// }
    /// new.sync()?;
    /// # assert_eq!(new.iter()?.count(), 2);
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Wal::append`], with nothing taken. [`WalError::Typed`] with [`TypedError::OtherSchema`] if `wal` holds
    /// the id under a name that is not known to mean the same type, or the version in another shape, or with
    /// [`TypedError::Envelope`] if the event says of itself what this release does not know. [`WalError::Config`] for a
    /// [schema](RecordKind::Schema), which is no record.
    pub fn append_to(&self, wal: &Wal, schemas: &Schemas) -> Result<Lsn> {
        match self.kind() {
            RecordKind::Data => wal.append(self.data()),
            RecordKind::Schema => Err(WalError::Config {
                what: format!(
                    "the record at LSN {} is a schema: give it to Schemas::take, and those schemas to append_to",
                    self.lsn()
                ),
            }),
            RecordKind::Typed => {
                let (lsn, payload) = (self.lsn(), self.data());
                let info = envelope::parse(payload)
                    .map_err(|reason| TypedError::Envelope { lsn, reason })?
                    .info;
                let copied = schemas.of(&info).map(|schema| Copied { schema, schemas });
                let key = schemas.key_of(&info);
                let described = key.zip(copied.as_ref()).map(|(key, of)| Described { key, of });
                Ok(wal.append_described(payload, described)?.0)
            }
        }
    }
}

/// The schema of a record that comes from another log.
struct Copied<'a> {
    schema: &'a EventSchema,
    /// What else is known of its type.
    schemas: &'a Schemas,
}

impl Describe for Copied<'_> {
    /// It was read already.
    fn check(&self, _: &[&[u8]]) -> Result<()> {
        Ok(())
    }

    fn entry(&self, held: &[Entry]) -> Result<Option<Vec<u8>>> {
        let schema = self.schema;
        let shape = schema.shape.to_string();
        let wanted = SchemaRecord {
            type_id: schema.type_id,
            version: schema.version,
            name: &schema.name,
            shape: &shape,
        };
        let mut is_held = false;
        for stored in schemas_in(held).filter(|stored| stored.type_id == wanted.type_id) {
            // A type that kept its id when it was renamed has several names, also in one log.
            let is_same = self.schemas.are_one(stored.type_id, stored.name, wanted.name);
            let has_shape = || {
                let stored = stored.shape.parse();
                stored.is_ok_and(|stored: Shape| differences(&stored, &schema.shape, "").is_empty())
            };
            if !is_same || stored.version == wanted.version && !has_shape() {
                return Err(TypedError::OtherSchema {
                    name: schema.name.clone(),
                    version: schema.version,
                    stored: format!("{} version {}", stored.name, stored.version),
                }
                .into());
            }
            is_held |= stored.version == wanted.version;
        }
        Ok((!is_held).then(|| wanted.encode()))
    }
}
