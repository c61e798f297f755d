//! What the log makes of an image.

use wal_db::{Record, Result, Wal, WalConfig};
use wal_tests::{
    Entry,
    sim::disk::{Image, SimDisk},
};

/// Opens the log in an image, and reads every record.
///
/// # Errors
/// That it was refused, or something in it.
pub(crate) fn look(image: Image, config: WalConfig) -> Result<Vec<Entry>> {
    let disk = SimDisk::of(image);
    let wal = Wal::with_store_and_config(disk.clone(), config)?;
    let entry = |record: Record| Entry(record.lsn(), record.into_data());
    let found = wal.iter()?.map(|record| record.map(entry)).collect();
    let _dead = disk.kill();
    found
}
