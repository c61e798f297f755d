//! A cut that takes the named record along, the first one of a log included.

use std::sync::mpsc;

use wal_db::{Lsn, Result, Wal, WalError};
use wal_tests::{
    Entry, all, assert_is,
    files::{self, FORMS, Form, Place},
    put, quiet, quiet_heap,
};

use super::kinds::{Counted, counted, numbers};

/// Records of some groups, all of them durable.
fn filled(wal: &Wal, count: usize) -> Vec<Entry> {
    (0..count)
        .map(|seed| {
            let entry = put(wal, seed, 200 + 100 * (seed % 7));
            if seed % 3 == 2 {
                wal.sync().unwrap();
            }
            entry
        })
        .collect()
}

#[test]
fn a_cut_from_a_record_leaves_those_before_it() {
    for form in FORMS {
        for at in 0..10 {
            let place = Place::new(form);
            let wal = place.open(quiet()).unwrap();
            let mut entries = filled(&wal, 10);
            wal.truncate_from(entries[at].0).unwrap();
            let gone = entries.split_off(at);
            assert_eq!(all(&wal), entries, "{form:?}, {at}");
            for entry in &gone {
                assert_is!(wal.read(entry.0), Err(WalError::NoSuchRecord { .. }));
            }
            assert_eq!((wal.status().records, wal.is_empty()), (at as u64, at == 0));
            for round in 0..2 {
                entries.push(put(&wal, 20 + round, 300));
                assert!(entries[at].0 > gone[9 - at].0, "no LSN is used again");
            }
            assert_eq!(all(&wal), entries, "{form:?}, {at}");
            assert!(wal.verify().unwrap().is_intact());
            drop(wal);
            let wal = place.open(quiet()).unwrap();
            assert_eq!(all(&wal), entries, "{form:?}, {at}: opened again");
            assert_eq!(wal.read_ordinal(at as u64).unwrap().unwrap().lsn(), entries[at].0);
            assert!(wal.verify().unwrap().is_intact());
        }
    }
}

/// Bytes that the files of a log take on the disk.
#[cfg(target_os = "linux")]
fn taken(place: &Place) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = files::tree(place.root());
    let blocks = |name| std::fs::metadata(place.root().join(name)).unwrap().blocks();
    files.keys().map(blocks).sum::<u64>() * 512
}

#[cfg(target_os = "linux")]
#[test]
fn the_space_of_what_was_cut_off_is_given_back() {
    for form in FORMS {
        let place = Place::fast(form);
        let wal = place.open(quiet().with_staging_bytes(64 << 10)).unwrap();
        let entries = filled(&wal, 20);
        (0..40).for_each(|seed| drop(put(&wal, seed, 50_000)));
        wal.sync().unwrap();
        let before = taken(&place);
        wal.truncate_after(entries[19].0).unwrap();
        let after = taken(&place);
        assert!(
            after + 40 * 50_000 < before + 200_000,
            "{form:?}: {after} of {before}"
        );
        assert_eq!(all(&wal), entries, "{form:?}");
    }
}

#[test]
fn records_are_found_by_their_numbers_after_a_cut_as_before() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let synced = |seed: usize| {
            let entry = put(&wal, seed, 300);
            wal.sync().unwrap();
            entry
        };
        let mut entries: Vec<Entry> = (0..20).map(synced).collect();
        let are_found = |entries: &[Entry]| {
            for (ordinal, entry) in (0..).zip(entries) {
                let found = wal.read_ordinal(ordinal).unwrap().map(|record| record.lsn());
                assert_eq!(found, Some(entry.0), "{form:?}, number {ordinal}");
            }
        };
        are_found(&entries);
        wal.truncate_from(entries[10].0).unwrap();
        entries.truncate(10);
        entries.extend((20..25).map(synced));
        are_found(&entries);
        wal.truncate_before(entries[5].0).unwrap();
        let found = wal.read_ordinal(12).unwrap().map(|record| record.lsn());
        assert_eq!(found, Some(entries[12].0), "{form:?}");
    }
}

