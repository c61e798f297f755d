//! What is on the medium, what is only in the cache, and every image that a power cut can leave of both.

use super::disk::{Image, SECTOR, Step, write};
use crate::random::Rng;

/// Up to this many things in the cache, every subset is tried.
const EXHAUSTIVE: usize = 12;

/// A medium with its cache.
#[derive(Debug, Clone, Default)]
pub struct Medium {
    durable: Image,
    /// What may arrive, each by itself, in the order in which it was written.
    cache: Vec<Item>,
    /// How long the row is if its length arrives.
    len: usize,
}

#[derive(Debug, Clone)]
struct Item {
    pos: usize,
    bytes: Vec<u8>,
    /// A flush of it has failed: no other one will try.
    given_up: bool,
}

impl Item {
    fn new(pos: usize, bytes: Vec<u8>) -> Item {
        Item {
            pos,
            bytes,
            given_up: false,
        }
    }

    fn end(&self) -> usize {
        self.pos + self.bytes.len()
    }
}

/// What arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Whether each thing in the cache did.
    items: Vec<bool>,
    len: usize,
}

impl Medium {
    /// A medium with nothing in its cache.
    #[must_use]
    pub fn of(image: Image) -> Medium {
        Medium {
            len: image.row.len(),
            durable: image,
            cache: Vec::new(),
        }
    }

