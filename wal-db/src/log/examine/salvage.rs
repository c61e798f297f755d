//! Reading what is left of a log in whatever state it is, beside its writer as well. Nothing here writes.
//!
//! A writer may be at work, so what looks damaged is looked at again after everything later was seen, as in `reader`.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{
    across::{foreign_from, resync},
    inspect,
    kept::{self, Kept},
};
use crate::{
    error::{Corruption, CorruptionReason, Result, WalError},
    format::{FrameWord, Kind, LogId, Manifest, Mark, timeline::Timeline},
    log::{
        base::{Base, Extent, Seen},
        open::{
            keeper, reader,
            recover::{self, Access},
            staged, waiting,
        },
        read::{
            find, iter,
            record::{Record, RecordKind},
            scan::{Frame, Place, Walker},
        },
    },
    lsn::Lsn,
    staging::leftover::Leftover,
    storage::{FileStore, Latched, SegmentedStore, System, fs::FileSystem},
    sync::{Arc, Mutex},
};

/// One thing that salvage found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SalvageItem {
    /// A record that is intact.
    Record(Record),
    /// A schema record that is intact: one of the log's own notes, which is no record of the application and not counted
    /// as one. [`Schemas::take`](crate::schema::Schemas::take) takes it in.
    Schema(Record),
    /// A record that is in staging memory only: appended, by a process that died or by one that is at work, and not durable.
    /// They come last.
    Staged(Record),
    /// A place where the log is damaged. Records may be missing between the record before and the one after.
    Damage(Corruption),
}

/// The readable records of a log in any state, from [`salvage`].
///
/// Without a manifest it is not known which records were cut off by a truncation, so those are found as well.
pub struct Salvage {
    pub(super) base: Base,
    pub(super) walker: Walker,
    segments: Listing,
    head: u64,
    /// After the last record that was handed out.
    past: u64,
    /// Where what is in the store ends.
    stop: Option<Place>,
    /// How often what may be half of a write was read again.
    looks: u32,
    /// Damage was handed out last.
    is_after_damage: bool,
    phase: Phase,
}

/// The numbers of the segments that are there, in order: in between there may be room for more than anybody can try. The
/// directory is listed when that is asked, which a log that is intact never does: its writer would have to wait.
struct Listing {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    segments: Option<Vec<u64>>,
}

impl Listing {
    fn get(&mut self) -> &[u64] {
        let (fs, path) = (&self.fs, &self.path);
        self.segments.get_or_insert_with(|| {
            let segments = inspect::segments(fs, path).unwrap_or_default();
            segments.iter().map(|segment| segment.index).collect()
        })
    }

    fn after(&mut self, segment: u64) -> u64 {
        let segments = self.get();
        let behind = segments.partition_point(|&there| there <= segment);
        segments.get(behind).copied().unwrap_or(u64::MAX)
    }

    fn foreign_from(&mut self, base: &Base, pos: u64) -> Option<Corruption> {
        foreign_from(base, self.get().iter().copied(), pos)
    }
}

enum Phase {
    /// Those before the head.
    Schemas(std::vec::IntoIter<Record>),
    Store,
    /// Once more from where the store ended, after this was read from staging memory, and after the manifest had this
    /// mark.
    Rest(Option<Leftover>, u64),
    Staged(std::vec::IntoIter<(u64, FrameWord, Bytes)>),
    Done,
}

pub(super) enum Found {
    /// A schema that lies before the head.
    Before(Record),
    /// In the store; the walker has its payload.
    Frame(Frame),
    Staged(u64, FrameWord, Bytes),
    Damage(Corruption),
}

impl std::fmt::Debug for Salvage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Salvage")
            .field("base", &self.base)
            .field("walker", &self.walker)
            .finish_non_exhaustive()
    }
}

/// Reads every record that is still intact in the log at `path`, in order, across damage, with or without a manifest.
/// Changes nothing. What is in staging memory only comes last.
///
/// The path of a file that keeps what was cut off a log ([`Cut::kept_at`](crate::recovery::Cut::kept_at)) will do as well,
/// as long as it lies where it was made: the records in it come with the LSNs that they had.
///
/// It works beside a writer: a place is called damaged only if it still is after whatever came later was seen, and the
/// manifest still names it.
///
/// # Errors
/// [`WalError::NotALog`] if nothing tells which log it is, and [`WalError::Io`].
pub fn salvage(path: impl AsRef<Path>) -> Result<Salvage> {
    let path = path.as_ref();
    salvage_on(Arc::new(System), path).map_err(|error| error.located(Some(path)))
}

