//! Snapshots of a state, each in a file of its own. See `docs/format.md`, "Snapshots".

use std::io::{self, Read};

use super::{Cursor, crc32, is_zero};

pub(crate) const MAGIC: [u8; 8] = *b"WALDBSNP";
const VERSION: u32 = 1;

/// Up to the name.
const FIXED_LEN: usize = 128;

/// More than any shape that is written has.
pub(crate) const MAX_SCHEMA_LEN: usize = 16 << 20;

/// The payload is in chunks of this size; the last one is shorter.
const CHUNK_LEN: usize = 1 << 20;

/// Each bit is something that a reader has to know.
const NO_FEATURES: u32 = 0;

/// Stands for the last event of a state that has none.
const NO_EVENT: u64 = u64::MAX;

/// Stands for the time of a state that knows none.
const NO_TIME: i64 = i64::MIN;

/// Whether a file that begins with these bytes can be a snapshot, or one that was being made.
pub(crate) fn may_be_one(start: &[u8]) -> bool {
    MAGIC.starts_with(start) || is_zero(start)
}

const LONGEST_NAME: usize = 64;
const END: &str = ".snap";

/// Whether a state may have this name: it becomes that of a file.
pub(crate) fn is_name(name: &str) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_part)
}

/// The name of a state and the number in the name of a file; `None` if it is not that of a snapshot.
pub(crate) fn name_and_next(file: &str) -> Option<(&str, u64)> {
    let (name, digits) = file.strip_suffix(END)?.rsplit_once('.')?;
    let next = digits.parse().ok()?;
    (is_name(name) && file == file_name(name, next)).then_some((name, next))
}

pub(crate) fn file_name(name: &str, next: u64) -> String {
    format!("{name}.{next:020}{END}")
}

/// What is said of a state before it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    /// What `apply` meant when it was made.
    pub(crate) revision: u32,
    /// The bytes of a position: what was read of the log ends there.
    pub(crate) position: [u8; 56],
    /// Every event that is not in it has this LSN or a later one.
    pub(crate) next: u64,
    /// The LSN of the last event.
    pub(crate) last: Option<u64>,
    pub(crate) events: u64,
    pub(crate) time_us: Option<i64>,
    /// How long the payload is.
    pub(crate) len: u64,
    pub(crate) name: String,
    /// A schema record, or nothing.
    pub(crate) schema: Vec<u8>,
}

/// Why a file is no snapshot that can be read.
#[derive(Debug)]
pub(crate) enum SnapshotFault {
    Io(io::Error),
    Damaged { offset: u64, what: &'static str },
    Version { version: u32, features: u32 },
}

impl SnapshotHeader {
    /// The bytes, and the checksum at their end.
    fn encoded(&self) -> (u32, Vec<u8>) {
        let mut bytes = Vec::with_capacity(FIXED_LEN + self.name.len() + self.schema.len() + 4);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&NO_FEATURES.to_le_bytes());
        bytes.extend_from_slice(&self.position);
        bytes.extend_from_slice(&self.next.to_le_bytes());
        bytes.extend_from_slice(&self.last.unwrap_or(NO_EVENT).to_le_bytes());
        bytes.extend_from_slice(&self.events.to_le_bytes());
        bytes.extend_from_slice(&self.time_us.unwrap_or(NO_TIME).to_le_bytes());
        bytes.extend_from_slice(&(self.name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.schema.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.len.to_le_bytes());
        bytes.extend_from_slice(&self.revision.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.extend_from_slice(&self.schema);
        let crc = crc32(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        (crc, bytes)
    }
}

/// The checksum of a chunk, which belongs to one place in one file.
fn chunk_crc(header: u32, index: u64, chunk: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header.to_le_bytes());
    hasher.update(&index.to_le_bytes());
    hasher.update(chunk);
    hasher.finalize()
}

/// The bytes of a snapshot, as a file is written.
pub(crate) struct SnapshotBytes<'s, F> {
    header_crc: u32,
    /// Header or checksum that comes next.
    small: Vec<u8>,
    small_at: usize,
    chunk: &'s [u8],
    rest: &'s [u8],
    index: u64,
    /// Asked whether to go on, at the beginning, before each chunk and at the end.
    check: F,
}

impl<'s, F: FnMut() -> io::Result<()>> SnapshotBytes<'s, F> {
    /// Of `payload`; its length is put into the header.
    pub(crate) fn new(mut header: SnapshotHeader, payload: &'s [u8], check: F) -> Self {
        header.len = payload.len() as u64;
        let (header_crc, small) = header.encoded();
        SnapshotBytes {
            header_crc,
            small,
            small_at: 0,
            chunk: &[],
            rest: payload,
            index: 0,
            check,
        }
    }
}

impl<F: FnMut() -> io::Result<()>> Read for SnapshotBytes<'_, F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.small_at == 0 {
            (self.check)()?;
        }
        loop {
            let small = &self.small[self.small_at..];
            if !small.is_empty() {
                let len = small.len().min(buf.len());
                buf[..len].copy_from_slice(&small[..len]);
                self.small_at += len;
                return Ok(len);
            }
            if !self.chunk.is_empty() {
                return self.chunk.read(buf);
            }
            if self.rest.is_empty() {
                return (self.check)().map(|()| 0);
            }
            (self.chunk, self.rest) = self.rest.split_at(self.rest.len().min(CHUNK_LEN));
            let crc = chunk_crc(self.header_crc, self.index, self.chunk);
            self.small = crc.to_le_bytes().to_vec();
            self.small_at = 0;
            self.index += 1;
        }
    }
}

