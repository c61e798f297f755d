//! Segments that are left and begun under those who append.

use super::{
    explore::{any_config, beside, explore},
    witness::Witness,
};

fn append(log: &Witness) {
    for len in [600, 1500, 600] {
        log.append(len).unwrap();
    }
    log.append_batch(2, 1500).unwrap();
}

fn commit(log: &Witness) {
    for len in [20, 1800, 9000] {
        log.append_and_sync(len).unwrap();
    }
}

fn move_head(log: &Witness) {
    log.append(10).unwrap();
    for _ in 0..3 {
        let lsn = log.some_lsn();
        log.truncate_before(lsn).unwrap();
    }
}

#[test]
fn what_was_acknowledged_in_a_segment_that_was_left_is_there() {
    explore(150, || {
        let log = Witness::in_segments(any_config());
        beside(&log, &[append, append, commit]);
        log.check();
    });
}

#[test]
fn segments_that_are_dropped_take_nothing_else_with_them() {
    explore(150, || {
        let log = Witness::in_segments(any_config());
        beside(&log, &[append, commit, move_head, Witness::read]);
        log.check();
    });
}
