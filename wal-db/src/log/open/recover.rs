//! Opening: from whatever a crash, a disk or a stranger left to a log that can be used, or an error and no change.
//!
//! The rules are those of `docs/design.md`, "Recovery". Everything is decided before any record is cut or written, and
//! whatever is written leads to the same decision after another crash.

use std::{cell::Cell, io};

use super::{cut, keeper::load_manifest, mend::mend};
use crate::{
    config::{OpenPolicy, WalConfig},
    error::{Corruption, CorruptionReason, Result, WalError},
    format::{self, GroupHeader, HeaderFault, Kind, Manifest, Mark, staging::StagingHeader},
    log::{
        base::{Base, Extent, mark_after},
        read::{
            find::{self, Content},
            scan::Walker,
            sectors::Sectors,
        },
        report::RecoveryReport,
    },
    lsn::Lsn,
    staging::leftover::{self, Leftover},
    storage::{Identity, Latched, StoreFault, WalStore, is_not_a_file},
    sync::Arc,
};

pub(crate) struct Opened {
    pub(crate) base: Base,
    pub(crate) manifest: Manifest,
    pub(crate) report: RecoveryReport,
}

/// Takes the store for this log alone, before anything of it is read.
fn take(store: &Latched) -> Result<()> {
    store.lock().map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => WalError::Locked {
            path: "the store".into(),
            holder: None,
        },
        _ => WalError::io("locking the store")(error),
    })
}

/// Opens a log for writing. `super::reader` opens one for reading.
pub(crate) fn open(store: Box<dyn WalStore>, config: &WalConfig) -> Result<Opened> {
    let store = Latched::new(store);
    take(&store)?;
    let mut report = RecoveryReport::default();
    let manifest = load_manifest(&store, &mut report)?;
    attach(&store, &manifest, Access::Write)?;
    let base = Base::of(store, &manifest);

    let len = base
        .store
        .len()
        .map_err(WalError::io("reading the log's length"))?;
    let from = match check_length(&base, &manifest, len).and_then(|()| check_mark(&base, &manifest)) {
        Err(WalError::Corruption(damage)) if config.open_policy() == OpenPolicy::TruncateAtDamage => {
            cut::mark_before(&base, &manifest, len)?.ok_or(damage)?
        }
        checked => checked.map(|()| manifest.mark)?,
    };
    if !manifest.timeline.has_number() {
        return Err(WalError::TooManyTruncations {
            count: manifest.timeline.len(),
        });
    }
    // Up to `mend`, nothing of the stream is written: an error leaves the log as it was.
    let mut found = scan_to_end(&base, from, u64::MAX)?;
    let survey = survey(&base, &base.extent(), found.mark.pos, len)?;
    report.scanned_bytes = survey.read + found.mark.pos.saturating_sub(manifest.mark.pos);
    report.found_records = found.mark.ordinal.saturating_sub(manifest.mark.ordinal);
    found.durable = found.durable.max(survey.durable);
    found.durable = found.durable.max(manifest.mark.pos);
    let leftover = read_leftover(&base, &manifest, &mut report)?;
    if let Some(durable) = leftover.as_ref().and_then(|leftover| leftover.durable) {
        found.durable = found.durable.max(durable);
    }

    let damage = judge(&base, &found, leftover.as_ref());
    if let Some(damage) = damage {
        if config.open_policy() == OpenPolicy::Exact {
            return Err(WalError::Corruption(damage));
        }
        report.damage = Some(damage);
    }
    let room = config.timeline_room(base.store.slots());
    mend(base, manifest, found, survey, leftover, report, room)
}

/// Everything before the mark is durable: a store that ends before it has lost something.
fn check_length(base: &Base, manifest: &Manifest, len: u64) -> Result<()> {
    if len >= manifest.mark.pos {
        return Ok(());
    }
    let damage = base.damage(len, manifest.mark.pos, CorruptionReason::Short);
    Err(damage.into())
}

/// Compares the group before the mark with what the manifest says of it: an older copy of a segment is found out.
pub(crate) fn check_mark(base: &Base, manifest: &Manifest) -> Result<()> {
    let mark = &manifest.mark;
    if mark.prev == mark.pos || mark.prev < manifest.head_group {
        return Ok(());
    }
    // Another group than the one before the mark would be continued by what nobody can read.
    let leads_here = |header: &GroupHeader| base.extent().skip_cut(header.next()) == mark.pos;
    match find::read_header(base, mark.prev)? {
        Ok(header) if header.digest(base.log) == mark.prev_digest && leads_here(&header) => Ok(()),
        _ => Err(base.damage(mark.prev, mark.pos, CorruptionReason::Chain).into()),
    }
}

