//! Ends a process that hangs, and says at what. On a machine that has other things to do a piece of work takes as long as
//! it takes, so what counts is whether it goes on.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use crate::note;

/// Longer than a step takes on a busy machine; only a hang reaches it.
const HANG: Duration = Duration::from_secs(300);
/// How often it looks.
const LOOK: Duration = Duration::from_secs(5);

thread_local! {
    /// The steps that this thread has done.
    static STEPS: Arc<AtomicU64> = Arc::default();
}

/// The thread has done a step of its piece of work.
pub fn step() {
    STEPS.with(|steps| steps.fetch_add(1, Ordering::Relaxed));
}

/// What threads are at. A piece that never ends cannot be ended from outside: the process is.
#[derive(Debug)]
pub struct Watchdog {
    at: Arc<Mutex<Vec<Watched>>>,
    /// The watching thread ends with it.
    _alive: Sender<()>,
}

#[derive(Debug)]
struct Watched {
    thread: ThreadId,
    piece: u64,
    steps: Arc<AtomicU64>,
    /// How many steps there were when it was last seen to go on, and when that was.
    seen: (u64, Instant),
}

impl Watched {
    fn hangs(&mut self, hang: Duration) -> bool {
        let steps = self.steps.load(Ordering::Relaxed);
        if steps != self.seen.0 {
            self.seen = (steps, Instant::now());
        }
        self.seen.1.elapsed() > hang
    }
}

impl Watchdog {
    /// A watchdog for numbered pieces of work of this kind.
    #[must_use]
    pub fn new(kind: &'static str) -> Watchdog {
        Watchdog::of(kind, HANG, LOOK, || std::process::exit(101))
    }

    fn of(
        kind: &'static str,
        hang: Duration,
        look: Duration,
        end: impl FnOnce() + Send + 'static,
    ) -> Watchdog {
        let at: Arc<Mutex<Vec<Watched>>> = Arc::default();
        let (alive, ended) = channel::<()>();
        let watched = at.clone();
        thread::spawn(move || {
            while ended.recv_timeout(look) == Err(RecvTimeoutError::Timeout) {
                let mut watched = watched.lock().unwrap();
                if let Some(watched) = watched.iter_mut().find_map(|one| one.hangs(hang).then_some(one)) {
                    note(&format!("{kind} {}: hangs", watched.piece));
                    return end();
                }
            }
        });
        Watchdog { at, _alive: alive }
    }

    /// Does a piece of work.
    pub fn while_at<T>(&self, piece: u64, work: impl FnOnce() -> T) -> T {
        let thread = thread::current().id();
        let steps = STEPS.with(Arc::clone);
        let seen = (steps.load(Ordering::Relaxed), Instant::now());
        self.at.lock().unwrap().push(Watched {
            thread,
            piece,
            steps,
            seen,
        });
        let outcome = work();
        self.at.lock().unwrap().retain(|watched| watched.thread != thread);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_work_that_hangs_ends_everything() {
        let (barks, heard) = channel();
        let tell = move || barks.send(()).unwrap();
        let watchdog = Watchdog::of("piece", Duration::ZERO, Duration::from_millis(1), tell);
        // Ends when the watchdog has ended it.
        let bark = watchdog.while_at(7, || heard.recv());
        assert_eq!(bark, Ok(()));
        watchdog.while_at(8, || ());
        assert!(watchdog.at.lock().unwrap().is_empty());
    }

    #[test]
    fn work_that_goes_on_does_not_hang_however_long_it_takes() {
        let long_ago = Instant::now().checked_sub(HANG * 2).unwrap_or_else(Instant::now);
        let steps: Arc<AtomicU64> = Arc::default();
        let mut watched = Watched {
            thread: thread::current().id(),
            piece: 1,
            steps: steps.clone(),
            seen: (0, long_ago),
        };
        steps.fetch_add(1, Ordering::Relaxed);
        assert!(!watched.hangs(HANG));
        watched.seen.1 = long_ago;
        assert!(watched.hangs(HANG));
    }
}
