//! What writes a log, and what its threads share.

use std::{any::Any, collections::BTreeMap, fs::File, io, ops::Deref, sync::Weak, time::Instant};

use super::{
    background::BackgroundWork,
    commit::{Line, Waiting},
    committer::Committer,
    dictionary::Covered,
    growth::{Growth, first_bytes},
    room::Room,
    truncate::Needs,
    turn::{Held, Turn},
    turnstile::Turnstile,
};
use crate::{
    config::{NotMapped, Staging, StagingInUse, WalConfig},
    error::{Result, WalError},
    for_now::{is_for_now, is_full},
    format::{GROUP_HEADER_LEN, Manifest, Mark, staging::StagingHeader},
    log::{
        base::Base,
        closure,
        open::{
            keeper,
            recover::{self, Opened},
        },
        read::view::{Drain, View},
    },
    metrics::nanos,
    staging::{
        leftover,
        memory::Memory,
        ring::{Ring, SLACK},
    },
    storage::{WalStore, place},
    sync::{Arc, Bell, Mutex},
};

/// A log that is open for writing: what its readers have, which it stands for by itself, and what writes.
pub(crate) struct Writer {
    pub(crate) view: Arc<View>,
    pub(crate) config: WalConfig,
    pub(crate) ring: Ring,
    pub(crate) committer: Mutex<Committer>,
    /// Locked while space is made ready or the file of staging memory changes, and before the manifest.
    pub(super) space: Mutex<()>,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) covered: Covered,
    pub(crate) line: Line,
    pub(crate) room: Room,
    pub(crate) background: BackgroundWork,
    pub(super) growth: Growth,
    pub(crate) turnstile: Turnstile,
    /// Those whose snapshots a store makes.
    pub(crate) states: Mutex<BTreeMap<String, Option<Weak<dyn Needs>>>>,
    /// Those that have a handle, each with what rings when the log is closed. Held while the files of consumers change, and
    /// before every other lock.
    pub(crate) consumers: Mutex<BTreeMap<String, Arc<Bell>>>,
    /// What all who index the log share.
    pub(crate) index: Mutex<Weak<dyn Any + Send + Sync>>,
    /// Held by what changes the files of an index: one that goes may still be about to.
    pub(crate) index_files: Mutex<()>,
    pub(crate) write_through: bool,
    pub(crate) staging: StagingInUse,
    /// An append is done when its record is in staging memory, and a claim fails in a child that was forked off.
    takes_at_once: bool,
    /// Whether everything was made durable for good. Locked while somebody does that.
    closed: Mutex<bool>,
}

impl Deref for Writer {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Drain for Writer {
    fn tail(&self) -> u64 {
        self.ring.tail()
    }

    fn drain(&self) -> Result<()> {
        if self.ring.tail() == self.base.written() + GROUP_HEADER_LEN as u64 {
            return Ok(());
        }
        Turn::take(self).run(|held| held.drain())
    }

    fn shut(&self) {
        self.ring.shut();
    }
}

/// Up to so much, as much space is made ready ahead of the tail as was written.
const AHEAD_EARLY: u64 = 4 << 20;

/// The most space that is made ready ahead of the tail, see [`Writer::ahead`]. After a crash all of it is looked at.
const AHEAD_MAX: u64 = 64 << 20;

/// And the most segments: making one takes some flushes, however short it is, and closing the log removes them again.
const SEGMENTS_AHEAD: u64 = 8;

/// How many of them are made before threads that wait for space go on.
const SEGMENTS_A_TURN: u64 = 4;

/// A crash makes the next opening read this much, and what was not durable.
const MARK_EVERY: u64 = if cfg!(wal_shuttle) { 4 << 10 } else { 8 << 20 };

impl Writer {
    pub(crate) fn open(store: Box<dyn WalStore>, config: WalConfig) -> Result<Arc<Writer>> {
        let (location, start) = (store.location(), Instant::now());
        let writer = Self::open_store(store, config).map_err(|error| error.located(location.as_deref()))?;
        writer.base.store.meter.opened_in.add(nanos(start.elapsed()));
        Ok(writer)
    }

