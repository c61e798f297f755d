//! Events that cannot be handled.

use std::{cell::Cell, collections::BTreeMap, sync::Mutex, thread, time::Duration};

use wal_db::{
    MemStore, Meta, Wal,
    consumer::{ConsumerConfig, ConsumerError, Poison, Waited},
};

use super::{Step, drained, fault, from_head, handled, log, number, open, run_to_end, take, taken};

#[test]
fn an_event_is_tried_again_and_then_stops_the_consumer_which_begins_with_it() {
    let log = log();
    let lsns = take(&log, 0..5);
    let consumer = log.consumer("mailer", from_head().with_attempts(3)).unwrap();
    let mut attempts = Vec::new();
    let stopped = fault(consumer.run(|event, delivery| {
        attempts.push((number(&event.event), delivery.attempt()));
        match number(&event.event) {
            2 => Err("no".into()),
            _ => Ok(()),
        }
    }));
    assert_eq!(attempts, [(0, 1), (1, 1), (2, 1), (2, 2), (2, 3)]);
    let ConsumerError::Stopped {
        lsn,
        attempts,
        source,
        ..
    } = stopped
    else {
        panic!("{stopped:?}");
    };
    assert_eq!((lsn, attempts, source.to_string()), (lsns[2], 3, "no".to_owned()));
    assert_eq!(consumer.status().unwrap().cursor, lsns[2]);
    assert_eq!(drained(&consumer), [2, 3, 4]);
}

