//! The document of the format is enough to read snapshots, and to know which are to be used: `contrib/wal_reader.py`,
//! which shares nothing with the crate, says the same of them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wal_db::{
    EventLog, Lsn, MemStore, Meta, Position, Wal, WalError, WalRecord,
    event::WalDecodeOwned,
    state::{At, PassedOver, Snapshot, SnapshotError, State, Store, StoreConfig, snapshots},
};
use wal_tests::{
    files::{FORMS, Form, Place},
    note, payload, python_reader, quiet,
    random::Rng,
    scale,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "filled")]
struct Filled {
    len: u64,
}

/// As long as the last event says.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "heap", version = 3)]
struct Heap {
    #[wal(since = 2, default)]
    events: u16,
    text: String,
    #[wal(since = 3, default)]
    times: Vec<Option<i64>>,
}

impl State for Heap {
    type Event = Filled;
    const REVISION: u32 = 0xfedc_ba98;

    fn apply(&mut self, event: Filled, at: At) {
        self.events += 1;
        self.times.push(at.time_us());
        let letter = (b'a' + self.events as u8) as char;
        self.text = std::iter::repeat_n(letter, event.len as usize).collect();
    }
}

/// In each variant in turn.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "door")]
enum Door {
    #[default]
    Closed,
    Open {
        since: Option<i64>,
    },
    Jammed(u64, Vec<u8>),
}

impl State for Door {
    type Event = Filled;

    fn apply(&mut self, event: Filled, at: At) {
        *self = match self {
            Door::Closed => Door::Open { since: at.time_us() },
            Door::Open { .. } => Door::Jammed(event.len, vec![1; 300]),
            Door::Jammed(..) => Door::Closed,
        };
    }
}

fn store<S>(log: &EventLog<Filled>, name: &str) -> Store<S>
where
    S: State<Event = Filled> + WalDecodeOwned + Default + 'static,
{
    let config = StoreConfig::new()
        .with_snapshots(name)
        .with_snapshot_every(u64::MAX);
    log.store(config).unwrap()
}

/// What a record of the state has as its payload, and the event as JSON.
fn stored<S: WalRecord>(state: &S) -> (String, Value) {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let lsn = wal.append_typed(state).unwrap();
    let record = wal.read(lsn).unwrap();
    let value = record.to_json(&wal.schemas().unwrap()).unwrap();
    (hex(record.data()), serde_json::from_str(&value).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the reader says of the snapshots beside each log, by their files; `None`, and a note, if there is no Python.
fn read(logs: &[PathBuf]) -> Option<Vec<BTreeMap<String, Value>>> {
    let arguments = ["--no-staging", "--snapshots"].map(Path::new);
    let lines = python_reader(arguments.into_iter().chain(logs.iter().map(PathBuf::as_path)))?;
    let (mut all, mut beside) = (Vec::new(), BTreeMap::new());
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line.get("verdict").is_some() {
            assert_eq!(line["verdict"], "end", "{line}");
            all.push(std::mem::take(&mut beside));
        } else if let Some(file) = line["file"].as_str() {
            beside.insert(file.to_owned(), line);
        }
    }
    assert_eq!(all.len(), logs.len(), "a verdict for each log");
    Some(all)
}

/// Where the snapshots of a log are.
fn beside(place: &Place) -> PathBuf {
    match place.form {
        Form::File => place.root().join("log.state"),
        Form::Segmented => place.path().join("state"),
    }
}

/// That the reader found this snapshot, of this state.
fn assert_found<S: WalRecord>(found: &Value, snapshot: &Snapshot, state: &S) {
    let (payload, value) = stored(state);
    let what = &snapshot.file;
    assert_eq!(
        found["payload"].as_str().unwrap().len() as u64,
        2 * snapshot.state_bytes
    );
    assert!(found["payload"] == *payload, "{what}: the bytes of the state");
    assert!(found["value"] == value, "{what}: the state");
    let told = json!({
        "file": snapshot.file, "name": snapshot.name, "revision": snapshot.revision,
        "next": snapshot.next.get(), "last": snapshot.last.map(Lsn::get),
        "events": snapshot.events, "time": snapshot.time_us,
    });
    for (key, told) in told.as_object().unwrap() {
        assert_eq!(found[key], *told, "{what}: {key}");
    }
}

#[test]
fn a_reader_of_the_document_finds_the_states_that_were_written() {
    const CHUNK: u64 = 1 << 20;
    let around = |heap: &Heap| stored(heap).0.len() as u64 / 2 - heap.text.len() as u64;
    for form in FORMS {
        let place = Place::fast(form);
        let log = place.open(quiet()).unwrap().typed::<Filled>().unwrap();
        let (heap, door) = (store::<Heap>(&log, "heap"), store::<Door>(&log, "door-2_"));
        let mut made = Vec::new();
        for (turn, size) in [
            0,
            1,
            70_000,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            2 * CHUNK,
            5 * CHUNK / 2,
        ]
        .into_iter()
        .enumerate()
        {
            // So that the payload has this size, once it is more than a few bytes.
            let mut supposed = heap.view().unwrap().state.clone();
            let meta = match turn % 3 {
                0 => Meta::new(),
                1 => Meta::new().with_time_us(-5),
                _ => Meta::new().with_time_us(1 << 50),
            };
            supposed.events += 1;
            supposed.times.push(meta.time_us());
            supposed.text = "x".repeat(size as usize);
            let len = size.saturating_sub(around(&supposed));
            // Without a store, which would give it a time.
            log.append_with_meta(&Filled { len }, &meta).unwrap();
            log.wal().sync().unwrap();
            let snapshots = (
                heap.snapshot().unwrap().unwrap(),
                door.snapshot().unwrap().unwrap(),
            );
            assert!(size < CHUNK || snapshots.0.state_bytes == size, "{snapshots:?}");
            let states = (
                heap.view().unwrap().state.clone(),
                door.view().unwrap().state.clone(),
            );
            made.push((place.killed(), snapshots, states));
        }
        drop((heap, door, log));
        let paths: Vec<PathBuf> = made.iter().map(|(copy, ..)| copy.path()).collect();
        let Some(found) = read(&paths) else {
            return;
        };
        for ((_, snapshots, states), found) in made.iter().zip(&found) {
            assert_found(&found[&snapshots.0.file], &snapshots.0, &states.0);
            assert_found(&found[&snapshots.1.file], &snapshots.1, &states.1);
        }
        let last = found.last().unwrap();
        assert_eq!(last.len(), 4, "two of each state");
    }
}

/// Why the crate does not use a snapshot, in the words of the reader.
fn reason(passed: &PassedOver) -> &'static str {
    match &passed.error {
        SnapshotError::Log(error) => match **error {
            WalError::OtherLog { .. } => "another log",
            WalError::Diverged { .. } => "another history",
            WalError::CutBack { .. } => "cut",
            WalError::BeyondEnd { .. } => "beyond the end",
            WalError::Truncated { .. } => "dropped",
            _ => panic!("{passed}"),
        },
        SnapshotError::OtherName { .. } => "another name",
        SnapshotError::NewerFormat { .. } => "another version",
        _ => "damage",
    }
}

