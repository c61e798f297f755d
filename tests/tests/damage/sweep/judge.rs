//! What has to be true of a damaged log: an error that names the damage, with nothing modified, or the same data.
//!
//! # What cannot be told from a crash
//!
//! Bytes that read as zero, or a file that ends early, look as if they had never arrived. That is found out as long as
//! something is left that says that they had: the manifest's mark, the header of a later group, or the staging file. So
//! a log may read as shorter, from a group on, if all of this holds:
//!
//! * at that group a whole sector reads as zero, or the last file ends;
//! * neither the manifest, nor any group header that is left, nor the staging file says that the group is durable.
//!
//! For one zeroed sector that is the very last flush of a log that was not closed. Where the end of the last file is
//! missing it is everything after the mark, for what could tell is gone with it. And records that are in staging memory
//! only are as good as that file: damage there leaves a prefix of them.

use std::{collections::BTreeSet, ops::Range};

use wal_db::{
    RecoveryPolicy, Wal, WalError,
    recovery::{Corruption, RepairStep, SalvageItem, VerifyConfig, verify_path},
};
use wal_tests::{Entry, add_up, files::SECTOR, scale, until_error, verified};

use super::image::{Image, config};

/// What is known of a damage.
pub(crate) struct Harm {
    /// Said when something is wrong.
    pub(crate) what: String,
    /// The bytes of the stream that differ, if the damage is in the stream and in one place.
    pub(crate) stream: Option<Range<u64>>,
    /// The part of the stream that reads as if it had never arrived.
    pub(crate) missing: Option<Range<u64>>,
    /// The damage is in the staging file.
    pub(crate) staging: bool,
    /// The damage is in the manifest: both copies, or one.
    pub(crate) manifest: Copies,
    /// What is there now cannot be told from something that was never a log.
    pub(crate) not_a_log: bool,
    /// What is needed to write is no file, or a segment that was made ready and is damaged: the log cannot be used.
    pub(crate) not_usable: bool,
}

impl Harm {
    /// Damage of which nothing is known.
    pub(crate) fn of(what: &str) -> Harm {
        Harm {
            what: what.to_owned(),
            stream: None,
            missing: None,
            staging: false,
            manifest: Copies::None,
            not_a_log: false,
            not_usable: false,
        }
    }
}

/// How many copies of the manifest are harmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    None,
    One,
    Both,
}

/// How the cases ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) cases: u64,
    pub(crate) refused: u64,
    pub(crate) found_when_read: u64,
    pub(crate) identical: u64,
    pub(crate) torn: u64,
    pub(crate) staging_lost: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        add_up! { self += other: cases refused found_when_read identical torn staging_lost }
    }
}

/// Looks at the damaged log of an image in every way, and lets the image be as it was before.
pub(crate) fn judge(image: &Image, harm: &Harm, tally: &mut Tally) {
    let _says = Says(&harm.what);
    let turn = tally.cases as usize;
    tally.cases += 1;
    let damaged = image.place.bytes();
    let read_only = Wal::open_read_only(image.place.path());
    if turn.is_multiple_of(4) || scale() > 1 {
        inspected(harm, image, &read_only);
        by_path(harm, image, &read_only);
    }
    match &read_only {
        Ok(wal) => drop(read(image, harm, wal, false)),
        Err(error) => refused(image, harm, error),
    }
    drop(read_only);
    salvaged(image, harm);
    if turn.is_multiple_of(8) || scale() > 1 {
        assert!(
            damaged == image.place.bytes(),
            "{}: reading changed a file",
            harm.what
        );
    }

    match image.place.open(config()) {
        Err(error) => {
            refused(image, harm, &error);
            if turn.is_multiple_of(6) || scale() > 1 {
                repaired(image, harm);
            }
            let mut after = image.place.bytes();
            let staging = image.below(&image.place.staging());
            // It may be made before anything is known of the log, and is empty then.
            if after.get(&staging).is_some_and(Vec::is_empty) && !damaged.contains_key(&staging) {
                after.remove(&staging);
            }
            // Where the log itself is whole, recovery has been done before it is found that nothing can be written.
            let same = damaged == after || harm.not_usable;
            assert!(same, "{}: a refused opening changed a file: {error:?}", harm.what);
            tally.refused += 1;
        }
        Ok(wal) => {
            if harm.manifest == Copies::One {
                assert!(
                    wal.recovery().manifest_copy_damaged,
                    "{}: not reported",
                    harm.what
                );
            }
            match read(image, harm, &wal, true) {
                Found::Damaged => tally.found_when_read += 1,
                Found::All => tally.identical += 1,
                Found::Less if harm.staging => tally.staging_lost += 1,
                Found::Less => tally.torn += 1,
            }
            if !harm.not_usable {
                other_ways(image, harm, &wal, turn);
            }
        }
    }
    image.restore();
}

