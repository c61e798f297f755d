//! The shop at work, in one process: customers, the thread that chases those who do not pay, the mailer. It can be killed at any
//! moment and started again.

use std::{
    fs::OpenOptions,
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow};
use wal_db::{
    Event, EventLog, Meta, Start, Wal,
    consumer::{Consumer, ConsumerConfig, Delivery, HandlerError, Poison},
    seal::{FileVault, Keyring, Opened},
    state::{Projection, Store, StoreConfig, TransactError},
};

use crate::events::{Order, Orders, Refused, Sales, Shop, Status};

pub(crate) const CUSTOMERS: u32 = 4;
pub(crate) const ORDERS_EACH: usize = 25;
/// The one who wants to be forgotten.
pub(crate) const FORGOTTEN: u32 = 2;
/// Where the mails go, a line each: another system, which this one cannot take anything back from.
pub(crate) const MAILS: &str = "mails.txt";

/// How long a thread waits before it looks whether the shop is closing.
const TURN: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

pub(crate) fn open_log(dir: &Path) -> Result<EventLog<Shop>> {
    Ok(Wal::open_segmented(dir.join("log"), 1 << 20)?.typed()?)
}

/// The keys of the customers' names, apart from the log; and what they are wrapped with, apart from both.
pub(crate) fn open_keys(dir: &Path) -> Result<Keyring> {
    let vault = FileVault::open(dir.join("vault"))?;
    Ok(Keyring::open_or_create(dir.join("keys"), "shop", vault)?)
}

pub(crate) fn open_orders(log: &EventLog<Shop>) -> wal_db::Result<Store<Orders>> {
    log.store(
        StoreConfig::new()
            .with_snapshots("orders")
            .with_snapshot_every(16 << 10),
    )
}

fn open_mailer(log: &EventLog<Shop>) -> wal_db::Result<Consumer<Shop>> {
    log.consumer(
        "mailer",
        ConsumerConfig::new()
            .with_start(Start::Head)
            .with_poison(Poison::Park),
    )
}

struct World {
    orders: Store<Orders>,
    sales: Projection<Sales>,
    mailer: Consumer<Shop>,
    keys: Keyring,
    mails: std::path::PathBuf,
    is_closing: AtomicBool,
}

/// Works until all orders are closed, all mails sent and one customer forgotten.
pub(crate) fn run(dir: &Path) -> Result<()> {
    let log = open_log(dir)?;
    let world = World {
        orders: open_orders(&log)?,
        sales: log.project(StoreConfig::new())?,
        mailer: open_mailer(&log)?,
        keys: open_keys(dir)?,
        mails: dir.join(MAILS),
        is_closing: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let world = &world;
        let chaser = scope.spawn(|| world.chase());
        let mailer = scope.spawn(|| world.mailer.run(|event, delivery| world.mail(event, delivery)));
        let customers: Vec<_> = (1..=CUSTOMERS)
            .map(|customer| scope.spawn(move || world.shop(customer)))
            .collect();
        let worked = customers
            .into_iter()
            .try_for_each(|customer| joined(customer.join()))
            .and_then(|()| world.close());
        world.is_closing.store(true, Ordering::Release);
        world.mailer.stop();
        joined(chaser.join())?;
        joined(mailer.join().map(|ran| ran.map_err(Into::into)))?;
        worked
    })
}

fn joined(ended: thread::Result<Result<()>>) -> Result<()> {
    ended.map_err(|_| anyhow!("a thread of the shop panicked"))?
}

impl World {
    /// What a customer does. After a restart it goes on from what the state says.
    fn shop(&self, customer: u32) -> Result<()> {
        let name = self
            .keys
            .seal(&subject(customer), &format!("customer number {customer}"));
        loop {
            let (placed, open) = self.orders.read(|orders| {
                let mut own = orders.of(customer);
                let is_open = |order: &Order| matches!(order.status, Status::Open | Status::Reminded);
                let open = own.find(|(_, order)| is_open(order)).map(|(number, _)| number);
                (orders.of(customer).count(), open)
            })?;
            match open {
                // Every third order is not paid, and is waited for until it is cancelled.
                Some(order) if order % 3 != 0 => {
                    settled(self.orders.transact(|orders, _| orders.pay(order)))?;
                }
                Some(_) => thread::sleep(Duration::from_millis(1)),
                None if placed == ORDERS_EACH => return Ok(()),
                None => {
                    // A key for the name is durable before the name is in the log.
                    let name = name.as_ref().map_err(|error| anyhow!("{error}"))?.clone();
                    let cents = 100 * u64::from(customer) + placed as u64;
                    settled(
                        self.orders
                            .transact(|orders, now| orders.place(now, (customer, placed), name, cents)),
                    )?;
                }
            }
        }
    }

    /// Reminds those who do not pay, then cancels. What was due while nothing ran is due at the start.
    fn chase(&self) -> Result<()> {
        while !self.is_closing.load(Ordering::Acquire) {
            if self
                .orders
                .wait_until_due(|orders| orders.timers.next_us(), TURN)?
            {
                settled(self.orders.transact(|orders, now| orders.chase(now)))?;
            }
        }
        Ok(())
    }

    /// Mails that an order was paid: at least once into the world, with a token that is the same each time, and once into the log.
    fn mail(&self, event: &Event<Shop>, delivery: &mut Delivery<'_, Shop>) -> Result<(), HandlerError> {
        let Shop::Paid { order, .. } = event.event else {
            return Ok(());
        };
        let sealed = self
            .orders
            .peek(|orders| orders.orders.get(&order).map(|order| order.name.clone()))?;
        let sealed = sealed.ok_or("paid, and never placed")?;
        if let Opened::Clear(name) = self.keys.unseal(&sealed)? {
            let line = format!("{} Dear {name}, order {order} is paid.\n", delivery.token());
            let mut mails = OpenOptions::new().create(true).append(true).open(&self.mails)?;
            mails.write_all(line.as_bytes())?;
        }
        delivery.emit(Shop::Mailed { order }, Meta::new());
        Ok(())
    }

    /// Waits until the mails are sent, and then forgets a customer. Not before, because mails need the name.
    fn close(&self) -> Result<()> {
        let log = self.orders.log();
        loop {
            let last = log.wal().last_lsn()?;
            let Some(last) = last else { break };
            self.mailer.wait_for(last, LONG)?;
            let _ = self.sales.wait_for(last, LONG)?;
            if log.wal().last_lsn()? == Some(last) {
                break;
            }
        }
        let receipt = self.keys.shred(&subject(FORGOTTEN))?;
        settled(
            self.orders
                .transact(|orders, _| orders.forget(FORGOTTEN, receipt)),
        )
    }
}

fn subject(customer: u32) -> String {
    format!("customer-{customer}")
}

/// A refusal says that it was done before.
fn settled<A>(decided: Result<A, TransactError<Refused>>) -> Result<()> {
    match decided {
        Ok(_) | Err(TransactError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
