//! The envelope in front of every event, and the metadata in it. See `docs/format.md`, "Typed records".

use std::{cmp::Ordering, fmt};

use super::Cursor;

const LAYOUT_MASK: u8 = 0xF0;
const LAYOUT: u8 = 0xE0;
const FLAG_METADATA: u8 = 0x01;
const FLAGS_KNOWN: u8 = FLAG_METADATA;

/// The longest header that is written: layout, codec, type id, version.
const MAX_HEADER_LEN: usize = 1 + 1 + 5 + 3;
const _: () = assert!(
    MAX_HEADER_LEN <= size_of::<u128>(),
    "`encode` puts the header together in one number"
);

/// The keys of the metadata.
pub(crate) const TIME: u8 = 1;
pub(crate) const EVENT_ID: u8 = 2;
pub(crate) const CORRELATION_ID: u8 = 3;
pub(crate) const CAUSATION: u8 = 4;
pub(crate) const STREAM: u8 = 5;
pub(crate) const TAG: u8 = 6;
pub(crate) const TIME_REST: u8 = 7;
pub(crate) const STREAM_NUMBER: u8 = 8;
pub(crate) const STREAM_ID: u8 = 9;
pub(crate) const COMMAND_ID: u8 = 10;
pub(crate) const CONSUMED: u8 = 11;
/// Keys from here on are the application's.
pub(crate) const FIRST_OF_APPLICATION: u8 = 128;

/// The most metadata that is written for one event, all entries with their keys and lengths.
pub(crate) const MAX_METADATA_LEN: usize = u16::MAX as usize;

/// The wire format of an event's bytes, as it stands in every typed record.
///
/// It names the format and not the crate that implements it, so that a record outlives both.
/// 0 is never used, 1 to 127 belong to this crate and 128 to 255 to applications.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodecId(u8);

impl CodecId {
    /// The format of bincode 2 with its `standard` configuration: little-endian, variable-length integers.
    pub const BINCODE_2: CodecId = CodecId(1);
    /// The format of postcard 1: LEB128 integers, signed ones in zigzag.
    pub const POSTCARD_1: CodecId = CodecId(2);
    /// JSON in UTF-8.
    pub const JSON: CodecId = CodecId(3);
    /// MessagePack with field names. Reserved: no release writes it yet.
    pub const MESSAGE_PACK_NAMED: CodecId = CodecId(4);

    /// The id with this number, known or not.
    #[must_use]
    pub const fn new(id: u8) -> Self {
        CodecId(id)
    }

    /// The number that stands in the record.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CodecId::BINCODE_2 => f.write_str("bincode 2"),
            CodecId::POSTCARD_1 => f.write_str("postcard 1"),
            CodecId::JSON => f.write_str("JSON"),
            CodecId::MESSAGE_PACK_NAMED => f.write_str("MessagePack"),
            CodecId(id) => write!(f, "codec {id}"),
        }
    }
}

impl fmt::Debug for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodecId({}, {self})", self.0)
    }
}

/// What the envelope of a typed record says, without decoding the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EventInfo {
    /// The id of the event type, see [`EventType::id`](crate::event::EventType::id).
    pub type_id: u32,
    /// The version that was stored, from 1.
    pub version: u16,
    /// The wire format of the event's bytes.
    pub codec: CodecId,
}

/// A typed record, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) info: EventInfo,
    pub(crate) meta: MetaRef<'a>,
    /// The codec's bytes.
    pub(crate) body: &'a [u8],
}

