//! What has to be true of what a killed process leaves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use wal_db::{
    EventLog, Lsn,
    consumer::{ConsumerStatus, Letter, consumers},
};
use wal_tests::{files::Place, quiet};

use super::{
    Job, NAMES,
    child::{config, file_of},
    is_bad, key,
};

/// What the processes have said.
#[derive(Default)]
pub(super) struct Known {
    /// Whether a consumer is paused, where that is known.
    paused: BTreeMap<String, Option<bool>>,
    /// Events that were passed over by hand; whether that is certain.
    skipped: BTreeMap<u64, bool>,
    /// Those that were at some time, it may be.
    ever_skipped: BTreeSet<u64>,
    /// What was ordered last, if it is not known whether it was done.
    order: Option<String>,
}

impl Known {
    pub(super) fn hear(&mut self, report: &str) {
        let (kind, rest) = report.split_once(' ').unwrap_or((report, ""));
        match kind {
            "wrong" => panic!("{rest}"),
            "made" => {
                let (name, is_paused) = rest.split_once(' ').unwrap();
                let is_paused = is_paused == "true";
                let known = self
                    .paused
                    .insert(name.to_owned(), Some(is_paused))
                    .unwrap_or(Some(false));
                assert!(
                    known.is_none_or(|known| known == is_paused),
                    "{name} is paused: {is_paused}"
                );
            }
            "orders" => self.order = Some(rest.to_owned()),
            "ordered" => self.done(true),
            "refused" => self.order = None,
            _ => {}
        }
    }

    pub(super) fn died(&mut self) {
        self.done(false);
    }

    fn done(&mut self, is_certain: bool) {
        let Some(order) = self.order.take() else { return };
        let words: Vec<&str> = order.split(' ').collect();
        let lsn: u64 = words[2].parse().unwrap();
        match (words[0], words[1]) {
            (pause @ ("pause" | "resume"), name) => {
                let is_paused = is_certain.then_some(pause == "pause");
                self.paused.insert(name.to_owned(), is_paused);
            }
            ("skip", _) => {
                *self.skipped.entry(lsn).or_default() |= is_certain;
                self.ever_skipped.insert(lsn);
            }
            ("rewind", "parks") if is_certain => drop(self.skipped.split_off(&lsn)),
            ("rewind", "parks") => self
                .skipped
                .range_mut(lsn..)
                .for_each(|(_, is_certain)| *is_certain = false),
            _ => {}
        }
    }

    pub(super) fn skips(&self) -> usize {
        self.ever_skipped.len()
    }

    /// Looks at what is there, and whether each consumer has done everything before its cursor.
    pub(super) fn look(&self, place: &Place, effects: &Path) -> Found {
        let found = Found::read(place, effects);
        for status in &found.statuses {
            for (lsn, number) in found.asked.range(..status.cursor.get()) {
                let is_done = found.is_done(&status.name, *lsn, *number);
                assert!(is_done, "{} passes {lsn}, of {number}: {status:?}", status.name);
            }
        }
        found.assert_in_order("lines", |_| String::new(), |_, _| false);
        found.assert_in_order("lanes", key, |_, _| false);
        found.assert_in_order("parks", key, |lsn, number| {
            is_bad(number) || self.ever_skipped.contains(&lsn)
        });
        found
    }
}

/// What is in the log and beside it.
pub(super) struct Found {
    /// The numbers of events, by LSNs.
    asked: BTreeMap<u64, u64>,
    answered: BTreeSet<(String, u64)>,
    /// For each consumer, the LSNs of its lines.
    lines: BTreeMap<&'static str, Vec<u64>>,
    /// The same.
    lined: BTreeMap<&'static str, BTreeSet<u64>>,
    statuses: Vec<ConsumerStatus>,
    parked: Vec<Letter>,
    skipped: BTreeSet<u64>,
    /// The last event or answer.
    last: u64,
}

impl Found {
    fn read(place: &Place, effects: &Path) -> Found {
        let log: EventLog<Job> = place.open(quiet()).unwrap().typed().unwrap();
        let (mut asked, mut answered) = (BTreeMap::new(), BTreeSet::new());
        for event in log.replay(..).unwrap() {
            let event = event.unwrap();
            match event.event {
                Job::Asked { number } => {
                    assert_ne!(number, u64::MAX, "what a failed attempt has emitted");
                    asked.insert(event.lsn.get(), number);
                }
                Job::Answered { number, by } => {
                    let of = asked.get(&event.meta.causation().unwrap().get());
                    assert_eq!(of, Some(&number), "an answer to another event");
                    let answer = (by, number);
                    assert!(!answered.contains(&answer), "{answer:?} is there twice");
                    answered.insert(answer);
                }
            }
        }
        let statuses = consumers(log.wal()).unwrap();
        let parks = log.consumer("parks", config("parks", 1)).unwrap();
        let skipped = parks.skipped().unwrap();
        let lines: BTreeMap<_, _> = NAMES
            .map(|name| (name, lines(&file_of(effects, name), &asked)))
            .into();
        Found {
            asked,
            answered,
            lined: lines
                .iter()
                .map(|(name, lines)| (*name, lines.iter().copied().collect()))
                .collect(),
            lines,
            statuses,
            parked: parks.parked().unwrap(),
            skipped: skipped.iter().map(|letter| letter.lsn.get()).collect(),
            last: log.wal().last_lsn().unwrap().map_or(0, Lsn::get),
        }
    }

