//! Verifying a log that may not open.

use std::path::Path;

use super::{
    inspect::inspect_on,
    salvage::{SalvageItem, salvage_on},
    verify,
    verify_config::VerifyConfig,
};
use crate::{
    config::WalConfig,
    error::{Corruption, CorruptionReason, Result, WalError},
    log::{
        open::{keeper, reader},
        read::record::Record,
        report::{Copied, CopyFault, VerifyReport},
    },
    storage::{Latched, System, fs::FileSystem},
    sync::Arc,
};

/// As [`verify`](crate::recovery::verify), of the log at a path, whether it opens or not. Changes nothing, and works
/// beside a writer.
///
/// A log that does not open is read as [`salvage`](crate::recovery::salvage) reads it: the report has everything that
/// keeps it from being opened and every place that is damaged, and counts the records that are intact, those in staging
/// memory included. Groups and broken rules of the format are not counted then.
///
/// ```
/// use wal_db::recovery::{VerifyConfig, verify_path};
///
/// # let dir = tempfile::tempdir()?;
/// # let log = dir.path().join("log");
/// # let wal = wal_db::Wal::open(&log)?;
/// # wal.append_and_sync(b"event")?;
/// # wal.close()?;
/// let report = verify_path(&log, &VerifyConfig::new())?;
/// assert!(report.is_intact());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`WalError::NotALog`], [`WalError::UnsupportedVersion`] and [`WalError::Io`]; damage is what it reports.
pub fn verify_path(path: impl AsRef<Path>, config: &VerifyConfig) -> Result<VerifyReport> {
    let path = path.as_ref();
    let fs: Arc<dyn FileSystem> = Arc::new(System);
    verify_on(&fs, path, config).map_err(|error| error.located(Some(path)))
}

pub(crate) fn verify_on(
    fs: &Arc<dyn FileSystem>,
    path: &Path,
    config: &VerifyConfig,
) -> Result<VerifyReport> {
    let opened = reader::store_to_read(fs, path)
        .and_then(|store| reader::open(store, WalConfig::new().with_background_flush(false)));
    match opened {
        Ok(view) => verify::verify(&Arc::new(view), None, config),
        // The second is about a file that has the name of one of the log's, or there is no log.
        Err(WalError::Corruption(_) | WalError::NotALog { .. }) => verify_what_is_left(fs, path, config),
        Err(error) => Err(error),
    }
}

fn verify_what_is_left(fs: &Arc<dyn FileSystem>, path: &Path, config: &VerifyConfig) -> Result<VerifyReport> {
    let found = inspect_on(fs.clone(), path)?;
    let mut report = VerifyReport {
        files: found.files,
        copies: copies(fs, path),
        ..VerifyReport::default()
    };
    let all = found.segments.iter().map(|segment| segment.file_bytes).sum();
    // After the last record.
    let (meter, mut at) = (config.meter(all), None);
    let is_asked_for = |record: &Record| (config.from()..config.to()).contains(&record.lsn().pos());
    for item in salvage_on(fs.clone(), path)? {
        let record = match item? {
            SalvageItem::Damage(damage) => {
                if damage.end >= config.from() && damage.start < config.to() {
                    report.damage.push(damage);
                }
                continue;
            }
            SalvageItem::Schema(record) => {
                report.schemas += u64::from(is_asked_for(&record));
                record
            }
            SalvageItem::Record(record) | SalvageItem::Staged(record) => {
                report.records += u64::from(is_asked_for(&record));
                record
            }
        };
        let (pos, end) = (record.lsn().pos(), record.lsn().pos() + record.len() as u64);
        let read = end.saturating_sub(at.unwrap_or(pos));
        report.bytes += read;
        meter.add(read);
        at = Some(end);
        if meter.is_stopped() {
            report.stopped = true;
            break;
        }
    }
    // What keeps it from being opened need not be between two records.
    if let Some(damage) = found.damage
        && !report.stopped
        && !report.damage.iter().any(|known| is_the_same(known, &damage))
    {
        report.damage.insert(0, damage);
    }
    Ok(report)
}

/// Whether two ways to look have found one fault. They may call it by different names.
fn is_the_same(one: &Corruption, other: &Corruption) -> bool {
    let is_of_the_manifest = |damage: &Corruption| {
        matches!(
            damage.reason,
            CorruptionReason::Manifest | CorruptionReason::MissingManifest
        )
    };
    one.start == other.start && is_of_the_manifest(one) == is_of_the_manifest(other)
}

/// The copy of the manifest that is damaged, if the other one is not.
fn copies(fs: &Arc<dyn FileSystem>, path: &Path) -> Vec<CopyFault> {
    let store = reader::store_to_read(fs, path).map(Latched::new);
    let damaged = store.and_then(|store| Ok(keeper::read_copies(&store)?.damaged));
    let fault = |copy| CopyFault {
        of: Copied::Manifest,
        copy,
    };
    damaged.ok().flatten().map(fault).into_iter().collect()
}
