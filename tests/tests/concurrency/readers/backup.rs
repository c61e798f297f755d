//! Copies of a log that is in use: those that the log makes itself, and what other programs make of one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use wal_db::{MemStore, Wal, WalConfig, WalError, WalRecord, recovery::CorruptionReason};
use wal_tests::{
    Entry, all, assert_is,
    files::{FORMS, Form, Place, SLOT, tree},
    note, put, quiet, quiet_heap,
    scripted::{Op, Scripted},
};

fn open(form: Form, path: &Path) -> Wal {
    match form {
        Form::File => Wal::open_with(path, quiet()),
        Form::Segmented => Wal::open_segmented_with(path, 1 << 20, quiet()),
    }
    .unwrap()
}

/// A log of which both ends were cut, with a batch in staging memory.
fn busy(place: &Place) -> (Wal, Vec<Entry>) {
    let wal = place.open(quiet()).unwrap();
    let mut entries: Vec<_> = (0..12).map(|seed| put(&wal, seed, 20_000)).collect();
    wal.sync().unwrap();
    wal.truncate_after(entries[9].0).unwrap();
    entries.truncate(10);
    wal.truncate_before(entries[5].0).unwrap();
    entries.drain(..5);
    entries.extend((20..24).map(|seed| put(&wal, seed, 700)));
    (wal, entries)
}

#[test]
fn a_backup_is_the_log_at_that_moment_and_goes_on_by_itself() {
    for form in FORMS {
        let place = Place::new(form);
        let (wal, mut entries) = busy(&place);
        let target = place.root().join("backups").join("monday");
        fs::create_dir(place.root().join("backups")).unwrap();
        let end = wal.backup_to(&target).unwrap();
        assert!(entries.iter().all(|entry| entry.0 < end));
        let later = put(&wal, 30, 100);
        wal.sync().unwrap();

        let before = tree(&place.root().join("backups"));
        let copy = Wal::open_read_only(&target).unwrap();
        assert_eq!(all(&copy), entries, "{form:?}");
        assert_eq!(
            (copy.status().head, copy.status().records),
            (wal.status().head, entries.len() as u64)
        );
        assert!(copy.recovery().clean && copy.verify().unwrap().is_intact());
        drop(copy);
        assert!(before == tree(&place.root().join("backups")));

        let copy = open(form, &target);
        assert_eq!(all(&copy), entries, "{form:?}");
        let own = put(&copy, 31, 5000);
        copy.close().unwrap();
        let other = all(&open(form, &target));
        assert_eq!(other.last(), Some(&own));
        entries.push(later);
        assert_eq!(all(&wal), entries);
    }
}

/// The manifest has no room for all of its cuts; the rest is in files of their own.
#[test]
fn a_log_with_a_table_of_cuts_is_copied_with_it() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet().with_timeline_entries(8)).unwrap();
        let mut entries = Vec::new();
        for seed in 0..50 {
            entries.push(put(&wal, seed, 100));
            put(&wal, seed, 50);
            wal.truncate_after(entries[seed].0).unwrap();
        }
        let target = place.root().join("copy");
        wal.backup_to(&target).unwrap();
        assert_doubled(form, &target);
        let copy = Wal::open_read_only(&target).unwrap();
        assert_eq!(all(&copy), entries, "{form:?}");
        assert!(!copy.recovery().staging_missing, "{form:?}");
        drop(copy);
        // It goes on by itself, for writing as well.
        let copy = open(form, &target);
        assert_eq!(all(&copy), entries, "{form:?}");
        let report = copy.recovery();
        assert!(report.clean && !report.staging_missing, "{form:?}: {report:?}");
    }
}