#[test]
fn a_panic_is_a_failed_attempt() {
    let log = log();
    take(&log, 0..3);
    let consumer = log.consumer("mailer", from_head().with_attempts(2)).unwrap();
    let tried = Cell::new(0);
    consumer
        .run(|event, _| {
            match number(&event.event) {
                1 if tried.replace(tried.get() + 1) == 0 => panic!("once"),
                2 => consumer.stop(),
                _ => {}
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(tried.get(), 2);
}

#[test]
fn each_event_has_its_own_attempts() {
    let log = log();
    take(&log, 0..50);
    let consumer = log.consumer("mailer", from_head().with_attempts(2)).unwrap();
    let tries = Mutex::new(BTreeMap::new());
    run_to_end(&consumer, |number| {
        let mut tries = tries.lock().unwrap();
        let tried: &mut u32 = tries.entry(number).or_default();
        *tried += 1;
        if *tried == 1 { Err("at first") } else { Ok(()) }
    })
    .unwrap();
    assert!(tries.lock().unwrap().values().all(|tried| *tried == 2));
}

#[test]
fn what_is_skipped_is_listed_and_the_rest_goes_on() {
    let log = log();
    let lsns = take(&log, 0..5);
    let config = from_head().with_attempts(2).with_poison(Poison::Skip);
    let consumer = log.consumer("mailer", config).unwrap();
    let seen = handled(&consumer, |number| match number {
        1 | 3 => Err("odd"),
        _ => Ok(()),
    });
    assert_eq!(seen, [0, 2, 4]);
    let skipped = consumer.skipped().unwrap();
    let told: Vec<_> = skipped
        .iter()
        .map(|letter| (letter.lsn, letter.attempts, &*letter.error))
        .collect();
    assert_eq!(told, [(lsns[1], 2, "odd"), (lsns[3], 2, "odd")]);
    assert_eq!(consumer.status().unwrap().skipped, 2);
}

#[test]
fn a_parked_key_waits_and_the_others_go_on_also_after_a_restart() {
    let memory = MemStore::new();
    let lsns;
    {
        let log = open(&memory);
        lsns = take(&log, 0..30);
        let consumer = log
            .consumer("mailer", from_head().with_poison(Poison::Park))
            .unwrap();
        let seen = handled(&consumer, |number| match number {
            13 => Err("unlucky"),
            _ => Ok(()),
        });
        let expected: Vec<u64> = (0..30).filter(|number| !matches!(number, 13 | 23)).collect();
        assert_eq!(seen, expected);
        assert_eq!(
            consumer.wait_for(lsns[29], Duration::MAX).unwrap(),
            Waited::Parked { lsn: lsns[13] }
        );
        assert_eq!(
            consumer.wait_for(lsns[12], Duration::MAX).unwrap(),
            Waited::Reached
        );
    }
    let log = open(&memory);
    take(&log, 30..40);
    let consumer = log
        .consumer("mailer", ConsumerConfig::new().with_poison(Poison::Park))
        .unwrap();
    assert_eq!(drained(&consumer), [30, 31, 32, 34, 35, 36, 37, 38, 39]);
    let parked = consumer.parked().unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (parked[0].lsn, &*parked[0].key, parked[0].attempts),
        (lsns[13], "3", 5)
    );
    assert_eq!(parked[0].error, "unlucky");

    consumer.retry(lsns[13]).unwrap();
    assert_eq!(drained(&consumer), [13, 23, 33]);
    assert_eq!(consumer.parked().unwrap(), []);
    assert_eq!(
        consumer.wait_for(lsns[29], Duration::MAX).unwrap(),
        Waited::Reached
    );
    take(&log, [43]);
    assert_eq!(drained(&consumer), [43]);
}

#[test]
fn a_retry_that_fails_goes_on_waiting_from_there() {
    let log = log();
    let lsns = take(&log, [3, 13, 23, 33]);
    let config = from_head().with_poison(Poison::Park).with_attempts(1);
    let consumer = log.consumer("mailer", config).unwrap();
    run_to_end(&consumer, |_| Err("at first")).unwrap();
    consumer.retry(lsns[0]).unwrap();
    let seen = handled(&consumer, |number| match number {
        23 => Err("again"),
        _ => Ok(()),
    });
    assert_eq!(seen, [3, 13]);
    let parked = consumer.parked().unwrap();
    assert_eq!((parked[0].lsn, &*parked[0].error), (lsns[2], "again"));
    assert!(matches!(fault(consumer.retry(lsns[0])), ConsumerError::NotParked { lsn, .. } if lsn == lsns[0]));

    consumer.skip(lsns[2], "it is of no use").unwrap();
    assert_eq!(drained(&consumer), [33]);
    assert_eq!(consumer.parked().unwrap(), []);
    let skipped = consumer.skipped().unwrap();
    assert_eq!((skipped[0].lsn, &*skipped[0].error), (lsns[2], "it is of no use"));
}

#[test]
fn the_event_at_which_a_consumer_has_stopped_can_be_passed_over() {
    let log = log();
    let lsns = take(&log, 0..4);
    let consumer = log.consumer("mailer", from_head().with_attempts(1)).unwrap();
    let stopped = run_to_end(&consumer, |number| if number == 1 { Err("no") } else { Ok(()) });
    assert!(matches!(fault(stopped), ConsumerError::Stopped { lsn, .. } if lsn == lsns[1]));
    consumer.skip(lsns[1], "by hand").unwrap();
    consumer.skip(lsns[3], "in advance").unwrap();
    assert_eq!(drained(&consumer), [2]);
    assert!(matches!(
        fault(consumer.skip(lsns[2], "too late")),
        ConsumerError::NotParked { .. }
    ));
}

#[test]
fn a_thousand_keys_are_parked_and_one_more_stops_the_consumer() {
    let log = log();
    for key in 0..1001 {
        log.append_with_meta(&taken(key), &Meta::new().with_stream(key))
            .unwrap();
    }
    log.wal().sync().unwrap();
    let config = from_head().with_poison(Poison::Park).with_attempts(1);
    let consumer = log.consumer("mailer", config).unwrap();
    let stopped = run_to_end(&consumer, |_| Err("no"));
    assert!(matches!(
        fault(stopped),
        ConsumerError::TooManyParked { max: 1000, .. }
    ));
    assert_eq!(consumer.parked().unwrap().len(), 1000);
}

#[test]
fn a_record_that_cannot_be_read_is_poison() {
    let bad = |log: &wal_db::EventLog<Step>| {
        take(log, [1]);
        let lsn = log.wal().append(b"no event").unwrap();
        take(log, [2]);
        lsn
    };
    let stops = log();
    let lsn = bad(&stops);
    let consumer = stops.consumer("mailer", from_head()).unwrap();
    for _ in 0..2 {
        let stopped = run_to_end(&consumer, |_| Ok(()));
        assert!(matches!(fault(stopped), ConsumerError::Stopped { lsn: at, attempts: 0, .. } if at == lsn));
    }
    consumer.skip(lsn, "it is none of ours").unwrap();
    assert_eq!(drained(&consumer), [2]);

    let skips = log();
    let lsn = bad(&skips);
    let consumer = skips
        .consumer("mailer", from_head().with_poison(Poison::Skip))
        .unwrap();
    assert_eq!(drained(&consumer), [1, 2]);
    assert_eq!(consumer.skipped().unwrap()[0].lsn, lsn);
}

#[test]
fn a_wait_for_another_attempt_is_cut_short_by_a_stop() {
    let log = log();
    take(&log, 0..2);
    let config = from_head().with_backoff(Duration::from_secs(1_000_000), Duration::MAX);
    let consumer = log.consumer("mailer", config.with_attempts(2)).unwrap();
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let consumer = &consumer;
        let run = scope.spawn(move || {
            consumer.run(|event, _| match number(&event.event) {
                1 => {
                    tell.send(())?;
                    Err("later".into())
                }
                _ => Ok(()),
            })
        });
        told.recv().unwrap();
        consumer.stop();
        run.join().unwrap().unwrap();
    });
    assert_eq!(drained(&consumer), [1]);
}

