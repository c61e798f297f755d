//! A handle of an index through which everything is asked, so that no answer goes unheard.

use std::cell::RefCell;

use wal_db::{
    Lsn, Meta, Result, Wal, WalError,
    index::{IndexConfig, Indexed, Query},
    state::{At, Decision, Model, Now, State, TransactError},
};
use wal_tests::{Entry, random::Rng};

use super::{
    asked::{Answer, Asked, Begun, COMMAND_ID, Labels, Told, condition},
    explore::{choose, quiet},
    oracle::{Fate, Reading},
    read::{First, typed},
    witness::Witness,
};

/// What is asked for when all is done.
const ASKED_FOR: [Labels; 6] = [
    Labels::FIRST,
    Labels::A,
    Labels::B,
    Labels::S,
    Labels::FIRST.and(Labels::A),
    Labels::A.and(Labels::S),
];

/// Clones are handles of the same index.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) log: Witness,
    index: Indexed<First>,
    /// The log is closed meanwhile, or fails.
    may_fail: bool,
}

/// The events of a query, as a decision sees them.
#[derive(Clone)]
struct Seen {
    of: Labels,
    events: Vec<Entry>,
    ids: Vec<u64>,
}

impl State for Seen {
    type Event = First;

    fn apply(&mut self, event: First, at: At) {
        self.events.push(Entry(at.lsn, typed(event.id)));
        self.ids.push(event.id);
    }
}

impl Model for Seen {
    fn query(&self) -> Query {
        self.of.item().into()
    }
}

/// With parts that become full after an event, after a few, or only in memory.
fn open(wal: &Wal) -> Result<Indexed<First>> {
    let config = IndexConfig::new();
    let config = match choose(3) {
        0 => config.with_run_bytes(1),
        1 => config.with_run_bytes(300),
        _ => config,
    };
    wal.typed()?.indexed_with(config)
}

impl Witness {
    /// Appends an event without a condition.
    pub(crate) fn append_event(&self, labels: Labels) -> Result<Lsn> {
        let id = self.begin_events(&[labels]);
        let events = self.wal.typed()?;
        let outcome = events.append_with_meta(&First { id: id as u64 }, &labels.meta());
        let lsns = outcome.as_ref().map(|lsn| vec![*lsn]);
        self.end(id, 1, lsns, Fate::Refused);
        outcome
    }

    fn begin_events(&self, labels: &[Labels]) -> usize {
        let (first, _) = self.begin(labels.len(), 0);
        let mut notes = self.notes();
        for (id, labels) in (first..).zip(labels) {
            notes.facts[id].data = typed(id as u64);
            notes.facts[id].labels = *labels;
        }
        first
    }
}

impl Kept {
    pub(crate) fn of(log: &Witness) -> Kept {
        Kept {
            log: log.clone(),
            index: open(&log.wal).unwrap(),
            may_fail: false,
        }
    }

    pub(crate) fn index(&self) -> &Indexed<First> {
        &self.index
    }

    /// Whose calls may fail from now on.
    pub(crate) fn that_may_fail(self) -> Kept {
        Kept {
            may_fail: true,
            ..self
        }
    }

    /// Appends an event without a condition.
    pub(crate) fn append(&self, labels: Labels) {
        if let Err(error) = self.log.append_event(labels) {
            self.allow(&error);
        }
    }

