//! Opening for reading only, and keeping up with a writer in another process.
//!
//! A reader takes no lock, so what it reads one after the other is of different moments. It rests on the order in which
//! a writer works, `docs/format.md`, "Reading beside a writer": nothing is called damage before the place and the
//! manifest were read again, and neither has moved.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    in_memory::InMemory,
    keeper::{self, Loaded, read_copies},
    recover::{self, Access, Found, Stop, Survey},
    staged::{self, Staged},
    waiting::{Waiting, meet, scan_on},
};
use crate::{
    config::{OpenPolicy, WalConfig},
    error::{Corruption, CorruptionReason, Result, WalError},
    format::{GROUP_HEADER_LEN, Manifest, Mark},
    log::{
        base::{Base, Extent, Seen, mark_after},
        read::{find, view::View},
        report::{Cut, RecoveryReport},
    },
    lsn::Lsn,
    metrics::nanos,
    staging::leftover::Leftover,
    storage::{FileStore, Latched, SegmentedStore, System, WalStore, fs::FileSystem},
    sync::{Arc, Bell, Mutex},
};

/// How often the log may move on while it is opened. Then it is read up to the manifest's mark, which is as good: the
/// last manifest was written by a truncation that came after the first try, when everything was durable.
const TRIES: u32 = 8;

/// How often bytes that look damaged are read again before they are. Only a log without staging memory comes to the
/// last of them: of other logs it is known what is being written.
pub(crate) const LOOKS: u32 = 6;

struct Looked {
    found: Found,
    damage: Option<Corruption>,
    /// After the last byte that is not zero.
    used: u64,
    scanned: u64,
    staged: Option<Staged>,
    has_staging: bool,
    staging_ignored: bool,
}

pub(crate) fn read_only_store(path: &Path) -> Result<Box<dyn WalStore>> {
    let fs: Arc<dyn FileSystem> = Arc::new(System);
    store_to_read(&fs, path)
}

pub(crate) fn store_to_read(fs: &Arc<dyn FileSystem>, path: &Path) -> Result<Box<dyn WalStore>> {
    Ok(if is_dir(fs, path) {
        Box::new(SegmentedStore::open_read_only_on(fs.clone(), path)?)
    } else {
        Box::new(FileStore::open_read_only_on(fs.clone(), path)?)
    })
}

pub(crate) fn is_dir(fs: &Arc<dyn FileSystem>, path: &Path) -> bool {
    fs.open_dir(path).is_ok()
}

pub(crate) fn open(store: Box<dyn WalStore>, config: WalConfig) -> Result<View> {
    let (location, start) = (store.location(), Instant::now());
    config.check()?;
    let view = open_latched(Latched::new(store), config);
    let view = view.map_err(|error| error.located(location.as_deref()))?;
    view.base.store.meter.opened_in.add(nanos(start.elapsed()));
    Ok(view)
}

pub(crate) fn open_latched(store: Latched, config: WalConfig) -> Result<View> {
    let mut copies = read_copies(&store)?;
    let first = &copies.newest;
    let base = Base::of(store, first);
    let (mut tries, mut looks) = (1, 0);
    let looked = loop {
        let looked = look(&base, &copies);
        match &looked {
            Ok(Looked { damage: None, .. }) => break looked?,
            Err(error) if !may_have_moved(error) => break looked?,
            _ => {}
        }
        let now = read_copies(&base.store)?;
        if now.newest == copies.newest || now.newest.log != base.log {
            looks += 1;
            if looks > LOOKS || !looked.as_ref().is_ok_and(Looked::may_be_unfinished) {
                break looked?;
            }
            pause(1 << looks);
            continue;
        }
        copies = now;
        base.set_extent(Extent::of(&copies.newest));
        tries += 1;
        if tries > TRIES {
            break Looked::up_to_the_mark(&copies.newest);
        }
    };
    if let Some(damage) = &looked.damage
        && config.open_policy() == OpenPolicy::Exact
    {
        return Err(WalError::Corruption(damage.clone()));
    }
    opened(base, copies, looked, config)
}

