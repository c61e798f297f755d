//! What is kept of a consumer: up to where it has come, and which events wait. See `docs/format.md`, "Consumers".

use super::{Cursor, SECTOR, crc32, is_zero, snapshot::is_name};

const MAGIC: [u8; 8] = *b"WALDBCON";
const VERSION: u32 = 1;

/// Each bit is something that a reader has to know.
const NO_FEATURES: u32 = 0;

/// What the header has before its checksum.
const HEADER_USED: usize = 40;

const SLOTS: [u64; 2] = [SECTOR, 2 * SECTOR];
const SLOT_USED: usize = 64;
const BODY: usize = 3 * SECTOR as usize;

/// A position as bytes.
pub(crate) type PositionBytes = [u8; 56];

/// Whether a file that begins with these bytes can be one of a consumer, or one that was being made.
pub(crate) fn may_be_one(start: &[u8]) -> bool {
    MAGIC.starts_with(start) || is_zero(start)
}

const END: &str = ".consumer";

/// The consumer's name and the number in the name of a file; `None` if it is not that of one.
pub(crate) fn name_and_number(file: &str) -> Option<(&str, u64)> {
    let (name, digits) = file.strip_suffix(END)?.rsplit_once('.')?;
    // There is one after it.
    let number = digits.parse().ok().filter(|number| *number < u64::MAX)?;
    (is_name(name) && file == file_name(name, number)).then_some((name, number))
}

pub(crate) fn file_name(name: &str, number: u64) -> String {
    format!("{name}.{number:020}{END}")
}

/// What a file of a consumer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerTable {
    /// Everything before it was done, or is in a letter.
    pub(crate) cursor: PositionBytes,
    /// How often the cursor was saved in this file.
    pub(crate) saves: u64,
    pub(crate) is_paused: bool,
    /// The first event that waits, of each key.
    pub(crate) parked: Vec<Letter>,
    /// The newest of those that were passed over, oldest first.
    pub(crate) skipped: Vec<Letter>,
    /// How many were passed over.
    pub(crate) skipped_count: u64,
}

/// An event that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) lsn: u64,
    pub(crate) part: u32,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// When it was put away.
    pub(crate) time_us: i64,
    /// It is to be tried again.
    pub(crate) is_due: bool,
    pub(crate) key: String,
    pub(crate) error: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConsumerFault {
    Damaged { offset: u64, what: &'static str },
    Version { version: u32, features: u32 },
}

fn damaged<T>(offset: u64, what: &'static str) -> Result<T, ConsumerFault> {
    Err(ConsumerFault::Damaged { offset, what })
}

impl ConsumerTable {
    /// All of a file, in which the cursor was not saved yet.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = vec![u8::from(self.is_paused)];
        body.extend_from_slice(&self.skipped_count.to_le_bytes());
        for letters in [&self.parked, &self.skipped] {
            body.extend_from_slice(&(letters.len() as u32).to_le_bytes());
            letters.iter().for_each(|letter| letter.encode(&mut body));
        }
        let mut bytes = vec![0; BODY];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&NO_FEATURES.to_le_bytes());
        bytes[16..24].copy_from_slice(&(body.len() as u64).to_le_bytes());
        bytes[24..28].copy_from_slice(&crc32(&body).to_le_bytes());
        let crc = crc32(&bytes[..HEADER_USED]);
        bytes[HEADER_USED..HEADER_USED + 4].copy_from_slice(&crc.to_le_bytes());
        let (at, slot) = cursor_slot(0, &self.cursor);
        bytes[at as usize..][..slot.len()].copy_from_slice(&slot);
        bytes.extend_from_slice(&body);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<ConsumerTable, ConsumerFault> {
        let Some((header, body)) = bytes.split_at_checked(BODY) else {
            return damaged(bytes.len() as u64, "it ends here");
        };
        if header[..8] != MAGIC {
            return damaged(0, "it does not begin as one of a consumer");
        }
        let mut fields = Cursor(&header[8..]);
        let (version, features) = (fields.u32(), fields.u32());
        let (body_len, body_crc) = (fields.u64(), fields.u32());
        if header[HEADER_USED..HEADER_USED + 4] != crc32(&header[..HEADER_USED]).to_le_bytes() {
            return damaged(HEADER_USED as u64, "the checksum of the header");
        }
        if (version, features) != (VERSION, NO_FEATURES) {
            return Err(ConsumerFault::Version { version, features });
        }
        if body.len() as u64 != body_len || crc32(body) != body_crc {
            return damaged(24, "the checksum of what comes after the cursors");
        }
        let saved = SLOTS.map(|at| parse_slot(&header[at as usize..]));
        let newest = saved.into_iter().flatten().max_by_key(|(saves, _)| *saves);
        let Some((saves, cursor)) = newest else {
            return damaged(SLOTS[0], "both cursors");
        };
        let table = Body(body).table(cursor, saves);
        table.map_or_else(|| damaged(BODY as u64, "what comes after the cursors"), Ok)
    }
}

