//! What a repair has to do, and what it leaves.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    files::{Form, LogFiles},
    manifest::of_groups,
    patched::Patched,
};
use crate::{
    config::{OpenPolicy, WalConfig},
    error::{Corruption, Result, WalError, path_text},
    format::{
        LogId, Manifest, Mark,
        segment::{SegmentFault, SegmentHeader},
    },
    log::{
        base::{Base, Extent},
        examine::salvage::{SalvageItem, salvage_on},
        open::{keeper::manifest_damage, reader, recover},
        read::sectors::Sectors,
        report::RecoveryReport,
    },
    lsn::Lsn,
    storage::{Latched, SegmentedStore, System, fs::FileSystem, writer},
    sync::Arc,
};

/// What would let a log open again, from [`repair`]: nothing is written until [`apply`](Self::apply).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Repair {
    /// What there is to do, in this order; nothing if the log opens as it is.
    pub steps: Vec<RepairStep>,
    /// What opening the log will find then, and where it ends.
    pub recovery: RecoveryReport,
    /// How many records it will have, those in staging memory not counted.
    pub records: u64,
    /// Records that are intact and will not be in the log any more, because they come after damage that it is cut at. They
    /// stay where they are, for [`salvage`](crate::recovery::salvage), until the log is truncated.
    pub lost_records: u64,
    pub(super) path: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) touched: Vec<Touched>,
}

/// One change that lets a log open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RepairStep {
    /// One copy of the manifest is damaged. Opening the log writes both.
    #[non_exhaustive]
    ManifestCopy {
        /// Which one: 0 or 1.
        copy: usize,
    },
    /// Both copies of the manifest are lost. They are made from the groups of the log. What nothing tells but a manifest
    /// is lost: records that were dropped from the beginning may come back as far as their segment is there, and so may
    /// those that were cut off the end, if nothing was written after that.
    Manifest,
    /// The header of a segment is damaged, and its groups are the log's: the header is written again.
    #[non_exhaustive]
    SegmentHeader {
        /// The file.
        #[serde(serialize_with = "path_text::one")]
        path: PathBuf,
        /// The number of the segment; 0 for a log in one file.
        segment: u64,
    },
    /// Something that is not the log's has the name of one of its segments, and gets another name.
    #[non_exhaustive]
    SetAside {
        /// What is in the way.
        #[serde(serialize_with = "path_text::one")]
        path: PathBuf,
        /// The name that it gets.
        #[serde(serialize_with = "path_text::one")]
        to: PathBuf,
    },
    /// A segment is missing. An empty one takes its place; its records are lost, and damage is met there.
    #[non_exhaustive]
    MissingSegment {
        /// Where it was.
        #[serde(serialize_with = "path_text::one")]
        path: PathBuf,
        /// Its number.
        segment: u64,
    },
    /// The log is cut at damage, as [`OpenPolicy::TruncateAtDamage`](crate::OpenPolicy::TruncateAtDamage) does it.
    #[non_exhaustive]
    Cut {
        /// The damage.
        damage: Corruption,
    },
}

/// Bytes that a repair may change. A copy of them is all that is needed to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Touched {
    /// The file, which need not be there.
    #[serde(serialize_with = "path_text::one")]
    pub path: PathBuf,
    /// From where on in the file.
    pub start: u64,
    /// Up to where; `None` for its end, which may change, too.
    pub end: Option<u64>,
}

