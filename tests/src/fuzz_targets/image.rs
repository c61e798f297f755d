//! A log as the fuzzer writes it: short, so that a change hits something, and mended on demand, so that what is after
//! a checksum is reached.
//!
//! Two bytes of [`Flags`], then the two copies of the manifest and the segment header, each after its length (two
//! bytes), then the row in chunks: how many empty sectors lie before it (one byte), its length (two bytes), its bytes. A
//! chunk starts on a sector, as groups do.

use super::checksums;

/// The longest row that is made of an input; a few segments of the smallest size.
const MAX_ROW: usize = 200 << 10;

pub(super) const SECTOR: usize = 512;
const HEADER: usize = 64;
const MAGIC: [u8; 4] = 0xf150_4f47_u32.to_le_bytes();

/// What is to be made right again, and what each target does with the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags(pub(super) u16);

impl Flags {
    pub(super) const MANIFESTS: u16 = 1;
    pub(super) const GROUPS: u16 = 1 << 1;
    pub(super) const DIGESTS: u16 = 1 << 2;
    pub(super) const FRAMES: u16 = 1 << 3;
    pub(super) const CHAIN: u16 = 1 << 4;
    pub(super) const POSITIONS: u16 = 1 << 5;
    pub(super) const MARK: u16 = 1 << 6;
    pub(super) const SEGMENTS: u16 = 1 << 7;
    /// Everything that can be mended.
    pub(super) const ALL: u16 = 0xff;

    pub(super) fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    /// Whether nothing is mended: then only the fuzzer could have made up what the checksums cover.
    pub(super) fn is_raw(self) -> bool {
        self.0 & Flags::ALL == 0
    }
}

/// The bytes of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) slots: [Vec<u8>; 2],
    pub(super) header: Vec<u8>,
    pub(super) row: Vec<u8>,
}

impl Image {
    /// Without the zeros after the row, which may be space that was taken.
    pub(super) fn without_zeros(mut self) -> Image {
        self.row.truncate(used(&self.row).len());
        self
    }

    /// The log that an input stands for; `None` if it is too short to be any.
    pub(super) fn parse(input: &[u8]) -> Option<(Flags, Image)> {
        let mut input = Input(input);
        let flags = Flags(input.number()?);
        let mut block = || input.number().map(|len| input.bytes(len.into()).to_vec());
        let mut image = Image {
            slots: [block()?, block()?],
            header: block()?,
            row: Vec::new(),
        };
        while let Some(gap) = input.byte() {
            let Some(len) = input.number() else { break };
            let bytes = input.bytes(len.into());
            let start = image.row.len().next_multiple_of(SECTOR) + usize::from(gap) * SECTOR;
            if start + bytes.len() > MAX_ROW {
                break;
            }
            image.row.resize(start, 0);
            image.row.extend_from_slice(bytes);
        }
        image.mend(flags);
        Some((flags, image))
    }

    /// The input that stands for this log.
    pub(super) fn encode(&self, flags: u16) -> Vec<u8> {
        let mut input = flags.to_le_bytes().to_vec();
        for block in [&self.slots[0], &self.slots[1], &self.header] {
            let used = used(block);
            input.extend_from_slice(&(used.len() as u16).to_le_bytes());
            input.extend_from_slice(used);
        }
        let mut gap = 0_usize;
        let mut rest = &self.row[..];
        while !rest.is_empty() {
            // Up to the next header of a group, or empty sector.
            let sectors = rest.chunks(SECTOR);
            let more = sectors.skip(1).take_while(|sector| !starts_chunk(sector)).count();
            let (chunk, behind) = rest.split_at(rest.len().min((1 + more) * SECTOR));
            rest = behind;
            let bytes = used(chunk);
            if bytes.is_empty() && !rest.is_empty() {
                gap += 1;
                continue;
            }
            while gap > 255 {
                input.extend_from_slice(&[255, 0, 0]);
                gap -= 255;
            }
            input.push(gap as u8);
            input.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
            input.extend_from_slice(bytes);
            gap = chunk.len().saturating_sub(bytes.len().next_multiple_of(SECTOR)) / SECTOR;
        }
        input
    }