/// Where the cursor goes when it is saved for the time `saves`, and the bytes to put there.
pub(crate) fn cursor_slot(saves: u64, cursor: &PositionBytes) -> (u64, [u8; SLOT_USED + 4]) {
    let mut bytes = [0; SLOT_USED + 4];
    bytes[..8].copy_from_slice(&saves.to_le_bytes());
    bytes[8..SLOT_USED].copy_from_slice(cursor);
    let crc = crc32(&bytes[..SLOT_USED]);
    bytes[SLOT_USED..].copy_from_slice(&crc.to_le_bytes());
    (SLOTS[(saves % 2) as usize], bytes)
}

fn parse_slot(bytes: &[u8]) -> Option<(u64, PositionBytes)> {
    let (used, crc) = (bytes.get(..SLOT_USED)?, bytes.get(SLOT_USED..SLOT_USED + 4)?);
    let mut fields = Cursor(used);
    // Zeros have a checksum that is not zero.
    (crc == crc32(used).to_le_bytes()).then(|| (fields.u64(), fields.take()))
}

impl Letter {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.lsn.to_le_bytes());
        bytes.extend_from_slice(&self.part.to_le_bytes());
        bytes.extend_from_slice(&self.attempts.to_le_bytes());
        bytes.extend_from_slice(&self.time_us.to_le_bytes());
        bytes.push(u8::from(self.is_due));
        for text in [&self.key, &self.error] {
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
}

/// What is left to be read.
struct Body<'b>(&'b [u8]);

impl Body<'_> {
    fn table(mut self, cursor: PositionBytes, saves: u64) -> Option<ConsumerTable> {
        let table = ConsumerTable {
            cursor,
            saves,
            is_paused: self.flag()?,
            skipped_count: u64::from_le_bytes(self.take()?),
            parked: self.letters()?,
            skipped: self.letters()?,
        };
        self.0.is_empty().then_some(table)
    }

    fn letters(&mut self) -> Option<Vec<Letter>> {
        let count = u32::from_le_bytes(self.take()?);
        (0..count).map(|_| self.letter()).collect()
    }

    fn letter(&mut self) -> Option<Letter> {
        Some(Letter {
            lsn: u64::from_le_bytes(self.take()?),
            part: u32::from_le_bytes(self.take()?),
            attempts: u32::from_le_bytes(self.take()?),
            time_us: i64::from_le_bytes(self.take()?),
            is_due: self.flag()?,
            key: self.text()?,
            error: self.text()?,
        })
    }

    fn flag(&mut self) -> Option<bool> {
        match self.take()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let len = u32::from_le_bytes(self.take()?) as usize;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(lsn: u64) -> Letter {
        Letter {
            lsn,
            part: 1,
            attempts: 5,
            time_us: -7,
            is_due: lsn.is_multiple_of(2),
            key: format!("key {lsn}"),
            error: "ä".repeat(lsn as usize),
        }
    }

    fn table() -> ConsumerTable {
        ConsumerTable {
            cursor: [7; 56],
            saves: 0,
            is_paused: true,
            parked: vec![letter(1), letter(2)],
            skipped: vec![letter(3)],
            skipped_count: 4,
        }
    }

    fn save(bytes: &mut [u8], saves: u64) {
        let (at, slot) = cursor_slot(saves, &[saves as u8; 56]);
        bytes[at as usize..][..slot.len()].copy_from_slice(&slot);
    }

    #[test]
    fn a_table_round_trips_and_cursors_are_saved_in_turn() {
        let mut bytes = table().encode();
        assert_eq!(ConsumerTable::decode(&bytes), Ok(table()));
        for saves in 1..10 {
            save(&mut bytes, saves);
            let saved = ConsumerTable::decode(&bytes).unwrap();
            assert_eq!((saved.saves, saved.cursor), (saves, [saves as u8; 56]));
            // The one that is written now may be lost; the one before it is there.
            let mut torn = bytes.clone();
            torn[SLOTS[(saves % 2) as usize] as usize + 9] ^= 1;
            let before = ConsumerTable::decode(&torn).unwrap();
            assert_eq!(before.saves, saves - 1);
        }
    }

    #[test]
    fn no_bytes_are_more_than_damage() {
        let whole = table().encode();
        for len in 0..whole.len() {
            assert!(ConsumerTable::decode(&whole[..len]).is_err(), "{len} bytes");
        }
        // Lengths and counts that lead beyond the end, with checksums that are right.
        for at in BODY..whole.len() {
            let mut changed = whole.clone();
            changed[at] = 0xff;
            let crc = crc32(&changed[BODY..]).to_le_bytes();
            changed[24..28].copy_from_slice(&crc);
            let crc = crc32(&changed[..HEADER_USED]).to_le_bytes();
            changed[HEADER_USED..HEADER_USED + 4].copy_from_slice(&crc);
            if let Err(fault) = ConsumerTable::decode(&changed) {
                assert!(matches!(fault, ConsumerFault::Damaged { offset, .. } if offset == BODY as u64));
            }
        }
    }

    #[test]
    fn names_of_files_are_read_back() {
        assert_eq!(name_and_number(&file_name("mailer-2", 7)), Some(("mailer-2", 7)));
        for other in [
            "mailer.7.consumer",
            "mailer.consumer",
            "mailer.00000000000000000007.consumer.new",
            "Mailer.00000000000000000007.consumer",
        ] {
            assert_eq!(name_and_number(other), None, "{other}");
        }
    }
}
