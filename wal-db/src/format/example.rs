//! The worked examples of `docs/format.md`, byte for byte: what the document shows is what this code writes, reads,
//! and opens as a log.

use std::io::Read;

use super::{
    FRAME_HEADER_LEN, FrameKey, FrameWord, GROUP_HEADER_LEN, GroupHeader, Kind, LogId, Manifest, Mark,
    SECTOR, crc32, group,
    schema::SchemaRecord,
    segment::SegmentHeader,
    snapshot::{SnapshotBytes, SnapshotHeader, SnapshotReader, file_name},
    timeline::EpochStart,
};
use crate::{Lsn, MemStore, Position, Wal, WalConfig, WalStore, read::RecordKind};

const DOCUMENT: &str = include_str!("../../../docs/format.md");

const LOG: LogId = LogId([
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
]);
const SEGMENT_LEN: u64 = 65_536;
const HELLO: &[u8] = b"hello";
/// Layout, codec 1, type id 7, version 1, then 42.
const EVENT: &[u8] = &[0xe0, 1, 7, 1, 42];
const FRAMES: [(u64, Kind, &[u8]); 2] = [(64, Kind::Data, HELLO), (80, Kind::Typed, EVENT)];

#[test]
fn the_segment_header() {
    let header = SegmentHeader {
        log: LOG,
        index: 0,
        segment_len: SEGMENT_LEN,
    };
    let shown = shown("segment");
    assert_same(&shown, &header.encode());
    assert_eq!(SegmentHeader::decode(&shown), Ok(header));
}

#[test]
fn the_manifest() {
    let shown = shown("manifest");
    assert_same(&shown, &manifest().encode());
    assert_eq!(Manifest::decode(&shown), Ok(manifest()));
}

#[test]
fn the_stream() {
    let key = FrameKey::new(LOG, 1);
    let mut frames = Vec::new();
    for (pos, kind, payload) in FRAMES {
        let word = FrameWord::seal(key, pos, kind, false, payload.len() as u32, crc32(payload));
        frames.extend_from_slice(&word.to_le_bytes());
        frames.extend_from_slice(payload);
        frames.resize(frames.len().next_multiple_of(8), 0);
    }
    let [data, seal] = groups(&frames);
    let mut stream = data.encode(LOG).to_vec();
    stream.extend_from_slice(&frames);
    stream.resize(SECTOR as usize, 0);
    stream.extend_from_slice(&seal.encode(LOG));
    stream.resize(2 * SECTOR as usize, 0);

    let shown = shown("stream");
    assert_same(&shown, &stream);
    let read = |header: GroupHeader| GroupHeader {
        read: Some(header.digest(LOG)),
        ..header
    };
    assert_eq!(GroupHeader::decode(&shown, 0, LOG), Ok(read(data)));
    assert_eq!(
        GroupHeader::decode(&shown[SECTOR as usize..], SECTOR, LOG),
        Ok(read(seal))
    );
    for (pos, kind, payload) in FRAMES {
        let frame = &shown[pos as usize..];
        let word = FrameWord::read(frame).unwrap();
        assert_eq!(
            (word.kind, word.more, word.len as usize),
            (kind, false, payload.len())
        );
        assert_eq!(&frame[FRAME_HEADER_LEN..][..payload.len()], payload);
        assert!(word.matches(key, pos, payload));
    }
}

/// The numbers in the text: somebody who implements the checksum elsewhere compares with them first.
#[test]
fn the_key_and_the_place() {
    let key = FrameKey::new(LOG, 1);
    assert!(
        DOCUMENT.contains(&format!("`{:#018x}`", key.raw())),
        "{:#018x}",
        key.raw()
    );
    let place = key.place(64, 1 << 28 | HELLO.len() as u32);
    assert!(DOCUMENT.contains(&format!("`{place:#010x}`")), "{place:#010x}");
}

/// The bytes of the document are a log, before the cut that its manifest shows and after it.
#[test]
fn the_examples_open() {
    let hello = (0, RecordKind::Data, HELLO.to_vec());
    let event = (16, RecordKind::Typed, EVENT.to_vec());
    assert_eq!(records(&Manifest::new(LOG, 0).encode()), [hello.clone(), event]);
    let mut cut = manifest();
    cut.segment_len = 0;
    assert_eq!(records(&cut.encode()), [hello]);
}