    /// `append_if`, or `append_if_and_sync`.
    pub(crate) fn append_if(&self, labels: &[Labels], asked: Vec<Asked>, and_sync: bool) {
        let (log, begun) = (&self.log, self.log.notes().begun());
        let is_command = asked.iter().any(|asked| matches!(asked, Asked::Command));
        let own = |labels: &Labels| {
            if is_command {
                labels.and(Labels::COMMAND)
            } else {
                *labels
            }
        };
        let first = log.begin_events(&labels.iter().map(own).collect::<Vec<_>>());
        let event = |(at, labels): (usize, &Labels)| {
            (
                First {
                    id: (first + at) as u64,
                },
                labels.meta(),
            )
        };
        let events: Vec<(First, Meta)> = labels.iter().enumerate().map(event).collect();
        let condition = condition(&asked);
        let outcome = match and_sync {
            true => self.index.append_if_and_sync(&events, &condition),
            false => self.index.append_if(&events, &condition),
        };
        let otherwise = match &outcome {
            Err(WalError::Conflict { .. } | WalError::Duplicate { .. }) => Fate::Refused,
            // It was taken, perhaps.
            _ if and_sync => Fate::InDoubt,
            _ => Fate::Refused,
        };
        log.end(first, labels.len(), outcome.as_ref().cloned(), otherwise);
        let answer = match &outcome {
            Ok(_) => {
                if and_sync {
                    let own = ((1 << labels.len()) - 1) << first;
                    log.acknowledge("append_if_and_sync", begun.appended | own);
                }
                Answer::Appended(first)
            }
            Err(WalError::NotDurable { .. }) => Answer::Appended(first),
            Err(WalError::Conflict { lsn, .. }) => self.refused(*lsn, and_sync),
            Err(WalError::Duplicate { lsn, .. }) => self.refused(Some(*lsn), and_sync),
            Err(error) => return self.allow(error),
        };
        self.tell(asked, answer, begun);
    }

    fn refused(&self, lsn: Option<Lsn>, is_durable: bool) -> Answer {
        if let (Some(lsn), true) = (lsn, is_durable) {
            self.log.acknowledge_at("a refusal", lsn);
        }
        Answer::Refused(lsn)
    }

    /// Decides on the events of some queries, unless there are too many of them.
    pub(crate) fn decide(&self, own: Labels, of: &[Labels], most: usize) {
        self.decide_on(None, own, of, most);
    }

    /// `decide_once`.
    pub(crate) fn decide_once(&self, own: Labels, of: &[Labels], most: usize) {
        self.decide_on(Some(COMMAND_ID), own.and(Labels::COMMAND), of, most);
    }

    fn decide_on(&self, command: Option<[u8; 16]>, own: Labels, of: &[Labels], most: usize) {
        let log = &self.log;
        let begin = || log.notes().begun();
        let outcome = log.decide(|id| {
            log.notes().facts[id as usize].labels = own;
            let begun = begin();
            let seen = |of: &Labels| Seen {
                of: *of,
                events: Vec::new(),
                ids: Vec::new(),
            };
            let models: Vec<Seen> = of.iter().map(seen).collect();
            let last = RefCell::new(Vec::new());
            let decide = |models: &Vec<Seen>, _: &Now| {
                last.replace(models.clone());
                let ids: Vec<u64> = models.iter().flat_map(|seen| seen.ids.clone()).collect();
                match ids.len() < most {
                    true => Ok(Decision::new(ids).event_with_meta(First { id }, own.meta())),
                    false => Err(ids),
                }
            };
            let decided = match command {
                Some(command) => self.index.decide_once(command, models, decide),
                None => self.index.decide(models, decide),
            };
            let only = |seen: &Seen| Asked::Only(seen.of, seen.ids.clone());
            let mut asked: Vec<Asked> = last.borrow().iter().map(only).collect();
            match &decided {
                Ok(_) => {
                    asked.extend(command.map(|_| Asked::Command));
                    self.tell(asked, Answer::Appended(id as usize), begun);
                }
                Err(TransactError::Refused(_)) => {
                    for seen in last.take() {
                        self.has_found("a refusal", seen.of, seen.events, None, &begun);
                    }
                    self.tell(asked, Answer::Saw, begun);
                }
                Err(TransactError::Wal(WalError::Duplicate { lsn, .. })) => {
                    let answer = self.refused(Some(*lsn), true);
                    self.tell(vec![Asked::Command], answer, begun);
                }
                Err(_) => {}
            }
            decided
        });
        match outcome {
            Ok(()) | Err(WalError::Duplicate { .. }) => {}
            Err(error) => self.allow(&error),
        }
    }

