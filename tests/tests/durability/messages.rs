//! What the errors say to people: each names what happened, where, and what to do about it. One mistake of each kind.

use std::{fs, io, os::unix::fs::FileExt, path::PathBuf};

use serde::{Deserialize, Serialize};
use wal_db::{
    Lsn, MemStore, Position, Result, SegmentedStore, Start, Wal, WalConfig, WalError, WalRecord,
    read::RecordKind,
    state::{At, State, StoreConfig},
};
use wal_tests::{
    assert_is,
    disk::{Disk, EIO, Fault, Op},
    files::{FORMS, Form, Place, SEGMENT, SLOT},
    payload, put, quiet, quiet_heap,
    scripted::Scripted,
};

/// The message, with those of its sources, has every part, each says what the others do not, and there is no trace of how
/// Rust prints values for programmers. It is what `main` prints.
#[track_caller]
fn says<T>(outcome: Result<T>, parts: &[&str]) -> String {
    let Err(error) = outcome else {
        panic!("no error; it should say {parts:?}");
    };
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        assert!(!text.contains(&cause_text), "{cause_text:?} twice, in {text:?}");
        text += &format!("\n  caused by: {cause_text}");
        source = cause.source();
    }
    assert_eq!(format!("{error:?}"), text);
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
    for debug in ["Some(", "None", "Err(", "Ok(", "WalError", "{ ", "\\\""] {
        assert!(!text.contains(debug), "{debug:?} in {text:?}");
    }
    text
}

/// The path of a place as messages have it.
fn at(place: &Place) -> String {
    place.path().display().to_string()
}

/// A log of some records, closed.
fn closed(form: Form) -> Place {
    let place = Place::new(form);
    let wal = place.open(quiet()).unwrap();
    for seed in 0..10 {
        put(&wal, seed, 1000);
    }
    wal.close().unwrap();
    place
}

const NAME: &str = "/srv/app/log";

/// A log on a disk that has a path, for messages only.
fn on_a_disk(config: WalConfig) -> (Disk, Wal) {
    let disk = Disk::new();
    let mut named = Scripted::new(disk.clone(), |_, _| Ok(None));
    named.location = Some(NAME.into());
    (disk, Wal::with_store_and_config(named, config).unwrap())
}

fn fill_up(wal: &Wal) -> WalError {
    loop {
        if let Err(error) = wal.append(&[3; 1000]) {
            return error;
        }
    }
}

#[test]
fn what_the_system_refuses_has_a_path() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("missing").join("log");
    let path = missing.display().to_string();
    says(
        Wal::open(&missing),
        &["opening the log's directory", &path, "No such file"],
    );
    says(Wal::open_read_only(&missing), &[&path, "No such file"]);
    says(wal_db::recovery::inspect(&missing), &[&path, "No such file"]);
    says(wal_db::recovery::salvage(&missing), &[&path, "No such file"]);
    for form in FORMS {
        let place = closed(form);
        let wal = place.open(quiet()).unwrap();
        let taken = place.root().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("file"), "mine").unwrap();
        says(
            wal.backup_to(&taken),
            &["making a backup", &taken.display().to_string()],
        );
    }
}

#[test]
fn damage_has_a_path_a_place_and_a_way_on() {
    for form in FORMS {
        let place = closed(form);
        let wal = place.open(quiet()).unwrap();
        let first = wal.iter().unwrap().next().unwrap().unwrap().lsn();
        place.flip(first.get() + 64 + 100);
        let read = says(
            wal.read(first),
            &[
                &at(&place),
                &format!("LSN {first}"),
                "checksum",
                "wal_db::recovery::salvage",
            ],
        );
        assert_eq!(read.contains("(segment 0)"), form == Form::Segmented, "{read}");
        let report = wal.verify().unwrap();
        assert!(!report.is_intact());
        for damage in report.damage {
            assert_eq!(damage.path(), Some(place.path().as_path()));
        }
    }
    // A manifest of which both copies are damaged.
    for form in FORMS {
        let place = closed(form);
        let file = fs::File::options().write(true).open(place.manifest()).unwrap();
        file.write_all_at(&[1; 4096], 100).unwrap();
        file.write_all_at(&[1; 4096], SLOT + 100).unwrap();
        let parts = ["both copies of the manifest", "wal_db::recovery::salvage"];
        for text in [
            says(place.open(quiet()), &parts),
            says(Wal::open_read_only(place.path()), &parts),
            wal_db::recovery::inspect(place.path())
                .unwrap()
                .damage
                .unwrap()
                .to_string(),
        ] {
            assert!(text.contains(&at(&place)), "{text}");
        }
    }
    let place = closed(Form::Segmented);
    fs::remove_file(place.manifest()).unwrap();
    says(
        place.open(quiet()),
        &[
            &at(&place),
            "the manifest is missing",
            "wal_db::recovery::salvage",
        ],
    );
    let damage = wal_db::recovery::inspect(place.path()).unwrap().damage.unwrap();
    assert_eq!(damage.path(), Some(place.path().as_path()));
}

