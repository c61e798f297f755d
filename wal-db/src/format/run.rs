//! Runs of an index: where the events of each term are in a part of the log, in a file of its own. See `docs/format.md`,
//! "Indexes".

use std::{io, vec};

use super::{Cursor, crc32, is_zero};

const MAGIC: [u8; 8] = *b"WALDBIDX";
const VERSION: u32 = 1;

/// Each bit is something that a reader has to know.
const NO_FEATURES: u32 = 0;

const HEADER_LEN: usize = 128;
const FOOTER_LEN: usize = 48;

/// A block ends with the group that makes it so long.
const BLOCK_LEN: usize = if cfg!(wal_shuttle) { 64 } else { 4 << 10 };

/// The longest block: one more entry than fits.
const MAX_BLOCK_LEN: u64 = 8 << 10;

/// How many bits of the filter a term takes; two lookups of a thousand find a term that is not there.
const BITS_A_TERM: u64 = 16;
const LOOKS: u32 = 6;
const LINE_BITS: u64 = 512;

/// Whether a file that begins with these bytes can be a run, or one that was being made.
pub(crate) fn may_be_one(start: &[u8]) -> bool {
    MAGIC.starts_with(start) || is_zero(start)
}

const START: &str = "index.";
const END: &str = ".run";

pub(crate) fn file_name(from: u64, to: u64) -> String {
    format!("{START}{from:020}.{to:020}{END}")
}

/// From where and up to where a run goes, by the name of its file; `None` if it is not that of one.
pub(crate) fn from_and_to(file: &str) -> Option<(u64, u64)> {
    let (from, to) = file.strip_prefix(START)?.strip_suffix(END)?.split_once('.')?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from < to && file == file_name(from, to)).then_some((from, to))
}

/// An event that has a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) term: u64,
    pub(crate) lsn: u64,
    pub(crate) type_id: u32,
}

/// What a run is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunHeader {
    /// The bytes of a position after the last record that is in it.
    pub(crate) position: [u8; 56],
    /// It has every event from this LSN on
    pub(crate) from: u64,
    /// and before this one.
    pub(crate) to: u64,
}

/// Why a file is no run that can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunFault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("byte {offset}: {what}")]
    Damaged { offset: u64, what: &'static str },
    #[error("version {version} with features {features:#x}: it was made by a newer release")]
    Version { version: u32, features: u32 },
}

fn damaged<T>(offset: u64, what: &'static str) -> Result<T, RunFault> {
    Err(RunFault::Damaged { offset, what })
}

impl RunHeader {
    fn encoded(&self) -> (u32, Vec<u8>) {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&NO_FEATURES.to_le_bytes());
        bytes.extend_from_slice(&self.position);
        bytes.extend_from_slice(&self.from.to_le_bytes());
        bytes.extend_from_slice(&self.to.to_le_bytes());
        bytes.resize(HEADER_LEN - 4, 0);
        let crc = crc32(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        (crc, bytes)
    }

    fn decode(bytes: &[u8; HEADER_LEN]) -> Result<(u32, Self), RunFault> {
        if !bytes.starts_with(&MAGIC) {
            return damaged(0, "it does not begin as a run of an index");
        }
        let mut fields = Cursor(&bytes[MAGIC.len()..]);
        let (version, features) = (fields.u32(), fields.u32());
        let header = RunHeader {
            position: fields.take(),
            from: fields.u64(),
            to: fields.u64(),
        };
        let crc = crc32(&bytes[..HEADER_LEN - 4]);
        if bytes[HEADER_LEN - 4..] != crc.to_le_bytes() {
            return damaged(0, "its header was changed");
        }
        if version != VERSION || features != NO_FEATURES {
            return Err(RunFault::Version { version, features });
        }
        if header.from >= header.to {
            return damaged(0, "it ends before it begins");
        }
        Ok((crc, header))
    }
}

/// The checksum of a part, which belongs to one place in one file.
fn part_crc(header: u32, offset: u64, part: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(part);
    hasher.finalize()
}

/// Where a block is, and with which entry it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    term: u64,
    lsn: u64,
    offset: u64,
}

/// Says of most terms that are not there that they are not. All bits of a term are in one line of 8 words, so that a look
/// costs one access to memory.
#[derive(Debug, Clone)]
struct Filter {
    lines: Vec<[u64; 8]>,
}

impl Filter {
    fn of(terms: u64) -> Self {
        let lines = (terms.saturating_mul(BITS_A_TERM) / LINE_BITS + 1) as usize;
        Filter {
            lines: vec![[0; 8]; lines],
        }
    }

