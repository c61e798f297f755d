//! Timers, which are state, and waiting for the next one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Now, Rebuilt, State, Store};
use crate::{
    error::{Result, WalError},
    event::{
        codec::Codec,
        schema::{In, Part, Shape, WalSchema, holders, read_as},
    },
    sync::{Deadline, back_off},
};

/// What is to happen at a time, by keys: a part of a [`State`]. An event sets a timer; when it is
/// [due](Store::wait_until_due), a decision appends an event that says so, and that event clears it. So each fires once,
/// also after a crash, and a replay needs no clock.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// # use std::time::Duration;
/// # use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Wal, WalRecord, state::{At, Decision, State, StoreConfig, Timers}};
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "order")]
/// enum Order { Placed { id: u64, remind_at_us: i64 }, Paid { id: u64 }, Reminded { id: u64 } }
///
/// #[derive(Default)]
/// struct Orders { reminders: Timers<u64> }
///
/// impl State for Orders {
///     type Event = Order;
///
///     fn apply(&mut self, event: Order, _: At) {
///         match event {
///             Order::Placed { id, remind_at_us } => { self.reminders.set(id, remind_at_us); }
///             Order::Paid { id } | Order::Reminded { id } => { self.reminders.clear(&id); }
///         }
///     }
/// }
///
/// let log = Wal::with_store(MemStore::new())?.typed::<Order>()?;
/// let orders = log.store::<Orders>(StoreConfig::new())?;
/// orders.commit(Order::Placed { id: 7, remind_at_us: 0 })?;
///
/// // In a thread of its own, until the program ends:
/// if orders.wait_until_due(|orders| orders.reminders.next_us(), Duration::from_secs(1))? {
///     orders.transact(|orders, now| {
///         let due = orders.reminders.due(now.time_us());
///         Ok::<_, ()>(Decision::new(()).events(due.map(|(id, _)| Order::Reminded { id: *id })))
///     }).expect("it refuses nothing");
/// }
/// assert!(orders.read(|orders| orders.reminders.is_empty())?);
/// # Ok::<(), wal_db::WalError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timers<K> {
    by_key: BTreeMap<K, i64>,
    by_time: BTreeSet<(i64, K)>,
}

impl<K: Ord + Clone> Timers<K> {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Timers::default()
    }

    /// Sets the timer of this key, in microseconds since 1970-01-01 00:00 UTC; returns the time that it had before.
    pub fn set(&mut self, key: K, at_us: i64) -> Option<i64> {
        let before = self.clear(&key);
        self.by_time.insert((at_us, key.clone()));
        self.by_key.insert(key, at_us);
        before
    }

    /// Clears the timer of this key; returns the time that it had.
    pub fn clear(&mut self, key: &K) -> Option<i64> {
        let (key, at_us) = self.by_key.remove_entry(key)?;
        self.by_time.remove(&(at_us, key));
        Some(at_us)
    }

    /// When the timer of this key is due.
    #[must_use]
    pub fn get_us(&self, key: &K) -> Option<i64> {
        self.by_key.get(key).copied()
    }

    /// When the next one is due; `None` if there is none.
    #[must_use]
    pub fn next_us(&self) -> Option<i64> {
        self.by_time.first().map(|(at_us, _)| *at_us)
    }

    /// Those that are due at a time, in the order of their times, with these.
    pub fn due(&self, now_us: i64) -> impl Iterator<Item = (&K, i64)> {
        let due = self.by_time.iter().take_while(move |(at_us, _)| *at_us <= now_us);
        due.map(|(at_us, key)| (key, *at_us))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers {
            by_key: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> FromIterator<(K, i64)> for Timers<K> {
    /// Of two times of one key, the last counts.
    fn from_iter<I: IntoIterator<Item = (K, i64)>>(timers: I) -> Self {
        let mut all = Timers::default();
        for (key, at_us) in timers {
            all.set(key, at_us);
        }
        all
    }
}

/// As a map of keys to times.
impl<K: Serialize> Serialize for Timers<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.by_key.serialize(serializer)
    }
}

impl<'de, K: Deserialize<'de> + Ord + Clone> Deserialize<'de> for Timers<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::deserialize(deserializer)?.into_iter().collect())
    }
}

holders! {
    [K] [] Timers<K> = &Shape::Map(Part::Static(K::SCHEMA), Part::Static(<i64 as WalSchema>::SCHEMA));
}

read_as! {
    [K] [] Timers<K> as BTreeMap<In<K, W>, i64> [K: Ord + Clone] =
        |it| it.into_iter().map(|(In(key), at_us)| (key, at_us)).collect();
}

/// # Timers
impl<S: State, C: Codec> Store<S, C> {
    /// Waits until a timer of the newest state is due, `next_us` by the clock that [decisions](Now) have, but not longer than
    /// `timeout`; whether one is. The decision that comes next looks at the state again and finds out which: another
    /// thread may have been faster.
    ///
    /// A timer that is set meanwhile and is due sooner is seen once the event that set it is durable, a millisecond later at
    /// most. Nothing is polled. A clock that is set meanwhile is seen by the next call.
    ///
    /// # Errors
    /// As [`peek`](Self::peek): the log was closed, for example. If it has failed, that.
    pub fn wait_until_due(&self, next_us: impl Fn(&S) -> Option<i64>, timeout: Duration) -> Result<bool> {
        let (shared, deadline) = (self.shared(), Deadline::after(timeout));
        let counting = &shared.counting;
        loop {
            counting.check_not_failed()?;
            let seen = counting.passed();
            let (next, now) = shared.look(|kept| {
                let Rebuilt { state, time_us, .. } = &kept.rebuilt;
                (next_us(state), Now::after(*time_us))
            })?;
            if next.is_some_and(|next| next <= now.time_us()) {
                return Ok(true);
            }
            if counting.is_finished() {
                return Err(WalError::Closed);
            }
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            // By the clock itself, which may show less than the state has seen.
            let clock = Now::after(None).time_us();
            let until_due = next.map(|next| Duration::from_micros(next.saturating_sub(clock).unsigned_abs()));
            let sleep = match (left, until_due) {
                (Some(left), Some(due)) => Some(left.min(due)),
                (left, due) => left.or(due),
            };
            counting.sleep_unless(sleep, || counting.passed() != seen || counting.has_failed());
            if counting.passed() != seen {
                // Events that come one after another need not wake this thread each time.
                back_off(u32::MAX);
            }
        }
    }
}
