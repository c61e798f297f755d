//! Every call, in a child of every kind of log.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Hold, Lsn, MemStore, Position, Retention, Staging, Start, Tail, Ticket, Wal, WalConfig,
    WalIter, WalRecord,
    read::{RevIter, TailStream},
};
use wal_tests::{
    all,
    files::{Form, Place, assert_same_files, tree},
    payload, scale,
    task::{Task, next},
    ticket,
};

use super::{FORKED, children::fork, configs, said};

#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "forked")]
struct Event(u32);

/// What a program has of an open log when it forks.
struct Handles {
    wal: Wal,
    events: EventLog<Event>,
    first: Lsn,
    position: Position,
    /// Of a record that nobody has flushed, unless a thread of the log has.
    ticket: Ticket,
    tail: Tail,
    /// A task waits for it.
    stream: TailStream,
    records: WalIter,
    newest: RevIter,
    cursor: Hold,
}

impl Handles {
    fn of(wal: Wal) -> Handles {
        let events = wal.typed::<Event>().unwrap();
        let first = events.append(&Event(0)).unwrap();
        for i in 0..50 {
            wal.append(&payload(i, 100)).unwrap();
        }
        wal.sync().unwrap();
        let mut records = wal.iter().unwrap();
        let mut newest = wal.iter_rev().unwrap();
        assert!(records.next().is_some() && newest.next().is_some());
        let mut stream = wal.tail(wal.end()).unwrap().into_stream().unwrap();
        assert!(Task::new().poll_next(&mut stream).is_pending());
        Handles {
            events,
            first,
            position: Position::of(&wal, first).unwrap(),
            tail: wal.tail(first).unwrap(),
            stream,
            records,
            newest,
            cursor: wal.hold(first).unwrap(),
            ticket: ticket(&wal, b"the last one"),
            wal,
        }
    }
}

/// What a future says that must not wait.
fn polled<T: std::fmt::Debug>(future: impl Future<Output = wal_db::Result<T>>) -> String {
    match Task::new().poll(&mut Box::pin(future)) {
        std::task::Poll::Ready(outcome) => said(outcome),
        std::task::Poll::Pending => "for ever".to_owned(),
    }
}