/// Finds out what would let the log at `path` open again, with the least loss. Reads all of the log if its manifest is
/// lost, and its end if not. Changes nothing.
///
/// Damage that does not keep a log from being opened is not repaired: the records after it are there, and are read with
/// [`RecoveryPolicy::SkipBadRecords`](crate::RecoveryPolicy::SkipBadRecords).
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let log = dir.path().join("log");
/// # let wal = wal_db::Wal::open_segmented(&log, 1 << 20)?;
/// # wal.append_and_sync(b"event")?;
/// # wal.close()?;
/// std::fs::remove_file(log.join("manifest"))?;
/// let repair = wal_db::recovery::repair(&log)?;
/// assert_eq!((repair.records, repair.lost_records), (1, 0));
/// repair.apply()?;
/// assert_eq!(wal_db::Wal::open_segmented(&log, 1 << 20)?.iter()?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`WalError::Corruption`] if nothing lets it open: which log it is cannot be told, or the manifest is of another state
/// than the groups. [`WalError::Locked`] if a process has the log open for writing, where the system tells, see
/// [`writer`](crate::recovery::writer). [`WalError::NotALog`], [`WalError::UnsupportedVersion`] and [`WalError::Io`].
pub fn repair(path: impl AsRef<Path>) -> Result<Repair> {
    let path = path.as_ref();
    // What a writer is at work on may look like damage, and is none.
    if let Some(holder) = writer(path) {
        return Err(WalError::Locked {
            path: path.to_owned(),
            holder: Some(holder),
        });
    }
    plan(path).map_err(|error| error.located(Some(path)))
}

/// A log of which more segments are missing than this is not repaired: an empty one would be made for each.
const MISSING_MAX: u64 = 10_000;

fn looking(error: io::Error) -> WalError {
    WalError::io("looking at the log's files")(error)
}

pub(super) fn plan(path: &Path) -> Result<Repair> {
    let fs: Arc<dyn FileSystem> = Arc::new(System);
    // What is no log is said as always.
    match reader::store_to_read(&fs, path) {
        Ok(_) | Err(WalError::Corruption(_)) => {}
        Err(error) => return Err(error),
    }
    let files = Arc::new(LogFiles::at(&*fs, path)?);
    let mut planner = Planner {
        steps: Vec::new(),
        files,
    };
    let manifest = planner.headers_and_manifest()?;
    // One that is missing will be there, too.
    let last = planner.segments().map_err(looking)?.last().copied();
    let last = last.unwrap_or(0).max(manifest.newest_segment);
    let store =
        Patched::new(planner.files.clone(), Some(&manifest), manifest.segment_len, last).map_err(looking)?;
    let config = WalConfig::new().with_open_policy(OpenPolicy::TruncateAtDamage);
    let opened = recover::open(Box::new(store), &config)?;
    let recovery = opened.report;
    let kept = recovery.damage.as_ref().map(|damage| damage.start);
    if let Some(damage) = recovery.damage.clone() {
        planner.steps.push(RepairStep::Cut { damage });
    }
    Ok(Repair {
        touched: planner.touched(&manifest).map_err(looking)?,
        records: opened
            .base
            .ordinal()
            .saturating_sub(opened.base.extent().head_ordinal),
        lost_records: kept.map_or(Ok(0), |end| intact_after(&fs, path, end))?,
        steps: planner.steps,
        path: path.to_owned(),
        recovery,
        manifest,
    })
}

/// How many records can be read after a position.
fn intact_after(fs: &Arc<dyn FileSystem>, path: &Path, pos: u64) -> Result<u64> {
    let mut count = 0;
    for item in salvage_on(fs.clone(), path)? {
        if let SalvageItem::Record(record) = item? {
            count += u64::from(record.lsn().pos() >= pos);
        }
    }
    Ok(count)
}

struct Planner {
    steps: Vec<RepairStep>,
    files: Arc<LogFiles>,
}