/// A snapshot that is being read.
pub(crate) struct SnapshotReader<'r> {
    file: &'r mut dyn Read,
    at: u64,
    header_crc: u32,
}

impl<'r> SnapshotReader<'r> {
    /// Reads the header.
    pub(crate) fn new(file: &'r mut dyn Read) -> Result<(SnapshotHeader, Self), SnapshotFault> {
        let mut reader = SnapshotReader {
            file,
            at: 0,
            header_crc: 0,
        };
        let mut bytes = reader.take(MAGIC.len() as u64)?;
        if bytes != MAGIC {
            return Err(reader.damaged(0, "it does not begin as a snapshot"));
        }
        bytes.append(&mut reader.take((FIXED_LEN - MAGIC.len()) as u64)?);
        let mut fields = Cursor(&bytes[MAGIC.len()..]);
        let (version, features) = (fields.u32(), fields.u32());
        let position = fields.take();
        let (next, last) = (fields.u64(), fields.u64());
        let (events, time_us) = (fields.u64(), fields.u64() as i64);
        let (name_len, schema_len) = (fields.u32(), fields.u32());
        let (len, revision) = (fields.u64(), fields.u32());
        if name_len as usize > LONGEST_NAME || schema_len as usize > MAX_SCHEMA_LEN {
            return Err(reader.damaged(0, "its header was changed"));
        }
        let name = reader.take(name_len.into())?;
        let schema = reader.take(schema_len.into())?;
        bytes.extend_from_slice(&name);
        bytes.extend_from_slice(&schema);
        reader.header_crc = crc32(&bytes);
        if reader.take(4)? != reader.header_crc.to_le_bytes() {
            return Err(reader.damaged(0, "its header was changed"));
        }
        // A later version has the lengths and the checksum in the same places.
        if version != VERSION || features != NO_FEATURES {
            return Err(SnapshotFault::Version { version, features });
        }
        let header = SnapshotHeader {
            revision,
            position,
            next,
            last: (last != NO_EVENT).then_some(last),
            events,
            time_us: (time_us != NO_TIME).then_some(time_us),
            len,
            name: String::from_utf8(name).map_err(|_| reader.damaged(0, "its name is no text"))?,
            schema,
        };
        Ok((header, reader))
    }

