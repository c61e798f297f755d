//! States of streams: each is the fold of its stream, whatever is in memory of it, and whatever others append.

use std::{collections::BTreeMap, sync::Mutex, thread};

use wal_db::{
    Lsn, MemStore, Meta, Wal, WalError,
    event::StreamKey,
    index::{IndexConfig, Indexed},
    state::{At, Decision, Entities, EntitiesConfig, State, TransactError},
};
use wal_tests::random::Rng;

use super::{Thing, any_event, indexed, made};

/// What is in an account: it is paid in, or counted, or is emptied.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Account {
    pub(super) cents: u64,
    last: Option<Lsn>,
}

impl State for Account {
    type Event = Thing;

    fn apply(&mut self, event: Thing, at: At) {
        self.cents = match event {
            Thing::Made { number } => self.cents.wrapping_add(number),
            Thing::Moved { number, .. } => number,
            Thing::Lost => 0,
        };
        self.last = Some(at.lsn);
    }
}

pub(super) fn accounts(log: &Indexed<Thing>, cached: usize) -> Entities<Account> {
    log.entities(EntitiesConfig::new().with_cached(cached))
}

pub(super) fn of(key: &str) -> Meta {
    Meta::new().with_stream(key)
}

pub(super) fn append(log: &Indexed<Thing>, key: &str, number: u64) -> Lsn {
    log.log().append_with_meta(&made(number), &of(key)).unwrap()
}

pub(super) fn pay(account: &Account, cents: u64) -> Decision<Thing, u64> {
    Decision::new(account.cents).event(made(cents))
}

/// The account as anybody would make it from the log.
fn folded(log: &Indexed<Thing>, key: StreamKey<'_>) -> Account {
    let mut account = Account::default();
    for event in log.log().replay(..).unwrap() {
        let event = event.unwrap();
        if event.meta.stream() == Some(key) {
            account.apply(event.event, At::replayed(event.lsn));
        }
    }
    account
}

fn in_another_thread(run: impl FnOnce() + Send) {
    thread::scope(|scope| scope.spawn(run).join().unwrap());
}

/// A log in memory, its index with runs of any size, and accounts of which few are kept.
struct World {
    memory: MemStore,
    log: Indexed<Thing>,
    strict: Entities<Account>,
    lenient: Entities<Account>,
}

impl World {
    fn new(memory: MemStore, rng: &mut Rng) -> World {
        let wal = Wal::with_store_and_config(memory.clone(), wal_tests::quiet_heap()).unwrap();
        let config = IndexConfig::new().with_run_bytes(1 + rng.below(3000) as u64);
        let log = wal.typed::<Thing>().unwrap().indexed_with(config).unwrap();
        let config = EntitiesConfig::new().with_cached(rng.below(6));
        World {
            memory,
            strict: log.entities(config),
            lenient: log.entities(config.with_dropped(true)),
            log,
        }
    }

    fn check(&self, key: StreamKey<'_>) {
        let expected = folded(&self.log, key);
        let seen = self.lenient.read(key, Account::clone).unwrap();
        assert_eq!(seen, expected, "{key}");
        let seen = self.strict.peek(key, Account::clone);
        match (self.log.log().wal().status().head_ordinal, seen) {
            (0, Ok(seen)) => assert_eq!(seen, expected, "{key}"),
            (1.., Err(WalError::Truncated { .. })) => {}
            (head, seen) => panic!("{head}, {seen:?}"),
        }
        assert!(self.lenient.status().unwrap().cached <= 5);
    }

    fn decide(&self, key: StreamKey<'_>, rng: &mut Rng) {
        let expected = folded(&self.log, key);
        let number = rng.number() >> 40;
        let elsewhere = (rng.below(3) == 0).then(|| format!("s{}", rng.below(20)));
        let is_last = rng.below(2) == 0;
        let decided = self.lenient.transact(key, |account, _| {
            let decision = Decision::new(account.clone()).event(made(number));
            Ok::<_, &str>(match &elsewhere {
                Some(other) if is_last => decision.event_with_meta(made(7), of(other)),
                Some(other) => decision.event_with_meta(made(7), of(other)).event(Thing::Lost),
                None => decision,
            })
        });
        assert_eq!(decided.unwrap().value, expected, "{key}");
    }

