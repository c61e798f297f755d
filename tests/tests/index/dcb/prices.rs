//! Products that are ordered for the price that the customer saw, which may have changed a moment ago.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wal_db::{
    Meta, WalRecord,
    index::{Indexed, Item, Query},
};

use super::{Answer, Happens, MINUTE, Projection, given, given_at, happens, happens_at, project};

/// So long after a change the price from before is good.
const GRACE: i64 = 10 * MINUTE;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "product")]
enum Product {
    Defined { product: u32, cents: u64 },
    Repriced { product: u32, cents: u64 },
    Ordered { items: Vec<(u32, u64)> },
}

use Product::{Defined, Ordered, Repriced};

impl Happens for Product {
    fn meta(&self) -> Meta {
        match self {
            Defined { product, .. } | Repriced { product, .. } => Meta::new().with_tag(&of_product(*product)),
            Ordered { items } => items.iter().fold(Meta::new(), |meta, (product, _)| {
                meta.with_tag(&of_product(*product))
            }),
        }
    }
}

fn of_product(product: u32) -> String {
    format!("product:{product}")
}

fn prices_of(product: u32) -> Item {
    Item::of(["product.defined", "product.repriced"]).tag(of_product(product))
}

/// The price of a product that never changes it.
fn fixed_price(product: u32) -> Projection<Product, Option<u64>> {
    let defined = Item::of(["product.defined"]).tag(of_product(product));
    project(defined, None, |price, event, _| {
        if let Defined { cents, .. } = event {
            *price = Some(cents);
        }
    })
}

/// Every price of a product, and since when it is the price.
type Prices = Vec<(i64, u64)>;

/// The prices of some products, of which it is not known before how many they are.
fn prices(products: impl IntoIterator<Item = u32>) -> Projection<Product, BTreeMap<u32, Prices>> {
    // Of no type, so it adds nothing.
    let none: Query = Item::of::<&str>([]).into();
    let all = products.into_iter().map(prices_of).fold(none, Query::or);
    project(all, BTreeMap::<u32, Prices>::new(), |prices, event, at| {
        if let Defined { product, cents } | Repriced { product, cents } = event {
            let since = at.time_us().unwrap();
            prices.entry(product).or_default().push((since, cents));
        }
    })
}

/// Whether it is the price, or was until a moment ago.
fn is_good(prices: &Prices, cents: u64, now: i64) -> bool {
    prices.iter().enumerate().any(|(i, (_, price))| {
        let until = prices.get(i + 1).map(|(since, _)| *since);
        *price == cents && until.is_none_or(|until| now <= until + GRACE)
    })
}

fn order_at_fixed_price(log: &Indexed<Product>, product: u32, seen: u64) -> Answer {
    log.decide(fixed_price(product), |price, _| match price.value {
        None => Err("there is no such product"),
        Some(cents) if cents != seen => Err("that is not the price"),
        Some(_) => Ok(happens((), ordered([(product, seen)]))),
    })
}

/// Orders some products at once, all or none.
fn order<const N: usize>(log: &Indexed<Product>, items: [(u32, u64); N], now: i64) -> Answer<u64> {
    let products = items.map(|(product, _)| product);
    log.decide(prices(products), |prices, _| {
        for (product, seen) in items {
            let Some(prices) = prices.value.get(&product) else {
                return Err("there is no such product");
            };
            if !is_good(prices, seen, now) {
                return Err("that is not the price");
            }
        }
        let sum = items.iter().map(|(_, cents)| cents).sum();
        Ok(happens_at(now, sum, ordered(items)))
    })
}

fn defined(product: u32, cents: u64) -> Product {
    Defined { product, cents }
}

fn repriced(product: u32, cents: u64) -> Product {
    Repriced { product, cents }
}

fn ordered<const N: usize>(items: [(u32, u64); N]) -> Product {
    let items = items.to_vec();
    Ordered { items }
}

#[test]
fn a_product_is_ordered_for_its_price() {
    given([])
        .when(|log| order_at_fixed_price(log, 1, 100))
        .refused("there is no such product");
    given([defined(1, 123)])
        .when(|log| order_at_fixed_price(log, 1, 100))
        .refused("that is not the price");
    given([defined(1, 123), defined(2, 100)])
        .when(|log| order_at_fixed_price(log, 1, 100))
        .refused("that is not the price");
    given([defined(1, 123), defined(2, 100)])
        .when(|log| order_at_fixed_price(log, 1, 123))
        .then((), [ordered([(1, 123)])]);
}

#[test]
fn a_price_that_has_changed_is_good_for_ten_minutes() {
    let changes = || {
        given_at([
            (0, defined(1, 100)),
            (60 * MINUTE, repriced(1, 150)),
            (65 * MINUTE, repriced(1, 120)),
            // Of another product.
            (66 * MINUTE, defined(2, 999)),
        ])
    };
    for (seen, minute, is_good) in [
        (100, 30, true),
        (100, 65, true),
        (100, 70, true),
        (100, 71, false),
        (150, 70, true),
        (150, 75, true),
        (150, 76, false),
        (120, 66, true),
        (120, 9_000, true),
        (999, 66, false),
    ] {
        // As much of it as has happened by then.
        let mut given = changes();
        given
            .events
            .retain(|(_, meta)| meta.time_us().unwrap() <= minute * MINUTE);
        let when = given.when(|log| order(log, [(1, seen)], minute * MINUTE));
        match is_good {
            true => when.then(seen, [ordered([(1, seen)])]),
            false => when.refused("that is not the price"),
        }
    }
}

#[test]
fn some_products_are_ordered_at_once() {
    let given = || {
        given_at([
            (0, defined(1, 100)),
            (0, defined(2, 200)),
            (0, defined(3, 300)),
            (60 * MINUTE, repriced(2, 250)),
        ])
    };
    let all = [(1, 100), (2, 200), (3, 300)];
    given()
        .when(|log| order(log, all, 70 * MINUTE))
        .then(600, [ordered(all)]);
    given()
        .when(|log| order(log, all, 71 * MINUTE))
        .refused("that is not the price");
    given()
        .when(|log| order(log, [(1, 100), (2, 250)], 71 * MINUTE))
        .then(350, [ordered([(1, 100), (2, 250)])]);
    given()
        .when(|log| order(log, [(1, 100), (4, 400)], 0))
        .refused("there is no such product");
    given().when(|log| order(log, [], 0)).then(0, [ordered([])]);
}
