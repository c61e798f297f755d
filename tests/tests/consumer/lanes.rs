//! Several threads: in order among the events of one key.

use std::{
    collections::BTreeMap,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use wal_db::{
    MemStore, Meta, Start,
    consumer::{Consumer, ConsumerConfig, ConsumerError, Poison},
};

use super::{Step, fault, from_head, log, number, open, take};

/// Runs a consumer in lanes until all was handled or put away; what was handled of each key, in order.
fn drained(
    consumer: &Consumer<Step>,
    lanes: usize,
    handle: impl Fn(u64) -> Result<(), &'static str> + Sync,
) -> BTreeMap<u64, Vec<u64>> {
    let seen = Mutex::new(BTreeMap::<u64, Vec<u64>>::new());
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            consumer.run_in_lanes(lanes, |event, _| {
                let number = number(&event.event);
                handle(number)?;
                seen.lock().unwrap().entry(number % 10).or_default().push(number);
                Ok(())
            })
        });
        while !run.is_finished()
            && (consumer.lag().unwrap().records > 0 || super::waits_to_be_retried(consumer))
        {
            thread::yield_now();
        }
        consumer.stop();
        run.join().unwrap().unwrap();
    });
    seen.into_inner().unwrap()
}

fn of_each_key(numbers: impl IntoIterator<Item = u64>) -> BTreeMap<u64, Vec<u64>> {
    let mut all = BTreeMap::<u64, Vec<u64>>::new();
    for number in numbers {
        all.entry(number % 10).or_default().push(number);
    }
    all
}

#[test]
fn events_of_one_key_stay_in_order_and_all_are_handled_once() {
    let log = log();
    take(&log, 0..2000);
    for (lanes, window) in [(1, 1), (3, 2), (4, 1024), (16, 7)] {
        let config = from_head().with_window(window);
        let consumer = log.consumer(&format!("in-{lanes}"), config).unwrap();
        assert_eq!(
            drained(&consumer, lanes, |_| Ok(())),
            of_each_key(0..2000),
            "{lanes} lanes"
        );
    }
}

#[test]
fn others_go_on_while_one_waits_and_the_cursor_does_not_pass_it() {
    let log = log();
    let lsns = take(&log, 0..100);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    let (handled, is_free) = (AtomicUsize::new(0), (Mutex::new(false), Condvar::new()));
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            consumer.run_in_lanes(10, |event, _| {
                // Keys that share the lane of the third wait with it.
                if number(&event.event) == 3 {
                    let free = is_free.1.wait_while(is_free.0.lock().unwrap(), |free| !*free);
                    drop(free.unwrap());
                }
                handled.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        });
        while handled.load(Ordering::SeqCst) < 13 {
            thread::yield_now();
        }
        assert!(consumer.status().unwrap().cursor <= lsns[3]);
        *is_free.0.lock().unwrap() = true;
        is_free.1.notify_all();
        while consumer.lag().unwrap().records > 0 {
            thread::yield_now();
        }
        consumer.stop();
        run.join().unwrap().unwrap();
    });
    assert_eq!(handled.into_inner(), 100);
}

#[test]
fn no_more_are_on_their_way_than_the_window_has() {
    let log = log();
    take(&log, 0..500);
    let consumer = log.consumer("mailer", from_head().with_window(8)).unwrap();
    let (first, most) = (AtomicU64::new(0), AtomicU64::new(0));
    drained(&consumer, 4, |number| {
        // A window begins with an event that is not handled.
        most.fetch_max(
            number - number.min(first.load(Ordering::SeqCst)),
            Ordering::SeqCst,
        );
        first.fetch_max(number.saturating_sub(8), Ordering::SeqCst);
        Ok(())
    });
    assert!(most.into_inner() <= 16);
}

#[test]
fn what_was_handled_before_others_is_not_handled_again_after_a_pause() {
    let log = log();
    take(&log, 0..1000);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    let calls = AtomicUsize::new(0);
    let seen = drained(&consumer, 4, |_| {
        if calls.fetch_add(1, Ordering::SeqCst) % 7 == 6 {
            consumer.pause().unwrap();
            consumer.resume().unwrap();
        }
        Ok(())
    });
    assert_eq!(seen, of_each_key(0..1000));
}

