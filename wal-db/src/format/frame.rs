//! A frame: one record, or a void, at its place in the stream. See `docs/format.md`, "Frames".

use super::{
    Fields,
    checksum::{FrameKey, LogId, crc32},
};

/// Bytes before the payload.
pub(crate) const FRAME_HEADER_LEN: usize = 8;

/// The longest payload that the length field holds.
pub(crate) const MAX_PAYLOAD: u32 = LEN_MASK;

const KIND_SHIFT: u32 = 28;
const LEN_MASK: u32 = (1 << KIND_SHIFT) - 1;
const MORE: u32 = 8;

/// The whole length of a frame: header, payload, padding to eight bytes.
#[inline]
pub(crate) const fn frame_len(payload_len: usize) -> u64 {
    (FRAME_HEADER_LEN + payload_len.next_multiple_of(8)) as u64
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub(crate) enum Kind {
    #[default]
    Data = 1,
    Typed = 2,
    Schema = 3,
    /// Space that was claimed and given up; its payload means nothing.
    Void = 4,
    /// Only ever in staging memory: claimed, not yet published.
    Claimed = 6,
}

impl Kind {
    /// Whether it counts as a record; schemas and voids do not.
    #[inline]
    pub(crate) fn is_record(self) -> bool {
        matches!(self, Kind::Data | Kind::Typed)
    }

    fn from_bits(bits: u32) -> Option<Self> {
        Some(match bits {
            1 => Kind::Data,
            2 => Kind::Typed,
            3 => Kind::Schema,
            4 => Kind::Void,
            6 => Kind::Claimed,
            _ => return None,
        })
    }
}

/// The first eight bytes of a frame as one number: the checksum in the low half, length and kind in the high
/// half. Never zero, so a zero word means that nothing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FrameWord {
    pub(crate) crc: u32,
    pub(crate) len: u32,
    pub(crate) kind: Kind,
    /// The next frame belongs to the same batch.
    pub(crate) more: bool,
}

impl FrameWord {
    /// The word of a frame whose payload has the checksum `payload_crc`. `len` is at most [`MAX_PAYLOAD`].
    #[inline]
    pub(crate) fn seal(key: FrameKey, pos: u64, kind: Kind, more: bool, len: u32, payload_crc: u32) -> u64 {
        let high = high_half(kind, more, len);
        u64::from(high) << 32 | u64::from(payload_crc ^ key.place(pos, high))
    }

    /// The word of a void that covers `frame_len` bytes. Its checksum leaves the payload out.
    pub(crate) fn void(key: FrameKey, pos: u64, frame_len: u64) -> u64 {
        let len = (frame_len - FRAME_HEADER_LEN as u64) as u32;
        FrameWord::seal(key, pos, Kind::Void, false, len, 0)
    }

    /// The word that marks `claim_len` bytes of staging memory as taken.
    #[inline]
    pub(crate) fn claimed(claim_len: u64) -> u64 {
        u64::from(high_half(Kind::Claimed, false, claim_len as u32)) << 32
    }

    /// `None` if no frame starts with this word.
    #[inline]
    pub(crate) fn parse(word: u64) -> Option<Self> {
        let high = (word >> 32) as u32;
        let kind = Kind::from_bits(high >> KIND_SHIFT & !MORE)?;
        Some(FrameWord {
            crc: word as u32,
            len: high & LEN_MASK,
            kind,
            more: high >> KIND_SHIFT & MORE != 0,
        })
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        FrameWord::parse(Fields(bytes).u64())
    }

    /// How many bytes of the stream the frame takes.
    #[inline]
    pub(crate) fn frame_len(self) -> u64 {
        match self.kind {
            // A claim's length is that of the whole claim.
            Kind::Claimed => u64::from(self.len),
            _ => frame_len(self.len as usize),
        }
    }

    /// Whether this word, found at `pos`, belongs to `payload`.
    #[inline]
    pub(crate) fn matches(self, key: FrameKey, pos: u64, payload: &[u8]) -> bool {
        let payload_crc = match self.kind {
            Kind::Void => 0,
            Kind::Claimed => return false,
            _ => crc32(payload),
        };
        self.crc == payload_crc ^ key.place(pos, high_half(self.kind, self.more, self.len))
    }