/// The manifest and the table of cuts are there twice, each.
fn assert_doubled(form: Form, log: &Path) {
    let (manifest, tables) = match form {
        Form::File => (
            log.to_owned(),
            ["cuts-0", "cuts-1"].map(|name| log.with_extension(name)),
        ),
        Form::Segmented => (
            log.join("manifest"),
            ["cuts-0", "cuts-1"].map(|name| log.join(name)),
        ),
    };
    let bytes = fs::read(manifest).unwrap();
    let slot = SLOT as usize;
    let len = u32::from_le_bytes([bytes[20], bytes[21], bytes[22], bytes[23]]) as usize;
    assert_eq!(bytes[..len], bytes[slot..slot + len], "{form:?}");
    let [one, other] = tables.map(|table| fs::read(table).unwrap());
    assert_eq!(one, other, "{form:?}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "staged")]
struct Event(u64);

#[test]
fn the_schema_of_what_is_staged_only_is_in_a_backup() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let lsn = wal.append_typed(&Event(7)).unwrap();
        let left = place.killed();
        drop(wal);
        let target = place.root().join("copy");
        Wal::open_read_only(left.path())
            .unwrap()
            .backup_to(&target)
            .unwrap();
        let copy = open(form, &target);
        let schemas = copy.schemas().unwrap();
        assert_eq!(schemas.iter().count(), 1, "{form:?}");
        let record = copy.read(lsn).unwrap();
        assert_eq!(record.decode::<Event>().unwrap(), Event(7));
        record.to_value(&schemas).unwrap();
    }
}

#[test]
fn a_backup_knows_what_was_dropped_while_it_was_made() {
    // Done before it is read the next time.
    let meanwhile = Arc::new(Mutex::new(None::<Box<dyn FnOnce() + Send>>));
    let next = meanwhile.clone();
    let store = Scripted::new(MemStore::new(), move |_, call| {
        let act = (call.op == Op::Read).then(|| next.lock().unwrap().take());
        act.flatten().into_iter().for_each(|act| act());
        Ok(None)
    });
    let wal = Wal::with_store_and_config(store, quiet_heap()).unwrap();
    let entries: Vec<_> = (0..12).map(|seed| put(&wal, seed, 1000)).collect();
    wal.sync().unwrap();
    wal.truncate_before(entries[2].0).unwrap();
    let (handle, head) = (wal.clone(), entries[8].0);
    *meanwhile.lock().unwrap() = Some(Box::new(move || {
        handle.truncate_before(head).unwrap();
    }));
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("copy");
    wal.backup_to(&target).unwrap();
    assert_eq!(wal.status().head, head, "it was truncated meanwhile");
    let copy = Wal::open_read_only(&target).unwrap();
    assert_eq!(all(&copy), entries[8..]);
    assert_eq!(copy.status().head, head);
    // A reader that has read up to the sixth has missed the two after it.
    for log in [&wal, &copy] {
        assert_is!(log.tail(entries[6].0).map(drop), Err(WalError::Truncated { .. }));
    }
}

#[test]
fn a_backup_can_be_made_in_another_process_and_of_what_a_dead_one_left() {
    for form in FORMS {
        let place = Place::new(form);
        let (wal, entries) = busy(&place);
        let left = place.killed();
        for (name, path) in [("live", place.path()), ("dead", left.path())] {
            let target = place.root().join(name);
            Wal::open_read_only(path).unwrap().backup_to(&target).unwrap();
            assert_eq!(all(&open(form, &target)), entries, "{form:?}: {name}");
        }
        drop(wal);
    }
}

#[test]
fn an_empty_log_and_one_without_records_are_copied() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        wal.backup_to(place.root().join("new")).unwrap();
        assert!(open(form, &place.root().join("new")).is_empty());
        let last = put(&wal, 1, 65_000).0;
        put(&wal, 2, 65_000);
        wal.sync().unwrap();
        wal.truncate_before(wal.status().durable).unwrap();
        assert!(wal.is_empty() && wal.status().head > last);
        wal.backup_to(place.root().join("none")).unwrap();
        let copy = open(form, &place.root().join("none"));
        assert!(copy.is_empty());
        assert_eq!(copy.status().head, wal.status().head, "{form:?}");
        assert_eq!(all(&copy), []);
        let entry = put(&copy, 3, 10);
        copy.close().unwrap();
        assert_eq!(all(&open(form, &place.root().join("none"))), [entry]);
    }
}

