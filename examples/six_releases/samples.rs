//! What each release appends when it runs.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{r1, r2, r3, r4, r5, r6};

pub(crate) const ORDER: Uuid = Uuid::from_u128(0x0705_1972);
pub(crate) const CUSTOMER: Uuid = Uuid::from_u128(7);

/// An hour of one day.
pub(crate) fn hour(hour: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::Duration::hours(hour)
}

pub(crate) fn cents(cents: i64) -> Decimal {
    Decimal::new(cents, 2)
}

pub(crate) fn r1() -> Vec<r1::Shop> {
    use r1::{Address, Line, Method, Shop};

    let to = || Address {
        street: "High St".into(),
        city: "Ely".into(),
    };
    let (order, customer) = (ORDER, CUSTOMER);
    let line = |sku: &str, count, price| Line {
        sku: sku.into(),
        count,
        price: cents(price),
    };
    vec![
        Shop::Placed {
            order,
            at: hour(1),
            to: to(),
            lines: vec![line("tea", 2, 350), line("pot", 1, 1990)],
        },
        Shop::CouponUsed {
            order,
            code: "SPRING".into(),
        },
        Shop::Paid {
            order,
            amount: cents(2690),
            by: Method::Card { last_digits: 1881 },
        },
        Shop::Shipped {
            order,
            at: hour(2),
            to: to(),
        },
        Shop::Cancelled {
            order,
            reason: "broken".into(),
        },
        Shop::CustomerChanged {
            customer,
            name: Some("Ann".into()),
            mail: Some("ann@example.org".into()),
        },
        Shop::Credited {
            customer,
            amount: cents(500),
        },
        Shop::Debited {
            customer,
            amount: cents(120),
        },
    ]
}

pub(crate) fn r2() -> Vec<r2::Shop> {
    use r2::{Address, Line, Method, Shop};

    let to = || Address {
        street: "High St".into(),
        code: Some("CB7".into()),
        city: "Ely".into(),
    };
    let line = Line {
        sku: "tea".into(),
        count: 3,
        price: cents(350),
    };
    vec![
        Shop::Placed {
            order: ORDER,
            at: hour(3),
            channel: "phone".into(),
            to: to(),
            lines: vec![line],
        },
        Shop::Paid {
            order: ORDER,
            amount: cents(1050),
            by: Method::Voucher { code: "GIFT".into() },
        },
        Shop::Shipped {
            order: ORDER,
            at: hour(4),
            to: to(),
        },
    ]
}

pub(crate) fn r3() -> Vec<r3::Shop> {
    use r3::{Address, Line, Shop};

    let to = Address {
        street: "High St".into(),
        code: None,
        city: "Ely".into(),
    };
    let line = Line {
        sku: "tea".into(),
        count: 1,
        price: cents(350),
        tax: cents(70),
    };
    vec![
        Shop::Placed {
            order: ORDER,
            at: hour(5),
            channel: "web".into(),
            to,
            lines: vec![line],
        },
        Shop::Withdrawn {
            order: ORDER,
            reason: "late".into(),
        },
    ]
}

pub(crate) fn r4() -> Vec<r4::Shop> {
    use r4::Shop;

    let customer = CUSTOMER;
    vec![
        Shop::CustomerRenamed {
            customer,
            name: "Anna".into(),
        },
        Shop::MailChanged {
            customer,
            mail: "anna@example.org".into(),
        },
        Shop::Adjusted {
            customer,
            by: cents(-250),
        },
    ]
}

pub(crate) fn r5() -> Vec<r5::Shop> {
    use r5::{Address, Line, Shop};

    let to = Address {
        street: "High St".into(),
        code: None,
        city: "Ely".into(),
    };
    let line = Line {
        sku: "flour".into(),
        amount: Decimal::new(15, 1),
        price: cents(120),
        tax: cents(24),
    };
    vec![
        Shop::Placed {
            order: ORDER,
            at: hour(6),
            channel: "web".into(),
            to,
            lines: vec![line],
        },
        Shop::CouponUsed {
            order: ORDER,
            code: "AUTUMN".into(),
            saved: cents(20),
        },
    ]
}

pub(crate) fn r6() -> Vec<r6::Store> {
    use r6::{Method, Store};

    vec![Store::Paid {
        order: ORDER,
        amount: cents(184),
        by: Method::Card {
            last_digits: 1881,
            bank: Some("Fen".into()),
        },
    }]
}
