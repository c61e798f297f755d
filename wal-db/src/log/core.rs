//! The state that all handles of an open log share.

use std::{fs::File, io};

use super::{
    base::Base,
    open::{
        keeper,
        reader::{self, View},
        recover::{self, Opened},
        report::RecoveryReport,
    },
    read::ordinal::Ordinals,
    write::{
        background::Background,
        closure,
        commit::{Line, Waiting},
        dictionary::Dictionary,
        flush::Committer,
        hold::Holds,
        room::Room,
        turn::{Held, Turn},
    },
};
use crate::{
    config::{NotMapped, Staging, StagingInUse, WalConfig},
    error::{Result, WalError},
    for_now::{is_for_now, is_full},
    format::{Manifest, Mark, staging::StagingHeader},
    staging::{
        leftover,
        memory::Memory,
        ring::{Ring, SLACK},
    },
    storage::{Latched, WalStore, place},
    sync::{AtomicBool, Bell, Mutex, Ordering},
};

pub(crate) struct Core {
    pub(crate) base: Base,
    pub(crate) config: WalConfig,
    pub(crate) report: RecoveryReport,
    pub(crate) dictionary: Dictionary,
    pub(crate) holds: Holds,
    pub(crate) ordinals: Ordinals,
    /// `None` if the log is open for reading only.
    writer: Option<Writer>,
}

pub(crate) struct Writer {
    pub(crate) ring: Ring,
    pub(crate) committer: Mutex<Committer>,
    /// Locked while space is made ready, and before the manifest.
    space: Mutex<()>,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) line: Line,
    pub(crate) room: Room,
    /// Rings when the log was written or became durable; followers listen.
    pub(crate) progress: Bell,
    pub(crate) background: Background,
    pub(crate) write_through: bool,
    pub(crate) staging: StagingInUse,
    /// An append is done when its record is in staging memory, and a claim fails in a child that was forked off.
    takes_at_once: bool,
    /// Whether everything was made durable for good. Locked while somebody does that.
    closed: Mutex<bool>,
    /// Closing has ended: nothing will come any more.
    finished: AtomicBool,
}

/// The most space that is made ready ahead of the tail, see [`Core::ahead`]. After a crash all of it is looked at.
const AHEAD_MAX: u64 = 64 << 20;

/// And the most segments: making one takes some flushes, however short it is, and closing the log removes them again.
const SEGMENTS_AHEAD: u64 = 8;

/// How many of them are made before those who wait for space hear of it.
const SEGMENTS_A_TURN: u64 = 4;

/// A crash makes the next opening read this much, and what was not durable.
const MARK_EVERY: u64 = if cfg!(wal_shuttle) { 4 << 10 } else { 8 << 20 };

impl Core {
    pub(crate) fn open(store: Box<dyn WalStore>, config: WalConfig, read_only: bool) -> Result<Core> {
        let location = store.location();
        Self::open_store(store, config, read_only).map_err(|error| error.located(location.as_deref()))
    }