    /// The line of a term, and its bits there, of which some may be the same.
    fn place(&self, term: u64) -> (usize, impl Iterator<Item = (usize, u64)> + use<>) {
        let line = ((u128::from(term) * self.lines.len() as u128) >> 64) as usize;
        // The line is chosen by the high bits.
        let bits = (0..LOOKS).map(move |look| {
            let bit = term >> (9 * look) & (LINE_BITS - 1);
            ((bit / 64) as usize, 1 << (bit % 64))
        });
        (line, bits)
    }

    fn add(&mut self, term: u64) {
        let (line, bits) = self.place(term);
        for (word, bit) in bits {
            self.lines[line][word] |= bit;
        }
    }

    fn may_have(&self, term: u64) -> bool {
        let (line, mut bits) = self.place(term);
        let line = &self.lines[line];
        bits.all(|(word, bit)| line[word] & bit != 0)
    }
}

/// The bytes of a run, as a file is written.
pub(crate) struct RunBytes<I> {
    entries: I,
    header: RunHeader,
    header_crc: u32,
    /// What comes next.
    piece: io::Cursor<Vec<u8>>,
    /// How many bytes come before what is being made.
    offset: u64,
    /// The entry that the next block begins with.
    next: Option<Entry>,
    blocks: Vec<Block>,
    filter: Filter,
    types: Vec<u32>,
    terms: u64,
    count: u64,
    last_term: Option<u64>,
    ended: bool,
}

impl<I: Iterator<Item = io::Result<Entry>>> RunBytes<I> {
    /// Of entries in their order, with so many terms at most.
    pub(crate) fn new(header: RunHeader, entries: I, most_terms: u64) -> Self {
        let (header_crc, bytes) = header.encoded();
        RunBytes {
            entries,
            header,
            header_crc,
            offset: bytes.len() as u64,
            piece: io::Cursor::new(bytes),
            next: None,
            blocks: Vec::new(),
            filter: Filter::of(most_terms),
            types: Vec::new(),
            terms: 0,
            count: 0,
            last_term: None,
            ended: false,
        }
    }

    /// The next block; `None` if there are no more entries.
    fn block(&mut self) -> io::Result<Option<Vec<u8>>> {
        let first = match self.next.take() {
            Some(first) => first,
            None => match self.entries.next().transpose()? {
                Some(first) => first,
                None => return Ok(None),
            },
        };
        self.blocks.push(Block {
            term: first.term,
            lsn: first.lsn,
            offset: self.offset,
        });
        let mut block = Vec::with_capacity(2 * BLOCK_LEN);
        let mut group = Vec::with_capacity(BLOCK_LEN);
        let (mut entry, mut in_group, mut last_lsn) = (first, 0, self.header.from);
        loop {
            put_number(entry.lsn - last_lsn, &mut group);
            put_number(self.type_index(entry.type_id), &mut group);
            last_lsn = entry.lsn;
            in_group += 1;
            self.count += 1;
            if self.last_term != Some(entry.term) {
                self.last_term = Some(entry.term);
                self.terms += 1;
                self.filter.add(entry.term);
            }
            let next = self.entries.next().transpose()?;
            let is_full = block.len() + group.len() >= BLOCK_LEN;
            if is_full || next.is_none_or(|next| next.term != entry.term) {
                block.extend_from_slice(&entry.term.to_le_bytes());
                put_number(in_group, &mut block);
                block.append(&mut group);
                (in_group, last_lsn) = (0, self.header.from);
            }
            match next {
                Some(next) if !is_full => entry = next,
                next => {
                    self.next = next;
                    break;
                }
            }
        }
        let crc = part_crc(self.header_crc, self.offset, &block);
        block.extend_from_slice(&crc.to_le_bytes());
        Ok(Some(block))
    }

    fn type_index(&mut self, type_id: u32) -> u64 {
        let known = self.types.iter().position(|known| *known == type_id);
        known.unwrap_or_else(|| {
            self.types.push(type_id);
            self.types.len() - 1
        }) as u64
    }