#[test]
fn a_full_disk_says_which_log_and_what_helps() {
    for (kind, parts) in [
        (
            io::ErrorKind::StorageFull,
            &["free some space and append again"][..],
        ),
        (io::ErrorKind::QuotaExceeded, &["quota"]),
        (
            io::ErrorKind::FileTooLarge,
            &["ulimit -f", "Wal::open_segmented", "whatever is dropped"],
        ),
    ] {
        let (disk, wal) = on_a_disk(quiet_heap());
        disk.set(Op::Prepare, Fault::Fail(kind));
        let error = fill_up(&wal);
        assert_is!(error, WalError::Full { kind: said, .. } if *said == kind);
        assert_eq!(io::Error::from(fill_up(&wal)).kind(), kind);
        let text = says::<()>(Err(error), &["no space left in", NAME, "nothing was appended"]);
        says::<()>(Err(fill_up(&wal)), parts);
        assert_eq!(
            text.contains("free some space"),
            kind != io::ErrorKind::FileTooLarge,
            "{text}"
        );
    }
}

#[test]
fn what_was_taken_and_is_not_durable_says_not_to_append_it_again() {
    let (disk, wal) = on_a_disk(quiet_heap());
    disk.set(Op::Write, Fault::Fail(io::ErrorKind::StorageFull));
    let one = says(
        wal.append_and_sync(b"one"),
        &[
            "the record at LSN 0 was appended",
            NAME,
            "is not durable yet",
            "do not append it again",
        ],
    );
    assert!(one.contains("free some space and sync"), "{one}");
    says(
        wal.sync(),
        &[
            "records were appended",
            NAME,
            "are not durable yet",
            "do not append them again",
        ],
    );
}

#[test]
fn a_failed_write_or_flush_says_of_which_log_it_was() {
    for (op, doing) in [(Op::Write, "writing"), (Op::Sync, "flushing")] {
        let (disk, wal) = on_a_disk(quiet_heap());
        let lsn = wal.append(b"one").unwrap();
        disk.set(op, Fault::Fail(EIO));
        let text = says(
            wal_tests::sync_to(&wal, lsn),
            &["in doubt", "LSN 0", doing, NAME, "reopen"],
        );
        says(wal.append(b"two"), &["poisoned", doing, NAME, "reopen"]);
        let status = wal.status();
        assert!(status.failure.unwrap().contains(doing), "{text}");
        assert_eq!(status.path, Some(NAME.into()));
    }
}

#[test]
fn what_is_no_log_is_called_by_its_name() {
    let segments = closed(Form::Segmented);
    let file = closed(Form::File);
    // Left by a process that died.
    let killed = {
        let place = Place::new(Form::Segmented);
        let wal = place.open(quiet()).unwrap();
        wal.append(b"staged").unwrap();
        place.killed()
    };
    let inside = |name: &str| segments.path().join(name);
    let directory = segments.path().display().to_string();
    let cases: [(PathBuf, &[&str]); 6] = [
        (
            inside("0000000000.seg"),
            &[
                &directory,
                "a segment of the log in this directory",
                "open the directory",
            ],
        ),
        (
            inside("manifest"),
            &[
                &directory,
                "the manifest of the log in this directory",
                "open the directory",
            ],
        ),
        (killed.staging(), &["the staging memory of a log", "open the log"]),
        (segments.path(), &["it is a directory", "open_segmented"]),
        (PathBuf::from("/dev/null"), &["/dev/null", "not a regular file"]),
        (
            {
                let text = file.root().join("notes.txt");
                fs::write(&text, "notes").unwrap();
                text
            },
            &["notes.txt", "too short"],
        ),
    ];
    for (path, parts) in cases {
        let text = says(Wal::open_with(&path, quiet()), parts);
        assert!(text.contains("it was not touched"), "{text}");
    }
    says(
        Wal::open_segmented(file.path(), SEGMENT),
        &[&at(&file), "a log in one file", "Wal::open"],
    );
    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("notes.txt"), "notes").unwrap();
    says(
        Wal::open_segmented(foreign.path(), SEGMENT),
        &[&foreign.path().display().to_string(), "something else"],
    );
}