    fn open_store(store: Box<dyn WalStore>, config: WalConfig) -> Result<Arc<Writer>> {
        config.check()?;
        let writer = Writer::begin(recover::open(store, &config)?, config)?;
        match writer.make_ready(0) {
            // A log on a full disk can be read, and truncated to make room; an append reports it.
            Err(error) if !error.is_for_now() => Err(error),
            _ => Ok(writer),
        }
    }

    /// Begins the newest epoch of the manifest: its staging memory is there before the manifest says so.
    fn begin(opened: Opened, config: WalConfig) -> Result<Arc<Writer>> {
        let Opened {
            base,
            mut manifest,
            report,
        } = opened;
        let epoch = manifest.timeline.newest().epoch;
        let (memory, staging) = staging_memory(&base, &mut manifest, &config)?;
        let write_through = matches!(staging, StagingInUse::WriteThrough | StagingInUse::Instead(_));
        keeper::write_manifest(&base.store, &mut manifest)?;
        let start = manifest.mark.pos;
        let (ring, consumer) = Ring::new(memory, start, base.key(epoch));
        ring.fault_in();
        let mark = Mark {
            epoch,
            ..manifest.mark
        };
        Ok(Arc::new_cyclic(|writer: &Weak<Writer>| Writer {
            view: Arc::new(View::new(
                base,
                config,
                report,
                manifest.schema,
                Some(writer.clone()),
            )),
            config,
            takes_at_once: !write_through && ring.refuses_children(),
            ring,
            committer: Mutex::new(Committer::new(consumer, mark)),
            space: Mutex::new(()),
            manifest: Mutex::new(manifest),
            covered: Covered::new(),
            line: Line::new(),
            room: Room::new(),
            background: BackgroundWork::new(writer, config.pool()),
            growth: Growth::new(),
            turnstile: Turnstile::new(),
            states: Mutex::new(BTreeMap::new()),
            consumers: Mutex::new(BTreeMap::new()),
            index: Mutex::new(Weak::<()>::new()),
            index_files: Mutex::new(()),
            write_through,
            staging,
            closed: Mutex::new(false),
        }))
    }

    /// Whether an append can be tried at once from here: if it must fail, the claim does.
    #[inline(always)]
    pub(crate) fn takes_at_once(&self) -> bool {
        self.takes_at_once && !closure::is_in_any()
    }

    /// Where the next record will be, at the least, and how often the end was cut off.
    #[cfg(feature = "testing")]
    pub(crate) fn end_and_cuts(&self) -> (u64, u64) {
        (self.ring.tail(), self.covered.cuts())
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.committer.is_locked()
    }

    /// Takes space on the disk so that `need` more bytes and what usually follows fit; not more than once per caller
    /// that finds it missing.
    pub(crate) fn make_ready(&self, need: u64) -> Result<()> {
        let _space = self.space.lock();
        if self.base.store.is_closed() || self.ring.is_shut() {
            // By somebody who had the space a moment ago.
            return Err(self.shut_error());
        }
        let tail = self.ring.tail();
        // Not a byte more: the preparer must not take space that an append was just refused.
        let least = self.ring.end_of(tail, need) + SLACK;
        let wanted = self.turn(least, least + self.ahead(tail));
        let ready = match self.base.store.prepare(wanted) {
            // What is left of the disk may be enough for now.
            Err(error) if is_for_now(&error) => self.base.store.prepare(least),
            result => result,
        };
        let ready = match ready {
            Ok(ready) => ready,
            // Where nobody needs it yet, an append finds out.
            Err(error) if is_full(&error) && need > 0 => {
                return Err(self.base.store.error(self.full(need, &error)));
            }
            Err(error) if is_full(&error) => {
                return Err(self.base.store.error(WalError::full(need, &error)));
            }
            Err(error) if is_for_now(&error) => {
                return Err(self.base.store.error(WalError::io("making a segment")(error)));
            }
            Err(_) => {
                self.fail();
                return Err(self.poisoned());
            }
        };
        let newest = match ready {
            u64::MAX => 0,
            ready => self.base.segment_of(ready.saturating_sub(1)).unwrap_or(0),
        };
        // Only now: making names takes long where many threads want the processor and somebody looks into the directory.
        // Those who move the head do not wait for it.
        let mut manifest = self.manifest.lock();
        let mark = self.base.flushed_mark();
        if newest > manifest.newest_segment || mark.pos >= manifest.mark.pos + MARK_EVERY {
            // The manifest knows a segment before the first byte goes into it, so that its loss is noticed, and names a
            // place to scan from that is not too far back.
            manifest.newest_segment = newest.max(manifest.newest_segment);
            self.set_mark(&mut manifest, mark);
            keeper::write_manifest(&self.base.store, &mut manifest).map_err(|_| {
                self.fail();
                self.poisoned()
            })?;
        }
        self.ring.set_disk(ready);
        self.growth.try_again();
        self.room.changed();
        Ok(())
    }

