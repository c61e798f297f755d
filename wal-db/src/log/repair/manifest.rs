//! A manifest that is made from the groups, for a log that has lost both copies.
//!
//! Each group names the one before it. So the groups of the log are those that lead back from the newest one; what lies
//! between two of them was cut off, and a new epoch begins after it. What nothing in the stream tells: where the head was
//! within the first segment, and a cut of the end after which nothing was written.

use super::{files::LogFiles, patched::Patched};
use crate::{
    error::{CorruptionReason, Result, WalError},
    format::{
        GROUP_HEADER_LEN, GroupHeader, LogId, Manifest, Mark,
        group::FLAG_SCHEMAS,
        timeline::{EpochStart, MAX_EPOCHS, Room, Timeline},
    },
    log::{
        base::{Base, Extent, mark_after},
        open::{keeper::manifest_damage, recover},
        read::{
            find::{self, Content},
            scan::Walker,
            sectors::Sectors,
        },
    },
    storage::Latched,
    sync::Arc,
};

/// The manifest of a log of which the segments from `first` to `last` are there.
pub(super) fn of_groups(
    files: &Arc<LogFiles>,
    log: LogId,
    segment_len: u64,
    first: u64,
    last: u64,
) -> Result<Manifest> {
    let reading = WalError::io("reading the segments");
    let store = Patched::new(files.clone(), None, segment_len, last).map_err(reading)?;
    let len = crate::storage::WalStore::len(&store).map_err(WalError::io("reading the segments"))?;
    let start = first.saturating_mul(segment_len);
    let extent = Extent {
        head: start,
        head_group: start,
        ..Extent::default()
    };
    let end = Mark {
        pos: len,
        ..Mark::default()
    };
    let base = Base::new(Latched::new(Box::new(store)), log, segment_len, extent, end);
    let mut manifest = Manifest {
        newest_segment: last,
        ..Manifest::new(log, segment_len)
    };
    let groups = Groups { base: &base, start };
    match groups.newest()? {
        Some(newest) => groups.fill(&newest, &mut manifest)?,
        None => {
            // Nothing is in it, or nothing can be read.
            (manifest.head, manifest.head_group) = (start + GROUP_HEADER_LEN as u64, start);
            (manifest.mark.pos, manifest.mark.prev) = (start, start);
        }
    }
    if let Some(staging) = files.staging_header(log)
        && !staging.clean
        && staging.number > 0
        && staging.epoch >= manifest.timeline.newest().epoch
    {
        manifest.staging = Some(staging.number);
        if staging.epoch > manifest.timeline.newest().epoch {
            let at = manifest.mark.pos;
            add(&mut manifest.timeline, at, at, staging.epoch)?;
        }
    }
    // What does not decode would keep the log from being opened for good.
    Manifest::decode(&manifest.encode()).map_err(|_| manifest_damage())?;
    Ok(manifest)
}

fn add(timeline: &mut Timeline, start: u64, cut: u64, epoch: u32) -> Result<()> {
    let room = Room {
        entries: MAX_EPOCHS,
        table: false,
    };
    let is_later = epoch > timeline.newest().epoch;
    if is_later && !timeline.push_within(EpochStart { start, cut, epoch }, room) {
        return Err(manifest_damage());
    }
    Ok(())
}

struct Groups<'a> {
    base: &'a Base,
    /// Where the first segment starts.
    start: u64,
}

struct Newest {
    /// Of those of the last epoch, the one with the highest position.
    header: GroupHeader,
    /// The highest position that any of them calls durable.
    durable: u64,
}

