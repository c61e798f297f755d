//! What is checked of each release, and what the last one reads.

use std::path::Path;

use wal_db::{
    Wal,
    event::WalDecodeOwned,
    testing::{DeclaredType, LockMode, ReadableType, check_history, check_lock},
};

use crate::{
    r1, r2, r3, r4, r5,
    r6::{self, Address, Line, Method, Store},
    samples::{self, CUSTOMER, ORDER, cents, hour},
    story,
};

/// Releases what is in `E`: its new versions come to the `wal.lock` of the releases before it, and it reads records of
/// all of them. Returns what is new.
fn release<E: WalDecodeOwned>(dir: &Path) -> Vec<String> {
    let declared = [DeclaredType::of::<E>()];
    check_lock(dir, &declared, &[], LockMode::Check).expect_err("something is new");
    let added =
        check_lock(dir, &declared, &[], LockMode::Update).expect("nothing that was released has changed");
    check_lock(dir, &declared, &[], LockMode::Check).expect("all is there");
    check_history(dir, &[ReadableType::of::<E>()], &[]).expect("every released version is read");
    let version = |line: &String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let mut added: Vec<String> = added.iter().map(version).collect();
    added.sort_unstable();
    added
}

#[test]
fn every_release_reads_random_records_of_those_before_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    assert_eq!(release::<r1::Shop>(dir).len(), 8);
    assert_eq!(
        release::<r2::Shop>(dir),
        ["shop.paid 2", "shop.placed 2", "shop.shipped 2"]
    );
    assert_eq!(release::<r3::Shop>(dir), ["shop.placed 3"]);
    assert_eq!(
        release::<r4::Shop>(dir),
        [
            "shop.adjusted 1",
            "shop.credited 2",
            "shop.customer_changed 2",
            "shop.customer_renamed 1",
            "shop.debited 2",
            "shop.mail_changed 1"
        ]
    );
    assert_eq!(release::<r5::Shop>(dir), ["shop.coupon_used 2", "shop.placed 4"]);
    assert_eq!(release::<r6::Store>(dir), ["store.paid 3"]);
}

#[test]
fn the_last_release_reads_what_all_have_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("shop");
    story(&path).expect("every release reads what it can");
    let wal = Wal::open_segmented(&path, 1 << 20).expect("opens");
    let log = wal.typed::<Store>().expect("typed");
    let events: Vec<Store> = log
        .replay(..)
        .expect("replays")
        .map(|event| event.expect("an event").event)
        .collect();

    let (order, customer) = (ORDER, CUSTOMER);
    let to = |code: Option<&str>| Address {
        street: "High St".into(),
        code: code.map(str::to_owned),
        city: "Ely".into(),
    };
    let line = |sku: &str, amount: u32, price, tax| Line {
        sku: sku.into(),
        amount: amount.into(),
        price: cents(price),
        tax: cents(tax),
    };
    let first = [
        Store::Placed {
            order,
            at: hour(1),
            channel: "web".into(),
            to: to(None),
            lines: vec![line("tea", 2, 350, 0), line("pot", 1, 1990, 0)],
        },
        Store::CouponUsed {
            order,
            code: "SPRING".into(),
            saved: cents(0),
        },
        Store::Paid {
            order,
            amount: cents(2690),
            by: Method::Card {
                last_digits: 1881,
                bank: None,
            },
        },
        Store::Shipped {
            order,
            at: hour(2),
            to: to(None),
        },
        Store::Withdrawn {
            order,
            reason: "broken".into(),
        },
        Store::CustomerRenamed {
            customer,
            name: "Ann".into(),
        },
        Store::MailChanged {
            customer,
            mail: "ann@example.org".into(),
        },
        Store::Adjusted {
            customer,
            by: cents(500),
        },
        Store::Adjusted {
            customer,
            by: cents(-120),
        },
        Store::Placed {
            order,
            at: hour(3),
            channel: "phone".into(),
            to: to(Some("CB7")),
            lines: vec![line("tea", 3, 350, 0)],
        },
    ];
    assert_eq!(events[..first.len()], first);
    let third = Store::Placed {
        order,
        at: hour(5),
        channel: "web".into(),
        to: to(None),
        lines: vec![line("tea", 1, 350, 70)],
    };
    assert!(events.contains(&third));
    assert_eq!(events.last(), samples::r6().last());
}

/// That what is counted works.
#[cfg(feature = "revision")]
#[test]
fn the_release_with_revision_reads_what_it_writes() {
    use crate::with_revision::{Address, Line, Method, Store};

    let (order, customer) = (ORDER, CUSTOMER);
    let to = Address {
        street: "High St".into(),
        code: None,
        city: "Ely".into(),
    };
    let line = Line {
        sku: "tea".into(),
        amount: cents(100),
        price: cents(350),
        tax: cents(70),
    };
    let placed = Store::Placed {
        order,
        at: hour(1),
        channel: "web".into(),
        to,
        lines: vec![line],
    };
    let by = Method::Card {
        last_digits: 1881,
        bank: None,
    };
    let amount = cents(350);
    for event in [
        placed,
        Store::Paid { order, amount, by },
        Store::Adjusted { customer, by: amount },
    ] {
        let bytes = revision::to_vec(&event).expect("written");
        assert_eq!(revision::from_slice::<Store>(&bytes).expect("read"), event);
    }
}
