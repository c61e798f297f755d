//! Consumers: each event is handled, in order, and what is emitted for it is there once.
#![allow(clippy::unwrap_used)] // a setup that fails fails the test

mod crashed;
mod delivering;
mod effects;
mod histories;
mod kept;
mod killed;
mod lanes;
mod places;
mod poison;
mod sagas;

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, MemStore, Meta, Start, Wal, WalError, WalRecord,
    consumer::{Consumer, ConsumerConfig, ConsumerError},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "step")]
enum Step {
    Taken { number: u64 },
    Echoed { number: u64 },
}

fn taken(number: u64) -> Step {
    Step::Taken { number }
}

fn number(step: &Step) -> u64 {
    match step {
        Step::Taken { number } | Step::Echoed { number } => *number,
    }
}

fn open(memory: &MemStore) -> EventLog<Step> {
    let wal = Wal::with_store_and_config(memory.clone(), wal_tests::quiet_heap()).unwrap();
    wal.typed().unwrap()
}

fn log() -> EventLog<Step> {
    open(&MemStore::new())
}

fn from_head() -> ConsumerConfig<Step> {
    ConsumerConfig::new()
        .with_start(Start::Head)
        .with_backoff(std::time::Duration::ZERO, std::time::Duration::ZERO)
}

/// Appends these numbers, each in the stream of its last digit.
fn take(log: &EventLog<Step>, numbers: impl IntoIterator<Item = u64>) -> Vec<Lsn> {
    let append = |number: u64| {
        log.append_with_meta(&taken(number), &Meta::new().with_stream(number % 10))
            .unwrap()
    };
    let lsns = numbers.into_iter().map(append).collect();
    log.wal().sync().unwrap();
    lsns
}

/// Runs a consumer until it has come to the end of what is durable; what it was given.
fn drained(consumer: &Consumer<Step>) -> Vec<u64> {
    handled(consumer, |_| Ok(()))
}

/// As [`drained`], where some cannot be handled; the others.
fn handled(consumer: &Consumer<Step>, can_be: impl Fn(u64) -> Result<(), &'static str> + Sync) -> Vec<u64> {
    let seen = Mutex::new(Vec::new());
    run_to_end(consumer, |number| {
        can_be(number)?;
        seen.lock().unwrap().push(number);
        Ok(())
    })
    .unwrap();
    seen.into_inner().unwrap()
}

/// Runs a consumer until everything that is durable was handled, parked or passed over, or it fails.
fn run_to_end(
    consumer: &Consumer<Step>,
    mut handle: impl FnMut(u64) -> Result<(), &'static str> + Send,
) -> Result<(), WalError> {
    std::thread::scope(|scope| {
        let run = scope.spawn(|| consumer.run(|event, _| Ok(handle(number(&event.event))?)));
        while !run.is_finished() && (consumer.lag().unwrap().records > 0 || waits_to_be_retried(consumer)) {
            std::thread::yield_now();
        }
        consumer.stop();
        let result = run.join().unwrap();
        if result.is_err() {
            // The stop is still to be heard.
            consumer.run(|_, _| panic!("it was stopped")).unwrap();
        }
        result
    })
}

fn waits_to_be_retried(consumer: &Consumer<Step>) -> bool {
    consumer.parked().unwrap().iter().any(|letter| letter.is_due)
}

/// What is wrong with a consumer.
fn fault<T: std::fmt::Debug>(result: Result<T, WalError>) -> ConsumerError {
    match result.unwrap_err() {
        WalError::Consumer(error) => error,
        other => panic!("{other:?}"),
    }
}
