//! What a process has appended and not yet written to the store: from the bytes of its staging memory to a group that
//! the log can go on with.

use std::{fs::File, io};

use bytes::Bytes;

use super::mend::Over;
use crate::{
    format::{
        self, FRAME_HEADER_LEN, FrameAt, FrameKey, FrameWord, GROUP_HEADER_LEN, GroupHeader, Kind, LogId,
        Mark, group,
    },
    log::{clock, report::RecoveryReport},
    staging::{leftover::Leftover, ring::block_len},
};

/// Published frames at their positions, with gaps where claims were never published.
pub(crate) struct Staged {
    start: u64,
    frames: Vec<(u64, Vec<u8>)>,
    key: FrameKey,
    /// Bytes of claims before the last frame that were never published.
    pub(crate) unpublished: u64,
}

/// How much of the ring is read at first and at most at a time, where it is not known how much is in it.
const PART_MIN: u64 = 4 << 10;
const PART_MAX: u64 = 256 << 10;

/// Reads the ring of a process that may be at work, from the group at `start` on to the first gap, and returns where that
/// is. Nothing after it can be shown before it is.
pub(crate) fn read_to_the_gap(
    file: &File,
    leftover: &mut Leftover,
    start: u64,
    key: FrameKey,
) -> io::Result<u64> {
    let start = start.max(leftover.released);
    leftover.start_at(start);
    let (mut pos, mut part) = (start + GROUP_HEADER_LEN as u64, PART_MIN);
    loop {
        pos += match look_at(leftover, pos, key) {
            Some(Found::Short) => {
                if !leftover.read_on(file, part)? {
                    return Ok(pos);
                }
                part = PART_MAX.min(4 * part);
                continue;
            }
            Some(Found::Frame(bytes)) => bytes.len() as u64,
            Some(Found::Header) => GROUP_HEADER_LEN as u64,
            Some(Found::Claim(_) | Found::Zeros(_)) | None => return Ok(pos),
        };
    }
}

/// Walks the ring from the group that starts at `start`. `complete`: the memory is as the process left it, so what lies
/// after an unpublished claim counts; if not, the machine went down meanwhile and only the frames before the first gap
/// do. `None` if there is nothing.
pub(crate) fn collect(leftover: &Leftover, start: u64, complete: bool, key: FrameKey) -> Option<Staged> {
    if leftover.header.clean || start < leftover.released || start >= leftover.end() {
        return None;
    }
    let mut frames = Vec::new();
    let (mut unpublished, mut since_frame, mut zeros) = (0, 0, 0);
    let mut pos = start + GROUP_HEADER_LEN as u64;
    while let Some(found) = look_at(leftover, pos, key) {
        let len = match found {
            Found::Frame(bytes) => {
                frames.push((pos, bytes.to_vec()));
                unpublished += std::mem::take(&mut since_frame) + std::mem::take(&mut zeros);
                bytes.len() as u64
            }
            // Between two groups lie zeros up to a sector, and a header.
            Found::Header if zeros < format::SECTOR => {
                zeros = 0;
                GROUP_HEADER_LEN as u64
            }
            Found::Header => GROUP_HEADER_LEN as u64,
            Found::Short => break,
            Found::Claim(_) | Found::Zeros(_) if !complete => break,
            Found::Claim(len) => {
                since_frame += len + std::mem::take(&mut zeros);
                len
            }
            Found::Zeros(len) => {
                zeros += len;
                len
            }
        };
        pos += len;
    }
    // A batch is there as a whole or not at all.
    while frames
        .last()
        .and_then(|(_, frame)| FrameWord::read(frame))
        .is_some_and(|word| word.more)
    {
        frames.pop();
    }
    (!frames.is_empty()).then_some(Staged {
        start,
        frames,
        key,
        unpublished,
    })
}

enum Found<'a> {
    /// A published frame, void ones included.
    Frame(&'a [u8]),
    /// A claim that was never published.
    Claim(u64),
    /// A claim whose length was not stored yet, or padding, or the place of a header after it that was not written.
    Zeros(u64),
    /// The header of a group, or the place of one that was not written.
    Header,
    /// More of the ring has to be read to know.
    Short,
}

