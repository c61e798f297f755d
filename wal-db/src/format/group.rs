//! A group: what one flush writes. See `docs/format.md`, "Groups".

use super::{Cursor, SECTOR, align_sector, checksum::LogId};

/// The header; it never straddles a sector because a group starts on one.
pub(crate) const GROUP_HEADER_LEN: usize = 64;

/// Bytes 4 to 8 of a group. The top four bits are a kind that no frame has.
const MAGIC: u32 = 0xf150_4f47;

/// A distance that its field cannot hold; read as "unknown", which claims less than the truth and never more.
const TOO_FAR: u32 = u32::MAX;

const ZERO_MASK: u32 = (1 << 24) - 1;

/// The group says: everything before me is durable, and nothing is in me.
pub(crate) const FLAG_SEAL: u8 = 1;
/// Schema records are among its records.
pub(crate) const FLAG_SCHEMAS: u8 = 2;

/// The header of a group. Positions are bytes of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct GroupHeader {
    /// Where the header starts; a multiple of 512.
    pub(crate) pos: u64,
    /// Header and frames, without the padding to the next sector.
    pub(crate) len: u32,
    /// Records in the group; voids do not count.
    pub(crate) count: u32,
    /// How many records came before the group.
    pub(crate) ordinal: u64,
    pub(crate) epoch: u32,
    /// The [`digest`](Self::digest) of the group before this one.
    pub(crate) prev_digest: u32,
    /// Everything before this position was on stable storage when the header was built.
    pub(crate) durable: u64,
    /// Where the group before this one starts; its own position if there is none.
    pub(crate) prev: u64,
    /// CRC-32 of the bytes after the header.
    pub(crate) payload_digest: u32,
    /// Sectors of the group that are zero although they arrived.
    pub(crate) zero_sectors: u32,
    pub(crate) flags: u8,
    /// Microseconds since 1970 on the writer's clock. For seeking by time, never for order.
    pub(crate) time_us: u64,
    /// The checksum field as it was read; `None` for a header that was built here. Two headers that say the same need
    /// not have the same bytes: a distance can be left unknown.
    pub(crate) read: Option<u32>,
}

/// Why bytes are no header of a group at the given place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// No byte was ever written here.
    Zero,
    /// Not enough bytes are left.
    Short,
    /// Something else, or a damaged header, or the header of another place or log.
    Invalid,
}

impl GroupHeader {
    /// Where the group's last byte of content ends.
    pub(crate) fn end(&self) -> u64 {
        self.pos + u64::from(self.len)
    }

    pub(crate) fn next(&self) -> u64 {
        align_sector(self.end())
    }

    /// What the next header repeats: the checksum field, which covers all of it, the payload digest included.
    pub(crate) fn digest(&self, log: LogId) -> u32 {
        match self.read {
            Some(read) => read,
            _ => self.checksum(&self.body(), log),
        }
    }

    pub(crate) fn leads_to(&self, next: &GroupHeader, log: LogId) -> bool {
        next.prev_digest == self.digest(log)
    }

    pub(crate) fn encode(&self, log: LogId) -> [u8; GROUP_HEADER_LEN] {
        let body = self.body();
        let mut bytes = [0; GROUP_HEADER_LEN];
        bytes[..4].copy_from_slice(&self.checksum(&body, log).to_le_bytes());
        bytes[4..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..].copy_from_slice(&body);
        bytes
    }

    /// Reads the header at `pos`. Only a header that was written for this place of this log is one.
    pub(crate) fn decode(bytes: &[u8], pos: u64, log: LogId) -> Result<Self, HeaderFault> {
        let Some(bytes) = bytes.first_chunk::<GROUP_HEADER_LEN>() else {
            return Err(HeaderFault::Short);
        };
        let mut fields = Cursor(bytes);
        let (crc, magic) = (fields.u32(), fields.u32());
        if magic != MAGIC {
            return Err(if bytes == &[0; GROUP_HEADER_LEN] {
                HeaderFault::Zero
            } else {
                HeaderFault::Invalid
            });
        }
        let stored_pos = fields.u64();
        let (len, count, ordinal, epoch, prev_digest) = (
            fields.u32(),
            fields.u32(),
            fields.u64(),
            fields.u32(),
            fields.u32(),
        );
        let (durable_back, prev_back) = (fields.u32(), fields.u32());
        let (payload_digest, zero_and_flags, time_us) = (fields.u32(), fields.u32(), fields.u64());
        let header = GroupHeader {
            pos,
            len,
            count,
            ordinal,
            epoch,
            prev_digest,
            durable: sectors_before(pos, durable_back).unwrap_or(0),
            prev: sectors_before(pos, prev_back).unwrap_or(pos),
            payload_digest,
            zero_sectors: zero_and_flags & ZERO_MASK,
            flags: (zero_and_flags >> 24) as u8,
            time_us,
            read: Some(crc),
        };
        let intact = stored_pos == pos
            && pos.is_multiple_of(SECTOR)
            && crc == header.checksum(&bytes[8..], log)
            && len as usize >= GROUP_HEADER_LEN
            && len.is_multiple_of(8)
            // A record takes more than one byte.
            && ordinal <= pos
            && count <= len;
        if intact {
            Ok(header)
        } else {
            Err(HeaderFault::Invalid)
        }
    }

    fn checksum(&self, body: &[u8], log: LogId) -> u32 {
        let pos = self.pos;
        log.crc(&[&pos.to_le_bytes(), body])
    }

