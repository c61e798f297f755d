//! The open files of a log in segments: as many as a fixed number of descriptors allows, however small the segments are.

use std::io;

use super::fs::File;
use crate::{
    for_now::for_good,
    sync::{Arc, Mutex},
};

/// How many files are open at most, outside a call that opens one.
const OPEN_MAX: usize = if cfg!(wal_shuttle) { 4 } else { 32 };

/// How many of them may hold what was written and not flushed. A file is not closed before it is flushed, because the
/// system tells of a failed write only those that had the file open.
const UNFLUSHED_MAX: usize = OPEN_MAX / 2;

/// Files by their segment, the one that was used last at the end.
#[derive(Debug)]
pub(super) struct Files {
    open: Mutex<Vec<Open>>,
    /// Whether a flush has failed, locked while one goes on: one at a time, and none after a failed one, which was told of
    /// what the next one would not hear of.
    has_failed: Mutex<bool>,
}

#[derive(Debug)]
struct Open {
    segment: u64,
    file: Arc<dyn File>,
    /// Written since its last flush began.
    is_dirty: bool,
    /// A flush of it is going on.
    is_flushing: bool,
}

impl Open {
    fn is_unflushed(&self) -> bool {
        self.is_dirty || self.is_flushing
    }
}

impl Files {
    pub(super) fn new() -> Self {
        Files {
            open: Mutex::new(Vec::new()),
            has_failed: Mutex::new(false),
        }
    }

    /// The file of a segment, opened with `open` if it is not open yet.
    pub(super) fn get(
        &self,
        segment: u64,
        open: impl FnOnce() -> io::Result<Option<Arc<dyn File>>>,
    ) -> io::Result<Option<Arc<dyn File>>> {
        let mut files = self.open.lock();
        if let Some(at) = files.iter().position(|open| open.segment == segment) {
            // One of the last few is not moved to the end.
            if at + 4 < files.len() {
                let open = files.remove(at);
                files.push(open);
                return Ok(files.last().map(|open| open.file.clone()));
            }
            return Ok(Some(files[at].file.clone()));
        }
        let Some(file) = open()? else {
            return Ok(None);
        };
        hold(&mut files, segment, file.clone(), false);
        Ok(Some(file))
    }

    pub(super) fn hold(&self, segment: u64, file: Arc<dyn File>) {
        hold(&mut self.open.lock(), segment, file, false);
    }

    /// Notes that `file` was written to; a flush that begins from now on covers that. Flushes by itself if there is too
    /// much to be flushed.
    ///
    /// # Errors
    /// That of the flush; every flush fails from then on.
    pub(super) fn wrote(&self, segment: u64, file: Arc<dyn File>) -> io::Result<()> {
        let unflushed = {
            let mut files = self.open.lock();
            match files.iter_mut().find(|open| open.segment == segment) {
                Some(open) => (open.file, open.is_dirty) = (file, true),
                // It was closed meanwhile, because so many others were read.
                None => hold(&mut files, segment, file, true),
            }
            files.iter().filter(|open| open.is_unflushed()).count()
        };
        if unflushed > UNFLUSHED_MAX {
            return for_good(self.flush());
        }
        Ok(())
    }

    /// Makes durable what was written before. All files, not just the newest: writes to a segment may still come after
    /// the first write to the next.
    pub(super) fn flush(&self) -> io::Result<()> {
        let mut has_failed = self.has_failed.lock();
        if *has_failed {
            return Err(io::Error::other("an earlier flush has failed"));
        }
        let mut dirty = Vec::new();
        for open in self.open.lock().iter_mut().filter(|open| open.is_dirty) {
            (open.is_dirty, open.is_flushing) = (false, true);
            dirty.push((open.segment, open.file.clone()));
        }
        dirty.sort_by_key(|(segment, _)| *segment);
        let flushed = dirty.iter().try_for_each(|(_, file)| file.sync_data());
        self.open
            .lock()
            .iter_mut()
            .for_each(|open| open.is_flushing = false);
        *has_failed = flushed.is_err();
        flushed
    }

    pub(super) fn forget(&self, keep: impl Fn(u64) -> bool) {
        self.open.lock().retain(|open| keep(open.segment));
    }
}

/// Keeps a file open, instead of the one that was not used for longest.
fn hold(files: &mut Vec<Open>, segment: u64, file: Arc<dyn File>, is_dirty: bool) {
    if files.len() >= OPEN_MAX
        && let Some(oldest) = files.iter().position(|open| !open.is_unflushed())
    {
        files.remove(oldest);
    }
    files.push(Open {
        segment,
        file,
        is_dirty,
        is_flushing: false,
    });
}
