//! Reading a typed record: whatever its envelope, metadata, event and schema are.

use wal_db::{
    Lsn, Record, Wal,
    codec::CodecId,
    schema::{EventSchema, Schemas, Shape},
};

use super::{
    checksums,
    events::KINDS,
    image::{Image, Input},
    store::Row,
};
use crate::{quiet_heap, shapes::ID};

/// The record is the input as it is; otherwise an envelope is put in front.
const RAW: u8 = 1;
/// The shape is text from the input; otherwise that of a type.
const SHAPE: u8 = 1 << 1;
/// The envelope has metadata.
const META: u8 = 1 << 2;

/// The longest payload.
const MAX: usize = 16 << 10;

const CODECS: [CodecId; 3] = [CodecId::BINCODE_2, CodecId::POSTCARD_1, CodecId::JSON];

thread_local! {
    static LOG: Log = Log::new();
}

/// Reads a record with these bytes as a type, as a value by a schema, and as JSON: no panic; what is read can be written and
/// read again.
pub fn decode(input: &[u8]) {
    let mut input = Input(input);
    let (Some(how), Some(which)) = (input.byte(), input.byte()) else {
        return;
    };
    let kind = &KINDS[usize::from(which) % KINDS.len()];
    let text = match how & SHAPE {
        0 => None,
        _ => input.byte().map(|len| input.bytes(len.into())),
    };
    let mut payload = Vec::new();
    if how & RAW == 0 {
        let (codec, version) = (how >> 3 & 3, 1 + (how >> 5));
        payload.extend([0xe0 | u8::from(how & META != 0), codec, ID as u8, version]);
        if how & META != 0 {
            let meta = input
                .byte()
                .map(|len| input.bytes((len & 0x7f).into()))
                .unwrap_or_default();
            payload.push(meta.len() as u8);
            payload.extend_from_slice(meta);
        }
    }
    payload.extend_from_slice(input.0);
    let Some(shape) = shape(text, kind.shape) else {
        return;
    };
    LOG.with(|log| {
        if let Some(record) = log.plant(&payload) {
            envelope(&record);
            (kind.read)(&record);
            value(&record, shape);
        }
    });
}

/// Inputs for every type in every codec and version, and for odd shapes.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (which, kind) in KINDS.iter().enumerate() {
        for codec in CODECS {
            let Some(body) = (kind.sample)(codec) else {
                continue;
            };
            let how = codec.get() << 3;
            let plain = [&[how, which as u8], &body[..]].concat();
            let meta = [&[how | META | 1 << 5, which as u8, 10, 1, 8], &[1; 8][..], &body].concat();
            seeds.extend([plain, meta]);
        }
        let text = [SHAPE | 1 << 3, which as u8, kind.shape.len() as u8];
        seeds.push([&text, kind.shape.as_bytes(), &(kind.sample)(CODECS[0]).unwrap()].concat());
    }
    for shape in [
        "[[unit; 1000000]]",
        "opaque \"uuid@1\" = bytes",
        "rec A [@A; 2]",
        "rec A enum {B(@A)}",
    ] {
        let text = [SHAPE | 1 << 3, 0, shape.len() as u8];
        seeds.push([&text, shape.as_bytes(), &[1; 20]].concat());
    }
    let whole = [0xe1, 1, ID as u8, 1, 10, 1, 8, 0, 0, 0, 0, 0, 0, 0, 1, 7];
    seeds.push([&[RAW, 0], &whole[..]].concat());
    seeds
}

/// The shape to read by. One that parses is written so that it parses to the same.
fn shape(text: Option<&[u8]>, otherwise: &str) -> Option<Shape> {
    let text = match text {
        Some(bytes) => std::str::from_utf8(bytes).ok()?,
        None => otherwise,
    };
    let shape: Shape = text.parse().ok()?;
    let written = shape.to_string();
    let again: Shape = written
        .parse()
        .unwrap_or_else(|error| panic!("{written}: {error}"));
    assert_eq!(again, shape, "{written}");
    assert_eq!(again.fingerprint(), shape.fingerprint());
    Some(shape)
}

fn envelope(record: &Record) {
    let Ok(meta) = record.meta() else { return };
    assert!(record.info().is_ok());
    let _ = (
        meta.time(),
        meta.event_id(),
        meta.correlation_id(),
        meta.causation(),
    );
    let _ = (meta.stream(), meta.tags().count(), format!("{meta:?}"));
    let copy = meta.to_meta();
    assert!(
        copy.view().entries().eq(meta.entries()),
        "{meta:?} is copied as {copy:?}"
    );
}

fn value(record: &Record, shape: Shape) {
    let Ok(info) = record.info() else { return };
    let schema = EventSchema::new(info.type_id, "any", info.version, shape);
    let schemas: Schemas = [schema].into_iter().collect();
    let value = record.to_value(&schemas);
    let json = record.to_json(&schemas);
    if info.codec != CodecId::JSON {
        // What has a text has a value.
        assert!(json.is_err() || value.is_ok(), "{json:?} and {value:?}");
    }
    if let Ok(value) = value {
        let _ = (value.to_string(), value.get("name").cloned());
    }
}

/// A log with one record, which is written over behind its back.
struct Log {
    store: Row,
    wal: Wal,
    id: [u8; 16],
    epoch: u32,
}

impl Log {
    fn new() -> Log {
        let store = Row::new(Image::default());
        let wal = Wal::with_store_and_config(store.store(), quiet_heap()).unwrap();
        wal.append_and_sync(&[1; MAX]).unwrap();
        let image = store.image();
        let (id, epoch) = (
            image.log(),
            u32::from_le_bytes(image.row[32..36].try_into().unwrap()),
        );
        Log {
            store,
            wal,
            id,
            epoch,
        }
    }

    /// The record with this payload; `None` if it is too long.
    fn plant(&self, payload: &[u8]) -> Option<Record> {
        let word = 2 << 28 | payload.len() as u32;
        let crc = checksums::frame(&self.id, self.epoch, 64, word, payload);
        let frame = [&crc.to_le_bytes(), &word.to_le_bytes(), payload].concat();
        if payload.len() > MAX {
            return None;
        }
        self.store
            .edit(|image| image.row[64..64 + frame.len()].copy_from_slice(&frame));
        Some(self.wal.read(Lsn::ZERO).unwrap())
    }
}