/// As much as the events say.
#[derive(Debug, Default, Serialize, Deserialize, WalRecord)]
#[wal(name = "filled")]
struct Filled {
    text: String,
}

impl State for Filled {
    type Event = Filled;

    fn apply(&mut self, event: Filled, _: At) {
        self.text += &event.text;
    }
}

/// What is not longer than the header of a log, and what is.
#[test]
fn a_file_beside_a_log_is_called_by_its_name() {
    for form in FORMS {
        let place = Place::new(form);
        let log = place.open(quiet()).unwrap().typed::<Filled>().unwrap();
        let config = StoreConfig::new().with_snapshots("filled");
        let store = log.store::<Filled>(config).unwrap();
        let state = match form {
            Form::File => place.root().join("log.state"),
            Form::Segmented => place.path().join("state"),
        };
        for len in [10, 200_000] {
            let text = "x".repeat(len);
            store.commit(Filled { text }).unwrap();
            let snapshot = state.join(store.snapshot().unwrap().unwrap().file);
            let table = place.root().join("log.cuts-0");
            fs::write(&table, [&b"WALDBCUT"[..], &payload(1, len)].concat()).unwrap();
            for (path, is) in [
                (snapshot, "it is a snapshot of a state; open the log beside it"),
                (
                    table,
                    "it is the table of what was cut off of a log; open the log",
                ),
            ] {
                let opened = [
                    Wal::open_with(&path, quiet()),
                    Wal::open_segmented_with(&path, SEGMENT, quiet()),
                    Wal::open_read_only(&path),
                ];
                for opened in opened {
                    let text = says(opened, &[&path.display().to_string(), is]);
                    assert!(text.contains("it was not touched"), "{text}");
                }
            }
        }
    }
}

#[test]
fn a_log_that_is_empty_or_whose_making_was_interrupted_is_not_called_damaged() {
    let root = tempfile::tempdir().unwrap();
    let empty = root.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let (file, zeros, unfinished) = (
        root.path().join("file"),
        root.path().join("zeros"),
        root.path().join("unfinished"),
    );
    fs::write(&file, b"").unwrap();
    fs::write(&zeros, vec![0; 135_168]).unwrap();
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("manifest"), b"").unwrap();
    let renamed = root.path().join("renamed");
    fs::create_dir(&renamed).unwrap();
    fs::write(renamed.join("manifest.new"), b"").unwrap();
    let making = ["a log was being made here", "opening it for writing goes on"];
    let cases: [(PathBuf, &[&str]); 5] = [
        (empty, &["the directory is empty"]),
        (file, &["it is empty"]),
        (zeros, &making),
        (unfinished, &making),
        (renamed, &making),
    ];
    for (path, parts) in cases {
        let name = path.display().to_string();
        for text in [
            says(Wal::open_read_only(&path), parts),
            says(wal_db::recovery::inspect(&path), parts),
            says(wal_db::recovery::salvage(&path), parts),
        ] {
            assert!(text.contains(&name) && !text.contains("damage"), "{text}");
        }
        // And so it is.
        match path.is_dir() {
            true => Wal::open_segmented_with(&path, SEGMENT, quiet()),
            false => Wal::open_with(&path, quiet()),
        }
        .unwrap();
    }
}

#[test]
fn another_writer_version_or_feature_is_named() {
    for form in FORMS {
        let place = closed(form);
        let wal = place.open(quiet()).unwrap();
        says(
            place.open(quiet()),
            &["open for writing elsewhere", &at(&place), "read-only"],
        );
        drop(wal);
        for (offset, value, part) in [(8, 7, "format version 7"), (12, 4, "features")] {
            let place = place.killed();
            for slot in [0, 1] {
                place.patch_manifest(slot, |bytes| {
                    bytes[offset..offset + 4].copy_from_slice(&u32::to_le_bytes(value));
                });
            }
            says(
                place.open(quiet()),
                &[&at(&place), part, "a later one", "not touched"],
            );
        }
    }
}

