//! Positions that say which log they are from.

use wal_db::{Lsn, Position, Result, Retention, Start, Wal, WalError, read::Follow};
use wal_tests::{
    assert_is,
    disk::Disk,
    files::{FORMS, Place},
    quiet, quiet_heap,
};

use super::{KINDS, Log, followed, texts};

fn through_text(position: Position) -> Position {
    let bytes = Position::from_bytes(&position.to_bytes()).unwrap();
    assert_eq!(bytes, position);
    let json = serde_json::to_string(&position).unwrap();
    serde_json::from_str(&json).unwrap()
}

fn has_diverged<T>(what: Result<T>) -> bool {
    matches!(what, Err(WalError::Diverged { .. }))
}

#[test]
fn a_follower_goes_on_from_a_stored_position() {
    for kind in KINDS {
        for reopened in [false, true] {
            let mut log = Log::new(kind);
            let lsns: Vec<Lsn> = ["a", "b", "c"].iter().map(|text| log.put(text)).collect();
            let two = log.wal.append_batch(&["d", "e"]).unwrap();
            let mut positions = vec![log.wal.tail(Start::Head).unwrap().position().unwrap()];
            let mut tail = log.wal.tail(Start::Head).unwrap().follow(Follow::Written);
            log.wal.drain().unwrap();
            while tail.try_next().unwrap().is_some() {
                positions.push(tail.position().unwrap());
            }
            log.wal.sync().unwrap();
            for (lsn, at) in lsns.iter().chain(&two).zip(0..) {
                assert_eq!(Position::after(&log.wal, *lsn).unwrap(), positions[at + 1]);
                assert_eq!(Position::of(&log.wal, *lsn).unwrap().lsn(), *lsn);
            }
            drop(tail);
            log = log.reopened_if(reopened);
            log.put("f");
            let all = ["a", "b", "c", "d", "e", "f"];
            for (at, position) in positions.iter().enumerate() {
                let position = through_text(*position).with_part(3);
                assert_eq!(position.part(), 3);
                let wal = &log.wal;
                let mut tail = wal.tail(position).unwrap();
                assert_eq!(followed(&mut tail), all[at..], "{kind:?} {reopened}");
                assert_eq!(texts(wal.iter_from(position).unwrap()), all[at..], "{kind:?}");
                assert_eq!(wal.seek(position).unwrap(), position.lsn());
            }
        }
    }
}

#[test]
fn a_position_of_another_log_is_refused_with_both_names() {
    for kind in KINDS {
        let (log, other) = (Log::new(kind), Log::new(kind));
        log.put("a");
        other.put("a");
        let position = Position::of(&log.wal, log.wal.end()).unwrap();
        let Err(WalError::OtherLog {
            position: from,
            log: of,
            ..
        }) = other.wal.tail(position)
        else {
            panic!("{kind:?}: accepted");
        };
        assert_eq!(from, position.log_id());
        assert_eq!(of, Position::of(&other.wal, Lsn::ZERO).unwrap().log_id());
        assert_is!(other.wal.iter_from(position), Err(WalError::OtherLog { .. }));
        assert_is!(other.wal.seek(position), Err(WalError::OtherLog { .. }));
    }
}

/// The worst case: both copies were opened as often, and hold records of one length at the same places.
#[test]
fn a_copy_that_was_restored_and_has_grown_differently_is_recognised() {
    for form in FORMS {
        let place = Place::new(form);
        let wal = place.open(quiet()).unwrap();
        wal.append_and_sync(b"shared 1").unwrap();
        wal.append_and_sync(b"shared 2").unwrap();
        let shared = Position::of(&wal, wal.end()).unwrap();
        wal.close().unwrap();
        let backup = place.killed();

        let wal = place.open(quiet()).unwrap();
        let mut positions = Vec::new();
        for text in ["mine 1", "mine 2"] {
            let lsn = wal.append_and_sync(text.as_bytes()).unwrap();
            positions.push(Position::after(&wal, lsn).unwrap());
        }
        positions.push(Position::of(&wal, wal.end()).unwrap());

        let copy = backup.open(quiet()).unwrap();
        // Until it has grown, it ends before the positions.
        assert_is!(copy.tail(positions[2]), Err(WalError::BeyondEnd { .. }));
        for text in ["ours 1", "ours 2", "ours 3"] {
            copy.append_and_sync(text.as_bytes()).unwrap();
        }
        for position in &positions {
            assert!(has_diverged(copy.tail(position)), "{form:?} {position}");
            assert!(has_diverged(copy.iter_from(position)), "{form:?} {position}");
            assert!(has_diverged(copy.seek(position)), "{form:?} {position}");
            assert!(wal.seek(position).is_ok());
        }
        // What came before is the same.
        assert_eq!(
            texts(copy.iter_from(shared).unwrap()),
            ["ours 1", "ours 2", "ours 3"]
        );
        // Where the place is gone from the copy, the group after it still tells.
        copy.truncate_before(copy.end()).unwrap();
        let last = positions.pop().unwrap();
        let what = copy.seek(last);
        assert_is!(what, Err(WalError::Truncated { .. } | WalError::Diverged { .. }));
    }
}