/// Why the bytes of a typed record have no readable envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes end inside the envelope.
    #[error("the bytes end inside its {field}")]
    Truncated {
        /// The part that was being read.
        field: &'static str,
    },
    /// The first byte is not the mark of an envelope that this release knows.
    #[error("it starts with {first:#04x}, which is no envelope known to this release")]
    UnknownLayout {
        /// The first byte.
        first: u8,
    },
    /// A reserved flag is set: a newer release wrote the record.
    #[error("it sets the reserved flags {flags:#03x}: a newer envelope, read it with a newer release")]
    NewerEnvelope {
        /// The flags that this release does not know.
        flags: u8,
    },
    /// A number is too large for its field, or is not in its shortest form.
    #[error("its {field} is out of range or not in its shortest form")]
    BadNumber {
        /// The part that was being read.
        field: &'static str,
    },
    /// The version is 0; versions count from 1.
    #[error("its version is 0")]
    VersionZero,
    /// An entry of the metadata is not what its key says.
    #[error("key {key} of its metadata {problem}")]
    BadMetadata {
        /// The key of the entry.
        key: u8,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Appends the envelope of `info` to `out`.
///
/// Without a branch or a loop, because it is a good part of what appending a small event costs.
#[inline]
pub(crate) fn encode(info: EventInfo, out: &mut Vec<u8>) {
    debug_assert!(info.version > 0);
    let (type_id, type_id_len) = varint(info.type_id);
    let (version, version_len) = varint(u32::from(info.version));
    let fixed = u128::from(LAYOUT) | u128::from(info.codec.get()) << 8;
    let header = fixed | u128::from(type_id) << 16 | u128::from(version) << (16 + 8 * type_id_len);
    let end = out.len() + 2 + type_id_len + version_len;
    out.extend_from_slice(&header.to_le_bytes());
    out.truncate(end);
}

/// Appends the envelope of `info` with metadata to `out`; without, if there is none.
pub(crate) fn encode_with_meta(info: EventInfo, meta: &[u8], out: &mut Vec<u8>) {
    let first = out.len();
    encode(info, out);
    if !meta.is_empty() {
        out[first] |= FLAG_METADATA;
        put_varint(meta.len() as u32, out);
        out.extend_from_slice(meta);
    }
}

#[inline(always)]
pub(crate) fn parse(payload: &[u8]) -> Result<Envelope<'_>, EnvelopeError> {
    let mut rest = payload;
    let first = take_byte(&mut rest, "first byte")?;
    if first & LAYOUT_MASK != LAYOUT {
        return Err(EnvelopeError::UnknownLayout { first });
    }
    let flags = first & !LAYOUT_MASK;
    if flags & !FLAGS_KNOWN != 0 {
        return Err(EnvelopeError::NewerEnvelope {
            flags: flags & !FLAGS_KNOWN,
        });
    }
    let codec = CodecId::new(take_byte(&mut rest, "codec id")?);
    let type_id = take_varint(&mut rest, u32::MAX, "type id")?;
    let version = take_varint(&mut rest, u32::from(u16::MAX), "version")? as u16;
    if version == 0 {
        return Err(EnvelopeError::VersionZero);
    }
    let mut meta = MetaRef::default();
    if flags & FLAG_METADATA != 0 {
        (meta, rest) = take_metadata(rest)?;
    }
    let info = EventInfo {
        type_id,
        version,
        codec,
    };
    Ok(Envelope {
        info,
        meta,
        body: rest,
    })
}

/// Kept out of `parse`, which most records leave without coming here. Hands back what follows the metadata.
#[inline(never)]
fn take_metadata(mut rest: &[u8]) -> Result<(MetaRef<'_>, &[u8]), EnvelopeError> {
    let len = take_varint(&mut rest, u32::MAX, "metadata length")?;
    let found = rest.split_at_checked(len as usize);
    let (meta, after) = found.ok_or(EnvelopeError::Truncated { field: "metadata" })?;
    Ok((MetaRef::parse(meta)?, after))
}

/// Metadata in a record that is being read: [`Record::meta`](crate::Record::meta). Nothing is copied.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct MetaRef<'a> {
    /// Valid entries.
    pub(crate) bytes: &'a [u8],
}

impl<'a> MetaRef<'a> {
    /// Checks that the bytes are metadata: whole entries in order, and of those that this release knows the right
    /// length and UTF-8.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut rest = bytes;
        let mut previous = 0;
        while let Some((&key, after)) = rest.split_first() {
            let bad = |problem| Err(EnvelopeError::BadMetadata { key, problem });
            rest = after;
            let len = take_varint(&mut rest, u32::MAX, "length of an entry of the metadata")?;
            let Some((value, after)) = rest.split_at_checked(len as usize) else {
                return bad("is longer than the metadata");
            };
            rest = after;
            if key == 0 {
                return bad("is no key");
            }
            if key < previous || key == previous && !repeats(key) {
                return bad("is out of order or repeated");
            }
            if let Some(problem) = misfit(key, value) {
                return bad(problem);
            }
            previous = key;
        }
        Ok(MetaRef { bytes })
    }

    /// Whether the event was appended without metadata.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes under a key. The application's keys are 128 to 255; those below are listed in `docs/format.md`.
    #[must_use]
    pub fn entry(&self, key: u8) -> Option<&'a [u8]> {
        let mut entries = self.walk();
        entries.find_map(|(at, value)| (at == key).then_some(value))
    }

    /// Every entry as it is stored, in the order of the keys; also those that this release does not know.
    pub fn entries(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        self.walk()
    }

    pub(crate) fn short(&self, key: u8) -> Option<u16> {
        self.id(key).map(u16::from_le_bytes)
    }

    pub(crate) fn number(&self, key: u8) -> Option<u64> {
        self.id(key).map(u64::from_le_bytes)
    }

    pub(crate) fn id<const N: usize>(&self, key: u8) -> Option<[u8; N]> {
        self.entry(key)?.try_into().ok()
    }

    fn walk(&self) -> Walk<'a> {
        Walk { rest: self.bytes }
    }
}

