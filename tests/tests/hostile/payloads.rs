//! Payloads and schemas that nobody wrote: random bytes, stored events with a few bytes changed, and shapes that claim
//! what no record holds, through every codec, into types and into values without a type. Nothing panics, overflows the
//! stack, or allocates more than the record's size times a constant.
//!
//! Ten million cases:
//!
//! ```text
//! WAL_TESTS_SCALE=1000 cargo test --release -p wal-tests --test hostile payloads
//! ```

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use wal_db::testing::append_payload;
use wal_db::{
    MemStore, Record, Wal, WalRecord,
    codec::CodecId,
    schema::{EventSchema, Schemas, Shape},
};
use wal_tests::files::{Form, Place, SEGMENT_ROW, patch_group};
use wal_tests::random::Rng;
use wal_tests::shapes::{Borrowed, Chain, Choice, ID, Tree, encode};
use wal_tests::{quiet, quiet_heap, scale};

/// How many cases there are at scale 1.
const CASES: u64 = 10_000;

/// What decoding a record of `len` bytes into a type may hold at a time: the largest element here has 256 bytes, and
/// a growing vector has twice its length.
fn typed_limit(len: usize) -> u64 {
    512 * len as u64 + (16 << 10)
}

/// What reading it as a value may hold: eight parts for each byte, in growing vectors, and the spare parts.
fn value_limit(len: usize) -> u64 {
    1024 * len as u64 + (256 << 10)
}

/// A record of that type, in version 1, whose event is `body`.
fn plant(wal: &Wal, codec: CodecId, body: &[u8]) -> Record {
    let mut payload = vec![0xE0, codec.get(), ID as u8, 1];
    payload.extend_from_slice(body);
    let lsn = append_payload(wal, &payload).expect("appends");
    wal.read(lsn).expect("reads")
}

/// A type, as the cases see it.
struct Kind {
    /// Whether all that it writes is read back, by every codec.
    honest: bool,
    shape: &'static str,
    write: fn(&mut Rng, CodecId) -> Option<Vec<u8>>,
    /// Whether a record is one of it.
    read: fn(&Record) -> bool,
}

macro_rules! kinds {
    ($($(#[$attr:meta])* $name:ident($ty:ty) = $shape:literal;)*) => {
        $(
            #[derive(Debug, Serialize, Deserialize, WalRecord)]
            $(#[$attr])*
            struct $name($ty);
        )*

        fn kinds() -> Vec<Kind> {
            vec![
                $(
                    Kind {
                        honest: true,
                        shape: $shape,
                        write: |rng, codec| encode(&rng.any::<$ty>(), codec),
                        read: |record| record.decode::<$name>().is_ok(),
                    },
                )*
                Kind {
                    // JSON hands out neither bytes nor escaped strings without copying them
                    honest: false,
                    shape: "{text: str, raw: [u8]}",
                    write: |rng, codec| encode(&rng.any::<(String, Vec<u8>)>(), codec),
                    read: |record| record.decode_ref::<Borrowed<'_>>().is_ok(),
                },
            ]
        }
    };
}

kinds! {
    #[wal(name = "numbers", id = 1)]
    Numbers((u8, i16, u64, (i128, u128))) = "(u8, i16, u64, (i128, u128))";
    #[wal(name = "text", id = 1)]
    Text((String, char, bool)) = "(str, char, bool)";
    #[wal(name = "units", id = 1)]
    Units(Vec<()>) = "[unit]";
    #[wal(name = "lists", id = 1)]
    Lists(Vec<Vec<Vec<u16>>>) = "[[[u16]]]";
    #[wal(name = "blocks", id = 1)]
    Blocks(Vec<[u64; 32]>) = "[[u64; 32]]";
    #[wal(name = "maps", id = 1)]
    Maps((HashMap<String, Vec<u64>>, BTreeMap<i32, String>)) = "(map<str, [u64]>, map<i32, str>)";
    #[wal(name = "chain", id = 1)]
    Chained(Chain) = "rec 0 option<@0>";
    #[wal(name = "tree", id = 1)]
    Forest(Tree) = "rec 0 {value: i32, children: [@0]}";
    #[wal(name = "choices", id = 1)]
    Choices(Vec<Choice>) = "[rec 0 enum {Nothing, One(u32), Two(str, @0), Named {a: option<bool>, b: [u8]}}]";
}

/// Shapes that no program writes.
fn hostile_shapes() -> Vec<String> {
    let many = |n: usize, part: &str| vec![part; n].join(", ");
    let names: String = (0..100).map(|i| format!("rec A{i} ")).collect();
    vec![
        "[unit; 18446744073709551615]".into(),
        "[[[u8; 1000000]; 1000000]; 1000000]".into(),
        "[[unit; 1000000]]".into(),
        "[[[[u8; 0]; 1000000]; 1000000]; 1000000]".into(),
        "rec A @A".into(),
        "rec A [@A]".into(),
        "rec A [@A; 2]".into(),
        "rec A (@A, @A)".into(),
        "rec A {a: @A, b: [@A; 1000000]}".into(),
        "rec A enum {B(@A)}".into(),
        "rec A option<(@A, @A)>".into(),
        "rec A map<@A, @A>".into(),
        "@Nobody".into(),
        "enum {}".into(),
        r#"opaque "uuid@1""#.into(),
        r#"[opaque "uuid@1"]"#.into(),
        format!("{names}[@A0]"),
        format!("{names}option<@A99>"),
        format!("[{{{}: unit}}]", "n".repeat(100_000)),
        format!("[enum {{{}}}]", "n".repeat(100_000)),
        format!("[({})]", many(10_000, "unit")),
        format!("rec A ({}, u8)", many(64, "@A")),
        format!("{}u8{}", "[".repeat(120), "]".repeat(120)),
        format!("{}u8{}", "option<".repeat(120), ">".repeat(120)),
        format!("{}u8{}", "(".repeat(120), ",)".repeat(120)),
    ]
}

/// Changes a few bytes.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    const TELLING: [u8; 20] = [
        0, 1, 2, 0x7F, 0x80, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, b'[', b']', b'{', b'}', b'"', b',', b':',
        b'9', b'e',
    ];
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len());
        let byte = TELLING[rng.below(TELLING.len())];
        match rng.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, byte),
            2 => bytes.extend(std::iter::repeat_n(byte, rng.below(20))),
            3 if !bytes.is_empty() => drop(bytes.remove(at)),
            4 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            _ if !bytes.is_empty() => bytes[at] = byte,
            _ => {}
        }
    }
}

