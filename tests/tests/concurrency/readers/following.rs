//! Followers in another process than the writer.

use std::{sync::mpsc, time::Duration};

use wal_db::{Lsn, Staging, Tail, Wal, WalConfig, WalError, read::Follow, testing::SimDisk};
use wal_tests::{
    Entry, PATIENCE, all, assert_is,
    files::{FORMS, Form, Place},
    put, quiet, within,
    written::Written,
};

fn next(tail: &mut Tail) -> Entry {
    let record = tail.next_timeout(PATIENCE).unwrap().expect("it comes");
    Entry(record.lsn(), record.into_data())
}

#[test]
fn a_reader_process_follows_a_writer() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let mut written = vec![put(&wal, 1, 100)];
        wal.sync().unwrap();
        let reader = Wal::open_read_only(place.path()).unwrap();
        let mut tail = reader.tail(Lsn::ZERO).unwrap();
        assert_eq!(next(&mut tail), written[0]);
        // Through several segments, and from one process that writes to the next.
        for seed in 2..20 {
            written.push(put(&wal, seed, 10_000));
            wal.sync().unwrap();
            assert_eq!(Some(&next(&mut tail)), written.last(), "{form:?}");
        }
        wal.close().unwrap();
        assert!(tail.try_next().unwrap().is_none());
        let wal = place.open(quiet()).unwrap();
        written.push(put(&wal, 20, 50));
        wal.sync().unwrap();
        assert_eq!(Some(&next(&mut tail)), written.last(), "{form:?}");
        assert_eq!(all(&reader), written, "{form:?}: what it reads is of today, too");
        assert_eq!(reader.status().records, 20);
    }
}

/// Nothing else than the store says there that it has grown.
#[test]
fn a_log_without_staging_memory_is_followed_to_its_end() {
    for segmented in [false, true] {
        let log = Written::new(segmented, Staging::WriteThrough);
        let reader = log
            .disk
            .open_read_only(Written::NAME, segmented, quiet())
            .unwrap();
        let mut tail = reader.tail(Lsn::ZERO).unwrap().follow(Follow::Written);
        let mut written = Vec::new();
        for seed in 0..20 {
            written.push(put(log.wal(), seed, 10_000));
            log.wal().sync().unwrap();
            let shown = tail.try_next().unwrap().map(|record| record.lsn());
            assert_eq!(shown, Some(written[seed].0), "{segmented}");
        }
        // More than a segment in one look.
        written.extend((20..60).map(|seed| put(log.wal(), seed, 10_000)));
        log.wal().sync().unwrap();
        assert_eq!(all(&reader), written, "{segmented}");
    }
}

#[test]
fn a_follower_in_another_process_is_shown_what_is_durable_and_nothing_else() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let reader = Wal::open_read_only(place.path()).unwrap();
        let mut durable = reader.tail(Lsn::ZERO).unwrap();
        let mut written = reader.tail(Lsn::ZERO).unwrap().follow(Follow::Written);
        let first = put(&wal, 1, 700);
        assert!(
            written.try_next().unwrap().is_none(),
            "{form:?}: it waits in memory"
        );
        wal.drain().unwrap();
        assert_eq!(next(&mut written), first);
        assert!(durable.try_next().unwrap().is_none(), "{form:?}: not durable");
        assert!(reader.status().durable <= first.0);
        wal.sync().unwrap();
        assert_eq!(next(&mut durable), first);
    }
}

#[test]
fn waiting_for_another_process_is_sleeping() {
    let disk = SimDisk::new();
    let wal = disk.open("log", quiet()).unwrap();
    wal.append_and_sync(b"there").unwrap();
    let reader = disk.open_read_only("log", false, WalConfig::new()).unwrap();
    let mut tail = reader.tail(Lsn::ZERO).unwrap();
    assert!(tail.next_timeout(PATIENCE).unwrap().is_some());
    let before = disk.calls(None);
    assert!(tail.next_timeout(Duration::from_millis(200)).unwrap().is_none());
    let calls = disk.calls(None) - before;
    assert!((1..2_000).contains(&calls), "{calls} calls");
}