    /// Types, blocks and filter, and where to find them.
    fn tail(&self) -> Vec<u8> {
        let mut tail = Vec::new();
        for number in [self.types.len(), self.blocks.len(), self.filter.lines.len()] {
            tail.extend_from_slice(&(number as u64).to_le_bytes());
        }
        for id in &self.types {
            tail.extend_from_slice(&id.to_le_bytes());
        }
        for block in &self.blocks {
            for number in [block.term, block.lsn, block.offset] {
                tail.extend_from_slice(&number.to_le_bytes());
            }
        }
        for word in self.filter.lines.iter().flatten() {
            tail.extend_from_slice(&word.to_le_bytes());
        }
        let tail_crc = part_crc(self.header_crc, self.offset, &tail);
        let mut footer = Vec::with_capacity(FOOTER_LEN);
        for number in [self.offset, tail.len() as u64, self.terms, self.count] {
            footer.extend_from_slice(&number.to_le_bytes());
        }
        footer.extend_from_slice(&tail_crc.to_le_bytes());
        footer.resize(FOOTER_LEN - 4, 0);
        let crc = part_crc(self.header_crc, self.offset + tail.len() as u64, &footer);
        footer.extend_from_slice(&crc.to_le_bytes());
        tail.append(&mut footer);
        tail
    }
}

impl<I: Iterator<Item = io::Result<Entry>>> io::Read for RunBytes<I> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.piece.read(buf)? {
                0 if !self.ended && !buf.is_empty() => {}
                read => return Ok(read),
            }
            let piece = match self.block()? {
                Some(block) => block,
                None => {
                    self.ended = true;
                    self.tail()
                }
            };
            self.offset += piece.len() as u64;
            self.piece = io::Cursor::new(piece);
        }
    }
}

/// A run that can be looked into, but for its blocks.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) header: RunHeader,
    header_crc: u32,
    pub(crate) types: Vec<u32>,
    blocks: Vec<Block>,
    /// Where the last block ends.
    end: u64,
    filter: Filter,
    /// How many terms and events of terms it has.
    pub(crate) terms: u64,
    pub(crate) count: u64,
}

/// Reads bytes of a file from an offset on, all of them.
pub(crate) type ReadBytes<'f> = &'f dyn Fn(u64, &mut [u8]) -> io::Result<()>;

impl Run {
    /// Reads what a file of `size` bytes says of its blocks.
    pub(crate) fn open(size: u64, read: ReadBytes<'_>) -> Result<Self, RunFault> {
        if size < (HEADER_LEN + FOOTER_LEN) as u64 {
            return damaged(size, "it is too short");
        }
        let mut header = [0; HEADER_LEN];
        read(0, &mut header)?;
        let (header_crc, header) = RunHeader::decode(&header)?;
        let footer_at = size - FOOTER_LEN as u64;
        let mut footer = [0; FOOTER_LEN];
        read(footer_at, &mut footer)?;
        if footer[FOOTER_LEN - 4..]
            != part_crc(header_crc, footer_at, &footer[..FOOTER_LEN - 4]).to_le_bytes()
        {
            return damaged(footer_at, "its end was changed");
        }
        let mut fields = Cursor(&footer);
        let (end, tail_len, terms, count) = (fields.u64(), fields.u64(), fields.u64(), fields.u64());
        let tail_crc = fields.u32();
        if end < HEADER_LEN as u64 || end.checked_add(tail_len) != Some(footer_at) {
            return damaged(footer_at, "its parts do not fit");
        }
        if terms > count || count > end {
            return damaged(footer_at, "it has more events than fit");
        }
        let mut tail = Vec::new();
        let room = tail.try_reserve_exact(tail_len as usize);
        room.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        tail.resize(tail_len as usize, 0);
        read(end, &mut tail)?;
        if part_crc(header_crc, end, &tail) != tail_crc {
            return damaged(end, "its list of blocks was changed");
        }
        let number = |at: usize| {
            let bytes = tail.get(8 * at..8 * at + 8)?;
            bytes.try_into().ok().map(u64::from_le_bytes)
        };
        let lens = (number(0), number(1), number(2));
        let (Some(types), Some(blocks), Some(lines)) = lens else {
            return damaged(end, "its list of blocks is too short");
        };
        let needed = u128::from(types) * 4 + u128::from(blocks) * 24 + u128::from(lines) * 64 + 24;
        if needed != u128::from(tail_len) || lines == 0 {
            return damaged(end, "its list of blocks does not fit");
        }
        let mut fields = Cursor(&tail[24..]);
        let types = (0..types).map(|_| fields.u32()).collect();
        let blocks = (0..blocks).map(|_| Block {
            term: fields.u64(),
            lsn: fields.u64(),
            offset: fields.u64(),
        });
        let blocks: Vec<Block> = blocks.collect();
        let lines = (0..lines).map(|_| [0; 8].map(|_: u64| fields.u64())).collect();
        let ends = blocks.iter().skip(1).map(|next| next.offset).chain([end]);
        let mut starts = blocks.iter().map(|block| block.offset).zip(ends);
        if starts.any(|(start, end)| start < HEADER_LEN as u64 || end <= start || end - start > MAX_BLOCK_LEN)
        {
            return damaged(end, "its blocks do not fit");
        }
        Ok(Run {
            header,
            header_crc,
            types,
            blocks,
            end,
            filter: Filter { lines },
            terms,
            count,
        })
    }

