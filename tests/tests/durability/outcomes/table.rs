//! The table of `docs/errors.md`, made by trying: each call in each situation, on a log with staging memory and on one that
//! is written through. What the error says of the record is compared with what is found afterwards.

use std::{collections::BTreeMap, io};

use serde::{Deserialize, Serialize};
use wal_db::{
    Lsn, MemStore, Record, Result, Retention, Start, Wal, WalConfig, WalError, WalRecord,
    schema::Schemas,
    state::{At, State, Store, StoreConfig},
};
use wal_tests::{
    disk::{Disk, EIO, Fault, Op, open},
    payload, put, quiet, quiet_heap, variant,
};

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md"));

/// What is appended, and never anything else.
const LEN: usize = 1_234;

type Run = fn(&Wal, &[u8], Option<&Store<Nothing>>) -> Result<()>;

/// A call, with the number of records that it appends.
struct Call {
    name: &'static str,
    appends: usize,
    run: Run,
}

const fn call(name: &'static str, appends: usize, run: Run) -> Call {
    Call { name, appends, run }
}

const CALLS: [Call; 29] = [
    call("append", 1, |wal, data, _| wal.append(data).map(drop)),
    call("append of 100 KB", 1, |wal, data, _| {
        let large = [data, &vec![7; 100_000][..]].concat();
        wal.append(&large).map(drop)
    }),
    call("append_batch", 2, |wal, data, _| {
        wal.append_batch(&[data, data]).map(drop)
    }),
    call("append_in_place", 1, |wal, data, _| {
        wal.append_in_place(data.len(), |bytes| bytes.copy_from_slice(data))
            .map(drop)
    }),
    call("append_and_sync", 1, |wal, data, _| {
        wal.append_and_sync(data).map(drop)
    }),
    call("append, ticket, wait", 1, |wal, data, _| {
        wal.ticket(wal.append(data)?)?.wait().map(drop)
    }),
    call("Record::append_to", 1, |wal, data, _| {
        elsewhere(data).append_to(wal, &Schemas::default()).map(drop)
    }),
    call("EventLog::append", 1, |wal, data, _| {
        wal.typed::<Noted>()?.append(&Noted::of(data)).map(drop)
    }),
    call("EventLog::append_batch", 2, |wal, data, _| {
        let events = [Noted::of(data), Noted::of(data)];
        wal.typed::<Noted>()?.append_batch(&events).map(drop)
    }),
    call("EventBatch::append", 2, |wal, data, _| {
        let mut batch = wal.batch();
        batch.push(&Noted::of(data))?.push(&Noted::of(data))?;
        batch.append().map(drop)
    }),
    call("EventLog::append_and_sync", 1, |wal, data, _| {
        wal.typed::<Noted>()?.append_and_sync(&Noted::of(data)).map(drop)
    }),
    call("Store::commit", 1, |_, data, store| {
        store.unwrap().commit(Noted::of(data)).map(drop)
    }),
    call("Store::read", 0, |_, _, store| store.unwrap().read(|_| ())),
    call("Store::peek", 0, |_, _, store| store.unwrap().peek(|_| ())),
    call("sync", 0, |wal, _, _| wal.sync()),
    call("ticket, wait", 0, |wal, _, _| wal_tests::sync_to(wal, last(wal))),
    call("drain", 0, |wal, _, _| wal.drain()),
    call("truncate_after", 0, |wal, _, _| wal.truncate_after(first(wal)?)),
    call("truncate_from", 0, |wal, _, _| wal.truncate_from(first(wal)?)),
    call("truncate_before", 0, |wal, _, _| {
        wal.truncate_before(last(wal)).map(drop)
    }),
    call("retain", 0, |wal, _, _| {
        wal.retain(&Retention::new().with_max_bytes(1)).map(drop)
    }),
    call("iter", 0, |wal, _, _| {
        wal.iter()?.try_for_each(|record| record.map(drop))
    }),
    call("iter_rev", 0, |wal, _, _| {
        wal.iter_rev()?.try_for_each(|record| record.map(drop))
    }),
    call("tail of what is durable", 0, |wal, _, _| {
        wal.tail(Start::Head)?.try_next().map(drop)
    }),
    call("verify", 0, |wal, _, _| wal.verify().map(drop)),
    call("hold", 0, |wal, _, _| wal.hold(wal.status().head).map(drop)),
    call("backup_to", 0, |wal, _, _| {
        let dir = tempfile::tempdir().unwrap();
        wal.backup_to(dir.path().join("copy")).map(drop)
    }),
    call("read of what is durable", 0, |wal, _, _| {
        wal.read(first(wal)?).map(drop)
    }),
    call("close", 0, |wal, _, _| wal.clone().close()),
];

