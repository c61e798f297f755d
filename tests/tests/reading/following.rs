//! Following, seeking and keeping: what a reader is shown while a log grows, is cut and is trimmed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, SystemTime},
};

use wal_db::{Durability, Lsn, MemStore, Retention, Wal, WalConfig, WalError, read::Follow};
use wal_tests::{
    PATIENCE, assert_is,
    files::{FORMS, Place},
    lsns_of, put, quiet, ticket,
};

fn small_segments(dir: &tempfile::TempDir) -> Wal {
    Wal::open_segmented(dir.path().join("log"), 64 << 10).unwrap()
}

fn numbers(wal: &Wal) -> Vec<u64> {
    wal.iter()
        .unwrap()
        .map(|record| number(record.unwrap().data()))
        .collect()
}

fn number(data: &[u8]) -> u64 {
    u64::from_le_bytes(data[..8].try_into().unwrap())
}

fn numbered(i: u64, len: usize) -> Vec<u8> {
    let mut data = i.to_le_bytes().to_vec();
    data.resize(len.max(8), 7);
    data
}

#[test]
fn a_follower_sees_every_record_in_order_while_threads_append() {
    let dir = tempfile::tempdir().unwrap();
    let wal = small_segments(&dir);
    let mut tail = wal.tail(Lsn::ZERO).unwrap();
    thread::scope(|scope| {
        for thread in 0..3u64 {
            let wal = &wal;
            scope.spawn(move || {
                for i in 0..400 {
                    wal.append(&numbered(thread << 32 | i, 100)).unwrap();
                    if i % 50 == 49 {
                        wal.sync().unwrap();
                    }
                }
            });
        }
        let mut next = [0u64; 3];
        let mut last = None;
        while next.iter().sum::<u64>() < 1200 {
            let record = tail.next_timeout(PATIENCE).unwrap().expect("a record comes");
            assert!(
                record.lsn() < wal.status().durable,
                "a follower is shown durable records only"
            );
            assert!(last < Some(record.lsn()));
            last = Some(record.lsn());
            let (thread, i) = (number(record.data()) >> 32, number(record.data()) & 0xffff_ffff);
            assert_eq!(i, next[thread as usize], "no gap");
            next[thread as usize] += 1;
        }
    });
}

/// What it was made to show was written when the log was closed, not when it got there.
#[test]
fn an_iterator_goes_on_to_its_end_after_the_log_was_closed() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        let mut entries: Vec<_> = (0..5).map(|seed| put(&wal, seed, 300)).collect();
        wal.sync().unwrap();
        entries.extend((5..12).map(|seed| put(&wal, seed, 300)));
        let mut records = wal.iter().unwrap();
        let first = records.next().unwrap().unwrap();
        assert_eq!(first.lsn(), entries[0].0, "{form:?}");
        wal.close().unwrap();
        let rest: Vec<Lsn> = lsns_of(Ok(records));
        let expected: Vec<Lsn> = entries[1..].iter().map(|entry| entry.0).collect();
        assert_eq!(rest, expected, "{form:?}");
    }
}

#[test]
fn a_follower_waits_for_durability_unless_it_asks_otherwise() {
    let wal =
        Wal::with_store_and_config(MemStore::new(), WalConfig::new().with_background_flush(false)).unwrap();
    let mut durable = wal.tail(Lsn::ZERO).unwrap();
    let mut written = wal.tail(Lsn::ZERO).unwrap().follow(Follow::Written);
    wal.append(b"appended").unwrap();
    assert_eq!(written.try_next().unwrap().unwrap().data(), b"appended");
    assert!(durable.try_next().unwrap().is_none());
    wal.sync().unwrap();
    assert_eq!(durable.try_next().unwrap().unwrap().data(), b"appended");
}

