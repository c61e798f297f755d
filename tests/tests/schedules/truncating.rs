//! Cutting the end and the beginning of a log beside those who use it.

use super::{
    explore::{any_config, beside, explore, join, start},
    witness::Witness,
};

fn with_records() -> Witness {
    let log = Witness::new(any_config());
    log.append(20).unwrap();
    log.append_batch(2, 30).unwrap();
    log.append(600).unwrap();
    log
}

/// Runs threads beside one another and a follower, until the log is closed.
fn beside_a_follower(log: &Witness, threads: &[fn(&Witness)]) {
    let followers = start(log, &[Witness::follow]);
    beside(log, threads);
    log.read();
    log.clone().close().unwrap();
    join(followers);
    log.check();
}

fn append(log: &Witness) {
    log.append(20).unwrap();
    log.append(700).unwrap();
    log.append_in_place(20).unwrap();
}

pub(super) fn commit(log: &Witness) {
    log.append_and_sync(20).unwrap();
    log.append_and_sync(20).unwrap();
}

pub(super) fn cut(log: &Witness) {
    let lsn = log.some_lsn();
    log.truncate_after(lsn).unwrap();
}

fn cut_from(log: &Witness) {
    let lsn = log.some_lsn();
    log.truncate_from(lsn).unwrap();
}

pub(super) fn move_head(log: &Witness) {
    for _ in 0..2 {
        let lsn = log.some_lsn();
        log.truncate_before(lsn).unwrap();
    }
}

fn read(log: &Witness) {
    for _ in 0..3 {
        log.read_one();
        log.read();
    }
}

#[test]
fn a_cut_beside_appenders_is_durable() {
    explore(400, || {
        let log = with_records();
        beside(&log, &[append, commit, cut]);
        log.check();
    });
}

#[test]
fn a_cut_beside_readers_shows_them_the_log_before_or_behind_it() {
    explore(400, || {
        let log = with_records();
        beside(&log, &[append, read, cut]);
        log.read();
        log.check();
    });
}

#[test]
fn a_cut_from_a_record_on_beside_appenders_is_durable() {
    explore(400, || {
        let log = with_records();
        beside(&log, &[append, commit, cut_from]);
        log.check();
    });
}

/// The record may be the first one: then nothing is left but what comes later.
#[test]
fn a_cut_from_a_record_on_shows_readers_the_log_before_or_after_it() {
    explore(300, || {
        let log = with_records();
        beside_a_follower(&log, &[append, read, cut_from]);
    });
}

#[test]
fn a_head_that_moves_beside_appenders_is_durable() {
    explore(400, || {
        let log = with_records();
        beside(&log, &[append, commit, move_head, read]);
        log.read();
        log.check();
    });
}

#[test]
fn followers_see_every_record_that_is_durable() {
    explore(300, || {
        let log = Witness::new(any_config());
        beside_a_follower(&log, &[append, commit]);
    });
}

/// Nothing else happens that could wake it.
#[test]
fn a_follower_is_woken_by_a_record_that_becomes_durable() {
    explore(200, || {
        let log = Witness::new(any_config());
        beside(&log, &[commit, |log| log.wait_for(2)]);
        log.check();
    });
}

#[test]
fn followers_go_on_behind_a_cut() {
    explore(300, || {
        let log = with_records();
        beside_a_follower(&log, &[append, commit, cut]);
    });
}

#[test]
fn followers_go_on_at_a_head_that_moves() {
    explore(300, || {
        let log = with_records();
        beside_a_follower(&log, &[append, commit, move_head]);
    });
}

#[test]
fn both_ends_are_cut_at_once() {
    explore(300, || {
        let log = with_records();
        let first = log.some_lsn();
        let threads = start(&log, &[commit, append]);
        let head = {
            let log = log.clone();
            shuttle::thread::spawn(move || log.truncate_before(first).map(drop))
        };
        // The record that is to be the last may have been dropped from the beginning.
        let _ = log.truncate_after(first);
        head.join().unwrap().unwrap();
        join(threads);
        log.check();
    });
}
