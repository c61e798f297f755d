//! The tail of the log, and the courtesy that keeps many cores from fighting over its cache line.
//!
//! Handing a line from core to core takes longer than the rest of an append. So threads that do nothing but append should
//! each have the tail for a run of many claims. Beside the tail, in its line, stands which thread has claimed last. That
//! thread goes on at once. Another one takes over, and at once as well if it has anything to do between its appends: then
//! many threads together append more than one that has a run. A thread that came back at once the last few times looks
//! twice, a moment apart: if the tail moves, another thread is in the middle of a run. It waits, the longer the more
//! threads wait, and then takes over whatever happens.
//!
//! All this decides how long a claim takes and nothing else: a place belongs to the thread whose compare-and-swap succeeds.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::sync::{
    AtomicU32, AtomicU64, CachePadded, Ordering, SIMULATED, load_for_swap, spin_loop, thread_local,
};

/// How long a claim waits for each thread that waits. With one that waits this is the length of a run.
const WAIT: Duration = Duration::from_micros(10);

/// The longest that a claim waits. Runs of 16 threads last for a fifteenth of it.
const MAX_WAIT: Duration = Duration::from_micros(40);

/// What a thread that does nothing but append needs for an append of a short record, several times over.
const AT_ONCE: Duration = Duration::from_nanos(250);

/// What it waits for the tail's line besides, if many others want it.
const IN_LINE: Duration = Duration::from_micros(5);

/// So often a thread has to come back at once before it waits.
const TIMES: u32 = 8;

/// How often a claimer spins between two looks: one or two hundred nanoseconds, in which a run makes several claims.
const SPINS: u32 = 8;

/// What a thread remembers, of all logs together.
struct Memory {
    /// When it has taken over last, until that is judged.
    taken_over: Cell<Option<Instant>>,
    /// How many claims it has begun since.
    claims: Cell<u32>,
    /// Whether it began the first of these at once. Nothing that other threads do comes between.
    is_quick: Cell<bool>,
    /// How often it came back at once of late, up to twice `TIMES`.
    at_once: Cell<u32>,
}

thread_local! {
    /// Its address is a number that no other thread has at the same time.
    static MEMORY: Memory = const { Memory::new() };
}

impl Memory {
    const fn new() -> Memory {
        Memory {
            taken_over: Cell::new(None),
            claims: Cell::new(0),
            is_quick: Cell::new(false),
            at_once: Cell::new(0),
        }
    }

    #[inline(always)]
    fn claim_begins(&self) {
        let claims = self.claims.get().wrapping_add(1);
        self.claims.set(claims);
        if claims == 1 {
            self.judge_first();
        }
    }

    #[cold]
    fn judge_first(&self) {
        let taken_over = self.taken_over.get();
        self.is_quick
            .set(taken_over.is_some_and(|last| last.elapsed() < AT_ONCE));
    }

    /// Another thread has the tail: whether this one should wait for it.
    fn is_patient(&self) -> bool {
        // A claim that is denied is tried again, and judged once.
        if let Some(last) = self.taken_over.take() {
            let longest = AT_ONCE * self.claims.get() + IN_LINE;
            let came_at_once = self.is_quick.get() && last.elapsed() < longest;
            self.at_once.set(match came_at_once {
                true => (self.at_once.get() + 1).min(2 * TIMES),
                false => self.at_once.get() / 2,
            });
        }
        self.at_once.get() >= TIMES
    }

    fn has_taken_over(&self, now: Instant) {
        self.taken_over.set(Some(now));
        self.claims.set(0);
    }
}

pub(super) struct Tail {
    line: CachePadded<Line>,
    /// How many threads wait for the run of another.
    waiting: CachePadded<AtomicU32>,
}

struct Line {
    pos: AtomicU64,
    /// Which thread has claimed last. It may be wrong for a moment.
    owner: AtomicU64,
}

/// What one claim knows of itself.
pub(super) struct Approach {
    me: u64,
    takes_over: bool,
}

