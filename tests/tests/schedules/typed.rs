//! Typed records: with each that was acknowledged, the schema that explains it is there.

use wal_db::WalError;

use super::{
    explore::{any_config, beside, explore, join, quiet, start},
    truncating::{cut, move_head},
    witness::Witness,
};

fn append(log: &Witness) {
    log.append_typed(false).unwrap();
    log.append(600).unwrap();
    log.append_typed(true).unwrap();
    log.sync().unwrap();
}

fn append_and_sync(log: &Witness) {
    append_one_and_sync(log);
    log.append(900).unwrap();
    append_one_and_sync(log);
}

fn append_one_and_sync(log: &Witness) {
    match log.append_typed_and_sync() {
        // A cut that came after it has taken it.
        Ok(_) | Err(WalError::CutBack { .. }) => {}
        Err(error) => panic!("append and sync: {error}"),
    }
}

#[test]
fn typed_records_beside_a_cut_keep_their_schemas() {
    explore(400, || {
        let log = Witness::in_segments(any_config());
        log.append(30).unwrap();
        log.append_typed(true).unwrap();
        beside(&log, &[append, append_and_sync, cut]);
        log.check();
    });
}

#[test]
fn typed_records_beside_a_head_that_moves_keep_their_schemas() {
    explore(400, || {
        let log = Witness::in_segments(any_config());
        log.append(30).unwrap();
        log.append_typed(true).unwrap();
        beside(&log, &[append, append_and_sync, move_head]);
        log.check();
    });
}

#[test]
fn a_record_whose_schema_is_cut_off_meanwhile_gets_it_again_before_it_is_acknowledged() {
    explore(1500, || {
        let log = Witness::new(quiet());
        let kept = log.append(30).unwrap();
        log.append_typed(false).unwrap();
        let threads = start(&log, &[append_one_and_sync]);
        log.truncate_after(kept).unwrap();
        // The record may be there by now and its schema not.
        (0..2).for_each(|_| log.wal.sync().unwrap());
        join(threads);
        log.check();
    });
}
