//! A writer that is stopped in the middle of what it does, while others look.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

use crate::scale;

/// Where a writer can be stopped: in what it runs between the calls to its disk, see `SimDisk::beside`.
#[derive(Debug)]
pub struct Stops {
    /// How many more stops come first.
    left: Arc<AtomicU64>,
    tell: Sender<Told>,
    told: Receiver<Told>,
    go_on: Sender<()>,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Stopped,
    Done,
}

const NEVER: u64 = u64::MAX;

/// The stops of a writer, and what it is to run at each.
pub fn stops() -> (Stops, impl Fn() + Send + Sync + 'static) {
    let ((tell, told), (go_on, waiting)) = (channel(), channel());
    let (left, waiting) = (Arc::new(AtomicU64::new(NEVER)), Mutex::new(waiting));
    let at_each = {
        let (left, tell) = (left.clone(), tell.clone());
        move || {
            if left.fetch_sub(1, Ordering::Relaxed) == 0 {
                tell.send(Told::Stopped).unwrap();
                // After a test that has failed nobody is left to say so.
                let _ = waiting.lock().unwrap().recv();
            }
        }
    };
    let stops = Stops {
        left,
        tell,
        told,
        go_on,
    };
    (stops, at_each)
}

impl Stops {
    /// Begins something, up to its stop number `at`. `None` if it has fewer.
    pub fn begin<W: Send + 'static>(
        self,
        mut writer: W,
        at: u64,
        run: impl FnOnce(&mut W) + Send + 'static,
    ) -> Option<Stopped<W>> {
        let Stops {
            left,
            tell,
            told,
            go_on,
        } = self;
        left.store(at, Ordering::Relaxed);
        let thread = std::thread::spawn(move || {
            run(&mut writer);
            left.store(NEVER, Ordering::Relaxed);
            let _ = tell.send(Told::Done);
            writer
        });
        let has_stopped = told.recv().unwrap() == Told::Stopped;
        let writer = Stopped { told, go_on, thread };
        has_stopped.then_some(writer)
    }
}

/// A writer that has stopped.
#[derive(Debug)]
pub struct Stopped<W> {
    told: Receiver<Told>,
    go_on: Sender<()>,
    thread: JoinHandle<W>,
}

impl<W> Stopped<W> {
    /// Ends what was begun.
    #[must_use]
    pub fn end(self) -> W {
        self.go_on.send(()).unwrap();
        assert_eq!(self.told.recv(), Ok(Told::Done));
        self.thread.join().unwrap()
    }
}

/// Runs `look` with what it is to run before each of its calls; before call number `at` the writer goes on. Returns what
/// `look` did, what the writer has become, and how many calls there were.
pub fn look_at<W: Send + 'static, T>(
    stopped: Stopped<W>,
    at: u64,
    look: impl FnOnce(Box<dyn Fn() + Send + Sync>) -> T,
) -> (T, W, u64) {
    let calls = Arc::new(AtomicU64::new(0));
    let state = Arc::new(Mutex::new((Some(stopped), None)));
    let go_on = {
        let state = state.clone();
        move || {
            let mut state = state.lock().unwrap();
            if let Some(stopped) = state.0.take() {
                state.1 = Some(stopped.end());
            }
        }
    };
    let before_each = {
        let (calls, go_on) = (calls.clone(), go_on.clone());
        move || {
            if calls.fetch_add(1, Ordering::Relaxed) == at {
                go_on();
            }
        }
    };
    let done = look(Box::new(before_each));
    go_on();
    let writer = state.lock().unwrap().1.take().unwrap();
    (done, writer, calls.load(Ordering::Relaxed))
}

/// Calls `run` with each of so many operations, each of its stops, and the calls of who looks at which the writer goes on:
/// with the first and one of `step`, or with all of them if `WAL_TESTS_SCALE` is set, and with none of them if
/// `may_outlast` says that the look may end first. `run` returns how many calls there were, or `None` if there is no such
/// stop. Returns how often the writer went on later than at the first call.
pub fn everywhere(
    operations: usize,
    step: usize,
    may_outlast: bool,
    run: impl Fn(usize, u64, u64) -> Option<u64>,
) -> u64 {
    let step = if scale() > 1 { 1 } else { step };
    let mut runs = 0;
    for before in 0..operations {
        for stop in 0.. {
            let Some(calls) = run(before, stop, 0) else {
                break;
            };
            let first = 1 + (before as u64 + stop) % step as u64;
            let last = may_outlast.then_some(u64::MAX);
            for at in (first..calls).step_by(step).chain(last) {
                run(before, stop, at);
                runs += 1;
            }
        }
    }
    runs
}