impl Planner {
    /// The manifest that the log will have, after what is wrong with it and with the segments is in the steps.
    fn headers_and_manifest(&mut self) -> Result<Manifest> {
        let copies = self.files.copies().map_err(looking)?;
        if let Some((version, features)) = copies.unknown() {
            return Err(WalError::newer(version, features));
        }
        if let Some((_, newest)) = copies.newest() {
            let mut newest = newest.clone();
            if let Some(copy) = copies.damaged() {
                self.steps.push(RepairStep::ManifestCopy { copy });
            }
            let store = Patched::new(self.files.clone(), None, newest.segment_len, 0).map_err(looking)?;
            crate::log::open::table::complete(&Latched::new(Box::new(store)), &mut newest)?;
            let first = segment_of(newest.head_group, newest.segment_len);
            self.check_segments(newest.log, newest.segment_len, first, newest.newest_segment)?;
            return Ok(newest);
        }
        let (log, segment_len) = self.identity()?.ok_or_else(manifest_damage)?;
        self.steps.push(RepairStep::Manifest);
        let of_log = |index: &u64| {
            let header = self.files.header(*index).ok().flatten();
            let is_ours = |header: &SegmentHeader| header.log == log && header.segment_len == segment_len;
            header.is_some_and(|header| header.as_ref().is_ok_and(is_ours))
                || self.holds(log, segment_len, *index)
        };
        let there = self.files.segments().map_err(looking)?;
        let ours: Vec<u64> = there.into_iter().filter(of_log).collect();
        let (Some(&first), Some(&last)) = (ours.first(), ours.last()) else {
            return Err(manifest_damage());
        };
        self.check_segments(log, segment_len, first, last)?;
        of_groups(&self.files, log, segment_len, first, last)
    }

    /// Which log it is, and how long its segments are, from the headers of most of them.
    fn identity(&self) -> Result<Option<(LogId, u64)>> {
        let mut found: Vec<((LogId, u64), usize)> = Vec::new();
        for segment in self.files.segments().map_err(looking)? {
            match self.files.header(segment).map_err(looking)? {
                Some(Ok(header)) if header.index == segment => {
                    let identity = (header.log, header.segment_len);
                    match found.iter_mut().find(|(known, _)| *known == identity) {
                        Some((_, count)) => *count += 1,
                        None => found.push((identity, 1)),
                    }
                }
                Some(Err(SegmentFault::Version(version))) => return Err(WalError::newer(version, 0)),
                _ => {}
            }
        }
        let is_file = self.files.form == Form::File;
        found.retain(|((_, segment_len), _)| match is_file {
            true => *segment_len == 0,
            // A header says what it wants to.
            false => (SegmentedStore::MIN..=SegmentedStore::MAX).contains(segment_len),
        });
        Ok(found
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map(|(identity, _)| identity))
    }

    /// Whether a group of the log is in what has the place of one of its segments.
    fn holds(&self, log: LogId, segment_len: u64, segment: u64) -> bool {
        let start = segment.saturating_mul(segment_len);
        let Ok(store) = Patched::new(self.files.clone(), None, segment_len, segment) else {
            return false;
        };
        let end = crate::storage::WalStore::len(&store).unwrap_or(start);
        let base = Base::new(
            Latched::new(Box::new(store)),
            log,
            segment_len,
            Extent::default(),
            Mark::default(),
        );
        let mut sectors = Sectors::forwards(&base, start, end);
        while let Ok(Some(part)) = sectors.next_part() {
            if part.headers().next().is_some() {
                return true;
            }
        }
        false
    }

