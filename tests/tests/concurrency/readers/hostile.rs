//! What can happen to a log under somebody who has it open for reading: copies, cuts, repairs, and its removal, after which
//! another log has its name. A reader that began in any way, and got to any place, never calls a healthy log damaged and is
//! never shown a record of another one.

use std::{fs, path::Path};

use wal_db::{
    OpenPolicy, Result, Tail, Wal, WalError, WalIter,
    read::{Follow, RevIter},
};
use wal_tests::{
    Entry, all, assert_is,
    files::{FORMS, Form, Place},
    payload, put, quiet,
};

/// Records of a log, in several groups and segments.
const COUNT: usize = 40;
const LEN: usize = 5_000;

/// What a reader was at when it happened.
struct Reader {
    wal: Wal,
    forwards: WalIter,
    backwards: RevIter,
    halfway: Tail,
    at_the_end: Tail,
}

impl Reader {
    fn new(place: &Place, entries: &[Entry]) -> Reader {
        let wal = Wal::open_read_only(place.path()).unwrap();
        let mut forwards = wal.iter().unwrap();
        let mut backwards = wal.iter_rev().unwrap();
        let [mut halfway, mut at_the_end] =
            [(); 2].map(|()| wal.tail(wal.status().head).unwrap().follow(Follow::Written));
        for entry in &entries[..5] {
            assert_eq!(forwards.next().unwrap().unwrap().lsn(), entry.0);
            assert_eq!(halfway.try_next().unwrap().unwrap().lsn(), entry.0);
        }
        assert_eq!(backwards.next().unwrap().unwrap().lsn(), entries[COUNT - 1].0);
        for _ in entries {
            at_the_end.try_next().unwrap().unwrap();
        }
        Reader {
            wal,
            forwards,
            backwards,
            halfway,
            at_the_end,
        }
    }

    /// Everything that it is shown and told from now on.
    fn go_on(mut self, before: &[Entry]) -> (Vec<Entry>, Vec<WalError>) {
        let (mut shown, mut told) = (Vec::new(), Vec::new());
        let mut take = |item: Result<wal_db::Record>| match item {
            Ok(record) => shown.push(Entry(record.lsn(), record.into_data())),
            Err(error) => told.push(error),
        };
        self.forwards.for_each(&mut take);
        self.backwards.for_each(&mut take);
        for tail in [&mut self.halfway, &mut self.at_the_end] {
            let mut errors = 0;
            while errors < 4 {
                match tail.try_next() {
                    Ok(None) => break,
                    Ok(Some(record)) => take(Ok(record)),
                    Err(error) => {
                        errors += 1;
                        take(Err(error));
                    }
                }
            }
        }
        for entry in before {
            take(self.wal.read(entry.0));
        }
        match self.wal.iter() {
            Ok(records) => records.for_each(&mut take),
            Err(error) => take(Err(error)),
        }
        match self.wal.verify() {
            Ok(report) => {
                assert!(report.is_intact(), "{report:?}");
            }
            Err(error) => take(Err(error)),
        }
        (shown, told)
    }
}

fn write(place: &Place, from: usize, len: usize) -> (Wal, Vec<Entry>) {
    let wal = place.open(quiet()).unwrap();
    let mut entries = Vec::new();
    for seed in from..from + COUNT {
        entries.push(put(&wal, seed, len));
        if seed % 3 == 0 {
            wal.sync().unwrap();
        }
    }
    wal.sync().unwrap();
    (wal, entries)
}

/// Lets something happen to an open log under a reader. Whatever that is shown was in the log at one time, and nothing is
/// called damaged.
fn under_a_reader(what: &str, happens: fn(&Place, &Wal, &[Entry])) {
    for form in FORMS {
        let place = Place::fast(form);
        let (wal, entries) = write(&place, 0, LEN);
        let reader = Reader::new(&place, &entries);
        happens(&place, &wal, &entries);
        let now = all(&wal);
        let (shown, told) = reader.go_on(&entries);
        for entry in &shown {
            let was_there = entries.contains(entry) || now.contains(entry);
            assert!(was_there, "{what}, {form:?}: {entry:?} is of no log");
        }
        for error in told {
            let is_told = matches!(
                error,
                WalError::Truncated { .. } | WalError::CutBack { .. } | WalError::NoSuchRecord { .. }
            );
            assert!(is_told, "{what}, {form:?}: {error:?}");
        }
        let reader = Wal::open_read_only(place.path()).unwrap();
        assert_eq!(all(&reader), now, "{what}, {form:?}");
    }
}

