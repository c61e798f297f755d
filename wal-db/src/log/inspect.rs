//! Looking at a log from outside, whatever state it is in. Nothing here writes.

use std::path::{Path, PathBuf};

use super::{
    base::{Base, Shape},
    core::Core,
    find::{self, Content},
    iter, reader,
    record::Record,
    report::{RecoveryReport, VerifyReport},
    scan::Walker,
    table,
};
use crate::{
    Corruption, CorruptionReason, FileStore, Lsn, Result, SegmentedStore, WalConfig, WalError,
    format::{Kind, LogId, Manifest, manifest::Timeline},
    storage::{Latched, WalStore, segment_index},
};

/// What is at a path, from [`Wal::inspect`](crate::Wal::inspect).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// The log's id, in hex.
    pub log_id: Option<String>,
    /// Bytes of the log in a segment file; `None` for a log in one file.
    pub segment_size: Option<u64>,
    /// The files that hold the log, in order.
    pub segments: Vec<SegmentInfo>,
    /// How many of the two copies of the manifest are intact.
    pub intact_manifest_copies: u32,
    /// Where the log starts.
    pub head: Option<Lsn>,
    /// What opening would find, if it would succeed.
    pub recovery: Option<RecoveryReport>,
    /// What would keep it from opening.
    pub damage: Option<Corruption>,
}

/// A file that holds a part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its number.
    pub index: u64,
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub file_bytes: u64,
}

pub(crate) fn read_only_store(path: &Path) -> Result<Box<dyn WalStore>> {
    Ok(if path.is_dir() {
        Box::new(SegmentedStore::open_read_only(path)?)
    } else {
        Box::new(FileStore::open_read_only(path)?)
    })
}

pub(crate) fn inspect(path: &Path) -> Result<Inspection> {
    let mut inspection = Inspection {
        log_id: None,
        segment_size: None,
        segments: segments(path)?,
        intact_manifest_copies: 0,
        head: None,
        recovery: None,
        damage: None,
    };
    let store = match read_only_store(path) {
        Ok(store) => store,
        Err(WalError::Corruption(damage)) => {
            inspection.damage = Some(damage);
            return Ok(inspection);
        }
        Err(error) => return Err(error),
    };
    let mut newest = None;
    for slot in 0..2 {
        let Ok(manifest) = Manifest::decode(&store.read_slot(slot)?) else {
            continue;
        };
        inspection.intact_manifest_copies += 1;
        if newest.is_none_or(|newest| newest < manifest.generation) {
            newest = Some(manifest.generation);
            inspection.log_id = Some(manifest.log.to_string());
            inspection.segment_size = (manifest.segment_len > 0).then_some(manifest.segment_len);
            inspection.head = Some(Lsn::from_pos(manifest.head));
        }
    }
    match reader::open(store, &WalConfig::new()) {
        Ok(opened) => inspection.recovery = Some(opened.report),
        Err(WalError::Corruption(damage)) => inspection.damage = Some(damage),
        Err(error) => return Err(error),
    }
    Ok(inspection)
}

fn segments(path: &Path) -> Result<Vec<SegmentInfo>> {
    let meta = std::fs::metadata(path).map_err(WalError::io("looking at the log"))?;
    if !meta.is_dir() {
        return Ok(vec![SegmentInfo {
            index: 0,
            path: path.to_owned(),
            file_bytes: meta.len(),
        }]);
    }
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(index) = name.to_str().and_then(segment_index) else {
            continue;
        };
        segments.push(SegmentInfo {
            index,
            path: entry.path(),
            file_bytes: entry.metadata()?.len(),
        });
    }
    segments.sort_by_key(|segment| segment.index);
    Ok(segments)
}

