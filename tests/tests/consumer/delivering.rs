//! Events are handed out in order, once they are durable, and from where the consumer was.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, SystemTime},
};

use wal_db::{
    MemStore, Start, Wal, WalError,
    consumer::{ConsumerConfig, ConsumerError, Waited, consumers, forget},
};
use wal_tests::assert_is;

use super::{drained, fault, from_head, log, number, open, take, taken};

#[test]
fn a_consumer_goes_on_where_it_was_also_after_a_restart() {
    let memory = MemStore::new();
    {
        let log = open(&memory);
        let consumer = log.consumer("mailer", from_head()).unwrap();
        take(&log, 0..100);
        assert_eq!(drained(&consumer), (0..100).collect::<Vec<_>>());
        take(&log, 100..110);
        assert_eq!(drained(&consumer), (100..110).collect::<Vec<_>>());
    }
    let log = open(&memory);
    take(&log, 110..120);
    let consumer = log.consumer("mailer", ConsumerConfig::new()).unwrap();
    assert_eq!(drained(&consumer), (110..120).collect::<Vec<_>>());
    assert_eq!(drained(&consumer), [0; 0]);
}

#[test]
fn only_durable_events_are_handed_out_and_as_soon_as_they_are() {
    let log = log();
    let consumer = log.consumer("mailer", from_head()).unwrap();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            consumer.run(|event, _| Ok(tell.send(event.lsn)?)).unwrap();
        });
        let first = log.append_and_sync(&taken(1)).unwrap();
        assert_eq!(told.recv().unwrap(), first);
        let second = log.append(&taken(2)).unwrap();
        assert_eq!(
            consumer.wait_for(second, Duration::ZERO).unwrap(),
            Waited::TimedOut
        );
        assert!(told.try_recv().is_err(), "it is not durable");
        log.wal().sync().unwrap();
        assert_eq!(told.recv().unwrap(), second);
        assert_eq!(consumer.wait_for(second, Duration::MAX).unwrap(), Waited::Reached);
        consumer.stop();
    });
}

#[test]
fn a_run_ends_when_the_log_is_closed_and_so_does_waiting_for_it() {
    let log = log();
    let consumer = log.consumer("mailer", from_head()).unwrap();
    let lsn = log.append(&taken(1)).unwrap();
    thread::scope(|scope| {
        let run = scope.spawn(|| consumer.run(|_, _| Ok(())));
        let paused = log.consumer("paused", from_head()).unwrap();
        paused.pause().unwrap();
        let run_paused = {
            let paused = paused.clone();
            scope.spawn(move || paused.run(|_, _| Ok(())))
        };
        let other = paused.clone();
        let waits = scope.spawn(move || other.wait_for(lsn, Duration::MAX));
        while !consumer.status().unwrap().is_running || !paused.status().unwrap().is_running {
            thread::yield_now();
        }
        log.wal().clone().close().unwrap();
        run.join().unwrap().unwrap();
        run_paused.join().unwrap().unwrap();
        assert_is!(waits.join().unwrap().unwrap_err(), WalError::Closed);
    });
    assert_is!(consumer.status().unwrap_err(), WalError::Closed);
    assert_is!(consumer.pause().unwrap_err(), WalError::Closed);
    assert_is!(consumer.run(|_, _| Ok(())).unwrap_err(), WalError::Closed);
}

#[test]
fn where_a_new_consumer_begins_is_for_the_program_to_say() {
    let log = log();
    let lsns = take(&log, 0..10);
    assert!(matches!(
        fault(log.consumer("mailer", ConsumerConfig::new())),
        ConsumerError::Unknown { name, .. } if name == "mailer"
    ));
    let seen_from = |name: &str, start: Start| {
        drained(
            &log.consumer(name, ConsumerConfig::new().with_start(start))
                .unwrap(),
        )
    };
    assert_eq!(seen_from("head", Start::Head).len(), 10);
    assert_eq!(seen_from("lsn", Start::Lsn(lsns[3])), (3..10).collect::<Vec<_>>());
    assert_eq!(seen_from("ordinal", Start::Ordinal(8)), [8, 9]);
    assert_eq!(seen_from("time", Start::Time(SystemTime::UNIX_EPOCH)).len(), 10);
    assert_eq!(seen_from("end", Start::Lsn(log.wal().end())), [0; 0]);
}

