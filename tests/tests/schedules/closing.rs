//! Closing a log beside those who use it.

use wal_db::{Result, WalError};

use super::{
    explore::{any_config, beside, explore, join, start},
    witness::Witness,
};

/// The log may have been closed.
fn or_closed<T>(outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(WalError::Closed) => None,
        Err(error) => panic!("neither done nor closed: {error}"),
    }
}

fn append(log: &Witness) {
    or_closed(log.append(20));
    or_closed(log.append_batch(2, 30));
    or_closed(log.append(9000));
    or_closed(log.append_in_place(20));
}

fn commit(log: &Witness) {
    or_closed(log.append_and_sync(20));
    or_closed(log.append_and_sync(20));
    or_closed(log.sync());
}

fn close(log: &Witness) {
    log.clone().close().unwrap();
}

#[test]
fn what_was_appended_before_a_close_is_there() {
    explore(400, || {
        let log = Witness::new(any_config());
        beside(&log, &[append, commit, close]);
        log.check();
    });
}

#[test]
fn two_who_close_find_everything_there() {
    explore(400, || {
        let log = Witness::new(any_config());
        log.append(20).unwrap();
        beside(&log, &[close, append, close]);
        log.check();
    });
}

#[test]
fn the_last_handle_that_goes_leaves_everything_there() {
    explore(300, || {
        let log = Witness::new(any_config());
        let threads = start(&log, &[append, commit]);
        let log = log.let_go();
        join(threads);
        log.all_is_durable("drop");
        log.check(None);
    });
}
