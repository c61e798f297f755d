//! Positions and suffix truncation.

use wal_db::{Lsn, Retention};

use super::{KINDS, Log, followed, texts};

/// Fills a record up so that its frame and the header of its group end on a sector.
fn sector(text: &str, sectors: usize) -> String {
    format!("{text:width$}", width = sectors * 512 - 72)
}

#[test]
fn every_position_in_a_cut_at_the_end_of_the_log_is_an_empty_range() {
    for kind in KINDS {
        for reopened in [false, true] {
            let mut log = Log::new(kind);
            let a = log.put("a");
            let (b, c) = (log.put("b"), log.put("c"));
            let mut seen_all = log.wal.tail(Lsn::ZERO).unwrap();
            assert_eq!(followed(&mut seen_all), ["a", "b", "c"]);
            let (next, end) = (seen_all.next_lsn(), log.wal.end().get());
            drop(seen_all);
            log.wal.truncate_after(a).unwrap();
            log = log.reopened_if(reopened);
            let wal = &log.wal;
            for lsn in (a.get() + 1..=end).map(Lsn::new).chain([b, c, next]) {
                let at = format!("{kind:?} reopened {reopened} at {lsn} of {a} {b} {c} {next} {end}");
                let records = wal.iter_from(lsn).unwrap_or_else(|error| panic!("{at}: {error}"));
                assert_eq!(texts(records), [""; 0], "{at}");
                assert_eq!(texts(wal.range(lsn..Lsn::new(end)).unwrap()), [""; 0], "{at}");
                let mut tail = wal.tail(lsn).unwrap_or_else(|error| panic!("{at}: {error}"));
                // Where "a" ends nothing of what was cut off was read, and where the log ended nobody knows.
                let told = match lsn.get() > a.get() + 16 && lsn.get() <= end - 64 {
                    true => &["CutBack"][..],
                    false => &[],
                };
                assert_eq!(followed(&mut tail), told, "{at}");
            }
            wal.retain(&Retention::new().with_max_bytes(1 << 30)).unwrap();
            assert_eq!(texts(wal.iter().unwrap()), ["a"], "{kind:?}");
            assert!(wal.truncate_before(b).unwrap() > b, "{kind:?}");
            assert_eq!(texts(wal.iter().unwrap()), [""; 0], "{kind:?}");
            log.put("d");
            assert_eq!(texts(log.wal.iter().unwrap()), ["d"], "{kind:?}");
        }
    }
}

#[test]
fn a_follower_whose_last_record_ended_on_a_sector_hears_of_the_cut() {
    for kind in KINDS {
        for sectors in [1, 2] {
            for reopened in [false, true] {
                let mut log = Log::new(kind);
                let first = log.put(&sector("a", sectors));
                for text in ["b", "c", "d"] {
                    log.put(&sector(text, sectors));
                }
                let mut tail = log.wal.tail(Lsn::ZERO).unwrap();
                assert_eq!(followed(&mut tail), ["a", "b", "c", "d"]);
                let stored = tail.next_lsn();
                log.wal.truncate_after(first).unwrap();
                log.put("e");
                if reopened {
                    drop(tail);
                    log = log.reopened();
                } else {
                    assert_eq!(followed(&mut tail), ["CutBack", "e"], "{kind:?} {sectors}");
                    assert_eq!(followed(&mut tail), [""; 0]);
                }
                let mut later = log.wal.tail(stored).unwrap();
                assert_eq!(
                    followed(&mut later),
                    ["CutBack", "e"],
                    "{kind:?} {sectors} {reopened}"
                );
                // What it kept after it was told is told of no more.
                let mut again = log.wal.tail(later.next_lsn()).unwrap();
                assert_eq!(followed(&mut again), [""; 0]);
            }
        }
    }
}

#[test]
fn a_position_that_was_kept_right_after_hearing_of_a_cut_is_told_once() {
    for kind in KINDS {
        let log = Log::new(kind);
        let first = log.put("a");
        log.put("b");
        let mut tail = log.wal.tail(Lsn::ZERO).unwrap();
        assert_eq!(followed(&mut tail), ["a", "b"]);
        log.wal.truncate_after(first).unwrap();
        assert_eq!(followed(&mut tail), ["CutBack"]);
        let stored = tail.next_lsn();
        log.put("c");
        let mut later = log.wal.tail(stored).unwrap();
        assert_eq!(followed(&mut later), ["c"], "{kind:?}");
        assert_eq!(followed(&mut tail), ["c"], "{kind:?}");
    }
}