#[test]
fn copies_and_cuts_under_a_reader_are_no_damage() {
    under_a_reader("a copy", |place, wal, _| {
        wal.backup_to(place.root().join("copy")).unwrap();
    });
    under_a_reader("the end is cut off", |_, wal, entries| {
        wal.truncate_from(entries[COUNT - 7].0).unwrap();
        put(wal, 90, LEN);
        wal.sync().unwrap();
    });
    under_a_reader("all but the first go", |_, wal, entries| {
        wal.truncate_from(entries[1].0).unwrap();
        (0..COUNT).for_each(|seed| drop(put(wal, 90 + seed, LEN)));
    });
    under_a_reader("everything goes", |_, wal, entries| {
        wal.truncate_from(entries[0].0).unwrap();
        (0..5).for_each(|seed| drop(put(wal, 90 + seed, LEN)));
        wal.drain().unwrap();
    });
    under_a_reader("both ends go", |_, wal, entries| {
        wal.truncate_before(entries[COUNT / 2].0).unwrap();
        wal.truncate_from(entries[COUNT - 3].0).unwrap();
        (0..9).for_each(|seed| drop(put(wal, 90 + seed, LEN)));
        wal.truncate_before(entries[COUNT - 4].0).unwrap();
    });
}

#[test]
fn a_repair_under_a_reader_leaves_what_is_intact() {
    for form in FORMS {
        let place = Place::fast(form);
        let (_wal, entries) = write(&place, 0, LEN);
        // A log whose last records are damaged: opened exactly, it would not be.
        let damaged = place.killed();
        damaged.flip(entries[COUNT - 1].0.get() + 64 + 100);
        let reader = quiet()
            .with_open_policy(OpenPolicy::TruncateAtDamage)
            .open_read_only(damaged.path())
            .unwrap();
        let mut tail = reader.tail(reader.status().head).unwrap().follow(Follow::Written);
        while let Ok(Some(_)) = tail.try_next() {}
        let repaired = damaged
            .open(quiet().with_open_policy(OpenPolicy::TruncateAtDamage))
            .unwrap();
        let more: Vec<_> = (0..5).map(|seed| put(&repaired, 90 + seed, LEN)).collect();
        repaired.sync().unwrap();
        let now = all(&repaired);
        assert!(now.len() > 20 && now.ends_with(&more), "{form:?}");

        let shown = all(&reader);
        assert!(shown.iter().all(|entry| now.contains(entry)), "{form:?}");
        assert!(reader.verify().unwrap().is_intact(), "{form:?}");
        let (mut came, mut told) = (Vec::new(), 0);
        while came.len() < more.len() && told < 4 {
            match tail.try_next() {
                Ok(Some(record)) => came.push(Entry(record.lsn(), record.into_data())),
                Ok(None) => break,
                Err(error) => {
                    assert_is!(error, WalError::CutBack { .. }, "{form:?}");
                    told += 1;
                }
            }
        }
        assert_eq!(came, more, "{form:?}, told of {told} cuts");
    }
}

/// Removes a log and makes another one under its name.
fn made_anew(place: &Place, wal: Wal, how: How) -> (Wal, Vec<Entry>) {
    wal.close().unwrap();
    match (how, place.form) {
        (How::Directory, Form::Segmented) => fs::remove_dir_all(place.path()).unwrap(),
        (How::Moved, _) => fs::rename(place.path(), place.root().join("moved")).unwrap(),
        (_, Form::File) => {
            fs::remove_file(place.path()).unwrap();
            let _ = fs::remove_file(place.staging());
        }
        (How::Files, Form::Segmented) => remove_files(&place.path()),
    }
    write(place, 500, LEN)
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// Each file by itself: the directory stays.
    Files,
    Directory,
    /// The old one is still somewhere.
    Moved,
}

fn remove_files(dir: &Path) {
    for file in fs::read_dir(dir).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
}

#[test]
fn a_log_that_is_made_anew_under_a_reader_is_another_one() {
    for form in FORMS {
        for how in [How::Files, How::Directory, How::Moved] {
            let place = Place::fast(form);
            let (wal, entries) = write(&place, 0, LEN);
            let reader = Reader::new(&place, &entries);
            let (_other, others) = made_anew(&place, wal, how);
            let what = format!("{form:?}, {how:?}");
            let (shown, told) = reader.go_on(&entries);
            for entry in &shown {
                assert!(entries.contains(entry), "{what}: {entry:?} is of another log");
            }
            assert!(!others.iter().any(|other| shown.contains(other)), "{what}");
            for error in told {
                let is_gone = matches!(
                    &error,
                    WalError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound
                );
                assert!(is_gone, "{what}: {error:?}");
            }
            assert_eq!(all(&Wal::open_read_only(place.path()).unwrap()), others, "{what}");
        }
    }
    assert_ne!(payload(0, LEN), payload(500, LEN));
}
