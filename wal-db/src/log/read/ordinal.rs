//! Records by their number: the ordinal of a record, and the record of an ordinal.

use super::{
    find,
    iter::{WalIter, owned},
    record::Record,
    scan::Walker,
    view::View,
};
use crate::{
    error::{CorruptionReason, Result, WalError},
    format::{GroupHeader, SECTOR},
    log::base::Extent,
    lsn::{Lsn, Pos},
    sync::{Arc, Mutex},
};

const MOST: usize = 1024;

/// Groups that were met when ordinals were looked for, in order: the next search starts between two of them.
#[derive(Default)]
pub(crate) struct Ordinals(Mutex<Known>);

#[derive(Default)]
struct Known {
    extent: Option<Arc<Extent>>,
    groups: Vec<(u64, Pos)>,
}

impl Known {
    fn is_of(&self, extent: &Arc<Extent>) -> bool {
        self.extent
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, extent))
    }
}

/// Groups between which an ordinal lies: at or after the first header, and before the group at `pos`, whose first record
/// has `ordinal`.
struct Between {
    low: GroupHeader,
    pos: u64,
    ordinal: u64,
}

impl Ordinals {
    /// The last known group with an ordinal of at most `ordinal`, and the first with a higher one, as ordinals and
    /// positions.
    fn around(&self, extent: &Arc<Extent>, ordinal: u64) -> [Option<(u64, Pos)>; 2] {
        let known = self.0.lock();
        if !known.is_of(extent) {
            return [None; 2];
        }
        let at = known.groups.partition_point(|group| group.0 <= ordinal);
        let low = at.checked_sub(1).map(|at| known.groups[at]);
        [low, known.groups.get(at).copied()]
    }

    fn remember(&self, extent: &Arc<Extent>, header: &GroupHeader) {
        let mut known = self.0.lock();
        if !known.is_of(extent) {
            *known = Known {
                extent: Some(extent.clone()),
                groups: Vec::new(),
            };
        }
        if known.groups.len() == MOST {
            let mut nth = 0usize;
            known.groups.retain(|_| {
                nth += 1;
                nth.is_multiple_of(2)
            });
        }
        let group = (header.ordinal, Pos(header.pos));
        if let Err(at) = known.groups.binary_search(&group) {
            known.groups.insert(at, group);
        }
    }
}

impl View {
    /// How many records of the group come before the one at `pos`.
    pub(crate) fn index_in_group(&self, extent: &Arc<Extent>, header: &GroupHeader, pos: u64) -> Result<u64> {
        let mut walker = Walker::new(extent.clone(), header.pos, header.next());
        let mut before = 0;
        let damage = loop {
            match walker.next_frame(&self.base) {
                Some(Ok(frame)) if frame.pos < pos => before += 1,
                Some(Err(error @ WalError::Corruption(_))) if walker.pos() < pos => break error,
                Some(Err(error)) => return Err(error),
                _ => return Ok(before),
            }
        };
        // What lies after the damage can be counted from the end.
        let mut walker = Walker::new(extent.clone(), header.pos, header.next());
        let mut rest = 0;
        while let Some(frame) = walker.next_from(&self.base, pos) {
            frame?;
            rest += 1;
        }
        self.kept_in_group(extent, header)?
            .checked_sub(rest)
            .ok_or(damage)
    }

    /// How many records of the group the log has: what its header says, unless some of them were cut off.
    fn kept_in_group(&self, extent: &Extent, header: &GroupHeader) -> Result<u64> {
        if is_whole(extent, header) {
            return Ok(u64::from(header.count));
        }
        let next = extent.skip_cut(header.end() - 1);
        let ordinal = match self.base.written_mark() {
            mark if mark.pos == next => mark.ordinal,
            _ => find::header_at(&self.base, next)?.ordinal,
        };
        Ok(ordinal.saturating_sub(header.ordinal))
    }

    /// What holds the record with this number if that is in the staging memory of another process.
    fn staged_from_ordinal(&self, ordinal: u64) -> Option<Arc<View>> {
        let staged = self.staged()?;
        (ordinal >= staged.base.extent().head_ordinal).then_some(staged)
    }

    /// The record with this number; `None` if the log has none yet.
    pub(crate) fn read_ordinal(&self, ordinal: u64) -> Result<Option<Record>> {
        if let Some(staged) = self.staged_from_ordinal(ordinal) {
            return staged.read_ordinal(ordinal);
        }
        self.look(|extent| {
            let Some(header) = self.group_of_ordinal(extent, ordinal)? else {
                return Ok(None);
            };
            let pos = self.nth_in_group(extent, &header, ordinal)?;
            let mut walker = Walker::new(extent.clone(), header.pos, header.next());
            let frame = walker.next_from(&self.base, pos).transpose()?;
            Ok(frame.map(|frame| owned(&walker, &frame)))
        })
    }

