//! Work that is kept off the append path: the flusher writes, seals, serves tickets and gives staging memory back; the
//! preparer makes space ready, has staging memory grow and flushes the backlog. Each is a thread of the log, or a task of
//! threads that logs share.

use std::{
    sync::Weak,
    time::{Duration, Instant},
};

use super::{turn::Turn, writer::Writer};
use crate::{
    error::{Result, WalError},
    log::panics::caught,
    metrics::WaitsFor,
    pool::{Next, Pool, Task, Work, begin_thread_of_a_log, is_thread_of_a_log},
    process::end_thread_of_child,
    sync::{Arc, AtomicBool, AtomicU64, Gate, Mutex, Ordering, thread},
};

/// What the appending threads and the background share.
pub(crate) struct BackgroundWork {
    running: AtomicBool,
    /// The flusher rests until it is rung: it has seen that there is nothing to seal.
    resting: AtomicBool,
    stop: AtomicBool,
    flusher: Role,
    preparer: Role,
    /// Durability was asked for up to here, by tickets that nothing waits for.
    wanted: AtomicU64,
    /// And for all that was claimed before here.
    wanted_sync: AtomicU64,
    idleness: Mutex<Idleness>,
}

/// What the flusher knows of the time in which it rested.
#[derive(Default)]
struct Idleness {
    /// The tail before the rest before.
    before: u64,
    /// The tail when it went to rest, and whether something could be sealed.
    rest: Option<(u64, bool)>,
}

/// How somebody is rung for.
#[allow(clippy::large_enum_variant)] // loom's alarms are large
enum Role {
    Alone(Alarm),
    Shared(Arc<Task>),
}

impl Role {
    fn new<W: Work + 'static>(pool: Option<&'static Pool>, work: W) -> Self {
        match pool {
            Some(pool) => Role::Shared(Task::new(pool, Box::new(work))),
            None => Role::Alone(Alarm::new()),
        }
    }

    fn ring(&self) {
        match self {
            Role::Alone(alarm) => alarm.ring(),
            Role::Shared(task) => task.ring(),
        }
    }

    /// In a thread of its own, until the log is closed.
    fn run_alone(&self, writer: &Writer, work: &dyn Work) {
        begin_thread_of_a_log();
        let mut rung = true;
        while let Role::Alone(alarm) = self
            && writer.goes_on()
        {
            match work.turn(rung) {
                Next::Again => {}
                // A callback may have forked, and have returned in the child.
                Next::Rest(time) if writer.goes_on() => rung = alarm.sleep(time),
                Next::Rest(_) => {}
                Next::End => break,
            }
        }
        work.end();
        if writer.is_in_child() {
            end_thread_of_child();
        }
    }
}

/// What an error says that one has met.
const STARTING: &str = "starting a thread";

/// A gate with a flag, so that a thread that is awake anyway costs no system call.
pub(super) struct Alarm {
    gate: Gate,
    rung: AtomicBool,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Alarm {
            gate: Gate::new(),
            rung: AtomicBool::new(false),
        }
    }

    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.gate.open_all();
        }
    }

    /// Sleeps until it rings or the time is over; whether it rang.
    pub(super) fn sleep(&self, timeout: Option<Duration>) -> bool {
        let ticket = self.gate.ticket();
        if !self.rung.swap(false, Ordering::AcqRel) {
            self.gate.wait(ticket, timeout);
            return self.rung.swap(false, Ordering::AcqRel);
        }
        true
    }
}

impl BackgroundWork {
    pub(crate) fn new(writer: &Weak<Writer>, pool: Option<&'static Pool>) -> Self {
        BackgroundWork {
            running: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            flusher: Role::new(pool, Flusher(writer.clone())),
            preparer: Role::new(pool, Preparer(writer.clone())),
            wanted: AtomicU64::new(0),
            wanted_sync: AtomicU64::new(0),
            idleness: Mutex::new(Idleness::default()),
        }
    }

    /// Starts it, if the log has any; returns the threads of its own.
    pub(crate) fn start(writer: &Arc<Writer>) -> Result<Vec<thread::JoinHandle<()>>> {
        if !writer.config.background_flush() {
            return Ok(Vec::new());
        }
        let background = &writer.background;
        match (&background.flusher, &background.preparer) {
            (Role::Shared(flusher), Role::Shared(preparer)) => {
                flusher.pool().join().map_err(WalError::io(STARTING))?;
                background.running.store(true, Ordering::Release);
                flusher.start();
                preparer.start();
                Ok(Vec::new())
            }
            _ => Self::start_alone(writer),
        }
    }

