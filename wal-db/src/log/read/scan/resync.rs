//! Going on after damage.

use super::{Group, Walker};
use crate::{
    error::Result,
    format::{self, FRAME_HEADER_LEN, FrameAt, GROUP_HEADER_LEN, GroupHeader, SECTOR},
    log::{
        base::Base,
        read::{buffer::BUFFER_LEN, find},
    },
};

impl Walker {
    /// After damage: goes to the next place where a record or a group is intact at its own place.
    pub(crate) fn resync(&mut self, base: &Base) -> Result<()> {
        self.near = 0;
        if let Some(group) = self.group {
            return self.resync_in(base, group, self.pos + FRAME_HEADER_LEN as u64);
        }
        if self.pos >= self.end {
            // Damage may reach farther than the log.
            return Ok(());
        }
        // The header is lost, but the records after it need not be.
        let found = find::find_header(base, &self.extent, self.pos.saturating_add(SECTOR), self.end)?;
        let next = found.map_or(self.end, |next| next.pos);
        let known = self.extent.timeline.epoch_at(self.pos);
        let epoch = known.or_else(|| self.likely_epoch(base, found));
        self.previous = None;
        let room = next - self.pos > GROUP_HEADER_LEN as u64;
        let Some(epoch) = epoch.filter(|_| room) else {
            self.pos = next;
            return Ok(());
        };
        // Rounded up, so that the bytes at the end of a file that was cut anywhere are passed, too.
        let len = u32::try_from((next - self.pos).saturating_add(7) & !7).unwrap_or(!7);
        let header = GroupHeader {
            pos: self.pos,
            len,
            epoch,
            ..GroupHeader::default()
        };
        let group = Group {
            header,
            key: base.key(epoch),
            headless: true,
            checked: false,
        };
        self.resync_in(base, group, self.pos + GROUP_HEADER_LEN as u64)?;
        if self.group.is_none() {
            // No group is longer than that.
            self.pos = self.pos.max(next);
        }
        Ok(())
    }

    /// The epoch of the group at the position where no timeline tells it: its own header says so, if all that is wrong is
    /// where it leads to, or the group before or after it does.
    fn likely_epoch(&self, base: &Base, next: Option<GroupHeader>) -> Option<u32> {
        let own = find::read_header(base, self.pos).ok().and_then(Result::ok);
        let header = own.or(self.previous).or(next)?;
        Some(header.epoch)
    }

    /// Goes to the first intact frame of the group at or after `from`, or after the group.
    fn resync_in(&mut self, base: &Base, group: Group, from: u64) -> Result<()> {
        let end = group.header.end();
        // Bytes that are made to look like many long frames cost a few times the group and no more.
        let mut budget = 4 * u64::from(group.header.len) + BUFFER_LEN as u64;
        let mut pos = from;
        while pos < end && budget > 0 {
            match self.look_at(base, pos, &group)? {
                FrameAt::Intact(_) => {
                    (self.pos, self.group) = (pos, Some(group));
                    return Ok(());
                }
                FrameAt::Short(_) => break,
                FrameAt::Nothing if pos == self.buffer.start && format::is_zero(self.buffer.bytes()) => {
                    let behind = pos + self.buffer.bytes().len() as u64;
                    pos = base
                        .skip_hole(behind, end)
                        .next_multiple_of(FRAME_HEADER_LEN as u64);
                    continue;
                }
                FrameAt::Other(word) => budget = budget.saturating_sub(word.frame_len()),
                FrameAt::Claim(_) | FrameAt::Nothing => {}
            }
            pos += FRAME_HEADER_LEN as u64;
        }
        (self.pos, self.group) = (group.header.next(), None);
        Ok(())
    }
}
