//! What happens in the shop, and what is known of it: facts, the state that they make, and what may be decided on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wal_db::{
    WalRecord, WalSchema,
    seal::{Sealed, ShredReceipt},
    state::{At, Decision, Now, State, Timers},
};

/// How long an order may wait to be paid before its customer is reminded, and then before it is cancelled.
const PATIENCE_US: i64 = 5_000;

#[derive(Debug, Clone, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
pub(crate) enum Shop {
    #[wal(rename = "placed")]
    Placed {
        order: u64,
        customer: u32,
        /// Sealed with a key of the customer's: see `Forgotten`.
        name: Sealed<String>,
        cents: u64,
        remind_at_us: i64,
    },
    #[wal(rename = "paid")]
    Paid { order: u64, cents: u64 },
    #[wal(rename = "reminded")]
    Reminded { order: u64, cancel_at_us: i64 },
    #[wal(rename = "cancelled")]
    Cancelled { order: u64 },
    /// The mail that it was paid is sent.
    #[wal(rename = "mailed")]
    Mailed { order: u64 },
    /// The key of the customer's name is gone, in every copy.
    #[wal(rename = "forgotten")]
    Forgotten { customer: u32, receipt: ShredReceipt },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, WalSchema)]
pub(crate) enum Status {
    Open,
    Reminded,
    Paid,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
pub(crate) struct Order {
    pub(crate) customer: u32,
    pub(crate) name: Sealed<String>,
    pub(crate) cents: u64,
    pub(crate) status: Status,
}

/// What the shop decides on.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "orders")]
pub(crate) struct Orders {
    pub(crate) orders: BTreeMap<u64, Order>,
    /// When something is to be done about an order that is not paid.
    pub(crate) timers: Timers<u64>,
    pub(crate) forgotten: Vec<u32>,
}

impl State for Orders {
    type Event = Shop;

    fn apply(&mut self, event: Shop, _: At) {
        match event {
            Shop::Placed {
                order,
                customer,
                name,
                cents,
                remind_at_us,
            } => {
                let status = Status::Open;
                let placed = Order {
                    customer,
                    name,
                    cents,
                    status,
                };
                self.orders.insert(order, placed);
                self.timers.set(order, remind_at_us);
            }
            Shop::Reminded { order, cancel_at_us } => {
                self.set(order, Status::Reminded);
                self.timers.set(order, cancel_at_us);
            }
            Shop::Paid { order, .. } => self.set(order, Status::Paid),
            Shop::Cancelled { order } => self.set(order, Status::Cancelled),
            Shop::Forgotten { customer, .. } => self.forgotten.push(customer),
            Shop::Mailed { .. } => {}
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("customer {0} has placed that order")]
    Placed(u32),
    #[error("order {0} is not there, or is closed")]
    Closed(u64),
}

impl Orders {
    fn set(&mut self, order: u64, status: Status) {
        if let Some(order) = self.orders.get_mut(&order) {
            order.status = status;
        }
        if matches!(status, Status::Paid | Status::Cancelled) {
            self.timers.clear(&order);
        }
    }

    /// The orders of a customer, in order.
    pub(crate) fn of(&self, customer: u32) -> impl Iterator<Item = (u64, &Order)> {
        let orders = self.orders.iter().map(|(number, order)| (*number, order));
        orders.filter(move |(_, order)| order.customer == customer)
    }

    /// Places the customer's order after so many others. A customer that asks again after a crash places none twice.
    pub(crate) fn place(
        &self,
        now: &Now,
        (customer, after): (u32, usize),
        name: Sealed<String>,
        cents: u64,
    ) -> Result<Decision<Shop, u64>, Refused> {
        if self.of(customer).count() != after {
            return Err(Refused::Placed(customer));
        }
        let order = self.orders.len() as u64 + 1;
        Ok(Decision::new(order).event(Shop::Placed {
            order,
            customer,
            name,
            cents,
            remind_at_us: now.time_us() + PATIENCE_US,
        }))
    }

    pub(crate) fn pay(&self, order: u64) -> Result<Decision<Shop>, Refused> {
        match self.orders.get(&order) {
            Some(found) if matches!(found.status, Status::Open | Status::Reminded) => {
                let cents = found.cents;
                Ok(Decision::new(()).event(Shop::Paid { order, cents }))
            }
            _ => Err(Refused::Closed(order)),
        }
    }

    /// What is to be done now about orders that are not paid.
    pub(crate) fn chase(&self, now: &Now) -> Result<Decision<Shop>, Refused> {
        let cancel_at_us = now.time_us() + PATIENCE_US;
        let due = self.timers.due(now.time_us()).map(|(order, _)| *order);
        let events = due.map(|order| match self.orders.get(&order).map(|found| found.status) {
            Some(Status::Open) => Shop::Reminded { order, cancel_at_us },
            _ => Shop::Cancelled { order },
        });
        Ok(Decision::new(()).events(events))
    }

    pub(crate) fn forget(&self, customer: u32, receipt: ShredReceipt) -> Result<Decision<Shop>, Refused> {
        Ok(match self.forgotten.contains(&customer) {
            true => Decision::new(()),
            false => Decision::new(()).event(Shop::Forgotten { customer, receipt }),
        })
    }
}

/// What the owner looks at: it decides nothing, so it is a projection.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Sales {
    pub(crate) paid: u64,
    pub(crate) cents: u64,
    pub(crate) mailed: u64,
    pub(crate) reminded: u64,
}

impl State for Sales {
    type Event = Shop;

    fn apply(&mut self, event: Shop, _: At) {
        match event {
            Shop::Paid { cents, .. } => {
                self.paid += 1;
                self.cents += cents;
            }
            Shop::Mailed { .. } => self.mailed += 1,
            Shop::Reminded { .. } => self.reminded += 1,
            _ => {}
        }
    }
}
