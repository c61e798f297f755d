//! What crates that are built on the registry's 1.x do with a log. Each program asserts what is in it afterwards.

use std::{fs, os::unix::process::ExitStatusExt, path::Path, process};

use wal_db::{Lsn, Result, Wal, WalConfig, WalError};
use wal_tests::{
    assert_is,
    child::{Process, command, open_here},
    files::{FORMS, Form, Place},
    lsns_of, quiet,
};

/// What is in the log, as text.
fn contents(wal: &Wal) -> Vec<String> {
    let records = wal.iter().unwrap();
    let text = |record: Result<wal_db::Record>| String::from_utf8(record.unwrap().into_data()).unwrap();
    records.map(text).collect()
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{name} {i}")).collect()
}

/// A program that appends one record after the other, and is closed when the log is dropped.
fn append_all(wal: &Wal, records: &[String]) -> Vec<Lsn> {
    records
        .iter()
        .map(|record| wal.append(record.as_bytes()).unwrap())
        .collect()
}

#[test]
fn a_journal_is_appended_synced_and_replayed_by_each_start() {
    for form in FORMS {
        let place = Place::new(form);
        let mut expected = Vec::new();
        for start in 0..5 {
            let wal = place.open(WalConfig::new()).unwrap();
            assert_eq!(contents(&wal), expected, "{form:?}, start {start}");
            assert_eq!(
                wal.recovery().cut.as_ref().map_or(0, |cut| cut.end - cut.start),
                0
            );
            let records = numbered(&format!("start {start}, record"), 20);
            append_all(&wal, &records);
            if start % 2 == 0 {
                wal.sync().unwrap();
            }
            expected.extend(records);
        }
    }
}

#[test]
fn a_commit_log_is_there_to_the_last_commit() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(WalConfig::new()).unwrap();
        let lsns: Vec<Lsn> = numbered("tx", 50)
            .iter()
            .map(|record| wal.append_and_sync(record.as_bytes()).unwrap())
            .collect();
        assert!(lsns.is_sorted() && lsns[0] == Lsn::new(0));
        // As a power loss leaves it: no staging memory, no close.
        let lost = place.without_staging().open(quiet()).unwrap();
        assert_eq!(contents(&lost), numbered("tx", 50), "{form:?}");
    }
}

/// Applies records to a table, notes how far, and drops what was applied.
#[test]
fn a_checkpoint_drops_what_was_applied_in_both_forms() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let lsns = append_all(&wal, &numbered("put", 100));
        wal.sync().unwrap();
        let head = wal.truncate_before(lsns[60]).unwrap();
        assert_eq!(head, lsns[60], "{form:?}: also of a log in one file");
        drop(wal);

        let wal = place.open(quiet()).unwrap();
        assert_eq!(contents(&wal), numbered("put", 100)[60..]);
        assert_is!(wal.iter_from(lsns[10]).map(drop), Err(WalError::Truncated { .. }));
        let beyond = wal.truncate_before(Lsn::new(1 << 40));
        assert_is!(beyond, Err(WalError::BeyondEnd { .. }));
        assert_eq!(contents(&wal).len(), 40, "{form:?}: nothing was dropped");
    }
}

/// A Raft store: a leader overwrites the entries of another term, and a snapshot takes the oldest ones.
#[test]
fn a_raft_store_cuts_a_conflicting_suffix_and_snapshots_the_prefix() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let mut index = append_all(&wal, &numbered("term 1, entry", 10));
        wal.sync().unwrap();

        wal.truncate_after(index[6]).unwrap();
        let cut = index.split_off(7);
        index.extend(append_all(&wal, &numbered("term 2, entry", 5)));
        assert!(index[7] > cut[2], "{form:?}: LSNs are not used again");
        wal.sync().unwrap();

        // It keeps the entry of the snapshot itself.
        assert_eq!(wal.truncate_before(index[4]).unwrap(), index[4]);
        drop(wal);
        let wal = place.open(quiet()).unwrap();
        let expected = [
            numbered("term 1, entry", 7).split_off(4),
            numbered("term 2, entry", 5),
        ];
        assert_eq!(contents(&wal), expected.concat(), "{form:?}");
        let lsns = lsns_of(wal.iter());
        assert_eq!(lsns, index[4..], "{form:?}: entries keep their LSNs");
    }
}

/// Runs `appends_and_aborts` on the log of `place`.
fn abort_after_appending(place: &Place, name: &str) {
    let mut command = command("programs::appends_and_aborts", place);
    command.env("WAL_TESTS_NAME", name);
    let status = Process::of(command).wait().unwrap();
    assert_eq!(status.signal(), Some(6), "it aborts");
}

#[test]
#[ignore = "the process of programs that die"]
fn appends_and_aborts() {
    let wal = open_here(quiet());
    let records = numbered(&wal_tests::child::told("WAL_TESTS_NAME"), 6);
    append_all(&wal, &records[..3]);
    wal.sync().unwrap();
    append_all(&wal, &records[3..]);
    process::abort();
}

