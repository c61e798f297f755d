//! The document of the format is enough to read a log: `contrib/wal_reader.py`, which was written from
//! `docs/format.md` alone and shares nothing with the crate, reads every kind of log and says the same of it, whole or
//! damaged.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wal_db::{
    Lsn, Meta, Wal, WalError, WalRecord, WalSchema,
    codec::{Bincode, Codec, Json, Postcard},
    event::StreamKey,
    read::RecordKind,
    recovery::CorruptionReason,
    schema::Schemas,
};
use wal_tests::{
    files::{FORMS, Form, Place, SECTOR, SEGMENT},
    payload, python_reader, quiet,
    random::Rng,
    scale,
    straddled::{counted, forgetful, straddled},
    verified,
};

/// What the reader printed of a log: the records, and the verdict.
struct Reading {
    records: Vec<Value>,
    verdict: Value,
}

/// Reads logs in one run of the reader; `None`, and a note, if there is no Python.
fn read(paths: &[PathBuf], arguments: &[&str]) -> Option<Vec<Reading>> {
    let arguments = arguments.iter().map(Path::new);
    let lines = python_reader(arguments.chain(paths.iter().map(PathBuf::as_path)))?;
    let (mut readings, mut records) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line.get("verdict").is_none() {
            records.push(line);
            continue;
        }
        readings.push(Reading {
            records: std::mem::take(&mut records),
            verdict: line,
        });
    }
    assert_eq!(readings.len(), paths.len(), "a verdict for each log");
    Some(readings)
}

impl Reading {
    /// The records without schemas, as `(lsn, kind, more, payload)`.
    fn plain(&self) -> Vec<Value> {
        let records = self.records.iter().filter(|record| record["kind"] != "schema");
        records
            .map(|r| json!([r["lsn"], r["kind"], r["more"], r["payload"]]))
            .collect()
    }

