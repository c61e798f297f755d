//! What is put in comes out, whatever the order; anything else is refused and never read outside its bounds.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::format::envelope::{EnvelopeError, put_varint};

/// One call of the builder.
#[derive(Debug, Clone)]
enum Set {
    Time(i128),
    EventId([u8; 16]),
    Correlation([u8; 16]),
    Causation(u64),
    Stream(Key),
    Tag(String),
    Entry(u8, Vec<u8>),
}

#[derive(Debug, Clone)]
enum Key {
    Text(String),
    Number(u64),
    Id([u8; 16]),
}

impl Key {
    fn view(&self) -> StreamKey<'_> {
        match self {
            Key::Text(text) => text.into(),
            Key::Number(number) => (*number).into(),
            Key::Id(id) => (*id).into(),
        }
    }
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        any::<String>().prop_map(Key::Text),
        any::<u64>().prop_map(Key::Number),
        any::<[u8; 16]>().prop_map(Key::Id),
    ]
}

fn set() -> impl Strategy<Value = Set> {
    prop_oneof![
        any::<i64>().prop_map(|micros| Set::Time(i128::from(micros) * 1000)),
        (any::<i64>(), 0..1000_i128).prop_map(|(micros, rest)| Set::Time(i128::from(micros) * 1000 + rest)),
        any::<[u8; 16]>().prop_map(Set::EventId),
        any::<[u8; 16]>().prop_map(Set::Correlation),
        any::<u64>().prop_map(Set::Causation),
        key().prop_map(Set::Stream),
        any::<String>().prop_map(Set::Tag),
        (128_u8.., vec(any::<u8>(), 0..300)).prop_map(|(key, bytes)| Set::Entry(key, bytes)),
    ]
}

fn build(sets: &[Set]) -> Meta {
    sets.iter().fold(Meta::new(), |meta, set| match set {
        Set::Time(nanos) => meta.with_time_ns(*nanos),
        Set::EventId(id) => meta.with_event_id(*id),
        Set::Correlation(id) => meta.with_correlation_id(*id),
        Set::Causation(lsn) => meta.with_causation(Lsn::new(*lsn)),
        Set::Stream(key) => meta.with_stream(key.view()),
        Set::Tag(tag) => meta.with_tag(tag),
        Set::Entry(key, bytes) => meta.with_entry(*key, bytes),
    })
}

/// The last value that a call gave, which is the one that counts.
fn last<'a, T>(sets: &'a [Set], pick: impl Fn(&'a Set) -> Option<T>) -> Option<T> {
    sets.iter().rev().find_map(pick)
}

