//! Where the newest event of each term is, in so little memory that it stays in the processor's cache.

/// Finds the place of a term in a list. It has only the places, counted from 1, in as many slots as a power of two: one that is
/// taken passes the next term on to the slot after it. Terms are hashes already, and half of the slots are free.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<u32>,
    taken: usize,
}

impl Table {
    /// The place of a term. `term_at` says which term the place of a slot is about.
    pub(super) fn get(&self, term: u64, term_at: impl Fn(u32) -> u64) -> Option<u32> {
        let place = *self.slots.get(self.slot(term, term_at))?;
        (place > 0).then_some(place)
    }

    /// The place of a term, to be changed; 0 if it has none, and has to get one.
    pub(super) fn entry(&mut self, term: u64, term_at: impl Fn(u32) -> u64) -> &mut u32 {
        if 2 * self.taken >= self.slots.len() {
            self.grow(&term_at);
        }
        let slot = self.slot(term, term_at);
        let place = &mut self.slots[slot];
        if *place == 0 {
            self.taken += 1;
        }
        place
    }

    /// The places of all terms.
    pub(super) fn places(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().copied().filter(|place| *place > 0)
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.taken = 0;
    }

    /// Where a term is, or belongs.
    fn slot(&self, term: u64, term_at: impl Fn(u32) -> u64) -> usize {
        let last = self.slots.len().wrapping_sub(1);
        let mut slot = term as usize & last;
        while let Some(&place) = self.slots.get(slot)
            && place > 0
            && term_at(place) != term
        {
            slot = (slot + 1) & last;
        }
        slot
    }

    fn grow(&mut self, term_at: impl Fn(u32) -> u64) {
        let more = vec![0; (2 * self.slots.len()).max(64)];
        for place in std::mem::replace(&mut self.slots, more) {
            if place > 0 {
                let slot = self.slot(term_at(place), &term_at);
                self.slots[slot] = place;
            }
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