    /// The first of `epochs` of a log in which this word, found at `pos`, belongs to `payload`. Not for voids.
    pub(crate) fn epoch_among(
        self,
        log: LogId,
        pos: u64,
        payload: &[u8],
        mut epochs: impl Iterator<Item = u32>,
    ) -> Option<u32> {
        let place = self.crc ^ crc32(payload);
        let high = high_half(self.kind, self.more, self.len);
        epochs.find(|&epoch| FrameKey::new(log, epoch).place(pos, high) == place)
    }
}

#[inline]
fn high_half(kind: Kind, more: bool, len: u32) -> u32 {
    let nibble = kind as u32 | if more { MORE } else { 0 };
    nibble << KIND_SHIFT | len & LEN_MASK
}

/// Whether `content`, which starts at `pos`, is a row of frames that are valid each by itself.
pub(crate) fn frames_are_intact(mut content: &[u8], mut pos: u64, key: FrameKey) -> bool {
    while !content.is_empty() {
        let Some(word) = FrameWord::read(content).filter(|word| word.frame_len() <= content.len() as u64)
        else {
            return false;
        };
        // The length of a claim is that of its frame and not of a payload.
        if word.kind == Kind::Claimed
            || !word.matches(key, pos, &content[FRAME_HEADER_LEN..][..word.len as usize])
        {
            return false;
        }
        pos += word.frame_len();
        content = &content[word.frame_len() as usize..];
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> FrameKey {
        FrameKey::new(LogId([3; 16]), 9)
    }

    proptest! {
        #[test]
        fn a_frame_is_valid_at_its_own_place_only(
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            place in 0u64..1 << 40,
            more: bool,
            typed: bool,
        ) {
            let pos = place * 8;
            let kind = if typed { Kind::Typed } else { Kind::Data };
            let crc = crc32(&payload);
            let word = FrameWord::seal(key(), pos, kind, more, payload.len() as u32, crc);
            let parsed = FrameWord::parse(word).unwrap();
            prop_assert_eq!((parsed.kind, parsed.more, parsed.len as usize), (kind, more, payload.len()));
            prop_assert!(parsed.matches(key(), pos, &payload));
            prop_assert!(!parsed.matches(key(), pos + 8, &payload));
            prop_assert!(!parsed.matches(FrameKey::new(LogId([3; 16]), 10), pos, &payload));
            prop_assert!(!parsed.matches(FrameKey::new(LogId([4; 16]), 9), pos, &payload));
        }

        #[test]
        fn one_flipped_bit_is_always_found(
            payload in proptest::collection::vec(any::<u8>(), 1..200),
            bit in any::<prop::sample::Index>(),
        ) {
            let word = FrameWord::seal(key(), 64, Kind::Data, false, payload.len() as u32, crc32(&payload));
            let mut bytes = word.to_le_bytes().to_vec();
            bytes.extend_from_slice(&payload);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let valid = FrameWord::read(&bytes).is_some_and(|word| {
                bytes[8..].get(..word.len as usize).is_some_and(|payload| word.matches(key(), 64, payload))
            });
            prop_assert!(!valid);
        }

        #[test]
        fn any_word_parses_or_not_without_a_panic(word: u64) {
            if let Some(parsed) = FrameWord::parse(word) {
                prop_assert!(parsed.len <= MAX_PAYLOAD);
            }
        }
    }

    #[test]
    fn a_void_covers_any_multiple_of_eight() {
        for len in (8..200).step_by(8) {
            let word = FrameWord::parse(FrameWord::void(key(), 512, len)).unwrap();
            assert_eq!((word.kind, word.frame_len()), (Kind::Void, len));
            assert!(word.matches(key(), 512, &[1, 2, 3]));
        }
    }

    #[test]
    fn a_claim_is_never_a_valid_frame() {
        let word = FrameWord::parse(FrameWord::claimed(72)).unwrap();
        assert_eq!((word.kind, word.frame_len()), (Kind::Claimed, 72));
        assert!(!word.matches(key(), 0, &[]));
    }
}
