//! The epochs of a log and what was cut off it: which epoch owns a position.

use std::{ops::RangeInclusive, sync::Arc};

use super::{GROUP_HEADER_LEN, SECTOR, checksum::LogId, group::GroupHeader, manifest::Mark, table::Table};

/// How many timeline entries fit a slot.
pub(crate) const MAX_EPOCHS: usize = 2048;

/// How many fit the table of older ones.
pub(crate) const MAX_TABLE: usize = 1 << 22;

/// The highest epoch that is read; those above it are for a program that has the log open.
pub(super) const MAX_EPOCH: u32 = u32::MAX - (1 << 16);

/// From `start` on, groups belong to `epoch`. What lies in `cut..start` was cut off by a truncation: its bytes may
/// still be there, and none of them is a record of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EpochStart {
    pub(crate) start: u64,
    pub(crate) cut: u64,
    pub(crate) epoch: u32,
}

impl EpochStart {
    fn is_before(&self, next: &EpochStart) -> bool {
        self.start < next.start && self.epoch < next.epoch
    }
}

/// How the timeline may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Entries of the manifest, at least 4.
    pub(crate) entries: usize,
    /// Whether the store has a place for a table of what does not fit.
    pub(crate) table: bool,
}

/// What a manifest says of the table of cuts that it has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableName {
    pub(crate) count: u64,
    pub(crate) crc: u32,
}

/// The epochs, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Timeline {
    /// Those that the manifest has no room for; all of them start before the first one of `epochs`.
    pub(super) older: Table,
    /// The table in which they are stored, if one is.
    pub(super) table: Option<TableName>,
    /// The table is still to be written.
    pub(super) is_new: bool,
    pub(super) epochs: Vec<EpochStart>,
    /// The epochs of positions before this one have been forgotten (never their cuts).
    pub(super) forgotten_before: u64,
}

/// What came before the entry is not known.
impl From<EpochStart> for Timeline {
    fn from(first: EpochStart) -> Timeline {
        Timeline {
            epochs: vec![first],
            forgotten_before: first.start,
            ..Timeline::default()
        }
    }
}

impl Timeline {
    pub(crate) fn begin(epoch: u32) -> Self {
        Timeline {
            epochs: vec![EpochStart {
                start: 0,
                cut: 0,
                epoch,
            }],
            ..Timeline::default()
        }
    }

    pub(crate) fn epochs(&self) -> &[EpochStart] {
        &self.epochs
    }

