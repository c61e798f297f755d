//! Tasks that wait until a consumer has handled an event.

use std::{
    task::Poll,
    thread::{self, JoinHandle},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, MemStore, Meta, Start, Wal, WalError, WalRecord,
    consumer::{Consumer, ConsumerConfig, Poison, Waited},
    testing::sim::{Call, Fault, SimDisk},
};
use wal_tests::{
    assert_is,
    disk::busy_heap,
    task::{Task, block_on},
};

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "sent")]
struct Sent(u64);

fn consumer(log: &EventLog<Sent>) -> Consumer<Sent> {
    let config = ConsumerConfig::new()
        .with_start(Start::Head)
        .with_attempts(1)
        .with_backoff(Duration::ZERO, Duration::ZERO)
        .with_poison(Poison::Park);
    log.consumer("mailer", config).unwrap()
}

/// Runs it; it cannot handle the event 3.
fn run(consumer: &Consumer<Sent>) -> JoinHandle<wal_db::Result<()>> {
    let consumer = consumer.clone();
    thread::spawn(move || {
        consumer.run(|event, _| match event.event.0 {
            3 => Err("it is 3".into()),
            _ => Ok(()),
        })
    })
}

fn log() -> EventLog<Sent> {
    Wal::with_store(MemStore::new()).unwrap().typed().unwrap()
}

#[test]
fn a_task_is_woken_once_when_its_event_was_handled() {
    let log = log();
    let mailer = consumer(&log);
    let lsns: Vec<_> = (0..3).map(|number| log.append(&Sent(number)).unwrap()).collect();
    let tasks = [(); 3].map(|()| Task::new());
    let mut waits: Vec<_> = lsns.iter().map(|lsn| mailer.wait_for_async(*lsn)).collect();
    for (task, wait) in tasks.iter().zip(&mut waits) {
        assert!(task.poll(wait).is_pending());
        assert!(task.poll(wait).is_pending());
    }
    drop(waits.pop());
    assert_eq!(tasks[2].wakers(), 0);
    // What becomes durable wakes nobody here.
    log.wal().sync().unwrap();
    assert_eq!(tasks.each_ref().map(Task::wakes), [0; 3]);
    let runs = run(&mailer);
    for (task, mut wait) in tasks.iter().zip(waits) {
        assert_eq!(task.wait(), 1);
        assert_is!(task.poll(&mut wait), Poll::Ready(Ok(Waited::Reached)));
        assert_eq!(task.wakers(), 0);
    }
    assert_eq!(block_on(mailer.wait_for_async(lsns[2])).unwrap(), Waited::Reached);
    assert_eq!(tasks[2].wakes(), 0);
    mailer.stop();
    runs.join().unwrap().unwrap();
}

#[test]
fn a_task_hears_of_what_is_parked_before_its_event() {
    let log = log();
    let mailer = consumer(&log);
    let runs = run(&mailer);
    let bad = log.append(&Sent(3)).unwrap();
    let good = log
        .append_with_meta(&Sent(4), &Meta::new().with_stream("other"))
        .unwrap();
    log.wal().sync().unwrap();
    for lsn in [bad, good] {
        assert_eq!(
            block_on(mailer.wait_for_async(lsn)).unwrap(),
            Waited::Parked { lsn: bad }
        );
        assert_eq!(
            mailer.wait_for(lsn, Duration::MAX).unwrap(),
            Waited::Parked { lsn: bad }
        );
    }
    mailer.skip(bad, "by hand").unwrap();
    while !mailer.parked().unwrap().is_empty() {
        thread::yield_now();
    }
    assert_eq!(block_on(mailer.wait_for_async(good)).unwrap(), Waited::Reached);
    // Not any more: it goes back.
    mailer.pause().unwrap();
    mailer.rewind(Start::Head).unwrap();
    let (task, mut wait) = (Task::new(), mailer.wait_for_async(good));
    assert!(task.poll(&mut wait).is_pending());
    mailer.resume().unwrap();
    assert_eq!(task.wait(), 1);
    assert!(task.poll(&mut wait).is_ready());
    mailer.stop();
    runs.join().unwrap().unwrap();
}

#[test]
fn a_close_and_a_failure_wake_those_who_wait_for_what_does_not_come() {
    let log = log();
    let mailer = consumer(&log);
    let beyond = log.append(&Sent(1)).unwrap();
    let (task, mut wait) = (Task::new(), mailer.wait_for_async(beyond));
    assert!(task.poll(&mut wait).is_pending());
    log.wal().clone().close().unwrap();
    assert_eq!(task.wait(), 1);
    assert_is!(task.poll(&mut wait), Poll::Ready(Err(WalError::Closed)));
    drop(wait);
    assert_eq!(task.wakers(), 0);

    let disk = SimDisk::new();
    let wal = disk.open("log", busy_heap()).unwrap();
    let log: EventLog<Sent> = wal.typed().unwrap();
    let mailer = consumer(&log);
    log.append_and_sync(&Sent(1)).unwrap();
    let lost = log.append(&Sent(2)).unwrap();
    let (task, mut wait) = (Task::new(), mailer.wait_for_async(lost));
    assert!(task.poll(&mut wait).is_pending());
    disk.behave(|disk| {
        disk.fault = Some(Fault {
            call: Some(Call::Sync),
            after: 0,
            error: 5,
            forever: true,
        });
    });
    log.wal().sync().unwrap_err();
    assert_eq!(task.wait(), 1);
    assert_is!(task.poll(&mut wait), Poll::Ready(Err(WalError::Poisoned { .. })));
    assert_is!(
        block_on(mailer.wait_for_async(wal_db::Lsn::new(1 << 40))),
        Err(WalError::BeyondEnd { .. })
    );
}