#[test]
fn positions_and_records_that_do_not_fit_say_where_to_go_on() {
    let (_disk, wal) = on_a_disk(quiet_heap());
    let lsns: Vec<Lsn> = (0..5).map(|seed| put(&wal, seed, 100).0).collect();
    wal.sync().unwrap();
    says(wal.read(Lsn::new(4)), &["no record starts at LSN 4", "iter_from"]);
    let beyond = Lsn::new(1 << 40);
    says(
        wal.iter_from(beyond),
        &[&format!("LSN {beyond}"), "after the end", "another log"],
    );
    says(
        wal.append(&vec![0; (64 << 20) + 1]),
        &["67108865 bytes", "67108864", "with_max_record_size"],
    );

    let mut tail = wal.tail(Start::Head).unwrap();
    while tail.try_next().unwrap().is_some() {}
    wal.truncate_after(lsns[3]).unwrap();
    says(
        tail.try_next(),
        &["cut back", &format!("LSN {}", tail.next_lsn())],
    );
    wal.truncate_before(lsns[2]).unwrap();
    says(
        wal.read(lsns[0]),
        &[
            "LSN 0",
            "dropped",
            &format!("starts at LSN {}", lsns[2]),
            "Wal::iter",
        ],
    );

    let other = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    other.append_and_sync(b"one").unwrap();
    let position = Position::of(&other, other.end()).unwrap();
    says(
        wal.iter_from(position),
        &["in the log", "this is the log", "from its head"],
    );
}

#[test]
fn calls_that_cannot_be_made_say_what_to_do_first() {
    let place = closed(Form::File);
    let reader = Wal::open_read_only(place.path()).unwrap();
    says(reader.append(b"x"), &["read-only", "Wal::open"]);
    let wal = place.open(quiet()).unwrap();
    let clone = wal.clone();
    let mut inside = None;
    wal.append_in_place(1, |_| inside = Some(clone.sync())).unwrap();
    says(
        inside.unwrap(),
        &["inside a closure", "append_in_place", "finish that first"],
    );
    wal.close().unwrap();
    says(clone.append(b"x"), &["closed", "open it again"]);
    says(
        place.open(quiet().with_staging_bytes(100_000)),
        &["staging of 100000 bytes", "power of two"],
    );
    says(
        place.open(quiet().with_max_record_size(0)),
        &["record limit of 0 bytes", "from 1 to"],
    );
    says(
        SegmentedStore::open(place.root().join("new"), 0),
        &["segments of 0 bytes", "at least"],
    );
    let wal = place.open(quiet()).unwrap();
    let part = payload(1, 60 << 20);
    says(
        wal.append_batch(&vec![&part; 40]),
        &["a batch of", "append it in parts"],
    );
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
enum Shop {
    Ordered(u64),
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "bank")]
enum Bank {
    Deposited(u64),
}

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "reading")]
struct Reading(u64);

#[test]
fn an_event_of_another_type_is_called_by_the_name_that_the_log_knows() {
    let wal = Wal::with_store_and_config(MemStore::new(), quiet_heap()).unwrap();
    let lsn = wal.append_typed(&Shop::Ordered(5)).unwrap();
    wal.append_typed(&Bank::Deposited(1)).unwrap();
    wal.append_typed(&Reading(1)).unwrap();
    let first = |outcome: Option<Result<wal_db::Event<Bank>>>| outcome.unwrap();
    let replayed = wal.typed::<Bank>().unwrap().replay(..).unwrap().next();
    let text = says(
        first(replayed),
        &["a `shop.ordered`", &format!("LSN {lsn}"), "`bank`"],
    );
    assert!(!text.contains("0x"), "{text}");
    let replayed = wal.typed::<Reading>().unwrap().replay(..).unwrap().next();
    says(
        replayed.unwrap(),
        &["a `shop.ordered`", "not a `reading`", "read it as the type"],
    );

    let mut replay = wal
        .typed::<Bank>()
        .unwrap()
        .replay(..)
        .unwrap()
        .on_unreadable(wal_db::event::Unreadable::Collect);
    assert_eq!(replay.by_ref().count(), 1);
    let collected: Vec<String> = replay.take_collected().iter().map(ToString::to_string).collect();
    assert!(
        collected[0].contains("a `shop.ordered`") && collected[1].contains("a `reading`"),
        "{collected:?}"
    );

    // A record alone has no log to ask.
    let record = wal.read(lsn).unwrap();
    assert_eq!(record.kind(), RecordKind::Typed);
    let alone = record.decode::<Reading>().unwrap_err().to_string();
    assert!(
        alone.contains("type with id 0x") && alone.contains("Wal::schemas"),
        "{alone}"
    );
}
