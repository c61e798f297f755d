//! States of streams: whatever happens beside them, each decision is made on all of its stream that comes before it, and an
//! answer rests on what is durable.

use std::cell::RefCell;

use wal_db::{
    state::{At, Decision, Entities, EntitiesConfig, State, TransactError},
    testing::sim::Call,
};
use wal_tests::Entry;

use super::{
    asked::{Answer, Asked, Labels},
    explore::{choose, explore, join, quiet},
    indexed::{IN_S, append, append_to_stream, cut_end, drop_some, with_events},
    kept::Kept,
    read::{First, typed},
    witness::Witness,
};

/// The events of a stream.
#[derive(Debug, Default, Clone)]
struct Stream {
    events: Vec<Entry>,
    ids: Vec<u64>,
}

impl State for Stream {
    type Event = First;

    fn apply(&mut self, event: First, at: At) {
        self.events.push(Entry(at.lsn, typed(event.id)));
        self.ids.push(event.id);
    }
}

/// An index, and states of streams, of which none, one or both are kept.
#[derive(Clone)]
struct Streams {
    kept: Kept,
    entities: Entities<Stream>,
}

impl Streams {
    fn of(kept: Kept) -> Streams {
        let config = EntitiesConfig::new()
            .with_cached(choose(3))
            .with_dropped(choose(2) == 0);
        Streams {
            entities: kept.index().entities(config),
            kept,
        }
    }

    /// Decides on the stream, unless it has too many events.
    fn decide(&self, most: usize) {
        let log = &self.kept.log;
        let outcome = log.decide(|id| {
            log.notes().facts[id as usize].labels = IN_S;
            let begun = log.notes().begun();
            let last = RefCell::new(Stream::default());
            let decided = self.entities.transact("s", |stream, _| {
                last.replace(stream.clone());
                match stream.ids.len() < most {
                    true => Ok(Decision::new(stream.ids.clone()).event(First { id })),
                    false => Err(stream.ids.clone()),
                }
            });
            let seen = last.take();
            let asked = vec![Asked::Only(Labels::S, seen.ids)];
            match &decided {
                Ok(_) => self.kept.tell(asked, Answer::Appended(id as usize), begun),
                Err(TransactError::Refused(_)) => {
                    self.kept
                        .has_found("a refusal", Labels::S, seen.events, None, &begun);
                    self.kept.tell(asked, Answer::Saw, begun);
                }
                Err(_) => {}
            }
            decided
        });
        if let Err(error) = outcome {
            self.kept.allow(&error);
        }
    }

    /// Looks at the stream, and at another one, so that this one may have to go.
    fn read(&self) {
        let begun = self.kept.log.notes().begun();
        match self.entities.read("s", Stream::clone) {
            Ok(Stream { events, ids }) => {
                self.kept.log.acknowledge_all("read", &ids);
                self.kept.has_found("read", Labels::S, events, None, &begun);
                let asked = vec![Asked::Only(Labels::S, ids)];
                self.kept.tell(asked, Answer::Saw, begun);
            }
            Err(error) => self.kept.allow(&error),
        }
        match self.entities.peek("t", |stream| stream.ids.len()) {
            Ok(events) => assert_eq!(events, 0),
            Err(error) => self.kept.allow(&error),
        }
    }
}

fn decide(streams: &Streams) {
    (0..2).for_each(|_| streams.decide(2 + choose(3)));
}

fn decide_more(streams: &Streams) {
    (0..2).for_each(|_| streams.decide(usize::MAX));
}

fn read(streams: &Streams) {
    (0..2).for_each(|_| streams.read());
}

/// Some use what others have folded, and others fold it again.
fn beside(kept: Kept, entities: &[fn(&Streams)], others: &[fn(&Kept)]) {
    let streams = Streams::of(kept.clone());
    let users = entities.iter().map(|&run| {
        let streams = match choose(3) {
            0 => Streams::of(kept.clone()),
            _ => streams.clone(),
        };
        shuttle::thread::spawn(move || run(&streams))
    });
    let mut threads: Vec<_> = users.collect();
    threads.extend(others.iter().map(|&run| {
        let kept = kept.clone();
        shuttle::thread::spawn(move || run(&kept))
    }));
    join(threads);
}

#[test]
fn streams_are_decided_on_with_all_that_came_before() {
    explore(200, || {
        let kept = Kept::of(&with_events());
        beside(
            kept.clone(),
            &[decide, decide_more, read],
            &[append_to_stream, append],
        );
        kept.check();
    });
}

#[test]
fn streams_beside_a_cut_are_what_is_left() {
    explore(300, || {
        let kept = Kept::of(&with_events());
        beside(
            kept.clone(),
            &[decide, decide_more, read],
            &[append_to_stream, cut_end],
        );
        kept.check();
    });
}

#[test]
fn streams_beside_a_head_that_moves_are_whole_or_refused() {
    explore(200, || {
        let kept = Kept::of(&with_events());
        beside(kept.clone(), &[decide_more, read], &[append_to_stream, drop_some]);
        kept.check();
    });
}

#[test]
fn no_answer_of_a_stream_rests_on_a_flush_that_failed() {
    explore(200, || {
        let log = Witness::new(quiet());
        let kept = Kept::of(&log).that_may_fail();
        log.disk.fail(Call::Sync, choose(4));
        beside(kept.clone(), &[decide, decide_more, read], &[append_to_stream]);
        let refused = Streams::of(kept.clone());
        refused.decide(usize::MAX);
        drop((refused, kept));
        log.check();
    });
}
