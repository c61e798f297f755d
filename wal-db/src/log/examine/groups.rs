//! What one write after the other has added to a log, and what its files hold of it.

use std::{path::PathBuf, time::SystemTime};

use serde::Serialize;

use super::inspect;
use crate::{
    error::{Result, WalError, path_text},
    format::{
        GROUP_HEADER_LEN, GroupHeader, SECTOR,
        group::{FLAG_SCHEMAS, FLAG_SEAL},
    },
    log::{
        base::{Base, Extent},
        clock,
        read::{find, view::View},
    },
    lsn::Lsn,
    storage::{System, fs::FileSystem},
    sync::Arc,
};

/// What one write has added to a log: records that became durable together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// The LSN of the first thing in it: a record, unless it is a schema; of a group that holds none, the LSN that one would
    /// have.
    pub lsn: Lsn,
    /// Where it starts in the stream.
    pub start: u64,
    /// How many bytes it takes there, its header and the zeros up to the next group included.
    pub bytes: u64,
    /// How many records were written with it. Some may have been dropped or cut off since.
    pub records: u32,
    /// The number of its first record, counted as in [`Start::Ordinal`](crate::Start::Ordinal).
    pub ordinal: u64,
    /// Which opening or cut of the log it comes after.
    pub epoch: u32,
    /// When it was written, by the clock of the process that wrote it.
    pub time: SystemTime,
    /// When it was written, every record that starts before this place in the stream was durable.
    pub durable: u64,
    /// It has no records, and says that all before it is durable.
    pub is_seal: bool,
    /// Schemas of events are among what it holds.
    pub has_schemas: bool,
}

impl Group {
    fn of(header: &GroupHeader) -> Group {
        Group {
            lsn: Lsn::from_pos(header.pos + GROUP_HEADER_LEN as u64),
            start: header.pos,
            bytes: header.next() - header.pos,
            records: header.count,
            ordinal: header.ordinal,
            epoch: header.epoch,
            time: clock::system_time(header.time_us),
            durable: header.durable,
            is_seal: header.flags & FLAG_SEAL != 0,
            has_schemas: header.flags & FLAG_SCHEMAS != 0,
        }
    }
}

/// The groups of a log, from [`groups`](crate::recovery::groups).
pub struct Groups {
    view: Arc<View>,
    extent: Arc<Extent>,
    next: u64,
    end: u64,
}

/// From one position to before another one. The log is written as far as it is looked at.
pub(crate) fn groups(view: &Arc<View>, from: u64, to: u64) -> Result<Groups> {
    let (extent, written) = (view.base.extent(), view.base.written());
    let next = match extent.skip_cut(from.max(extent.head_group)) {
        from if from >= written => written,
        from => {
            view.look(|extent| find::find_group(&view.base, extent, from))?
                .pos
        }
    };
    Ok(Groups {
        view: view.clone(),
        extent,
        next,
        // A group starts before its first record.
        end: written.min(to.saturating_sub(GROUP_HEADER_LEN as u64)),
    })
}

impl Iterator for Groups {
    type Item = Result<Group>;

    fn next(&mut self) -> Option<Result<Group>> {
        if self.next >= self.end {
            return None;
        }
        let base = &self.view.base;
        let header = match find::header_at(base, self.next) {
            Ok(header) => header,
            Err(error) => return Some(Err(self.after_error(error))),
        };
        self.next = self.extent.skip_cut(header.next());
        Some(Ok(Group::of(&header)))
    }
}

impl Groups {
    /// Goes on after a header that cannot be read.
    fn after_error(&mut self, error: WalError) -> WalError {
        let base = &self.view.base;
        let now = base.now();
        if now.head_group > self.next {
            // A truncation was faster.
            self.next = now.head_group;
            self.extent = now;
        } else {
            let next = find::find_header(base, &self.extent, self.next + SECTOR, self.end);
            self.next = next.ok().flatten().map_or(self.end, |header| header.pos);
        }
        base.store.error(error)
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups")
            .field("next", &self.next)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// What a file holds of a log, from [`segments`](crate::recovery::segments).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Segment {
    /// Its number.
    pub index: u64,
    /// Where it is.
    #[serde(serialize_with = "path_text::one")]
    pub path: PathBuf,
    /// The size of the file in bytes.
    pub file_bytes: u64,
    /// Where its part of the stream starts.
    pub start: u64,
    /// How many bytes of that are in the log: not what was dropped, cut off, or is not written yet.
    pub used_bytes: u64,
    /// What it is to the log.
    pub state: SegmentState,
    /// The first group that starts in it, if one does.
    pub first: Option<Group>,
}

/// What a segment file is to its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SegmentState {
    /// It holds nothing of the log any more, and is removed by the writer.
    Dropped,
    /// Nothing is written to it any more.
    Full,
    /// The log ends in it.
    Newest,
    /// It was made before it is needed.
    Prepared,
}

/// The log is written as far as it is looked at.
pub(crate) fn segments(view: &View) -> Result<Vec<Segment>> {
    let base = &view.base;
    let Some(path) = base.store.location().cloned() else {
        return Ok(Vec::new());
    };
    let fs: Arc<dyn FileSystem> = Arc::new(System);
    let files = inspect::segments(&fs, &path).map_err(|error| base.store.error(error))?;
    let (extent, end) = (base.now(), base.written());
    files
        .into_iter()
        .map(|file| {
            let start = file.index.saturating_mul(base.segment_len);
            let next = match base.segment_len {
                0 => u64::MAX,
                len => start.saturating_add(len),
            };
            let (from, to) = (start.max(extent.head_group), next.min(end));
            let state = match () {
                () if next <= extent.head_group => SegmentState::Dropped,
                () if next < end => SegmentState::Full,
                () if start < end || end == 0 => SegmentState::Newest,
                () => SegmentState::Prepared,
            };
            Ok(Segment {
                first: first_group(base, &extent, from, to)?,
                index: file.index,
                path: file.path,
                file_bytes: file.file_bytes,
                start,
                used_bytes: if from < to { extent.live_bytes(from, to) } else { 0 },
                state,
            })
        })
        .collect()
}

/// The first group that starts in a range; none where that is damaged, or gone.
fn first_group(base: &Base, extent: &Extent, from: u64, to: u64) -> Result<Option<Group>> {
    if from >= to {
        return Ok(None);
    }
    match find::find_header(base, extent, from, to) {
        Ok(header) => Ok(header.as_ref().map(Group::of)),
        Err(WalError::Corruption(_) | WalError::Truncated { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