    /// Moves the manifest's mark, and what it says of the records before it.
    pub(crate) fn set_mark(&self, manifest: &mut Manifest, mark: Mark) {
        if self.covered.tells_all_before(mark.pos) {
            manifest.mark = mark;
            manifest.schema = self.dictionary.newest_before(mark.pos).or(manifest.schema);
        }
    }

    /// Whether space should be made ready before it is missed.
    pub(crate) fn should_make_ready(&self) -> bool {
        self.ring.waits_for_disk(self.ahead(self.ring.tail()) / 2)
    }

    fn ahead(&self, tail: u64) -> u64 {
        let written = tail.saturating_sub(self.report.end.pos());
        (written / 4)
            .max(written.min(AHEAD_EARLY))
            .max(self.base.store.prepare_step())
            .min(AHEAD_MAX)
            .min(self.segments(SEGMENTS_AHEAD))
    }

    /// How far to prepare in one turn, of what is wanted: a thread that waits for `least` does not wait for all of it.
    fn turn(&self, least: u64, wanted: u64) -> u64 {
        let ready = self.ring.disk().max(self.base.written());
        wanted.min(least.max(ready.saturating_add(self.segments(SEGMENTS_A_TURN))))
    }

    /// How many bytes so many segments hold; no bound in a log without segments.
    pub(super) fn segments(&self, count: u64) -> u64 {
        match self.base.segment_len {
            0 => u64::MAX,
            len => len.saturating_mul(count),
        }
    }

    /// Why a claim was refused for good.
    pub(crate) fn shut_error(&self) -> WalError {
        match self.base.store.cause() {
            Some(_) => self.poisoned(),
            None => WalError::Closed,
        }
    }

    /// After the store has failed: nothing more is taken, and every waiter wakes up. The flusher tells the tickets,
    /// because it holds no lock that a callback may want. Where there is none, nobody else would wake the tasks.
    pub(crate) fn fail(&self) {
        self.ring.shut();
        self.line.fail();
        self.background.ring_flusher();
        self.room.changed();
        self.base.progress.ring();
        if !self.flushes_by_itself() {
            self.wake_tasks();
        }
    }