    /// Does what the log did.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Write { pos, bytes } => self.write(*pos as usize, bytes),
            Step::Hole { start, end } => self
                .cache
                .push(Item::new(*start as usize, vec![0; (end - start) as usize])),
            Step::Sync => self.sync(),
            Step::FailedSync => self.cache.iter_mut().for_each(|item| item.given_up = true),
            Step::Grow(len) => self.len = self.len.max(*len as usize),
            Step::Truncate(len) => self.truncate(*len as usize),
            Step::Slot { slot, bytes } => self.durable.slots[*slot].clone_from(bytes),
            Step::Mark(_) => {}
        }
    }

    /// What is there if nothing arrives that was not flushed.
    #[must_use]
    pub fn nothing(&self) -> Arrival {
        Arrival {
            items: vec![false; self.cache.len()],
            len: self.durable.row.len(),
        }
    }

    /// What is there if everything arrives.
    #[must_use]
    pub fn all(&self) -> Arrival {
        Arrival {
            items: vec![true; self.cache.len()],
            len: self.len,
        }
    }

    /// Any of the things that can be there.
    #[must_use]
    pub fn any(&self, rng: &mut Rng) -> Arrival {
        // Mostly there, mostly not, or half: each finds other mistakes.
        let odds = [1, 4, 7][rng.below(3)];
        Arrival {
            items: self.cache.iter().map(|_| rng.below(8) < odds).collect(),
            len: match rng.below(2) {
                0 => self.len,
                _ => *self.lengths().get(rng.below(self.lengths().len())).unwrap(),
            },
        }
    }

    /// Whether everything that can be there is tried.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.cache.len() <= EXHAUSTIVE
    }

    /// All that can be there, if the cache is small; else `some` of it.
    pub fn arrivals(&self, rng: &mut Rng, some: usize, mut each: impl FnMut(&Arrival)) {
        if !self.is_small() {
            each(&self.nothing());
            each(&self.all());
            (0..some).for_each(|_| each(&self.any(rng)));
            return;
        }
        for len in self.lengths() {
            // What would lie behind the end makes no difference.
            let before: Vec<usize> = (0..self.cache.len())
                .filter(|&i| self.cache[i].pos < len)
                .collect();
            for subset in 0..1_u32 << before.len() {
                let mut items = vec![false; self.cache.len()];
                for (bit, &item) in before.iter().enumerate() {
                    items[item] = subset & (1 << bit) != 0;
                }
                each(&Arrival { items, len });
            }
        }
    }

    /// The disk after a power cut.
    #[must_use]
    pub fn after(&self, arrival: &Arrival) -> Image {
        let mut image = self.durable.clone();
        for (item, _) in self.cache.iter().zip(&arrival.items).filter(|(_, there)| **there) {
            write(&mut image.row, item.pos, &item.bytes);
        }
        image.row.resize(arrival.len, 0);
        image
    }

    /// What a crash inside `write_slot` leaves of the slot, other than the old bytes and the new ones.
    #[must_use]
    pub fn torn_slots(&self, slot: usize, new: &[u8], rng: &mut Rng) -> Vec<Vec<u8>> {
        let old = &self.durable.slots[slot];
        let mut torn: Vec<Vec<u8>> = (1..new.len().div_ceil(SECTOR))
            .map(|sectors| mixed(old, new, sectors * SECTOR))
            .collect();
        if !self.durable.slots[1 - slot].is_empty() {
            torn.push(mixed(old, new, rng.below(new.len())));
            torn.push(vec![0; new.len()]);
            torn.push((0..new.len()).map(|_| rng.number() as u8).collect());
        }
        torn
    }

    /// The same medium with other bytes in a slot.
    #[must_use]
    pub fn with_slot(&self, slot: usize, bytes: Vec<u8>) -> Medium {
        let mut medium = self.clone();
        medium.durable.slots[slot] = bytes;
        medium
    }

    /// What arrived, for people.
    #[must_use]
    pub fn describe(&self, arrival: &Arrival) -> String {
        let some = |there: bool| {
            let items = self.cache.iter().zip(&arrival.items);
            let items = items.filter(|(_, arrived)| **arrived == there);
            ranges(items.map(|(item, _)| (item.pos, item.end())))
        };
        format!(
            "of {} bytes flushed and {} written, the row has {}; unflushed sectors that arrived: {}; lost: {}",
            self.durable.row.len(),
            self.len,
            arrival.len,
            some(true),
            some(false)
        )
    }

    fn write(&mut self, pos: usize, bytes: &[u8]) {
        self.len = self.len.max(pos + bytes.len());
        let mut done = 0;
        while done < bytes.len() {
            let at = pos + done;
            let len = (SECTOR - at % SECTOR).min(bytes.len() - done);
            let part = &bytes[done..done + len];
            // A sector that gets the bytes it has is no choice.
            let same = self.durable.row.get(at..at + len) == Some(part);
            let pending = |item: &Item| item.pos < at + len && at < item.end();
            if !same || self.cache.iter().any(pending) {
                self.cache.push(Item::new(at, part.to_vec()));
            }
            done += len;
        }
    }

    /// Flushes what no failed flush has given up, and the length.
    fn sync(&mut self) {
        let flushed = Arrival {
            items: self.cache.iter().map(|item| !item.given_up).collect(),
            len: self.len,
        };
        self.durable = self.after(&flushed);
        // What was written again since is not in doubt any more.
        let cache = std::mem::take(&mut self.cache);
        let (given_up, written): (Vec<_>, Vec<_>) = cache.into_iter().partition(|item| item.given_up);
        let again = |item: &Item| {
            let covers = |new: &Item| new.pos <= item.pos && item.end() <= new.end();
            written.iter().any(covers)
        };
        self.cache = given_up.into_iter().filter(|item| !again(item)).collect();
    }

    fn truncate(&mut self, len: usize) {
        self.durable.row.truncate(len);
        self.len = self.len.min(len);
        self.cache.retain_mut(|item| {
            item.bytes.truncate(len.saturating_sub(item.pos));
            !item.bytes.is_empty()
        });
    }

    /// Every length that the row can have; between two things in the cache, all are alike.
    fn lengths(&self) -> Vec<usize> {
        let (from, to) = (self.durable.row.len(), self.len);
        let ends = self.cache.iter().map(Item::end);
        let between = ends.filter(|end| (from..to).contains(end));
        let mut lengths: Vec<usize> = [from, to].into_iter().chain(between).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }
}

/// Names ranges, neighbours as one.
fn ranges(ranges: impl Iterator<Item = (usize, usize)>) -> String {
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for (start, end) in ranges {
        match joined.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => joined.push((start, end)),
        }
    }
    let names: Vec<_> = joined
        .iter()
        .map(|(start, end)| format!("{start}..{end}"))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(" ")
    }
}

/// The first bytes of `new`, and what was there behind them.
fn mixed(old: &[u8], new: &[u8], split: usize) -> Vec<u8> {
    let mut bytes = new[..split].to_vec();
    bytes.extend_from_slice(old.get(split..).unwrap_or_default());
    bytes.resize(bytes.len().max(new.len()), 0);
    bytes
}