proptest! {
    #[test]
    fn what_is_put_in_comes_out(sets in vec(set(), 0..12)) {
        let built = build(&sets);
        let bytes = built.checked().expect("small enough");
        let read = MetaRef::parse(bytes).expect("what is written can be read");
        prop_assert_eq!(read, built.view());
        prop_assert_eq!(&read.to_meta(), &built);

        let nanos = last(&sets, |set| match set { Set::Time(t) => Some(*t), _ => None });
        prop_assert_eq!(read.time_ns(), nanos);
        prop_assert_eq!(read.time_us().map(i128::from), nanos.map(|nanos| nanos.div_euclid(1000)));
        prop_assert_eq!(read.event_id(), last(&sets, |set| match set { Set::EventId(id) => Some(*id), _ => None }));
        let correlation = last(&sets, |set| match set { Set::Correlation(id) => Some(*id), _ => None });
        prop_assert_eq!(read.correlation_id(), correlation);
        let causation = last(&sets, |set| match set { Set::Causation(lsn) => Some(Lsn::new(*lsn)), _ => None });
        prop_assert_eq!(read.causation(), causation);
        let stream = last(&sets, |set| match set { Set::Stream(key) => Some(key.view()), _ => None });
        prop_assert_eq!(read.stream(), stream);
        let tags: Vec<_> =
            sets.iter().filter_map(|set| match set { Set::Tag(tag) => Some(tag.as_str()), _ => None }).collect();
        prop_assert_eq!(read.tags().collect::<Vec<_>>(), tags);
        for key in 128..=255 {
            let entry = last(&sets, |set| match set { Set::Entry(at, b) if *at == key => Some(&b[..]), _ => None });
            prop_assert_eq!(read.entry(key), entry);
        }
    }

    #[test]
    fn every_truncation_is_refused_or_ends_between_entries(sets in vec(set(), 1..6)) {
        let built = build(&sets);
        let bytes = built.checked().expect("small enough");
        let all: Vec<_> = built.view().entries().collect();
        for len in 0..bytes.len() {
            if let Ok(read) = MetaRef::parse(&bytes[..len]) {
                let entries: Vec<_> = read.entries().collect();
                prop_assert!(entries.len() < all.len());
                prop_assert_eq!(&entries[..], &all[..entries.len()]);
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_or_read_within_bounds(
        sets in vec(set(), 1..5), at: prop::sample::Index, bit in 0..8_u8,
    ) {
        let mut bytes = build(&sets).checked().expect("small enough").to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        is_refused_or_whole(&bytes)?;
    }

    #[test]
    fn any_bytes_are_refused_or_read_within_bounds(bytes: Vec<u8>) {
        is_refused_or_whole(&bytes)?;
    }
}

/// Metadata that is accepted is the sum of its entries: writing them again gives the same bytes.
fn is_refused_or_whole(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(read) = MetaRef::parse(bytes) else {
        return Ok(());
    };
    let mut again = Vec::new();
    let mut before = 0;
    for (key, value) in read.entries() {
        prop_assert!(key >= before && key > 0);
        before = key;
        again.push(key);
        put_varint(value.len() as u32, &mut again);
        again.extend_from_slice(value);
    }
    prop_assert_eq!(again, bytes);
    let fixed = (
        read.time_us(),
        read.event_id(),
        read.correlation_id(),
        read.causation(),
    );
    let has = |key| read.entry(key).is_some();
    prop_assert_eq!(fixed.0.is_some(), has(TIME));
    prop_assert_eq!(fixed.1.is_some(), has(EVENT_ID));
    prop_assert_eq!(fixed.2.is_some(), has(CORRELATION_ID));
    prop_assert_eq!(fixed.3.is_some(), has(CAUSATION));
    let keys = [STREAM, STREAM_NUMBER, STREAM_ID];
    prop_assert_eq!(read.stream().is_some(), keys.into_iter().any(has));
    prop_assert_eq!(
        read.tags().count(),
        read.entries().filter(|(key, _)| *key == TAG).count()
    );
    Ok(())
}

#[test]
fn malformed_metadata_is_refused_with_the_key_and_the_reason() {
    let refused = |bytes: &[u8], key, problem| {
        assert_eq!(
            MetaRef::parse(bytes),
            Err(EnvelopeError::BadMetadata { key, problem }),
            "{bytes:x?}"
        );
    };
    refused(&[200, 2, 7], 200, "is longer than the metadata");
    refused(&[0, 0], 0, "is no key");
    refused(&[201, 0, 200, 0], 200, "is out of order or repeated");
    refused(&[200, 0, 200, 0], 200, "is out of order or repeated");
    refused(&[5, 0, 5, 0], 5, "is out of order or repeated");
    refused(&[1, 7, 0, 0, 0, 0, 0, 0, 0], 1, "is not 8 bytes long");
    refused(&[4, 0], 4, "is not 8 bytes long");
    refused(&[2, 1, 0], 2, "is not 16 bytes long");
    refused(&[3, 0], 3, "is not 16 bytes long");
    refused(&[5, 1, 0xFF], 5, "is not UTF-8");
    refused(&[6, 1, 0xFF], 6, "is not UTF-8");
    refused(&[7, 1, 0], 7, "is no number below 1,000 in 2 bytes");
    refused(&[7, 2, 0xE8, 3], 7, "is no number below 1,000 in 2 bytes");
    refused(&[8, 1, 0], 8, "is not 8 bytes long");
    refused(&[9, 0], 9, "is not 16 bytes long");
    refused(&[7, 2, 1, 0, 7, 2, 1, 0], 7, "is out of order or repeated");
    let field = "length of an entry of the metadata";
    assert_eq!(MetaRef::parse(&[200]), Err(EnvelopeError::Truncated { field }));
    assert_eq!(
        MetaRef::parse(&[200, 0x80, 0]),
        Err(EnvelopeError::BadNumber { field })
    );
}

#[test]
fn what_a_later_release_wrote_is_kept() {
    let bytes = [6, 1, b'a', 17, 1, 1, 17, 2, 2, 2, 127, 0, 200, 0];
    let read = MetaRef::parse(&bytes).expect("keys that this release does not know are none of its business");
    assert_eq!(read.entry(127), Some(&[][..]));
    let copy = read.to_meta().with_tag("b").with_entry(200, b"x");
    assert_eq!(
        copy.checked(),
        Ok(&[
            6, 1, b'a', 6, 1, b'b', 17, 1, 1, 17, 2, 2, 2, 127, 0, 200, 1, b'x'
        ][..])
    );
}

#[test]
fn what_cannot_be_stored_is_remembered() {
    let max = MAX_METADATA_LEN;
    let long = vec![0; max + 1];
    assert_eq!(
        Meta::new().with_entry(128, &long).checked(),
        Err(MetaError::TooLong { max })
    );
    let fits = Meta::new().with_entry(128, &long[..max - 4]);
    assert_eq!(
        fits.checked().map(<[u8]>::len),
        Ok(max),
        "key, three bytes of length, the rest"
    );
    assert!(
        fits.clone().with_entry(128, &long[..max - 4]).checked().is_ok(),
        "replaced, not added"
    );
    assert_eq!(fits.with_tag("").checked(), Err(MetaError::TooLong { max }));
    assert_eq!(
        Meta::new().with_entry(127, b"").with_tag("later").checked(),
        Err(MetaError::ReservedKey { key: 127 })
    );
    let far = UNIX_EPOCH + Duration::from_secs(i64::MAX as u64 / 2);
    assert_eq!(
        Meta::new().with_time(far).checked(),
        Err(MetaError::TimeOutOfRange)
    );
}

#[test]
fn time_is_whole_microseconds_before_it_on_both_sides_of_1970() {
    let at = |time| Meta::new().with_time(time).time_us();
    assert_eq!(at(UNIX_EPOCH), Some(0));
    assert_eq!(at(UNIX_EPOCH + Duration::from_nanos(1_999)), Some(1));
    assert_eq!(at(UNIX_EPOCH - Duration::from_nanos(1)), Some(-1));
    assert_eq!(at(UNIX_EPOCH - Duration::from_micros(5)), Some(-5));
    let before = UNIX_EPOCH - Duration::from_micros(5);
    assert_eq!(Meta::new().with_time(before).time(), Some(before));
    let extreme = [i64::MIN, i64::MAX].map(|micros| Meta::new().with_time_us(micros));
    assert_eq!(
        extreme.map(|meta| meta.time_us()),
        [Some(i64::MIN), Some(i64::MAX)]
    );
}