    pub(crate) fn newest(&self) -> EpochStart {
        self.epochs.last().copied().unwrap_or(EpochStart {
            start: 0,
            cut: 0,
            epoch: 0,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.older.len() + self.epochs.len()
    }

    fn get(&self, index: usize) -> Option<EpochStart> {
        match index.checked_sub(self.older.len()) {
            Some(index) => self.epochs.get(index).copied(),
            None => self.older.get(index),
        }
    }

    /// The epoch that owns `pos`, if it is still known.
    pub(crate) fn epoch_at(&self, pos: u64) -> Option<u32> {
        if pos < self.forgotten_before {
            return None;
        }
        Some(self.get(self.begun_by(pos).checked_sub(1)?)?.epoch)
    }

    /// The epochs of which one owns `pos`, or did before it was forgotten.
    pub(crate) fn epochs_around(&self, pos: u64) -> RangeInclusive<u32> {
        let next = self.begun_by(pos);
        let last = next.checked_sub(1).and_then(|last| self.get(last));
        let before = self.get(next).map(|entry| entry.epoch.saturating_sub(1));
        last.map_or(1, |entry| entry.epoch)..=before.unwrap_or(self.newest().epoch)
    }

    /// Whether a group is one of the log's: of the epoch that its place belongs to, as far as that is known, with no other
    /// one that starts inside it, and not cut off.
    pub(crate) fn owns(&self, header: &GroupHeader) -> bool {
        let next = self.begun_by(header.pos);
        let owner = next.checked_sub(1).and_then(|owner| self.get(owner));
        let is_known = header.pos >= self.forgotten_before;
        let is_cut = self.get(next).is_some_and(|next| next.cut <= header.pos);
        !(is_known && owner.is_some_and(|owner| owner.epoch != header.epoch))
            && next == self.begun_by(header.next() - 1)
            && !is_cut
    }

    /// Whether a group continues what comes before `mark`. This is what `docs/format.md` says of it under "Groups"; a
    /// reader that does not know the mark looks at [`owns`](Self::owns) and the chain.
    pub(crate) fn continues(&self, header: &GroupHeader, mark: &Mark) -> bool {
        header.prev_digest == mark.prev_digest
            && header.ordinal == mark.ordinal
            && header.epoch >= mark.epoch
            && self.owns(header)
    }

    /// How many entries start at or before `pos`.
    fn begun_by(&self, pos: u64) -> usize {
        match self.epochs.first() {
            Some(first) if pos < first.start => self.older.begun_by(pos),
            _ => self.older.len() + self.epochs.partition_point(|entry| entry.start <= pos),
        }
    }

    /// Where the log goes on if `pos` was cut off.
    pub(crate) fn cut_around(&self, pos: u64) -> Option<EpochStart> {
        let next = self.get(self.begun_by(pos));
        next.filter(|entry| entry.cut <= pos)
    }

    /// The first cut that ends after `pos`. Entries that cut nothing are in the manifest only, so there are few.
    pub(crate) fn next_cut_after(&self, pos: u64) -> Option<EpochStart> {
        let mut entries = (self.begun_by(pos)..self.len()).filter_map(|index| self.get(index));
        entries.find(|entry| entry.cut < entry.start)
    }

    pub(crate) fn newest_first(&self) -> impl Iterator<Item = EpochStart> {
        self.epochs.iter().rev().copied().chain(self.older.iter().rev())
    }

    pub(crate) fn table(&self) -> Option<TableName> {
        self.table
    }

    /// The bytes of the table, if there is one; it has its name from now on.
    pub(crate) fn sealed(&mut self, log: LogId) -> Option<Arc<Vec<u8>>> {
        if self.older.is_empty() {
            return None;
        }
        if self.is_new {
            (self.table, self.is_new) = (Some(self.older.seal(log)), false);
        }
        Some(self.older.bytes().clone())
    }

    /// Whether the table has to be written before a manifest names it.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.is_new && !self.older.is_empty()
    }

    pub(crate) fn write_again(&mut self) {
        self.is_new = true;
    }

    /// Adds what the table holds. `false`: it is no table that goes before these entries.
    #[must_use]
    pub(crate) fn complete(&mut self, older: Table) -> bool {
        let in_order = older
            .iter()
            .zip(older.iter().skip(1))
            .all(|(one, next)| one.is_before(&next));
        let is_sound = |entry: EpochStart| entry.cut <= entry.start && entry.start.is_multiple_of(SECTOR);
        in_order && older.iter().all(is_sound) && self.go_on_after(older)
    }

    fn go_on_after(&mut self, older: Table) -> bool {
        let pair = older.iter().next_back().zip(self.epochs.first());
        let is_sound = pair.is_none_or(|(last, first)| last.is_before(first));
        if is_sound {
            self.older = older;
        }
        is_sound
    }

    /// Takes the table from another timeline, if that has the one of this name.
    #[must_use]
    pub(crate) fn complete_as(&mut self, other: &Timeline) -> bool {
        self.table == other.table && !other.is_new && self.go_on_after(other.older.clone())
    }

    /// The cut because of which a reader that came to `pos` has read what is gone. It holds the position and does not
    /// start there, or ends there: nothing can start where an epoch does, but a record may have ended there before.
    pub(crate) fn cut_behind(&self, pos: u64) -> Option<EpochStart> {
        let at = pos.checked_sub(1).map_or(0, |before| self.begun_by(before));
        self.get(at).filter(|entry| entry.cut < pos)
    }

    /// Where what a reader has read that came to `pos` ends at the latest: before the epoch, where one begins.
    pub(crate) fn read_to(&self, pos: u64) -> u64 {
        let Some(start) = pos.checked_sub(GROUP_HEADER_LEN as u64) else {
            return pos;
        };
        let at = start.checked_sub(1).map_or(0, |before| self.begun_by(before));
        self.get(at)
            .filter(|entry| entry.start == start)
            .map_or(pos, |entry| entry.cut)
    }

    /// Whether there is a number for one more epoch.
    pub(crate) fn has_number(&self) -> bool {
        self.newest().epoch < MAX_EPOCH
    }

    /// Adds an epoch, with the room that a manifest alone has.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn push(&mut self, next: EpochStart) -> bool {
        let room = Room {
            entries: MAX_EPOCHS,
            table: false,
        };
        self.push_within(next, room)
    }