#[test]
fn a_backup_overwrites_nothing_and_one_that_fails_leaves_nothing() {
    for form in FORMS {
        let place = Place::new(form);
        let (wal, entries) = busy(&place);
        let target = place.root().join("there");
        match form {
            Form::File => fs::write(&target, b"mine").unwrap(),
            Form::Segmented => {
                fs::create_dir(&target).unwrap();
                fs::write(target.join("mine"), b"mine").unwrap();
            }
        }
        // The source is what it is: only what is durable is copied.
        wal.sync().unwrap();
        for taken in [&target, &place.path()] {
            let before = place.bytes();
            match wal.backup_to(taken) {
                Err(WalError::Io { source, .. }) => assert_eq!(source.kind(), io::ErrorKind::AlreadyExists),
                other => panic!("{form:?}: {other:?}"),
            }
            wal_tests::files::assert_same_files(&before, &place.bytes(), "what was there");
        }
        // A damaged record is not copied in silence.
        place.flip(entries[1].0.get() + 64 + 100);
        let damaged = place.root().join("damaged");
        assert_is!(wal.backup_to(&damaged), Err(WalError::Corruption(_)), "{form:?}");
        let left = if damaged.is_dir() {
            tree(&damaged).len()
        } else {
            usize::from(damaged.exists())
        };
        assert_eq!(left, 0, "{form:?}");
    }
}

#[test]
fn a_log_of_which_a_segment_is_missing_is_not_copied_and_the_error_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = (dir.path().join("log"), dir.path().join("copy"));
    let open = || Wal::open_segmented_with(&path, 64 << 10, quiet()).unwrap();
    let wal = open();
    (0..12).for_each(|seed| drop(put(&wal, seed, 20_000)));
    wal.close().unwrap();
    // What is read again when it is opened is the end.
    let wal = open();
    fs::remove_file(path.join("0000000001.seg")).unwrap();
    match wal.backup_to(&target) {
        Err(WalError::Corruption(damage)) => {
            assert_eq!(
                (damage.reason, damage.segment),
                (CorruptionReason::MissingSegment, Some(1))
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(!target.exists() || tree(&target).is_empty());
}

#[test]
fn backups_beside_a_writer_that_appends_rotates_and_truncates_are_whole() {
    for form in FORMS {
        let place = Place::fast(form);
        let wal = place.open(WalConfig::new().with_staging_bytes(1 << 20)).unwrap();
        put(&wal, 0, 100);
        let reader = Wal::open_read_only(place.path()).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut lsns = Vec::new();
                for round in 0..2000 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    lsns.extend((0..8).map(|i| put(&wal, round * 8 + i, 1 + (round * 977) % 9000).0));
                    wal.sync().unwrap();
                    if round % 3 == 0 {
                        let last = lsns[lsns.len() - 3];
                        wal.truncate_after(last).unwrap();
                        lsns.truncate(lsns.len() - 2);
                    }
                    if round % 5 == 0 && lsns.len() > 60 {
                        wal.truncate_before(lsns[lsns.len() - 40]).unwrap();
                        lsns.drain(..lsns.len() - 40);
                    }
                }
            });
            let _stops = Stops(&stop);
            for n in 0..10 {
                let target = place.root().join(format!("{n}"));
                // Either handle, and the log that it makes is opened and read by the call itself.
                let copied = if n % 2 == 0 { &wal } else { &reader }.backup_to(&target);
                match copied {
                    Ok(_) => assert!(open(form, &target).verify().unwrap().is_intact()),
                    // The end was cut each time.
                    Err(WalError::Io {
                        context: "making a backup",
                        ..
                    }) => {}
                    Err(error) => panic!("{form:?}: {error:?}"),
                }
            }
        });
    }
}

/// Stops the other thread, if the test fails as well.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// ---- what docs/backup.md says of other programs -----------------------------------------------------------------

/// Runs a command, and says that it is not there if it is not.
fn there(command: &mut Command) -> bool {
    match command.output() {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{command:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            true
        }
        Err(error) => {
            note(&format!("skipped: {command:?}: {error}"));
            false
        }
    }
}