impl fmt::Debug for MetaRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (key, value) in self.walk() {
            match std::str::from_utf8(value) {
                Ok(text) if matches!(key, STREAM | TAG) => map.entry(&key, &text),
                _ => map.entry(&key, &value),
            };
        }
        map.finish()
    }
}

/// Entries that were checked, one after the other.
struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Walk<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&key, mut rest) = self.rest.split_first()?;
        let len = take_varint(&mut rest, u32::MAX, "").ok()?;
        let (value, rest) = rest.split_at_checked(len as usize)?;
        self.rest = rest;
        Some((key, value))
    }
}

/// Puts an entry of the metadata in its place: after those with smaller keys, and after or instead of one with the same.
/// `false`, and nothing is changed, if there would be more than is written.
pub(crate) fn put_entry(entries: &mut Vec<u8>, key: u8, value: &[u8]) -> bool {
    if value.len() > MAX_METADATA_LEN {
        return false;
    }
    let (mut start, mut end) = (0, 0);
    let mut walk = Walk { rest: entries };
    while let Some((at, _)) = walk.next() {
        let after = entries.len() - walk.rest.len();
        match at.cmp(&key) {
            Ordering::Less => (start, end) = (after, after),
            Ordering::Equal if repeats(key) => (start, end) = (after, after),
            Ordering::Equal => end = after,
            Ordering::Greater => break,
        }
    }
    let len = value.len() as u32;
    let taken = 1 + varint_len(len) + value.len();
    if entries.len() - (end - start) + taken > MAX_METADATA_LEN {
        return false;
    }
    if start == entries.len() {
        match entries.capacity() {
            // The first entry gets just its room, without the longer way by which a list grows.
            0 => *entries = Vec::with_capacity(taken),
            _ => entries.reserve(taken),
        }
        entries.push(key);
        put_varint(len, entries);
        entries.extend_from_slice(value);
    } else {
        let (len, len_bytes) = varint(len);
        let entry = [key]
            .into_iter()
            .chain(len.to_le_bytes().into_iter().take(len_bytes));
        entries.splice(start..end, entry.chain(value.iter().copied()));
    }
    true
}

/// Takes the entry of a key out, if it is there.
pub(crate) fn take_entry(entries: &mut Vec<u8>, key: u8) {
    let mut walk = Walk { rest: entries };
    let mut start = 0;
    while let Some((at, _)) = walk.next() {
        let end = entries.len() - walk.rest.len();
        if at == key {
            entries.drain(start..end);
            return;
        }
        start = end;
    }
}

/// What keeps a value from being one of its key.
fn misfit(key: u8, value: &[u8]) -> Option<&'static str> {
    let (fits, problem) = match key {
        TIME | CAUSATION | STREAM_NUMBER => (value.len() == 8, "is not 8 bytes long"),
        EVENT_ID | CORRELATION_ID | STREAM_ID | COMMAND_ID => (value.len() == 16, "is not 16 bytes long"),
        TIME_REST => (
            value
                .try_into()
                .is_ok_and(|bytes| u16::from_le_bytes(bytes) < 1000),
            "is no number below 1,000 in 2 bytes",
        ),
        STREAM | TAG => (is_text(value), "is not UTF-8"),
        CONSUMED => (
            Consumed::parse(value).is_some(),
            "is not what a consumer has handled",
        ),
        _ => return None,
    };
    (!fits).then_some(problem)
}

/// Which event was handled by a consumer when it appended others, all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Consumed<'a> {
    pub(crate) log: [u8; 16],
    pub(crate) lsn: u64,
    pub(crate) part: u32,
    pub(crate) consumer: &'a str,
}

impl<'a> Consumed<'a> {
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let (numbers, name) = value.split_at_checked(28)?;
        let mut fields = Cursor(numbers);
        Some(Consumed {
            log: fields.take(),
            lsn: fields.u64(),
            part: fields.u32(),
            consumer: std::str::from_utf8(name).ok()?,
        })
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let (lsn, part) = (self.lsn.to_le_bytes(), self.part.to_le_bytes());
        [&self.log[..], &lsn, &part, self.consumer.as_bytes()].concat()
    }
}

/// Short text is mostly ASCII, which is found out in a quarter of the time.
fn is_text(value: &[u8]) -> bool {
    value.is_ascii() || std::str::from_utf8(value).is_ok()
}