#[test]
fn a_log_that_was_cut_from_its_first_record_is_empty_and_goes_on() {
    for form in FORMS {
        for (dropped, reopens) in [(0, false), (0, true), (4, false), (4, true)] {
            let place = Place::new(form);
            let mut wal = place.open(quiet()).unwrap();
            let entries = filled(&wal, 10);
            wal.truncate_before(entries[dropped].0).unwrap();
            wal.truncate_from(entries[dropped].0).unwrap();
            let what = format!("{form:?}, dropped: {dropped}, reopens: {reopens}");
            if reopens {
                wal.close().unwrap();
                wal = place.open(quiet()).unwrap();
            }
            assert!(wal.is_empty() && wal.last_lsn().unwrap().is_none(), "{what}");
            assert!(
                wal.status().head > entries[9].0 && wal.status().head <= wal.end(),
                "{what}"
            );
            assert_eq!(
                (wal.status().records, wal.status().head_ordinal),
                (0, dropped as u64),
                "{what}"
            );
            assert_eq!(wal.iter_rev().unwrap().count(), 0, "{what}");
            // What was cut is gone, and what was dropped before that is, too.
            assert_eq!(wal.iter_from(entries[9].0).unwrap().count(), 0, "{what}");
            if dropped > 0 {
                let old = wal.iter_from(entries[0].0).map(drop);
                assert_is!(old, Err(WalError::Truncated { .. }), "{what}");
            }
            let next = put(&wal, 30, 500);
            assert_eq!(wal.locate(next.0).unwrap().ordinal, dropped as u64, "{what}");
            assert_eq!(all(&wal), std::slice::from_ref(&next), "{what}");
            assert_eq!(all(&Wal::open_read_only(place.path()).unwrap()), [next], "{what}");
        }
    }
}

/// A log whose first segments hold what was cut gives them back.
#[test]
fn the_segments_of_what_was_cut_are_given_back() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let entries: Vec<Entry> = (0..40).map(|seed| put(&wal, seed, 10_000)).collect();
    wal.sync().unwrap();
    assert!(place.segment(0).exists() && place.segment(4).exists());
    wal.truncate_from(entries[0].0).unwrap();
    assert!(!place.segment(0).exists() && !place.segment(4).exists());
    let next = put(&wal, 50, 10_000);
    drop(wal);
    assert_eq!(all(&place.open(quiet()).unwrap()), [next]);
}

#[test]
fn followers_and_tickets_hear_of_a_cut_from_a_record() {
    let wal = Wal::with_store_and_config(wal_db::MemStore::new(), quiet_heap()).unwrap();
    for at in [5, 0] {
        let entries = filled(&wal, 10);
        wal.sync().unwrap();
        let mut tail = wal.tail(entries[0].0).unwrap();
        let mut beginner = wal.tail(entries[0].0).unwrap();
        while tail.try_next().unwrap().is_some() {}
        let position = tail.position().unwrap();
        let ticket = wal.ticket(entries[9].0).unwrap();
        wal.truncate_from(entries[at].0).unwrap();

        assert_is!(tail.try_next(), Err(WalError::CutBack { .. }), "{at}");
        assert_is!(wal.seek(position), Err(WalError::CutBack { .. }), "{at}");
        assert_is!(ticket.wait(), Err(WalError::CutBack { .. }), "{at}");
        let next = wal.append_and_sync(b"instead").unwrap();
        assert_eq!(tail.try_next().unwrap().unwrap().lsn(), next, "{at}");
        // A follower that had read nothing of it has nothing to be told.
        let seen: Vec<Lsn> = std::iter::from_fn(|| beginner.try_next().unwrap())
            .map(|record| record.lsn())
            .collect();
        let kept = entries[..at].iter().map(|entry| entry.0);
        assert_eq!(seen, kept.chain([next]).collect::<Vec<_>>(), "{at}");
        wal.truncate_from(wal.iter().unwrap().next().unwrap().unwrap().lsn())
            .unwrap();
        assert!(wal.is_empty());
    }
}

fn refused(result: Result<()>) -> bool {
    matches!(result, Err(WalError::NoSuchRecord { .. }))
}