/// Bytes out of nothing: any, or many of a few.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let len = if rng.below(50) == 0 {
        rng.below(4096)
    } else {
        rng.below(48)
    };
    match rng.below(4) {
        0 => (0..len).map(|_| rng.any()).collect(),
        1 => vec![[0, 1, 2, b'[', 0xFF][rng.below(5)]; len],
        2 => {
            let tokens = [
                "[", "]", "{", "}", "\"a\"", ":", ",", "1e9", "-", "null", "true", "\\u",
            ];
            (0..len)
                .flat_map(|_| tokens[rng.below(tokens.len())].bytes())
                .collect()
        }
        _ => {
            let claim = [0xFD, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0x01];
            let from = rng.below(claim.len());
            let mut bytes = vec![1; rng.below(8)];
            (0..len / 8).for_each(|_| bytes.extend_from_slice(&claim[from..]));
            bytes
        }
    }
}

/// Runs `read` on a record of `len` bytes and holds it to the limit.
fn within<T>(limit: u64, what: &str, record: &Record, read: impl FnOnce() -> T) -> T {
    let mut result = None;
    let cost = allocation_counter::measure(|| result = Some(read()));
    assert!(
        cost.bytes_max <= limit,
        "{what} held {} bytes for a record of {}: {:02x?}",
        cost.bytes_max,
        record.len(),
        record.data()
    );
    result.expect("it ran")
}

fn read_with(record: &Record, shape: &Shape) -> bool {
    let schemas: Schemas = [EventSchema::new(ID, "planter", 1, shape.clone())]
        .into_iter()
        .collect();
    let limit = value_limit(record.len());
    let what = shape.to_string();
    let what = what.get(..200).unwrap_or(&what);
    let value = within(limit, what, record, || record.to_value(&schemas).map(drop));
    let json = within(limit, what, record, || record.to_json(&schemas).map(drop));
    if record.info().expect("typed").codec != CodecId::JSON {
        // what has a value has a text, unless a key cannot be one
        assert!(json.is_err() || value.is_ok());
    }
    value.is_ok()
}

