//! A log in any state as text, for tests and for people.

use std::{collections::VecDeque, path::Path};

use super::salvage::{self, Found, Salvage};
use crate::{
    error::{Corruption, Result},
    format::{
        FrameWord, GroupHeader, Kind,
        group::{FLAG_SCHEMAS, FLAG_SEAL},
    },
    log::read::find,
    lsn::Lsn,
    storage::fs::FileSystem,
    sync::Arc,
};

/// The lines of a log, from [`dump`](crate::testing::dump).
#[derive(Debug)]
pub struct Dump {
    salvage: Salvage,
    lines: VecDeque<String>,
    segment: Option<u64>,
    group: Option<GroupHeader>,
    /// Where the next group starts, unless damage hides it.
    next: Option<u64>,
    /// Of the next record, unless damage hides it.
    ordinal: Option<u64>,
    in_store: bool,
    is_over: bool,
}

pub(crate) fn dump(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Dump> {
    let salvage = salvage::salvage_on(fs, path)?.thorough();
    let mut dump = Dump {
        lines: VecDeque::new(),
        segment: None,
        group: None,
        next: Some(salvage.walker.pos()),
        ordinal: None,
        in_store: true,
        is_over: false,
        salvage,
    };
    dump.begin();
    Ok(dump)
}

impl Iterator for Dump {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(Ok(line));
            }
            if self.is_over {
                return None;
            }
            match self.salvage.next_found() {
                Some(Ok(found)) => self.found(&found),
                Some(Err(error)) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
                None => {
                    self.end_of_store();
                    self.is_over = true;
                }
            }
        }
    }
}

impl Dump {
    fn line(&mut self, line: String) {
        self.lines.push_back(line);
    }

    fn begin(&mut self) {
        let base = &self.salvage.base;
        let (extent, segment_len) = (base.extent(), base.segment_len);
        let manifest = if base.seen.is_some() {
            ""
        } else {
            ", without a manifest"
        };
        self.line(match segment_len {
            0 => format!("log {} in one file{manifest}", base.log),
            len => format!("log {} in segments of {len} bytes{manifest}", base.log),
        });
        let (head, group, ordinal) = (extent.head, extent.head_group, extent.head_ordinal);
        self.line(format!(
            "head at {head} in the group at {group}, ordinal {ordinal}"
        ));
        for epoch in extent.timeline.epochs() {
            let (start, cut, epoch) = (epoch.start, epoch.cut, epoch.epoch);
            self.line(if cut < start {
                format!("epoch {epoch} from {start}, cut off from {cut}")
            } else {
                format!("epoch {epoch} from {start}")
            });
        }
    }

    fn found(&mut self, found: &Found) {
        match found {
            // The group that it is in is not part of the log any more.
            Found::Before(schema) => {
                let (lsn, len) = (schema.lsn(), schema.len());
                self.line(format!(
                    "before the head: schema at {}, lsn {lsn}, {len} bytes",
                    lsn.pos()
                ));
            }
            Found::Frame(frame) => {
                let walker = &self.salvage.walker;
                let header = walker.header().copied().filter(|_| !walker.is_headless());
                match header {
                    Some(header) if self.group.is_none_or(|group| group.pos != header.pos) => {
                        self.groups_before(header.pos);
                        self.enter(&header);
                    }
                    Some(_) => {}
                    None => (self.group, self.next, self.ordinal) = (None, None, None),
                }
                self.segment_of(frame.pos);
                let line = self.frame(frame.pos, frame.word);
                self.line(format!("  {line}"));
            }
            Found::Damage(damage) => self.damage(damage),
            Found::Staged(pos, word, _) => {
                self.end_of_store();
                self.ordinal = None;
                let line = self.frame(*pos, *word);
                self.line(format!("staged {line}"));
            }
        }
    }

    fn frame(&mut self, pos: u64, word: FrameWord) -> String {
        let (kind, end, len) = (kind(word.kind), pos + word.frame_len(), word.len);
        let mut line = format!("{kind} {pos}..{end}, lsn {}, {len} bytes", Lsn::from_pos(pos));
        if word.kind.is_record() {
            if let Some(ordinal) = &mut self.ordinal {
                line.push_str(&format!(", ordinal {ordinal}"));
                *ordinal += 1;
            }
            if word.more {
                line.push_str(", more of the batch follows");
            }
        }
        line
    }

    fn damage(&mut self, damage: &Corruption) {
        // The header of a group may be intact, and nothing in it.
        self.groups_before(damage.start + 1);
        self.segment_of(damage.start);
        let (start, end, reason) = (damage.start, damage.end, damage.reason);
        self.line(format!("damage {start}..{end}: {reason}"));
        (self.next, self.ordinal) = (None, None);
    }

    /// Names the groups that start before `to` and were not named, because no frame was in them or none is intact.
    fn groups_before(&mut self, to: u64) {
        while let Some(pos) = self.next.filter(|pos| *pos < to) {
            let base = &self.salvage.base;
            let follows = |header: &GroupHeader| {
                let before = self.group.as_ref();
                base.extent().timeline.owns(header)
                    && before.is_none_or(|before| header.prev_digest == before.digest(base.log))
            };
            match find::read_header(base, pos) {
                Ok(Ok(header)) if follows(&header) => self.enter(&header),
                _ => self.next = None,
            }
        }
    }

    fn enter(&mut self, header: &GroupHeader) {
        self.segment_of(header.pos);
        let (pos, end, epoch, count) = (header.pos, header.end(), header.epoch, header.count);
        let (ordinal, durable, time) = (header.ordinal, header.durable, header.time_us);
        let seal = if header.flags & FLAG_SEAL != 0 {
            ", seal"
        } else {
            ""
        };
        let schemas = if header.flags & FLAG_SCHEMAS != 0 {
            ", schemas"
        } else {
            ""
        };
        self.line(format!(
            "group {pos}..{end}, epoch {epoch}, ordinal {ordinal}, records {count}, durable to {durable}, \
             time {time}{seal}{schemas}"
        ));
        self.group = Some(*header);
        self.next = Some(self.salvage.base.extent().skip_cut(header.next()));
        self.ordinal = Some(ordinal);
    }

    /// Names the segment of a position, and those before it that were not named.
    fn segment_of(&mut self, pos: u64) {
        let base = &self.salvage.base;
        let (Some(segment), len) = (base.segment_of(pos), base.segment_len) else {
            return;
        };
        let first = self.segment.map_or(segment, |segment| segment + 1);
        for segment in first..=segment {
            self.line(format!("segment {segment} from {}", segment * len));
        }
        self.segment = self.segment.max(Some(segment));
    }

    fn end_of_store(&mut self) {
        if !std::mem::take(&mut self.in_store) {
            return;
        }
        self.groups_before(u64::MAX);
        let end = self.group.map_or(0, |group| group.next());
        self.line(format!("end at {end}"));
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Data => "data",
        Kind::Typed => "typed",
        Kind::Schema => "schema",
        Kind::Void => "void",
        Kind::Claimed => "claim",
    }
}