/// An event; its text stands in its bytes as it is.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "noted")]
struct Noted {
    text: String,
}

impl Noted {
    fn of(data: &[u8]) -> Noted {
        Noted {
            text: String::from_utf8(data.to_vec()).unwrap(),
        }
    }
}

#[derive(Debug, Default)]
struct Nothing;

impl State for Nothing {
    type Event = Noted;

    fn apply(&mut self, _: Noted, _: At) {}
}

/// A record of another log.
fn elsewhere(data: &[u8]) -> Record {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet()).unwrap();
    let lsn = wal.append(data).unwrap();
    wal.read(lsn).unwrap()
}

/// The record that is durable.
fn first(wal: &Wal) -> Result<Lsn> {
    wal.read_ordinal(0).map(|record| record.unwrap().lsn())
}

/// The last byte of what was appended: for calls that need not be given a record's own place.
fn last(wal: &Wal) -> Lsn {
    Lsn::new(wal.end().get().saturating_sub(8))
}

/// A situation: what makes it, on a log with one durable event.
type Situation = (&'static str, fn(&Disk, &Wal));

const SITUATIONS: [Situation; 7] = [
    ("no space to prepare", |disk, wal| {
        disk.set(Op::Prepare, Fault::Fail(io::ErrorKind::StorageFull));
        // What was prepared is used up first.
        while wal.append_typed(&Noted::of(&[b'a'; LEN])).is_ok() {}
    }),
    ("no space at the write", |disk, wal| {
        wal.append_typed(&Noted::of(&[b'b'; 4_000])).unwrap();
        disk.set(Op::Write, Fault::Fail(io::ErrorKind::StorageFull));
    }),
    ("a write fails", |disk, wal| {
        wal.append_typed(&Noted::of(&[b'b'; 4_000])).unwrap();
        disk.set(Op::Write, Fault::Fail(EIO));
    }),
    ("a flush fails", |disk, wal| {
        wal.append_typed(&Noted::of(&[b'b'; 4_000])).unwrap();
        disk.set(Op::Sync, Fault::Fail(EIO));
    }),
    ("the manifest cannot be written", |disk, wal| {
        wal.append_typed(&Noted::of(&[b'b'; 4_000])).unwrap();
        disk.set(Op::WriteSlot, Fault::Fail(EIO));
    }),
    ("a flush has failed before", |disk, wal| {
        wal.append_typed(&Noted::of(&[b'b'; 4_000])).unwrap();
        disk.set(Op::Sync, Fault::Fail(EIO));
        assert!(wal.sync().is_err());
    }),
    ("closed", |_, wal| wal.clone().close().unwrap()),
];

const FORMS: [(&str, WalConfig); 2] = [("staged", quiet_heap()), ("written through", quiet())];

/// How often the record is in a log that is opened on this disk.
fn found(disk: &Disk, config: WalConfig, data: &[u8]) -> usize {
    let wal = open(disk, config);
    let records = wal.iter().unwrap().map(|record| record.unwrap().into_data());
    records
        // Of an event, after what the log and the codec write in front of it.
        .filter(|found| (0..32).any(|at| found.get(at..at + data.len()) == Some(data)))
        .count()
}

/// Tries one call, and checks what its outcome says of its record.
fn tried(call: &Call, situation: &Situation, form: &(&str, WalConfig), has_store: bool) -> &'static str {
    let (disk, config) = (Disk::new(), form.1);
    let wal = open(&disk, config);
    wal.append_typed(&Noted::of(&[b'c'; 100])).unwrap();
    wal.sync().unwrap();
    // Beside a store, every record is counted. That makes no difference.
    let has_store = has_store || call.name.starts_with("Store");
    let store = has_store.then(|| wal.typed().unwrap().store::<Nothing>(StoreConfig::new()).unwrap());
    (situation.1)(&disk, &wal);
    let data = payload(7, LEN)
        .iter()
        .map(|byte| b'A' + byte % 26)
        .collect::<Vec<u8>>();
    let outcome = (call.run)(&wal, &data, store.as_ref());
    let said = outcome.as_ref().map_or_else(variant, |()| "Ok");
    let what = format!("{} where {}, {}: {outcome:?}", call.name, situation.0, form.0);
    if let Err(WalError::NotDurable { lsn, .. } | WalError::InDoubt { lsn, .. }) = &outcome
        && call.appends > 0
    {
        assert!(lsn.is_some(), "{what}: of which record?");
    }

    // A killed process, with staging memory gone: what is in the store is the least that is there.
    let killed = found(&disk.image(), config, &data);
    disk.heal();
    let later = match wal.sync() {
        Ok(()) => found(&disk.image(), config, &data),
        Err(_) => found(&disk.image(), config, &data).max(killed),
    };
    match said {
        "Ok" | "NotDurable" if wal.status().failure.is_none() => {
            assert_eq!(later, call.appends, "{what}: it is there, once")
        }
        "Ok" | "NotDurable" | "InDoubt" => assert!(later <= call.appends, "{what}: at most once"),
        _ => assert_eq!((killed, later), (0, 0), "{what}: it is absent"),
    }
    said
}

