//! The laws of states find what a state may not do, and only that; decisions are compared with what was expected.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wal_db::{
    WalRecord,
    state::{At, Decision, State},
    testing::{check_state_laws, given},
};

use super::{History, Noted, noted};

static COUNTER: AtomicU64 = AtomicU64::new(0);

macro_rules! zoo {
    ($($(#[$about:meta])* $state:ident $name:literal { $($fields:tt)* } $apply:expr;)*) => {$(
        $(#[$about])*
        #[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
        #[wal(name = $name)]
        struct $state { $($fields)* }

        impl State for $state {
            type Event = Noted;

            fn apply(&mut self, event: Noted, at: At) {
                let apply: fn(&mut $state, Noted, At) = $apply;
                apply(self, event, at);
            }
        }
    )*};
}

zoo! {
    /// Uses all that it may.
    Lawful "lawful" { sum: u64, seen: HashMap<u64, u64>, seed: u64, time_us: Option<i64> } |state, event, at| {
        state.sum += event.number;
        *state.seen.entry(event.number % 7).or_default() += 1;
        state.seed ^= at.seed();
        state.time_us = at.time_us();
    };
    /// No number.
    Mean "mean" { mean: f64 } |state, _, _| state.mean = f64::NAN;
    Clock "clock" { nanos: u64 } |state, _, _| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        state.nanos = now.as_nanos() as u64;
    };
    Order "order" { kept: HashSet<u64>, first: u64 } |state, event, _| {
        state.kept.insert(event.number);
        let first = state.kept.iter().next().copied().unwrap();
        state.first = state.first.wrapping_mul(31).wrapping_add(first);
    };
    Counter "counter" { total: u64 } |state, _, _| {
        state.total = COUNTER.fetch_add(1, Ordering::SeqCst);
    };
    Random "random" { hash: u64 } |state, event, _| {
        state.hash = RandomState::new().hash_one(event.number);
    };
    Address "address" { place: u64 } |state, _, _| {
        let here = Box::new([0_u64; 1000]);
        // So that it is not there next time.
        let here = Box::leak(here);
        state.place = std::ptr::from_ref(here).addr() as u64;
    };
    Replaying "replaying" { announced: u64 } |state, _, at| {
        state.announced += u64::from(!at.replaying);
    };
    LeftOut "left_out" {
        sum: u64,
        #[serde(skip)]
        calls: u64,
    } |state, event, _| {
        state.calls += 1;
        state.sum += event.number * state.calls;
    };
    Rounded "rounded" {
        #[serde(with = "tens")]
        #[wal(opaque = "tens@1", wire = u64)]
        sum: u64,
    } |state, event, _| state.sum += event.number;
    OnlyEven "only_even" {
        #[serde(deserialize_with = "even")]
        #[wal(opaque = "even@1", wire = u64)]
        count: u64,
    } |state, _, _| state.count += 1;
    Unlucky "unlucky" { sum: u64 } |state, event, _| {
        assert_ne!(event.number, 13, "an unlucky number");
        state.sum += event.number;
    };
    ThreadLocal "thread_local" { nth: u64 } |state, _, _| state.nth = NTH.replace(NTH.get() + 1);
}

thread_local! {
    static NTH: Cell<u64> = const { Cell::new(0) };
}

mod tens {
    use super::*;

    pub(super) fn serialize<S: Serializer>(number: &u64, s: S) -> Result<S::Ok, S::Error> {
        (number / 10 * 10).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
        u64::deserialize(d)
    }
}

fn even<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(d)?;
    match number % 2 {
        0 => Ok(number),
        _ => Err(serde::de::Error::custom("odd")),
    }
}

fn events() -> Vec<Noted> {
    (0..20).map(noted).collect()
}

#[test]
fn a_state_that_keeps_the_laws_passes() {
    check_state_laws::<Lawful>(events()).unwrap();
    check_state_laws::<History>(events()).unwrap();
    check_state_laws::<Lawful>([]).unwrap();
}

#[test]
fn each_state_that_breaks_a_law_is_found_with_the_reason() {
    macro_rules! found {
        ($($state:ident: $($text:literal),+;)*) => {$(
            let failed = check_state_laws::<$state>(events()).expect_err(stringify!($state)).to_string();
            $(assert!(failed.contains($text), "{}: {failed}", stringify!($state));)+
        )*};
    }
    found! {
        Clock: "another fold", "nanos: ";
        Order: "another fold", "first: ";
        Counter: "another fold", "total: ";
        Random: "another fold", "hash: ";
        Address: "another fold", "place: ";
        ThreadLocal: "another fold", "nth: ";
        Mean: "does not equal itself";
        Replaying: "At::replaying", "after event 0", "announced: 0 -> 1";
        LeftOut: "after event 0", "comes back from a snapshot", "nothing that can be shown";
        Rounded: "after event 1", "comes back from a snapshot";
        OnlyEven: "after event 0", "cannot go on", "odd";
        Unlucky: "panicked", "an unlucky number";
    }
}

impl Lawful {
    fn add(&self, number: u64) -> Result<Decision<Noted, u64>, String> {
        match self.sum + number {
            sum @ 0..=100 => Ok(Decision::new(sum).event(noted(number))),
            sum => Err(format!("{sum} is too much")),
        }
    }
}

#[test]
fn what_was_decided_is_compared() {
    let ninety = || given::<Lawful>([noted(40), noted(50)]);
    let accepted = || ninety().when(|state, _| state.add(7));
    let refused = || ninety().when(|state, _| state.add(11));
    let nothing = || ninety().when(|_, _| Ok::<_, String>(Decision::new(())));
    accepted()
        .then([noted(7)])
        .then_answer(97)
        .then_state(|state| assert_eq!(state.sum, 97));
    refused()
        .then_refused("101 is too much".to_owned())
        .then_state(|state| assert_eq!(state.sum, 90));
    nothing().then_nothing();
    let fails = |test: &dyn Fn()| catch_unwind(AssertUnwindSafe(test)).is_err();
    assert!(fails(&|| drop(accepted().then([noted(8)]))));
    assert!(fails(&|| drop(accepted().then([]))));
    assert!(fails(&|| drop(accepted().then([noted(7), noted(7)]))));
    assert!(fails(&|| drop(accepted().then_nothing())));
    assert!(fails(&|| drop(accepted().then_answer(98))));
    assert!(fails(&|| drop(accepted().then_refused(String::new()))));
    assert!(fails(&|| drop(
        accepted().then_state(|state| assert_eq!(state.sum, 90))
    )));
    assert!(fails(&|| drop(
        refused().then_refused("102 is too much".to_owned())
    )));
    assert!(fails(&|| drop(refused().then([]))));
    assert!(fails(&|| drop(refused().then_answer(1))));
    assert!(fails(&|| drop(nothing().then([noted(1)]))));
    assert!(fails(&|| drop(given::<Unlucky>([noted(13)]))));
    assert!(fails(&|| {
        let decide = |_: &Unlucky, _: &_| Ok::<_, ()>(Decision::new(()).event(noted(13)));
        drop(given::<Unlucky>([]).when(decide));
    }));
}
