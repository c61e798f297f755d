//! What is known of a consumer: where it is, which events wait, and what it is asked to do.

use std::collections::BTreeMap;

use crate::{
    format::consumer::{ConsumerTable, Letter},
    log::Kept,
    lsn::Lsn,
    position::Position,
};

/// So many events that were passed over are listed.
const SKIPPED_LISTED: usize = 1000;

/// Stands for all events of a record that was split.
pub(super) const ALL_PARTS: u32 = u32::MAX;

#[derive(Clone)]
pub(super) struct Book {
    /// The number of the file that it is in.
    pub(super) number: u64,
    /// How often the cursor was saved in that.
    pub(super) saves: u64,
    /// Everything before it was done, or waits, or was passed over. What was appended for that is durable.
    pub(super) cursor: Position,
    pub(super) is_paused: bool,
    /// The first event that waits, of each key.
    pub(super) parked: BTreeMap<String, Letter>,
    /// The newest of those that were passed over, oldest first.
    pub(super) skipped: Vec<Letter>,
    pub(super) skipped_count: u64,
    /// How often the consumer was taken to another place.
    pub(super) moves: u64,
    /// Why the cursor could not be saved the last time.
    pub(super) failure: Option<String>,
    pub(super) is_running: bool,
    /// The run is to end.
    pub(super) is_to_stop: bool,
}

impl Book {
    /// That of a consumer that begins at a place.
    pub(super) fn new(cursor: Position) -> Self {
        Book {
            number: 0,
            saves: 0,
            cursor,
            is_paused: false,
            parked: BTreeMap::new(),
            skipped: Vec::new(),
            skipped_count: 0,
            moves: 0,
            failure: None,
            is_running: false,
            is_to_stop: false,
        }
    }

    pub(super) fn of(kept: Kept) -> Self {
        let Kept {
            number,
            table,
            cursor,
        } = kept;
        let parked = table
            .parked
            .into_iter()
            .map(|letter| (letter.key.clone(), letter));
        Book {
            number,
            saves: table.saves,
            is_paused: table.is_paused,
            parked: parked.collect(),
            skipped: table.skipped,
            skipped_count: table.skipped_count,
            ..Book::new(cursor)
        }
    }

    pub(super) fn to_table(&self) -> ConsumerTable {
        ConsumerTable {
            cursor: self.cursor.to_bytes(),
            saves: 0,
            is_paused: self.is_paused,
            parked: self.parked.values().cloned().collect(),
            skipped: self.skipped.clone(),
            skipped_count: self.skipped_count,
        }
    }

    /// Whether an event waits because its key is parked.
    pub(super) fn withholds(&self, key: &str, event: (Lsn, u32)) -> bool {
        self.parked
            .get(key)
            .is_some_and(|first| (Lsn::new(first.lsn), first.part) <= event)
    }

    pub(super) fn was_skipped(&self, (lsn, part): (Lsn, u32)) -> bool {
        let is_it =
            |letter: &Letter| letter.lsn == lsn.get() && (letter.part == part || letter.part == ALL_PARTS);
        self.skipped.iter().any(is_it)
    }

    pub(super) fn skip(&mut self, letter: Letter) {
        let come_to = self.cursor.lsn().get();
        if self.skipped.len() >= SKIPPED_LISTED
            && let Some(oldest) = self.skipped.iter().position(|letter| letter.lsn < come_to)
        {
            self.skipped.remove(oldest);
        }
        self.skipped.push(letter);
        self.skipped_count = self.skipped_count.saturating_add(1);
    }

    /// Goes on at `cursor` after a cut of what lay from `kept_before` up to `next`: no event of that waits any more.
    pub(super) fn come_back(&mut self, cursor: Position, (kept_before, next): (Lsn, Lsn)) {
        let is_there = |letter: &Letter| letter.lsn < kept_before.get() || letter.lsn >= next.get();
        self.parked.retain(|_, letter| is_there(letter));
        self.skipped.retain(is_there);
        self.cursor = cursor;
    }

    /// Goes to another place: what comes after it is met again. Letters of another log, or of what it was before it was
    /// restored, say nothing of this one.
    pub(super) fn move_to(&mut self, cursor: Position, keeps_letters: bool) {
        let place = (cursor.lsn().get(), cursor.part());
        let is_before = |letter: &Letter| match letter.part {
            ALL_PARTS => letter.lsn < place.0,
            part => (letter.lsn, part) < place,
        };
        self.parked.retain(|_, letter| keeps_letters && is_before(letter));
        self.skipped.retain(|letter| keeps_letters && is_before(letter));
        self.cursor = cursor;
        self.moves += 1;
    }
}
