//! The power is lost, or the process dies, at any moment of a consumer's life.

use wal_db::{
    EventLog, Lsn, Meta, Result, Retention, Start,
    consumer::{Consumer, ConsumerConfig, Poison},
    testing::sim::{CrashPlan, SimDisk, check_crash_prefix},
};

use super::{Step, number, taken};

fn open(disk: &SimDisk) -> Result<EventLog<Step>> {
    disk.open_segmented("log", 64 << 10, wal_tests::quiet_heap())?
        .typed()
}

fn echo_consumer(log: &EventLog<Step>) -> Result<Consumer<Step>> {
    let config = ConsumerConfig::new().with_start(Start::Head);
    log.consumer("echo", config.with_poison(Poison::Park).with_attempts(1))
}

/// Handles everything there is: each step is echoed, except those that are bad.
fn echo(log: &EventLog<Step>, consumer: &Consumer<Step>, is_bad: fn(u64) -> bool) -> Result<()> {
    let last = log.append_and_sync(&Step::Echoed { number: u64::MAX })?;
    consumer.run(|event, delivery| {
        match event.event {
            Step::Taken { number } if is_bad(number) => return Err("bad".into()),
            Step::Taken { number } => delivery.emit(Step::Echoed { number }, Meta::new()),
            Step::Echoed { .. } if event.lsn == last => consumer.stop(),
            Step::Echoed { .. } => {}
        }
        Ok(())
    })
}

fn append(log: &EventLog<Step>, number: u64) -> Result<Lsn> {
    log.append_with_meta(&taken(number), &Meta::new().with_stream(number % 4))
}

fn numbers(log: &EventLog<Step>, are_echoes: bool) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for event in log.replay(..)? {
        let event = event?.event;
        if matches!(event, Step::Echoed { .. }) == are_echoes && number(&event) != u64::MAX {
            numbers.push(number(&event));
        }
    }
    Ok(numbers)
}

/// Every step that is there is echoed, and once; first those that can be, then those that waited.
fn go_on(disk: &SimDisk) -> Result<Vec<u64>> {
    let log = open(disk)?;
    let steps = numbers(&log, false)?;
    let consumer = echo_consumer(&log)?;
    echo(&log, &consumer, |_| false)?;
    for letter in consumer.parked()? {
        consumer.retry(letter.lsn)?;
    }
    echo(&log, &consumer, |_| false)?;
    let mut echoes = numbers(&log, true)?;
    echoes.sort_unstable();
    assert_eq!(echoes, steps, "each step is to have one echo");
    assert_eq!(consumer.parked()?, []);
    Ok(steps)
}

#[test]
fn every_event_has_its_effect_once_whenever_the_power_is_lost() {
    let mut plan = CrashPlan::default();
    plan.images_per_call = if wal_tests::scale() > 1 { 64 } else { 12 };
    let checked = check_crash_prefix(
        plan,
        |disk, promises| {
            let log = open(disk)?;
            let mut steps = Vec::new();
            let mut consumer = echo_consumer(&log)?;
            for number in 0..8 {
                steps.push(number);
                promises.next(steps.clone());
                append(&log, number)?;
                if number % 2 == 1 {
                    echo(&log, &consumer, |number| number % 4 == 3)?;
                    promises.durable();
                }
                if number == 5 {
                    drop(consumer);
                    consumer = echo_consumer(&log)?;
                }
            }
            consumer.retry(consumer.parked()?[0].lsn)?;
            echo(&log, &consumer, |number| number == 7)?;
            consumer.rewind(Start::Head)?;
            echo(&log, &consumer, |number| number == 6)?;
            drop(consumer);
            log.wal().clone().close()
        },
        go_on,
    );
    let images = checked.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(images > 500, "{images}");
}

#[test]
fn what_retention_has_dropped_is_needed_by_no_consumer_after_a_power_loss() {
    let read = |log: &EventLog<Step>| {
        let consumer = echo_consumer(log)?;
        let last = log.append_and_sync(&taken(0))?;
        consumer.run(|event, _| {
            if event.lsn == last {
                consumer.stop();
            }
            Ok(())
        })
    };
    let checked = check_crash_prefix(
        CrashPlan::default(),
        |disk, _| {
            let log = open(disk)?;
            for _ in 0..4 {
                let consumer = echo_consumer(&log)?;
                for _ in 0..3 {
                    let last = append(&log, 1)?;
                    log.wal().sync()?;
                    consumer.run(|event, _| {
                        if event.lsn == last {
                            consumer.stop();
                        }
                        Ok(())
                    })?;
                }
                // It is still there, and what it saved is not flushed.
                log.wal().retain(&Retention::new().with_max_bytes(0))?;
            }
            Ok(())
        },
        |disk| read(&open(disk)?),
    );
    let images = checked.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(images > 500, "{images}");
}
