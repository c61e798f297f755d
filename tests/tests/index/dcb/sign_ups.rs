//! A sign-up that is confirmed by a token: one that was given to that address, is used once, and not too late.

use serde::{Deserialize, Serialize};
use wal_db::{
    Meta, WalRecord,
    index::{Indexed, Item},
};

use super::{Answer, Happens, MINUTE, Projection, given, given_at, happens, happens_at, project};

/// So long a token can be used.
const GOOD_FOR: i64 = 60 * MINUTE;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "sign_up")]
enum SignUp {
    Begun { email: String, token: u32, name: String },
    Confirmed { email: String, token: u32, name: String },
}

use SignUp::{Begun, Confirmed};

impl Happens for SignUp {
    fn meta(&self) -> Meta {
        let (Begun { email, token, .. } | Confirmed { email, token, .. }) = self;
        Meta::new().with_tag(&of_email(email)).with_tag(&of_token(*token))
    }
}

fn of_email(email: &str) -> String {
    format!("email:{email}")
}

fn of_token(token: u32) -> String {
    format!("token:{token}")
}

#[derive(Debug, PartialEq)]
struct Pending {
    name: String,
    begun_us: i64,
    is_used: bool,
}

/// The sign-up of an address with a token; one of the two alone does not find it.
fn pending(email: &str, token: u32) -> Projection<SignUp, Option<Pending>> {
    let both = Item::any().tag(of_email(email)).tag(of_token(token));
    project(both, None, |pending, event, at| match event {
        Begun { name, .. } => {
            *pending = Some(Pending {
                name,
                begun_us: at.time_us().unwrap(),
                is_used: false,
            });
        }
        Confirmed { .. } => {
            if let Some(pending) = pending {
                pending.is_used = true;
            }
        }
    })
}

/// The sign-up, unless its token cannot be used.
fn usable(pending: &Option<Pending>) -> Result<&Pending, &'static str> {
    match pending {
        None => Err("no such token"),
        Some(pending) if pending.is_used => Err("the token was used"),
        Some(pending) => Ok(pending),
    }
}

/// Answers the name that was given when the sign-up began.
fn confirm(log: &Indexed<SignUp>, email: &str, token: u32) -> Answer<String> {
    log.decide(pending(email, token), |pending, _| {
        let Pending { name, .. } = usable(&pending.value)?;
        Ok(happens(name.clone(), confirmed(email, token, name)))
    })
}

fn confirm_in_time(log: &Indexed<SignUp>, email: &str, token: u32, now: i64) -> Answer<String> {
    log.decide(pending(email, token), |pending, _| {
        let Pending { name, begun_us, .. } = usable(&pending.value)?;
        if now > begun_us + GOOD_FOR {
            return Err("the token has expired");
        }
        Ok(happens_at(now, name.clone(), confirmed(email, token, name)))
    })
}

fn begun(email: &str, token: u32, name: &str) -> SignUp {
    let (email, name) = (email.to_owned(), name.to_owned());
    Begun { email, token, name }
}

fn confirmed(email: &str, token: u32, name: &str) -> SignUp {
    let (email, name) = (email.to_owned(), name.to_owned());
    Confirmed { email, token, name }
}

#[test]
fn a_sign_up_is_confirmed_with_its_token() {
    given([])
        .when(|log| confirm(log, "ann@a", 111))
        .refused("no such token");
    given([begun("bob@a", 111, "bob")])
        .when(|log| confirm(log, "ann@a", 111))
        .refused("no such token");
    given([begun("ann@a", 111, "ann"), begun("bob@a", 222, "bob")])
        .when(|log| confirm(log, "ann@a", 222))
        .refused("no such token");
    given([begun("ann@a", 111, "ann"), begun("bob@a", 222, "bob")])
        .when(|log| confirm(log, "ann@a", 111))
        .then("ann".to_owned(), [confirmed("ann@a", 111, "ann")]);
}

#[test]
fn a_token_is_used_once() {
    given([begun("ann@a", 111, "ann"), confirmed("ann@a", 111, "ann")])
        .when(|log| confirm(log, "ann@a", 111))
        .refused("the token was used");
    // Another one of the same address is.
    let again = [
        begun("ann@a", 111, "ann"),
        confirmed("ann@a", 111, "ann"),
        begun("ann@a", 333, "anne"),
    ];
    given(again)
        .when(|log| confirm(log, "ann@a", 333))
        .then("anne".to_owned(), [confirmed("ann@a", 333, "anne")]);
}

#[test]
fn a_token_expires_after_an_hour() {
    let begun_at = |time_us| given_at([(time_us, begun("ann@a", 111, "ann"))]);
    for (now, is_good) in [
        (5 * MINUTE, true),
        (65 * MINUTE, true),
        (65 * MINUTE + 1, false),
        (700 * MINUTE, false),
    ] {
        let when = begun_at(5 * MINUTE).when(|log| confirm_in_time(log, "ann@a", 111, now));
        match is_good {
            true => when.then("ann".to_owned(), [confirmed("ann@a", 111, "ann")]),
            false => when.refused("the token has expired"),
        }
    }
    begun_at(0)
        .when(|log| confirm_in_time(log, "ann@a", 222, 0))
        .refused("no such token");
    given_at([
        (0, begun("ann@a", 111, "ann")),
        (MINUTE, confirmed("ann@a", 111, "ann")),
    ])
    .when(|log| confirm_in_time(log, "ann@a", 111, 700 * MINUTE))
    .refused("the token was used");
}
