//! Effects elsewhere: a payment service that fails, or does the work and does not answer, and charges nobody twice.
//!
//! An order in the log is the intent to charge for it. The consumer asks the service again until it answers, with the same
//! token each time, which is the same after a restart as well. Only then the log says that the order is paid. At the end
//! all orders are handled again, as a crash may have it, and nothing changes. Prints what happens.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, Meta, Start, Wal, WalRecord,
    consumer::{Consumer, ConsumerConfig},
};

const ORDERS: u64 = 6;

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "orders")]
enum Orders {
    #[wal(rename = "placed")]
    Placed { order: u64, cents: u64 },
    #[wal(rename = "paid")]
    Paid { order: u64 },
}

// ---- the service, which somebody else runs ----------------------------------------------------------------------

/// What the service keeps: it knows a request that is repeated by its token.
#[derive(Debug, Default)]
struct Kept {
    charged: BTreeMap<String, u64>,
    requests: u64,
}

struct Request {
    token: String,
    cents: u64,
    answer: mpsc::Sender<()>,
}

/// Runs the service until it breaks down. Of five requests it answers two.
fn serve(kept: &Mutex<Kept>, requests: mpsc::Receiver<Request>) {
    for request in requests {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests += 1;
        let turn = kept.requests % 5;
        if turn == 1 {
            println!("    the service fails before it does anything");
            continue;
        }
        match kept.charged.insert(request.token, request.cents) {
            None => println!("    the service charges {} cents", request.cents),
            Some(_) => println!("    the service has charged for that already"),
        }
        match turn {
            2 => println!("    its answer is lost"),
            3 => return println!("    it breaks down before it answers"),
            // It may have stopped waiting.
            _ => drop(request.answer.send(())),
        }
    }
}

// ---- the program ------------------------------------------------------------------------------------------------

struct Client {
    kept: Arc<Mutex<Kept>>,
    service: Option<mpsc::Sender<Request>>,
}

impl Client {
    fn charge(&mut self, token: String, cents: u64) -> Result<(), &'static str> {
        let kept = &self.kept;
        let service = self.service.get_or_insert_with(|| {
            let (service, requests) = mpsc::channel();
            let kept = kept.clone();
            thread::spawn(move || serve(&kept, requests));
            service
        });
        let (answer, answered) = mpsc::channel();
        let request = Request { token, cents, answer };
        if service.send(request).is_err() {
            self.service = None;
            return Err("the service is not there");
        }
        // Between machines this needs a timeout. Whether the service has charged cannot be known here.
        answered.recv().map_err(|_| "no answer")
    }
}

/// Has all orders up to `last` paid.
fn pay(consumer: &Consumer<Orders>, client: &mut Client, last: Lsn) -> wal_db::Result<()> {
    consumer.run(|event, delivery| {
        let Orders::Placed { order, cents } = event.event else {
            return Ok(());
        };
        println!("  order {order}, attempt {}", delivery.attempt());
        client.charge(delivery.token(), cents)?;
        // In the log once, however often this comes to here.
        delivery.emit(Orders::Paid { order }, Meta::new());
        if event.lsn == last {
            consumer.stop();
        }
        Ok(())
    })
}

fn paid(log: &EventLog<Orders>) -> wal_db::Result<Vec<u64>> {
    let mut paid = Vec::new();
    for event in log.replay(..)? {
        if let Orders::Paid { order } = event?.event {
            paid.push(order);
        }
    }
    Ok(paid)
}

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let log = Wal::open_segmented(dir.path().join("orders"), 1 << 20)?.typed::<Orders>()?;
    let mut last = Lsn::ZERO;
    for order in 1..=ORDERS {
        let cents = 100 * order;
        last = log.append_and_sync(&Orders::Placed { order, cents })?;
    }

    let mut client = Client {
        kept: Arc::default(),
        service: None,
    };
    let config = ConsumerConfig::new()
        .with_start(Start::Head)
        .with_attempts(10)
        .with_backoff(Duration::from_millis(1), Duration::from_millis(20));
    let consumer = log.consumer("payments", config)?;
    pay(&consumer, &mut client, last)?;
    println!("again from the first order");
    consumer.rewind(Start::Head)?;
    pay(&consumer, &mut client, last)?;

    let kept = client.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let charged: u64 = kept.charged.values().sum();
    println!(
        "{} requests, {} charges of {charged} cents",
        kept.requests,
        kept.charged.len()
    );
    anyhow::ensure!(
        charged == 100 * ORDERS * (ORDERS + 1) / 2,
        "someone was charged twice, or not at all"
    );
    anyhow::ensure!(
        paid(&log)? == (1..=ORDERS).collect::<Vec<_>>(),
        "each order is paid once"
    );
    Ok(())
}
