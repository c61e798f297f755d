//! The exchange once more, without a log: a list that is searched from end to end each time. And the orders for both.

use super::{
    Lot, Order,
    Side::{self, Buy, Sell},
    lot,
};

#[derive(Default)]
pub(crate) struct PlainList {
    waiting: Vec<Lot>,
    newest_order: u32,
    moments: Vec<Vec<Lot>>,
}

/// Lower is met earlier.
fn rank(lot: &Lot) -> (Side, i64, u32) {
    let cents = i64::from(lot.cents);
    (lot.side, if lot.side == Buy { -cents } else { cents }, lot.order)
}

impl PlainList {
    /// What waits after each thing that happens: the bids, then the asks, the best ones first.
    pub(crate) fn all_moments(orders: &[Order]) -> Vec<Vec<Lot>> {
        let mut list = PlainList::default();
        for order in orders {
            match *order {
                Order::Trade(side, limit, shares) => list.trade(side, limit, shares),
                Order::Cancel(order) => list.cancel(order),
            }
        }
        list.moments
    }

    fn cancel(&mut self, order: u32) {
        if let Some(at) = self.waiting.iter().position(|lot| lot.order == order) {
            self.waiting.remove(at);
            self.note();
        }
    }

    fn trade(&mut self, side: Side, limit: Option<u32>, mut shares: u32) {
        self.newest_order += 1;
        while shares > 0 {
            let others = self.waiting.iter_mut().filter(|lot| match side {
                Buy => lot.side == Sell && lot.cents <= limit.unwrap_or(u32::MAX),
                Sell => lot.side == Buy && lot.cents >= limit.unwrap_or(0),
            });
            let Some(best) = others.min_by_key(|lot| rank(lot)) else {
                let rest = limit.map(|cents| lot(side, cents, self.newest_order, shares));
                self.waiting.extend(rest);
                return self.note();
            };
            let traded = best.shares.min(shares);
            best.shares -= traded;
            shares -= traded;
            self.waiting.retain(|lot| lot.shares > 0);
            self.note();
        }
    }

    fn note(&mut self) {
        let mut moment = self.waiting.clone();
        moment.sort_by_key(rank);
        self.moments.push(moment);
    }
}

/// The same ones each time, about a price that wanders.
pub(crate) fn made_up_orders() -> Vec<Order> {
    let mut random = 2_463_534_242_u32;
    let mut below = move |limit: u32| {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random % limit
    };
    let (mut price, mut newest) = (10_000, 0);
    let order = |_| {
        price = price + below(21) - 10;
        let (side, shares) = (if below(2) == 0 { Buy } else { Sell }, 10 + 10 * below(40));
        let kind = below(20);
        if kind < 4 && newest > 0 {
            return Order::Cancel(newest - below(newest.min(50)));
        }
        newest += 1;
        let limit = price + below(80) - 40;
        Order::Trade(side, (kind >= 7).then_some(limit), shares)
    };
    (0..1_000).map(order).collect()
}
