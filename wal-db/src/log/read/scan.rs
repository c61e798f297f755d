//! The walk over groups and frames: iteration, followers, truncation, verification and salvage use it.

mod resync;

use bytes::Bytes;

use super::{buffer::Buffer, find};
use crate::{
    error::{CorruptionReason, Result, WalError},
    format::{
        self, FRAME_HEADER_LEN, FrameAt, FrameKey, FrameWord, GROUP_HEADER_LEN, GroupHeader, HeaderFault,
        Kind, timeline::EpochStart,
    },
    log::base::{Base, Extent},
    sync::Arc,
};

/// Groups up to this length are read and checked as a whole.
const WHOLE_MAX: usize = 512 << 10;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Frame {
    pub(crate) pos: u64,
    pub(crate) word: FrameWord,
    /// Where the payload starts in the walker's buffer.
    offset: usize,
}

impl Frame {
    pub(crate) fn end(&self) -> u64 {
        self.pos + self.word.frame_len()
    }
}

/// Walks the records of a log in order, from group to group and frame to frame, and checks everything on the way.
pub(crate) struct Walker {
    buffer: Buffer,
    extent: Arc<Extent>,
    /// The next cut that lies ahead, so that each frame is compared with one number.
    cut: Option<EpochStart>,
    /// Where the next frame or group header is.
    pos: u64,
    /// Groups from here on are not read.
    end: u64,
    /// Frames that end at or before it are in the entered group, in the buffer, and not cut off; nor is one the last
    /// before a cut, which ends its batch.
    near: u64,
    frame: Frame,
    group: Option<Group>,
    /// What the next header has to continue.
    previous: Option<GroupHeader>,
    thorough: bool,
    schemas: bool,
}

/// A place in a walk to come back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pos: u64,
    group: Option<Group>,
    previous: Option<GroupHeader>,
}

impl Place {
    /// Where the group starts that the place is in, or before.
    pub(crate) fn group_start(&self) -> u64 {
        self.group.map_or(self.pos, |group| group.header.pos)
    }

