//! Making sure that the segments of a log are there, beside a writer as well.

use std::io;

use super::{SegmentedStore, segment_name};
use crate::{
    format::LogId,
    storage::{Identity, StoreFault, file::attach_header, fs::Access, sys},
    sync::Ordering,
};

impl SegmentedStore {
    pub(super) fn attach_here(&self, log: &Identity) -> io::Result<()> {
        *self.log.lock() = Some(LogId(log.log_id));
        // A reader attaches again when the log has moved on: an unused segment may have gone and been made anew.
        self.files.forget(|_| false);
        if log.read_only {
            self.needed.store(log.newest_segment, Ordering::Release);
        }
        if log.read_only && log.in_use && self.attach_without_listing(log)? {
            return Ok(());
        }
        let mut indexes = self.listed()?;
        let last = indexes.last().copied();
        self.last.store(last.unwrap_or(0), Ordering::Release);
        let there = |index: &u64| indexes.binary_search(index).is_ok();
        let never_used = indexes.is_empty() && log.newest_segment == 0 && log.head / self.segment_len == 0;
        if !never_used {
            let first = log.head / self.segment_len;
            if let Some(segment) = (first..=log.newest_segment).find(|index| !there(index)) {
                return Err(StoreFault::Missing { segment }.error());
            }
        }
        self.check_later(&mut indexes, log.newest_segment)?;
        let last = indexes.last().copied();
        self.last.store(last.unwrap_or(0), Ordering::Release);
        if let Some(segment) = last.filter(|_| !log.read_only) {
            // It may have been cut by a process that died before that was durable.
            match self.dir.open(segment_name(segment).as_ref(), Access::Write) {
                Ok(file) => file.sync_data()?,
                Err(error) if sys::is_not_a_file(&error) => return Err(StoreFault::Wrong { segment }.error()),
                Err(error) => return Err(error),
            }
        }
        self.attached.store(true, Ordering::Release);
        *self.prepared.lock() = self.writable()?;
        Ok(())
    }

    /// Attaches to a log that is being written, by the names that its manifest has: listing a directory, or looking up
    /// a name that is not there, keeps its writer from making and removing names until the reader gets a processor. The
    /// head may have moved meanwhile: then a segment is missing that the next manifest does not name. `false`: nothing
    /// is there, and a listing says whether that is right.
    pub(super) fn attach_without_listing(&self, log: &Identity) -> io::Result<bool> {
        if self.attached.load(Ordering::Acquire) {
            // The read of a missing segment reports it.
            self.last.fetch_max(log.newest_segment, Ordering::Release);
            return Ok(true);
        }
        for segment in log.head / self.segment_len..=log.newest_segment {
            match self.file_len(segment) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return match log.newest_segment {
                        0 => Ok(false),
                        _ => Err(StoreFault::Missing { segment }.error()),
                    };
                }
                len => len.map(drop)?,
            }
        }
        self.last.store(log.newest_segment, Ordering::Release);
        self.attached.store(true, Ordering::Release);
        Ok(true)
    }

    /// That the segments which no manifest names yet are the log's, and that none is missing before one that is there. Its
    /// writer may be making some, in order, or removing some, the last first; a directory is not listed in one moment, so a
    /// segment that was not listed may be there.
    pub(super) fn check_later(&self, indexes: &mut Vec<u64>, newest: u64) -> io::Result<()> {
        let named = indexes.partition_point(|&index| index <= newest);
        let mut expected = newest + 1;
        for at in named..indexes.len() {
            let index = indexes[at];
            let mut missing = None;
            while named > 0 && expected < index {
                if !self.is_later(expected)? {
                    missing = Some(expected);
                    break;
                }
                expected += 1;
            }
            if !self.is_later(index)? {
                indexes.truncate(at);
                break;
            }
            if let Some(segment) = missing {
                return Err(StoreFault::Missing { segment }.error());
            }
            expected = index + 1;
        }
        Ok(())
    }

    /// Whether a segment that no manifest names is there.
    pub(super) fn is_later(&self, index: u64) -> io::Result<bool> {
        let Err(error) = self.check_segment(index) else {
            return Ok(true);
        };
        match StoreFault::of(&error) {
            Some(StoreFault::Missing { .. }) => Ok(false),
            Some(StoreFault::Wrong { segment }) => Err(StoreFault::Foreign { segment }.error()),
            _ => Err(error),
        }
    }

    /// The file of a segment as it is there now.
    pub(super) fn check_segment(&self, index: u64) -> io::Result<()> {
        let log = self.attached()?;
        let file = match self.dir.open(segment_name(index).as_ref(), Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreFault::Missing { segment: index }.error());
            }
            Err(error) if sys::is_not_a_file(&error) => {
                return Err(StoreFault::Wrong { segment: index }.error());
            }
            file => file?,
        };
        attach_header(&*file, 0, log, index, self.segment_len, true)
    }
}