/// What came of reading everything.
enum Found {
    Damaged,
    All,
    Less,
}

/// Names the case when the log panics.
struct Says<'a>(&'a str);

impl Drop for Says<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            wal_tests::note(&format!("in the case: {}", self.0));
        }
    }
}

/// A log that is refused for damage is repaired: it opens then, makes up nothing, and has what it was planned to have. Taking
/// it back gives every byte as it was.
fn repaired(image: &Image, harm: &Harm) {
    let what = &harm.what;
    match wal_db::recovery::repair(image.place.path()) {
        Ok(_) => {}
        // Which log it is, or what it rests on, is lost.
        Err(WalError::Corruption(_)) => return,
        Err(WalError::NotALog { .. }) if harm.not_a_log || harm.not_usable => return,
        Err(error) => panic!("{what}: repair: {error:?}"),
    }
    wal_tests::repaired::repaired(&image.place, what, |repair, _| {
        let skip = config().with_recovery_policy(RecoveryPolicy::SkipBadRecords);
        let wal = image
            .place
            .open(skip)
            .unwrap_or_else(|error| panic!("{what}: {repair:?}: {error:?}"));
        // Those that wait in staging memory are in neither.
        let in_stream = match repair.steps.contains(&RepairStep::Manifest) {
            true => &image.ever,
            false => &image.live,
        };
        let known: BTreeSet<&Entry> = in_stream.iter().chain(&image.whole).collect();
        let mut found = 0;
        for record in wal.iter().unwrap().flatten() {
            let entry = Entry(record.lsn(), record.into_data());
            assert!(known.contains(&entry), "{what}: a repair made up {entry:?}");
            found += 1;
        }
        // Those that cannot be read are counted, too.
        assert!(found <= wal.status().records, "{what}: {repair:?}");
        // And it goes on.
        let next = wal_tests::put(&wal, 0, 10);
        wal.sync().unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let mut durable = known.iter().filter(|entry| entry.0.get() < image.mark);
        assert!(durable.all(|entry| entry.0 < next.0), "{what}: an LSN twice");
    });
}

/// The error has to be damage, and to name it.
fn refused(image: &Image, harm: &Harm, error: &WalError) {
    match error {
        WalError::Corruption(damage) => named(image, harm, damage),
        // What has the place of a file of the log is not its own.
        WalError::NotALog { .. } if harm.not_a_log || harm.not_usable => {}
        WalError::Io { .. } | WalError::Poisoned { .. } if harm.not_usable => {}
        other => panic!("{}: {other:?}", harm.what),
    }
}

/// A damage in the stream is named by the group that it is in.
fn named(image: &Image, harm: &Harm, damage: &Corruption) {
    let what = &harm.what;
    if damage.reason != wal_db::recovery::CorruptionReason::Manifest
        && damage.reason != wal_db::recovery::CorruptionReason::MissingManifest
    {
        assert_eq!(
            damage.segment,
            image.place.segment_of(damage.start),
            "{what}: {damage:?}"
        );
    }
    let Some(Range { start, .. }) = harm.stream else {
        return;
    };
    let first = image
        .group_at(start)
        .map_or(start / SECTOR * SECTOR, |group| group.pos);
    assert!(
        (first..=start).contains(&damage.start),
        "{what}: in the group at {first}, byte {start}: {damage:?}"
    );
}

fn inspected(harm: &Harm, image: &Image, read_only: &wal_db::Result<Wal>) {
    match (wal_db::recovery::inspect(image.place.path()), read_only) {
        (Ok(inspection), Ok(wal)) => {
            assert_eq!(inspection.damage, None, "{}", harm.what);
            assert_eq!(
                inspection.recovery.as_ref(),
                Some(wal.recovery()),
                "{}",
                harm.what
            );
        }
        (Ok(inspection), Err(WalError::Corruption(damage))) => {
            assert_eq!(inspection.damage.as_ref(), Some(damage), "{}", harm.what);
        }
        // A later segment that is somebody else's is named.
        (Ok(inspection), Err(WalError::NotALog { path, .. })) if harm.not_usable => {
            let is_named = inspection
                .files
                .iter()
                .any(|file| file.path.as_ref() == Some(path));
            assert!(is_named, "{}: {:?}", harm.what, inspection.files);
        }
        (Err(WalError::NotALog { .. }), Err(WalError::NotALog { .. })) if harm.not_a_log => {}
        (inspected, opened) => panic!("{}: inspect: {inspected:?}, opened: {opened:?}", harm.what),
    }
}