    fn is_done(&self, name: &str, lsn: u64, number: u64) -> bool {
        let has_line = || self.lined[name].contains(&lsn);
        let has_answer = || self.answered.contains(&(name.to_owned(), number));
        match name {
            "answers" => has_answer(),
            "lanes" => has_answer() && has_line(),
            "lines" => has_line(),
            _ => {
                let waits = |letter: &Letter| letter.key == key(number) && letter.lsn.get() <= lsn;
                self.skipped.contains(&lsn) || self.parked.iter().any(waits) || has_line()
            }
        }
    }

    /// Among the lines of a key, each is of the event after that of the one before it, or of an earlier one.
    fn assert_in_order(
        &self,
        name: &str,
        key_of: impl Fn(u64) -> String,
        may_be_left_out: impl Fn(u64, u64) -> bool,
    ) {
        let mut last = BTreeMap::new();
        for lsn in &self.lines[name] {
            let key = key_of(self.asked[lsn]);
            let before = last.insert(key.clone(), *lsn);
            let from = before.map_or(0, |before| before + 1);
            let between = self.asked.range(from.min(*lsn)..*lsn);
            for (other, number) in between.filter(|(_, number)| key_of(**number) == key) {
                assert!(
                    may_be_left_out(*other, *number),
                    "{name}: {other} is left out between {before:?} and {lsn}"
                );
            }
        }
    }

    pub(super) fn assert_drained(&self) {
        assert_eq!(self.statuses.len(), NAMES.len());
        for status in &self.statuses {
            assert!(status.cursor.get() > self.last, "{} of {status:?}", self.last);
        }
        assert_eq!(self.answered.len(), 2 * self.asked.len());
    }

    /// Of each key, the first event that is bad and was not passed over waits.
    pub(super) fn assert_parked(&self, known: &Known) {
        let certain = known.skipped.iter().filter(|(_, is_certain)| **is_certain);
        for (lsn, _) in certain {
            assert!(self.skipped.contains(lsn), "{lsn} was passed over");
        }
        let unknown = |lsn: &&u64| !known.skipped.contains_key(*lsn);
        assert_eq!(self.skipped.iter().find(unknown), None, "passed over by nobody");
        let mut first = BTreeMap::new();
        for (lsn, number) in &self.asked {
            if is_bad(*number) && !self.skipped.contains(lsn) {
                first.entry(key(*number)).or_insert(*lsn);
            }
        }
        let parked = self
            .parked
            .iter()
            .map(|letter| (letter.key.clone(), letter.lsn.get()));
        assert_eq!(parked.collect::<BTreeMap<_, _>>(), first);
        for lsn in &self.lines["parks"] {
            assert!(!is_bad(self.asked[lsn]), "{lsn} was bad");
        }
    }

    pub(super) fn assert_healed(&self, known: &Known) {
        assert_eq!(self.parked, []);
        let lines = &self.lined["parks"];
        for lsn in self.asked.keys() {
            assert!(
                lines.contains(lsn) || known.skipped.contains_key(lsn),
                "{lsn} was not handled"
            );
        }
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn lines(&self) -> usize {
        self.lines.values().map(Vec::len).sum()
    }
}

/// The LSNs in the lines of a file. Each line is of an event that is there, with a token that is of that event alone.
fn lines(path: &Path, asked: &BTreeMap<u64, u64>) -> Vec<u64> {
    // It may have been killed before.
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut tokens = BTreeMap::new();
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [lsn, number, token] = words[..] else {
            panic!("not a line: {line}");
        };
        let lsn: u64 = lsn.parse().unwrap();
        let number = number.parse().unwrap();
        assert_eq!(
            asked.get(&lsn),
            Some(&number),
            "a line of an event that is not there"
        );
        let of = tokens.insert(token.to_owned(), lsn);
        assert!(of.is_none_or(|of| of == lsn), "a token of two events");
        lsn
    };
    text.lines().map(line).collect()
}
