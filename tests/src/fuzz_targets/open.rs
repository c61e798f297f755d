//! Opening and using whatever bytes there are.

use wal_db::{
    Durability, Lsn, OpenPolicy, Record, RecoveryPolicy, Result, Staging, Start, Wal, WalConfig, WalError,
};

use super::{
    image::{Flags, Image},
    store::Row,
};
use crate::{Entry, quiet_heap, verified};

const SKIPS: u16 = 1 << 8;
const CUTS: u16 = 1 << 9;
const WRITES_THROUGH: u16 = 1 << 10;
const CERTIFIES: u16 = 1 << 11;
const TRUNCATES_AFTER: u16 = 1 << 12;
const TRUNCATES_BEFORE: u16 = 1 << 13;
const READS_ALL_WAYS: u16 = 1 << 14;

/// Opens a log that holds these bytes (see the module `image`), reads it in every way, appends to it, and opens it again. No
/// panic; no record that is not in the bytes, no position after them; and what was read once is there the next time.
pub fn open(input: &[u8]) {
    let Some((flags, image)) = Image::parse(input) else {
        return;
    };
    let store = Row::new(image.clone());
    let Ok(wal) = Wal::with_store_and_config(store.store(), config(flags)) else {
        assert_eq!(
            store.image().without_zeros(),
            image.without_zeros(),
            "a log that was refused has changed"
        );
        return;
    };
    let mut found = Found::of(&wal);
    found.is_in(&image);
    if flags.has(READS_ALL_WAYS) {
        all_ways(&wal, &image, &found, flags.is_raw());
    }
    truncate(&wal, flags, &mut found);
    let added = wal.append_and_sync(b"behind it").ok();
    drop(wal);

    let again = Wal::with_store_and_config(store.store(), config(flags));
    let again = match again {
        Ok(again) => again,
        // The last number for an epoch was made up, and is used now.
        Err(WalError::TooManyTruncations { .. }) => return,
        Err(error) => panic!("opened once, and then: {error}"),
    };
    let then = Found::of(&again);
    if let Some(lsn) = added.filter(|_| found.errors == 0) {
        found.records.push(Entry(lsn, b"behind it".to_vec()));
    }
    let records = &found.records;
    assert!(
        then.records.starts_with(records),
        "{records:?}, and then {:?}",
        then.records
    );
    let mended = flags.has(TRUNCATES_AFTER | TRUNCATES_BEFORE) && then.errors == 0;
    assert!(
        mended || (then.errors == 0) == (found.errors == 0),
        "damage that comes and goes"
    );
}

fn config(flags: Flags) -> WalConfig {
    let mut config = quiet_heap().with_staging_bytes(64 << 10);
    if flags.has(SKIPS) {
        config = config.with_recovery_policy(RecoveryPolicy::SkipBadRecords);
    }
    if flags.has(CUTS) {
        config = config.with_open_policy(OpenPolicy::TruncateAtDamage);
    }
    if flags.has(WRITES_THROUGH) {
        config = config.with_staging(Staging::WriteThrough);
    }
    if flags.has(CERTIFIES) {
        config = config.with_durability(Durability::Certified);
    }
    config
}

/// What was read.
struct Found {
    records: Vec<Entry>,
    errors: usize,
}

impl Found {
    fn of(wal: &Wal) -> Found {
        match wal.iter() {
            Ok(records) => Found::collect(records),
            Err(_) => Found {
                records: Vec::new(),
                errors: 1,
            },
        }
    }

    fn collect(items: impl Iterator<Item = Result<Record>>) -> Found {
        let (records, errors): (Vec<_>, Vec<_>) = items.partition(Result::is_ok);
        let entry = |record: Record| Entry(record.lsn(), record.into_data());
        Found {
            records: records.into_iter().flatten().map(entry).collect(),
            errors: errors.len(),
        }
    }

    /// Every record stands in the bytes where its LSN says.
    fn is_in(&self, image: &Image) {
        self.records.iter().for_each(|record| is_in(record, image));
        let ascending = self.records.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(ascending, "out of order: {:?}", self.records);
    }
}

/// Panics if the record is not in the bytes.
pub(super) fn is_in(Entry(lsn, data): &Entry, image: &Image) {
    let from = usize::try_from(lsn.get()).expect("a position in the row") + 64 + 8;
    let there = image.row.get(from..from + data.len());
    assert_eq!(there, Some(&data[..]), "the record at {lsn}");
}

/// The other ways to read. What they find is in the bytes, and if nobody made the checksums up, it is the same.
fn all_ways(wal: &Wal, image: &Image, found: &Found, raw: bool) {
    let mut ways = Vec::new();
    if let Ok(records) = wal.iter_rev() {
        let mut back = Found::collect(records);
        back.records.reverse();
        ways.push(back);
    }
    ways.extend(wal.iter_from(Start::Ordinal(0)).map(Found::collect));
    for way in &ways {
        way.is_in(image);
        if raw && way.errors + found.errors == 0 {
            assert_eq!(way.records, found.records);
        }
    }
    for Entry(lsn, data) in &found.records {
        if let Ok(record) = wal.read(*lsn) {
            assert_eq!(record.data(), data, "the record at {lsn}");
        }
        let _ = wal.locate(*lsn).map(|at| at.time);
    }
    if let Some(Entry(lsn, _)) = found.records.get(found.records.len() / 2) {
        let rest = wal.iter_from(*lsn).map(Found::collect);
        rest.iter().for_each(|rest| rest.is_in(image));
    }
    let _ = wal
        .iter_from(Start::Ordinal(2))
        .map(|records| Found::collect(records).is_in(image));
    let _ = wal
        .iter_from(std::time::UNIX_EPOCH)
        .map(|records| Found::collect(records).is_in(image));
    if let Ok(report) = verified(wal)
        && raw
        && report.is_intact()
    {
        let counts = (report.records, 0);
        assert_eq!(
            counts,
            (found.records.len() as u64, found.errors),
            "what verify finds intact"
        );
    }
    let _ = (wal.len(), wal.status().records, wal.is_empty(), wal.status());
    schemas(wal);
}

/// Reads what the log says about its types, and each record by it.
fn schemas(wal: &Wal) {
    let Ok(schemas) = wal.schemas() else { return };
    for record in wal.iter().into_iter().flatten().flatten() {
        let _ = (
            record.info(),
            record.meta(),
            record.to_value(&schemas),
            record.to_json(&schemas),
        );
    }
}

/// Truncates the log at a record that was found.
fn truncate(wal: &Wal, flags: Flags, found: &mut Found) {
    let records = &mut found.records;
    if flags.has(TRUNCATES_AFTER) && !records.is_empty() {
        let last = records.len() / 2;
        if wal.truncate_after(records[last].0).is_ok() {
            records.truncate(last + 1);
        }
    }
    if flags.has(TRUNCATES_BEFORE) {
        let first = records.len() / 3;
        let lsn = records.get(first).map_or(Lsn::ZERO, |record| record.0);
        if wal.truncate_before(lsn).is_ok() {
            records.drain(..first);
        }
    }
}