    /// Makes everything durable and takes nothing more. The first call does it, and the others wait for it; if it could
    /// not, they try again.
    pub(crate) fn close(&self) -> Result<()> {
        let mut closed = self.closed.lock();
        if *closed {
            return Ok(());
        }
        self.ring.shut();
        self.room.changed();
        let mut told = Vec::new();
        let result = match self.is_poisoned() {
            true => Err(self.poisoned()),
            false => Turn::take(self).run(|held| held.finish(&mut told)),
        };
        let result = result.map_err(WalError::of_what_was_taken);
        *closed = result.is_ok();
        if result.is_ok() || self.is_poisoned() {
            // Nothing is left to be written, or nothing can be. A writer holds one of these.
            let consumers = self.consumers.lock();
            let _turn = Turn::take(self);
            let _space = self.space.lock();
            let _manifest = self.manifest.lock();
            self.base.store.close();
            consumers.values().for_each(|bell| bell.ring());
        }
        // What a callback does is not known.
        drop(closed);
        self.base.finish();
        self.tell_all(told, || Ok(()));
        self.wake_covered();
        if result.is_err() && !self.is_in_child() {
            // Nobody flushes any more.
            self.line.fail();
            self.tell_failed();
        }
        result
    }
}

impl Held<'_> {
    /// Makes everything durable and says so, for good. Puts those that the flush has covered into `told`.
    fn finish(&mut self, told: &mut Vec<Waiting>) -> Result<()> {
        let writer = self.writer;
        let flushed = self.commit();
        *told = writer.arrive(writer.base.durable(), false);
        flushed?;
        self.seal()?;
        writer.base.raise_durable(writer.base.flushed());
        let mark = self.committer.mark;
        let space = writer.space.lock();
        let mut manifest = writer.manifest.lock();
        writer.set_mark(&mut manifest, mark);
        manifest.newest_segment = writer.base.segment_of(mark.pos.saturating_sub(1)).unwrap_or(0);
        manifest.staging = None;
        keeper::write_manifest(&writer.base.store, &mut manifest)?;
        // The space ahead is not needed any more. If it cannot be given back now, the next opening does so, as after a
        // crash.
        match writer.base.store.truncate(mark.pos) {
            Err(error) if is_for_now(&error) => {}
            given_back => given_back.map_err(|error| {
                writer
                    .base
                    .store
                    .error(WalError::io("giving prepared space back")(error))
            })?,
        }
        self.shrink_for_good(&space);
        writer.ring.set_clean();
        Ok(())
    }
}

/// The memory in which records wait, and what it is. The manifest gets the number of one that survives the process.
fn staging_memory(
    base: &Base,
    manifest: &mut Manifest,
    config: &WalConfig,
) -> Result<(Memory, StagingInUse)> {
    manifest.staging = None;
    let max = config.staging_bytes() as u64;
    let in_use = match config.staging() {
        Staging::Heap => StagingInUse::Heap,
        Staging::WriteThrough => StagingInUse::WriteThrough,
        asked => {
            let header = StagingHeader {
                log: manifest.log,
                boot: base.store.boot_id(),
                epoch: manifest.timeline.newest().epoch,
                capacity: first_bytes(max),
                clean: false,
                number: random_number()?,
            };
            match mapped_memory(base, &header, max, asked == Staging::AlwaysMapped)? {
                Ok(memory) => {
                    manifest.staging = Some(header.number);
                    return Ok((memory, StagingInUse::Mapped));
                }
                Err(why) => StagingInUse::Instead(why),
            }
        }
    };
    // What a dead process left there has been recovered, and must not be found again.
    base.store
        .remove_staging()
        .map_err(WalError::io("removing the staging file"))?;
    Ok((Memory::heap(first_bytes(max), max), in_use))
}

fn mapped_memory(
    base: &Base,
    header: &StagingHeader,
    max: u64,
    always: bool,
) -> Result<std::result::Result<Memory, NotMapped>> {
    let making = WalError::io("making staging memory");
    if header.boot.is_none() && !always {
        return Ok(Err(NotMapped::UnknownBoot));
    }
    let why_not = |file: &File| place::why_not(file).filter(|_| !always);
    let made = || -> io::Result<_> {
        if let Some(file) = base.store.staging_file(false)?
            && why_not(&file).is_none()
            && let Some(memory) = Memory::mapped_again(&file, header, max)?
        {
            return Ok(Ok(memory));
        }
        let Some(file) = base.store.staging_file(true)? else {
            return Ok(Err(NotMapped::NoFile));
        };
        if let Some(why) = why_not(&file) {
            return Ok(Err(why));
        }
        leftover::fill(&file, header)?;
        Ok(Memory::map(&file, header, max).map_err(|error| NotMapped::Refused(error.to_string())))
    };
    made().map_err(|error| {
        // What a full disk took is free again.
        let _ = base.store.remove_staging();
        if is_full(&error) {
            return WalError::NoStagingSpace {
                bytes: header.capacity,
                path: None,
            };
        }
        making(error)
    })
}

/// A number that staging memory of the same log and epoch has by chance only.
fn random_number() -> Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_err(|error| WalError::io("making a random number")(io::Error::other(error.to_string())))?;
    Ok(u32::from_le_bytes(bytes).max(1))
}