#[test]
fn keys_are_parked_and_retried_in_lanes() {
    let log = log();
    let lsns = take(&log, 0..200);
    let config = from_head().with_poison(Poison::Park).with_attempts(2);
    let consumer = log.consumer("mailer", config).unwrap();
    let seen = drained(&consumer, 4, |number| match number {
        35 | 47 => Err("no"),
        _ => Ok(()),
    });
    let waits = |number: &u64| number % 10 == 5 && *number >= 35 || number % 10 == 7 && *number >= 47;
    assert_eq!(seen, of_each_key((0..200).filter(|number| !waits(number))));
    let parked: Vec<_> = consumer
        .parked()
        .unwrap()
        .iter()
        .map(|letter| letter.lsn)
        .collect();
    assert_eq!(parked, [lsns[35], lsns[47]]);
    consumer.retry(lsns[47]).unwrap();
    consumer.retry(lsns[35]).unwrap();
    assert_eq!(
        drained(&consumer, 4, |_| Ok(())),
        of_each_key((0..200).filter(waits))
    );
    assert_eq!(consumer.parked().unwrap(), []);
}

#[test]
fn an_error_of_one_lane_ends_all() {
    let log = log();
    let lsns = take(&log, 0..300);
    let consumer = log.consumer("mailer", from_head().with_attempts(1)).unwrap();
    let stopped = consumer.run_in_lanes(4, |event, _| match number(&event.event) {
        77 => Err("no".into()),
        _ => Ok(()),
    });
    assert!(matches!(fault(stopped), ConsumerError::Stopped { lsn, .. } if lsn == lsns[77]));
    assert!(consumer.status().unwrap().cursor <= lsns[77]);
    assert!(drained(&consumer, 4, |_| Ok(()))[&7].contains(&77));
}

#[test]
fn lanes_emit_once_each() {
    let memory = MemStore::new();
    let log = open(&memory);
    take(&log, 0..200);
    let config = || ConsumerConfig::new().with_start(Start::Head);
    let echo = |consumer: &Consumer<Step>| {
        thread::scope(|scope| {
            let run = scope.spawn(|| {
                consumer.run_in_lanes(4, |event, delivery| {
                    if let Step::Taken { number } = event.event {
                        delivery.emit(Step::Echoed { number }, Meta::new());
                    }
                    Ok(())
                })
            });
            while consumer.lag().unwrap().records > 0 {
                log.wal().sync().unwrap();
                thread::yield_now();
            }
            consumer.stop();
            run.join().unwrap().unwrap();
        });
    };
    let consumer = log.consumer("echo", config()).unwrap();
    echo(&consumer);
    consumer.rewind(Start::Head).unwrap();
    echo(&consumer);
    let events = log.replay(..).unwrap().map(|event| event.unwrap().event);
    let mut echoes: Vec<u64> = events
        .filter(|event| matches!(event, Step::Echoed { .. }))
        .map(|event| number(&event))
        .collect();
    echoes.sort_unstable();
    assert_eq!(echoes, (0..200).collect::<Vec<_>>());
}

/// Parked while others that come before it are still on their way, and retried before those are done.
#[test]
fn what_waits_with_a_parked_key_is_handled_after_a_retry_wherever_the_cursor_is() {
    for round in 0..20 {
        let log = log();
        let lsns = take(&log, 0..60);
        let config = from_head().with_poison(Poison::Park).with_attempts(1);
        let consumer = log.consumer("mailer", config).unwrap();
        let is_bad = std::sync::atomic::AtomicBool::new(true);
        let seen = drained(&consumer, 11, |number| match number {
            13 if is_bad.swap(false, Ordering::SeqCst) => Err("at first"),
            // The others of its key wait by now, and this one is before them.
            1 => {
                while consumer.parked().unwrap().is_empty() {
                    thread::yield_now();
                }
                for _ in 0..round {
                    thread::yield_now();
                }
                consumer.retry(lsns[13]).unwrap();
                Ok(())
            }
            _ => Ok(()),
        });
        assert_eq!(seen, of_each_key(0..60), "round {round}");
    }
}

#[test]
fn the_place_after_records_that_are_no_events_is_noted_once_all_lanes_are_done() {
    let log = log();
    let consumer = log.consumer("mailer", from_head().with_others(true)).unwrap();
    thread::scope(|scope| {
        let run = scope.spawn(|| consumer.run_in_lanes(3, |_, _| Ok(())));
        for number in 0..200 {
            log.append(&super::taken(number)).unwrap();
            let plain = log.wal().append(b"plain bytes").unwrap();
            log.wal().sync().unwrap();
            let waited = consumer.wait_for(plain, std::time::Duration::MAX).unwrap();
            assert_eq!(waited, wal_db::consumer::Waited::Reached);
        }
        consumer.stop();
        run.join().unwrap().unwrap();
    });
}
