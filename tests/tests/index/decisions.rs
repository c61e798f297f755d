//! Decisions on what is folded from queries.

use std::thread;

use wal_db::{
    Lsn, Meta, WalError,
    index::{Condition, Indexed, Item, Query},
    state::{At, Decision, Model, State, TransactError},
    testing::{SimDisk, sim::Call},
};
use wal_tests::faults::{EIO, ENOSPC, from_then_on};

use super::{Thing, indexed, made};

/// How many events a tag has, and the sum of their numbers.
#[derive(Debug, Clone)]
struct Sum {
    tag: String,
    events: u64,
    sum: u64,
}

fn sum(tag: &str) -> Sum {
    Sum {
        tag: tag.to_owned(),
        events: 0,
        sum: 0,
    }
}

impl State for Sum {
    type Event = Thing;

    fn apply(&mut self, event: Thing, _: At) {
        self.events += 1;
        if let Thing::Made { number } = event {
            self.sum += number;
        }
    }
}

impl Model for Sum {
    fn query(&self) -> Query {
        Item::of(["thing.made"]).tag(&self.tag).into()
    }
}

#[test]
fn threads_never_go_over_a_limit_that_none_of_them_holds_a_lock_for() {
    let log = indexed();
    thread::scope(|scope| {
        for number in 0..8_u64 {
            let log = &log;
            scope.spawn(move || {
                for round in 0..40 {
                    let tag = format!("of:{}", (number + round) % 3);
                    let decided = log.decide((sum(&tag), sum("all")), |(own, all), _| {
                        if own.sum >= 50 || all.events >= 120 {
                            return Err("full");
                        }
                        let meta = Meta::new().with_tag(&own.tag).with_tag("all");
                        Ok(Decision::new(own.sum).event_with_meta(made(1), meta))
                    });
                    match decided {
                        Ok(_) | Err(TransactError::Refused("full")) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let count = |tag: &str| log.select(Item::any().tag(tag), ..).unwrap().count();
    let counts = ["of:0", "of:1", "of:2"].map(count);
    assert_eq!(count("all"), 120, "{counts:?}");
    assert!(counts.iter().all(|count| *count <= 50), "{counts:?}");
}

#[test]
fn each_model_takes_in_its_own_events() {
    let log = indexed();
    for (number, tag) in [(1, "a"), (2, "b"), (4, "a"), (8, "c")] {
        let _ = log
            .log()
            .append_with_meta(&made(number), &Meta::new().with_tag(tag))
            .unwrap();
    }
    let sums = log.decide((sum("a"), sum("b"), sum("d")), |(a, b, d), _| {
        Ok::<_, &str>(Decision::new((a.sum, b.sum, d.events)))
    });
    assert_eq!(sums.unwrap().value, (5, 2, 0));
    let any_number: Vec<Sum> = ["c", "a", "d", "a"].map(sum).into();
    let sums = log.decide(any_number, |all, _| {
        Ok::<_, &str>(Decision::new(all.iter().map(|one| one.sum).collect::<Vec<_>>()))
    });
    assert_eq!(sums.unwrap().value, [8, 5, 0, 5]);
    assert_eq!(log.log().replay(..).unwrap().count(), 4);
}

#[test]
fn threads_that_want_several_of_something_get_all_or_none() {
    let log = indexed();
    thread::scope(|scope| {
        for number in 0..6_u64 {
            let log = &log;
            scope.spawn(move || {
                for round in 0..20 {
                    let places = [number, number + 1, number + 2].map(|place| (place + round) % 12);
                    let seats: Vec<Sum> = places.map(|place| sum(&format!("seat:{place}"))).into();
                    let decided = log.decide(seats, |seats, _| {
                        if seats.iter().any(|seat| seat.events > 0) {
                            return Err("taken");
                        }
                        let take = |decision: Decision<Thing>, seat: &Sum| {
                            decision.event_with_meta(made(number), Meta::new().with_tag(&seat.tag))
                        };
                        Ok(seats.iter().fold(Decision::new(()), take))
                    });
                    match decided {
                        Ok(_) | Err(TransactError::Refused("taken")) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let mut taken = 0;
    for place in 0..12 {
        let item = Item::any().tag(format!("seat:{place}"));
        let of_place = log.select(item, ..).unwrap().count();
        assert!(of_place <= 1, "seat {place} was taken {of_place} times");
        taken += of_place;
    }
    assert!(taken >= 3 && taken % 3 == 0, "{taken}");
}

#[test]
fn a_decision_that_uses_the_log_is_told() {
    let log = indexed();
    let decided = log.decide(sum("a"), |_, _| {
        Err::<Decision<Thing>, _>(log.log().append(&made(1)).unwrap_err())
    });
    match decided {
        Err(TransactError::Refused(error)) => assert!(error.to_string().contains("closure"), "{error}"),
        other => panic!("{other:?}"),
    }
}

fn tagged(log: &Indexed<Thing>, number: u64, tag: &str) -> Lsn {
    let meta = Meta::new().with_tag(tag);
    log.log().append_with_meta(&made(number), &meta).unwrap()
}

fn add(sum: &Sum) -> Decision<Thing, u64> {
    let meta = Meta::new().with_tag(&sum.tag);
    Decision::new(sum.sum).event_with_meta(made(1), meta)
}

fn in_another_thread(run: impl FnOnce() + Send) {
    thread::scope(|scope| scope.spawn(run).join().unwrap());
}

#[test]
fn a_decision_gets_through_however_often_others_come_between() {
    let log = indexed();
    let mut calls = 0;
    let decided = log.decide(sum("a"), |sum, _| {
        calls += 1;
        // From the ninth time on, the other thread would wait.
        if calls <= 8 {
            in_another_thread(|| {
                tagged(&log, 1, "a");
            });
        }
        Ok::<_, &str>(add(sum))
    });
    assert_eq!((decided.unwrap().value, calls), (8, 9));
    assert_eq!(log.select(Item::any().tag("a"), ..).unwrap().count(), 9);
}

#[test]
fn what_is_of_no_concern_to_a_decision_does_not_repeat_it() {
    let log = indexed();
    let mut calls = 0;
    let decided = log.decide(sum("a"), |sum, _| {
        calls += 1;
        in_another_thread(|| {
            tagged(&log, 1, "b");
            let lost = Meta::new().with_tag("a");
            let _ = log.log().append_with_meta(&Thing::Lost, &lost).unwrap();
        });
        Ok::<_, &str>(add(sum))
    });
    assert_eq!((decided.unwrap().value, calls), (0, 1));
}

#[test]
fn a_decision_on_events_that_are_cut_off_meanwhile_is_told() {
    // What was folded is cut off before it is decided on, or between two times that it is, with something else instead.
    for others_come in [false, true] {
        let log = indexed();
        let first = tagged(&log, 1, "a");
        let second = tagged(&log, 2, "a");
        let decided = log.decide(sum("a"), |sum, _| {
            in_another_thread(|| {
                log.log().wal().truncate_after(first).unwrap();
                if others_come {
                    tagged(&log, 3, "a");
                }
            });
            Ok::<_, &str>(add(sum))
        });
        let is_told = matches!(decided, Err(TransactError::Wal(WalError::CutBack { .. })));
        assert!(is_told, "{decided:?}");
        let left: Vec<Lsn> = log
            .select(Item::any().tag("a"), ..)
            .unwrap()
            .map(|event| event.unwrap().lsn)
            .collect();
        assert!(
            left.len() == 1 + usize::from(others_come) && !left.contains(&second),
            "{left:?}"
        );
    }
}

#[test]
fn a_command_is_decided_once_and_a_refused_one_again() {
    let log = indexed();
    let attempt = |id: u8, most: u64| {
        log.decide_once([id; 16], sum("a"), |sum, _| match sum.sum < most {
            true => Ok(add(sum)),
            false => Err("full"),
        })
    };
    let first = attempt(1, 1).unwrap().lsns[0];
    // It is not asked whether there is room for it again.
    for _ in 0..2 {
        let again = attempt(1, 1).unwrap_err();
        assert!(
            matches!(again, TransactError::Wal(WalError::Duplicate { lsn, .. }) if lsn == first),
            "{again}"
        );
    }
    assert!(matches!(attempt(2, 1), Err(TransactError::Refused("full"))));
    attempt(2, 2).unwrap();
    assert_eq!(log.log().read(first).unwrap().meta.command_id(), Some([1; 16]));
    // The same command from many threads at once.
    let carried_out: usize = thread::scope(|scope| {
        let tries: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| usize::from(attempt(3, 100).is_ok())))
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(carried_out, 1);
}

#[test]
fn a_full_disk_and_a_failed_log_append_nothing_and_say_so() {
    let disk = SimDisk::new();
    let quiet = wal_tests::quiet().with_staging_bytes(64 << 10);
    let log: Indexed<Thing> = disk
        .open("log", quiet)
        .unwrap()
        .typed()
        .unwrap()
        .indexed()
        .unwrap();
    tagged(&log, 1, "a");
    log.log().wal().sync().unwrap();
    let waiting = tagged(&log, 2, "a");
    disk.behave(|behaviour| behaviour.fault = from_then_on(Call::Write, 0, ENOSPC));
    let free = Condition::new().never(Item::any().tag("a"));
    for _ in 0..2 {
        let refused = log.append_if(&[(made(3), Meta::new())], &free).unwrap_err();
        assert!(matches!(refused, WalError::Full { .. }), "{refused}");
        let decided = log
            .decide(sum("a"), |sum, _| Ok::<_, &str>(add(sum)))
            .unwrap_err();
        assert!(
            matches!(decided, TransactError::Wal(WalError::Full { .. })),
            "{decided}"
        );
    }
    disk.heal();
    let decided = log.decide(sum("a"), |sum, _| Ok::<_, &str>(add(sum))).unwrap();
    assert_eq!(decided.value, 3);
    assert_eq!(
        log.newest(Item::any().tag("a")).unwrap(),
        decided.lsns.last().copied()
    );
    assert!(log.select(Item::any().tag("a"), waiting..).unwrap().count() == 2);

    tagged(&log, 4, "a");
    disk.behave(|behaviour| behaviour.fault = from_then_on(Call::Write, 0, EIO));
    let _ = log.log().wal().sync().unwrap_err();
    let refused = log
        .append_if(&[(made(3), Meta::new())], &Condition::new())
        .unwrap_err();
    assert!(matches!(refused, WalError::Poisoned { .. }), "{refused}");
    let decided = log
        .decide(sum("a"), |sum, _| Err::<Decision<Thing>, _>(sum.sum))
        .unwrap_err();
    assert!(
        matches!(decided, TransactError::Wal(WalError::Poisoned { .. })),
        "{decided}"
    );
    // What is not in the store is not passed over in silence.
    let last = log
        .select(Item::any().tag("a"), ..)
        .and_then(|mut events| events.try_fold((), |(), event| event.map(drop)));
    assert!(last.is_err());
}

#[test]
fn what_a_decision_without_events_rests_on_is_durable_when_it_is_told() {
    for is_refused in [false, true] {
        let log = indexed();
        let last = tagged(&log, 1, "a");
        assert!(log.log().wal().status().durable <= last);
        let decided = log.decide(sum("a"), |sum, _| match is_refused {
            true => Err(sum.sum),
            false => Ok(Decision::new(sum.sum)),
        });
        match decided {
            Ok(decided) => assert_eq!(decided.value, 1),
            Err(TransactError::Refused(sum)) => assert_eq!(sum, 1),
            Err(error) => panic!("{error}"),
        }
        assert!(log.log().wal().status().durable > last);
    }
}

#[test]
fn what_was_submitted_is_there_at_once_and_told_when_it_is_durable() {
    let log = indexed();
    let first = log.submit(sum("a"), |sum, _| Ok::<_, &str>(add(sum))).unwrap();
    let second = log.submit(sum("a"), |sum, _| Ok::<_, &str>(add(sum))).unwrap();
    let refused = log.submit(sum("a"), |sum, _| Err::<Decision<Thing>, _>(sum.sum));
    let refused = refused.unwrap();
    let last = second.lsn();
    assert_eq!(log.newest(Item::any().tag("a")).unwrap(), last);
    assert!(first.lsn() < last && refused.lsn().is_none());
    assert!(![first.is_durable(), second.is_durable(), refused.is_durable()].contains(&true));
    assert!(matches!(refused.wait(), Err(TransactError::Refused(2))));
    assert!(Some(log.log().wal().status().durable) > last);
    let values = [first, second].map(|pending| {
        assert!(pending.is_durable());
        pending.wait().unwrap().value
    });
    assert_eq!(values, [0, 1]);
    // It rests on nothing that is not.
    let answered = log.submit(sum("a"), |sum, _| Ok::<_, &str>(Decision::new(sum.sum)));
    let answered = answered.unwrap();
    assert!(answered.is_durable());
    assert_eq!(answered.wait().unwrap().value, 2);
}