#[test]
fn a_follower_that_passed_an_empty_group_goes_on_after_a_cut() {
    for kind in KINDS {
        let log = Log::new(kind);
        let first = log.put("a");
        let mut tail = log.wal.tail(Lsn::ZERO).unwrap();
        assert_eq!(followed(&mut tail), ["a"]);
        // A void: a claim that was given up.
        let gave_up = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            log.wal
                .append_in_place(8, |_| std::panic::resume_unwind(Box::new(())))
        }));
        assert!(gave_up.is_err());
        log.wal.sync().unwrap();
        assert_eq!(followed(&mut tail), [""; 0]);
        log.put("b");
        log.wal.truncate_after(first).unwrap();
        log.put("c");
        assert_eq!(followed(&mut tail), ["c"], "{kind:?}");
    }
}

#[test]
fn a_follower_is_not_shown_what_a_cut_has_removed_although_it_had_read_it() {
    for kind in KINDS {
        let log = Log::new(kind);
        let first = log.wal.append(b"a").unwrap();
        log.wal.append(b"b").unwrap();
        log.wal.sync().unwrap();
        let mut tail = log.wal.tail(Lsn::ZERO).unwrap();
        assert_eq!(tail.try_next().unwrap().unwrap().data(), b"a");
        log.wal.truncate_after(first).unwrap();
        assert!(tail.try_next().unwrap().is_none(), "{kind:?}");
        log.put("c");
        assert_eq!(followed(&mut tail), ["c"], "{kind:?}");
    }
}

#[test]
fn the_last_record_before_a_cut_ends_its_batch() {
    for kind in KINDS {
        let log = Log::new(kind);
        let lsns = log.wal.append_batch(&["a", "b", "c"]).unwrap();
        log.wal.truncate_after(lsns[1]).unwrap();
        log.put("d");
        let continues = |records: Vec<wal_db::Record>| -> Vec<bool> {
            records.iter().map(wal_db::Record::batch_continues).collect()
        };
        let all: Vec<_> = log.wal.iter().unwrap().map(Result::unwrap).collect();
        assert_eq!(continues(all), [true, false, false], "{kind:?}");
        let read = vec![log.wal.read(lsns[0]).unwrap(), log.wal.read(lsns[1]).unwrap()];
        assert_eq!(continues(read), [true, false], "{kind:?}");
        let mut back: Vec<_> = log.wal.iter_rev().unwrap().map(Result::unwrap).collect();
        back.reverse();
        assert_eq!(continues(back), [true, false, false], "{kind:?}");
        let mut tail = log.wal.tail(Lsn::ZERO).unwrap();
        let followed = (0..3).map(|_| tail.try_next().unwrap().unwrap()).collect();
        assert_eq!(continues(followed), [true, false, false], "{kind:?}");
        let mut lent = log.wal.iter_from(lsns[1]).unwrap();
        assert!(!lent.next_ref().unwrap().unwrap().batch_continues(), "{kind:?}");
    }
}

#[test]
fn a_ticket_of_a_record_that_was_cut_says_so() {
    for kind in KINDS {
        let log = Log::new(kind);
        let first = log.put("a");
        let wait = log.wal.ticket(log.wal.append(b"b").unwrap()).unwrap();
        let call = log.wal.ticket(log.wal.append(b"c").unwrap()).unwrap();
        let ask = log.wal.ticket(log.wal.append(b"d").unwrap()).unwrap();
        let poll = log.wal.ticket(log.wal.append(b"e").unwrap()).unwrap();
        log.wal.truncate_after(first).unwrap();
        assert!(!ask.is_durable(), "{kind:?}");
        let told = |outcome: wal_db::Result<Lsn>| match outcome {
            Err(wal_db::WalError::CutBack {
                kept_before, next, ..
            }) => {
                assert!(kept_before > first && next > kept_before);
            }
            other => panic!("{kind:?}: {other:?}"),
        };
        told(wait.wait());
        let (tell, heard) = std::sync::mpsc::channel();
        call.on_durable(move |outcome| tell.send(outcome).unwrap());
        told(heard.recv().unwrap());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut poll = std::pin::pin!(poll);
        match poll.as_mut().poll(&mut context) {
            std::task::Poll::Ready(outcome) => told(outcome),
            std::task::Poll::Pending => panic!("{kind:?}: pending"),
        }
    }
}
