//! What is emitted is in the log once, however often its event is handled.

use std::thread;

use wal_db::{
    EventLog, MemStore, Meta, Start, WalError,
    consumer::{Consumer, Poison, forget},
};
use wal_tests::assert_is;

use super::{Step, drained, from_head, log, number, open, take};

/// Handles everything there is and emits an echo of each step.
fn echo(log: &EventLog<Step>, consumer: &Consumer<Step>) {
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            consumer.run(|event, delivery| {
                if let Step::Taken { number } = event.event {
                    delivery.emit(Step::Echoed { number }, Meta::new());
                }
                Ok(())
            })
        });
        while consumer.status().unwrap().cursor <= log.wal().last_lsn().unwrap().unwrap() {
            log.wal().sync().unwrap();
        }
        consumer.stop();
        run.join().unwrap().unwrap();
    });
}

fn echoes(log: &EventLog<Step>) -> Vec<u64> {
    let events = log.replay(..).unwrap().map(|event| event.unwrap().event);
    let echoes = events.filter(|event| matches!(event, Step::Echoed { .. }));
    echoes.map(|event| number(&event)).collect()
}

#[test]
fn what_is_emitted_is_there_once_and_says_what_it_is_from() {
    let log = log();
    let lsns = take(&log, 0..20);
    let consumer = log.consumer("echo", from_head()).unwrap();
    echo(&log, &consumer);
    assert_eq!(echoes(&log), (0..20).collect::<Vec<_>>());
    let last = log.last().unwrap().unwrap();
    assert_eq!(last.meta.causation(), Some(lsns[19]));

    // Everything is handled again, and emits what it did before.
    consumer.rewind(Start::Head).unwrap();
    echo(&log, &consumer);
    assert_eq!(echoes(&log), (0..20).collect::<Vec<_>>());
}

#[test]
fn another_consumer_emits_for_itself() {
    let log = log();
    take(&log, 0..5);
    for name in ["one", "another"] {
        let consumer = log.consumer(name, from_head()).unwrap();
        echo(&log, &consumer);
    }
    let mut echoes = echoes(&log);
    echoes.sort_unstable();
    assert_eq!(echoes, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
}

#[test]
fn a_consumer_that_has_lost_its_place_emits_nothing_twice() {
    let memory = MemStore::new();
    {
        let log = open(&memory);
        take(&log, 0..10);
        echo(&log, &log.consumer("echo", from_head()).unwrap());
    }
    let log = open(&memory);
    forget(log.wal(), "echo").unwrap();
    take(&log, 10..12);
    echo(&log, &log.consumer("echo", from_head()).unwrap());
    assert_eq!(echoes(&log), (0..12).collect::<Vec<_>>());
}

#[test]
fn nothing_is_emitted_by_an_attempt_that_fails() {
    let log = log();
    take(&log, 0..3);
    let config = from_head().with_attempts(2).with_poison(Poison::Skip);
    let consumer = log.consumer("echo", config).unwrap();
    let mut last = None;
    consumer
        .run(|event, delivery| {
            if let Step::Taken { number } = event.event {
                delivery.emit(
                    Step::Echoed {
                        number: 10 * number + u64::from(delivery.attempt()),
                    },
                    Meta::new(),
                );
                last = Some(number);
                if number == 2 {
                    consumer.stop();
                }
                if delivery.attempt() == 1 || number == 1 {
                    return Err("not yet".into());
                }
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(echoes(&log), [2]);
    drained(&consumer);
}

#[test]
fn what_cannot_be_emitted_is_a_failed_attempt() {
    let log = log();
    take(&log, [1]);
    let consumer = log.consumer("echo", from_head().with_attempts(2)).unwrap();
    let stopped = consumer.run(|_, delivery| {
        delivery.emit(Step::Echoed { number: 1 }, Meta::new().with_entry(7, b"reserved"));
        Ok(())
    });
    assert_is!(stopped.unwrap_err(), WalError::Consumer(_));
    assert_eq!(echoes(&log), [0; 0]);
}

#[test]
fn a_token_is_the_same_each_time_and_of_one_event_of_one_log() {
    let tokens = |log: &EventLog<Step>, name: &str| {
        let consumer = log.consumer(name, from_head().with_attempts(3)).unwrap();
        let mut tokens = Vec::new();
        consumer
            .run(|event, delivery| {
                tokens.push(delivery.token());
                if number(&event.event) == 1 && delivery.attempt() == 3 {
                    consumer.stop();
                    return Ok(());
                }
                if delivery.attempt() < 3 {
                    Err("again".into())
                } else {
                    Ok(())
                }
            })
            .unwrap();
        tokens
    };
    let (log, other) = (log(), super::log());
    for log in [&log, &other] {
        take(log, 0..2);
    }
    let (one, two) = (tokens(&log, "one"), tokens(&log, "two"));
    assert_eq!(one.len(), 6);
    assert!(one[..3].iter().all(|token| *token == one[0]));
    let mut all = [&one[..], &two, &tokens(&other, "one")].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 6);
}
