//! Opening a log that is damaged, if the policy is to cut it there: where the intact part ends, and where the log goes
//! on. What is cut had been acknowledged, so no place of it is used again.

use super::recover::last_schema;
use crate::{
    error::{Result, WalError},
    format::{self, GROUP_HEADER_LEN, GroupHeader, Manifest, Mark, SECTOR, group},
    log::{
        base::{Base, mark_after},
        read::{
            find::{self, Content},
            scan::Walker,
            sectors::Sectors,
        },
    },
};

/// The place after the last intact group before the manifest's mark, where the log is damaged. `None` if it is not
/// damage that a cut mends: another group than the manifest says is whole, so one of the two is of another state.
pub(crate) fn mark_before(base: &Base, manifest: &Manifest, len: u64) -> Result<Option<Mark>> {
    let mark = &manifest.mark;
    let has_group = mark.prev < mark.pos && mark.prev >= manifest.head_group;
    if has_group
        && let Ok(header) = find::read_header(base, mark.prev)?
        && (header.digest(base.log) != mark.prev_digest || len >= mark.pos)
    {
        return Ok(None);
    }
    let before = if len < mark.pos {
        len
    } else {
        mark.prev.min(mark.pos)
    };
    Ok(Some(match last_intact(base, manifest, before)? {
        Some(header) => mark_behind(base, &header)?,
        None => Mark {
            pos: manifest.head_group,
            ordinal: manifest.head_ordinal,
            prev: manifest.head_group,
            prev_digest: 0,
            epoch: 0,
        },
    }))
}

/// The mark after a group whose end may have been cut off.
fn mark_behind(base: &Base, header: &GroupHeader) -> Result<Mark> {
    let (extent, mut mark) = (base.extent(), mark_after(header, base.log));
    if extent.timeline.cut_around(header.end() - 1).is_some() {
        mark.ordinal = header.ordinal;
        let mut walker = Walker::new(extent, header.pos, header.next());
        while let Some(frame) = walker.next_frame(base) {
            frame?;
            mark.ordinal += 1;
        }
    }
    Ok(mark)
}

/// The last intact group that ends at or before a position. Costs what lies between costs to read: a group in which
/// another one starts is not whole, and is not looked at.
fn last_intact(base: &Base, manifest: &Manifest, before: u64) -> Result<Option<GroupHeader>> {
    let extent = base.extent();
    let mut next = before;
    let mut sectors = Sectors::backwards(base, manifest.head_group, before / SECTOR * SECTOR);
    while let Some(part) = sectors.next_part()? {
        for header in part.headers().rev() {
            if !extent.timeline.owns(&header) {
                continue;
            }
            if header.next() <= next && find::check_content(base, &header)? == Content::Intact {
                return Ok(Some(header));
            }
            next = header.pos;
        }
    }
    Ok(None)
}

/// The last schema record that is left by a cut at `mark`, if the one that was the last lies after it.
pub(crate) fn schema_before(base: &Base, mark: &Mark, newest: Option<u64>) -> Result<Option<u64>> {
    if newest.is_none_or(|newest| newest < mark.pos) {
        return Ok(newest);
    }
    let (extent, mut pos, mut at) = (base.extent(), mark.pos, mark.prev);
    let first = base.window_start(extent.head_group);
    while at < pos
        && at >= first
        && let Ok(header) = find::read_header(base, at)?
    {
        if header.flags & group::FLAG_SCHEMAS != 0 {
            return last_schema(base, &extent, &header);
        }
        (pos, at) = (at, header.prev);
    }
    Ok(None)
}

/// The mark of a log that is cut at `mark` and goes on after everything that was acknowledged. The store is made to
/// reach as far.
pub(crate) fn go_on_after(
    base: &Base,
    manifest: &mut Manifest,
    mark: Mark,
    acknowledged: u64,
) -> Result<Mark> {
    let context = "making room after what is damaged";
    let end = base.store.len().map_err(WalError::io(context))?;
    let start = format::align_sector(acknowledged.max(manifest.mark.pos).max(mark.pos));
    if end < start {
        base.store.prepare(start).map_err(WalError::io(context))?;
        let is_short = base.store.len().map_err(WalError::io(context))? < start;
        if is_short {
            // What is there stays.
            let last = end.max(start - SECTOR);
            let zeros = &[0; SECTOR as usize][..(start - last) as usize];
            base.store.write_at(last, zeros).map_err(WalError::io(context))?;
        }
        base.store.sync().map_err(WalError::io(context))?;
    }
    let newest = base.segment_of(start.saturating_sub(1)).unwrap_or(0);
    manifest.newest_segment = manifest.newest_segment.max(newest);
    if manifest.head >= mark.pos {
        // Nothing is left.
        (manifest.head, manifest.head_group) = (start + GROUP_HEADER_LEN as u64, start);
        manifest.head_ordinal = mark.ordinal;
    }
    let prev = if mark.prev == mark.pos { start } else { mark.prev };
    Ok(Mark {
        pos: start,
        prev,
        ..mark
    })
}