/// It is of the log in the examples: that holds its position.
#[test]
fn the_snapshot() {
    let wal = example(&Manifest::new(LOG, 0).encode());
    let last = Lsn::new(16);
    let position = Position::after(&wal, last).unwrap();
    let schema = SchemaRecord {
        type_id: 9,
        version: 1,
        name: "sum",
        shape: "u64",
    };
    let payload = [0xe0, 1, 9, 1, 42];
    let header = SnapshotHeader {
        revision: 0,
        position: position.to_bytes(),
        next: last.get() + 1,
        last: Some(last.get()),
        events: 1,
        time_us: None,
        len: payload.len() as u64,
        name: "sum".to_owned(),
        schema: schema.encode(),
    };
    let mut written = Vec::new();
    let mut bytes = SnapshotBytes::new(header.clone(), &payload, || Ok(()));
    bytes.read_to_end(&mut written).unwrap();

    let shown = shown("snapshot");
    assert_same(&shown, &written);
    let mut file = &shown[..];
    let (found, reader) = SnapshotReader::new(&mut file).unwrap();
    assert_eq!(found, header);
    let mut state = Vec::new();
    reader
        .payload(&found, |chunk| {
            state.extend_from_slice(chunk);
            Ok(())
        })
        .unwrap();
    assert_eq!(state, payload);
    assert_eq!(
        wal.seek(Position::from_bytes(&found.position).unwrap()).unwrap(),
        Lsn::new(32)
    );
    let file = file_name("sum", last.get() + 1);
    assert!(DOCUMENT.contains(&format!("`{file}`")), "{file}");
}

/// A typed record with metadata: not part of the stream above, whose bytes would change with it.
#[cfg(all(feature = "derive", feature = "bincode"))]
#[test]
fn the_metadata() {
    use crate::{Lsn, Meta, WalRecord};

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, WalRecord)]
    #[wal(name = "answer", id = 7)]
    struct Answer(u8);

    let wal = Wal::with_store(MemStore::new()).unwrap();
    let meta = Meta::new()
        .with_tag("x")
        .with_entry(200, b"eu-west")
        .with_stream("ab")
        .with_tag("yz")
        .with_causation(Lsn::new(16))
        .with_time_us(1_000_000);
    let lsn = wal
        .typed::<Answer>()
        .unwrap()
        .append_with_meta(&Answer(42), &meta)
        .unwrap();
    let shown = shown("metadata");
    assert_same(&shown, wal.read(lsn).unwrap().data());

    let lsn = wal.append_described(&shown, None).unwrap().0;
    let record = wal.read(lsn).unwrap();
    assert_eq!(record.meta().unwrap(), meta.view());
    assert_eq!(record.decode::<Answer>().unwrap(), Answer(42));
}

fn example(manifest: &[u8]) -> Wal {
    let store = MemStore::new();
    store.write_slot(0, manifest).unwrap();
    store.write_at(0, &shown("stream")).unwrap();
    Wal::with_store_and_config(store, WalConfig::new().with_background_flush(false)).unwrap()
}

fn records(manifest: &[u8]) -> Vec<(u64, RecordKind, Vec<u8>)> {
    example(manifest)
        .iter()
        .unwrap()
        .map(|record| record.unwrap())
        .map(|record| (record.lsn().get(), record.kind(), record.data().to_vec()))
        .collect()
}

fn groups(frames: &[u8]) -> [GroupHeader; 2] {
    let data = GroupHeader {
        pos: 0,
        len: (GROUP_HEADER_LEN + frames.len()) as u32,
        count: 2,
        epoch: 1,
        payload_digest: crc32(frames),
        time_us: 1_700_000_000_000_000,
        ..GroupHeader::default()
    };
    let seal = GroupHeader {
        pos: data.next(),
        len: GROUP_HEADER_LEN as u32,
        ordinal: 2,
        epoch: 1,
        prev_digest: data.digest(LOG),
        durable: data.next(),
        prev: data.pos,
        flags: group::FLAG_SEAL,
        time_us: data.time_us + 5000,
        ..GroupHeader::default()
    };
    [data, seal]
}

fn manifest() -> Manifest {
    let frames = &shown("stream")[GROUP_HEADER_LEN..96];
    let [data, _] = groups(frames);
    let mut manifest = Manifest::new(LOG, SEGMENT_LEN);
    manifest.generation = 3;
    manifest.mark = Mark {
        pos: 1024,
        ordinal: 1,
        prev: data.pos,
        prev_digest: data.digest(LOG),
        epoch: 2,
    };
    let cut = EpochStart {
        start: 1024,
        cut: 80,
        epoch: 2,
    };
    assert!(manifest.timeline.push(cut));
    manifest
}

/// The bytes of the block that the document opens with "```hex", the name, and how many bytes it stands for.
fn shown(name: &str) -> Vec<u8> {
    let start = format!("```hex {name} ");
    let block = DOCUMENT.split_once(&start).expect(name).1;
    let (len, rest) = block.split_once('\n').unwrap();
    let mut bytes = vec![0; len.parse().unwrap()];
    for line in rest.lines().take_while(|line| *line != "```") {
        let mut numbers = line.split(';').next().unwrap().split_whitespace();
        let offset = usize::from_str_radix(numbers.next().unwrap(), 16).unwrap();
        for (i, byte) in numbers.enumerate() {
            bytes[offset + i] = u8::from_str_radix(byte, 16).unwrap();
        }
    }
    bytes
}

#[track_caller]
fn assert_same(shown: &[u8], written: &[u8]) {
    assert_eq!(shown.len(), written.len());
    let differs = (0..shown.len()).find(|&at| shown[at] != written[at]);
    if let Some(at) = differs {
        let end = shown.len().min(at + 16);
        panic!(
            "from {at:04x} on the document shows {:02x?} and the code writes {:02x?}",
            &shown[at..end],
            &written[at..end]
        );
    }
}