    /// Says what is wrong with the segments of the log, and with what has the name of a later one.
    fn check_segments(&mut self, log: LogId, segment_len: u64, first: u64, newest: u64) -> Result<()> {
        let there = self.files.segments().map_err(looking)?;
        let is_new = there.is_empty() && newest == 0;
        // Where a later one is the log's, none before it may be missing.
        let is_ours = |index: &&u64| {
            let header = self.files.header(**index).ok().flatten();
            header
                .is_some_and(|header| header.is_ok_and(|header| header.log == log && header.index == **index))
        };
        let newest = there
            .iter()
            .rfind(is_ours)
            .map_or(newest, |last| newest.max(*last));
        let within = there
            .iter()
            .filter(|index| (first..=newest).contains(index))
            .count() as u64;
        let missing = newest
            .saturating_sub(first)
            .saturating_add(1)
            .saturating_sub(within);
        if missing > MISSING_MAX {
            return Err(manifest_damage());
        }
        let later = there.iter().copied().filter(|index| *index > newest);
        let all: Vec<u64> = (first..=newest).chain(later).collect();
        for segment in all {
            let ours = SegmentHeader {
                log,
                index: segment,
                segment_len,
            };
            let header = self.files.header(segment).map_err(looking)?;
            let path = self.files.segment_path(segment);
            match header {
                Some(Ok(header)) if header == ours => continue,
                Some(Err(SegmentFault::Version(version))) => return Err(WalError::newer(version, 0)),
                Some(_) if self.files.form == Form::File || self.holds(log, segment_len, segment) => {
                    self.steps.push(RepairStep::SegmentHeader { path, segment });
                    continue;
                }
                Some(_) => self.set_aside(path)?,
                None if self
                    .files
                    .dir()
                    .exists(&self.files.segment_name(segment))
                    .map_err(looking)? =>
                {
                    self.set_aside(path)?;
                }
                None => {}
            }
            if segment <= newest && !is_new {
                self.steps.push(RepairStep::MissingSegment {
                    path: self.files.segment_path(segment),
                    segment,
                });
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, path: PathBuf) -> Result<()> {
        let name = path.file_name().unwrap_or_default();
        for n in 1_u64.. {
            let mut to = name.to_owned();
            to.push(match n {
                1 => ".set-aside".to_owned(),
                n => format!(".set-aside-{n}"),
            });
            if !self.files.dir().exists(&to).map_err(looking)? {
                let to = path.with_file_name(to);
                self.steps.push(RepairStep::SetAside { path, to });
                break;
            }
        }
        Ok(())
    }

    /// The segments that are there and stay.
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut segments = self.files.segments()?;
        segments.retain(|segment| {
            let its = self.files.segment_path(*segment);
            let is_aside =
                |step: &RepairStep| matches!(step, RepairStep::SetAside { path, .. } if *path == its);
            !self.steps.iter().any(is_aside)
        });
        Ok(segments)
    }

    /// All that a repair may write to: what the steps change, and what opening the log does from its mark on.
    fn touched(&self, manifest: &Manifest) -> io::Result<Vec<Touched>> {
        let whole = |path| Touched {
            path,
            start: 0,
            end: None,
        };
        let mut touched: Vec<Touched> = ["staging", "cuts-0", "cuts-1"]
            .map(|name| whole(self.files.place(name)))
            .into();
        let from = manifest.mark.pos;
        let offset = self.files.stream_offset();
        if self.files.form == Form::File {
            touched.push(Touched {
                path: self.files.path().to_owned(),
                start: 0,
                end: Some(offset),
            });
            touched.push(Touched {
                path: self.files.path().to_owned(),
                start: offset + from,
                end: None,
            });
            return Ok(touched);
        }
        touched.push(whole(self.files.manifest_path()));
        for step in &self.steps {
            if let RepairStep::SegmentHeader { path, .. } = step {
                touched.push(Touched {
                    path: path.clone(),
                    start: 0,
                    end: Some(offset),
                });
            }
        }
        let first = segment_of(from, manifest.segment_len);
        for segment in self.segments()?.into_iter().filter(|segment| *segment >= first) {
            // Those that are not used are removed when the log is closed.
            let within = from.saturating_sub(segment.saturating_mul(manifest.segment_len));
            touched.push(Touched {
                path: self.files.segment_path(segment),
                start: if within > 0 { offset + within } else { 0 },
                end: None,
            });
        }
        Ok(touched)
    }
}

fn segment_of(pos: u64, segment_len: u64) -> u64 {
    pos.checked_div(segment_len).unwrap_or(0)
}

impl Repair {
    /// The bytes that [`apply`](Self::apply) may change, opening the log included. Besides that it gives other names to what a
    /// step says, and makes files that are not there yet: segments, and what keeps bytes that are cut off.
    #[must_use]
    pub fn touched(&self) -> &[Touched] {
        &self.touched
    }

    /// Where the log will end.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.recovery.end
    }
}