#[test]
fn a_follower_hears_of_cuts_and_of_a_log_that_has_moved_on() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entries: Vec<_> = (0..6).map(|seed| put(&wal, seed, 30_000)).collect();
        wal.sync().unwrap();
        let reader = Wal::open_read_only(place.path()).unwrap();
        let mut tail = reader.tail(Lsn::ZERO).unwrap();
        for entry in &entries {
            assert_eq!(&next(&mut tail), entry);
        }
        wal.truncate_after(entries[4].0).unwrap();
        let instead = put(&wal, 9, 100);
        wal.sync().unwrap();
        assert_is!(tail.try_next(), Err(WalError::CutBack { .. }), "{form:?}");
        assert_eq!(next(&mut tail), instead, "{form:?}");
        let mut late = reader.tail(Lsn::ZERO).unwrap();
        wal.truncate_before(entries[4].0).unwrap();
        // Another call of the same handle has looked.
        assert_eq!(all(&reader), [entries[4].clone(), instead.clone()], "{form:?}");
        match late.try_next() {
            Err(WalError::Truncated { head, .. }) => assert_eq!(head, entries[4].0),
            other => panic!("{form:?}: {other:?}"),
        }
        let mut again = reader.tail(entries[4].0).unwrap();
        assert_eq!(next(&mut again), entries[4]);
        assert_eq!(next(&mut again), instead);
    }
}

/// Nothing came between them, so both end at one place, where the follower waits.
#[test]
fn a_follower_hears_of_a_second_cut_that_removes_more() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let entries: Vec<_> = (0..4).map(|seed| put(&wal, seed, 100)).collect();
        wal.sync().unwrap();
        let reader = Wal::open_read_only(place.path()).unwrap();
        let mut tails = [&wal, &reader].map(|wal| wal.tail(Lsn::ZERO).unwrap());
        for tail in &mut tails {
            entries.iter().for_each(|entry| assert_eq!(&next(tail), entry));
        }
        for kept in [2, 1, 0] {
            wal.truncate_after(entries[kept].0).unwrap();
            for tail in &mut tails {
                match tail.try_next() {
                    Err(WalError::CutBack { kept_before, .. }) => {
                        assert!(entries[kept].0 < kept_before && kept_before <= entries[kept + 1].0);
                    }
                    other => panic!("{form:?}, {kept}: {other:?}"),
                }
                assert!(tail.try_next().unwrap().is_none());
            }
        }
        let instead = put(&wal, 9, 100);
        wal.sync().unwrap();
        for tail in &mut tails {
            assert_eq!(next(tail), instead, "{form:?}");
        }
    }
}

#[test]
fn closing_ends_the_followers_of_a_handle_that_reads() {
    let place = Place::new(Form::File);
    let wal = place.open(quiet()).unwrap();
    let entry = put(&wal, 1, 10);
    wal.sync().unwrap();
    let reader = Wal::open_read_only(place.path()).unwrap();
    let tail = reader.tail(Lsn::ZERO).unwrap();
    let (tell, told) = mpsc::channel();
    let follower = std::thread::spawn(move || {
        for record in tail {
            let record = record.unwrap();
            tell.send(Entry(record.lsn(), record.into_data())).unwrap();
        }
    });
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), entry);
    reader.close().unwrap();
    within("the follower", move || follower.join().unwrap());
}

#[test]
fn a_segment_that_is_made_again_under_the_name_of_an_unused_one_is_read() {
    let place = Place::new(Form::Segmented);
    let wal = place.open(quiet()).unwrap();
    let mut entries = vec![put(&wal, 1, 100)];
    wal.sync().unwrap();
    assert!(place.segment(1).exists(), "made ready");
    let reader = Wal::open_read_only(place.path()).unwrap();
    assert_eq!(all(&reader), entries);
    wal.close().unwrap();
    assert!(!place.segment(1).exists(), "given back");
    let wal = place.open(quiet()).unwrap();
    for seed in 2..8 {
        entries.push(put(&wal, seed, 30_000));
    }
    wal.sync().unwrap();
    assert_eq!(all(&reader), entries);
}
