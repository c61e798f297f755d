//! Bytes to values and back. Nothing here opens a file.
//!
//! `docs/format.md` is the normative description; the code links to it and does not restate it.

pub(crate) mod checksum;
pub(crate) mod consumer;
pub(crate) mod envelope;
#[cfg(test)]
mod example;
pub(crate) mod frame;
pub(crate) mod group;
#[cfg(feature = "seal")]
pub(crate) mod keyring;
pub(crate) mod manifest;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod segment;
pub(crate) mod snapshot;
pub(crate) mod staging;
pub(crate) mod table;
pub(crate) mod timeline;

pub(crate) use checksum::{FrameKey, LogId, crc32};
pub(crate) use frame::{
    FRAME_HEADER_LEN, FrameAt, FrameWord, Kind, MAX_PAYLOAD, frame_len, frames_are_intact,
};
pub(crate) use group::{GROUP_HEADER_LEN, GroupHeader, HeaderFault};
pub(crate) use manifest::{Manifest, Mark, SLOT_LEN};
pub(crate) use segment::SEGMENT_HEADER_LEN;

/// What the format assumes that a disk writes whole or not at all.
pub(crate) const SECTOR: u64 = 512;

/// The version that this code writes; it reads this one and none above it.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The position of the first sector that starts at or after `pos`.
#[inline]
pub(crate) const fn align_sector(pos: u64) -> u64 {
    pos.saturating_add(SECTOR - 1) & !(SECTOR - 1)
}

/// How many 512-byte sectors of `bytes`, which starts on one, are all zero. A short last sector counts as if
/// zeros followed it.
pub(crate) fn zero_sectors(bytes: &[u8]) -> u32 {
    let zero = bytes
        .chunks(SECTOR as usize)
        .filter(|sector| is_zero(sector))
        .count();
    u32::try_from(zero).unwrap_or(u32::MAX)
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Whole chunks are compared without a branch per byte; this runs over every group that is written.
    let mut chunks = bytes.chunks_exact(64);
    chunks.all(|chunk| chunk.iter().fold(0, |acc, byte| acc | byte) == 0)
        && bytes[bytes.len() / 64 * 64..].iter().all(|&byte| byte == 0)
}

/// Reads little-endian fields one after the other. Callers check the length first.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl Cursor<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *head
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_round_up() {
        assert_eq!(align_sector(0), 0);
        assert_eq!(align_sector(1), 512);
        assert_eq!(align_sector(512), 512);
        assert_eq!(align_sector(513), 1024);
    }

    #[test]
    fn zero_sectors_counts_whole_and_short_sectors() {
        let mut bytes = vec![0u8; 512 * 3 + 10];
        assert_eq!(zero_sectors(&bytes), 4);
        bytes[512 + 511] = 1;
        assert_eq!(zero_sectors(&bytes), 3);
        bytes[512 * 3 + 9] = 1;
        assert_eq!(zero_sectors(&bytes), 2);
        assert_eq!(zero_sectors(&[]), 0);
    }
}