    fn start_alone(writer: &Arc<Writer>) -> Result<Vec<thread::JoinHandle<()>>> {
        let spawn = |name: &str, role: fn(&BackgroundWork) -> &Role, work: Box<dyn Work>| {
            let writer = writer.clone();
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || role(&writer.background).run_alone(&writer, &*work))
                .map_err(WalError::io(STARTING))
        };
        let weak = Arc::downgrade(writer);
        writer.room.flusher_starts();
        let flusher = spawn(
            "wal-flusher",
            |background| &background.flusher,
            Box::new(Flusher(weak.clone())),
        )?;
        writer.background.running.store(true, Ordering::Release);
        match spawn(
            "wal-preparer",
            |background| &background.preparer,
            Box::new(Preparer(weak)),
        ) {
            Ok(preparer) => Ok(vec![flusher, preparer]),
            Err(error) => {
                writer.background.stop(vec![flusher]);
                Err(error)
            }
        }
    }

    pub(crate) fn stop(&self, threads: Vec<thread::JoinHandle<()>>) {
        self.stop.store(true, Ordering::Release);
        let was_running = self.running.swap(false, Ordering::AcqRel);
        for role in [&self.flusher, &self.preparer] {
            match role {
                Role::Alone(alarm) => alarm.ring(),
                Role::Shared(task) => task.stop(),
            }
        }
        if let (Role::Shared(task), true) = (&self.flusher, was_running) {
            task.pool().leave();
        }
        // A callback may drop the last handle, in a thread of this log or of another one. A thread of this log may be
        // in a callback that waits for this very thread.
        if is_thread_of_a_log() {
            return;
        }
        for handle in threads {
            if handle.thread().id() != thread::current().id() {
                // A thread that panicked has poisoned the log; there is nothing to add.
                let _ = handle.join();
            }
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(crate) fn ring_flusher(&self) {
        self.flusher.ring();
    }

    /// For the flusher, when its turn begins: whether it has rested twice, nothing was appended meanwhile, and something
    /// can be sealed.
    fn has_idled(&self, rung: bool, tail: u64) -> bool {
        let mut idleness = self.idleness.lock();
        let Some((rested_at, sealable)) = idleness.rest.take() else {
            return false;
        };
        let before = std::mem::replace(&mut idleness.before, rested_at);
        !rung && sealable && rested_at == before && rested_at == tail
    }

    /// After a commit, with the committer let go: there is something to seal when the log has been idle for a while. A
    /// flusher that watches for that anyway is not rung, because that would cost every commit a system call.
    pub(crate) fn watch_for_idleness(&self) {
        if self.resting.load(Ordering::SeqCst) {
            self.flusher.ring();
        }
    }

    pub(crate) fn ring_preparer(&self) {
        self.preparer.ring();
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }
}

impl Writer {
    /// Whether the log has a flusher.
    pub(crate) fn flushes_by_itself(&self) -> bool {
        !self.is_in_child() && self.background.is_running()
    }

    /// Whether the background threads have to go on. A callback may have forked the process, and then one of them returns
    /// from it in the child, where it must not wait for anything.
    fn goes_on(&self) -> bool {
        !self.background.stopping() && !self.is_in_child()
    }

    /// Whether the preparer has something to do: before space is missed, and before too much is left to flush.
    pub(crate) fn should_prepare(&self) -> bool {
        self.should_make_ready() || self.is_behind()
    }

    fn is_behind(&self) -> bool {
        self.backlog() >= self.behind_max()
    }

    fn behind_max(&self) -> u64 {
        BEHIND_MAX.min(self.segments(SEGMENTS_BEHIND))
    }

    /// Bytes that were written and not flushed.
    fn backlog(&self) -> u64 {
        // A flush may move on between the two reads.
        self.base.written().saturating_sub(self.base.flushed())
    }

    /// Where appends are faster than the disk, they wait for it before the backlog has grown to twice its measure.
    pub(crate) fn flush_far_behind(&self) {
        if self.backlog() < 2 * self.behind_max() {
            return;
        }
        let start = Instant::now();
        let flushed = flush_behind(self);
        self.base.store.meter.waited(WaitsFor::Backlog, start);
        if !flushed {
            return;
        }
        // Callbacks are for the flusher to call: an append of a schema holds a lock that they may want.
        self.line.wake_all();
        match self.flushes_by_itself() {
            true => self.background.ring_flusher(),
            false => self.wake_tasks(),
        }
    }

    /// For the flusher, before it rests: whether there may be something to seal when the log has been idle. If not, it
    /// has said that it has to be rung for that: a commit reads that after it, or was seen here.
    fn may_be_sealed(&self) -> bool {
        self.background.resting.store(true, Ordering::SeqCst);
        // Somebody who has the committer may be about to make something durable.
        let sealable = Turn::try_take(self).is_none_or(|mut turn| turn.run(|held| held.can_be_sealed()));
        if sealable {
            self.background.resting.store(false, Ordering::SeqCst);
        }
        sealable
    }

    pub(crate) fn want_durable(&self, target: u64) {
        if self.background.wanted.fetch_max(target, Ordering::AcqRel) < target {
            self.background.ring_flusher();
        }
    }

    pub(crate) fn want_synced(&self, target: u64) {
        if self.background.wanted_sync.fetch_max(target, Ordering::AcqRel) < target {
            self.background.ring_flusher();
        }
    }

    /// For the flusher: whether somebody waits for a commit who does not make one.
    fn has_to_commit(&self, wanted: u64) -> bool {
        wanted > self.base.durable()
            || self.background.wanted_sync.load(Ordering::Acquire) > self.base.synced()
            || self.line.has_tickets()
    }
}

struct Flusher(Weak<Writer>);

impl Work for Flusher {
    fn turn(&self, rung: bool) -> Next {
        turn_of(&self.0, |writer| flush_turn(writer, rung))
    }

    fn end(&self) {
        end_of(&self.0, |writer| {
            // A sleeper may be a callback in the preparer, for which closing waits.
            writer.room.flusher_ends();
            writer.tell_failed();
        });
    }
}

/// A panic in the store has poisoned the log; every ticket has to hear of it, when the work ends.
fn turn_of(writer: &Weak<Writer>, turn: impl FnOnce(&Writer) -> Next) -> Next {
    let Some(writer) = writer.upgrade() else {
        return Next::End;
    };
    // It may be the last one that has it, and what it drops then is a program's as well.
    caught(move || turn(&writer)).unwrap_or(Next::End)
}

fn end_of(writer: &Weak<Writer>, end: impl FnOnce(&Writer)) {
    if let Some(writer) = writer.upgrade() {
        // As above.
        let _ = caught(move || end(&writer));
    }
}

/// How long until the next try where the disk is full or slow to say more.
const RETRY_AFTER: Duration = Duration::from_millis(10);

fn flush_turn(writer: &Writer, rung: bool) -> Next {
    writer.background.resting.store(false, Ordering::SeqCst);
    if writer.background.has_idled(rung, writer.ring.tail()) {
        // A failure has poisoned the log, which reports it to the next call.
        let _ = Turn::take(writer).run(|held| held.seal());
        writer.room.in_callbacks(|| writer.wake_covered());
    }
    // What others have made durable, and could not say because of their locks.
    writer.room.in_callbacks(|| writer.wake_tasks());
    let wanted = writer.background.wanted.load(Ordering::Acquire);
    if writer.is_poisoned() {
        writer.tell_failed();
        return Next::Rest(None);
    }
    let done = if writer.has_to_commit(wanted) {
        // An error has poisoned the log and told everybody; appends report "full".
        writer
            .room
            .in_callbacks(|| Turn::take(writer).commit(wanted.max(writer.base.durable() + 1), false))
    } else if writer.ring.has_left_block(writer.base.written()) {
        Turn::take(writer).run(|held| held.write_blocks())
    } else {
        let look_again = writer.give_staging_back();
        let tail = writer.ring.tail();
        let sealable = writer.may_be_sealed();
        writer.background.idleness.lock().rest = Some((tail, sealable));
        let seal_after = sealable.then(|| writer.config.seal_after());
        return Next::Rest(seal_after.or(look_again));
    };
    match done {
        Ok(()) => Next::Again,
        Err(_) => Next::Rest(Some(RETRY_AFTER)),
    }
}

/// How many bytes may be written and not flushed before the preparer flushes them. Twice of it, and the space that is
/// ready, bounds what a `sync` waits for and what recovery reads. A flush slows the appends beside it down, so it is
/// not done more often.
const BEHIND_MAX: u64 = if cfg!(wal_shuttle) { 1 << 10 } else { 512 << 20 };

/// And how many segments: each is an open file until it is flushed.
const SEGMENTS_BEHIND: u64 = 8;

struct Preparer(Weak<Writer>);

impl Work for Preparer {
    fn turn(&self, _rung: bool) -> Next {
        turn_of(&self.0, prepare_turn)
    }

    fn end(&self) {
        end_of(&self.0, Writer::tell_failed);
    }
}

fn prepare_turn(writer: &Writer) -> Next {
    if writer.is_poisoned() {
        return Next::Rest(None);
    }
    // Space comes first: nobody makes any while a backlog is flushed.
    while writer.should_make_ready() && writer.goes_on() {
        let ready = writer.ring.disk();
        // An append finds out by itself if there is no space.
        let made = writer.guarded(|| writer.make_ready(0));
        // On a disk that is nearly full, there may be no more space than before.
        if made.is_err() || writer.ring.disk() <= ready {
            break;
        }
    }
    writer.guarded(|| writer.grow_if_wanted());
    if writer.guarded(|| flush_behind(writer)) {
        writer.wake_covered();
    }
    Next::Rest(None)
}

/// Flushes a backlog of written groups beside the committer, so that nothing has to wait for all of it at once. Returns
/// whether waiting threads have to hear that something is durable now.
fn flush_behind(writer: &Writer) -> bool {
    if !writer.is_behind() {
        return false;
    }
    let mark = writer.base.written_mark();
    match writer.base.store.sync() {
        Ok(took) => {
            writer.count_flush(took);
            writer.flushed_up_to(mark);
            writer.background.watch_for_idleness();
            true
        }
        Err(_) => {
            writer.fail();
            false
        }
    }
}

#[cfg(all(test, wal_loom))]
#[path = "background_loom.rs"]
mod loom_tests;