    /// Where what comes next starts.
    pub(crate) fn next(&self) -> u64 {
        match self.group {
            Some(group) if self.pos >= group.header.end() => group.header.next(),
            _ => self.pos,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Group {
    header: GroupHeader,
    key: FrameKey,
    /// The header was lost: where the frames end is not known.
    headless: bool,
    /// The content as a whole matches the header, and the walk has met no damage in it.
    checked: bool,
}

impl Group {
    /// Whether the checksum of the content stands in for that of the frame at `pos`. It does not for the first one, which no
    /// short way comes to.
    fn vouches_for(&self, pos: u64, word: FrameWord) -> bool {
        self.checked && word.kind.is_record() && pos > self.header.pos + GROUP_HEADER_LEN as u64
    }
}

impl Walker {
    /// Starts with the group at `group` and ends before the one at `end`.
    pub(crate) fn new(extent: Arc<Extent>, group: u64, end: u64) -> Self {
        let mut walker = Walker {
            buffer: Buffer::default(),
            extent,
            cut: None,
            pos: group,
            end,
            near: 0,
            frame: Frame::default(),
            group: None,
            previous: None,
            thorough: false,
            schemas: false,
        };
        walker.find_cut();
        walker
    }

    /// Finds every frame, voids and schemas included, and checks it even where the whole group was checked.
    pub(crate) fn thorough(mut self) -> Self {
        self.thorough = true;
        self
    }

    /// Lets a thread read ahead if there is much to walk over before `until`.
    pub(crate) fn reading_ahead(mut self, until: u64) -> Self {
        self.buffer.allow_reading_ahead(until);
        self
    }

    /// Schema records are the log's own notes, and are passed over otherwise.
    pub(crate) fn with_schemas(mut self) -> Self {
        self.schemas = true;
        self
    }

    pub(crate) fn pos(&self) -> u64 {
        self.pos
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// No record to come starts before this position.
    pub(crate) fn next_at_least(&self) -> u64 {
        let header_len = GROUP_HEADER_LEN as u64;
        match &self.group {
            Some(group) if self.pos >= group.header.end() => group.header.next() + header_len,
            Some(_) => self.pos,
            None => self.pos + header_len,
        }
    }

    /// Lets the walk go on to a later end, over a log that was truncated meanwhile if `extent` says so.
    pub(crate) fn extend(&mut self, extent: Arc<Extent>, end: u64) {
        (self.end, self.near) = (end, 0);
        self.extent = extent;
        // What was read a moment ago was cut off since, and something else came instead.
        let is_kept = |previous: &GroupHeader| self.extent.timeline.cut_around(previous.pos).is_none();
        self.previous = self.previous.filter(is_kept);
        self.find_cut();
        self.skip_cut();
    }

    /// The header of the group that was entered last, if nothing was jumped over since.
    pub(crate) fn last_header(&self) -> Option<&GroupHeader> {
        self.previous.as_ref()
    }

    /// The header of the group that the last frame was in.
    pub(crate) fn header(&self) -> Option<&GroupHeader> {
        self.group.as_ref().map(|group| &group.header)
    }

    pub(crate) fn payload(&self, frame: &Frame) -> &[u8] {
        &self.buffer.bytes()[frame.offset..][..frame.word.len as usize]
    }

    /// Whether the bytes between a frame's payload and its end are zero.
    pub(crate) fn has_zero_padding(&self, frame: &Frame) -> bool {
        let end = frame.offset + frame.word.frame_len() as usize - FRAME_HEADER_LEN;
        let padding = self
            .buffer
            .bytes()
            .get(frame.offset + frame.word.len as usize..end);
        padding.is_none_or(format::is_zero)
    }

    /// Whether the header of the group that the last frame was in is lost.
    pub(crate) fn is_headless(&self) -> bool {
        self.group.is_some_and(|group| group.headless)
    }

    pub(crate) fn payload_bytes(&self, frame: &Frame) -> Bytes {
        self.buffer
            .bytes()
            .slice(frame.offset..frame.offset + frame.word.len as usize)
    }

    /// The next frame that holds a record; `None` at the end.
    pub(crate) fn next_frame(&mut self, base: &Base) -> Option<Result<Frame>> {
        if self.near_frame() {
            Some(Ok(self.frame))
        } else {
            self.far_frame(base)
        }
    }

    /// The next frame that holds a record and starts at or after `from`. Damage that ends before `from` is passed over; at
    /// other damage the walk stays.
    pub(crate) fn next_from(&mut self, base: &Base, from: u64) -> Option<Result<Frame>> {
        loop {
            match self.next_frame(base) {
                Some(Ok(frame)) if frame.pos < from => {}
                Some(Err(WalError::Corruption(damage))) if self.pos < from => {
                    match self.pass_damage(base, from) {
                        Ok(true) => {}
                        Ok(false) => return Some(Err(WalError::Corruption(damage))),
                        Err(error) => return Some(Err(error)),
                    }
                }
                other => return other,
            }
        }
    }

    /// Goes on after damage in a group if something intact shows that it ends at or before `from`.
    fn pass_damage(&mut self, base: &Base, from: u64) -> Result<bool> {
        let (pos, group) = (self.pos, self.group);
        // Where the header is lost, nothing says what belongs to the group.
        let Some(header) = group.map(|group| group.header) else {
            return Ok(false);
        };
        self.resync(base)?;
        let intact_from = if self.group.is_some() {
            self.pos
        } else {
            header.end()
        };
        if intact_from <= from {
            return Ok(true);
        }
        (self.pos, self.group) = (pos, group);
        Ok(false)
    }

    #[inline]
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Steps to the frame at the position if it is a record, at hand, and intact. Nothing else is decided here, and
    /// nothing is returned: moving a frame, or an error that is not there, costs more than checking one. So this does not
    /// ask [`FrameAt::look`], as everything else does; a test compares the two.
    #[inline]
    pub(crate) fn near_frame(&mut self) -> bool {
        let Some(group) = &self.group else { return false };
        let (pos, left) = (self.pos, self.near.saturating_sub(self.pos));
        let offset = pos.wrapping_sub(self.buffer.start) as usize;
        let Some((head, rest)) = self
            .buffer
            .bytes
            .get(offset..)
            .and_then(|bytes| bytes.split_first_chunk::<FRAME_HEADER_LEN>())
        else {
            return false;
        };
        let Some(word) = FrameWord::parse(u64::from_le_bytes(*head)) else {
            return false;
        };
        let Some(payload) = rest.get(..word.len as usize) else {
            return false;
        };
        let intact = group.checked || word.matches(group.key, pos, payload);
        if word.frame_len() > left || !word.kind.is_record() || !intact {
            return false;
        }
        self.frame = Frame {
            pos,
            word,
            offset: offset + FRAME_HEADER_LEN,
        };
        self.pos = pos + word.frame_len();
        true
    }

    #[cold]
    fn far_frame(&mut self, base: &Base) -> Option<Result<Frame>> {
        loop {
            if self.group.is_none() {
                self.skip_cut();
                if self.pos >= self.end {
                    return None;
                }
                if let Err(error) = self.enter_group(base) {
                    match self.explain(base, error) {
                        Some(error) => return Some(Err(error)),
                        None => continue,
                    }
                }
            }
            match self.checked_frame(base) {
                Ok(Some(frame)) if self.is_wanted(frame.word.kind) => {
                    self.find_near();
                    self.frame = frame;
                    return Some(Ok(frame));
                }
                Ok(_) => {}
                Err(WalError::Corruption(_)) if self.group.is_some_and(|group| group.headless) => {
                    // The lost header was reported already.
                    if let Err(error) = self.resync(base) {
                        return Some(Err(error));
                    }
                }
                Err(error) => {
                    if let Some(error) = self.explain(base, error) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    fn is_wanted(&self, kind: Kind) -> bool {
        self.thorough || kind != Kind::Void && (kind != Kind::Schema || self.schemas)
    }

    /// Damage may only be that a truncation was faster and gave back what this walk was about to read, or that another
    /// epoch has begun. `None`: then the walk goes on by what the log is now.
    fn explain(&mut self, base: &Base, error: WalError) -> Option<WalError> {
        let start = match &error {
            WalError::Corruption(damage) => damage.start,
            WalError::Truncated { .. } => self.pos,
            _ => return Some(error),
        };
        let extent = base.now();
        // A walk may begin where a place was looked up before the log moved on.
        if Arc::ptr_eq(&extent, &self.extent) && start >= extent.head_group {
            return Some(error);
        }
        if start < extent.head_group {
            if let Err(error) = extent.check_kept(start) {
                return Some(error);
            }
            // Nothing that is read here was dropped.
            (self.pos, self.group, self.previous) = (extent.head_group, None, None);
        } else if extent.timeline.cut_around(start).is_some() {
            (self.pos, self.group) = (self.pos.max(start), None);
        }
        self.extend(extent, self.end);
        None
    }

    fn find_near(&mut self) {
        let group_end = self.group.map_or(0, |group| group.header.end());
        let cut = self.cut.map_or(u64::MAX, |cut| cut.cut.saturating_sub(1));
        self.near = group_end
            .min(cut)
            .min(self.buffer.start + self.buffer.bytes.len() as u64);
    }

    /// The frame at the position, in the entered group; `None` at the group's end.
    fn checked_frame(&mut self, base: &Base) -> Result<Option<Frame>> {
        let Some(group) = self.group else {
            return Ok(None);
        };
        if self.cut.is_some_and(|cut| self.pos >= cut.cut) {
            self.skip_cut();
            return Ok(None);
        }
        let (pos, group_end) = (self.pos, group.header.end());
        if pos >= group_end {
            self.pos = group.header.next();
            self.group = None;
            return Ok(None);
        }
        let found = match self.look_at(base, pos, &group)? {
            // As `near_frame` decides, so that it does not matter which of the two comes to a frame.
            FrameAt::Other(word)
                if group.vouches_for(pos, word)
                    && self.cut.is_none_or(|cut| pos + word.frame_len() <= cut.cut) =>
            {
                FrameAt::Intact(word)
            }
            found => found,
        };
        let (end, reason) = match found {
            FrameAt::Intact(word) => {
                let mut frame = Frame {
                    pos,
                    word,
                    offset: (pos - self.buffer.start) as usize + FRAME_HEADER_LEN,
                };
                frame.word.more = word.more && !self.extent.is_cut_at(frame.end());
                self.pos = frame.end();
                return Ok(Some(frame));
            }
            FrameAt::Other(word) => (pos + word.frame_len(), CorruptionReason::Frame),
            FrameAt::Short(FRAME_HEADER_LEN) => (group_end, CorruptionReason::Short),
            FrameAt::Short(len) => (pos + len as u64, CorruptionReason::Short),
            FrameAt::Claim(_) | FrameAt::Nothing => (group_end, CorruptionReason::Frame),
        };
        if let Some(group) = &mut self.group {
            group.checked = false;
        }
        Err(WalError::Corruption(base.damage(pos, end, reason)))
    }

    /// What lies at `pos` in a group, read as far as it is there.
    fn look_at(&mut self, base: &Base, pos: u64, group: &Group) -> Result<FrameAt> {
        let mut need = FRAME_HEADER_LEN;
        while let Some(offset) = self.buffer.find(base, pos, need, self.end)? {
            let bytes = &self.buffer.bytes()[offset..];
            match FrameAt::look(group.key, pos, bytes, group.header.end() - pos) {
                FrameAt::Short(len) => need = len,
                found => return Ok(found),
            }
        }
        Ok(FrameAt::Short(need))
    }

    /// Reads the header at the position and checks that it continues the group before.
    fn enter_group(&mut self, base: &Base) -> Result<()> {
        self.buffer.at_group(base, self.pos, self.end);
        let header = match self.buffer.find(base, self.pos, GROUP_HEADER_LEN, self.end)? {
            Some(offset) => GroupHeader::decode(&self.buffer.bytes()[offset..], self.pos, base.log),
            None => Err(HeaderFault::Short),
        };
        let damaged = |reason| {
            Err(WalError::Corruption(base.damage(
                self.pos,
                self.pos + GROUP_HEADER_LEN as u64,
                reason,
            )))
        };
        let header = match header {
            Ok(header) => header,
            Err(HeaderFault::Short) => return damaged(CorruptionReason::Short),
            Err(_) => return damaged(CorruptionReason::GroupHeader),
        };
        let is_another = self
            .previous
            .is_some_and(|previous| !previous.leads_to(&header, base.log));
        if header.next() > self.end || !self.extent.timeline.owns(&header) || is_another {
            return damaged(CorruptionReason::Chain);
        }
        // Of a record that is alone in its group, only its own checksum tells that memory has damaged it.
        let checked = self.check_whole(base, &header)? && header.count > 1;
        self.pos += GROUP_HEADER_LEN as u64;
        self.previous = Some(header);
        self.group = Some(Group {
            header,
            key: base.key(header.epoch),
            headless: false,
            checked,
        });
        Ok(())
    }

    /// Whether the group's content matches the checksum in its header: then its frames need no look each. A group that
    /// is too long to be held, or does not match, is checked frame by frame.
    fn check_whole(&mut self, base: &Base, header: &GroupHeader) -> Result<bool> {
        let len = header.len as usize;
        if len > WHOLE_MAX || self.thorough {
            return Ok(false);
        }
        let offset = match self.buffer.find(base, header.pos, len, self.end) {
            // A part of it is in a segment that cannot be read; the frames before that can.
            Err(WalError::Corruption(_) | WalError::UnsupportedVersion { .. }) | Ok(None) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
            Ok(Some(offset)) => offset,
        };
        let content = &self.buffer.bytes()[offset + GROUP_HEADER_LEN..offset + len];
        if format::crc32(content) == header.payload_digest {
            return Ok(true);
        }
        if format::frames_are_intact(
            content,
            header.pos + GROUP_HEADER_LEN as u64,
            base.key(header.epoch),
        ) {
            // Nothing in it looks wrong, so all of it does: some of its bytes are those of another copy of the log.
            let damage = base.damage(header.pos, header.end(), CorruptionReason::GroupContent);
            return Err(WalError::Corruption(damage));
        }
        Ok(false)
    }

    /// Goes on at another place, where nothing is known of what came before.
    pub(crate) fn jump(&mut self, pos: u64) {
        self.pos = self.pos.max(pos);
        (self.group, self.previous, self.near) = (None, None, 0);
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            pos: self.pos,
            group: self.group,
            previous: self.previous,
        }
    }

    /// Goes on at a place where the walk has been. What was read there is read again.
    pub(crate) fn go_to(&mut self, place: &Place) {
        (self.pos, self.group, self.previous) = (place.pos, place.group, place.previous);
        (self.buffer, self.near) = (Buffer::default(), 0);
        self.find_cut();
    }

    /// Whether the walk stands between groups at a header.
    pub(crate) fn is_at_header(&self, base: &Base) -> Result<bool> {
        Ok(self.group.is_none() && self.pos < self.end && find::read_header(base, self.pos)?.is_ok())
    }

    /// Whether the walk stands between groups at a sector that was never written.
    pub(crate) fn is_at_zeros(&self, base: &Base) -> bool {
        self.group.is_none() && matches!(find::read_header(base, self.pos), Ok(Err(HeaderFault::Zero)))
    }

    fn find_cut(&mut self) {
        self.cut = self.extent.timeline.next_cut_after(self.pos);
    }

    fn skip_cut(&mut self) {
        while let Some(cut) = self.cut.filter(|cut| self.pos >= cut.cut) {
            self.pos = self.pos.max(cut.start);
            self.group = None;
            self.find_cut();
        }
    }
}

#[cfg(all(test, not(any(wal_loom, wal_shuttle))))]
mod tests {
    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::format::LogId;

    const START: u64 = 1 << 20;

    fn key() -> FrameKey {
        FrameKey::new(LogId([3; 16]), 9)
    }

    /// Frames of all kinds in a row, at their places.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        const KINDS: [Kind; 5] = [Kind::Data, Kind::Typed, Kind::Schema, Kind::Void, Kind::Claimed];
        let frame = (
            proptest::sample::select(&KINDS[..]),
            any::<bool>(),
            proptest::collection::vec(any::<u8>(), 0..40),
        );
        proptest::collection::vec(frame, 1..12).prop_map(|frames| {
            let mut bytes = Vec::new();
            for (kind, more, payload) in frames {
                let (pos, len) = (START + bytes.len() as u64, payload.len() as u32);
                let word = match kind {
                    Kind::Void => FrameWord::void(key(), pos, format::frame_len(payload.len())),
                    Kind::Claimed => FrameWord::claimed(format::frame_len(payload.len())),
                    _ => FrameWord::seal(key(), pos, kind, more, len, format::crc32(&payload)),
                };
                bytes.extend_from_slice(&word.to_le_bytes());
                bytes.extend_from_slice(&payload);
                bytes.resize(bytes.len().next_multiple_of(8), 0);
            }
            bytes
        })
    }

    proptest! {
        /// The fast path decides as the one check of a frame does, whatever the bytes are.
        #[test]
        fn a_frame_at_hand_is_one_that_is_intact(
            mut bytes in frames(),
            flips in proptest::collection::vec(any::<Index>(), 0..3),
            near in any::<Index>(),
            all: bool,
            checked: bool,
        ) {
            for flip in flips {
                let bit = flip.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let near = START + if all { bytes.len() } else { near.index(bytes.len() + 1) } as u64;
            let mut walker = Walker::new(Arc::new(Extent::default()), 0, u64::MAX);
            walker.buffer.start = START;
            walker.buffer.bytes = bytes.clone().into();
            walker.near = near;
            walker.group = Some(Group {
                header: GroupHeader::default(),
                key: key(),
                headless: false,
                checked,
            });
            for (offset, pos) in (0..bytes.len()).zip(START..).step_by(8) {
                let found = match FrameAt::look(key(), pos, &bytes[offset..], near.saturating_sub(pos)) {
                    FrameAt::Intact(word) => Some(word),
                    FrameAt::Other(word) if checked => Some(word),
                    _ => None,
                };
                let wanted = found.filter(|word| word.kind.is_record());
                walker.pos = pos;
                prop_assert_eq!(walker.near_frame(), wanted.is_some());
                if let Some(word) = wanted {
                    let frame = walker.frame();
                    prop_assert_eq!((frame.pos, frame.word), (pos, word));
                    prop_assert_eq!(frame.offset, offset + FRAME_HEADER_LEN);
                    prop_assert_eq!(walker.pos, frame.end());
                }
            }
        }
    }
}