impl Approach {
    #[inline(always)]
    pub(super) fn new() -> Approach {
        let me = match SIMULATED {
            true => 0,
            false => MEMORY.with(|memory| {
                memory.claim_begins();
                std::ptr::from_ref(memory).addr() as u64
            }),
        };
        Approach {
            me,
            takes_over: false,
        }
    }
}

impl Tail {
    pub(super) fn new(pos: u64) -> Tail {
        Tail {
            line: CachePadded::new(Line {
                pos: AtomicU64::new(pos),
                owner: AtomicU64::new(0),
            }),
            waiting: CachePadded::new(AtomicU32::new(0)),
        }
    }

    pub(super) fn pos(&self) -> &AtomicU64 {
        &self.line.pos
    }

    /// Lets another thread's run go first. Returns what to swap from: `tail`, or what it has become meanwhile.
    #[inline(always)]
    pub(super) fn before_swap(&self, tail: u64, approach: &mut Approach) -> u64 {
        if SIMULATED || self.line.owner.load(Ordering::Relaxed) == approach.me {
            return tail;
        }
        self.take_over(tail, approach)
    }

    #[cold]
    fn take_over(&self, tail: u64, approach: &mut Approach) -> u64 {
        let mut tail = tail;
        if !approach.takes_over {
            approach.takes_over = true;
            if MEMORY.with(Memory::is_patient) {
                self.let_run();
                tail = load_for_swap(self.pos());
            }
        }
        self.line.owner.store(approach.me, Ordering::Relaxed);
        tail
    }

    /// After the swap has succeeded.
    #[inline(always)]
    pub(super) fn after_swap(&self, approach: &Approach) {
        if approach.takes_over {
            MEMORY.with(|memory| memory.has_taken_over(Instant::now()));
        }
    }

    fn let_run(&self) {
        let before = load_for_swap(self.pos());
        spin();
        if load_for_swap(self.pos()) == before {
            return;
        }
        let start = Instant::now();
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        let wait = MAX_WAIT.min(WAIT * waiting);
        while start.elapsed() < wait {
            spin();
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn spin() {
    for _ in 0..SPINS {
        spin_loop();
    }
}

#[cfg(all(test, not(any(wal_loom, wal_shuttle))))]
mod tests {
    use super::*;

    const WORK: Duration = Duration::from_millis(1);

    /// A thread that took over a while ago, and has begun so many claims since, meets another thread.
    fn comes_late(memory: &Memory, claims: u32) -> bool {
        let long_ago = Instant::now().checked_sub(WORK);
        memory.has_taken_over(long_ago.expect("the clock is older than that"));
        memory.claim_begins();
        memory.claims.set(claims);
        memory.is_patient()
    }

    #[test]
    fn a_thread_waits_after_it_has_come_back_at_once_several_times() {
        let memory = Memory::new();
        let comes_at_once = || {
            memory.has_taken_over(Instant::now());
            memory.is_quick.set(true);
            // Any time is short for so many.
            memory.claims.set(u32::MAX);
            memory.is_patient()
        };
        let waits: Vec<bool> = (0..TIMES + 2).map(|_| comes_at_once()).collect();
        assert_eq!(waits.iter().filter(|waits| !**waits).count() as u32, TIMES - 1);
        assert!(waits.is_sorted());
        // Denied, and tried again.
        assert!((0..100).all(|_| memory.is_patient()));
    }

    #[test]
    fn a_thread_that_does_something_between_its_appends_does_not_wait() {
        let memory = Memory::new();
        assert!((0..100).all(|_| !comes_late(&memory, 1)));
        // It comes late, and then appends a lot.
        assert!((0..100).all(|_| !comes_late(&memory, u32::MAX)));
        // It appends a little, and then does something.
        let burst = || {
            memory.has_taken_over(Instant::now().checked_sub(WORK).expect("as above"));
            memory.is_quick.set(true);
            memory.claims.set(10);
            memory.is_patient()
        };
        assert!((0..100).all(|_| !burst()));
    }

    #[test]
    fn one_late_return_is_forgiven_and_two_are_not() {
        let memory = Memory::new();
        memory.at_once.set(2 * TIMES);
        assert_eq!([1, 2, 3].map(|_| comes_late(&memory, 1)), [true, false, false]);
    }
}
