//! Finding groups and looking at one as a whole.

use super::{buffer::BUFFER_LEN, sectors::Sectors};
use crate::{
    error::{CorruptionReason, Result},
    format::{self, GROUP_HEADER_LEN, GroupHeader, HeaderFault, SECTOR},
    log::base::{Base, Extent},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Intact,
    /// More of its sectors are zero than the header says: they never arrived.
    Torn,
    Damaged,
}

/// Reads the header at `pos`. Nothing is there only if the whole sector is zero, because a sector is written whole.
pub(crate) fn read_header(base: &Base, pos: u64) -> Result<Result<GroupHeader, HeaderFault>> {
    let mut bytes = [0; SECTOR as usize];
    let got = base.read(pos, &mut bytes)?;
    if got < GROUP_HEADER_LEN {
        // What was never written may not be there at all.
        let zero = format::is_zero(&bytes[..got]);
        return Ok(Err(if zero {
            HeaderFault::Zero
        } else {
            HeaderFault::Short
        }));
    }
    Ok(match GroupHeader::decode(&bytes, pos, base.log) {
        Err(HeaderFault::Zero) if !format::is_zero(&bytes[..got]) => Err(HeaderFault::Invalid),
        header => header,
    })
}

/// The header of the group at `pos`, where one has to be.
pub(crate) fn header_at(base: &Base, pos: u64) -> Result<GroupHeader> {
    read_header(base, pos)?.map_err(|_| base.damage(pos, pos, CorruptionReason::GroupHeader).into())
}

pub(crate) struct Bytes {
    digest: u32,
    pub(crate) zero_sectors: u32,
    pub(crate) padding_is_zero: bool,
}

impl Bytes {
    pub(crate) fn judge(&self, header: &GroupHeader) -> Content {
        let is_torn = self.zero_sectors > header.zero_sectors;
        if self.digest == header.payload_digest {
            Content::Intact
        } else if is_torn {
            Content::Torn
        } else {
            Content::Damaged
        }
    }
}

pub(crate) fn check_content(base: &Base, header: &GroupHeader) -> Result<Content> {
    let bytes = read_through(base, header)?;
    // What is not there never arrived.
    Ok(bytes.map_or(Content::Torn, |bytes| bytes.judge(header)))
}

/// Reads a group as a whole, a part at a time; `None` if a part of it is not there.
pub(crate) fn read_through(base: &Base, header: &GroupHeader) -> Result<Option<Bytes>> {
    let (mut pos, end) = (header.pos, header.next());
    let mut digest = crc32fast::Hasher::new();
    let (mut zero_sectors, mut padding_is_zero) = (0, true);
    let mut buf = vec![0; BUFFER_LEN.min(usize::try_from(end - pos).unwrap_or(usize::MAX))];
    while pos < end {
        let part = buf.len().min((end - pos) as usize);
        let got = base.read(pos, &mut buf[..part])?;
        if got < part {
            return Ok(None);
        }
        zero_sectors += format::zero_sectors(&buf[..part]);
        let skip = if pos == header.pos { GROUP_HEADER_LEN } else { 0 };
        let used = part.min(header.end().saturating_sub(pos) as usize);
        digest.update(&buf[skip.min(used)..used]);
        padding_is_zero &= format::is_zero(&buf[used..part]);
        pos += part as u64;
    }
    Ok(Some(Bytes {
        digest: digest.finalize(),
        zero_sectors,
        padding_is_zero,
    }))
}

/// The first authentic group header at or after `from`, which starts on a sector, and before `to`. What was cut off is
/// not read.
pub(crate) fn find_header(base: &Base, extent: &Extent, from: u64, to: u64) -> Result<Option<GroupHeader>> {
    let mut sectors = Sectors::forwards(base, format::align_sector(from), to)
        .without_cuts(extent)
        .up_to_damage();
    while let Some(part) = sectors.next_part()? {
        if let Some(header) = part.headers().find(|header| extent.timeline.owns(header)) {
            return Ok(Some(header));
        }
    }
    Ok(None)
}

/// The group that holds `pos`, which lies in the log and is not cut off. Looks backwards a part at a time, so it costs what
/// the group's size costs.
pub(crate) fn find_group(base: &Base, extent: &Extent, pos: u64) -> Result<GroupHeader> {
    let lost = |from| Err(base.damage(from, pos, CorruptionReason::GroupHeader).into());
    let lowest = extent.head_group;
    let mut sectors = Sectors::backwards(base, lowest, pos / SECTOR * SECTOR + SECTOR);
    while let Some(part) = sectors.next_part()? {
        for header in part.headers().rev() {
            if extent.timeline.owns(&header) && is_linked(base, extent, &header)? {
                // If the log goes on before `pos`, a header between the two is lost.
                let next = extent.skip_cut(header.next());
                return if next > pos { Ok(header) } else { lost(next) };
            }
        }
    }
    lost(lowest)
}

/// Whether the group after `header` names it. Where that one cannot be read, the group before it decides; where neither
/// can, its own content; and for a group that stands alone nothing speaks against it.
fn is_linked(base: &Base, extent: &Extent, header: &GroupHeader) -> Result<bool> {
    let next = extent.skip_cut(header.next());
    if next < base.written()
        && let Ok(Ok(next)) = read_header(base, next)
    {
        return Ok(header.leads_to(&next, base.log));
    }
    if header.prev >= header.pos || header.pos <= extent.head_group {
        return Ok(true);
    }
    // What was there before the first group may be gone.
    let is_there = header.prev >= extent.head_group;
    if is_there && let Ok(prev) = read_header(base, header.prev)? {
        return Ok(prev.leads_to(header, base.log));
    }
    Ok(check_content(base, header)? == Content::Intact)
}