/// Compares what the crate says of the snapshots beside a log with what the reader says; returns how often it was what.
fn agree(place: &Place, found: &BTreeMap<String, Value>, what: &str) -> BTreeMap<String, u64> {
    let wal = quiet().open_read_only(place.path()).unwrap();
    let (whole, passed_over) = snapshots(&wal).unwrap();
    let mut told = BTreeMap::new();
    assert_eq!(found.len(), whole.len() + passed_over.len(), "{what}");
    for snapshot in whole {
        let found = &found[&snapshot.file];
        assert_eq!(found["unusable"], Value::Null, "{what}, {}", snapshot.file);
        assert_eq!(found["next"], snapshot.next.get(), "{what}, {}", snapshot.file);
        *told.entry("whole".to_owned()).or_default() += 1;
    }
    for passed in passed_over {
        let (reason, found) = (reason(&passed), &found[&passed.file]["unusable"]);
        match reason {
            "damage" => assert!(found.is_string(), "{what}, {passed}"),
            reason => assert_eq!(found, reason, "{what}, {passed}"),
        }
        *told.entry(reason.to_owned()).or_default() += 1;
    }
    told
}

/// A snapshot as the document has it, of the state `name` after the record at `last`; `newer` is its version and features.
fn written(
    name: &str,
    newer: (u32, u32),
    position: &Position,
    last: Lsn,
    payload: &[u8],
) -> (String, Vec<u8>) {
    let mut bytes = b"WALDBSNP".to_vec();
    bytes.extend(newer.0.to_le_bytes());
    bytes.extend(newer.1.to_le_bytes());
    bytes.extend(position.to_bytes());
    for number in [last.get() + 1, last.get(), 1, 1 << 63] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend((name.len() as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((payload.len() as u64).to_le_bytes());
    bytes.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(name.as_bytes());
    let header = crc32fast::hash(&bytes).to_le_bytes();
    bytes.extend(header);
    for (index, chunk) in payload.chunks(1 << 20).enumerate() {
        let index = (index as u64).to_le_bytes();
        bytes.extend(crc32fast::hash(&[&header, &index[..], chunk].concat()).to_le_bytes());
        bytes.extend(chunk);
    }
    (format!("{name}.{:020}.snap", last.get() + 1), bytes)
}

fn put(place: &Place, files: &[(String, Vec<u8>)]) {
    let dir = beside(place);
    fs::create_dir_all(&dir).unwrap();
    for (file, bytes) in files {
        fs::write(dir.join(file), bytes).unwrap();
    }
}

#[test]
fn a_reader_of_the_document_knows_a_damaged_snapshot() {
    let (place, mut rng) = (Place::fast(Form::File), Rng::new(wal_tests::seed()));
    let wal = place.open(quiet()).unwrap();
    let last = wal.append_and_sync(b"an event").unwrap();
    let position = Position::after(&wal, last).unwrap();
    drop(wal);
    let mut files = Vec::new();
    for number in 0..400 * scale() {
        let state = payload(1, if number % 20 == 0 { 1_100_000 } else { 100 });
        let state = [b"\xe0\x01\x07\x01", &state[..]].concat();
        let (kind, newer) = (rng.below(9), [(2, 0), (1, 4)][rng.below(2)]);
        let version = if kind == 8 { newer } else { (1, 0) };
        let (mut file, whole) = written(&format!("of-{number}"), version, &position, last, &state);
        let mut bytes = whole.clone();
        let limit = [bytes.len(), 180][rng.below(2)];
        let at = rng.below(limit);
        match kind {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.number() as u8),
            2 => bytes.extend(&whole[at..]),
            3 => file = file.replace("of", "off"),
            4 => file = file.replacen('.', ".1", 1).replace("0.snap", ".snap"),
            5 | 8 => {}
            _ => bytes[at] ^= 1 << rng.below(8),
        }
        files.push((file, bytes));
    }
    put(&place, &files);
    let Some(found) = read(&[place.path()]) else {
        return;
    };
    let told = agree(&place, &found[0], &format!("seed {}", wal_tests::seed()));
    for kind in ["whole", "damage", "another name", "another version"] {
        assert!(told.contains_key(kind), "{told:?}");
    }
}

/// Some years of a log: records come and go at both ends. Snapshots of it are made at any time, and kept.
struct Life {
    place: Place,
    lsns: Vec<Lsn>,
}

impl Life {
    fn a_day(&mut self, rng: &mut Rng, name: &str, files: &mut Vec<(String, Vec<u8>)>) {
        let wal = self.place.open(quiet()).unwrap();
        for _ in 0..rng.below(6) {
            for _ in 0..1 + rng.below(3) {
                let limit = [600, 600, 40_000][rng.below(3)];
                let len = rng.below(limit);
                self.lsns.push(wal.append(&payload(len, len)).unwrap());
            }
            wal.sync().unwrap();
            let some = self.lsns[rng.below(self.lsns.len())];
            match rng.below(8) {
                0 => {
                    wal.truncate_after(some).unwrap();
                    self.lsns.retain(|lsn| *lsn <= some);
                }
                1 => {
                    wal.truncate_before(some).unwrap();
                    self.lsns.retain(|lsn| *lsn >= some);
                }
                _ => {
                    let position = Position::after(&wal, some).unwrap();
                    let name = format!("{name}{}", files.len());
                    files.push(written(&name, (1, 0), &position, some, b"\xe0\x01\x07\x01\x2a"));
                }
            }
        }
        wal.close().unwrap();
    }
}

/// Every snapshot that was ever made, of a log, of copies of it that went on by themselves, and of other logs.
#[test]
fn a_reader_of_the_document_knows_which_snapshots_a_log_holds() {
    let (seed, mut told) = (wal_tests::seed(), BTreeMap::<String, u64>::new());
    let mut rng = Rng::new(seed);
    let (mut lives, mut files) = (Vec::new(), Vec::new());
    for number in 0..24 * scale() {
        let form = FORMS[rng.below(2)];
        let mut own = Vec::new();
        let mut family = vec![Life {
            place: Place::fast(form),
            lsns: Vec::new(),
        }];
        for _ in 0..12 {
            let which = rng.below(family.len());
            family[which].a_day(&mut rng, &format!("of-{number}-"), &mut own);
            if family.len() < 3 && rng.below(3) == 0 {
                let Life { place, lsns } = &family[which];
                family.push(Life {
                    place: place.killed(),
                    lsns: lsns.clone(),
                });
            }
        }
        for life in &family {
            put(&life.place, &own);
            // Those of the log before.
            put(&life.place, &files);
        }
        lives.extend(family);
        files = own.split_off(own.len() - 1);
    }
    let paths: Vec<PathBuf> = lives.iter().map(|life| life.place.path()).collect();
    let Some(found) = read(&paths) else {
        return;
    };
    for (number, (life, found)) in lives.iter().zip(&found).enumerate() {
        let what = format!("seed {seed}, log {number}, {:?}", life.place.form);
        for (reason, count) in agree(&life.place, found, &what) {
            *told.entry(reason).or_default() += count;
        }
    }
    note(&format!("snapshots of {} logs: {told:?}", lives.len()));
    for kind in [
        "whole",
        "another log",
        "another history",
        "cut",
        "dropped",
        "beyond the end",
    ] {
        assert!(told.contains_key(kind), "{told:?}");
    }
}