    /// Adds an epoch. Entries without a record of their own vanish; when the manifest is full the oldest entry that
    /// cuts nothing is forgotten, and the older half of the cuts goes to the table. `false`: it is full of cuts.
    #[must_use]
    pub(crate) fn push_within(&mut self, next: EpochStart, room: Room) -> bool {
        if !self.has_number() {
            return false;
        }
        let mut next = next;
        loop {
            if self.epochs.is_empty() {
                self.take_back(room.entries / 2);
            }
            // Nothing of `last` is left: what it owned is cut off again, or it never owned a byte.
            let Some(last) = self.epochs.last().filter(|last| last.start >= next.cut) else {
                break;
            };
            next.cut = next.cut.min(last.cut);
            self.epochs.pop();
        }
        // Cuts leave room for the epochs of openings, which cannot be refused.
        let is_cut = next.cut < next.start;
        let cuts = self.epochs.iter().filter(|entry| entry.cut < entry.start).count();
        if is_cut && cuts >= room.entries - 2 && !(room.table && self.move_to_table(room.entries / 2)) {
            return false;
        }
        while self.epochs.len() >= room.entries {
            if !(self.forget_oldest(next.start) || room.table && self.move_to_table(room.entries / 2)) {
                return false;
            }
        }
        self.epochs.push(next);
        true
    }

    /// Forgets the oldest entry that cuts nothing.
    fn forget_oldest(&mut self, next_start: u64) -> bool {
        let Some(plain) = self.epochs.iter().position(|entry| entry.cut == entry.start) else {
            return false;
        };
        let known_from = self.epochs.get(plain + 1).map_or(next_start, |entry| entry.start);
        self.forgotten_before = self.forgotten_before.max(known_from);
        self.epochs.remove(plain);
        true
    }

    /// Moves the oldest entries to the table; those among them that cut nothing are forgotten.
    fn move_to_table(&mut self, count: usize) -> bool {
        if self.older.len() + count > MAX_TABLE {
            return false;
        }
        let known_from = self.epochs.get(count).map_or(0, |entry| entry.start);
        let moved = self.epochs.drain(..count.min(self.epochs.len()));
        let (cuts, plain): (Vec<_>, Vec<_>) = moved.partition(|entry| entry.cut < entry.start);
        if !plain.is_empty() {
            self.forgotten_before = self.forgotten_before.max(known_from);
        }
        self.older = self.older.with(self.older.len(), &cuts);
        self.is_new = true;
        true
    }

    /// Takes the newest entries of the table back: everything after them was cut off.
    fn take_back(&mut self, count: usize) {
        if self.older.is_empty() {
            return;
        }
        let kept = self.older.len() - count.min(self.older.len());
        self.epochs = self.older.iter().skip(kept).collect();
        self.older = self.older.with(kept, &[]);
        self.is_new = true;
    }

    /// Forgets what only concerns positions before `head`. The table stays as it is as long as one of its entries is
    /// needed. Returns where the last cut ends that is forgotten; 0 if none is.
    pub(crate) fn drop_before(&mut self, head: u64) -> u64 {
        let owner = self.begun_by(head).saturating_sub(1);
        let Some(owner) = owner.checked_sub(self.older.len()) else {
            return 0;
        };
        let newer = self.epochs[..owner].iter().rev().copied();
        let cut = newer
            .chain(self.older.iter().rev())
            .find(|entry| entry.cut < entry.start)
            .map_or(0, |cut| cut.start);
        self.older = Table::default();
        self.epochs.drain(..owner);
        cut
    }
}