#[test]
fn a_name_has_one_handle_and_one_run() {
    let log = log();
    let consumer = log.consumer("mailer", from_head()).unwrap();
    assert!(matches!(
        fault(log.consumer("mailer", from_head())),
        ConsumerError::Exists { .. }
    ));
    assert!(matches!(
        fault(forget(log.wal(), "mailer")),
        ConsumerError::Exists { .. }
    ));
    take(&log, [1]);
    consumer
        .run(|_, _| {
            let again = consumer.run(|_, _| Ok(()));
            assert!(matches!(fault(again), ConsumerError::Running { .. }));
            consumer.stop();
            Ok(())
        })
        .unwrap();
    for name in ["", "Mailer", "a/b", "a.b"] {
        assert_is!(
            log.consumer(name, from_head()).unwrap_err(),
            WalError::Config { .. }
        );
    }
    drop(consumer);
    forget(log.wal(), "mailer").unwrap();
    assert_eq!(consumers(log.wal()).unwrap(), []);
    assert_eq!(drained(&log.consumer("mailer", from_head()).unwrap()), [1]);
}

#[test]
fn a_stop_that_comes_before_the_run_ends_it() {
    let log = log();
    take(&log, [1]);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    consumer.stop();
    consumer.run(|_, _| panic!("it was stopped")).unwrap();
    assert_eq!(drained(&consumer), [1]);
}

#[test]
fn a_paused_consumer_hands_nothing_out_also_after_a_restart() {
    let memory = MemStore::new();
    {
        let log = open(&memory);
        let consumer = log.consumer("mailer", from_head()).unwrap();
        take(&log, 0..3);
        consumer
            .run(|event, _| {
                if number(&event.event) == 1 {
                    consumer.pause()?;
                    consumer.stop();
                }
                Ok(())
            })
            .unwrap();
    }
    let log = open(&memory);
    let consumer = log.consumer("mailer", ConsumerConfig::new()).unwrap();
    assert!(consumer.status().unwrap().is_paused);
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            consumer.run(|event, _| {
                assert!(!consumer.status()?.is_paused, "{event:?} was handed out");
                consumer.stop();
                Ok(())
            })
        });
        while !consumer.status().unwrap().is_running {
            thread::yield_now();
        }
        consumer.resume().unwrap();
        run.join().unwrap().unwrap();
    });
    assert_eq!(drained(&consumer), [0; 0]);
}

#[test]
fn lag_is_what_is_still_to_come() {
    let log = log();
    let consumer = log.consumer("mailer", from_head()).unwrap();
    assert_eq!(consumer.lag().unwrap().records, 0);
    let lsns = take(&log, 0..10);
    let lag = consumer.lag().unwrap();
    assert_eq!(lag.records, 10);
    consumer
        .run(|event, _| {
            if number(&event.event) == 6 {
                consumer.stop();
            }
            Ok(())
        })
        .unwrap();
    let lag = consumer.lag().unwrap();
    assert_eq!(lag.records, 3);
    assert_eq!(lag.bytes, log.wal().status().durable.get() - lsns[7].get());
    drained(&consumer);
    let lag = consumer.lag().unwrap();
    assert_eq!((lag.records, lag.bytes, lag.time), (0, 0, Duration::ZERO));
}

#[test]
fn waiting_sees_past_records_that_are_no_events_of_it() {
    let wal = Wal::with_store_and_config(MemStore::new(), wal_tests::quiet_heap()).unwrap();
    let log = wal.typed::<super::Step>().unwrap();
    let config = from_head().with_others(true);
    let consumer = log.consumer("mailer", config).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| consumer.run(|_, _| Ok(())).unwrap());
        for _ in 0..20 {
            let plain = wal.append_and_sync(b"plain bytes").unwrap();
            assert_eq!(consumer.wait_for(plain, Duration::MAX).unwrap(), Waited::Reached);
        }
        consumer.stop();
    });
}