    /// Appends the whole state of every account that has an event, and drops what comes before.
    fn restate(&self) {
        let events = self.log.log().replay(..).unwrap().map(Result::unwrap);
        let metas: Vec<Meta> = events.map(|event| event.meta).collect();
        let mut accounts: BTreeMap<StreamKey<'_>, u64> = BTreeMap::new();
        for key in metas.iter().filter_map(Meta::stream) {
            accounts.insert(key, folded(&self.log, key).cents);
        }
        let restated = accounts.into_iter().map(|(key, number)| {
            let ballast = Vec::new();
            (Thing::Moved { number, ballast }, Meta::new().with_stream(key))
        });
        let restated: Vec<(Thing, Meta)> = restated.collect();
        let lsns = self.log.log().append_batch_with_meta(&restated).unwrap();
        if let Some(first) = lsns.first() {
            self.log.log().wal().truncate_before(*first).unwrap();
        }
    }

    fn cut(&self, rng: &mut Rng) {
        let lsns: Vec<Lsn> = self
            .log
            .log()
            .replay(..)
            .unwrap()
            .map(|event| event.unwrap().lsn)
            .collect();
        if let Some(lsn) = lsns.get(lsns.len().saturating_sub(1 + rng.below(10))) {
            self.log.log().wal().truncate_after(*lsn).unwrap();
        }
    }
}

#[test]
fn an_entity_is_the_fold_of_its_stream_whatever_happens() {
    for seed in 0..10 * u64::from(wal_tests::scale()) {
        let mut rng = Rng::new(seed);
        let mut world = World::new(MemStore::new(), &mut rng);
        for _ in 0..150 {
            let text = format!("s{}", rng.below(20));
            let key: StreamKey<'_> = match rng.below(4) {
                0 => "a".into(),
                1 => (rng.below(3) as u64).into(),
                2 => [rng.below(2) as u8; 16].into(),
                _ => (&text).into(),
            };
            match rng.below(40) {
                0 => world.restate(),
                1 | 2 => world.cut(&mut rng),
                3 => {
                    let memory = world.memory.clone();
                    drop(world);
                    world = World::new(memory, &mut rng);
                }
                4..12 => {
                    let (event, meta) = any_event(&mut rng);
                    let _ = world.log.log().append_with_meta(&event, &meta).unwrap();
                }
                12..26 => world.decide(key, &mut rng),
                _ => world.check(key),
            }
        }
    }
}

#[test]
fn threads_decide_on_what_comes_just_before_their_events() {
    let log = indexed();
    let told = Mutex::new(BTreeMap::new());
    let shared = accounts(&log, 2);
    thread::scope(|scope| {
        for number in 0..6_u64 {
            let (log, told, shared) = (&log, &told, &shared);
            scope.spawn(move || {
                // Some share the cache, and others do not.
                let own = if number < 3 {
                    shared.clone()
                } else {
                    accounts(log, 2)
                };
                let mut rng = Rng::new(number);
                for _ in 0..150 {
                    let key = format!("k{}", rng.below(4));
                    match rng.below(4) {
                        0 => {
                            append(log, &key, 1);
                        }
                        1 => {
                            let _ = log.log().append_with_meta(&made(9), &of("other")).unwrap();
                        }
                        _ => {
                            let decided = own.transact(&key, |account, _| match account.cents % 5 {
                                4 => Err(account.cents),
                                _ => Ok(pay(account, 1)),
                            });
                            match decided {
                                Ok(decided) => {
                                    let lsn = decided.lsns[0];
                                    let before = told.lock().unwrap().insert(lsn, decided.value);
                                    assert_eq!(before, None);
                                }
                                Err(TransactError::Refused(cents)) => assert_eq!(cents % 5, 4),
                                Err(error) => panic!("{error}"),
                            }
                        }
                    }
                }
            });
        }
    });
    let told = told.into_inner().unwrap();
    assert!(told.len() > 50, "{}", told.len());
    let mut balances: BTreeMap<String, u64> = BTreeMap::new();
    let mut found = 0;
    for event in log.log().replay(..).unwrap() {
        let event = event.unwrap();
        let balance = balances.entry(format!("{:?}", event.meta.stream())).or_default();
        if let Some(seen) = told.get(&event.lsn) {
            assert_eq!(seen, balance, "{}", event.lsn);
            assert_ne!(seen % 5, 4);
            found += 1;
        }
        let Thing::Made { number } = event.event else {
            panic!()
        };
        *balance += number;
    }
    assert_eq!(found, told.len());
    for key in 0..4 {
        let key = format!("k{key}");
        let seen = shared.read(&key, Account::clone).unwrap();
        assert_eq!(seen, folded(&log, (&key).into()));
    }
}