#[test]
fn a_key_of_the_programs_own_is_what_waits() {
    let wal = Wal::with_store_and_config(MemStore::new(), wal_tests::quiet_heap()).unwrap();
    let log = wal.typed::<Step>().unwrap();
    take(&log, 0..20);
    let config = from_head().with_poison(Poison::Park).with_attempts(1);
    let config = config.with_key(|event| (number(&event.event) % 2).to_string());
    let consumer = log.consumer("mailer", config).unwrap();
    let seen = Mutex::new(Vec::new());
    run_to_end(&consumer, |number| {
        seen.lock().unwrap().push(number);
        if number == 5 { Err("no") } else { Ok(()) }
    })
    .unwrap();
    assert_eq!(
        seen.into_inner().unwrap(),
        [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18]
    );
}

#[test]
fn a_retry_that_fails_has_its_attempts_and_ends() {
    let log = log();
    let lsns = take(&log, [3, 13]);
    let config = from_head().with_poison(Poison::Park).with_attempts(3);
    let consumer = log.consumer("mailer", config).unwrap();
    run_to_end(&consumer, |_| Err("at first")).unwrap();
    consumer.retry(lsns[0]).unwrap();
    take(&log, [4]);
    let tried = Mutex::new(Vec::new());
    run_to_end(&consumer, |number| {
        tried.lock().unwrap().push(number);
        if number == 3 { Err("again") } else { Ok(()) }
    })
    .unwrap();
    assert_eq!(tried.into_inner().unwrap(), [3, 3, 3, 4]);
    let parked = consumer.parked().unwrap();
    assert_eq!((parked[0].attempts, parked[0].is_due), (6, false));
}

#[test]
fn what_cannot_be_read_does_not_keep_others_waiting() {
    let log = log();
    let lsns = take(&log, [3]);
    let unreadable = log.wal().append(b"no event").unwrap();
    take(&log, [13]);
    let config = from_head().with_poison(Poison::Park).with_attempts(1);
    let consumer = log.consumer("mailer", config).unwrap();
    let stopped = run_to_end(&consumer, |_| Err("at first"));
    assert!(matches!(fault(stopped), ConsumerError::Stopped { lsn, .. } if lsn == unreadable));
    consumer.skip(unreadable, "it has no stream").unwrap();
    drained(&consumer);
    consumer.retry(lsns[0]).unwrap();
    assert_eq!(drained(&consumer), [3, 13]);
}

#[test]
fn a_parked_event_that_was_dropped_is_passed_over_by_hand() {
    let log = log();
    let lsns = take(&log, [3, 4, 13, 23]);
    let config = from_head().with_poison(Poison::Park).with_attempts(1);
    let consumer = log.consumer("mailer", config).unwrap();
    run_to_end(&consumer, |number| if number == 3 { Err("no") } else { Ok(()) }).unwrap();
    log.wal().truncate_before(lsns[2]).unwrap();
    consumer.retry(lsns[0]).unwrap();
    assert_eq!(drained(&consumer), [0; 0]);
    let parked = consumer.parked().unwrap();
    assert!(parked[0].error.contains("dropped"), "{parked:?}");
    consumer.skip(lsns[0], "it is gone").unwrap();
    assert_eq!(drained(&consumer), [13, 23]);
    assert_eq!(consumer.parked().unwrap(), []);
}

/// What was one event is several today.
mod split {
    use serde::{Deserialize, Serialize};
    use wal_db::WalRecord;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "word")]
    pub(super) struct Line(pub(super) String);

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
    #[wal(name = "word", version = 2, from = Line, split = words)]
    pub(super) struct Word(pub(super) String);

    fn words(line: Line) -> Vec<Word> {
        line.0
            .split_whitespace()
            .map(|word| Word(word.to_owned()))
            .collect()
    }
}

