//! Finding records: by LSN, by ordinal, by time.

use std::time::SystemTime;

use super::{find, iter::WalIter, record::Record, view::View};
use crate::{
    error::{Result, WalError},
    format::{FRAME_HEADER_LEN, GROUP_HEADER_LEN, GroupHeader, SECTOR, timeline::EpochStart},
    log::{base::Extent, clock},
    lsn::Lsn,
    sync::Arc,
};

/// What else a log knows of a record, from [`Wal::locate`](crate::Wal::locate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// The number of the record, counted as in [`Start::Ordinal`](crate::Start::Ordinal).
    pub ordinal: u64,
    /// When the record was written to the store, by the clock of the process that wrote it.
    pub time: SystemTime,
}

/// That nothing was cut off of what a reader at `pos` has read.
pub(crate) fn check_followed(extent: &Extent, pos: u64) -> Result<()> {
    match extent.timeline.cut_behind(pos) {
        Some(cut) => Err(cut_back(cut)),
        None => Ok(()),
    }
}

/// The error for a reader that knows records that were cut off.
pub(crate) fn cut_back(cut: EpochStart) -> WalError {
    WalError::CutBack {
        kept_before: Lsn::from_pos(cut.cut),
        // No record can have ended here, so a follower at this position does not hear of the cut again.
        next: Lsn::from_pos(cut.start + GROUP_HEADER_LEN as u64),
    }
}

impl View {
    /// Looks for something in the log as it is now. If that is damaged or gone, and a truncation came meanwhile, the
    /// truncation may be all that is wrong: then it is looked for again.
    pub(crate) fn look<T>(&self, look: impl Fn(&Arc<Extent>) -> Result<T>) -> Result<T> {
        loop {
            let extent = self.base.extent();
            match look(&extent) {
                Err(WalError::Corruption(_) | WalError::Truncated { .. })
                    if !Arc::ptr_eq(&extent, &self.base.now()) => {}
                result => return result,
            }
        }
    }

    pub(crate) fn read(&self, lsn: Lsn) -> Result<Record> {
        self.look(|extent| self.read_now(extent, lsn))
    }

    fn read_now(&self, extent: &Arc<Extent>, lsn: Lsn) -> Result<Record> {
        let pos = lsn.pos();
        if pos < extent.head {
            // What was cut off is no record, even if nothing before it is left.
            return Err(match extent.timeline.cut_around(pos) {
                Some(_) => WalError::NoSuchRecord { lsn },
                None => WalError::Truncated {
                    lsn,
                    head: Lsn::from_pos(extent.head),
                },
            });
        }
        match self.drain_to(pos) {
            Err(error) if error.is_for_now() => {
                self.check_written(lsn, || error.of_what_was_taken())?;
            }
            Ok(()) | Err(WalError::InDoubt { .. } | WalError::Poisoned { .. }) if self.is_poisoned() => {
                self.check_written(lsn, || self.in_doubt())?
            }
            result => result?,
        }
        if let Some(staged) = self.staged_at(pos) {
            return staged.read(lsn);
        }
        if pos.saturating_add(FRAME_HEADER_LEN as u64) > self.base.written()
            || !pos.is_multiple_of(FRAME_HEADER_LEN as u64)
            || extent.timeline.cut_around(pos).is_some()
        {
            return Err(WalError::NoSuchRecord { lsn });
        }
        match self.base.read_at_once(extent, pos)? {
            Some(record) => Ok(record),
            None => self.base.read_in_group(extent, pos),
        }
    }

    /// What holds `pos` if that is in the staging memory of another process.
    fn staged_at(&self, pos: u64) -> Option<Arc<View>> {
        let staged = self.staged()?;
        (pos >= staged.base.extent().head_group).then_some(staged)
    }

    /// Refuses to read what was appended and did not get into the store; `why` says what became of it.
    fn check_written(&self, lsn: Lsn, why: impl FnOnce() -> WalError) -> Result<()> {
        if (self.base.written() + GROUP_HEADER_LEN as u64..self.end()).contains(&lsn.pos()) {
            return Err(why().about(lsn));
        }
        Ok(())
    }

    /// That the log has everything from `pos` on that it ever had there, and reaches that far. This is the one place where
    /// a position that was kept elsewhere is judged; what was cut off around it is for the caller to say or to jump over.
    pub(crate) fn check_position(&self, extent: &Extent, pos: u64) -> Result<()> {
        extent.check_kept(pos)?;
        self.check_end(pos)
    }