/// A log that opens is verified by its path as it is when it is open, and one that does not is not intact.
fn by_path(harm: &Harm, image: &Image, read_only: &wal_db::Result<Wal>) {
    let what = &harm.what;
    let found = verify_path(image.place.path(), &VerifyConfig::new());
    match (found, read_only) {
        (Ok(found), Ok(wal)) => assert_eq!(found, wal.verify().unwrap(), "{what}"),
        (Ok(found), Err(WalError::Corruption(damage))) => {
            let is_named = found.damage.iter().any(|known| known.start == damage.start);
            assert!(is_named, "{what}: {damage:?} is not in {found:?}");
        }
        (Ok(found), Err(WalError::NotALog { .. })) => assert!(!found.files.is_empty(), "{what}: {found:?}"),
        (Err(WalError::NotALog { .. }), Err(WalError::NotALog { .. })) if harm.not_a_log => {}
        (found, opened) => panic!("{what}: verify_path: {found:?}, opened: {opened:?}"),
    }
}

/// Everything that is read is right, and nothing is missing without an error.
fn read(image: &Image, harm: &Harm, wal: &Wal, writing: bool) -> Found {
    let what = &harm.what;
    let expected = &image.whole;
    let (found, error) = until_error(wal);
    assert!(
        expected.starts_with(&found),
        "{what}, writing: {writing}: wrong records"
    );
    if let Some(error) = error {
        refused(image, harm, &error);
        return Found::Damaged;
    }
    let least = least(image, harm, writing);
    assert!(
        found.len() >= least,
        "{what}, writing: {writing}: {} of {} records and no error, {least} have to be there",
        found.len(),
        expected.len()
    );
    if found.len() < expected.len() {
        Found::Less
    } else {
        Found::All
    }
}

/// Verification, one record by its place, and the newest one, compared with what reading everything finds.
fn other_ways(image: &Image, harm: &Harm, wal: &Wal, turn: usize) {
    let what = &harm.what;
    let (found, error) = until_error(wal);
    let report = verified(wal).unwrap_or_else(|error| panic!("{what}: verify: {error:?}"));
    assert!(
        error.is_none() || !report.is_intact(),
        "{what}: verify finds nothing of {error:?}"
    );
    let Entry(lsn, data) = &image.whole[turn % image.whole.len()];
    match wal.read(*lsn) {
        Ok(record) => assert_eq!(record.data(), data, "{what}: read {lsn}"),
        Err(WalError::Corruption(_)) if error.is_some() => {}
        Err(WalError::NoSuchRecord { .. }) if turn % image.whole.len() >= found.len() && error.is_none() => {}
        Err(other) => panic!("{what}: read {lsn}: {other:?}"),
    }
    match wal.iter_rev().and_then(|mut records| records.next().transpose()) {
        Ok(Some(record)) => {
            let entries = if error.is_some() { &image.whole } else { &found };
            let newest = Entry(record.lsn(), record.into_data());
            assert_eq!(Some(&newest), entries.last(), "{what}: the newest");
        }
        Err(WalError::Corruption(_)) if error.is_some() => {}
        other => panic!("{what}: the newest: {other:?}"),
    }
}

/// How many records have to be there if no error says otherwise.
fn least(image: &Image, harm: &Harm, writing: bool) -> usize {
    let expected = if writing && !harm.staging {
        image.whole.len()
    } else {
        image.written
    };
    let Some(missing) = &harm.missing else {
        return expected;
    };
    // Where the log would end, and what still says that it does not end there.
    let torn = image
        .groups
        .iter()
        .find(|group| group.next() > missing.start && group.pos < missing.end);
    let Some(torn) = torn else { return expected };
    if torn.pos < image.known_durable(missing, writing) {
        return expected;
    }
    image
        .whole
        .partition_point(|entry| entry.0.get() < torn.pos)
        .min(expected)
}

/// Salvage reads what was written and nothing else, all of it outside of the damage.
fn salvaged(image: &Image, harm: &Harm) {
    let what = &harm.what;
    let items = match wal_db::recovery::salvage(image.place.path()) {
        Ok(items) => items,
        Err(WalError::NotALog { .. }) if harm.not_a_log => return,
        Err(error) => panic!("{what}: salvage: {error:?}"),
    };
    let known = if harm.manifest == Copies::Both {
        &image.ever
    } else {
        &image.live
    };
    let mut found = BTreeSet::new();
    let mut last = None;
    for item in items {
        match item {
            Ok(SalvageItem::Record(record)) => {
                assert!(last < Some(record.lsn()), "{what}: salvage goes back");
                last = Some(record.lsn());
                let entry = Entry(record.lsn(), record.into_data());
                assert!(known.contains(&entry), "{what}: salvage made up {entry:?}");
                found.insert(entry);
            }
            Ok(_) => {}
            Err(error) => panic!("{what}: salvage: {error:?}"),
        }
    }
    let Some(harmed) = &harm.stream else { return };
    let lost = |entry: &&Entry| {
        let group = image.group_at(entry.0.get()).unwrap();
        group.next() <= harmed.start || group.pos >= harmed.end
    };
    for entry in image.whole[..image.written].iter().filter(lost) {
        assert!(found.contains(entry), "{what}: salvage lost {entry:?}");
    }
}