type Call = (&'static str, fn(Handles) -> String);

/// What says that the log is the parent's.
const REFUSED: &[Call] = &[
    ("append", |of| said(of.wal.append(b"x"))),
    ("try_append", |of| said(of.wal.try_append(b"x"))),
    ("try_append of an event", |of| {
        said(of.events.try_append(&Event(1)))
    }),
    ("append, too long for the ring", |of| {
        said(of.wal.append(&[1; 70_000]))
    }),
    ("append_batch", |of| said(of.wal.append_batch(&["x", "y"]))),
    ("append_batch, too long", |of| {
        said(of.wal.append_batch(&[[1u8; 40_000], [2; 40_000]]))
    }),
    ("append_in_place", |of| {
        said(of.wal.append_in_place(3, |bytes| bytes.fill(1)))
    }),
    ("append_and_sync", |of| said(of.wal.append_and_sync(b"x"))),
    ("append and ticket", |of| {
        said(of.wal.append(b"x").and_then(|lsn| of.wal.ticket(lsn)))
    }),
    ("ticket", |of| said(of.wal.ticket(of.first))),
    ("sync", |of| said(of.wal.sync())),
    ("sync_async", |of| polled(of.wal.sync_async())),
    ("the next of a stream", |mut of| {
        let said = polled(async { next(&mut of.stream).await.unwrap() });
        assert!(Task::new().poll_next(&mut of.stream).is_ready());
        said
    }),
    ("drain", |of| said(of.wal.drain())),
    ("append an event", |of| said(of.events.append(&Event(1)))),
    ("append an event and sync", |of| {
        said(of.events.append_and_sync(&Event(1)))
    }),
    ("append events", |of| {
        said(of.events.append_batch(&[Event(1), Event(2)]))
    }),
    ("replay", |of| said(of.events.replay(..))),
    ("typed", |of| said(of.wal.typed::<Event>())),
    ("iter", |of| said(of.wal.iter())),
    ("iter_from", |of| said(of.wal.iter_from(of.first))),
    ("range", |of| said(of.wal.range(of.first..))),
    ("iter_rev", |of| said(of.wal.iter_rev())),
    ("iter_from an ordinal", |of| {
        said(of.wal.iter_from(Start::Ordinal(1)))
    }),
    ("iter_from a time", |of| {
        said(of.wal.iter_from(SystemTime::UNIX_EPOCH))
    }),
    ("iter_from a position", |of| said(of.wal.iter_from(of.position))),
    ("read", |of| said(of.wal.read(of.first))),
    ("locate", |of| said(of.wal.locate(of.first))),
    ("read_ordinal", |of| said(of.wal.read_ordinal(0))),
    ("last_lsn", |of| said(of.wal.last_lsn())),
    ("tail", |of| said(of.wal.tail(of.first))),
    ("tail from a position", |of| said(of.wal.tail(of.position))),
    ("tail from the head", |of| said(of.wal.tail(Start::Head))),
    ("seek", |of| said(of.wal.seek(of.position))),
    ("Position::of", |of| said(Position::of(&of.wal, of.first))),
    ("Position::after", |of| said(Position::after(&of.wal, of.first))),
    ("verify", |of| said(of.wal.verify())),
    ("backup_to", |of| said(of.wal.backup_to("/nowhere"))),
    ("truncate_after", |of| said(of.wal.truncate_after(of.first))),
    ("truncate_from", |of| said(of.wal.truncate_from(of.first))),
    ("truncate_before", |of| said(of.wal.truncate_before(of.first))),
    ("retain", |of| {
        said(of.wal.retain(&Retention::new().with_max_bytes(1)))
    }),
    ("hold", |of| said(of.wal.hold(of.first))),
    ("advance", |of| said(of.cursor.advance(of.first))),
    ("try_next", |mut of| said(of.tail.try_next())),
    ("next_timeout", |mut of| {
        said(of.tail.next_timeout(Duration::from_secs(1000)))
    }),
    ("the iterator of a tail", |of| {
        // What it says lasts, so it is said once.
        let said: Vec<_> = of.tail.map(said).collect();
        said.join(", then ")
    }),
    ("position of a tail", |of| said(of.tail.position())),
    ("close", |of| said(of.wal.close())),
    ("status", |of| {
        format!(
            "Poisoned: {}",
            of.wal.status().failure.unwrap_or("nothing".to_owned())
        )
    }),
];

/// What may say something else as well.
const SPECIAL: &[Call] = &[
    ("wait", |of| doubt(said(of.ticket.wait()))),
    ("on_durable", |of| {
        let (tell, told) = std::sync::mpsc::channel();
        of.ticket.on_durable(move |outcome| tell.send(outcome).unwrap());
        doubt(said(told.try_recv().unwrap()))
    }),
    ("poll", |of| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::future::Future::poll(std::pin::pin!(of.ticket), &mut context) {
            std::task::Poll::Ready(outcome) => doubt(said(outcome)),
            std::task::Poll::Pending => "for ever".to_owned(),
        }
    }),
    ("an iterator", |of| rest(of.records)),
    ("an iterator backwards", |of| rest(of.newest)),
    ("figures", |of| {
        let (wal, ticket) = (&of.wal, &of.ticket);
        let figures = format!(
            "{wal:?} {ticket:?} {:?} {:?} {} {} {} {:?} {:?}",
            wal.status(),
            wal.end(),
            wal.len(),
            wal.is_empty(),
            ticket.is_durable(),
            of.cursor.lsn(),
            of.tail.next_lsn(),
        );
        assert!(!figures.is_empty());
        right()
    }),
    ("nothing", |of| {
        drop(of);
        right()
    }),
    ("nothing of a clone", |of| {
        let clone = of.wal.clone();
        drop(of);
        said(clone.append(b"x"));
        right()
    }),
];

fn right() -> String {
    format!("Poisoned: {FORKED}")
}

/// A record that was appended before the fork is its parent's to know about, unless it was durable by then.
fn doubt(said: String) -> String {
    if said == "Ok" || said == format!("InDoubt: {FORKED}") {
        return right();
    }
    said
}

/// What an iterator had read is there, and then it is refused, or was at its end.
fn rest(records: impl Iterator<Item = wal_db::Result<wal_db::Record>>) -> String {
    let errors: Vec<_> = records.filter(Result::is_err).map(said).collect();
    if errors.is_empty() {
        return right();
    }
    errors.join(", then ")
}

fn calls() -> impl Iterator<Item = &'static Call> {
    REFUSED.iter().chain(SPECIAL)
}