fn look_at(leftover: &Leftover, pos: u64, key: FrameKey) -> Option<Found<'_>> {
    let left = leftover.end().checked_sub(pos).filter(|&left| left > 0)?;
    let bytes = leftover.at(pos);
    let block = block_len(leftover.header.capacity);
    let left = left.min(block - pos % block);
    let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
    match FrameAt::look(key, pos, bytes, left) {
        FrameAt::Intact(word) => Some(Found::Frame(&bytes[..word.frame_len() as usize])),
        FrameAt::Claim(len) => Some(Found::Claim(len)),
        FrameAt::Short(_) => Some(Found::Short),
        FrameAt::Other(_) => None,
        FrameAt::Nothing => between_frames(pos, bytes, block),
    }
}

/// What lies at `pos`, where no frame starts and no claim.
fn between_frames(pos: u64, bytes: &[u8], block: u64) -> Option<Found<'_>> {
    let is_zero = bytes.first_chunk::<FRAME_HEADER_LEN>()? == &[0; FRAME_HEADER_LEN];
    if is_zero && pos.is_multiple_of(block) {
        return Some(Found::Header);
    }
    if is_zero {
        // Claimed without a length yet: nothing of it was stored, so the next thing that was is the next claim.
        let zeros = bytes.chunks_exact(8).take_while(|word| **word == [0; 8]).count();
        return Some(Found::Zeros(zeros as u64 * 8));
    }
    (pos.is_multiple_of(format::SECTOR) && group::may_be_header(bytes)).then_some(Found::Header)
}

/// A length that a frame can have.
const MAX_VOID: u64 = 1 << 27;

impl Staged {
    pub(crate) fn last_schema(&self) -> Option<u64> {
        let is_schema = |frame: &[u8]| FrameWord::read(frame).is_some_and(|word| word.kind == Kind::Schema);
        let last = self.frames.iter().rfind(|(_, frame)| is_schema(frame));
        last.map(|(pos, _)| *pos)
    }

    /// The records and schemas, with their positions.
    pub(crate) fn into_frames(self) -> impl Iterator<Item = (u64, FrameWord, Bytes)> {
        self.frames.into_iter().filter_map(|(pos, frame)| {
            let word = FrameWord::read(&frame).filter(|word| word.kind != Kind::Void)?;
            let data = Bytes::from(frame).slice(FRAME_HEADER_LEN..FRAME_HEADER_LEN + word.len as usize);
            Some((pos, word, data))
        })
    }

    /// The records as a group that continues nothing, for a file that keeps what was cut off.
    pub(crate) fn alone(self, log: LogId, epoch: u32, report: &mut RecoveryReport) -> Over {
        let start = self.start;
        let mark = Mark {
            pos: start,
            prev: start,
            ..Mark::default()
        };
        let (bytes, header) = self.into_group(log, &mark, epoch, 0);
        report.staged_cut = u64::from(header.count);
        Over { start, bytes }
    }

    /// The group that starts at `mark`: the frames at their old positions, voids between them.
    pub(crate) fn into_group(
        self,
        log: LogId,
        mark: &Mark,
        epoch: u32,
        durable: u64,
    ) -> (Vec<u8>, GroupHeader) {
        let mut bytes = vec![0; GROUP_HEADER_LEN];
        let (mut count, mut flags) = (0, 0);
        for (pos, frame) in &self.frames {
            let mut here = self.start + bytes.len() as u64;
            while here < *pos {
                let void = (pos - here).min(MAX_VOID);
                bytes.extend_from_slice(&FrameWord::void(self.key, here, void).to_le_bytes());
                here += void;
                bytes.resize((here - self.start) as usize, 0);
            }
            let kind = FrameWord::read(frame).map(|word| word.kind);
            count += u32::from(kind.is_some_and(Kind::is_record));
            if kind == Some(Kind::Schema) {
                flags |= group::FLAG_SCHEMAS;
            }
            bytes.extend_from_slice(frame);
        }
        let mut header = GroupHeader {
            pos: self.start,
            len: bytes.len() as u32,
            count,
            ordinal: mark.ordinal,
            epoch,
            prev_digest: mark.prev_digest,
            durable,
            prev: mark.prev,
            payload_digest: crc32fast::hash(&bytes[GROUP_HEADER_LEN..]),
            zero_sectors: 0,
            flags,
            time_us: clock::now_us(),
            read: None,
        };
        bytes.resize(bytes.len().next_multiple_of(format::SECTOR as usize), 0);
        // The first sector has the header in it, whatever else is zero.
        bytes[0] = 1;
        header.zero_sectors = format::zero_sectors(&bytes);
        bytes[..GROUP_HEADER_LEN].copy_from_slice(&header.encode(log));
        (bytes, header)
    }
}

