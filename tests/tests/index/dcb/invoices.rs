//! Invoices whose numbers have no gap, however many write them at once.

use std::thread;

use serde::{Deserialize, Serialize};
use wal_db::{
    Lsn, Meta, WalError, WalRecord,
    index::{Condition, Indexed, Item},
};

use super::{Done, Happens, Projection, given, happens, log_of, project};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "invoice")]
enum Invoice {
    Created { number: u64, cents: u64 },
    Paid { number: u64 },
}

use Invoice::{Created, Paid};

impl Happens for Invoice {
    fn meta(&self) -> Meta {
        let (Created { number, .. } | Paid { number }) = self;
        Meta::new().with_tag(&format!("invoice:{number}"))
    }
}

/// All invoices, but not what became of them.
fn all() -> Item {
    Item::of(["invoice.created"])
}

fn next_number() -> Projection<Invoice, u64> {
    project(all(), 1, |next, event, _| {
        if let Created { number, .. } = event {
            *next = number + 1;
        }
    })
}

/// Answers the number of the invoice.
fn create(log: &Indexed<Invoice>, cents: u64) -> Done<u64> {
    let decided = log.decide(next_number(), |next, _| {
        let number = next.value;
        Ok(happens(number, Created { number, cents }))
    });
    decided.map(|decided| (decided.value, decided.lsns))
}

/// The same, but reads the newest invoice only.
fn create_by_newest(log: &Indexed<Invoice>, cents: u64) -> Done<u64> {
    loop {
        let newest = log.newest(all())?;
        let (number, next) = match newest {
            None => (1, Lsn::ZERO),
            Some(lsn) => match log.log().read(lsn)?.event {
                Created { number, .. } => (number + 1, Lsn::new(lsn.get() + 1)),
                other => panic!("{other:?} is not in the query"),
            },
        };
        let event = Created { number, cents };
        let meta = event.meta();
        let unchanged = Condition::new().unchanged(all(), next);
        match log.append_if_and_sync(&[(event, meta)], &unchanged) {
            Ok(lsns) => return Ok((number, lsns)),
            Err(WalError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn created(number: u64, cents: u64) -> Invoice {
    Created { number, cents }
}

type Create = fn(&Indexed<Invoice>, u64) -> Done<u64>;

const BOTH: [Create; 2] = [create, create_by_newest];

#[test]
fn the_next_number_follows_the_last_one() {
    for create in BOTH {
        given([])
            .when_done(|log| create(log, 900))
            .then(1, [created(1, 900)]);
        given([created(1, 500)])
            .when_done(|log| create(log, 900))
            .then(2, [created(2, 900)]);
        given([created(1, 500), created(2, 600), Paid { number: 1 }])
            .when_done(|log| create(log, 900))
            .then(3, [created(3, 900)]);
    }
}

#[test]
fn threads_leave_no_gap_between_numbers() {
    for create in BOTH {
        let log = log_of::<Invoice>().indexed().unwrap();
        thread::scope(|scope| {
            for seller in 0..6 {
                let log = &log;
                scope.spawn(move || {
                    let mut last = 0;
                    for _ in 0..15 {
                        let number = create(log, seller).unwrap().0;
                        assert!(number > last, "{number} after {last}");
                        last = number;
                    }
                });
            }
        });
        let events = log.log().replay(..).unwrap();
        let numbers = events.map(|event| match event.unwrap().event {
            Created { number, .. } => number,
            other => panic!("{other:?}"),
        });
        assert_eq!(numbers.collect::<Vec<_>>(), (1..=90).collect::<Vec<_>>());
    }
}