pub(crate) fn salvage_on(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Salvage> {
    let Remains {
        store,
        log,
        manifest,
        first,
    } = open_damaged(&fs, path)?;
    let (extent, segment_len) = match &manifest {
        Some(manifest) => {
            // A missing or foreign segment is what the walk will report.
            let attached = recover::attach(&store, manifest, Access::ReadInUse);
            let _ = attached.or_else(|_| recover::attach(&store, manifest, Access::Read));
            (Extent::of(manifest), manifest.segment_len)
        }
        None => {
            let extent = Extent {
                head: first,
                head_group: first,
                head_ordinal: 0,
                dropped: 0,
                timeline: Timeline::default(),
            };
            (extent, store.segment_len().unwrap_or(0))
        }
    };
    let end = store.len().map_err(WalError::io("reading the log's length"))?;
    let (head, group) = (extent.head, extent.head_group);
    let mark = Mark {
        pos: end,
        ..Mark::default()
    };
    let mut base = Base::new(store, log, segment_len, extent, mark);
    base.seen = manifest.map(Seen::of).map(Mutex::new);
    // The schemas of the first records may lie before them. If damage hides them, what is there before the head is read.
    let newest = base.seen_manifest().and_then(|manifest| manifest.schema);
    let (before, first) = match base.schemas_before(newest, group) {
        Ok(before) => (before, group),
        Err(_) => (Vec::new(), base.window_start(group)),
    };
    let walker = Walker::new(base.extent(), first, end).with_schemas();
    Ok(Salvage {
        base,
        walker,
        segments: Listing {
            fs,
            path: path.to_owned(),
            segments: None,
        },
        head,
        past: 0,
        stop: None,
        looks: 0,
        is_after_damage: false,
        phase: Phase::Schemas(before.into_iter()),
    })
}

struct Remains {
    store: Latched,
    log: LogId,
    manifest: Option<Manifest>,
    /// Where to start without a manifest.
    first: u64,
}

fn open_damaged(fs: &Arc<dyn FileSystem>, path: &Path) -> Result<Remains> {
    if !reader::is_dir(fs, path) {
        let store = match FileStore::open_read_only_on(fs.clone(), path) {
            Err(error @ WalError::NotALog { .. }) => {
                return kept(fs, path).ok_or(error);
            }
            store => store?,
        };
        let of_header = store.log_id();
        let store = Latched::new(Box::new(store));
        let manifest = keeper::read_remains(&store).1;
        let log = manifest.as_ref().map(|manifest| manifest.log).or(of_header);
        let reason = "neither its manifest nor its segment header is intact";
        let log = log.ok_or_else(|| WalError::NotALog {
            path: path.to_owned(),
            reason,
        })?;
        return Ok(Remains {
            store,
            log,
            manifest,
            first: 0,
        });
    }
    if let Ok(store) = SegmentedStore::open_read_only_on(fs.clone(), path) {
        let store = Latched::new(Box::new(store));
        if let Some(manifest) = keeper::read_remains(&store).1 {
            return Ok(Remains {
                store,
                log: manifest.log,
                manifest: Some(manifest),
                first: 0,
            });
        }
    }
    let (store, log, indexes) = SegmentedStore::open_segments(fs.clone(), path)?;
    let first = indexes.start() * store.segment_size();
    Ok(Remains {
        store: Latched::new(Box::new(store)),
        log,
        manifest: None,
        first,
    })
}

/// What was cut off a log and kept aside. The log says which one it is, if anything is left of it; its timeline says
/// nothing of what it does not hold any more.
fn kept(fs: &Arc<dyn FileSystem>, path: &Path) -> Option<Remains> {
    let (log, start) = kept::log_of(path)?;
    // A file of such a name is no log by itself.
    kept::log_of(&log).is_none().then_some(())?;
    let log = open_damaged(fs, &log).ok()?.log;
    let store = Kept::open(fs, path, start).ok()?;
    Some(Remains {
        store: Latched::new(Box::new(store)),
        log,
        manifest: None,
        first: start,
    })
}

impl Iterator for Salvage {
    type Item = Result<SalvageItem>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.next_found()?;
        Some(found.map(|found| self.item(found)))
    }
}

impl Salvage {
    /// Finds voids as well.
    #[cfg(feature = "testing")]
    pub(super) fn thorough(mut self) -> Self {
        self.walker = self.walker.thorough();
        self
    }

