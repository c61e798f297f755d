//! Positions that can be stored: what ties them to a log, and whether it still holds.

use super::{find, seek::cut_back, tail::Tail, view::View};
use crate::{
    error::{Result, WalError},
    format::{GROUP_HEADER_LEN, GroupHeader, timeline::EpochStart},
    log::base::Extent,
    lsn::Lsn,
    position::{Anchor, Position},
    sync::Arc,
};

const HEADER_LEN: u64 = GROUP_HEADER_LEN as u64;

/// What starts after this is followed by a group whose first frame is at `pos` or later.
fn before_header(pos: u64) -> u64 {
    pos.saturating_sub(HEADER_LEN + 1)
}

struct Fitting {
    pos: u64,
    /// What was cut off since of what comes before it.
    cut: Option<EpochStart>,
    /// Where what was read ends at the latest.
    read_to: u64,
}

impl View {
    /// The position of whatever comes at `pos` or after it, after `part` events of it: then it is a record that has been
    /// read. Its taker knows the log by `known`, and of what it has read the group `last`, if it has read any.
    pub(crate) fn position_at(
        &self,
        pos: u64,
        part: u32,
        known: &Extent,
        last: Option<&GroupHeader>,
    ) -> Result<Position> {
        // The taker has not heard of a cut that comes after the position.
        let cut = known.timeline.next_cut_after(before_header(pos));
        let cut = cut.filter(|cut| cut.start < pos);
        let read_to = pos + u64::from(part > 0);
        let starts_before = |header: &&GroupHeader| header.pos + HEADER_LEN < read_to;
        let found = match last.filter(starts_before) {
            Some(header) => Some(*header),
            None => {
                self.drain_if_possible(read_to - 1)?;
                self.look(|extent| self.group_before(extent, read_to))?
            }
        };
        Ok(Position {
            log: self.base.log,
            lsn: Lsn::from_pos(pos),
            part,
            read_to: cut.map_or(pos, |cut| cut.cut),
            epoch: known.timeline.newest().epoch,
            anchor: found.map(|header| Anchor {
                group: header.pos,
                digest: header.digest(self.base.log),
            }),
        })
    }

    /// The last group that can hold a record before `pos`; `None` if the log has none.
    fn group_before(&self, extent: &Extent, pos: u64) -> Result<Option<GroupHeader>> {
        let mut below = pos - HEADER_LEN;
        if let Some(cut) = extent.timeline.cut_behind(below) {
            below = cut.cut;
        }
        let below = below.min(self.base.written());
        if below <= extent.head_group {
            return Ok(None);
        }
        find::find_group(&self.base, extent, below - 1).map(Some)
    }

    /// The position of the record at `lsn` or the next one.
    pub(crate) fn position_of(&self, lsn: Lsn) -> Result<Position> {
        let extent = self.base.extent();
        self.check_position(&extent, lsn.pos())?;
        self.position_at(lsn.pos(), 0, &extent, None)
    }

    pub(crate) fn position_after(&self, lsn: Lsn) -> Result<Position> {
        let extent = self.base.extent();
        let record = self.read(lsn)?;
        let end = lsn.pos() + crate::format::frame_len(record.len());
        self.position_at(end, 0, &extent, None)
    }

    /// That the log is the one that the position was taken in, and holds what came before it.
    fn judge(&self, position: &Position) -> Result<Fitting> {
        if position.log != self.base.log {
            return Err(WalError::OtherLog {
                position: position.log.0,
                log: self.base.log.0,
            });
        }
        let pos = position.lsn.pos();
        if let Some(anchor) = position.anchor {
            // Another history may have something else there, which may still be in memory.
            self.drain_if_possible(anchor.group)?;
        }
        self.look(|extent| {
            self.check_position(extent, pos)?;
            let diverged = Err(WalError::Diverged { lsn: position.lsn });
            if position.epoch > extent.timeline.newest().epoch {
                return diverged;
            }
            if let Some(anchor) = position.anchor
                && !self.holds(extent, anchor, position.epoch)?
            {
                return diverged;
            }
            let (from, read_to) = match position.part {
                0 => (before_header(pos), position.read_to),
                // The record at the position has been read.
                _ => (pos, pos + 1),
            };
            let cut = extent.timeline.next_cut_after(from);
            let cut = cut.filter(|cut| cut.cut < read_to);
            let pos = match extent.timeline.cut_behind(pos) {
                // What was cut off there came after it.
                Some(gone) if cut.is_none() => gone.start + HEADER_LEN,
                _ => pos,
            };
            let read_to = match position.part {
                0 => extent.timeline.read_to(read_to),
                _ => read_to,
            };
            Ok(Fitting { pos, cut, read_to })
        })
    }

    /// Whether the log has, or can have had, this group.
    fn holds(&self, extent: &Extent, anchor: Anchor, epoch: u32) -> Result<bool> {
        let Anchor { group, digest } = anchor;
        if let Some(cut) = extent.timeline.cut_around(group) {
            // Its bytes may be gone. The epoch that cut it off came later.
            return Ok(cut.epoch > epoch);
        }
        if group >= self.base.written() {
            return Ok(false);
        }
        if group >= extent.head_group {
            let header = find::find_group(&self.base, extent, group)?;
            return Ok(header.pos == group && header.digest(self.base.log) == digest);
        }
        // It was dropped. The first group that is left names the one before it.
        if extent.timeline.epoch_at(group).is_some_and(|owner| owner > epoch) {
            return Ok(false);
        }
        let before = if extent.head_group < self.base.written() {
            let header = find::read_header(&self.base, extent.head_group)?;
            header.ok().map(|header| (header.prev, header.prev_digest))
        } else {
            let mark = self.base.written_mark();
            (mark.pos == extent.head_group).then_some((mark.prev, mark.prev_digest))
        };
        Ok(match before {
            Some((prev, prev_digest)) if prev == group => prev_digest == digest,
            _ => true,
        })
    }

    pub(crate) fn resolve(&self, position: &Position) -> Result<Lsn> {
        let Fitting { pos, cut, .. } = self.judge(position)?;
        match cut {
            Some(cut) => Err(cut_back(cut)),
            None => Ok(Lsn::from_pos(pos)),
        }
    }

    pub(crate) fn tail_at(self: &Arc<Self>, position: &Position) -> Result<Tail> {
        let Fitting { pos, cut, read_to } = self.judge(position)?;
        match cut {
            // A follower that stands where a cut ends is told of it first.
            Some(cut) => Tail::new(self.clone(), cut.start),
            None => Ok(Tail::new(self.clone(), pos)?.having_read_to(read_to)),
        }
    }
}