#[test]
fn a_follower_hears_of_cuts_and_of_the_end() {
    let wal = Wal::with_store(MemStore::new()).unwrap();
    let kept = wal.append_and_sync(b"kept").unwrap();
    wal.append_and_sync(b"cut").unwrap();
    let mut behind = wal.tail(kept).unwrap();
    let mut ahead = wal.tail(Lsn::ZERO).unwrap();
    for expected in [&b"kept"[..], b"cut"] {
        assert_eq!(ahead.try_next().unwrap().unwrap().data(), expected);
    }
    wal.truncate_after(kept).unwrap();
    wal.append_and_sync(b"instead").unwrap();
    assert_is!(
        ahead.try_next(),
        Err(WalError::CutBack { .. }),
        "it was shown what is gone"
    );
    assert_eq!(ahead.try_next().unwrap().unwrap().data(), b"instead");
    // This one had seen none of it.
    assert_eq!(behind.try_next().unwrap().unwrap().data(), b"kept");
    assert_eq!(behind.try_next().unwrap().unwrap().data(), b"instead");
    wal.close().unwrap();
    assert_is!(ahead.next_timeout(PATIENCE), Err(WalError::Closed));
    assert!(behind.next().is_none());
}

#[test]
fn a_follower_that_fell_behind_a_truncation_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let wal = small_segments(&dir);
    let lsns: Vec<Lsn> = (0..50)
        .map(|i| wal.append_and_sync(&numbered(i, 10_000)).unwrap())
        .collect();
    let mut tail = wal.tail(Lsn::ZERO).unwrap();
    tail.try_next().unwrap().unwrap();
    wal.truncate_before(lsns[40]).unwrap();
    let mut error = None;
    while error.is_none() {
        match tail.try_next() {
            Ok(record) => assert!(record.is_some(), "never a silent end"),
            Err(found) => error = Some(found),
        }
    }
    assert_is!(error, Some(WalError::Truncated { head, .. }) if *head == lsns[40]);
}

#[test]
fn records_are_found_by_the_time_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let wal = small_segments(&dir);
    for i in 0..300 {
        wal.append_and_sync(&numbered(i, 1000)).unwrap();
    }
    let lsns = lsns_of(wal.iter());
    for i in [0, 1, 150, 298, 299] {
        let time = wal.locate(lsns[i]).unwrap().time;
        let first = wal.iter_from(time).unwrap().next().unwrap().unwrap();
        // Groups that were written in the same microsecond cannot be told apart.
        assert!(
            first.lsn() <= lsns[i] && wal.locate(first.lsn()).unwrap().time == time,
            "record {i}"
        );
    }
    assert_eq!(wal.iter_from(SystemTime::UNIX_EPOCH).unwrap().count(), 300);
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    assert_eq!(wal.iter_from(tomorrow).unwrap().count(), 0);
}

#[test]
fn retention_drops_by_size_and_age_and_keeps_what_a_cursor_needs() {
    let dir = tempfile::tempdir().unwrap();
    let wal = small_segments(&dir);
    let lsns: Vec<Lsn> = (0..100)
        .map(|i| wal.append_and_sync(&numbered(i, 4000)).unwrap())
        .collect();
    assert_eq!(
        wal.retain(&Retention::new()).unwrap(),
        lsns[0],
        "no limit, nothing dropped"
    );

    let cursor = wal.hold(lsns[10]).unwrap();
    let by_size = Retention::new().with_max_bytes(40_000);
    assert_eq!(
        wal.retain(&by_size).unwrap(),
        lsns[10],
        "the cursor holds the rest"
    );
    assert_eq!(numbers(&wal), (10..100).collect::<Vec<_>>());
    cursor.advance(lsns[50]).unwrap();
    cursor.advance(lsns[20]).unwrap();
    assert_eq!(cursor.lsn(), lsns[50], "a cursor never moves back");
    assert_eq!(wal.retain(&by_size).unwrap(), lsns[50]);
    drop(cursor);
    let head = wal.retain(&by_size).unwrap();
    assert!(
        wal.end().get() - head.get() <= 40_000 + 4096 && wal.status().records >= 8,
        "{head} of {}",
        wal.end().get()
    );

    let an_hour = Retention::new().with_max_age(Duration::from_secs(3600));
    assert_eq!(wal.retain(&an_hour).unwrap(), head, "nothing is that old");
    wal.retain(&Retention::new().with_max_age(Duration::ZERO))
        .unwrap();
    assert_eq!(wal.status().records, 0);
    let next = wal.append_and_sync(b"the log goes on").unwrap();
    assert!(next > lsns[99]);
    assert_eq!(wal.iter().unwrap().count(), 1);
}