#[test]
fn a_cut_from_what_is_no_record_is_refused() {
    let wal = Wal::with_store_and_config(wal_db::MemStore::new(), quiet_heap()).unwrap();
    assert!(
        refused(wal.truncate_from(Lsn::ZERO)),
        "an empty log has no record"
    );
    let log = wal.typed::<Counted>().unwrap();
    let events: Vec<Lsn> = (0..5).map(|i| log.append(&counted(i)).unwrap()).collect();
    assert!(
        refused(wal.truncate_from(wal.status().head)),
        "a schema is no record"
    );
    assert!(refused(wal.truncate_from(Lsn::new(events[1].get() + 1))));
    assert!(refused(wal.truncate_from(wal.end())));
    wal.truncate_before(events[1]).unwrap();
    assert_is!(wal.truncate_from(events[0]), Err(WalError::Truncated { .. }));
    wal.truncate_from(events[3]).unwrap();
    assert!(refused(wal.truncate_from(events[3])), "twice");
    assert_eq!(numbers(&wal), [1, 2]);
}

#[test]
fn a_typed_log_that_was_emptied_says_its_schemas_again() {
    for form in FORMS {
        for closes in [false, true] {
            let place = Place::new(form);
            let mut wal = place.open(quiet()).unwrap();
            for round in 0..3 {
                let log = wal.typed::<Counted>().unwrap();
                let events: Vec<Lsn> = (0..30).map(|i| log.append(&counted(i)).unwrap()).collect();
                assert_eq!(numbers(&wal).len(), 30);
                wal.truncate_from(events[0]).unwrap();
                let what = format!("{form:?}, closes: {closes}, round {round}");
                assert_eq!((numbers(&wal).len(), wal.status().records), (0, 0), "{what}");
                drop(log);
                if closes {
                    wal.close().unwrap();
                    wal = place.open(quiet()).unwrap();
                }
                let event = wal
                    .typed::<Counted>()
                    .unwrap()
                    .append(&counted(100 + round))
                    .unwrap();
                assert_eq!(numbers(&wal), [100 + round], "{what}");
                assert!(wal.schemas().unwrap().iter().next().is_some(), "{what}");
                wal.truncate_from(event).unwrap();
            }
        }
    }
}

/// A batch of which a part was cut ends where it was cut.
#[test]
fn a_cut_inside_a_batch_ends_the_batch() {
    let wal = Wal::with_store_and_config(wal_db::MemStore::new(), quiet_heap()).unwrap();
    let lsns = wal.append_batch(&["a", "b", "c"]).unwrap();
    wal.truncate_from(lsns[2]).unwrap();
    wal.append(b"d").unwrap();
    let goes_on: Vec<bool> = wal
        .iter()
        .unwrap()
        .map(|record| record.unwrap().batch_continues())
        .collect();
    assert_eq!(goes_on, [true, false, false]);
}

/// Appends, cuts from the first record, and drops of the beginning, side by side.
#[test]
fn cuts_from_the_first_record_run_beside_appends_and_readers() {
    let wal = Wal::with_store_and_config(wal_db::MemStore::new(), quiet_heap()).unwrap();
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| {
            for i in 0..3000u32 {
                wal.append(&i.to_le_bytes()).unwrap();
                if i % 16 == 0 {
                    wal.sync().unwrap();
                }
            }
            drop(done);
        });
        let mut cuts = 0;
        while is_done.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
            let first = wal.iter().unwrap().next().transpose();
            let Some(first) = first.ok().flatten() else {
                continue;
            };
            match cuts % 3 {
                0 => drop(
                    wal.truncate_before(Lsn::new(first.lsn().get() + 100).min(wal.end()))
                        .unwrap(),
                ),
                _ => match wal.truncate_from(first.lsn()) {
                    Ok(()) | Err(WalError::Truncated { .. } | WalError::NoSuchRecord { .. }) => {}
                    Err(error) => panic!("{error}"),
                },
            }
            cuts += 1;
        }
        appending.join().unwrap();
    });
    let left = all(&wal);
    assert!(left.is_sorted() && wal.status().records as usize == left.len());
    assert!(wal.verify().unwrap().is_intact());
}
