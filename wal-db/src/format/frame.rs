//! A frame: one record, or a void, at its place in the stream. See `docs/format.md`, "Frames".

use super::{
    Cursor,
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
        FrameWord::parse(Cursor(bytes).u64())
    }

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

/// What lies at a place where a frame may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameAt {
    /// A frame that was written for this place.
    Intact(FrameWord),
    /// All the bytes of a frame, but of another place, log or epoch, or damaged.
    Other(FrameWord),
    /// Fewer bytes are at hand than these, which are needed.
    Short(usize),
    /// This many bytes of staging memory were claimed and not published.
    Claim(u64),
    /// Nothing that starts like a frame and ends where it can.
    Nothing,
}

impl FrameAt {
    /// Looks at `pos`, from where on `bytes` are at hand. What a frame can be in ends after `room` bytes: a group, or a
    /// block of staging memory.
    pub(crate) fn look(key: FrameKey, pos: u64, bytes: &[u8], room: u64) -> FrameAt {
        if room < FRAME_HEADER_LEN as u64 {
            return FrameAt::Nothing;
        }
        let Some(head) = bytes.first_chunk::<FRAME_HEADER_LEN>() else {
            return FrameAt::Short(FRAME_HEADER_LEN);
        };
        let word = FrameWord::parse(u64::from_le_bytes(*head)).filter(|word| word.frame_len() <= room);
        let Some(word) = word else {
            return FrameAt::Nothing;
        };
        let len = word.frame_len() as usize;
        if word.kind == Kind::Claimed {
            let can_be = len >= FRAME_HEADER_LEN && len.is_multiple_of(8);
            return if can_be {
                FrameAt::Claim(len as u64)
            } else {
                FrameAt::Nothing
            };
        }
        let Some(rest) = bytes.get(FRAME_HEADER_LEN..len) else {
            return FrameAt::Short(len);
        };
        if word.matches(key, pos, &rest[..word.len as usize]) {
            FrameAt::Intact(word)
        } else {
            FrameAt::Other(word)
        }
    }
}

/// Whether `content`, which starts at `pos`, holds frames only, one after the other, and each is valid by itself.
pub(crate) fn frames_are_intact(mut content: &[u8], mut pos: u64, key: FrameKey) -> bool {
    while !content.is_empty() {
        let FrameAt::Intact(word) = FrameAt::look(key, pos, content, content.len() as u64) else {
            return false;
        };
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
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            let found = FrameAt::look(key(), 64, &bytes, bytes.len() as u64);
            prop_assert!(!matches!(found, FrameAt::Intact(_)));
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

    #[test]
    fn what_lies_at_a_place_is_told() {
        let look = |bytes: &[u8], room| FrameAt::look(key(), 64, bytes, room);
        let word = FrameWord::seal(key(), 64, Kind::Data, false, 3, crc32(b"abc"));
        let mut frame = word.to_le_bytes().to_vec();
        frame.extend_from_slice(b"abc\0\0\0\0\0");
        let word = FrameWord::parse(word).unwrap();
        assert_eq!(look(&frame, 16), FrameAt::Intact(word));
        assert_eq!(
            look(&frame, 8),
            FrameAt::Nothing,
            "it would end after what it is in"
        );
        assert_eq!(look(&frame[..15], 16), FrameAt::Short(16));
        assert_eq!(look(&frame[..7], 16), FrameAt::Short(8));
        assert_eq!(look(&frame[..7], 7), FrameAt::Nothing);
        assert_eq!(look(&[0; 16], 16), FrameAt::Nothing);
        frame[8] ^= 1;
        assert_eq!(look(&frame, 16), FrameAt::Other(word));
        let claim = |len| FrameWord::claimed(len).to_le_bytes();
        assert_eq!(look(&claim(72), 72), FrameAt::Claim(72));
        assert_eq!(look(&claim(72), 64), FrameAt::Nothing);
        assert_eq!(look(&claim(12), 64), FrameAt::Nothing);
        assert_eq!(look(&claim(0), 64), FrameAt::Nothing);
    }
}