    fn body(&self) -> [u8; GROUP_HEADER_LEN - 8] {
        let sectors_back =
            |pos: u64| u32::try_from((self.pos - pos.min(self.pos)).div_ceil(SECTOR)).unwrap_or(TOO_FAR);
        let mut bytes = [0; GROUP_HEADER_LEN - 8];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&self.pos.to_le_bytes());
        put(&self.len.to_le_bytes());
        put(&self.count.to_le_bytes());
        put(&self.ordinal.to_le_bytes());
        put(&self.epoch.to_le_bytes());
        put(&self.prev_digest.to_le_bytes());
        let durable = self.durable;
        put(&sectors_back(durable).to_le_bytes());
        put(&sectors_back(self.prev).to_le_bytes());
        put(&self.payload_digest.to_le_bytes());
        put(&(self.zero_sectors.min(ZERO_MASK) | u32::from(self.flags) << 24).to_le_bytes());
        put(&self.time_us.to_le_bytes());
        bytes
    }
}

fn sectors_before(pos: u64, sectors: u32) -> Option<u64> {
    (sectors != TOO_FAR).then(|| pos.saturating_sub(u64::from(sectors) * SECTOR))
}

/// Whether the first eight bytes of a sector can be a group's; a cheap test before [`GroupHeader::decode`].
#[inline]
pub(crate) fn may_be_header(sector: &[u8]) -> bool {
    sector.get(4..8).is_some_and(|bytes| bytes == MAGIC.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: LogId = LogId([5; 16]);

    fn any_header() -> impl Strategy<Value = GroupHeader> {
        (
            (
                0u64..1 << 30,
                0u32..1 << 20,
                any::<u32>(),
                any::<u64>(),
                any::<u32>(),
                any::<u32>(),
            ),
            (
                0u64..1 << 20,
                0u64..1 << 20,
                any::<u32>(),
                0u32..1 << 24,
                any::<u8>(),
                any::<u64>(),
            ),
        )
            .prop_map(|((sector, len, count, ordinal, epoch, prev_digest), rest)| {
                let (durable_back, prev_back, payload_digest, zero_sectors, flags, time_us) = rest;
                let pos = sector * SECTOR;
                GroupHeader {
                    pos,
                    len: 64 + len * 8,
                    count: count % (64 + len * 8),
                    ordinal: ordinal % (pos + 1),
                    epoch,
                    prev_digest,
                    durable: pos.saturating_sub(durable_back * SECTOR),
                    prev: pos.saturating_sub(prev_back * SECTOR),
                    payload_digest,
                    zero_sectors,
                    flags,
                    time_us,
                    read: None,
                }
            })
    }

    proptest! {
        #[test]
        fn round_trip(header in any_header()) {
            let read = GroupHeader { read: Some(header.digest(LOG)), ..header };
            prop_assert_eq!(GroupHeader::decode(&header.encode(LOG), header.pos, LOG), Ok(read));
        }

        #[test]
        fn the_chain_is_the_checksum_as_read(header in any_header(), durable: bool, prev: bool) {
            let mut bytes = header.encode(LOG);
            for (unknown, at) in [(durable, 40), (prev, 44)] {
                if unknown {
                    bytes[at..at + 4].copy_from_slice(&TOO_FAR.to_le_bytes());
                }
            }
            let crc = header.checksum(&bytes[8..], LOG);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            let read = GroupHeader::decode(&bytes, header.pos, LOG);
            prop_assert_eq!(read.map(|read| read.digest(LOG)), Ok(crc));
        }

        #[test]
        fn valid_at_its_own_place_in_its_own_log_only(header in any_header()) {
            let bytes = header.encode(LOG);
            prop_assert_eq!(
                GroupHeader::decode(&bytes, header.pos + SECTOR, LOG), Err(HeaderFault::Invalid));
            prop_assert_eq!(
                GroupHeader::decode(&bytes, header.pos, LogId([6; 16])), Err(HeaderFault::Invalid));
        }

        #[test]
        fn every_flipped_bit_is_found(header in any_header(), bit in 0usize..512) {
            let mut bytes = header.encode(LOG);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(GroupHeader::decode(&bytes, header.pos, LOG), Err(HeaderFault::Invalid));
        }

        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes: Vec<u8>, pos: u64) {
            prop_assert!(GroupHeader::decode(&bytes, pos, LOG).is_err());
        }
    }

    #[test]
    fn more_records_than_bytes_are_no_header() {
        for (ordinal, count, expected) in [
            (512, 64, true),
            (513, 64, false),
            (u64::MAX, 0, false),
            (0, 65, false),
        ] {
            let header = GroupHeader {
                pos: 512,
                len: 64,
                ordinal,
                count,
                ..GroupHeader::default()
            };
            let decoded = GroupHeader::decode(&header.encode(LOG), 512, LOG);
            assert_eq!(decoded.is_ok(), expected, "{ordinal}, {count}");
        }
    }

    #[test]
    fn a_sector_that_was_never_written_is_told_apart() {
        assert_eq!(GroupHeader::decode(&[0; 512], 512, LOG), Err(HeaderFault::Zero));
        assert_eq!(GroupHeader::decode(&[0; 63], 512, LOG), Err(HeaderFault::Short));
    }

    #[test]
    fn a_durable_mark_too_far_back_claims_less_and_never_more() {
        let pos = 1 << 50;
        let header = GroupHeader {
            pos,
            len: 64,
            durable: 512,
            prev: pos,
            ..GroupHeader::default()
        };
        let read = GroupHeader::decode(&header.encode(LOG), pos, LOG).unwrap();
        assert_eq!((read.durable, read.prev), (0, pos));
    }
}