#[test]
fn a_follower_of_what_was_only_written_learns_that_a_power_failure_took_it() {
    let disk = Disk::new();
    let wal = Wal::with_store_and_config(disk.clone(), quiet_heap()).unwrap();
    wal.append_and_sync(b"durable").unwrap();
    let mut tail = wal.tail(Start::Head).unwrap().follow(Follow::Written);
    wal.append(b"only written").unwrap();
    wal.drain().unwrap();
    assert_eq!(followed(&mut tail), ["durable", "only written"]);
    let position = tail.position().unwrap();
    let disk = disk.after_power_loss(|_| false);
    let wal = Wal::with_store_and_config(disk, quiet_heap()).unwrap();
    assert_is!(wal.tail(position), Err(WalError::BeyondEnd { .. }));
    wal.append_and_sync(b"another one").unwrap();
    wal.append_and_sync(b"and one more").unwrap();
    assert!(has_diverged(wal.tail(position)));
}

#[test]
fn every_cut_since_a_position_was_taken_is_told_and_none_before() {
    for kind in KINDS {
        let mut log = Log::new(kind);
        let kept = log.put("a");
        // In one group with "b", so that what was cut off leaves no trace in the group's header.
        let lsns = log.wal.append_batch(&["b", "c"]).unwrap();
        log.wal.sync().unwrap();
        let after_b = Position::after(&log.wal, lsns[0]).unwrap();
        let after_c = Position::after(&log.wal, lsns[1]).unwrap();
        let at_the_end = Position::of(&log.wal, log.wal.end()).unwrap();
        log.wal.truncate_after(lsns[0]).unwrap();
        let told = |log: &Log, position: &Position| {
            let resolved = log.wal.seek(position);
            let is_told = matches!(resolved, Err(WalError::CutBack { .. }));
            assert!(is_told || resolved.is_ok(), "{resolved:?}");
            let mut tail = log.wal.tail(position).unwrap();
            let seen = followed(&mut tail);
            assert_eq!(
                seen.first().is_some_and(|first| first == "CutBack"),
                is_told,
                "{kind:?}"
            );
            (is_told, tail.position().unwrap())
        };
        assert!(!told(&log, &after_b).0, "{kind:?}");
        let (is_told, after_hearing) = told(&log, &after_c);
        assert!(is_told, "{kind:?}");
        assert!(told(&log, &at_the_end).0, "{kind:?}");
        let end_after = Position::of(&log.wal, log.wal.end()).unwrap();
        // Also after the log was opened again with nothing new in it, which gives the cut another number.
        for round in 0..2 {
            assert!(told(&log, &after_c).0, "{kind:?} {round}");
            assert!(told(&log, &at_the_end).0, "{kind:?} {round}");
            assert!(!told(&log, &after_hearing).0, "{kind:?} {round}");
            assert!(!told(&log, &end_after).0, "{kind:?} {round}");
            log = log.reopened();
        }
        // Cut once more, before anything came: who had heard of the first cut hears of the second.
        log.wal.truncate_after(kept).unwrap();
        log.put("d");
        for position in [after_b, after_c, at_the_end, after_hearing, end_after] {
            assert!(told(&log, &position).0, "{kind:?} {position}");
        }
        let before = Position::after(&log.wal, kept).unwrap();
        assert!(!told(&log, &before).0, "{kind:?}");
    }
}

#[test]
fn a_position_whose_group_was_dropped_still_fits() {
    for kind in KINDS {
        let mut log = Log::of(kind, ["a", "b", "c"]);
        let mut tail = log.wal.tail(Start::Head).unwrap();
        assert_eq!(followed(&mut tail), ["a", "b", "c"]);
        let position = tail.position().unwrap();
        let b = Position::of(&log.wal, Lsn::new(512)).unwrap();
        drop(tail);
        log.wal.retain(&Retention::new().with_max_bytes(0)).unwrap();
        for round in 0..3 {
            let mut tail = log.wal.tail(position).unwrap();
            let expected = vec!["d".to_owned(); round];
            assert_eq!(followed(&mut tail), expected, "{kind:?}");
            assert_is!(log.wal.tail(b), Err(WalError::Truncated { .. }));
            let again = tail.position().unwrap();
            assert!(log.wal.seek(again).is_ok(), "{kind:?} {again}");
            log = log.reopened();
            log.put("d");
        }
    }
}

#[test]
fn a_position_is_told_of_a_cut_however_many_came_after_it() {
    let log = Log::new(super::Kind::Memory);
    let mut positions = Vec::new();
    // More than a manifest has room for: the first ones are in the table.
    for i in 0..2100 {
        let kept = log.wal.append(b"kept").unwrap();
        log.wal.append(b"cut").unwrap();
        if i < 3 {
            log.wal.sync().unwrap();
            positions.push((Position::of(&log.wal, log.wal.end()).unwrap(), true));
            positions.push((Position::after(&log.wal, kept).unwrap(), false));
        }
        log.wal.truncate_after(kept).unwrap();
        if i < 3 {
            positions.push((Position::of(&log.wal, log.wal.end()).unwrap(), false));
        }
    }
    for (position, is_told) in positions {
        let resolved = log.wal.seek(position);
        assert_eq!(
            matches!(resolved, Err(WalError::CutBack { .. })),
            is_told,
            "{position}: {resolved:?}"
        );
        assert!(is_told || resolved.is_ok(), "{resolved:?}");
    }
}
