//! Ends a process that hangs, and says at what.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use crate::note;

/// Longer than any piece of work takes on a busy machine; only a hang reaches it.
const HANG: Duration = Duration::from_secs(300);
/// How often it looks.
const LOOK: Duration = Duration::from_secs(5);

/// What threads are at, and since when. A piece that never ends cannot be ended from outside: the process is.
#[derive(Debug)]
pub struct Watchdog {
    at: Arc<Mutex<Vec<(ThreadId, u64, Instant)>>>,
    /// The watching thread ends with it.
    _alive: Sender<()>,
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
        let at: Arc<Mutex<Vec<(ThreadId, u64, Instant)>>> = Arc::default();
        let (alive, ended) = channel::<()>();
        let watched = at.clone();
        thread::spawn(move || {
            while ended.recv_timeout(look) == Err(RecvTimeoutError::Timeout) {
                let hangs = |(.., since): &&(ThreadId, u64, Instant)| since.elapsed() > hang;
                if let Some((_, piece, _)) = watched.lock().unwrap().iter().find(hangs) {
                    note(&format!("{kind} {piece}: hangs"));
                    return end();
                }
            }
        });
        Watchdog { at, _alive: alive }
    }

    /// Does a piece of work.
    pub fn while_at<T>(&self, piece: u64, work: impl FnOnce() -> T) -> T {
        let me = thread::current().id();
        self.at.lock().unwrap().push((me, piece, Instant::now()));
        let outcome = work();
        self.at.lock().unwrap().retain(|(thread, ..)| *thread != me);
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
}
