//! An exchange for one stock: orders meet by price, then by time, and those that wait are a book that can be asked for as
//! it was after each event.
//!
//! Prints what was replayed after a restart, the best prices at three moments, and what one more order would have done at
//! one of them. Then it compares: after every event, the book has to be what a plain list is that has seen the orders and
//! not the log.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{collections::BTreeMap, path::Path};

use anyhow::ensure;
use plain::{PlainList, made_up_orders};
use serde::{Deserialize, Serialize};
use wal_db::{
    Lsn, Wal, WalRecord, WalSchema,
    state::{At, Decision, State, Store, StoreConfig, TransactError},
};

mod plain;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, WalSchema)]
enum Side {
    Buy,
    Sell,
}
use Side::{Buy, Sell};

/// What somebody wants, which is not logged.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// So many shares at this price or a better one, and what finds nobody waits. Without a price, that lapses.
    Trade(Side, Option<u32>, u32),
    Cancel(u32),
}

/// Shares that wait in the book, or that leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, WalSchema)]
struct Lot {
    side: Side,
    cents: u32,
    /// The number of the order; later ones have greater numbers.
    order: u32,
    shares: u32,
}

fn lot(side: Side, cents: u32, order: u32, shares: u32) -> Lot {
    Lot {
        side,
        cents,
        order,
        shares,
    }
}

/// What came of an order. One that trades gets the price of the one that waited.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "exchange")]
enum Exchange {
    Placed { lot: Lot },
    Traded { order: u32, with: Lot },
    Lapsed { order: u32, shares: u32 },
    Cancelled { lot: Lot },
}

/// Shares by price, then by order.
type Queue = BTreeMap<u32, BTreeMap<u32, u32>>;

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "book")]
struct Book {
    bids: Queue,
    asks: Queue,
    newest_order: u32,
}

impl State for Book {
    type Event = Exchange;