/// Walks the whole log; goes on behind damage.
pub(crate) fn verify(core: &Core) -> Result<VerifyReport> {
    let base = &core.base;
    let shape = base.shape();
    let mut report = VerifyReport::default();
    let mut walker = Walker::new(shape.clone(), shape.head_group, base.written()).thorough();
    let mut checked = None;
    while let Some(frame) = walker.next_frame(base) {
        match frame {
            Ok(frame) if frame.pos < shape.head => {}
            Ok(_) => {
                report.records += 1;
                let Some(header) = walker
                    .header()
                    .copied()
                    .filter(|header| checked != Some(header.pos))
                else {
                    continue;
                };
                // Every frame is checked by the walker; this also covers the bytes between them.
                checked = Some(header.pos);
                report.groups += 1;
                report.bytes += header.next() - header.pos;
                let content = match find::check_content(base, &header) {
                    Err(WalError::Corruption(_) | WalError::Truncated { .. }) => Content::Damaged,
                    content => content?,
                };
                // A truncation may have been faster.
                if content != Content::Intact && !is_gone(base, &shape, &header) {
                    report.damage.push(base.damage(
                        header.pos,
                        header.next(),
                        CorruptionReason::GroupContent,
                    ));
                }
            }
            Err(WalError::Corruption(damage)) => {
                report.damage.push(damage);
                resync(&mut walker, base, |segment| segment + 1)?;
            }
            Err(WalError::Truncated { .. }) if base.now().head_group > walker.pos() => {
                let now = base.now();
                walker.jump(now.head_group);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}

/// Whether a truncation has taken a group, or a part of it, from a log that was of this shape.
fn is_gone(base: &Base, was: &Shape, header: &crate::format::GroupHeader) -> bool {
    let now = base.now();
    let cut = |shape: &Shape| shape.timeline.cut_around(header.next() - 1);
    let gone = header.pos < now.head_group || cut(&now) != cut(was);
    gone && !seeded_bug!("verify-of-what-is-gone")
}

/// Goes on behind damage, across segments that are not there; `next` names the one to try after another.
fn resync(walker: &mut Walker, base: &Base, next: impl Fn(u64) -> u64) -> Result<()> {
    loop {
        match walker.resync(base) {
            Err(WalError::Corruption(damage)) if base.segment_len > 0 => {
                let segment = next(damage.start / base.segment_len);
                walker.jump(segment.saturating_mul(base.segment_len));
            }
            result => return result,
        }
    }
}

/// One thing that salvage found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SalvageItem {
    /// A record that is intact.
    Record(Record),
    /// A place where the log is damaged. Records may be missing between the record before and the one after.
    Damage(Corruption),
}

/// The readable records of a log in any state, from [`Wal::salvage`](crate::Wal::salvage).
///
/// Without a manifest it is not known which records were cut off by a truncation, so those are found as well.
#[derive(Debug)]
pub struct Salvage {
    base: Base,
    walker: Walker,
    /// The numbers of the segments that are there, in order: in between there may be room for more than anybody can
    /// try.
    segments: Vec<u64>,
    head: u64,
    done: bool,
}

pub(crate) fn salvage(path: &Path) -> Result<Salvage> {
    let Remains {
        store,
        log,
        manifest,
        first,
    } = open_damaged(path)?;
    let store = Latched::new(store);
    let end = store.len().map_err(WalError::io("reading the log's length"))?;
    let (shape, segment_len) = match manifest {
        Some(manifest) => {
            let identity = crate::storage::Identity {
                log_id: log.0,
                head: manifest.head_group,
                newest_segment: 0,
                read_only: true,
            };
            // A missing or foreign segment is what the walk will report.
            let _ = store.attach(&identity);
            let shape = Shape {
                head: manifest.head,
                head_group: manifest.head_group,
                head_ordinal: manifest.head_ordinal,
                dropped: manifest.dropped,
                timeline: manifest.timeline,
            };
            (shape, manifest.segment_len)
        }
        None => {
            let shape = Shape {
                head: first,
                head_group: first,
                head_ordinal: 0,
                dropped: 0,
                timeline: Timeline::default(),
            };
            (shape, store.segment_len().unwrap_or(0))
        }
    };
    let (head, group) = (shape.head, shape.head_group);
    let base = Base::new(store, log, segment_len, shape, end);
    let walker = Walker::new(base.shape(), group, end).with_schemas();
    let segments = segments(path)?.iter().map(|segment| segment.index).collect();
    Ok(Salvage {
        base,
        walker,
        segments,
        head,
        done: false,
    })
}

/// What can be had of a log in any state.
struct Remains {
    store: Box<dyn WalStore>,
    log: LogId,
    /// The newest intact copy.
    manifest: Option<Manifest>,
    /// Where to start without a manifest.
    first: u64,
}

fn open_damaged(path: &Path) -> Result<Remains> {
    let newest = |store: &dyn WalStore| {
        // Of two that are equally new the first one counts, as it does for who opens the log.
        let slots = [1, 0].into_iter();
        let slots = slots.filter_map(|slot| Manifest::decode(&store.read_slot(slot).ok()?).ok());
        let mut newest = slots.max_by_key(|manifest| manifest.generation);
        if let Some(manifest) = &mut newest {
            // What is left of a timeline says more than none.
            let _ = table::complete(manifest, store.slots(), |slot| store.read_slot(slot));
        }
        newest
    };
    if !path.is_dir() {
        let store = FileStore::open_read_only(path)?;
        let manifest = newest(&store);
        let log = manifest
            .as_ref()
            .map(|manifest| manifest.log)
            .or_else(|| store.log_id());
        let reason = "neither its manifest nor its segment header is intact";
        let log = log.ok_or_else(|| WalError::NotALog {
            path: path.to_owned(),
            reason,
        })?;
        return Ok(Remains {
            store: Box::new(store),
            log,
            manifest,
            first: 0,
        });
    }
    if let Ok(store) = SegmentedStore::open_read_only(path)
        && let Some(manifest) = newest(&store)
    {
        return Ok(Remains {
            store: Box::new(store),
            log: manifest.log,
            manifest: Some(manifest),
            first: 0,
        });
    }
    let (store, log, indexes) = SegmentedStore::open_segments(path)?;
    let first = indexes.start() * store.segment_size();
    Ok(Remains {
        store: Box::new(store),
        log,
        manifest: None,
        first,
    })
}

impl Iterator for Salvage {
    type Item = Result<SalvageItem>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.walker.next_frame(&self.base) {
                None => self.done = true,
                // Of what was cut off, the schemas still speak for the rest.
                Some(Ok(frame)) if frame.pos < self.head && frame.word.kind != Kind::Schema => {}
                Some(Ok(frame)) => return Some(Ok(SalvageItem::Record(iter::owned(&self.walker, &frame)))),
                Some(Err(WalError::Corruption(damage))) => {
                    // What was never written is the end of the log, unless something follows it.
                    let never_written = self.walker.is_at_zeros(&self.base);
                    let segments = &self.segments;
                    let next = |segment: u64| {
                        let behind = segments.partition_point(|&there| there <= segment);
                        segments.get(behind).copied().unwrap_or(u64::MAX)
                    };
                    if let Err(error) = resync(&mut self.walker, &self.base, next) {
                        self.done = true;
                        return Some(Err(error));
                    }
                    if !never_written || self.walker.pos() < self.walker.end() {
                        return Some(Ok(SalvageItem::Damage(damage)));
                    }
                }
                Some(Err(error)) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base")
            .field("log", &self.log.to_string())
            .finish_non_exhaustive()
    }
}
