//! The file of a key ring, and what a sealed value is stored as. See `docs/format.md`, "Key rings" and "Sealed values".

use super::{Cursor, SECTOR, crc32, is_zero};

const MAGIC: [u8; 8] = *b"WALDBKEY";
const VERSION: u32 = 1;

/// Each bit is something that a reader has to know.
const NO_FEATURES: u32 = 0;

const SECTOR_LEN: usize = SECTOR as usize;

/// The numbers at the beginning of the header.
pub(crate) const FIXED: usize = 52;

/// The most sectors that a header takes.
pub(crate) const MAX_HEADER_SECTORS: u32 = 512;

pub(crate) const NONCE: usize = 24;
pub(crate) const TAG: usize = 16;

/// What a sector holds before it is encrypted.
pub(crate) const BODY: usize = SECTOR_LEN - 4 - NONCE - TAG;

const END: &str = ".keys";

/// The number in the name of a key file; `None` if it is not that of one.
pub(crate) fn number(file: &str) -> Option<u64> {
    let digits = file.strip_suffix(END)?;
    // There is one after it.
    let number = digits.parse().ok().filter(|number| *number < u64::MAX)?;
    (file == file_name(number)).then_some(number)
}

pub(crate) fn file_name(number: u64) -> String {
    format!("{number:020}{END}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFault {
    Damaged { offset: u64, what: &'static str },
    Version { version: u32, features: u32 },
}

fn damaged<T>(offset: usize, what: &'static str) -> Result<T, KeyFault> {
    Err(KeyFault::Damaged {
        offset: offset as u64,
        what,
    })
}

/// What the file begins with; none of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyHeader {
    pub(crate) ring: [u8; 8],
    /// How often the file was written anew; its name says the same.
    pub(crate) generation: u64,
    /// How many sectors come after the header that were there when the file got its name.
    pub(crate) written_sectors: u32,
    pub(crate) scope: String,
    /// The master that has wrapped the key of this file.
    pub(crate) master: String,
    pub(crate) wrapped: Vec<u8>,
    /// Masters that are to be destroyed.
    pub(crate) retired: Vec<String>,
}

impl KeyHeader {
    /// How many sectors the header says that it takes, by its first numbers.
    pub(crate) fn sectors(start: &[u8; FIXED]) -> Result<u32, KeyFault> {
        if start[..8] != MAGIC {
            return damaged(0, "it does not begin as a key file");
        }
        let sectors = Cursor(&start[36..]).u32();
        match sectors {
            1..=MAX_HEADER_SECTORS => Ok(sectors),
            _ => damaged(36, "the length of the header"),
        }
    }

    /// All of the header but its seal, which goes to the offset that is returned, and the checksum that follows.
    pub(crate) fn encode(&self) -> (Vec<u8>, usize) {
        let mut lists = Vec::new();
        for text in [self.scope.as_bytes(), self.master.as_bytes(), &self.wrapped]
            .into_iter()
            .chain(self.retired.iter().map(String::as_bytes))
        {
            lists.extend_from_slice(&(text.len() as u32).to_le_bytes());
            lists.extend_from_slice(text);
        }
        let used = FIXED + lists.len();
        let sectors = (used + NONCE + TAG + 4).div_ceil(SECTOR_LEN);
        let mut bytes = Vec::with_capacity(sectors * SECTOR_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&NO_FEATURES.to_le_bytes());
        bytes.extend_from_slice(&self.ring);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.written_sectors.to_le_bytes());
        bytes.extend_from_slice(&(sectors as u32).to_le_bytes());
        bytes.extend_from_slice(&(used as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.retired.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&lists);
        bytes.resize(sectors * SECTOR_LEN, 0);
        (bytes, used)
    }

    /// Puts the seal of a header in its place.
    pub(crate) fn seal(bytes: &mut [u8], used: usize, nonce: &[u8; NONCE], tag: &[u8; TAG]) {
        bytes[used..used + NONCE].copy_from_slice(nonce);
        bytes[used + NONCE..used + NONCE + TAG].copy_from_slice(tag);
        let sealed = used + NONCE + TAG;
        let crc = crc32(&bytes[..sealed]);
        bytes[sealed..sealed + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// A whole header, and where its seal is.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(KeyHeader, usize), KeyFault> {
        let Some(start) = bytes.first_chunk::<FIXED>() else {
            return damaged(bytes.len(), "it ends here");
        };
        KeyHeader::sectors(start)?;
        let mut fields = Cursor(&start[8..]);
        let (version, features) = (fields.u32(), fields.u32());
        let (ring, generation) = (fields.take(), fields.u64());
        let (written_sectors, _sectors) = (fields.u32(), fields.u32());
        let (used, retired) = (fields.u32() as usize, fields.u32());
        let sealed = used.saturating_add(NONCE + TAG);
        let crc = bytes.get(sealed..).and_then(|rest| rest.first_chunk::<4>());
        match crc {
            Some(crc) if used >= FIXED && *crc == crc32(&bytes[..sealed]).to_le_bytes() => {}
            _ => return damaged(sealed.min(bytes.len()), "the checksum of the header"),
        }
        if (version, features) != (VERSION, NO_FEATURES) {
            return Err(KeyFault::Version { version, features });
        }
        let mut lists = Lists(&bytes[FIXED..used]);
        let header = (|| {
            let header = KeyHeader {
                ring,
                generation,
                written_sectors,
                scope: lists.text()?,
                master: lists.text()?,
                wrapped: lists.bytes()?.to_vec(),
                retired: (0..retired).map(|_| lists.text()).collect::<Option<_>>()?,
            };
            lists.0.is_empty().then_some(header)
        })();
        match header {
            Some(header) if is_zero(&bytes[sealed + 4..]) => Ok((header, used)),
            _ => damaged(FIXED, "the names in the header"),
        }
    }

    /// Where the seal of a decoded header is.
    pub(crate) fn seal_of(bytes: &[u8], used: usize) -> ([u8; NONCE], [u8; TAG]) {
        let mut seal = Cursor(&bytes[used..]);
        (seal.take(), seal.take())
    }
}

struct Lists<'a>(&'a [u8]);

impl<'a> Lists<'a> {
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}

/// What is authenticated beside the body of a sector.
pub(crate) fn sector_context(header: &KeyHeader, sector: u32, batch: u32) -> [u8; 24] {
    let mut context = [0; 24];
    context[..8].copy_from_slice(&header.ring);
    context[8..16].copy_from_slice(&header.generation.to_le_bytes());
    context[16..20].copy_from_slice(&sector.to_le_bytes());
    context[20..].copy_from_slice(&batch.to_le_bytes());
    context
}

/// A sector on its way to the file or from it.
pub(crate) struct Sector<'s> {
    /// The first sector of those that were written and flushed together.
    pub(crate) batch: u32,
    pub(crate) nonce: [u8; NONCE],
    pub(crate) body: &'s [u8; BODY],
    pub(crate) tag: [u8; TAG],
}

