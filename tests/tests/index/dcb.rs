//! The examples of the Dynamic Consistency Boundary (dcb.events), each with its cases: given these events, when this is
//! decided, then that was appended or it was refused.
//!
//! The time of a command is a value that the case gives, so nothing waits.

mod aggregate;
mod courses;
mod invoices;
mod orders;
mod prices;
mod sign_ups;
mod threads;
mod usernames;

use std::fmt::Debug;

use wal_db::{
    EventLog, Lsn, MemStore, Meta, Wal,
    event::WalDecodeOwned,
    index::{Indexed, Query},
    state::{At, Decided, Decision, Model, State, TransactError},
};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// What a command says, or why it was refused.
type Said<A> = Result<A, TransactError<&'static str>>;

/// What a decision says.
type Answer<A = ()> = Said<Decided<A>>;

/// What a command says that is no decision, and what it has appended.
type Done<A> = Said<(A, Vec<Lsn>)>;

/// Events that say under which tags or in which stream they are found.
trait Happens: WalDecodeOwned + Debug + Clone + PartialEq {
    fn meta(&self) -> Meta;
}

/// A value that is folded from the events of a query.
struct Projection<E, T> {
    query: Query,
    value: T,
    fold: Fold<E, T>,
}

type Fold<E, T> = Box<dyn Fn(&mut T, E, At<'_>)>;

fn project<E, T>(
    query: impl Into<Query>,
    initial: T,
    fold: impl Fn(&mut T, E, At<'_>) + 'static,
) -> Projection<E, T> {
    Projection {
        query: query.into(),
        value: initial,
        fold: Box::new(fold),
    }
}

impl<E: WalDecodeOwned, T> State for Projection<E, T> {
    type Event = E;

    fn apply(&mut self, event: E, at: At<'_>) {
        (self.fold)(&mut self.value, event, at);
    }
}

impl<E: WalDecodeOwned, T> Model for Projection<E, T> {
    fn query(&self) -> Query {
        self.query.clone()
    }
}

/// Decides that this happens.
fn happens<E: Happens, A>(answer: A, event: E) -> Decision<E, A> {
    let meta = event.meta();
    Decision::new(answer).event_with_meta(event, meta)
}

/// Decides that this happens at a time.
fn happens_at<E: Happens, A>(time_us: i64, answer: A, event: E) -> Decision<E, A> {
    let meta = event.meta().with_time_us(time_us);
    Decision::new(answer).event_with_meta(event, meta)
}

fn log_of<E: Happens>() -> EventLog<E> {
    let wal = Wal::with_store_and_config(MemStore::new(), wal_tests::quiet_heap()).unwrap();
    wal.typed().unwrap()
}

/// What has happened before a command.
struct Given<E> {
    events: Vec<(E, Meta)>,
}

fn given<E: Happens>(events: impl IntoIterator<Item = E>) -> Given<E> {
    given_at(events.into_iter().map(|event| (0, event)))
}

fn given_at<E: Happens>(events: impl IntoIterator<Item = (i64, E)>) -> Given<E> {
    let with_meta = |(time_us, event): (i64, E)| {
        let meta = event.meta().with_time_us(time_us);
        (event, meta)
    };
    Given {
        events: events.into_iter().map(with_meta).collect(),
    }
}

impl<E: Happens> Given<E> {
    /// Gives the command to two logs: one was indexed before the events came; the other one after, and holds records that
    /// are no events.
    fn when<A>(self, command: impl Fn(&Indexed<E>) -> Answer<A>) -> When<E, A> {
        self.when_done(|log| command(log).map(|decided| (decided.value, decided.lsns)))
    }

    /// The same with a command that is no decision.
    fn when_done<A>(self, command: impl Fn(&Indexed<E>) -> Done<A>) -> When<E, A> {
        let early = log_of::<E>();
        let indexed_early = early.indexed().unwrap();
        let late = log_of::<E>();
        for (event, meta) in &self.events {
            let _ = early.append_with_meta(event, meta).unwrap();
            let _ = late.append_with_meta(event, meta).unwrap();
            let _ = late.wal().append(b"no event").unwrap();
        }
        let indexed_late = late.indexed().unwrap();
        let done = [indexed_early, indexed_late].map(|log| {
            let answer = command(&log);
            let events = log.log().replay(..).unwrap().among_others();
            let events: Vec<_> = events.map(Result::unwrap).collect();
            for event in &events {
                let tags: Vec<&str> = event.meta.tags().collect();
                let expected = event.event.meta();
                assert_eq!(tags, expected.tags().collect::<Vec<_>>(), "{:?}", event.event);
                assert_eq!(event.meta.stream(), expected.stream());
            }
            if let Ok((_, lsns)) = &answer {
                let new = &events[self.events.len()..];
                assert_eq!(*lsns, new.iter().map(|event| event.lsn).collect::<Vec<_>>());
            }
            (
                answer.map(|(answer, _)| answer),
                events.into_iter().map(|event| event.event).collect(),
            )
        });
        When {
            given: self.events.into_iter().map(|(event, _)| event).collect(),
            done,
        }
    }
}

/// What came of a command, and what the log holds after it.
struct When<E, A> {
    given: Vec<E>,
    done: [(Said<A>, Vec<E>); 2],
}

impl<E: Happens, A: Debug + PartialEq> When<E, A> {
    /// The command was carried out, with this answer, and appended these events.
    #[track_caller]
    fn then(self, answer: A, events: impl IntoIterator<Item = E>) {
        let mut expected = self.given;
        expected.extend(events);
        for (got, in_log) in self.done {
            match got {
                Ok(got) => assert_eq!(got, answer),
                Err(error) => panic!("not carried out: {error:?}"),
            }
            assert_eq!(in_log, expected);
        }
    }

    /// It was refused, and appended nothing.
    #[track_caller]
    fn refused(self, reason: &str) {
        for (got, in_log) in self.done {
            match got {
                Err(TransactError::Refused(said)) => assert_eq!(said, reason),
                other => panic!("not refused: {other:?}"),
            }
            assert_eq!(in_log, self.given);
        }
    }
}