/// How a log attaches to its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Write,
    Read,
    /// To read a log that may be written meanwhile.
    ReadInUse,
}

pub(crate) fn attach(store: &Latched, manifest: &Manifest, access: Access) -> Result<()> {
    let identity = Identity {
        log_id: manifest.log.0,
        head: manifest.head_group,
        newest_segment: manifest.newest_segment,
        read_only: access != Access::Write,
        in_use: access == Access::ReadInUse,
    };
    store.attach(&identity).map_err(|error| {
        let (segment, reason) = match StoreFault::of(&error) {
            Some(StoreFault::Missing { segment }) => (segment, CorruptionReason::MissingSegment),
            Some(StoreFault::Wrong { segment }) => (segment, CorruptionReason::WrongSegment),
            Some(StoreFault::Version { version }) => {
                return WalError::newer(version, 0);
            }
            Some(StoreFault::Foreign { segment }) => {
                let start = segment.saturating_mul(manifest.segment_len);
                return WalError::NotALog {
                    path: store.file_at(start).unwrap_or_default(),
                    reason: "the log keeps its next segment under this name, and something else has it",
                };
            }
            None => return WalError::io("attaching the store")(error),
        };
        let start = segment.saturating_mul(manifest.segment_len);
        WalError::Corruption(Corruption {
            lsn: Lsn::from_pos(start),
            segment: (manifest.segment_len > 0).then_some(segment),
            start,
            end: start.saturating_add(manifest.segment_len),
            reason,
            log: store.location().cloned(),
        })
    })
}

/// The end of what can be read, and why it is the end.
pub(crate) struct Found {
    /// After the last intact group.
    pub(crate) mark: Mark,
    /// The highest durable position that a header up to there names.
    pub(crate) durable: u64,
    /// The last schema record from the manifest's mark on.
    pub(crate) schema: Option<u64>,
    pub(crate) stop: Stop,
}

/// What lies at the first position without an intact group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A sector that was never written.
    Nothing,
    /// A group of which sectors are missing.
    Torn,
    Damaged(CorruptionReason),
}

/// Follows the chain of intact groups from `mark`, those that start before `limit`.
pub(crate) fn scan_to_end(base: &Base, mark: Mark, limit: u64) -> Result<Found> {
    let extent = base.extent();
    let mut found = Found {
        mark,
        durable: 0,
        schema: None,
        stop: Stop::Nothing,
    };
    while found.mark.pos < limit {
        found.stop = match find::read_header(base, found.mark.pos)? {
            Ok(header) if !extent.timeline.continues(&header, &found.mark) => {
                Stop::Damaged(CorruptionReason::Chain)
            }
            Ok(header) => match find::check_content(base, &header)? {
                Content::Intact => {
                    if header.flags & format::group::FLAG_SCHEMAS != 0 {
                        found.schema = last_schema(base, &extent, &header)?.or(found.schema);
                    }
                    found.mark = mark_after(&header, base.log);
                    found.durable = found.durable.max(header.durable);
                    continue;
                }
                Content::Torn => Stop::Torn,
                Content::Damaged => Stop::Damaged(CorruptionReason::GroupContent),
            },
            Err(HeaderFault::Zero) => Stop::Nothing,
            Err(HeaderFault::Short) => Stop::Torn,
            Err(HeaderFault::Invalid) => Stop::Damaged(CorruptionReason::GroupHeader),
        };
        return Ok(found);
    }
    found.stop = Stop::Nothing;
    Ok(found)
}

pub(crate) fn last_schema(base: &Base, extent: &Arc<Extent>, header: &GroupHeader) -> Result<Option<u64>> {
    let mut walker = Walker::new(extent.clone(), header.pos, header.next()).with_schemas();
    let mut last = None;
    while let Some(frame) = walker.next_frame(base) {
        let frame = frame?;
        if frame.word.kind == Kind::Schema {
            last = Some(frame.pos);
        }
    }
    Ok(last)
}