    /// The log's id, by the first copy of the manifest that is long enough to have one.
    pub(super) fn log(&self) -> [u8; 16] {
        let id = |slot: &Vec<u8>| slot.get(24..40)?.try_into().ok();
        self.slots.iter().find_map(id).unwrap_or_default()
    }

    fn mend(&mut self, flags: Flags) {
        let log = self.log();
        self.mend_groups(flags, &log);
        let row = &self.row;
        for slot in &mut self.slots {
            if flags.has(Flags::MARK) {
                mend_mark(slot, row);
            }
            if flags.has(Flags::MANIFESTS) {
                mend_manifest(slot);
            }
        }
        if flags.has(Flags::SEGMENTS) && self.header.len() >= 52 {
            let crc = checksums::crc(&[&self.header[..48]]);
            self.header[48..52].copy_from_slice(&crc.to_le_bytes());
        }
    }

    fn mend_groups(&mut self, flags: Flags, log: &[u8; 16]) {
        let mut last: Option<(u32, u64)> = None;
        for pos in (0..self.row.len()).step_by(SECTOR) {
            let group = &mut self.row[pos..];
            if group.len() < HEADER || group[4..8] != MAGIC {
                continue;
            }
            let at = pos as u64;
            if flags.has(Flags::POSITIONS) {
                group[8..16].copy_from_slice(&at.to_le_bytes());
            }
            let len = number(group, 16) as usize;
            let content = group.len().min(len).max(HEADER);
            if flags.has(Flags::FRAMES) {
                let epoch = number(group, 32);
                mend_frames(log, epoch, at, &mut group[..content]);
            }
            if flags.has(Flags::DIGESTS) {
                let digest = checksums::crc(&[&group[HEADER..content]]);
                group[48..52].copy_from_slice(&digest.to_le_bytes());
            }
            if flags.has(Flags::CHAIN)
                && let Some((chain, ordinal)) = last
            {
                group[36..40].copy_from_slice(&chain.to_le_bytes());
                group[24..32].copy_from_slice(&ordinal.to_le_bytes());
            }
            if flags.has(Flags::GROUPS) {
                let crc = checksums::group(log, at, group);
                group[..4].copy_from_slice(&crc.to_le_bytes());
            }
            let ordinal = u64::from_le_bytes(group[24..32].try_into().unwrap());
            let next = ordinal.wrapping_add(number(group, 20).into());
            last = Some((number(group, 0), next));
        }
    }
}

fn mend_frames(log: &[u8; 16], epoch: u32, pos: u64, group: &mut [u8]) {
    let mut at = HEADER;
    while at + 8 <= group.len() {
        let word = number(group, at + 4);
        let len = (word & 0xfff_ffff) as usize;
        let Some(payload) = group.get(at + 8..at + 8 + len) else {
            return;
        };
        let crc = checksums::frame(log, epoch, pos + at as u64, word, payload);
        group[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        at += 8 + len.next_multiple_of(8);
    }
}

/// Makes the mark name the header of the group before it.
fn mend_mark(slot: &mut [u8], row: &[u8]) {
    let Some(prev) = slot
        .get(96..104)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
    else {
        return;
    };
    let prev = usize::try_from(prev).unwrap_or(usize::MAX);
    if let Some(digest) = row.get(prev..).and_then(|group| group.get(..4))
        && slot.len() >= 108
    {
        slot[104..108].copy_from_slice(digest);
    }
}

/// Makes the length that of the bytes that are there, and the checksum right.
fn mend_manifest(slot: &mut [u8]) {
    if slot.len() < 28 {
        return;
    }
    let (len, body) = (slot.len() as u32, slot.len() - 4);
    slot[20..24].copy_from_slice(&len.to_le_bytes());
    let crc = checksums::crc(&[&slot[..body]]);
    slot[body..].copy_from_slice(&crc.to_le_bytes());
}

fn starts_chunk(sector: &[u8]) -> bool {
    sector.get(4..8) == Some(&MAGIC) || used(sector).is_empty()
}

/// What is there without the zeros after it.
fn used(bytes: &[u8]) -> &[u8] {
    let len = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    &bytes[..len]
}

/// Four bytes as a number.
fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// What is left of an input.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Two bytes.
    pub(super) fn number(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_le_bytes(*first))
    }

    /// So many bytes, or all that are left.
    pub(super) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}
