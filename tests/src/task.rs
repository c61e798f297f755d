//! Futures and streams that a test polls by hand, and how often their task was woken.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Condvar, Mutex},
    task::{Context, Poll, Wake, Waker},
};

use futures_core::Stream;

use crate::PATIENCE;

#[derive(Default)]
struct Wakes {
    count: Mutex<usize>,
    more: Condvar,
}

/// What others have of a task.
#[derive(Default)]
struct Handle(Arc<Wakes>);

impl Wake for Handle {
    fn wake(self: Arc<Self>) {
        let wakes = self.0.clone();
        // A test that is woken counts the others that can still wake it.
        drop(self);
        *wakes.count.lock().unwrap() += 1;
        wakes.more.notify_all();
    }
}

/// A task, as a runtime has them, that runs when the test polls it.
#[derive(Default)]
pub struct Task {
    handle: Arc<Handle>,
}

impl Task {
    /// One that was not woken yet.
    #[must_use]
    pub fn new() -> Task {
        Task::default()
    }

    fn with_context<T>(&self, run: impl FnOnce(&mut Context<'_>) -> T) -> T {
        run(&mut Context::from_waker(&Waker::from(self.handle.clone())))
    }

    /// Polls a future.
    pub fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        self.with_context(|context| Pin::new(future).poll(context))
    }

    /// Polls a stream.
    pub fn poll_next<S: Stream + Unpin>(&self, stream: &mut S) -> Poll<Option<S::Item>> {
        self.with_context(|context| Pin::new(stream).poll_next(context))
    }

    /// How often it was woken since this was asked last.
    #[must_use]
    pub fn wakes(&self) -> usize {
        std::mem::take(&mut *self.handle.0.count.lock().unwrap())
    }

    /// How often it was woken since this was asked last. Waits for the first time.
    #[must_use]
    pub fn wait(&self) -> usize {
        let wakes = &self.handle.0;
        let count = wakes.count.lock().unwrap();
        let waited = wakes
            .more
            .wait_timeout_while(count, PATIENCE, |count| *count == 0);
        let (mut count, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "nobody wakes the task");
        std::mem::take(&mut *count)
    }

    /// How many others can wake it.
    #[must_use]
    pub fn wakers(&self) -> usize {
        Arc::strong_count(&self.handle) - 1
    }
}

/// Runs a future in this thread, which polls it again only if it was woken.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let (task, mut future) = (Task::new(), pin!(future));
    loop {
        if let Poll::Ready(output) = task.poll(&mut future) {
            return output;
        }
        let _ = task.wait();
    }
}

/// The next item of a stream, as a future that may be dropped.
pub fn next<S: Stream + Unpin>(stream: &mut S) -> impl Future<Output = Option<S::Item>> + Unpin {
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context))
}
