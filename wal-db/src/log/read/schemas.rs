//! Reading one record, and the schema records of a log, which are linked: the newest leads to all that are there.

use bytes::BytesMut;

use super::{
    find,
    record::{Record, RecordKind},
    scan::Walker,
};
use crate::{
    error::{CorruptionReason, Result, WalError},
    format::{
        FRAME_HEADER_LEN, FrameAt, FrameKey, FrameWord, Kind,
        schema::{LINK_LEN, Link},
    },
    log::base::{Base, Extent},
    lsn::Lsn,
    sync::Arc,
};

/// The first guess of how long a record is.
const GUESS: usize = 512;

/// Windows of a log without segments. When its beginning is cut off, less than this stays on the disk for the schemas.
const WINDOW: u64 = 16 << 20;

/// In how many epochs at most a schema is looked for whose own epoch was forgotten. A damaged log can claim very many.
const EPOCHS_TRIED: usize = 1 << 20;

impl Base {
    /// Reads the frame at `pos` alone; `None` if there is none, or its epoch has been forgotten.
    pub(crate) fn read_at_once(&self, extent: &Extent, pos: u64) -> Result<Option<Record>> {
        let Some(epoch) = extent.timeline.epoch_at(pos) else {
            return Ok(None);
        };
        let (found, bytes) = self.look_at(pos, self.key(epoch))?;
        Ok(match found {
            FrameAt::Intact(word) if word.kind != Kind::Void => Some(record_of(extent, pos, word, bytes)),
            _ => None,
        })
    }

    /// What lies at `pos`, read alone, and its bytes.
    fn look_at(&self, pos: u64, key: FrameKey) -> Result<(FrameAt, BytesMut)> {
        let room = self.written().saturating_sub(pos);
        let mut buf = BytesMut::zeroed(GUESS);
        let mut got = self.read(pos, &mut buf)?;
        loop {
            match FrameAt::look(key, pos, &buf[..got], room) {
                FrameAt::Short(len) if got == buf.len() => {
                    buf.resize(len, 0);
                    got += self.read(pos + got as u64, &mut buf[got..])?;
                }
                found => return Ok((found, buf)),
            }
        }
    }

    /// Walks the group that holds `pos`: finds the record, or the damage, or that none starts there.
    pub(crate) fn read_in_group(&self, extent: &Arc<Extent>, pos: u64) -> Result<Record> {
        let lsn = Lsn::from_pos(pos);
        let header = find::find_group(self, extent, pos)?;
        let mut walker = Walker::new(extent.clone(), header.pos, header.next()).with_schemas();
        match walker.next_from(self, pos).transpose()? {
            Some(frame) if frame.pos == pos => Ok(super::iter::owned(&walker, &frame)),
            _ => Err(WalError::NoSuchRecord { lsn }),
        }
    }

    /// The schema records before `end` that are still there, oldest first, of all to which the newest one leads.
    pub(crate) fn schemas_before(&self, newest: Option<u64>, end: u64) -> Result<Vec<Record>> {
        let mut found = Vec::new();
        let mut next = newest.filter(|&pos| self.is_there(pos));
        while let Some(pos) = next {
            let (link, record) = self.schema_frame(pos)?;
            if pos < end {
                found.push(record);
            }
            let before = link.before(pos).map(|(before, _)| before);
            next = before.filter(|&pos| self.is_there(pos));
        }
        found.reverse();
        Ok(found)
    }

    /// The schema record at `pos`, and where it leads.
    pub(crate) fn schema_frame(&self, pos: u64) -> Result<(Link, Record)> {
        let extent = self.extent();
        let record = match self.read_at_once(&extent, pos)? {
            None if extent.timeline.epoch_at(pos).is_none() => self.schema_by_its_group(&extent, pos)?,
            record => record,
        };
        let schema = record.filter(|record| record.kind() == RecordKind::Schema);
        let linked = schema.and_then(|record| Some((Link::parse(record.data(), pos)?.0, record)));
        linked.ok_or_else(|| {
            self.damage(pos, pos + LINK_LEN as u64, CorruptionReason::Schema)
                .into()
        })
    }

    /// Reads a frame by the epoch that its group names: the timeline has forgotten whose the position is, as it does with
    /// the oldest openings of a log that was opened very often.
    fn schema_by_its_group(&self, extent: &Extent, pos: u64) -> Result<Option<Record>> {
        // It may lie before the head: what is in the head's window is there.
        let first = self.window_start(extent.head_group);
        let whole = Extent {
            head: first,
            head_group: first,
            ..extent.clone()
        };
        match self.read_in_group(&Arc::new(whole), pos) {
            Err(WalError::NoSuchRecord { .. }) => Ok(None),
            Err(error @ WalError::Corruption(_)) => {
                self.schema_of_any_epoch(extent, pos)?.map(Some).ok_or(error)
            }
            record => record.map(Some),
        }
    }

    /// Reads a frame of a group that begins before the window, so that its header may be gone: in one of the epochs that
    /// can have been those of the position.
    fn schema_of_any_epoch(&self, extent: &Extent, pos: u64) -> Result<Option<Record>> {
        let (found, bytes) = self.look_at(pos, self.key(extent.timeline.newest().epoch))?;
        Ok(match found {
            FrameAt::Intact(word) | FrameAt::Other(word) if word.kind == Kind::Schema => {
                let record = record_of(extent, pos, word, bytes);
                let epochs = extent.timeline.epochs_around(pos).rev().take(EPOCHS_TRIED);
                let epoch = word.epoch_among(self.log, pos, &record.data, epochs);
                epoch.map(|_| record)
            }
            _ => None,
        })
    }

    /// Whether what was written at `pos` is still there: what lies before the first window may be gone, with all the
    /// records that needed it.
    pub(crate) fn is_there(&self, pos: u64) -> bool {
        pos >= self.window_start(self.extent().head_group)
    }

    /// Where the window of a position begins. What is in it stays as long as a record of it does; what is before that of the
    /// head group may be gone.
    pub(crate) fn window_start(&self, pos: u64) -> u64 {
        pos - pos % self.window_len()
    }

    pub(crate) fn window_len(&self) -> u64 {
        match self.segment_len {
            0 => WINDOW,
            len => len,
        }
    }
}

/// The record in the frame at `pos`, which has these bytes.
fn record_of(extent: &Extent, pos: u64, word: FrameWord, bytes: BytesMut) -> Record {
    Record {
        lsn: Lsn::from_pos(pos),
        kind: RecordKind::of(word.kind),
        more: word.more && !extent.is_cut_at(pos + word.frame_len()),
        data: bytes
            .freeze()
            .slice(FRAME_HEADER_LEN..FRAME_HEADER_LEN + word.len as usize),
    }
}
