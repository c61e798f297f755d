//! Checksums that are bound to a place, so that bytes which are right elsewhere are wrong here.

use crc32fast::Hasher;

use crate::sync::LazyLock;

/// Finding out which instructions the processor has costs as much as the checksum of a short record; it is done once.
static HASHER: LazyLock<Hasher> = LazyLock::new(Hasher::new);

#[inline]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut hasher = HASHER.clone();
    hasher.update(bytes);
    hasher.finalize()
}

/// Identifies a log for life; 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LogId(pub(crate) [u8; 16]);

impl LogId {
    /// The CRC-32 of the id followed by `parts`: a block that carries it validates in this log only.
    pub(crate) fn crc(self, parts: &[&[u8]]) -> u32 {
        let mut hasher = HASHER.clone();
        hasher.update(&self.0);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const MIX_1: u64 = 0xff51_afd7_ed55_8ccd;
const MIX_2: u64 = 0xc4ce_b9fe_1a85_ec53;

fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(MIX_1);
    x ^= x >> 33;
    x = x.wrapping_mul(MIX_2);
    x ^ (x >> 33)
}

/// What the frames of one epoch of one log are bound to, apart from their position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameKey(u64);

impl FrameKey {
    pub(crate) fn new(log: LogId, epoch: u32) -> Self {
        let [a, b] = [&log.0[..8], &log.0[8..]].map(|half| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(half);
            u64::from_le_bytes(bytes)
        });
        FrameKey(mix(mix(mix(a).wrapping_add(b)).wrapping_add(u64::from(epoch))))
    }

    pub(crate) fn from_raw(raw: u64) -> Self {
        FrameKey(raw)
    }

    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    /// The 32 bits that a frame's payload checksum is combined with. Exclusive or with a constant keeps every
    /// error that CRC-32 finds in the payload; another place, epoch, log, length or kind changes the constant.
    #[inline]
    pub(crate) fn place(self, pos: u64, len_and_kind: u32) -> u32 {
        let product = u128::from(self.0 ^ pos) * u128::from(MIX_1 ^ u64::from(len_and_kind) << 16);
        let folded = (product >> 64) as u64 ^ product as u64;
        (folded >> 32) as u32 ^ folded as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_place_counts() {
        let here = FrameKey::new(LogId([7; 16]), 1).place(64, 5);
        assert_ne!(here, FrameKey::new(LogId([7; 16]), 1).place(72, 5));
        assert_ne!(here, FrameKey::new(LogId([7; 16]), 1).place(64, 6));
        assert_ne!(here, FrameKey::new(LogId([7; 16]), 2).place(64, 5));
        assert_ne!(here, FrameKey::new(LogId([8; 16]), 1).place(64, 5));
    }

    #[test]
    fn an_epoch_is_not_a_shift_of_positions() {
        let key = |epoch| FrameKey::new(LogId([7; 16]), epoch);
        let many = if cfg!(miri) { 10 } else { 200 };
        let same = (1..many)
            .flat_map(|epoch| (0..u64::from(many)).map(move |step| (epoch, step * 8)))
            .filter(|&(epoch, pos)| {
                (1..9).any(|d| {
                    key(epoch).place(pos, 5) == key(epoch + d * 8).place(pos ^ (u64::from(d) * 8), 5)
                })
            });
        assert_eq!(same.count(), 0);
    }
}