    /// That the record at `lsn` was not cut off.
    pub(crate) fn check_not_cut(&self, lsn: Lsn) -> Result<()> {
        match self.base.extent().timeline.cut_around(lsn.pos()) {
            Some(cut) => Err(cut_back(cut)),
            _ => Ok(()),
        }
    }

    /// Up to where the log has to be durable for the record at `lsn` to be: a group is durable as a whole, and a batch is in
    /// one. In a race with a cut a schema can have come after its record; then up to that.
    pub(crate) fn durable_target(&self, lsn: Lsn) -> Result<u64> {
        let pos = lsn.pos();
        if pos >= self.end() {
            return Err(WalError::NoSuchRecord { lsn });
        }
        Ok(self.dictionary.newest().map_or(pos, |schema| schema.max(pos)) + 1)
    }

    /// That nothing was cut off of what a reader at `pos` has read.
    pub(crate) fn check_followed(&self, pos: u64) -> Result<()> {
        check_followed(&self.base.extent(), pos)
    }

    pub(crate) fn check_end(&self, pos: u64) -> Result<()> {
        if pos > self.end() && self.is_read_only() {
            // A reader may not have looked for a while.
            self.refresh(true)?;
        }
        let end = self.end();
        if pos > end {
            return Err(WalError::BeyondEnd {
                lsn: Lsn::from_pos(pos),
                end: Lsn::from_pos(end),
            });
        }
        Ok(())
    }

    /// The group to start at to find the records from `pos` on, a position that is checked.
    pub(crate) fn walk_start(&self, pos: u64) -> Result<u64> {
        let group = self.look(|extent| {
            self.check_position(extent, pos)?;
            self.group_at(extent, pos)
        });
        match group {
            // The walk meets the damage, and says whether it is in its way.
            Err(WalError::Corruption(damage)) => Ok(damage.start),
            group => group,
        }
    }

    /// Iterates over the records from `from` on and before `to`; from the first one if `from` is not given. They are read
    /// as the log was when this was called. Nothing is flushed before the walk has come to it.
    pub(crate) fn iter_positions(self: &Arc<Self>, from: Option<u64>, to: u64) -> Result<WalIter> {
        self.check_usable()?;
        self.refresh(true)?;
        let to = to.min(self.end());
        match from {
            Some(from) => Ok(WalIter::new(self.clone(), self.walk_start(from)?, from, to)),
            None => {
                let extent = self.base.extent();
                Ok(WalIter::new(self.clone(), extent.head_group, extent.head, to))
            }
        }
    }

    /// Where to start walking to find the records from `pos` on.
    pub(crate) fn group_at(&self, extent: &Extent, pos: u64) -> Result<u64> {
        let written = self.base.written();
        // What was cut off may end where the log does.
        let pos = extent.skip_cut(pos);
        if pos >= written {
            return Ok(written);
        }
        if pos <= extent.head {
            return Ok(extent.head_group);
        }
        Ok(find::find_group(&self.base, extent, pos)?.pos)
    }

    pub(crate) fn iter_from_time(self: &Arc<Self>, time: SystemTime) -> Result<WalIter> {
        // The time of staged records is known only once they are written.
        self.drain_if_possible(u64::MAX)?;
        let to = self.end();
        let (group, from) = self.look(|extent| Ok((self.first_group_from(extent, time)?, extent.head)))?;
        Ok(WalIter::new(self.clone(), group, from, to))
    }

    /// Where the first group starts that was written at `time` or later.
    pub(crate) fn first_group_from(&self, extent: &Extent, time: SystemTime) -> Result<u64> {
        let is_before = |header: &GroupHeader| header.time_us < clock::micros(time);
        let mut high = self.base.written();
        let Some(mut low) = find::find_header(&self.base, extent, extent.head_group, high)? else {
            return Ok(extent.head_group);
        };
        while low.next() < high {
            let middle = low.next() + (high - low.next()) / 2 / SECTOR * SECTOR;
            match find::find_header(&self.base, extent, middle, high)? {
                Some(header) if is_before(&header) => low = header,
                _ => high = middle,
            }
        }
        Ok(if is_before(&low) {
            low.next()
        } else {
            extent.head_group
        })
    }

    /// The number of the record at `lsn`, and when it was written to the store.
    pub(crate) fn locate(&self, lsn: Lsn) -> Result<Location> {
        self.look(|extent| {
            self.read_now(extent, lsn)?;
            if let Some(staged) = self.staged_at(lsn.pos()) {
                return staged.locate(lsn);
            }
            let header = find::find_group(&self.base, extent, lsn.pos())?;
            Ok(Location {
                ordinal: header.ordinal + self.index_in_group(extent, &header, lsn.pos())?,
                time: clock::system_time(header.time_us),
            })
        })
    }
}
