//! How a consumer is to work.

use std::{fmt, time::Duration};

use crate::{event::replay::Event, log::Start, sync::Arc};

/// What happens to an event that could not be handled, as often as it was tried, or cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Poison {
    /// The consumer stops, and begins with this event when it is run again.
    #[default]
    Stop,
    /// The event waits, and so do all later ones with its [key](ConsumerConfig::with_key), so that they stay in order. The
    /// others go on. See [`Consumer::parked`](super::Consumer::parked) and [`Consumer::retry`](super::Consumer::retry). If a
    /// thousand keys wait, the consumer stops. A record that cannot be read has a key only where that is its stream;
    /// otherwise the consumer stops at it.
    Park,
    /// It is passed over, and listed by [`Consumer::skipped`](super::Consumer::skipped).
    Skip,
}

/// By what the events are told apart that must stay in order.
pub(super) type KeyOf<E> = Arc<dyn Fn(&Event<E>) -> String + Send + Sync>;

/// Settings of a [`Consumer`](super::Consumer). They are the program's and not stored: they may change from one run to the
/// next.
#[must_use = "it changes nothing by itself"]
pub struct ConsumerConfig<E> {
    pub(super) start: Option<Start>,
    pub(super) attempts: u32,
    pub(super) backoff: (Duration, Duration),
    pub(super) poison: Poison,
    pub(super) others: bool,
    pub(super) window: usize,
    pub(super) key: Option<KeyOf<E>>,
}

impl<E> ConsumerConfig<E> {
    /// A consumer that is kept beside the log already; it tries an event 5 times and stops if that fails.
    pub fn new() -> Self {
        ConsumerConfig {
            start: None,
            attempts: 5,
            backoff: (Duration::from_millis(100), Duration::from_secs(10)),
            poison: Poison::Stop,
            others: false,
            window: 1024,
            key: None,
        }
    }

    /// Where it begins if none of its name is kept beside the log; it makes no difference otherwise. Without it,
    /// that is [`ConsumerError::Unknown`](super::ConsumerError::Unknown).
    ///
    /// [`Start::Head`] handles all events that there are. [`Wal::end`](crate::Wal::end) leaves them out.
    pub fn with_start(mut self, start: impl Into<Start>) -> Self {
        self.start = Some(start.into());
        self
    }

    /// How often an event is tried, 5 times if nothing is said.
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How long to wait before an event is tried again: `first`, and twice as long each time, up to `longest`. 100 ms and
    /// 10 s if nothing is said.
    pub fn with_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = (first, longest.max(first));
        self
    }

    /// What happens to an event that could not be handled.
    pub fn with_poison(mut self, poison: Poison) -> Self {
        self.poison = poison;
        self
    }

    /// Which events must stay in order: those of one key. It is what [lanes](super::Consumer::run_in_lanes) and
    /// [parking](Poison::Park) go by. The stream of the metadata as text if nothing is said, and empty for an event without
    /// one.
    ///
    /// The keys of parked events are stored. If the function changes, [retry](super::Consumer::retry) those first.
    pub fn with_key(mut self, key: impl Fn(&Event<E>) -> String + Send + Sync + 'static) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Whether the log may hold records of other types, which are passed over as
    /// [`Replay::among_others`](crate::Replay::among_others) does. If not, which is the default, such a record cannot be read.
    pub fn with_others(mut self, others: bool) -> Self {
        self.others = others;
        self
    }

    /// How many events may be on their way in [lanes](super::Consumer::run_in_lanes); 1,024 if nothing is said.
    pub fn with_window(mut self, events: usize) -> Self {
        self.window = events.max(1);
        self
    }

    pub(super) fn key_of(&self, event: &Event<E>) -> String {
        match &self.key {
            Some(key) => key(event),
            None => event
                .meta
                .stream()
                .map_or_else(String::new, |stream| stream.to_string()),
        }
    }

    /// How long to wait after so many attempts.
    pub(super) fn backoff_after(&self, attempts: u32) -> Duration {
        let (first, longest) = self.backoff;
        let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        first.saturating_mul(doubled).min(longest)
    }
}

impl<E> Default for ConsumerConfig<E> {
    fn default() -> Self {
        ConsumerConfig::new()
    }
}

impl<E> Clone for ConsumerConfig<E> {
    fn clone(&self) -> Self {
        ConsumerConfig {
            key: self.key.clone(),
            ..*self
        }
    }
}

impl<E> fmt::Debug for ConsumerConfig<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerConfig")
            .field("start", &self.start)
            .field("attempts", &self.attempts)
            .field("backoff", &self.backoff)
            .field("poison", &self.poison)
            .field("others", &self.others)
            .field("window", &self.window)
            .field("key", &self.key.as_ref().map(|_| ".."))
            .finish()
    }
}
