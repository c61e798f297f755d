//! Orders that are placed once, however often they are sent.

use serde::{Deserialize, Serialize};
use wal_db::{
    Meta, WalError, WalRecord,
    index::{Condition, Indexed, Item},
};

use super::{Answer, Happens, Projection, given, happens, log_of, project};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "order")]
enum Order {
    Placed { order: u32, token: u32 },
    Shipped { order: u32 },
}

use Order::{Placed, Shipped};

impl Happens for Order {
    fn meta(&self) -> Meta {
        match self {
            Placed { order, token } => Meta::new()
                .with_tag(&format!("order:{order}"))
                .with_tag(&of_token(*token)),
            Shipped { order } => Meta::new().with_tag(&format!("order:{order}")),
        }
    }
}

fn of_token(token: u32) -> String {
    format!("idempotency:{token}")
}

/// Whether an order was placed with a token.
fn was_used(token: u32) -> Projection<Order, bool> {
    let placed = Item::of(["order.placed"]).tag(of_token(token));
    project(placed, false, |used, _, _| *used = true)
}

fn place(log: &Indexed<Order>, order: u32, token: u32) -> Answer {
    log.decide(was_used(token), |used, _| match used.value {
        true => Err("it was sent before"),
        false => Ok(happens((), placed(order, token))),
    })
}

fn placed(order: u32, token: u32) -> Order {
    Placed { order, token }
}

#[test]
fn an_order_that_is_sent_again_is_not_placed_again() {
    given([])
        .when(|log| place(log, 1, 111))
        .then((), [placed(1, 111)]);
    given([placed(1, 111)])
        .when(|log| place(log, 1, 111))
        .refused("it was sent before");
    given([placed(1, 111), Shipped { order: 1 }])
        .when(|log| place(log, 2, 111))
        .refused("it was sent before");
    given([placed(1, 111)])
        .when(|log| place(log, 2, 222))
        .then((), [placed(2, 222)]);
}

/// What the log does by itself with the id of a command: a sender that asks again is told where its event is.
#[test]
fn a_command_that_is_sent_again_is_told_of_its_event() {
    let log = log_of::<Order>().indexed().unwrap();
    let send = |order: u32, id: u8| {
        let event = placed(order, order);
        let meta = event.meta();
        log.append_if_and_sync(&[(event, meta)], &Condition::new().command([id; 16]))
    };
    let first = send(1, 7).unwrap();
    let second = send(2, 8).unwrap();
    for (order, id, lsns) in [(1, 7, &first), (2, 8, &second), (3, 7, &first)] {
        match send(order, id) {
            Err(WalError::Duplicate { lsn, .. }) => assert_eq!([lsn], **lsns),
            other => panic!("{other:?}"),
        }
    }
    let events = log.log().replay(..).unwrap();
    let events: Vec<_> = events.map(|event| event.unwrap().event).collect();
    assert_eq!(events, [placed(1, 1), placed(2, 2)]);
}