fn opened(mut base: Base, copies: Loaded, looked: Looked, config: WalConfig) -> Result<View> {
    let Looked { found, used, .. } = looked;
    let (manifest, mark) = (copies.newest, found.mark);
    let end = mark.pos;
    let staged = looked
        .staged
        .map(|staged| Arc::new(into_log(staged, &base, &mark, &manifest, config)));
    let staged_end = staged.as_ref().map_or(end, |staged| staged.base.written());
    let report = RecoveryReport {
        scanned_bytes: looked.scanned,
        found_records: mark.ordinal.saturating_sub(manifest.mark.ordinal),
        staged_records: staged.as_ref().map_or(0, |staged| staged.record_count()),
        clean: end == manifest.mark.pos && used <= end && staged.is_none(),
        cut: (used > end).then_some(Cut {
            start: end,
            end: used,
            kept_at: None,
        }),
        damage: looked.damage,
        manifest_copy_damaged: copies.damaged.is_some(),
        staging_ignored: looked.staging_ignored,
        end: Lsn::from_pos(staged_end + GROUP_HEADER_LEN as u64),
        epoch: manifest.timeline.newest().epoch,
        ..RecoveryReport::default()
    };
    base.set_written(mark);
    base.raise_durable(boundary(&base, found.durable, &manifest.mark));
    let newest_schema = found.schema.or(manifest.schema);
    base.seen = Some(Mutex::new(Seen { manifest, mark }));
    let view = View::new(base, config, report, newest_schema, None);
    view.set_staged(staged);
    Ok(view)
}