#[test]
fn one_part_of_a_record_that_was_split_is_skipped_alone_and_waits_alone() {
    for poison in [Poison::Skip, Poison::Park] {
        let wal = Wal::with_store_and_config(MemStore::new(), wal_tests::quiet_heap()).unwrap();
        wal.append_typed(&split::Line("one two three two".to_owned()))
            .unwrap();
        wal.sync().unwrap();
        let log = wal.typed::<split::Word>().unwrap();
        let config = ConsumerConfig::new()
            .with_start(wal_db::Start::Head)
            .with_attempts(1);
        let config = config
            .with_poison(poison)
            .with_key(|event: &wal_db::Event<split::Word>| event.event.0.clone());
        let consumer = log.consumer("reader", config).unwrap();
        let seen = |bad: &str| {
            let mut seen = Vec::new();
            let last = wal.append_typed(&split::Word("end".to_owned())).unwrap();
            wal.sync().unwrap();
            consumer
                .run(|event, _| {
                    if event.lsn == last {
                        consumer.stop();
                    } else if event.event.0 == bad {
                        return Err("bad".into());
                    } else {
                        seen.push(event.event.0.clone());
                    }
                    Ok(())
                })
                .unwrap();
            seen.join(" ")
        };
        match poison {
            Poison::Skip => {
                assert_eq!(seen("two"), "one three");
                assert_eq!(consumer.status().unwrap().skipped, 2);
            }
            _ => {
                assert_eq!(seen("two"), "one three");
                let parked = consumer.parked().unwrap();
                assert_eq!((parked.len(), parked[0].part), (1, 1));
                consumer.retry(parked[0].lsn).unwrap();
                assert_eq!(seen(""), "two two");
            }
        }
    }
}

#[test]
fn a_wait_for_an_event_that_is_put_away_is_over() {
    for poison in [Poison::Park, Poison::Skip] {
        let log = log();
        let last = take(&log, [1])[0];
        let config = from_head().with_poison(poison).with_attempts(1);
        let consumer = log.consumer("mailer", config).unwrap();
        let (let_go, free) = std::sync::mpsc::channel::<()>();
        let waited = thread::scope(|scope| {
            let consumer = &consumer;
            let run = scope.spawn(move || {
                consumer.run(|_, _| {
                    free.recv()?;
                    Err("no".into())
                })
            });
            let waits = scope.spawn(|| consumer.wait_for(last, Duration::MAX).unwrap());
            let_go.send(()).unwrap();
            let waited = waits.join().unwrap();
            consumer.stop();
            run.join().unwrap().unwrap();
            waited
        });
        assert_eq!(
            waited,
            if poison == Poison::Park {
                Waited::Parked { lsn: last }
            } else {
                Waited::Reached
            }
        );
    }
}

#[test]
fn a_retry_ends_when_the_consumer_is_stopped_and_goes_on_later() {
    let log = log();
    let lsns = take(&log, [3, 13, 23, 33]);
    let config = from_head().with_poison(Poison::Park).with_attempts(1);
    let consumer = log.consumer("mailer", config).unwrap();
    run_to_end(&consumer, |_| Err("at first")).unwrap();
    consumer.retry(lsns[0]).unwrap();
    let mut seen = Vec::new();
    consumer
        .run(|event, _| {
            seen.push(number(&event.event));
            consumer.stop();
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, [3]);
    assert_eq!(consumer.parked().unwrap()[0].lsn.get(), lsns[0].get());
    assert_eq!(
        consumer.parked().unwrap()[0].part,
        1,
        "after the first part of it, which is all"
    );
    assert_eq!(drained(&consumer), [13, 23, 33]);
}

#[test]
fn what_is_passed_over_by_hand_while_it_is_tried_is_passed_over() {
    for poison in [Poison::Stop, Poison::Park] {
        let log = log();
        let lsns = take(&log, [3, 13]);
        let config = from_head().with_poison(poison).with_attempts(1);
        let consumer = log.consumer("mailer", config).unwrap();
        let seen = Mutex::new(Vec::new());
        run_to_end(&consumer, |number| {
            seen.lock().unwrap().push(number);
            match number {
                3 => {
                    consumer.skip(lsns[0], "at once").unwrap();
                    Err("no")
                }
                _ => Ok(()),
            }
        })
        .unwrap();
        assert_eq!(seen.into_inner().unwrap(), [3, 13]);
        assert_eq!(consumer.parked().unwrap(), []);
        // As well while it is tried again.
        let lsn = take(&log, [4])[0];
        run_to_end(
            &consumer,
            |_| if poison == Poison::Park { Err("no") } else { Ok(()) },
        )
        .unwrap();
        if poison == Poison::Park {
            consumer.retry(lsn).unwrap();
            run_to_end(&consumer, |_| {
                consumer.skip(lsn, "now").unwrap();
                Err("no")
            })
            .unwrap();
        }
        assert_eq!(consumer.parked().unwrap(), []);
    }
}
