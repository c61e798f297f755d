//! Threads that do the background work of several logs, each part of it a [`Task`] that somebody rings for.
//!
//! A task runs in one thread at a time, and waits in the queue once at most. No ring is lost: it is a read-modify-write
//! of the task's state, as is the beginning of a turn, and what a task does in a turn comes after that. A ring that
//! comes while a turn goes on makes another turn.
//!
//! A thread that stops a task waits for its turn, and calls nothing.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    fmt, io,
    time::{Duration, Instant},
};

use crate::{
    process::{Process, end_thread_of_child},
    sync::{Arc, AtomicU32, Gate, LazyLock, Mutex, MutexGuard, OnceLock, Ordering, thread, thread_local},
};

/// Threads that do the background work of logs: they write records out, prepare space, seal idle logs and call back.
///
/// A log has two such threads of its own unless it gets some that it [shares](crate::WalConfig::with_background) with
/// others. Shared ones suit a process that has many logs open. They are started when they are first needed, up to the
/// number that was asked for, and end when no log uses them any more.
///
/// A [callback](crate::Ticket::on_durable) that blocks, a closure of `append_in_place` and a slow store hold one of them
/// up, for all of these logs. A callback that waits for another callback or for a future of one of them may wait for
/// ever.
///
/// ```
/// use wal_db::{Wal, WalConfig, store::Background, MemStore};
///
/// let background = Background::new(2);
/// let config = WalConfig::new().with_background(&background);
/// let logs = (0..100)
///     .map(|_| Wal::with_store_and_config(MemStore::new(), config))
///     .collect::<Result<Vec<_>, _>>()?;
/// for log in &logs {
///     log.append_and_sync(b"beside a hundred others")?;
/// }
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Background {
    pool: &'static Pool,
}

impl Background {
    /// Up to so many threads, at least one. The little memory that stands for them is never given back.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Background {
            pool: Pool::leaked(threads),
        }
    }

    /// Those of this process: as many as there are processors, from two to eight.
    #[must_use]
    pub fn shared() -> Self {
        static SHARED: LazyLock<Background> = LazyLock::new(|| {
            let processors = std::thread::available_parallelism().map_or(2, usize::from);
            Background::new(processors.clamp(2, 8))
        });
        *SHARED
    }

    /// Those of this process: a child that was forked off has none of its parent's.
    pub(crate) fn pool(&self) -> &'static Pool {
        let mut pool = self.pool;
        while !pool.process.is_this() {
            pool = pool.of_child.get_or_init(|| Pool::leaked(pool.most));
        }
        pool
    }
}

impl PartialEq for Background {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.pool, other.pool)
    }
}

impl Eq for Background {}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("threads", &self.pool.most)
            .finish()
    }
}

/// What a task does.
pub(crate) trait Work: Send + Sync {
    /// Does a part of it. `rung` says that somebody rang since the last turn began.
    fn turn(&self, rung: bool) -> Next;

    /// After a turn that said that it is the last.
    fn end(&self);
}

/// What comes after a turn.
#[derive(Debug)]
pub(crate) enum Next {
    Again,
    /// A turn when somebody rings, or after this time.
    Rest(Option<Duration>),
    End,
}

pub(crate) struct Pool {
    most: usize,
    process: Process,
    of_child: OnceLock<&'static Pool>,
    queue: Mutex<Queue>,
    gate: Gate,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Arc<Task>>,
    /// By when they are due, and by their address.
    timers: BTreeMap<(Instant, usize), Arc<Task>>,
    threads: usize,
    /// How many threads sleep, or are about to wake up.
    asleep: usize,
    /// How many of these were called: for a task, or to wait for the next timer.
    called: usize,
    /// When the timer is due for which one of them waits.
    watched: Option<Instant>,
    logs: usize,
}

thread_local! {
    /// Whether this thread is one of a log, of whatever log.
    static IS_OF_A_LOG: Cell<bool> = const { Cell::new(false) };
}

/// Says so of this thread.
pub(crate) fn begin_thread_of_a_log() {
    IS_OF_A_LOG.with(|is| is.set(true));
}

pub(crate) fn is_thread_of_a_log() -> bool {
    IS_OF_A_LOG.with(Cell::get)
}

