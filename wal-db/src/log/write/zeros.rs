//! Zeros ahead of small commits: flushing a block that was written before costs less than flushing one that was only
//! allocated.

use super::turn::Held;

/// What is written at a time, and the least that is kept ahead. Commits of more bytes do not gain from it.
const AHEAD: u64 = ZEROS.len() as u64;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl Held<'_> {
    /// Writes the next zeros, if the last flush was a small one and has nearly used up those that there are. The next
    /// flush makes them durable with its group, so they cost one write per many commits. They are written in the turn of a
    /// commit because a group and zeros must never race for the same bytes: another thread would wait for its turn, and
    /// wake for nothing after each commit.
    pub(super) fn write_zeros_ahead(&mut self) {
        let Held { writer, committer } = self;
        let is_small = committer.last_flush > 0 && committer.last_flush < AHEAD;
        let open = committer.consumer.open();
        let from = committer.zeroed.max(open);
        let is_near = committer.zeroed < open + AHEAD;
        let is_ready = from + AHEAD <= writer.ring.disk() && writer.base.store.likes_zeros_ahead();
        if !is_small || !is_near || !is_ready || writer.is_poisoned() {
            return;
        }
        match writer.base.store.write_at(from, &ZEROS) {
            Ok(()) => {
                writer.base.store.meter.zero_bytes.add(AHEAD);
                committer.zeroed = from + AHEAD;
            }
            // Some stores fail for good with this error, and then nothing may be added to the log.
            Err(_) if writer.is_poisoned() => writer.fail(),
            Err(_) => {}
        }
    }
}