#[test]
fn truncation_is_safe_while_others_append_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let wal = small_segments(&dir);
    let stop = AtomicBool::new(false);
    let appended = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let i = appended.fetch_add(1, Ordering::Relaxed);
                    wal.append(&numbered(i, 300)).unwrap();
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let mut last = None;
                for record in wal.iter().unwrap() {
                    match record {
                        Ok(record) => assert!(last.replace(record.lsn()) < Some(record.lsn())),
                        // A reader may be overtaken, and is told.
                        Err(error) => assert_is!(error, WalError::Truncated { .. }, "{error}"),
                    }
                }
            }
        });
        let mut cuts = 0;
        while cuts < 40 {
            let Some(Ok(newest)) = wal.iter_rev().unwrap().next() else {
                continue;
            };
            if cuts % 4 == 3 {
                wal.truncate_before(newest.lsn()).unwrap();
            } else {
                match wal.truncate_after(newest.lsn()) {
                    Ok(()) => {}
                    Err(error) => assert_is!(error, WalError::NoSuchRecord { .. }, "{error}"),
                }
            }
            cuts += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(wal.verify().unwrap().is_intact());
    let before = numbers(&wal);
    wal.close().unwrap();
    assert_eq!(numbers(&small_segments(&dir)), before);
}

#[test]
fn a_read_only_handle_reads_beside_the_writer_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let wal = small_segments(&dir);
    for i in 0..100 {
        wal.append_and_sync(&numbered(i, 3000)).unwrap();
    }
    let reader = Wal::open_read_only(dir.path().join("log")).unwrap();
    assert_eq!(numbers(&reader), (0..100).collect::<Vec<_>>());
    assert_is!(reader.append(b"x"), Err(WalError::ReadOnly));
    assert_is!(
        reader.truncate_before(reader.status().head),
        Err(WalError::ReadOnly)
    );
    wal.append_and_sync(&numbered(100, 3000)).unwrap();
    assert_eq!(wal.status().records, 101);
}

#[test]
fn tickets_are_kept_in_all_three_ways() {
    let dir = tempfile::tempdir().unwrap();
    for durability in [Durability::Flushed, Durability::Certified] {
        for background in [true, false] {
            let path = dir.path().join(format!("{durability:?}-{background}"));
            let config = WalConfig::new()
                .with_durability(durability)
                .with_background_flush(background);
            let wal = Wal::open_with(path, config).unwrap();
            let waited = ticket(&wal, b"waited for");
            let lsn = waited.lsn();
            assert_eq!(waited.wait().unwrap(), lsn);
            assert!(wal.status().durable > lsn);

            let (told, hears) = mpsc::channel();
            let called = ticket(&wal, b"called back");
            let lsn = called.lsn();
            called.on_durable(move |outcome| told.send(outcome).unwrap());
            assert_eq!(hears.recv_timeout(PATIENCE).unwrap().unwrap(), lsn);

            let polled = ticket(&wal, b"polled");
            let lsn = polled.lsn();
            assert_eq!(block_on(polled).unwrap(), lsn);
            assert!(wal.status().durable > lsn);
        }
    }
}

/// The smallest executor: parks the thread until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park_timeout(PATIENCE);
    }
}

#[test]
fn a_log_that_is_emptied_at_a_segment_boundary_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let quiet = WalConfig::new().with_background_flush(false);
    // A commit takes a sector, and a segment has 128; somewhere in this range the log ends with its segment.
    for commits in 122..132 {
        let path = dir.path().join(commits.to_string());
        let wal = Wal::open_segmented_with(&path, 64 << 10, quiet).unwrap();
        for i in 0..commits {
            wal.append_and_sync(&numbered(i, 8)).unwrap();
        }
        let head = wal.truncate_before(wal.end()).unwrap();
        assert_eq!(wal.status().records, 0);
        wal.close().unwrap();
        let wal = Wal::open_segmented_with(&path, 64 << 10, quiet).unwrap();
        assert_eq!(
            (wal.status().head, wal.iter().unwrap().count()),
            (head, 0),
            "{commits} commits"
        );
        assert!(wal.append_and_sync(b"on").unwrap() >= head);
        assert_eq!(wal.iter().unwrap().count(), 1);
    }
}