impl Groups<'_> {
    /// Reads the whole stream: the last group may lie anywhere, and so may what says how much is durable.
    fn newest(&self) -> Result<Option<Newest>> {
        let mut sectors = Sectors::forwards(self.base, self.start, self.base.written());
        let mut newest: Option<Newest> = None;
        while let Some(part) = sectors.next_part()? {
            for header in part.headers() {
                let found = newest.get_or_insert(Newest {
                    header,
                    durable: header.durable,
                });
                found.durable = found.durable.max(header.durable);
                if (header.epoch, header.pos) > (found.header.epoch, found.header.pos) {
                    found.header = header;
                }
            }
        }
        Ok(newest)
    }

    /// The group before another one, and whether that one names it.
    fn before(&self, header: &GroupHeader) -> Result<Option<(GroupHeader, bool)>> {
        if header.prev < header.pos
            && header.prev >= self.start
            && let Ok(prev) = find::read_header(self.base, header.prev)?
            && prev.leads_to(header, self.base.log)
        {
            return Ok(Some((prev, true)));
        }
        let is_the_first = header.prev_digest == 0 && header.prev == header.pos;
        if is_the_first || header.prev < self.start {
            return Ok(None);
        }
        // Damage is in between. What lies before it belongs to the log if it is not newer.
        let mut sectors = Sectors::backwards(self.base, self.start, header.pos);
        while let Some(part) = sectors.next_part()? {
            let found = part
                .headers()
                .rev()
                .find(|found| found.epoch <= header.epoch && found.next() <= header.pos);
            if let Some(found) = found {
                return Ok(Some((found, false)));
            }
        }
        Ok(None)
    }

    fn fill(&self, newest: &Newest, manifest: &mut Manifest) -> Result<()> {
        // Opening reads on from the mark and judges what comes after it; all that is called durable lies before.
        let mut at = newest.header;
        while at.next() > newest.durable || find::check_content(self.base, &at)? != Content::Intact {
            match self.before(&at)? {
                Some((before, _)) => at = before,
                None => {
                    let epochs = [(at.pos, at.pos, at.epoch)];
                    return self.begin(&at, &epochs, manifest);
                }
            }
        }
        let last = at;
        let (mut epochs, mut schemas) = (Vec::new(), None);
        loop {
            if schemas.is_none() && at.flags & FLAG_SCHEMAS != 0 {
                schemas = Some(at);
            }
            let Some((before, is_linked)) = self.before(&at)? else {
                break;
            };
            if before.epoch != at.epoch {
                let cut = if is_linked {
                    self.cut(&before, &at)?
                } else {
                    at.pos
                };
                epochs.push((at.pos, cut, at.epoch));
            }
            at = before;
        }
        epochs.push((at.pos, at.pos, at.epoch));
        epochs.reverse();
        self.begin(&at, &epochs, manifest)?;
        manifest.mark = mark_after(&last, self.base.log);
        if let Some(group) = schemas {
            let extent = Arc::new(Extent::of(manifest));
            manifest.schema = recover::last_schema(self.base, &extent, &group).unwrap_or(None);
        }
        Ok(())
    }

    /// A log whose first group is `first`, with these epochs, and with its mark there.
    fn begin(&self, first: &GroupHeader, epochs: &[(u64, u64, u32)], manifest: &mut Manifest) -> Result<()> {
        let head = first.pos + GROUP_HEADER_LEN as u64;
        (manifest.head_group, manifest.head) = (first.pos, head);
        manifest.head_ordinal = first.ordinal;
        manifest.dropped = if first.ordinal > 0 { head } else { 0 };
        let mut epochs = epochs.iter();
        if let Some(&(start, cut, epoch)) = epochs.next() {
            manifest.timeline = Timeline::from(EpochStart { start, cut, epoch });
        }
        for &(start, cut, epoch) in epochs {
            add(&mut manifest.timeline, start, cut, epoch)?;
        }
        manifest.mark = Mark {
            pos: first.pos,
            ordinal: first.ordinal,
            prev: first.pos,
            prev_digest: first.prev_digest,
            epoch: first.epoch,
        };
        Ok(())
    }

    /// From where on what lies between two groups was cut off: after the first one, or within it, if that has more records
    /// than the number of the next one allows.
    fn cut(&self, before: &GroupHeader, header: &GroupHeader) -> Result<u64> {
        let kept = header.ordinal.saturating_sub(before.ordinal);
        if kept >= u64::from(before.count) {
            return Ok(if before.next() < header.pos {
                before.next()
            } else {
                header.pos
            });
        }
        let extent = Arc::new(Extent {
            head: before.pos,
            head_group: before.pos,
            timeline: Timeline::from(EpochStart {
                start: before.pos,
                cut: before.pos,
                epoch: before.epoch,
            }),
            ..Extent::default()
        });
        let mut walker = Walker::new(extent, before.pos, before.next());
        let mut records = 0;
        while let Some(frame) = walker.next_frame(self.base) {
            let frame = frame?;
            if frame.word.kind.is_record() {
                if records == kept {
                    return Ok(frame.pos);
                }
                records += 1;
            }
        }
        Err(self
            .base
            .damage(before.pos, header.pos, CorruptionReason::Chain)
            .into())
    }
}