/// A log of each kind, and its files if it has any. Where records wait makes no difference to the files.
fn kinds() -> Vec<(String, WalConfig, Option<Form>)> {
    let kinds = configs().flat_map(|config| {
        let forms = [Some(Form::File), Some(Form::Segmented), None];
        let forms = forms
            .into_iter()
            .take(if config.staging() == Staging::Mapped { 3 } else { 1 });
        forms.map(move |form| (format!("{form:?}, {config:?}"), config, form))
    });
    kinds.collect()
}

fn open(place: Option<&Place>, config: WalConfig) -> Wal {
    match place {
        Some(place) => place.open(config).unwrap(),
        None => Wal::with_store_and_config(MemStore::new(), config).unwrap(),
    }
}

/// Forks and makes a call in the child, with handles that are dropped there.
fn call_in_child(handles: &mut Option<Handles>, call: fn(Handles) -> String, what: &str) {
    let child = fork(|_| call(handles.take().unwrap()));
    assert_eq!(child.says(what), right(), "{what}");
}

#[test]
fn every_call_in_a_child_is_refused_and_changes_nothing() {
    for (what, config, form) in kinds() {
        let place = form.map(Place::fast);
        let mut handles = Some(Handles::of(open(place.as_ref(), config)));
        for (name, call) in calls() {
            let what = format!("{name}: {what}");
            let of = handles.as_mut().unwrap();
            of.ticket = of.wal.ticket(of.wal.append(b"the last one").unwrap()).unwrap();
            let quiet = place.as_ref().filter(|_| !config.background_flush());
            let before = quiet.map(|place| tree(place.root()));
            call_in_child(&mut handles, *call, &what);
            if let (Some(place), Some(before)) = (&place, before) {
                assert_same_files(&before, &tree(place.root()), &what);
            }
            handles
                .as_ref()
                .unwrap()
                .wal
                .append_and_sync(name.as_bytes())
                .unwrap();
        }
        let Handles { wal, .. } = handles.unwrap();
        let entries = all(&wal);
        wal.close().unwrap();
        if let Some(place) = place {
            let wal = place.open(config).unwrap();
            assert_eq!(all(&wal), entries, "{what}");
            assert!(wal.recovery().clean, "{what}");
        }
    }
}

/// What another thread does with the log meanwhile: whatever takes a lock.
fn uses(wal: &Wal, stop: &AtomicBool, appended: &AtomicU32) {
    let mut tickets = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let count = appended.fetch_add(1, Ordering::Relaxed);
        let lsn = wal.append(&count.to_le_bytes()).unwrap();
        match count % 64 {
            0 => wal.sync().unwrap(),
            8 => tickets.push(ticket(wal, b"ticket")),
            16 => drop(wal.append_batch(&[[1u8; 5000], [2; 5000]]).unwrap()),
            24 => ticket(wal, b"call").on_durable(|told| assert!(told.is_ok())),
            32 => drop(wal.append(&[3; 20_000]).unwrap()),
            40 => drop(wal.iter_from(lsn).unwrap().last().unwrap().unwrap()),
            48 => drop(wal.retain(&Retention::new().with_max_bytes(1 << 20)).unwrap()),
            56 => tickets.drain(..).for_each(|ticket: Ticket| drop(ticket.wait())),
            _ => {}
        }
    }
}

#[test]
fn whatever_other_threads_are_doing_no_call_in_a_child_hangs() {
    // With threads of the log, and without; where nothing waits for a flush, there is less to go wrong.
    let kinds = kinds().into_iter();
    let kinds = kinds.filter(|(_, config, _)| config.staging() != Staging::WriteThrough);
    for (what, config, form) in kinds {
        let place = form.map(Place::fast);
        let mut handles = Some(Handles::of(open(place.as_ref(), config)));
        let wal = handles.as_ref().unwrap().wal.clone();
        let (stop, appended) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| uses(&wal, &stop, &appended));
            scope.spawn(|| uses(&wal, &stop, &appended));
            // Whatever fails, the threads end.
            let _stop = Stop(&stop);
            for (name, call) in (0..scale()).flat_map(|_| calls()) {
                call_in_child(&mut handles, *call, &format!("{name}: {what}"));
            }
        });
        let entries = all(&wal);
        drop((handles, wal));
        if let Some(place) = place {
            assert_eq!(all(&place.open(config).unwrap()), entries, "{what}");
        }
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