impl Pool {
    fn leaked(threads: usize) -> &'static Pool {
        Box::leak(Box::new(Pool {
            most: threads.max(1),
            process: Process::this(),
            of_child: OnceLock::new(),
            queue: Mutex::new(Queue::default()),
            gate: Gate::new(),
        }))
    }

    /// A log begins to use it.
    ///
    /// # Errors
    /// There is no thread, and none can be started.
    pub(crate) fn join(&'static self) -> io::Result<()> {
        let mut queue = self.queue.lock();
        if queue.threads == 0 {
            self.spawn()?;
            queue.threads += 1;
        }
        queue.logs += 1;
        Ok(())
    }

    /// A log uses it no more. No turn of its tasks begins any more.
    pub(crate) fn leave(&self) {
        let mut queue = self.queue.lock();
        queue.logs -= 1;
        if queue.logs == 0 {
            drop(queue);
            self.gate.open_all();
        }
    }

    fn spawn(&'static self) -> io::Result<()> {
        let work = move || {
            begin_thread_of_a_log();
            while let Some(task) = self.next() {
                task.run();
                if !self.process.is_this() {
                    // A callback has forked, and has returned in the child.
                    return end_thread_of_child();
                }
            }
        };
        thread::Builder::new()
            .name("wal-background".to_owned())
            .spawn(work)
            .map(drop)
    }

    /// The task whose turn it is; waits for one. `None` when no log is left.
    fn next(&'static self) -> Option<Arc<Task>> {
        let mut queue = self.queue.lock();
        loop {
            let due = queue.take_due();
            if let Some(task) = queue.ready.pop_front() {
                // A turn may take long. Others have theirs meanwhile, and somebody waits for the next timer.
                if !queue.ready.is_empty() || queue.is_earlier(due) {
                    self.summon(queue);
                }
                return Some(task);
            }
            if queue.logs == 0 {
                queue.threads -= 1;
                return None;
            }
            queue = self.sleep(queue, due);
        }
    }

    /// Sleeps until it is called, or until the timer that is due then if nobody else waits for it.
    fn sleep<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, due: Option<Instant>) -> MutexGuard<'a, Queue> {
        let due = due.filter(|_| queue.is_earlier(due));
        if due.is_some() {
            queue.watched = due;
        }
        let ticket = self.gate.ticket();
        queue.asleep += 1;
        drop(queue);
        self.gate.wait(
            ticket,
            due.map(|due| due.saturating_duration_since(Instant::now())),
        );
        let mut queue = self.queue.lock();
        queue.asleep -= 1;
        // If the time was over, another one was woken, finds nothing, and sleeps again.
        queue.called = queue.called.saturating_sub(1);
        if due.is_some() && queue.watched == due {
            queue.watched = None;
        }
        queue
    }

    /// Puts a task into the queue, and sees to it that a thread takes it.
    fn push(&'static self, task: Arc<Task>) {
        let mut queue = self.queue.lock();
        queue.ready.push_back(task);
        self.summon(queue);
    }

    /// Has another thread look into the queue, if one sleeps or can be started. If none can, those that there are come to
    /// it by themselves.
    fn summon(&'static self, mut queue: MutexGuard<'_, Queue>) {
        if queue.asleep > queue.called {
            queue.called += 1;
            drop(queue);
            self.gate.open_one();
        } else if queue.threads < self.most && self.spawn().is_ok() {
            queue.threads += 1;
        }
    }

    /// For the thread that has just run it, and looks into the queue next.
    fn put_back(&self, task: Arc<Task>) {
        self.queue.lock().ready.push_back(task);
    }
}

impl Queue {
    /// Makes those ready whose time is over; when the next one is due.
    fn take_due(&mut self) -> Option<Instant> {
        if self.timers.is_empty() {
            return None;
        }
        let now = Instant::now();
        while let Some(first) = self.timers.first_entry() {
            if first.key().0 > now {
                return Some(first.key().0);
            }
            let task = first.remove();
            if task.is_due() {
                self.ready.push_back(task);
            }
        }
        None
    }

    /// Whether a timer is due before the one that somebody waits for.
    fn is_earlier(&self, due: Option<Instant>) -> bool {
        due.is_some_and(|due| self.watched.is_none_or(|watched| due < watched))
    }
}

/// Somebody has rung since the last turn began.
const RUNG: u32 = 1;
/// It is in the queue, or has its turn.
const BUSY: u32 = 2;
/// It has its turn.
const RUNNING: u32 = 4;
/// Its time is over.
const DUE: u32 = 8;
/// No turn begins any more.
const ENDED: u32 = 16;