    fn open_store(store: Box<dyn WalStore>, config: WalConfig, read_only: bool) -> Result<Core> {
        config.check()?;
        let Opened {
            base,
            manifest,
            newest_schema,
            report,
        } = if read_only {
            reader::open(Latched::new(store), &config)?
        } else {
            recover::open(store, &config)?
        };
        base.set_ordinal(manifest.mark.ordinal);
        let writer = if read_only {
            None
        } else {
            Some(Writer::new(&base, manifest, &config)?)
        };
        let core = Core {
            base,
            config,
            report,
            dictionary: Dictionary::new(newest_schema),
            holds: Holds::default(),
            ordinals: Ordinals::default(),
            writer,
        };
        if let Some(writer) = &core.writer {
            match core.make_ready(writer, 0) {
                // A log on a full disk can be read, and truncated to make room. An append reports it.
                Ok(()) => {}
                Err(error) if error.is_for_now() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(core)
    }

    pub(crate) fn to_read(
        base: Base,
        config: WalConfig,
        report: RecoveryReport,
        schema: Option<u64>,
    ) -> Core {
        Core {
            base,
            config,
            report,
            dictionary: Dictionary::new(schema),
            holds: Holds::default(),
            ordinals: Ordinals::default(),
            writer: None,
        }
    }

    pub(crate) fn writer(&self) -> Result<&Writer> {
        self.writer.as_ref().ok_or(WalError::ReadOnly)
    }

    /// The writer, if it can still be used from here.
    #[inline]
    pub(crate) fn usable_writer(&self) -> Result<&Writer> {
        self.check_process()?;
        if self.is_in_closure() {
            return Err(WalError::Reentrant);
        }
        if self.base.store.is_closed() {
            return Err(WalError::Closed);
        }
        self.writer()
    }

    /// The writer, if an append can be tried at once from here: if it must fail, the claim does.
    #[inline(always)]
    pub(crate) fn staging_writer(&self) -> Option<&Writer> {
        let writer = self.writer.as_ref()?;
        (writer.takes_at_once && !closure::is_in_any()).then_some(writer)
    }

    /// Where the next record would start, at the latest.
    pub(crate) fn tail(&self) -> u64 {
        match &self.writer {
            Some(writer) => writer.ring.tail(),
            None => {
                let staged = self.base.staged();
                let end = staged.map_or(self.base.written(), |staged| staged.base.written());
                end + crate::format::GROUP_HEADER_LEN as u64
            }
        }
    }

    pub(crate) fn record_count(&self) -> u64 {
        self.base.ordinal().saturating_sub(self.base.shape().head_ordinal)
    }

    /// Takes space on the disk so that `need` more bytes and what usually follows fit; not more than once per caller
    /// that finds it missing.
    pub(crate) fn make_ready(&self, writer: &Writer, need: u64) -> Result<()> {
        let _space = writer.space.lock();
        if self.base.store.is_closed() || writer.ring.is_shut() {
            // By somebody who had the space a moment ago.
            return Err(self.shut_error());
        }
        let tail = writer.ring.tail();
        // Not a byte more: the preparer must not take space that an append was just refused.
        let least = writer.ring.end_of(tail, need) + SLACK;
        let wanted = self.turn(writer, least, least + self.ahead(tail));
        let ready = match self.base.store.prepare(wanted) {
            // What is left of the disk may be enough for now.
            Err(error) if is_for_now(&error) => self.base.store.prepare(least),
            result => result,
        };
        let ready = match ready {
            Ok(ready) => ready,
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
        let mut manifest = writer.manifest.lock();
        let mark = writer.line.durable_mark();
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
        writer.ring.set_disk(ready);
        writer.room.changed();
        Ok(())
    }

    /// Moves the manifest's mark, and what it says of the records before it.
    pub(crate) fn set_mark(&self, manifest: &mut Manifest, mark: Mark) {
        if self.dictionary.tells_all_before(mark.pos) {
            manifest.mark = mark;
            manifest.schema = self.dictionary.newest_before(mark.pos).or(manifest.schema);
        }
    }

    /// Whether space should be made ready before it is missed.
    pub(crate) fn should_make_ready(&self, writer: &Writer) -> bool {
        writer.ring.waits_for_disk(self.ahead(writer.ring.tail()) / 2)
    }

    fn ahead(&self, tail: u64) -> u64 {
        (tail.saturating_sub(self.report.end.pos()) / 4)
            .max(self.base.store.prepare_step())
            .min(AHEAD_MAX)
            .min(self.segments(SEGMENTS_AHEAD))
    }

    /// How far to prepare in one turn, of what is wanted: those who wait for `least` do not wait for all of it.
    fn turn(&self, writer: &Writer, least: u64, wanted: u64) -> u64 {
        let ready = writer.ring.disk().max(self.base.written());
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

    pub(crate) fn poisoned(&self) -> WalError {
        self.base.store.error(WalError::Poisoned {
            cause: self.shut_and_say_why(),
            path: None,
        })
    }

    pub(crate) fn in_doubt(&self) -> WalError {
        self.base.store.error(WalError::InDoubt {
            lsn: None,
            cause: self.shut_and_say_why(),
            path: None,
        })
    }

    /// Why the log has failed. The thread that met the failure may not have shut the ring yet; the caller of this finds
    /// that nothing more is taken.
    fn shut_and_say_why(&self) -> String {
        if let Some(writer) = &self.writer {
            writer.ring.shut();
        }
        self.base
            .store
            .cause()
            .unwrap_or("closing the log failed")
            .to_owned()
    }

    /// Whether this is a child that was forked off the process that opened the log.
    #[inline]
    pub(crate) fn is_in_child(&self) -> bool {
        self.base.store.is_in_child()
    }

    /// Refuses a child that was forked off: the log is its parent's. Every call that takes a lock asks before.
    #[inline]
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.is_in_child() {
            return Err(self.poisoned());
        }
        Ok(())
    }

    /// After the store has failed: nothing more is taken, and every waiter wakes up. The flusher tells the tickets,
    /// because it holds no lock that a callback may want.
    pub(crate) fn fail(&self) {
        let Some(writer) = &self.writer else { return };
        writer.ring.shut();
        writer.line.fail();
        writer.background.ring_flusher();
        writer.room.changed();
        writer.progress.ring();
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.writer {
            Some(writer) => writer.finished.load(Ordering::Acquire),
            None => self.base.view.as_ref().is_some_and(View::is_closed),
        }
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.base.store.cause().is_some()
    }

    /// Makes everything durable and takes nothing more. The first call does it, and the others wait for it; if it could
    /// not, they try again.
    pub(crate) fn close(&self) -> Result<()> {
        let Some(writer) = &self.writer else {
            self.base.view.iter().for_each(View::close);
            return Ok(());
        };
        let mut closed = writer.closed.lock();
        if *closed {
            return Ok(());
        }
        writer.ring.shut();
        writer.room.changed();
        let mut told = Vec::new();
        let result = match self.is_poisoned() {
            true => Err(self.poisoned()),
            false => Turn::take(self, writer).run(|held| held.finish(&mut told)),
        };
        let result = result.map_err(WalError::of_what_was_taken);
        *closed = result.is_ok();
        if result.is_ok() || self.is_poisoned() {
            // Nothing is left to be written, or nothing can be. A writer holds the turn, the space or the manifest.
            let _turn = Turn::take(self, writer);
            let _space = writer.space.lock();
            let _manifest = writer.manifest.lock();
            self.base.store.close();
        }
        // What a callback does is not known.
        drop(closed);
        writer.finished.store(true, Ordering::Release);
        writer.progress.ring();
        self.tell_all(told, || Ok(()));
        self.wake_covered(writer);
        if result.is_err() && !self.is_in_child() {
            // Nobody flushes any more.
            writer.line.fail();
            self.tell_failed(writer);
        }
        result
    }
}

impl Held<'_> {
    /// Makes everything durable and says so, for good. Puts those that the flush has covered into `told`.
    fn finish(&mut self, told: &mut Vec<Waiting>) -> Result<()> {
        let (core, writer) = (self.core, self.writer);
        let flushed = self.commit();
        *told = writer.line.arrive(core.base.durable());
        flushed?;
        self.seal()?;
        core.base.raise_durable(core.base.flushed());
        let mark = self.committer.mark;
        let _space = writer.space.lock();
        let mut manifest = writer.manifest.lock();
        core.set_mark(&mut manifest, mark);
        manifest.newest_segment = core.base.segment_of(mark.pos.saturating_sub(1)).unwrap_or(0);
        manifest.staging = None;
        keeper::write_manifest(&core.base.store, &mut manifest)?;
        // The space ahead is not needed any more. If it cannot be given back now, the next opening does so, as after a
        // crash.
        match core.base.store.truncate(mark.pos) {
            Err(error) if is_for_now(&error) => {}
            given_back => given_back.map_err(|error| {
                core.base
                    .store
                    .error(WalError::io("giving prepared space back")(error))
            })?,
        }
        writer.ring.set_clean();
        Ok(())
    }
}

impl Writer {
    pub(crate) fn is_taken(&self) -> bool {
        self.committer.is_locked()
    }

    /// Begins the newest epoch of `manifest`: its staging memory is there before the manifest says so.
    fn new(base: &Base, mut manifest: Manifest, config: &WalConfig) -> Result<Writer> {
        let epoch = manifest.timeline.newest().epoch;
        let (memory, staging) = staging_memory(base, &mut manifest, config)?;
        let write_through = matches!(staging, StagingInUse::WriteThrough | StagingInUse::Instead(_));
        keeper::write_manifest(&base.store, &mut manifest)?;
        let start = manifest.mark.pos;
        let (ring, consumer) = Ring::new(memory, start, base.key(epoch));
        // The rest is the preparer's, where there is one.
        let first = if config.background_flush() {
            FAULTED_IN_FIRST
        } else {
            ring.capacity()
        };
        ring.fault_in(start, start + first);
        Ok(Writer {
            takes_at_once: !write_through && ring.refuses_children(),
            ring,
            committer: Mutex::new(Committer::new(
                consumer,
                Mark {
                    epoch,
                    ..manifest.mark
                },
            )),
            line: Line::new(manifest.mark),
            space: Mutex::new(()),
            manifest: Mutex::new(manifest),
            room: Room::new(),
            progress: Bell::new(),
            background: Background::new(),
            write_through,
            staging,
            closed: Mutex::new(false),
            finished: AtomicBool::new(false),
        })
    }
}

/// The memory in which records wait, and what it is. The manifest gets the number of one that survives the process.
fn staging_memory(
    base: &Base,
    manifest: &mut Manifest,
    config: &WalConfig,
) -> Result<(Memory, StagingInUse)> {
    manifest.staging = None;
    let len = config.staging_bytes();
    let in_use = match config.staging() {
        Staging::Heap => StagingInUse::Heap,
        Staging::WriteThrough => StagingInUse::WriteThrough,
        asked => {
            let header = StagingHeader {
                log: manifest.log,
                boot: base.store.boot_id(),
                epoch: manifest.timeline.newest().epoch,
                capacity: len as u64,
                clean: false,
                number: random_number()?,
            };
            match mapped_memory(base, &header, asked == Staging::AlwaysMapped)? {
                Ok(memory) => {
                    manifest.staging = Some(header.number);
                    return Ok((memory, StagingInUse::Mapped));
                }
                Err(why) => StagingInUse::Instead(why),
            }
        }
    };
    // What a process has left there was taken, and must not be found again.
    base.store
        .remove_staging()
        .map_err(WalError::io("removing the staging file"))?;
    Ok((Memory::heap(len), in_use))
}

/// Memory that is mapped, or why it is not.
fn mapped_memory(
    base: &Base,
    header: &StagingHeader,
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
            && let Some(memory) = Memory::mapped_again(&file, header)?
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
        Ok(Memory::map(&file, header).map_err(|error| NotMapped::Refused(error.to_string())))
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

/// How many bytes of staging memory an opening makes ready: what is appended until the preparer has done the rest.
const FAULTED_IN_FIRST: u64 = 256 << 10;

/// A number that staging memory of the same log and epoch has by chance only.
fn random_number() -> Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_err(|error| WalError::io("making a random number")(io::Error::other(error.to_string())))?;
    Ok(u32::from_le_bytes(bytes).max(1))
}
