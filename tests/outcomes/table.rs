//! The table of `docs/errors.md`, made by trying: each call in each situation, on a log with staging memory and on one that
//! is written through. What the error says of the record is compared with what is found afterwards.

use std::{collections::BTreeMap, io};

use wal_db::{Lsn, Result, Retention, Wal, WalConfig, WalError};
use wal_tests::{
    disk::{Disk, EIO, Fault, Op, open},
    payload, put, quiet, quiet_heap,
};

const DOCUMENT: &str = include_str!("../../docs/errors.md");

/// What is appended, and never anything else.
const LEN: usize = 1_234;

/// A call, with the number of records that it appends.
struct Call {
    name: &'static str,
    appends: usize,
    run: fn(&Wal, &[u8]) -> Result<()>,
}

const fn call(name: &'static str, appends: usize, run: fn(&Wal, &[u8]) -> Result<()>) -> Call {
    Call { name, appends, run }
}

const CALLS: [Call; 15] = [
    call("append", 1, |wal, data| wal.append(data).map(drop)),
    call("append of 100 KB", 1, |wal, data| {
        let large = [data, &vec![7; 100_000][..]].concat();
        wal.append(&large).map(drop)
    }),
    call("append_batch", 2, |wal, data| {
        wal.append_batch(&[data, data]).map(drop)
    }),
    call("append_with", 1, |wal, data| {
        wal.append_with(data.len(), |bytes| bytes.copy_from_slice(data))
            .map(drop)
    }),
    call("append_and_sync", 1, |wal, data| {
        wal.append_and_sync(data).map(drop)
    }),
    call("append_durable, wait", 1, |wal, data| {
        wal.append_durable(data)?.wait().map(drop)
    }),
    call("sync", 0, |wal, _| wal.sync()),
    call("sync_to", 0, |wal, _| wal.sync_to(last(wal))),
    call("flush", 0, |wal, _| wal.flush()),
    call("truncate_after", 0, |wal, _| wal.truncate_after(Lsn::ZERO)),
    call("truncate_before", 0, |wal, _| {
        wal.truncate_before(last(wal)).map(drop)
    }),
    call("retain", 0, |wal, _| {
        wal.retain(&Retention::new().with_max_bytes(1)).map(drop)
    }),
    call("iter", 0, |wal, _| {
        wal.iter()?.try_for_each(|record| record.map(drop))
    }),
    call("read of what is durable", 0, |wal, _| {
        wal.read(Lsn::ZERO).map(drop)
    }),
    call("close", 0, |wal, _| wal.clone().close()),
];

/// The last byte of what was appended: for calls that need not be given a record's own place.
fn last(wal: &Wal) -> Lsn {
    Lsn::new(wal.end().get().saturating_sub(8))
}

/// A situation: what makes it, on a log with one durable record.
type Situation = (&'static str, fn(&Disk, &Wal));

const SITUATIONS: [Situation; 7] = [
    ("no space to prepare", |disk, wal| {
        disk.set(Op::Prepare, Fault::Fail(io::ErrorKind::StorageFull));
        // What was prepared is used up first.
        while wal.append(&[3; LEN]).is_ok() {}
    }),
    ("no space at the write", |disk, wal| {
        wal.append(&[3; 4_000]).unwrap();
        disk.set(Op::Write, Fault::Fail(io::ErrorKind::StorageFull));
    }),
    ("a write fails", |disk, wal| {
        wal.append(&[3; 4_000]).unwrap();
        disk.set(Op::Write, Fault::Fail(EIO));
    }),
    ("a flush fails", |disk, wal| {
        wal.append(&[3; 4_000]).unwrap();
        disk.set(Op::Sync, Fault::Fail(EIO));
    }),
    ("the manifest cannot be written", |disk, wal| {
        wal.append(&[3; 4_000]).unwrap();
        disk.set(Op::WriteSlot, Fault::Fail(EIO));
    }),
    ("a flush has failed before", |disk, wal| {
        wal.append(&[3; 4_000]).unwrap();
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
    records.filter(|found| found.starts_with(data)).count()
}

fn name(outcome: &Result<()>) -> &'static str {
    match outcome {
        Ok(()) => "Ok",
        Err(WalError::Full { .. }) => "Full",
        Err(WalError::NotDurable { .. }) => "NotDurable",
        Err(WalError::InDoubt { .. }) => "InDoubt",
        Err(WalError::Poisoned { .. }) => "Poisoned",
        Err(WalError::Closed) => "Closed",
        Err(WalError::Io { .. }) => "Io",
        Err(error) => panic!("an outcome that the document does not know: {error:?}"),
    }
}

/// Tries one call, and checks what its outcome says of its record.
fn tried(call: &Call, situation: &Situation, form: &(&str, WalConfig)) -> &'static str {
    let (disk, config) = (Disk::new(), form.1);
    let wal = open(&disk, config);
    put(&wal, 1, 100);
    wal.sync().unwrap();
    (situation.1)(&disk, &wal);
    let data = payload(7, LEN);
    let outcome = (call.run)(&wal, &data);
    let said = name(&outcome);
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
        "Ok" | "NotDurable" if wal.poisoned_by().is_none() => {
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
            let [staged, through] = FORMS.each_ref().map(|form| tried(call, situation, form));
            table += &match staged == through {
                true => format!(" {staged} |"),
                false => format!(" {staged}; {through} |"),
            };
        }
    }
    let shown = DOCUMENT
        .split_once("<!-- made by tests/outcomes -->\n")
        .and_then(|(_, rest)| rest.split_once("\n<!-- end -->"))
        .map(|(shown, _)| shown);
    assert_eq!(
        shown,
        Some(table.as_str()),
        "docs/errors.md should say:\n{table}\n"
    );
}

#[test]
fn a_read_only_handle_a_long_record_and_a_closure_refuse_and_take_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let wal = Wal::open_with(&path, quiet().with_max_record_size(100)).unwrap();
    put(&wal, 1, 100);
    let mut said = BTreeMap::new();
    let mut say = |what: &'static str, outcome: Result<()>| said.insert(what, format!("{outcome:?}"));
    say("too long", wal.append(&[0; 101]).map(drop));
    say(
        "too long, in a batch",
        wal.append_batch(&[&[1; 1][..], &[0; 101]]).map(drop),
    );
    let mut inside = None;
    wal.append_with(1, |_| inside = Some(wal.append(b"x").map(drop)))
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
        assert!(said[what].contains(expected), "{what}: {}", said[what]);
    }
    assert_eq!(
        wal.iter().unwrap().count(),
        2,
        "the record and the one of the closure"
    );
}