    /// Reads the payload, and hands it out chunk by chunk.
    pub(crate) fn payload(
        mut self,
        header: &SnapshotHeader,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), SnapshotFault> {
        let (mut left, mut index) = (header.len, 0);
        while left > 0 {
            let start = self.at;
            let crc = self.take(4)?;
            let chunk = self.take(left.min(CHUNK_LEN as u64))?;
            if crc != chunk_crc(self.header_crc, index, &chunk).to_le_bytes() {
                return Err(self.damaged(start, "a chunk was changed"));
            }
            each(&chunk).map_err(SnapshotFault::Io)?;
            left -= chunk.len() as u64;
            index += 1;
        }
        let mut after = [0];
        match self.file.read(&mut after) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged(self.at, "something follows its end")),
            Err(error) => Err(SnapshotFault::Io(error)),
        }
    }

    /// No more memory is taken than there are bytes.
    fn take(&mut self, len: u64) -> Result<Vec<u8>, SnapshotFault> {
        let mut bytes = Vec::new();
        let read = (&mut *self.file).take(len).read_to_end(&mut bytes);
        let read = read.map_err(SnapshotFault::Io)? as u64;
        self.at += read;
        match read < len {
            true => Err(self.damaged(self.at, "it ends there")),
            false => Ok(bytes),
        }
    }

    fn damaged(&self, offset: u64, what: &'static str) -> SnapshotFault {
        SnapshotFault::Damaged { offset, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SnapshotHeader {
        SnapshotHeader {
            revision: 3,
            position: [7; 56],
            next: 100,
            last: Some(99),
            events: 1 << 40,
            time_us: Some(-5),
            len: 0,
            name: "accounts".to_owned(),
            schema: b"a schema".to_vec(),
        }
    }

    fn written(header: SnapshotHeader, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = SnapshotBytes::new(header, payload, || Ok(())).read_to_end(&mut bytes);
        assert_eq!(read.expect("it is in memory"), bytes.len());
        bytes
    }

    fn read(mut bytes: &[u8]) -> Result<(SnapshotHeader, Vec<u8>), SnapshotFault> {
        let (header, reader) = SnapshotReader::new(&mut bytes)?;
        let mut payload = Vec::new();
        reader.payload(&header, |chunk| {
            payload.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok((header, payload))
    }

    #[test]
    fn a_snapshot_is_what_was_written() {
        for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN + 7] {
            let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let expected = SnapshotHeader {
                len: len as u64,
                ..header()
            };
            let (found, state) = read(&written(header(), &payload)).expect("it was written");
            assert_eq!((found, state), (expected, payload), "{len}");
        }
        let none = SnapshotHeader {
            last: None,
            time_us: None,
            schema: Vec::new(),
            name: String::new(),
            ..header()
        };
        assert_eq!(read(&written(none.clone(), &[])).expect("it was written").0, none);
    }

    #[test]
    fn no_change_of_a_byte_and_no_cut_passes() {
        let bytes = written(header(), b"a state of some bytes");
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(read(&changed).is_err(), "bit {bit} of byte {at}");
            }
        }
        assert!(read(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn chunks_have_their_place_in_their_file() {
        let payload = [vec![1; CHUNK_LEN], vec![2; CHUNK_LEN]].concat();
        let bytes = written(header(), &payload);
        let start = bytes.len() - 2 * (CHUNK_LEN + 4);
        let (one, two) = bytes[start..].split_at(CHUNK_LEN + 4);
        assert!(read(&[&bytes[..start], two, one].concat()).is_err(), "swapped");
        let other = SnapshotHeader {
            events: 5,
            ..header()
        };
        let other = written(other, &payload);
        assert!(
            read(&[&other[..start], &bytes[start..]].concat()).is_err(),
            "of another file"
        );
    }

    #[test]
    fn a_length_that_is_not_there_takes_no_memory() {
        let claims = SnapshotHeader {
            len: u64::MAX,
            ..header()
        };
        let (_, bytes) = claims.encoded();
        let fault = read(&bytes).expect_err("it is not there");
        assert!(matches!(fault, SnapshotFault::Damaged { offset, .. } if offset == bytes.len() as u64));
    }

    #[test]
    fn the_name_of_a_file_has_that_of_the_state_and_the_lsn() {
        let file = file_name("bank-2", 77);
        assert_eq!(file, "bank-2.00000000000000000077.snap");
        assert_eq!(name_and_next(&file), Some(("bank-2", 77)));
        for other in [
            "bank.77.snap",
            "bank.snap",
            ".00000000000000000077.snap",
            "Bank.00000000000000000077.snap",
            "bank.00000000000000000077.snap.new",
        ] {
            assert_eq!(name_and_next(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_those_of_files_everywhere() {
        for name in ["a", "order_book-7", &"x".repeat(64)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "A", "a.b", "a/b", "ä", " ", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