    /// `select`; returns where to go on.
    pub(crate) fn select(&self, labels: Labels) -> Option<Lsn> {
        let begun = self.log.notes().begun();
        let found = self.index.select(labels.item(), ..).and_then(|events| {
            let next = events.next_lsn();
            let entries = events.map(|event| event.map(|event| Entry(event.lsn, typed(event.event.id))));
            Ok((entries.collect::<Result<Vec<Entry>>>()?, next))
        });
        match found {
            Ok((found, next)) => {
                self.has_found("select", labels, found, Some(next), &begun);
                Some(next)
            }
            Err(error) => {
                self.allow(&error);
                None
            }
        }
    }

    /// `newest`.
    pub(crate) fn newest(&self, labels: Labels) -> Option<Lsn> {
        let begun = self.log.notes().begun();
        match self.index.newest(labels.item()) {
            Ok(newest) => {
                self.tell(vec![Asked::Never(labels)], Answer::Newest(newest), begun);
                newest
            }
            Err(error) => {
                self.allow(&error);
                None
            }
        }
    }

    pub(crate) fn tell(&self, asked: Vec<Asked>, answer: Answer, begun: Begun) {
        let mut notes = self.log.notes();
        let heads = notes.heads.len();
        notes.told.push(Told {
            asked,
            answer,
            begun,
            heads,
        });
    }

    pub(crate) fn has_found(
        &self,
        what: &'static str,
        labels: Labels,
        found: Vec<Entry>,
        next: Option<Lsn>,
        begun: &Begun,
    ) {
        self.log.notes().readings.push(Reading {
            what,
            found,
            labels,
            next,
            before: begun.appended,
            cut_done: begun.cut_done,
        });
    }

    /// That there is a reason for an error.
    pub(crate) fn allow(&self, error: &WalError) {
        let notes = self.log.notes();
        let is_allowed = self.may_fail
            || match error {
                WalError::CutBack { .. } => notes.cut.is_some(),
                WalError::Truncated { .. } => !notes.heads.is_empty(),
                _ => false,
            };
        assert!(is_allowed, "there is no reason for that: {error:?}");
    }

    /// Checks all answers, and what the index finds: this one, one that is made of its files, and those of what a loss of
    /// power leaves. Every other thread has ended.
    pub(crate) fn check(self) {
        let Kept { log, index, .. } = self;
        finds_what_is_there(&index, &log.wal, "at the end");
        drop(index);
        let index = open(&log.wal).unwrap();
        finds_what_is_there(&index, &log.wal, "when it is made again");
        drop(index);
        for image in log.disk.images(&mut Rng::new(7), 1) {
            let checked = log.disk.with_image(image, quiet(), |wal| {
                // Where records were that are lost.
                let events = wal.typed()?;
                for labels in ASKED_FOR {
                    events.append_with_meta(&First { id: 0 }, &labels.meta())?;
                }
                finds_what_is_there(&open(wal)?, wal, "after a loss of power");
                Ok(())
            });
            checked.unwrap();
        }
        log.check();
    }
}

fn finds_what_is_there(index: &Indexed<First>, wal: &Wal, when: &str) {
    let records = wal.iter().unwrap().map(Result::unwrap);
    let all: Vec<(Lsn, Labels)> = records
        .map(|record| {
            let labels = record.meta().map_or(Labels::NONE, |meta| Labels::of(&meta));
            (record.lsn(), labels)
        })
        .collect();
    for labels in ASKED_FOR {
        let of = all.iter().filter(|(_, own)| own.has(labels));
        let there: Vec<Lsn> = of.map(|(lsn, _)| *lsn).collect();
        let events = index.select(labels.item(), ..).unwrap();
        let found: Vec<Lsn> = events.map(|event| event.unwrap().lsn).collect();
        assert_eq!(found, there, "{when}, of {labels:?} in {all:?}");
        let newest = index.newest(labels.item()).unwrap();
        assert_eq!(newest, there.last().copied(), "{when}, of {labels:?} in {all:?}");
    }
}
