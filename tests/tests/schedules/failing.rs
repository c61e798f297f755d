//! A disk that fails under load: a caller that hears an error hears nothing but errors from then on, what was
//! acknowledged before is there, and nobody waits for ever.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use shuttle::thread;
use wal_db::{Result, WalError, testing::sim::Call};
use wal_tests::assert_is;

use super::{
    explore::{any_config, beside, choose, explore, join, quiet, start},
    watch::Watch,
    witness::Witness,
};

fn commit(log: &Witness) {
    while log.append_and_sync(20).is_ok() {
        if log.appended().count_ones() >= 12 {
            return;
        }
    }
    // A caller that has heard of a failure is refused.
    assert!(log.append(20).is_err(), "a log that had failed took a record");
}

fn append(log: &Witness) {
    while log.append_batch(2, 200).is_ok() && log.sync().is_ok() && log.appended().count_ones() < 12 {}
}

/// Records that do not go through staging memory.
fn append_long(log: &Witness) {
    while log.append(3000).is_ok() && log.appended().count_ones() < 12 {}
}

fn wait_for_ticket(log: &Witness) {
    while let Ok((id, ticket)) = log.append_with_ticket(20) {
        if ticket.wait().is_err() || log.appended().count_ones() >= 12 {
            return;
        }
        log.acknowledge("ticket", 1 << id);
    }
}

#[test]
fn a_flush_that_fails_is_heard_by_all() {
    explore(400, || {
        let log = Witness::new(any_config());
        log.disk.fail(Call::Sync, choose(4));
        beside(&log, &[commit, [append, append_long][choose(2)], wait_for_ticket]);
        log.check();
    });
}

#[test]
fn a_write_that_fails_is_heard_by_all() {
    explore(400, || {
        let log = Witness::new(any_config());
        log.disk.fail(Call::Write, choose(5));
        beside(&log, &[commit, [append, append_long][choose(2)], wait_for_ticket]);
        log.check();
    });
}

#[test]
fn space_that_cannot_be_taken_is_heard_of_by_all() {
    // So many: one in a thousand has the flusher come to a block that somebody else could not write.
    explore(1_600, || {
        let log = Witness::new(quiet().with_background_flush(choose(2) == 0));
        log.disk.fail(Call::Allocate, choose(2));
        beside(&log, &[commit, append_long]);
        log.check();
    });
}

#[test]
fn a_segment_that_cannot_be_begun_or_flushed_is_heard_of_by_all() {
    explore(300, || {
        let log = Witness::in_segments(any_config());
        let call = [Call::Open, Call::Rename, Call::SyncDir, Call::Write, Call::Sync];
        log.disk.fail(call[choose(call.len())], choose(4));
        let append = |log: &Witness| while log.append(1500).is_ok() && log.appended().count_ones() < 12 {};
        beside(&log, &[commit, append, wait_for_ticket]);
        log.check();
    });
}

#[test]
fn callbacks_hear_of_a_failure() {
    explore(300, || {
        let log = Witness::new(quiet().with_background_flush(true));
        let heard = Arc::new(AtomicUsize::new(0));
        log.disk.fail(Call::Sync, choose(3));
        let threads = start(&log, &[commit]);
        let mut asked = 0;
        while asked < 3 {
            let Ok((id, ticket)) = log.append_with_ticket(20) else {
                break;
            };
            let (heard, watch) = (heard.clone(), Watch::clone(&log));
            asked += 1;
            ticket.on_durable(move |outcome| {
                heard.fetch_add(1, Ordering::Relaxed);
                if outcome.is_ok() {
                    watch.acknowledge("callback", 1 << id);
                }
            });
        }
        join(threads);
        let _ = log.clone().close();
        assert_eq!(heard.load(Ordering::Relaxed), asked, "a callback was not called");
        log.check();
    });
}

/// On a full disk records are refused; when there is space again they are taken, and nothing has failed meanwhile.
#[test]
fn a_full_disk_is_no_failure() {
    explore(200, || {
        let log = Witness::new(any_config());
        log.disk.leave_space(8 << 10);
        beside(&log, &[append_in_the_end, commit_in_the_end, give_space]);
        log.clone().close().unwrap();
        log.check();
    });
}

/// So many records were taken that wait for a descriptor.
static WAITED: AtomicUsize = AtomicUsize::new(0);

/// Where no file can be opened for a moment, records are refused, or taken and not durable yet; later they are, once.
#[test]
fn missing_descriptors_are_no_failure() {
    explore(100, || {
        let log = Witness::in_segments(quiet().with_background_flush(choose(2) == 0));
        // More segments than are open at a time, one each.
        for _ in 0..6 {
            log.append(60_000).unwrap();
        }
        log.sync().unwrap();
        beside(
            &log,
            &[commit_small, commit_small, read_the_oldest, lose_descriptors],
        );
        log.clone().close().unwrap();
        log.check();
    });
    assert!(WAITED.load(Ordering::Relaxed) > 0, "no schedule came to it");
}

fn commit_small(log: &Witness) {
    for _ in 0..2 {
        while let Err(error) = log.append_and_sync(20) {
            match error {
                WalError::NotDurable { .. } => {
                    WAITED.fetch_add(1, Ordering::Relaxed);
                    while let Err(error) = log.sync() {
                        assert_is!(error, WalError::NotDurable { .. }, "{error}");
                        thread::yield_now();
                    }
                    break;
                }
                WalError::Io { .. } => thread::yield_now(),
                error => panic!("missing descriptors are no failure: {error}"),
            }
        }
    }
}

/// So the segment that is written next is closed.
fn read_the_oldest(log: &Witness) {
    let oldest = log.wal.iter().unwrap().take(5);
    oldest.for_each(drop);
}

fn lose_descriptors(log: &Witness) {
    for _ in 0..2 {
        for some in [false, true] {
            thread::yield_now();
            log.disk.give_descriptors(some);
        }
    }
}

fn append_in_the_end(log: &Witness) {
    for len in [1000, 3000, 9000] {
        in_the_end(|| log.append(len).map(drop));
    }
}

fn commit_in_the_end(log: &Witness) {
    in_the_end(|| log.append(2000).map(drop));
    in_the_end(|| log.sync());
    in_the_end(|| log.append_batch(2, 1500).map(drop));
    in_the_end(|| log.sync());
}

fn give_space(log: &Witness) {
    for kilobytes in [4, 8, 512] {
        thread::yield_now();
        log.disk.leave_space(kilobytes << 10);
    }
}

/// Tries again for as long as the disk is full.
fn in_the_end(mut call: impl FnMut() -> Result<()>) {
    loop {
        match call() {
            Ok(()) => return,
            Err(WalError::Full { .. }) => thread::yield_now(),
            Err(error) => panic!("a full disk is no failure: {error}"),
        }
    }
}