#[cfg(all(test, unix, not(wal_loom)))]
#[allow(clippy::unwrap_used)] // clippy does not see that this is a test
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::{
        format::staging::StagingHeader,
        lsn::Pos,
        staging::{leftover::Found, memory::Memory, ring::Ring},
    };

    const LOG: LogId = LogId([1; 16]);

    /// A ring with a record and a batch of three, of which `lost` never reached the disk.
    fn leftover(lost: Option<u64>) -> Leftover {
        let file = tempfile::tempfile().unwrap();
        let header = StagingHeader {
            log: LOG,
            boot: None,
            epoch: 1,
            capacity: 8192,
            clean: false,
            number: 1,
        };
        crate::staging::leftover::fill(&file, &header).unwrap();
        let memory = Memory::map(&file, &header, header.capacity).unwrap();
        let (ring, _consumer) = Ring::new(memory, 0, FrameKey::new(LOG, 1));
        ring.set_disk(u64::MAX);
        let key = ring.key();
        let word = |pos, more| FrameWord::seal(key, pos, Kind::Data, more, 8, format::crc32(&[7; 8]));
        let mut single = ring.claim(16, Pos::MAX).unwrap();
        single.fill(8, &[7; 8]);
        let pos = single.pos();
        single.publish(word(pos, false));
        let mut batch = ring.claim(48, Pos::MAX).unwrap();
        let pos = batch.pos();
        for i in 0..3 {
            if i > 0 {
                batch.fill(i * 16, &word(pos + i * 16, i < 2).to_le_bytes());
            }
            batch.fill(i * 16 + 8, &[7; 8]);
        }
        batch.publish(word(pos, true));
        if let Some(frame) = lost {
            file.write_all_at(&[0; 16], 4096 + pos + frame * 16).unwrap();
        }
        match Leftover::find(&file, LOG, |_| true).unwrap() {
            Found::Ours(leftover) => leftover,
            _ => panic!("not found"),
        }
    }

    fn count(leftover: &Leftover) -> u32 {
        let staged = collect(leftover, 0, false, FrameKey::new(LOG, 1)).unwrap();
        staged.into_group(LOG, &Mark::default(), 1, 0).1.count
    }

    #[test]
    fn only_what_begins_as_a_header_on_a_sector_is_taken_for_one() {
        let (start, block) = (8 * format::SECTOR, 4096);
        let mut bytes = GroupHeader::default().encode(LOG);
        assert!(group::may_be_header(&bytes));
        let is_header =
            |pos, bytes: &[u8]| matches!(between_frames(pos, bytes, block), Some(super::Found::Header));
        assert!(is_header(start + format::SECTOR, &bytes));
        assert!(!is_header(start + format::SECTOR + 64, &bytes));
        bytes[4] ^= 1;
        assert!(!is_header(start + format::SECTOR, &bytes));
    }

    #[test]
    fn a_batch_that_lost_its_end_is_left_out() {
        assert_eq!(count(&leftover(None)), 4);
        assert_eq!(count(&leftover(Some(2))), 1);
        assert_eq!(count(&leftover(Some(1))), 1);
    }
}