    fn apply(&mut self, event: Exchange, _: At) {
        match event {
            Exchange::Placed { lot } => {
                self.newest_order = lot.order;
                let level = self.queue(lot.side).entry(lot.cents).or_default();
                level.insert(lot.order, lot.shares);
            }
            Exchange::Traded { order, with } => {
                self.newest_order = order;
                self.take_out(with);
            }
            Exchange::Lapsed { order, .. } => self.newest_order = order,
            Exchange::Cancelled { lot } => self.take_out(lot),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("order {0} does not wait")]
struct NotWaiting(u32);

impl Book {
    fn queue(&mut self, side: Side) -> &mut Queue {
        match side {
            Buy => &mut self.bids,
            Sell => &mut self.asks,
        }
    }

    fn take_out(&mut self, lot: Lot) {
        let queue = self.queue(lot.side);
        let level = queue.entry(lot.cents).or_default();
        let waiting = level.remove(&lot.order).unwrap_or(0);
        if waiting > lot.shares {
            level.insert(lot.order, waiting - lot.shares);
        }
        if level.is_empty() {
            queue.remove(&lot.cents);
        }
    }

    /// What waits on a side, in the order in which it is met.
    fn waiting(&self, side: Side) -> impl Iterator<Item = Lot> {
        let levels: Box<dyn Iterator<Item = _>> = match side {
            Buy => Box::new(self.bids.iter().rev()),
            Sell => Box::new(self.asks.iter()),
        };
        levels.flat_map(move |(&cents, level)| {
            let lots = level.iter();
            lots.map(move |(&order, &shares)| lot(side, cents, order, shares))
        })
    }

    fn all(&self) -> Vec<Lot> {
        self.waiting(Buy).chain(self.waiting(Sell)).collect()
    }

    fn best(&self, side: Side) -> Option<u32> {
        self.waiting(side).next().map(|lot| lot.cents)
    }

    fn decide(&self, order: Order) -> Result<Decision<Exchange>, NotWaiting> {
        match order {
            Order::Trade(side, limit, shares) => Ok(self.matched(side, limit, shares)),
            Order::Cancel(order) => {
                let lot = self.all().into_iter().find(|lot| lot.order == order);
                let lot = lot.ok_or(NotWaiting(order))?;
                Ok(Decision::new(()).event(Exchange::Cancelled { lot }))
            }
        }
    }

    /// An order trades before it waits, so after no event does somebody bid what somebody else asks.
    fn matched(&self, side: Side, limit: Option<u32>, mut shares: u32) -> Decision<Exchange> {
        let order = self.newest_order + 1;
        let mut decision = Decision::new(());
        for mut with in self.waiting(if side == Buy { Sell } else { Buy }) {
            let is_good = limit.is_none_or(|limit| match side {
                Buy => with.cents <= limit,
                Sell => with.cents >= limit,
            });
            if shares == 0 || !is_good {
                break;
            }
            with.shares = with.shares.min(shares);
            shares -= with.shares;
            decision = decision.event(Exchange::Traded { order, with });
        }
        match limit {
            _ if shares == 0 => decision,
            None => decision.event(Exchange::Lapsed { order, shares }),
            Some(cents) => {
                let lot = lot(side, cents, order, shares);
                decision.event(Exchange::Placed { lot })
            }
        }
    }
}

fn open(path: &Path) -> anyhow::Result<Store<Book>> {
    let log = Wal::open(path)?.typed::<Exchange>()?;
    Ok(log.store(StoreConfig::new().with_snapshots("book"))?)
}

/// Returns how many orders were refused.
fn trade(exchange: &Store<Book>, orders: &[Order]) -> anyhow::Result<u32> {
    let mut refused = 0;
    for order in orders {
        match exchange.transact(|book, _| book.decide(*order)) {
            Err(TransactError::Wal(error)) => return Err(error.into()),
            decided => refused += u32::from(decided.is_err()),
        }
    }
    Ok(refused)
}

fn prices(book: &Book) -> String {
    let [bid, ask] = [Buy, Sell].map(|side| f64::from(book.best(side).unwrap_or(0)) / 100.0);
    format!("bid {bid:6.2}, ask {ask:6.2}")
}

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("exchange.wal");
    let orders = made_up_orders();
    let (most, rest) = orders.split_at(800);
    let exchange = open(&path)?;
    let refused = trade(&exchange, most)?;
    exchange.snapshot()?;
    let refused = refused + trade(&exchange, rest)?;
    drop(exchange);

    let exchange = open(&path)?;
    let recovery = exchange.recovery();
    let before = recovery.snapshot.as_ref().map_or(0, |snapshot| snapshot.events);
    println!("{} orders, {refused} of them refused", orders.len());
    println!(
        "opened with a snapshot of {before} events, and {} more",
        recovery.events
    );
    let events = exchange.log().replay(..)?.collect::<Result<Vec<_>, _>>()?;
    // The book after an event is the one before the next.
    let after = events.iter().skip(1).map(|event| event.lsn);
    let after: Vec<Lsn> = after.chain([exchange.next_lsn()?]).collect();
    for number in [300, 600, after.len()] {
        let book = exchange.as_of(after[number - 1])?.state;
        println!("after {number:4} events: {}", prices(&book));
    }

    let mut what = exchange.as_of(after[599])?;
    let (events, ()) = what.state.decide(Order::Trade(Buy, None, 3_000))?.into_parts();
    println!("had 3000 shares been bought after 600: {} trades", events.len());
    for (event, _) in events {
        what.suppose(event)?;
    }
    println!("                  then {}", prices(&what.state));

    let (moments, changes) = compare(&exchange, &after, &orders)?;
    println!("all {moments} moments are as in a plain list, and so are {changes} changes of the best bid");
    Ok(())
}

/// Looks at every moment. Returns how many there are, and how often the best bid changed.
fn compare(exchange: &Store<Book>, after: &[Lsn], orders: &[Order]) -> anyhow::Result<(usize, usize)> {
    let moments = PlainList::all_moments(orders);
    ensure!(
        moments.len() == after.len(),
        "{} moments in a plain list, and {} events",
        moments.len(),
        after.len()
    );
    for (lsn, expected) in after.iter().zip(&moments) {
        let found = exchange.as_of(*lsn)?.state.all();
        ensure!(
            found == *expected,
            "before LSN {lsn}: {found:?}, and not {expected:?}"
        );
    }

    let changes = exchange.log().changes(.., |book: &Book| book.best(Buy))?;
    let found = changes.map(|change| Ok(change?.after));
    let found = found.collect::<anyhow::Result<Vec<_>>>()?;
    let best = |list: &Vec<Lot>| list.first().filter(|lot| lot.side == Buy).map(|lot| lot.cents);
    let mut expected = vec![None];
    expected.extend(moments.iter().map(best));
    expected.dedup();
    ensure!(found == expected[1..], "the best bid changed at other moments");
    Ok((moments.len(), found.len()))
}