    pub(super) fn next_found(&mut self) -> Option<Result<Found>> {
        loop {
            match &mut self.phase {
                Phase::Schemas(schemas) => match schemas.next() {
                    Some(schema) => return Some(Ok(Found::Before(schema))),
                    None => self.phase = Phase::Store,
                },
                Phase::Staged(frames) => {
                    let staged = |(pos, word, data)| Ok(Found::Staged(pos, word, data));
                    return frames.next().map(staged);
                }
                _ => {}
            }
            if matches!(self.phase, Phase::Done) {
                return None;
            }
            match self.next_in_store() {
                Some(Err(error)) => {
                    self.phase = Phase::Done;
                    return Some(Err(error));
                }
                Some(found) => {
                    self.is_after_damage = matches!(found, Ok(Found::Damage(_)));
                    return Some(found);
                }
                None => {
                    if let Some(lost) = self.at_the_end_of_the_store() {
                        return Some(Ok(Found::Damage(lost)));
                    }
                }
            }
        }
    }

    fn next_in_store(&mut self) -> Option<Result<Found>> {
        let mut found = self.walker.next_frame(&self.base);
        loop {
            let damage = match found {
                None => return None,
                // Before the head only schemas count, because they describe what follows.
                Some(Ok(frame)) if frame.pos < self.head && frame.word.kind != Kind::Schema => {
                    found = self.walker.next_frame(&self.base);
                    continue;
                }
                Some(Ok(frame)) => {
                    self.past = frame.end();
                    return Some(Ok(Found::Frame(frame)));
                }
                Some(Err(error)) => match self.as_damage(error) {
                    Ok(Some(damage)) => damage,
                    Ok(None) => {
                        found = self.walker.next_frame(&self.base);
                        continue;
                    }
                    Err(error) => return Some(Err(error)),
                },
            };
            match self.judge(&damage) {
                Ok(Verdict::Damage) => return Some(Ok(Found::Damage(damage))),
                Ok(Verdict::End) => return None,
                Ok(Verdict::GoOn) => found = self.walker.next_frame(&self.base),
                Ok(Verdict::Look(again)) => found = again,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn item(&self, found: Found) -> SalvageItem {
        let (record, of_records): (_, fn(Record) -> SalvageItem) = match found {
            Found::Before(schema) => return SalvageItem::Schema(schema),
            Found::Damage(damage) => return SalvageItem::Damage(damage),
            Found::Frame(frame) => (iter::owned(&self.walker, &frame), SalvageItem::Record),
            Found::Staged(pos, word, data) => {
                let record = Record {
                    lsn: Lsn::from_pos(pos),
                    kind: RecordKind::of(word.kind),
                    more: word.more,
                    data,
                };
                (record, SalvageItem::Staged)
            }
        };
        match record.kind {
            RecordKind::Schema => SalvageItem::Schema(record),
            _ => of_records(record),
        }
    }

    /// The damage that an error tells of; `None` if the log has moved on, and the walk with it.
    fn as_damage(&mut self, error: WalError) -> Result<Option<Corruption>> {
        match error {
            WalError::Corruption(damage) => Ok(Some(damage)),
            WalError::Truncated { .. } if self.base.now().head_group > self.walker.pos() => {
                let (now, pos) = (self.base.now(), self.walker.pos());
                if now.head == self.head {
                    // Before the head only schemas count, and damage there is not reported.
                    self.resync()?;
                }
                if self.walker.pos() == pos {
                    self.head = now.head;
                    self.walker.jump(now.head_group);
                }
                Ok(None)
            }
            WalError::UnsupportedVersion { .. } => {
                let pos = self.walker.pos();
                match self.segments.foreign_from(&self.base, pos) {
                    Some(damage) => Ok(Some(damage)),
                    None => Err(error),
                }
            }
            error => Err(error),
        }
    }

    /// Goes on after a place that looks damaged, and says what it is.
    fn judge(&mut self, damage: &Corruption) -> Result<Verdict> {
        let here = self.walker.place();
        // What was never written is the end of the log, unless something follows it.
        let never_written = self.walker.is_at_zeros(&self.base);
        self.resync()?;
        let there = self.walker.place();
        let nothing_follows = self.walker.pos() >= self.walker.end();
        let unfinished = self.unfinished(here.group_start());
        // What follows was written later, and everything called written or durable was so before it was said. Unless
        // this is damaged, it is whole by now.
        self.walker.go_to(&here);
        match self.walker.next_frame(&self.base) {
            Some(Err(error)) => match self.as_damage(error)? {
                Some(again) if again.start == damage.start => {}
                Some(other) => return Ok(Verdict::Look(Some(Err(other.into())))),
                None => return Ok(Verdict::GoOn),
            },
            found => return Ok(Verdict::Look(found)),
        }
        if self.has_grown()? {
            self.stop = Some(here);
            return Ok(Verdict::End);
        }
        match unfinished {
            Unfinished::Staged => {
                self.stop = Some(here);
                return Ok(Verdict::End);
            }
            Unfinished::Perhaps if !never_written && self.looks < reader::LOOKS => {
                self.looks += 1;
                reader::pause(1 << self.looks);
                self.walker.go_to(&here);
                return Ok(Verdict::GoOn);
            }
            _ => {}
        }
        self.walker.go_to(&there);
        if !never_written || !nothing_follows {
            return Ok(Verdict::Damage);
        }
        self.stop = Some(here);
        Ok(Verdict::End)
    }

    /// Whether the group at hand reaches over the end of the log only because that was asked for before it was written.
    fn has_grown(&self) -> Result<bool> {
        if self.base.seen.is_none() {
            return Ok(false);
        }
        let reach = self.base.reach()?;
        let header = find::read_header(&self.base, self.walker.pos());
        let next = header
            .ok()
            .and_then(std::result::Result::ok)
            .map(|header| header.next());
        Ok(next.is_some_and(|next| next > self.walker.end() && next <= reach))
    }

    /// Whether what lies in a group that is not whole may be half of a write: of the newest records, which nobody has called
    /// durable.
    fn unfinished(&self, group: u64) -> Unfinished {
        self.base.now();
        let Some(manifest) = self.base.seen_manifest() else {
            return Unfinished::No;
        };
        let leftover = waiting::find_leftover(&self.base, &manifest).0;
        let leftover = leftover.map(|(_, leftover)| leftover);
        let durable = leftover.as_ref().and_then(|leftover| leftover.durable);
        if group < manifest.mark.pos.max(durable.unwrap_or(0)) {
            return Unfinished::No;
        }
        match leftover {
            None => Unfinished::Perhaps,
            Some(leftover) if !recover::same_boot(&self.base, &leftover.header) => Unfinished::No,
            Some(leftover) if leftover.released <= group => Unfinished::Staged,
            Some(_) => Unfinished::No,
        }
    }

    /// Reads staging memory, and then the store once more from where it ended: what was staged is in one of the two.
    /// Returns what is lost if the store ends too early.
    fn at_the_end_of_the_store(&mut self) -> Option<Corruption> {
        let stop = self.stop.take().unwrap_or_else(|| self.walker.place());
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        self.base.now();
        let manifest = self.base.seen_manifest();
        self.phase = match (phase, manifest) {
            (Phase::Store, Some(manifest)) => {
                let leftover = waiting::read_leftover(&self.base, &manifest);
                let end = self.base.reach().unwrap_or(0).max(self.walker.end());
                self.walker.go_to(&stop);
                self.walker.extend(self.base.now(), end);
                Phase::Rest(leftover, manifest.mark.pos)
            }
            (Phase::Rest(leftover, mark), _) => {
                let written = leftover
                    .as_ref()
                    .map_or(0, |leftover| self.was_written(leftover))
                    .max(mark);
                let staged = leftover.map(|leftover| self.staged(&leftover, &stop));
                self.phase = Phase::Staged(staged.unwrap_or_default().into_iter());
                let end = self.base.extent().skip_cut(stop.next());
                let is_lost = end < written && !self.is_after_damage;
                return is_lost.then(|| self.base.damage(end, written, CorruptionReason::Short));
            }
            _ => Phase::Done,
        };
        None
    }

    /// Up to where staging memory says that the store has the log.
    fn was_written(&self, leftover: &Leftover) -> u64 {
        let durable = leftover.durable.unwrap_or(0);
        match recover::same_boot(&self.base, &leftover.header) {
            true => durable.max(leftover.released),
            false => durable,
        }
    }

    /// What staging memory has of the records after the end of the store. Whatever was published counts, as when the
    /// log is opened after the death of its writer.
    fn staged(&self, leftover: &Leftover, stop: &Place) -> Vec<(u64, FrameWord, Bytes)> {
        let start = self.base.extent().skip_cut(stop.group_start());
        let key = self.base.key(leftover.header.epoch);
        let complete = recover::same_boot(&self.base, &leftover.header);
        let staged = staged::collect(leftover, start.max(leftover.released), complete, key);
        let frames = staged.into_iter().flat_map(staged::Staged::into_frames);
        frames.filter(|(pos, _, _)| *pos >= self.past).collect()
    }

    fn resync(&mut self) -> Result<()> {
        let segments = RefCell::new(&mut self.segments);
        let next = |segment| segments.borrow_mut().after(segment);
        let foreign = |base: &Base, pos| segments.borrow_mut().foreign_from(base, pos);
        resync(&mut self.walker, &self.base, next, foreign)
    }
}

/// What a place that cannot be read turned out to be.
enum Verdict {
    Damage,
    /// The end of what is in the store.
    End,
    GoOn,
    /// It is no damage any more, or another one.
    Look(Option<Result<Frame>>),
}

enum Unfinished {
    No,
    /// There is no staging memory that would tell.
    Perhaps,
    /// Staging memory has what belongs here.
    Staged,
}
