//! A walk over the sectors of the stream, where headers of groups may start: wherever the chain of groups does not lead.

use super::buffer::BUFFER_LEN;
use crate::{
    error::Result,
    format::{self, GroupHeader, SECTOR, group},
    log::base::{Base, Extent},
};

/// How much is read at a time on the way back, which mostly ends at the first group.
const BACK_LEN: usize = 64 << 10;

/// The sectors of a range, a part at a time.
pub(crate) struct Sectors<'a> {
    base: &'a Base,
    from: u64,
    to: u64,
    way: Way,
    /// What this says was cut off is not read, but for the rest of a part.
    extent: Option<&'a Extent>,
    /// What is wrong with a segment is told by the part that starts there, and not by the one before.
    late: bool,
    buf: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Way {
    Forwards,
    Backwards,
}

pub(crate) struct Part<'a> {
    base: &'a Base,
    pos: u64,
    pub(crate) bytes: &'a [u8],
    /// Where the last of them ends that is not zero.
    pub(crate) used: Option<u64>,
}

impl<'a> Sectors<'a> {
    /// From `from`, where a sector starts, to `to`. Holes are passed over.
    pub(crate) fn forwards(base: &'a Base, from: u64, to: u64) -> Self {
        Sectors::new(base, from, to, Way::Forwards, BUFFER_LEN)
    }

    /// From `to` back to `from`, where sectors start.
    pub(crate) fn backwards(base: &'a Base, from: u64, to: u64) -> Self {
        Sectors::new(base, from, to, Way::Backwards, BACK_LEN)
    }

    fn new(base: &'a Base, from: u64, to: u64, way: Way, len: usize) -> Self {
        Sectors {
            base,
            from,
            to,
            way,
            extent: None,
            late: false,
            buf: vec![0; len],
        }
    }

    pub(crate) fn without_cuts(mut self, extent: &'a Extent) -> Self {
        self.extent = Some(extent);
        self.from = self.skip_cut(self.from);
        self
    }

    /// Hands out what lies before a segment that cannot be read, before it tells of that.
    pub(crate) fn up_to_damage(mut self) -> Self {
        self.late = true;
        self
    }

    fn skip_cut(&self, pos: u64) -> u64 {
        self.extent.map_or(pos, |extent| extent.skip_cut(pos))
    }

    /// The next part, in the order of the walk; its own sectors are in that of the stream.
    pub(crate) fn next_part(&mut self) -> Result<Option<Part<'_>>> {
        if self.from >= self.to {
            return Ok(None);
        }
        let most = self.buf.len() as u64;
        let (pos, end) = match self.way {
            Way::Forwards => (self.from, self.to.min(self.from.saturating_add(most))),
            Way::Backwards => {
                // Within one segment: of one that is cut short, what is missing is at its end.
                let segment = self.base.segment_of(self.to - 1).unwrap_or(0) * self.base.segment_len;
                let low = self.from.max(segment).max(self.to.saturating_sub(most));
                (low, self.to)
            }
        };
        let want = (end - pos) as usize;
        let buf = &mut self.buf[..want];
        let got = match self.late {
            true => self.base.read_some(pos, buf)?,
            false => self.base.read(pos, buf)?,
        };
        let used = used(&self.buf[..got]).map(|len| pos + len as u64);
        match self.way {
            Way::Forwards => {
                self.from = self.skip_cut(self.base.after_read(pos, got, want));
                if used.is_none() && self.from < self.to {
                    self.from = self.skip_cut(self.base.skip_hole(self.from, self.to));
                }
            }
            Way::Backwards => self.to = pos,
        }
        Ok(Some(Part {
            base: self.base,
            pos,
            bytes: &self.buf[..got],
            used,
        }))
    }
}

/// Where the last sector ends that is not zero.
fn used(bytes: &[u8]) -> Option<usize> {
    let mut sectors = bytes.chunks(SECTOR as usize);
    let last = sectors.rposition(|sector| !format::is_zero(sector))?;
    Some(bytes.len().min((last + 1) * SECTOR as usize))
}

impl Part<'_> {
    /// The headers in it that were written for their places in this log. Whether their groups are still of the log, the
    /// caller knows.
    pub(crate) fn headers(&self) -> impl DoubleEndedIterator<Item = GroupHeader> {
        let sectors = self.bytes.chunks(SECTOR as usize).enumerate();
        let may_be = sectors.filter(|(_, sector)| group::may_be_header(sector));
        may_be.filter_map(|(i, sector)| {
            GroupHeader::decode(sector, self.pos + i as u64 * SECTOR, self.base.log).ok()
        })
    }
}