pub(crate) struct Task {
    pool: &'static Pool,
    state: AtomicU32,
    /// When it is due.
    timer: Mutex<Option<Instant>>,
    ended: Gate,
    work: Box<dyn Work>,
}

impl Task {
    /// Not started yet: a ring is heard then.
    pub(crate) fn new(pool: &'static Pool, work: Box<dyn Work>) -> Arc<Task> {
        Arc::new(Task {
            pool,
            state: AtomicU32::new(BUSY | RUNG),
            timer: Mutex::new(None),
            ended: Gate::new(),
            work,
        })
    }

    pub(crate) fn pool(&self) -> &'static Pool {
        self.pool
    }

    pub(crate) fn start(self: &Arc<Self>) {
        self.pool.push(self.clone());
    }

    pub(crate) fn ring(self: &Arc<Self>) {
        // In a child, a thread that is not there may hold the pool's lock.
        if self.pool.process.is_this() && self.enter(BUSY | RUNG) {
            self.pool.push(self.clone());
        }
    }

    /// Its time is over; whether it has to be put into the queue.
    fn is_due(&self) -> bool {
        self.enter(BUSY | DUE)
    }

    /// Whether it has to be put into the queue.
    fn enter(&self, flags: u32) -> bool {
        self.state.fetch_or(flags, Ordering::AcqRel) & (BUSY | ENDED) == 0
    }

    /// Changes the state from one to the other, as long as `change` says to what; the one before.
    fn change(&self, change: impl Fn(u32) -> u32) -> u32 {
        let update = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| Some(change(state)));
        update.unwrap_or_else(|state| state)
    }

    fn run(self: Arc<Self>) {
        // Before it is forgotten that the time is over: afterwards it may be over only for the next rest.
        self.cancel_timer();
        let before = self.change(|state| match state & ENDED {
            0 => (state | RUNNING) & !(RUNG | DUE),
            _ => state,
        });
        if before & ENDED != 0 {
            return;
        }
        let next = self.work.turn(before & RUNG != 0);
        if !self.pool.process.is_this() {
            return;
        }
        if let Next::Rest(Some(time)) = next {
            self.set_timer(time);
        }
        let before = self.change(|state| match (state & ENDED, &next) {
            (0, Next::End) => state | ENDED,
            (0, Next::Rest(_)) if state & (RUNG | DUE) == 0 => state & !(RUNNING | BUSY),
            (0, _) => state & !RUNNING,
            _ => state,
        });
        if before & ENDED != 0 || matches!(next, Next::End) {
            self.cancel_timer();
            if matches!(next, Next::End) {
                self.work.end();
            }
            self.state.fetch_and(!RUNNING, Ordering::AcqRel);
            self.ended.open_all();
        } else if before & (RUNG | DUE) != 0 || matches!(next, Next::Again) {
            let pool = self.pool;
            pool.put_back(self);
        }
    }

    fn set_timer(self: &Arc<Self>, time: Duration) {
        let Some(due) = Instant::now().checked_add(time) else {
            return;
        };
        *self.timer.lock() = Some(due);
        let mut queue = self.pool.queue.lock();
        queue.timers.insert((due, self.address()), self.clone());
    }

    fn cancel_timer(&self) {
        if let Some(due) = self.timer.lock().take() {
            self.pool.queue.lock().timers.remove(&(due, self.address()));
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// No turn begins any more. Waits for the one that goes on, but not in a thread of a log: it may be in a callback
    /// that is a part of that turn, or for which that turn waits.
    pub(crate) fn stop(&self) {
        let before = self.state.fetch_or(ENDED, Ordering::AcqRel);
        if before & RUNNING == 0 {
            self.cancel_timer();
            let mut queue = self.pool.queue.lock();
            return queue.ready.retain(|task| !std::ptr::eq(&**task, self));
        }
        if is_thread_of_a_log() {
            return;
        }
        loop {
            let ticket = self.ended.ticket();
            if self.state.load(Ordering::Acquire) & RUNNING == 0 {
                return;
            }
            self.ended.wait(ticket, None);
        }
    }
}

#[cfg(all(test, wal_loom))]
#[path = "pool_loom.rs"]
mod loom_tests;
