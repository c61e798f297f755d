//! What the log makes of an image.

use serde::{Deserialize, Serialize};
use wal_db::{Lsn, Record, Result, Wal, WalRecord, read::RecordKind, testing::sim::Image};
use wal_tests::Entry;

use super::{disk::Disk, explore::quiet};

/// A typed record; the number is that of what is known of it.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "first")]
pub(crate) struct First {
    pub(crate) id: u64,
}

/// A typed record of another type.
#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "second")]
pub(crate) struct Second {
    pub(crate) id: u64,
    pub(crate) text: String,
}

/// What was read from an image.
pub(crate) struct Found {
    pub(crate) entries: Vec<Entry>,
    /// Typed records whose schema is not in the log.
    pub(crate) unexplained: Vec<Lsn>,
}

/// Opens the log in an image, and reads every record.
///
/// # Errors
/// That it was refused, or something in it.
pub(crate) fn look(disk: &Disk, image: Image) -> Result<Found> {
    disk.with_image(image, quiet(), read)
}

fn read(wal: &Wal) -> Result<Found> {
    let records = wal.iter()?.collect::<Result<Vec<Record>>>()?;
    let schemas = wal.schemas()?;
    let is_typed = |record: &&Record| record.kind() == RecordKind::Typed;
    let unexplained = records.iter().filter(is_typed);
    let unexplained = unexplained.filter(|record| record.to_value(&schemas).is_err());
    Ok(Found {
        unexplained: unexplained.map(Record::lsn).collect(),
        entries: records.into_iter().map(entry).collect(),
    })
}

/// A record as it is known here.
pub(crate) fn entry(record: Record) -> Entry {
    if record.kind() != RecordKind::Typed {
        return Entry(record.lsn(), record.into_data());
    }
    let first = record.decode::<First>().map(|event| event.id);
    let id = first.or_else(|_| record.decode::<Second>().map(|event| event.id));
    Entry(record.lsn(), typed(id.unwrap()))
}

/// What stands for a typed record.
pub(crate) fn typed(id: u64) -> Vec<u8> {
    format!("typed {id}").into_bytes()
}