    /// `false` if it has no entry of a term.
    pub(crate) fn may_have(&self, term: u64) -> bool {
        self.filter.may_have(term)
    }

    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The blocks that may have events of a term from an LSN on.
    pub(crate) fn blocks_of(&self, term: u64, from: u64) -> std::ops::Range<usize> {
        if !self.may_have(term) {
            return 0..0;
        }
        // The last block that begins before the first one of them may have it.
        let first = self
            .blocks
            .partition_point(|block| (block.term, block.lsn) <= (term, from))
            .saturating_sub(1);
        let end = self.blocks.partition_point(|block| block.term <= term);
        first..end.max(first)
    }

    /// Reads blocks that lie one after another.
    pub(crate) fn read(
        &self,
        blocks: std::ops::Range<usize>,
        read: ReadBytes<'_>,
    ) -> Result<Vec<Entry>, RunFault> {
        let offset = |block: usize| self.blocks.get(block).map_or(self.end, |block| block.offset);
        let (start, end) = (offset(blocks.start), offset(blocks.end));
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; (end - start) as usize];
        read(start, &mut bytes)?;
        let mut entries = Vec::new();
        for block in blocks {
            let (from, to) = (offset(block), offset(block + 1));
            let bytes = &bytes[(from - start) as usize..(to - start) as usize];
            self.decode(from, bytes, &mut entries)?;
        }
        Ok(entries)
    }

    fn decode(&self, offset: u64, block: &[u8], entries: &mut Vec<Entry>) -> Result<(), RunFault> {
        let Some((mut rest, crc)) = block.split_last_chunk::<4>() else {
            return damaged(offset, "a block is too short");
        };
        if part_crc(self.header_crc, offset, rest) != u32::from_le_bytes(*crc) {
            return damaged(offset, "a block was changed");
        }
        while let Some((term, after)) = rest.split_first_chunk::<8>() {
            rest = after;
            let term = u64::from_le_bytes(*term);
            let mut lsn = self.header.from;
            let Some(count) = take_number(&mut rest) else {
                return damaged(offset, "a block is not as a writer makes it");
            };
            for _ in 0..count {
                let numbers = take_number(&mut rest).zip(take_number(&mut rest));
                let entry = numbers.and_then(|(delta, index)| {
                    lsn = lsn.checked_add(delta)?;
                    let type_id = *self.types.get(usize::try_from(index).ok()?)?;
                    Some(Entry { term, lsn, type_id })
                });
                let last = entries.last().map(|last| (last.term, last.lsn));
                let fits = |entry: &Entry| lsn < self.header.to && last < Some((entry.term, entry.lsn));
                let Some(entry) = entry.filter(fits) else {
                    return damaged(offset, "a block is not as a writer makes it");
                };
                entries.push(entry);
            }
        }
        match rest.is_empty() {
            true => Ok(()),
            false => damaged(offset, "a block does not end with an event"),
        }
    }
}

/// All entries of a run in their order, read many blocks at a time.
pub(crate) struct Entries<'r> {
    run: &'r Run,
    read: ReadBytes<'r>,
    next_block: usize,
    entries: vec::IntoIter<Entry>,
}

const BLOCKS_AT_A_TIME: usize = 64;

impl<'r> Entries<'r> {
    pub(crate) fn of(run: &'r Run, read: ReadBytes<'r>) -> Self {
        Entries {
            run,
            read,
            next_block: 0,
            entries: Vec::new().into_iter(),
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, RunFault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(Ok(entry));
            }
            let blocks = self.next_block..self.run.blocks().min(self.next_block + BLOCKS_AT_A_TIME);
            if blocks.is_empty() {
                return None;
            }
            self.next_block = blocks.end;
            match self.run.read(blocks, self.read) {
                Ok(entries) => self.entries = entries.into_iter(),
                Err(fault) => return Some(Err(fault)),
            }
        }
    }
}

/// LEB128.
fn put_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
