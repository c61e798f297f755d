//! Where the fuzzer starts: logs that the log itself has written, and events in every codec.

use serde::{Deserialize, Serialize};
use wal_db::{Lsn, Meta, Wal, WalRecord};

use super::{decode, image::Image, operations, store::Row};
use crate::{
    files::{FILE_ROW, Form, Place, SEGMENT, SEGMENT_ROW, SLOT},
    payload, quiet, quiet_heap,
};

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "seed")]
struct Seed {
    name: String,
    count: u64,
}

/// Inputs for a target, by its name.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "open" => logs().iter().flat_map(variants).collect(),
        "inspect" | "salvage" => files(),
        "decode" => decode::seeds(),
        "operations" => operations::seeds(),
        _ => Vec::new(),
    }
}

/// The same log with all sorts of flags.
fn variants(image: &Image) -> Vec<Vec<u8>> {
    let flags = [0x4000, 0x7f00, 0x40ff, 0x52ff, 0x61ff, 0x2f00, 0x03ff];
    flags.into_iter().map(|flags| image.encode(flags)).collect()
}

/// Logs in a row, each as a process that was killed or has ended left it.
fn logs() -> Vec<Image> {
    let mut logs = vec![Image::default()];
    for write in [empty, plain, batches, cut, typed] {
        let store = Row::new(Image::default());
        let wal = Wal::with_store_and_config(store.store(), quiet_heap()).unwrap();
        write(&wal);
        logs.push(store.image());
        wal.close().unwrap();
        logs.push(store.image());
    }
    logs
}

fn empty(_: &Wal) {}

fn plain(wal: &Wal) {
    for i in 0..5 {
        wal.append(&payload(i, 10 + i * 7)).unwrap();
        if i % 2 == 0 {
            wal.sync().unwrap();
        }
    }
    wal.drain().unwrap();
}

fn batches(wal: &Wal) {
    wal.append_batch(&[payload(1, 9), payload(2, 0), payload(3, 30)])
        .unwrap();
    wal.sync().unwrap();
    wal.append_in_place(20, |bytes| bytes.fill(7)).unwrap();
    wal.append(&[0; 1500]).unwrap();
    wal.append_batch(&[payload(4, 8), payload(5, 8)]).unwrap();
    wal.drain().unwrap();
}

fn cut(wal: &Wal) {
    plain(wal);
    let lsns: Vec<Lsn> = wal.iter().unwrap().map(|record| record.unwrap().lsn()).collect();
    wal.truncate_after(lsns[3]).unwrap();
    wal.append_and_sync(b"behind the cut").unwrap();
    wal.truncate_before(lsns[1]).unwrap();
    wal.append_and_sync(b"behind both").unwrap();
}

fn typed(wal: &Wal) {
    let log = wal.typed::<Seed>().unwrap();
    for count in 0..3 {
        let name = "a name".into();
        let meta = Meta::new().with_time_us(1).with_stream("s").with_tag("t");
        log.append_with_meta(&Seed { name, count }, &meta).unwrap();
    }
    wal.append_and_sync(b"and one without a type").unwrap();
}

/// Logs in files.
fn files() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for form in [Form::File, Form::Segmented] {
        for write in [empty, plain, batches, cut, typed, long] {
            let place = Place::fast(form);
            let wal = place.open(quiet().with_staging_bytes(64 << 10)).unwrap();
            write(&wal);
            let killed = read(&place);
            wal.close().unwrap();
            for image in [killed, read(&place)] {
                let flags: &[u16] = match form {
                    Form::File => &[0x1000, 0x08ff],
                    Form::Segmented => &[0x1100, 0x09ff, 0x0bff, 0x0dff],
                };
                inputs.extend(flags.iter().map(|&flags| image.encode(flags)));
            }
        }
    }
    inputs
}

/// Into the second segment.
fn long(wal: &Wal) {
    wal.append(&payload(1, 20)).unwrap();
    wal.append(&[0; 50_000]).unwrap();
    wal.append_and_sync(&payload(2, 20)).unwrap();
    wal.append(&[0; 30_000]).unwrap();
    wal.append_and_sync(&payload(3, 20)).unwrap();
}

/// A log in files as an image: empty slots and rows without what was made ready and not written.
fn read(place: &Place) -> Image {
    let manifest = std::fs::read(place.manifest()).unwrap();
    let slot = |slot: usize| {
        let bytes = manifest.get(slot * SLOT as usize..).unwrap_or_default();
        bytes[..bytes.len().min(SLOT as usize)].to_vec()
    };
    let (header, row) = match place.form {
        Form::File => (
            manifest[2 * SLOT as usize..FILE_ROW as usize].to_vec(),
            manifest[FILE_ROW as usize..].to_vec(),
        ),
        Form::Segmented => {
            let mut row = Vec::new();
            let mut header = Vec::new();
            for index in 0.. {
                let Ok(bytes) = std::fs::read(place.segment(index)) else {
                    break;
                };
                let (start, part) = bytes.split_at(SEGMENT_ROW as usize);
                if index == 0 {
                    header = start.to_vec();
                }
                row.resize(index as usize * SEGMENT as usize, 0);
                row.extend_from_slice(part);
            }
            (header, row)
        }
    };
    let used = row.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    Image {
        slots: [slot(0), slot(1)],
        header,
        row: row[..used].to_vec(),
    }
}