#[test]
fn what_others_append_is_decided_on_and_what_they_append_elsewhere_is_not() {
    let log = indexed();
    let accounts = accounts(&log, 10);
    append(&log, "a", 5);
    for (key, asked) in [("a", 2), ("b", 1)] {
        let mut calls = 0;
        let decided = accounts.transact("a", |account, _| {
            calls += 1;
            if calls == 1 {
                in_another_thread(|| {
                    append(&log, key, 7);
                });
            }
            Ok::<_, &str>(pay(account, 1))
        });
        let seen = decided.unwrap().value;
        assert_eq!((calls, seen), (asked, if key == "a" { 12 } else { 13 }));
    }
}

#[test]
fn an_event_of_another_stream_is_not_applied_and_is_there_in_the_other_one() {
    let log = indexed();
    let accounts = accounts(&log, 10);
    assert_eq!(accounts.read("b", |b| b.cents).unwrap(), 0);
    let decided = accounts.transact("a", |a, _| {
        let both = pay(a, 3).event_with_meta(made(4), of("b"));
        Ok::<_, &str>(both.event_with_meta(made(1), Meta::new().with_tag("tagged")))
    });
    let lsns = decided.unwrap().lsns;
    assert_eq!(
        accounts.read("a", Account::clone).unwrap(),
        Account {
            cents: 4,
            last: Some(lsns[2])
        }
    );
    assert_eq!(
        accounts.read("b", Account::clone).unwrap(),
        Account {
            cents: 4,
            last: Some(lsns[1])
        }
    );
    let last = log.log().read(lsns[2]).unwrap();
    assert_eq!(last.meta.stream(), Some("a".into()));
    assert!(last.meta.tags().eq(["tagged"]) && last.meta.time_us().is_some());
}

#[test]
fn a_stream_that_is_cut_off_while_it_is_decided_on_is_folded_again() {
    for others_come in [false, true] {
        let log = indexed();
        let accounts = accounts(&log, 10);
        let first = append(&log, "a", 1);
        append(&log, "a", 2);
        assert_eq!(accounts.read("a", |account| account.cents).unwrap(), 3);
        let mut seen = Vec::new();
        let decided = accounts.transact("a", |account, _| {
            seen.push(account.cents);
            if seen.len() == 1 {
                in_another_thread(|| {
                    log.log().wal().truncate_after(first).unwrap();
                    if others_come {
                        append(&log, "a", 10);
                    }
                });
            }
            Err::<Decision<Thing>, _>(account.cents)
        });
        let left = if others_come { 11 } else { 1 };
        assert!(
            matches!(decided, Err(TransactError::Refused(cents)) if cents == left),
            "{decided:?}"
        );
        assert_eq!(seen, [3, left]);
    }
}

#[test]
fn entities_of_a_log_without_its_beginning_are_refused_unless_that_is_allowed() {
    let log = indexed();
    let (strict, lenient) = (
        accounts(&log, 10),
        log.entities::<Account>(EntitiesConfig::new().with_dropped(true)),
    );
    append(&log, "a", 1);
    let second = append(&log, "a", 2);
    assert_eq!(strict.read("a", |account| account.cents).unwrap(), 3);
    assert_eq!(lenient.read("a", |account| account.cents).unwrap(), 3);
    log.log().wal().truncate_before(second).unwrap();
    for key in ["a", "b"] {
        // Whether it is in memory makes no difference.
        let refused = strict.read(key, |account| account.cents).unwrap_err();
        assert!(
            matches!(refused, WalError::Truncated { head, .. } if head == second),
            "{refused}"
        );
        let refused = strict.transact(key, |account, _| Ok::<_, &str>(pay(account, 1)));
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("dropped"), "{refused}");
    }
    assert_eq!(log.log().replay(..).unwrap().count(), 1);
    // Nor does it where that is allowed.
    assert_eq!(lenient.read("a", |account| account.cents).unwrap(), 2);
    let cold = log.entities::<Account>(EntitiesConfig::new().with_dropped(true).with_cached(0));
    assert_eq!(cold.read("a", |account| account.cents).unwrap(), 2);
}

/// Cannot lose what was never made.
#[derive(Debug, Default)]
struct Made(bool);

impl State for Made {
    type Event = Thing;

    fn apply(&mut self, event: Thing, _: At) {
        assert!(self.0 || event != Thing::Lost, "it was never made");
        self.0 = event != Thing::Lost;
    }
}

#[test]
fn that_the_beginning_was_dropped_is_said_before_what_comes_of_it() {
    let log = indexed();
    append(&log, "a", 1);
    let lost = log.log().append_with_meta(&Thing::Lost, &of("a")).unwrap();
    log.log().wal().truncate_before(lost).unwrap();
    for cached in [0, 10] {
        let made = log.entities::<Made>(EntitiesConfig::new().with_cached(cached));
        let refused = made.read("a", |made| made.0).unwrap_err();
        assert!(matches!(refused, WalError::Truncated { .. }), "{refused}");
    }
}