/// Keys that a later release defines may repeat as well; it is not for this one to say.
fn repeats(key: u8) -> bool {
    key == TAG || (CONSUMED + 1..FIRST_OF_APPLICATION).contains(&key)
}

/// Most are lengths, and short.
#[inline]
pub(crate) fn put_varint(value: u32, out: &mut Vec<u8>) {
    if value < 0x80 {
        return out.push(value as u8);
    }
    let (bytes, len) = varint(value);
    out.extend_from_slice(&bytes.to_le_bytes()[..len]);
}

/// The LEB128 bytes of a number, the first one lowest, and how many they are.
#[inline]
fn varint(value: u32) -> (u64, usize) {
    let len = varint_len(value);
    let septets = [0, 1, 2, 3, 4].map(|i| (u64::from(value) >> (7 * i) & 0x7F) << (8 * i));
    let more = 0x80_8080_8080 & ((1 << (8 * (len - 1))) - 1);
    (septets.iter().fold(more, |bytes, septet| bytes | septet), len)
}

/// How many bytes a number takes.
#[inline]
fn varint_len(value: u32) -> usize {
    (38 - value.leading_zeros() as usize).max(7) / 7
}

#[inline]
fn take_byte(rest: &mut &[u8], field: &'static str) -> Result<u8, EnvelopeError> {
    let (&byte, after) = rest.split_first().ok_or(EnvelopeError::Truncated { field })?;
    *rest = after;
    Ok(byte)
}