    pub(crate) fn iter_from_ordinal(self: &Arc<Self>, ordinal: u64) -> Result<WalIter> {
        self.drain_if_possible(if ordinal < self.base.ordinal() {
            0
        } else {
            u64::MAX
        })?;
        if let Some(staged) = self.staged_from_ordinal(ordinal) {
            return staged.iter_from_ordinal(ordinal);
        }
        let (group, from) = self.look(|extent| {
            let Some(header) = self.group_of_ordinal(extent, ordinal)? else {
                let written = self.base.written();
                return Ok((written, written));
            };
            match self.nth_in_group(extent, &header, ordinal) {
                Ok(from) => Ok((header.pos, from)),
                // The walk says so.
                Err(WalError::Corruption(damage)) if Arc::ptr_eq(extent, &self.base.extent()) => {
                    Ok((header.pos, damage.start))
                }
                Err(error) => Err(error),
            }
        })?;
        Ok(WalIter::new(self.clone(), group, from, self.end()))
    }

    /// Where the record with this number is, which is in this group if any group of the log has it.
    fn nth_in_group(&self, extent: &Arc<Extent>, header: &GroupHeader, ordinal: u64) -> Result<u64> {
        let mut walker = Walker::new(extent.clone(), header.pos, header.next());
        let mut at = header.ordinal;
        let damage = loop {
            match walker.next_frame(&self.base) {
                Some(Ok(frame)) if at == ordinal => return Ok(frame.pos),
                Some(Ok(_)) => at += 1,
                Some(Err(error @ WalError::Corruption(_))) => break error,
                Some(Err(error)) => return Err(error),
                // The log has the record, so a group is lost.
                None => {
                    let (pos, reason) = (header.next(), CorruptionReason::GroupHeader);
                    return Err(self.base.damage(pos, pos, reason).into());
                }
            }
        };
        // What lies after the damage can be counted from the end.
        let kept = self.kept_in_group(extent, header)?;
        let Some(left) = (header.ordinal + kept).checked_sub(ordinal) else {
            return Err(damage);
        };
        let mut intact = Vec::new();
        walker.resync(&self.base)?;
        while let Some(frame) = walker.next_frame(&self.base) {
            match frame {
                Ok(frame) => intact.push(frame.pos),
                Err(WalError::Corruption(_)) => {
                    intact.clear();
                    walker.resync(&self.base)?;
                }
                Err(error) => return Err(error),
            }
        }
        let nth = (intact.len() as u64).checked_sub(left);
        nth.and_then(|nth| intact.get(nth as usize).copied())
            .ok_or(damage)
    }

    /// The group that holds the record with this number; `None` if the log has none yet.
    fn group_of_ordinal(&self, extent: &Arc<Extent>, ordinal: u64) -> Result<Option<GroupHeader>> {
        if ordinal < extent.head_ordinal {
            return Err(WalError::Truncated {
                lsn: Lsn::from_pos(extent.dropped.saturating_sub(1)),
                head: Lsn::from_pos(extent.head),
            });
        }
        if ordinal >= self.base.ordinal() {
            self.drain_if_possible(u64::MAX)?;
        }
        let end = self.base.written_mark();
        if ordinal >= end.ordinal {
            return Ok(None);
        }
        let [low, high] = self.ordinals.around(extent, ordinal);
        let (high_ordinal, Pos(high)) = high.unwrap_or((end.ordinal, Pos(end.pos)));
        let low = low.map_or(extent.head_group, |(_, Pos(low))| low);
        let low = match find::read_header(&self.base, low)? {
            Ok(header) if extent.timeline.owns(&header) => header,
            _ => return Err(self.base.damage(low, high, CorruptionReason::GroupHeader).into()),
        };
        let between = Between {
            low,
            pos: high,
            ordinal: high_ordinal,
        };
        let found = self.search(extent, ordinal, between)?;
        self.ordinals.remember(extent, &found);
        Ok(Some(found))
    }

    /// The last group whose first record has this number or a lower one. Guesses where it is, as if all records were of
    /// one length, and every other time halves what is left.
    fn search(&self, extent: &Extent, ordinal: u64, mut between: Between) -> Result<GroupHeader> {
        let mut halve = false;
        loop {
            let Between {
                low,
                pos,
                ordinal: high,
            } = &mut between;
            let next = low.ordinal + u64::from(low.count);
            if ordinal < next && is_whole(extent, low) || low.next() >= *pos {
                return Ok(*low);
            }
            let room = *pos - low.next();
            let records = high.saturating_sub(next);
            let guess = if halve || records == 0 {
                room / 2
            } else {
                (u128::from(room) * u128::from(ordinal.saturating_sub(next)) / u128::from(records)) as u64
            };
            let middle = low.next() + guess.min(room - 1) / SECTOR * SECTOR;
            match find::find_header(&self.base, extent, middle, *pos)? {
                Some(header) if header.ordinal <= ordinal => *low = header,
                Some(header) => (*pos, *high) = (middle, header.ordinal),
                None => *pos = middle,
            }
            halve = !halve;
        }
    }
}

/// Whether nothing of the group was cut off, so that it has as many records as its header says.
fn is_whole(extent: &Extent, header: &GroupHeader) -> bool {
    extent.timeline.cut_around(header.end() - 1).is_none()
}