impl Sector<'_> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.batch.to_le_bytes());
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(self.body);
        out.extend_from_slice(&self.tag);
    }

    pub(crate) fn parse(bytes: &[u8; SECTOR_LEN]) -> Sector<'_> {
        let (head, rest) = bytes.split_at(4 + NONCE);
        let mut head = Cursor(head);
        let (batch, nonce) = (head.u32(), head.take());
        Sector {
            batch,
            nonce,
            body: rest.first_chunk().unwrap_or(&[0; BODY]),
            tag: Cursor(&rest[BODY..]).take(),
        }
    }
}

const LOOKUP: u8 = 1;
const KEYS: u8 = 2;
const SHREDDED: u8 = 3;
const INTENT: u8 = 4;
const DONE: u8 = 5;

const KEY_LEN: usize = 8 + 32 + 32;
const TOMB_LEN: usize = 32 + 8 + 8 + 32 + 32;

/// So many keys fit into a sector.
pub(crate) const KEYS_PER_SECTOR: usize = (BODY - 2) / KEY_LEN;
pub(crate) const TOMBS_PER_SECTOR: usize = (BODY - 2) / TOMB_LEN;

/// The longest name of a master.
pub(crate) const MAX_MASTER: usize = 255;

const _: () =
    assert!(1 + 1 + 8 + 8 + 1 + MAX_MASTER <= BODY && KEYS_PER_SECTOR == 6 && TOMBS_PER_SECTOR == 4);

/// What a sector holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entries<'a> {
    /// The key of keyed hashes.
    Lookup(&'a [u8; 32]),
    Keys(Vec<KeyEntry<'a>>),
    Shredded(Vec<Tomb>),
    /// A new master is there, and the file is about to be written anew, under it and without the key, if one is named.
    Intent {
        master: &'a str,
        key: Option<[u8; 8]>,
        time_us: u64,
    },
    /// The masters that the header retires are destroyed.
    Done,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyEntry<'a> {
    pub(crate) id: [u8; 8],
    pub(crate) subject: [u8; 32],
    pub(crate) key: &'a [u8; 32],
}

impl std::fmt::Debug for KeyEntry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyEntry")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A key that is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tomb {
    pub(crate) subject: [u8; 32],
    pub(crate) id: [u8; 8],
    pub(crate) time_us: u64,
    pub(crate) before: [u8; 32],
    /// All zero in the file that is the first without the key: it cannot hold its own digest.
    pub(crate) after: [u8; 32],
}