    /// The schemas that its links lead to, as `(type, version, name, shape)`.
    fn schemas(&self) -> Vec<Value> {
        let mut schemas = self.verdict["schemas"].as_array().unwrap().clone();
        schemas.sort_by_key(Value::to_string);
        schemas
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The records of the crate in the reader's form, up to the first error.
fn records_of(wal: &Wal) -> (Vec<Value>, Option<WalError>) {
    let mut records = Vec::new();
    let items = match wal.iter() {
        Ok(items) => items,
        Err(error) => return (records, Some(error)),
    };
    for item in items {
        let record = match item {
            Ok(record) => record,
            Err(error) => return (records, Some(error)),
        };
        let kind = match record.kind() {
            RecordKind::Typed => "typed",
            _ => "data",
        };
        records.push(json!([
            record.lsn().get(),
            kind,
            record.batch_continues(),
            hex(record.data())
        ]));
    }
    (records, None)
}

/// Compares what the reader says of a log with what the crate says when it opens it for reading.
fn agrees(path: &Path, reading: &Reading, what: &str) {
    let verdict = &reading.verdict;
    let wal = match quiet().open_read_only(path) {
        Ok(wal) => wal,
        Err(error) => {
            let expected = match &error {
                WalError::Corruption(_) => "damage",
                WalError::NotALog { .. } | WalError::UnsupportedVersion { .. } => "no log",
                other => panic!("{what}: {other}"),
            };
            assert_eq!(verdict["verdict"], expected, "{what}: {error}; {verdict}");
            if let (WalError::Corruption(damage), Some(at)) = (&error, verdict["at"].as_u64()) {
                // What is wrong with a segment as a whole is met wherever in it the log is read first.
                let start = match (damage.reason, damage.segment) {
                    (CorruptionReason::WrongSegment, Some(segment)) => segment * SEGMENT,
                    _ => damage.start,
                };
                assert_eq!(start, at, "{what}: {error}; {verdict}");
            }
            return;
        }
    };
    let recovery = wal.recovery();
    assert_eq!(verdict["verdict"], "end", "{what}: the crate opens it; {verdict}");
    assert_eq!(verdict["at"], recovery.end.get(), "{what}: the end; {verdict}");
    assert_eq!(verdict["epoch"], recovery.epoch, "{what}: the epoch");
    assert_eq!(verdict["head"], wal.status().head.get(), "{what}: the head");
    let (records, error) = records_of(&wal);
    assert_eq!(reading.plain(), records, "{what}: {error:?}; {verdict}");
    assert_eq!(
        error.is_none(),
        verdict["unreadable"].is_null(),
        "{what}: {error:?}; {verdict}"
    );
    if error.is_none() {
        let report = verified(&wal).unwrap();
        let broken: Vec<u64> = report.violations.iter().map(|broken| broken.start).collect();
        let told = verdict["rules"].as_array().unwrap().iter();
        let told: Vec<u64> = told.map(|rule| rule[0].as_u64().unwrap()).collect();
        assert_eq!(told, broken, "{what}: {report:?}; {verdict}");
        let schemas = match wal.schemas() {
            Ok(schemas) => schemas,
            Err(WalError::Corruption(damage)) => {
                assert_eq!(verdict["schemas"], json!([]), "{what}: {damage}; {verdict}");
                return;
            }
            Err(error) => panic!("{what}: {error}"),
        };
        let mut told: Vec<Value> = schemas
            .iter()
            .map(|s| json!([s.type_id, s.version, s.name, s.shape.to_string()]))
            .collect();
        told.sort_by_key(Value::to_string);
        assert_eq!(reading.schemas(), told, "{what}: schemas");
        typed_records_agree(&wal, &schemas, reading, what);
    }
}

/// The envelope, the metadata and the value of each typed record.
fn typed_records_agree(wal: &Wal, schemas: &Schemas, reading: &Reading, what: &str) {
    let typed = reading.records.iter().filter(|record| record["kind"] == "typed");
    for read in typed {
        let lsn = Lsn::new(read["lsn"].as_u64().unwrap());
        let record = wal.read(lsn).unwrap();
        let Ok(info) = record.info() else {
            assert!(read["malformed"].is_string(), "{what}: {read}");
            continue;
        };
        let expected = json!([info.type_id, info.version, info.codec.get()]);
        assert_eq!(
            json!([read["type"], read["version"], read["codec"]]),
            expected,
            "{what}: {read}"
        );
        let meta = record.meta().unwrap();
        let read_meta = read.get("meta").cloned().unwrap_or_else(|| json!({}));
        assert_eq!(read_meta["time"].as_i64(), meta.time_us(), "{what}: {read}");
        assert_eq!(
            read_meta["causation"].as_u64(),
            meta.causation().map(Lsn::get),
            "{what}: {read}"
        );
        let nanos = meta.time_ns().map(|nanos| nanos.rem_euclid(1000) as u64);
        let nanos = nanos.filter(|nanos| *nanos > 0);
        assert_eq!(read_meta["nanoseconds"].as_u64(), nanos, "{what}: {read}");
        let stream = meta.stream().map(|stream| match stream {
            StreamKey::Number(number) => json!(number),
            StreamKey::Id(id) => json!(hex(&id)),
            text => json!(text.to_string()),
        });
        assert_eq!(read_meta.get("stream"), stream.as_ref(), "{what}: {read}");
        let id = |id: Option<[u8; 16]>| id.map(|id| hex(&id));
        assert_eq!(
            read_meta["id"].as_str(),
            id(meta.event_id()).as_deref(),
            "{what}: {read}"
        );
        assert_eq!(
            read_meta["correlation"].as_str(),
            id(meta.correlation_id()).as_deref(),
            "{what}"
        );
        let tags: Vec<&str> = meta.tags().collect();
        let read_tags = read_meta.get("tags").cloned().unwrap_or_else(|| json!([]));
        assert_eq!(read_tags, json!(tags), "{what}: {read}");
        if let Ok(text) = record.to_json(schemas) {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["value"], value, "{what}: {read}");
        }
    }
}

/// Reads one log and compares it.
fn check(place: &Place, what: &str) -> Option<Reading> {
    let mut readings = read(&[place.path()], &["--no-staging"])?;
    let reading = readings.pop()?;
    agrees(&place.path(), &reading, what);
    Some(reading)
}

#[test]
fn schemas_of_which_the_epoch_was_forgotten_are_read() {
    for form in FORMS {
        let place = straddled(form);
        let Some(reading) = check(&place, "a group whose header is gone") else {
            return;
        };
        assert_eq!(reading.schemas().len(), 1, "{form:?}");
        let place = Place::new(form);
        place
            .open(forgetful())
            .unwrap()
            .append_typed(&counted(0))
            .unwrap();
        for _ in 0..12 {
            place.open(forgetful()).unwrap().append(b"x").unwrap();
        }
        place.open(forgetful()).unwrap().close().unwrap();
        let reading = check(&place, "a group that is there").unwrap();
        assert_eq!(reading.schemas().len(), 1, "{form:?}");
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
enum Size {
    Small,
    Of(u32),
    Between(i16, i16),
    Named { name: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Tree {
    value: i8,
    children: Vec<Tree>,
}

/// In the place of `Tree`, whose text calls it the same.
#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
struct Chain {
    trees: Vec<Tree>,
    next: Option<Box<Chain>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "everything")]
struct Everything {
    #[serde(rename = "a \"name\" with \\ and blanks")]
    quoted: bool,
    numbers: (u8, u16, u32, u64, i8, i16, i32, i64),
    wide: (u128, i128),
    floats: (f32, f64),
    letters: (char, char, char),
    text: String,
    nothing: (),
    perhaps: Vec<Option<u16>>,
    three: [u16; 3],
    map: BTreeMap<String, u64>,
    sizes: Vec<Size>,
    tree: Tree,
    chain: Chain,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
enum Shop {
    Opened { owner: String, seats: Option<u32> },
    Sold(u64, Vec<u8>),
    Noted(String),
    Closed,
}

fn everything(turn: u64) -> Everything {
    let edge = [
        0,
        1,
        127,
        128,
        250,
        251,
        252,
        16_383,
        65_535,
        1 << 31,
        1 << 40,
        u64::MAX,
    ][turn as usize % 12];
    Everything {
        quoted: turn.is_multiple_of(2),
        numbers: (
            edge as u8,
            edge as u16,
            edge as u32,
            edge,
            edge as i8,
            -(edge as u8 as i16),
            (edge as i32).wrapping_neg(),
            (edge as i64).wrapping_neg(),
        ),
        wide: (u128::from(edge), -i128::from(edge as u32)),
        floats: (0.5, edge as f64),
        letters: ('a', 'ß', '🦀'),
        text: "\u{20ac}\n\"".repeat(turn as usize % 100),
        nothing: (),
        perhaps: vec![None, Some(edge as u16), None],
        three: [1, edge as u16, 300],
        map: [("b".to_owned(), edge), (String::new(), 2)].into(),
        sizes: vec![
            Size::Small,
            Size::Of(edge as u32),
            Size::Between(-1, edge as i16),
            Size::Named { name: "n".into() },
        ],
        chain: Chain {
            trees: vec![Tree {
                value: 3,
                children: Vec::new(),
            }],
            next: Some(Box::new(Chain {
                trees: Vec::new(),
                next: None,
            })),
        },
        tree: Tree {
            value: -1,
            children: vec![
                Tree {
                    value: edge as i8,
                    children: vec![],
                },
                Tree {
                    value: 2,
                    children: vec![Tree {
                        value: 3,
                        children: vec![],
                    }],
                },
            ],
        },
    }
}

fn append_typed<C: Codec>(wal: &Wal, turn: u64) {
    let meta = Meta::new()
        .with_time_ns(-4_999 + i128::from(turn % 2))
        .with_event_id([turn as u8; 16])
        .with_correlation_id([9; 16])
        .with_causation(Lsn::new(turn))
        .with_stream(match turn % 3 {
            0 => StreamKey::from("stream \u{e4}"),
            1 => turn.into(),
            _ => [turn as u8; 16].into(),
        })
        .with_tag("x")
        .with_tag("yz")
        .with_entry(200, b"eu-west");
    let all = wal.typed::<Everything>().unwrap().with_codec::<C>();
    all.append(&everything(turn)).unwrap();
    all.append_with_meta(&everything(turn + 1), &meta).unwrap();
    let shop = wal.typed::<Shop>().unwrap().with_codec::<C>();
    shop.append_batch(&[
        Shop::Opened {
            owner: "Ada".into(),
            seats: Some(300),
        },
        Shop::Sold(turn, vec![1; 300]),
        Shop::Noted(String::new()),
        Shop::Closed,
    ])
    .unwrap();
}

/// A log with everything in it: plain and typed records, batches, several epochs, both ends cut off, large records.
fn full(form: Form, turns: u64) -> Place {
    let place = Place::fast(form);
    let mut kept = Vec::new();
    for opening in 0..3 {
        let wal = place.open(quiet()).unwrap();
        for turn in opening * turns..(opening + 1) * turns {
            kept.push(wal.append(&payload(turn as usize, 40 * turn as usize)).unwrap());
            wal.append_batch(&[payload(1, 10), payload(2, 500), payload(3, 0)])
                .unwrap();
            append_typed::<Bincode>(&wal, turn);
            append_typed::<Postcard>(&wal, turn);
            append_typed::<Json>(&wal, turn);
            wal.sync().unwrap();
            if turn % 3 == 1 {
                wal.append(b"cut off").unwrap();
                wal.truncate_after(kept[kept.len() - 1]).unwrap();
            }
        }
        wal.append(&payload(9, 70_000)).unwrap();
        wal.truncate_before(kept[kept.len() / 4]).unwrap();
        wal.close().unwrap();
    }
    place
}

#[test]
fn a_full_log_of_each_form_is_read_record_by_record() {
    for form in FORMS {
        let place = full(form, 6);
        let Some(reading) = check(&place, "full") else {
            return;
        };
        assert!(reading.plain().len() > 100);
        assert!(!reading.schemas().is_empty());
        let typed = reading.records.iter().filter(|record| record["kind"] == "typed");
        for record in typed {
            assert!(
                !record["value"].is_null() || record["malformed"].is_null(),
                "{record}"
            );
        }
    }
}

/// What a process that is killed leaves: the crate takes the records in staging memory when it opens the log for
/// writing, and the reader finds the same ones.
#[test]
fn what_a_killed_process_left_in_staging_is_found() {
    for form in FORMS {
        for appended in 0..6 {
            let place = Place::fast(form);
            let wal = place.open(quiet()).unwrap();
            wal.append_and_sync(b"durable").unwrap();
            append_typed::<Bincode>(&wal, 3);
            if appended > 3 {
                wal.sync().unwrap();
            }
            for i in 0..appended {
                wal.append(&payload(i, 9000 * i)).unwrap();
                wal.append_batch(&[payload(1, 3), payload(2, 20_000)]).unwrap();
            }
            if appended == 4 {
                wal.drain().unwrap();
                wal.append(b"after the flush").unwrap();
            }
            let dead = place.killed();
            let Some(mut readings) = read(&[dead.path()], &[]) else {
                return;
            };
            let reading = readings.pop().unwrap();
            let what = format!("{form:?}, {appended}");
            assert_eq!(reading.verdict["verdict"], "end", "{what}: {}", reading.verdict);
            let staged = reading
                .records
                .iter()
                .filter(|r| r["staged"] == true && r["kind"] != "schema");
            let staged = staged.count() as u64;
            let opened = dead.open(quiet()).unwrap();
            assert_eq!(
                opened.recovery().staged_records,
                staged,
                "{what}: {}",
                reading.verdict
            );
            assert_eq!(reading.plain(), records_of(&opened).0, "{what}");
            drop((wal, opened));
            check(&dead, &what);
        }
    }
}

/// One damage of a copy of a log: in its stream, its manifest, its headers or its lengths.
fn damage(place: &Place, rng: &mut Rng) -> String {
    let mut files: Vec<PathBuf> = place
        .bytes()
        .into_keys()
        .map(|name| place.root().join(name))
        .collect();
    files.retain(|file| file.is_file() && !file.ends_with("staging") && *file != place.staging());
    let file = &files[rng.below(files.len())];
    let mut bytes = std::fs::read(file).unwrap();
    let at = place_of_damage(&bytes, rng);
    let what = match rng.below(6) {
        _ if bytes.is_empty() => "an empty file",
        0 => {
            bytes.truncate(at);
            "cut"
        }
        1 => {
            let from = at / SECTOR as usize * SECTOR as usize;
            let end = bytes.len().min(from + SECTOR as usize);
            bytes[from..end].fill(0);
            "a zeroed sector"
        }
        2 => {
            let end = bytes.len().min(at + 1 + rng.below(16));
            bytes[at..end]
                .iter_mut()
                .for_each(|byte| *byte = rng.number() as u8);
            "random bytes"
        }
        3 => {
            bytes.extend(std::iter::repeat_n(rng.number() as u8, 1 + rng.below(2000)));
            "bytes at the end"
        }
        _ => {
            bytes[at] ^= 1 << rng.below(8);
            "a flipped bit"
        }
    };
    std::fs::write(file, bytes).unwrap();
    format!("{what} at {at} of {}", file.file_name().unwrap().display())
}

/// Somewhere, and more often near the start and the last bytes that are not zero, where the decisions fall.
fn place_of_damage(bytes: &[u8], rng: &mut Rng) -> usize {
    let used = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    match rng.below(4) {
        0 => rng.below(bytes.len()),
        1 => rng.below(bytes.len().min(300)),
        2 => used.saturating_sub(1 + rng.below(1500)),
        _ => rng.below(used),
    }
}

#[test]
fn the_reader_and_the_crate_agree_on_damaged_logs() {
    const LOGS: u64 = 300;
    // The same copies in every run, unless another seed is asked for: this compares two programs, and what one seed finds
    // is looked at once.
    let seed = std::env::var("WAL_TESTS_SEED").map_or(1, |_| wal_tests::seed());
    let (mut rng, mut originals) = (Rng::new(seed), Vec::new());
    for form in FORMS {
        originals.push(full(form, 2));
        let crashed = Place::fast(form);
        let wal = crashed.open(quiet()).unwrap();
        for i in 0..12 {
            wal.append(&payload(i, 100 + 300 * i)).unwrap();
            if i == 9 {
                wal.sync().unwrap();
            } else if i % 2 == 1 {
                wal.drain().unwrap();
            }
        }
        originals.push(crashed.without_staging());
    }
    let mut damaged = Vec::new();
    for _ in 0..LOGS * u64::from(scale()) {
        let original = &originals[rng.below(originals.len())];
        let copy = original.killed();
        let mut what = damage(&copy, &mut rng);
        if rng.below(4) == 0 {
            what = format!("{what}, {}", damage(&copy, &mut rng));
        }
        damaged.push((format!("seed {seed}, {:?}: {what}", copy.form), copy));
    }
    let paths: Vec<PathBuf> = damaged.iter().map(|(_, copy)| copy.path()).collect();
    let Some(readings) = read(&paths, &["--no-staging"]) else {
        return;
    };
    let disagrees = |((what, copy), reading): &(&(String, Place), &Reading)| {
        catch_unwind(AssertUnwindSafe(|| agrees(&copy.path(), reading, what))).is_err()
    };
    let disagreements = damaged.iter().zip(&readings).filter(disagrees).count();
    assert_eq!(disagreements, 0, "each is told above");
}
