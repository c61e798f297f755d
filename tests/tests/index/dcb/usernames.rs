//! Usernames that are given once: until they are released, and some time longer.

use std::thread;

use serde::{Deserialize, Serialize};
use wal_db::{
    Meta, WalRecord,
    index::{Indexed, Item},
    state::TransactError,
};

use super::{Answer, DAY, Happens, Projection, given, given_at, happens, happens_at, log_of, project};

/// A name stays with an account that is gone for so long.
const KEPT_FOR: i64 = 3 * DAY;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "account")]
enum Account {
    Registered { name: String },
    Closed { name: String },
    Renamed { from: String, to: String },
}

use Account::{Closed, Registered, Renamed};

impl Happens for Account {
    fn meta(&self) -> Meta {
        match self {
            Registered { name } | Closed { name } => Meta::new().with_tag(&of_name(name)),
            Renamed { from, to } => Meta::new().with_tag(&of_name(from)).with_tag(&of_name(to)),
        }
    }
}

fn of_name(name: &str) -> String {
    format!("username:{name}")
}

/// Whether a name was ever registered.
fn was_registered(name: &str) -> Projection<Account, bool> {
    let registered = Item::of(["account.registered"]).tag(of_name(name));
    project(registered, false, |taken, _, _| *taken = true)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    New,
    Taken,
    Released { at_us: i64 },
}

/// What a name is, after all that happened to it.
fn is(name: &str) -> Projection<Account, Is> {
    let all = Item::of(["account.registered", "account.closed", "account.renamed"]).tag(of_name(name));
    let name = name.to_owned();
    project(all, Is::New, move |is, event, at| {
        let at_us = at.time_us().unwrap();
        *is = match event {
            Registered { .. } => Is::Taken,
            Renamed { to, .. } if to == name => Is::Taken,
            Renamed { .. } | Closed { .. } => Is::Released { at_us },
        }
    })
}

/// The simplest rule: names are given once and for all.
fn register_for_ever(log: &Indexed<Account>, name: &str) -> Answer {
    log.decide(was_registered(name), |taken, _| match taken.value {
        true => Err("the name is taken"),
        false => Ok(happens((), registered(name))),
    })
}

/// A name that was released can be had at once.
fn register(log: &Indexed<Account>, name: &str) -> Answer {
    log.decide(is(name), |is, _| match is.value {
        Is::Taken => Err("the name is taken"),
        Is::New | Is::Released { .. } => Ok(happens((), registered(name))),
    })
}

/// A name that was released is kept for some days.
fn register_later(log: &Indexed<Account>, name: &str, now: i64) -> Answer {
    log.decide(is(name), |is, _| match is.value {
        Is::Taken => Err("the name is taken"),
        Is::Released { at_us } if now < at_us + KEPT_FOR => Err("the name is kept"),
        Is::New | Is::Released { .. } => Ok(happens_at(now, (), registered(name))),
    })
}

fn rename(log: &Indexed<Account>, from: &str, to: &str) -> Answer {
    log.decide((is(from), is(to)), |(old, new), _| match (old.value, new.value) {
        (Is::New | Is::Released { .. }, _) => Err("nobody has the name"),
        (Is::Taken, Is::Taken) => Err("the name is taken"),
        (Is::Taken, _) => Ok(happens((), renamed(from, to))),
    })
}

fn registered(name: &str) -> Account {
    let name = name.to_owned();
    Registered { name }
}

fn closed(name: &str) -> Account {
    let name = name.to_owned();
    Closed { name }
}

fn renamed(from: &str, to: &str) -> Account {
    let (from, to) = (from.to_owned(), to.to_owned());
    Renamed { from, to }
}

#[test]
fn a_name_is_given_once() {
    given([])
        .when(|log| register_for_ever(log, "u1"))
        .then((), [registered("u1")]);
    given([registered("u1")])
        .when(|log| register_for_ever(log, "u1"))
        .refused("the name is taken");
    given([registered("u1"), registered("u11")])
        .when(|log| register_for_ever(log, "u2"))
        .then((), [registered("u2")]);
    given([registered("u1"), closed("u1")])
        .when(|log| register_for_ever(log, "u1"))
        .refused("the name is taken");
}

#[test]
fn the_name_of_a_closed_account_is_free() {
    given([registered("u1"), closed("u1")])
        .when(|log| register(log, "u1"))
        .then((), [registered("u1")]);
    given([registered("u1"), registered("u2"), closed("u2")])
        .when(|log| register(log, "u1"))
        .refused("the name is taken");
    given([registered("u1"), closed("u1"), registered("u1")])
        .when(|log| register(log, "u1"))
        .refused("the name is taken");
}

#[test]
fn an_account_changes_its_name() {
    given([registered("u1"), renamed("u1", "u2")])
        .when(|log| register(log, "u1"))
        .then((), [registered("u1")]);
    given([registered("u1"), renamed("u1", "u2")])
        .when(|log| register(log, "u2"))
        .refused("the name is taken");
    given([registered("u1"), renamed("u1", "u2"), closed("u2")])
        .when(|log| register(log, "u2"))
        .then((), [registered("u2")]);
    given([registered("u1")])
        .when(|log| rename(log, "u1", "u2"))
        .then((), [renamed("u1", "u2")]);
    given([registered("u1"), registered("u2")])
        .when(|log| rename(log, "u1", "u2"))
        .refused("the name is taken");
    given([registered("u1")])
        .when(|log| rename(log, "u1", "u1"))
        .refused("the name is taken");
    given([registered("u1"), renamed("u1", "u2")])
        .when(|log| rename(log, "u1", "u3"))
        .refused("nobody has the name");
    given([registered("u1"), renamed("u1", "u2")])
        .when(|log| rename(log, "u2", "u1"))
        .then((), [renamed("u2", "u1")]);
}

#[test]
fn a_name_is_kept_for_three_days() {
    let freed = |by: Account| [(DAY, registered("u1")), (4 * DAY, by)];
    for by in [closed("u1"), renamed("u1", "u9")] {
        for (now, is_kept) in [
            (4 * DAY, true),
            (5 * DAY, true),
            (7 * DAY - 1, true),
            (7 * DAY, false),
            (70 * DAY, false),
        ] {
            let when = given_at(freed(by.clone())).when(|log| register_later(log, "u1", now));
            match is_kept {
                true => when.refused("the name is kept"),
                false => when.then((), [registered("u1")]),
            }
        }
    }
    given_at([(DAY, registered("u1"))])
        .when(|log| register_later(log, "u1", 70 * DAY))
        .refused("the name is taken");
    given_at(freed(closed("u1")))
        .when(|log| register_later(log, "u2", 4 * DAY))
        .then((), [registered("u2")]);
    // The last release counts.
    given_at(
        freed(closed("u1"))
            .into_iter()
            .chain([(8 * DAY, registered("u1")), (9 * DAY, closed("u1"))]),
    )
    .when(|log| register_later(log, "u1", 11 * DAY))
    .refused("the name is kept");
}

#[test]
fn of_threads_that_register_one_name_one_gets_it() {
    let log = log_of::<Account>().indexed().unwrap();
    for round in 0..20 {
        let name = format!("u{round}");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| match register(&log, &name) {
                    Ok(_) | Err(TransactError::Refused("the name is taken")) => {}
                    other => panic!("{other:?}"),
                });
            }
        });
        let events = log.select(Item::any().tag(of_name(&name)), ..).unwrap();
        let events: Vec<_> = events.map(|event| event.unwrap().event).collect();
        assert_eq!(events, [registered(&name)]);
    }
}