/// What lies after the end.
pub(crate) struct Survey {
    /// The highest durable position that an authentic header there names.
    pub(crate) durable: u64,
    /// After the last byte that is not zero.
    pub(crate) used: u64,
    pub(crate) read: u64,
}

impl Survey {
    /// Of what need not be read to know that it is nothing.
    pub(crate) fn nothing(from: u64) -> Survey {
        Survey {
            durable: 0,
            used: from,
            read: 0,
        }
    }
}

pub(crate) fn survey(base: &Base, extent: &Extent, from: u64, end: u64) -> Result<Survey> {
    let newest = extent.timeline.newest().epoch;
    let mut survey = Survey::nothing(from);
    let mut sectors = Sectors::forwards(base, from, end);
    while let Some(part) = sectors.next_part()? {
        survey.read += part.bytes.len() as u64;
        survey.used = part.used.unwrap_or(survey.used);
        let headers = part.headers().filter(|header| header.epoch == newest);
        survey.durable = headers.fold(survey.durable, |durable, header| durable.max(header.durable));
    }
    Ok(survey)
}

/// What a dead process left in staging memory, if it belongs to this log as it is now: to the same opening of it.
fn read_leftover(base: &Base, manifest: &Manifest, report: &mut RecoveryReport) -> Result<Option<Leftover>> {
    let newest = manifest.timeline.newest().epoch;
    // An opening makes staging memory before the manifest names it. If it died in between, what was in the memory
    // before is in the store.
    let unfinished = Cell::new(false);
    let ours = |header: &StagingHeader| {
        let same_log = header.log == manifest.log;
        // Or it has died between a cut's manifest and the memory that follows it, which was empty then.
        let cut = Some(header.number) == manifest.staging;
        unfinished.set(same_log && (header.epoch == newest + 1 || cut));
        let same_opening = header.epoch == newest && header.number == manifest.staging.unwrap_or(0);
        same_log && same_opening
    };
    let file = match base.store.staging_file(false) {
        Err(error) if is_not_a_file(&error) => return Err(foreign_staging(base)),
        result => result.map_err(WalError::io("opening the staging file"))?,
    };
    let found = match &file {
        None => leftover::Found::Nothing,
        Some(file) => {
            Leftover::find(file, manifest.log, ours).map_err(WalError::io("reading the staging file"))?
        }
    };
    let leftover = match found {
        leftover::Found::Foreign => return Err(foreign_staging(base)),
        leftover::Found::Ours(leftover) => Some(leftover),
        leftover::Found::Ignored => {
            report.staging_ignored = true;
            None
        }
        leftover::Found::Nothing => None,
    };
    report.staging_missing = manifest.staging.is_some() && leftover.is_none() && !unfinished.get();
    Ok(leftover)
}

fn foreign_staging(base: &Base) -> WalError {
    WalError::NotALog {
        path: base.store.staging_place().unwrap_or_default(),
        reason: "the log keeps its staging memory under this name, and something else has it",
    }
}

/// Whether what lies at the end can come from a crash; if not, what it is.
pub(crate) fn judge(base: &Base, found: &Found, leftover: Option<&Leftover>) -> Option<Corruption> {
    let end = found.mark.pos;
    let reason = match found.stop {
        Stop::Damaged(reason) => reason,
        Stop::Nothing => CorruptionReason::GroupHeader,
        Stop::Torn => CorruptionReason::GroupContent,
    };
    if end < found.durable {
        return Some(base.damage(end, found.durable, reason));
    }
    // After what was handed to the store lies at most a write that was interrupted with its process, and staging memory
    // has the original. Before that, nothing is certain: a failed flush, or a disk that was gone for a while, drops
    // what the system had in its cache.
    let in_staging = |leftover: &Leftover| end >= leftover.released;
    if leftover.is_some_and(|leftover| same_boot(base, &leftover.header) && in_staging(leftover)) {
        return None;
    }
    match found.stop {
        Stop::Nothing | Stop::Torn => None,
        Stop::Damaged(reason) => Some(base.damage(end, end + format::SECTOR, reason)),
    }
}

/// Whether staging memory is of this boot, so that nothing of it was lost.
pub(crate) fn same_boot(base: &Base, header: &StagingHeader) -> bool {
    header.boot.is_some() && header.boot == base.store.boot_id()
}