impl Entries<'_> {
    pub(crate) fn encode(&self, body: &mut [u8; BODY]) {
        body.fill(0);
        let mut at = 2;
        let mut put = |bytes: &[u8]| {
            body[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        let (kind, count) = match self {
            Entries::Lookup(key) => {
                put(*key);
                (LOOKUP, 1)
            }
            Entries::Keys(keys) => {
                for key in keys {
                    put(&key.id);
                    put(&key.subject);
                    put(key.key);
                }
                (KEYS, keys.len())
            }
            Entries::Shredded(tombs) => {
                for tomb in tombs {
                    put(&tomb.subject);
                    put(&tomb.id);
                    put(&tomb.time_us.to_le_bytes());
                    put(&tomb.before);
                    put(&tomb.after);
                }
                (SHREDDED, tombs.len())
            }
            Entries::Intent { master, key, time_us } => {
                put(&key.unwrap_or_default());
                put(&time_us.to_le_bytes());
                put(&[master.len() as u8]);
                put(master.as_bytes());
                (INTENT, usize::from(key.is_some()))
            }
            Entries::Done => (DONE, 1),
        };
        (body[0], body[1]) = (kind, count as u8);
    }

    /// `None` if it is nothing that is written here.
    pub(crate) fn decode(body: &[u8; BODY]) -> Option<Entries<'_>> {
        let (kind, count) = (body[0], usize::from(body[1]));
        let rest = &body[2..];
        let some = |max: usize| (1..=max).contains(&count).then_some(());
        Some(match kind {
            LOOKUP => Entries::Lookup(rest.first_chunk()?),
            KEYS => {
                some(KEYS_PER_SECTOR)?;
                let keys = rest.chunks_exact(KEY_LEN).take(count);
                let key = |bytes: &'_ [u8]| Cursor(bytes).take();
                let keys = keys.map(|bytes| {
                    Some(KeyEntry {
                        id: key(bytes),
                        subject: Cursor(&bytes[8..]).take(),
                        key: bytes[40..].first_chunk()?,
                    })
                });
                Entries::Keys(keys.collect::<Option<_>>()?)
            }
            SHREDDED => {
                some(TOMBS_PER_SECTOR)?;
                let tombs = rest.chunks_exact(TOMB_LEN).take(count);
                let tombs = tombs.map(|bytes| {
                    let mut fields = Cursor(bytes);
                    Tomb {
                        subject: fields.take(),
                        id: fields.take(),
                        time_us: fields.u64(),
                        before: fields.take(),
                        after: fields.take(),
                    }
                });
                Entries::Shredded(tombs.collect())
            }
            INTENT => {
                let mut fields = Cursor(rest);
                let (key, time_us) = (fields.take(), fields.u64());
                let [len] = fields.take();
                let master = std::str::from_utf8(fields.0.get(..usize::from(len))?).ok()?;
                let key = match count {
                    0 => None,
                    1 => Some(key),
                    _ => return None,
                };
                Entries::Intent { master, key, time_us }
            }
            DONE => Entries::Done,
            _ => return None,
        })
    }
}

/// The version of sealed values that this code writes and reads.
const SEALED_VERSION: u8 = 1;

/// What a sealed value has before what is encrypted.
pub(crate) const SEALED_HEAD: usize = 1 + 8 + 8 + 8 + NONCE;

/// A sealed value takes no more.
pub(crate) const SEALED_MAX: usize = super::MAX_PAYLOAD as usize;

/// What is before the bytes that are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SealedHead {
    pub(crate) ring: [u8; 8],
    pub(crate) key: [u8; 8],
    pub(crate) shape: [u8; 8],
    pub(crate) nonce: [u8; NONCE],
}

impl SealedHead {
    pub(crate) fn encode(&self) -> [u8; SEALED_HEAD] {
        let mut bytes = [SEALED_VERSION; SEALED_HEAD];
        bytes[1..9].copy_from_slice(&self.ring);
        bytes[9..17].copy_from_slice(&self.key);
        bytes[17..25].copy_from_slice(&self.shape);
        bytes[25..].copy_from_slice(&self.nonce);
        bytes
    }

