//! The states of entities that were used lately.

use std::collections::HashMap;

use super::entities::Entity;
use crate::{
    index::Item,
    sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, RwLock},
};

/// The state of an entity; `None` until it is folded. One that is not in the cache any more is as good as another.
pub(super) type Kept<S> = Arc<Mutex<Option<Entity<S>>>>;

/// As many states as there may be, of those used lately: when there is no room, the next one goes that was not used since it
/// was last looked at, round and round.
pub(super) struct Cache<S> {
    at_most: usize,
    round: RwLock<Round<S>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

struct Round<S> {
    slots: Vec<Slot<S>>,
    places: HashMap<Arc<Item>, usize>,
    /// Where it is looked next for one to go.
    hand: usize,
}

struct Slot<S> {
    key: Arc<Item>,
    kept: Kept<S>,
    was_used: AtomicBool,
}

/// How a cache of entities is doing, from [`Entities::status`](super::Entities::status).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntitiesStatus {
    /// How many entities are in memory.
    pub cached: usize,
    /// How often the entity that was asked for was in memory.
    pub hits: u64,
    /// How often it was not, and was folded from its events.
    pub misses: u64,
}

impl<S> Cache<S> {
    pub(super) fn of(at_most: usize) -> Self {
        Cache {
            at_most,
            round: RwLock::new(Round {
                slots: Vec::new(),
                places: HashMap::new(),
                hand: 0,
            }),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The state of the entity whose events the item means.
    pub(super) fn get(&self, key: &Item) -> Kept<S> {
        if let Some(kept) = self.round.read().find(key) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return kept;
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let kept = Kept::default();
        if self.at_most == 0 {
            return kept;
        }
        let mut round = self.round.write();
        if let Some(kept) = round.find(key) {
            return kept;
        }
        let gone = round.add(key, kept.clone(), self.at_most);
        drop(round);
        // The program's code may run there, so no lock is held.
        drop(gone);
        kept
    }

    pub(super) fn status(&self) -> EntitiesStatus {
        EntitiesStatus {
            cached: self.round.read().slots.len(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

impl<S> Round<S> {
    fn find(&self, key: &Item) -> Option<Kept<S>> {
        let slot = &self.slots[*self.places.get(key)?];
        // A word that is only read stays in the caches of all processors.
        if !slot.was_used.load(Ordering::Relaxed) {
            slot.was_used.store(true, Ordering::Relaxed);
        }
        Some(slot.kept.clone())
    }

    /// Adds an entity that is not there. Returns the one that had to go.
    fn add(&mut self, key: &Item, kept: Kept<S>, at_most: usize) -> Option<Slot<S>> {
        let key = Arc::new(key.clone());
        let slot = Slot {
            key: key.clone(),
            kept,
            was_used: AtomicBool::new(false),
        };
        if self.slots.len() < at_most {
            self.places.insert(key, self.slots.len());
            self.slots.push(slot);
            return None;
        }
        while self.slots[self.hand].was_used.swap(false, Ordering::Relaxed) {
            self.hand = (self.hand + 1) % self.slots.len();
        }
        let gone = std::mem::replace(&mut self.slots[self.hand], slot);
        self.places.remove(&gone.key);
        self.places.insert(key, self.hand);
        self.hand = (self.hand + 1) % self.slots.len();
        Some(gone)
    }
}