/// One number has one encoding: a longer one is refused, so equal envelopes are equal bytes.
#[inline]
pub(crate) fn take_varint(rest: &mut &[u8], max: u32, field: &'static str) -> Result<u32, EnvelopeError> {
    let mut value = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = take_byte(rest, field)?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            let shortest = byte != 0 || shift == 0;
            return match u32::try_from(value) {
                Ok(value) if shortest && value <= max => Ok(value),
                _ => Err(EnvelopeError::BadNumber { field }),
            };
        }
    }
    Err(EnvelopeError::BadNumber { field })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Meta;

    fn info(type_id: u32, version: u16, codec: u8) -> EventInfo {
        EventInfo {
            type_id,
            version,
            codec: CodecId::new(codec),
        }
    }

    fn plain(info: EventInfo, body: &[u8]) -> Result<Envelope<'_>, EnvelopeError> {
        let meta = MetaRef::default();
        Ok(Envelope { info, meta, body })
    }

    fn encoded(info: EventInfo) -> Vec<u8> {
        let mut out = Vec::new();
        encode(info, &mut out);
        out
    }

    #[test]
    fn the_bytes_are_the_documented_ones() {
        assert_eq!(
            encoded(info(0x0102_0304, 300, 1)),
            [0xE0, 1, 0x84, 0x86, 0x88, 0x08, 0xAC, 0x02]
        );
        assert_eq!(encoded(info(7, 1, 2)), [0xE0, 2, 7, 1]);
        assert_eq!(encoded(info(u32::MAX, u16::MAX, 1)).len(), MAX_HEADER_LEN);
    }

    #[test]
    fn every_prefix_is_refused() {
        let whole = encoded(info(u32::MAX, u16::MAX, 1));
        for len in 0..whole.len() {
            let result = parse(&whole[..len]);
            assert!(
                matches!(result, Err(EnvelopeError::Truncated { .. })),
                "{len} bytes: {result:?}"
            );
        }
        assert_eq!(parse(&whole), plain(info(u32::MAX, u16::MAX, 1), &[]));
    }

    #[test]
    fn reserved_flags_and_other_layouts_are_refused() {
        for bit in 1..4 {
            let flags = 1 << bit;
            assert_eq!(
                parse(&[0xE0 | flags, 1, 7, 1]),
                Err(EnvelopeError::NewerEnvelope { flags })
            );
        }
        for first in (0..=0xDF).chain(0xF0..=0xFF) {
            assert_eq!(
                parse(&[first, 1, 7, 1]),
                Err(EnvelopeError::UnknownLayout { first })
            );
        }
    }

    #[test]
    fn numbers_have_one_form_and_a_range() {
        let bad = |bytes: &[u8], field| {
            assert_eq!(
                parse(bytes),
                Err(EnvelopeError::BadNumber { field }),
                "{bytes:x?}"
            );
        };
        bad(&[0xE0, 1, 0x87, 0x00, 1], "type id");
        bad(&[0xE0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 1], "type id");
        bad(&[0xE0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 1], "type id");
        bad(&[0xE0, 1, 7, 0x81, 0x00], "version");
        bad(&[0xE0, 1, 7, 0x80, 0x80, 0x04], "version");
        assert_eq!(parse(&[0xE0, 1, 7, 0]), Err(EnvelopeError::VersionZero));
    }

    #[test]
    fn the_envelope_of_a_young_type_is_at_most_8_bytes() {
        for type_id in [0, 1, 0x7F, 0x80, 0x0FFF_FFFF, 0x1000_0000, u32::MAX] {
            for version in [1, 127] {
                assert!(encoded(info(type_id, version, 255)).len() <= 8);
            }
            assert_eq!(
                encoded(info(type_id, 1, 1)).len(),
                encoded(info(type_id, 127, 1)).len()
            );
        }
        assert_eq!(encoded(info(u32::MAX, 128, 1)).len(), 9);
    }

    #[test]
    fn metadata_stands_between_the_version_and_the_event() {
        let entry = [200, 1, 0xAB];
        let mut payload = Vec::new();
        encode_with_meta(info(7, 1, 1), &entry, &mut payload);
        assert_eq!(payload, [0xE1, 1, 7, 1, 3, 200, 1, 0xAB]);
        payload.push(42);
        let found = parse(&payload).expect("an envelope");
        assert_eq!((found.info, found.body), (info(7, 1, 1), &[42][..]));
        assert!(found.meta.entries().eq([(200, &[0xAB][..])]));
        assert_eq!(
            parse(&payload[..7]),
            Err(EnvelopeError::Truncated { field: "metadata" })
        );
        let huge = [0xE1, 1, 7, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 42];
        assert_eq!(parse(&huge), Err(EnvelopeError::Truncated { field: "metadata" }));
        let empty = [0xE1, 1, 7, 1, 0, 42];
        assert_eq!(parse(&empty), plain(info(7, 1, 1), &[42]));
    }

    fn with_everything() -> Vec<u8> {
        let meta = Meta::new()
            .with_time_us(-1)
            .with_event_id([0x80; 16])
            .with_correlation_id([0; 16])
            .with_causation(crate::lsn::Lsn::new(1 << 40))
            .with_stream("s\u{e9}")
            .with_tag("a")
            .with_tag("")
            .with_entry(128, &[7; 130])
            .with_entry(255, &[]);
        let mut payload = Vec::new();
        encode_with_meta(info(u32::MAX, 300, 1), meta.view().bytes, &mut payload);
        payload
    }

    /// What was parsed, written again, is what was there. Metadata of no bytes is not written.
    fn assert_whole(payload: &[u8], Envelope { info, meta, body }: Envelope<'_>) {
        let mut again = Vec::new();
        encode_with_meta(info, meta.bytes, &mut again);
        again.extend_from_slice(body);
        let empty = payload[0] & FLAG_METADATA != 0 && meta.is_empty();
        if empty {
            assert_eq!(again.len() + 1, payload.len());
        } else {
            assert_eq!(again, payload);
        }
    }

    #[test]
    fn every_truncation_of_metadata_is_refused() {
        let payload = with_everything();
        assert_whole(&payload, parse(&payload).expect("an envelope"));
        for len in 0..payload.len() {
            let result = parse(&payload[..len]);
            assert!(
                matches!(result, Err(EnvelopeError::Truncated { .. })),
                "{len} bytes: {result:?}"
            );
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes, and nothing but safe code")]
    fn every_other_byte_in_any_place_is_refused_or_parsed_whole() {
        let payload = with_everything();
        let mut parsed = 0;
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            for _ in 0..255 {
                changed[at] = changed[at].wrapping_add(1);
                if let Ok(envelope) = parse(&changed) {
                    assert_whole(&changed, envelope);
                    parsed += 1;
                }
            }
        }
        assert!(
            parsed > 10_000,
            "values of fixed length can be anything: {parsed}"
        );
    }

    #[test]
    fn without_metadata_the_flag_is_not_set() {
        let mut payload = Vec::new();
        encode_with_meta(info(7, 1, 1), &[], &mut payload);
        assert_eq!(payload, encoded(info(7, 1, 1)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed(type_id: u32, version in 1..=u16::MAX, codec: u8, body: Vec<u8>) {
            let mut payload = encoded(info(type_id, version, codec));
            payload.extend_from_slice(&body);
            prop_assert_eq!(parse(&payload), plain(info(type_id, version, codec), &body));
        }

        #[test]
        fn any_bytes_are_refused_or_have_one_form(mut payload: Vec<u8>, flags in 0..2_u8) {
            if let Some(first) = payload.first_mut() {
                *first = LAYOUT | flags;
            }
            if let Ok(envelope) = parse(&payload) {
                assert_whole(&payload, envelope);
            }
        }
    }
}