    /// The head and what is encrypted. The error is the version that it has instead of the one that is known; `None` if
    /// there is nothing.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(SealedHead, &[u8]), Option<u8>> {
        match bytes.first() {
            Some(&SEALED_VERSION) => {}
            other => return Err(other.copied()),
        }
        let (head, rest) = bytes.split_at_checked(SEALED_HEAD).ok_or(None)?;
        let mut head = Cursor(&head[1..]);
        let head = SealedHead {
            ring: head.take(),
            key: head.take(),
            shape: head.take(),
            nonce: head.take(),
        };
        match rest.len() {
            0..=TAG => Err(None),
            _ => Ok((head, rest)),
        }
    }
}

/// What is encrypted begins with the codec and the length of the value.
pub(crate) const PLAIN_HEAD: usize = 5;

/// How long a plain text is after padding: a multiple of 32, and from 1024 bytes on so that only the five or so highest
/// bits of the length show.
pub(crate) fn padded_len(len: usize) -> usize {
    let len = len.max(1);
    let exponent = len.ilog2();
    let kept = exponent.checked_ilog2().map_or(0, |log| log + 1);
    let step = 1_usize << exponent.saturating_sub(kept).max(5);
    len.next_multiple_of(step)
}

/// Completes the plain text that begins at `start` with room for its head.
pub(crate) fn pad(bytes: &mut Vec<u8>, start: usize, codec: u8) {
    let plain = bytes.len() - start;
    let len = (plain - PLAIN_HEAD) as u32;
    bytes[start] = codec;
    bytes[start + 1..start + PLAIN_HEAD].copy_from_slice(&len.to_le_bytes());
    bytes.resize(start + padded_len(plain), 0);
}

/// The codec and the value of a plain text.
pub(crate) fn unpad(plain: &[u8]) -> Option<(u8, &[u8])> {
    let (head, rest) = plain.split_at_checked(PLAIN_HEAD)?;
    let len = Cursor(&head[1..]).u32() as usize;
    let (value, padding) = rest.split_at_checked(len)?;
    is_zero(padding).then_some((head[0], value))
}

/// A file of a vault: magic, version, a zero, the key, and a checksum.
pub(crate) const MASTER_LEN: usize = 8 + 4 + 4 + 32 + 4;

const MASTER_MAGIC: [u8; 8] = *b"WALDBMST";

