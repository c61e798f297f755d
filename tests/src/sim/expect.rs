//! What may be read after a crash, and what it means if something else is.

use std::sync::Arc;

use wal_db::Lsn;

use crate::Entry;

/// A record that was appended.
#[derive(Debug, Clone)]
pub struct Known {
    /// Where it is, if `append` has said so.
    pub lsn: Option<Lsn>,
    /// What it holds.
    pub data: Arc<[u8]>,
    /// Whether a batch goes on after it.
    pub more: bool,
}

impl Known {
    fn is(&self, entry: &Entry) -> bool {
        self.lsn.is_none_or(|lsn| lsn == entry.0) && *self.data == *entry.1
    }
}

/// What the log has promised at some moment. Records are counted in `records`.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// What was appended and not cut off, with what is being appended.
    pub records: Arc<Vec<Known>>,
    /// The first record that is left; two while a truncation is under way.
    pub heads: [usize; 2],
    /// So many are durable.
    pub durable: usize,
    /// So many were durable before the last flush.
    pub certain: usize,
    /// So many survive the process.
    pub survive: usize,
    /// Where a truncation that is under way cuts.
    pub cut: Option<usize>,
    /// The stream up to here is durable.
    pub durable_pos: u64,
    /// The stream up to here is durable, and something later on the disk says so.
    pub certain_pos: u64,
}

/// What a crash did to the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it has to be.
    Kept,
    /// Something was read that was not written there, or half of a batch, or what was cut off.
    Resurrected,
    /// Acknowledged records are missing that the last flush had made durable.
    LostLast,
    /// Acknowledged records are missing that an earlier flush had made durable.
    LostEarlier,
}

impl Expect {
    /// What has to be there if the process died and the machine went on.
    #[must_use]
    pub fn after_death(&self) -> Expect {
        Expect {
            durable: self.durable.max(self.survive),
            ..self.clone()
        }
    }

    /// Judges what was read.
    #[must_use]
    pub fn judge(&self, found: &[Entry]) -> Verdict {
        let verdicts = [0, 1].map(|which| self.judge_from(which, found));
        if verdicts[0] == Verdict::Resurrected {
            verdicts[1]
        } else if verdicts[1] == Verdict::Kept {
            Verdict::Kept
        } else {
            verdicts[0]
        }
    }

    /// Judges what was read as if the log started at one of the heads.
    fn judge_from(&self, which: usize, found: &[Entry]) -> Verdict {
        let head = self.heads[which];
        let Some(end) = self.end_of(head, found) else {
            return Verdict::Resurrected;
        };
        // A head moves when what stands there is durable, so it is there as well.
        let moving = which == 1 && head != self.heads[0];
        let least = if moving {
            (head + 1).min(self.records.len())
        } else {
            0
        };
        if self.cut == Some(end) {
            return Verdict::Kept;
        }
        match end {
            end if end >= self.durable.max(least) && self.is_whole(end) => Verdict::Kept,
            end if end >= self.durable => Verdict::Resurrected,
            end if end >= self.certain => Verdict::LostLast,
            _ => Verdict::LostEarlier,
        }
    }

    /// Where the records end that were read, if they start at `head` and are those that were written.
    pub(super) fn end_of(&self, head: usize, found: &[Entry]) -> Option<usize> {
        let known = self.records.get(head..head + found.len())?;
        let same = known.iter().zip(found).all(|(known, entry)| known.is(entry));
        same.then_some(head + found.len())
    }

    fn is_whole(&self, end: usize) -> bool {
        end.checked_sub(1).is_none_or(|last| !self.records[last].more)
    }
}
