//! The header of a segment file. See `docs/format.md`, "Segments".

use super::{Cursor, FORMAT_VERSION, checksum::LogId};

/// Where the stream's bytes start in a segment file.
pub(crate) const SEGMENT_HEADER_LEN: u64 = 4096;

/// The bytes of the header that are used.
pub(crate) const SEGMENT_HEADER_USED: usize = 52;

const MAGIC: [u8; 8] = *b"WALDBSEG";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) log: LogId,
    /// The segment holds the stream from `index * segment_len`.
    pub(crate) index: u64,
    /// Bytes of the stream in a full segment; 0 for the one unbounded segment of a single-file log.
    pub(crate) segment_len: u64,
}

/// Why bytes are not the header of a segment of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentFault {
    /// Nothing that this crate wrote.
    Foreign,
    /// A format version that this code does not know.
    Version(u32),
    /// Recognised, but its checksum is wrong.
    Damaged,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_USED] {
        let mut bytes = [0; SEGMENT_HEADER_USED];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.log.0);
        bytes[32..40].copy_from_slice(&self.index.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.segment_len.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..48]);
        bytes[48..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SegmentFault> {
        let Some(bytes) = bytes.first_chunk::<SEGMENT_HEADER_USED>() else {
            return Err(SegmentFault::Foreign);
        };
        let mut fields = Cursor(bytes);
        if fields.take::<8>() != MAGIC {
            return Err(SegmentFault::Foreign);
        }
        let version = fields.u32();
        let _reserved = fields.u32();
        let header = SegmentHeader {
            log: LogId(fields.take()),
            index: fields.u64(),
            segment_len: fields.u64(),
        };
        let intact = fields.u32() == crc32fast::hash(&bytes[..48]);
        match (version, intact) {
            (FORMAT_VERSION, true) => Ok(header),
            (_, true) => Err(SegmentFault::Version(version)),
            (_, false) => Err(SegmentFault::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_flipped_bit() {
        let header = SegmentHeader {
            log: LogId([1; 16]),
            index: 3,
            segment_len: 1 << 26,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut bytes = SegmentHeader {
            log: LogId([1; 16]),
            index: 0,
            segment_len: 0,
        }
        .encode();
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..48]);
        bytes[48..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(SegmentFault::Version(2)));
        assert_eq!(SegmentHeader::decode(b"hello"), Err(SegmentFault::Foreign));
    }
}