pub(crate) fn encode_master(key: &[u8; 32]) -> [u8; MASTER_LEN] {
    let mut bytes = [0; MASTER_LEN];
    bytes[..8].copy_from_slice(&MASTER_MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..48].copy_from_slice(key);
    let crc = crc32(&bytes[..48]);
    bytes[48..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

pub(crate) fn decode_master(bytes: &[u8]) -> Option<[u8; 32]> {
    let bytes: &[u8; MASTER_LEN] = bytes.try_into().ok()?;
    let mut fields = Cursor(&bytes[8..]);
    let (version, zero, key) = (fields.u32(), fields.u32(), fields.take());
    let is_whole = bytes[48..] == crc32(&bytes[..48]).to_le_bytes();
    (bytes[..8] == MASTER_MAGIC && is_whole && (version, zero) == (VERSION, 0)).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> KeyHeader {
        KeyHeader {
            ring: *b"ringring",
            generation: 3,
            written_sectors: 2,
            scope: "bank".into(),
            master: "m2".into(),
            wrapped: vec![0xAA; 3],
            retired: vec!["m1".into()],
        }
    }

    /// These bytes are stored for years.
    #[test]
    fn the_header_is_frozen() {
        let (mut bytes, used) = header().encode();
        let fixed = b"WALDBKEY\x01\0\0\0\0\0\0\0ringring\x03\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x4f\0\0\0\x01\0\0\0\0\0\0\0";
        let lists = b"\x04\0\0\0bank\x02\0\0\0m2\x03\0\0\0\xAA\xAA\xAA\x02\0\0\0m1";
        assert_eq!((&bytes[..FIXED], &bytes[FIXED..used]), (&fixed[..], &lists[..]));
        assert_eq!((used, bytes.len()), (79, 512));
        assert!(is_zero(&bytes[used..]));
        KeyHeader::seal(&mut bytes, used, &[7; NONCE], &[8; TAG]);
        assert_eq!(KeyHeader::decode(&bytes), Ok((header(), used)));
        assert_eq!(KeyHeader::seal_of(&bytes, used), ([7; NONCE], [8; TAG]));
    }

    #[test]
    fn a_header_of_many_masters_takes_more_sectors() {
        let many = KeyHeader {
            retired: (0..300).map(|n| format!("master-{n}")).collect(),
            ..header()
        };
        let (mut bytes, used) = many.encode();
        KeyHeader::seal(&mut bytes, used, &[7; NONCE], &[8; TAG]);
        let start = bytes.first_chunk().expect("a header");
        assert_eq!(KeyHeader::sectors(start), Ok((bytes.len() / 512) as u32));
        assert_eq!(KeyHeader::decode(&bytes), Ok((many, used)));
    }

    fn round_trip(entries: &Entries<'_>) -> [u8; BODY] {
        let mut body = [0xFF; BODY];
        entries.encode(&mut body);
        assert_eq!(Entries::decode(&body).as_ref(), Some(entries));
        body
    }

    #[test]
    fn what_sectors_hold_is_frozen() {
        let key = KeyEntry {
            id: *b"keyidkey",
            subject: [2; 32],
            key: &[3; 32],
        };
        let body = round_trip(&Entries::Keys(vec![key; 6]));
        assert_eq!(body[..11], *b"\x02\x06keyidkey\x02");
        assert_eq!((body[41], body[42], body[73], body[74]), (2, 3, 3, b'k'));
        let tomb = Tomb {
            subject: [4; 32],
            id: *b"keyidkey",
            time_us: 5,
            before: [6; 32],
            after: [7; 32],
        };
        let body = round_trip(&Entries::Shredded(vec![tomb; 4]));
        assert_eq!(body[..3], [3, 4, 4]);
        assert_eq!(body[34..51], *b"keyidkey\x05\0\0\0\0\0\0\0\x06");
        let intent = |key| Entries::Intent {
            master: "m3",
            key,
            time_us: 9,
        };
        let body = round_trip(&intent(Some(*b"keyidkey")));
        assert_eq!(body[..22], *b"\x04\x01keyidkey\x09\0\0\0\0\0\0\0\x02m3\0");
        assert_eq!(round_trip(&intent(None))[..3], [4, 0, 0]);
        assert_eq!(round_trip(&Entries::Lookup(&[1; 32]))[..3], [1, 1, 1]);
        assert_eq!(round_trip(&Entries::Done)[..3], [5, 1, 0]);
    }

    #[test]
    fn what_is_nothing_that_is_known_is_none() {
        for start in [[0, 0], [2, 0], [2, 7], [3, 0], [3, 5], [4, 2], [6, 1], [255, 255]] {
            let mut body = [0; BODY];
            body[..2].copy_from_slice(&start);
            assert_eq!(Entries::decode(&body), None, "{start:?}");
        }
        let mut body = [0xFF; BODY];
        body[..2].copy_from_slice(&[4, 0]);
        assert_eq!(Entries::decode(&body), None);
    }

    #[test]
    fn a_sealed_value_is_frozen() {
        let head = SealedHead {
            ring: *b"ringring",
            key: *b"keyidkey",
            shape: *b"shapesha",
            nonce: [9; NONCE],
        };
        let mut bytes = head.encode().to_vec();
        assert_eq!(bytes[..26], *b"\x01ringringkeyidkeyshapesha\x09");
        bytes.extend_from_slice(&[1; TAG + 1]);
        assert_eq!(SealedHead::parse(&bytes), Ok((head, &[1; TAG + 1][..])));
        assert_eq!(SealedHead::parse(&bytes[..bytes.len() - 1]), Err(None));
        bytes[0] = 2;
        assert_eq!(SealedHead::parse(&bytes), Err(Some(2)));

        let mut plain = vec![0xEE; 2];
        plain.extend_from_slice(&[0; PLAIN_HEAD]);
        plain.extend_from_slice(b"Ada");
        pad(&mut plain, 2, 1);
        assert_eq!(plain[..12], *b"\xEE\xEE\x01\x03\0\0\0Ada\0\0");
        assert_eq!(plain.len(), 2 + 32);
        assert_eq!(unpad(&plain[2..]), Some((1, &b"Ada"[..])));
        plain[33] = 1;
        assert_eq!(unpad(&plain[2..]), None);
    }

    #[test]
    fn lengths_are_rounded_as_the_document_says() {
        let lens = [0, 1, 32, 33, 1023, 1024, 1025, 1088, 1089, 65_536, 65_537].map(padded_len);
        assert_eq!(
            lens,
            [32, 32, 32, 64, 1024, 1024, 1088, 1088, 1152, 65_536, 67_584]
        );
    }

    #[test]
    fn names_are_those_of_numbers() {
        assert_eq!(number(&file_name(7)), Some(7));
        for name in [
            "7.keys",
            "00000000000000000007.keys.new",
            "lock",
            "18446744073709551615.keys",
        ] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}