fn copied(place: &Place, command: impl Fn(&Path, &Path) -> Command) -> Option<PathBuf> {
    let target = place.root().join("copy");
    fs::create_dir(&target).unwrap();
    there(&mut command(&place.path(), &target)).then_some(target)
}

#[test]
fn a_closed_log_is_copied_by_any_program() {
    type Make = fn(&Path, &Path) -> Command;
    let programs: [(&str, Make); 3] = [
        ("cp", |from, to| {
            let mut command = Command::new("cp");
            command.arg("-a").arg(from).arg(to.join("log"));
            command
        }),
        ("tar", |from, to| {
            let mut command = Command::new("sh");
            command.args(["-c", "tar -C \"$1\" -cf - log | tar -C \"$2\" -xf -", "sh"]);
            command.arg(from.parent().unwrap()).arg(to);
            command
        }),
        ("rsync", |from, to| {
            let mut command = Command::new("rsync");
            command.arg("-a").arg(from).arg(to);
            command
        }),
    ];
    for form in FORMS {
        for (name, make) in programs {
            let place = Place::new(form);
            let (wal, entries) = busy(&place);
            wal.close().unwrap();
            if let Some(target) = copied(&place, make) {
                assert_eq!(all(&open(form, &target.join("log"))), entries, "{form:?}: {name}");
            }
        }
    }
}

/// Copies the files of a directory in the order in which they are named, with something in between.
fn copy_in_order(from: &Path, to: &Path, first: &str, between: impl FnOnce()) {
    fs::create_dir_all(to).unwrap();
    fs::copy(from.join(first), to.join(first)).unwrap();
    between();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if name != first && name != "staging" {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

#[test]
fn a_live_directory_is_copied_manifest_first_and_without_staging() {
    let place = Place::new(Form::Segmented);
    let (wal, entries) = busy(&place);
    wal.sync().unwrap();
    let target = place.root().join("copy");
    let mut later = Vec::new();
    copy_in_order(&place.path(), &target, "manifest", || {
        later.extend((0..9).map(|seed| put(&wal, seed, 30_000)));
        wal.sync().unwrap();
    });
    let read = all(&open(Form::Segmented, &target));
    assert!(read.starts_with(&entries), "{read:?}");

    // Segments that the manifest came to name after they were listed are missing.
    let target = place.root().join("other");
    fs::create_dir(&target).unwrap();
    for entry in fs::read_dir(place.path()).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "manifest" && name != "staging" {
            fs::copy(place.path().join(&name), target.join(&name)).unwrap();
        }
    }
    (0..9).for_each(|seed| drop(put(&wal, seed, 30_000)));
    wal.sync().unwrap();
    fs::copy(place.path().join("manifest"), target.join("manifest")).unwrap();
    assert_is!(Wal::open_read_only(&target), Err(WalError::Corruption(_)));
}

#[test]
fn a_snapshot_of_all_files_at_one_moment_is_what_a_crash_leaves() {
    for form in FORMS {
        let place = Place::new(form);
        let (_wal, entries) = busy(&place);
        // Nothing happens between the copies of the files, as little as in a snapshot of a file system.
        let moment = place.killed();
        assert_eq!(all(&moment.open(quiet()).unwrap()), entries, "{form:?}");
    }
}

#[test]
fn hard_links_are_no_backup() {
    let place = Place::new(Form::Segmented);
    let (wal, _) = busy(&place);
    wal.sync().unwrap();
    let target = place.root().join("links");
    fs::create_dir(&target).unwrap();
    for entry in fs::read_dir(place.path()).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "staging" {
            fs::hard_link(place.path().join(&name), target.join(&name)).unwrap();
        }
    }
    let entries = all(&Wal::open_read_only(&target).unwrap());
    let last = entries[entries.len() - 3].0;
    wal.truncate_after(last).unwrap();
    (0..9).for_each(|seed| drop(put(&wal, seed, 30_000)));
    wal.sync().unwrap();
    // The manifest is the same file, and it goes on.
    let now = Wal::open_read_only(&target).map(|wal| wal_tests::until_error(&wal));
    assert!(!matches!(&now, Ok((read, None)) if *read == entries), "{now:?}");
}