/// Whether a writer that does its work can have led to this.
fn may_have_moved(error: &WalError) -> bool {
    match error {
        WalError::Corruption(_) | WalError::Truncated { .. } => true,
        // A name that was listed a moment ago.
        WalError::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

pub(crate) fn pause(milliseconds: u64) {
    Bell::new().sleep_unless(Some(Duration::from_millis(milliseconds)), || false);
}

impl Looked {
    /// Whether the end may be half of a write that is under way: nobody has called it durable, and there is no staging
    /// memory that would tell.
    fn may_be_unfinished(&self) -> bool {
        self.found.mark.pos >= self.found.durable && !self.has_staging
    }

    fn up_to_the_mark(manifest: &Manifest) -> Looked {
        Looked {
            found: Found {
                mark: manifest.mark,
                durable: manifest.mark.pos,
                schema: None,
                stop: Stop::Nothing,
            },
            damage: None,
            used: manifest.mark.pos,
            scanned: 0,
            staged: None,
            has_staging: false,
            staging_ignored: false,
        }
    }
}

/// Finds the end of the log. What comes while it looks is left for later, so the work is bounded by what was there.
fn look(base: &Base, copies: &Loaded) -> Result<Looked> {
    let manifest = &copies.newest;
    let access = match manifest.staging {
        // A damaged copy may have been the newer one, and have named more segments.
        Some(_) if copies.damaged.is_none() => Access::ReadInUse,
        _ => Access::Read,
    };
    recover::attach(&base.store, manifest, access)?;
    let (mut waiting, staging_ignored) = Waiting::find(base, manifest);
    let len = base
        .store
        .len()
        .map_err(WalError::io("reading the log's length"))?;
    if len < manifest.mark.pos {
        let damage = base.damage(len, manifest.mark.pos, CorruptionReason::Short);
        return Err(WalError::Corruption(damage));
    }
    recover::check_mark(base, manifest)?;
    let mut found = recover::scan_to_end(base, manifest.mark, len)?;
    meet(base, &mut waiting, &mut found, len)?;
    let survey = match &waiting {
        Some(waiting) if waiting.nothing_follows(base, &found) => Survey::nothing(found.mark.pos),
        _ => recover::survey(base, &base.extent(), found.mark.pos, len)?,
    };
    let durable = waiting.as_ref().and_then(|waiting| waiting.leftover.durable);
    found.durable = found.durable.max(survey.durable).max(manifest.mark.pos);
    found.durable = found.durable.max(durable.unwrap_or(0));
    // It may have grown since it was asked for its length.
    let limit = len.max(found.durable);
    let leftover = waiting.as_ref().map(|waiting| &waiting.leftover);
    let damage = settle(base, &mut found, leftover, limit)?;
    if waiting
        .as_ref()
        .is_some_and(|waiting| found.mark.pos > waiting.gap)
    {
        meet(base, &mut waiting, &mut found, limit)?;
    }
    // A claim may be published at any moment, so what comes after it is not shown before it is.
    let end = found.mark.pos;
    let has_staging = waiting.is_some();
    let staged = waiting
        .filter(|_| damage.is_none())
        .and_then(|waiting| staged::collect(&waiting.leftover, end, false, waiting.key));
    Ok(Looked {
        found,
        damage,
        used: survey.used.max(end),
        scanned: survey.read + end.saturating_sub(manifest.mark.pos),
        staged,
        has_staging,
        staging_ignored,
    })
}

/// Goes on to where the log ends by now, up to `limit`, and says what is wrong there, if anything is.
fn settle(
    base: &Base,
    found: &mut Found,
    leftover: Option<&Leftover>,
    limit: u64,
) -> Result<Option<Corruption>> {
    loop {
        let damage = recover::judge(base, found, leftover);
        if damage.is_none() {
            return Ok(damage);
        }
        let was = found.mark.pos;
        // What the headers after it, staging memory or the mark call durable was written before they said so.
        scan_on(base, found, limit)?;
        if found.mark.pos == was {
            return Ok(recover::judge(base, found, leftover));
        }
    }
}

/// The last place up to `durable`, which is not before the mark, where a group starts or the log ends. A header of
/// another writer may name any sector.
fn boundary(base: &Base, durable: u64, mark: &Mark) -> u64 {
    let end = base.written();
    if durable >= end || durable <= mark.pos {
        return durable.min(end);
    }
    match find::find_group(base, &base.extent(), durable - 1) {
        Ok(header) if header.next() <= durable => header.next(),
        Ok(header) => header.pos,
        Err(_) => mark.pos,
    }
}

/// What staging memory holds, as a log that goes on where the one in the store ends.
fn into_log(staged: Staged, base: &Base, mark: &Mark, manifest: &Manifest, config: WalConfig) -> View {
    let last_schema = staged.last_schema();
    let epoch = manifest.timeline.newest().epoch;
    let (bytes, header) = staged.into_group(base.log, mark, epoch, mark.pos);
    let extent = Extent {
        head: mark.pos + GROUP_HEADER_LEN as u64,
        head_group: mark.pos,
        head_ordinal: mark.ordinal,
        dropped: 0,
        timeline: manifest.timeline.clone(),
    };
    let store = Latched::new(Box::new(InMemory {
        start: mark.pos,
        bytes,
    }));
    let base = Base::new(store, base.log, base.segment_len, extent, *mark);
    base.set_written(mark_after(&header, base.log));
    View::new(base, config, RecoveryReport::default(), last_schema, None)
}

impl Base {
    /// What truncations have left of the log by now. For a handle that writes that is known; one that only reads looks at
    /// the manifest again.
    pub(crate) fn now(&self) -> Arc<Extent> {
        if let Some(seen) = &self.seen {
            let known = seen.lock().manifest.clone();
            let newest = keeper::newest_now(&self.store, &known);
            self.take(&mut seen.lock(), newest);
        }
        self.extent()
    }

    /// The log does not reach further now. A segment that the manifest does not name is empty, so no reader looks for it:
    /// the writer waits while a name that is not there is looked up.
    pub(in crate::log) fn reach(&self) -> Result<u64> {
        self.now();
        match (self.seen_manifest(), self.segment_len) {
            (Some(manifest), len) if len > 0 => Ok((manifest.newest_segment + 1).saturating_mul(len)),
            _ => self.store.len().map_err(WalError::io("reading the log's length")),
        }
    }

    fn take(&self, seen: &mut Seen, newest: Option<Manifest>) {
        let Some(newest) = newest.filter(|newest| newest.log == self.log) else {
            return;
        };
        if newest.generation <= seen.manifest.generation {
            return;
        }
        let is_cut = newest.timeline != seen.manifest.timeline;
        let extent = Extent::of(&newest);
        if extent != *self.extent() {
            self.set_extent(extent);
            // Names of segments may stand for other files by now. What is missing is met when it is read.
            let _ = recover::attach(&self.store, &newest, Access::ReadInUse);
        }
        if is_cut || newest.mark.pos >= seen.mark.pos {
            seen.mark = newest.mark;
        }
        seen.manifest = newest;
    }
}

impl View {
    /// Looks how far the log was written by now, for a handle that only reads; with `staged`, also at what waits in
    /// staging memory, from now on.
    pub(crate) fn refresh(&self, staged: bool) -> Result<()> {
        let Some(seen_last) = &self.base.seen else {
            return Ok(());
        };
        // One at a time. What was seen is not locked while the log is read: a read that meets a missing segment looks
        // there.
        let mut refreshing = self.refreshing.lock();
        *refreshing |= staged;
        let staged = *refreshing;
        for is_last in (0..TRIES).map(|n| n + 1 == TRIES) {
            self.base.now();
            let was = seen_last.lock().clone();
            let caught_up = self.catch_up(&was, staged);
            self.base.now();
            let mut seen = seen_last.lock();
            match caught_up {
                Err(error) if may_have_moved(&error) => {
                    if is_last || seen.manifest.generation == was.manifest.generation {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
                Ok(_) if seen.manifest.timeline != was.manifest.timeline && !is_last => {}
                Ok(caught_up) => {
                    if seen.manifest.timeline == was.manifest.timeline {
                        seen.mark = caught_up.mark;
                    }
                    drop(seen);
                    self.show(caught_up);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn show(&self, caught_up: CaughtUp) {
        let base = &self.base;
        base.set_written(caught_up.mark);
        self.set_staged(caught_up.staged);
        // Before the records that it describes are shown.
        self.dictionary.see(caught_up.schema);
        base.raise_durable(boundary(base, caught_up.durable, &caught_up.from));
    }

    /// The manifest of a log that ends where this one does, for a handle that only reads.
    pub(crate) fn manifest_of_view(&self) -> Result<Manifest> {
        self.refresh(true)?;
        let seen = self.base.seen.as_ref().ok_or(WalError::ReadOnly)?.lock();
        let (mark, schema) = (seen.mark, self.dictionary.newest_before(seen.mark.pos));
        Ok(Manifest {
            mark,
            schema: schema.or(seen.manifest.schema),
            ..seen.manifest.clone()
        })
    }

    /// Follows the groups from `mark` on, and says up to where it would have.
    fn read_on(&self, mark: Mark, waiting: Option<&Waiting>) -> Result<(Found, u64)> {
        let limit = match waiting {
            // What was appended by now ends before this. The two words are not read at one moment.
            Some(waiting) => waiting.leftover.end().max(waiting.leftover.durable.unwrap_or(0)),
            None => self.base.reach()?,
        };
        Ok((recover::scan_to_end(&self.base, mark, limit)?, limit))
    }

    /// Reads on from where the last look ended.
    fn catch_up(&self, seen: &Seen, staged: bool) -> Result<CaughtUp> {
        let base = &self.base;
        // Read first: what it calls durable was in the store by then.
        let mut waiting = Waiting::find(base, &seen.manifest).0;
        let durable = waiting.as_ref().and_then(|waiting| waiting.leftover.durable);
        let durable = durable.unwrap_or(0).max(seen.manifest.mark.pos);
        let (mut found, limit) = self.read_on(seen.mark, waiting.as_ref())?;
        found.durable = found.durable.max(durable);
        if found.mark.pos < found.durable {
            let damage = base.damage(found.mark.pos, found.durable, CorruptionReason::GroupHeader);
            return Err(damage.into());
        }
        if staged {
            meet(base, &mut waiting, &mut found, limit)?;
        }
        let staged = waiting
            .filter(|_| staged)
            .and_then(|waiting| staged::collect(&waiting.leftover, found.mark.pos, false, waiting.key));
        // An earlier look may have gone further than the manifest's mark.
        let is_kept = |pos: &u64| seen.manifest.timeline.cut_around(*pos).is_none();
        let known = self.dictionary.newest_before(seen.mark.pos).filter(is_kept);
        Ok(CaughtUp {
            staged: staged.map(|staged| {
                let log = into_log(staged, base, &found.mark, &seen.manifest, self.config);
                Arc::new(log)
            }),
            mark: found.mark,
            durable: found.durable,
            schema: found.schema.or(known.max(seen.manifest.schema)),
            from: seen.manifest.mark,
        })
    }
}

struct CaughtUp {
    mark: Mark,
    durable: u64,
    schema: Option<u64>,
    staged: Option<Arc<View>>,
    from: Mark,
}
