//! Where a consumer is, and what becomes of that when the log changes under it.

use std::{sync::Mutex, thread, time::Duration};

use wal_db::{
    MemStore, Retention, Start, Wal, WalError,
    consumer::{ConsumerConfig, ConsumerError, Poison, consumers, forget},
    testing::sim::{Call, Fault, SimDisk},
};
use wal_tests::{PATIENCE, assert_is, quiet_heap};

use super::{Step, drained, fault, from_head, log, open, run_to_end, take};

#[test]
fn a_consumer_is_taken_back_and_ahead() {
    let log = log();
    let lsns = take(&log, 0..10);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    assert_eq!(drained(&consumer).len(), 10);
    consumer.rewind(lsns[7]).unwrap();
    assert_eq!(drained(&consumer), [7, 8, 9]);
    consumer.rewind(Start::Head).unwrap();
    consumer.rewind(lsns[9]).unwrap();
    assert_eq!(drained(&consumer), [9]);
    assert_is!(
        consumer.rewind(wal_db::Lsn::new(1 << 40)).unwrap_err(),
        WalError::BeyondEnd { .. }
    );
    assert_eq!(drained(&consumer), [0; 0]);
}

#[test]
fn a_consumer_that_is_taken_back_by_its_own_handler_begins_there() {
    let log = log();
    take(&log, 0..4);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    let seen = Mutex::new(Vec::new());
    run_to_end(&consumer, |number| {
        let mut seen = seen.lock().unwrap();
        seen.push(number);
        if seen.len() == 3 {
            consumer.rewind(Start::Head).unwrap();
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(seen.into_inner().unwrap(), [0, 1, 2, 0, 1, 2, 3]);
}

#[test]
fn what_was_put_away_after_the_place_is_handed_out_again() {
    let log = log();
    let lsns = take(&log, [1, 2, 11, 12]);
    let config = from_head().with_poison(Poison::Park).with_attempts(1);
    let consumer = log.consumer("mailer", config).unwrap();
    run_to_end(&consumer, |number| if number < 10 { Err("no") } else { Ok(()) }).unwrap();
    assert_eq!(consumer.parked().unwrap().len(), 2);
    consumer.rewind(lsns[1]).unwrap();
    assert_eq!(
        drained(&consumer),
        [2, 12],
        "1 waits from before, and 11 after it"
    );
    consumer.rewind(lsns[0]).unwrap();
    assert_eq!(drained(&consumer), [1, 2, 11, 12]);
}

#[test]
fn events_that_were_dropped_unread_are_told() {
    let log = log();
    let lsns = take(&log, 0..10);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    log.wal().truncate_before(lsns[5]).unwrap();
    for _ in 0..2 {
        assert_is!(
            consumer.run(|_, _| Ok(())).unwrap_err(),
            WalError::Truncated { .. }
        );
    }
    consumer.rewind(Start::Head).unwrap();
    assert_eq!(drained(&consumer), [5, 6, 7, 8, 9]);
}

#[test]
fn events_that_were_handled_and_cut_off_are_told_once() {
    let log = log();
    let lsns = take(&log, 0..10);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    drained(&consumer);
    log.wal().truncate_after(lsns[6]).unwrap();
    take(&log, 20..23);
    assert_is!(consumer.run(|_, _| Ok(())).unwrap_err(), WalError::CutBack { .. });
    assert_eq!(drained(&consumer), [20, 21, 22]);
}

#[test]
fn a_cut_is_told_once_to_a_consumer_that_was_not_running_across_a_restart() {
    let memory = MemStore::new();
    {
        let log = open(&memory);
        let lsns = take(&log, 0..10);
        drained(&log.consumer("mailer", from_head()).unwrap());
        log.wal().truncate_after(lsns[6]).unwrap();
        take(&log, 20..23);
    }
    let log = open(&memory);
    let consumer = log.consumer("mailer", ConsumerConfig::new()).unwrap();
    assert_is!(consumer.run(|_, _| Ok(())).unwrap_err(), WalError::CutBack { .. });
    drop(consumer);
    let consumer = log.consumer("mailer", ConsumerConfig::new()).unwrap();
    assert_eq!(drained(&consumer), [20, 21, 22]);
}

#[test]
fn retention_keeps_what_a_consumer_has_not_read_whether_it_runs_or_not() {
    let memory = MemStore::new();
    let lsns;
    {
        let log = open(&memory);
        lsns = take(&log, 0..100);
        let config = from_head().with_poison(Poison::Park).with_attempts(1);
        let consumer = log.consumer("mailer", config).unwrap();
        run_to_end(&consumer, |number| if number == 40 { Err("no") } else { Ok(()) }).unwrap();
    }
    let log = open(&memory);
    let everything = Retention::new().with_max_bytes(0);
    assert_eq!(log.wal().retain(&everything).unwrap(), lsns[40], "it is parked");
    let behind = fault(log.wal().retain(&everything.with_max_kept_for_consumers(100)));
    assert!(
        matches!(&behind, ConsumerError::KeepsTooMuch { name, needed_from, kept_bytes, .. }
            if name == "mailer" && *needed_from == lsns[40] && *kept_bytes > 100),
        "{behind:?}"
    );
    let consumer = log.consumer("mailer", ConsumerConfig::new()).unwrap();
    consumer.skip(lsns[40], "it is old").unwrap();
    assert_eq!(drained(&consumer), [50, 60, 70, 80, 90]);
    let at = consumer.status().unwrap().cursor;
    assert!(at > lsns[99]);
    take(&log, [100]);
    let keeps = fault(log.wal().retain(&everything.with_max_kept_for_consumers(0)));
    assert!(matches!(keeps, ConsumerError::KeepsTooMuch { .. }), "{keeps:?}");
    assert_eq!(drained(&consumer), [100]);
    drop(consumer);
    log.consumer("idle", ConsumerConfig::new().with_start(Start::Head))
        .unwrap();
    let head = log.wal().status().head;
    assert_eq!(log.wal().retain(&everything).unwrap(), head);
    forget(log.wal(), "idle").unwrap();
    assert!(log.wal().retain(&everything).unwrap() > head);
    assert_eq!(consumers(log.wal()).unwrap().len(), 1);
}

#[test]
fn a_backup_has_its_consumers_and_none_is_ahead_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = Wal::open_segmented(dir.path().join("log"), 1 << 20)
        .unwrap()
        .typed::<Step>()
        .unwrap();
    take(&log, 0..50);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    drained(&consumer);
    take(&log, 50..60);
    log.wal().backup_to(dir.path().join("copy")).unwrap();
    let copy = Wal::open_segmented(dir.path().join("copy"), 1 << 20)
        .unwrap()
        .typed::<Step>()
        .unwrap();
    let consumer = copy.consumer("mailer", ConsumerConfig::new()).unwrap();
    assert_eq!(drained(&consumer), (50..60).collect::<Vec<_>>());
    assert_eq!(
        consumer
            .wait_for(copy.wal().last_lsn().unwrap().unwrap(), Duration::ZERO)
            .unwrap(),
        wal_db::consumer::Waited::Reached
    );
}

#[test]
fn a_callback_may_use_the_consumer_while_it_is_taken_to_the_end() {
    let log = log();
    take(&log, 0..3);
    let consumer = log.consumer("mailer", from_head()).unwrap();
    let append = || {
        let lsn = log.append(&super::taken(3)).unwrap();
        let other = consumer.clone();
        log.wal().ticket(lsn).unwrap().on_durable(move |_| {
            other.pause().unwrap();
            other.resume().unwrap();
        });
    };
    append();
    consumer.rewind(log.wal().end()).unwrap();
    append();
    let end = ConsumerConfig::new().with_start(log.wal().end());
    let late = log.consumer("late", end).unwrap();
    assert!(log.wal().status().durable >= late.status().unwrap().cursor);
    assert_eq!(drained(&late), [0; 0]);
    assert_eq!(drained(&consumer), [3]);
}

#[test]
fn one_that_waits_hears_that_the_log_has_failed() {
    let disk = SimDisk::new();
    let log = disk.open("log", quiet_heap()).unwrap().typed().unwrap();
    let consumer = log.consumer("mailer", from_head()).unwrap();
    thread::scope(|scope| {
        let runs = scope.spawn(|| consumer.run(|_, _| Ok(())));
        let lsn = log.append(&super::taken(1)).unwrap();
        let waits = scope.spawn({
            let consumer = &consumer;
            move || consumer.wait_for(lsn, PATIENCE)
        });
        disk.behave(|disk| {
            disk.fault = Some(Fault {
                call: Some(Call::Sync),
                after: 0,
                error: 5,
                forever: true,
            });
        });
        log.wal().sync().unwrap_err();
        assert_is!(waits.join().unwrap(), Err(WalError::Poisoned { .. }));
        assert_is!(runs.join().unwrap(), Err(WalError::Poisoned { .. }));
        assert_is!(consumer.wait_for(lsn, PATIENCE), Err(WalError::Poisoned { .. }));
    });
}