#[test]
fn an_abort_loses_no_record_that_was_appended() {
    for form in FORMS {
        let place = Place::new(form);
        let mut expected = Vec::new();
        for start in 1..4 {
            expected.extend(numbered("event", 6));
            abort_after_appending(&place, "event");
            let wal = place.open(quiet()).unwrap();
            assert_eq!(contents(&wal), expected, "{form:?}, {start}");
        }
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

/// Removes the log and opens the same path again, each time: 1.x has nothing beside the file.
#[test]
fn a_rotation_by_remove_and_create_begins_empty_each_time() {
    for form in FORMS {
        for (dies, staging_stays) in [(false, true), (false, false), (true, true), (true, false)] {
            let place = Place::new(form);
            let what = format!("{form:?}, dies: {dies}, staging stays: {staging_stays}");
            for round in 0..4 {
                let name = format!("round {round}, record");
                if dies {
                    abort_after_appending(&place, &name);
                } else {
                    append_all(&place.open(quiet()).unwrap(), &numbered(&name, 6));
                }
                // The next start reads it, twice.
                for _ in 0..2 {
                    let wal = place.open(quiet()).unwrap();
                    assert_eq!(contents(&wal), numbered(&name, 6), "{what}, round {round}");
                    assert!(wal.verify().unwrap().is_intact());
                }
                remove(&place.path());
                if form == Form::File && !staging_stays {
                    remove(&place.staging());
                }
            }
            let wal = place.open(quiet()).unwrap();
            assert!(wal.recovery().created && wal.is_empty(), "{what}");
        }
    }
}

/// The old log is renamed and kept, as a rotation by number does; both can be opened.
#[test]
fn a_rotation_by_rename_keeps_the_old_log() {
    for form in FORMS {
        let place = Place::new(form);
        let old = |n: usize| place.root().join(format!("log.{n}"));
        for n in 0..4 {
            let wal = place.open(quiet()).unwrap();
            append_all(&wal, &numbered(&format!("log {n}, record"), 10));
            wal.close().unwrap();
            fs::rename(place.path(), old(n)).unwrap();
        }
        for n in 0..4 {
            let wal = Wal::open_read_only(old(n)).unwrap();
            assert_eq!(
                contents(&wal),
                numbered(&format!("log {n}, record"), 10),
                "{form:?}"
            );
        }
        assert!(place.open(quiet()).unwrap().is_empty(), "{form:?}");
    }
}

/// A copy that was made earlier is put over the log, which has gone on, was closed or died.
#[test]
fn a_backup_that_is_copied_over_the_log_is_the_log() {
    for form in FORMS {
        for dies in [false, true] {
            let place = Place::new(form);
            let wal = place.open(quiet()).unwrap();
            append_all(&wal, &numbered("kept", 10));
            wal.close().unwrap();
            let backup = place.killed();

            if dies {
                abort_after_appending(&place, "lost");
            } else {
                append_all(&place.open(quiet()).unwrap(), &numbered("lost", 10));
            }
            match form {
                Form::File => drop(fs::copy(backup.path(), place.path()).unwrap()),
                Form::Segmented => {
                    remove(&place.path());
                    fs::create_dir(place.path()).unwrap();
                    wal_tests::files::copy_tree(&backup.path(), &place.path());
                }
            }
            let mut expected = numbered("kept", 10);
            for start in 0..3 {
                let wal = place.open(quiet()).unwrap();
                assert_eq!(contents(&wal), expected, "{form:?}, dies: {dies}, start {start}");
                append_all(&wal, &numbered("after", 1));
                expected.extend(numbered("after", 1));
            }
        }
    }
}

/// Writes what is still needed to a new log and renames it over the old one.
#[test]
fn a_log_that_was_rewritten_takes_the_place_of_the_old_one() {
    for dies in [false, true] {
        let place = Place::new(Form::File);
        if dies {
            abort_after_appending(&place, "old");
        } else {
            append_all(&place.open(quiet()).unwrap(), &numbered("old", 6));
        }
        for round in 0..3 {
            let rewritten = place.root().join("log.tmp");
            let old = place.open(quiet()).unwrap();
            let new = Wal::open_with(&rewritten, quiet()).unwrap();
            for record in contents(&old).iter().skip(1) {
                new.append(record.as_bytes()).unwrap();
            }
            new.close().unwrap();
            drop(old);
            fs::rename(&rewritten, place.path()).unwrap();
            // Not even looked at before it is opened.
            let wal = place.open(quiet()).unwrap();
            let what = format!("dies: {dies}, round {round}");
            assert_eq!(contents(&wal), numbered("old", 6)[round + 1..], "{what}");
            assert_eq!(
                wal.recovery().cut.as_ref().map_or(0, |cut| cut.end - cut.start),
                0,
                "{what}"
            );
        }
    }
}

/// The rename comes before the close: what was synced is there, and nothing else speaks for the log.
#[test]
fn a_rewritten_log_that_is_renamed_while_it_is_open_has_what_was_synced() {
    let place = Place::new(Form::File);
    append_all(&place.open(quiet()).unwrap(), &numbered("old", 5));
    let rewritten = place.root().join("log.tmp");
    let new = Wal::open_with(&rewritten, quiet()).unwrap();
    append_all(&new, &numbered("new", 3));
    new.sync().unwrap();
    fs::rename(&rewritten, place.path()).unwrap();
    // It goes on with the file that it has.
    assert_is!(place.open(quiet()).map(drop), Err(WalError::Locked { .. }));
    append_all(&new, &numbered("after", 2));
    new.close().unwrap();
    let wal = place.open(quiet()).unwrap();
    assert_eq!(
        contents(&wal),
        [numbered("new", 3), numbered("after", 2)].concat()
    );
}

/// 1.x iterators borrow the log; programs that collect, skip and seek compile and mean the same.
#[test]
fn a_replay_from_a_checkpoint_reads_each_record_once() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let lsns = append_all(&wal, &numbered("r", 30));
        for (at, &lsn) in lsns.iter().enumerate() {
            let rest = lsns_of(wal.iter_from(lsn));
            assert_eq!(rest, lsns[at..], "{form:?}");
        }
        let none = wal.iter_from(wal.end()).unwrap().count();
        assert_eq!(none, 0, "{form:?}");
        // A position that no record has is not damage: the next record comes.
        let next = wal.iter_from(Lsn::new(lsns[3].get() + 1)).unwrap().next();
        assert_eq!(next.unwrap().unwrap().lsn(), lsns[4], "{form:?}");
    }
}