/// Shapes, and what becomes of their texts.
fn some_shape(rng: &mut Rng, texts: &[String]) -> Shape {
    let text = &texts[rng.below(texts.len())];
    let mut changed = text.clone().into_bytes();
    if rng.below(4) == 0 && changed.len() < 1000 {
        let at = rng.below(changed.len());
        let from = rng.below(changed.len());
        changed[at] = changed[from];
    }
    let changed = String::from_utf8(changed).ok().and_then(|text| text.parse().ok());
    changed.unwrap_or_else(|| text.parse().expect("a shape"))
}

#[test]
fn nothing_panics_overflows_or_allocates_without_bound() {
    let kinds = kinds();
    let shapes: Vec<String> = kinds
        .iter()
        .map(|kind| kind.shape.to_owned())
        .chain(hostile_shapes())
        .collect();
    let (mut read, mut refused) = (0_u64, 0_u64);
    let mut wal = None;
    for case in 0..CASES * u64::from(scale()) {
        if case % 1000 == 0 {
            wal = None;
        }
        let wal = wal.get_or_insert_with(|| {
            Wal::with_store_and_config(MemStore::new(), quiet_heap()).expect("a log in memory")
        });
        let rng = &mut Rng::new(case);
        let codec = [CodecId::BINCODE_2, CodecId::POSTCARD_1, CodecId::JSON][rng.below(3)];
        let kind = &kinds[rng.below(kinds.len())];
        let written = if rng.below(3) > 0 {
            (kind.write)(rng, codec)
        } else {
            None
        };
        let intact = written.is_some() && rng.below(8) == 0;
        let mut body = written.unwrap_or_else(|| noise(rng));
        if !intact {
            mutate(rng, &mut body);
        }
        let record = plant(wal, codec, &body);
        let limit = typed_limit(record.len());
        let came_back = within(limit, kind.shape, &record, || (kind.read)(&record));
        let has_shape = read_with(&record, &kind.shape.parse().expect("a shape"));
        if intact {
            assert!(came_back || !kind.honest, "case {case}: {} {codec}", kind.shape);
            assert!(has_shape, "case {case}: {} {codec}", kind.shape);
        }
        let other = &kinds[rng.below(kinds.len())];
        within(limit, other.shape, &record, || (other.read)(&record));
        read_with(&record, &some_shape(rng, &shapes));
        *(if came_back { &mut read } else { &mut refused }) += 1;
    }
    assert!(
        read > CASES / 20 && refused > CASES / 3,
        "{read} read, {refused} refused"
    );
}

#[test]
fn hostile_shapes_are_errors_that_cost_little() {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).expect("a log in memory");
    for text in hostile_shapes() {
        let shape = text.parse().expect("a shape");
        for codec in [CodecId::BINCODE_2, CodecId::POSTCARD_1] {
            for body in [&[][..], &[0; 3], &[1; 300], &[0xFC; 40], &[0xFF; 40], &[2; 3000]] {
                let record = plant(&wal, codec, body);
                read_with(&record, &shape);
            }
        }
    }
}

#[test]
fn a_frame_in_a_segment_that_claims_to_be_large_costs_salvage_little() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).expect("a log");
    for _ in 0..3 {
        wal.append_and_sync(&[1; 40_000]).expect("appends");
    }
    wal.close().expect("closes");
    std::fs::remove_file(place.manifest()).expect("a manifest");
    // Four gigabytes each, of which next to nothing is there.
    for index in 0..2 {
        let mut bytes = std::fs::read(place.segment(index)).expect("a segment");
        bytes[40..48].copy_from_slice(&(4_u64 << 30).to_le_bytes());
        let crc = crc32fast::hash(&bytes[..48]);
        bytes[48..52].copy_from_slice(&crc.to_le_bytes());
        let (header, row) = bytes.split_at_mut(SEGMENT_ROW as usize);
        if index == 0 {
            patch_group(&header[16..32], 0, row, |group| {
                group[16..20].copy_from_slice(&(1_u32 << 30).to_le_bytes());
            });
            row[64 + 4..64 + 8].copy_from_slice(&0x1fff_fff0_u32.to_le_bytes());
        }
        std::fs::write(place.segment(index), bytes).expect("writes");
    }
    let mut items = 0;
    let cost = allocation_counter::measure(|| {
        items = wal_db::recovery::salvage(place.path())
            .expect("salvages")
            .take(1000)
            .count();
    });
    assert!((1..1000).contains(&items), "{items} items");
    assert!(cost.bytes_max < 8 << 20, "{} bytes", cost.bytes_max);
}