#[test]
fn a_command_is_carried_out_once_on_whatever_entity() {
    let log = indexed();
    let accounts = accounts(&log, 10);
    let attempt = |id: u8, key: &str, most: u64| {
        accounts.transact_once([id; 16], key, |account, _| match account.cents < most {
            true => Ok(pay(account, 1)),
            false => Err("full"),
        })
    };
    let first = attempt(1, "a", 1).unwrap().lsns[0];
    for key in ["a", "b"] {
        let again = attempt(1, key, 1).unwrap_err();
        assert!(
            matches!(again, TransactError::Wal(WalError::Duplicate { lsn, .. }) if lsn == first),
            "{again}"
        );
    }
    assert!(matches!(attempt(2, "a", 1), Err(TransactError::Refused("full"))));
    attempt(2, "a", 2).unwrap();
    let carried_out: usize = thread::scope(|scope| {
        let keys = ["a", "a", "b", "c"];
        let tries = keys.map(|key| scope.spawn(|| usize::from(attempt(3, key, 100).is_ok())));
        tries.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(carried_out, 1);
}

#[test]
fn what_an_answer_rests_on_is_durable_when_it_is_told() {
    type Answer = fn(&Entities<Account>);
    let answers: [Answer; 6] = [
        |accounts| {
            let refused = accounts.transact("a", |account, _| Err::<Decision<Thing>, _>(account.cents));
            assert!(matches!(refused, Err(TransactError::Refused(1))));
        },
        |accounts| {
            let decided = accounts.transact("a", |account, _| Ok::<_, &str>(Decision::new(account.cents)));
            assert_eq!(decided.unwrap().value, 1);
        },
        |accounts| assert_eq!(accounts.read("a", |account| account.cents).unwrap(), 1),
        |accounts| {
            let submitted = accounts.submit("a", |account, _| Err::<Decision<Thing>, _>(account.cents));
            let pending = submitted.unwrap();
            assert!(!pending.is_durable() && pending.lsn().is_none());
            assert!(matches!(pending.wait(), Err(TransactError::Refused(1))));
        },
        |accounts| {
            let pending = accounts
                .submit("a", |account, _| Ok::<_, &str>(pay(account, 2)))
                .unwrap();
            assert_eq!(accounts.peek("a", |account| account.last).unwrap(), pending.lsn());
            assert_eq!(pending.wait().unwrap().value, 1);
        },
        |accounts| {
            let again = accounts.transact_once([1; 16], "b", |account, _| Ok::<_, &str>(pay(account, 2)));
            assert!(matches!(
                again,
                Err(TransactError::Wal(WalError::Duplicate { .. }))
            ));
        },
    ];
    for answer in answers {
        let log = indexed();
        let accounts = accounts(&log, 10);
        let meta = of("a").with_command_id([1; 16]);
        let last = log.log().append_with_meta(&made(1), &meta).unwrap();
        assert_eq!(accounts.peek("a", |account| account.cents).unwrap(), 1);
        assert!(log.log().wal().status().durable <= last);
        answer(&accounts);
        assert!(log.log().wal().status().durable > last);
    }
}

#[test]
fn as_many_are_in_memory_as_there_may_be_and_those_in_use_stay() {
    let log = indexed();
    let accounts = accounts(&log, 8);
    for round in 0..100_u64 {
        for key in [0, 1, 2, 100 + round] {
            accounts.peek(key, |account| account.cents).unwrap();
        }
    }
    let status = accounts.status().unwrap();
    assert_eq!((status.cached, status.hits, status.misses), (8, 297, 103));
    let uncached = log.entities::<Account>(EntitiesConfig::new().with_cached(0));
    append(&log, "a", 3);
    for _ in 0..2 {
        assert_eq!(uncached.peek("a", |account| account.cents).unwrap(), 3);
    }
    let status = uncached.status().unwrap();
    assert_eq!((status.cached, status.hits, status.misses), (0, 0, 2));
}

#[test]
fn entities_of_two_kinds_share_a_log() {
    let log = indexed();
    let accounts = accounts(&log, 10);
    let made = log.entities::<Made>(EntitiesConfig::new());
    let first = append(&log, "account-1", 2);
    append(&log, "part-1", 2);
    let decided = made.transact("part-1", |made, _| match made.0 {
        true => Ok(Decision::new(()).event(Thing::Lost)),
        false => Err("it is not there"),
    });
    decided.unwrap();
    assert!(!made.read("part-1", |made| made.0).unwrap());
    assert_eq!(
        accounts.read("account-1", |account| account.last).unwrap(),
        Some(first)
    );
}