#[test]
fn the_table_of_the_document_is_what_the_calls_say() {
    let mut table = String::from("| call |");
    for (situation, _) in &SITUATIONS {
        table += &format!(" {situation} |");
    }
    table += "\n| --- |";
    table += &" --- |".repeat(SITUATIONS.len());
    for call in &CALLS {
        table += &format!("\n| {} |", call.name);
        for situation in &SITUATIONS {
            let [staged, through] = FORMS.each_ref().map(|form| {
                let outcomes = [false, true].map(|has_store| tried(call, situation, form, has_store));
                assert_eq!(
                    outcomes[0], outcomes[1],
                    "{} beside a store, {}",
                    call.name, situation.0
                );
                outcomes[0]
            });
            table += &match staged == through {
                true => format!(" {staged} |"),
                false => format!(" {staged}; {through} |"),
            };
        }
    }
    is_shown("made by tests/tests/durability/outcomes", &table);
}

/// The document has this table after a comment that says so.
pub(crate) fn is_shown(mark: &str, table: &str) {
    let shown = DOCUMENT
        .split_once(&format!("<!-- {mark} -->\n"))
        .and_then(|(_, rest)| rest.split_once("\n<!-- end -->"))
        .map(|(shown, _)| shown);
    assert!(shown == Some(table), "docs/errors.md should say:\n{table}\n");
}

#[test]
fn a_read_only_handle_a_long_record_and_a_closure_refuse_and_take_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let wal = Wal::open_with(&path, quiet().with_max_record_size(100)).unwrap();
    put(&wal, 1, 100);
    let mut said = BTreeMap::new();
    let mut say = |what: &'static str, outcome: Result<()>| said.insert(what, variant(&outcome.unwrap_err()));
    say("too long", wal.append(&[0; 101]).map(drop));
    say(
        "too long, in a batch",
        wal.append_batch(&[&[1; 1][..], &[0; 101]]).map(drop),
    );
    let mut inside = None;
    wal.append_in_place(1, |_| inside = Some(wal.append(b"x").map(drop)))
        .unwrap();
    say("in a closure", inside.unwrap());
    wal.sync().unwrap();
    let reader = Wal::open_read_only(&path).unwrap();
    say("read-only", reader.append(b"x").map(drop));
    say("read-only, cut", reader.truncate_after(Lsn::ZERO));
    for (what, expected) in [
        ("too long", "RecordTooLarge"),
        ("too long, in a batch", "RecordTooLarge"),
        ("in a closure", "Reentrant"),
        ("read-only", "ReadOnly"),
        ("read-only, cut", "ReadOnly"),
    ] {
        assert_eq!(said[what], expected, "{what}");
    }
    assert_eq!(
        wal.iter().unwrap().count(),
        2,
        "the record and the one of the closure"
    );
}
