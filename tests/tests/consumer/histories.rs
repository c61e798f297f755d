//! Random histories of a consumer against a model that is only lists.

use std::{cell::RefCell, collections::BTreeMap, panic};

use wal_db::{
    EventLog, Lsn, MemStore, Meta, Start,
    consumer::{Consumer, Poison},
};
use wal_tests::random::Rng;

use super::{Step, from_head, number, open};

/// What a consumer is said to be.
#[derive(Default)]
struct Model {
    /// Every event: where it is, its number and its key.
    events: Vec<(Lsn, u64, u64)>,
    /// How many of them are before the cursor.
    cursor: usize,
    /// The first event that waits, of each key.
    parked: BTreeMap<u64, usize>,
    /// Those of them that are to be tried.
    due: Vec<u64>,
    skipped: Vec<usize>,
}

impl Model {
    /// What is handed out until the end, where the numbers in `bad` cannot be handled.
    fn run(&mut self, bad: &[u64], poison: Poison) -> Vec<u64> {
        let mut handled = Vec::new();
        self.due.sort_unstable_by_key(|key| key.to_string());
        for key in std::mem::take(&mut self.due) {
            let Some(first) = self.parked.remove(&key) else {
                continue;
            };
            for at in first..self.cursor {
                let (_, number, of) = self.events[at];
                if of != key || self.skipped.contains(&at) {
                    continue;
                }
                if bad.contains(&number) {
                    self.parked.insert(key, at);
                    break;
                }
                handled.push(number);
            }
        }
        while let Some(&(_, number, key)) = self.events.get(self.cursor) {
            let at = self.cursor;
            let waits = self.parked.get(&key).is_some_and(|first| *first <= at);
            if !waits && !self.skipped.contains(&at) {
                if !bad.contains(&number) {
                    handled.push(number);
                } else if poison == Poison::Park {
                    self.parked.insert(key, at);
                } else if poison == Poison::Skip {
                    self.skipped.push(at);
                } else {
                    break;
                }
            }
            self.cursor += 1;
        }
        handled
    }

    fn move_to(&mut self, at: usize) {
        self.cursor = at;
        self.parked.retain(|_, first| *first < at);
        self.due.retain(|key| self.parked.contains_key(key));
        self.skipped.retain(|skipped| *skipped < at);
    }
}

struct World {
    memory: MemStore,
    log: EventLog<Step>,
    consumer: Option<Consumer<Step>>,
    model: Model,
    poison: Poison,
}

impl World {
    fn consumer(&mut self) -> Consumer<Step> {
        let config = from_head().with_attempts(1).with_poison(self.poison);
        let log = &self.log;
        self.consumer
            .get_or_insert_with(|| log.consumer("model", config).unwrap())
            .clone()
    }

    fn step(&mut self, rng: &mut Rng) {
        match rng.below(12) {
            0..=3 => {
                for _ in 0..rng.below(12) {
                    let (number, key) = (self.model.events.len() as u64, rng.below(5) as u64);
                    let step = Step::Taken { number };
                    let lsn = self
                        .log
                        .append_with_meta(&step, &Meta::new().with_stream(key))
                        .unwrap();
                    self.model.events.push((lsn, number, key));
                }
                self.log.wal().sync().unwrap();
            }
            4..=6 => self.run(rng),
            7 => {
                let at = rng.below(self.model.events.len() + 1);
                let place = self
                    .model
                    .events
                    .get(at)
                    .map_or_else(|| self.log.wal().end(), |event| event.0);
                self.consumer()
                    .rewind(if at == 0 { Start::Head } else { Start::Lsn(place) })
                    .unwrap();
                self.model.move_to(at);
            }
            8 => {
                if let Some((&key, &first)) = self.model.parked.iter().nth(rng.below(5)) {
                    self.consumer().retry(self.model.events[first].0).unwrap();
                    self.model.due.push(key);
                    self.model.due.dedup();
                }
            }
            9 => {
                if let Some((&key, &first)) = self.model.parked.iter().nth(rng.below(5)) {
                    self.consumer()
                        .skip(self.model.events[first].0, "by hand")
                        .unwrap();
                    self.model.skipped.push(first);
                    self.model.due.push(key);
                } else if let Some(&(lsn, ..)) = self.model.events.get(self.model.cursor) {
                    self.consumer().skip(lsn, "by hand").unwrap();
                    self.model.skipped.push(self.model.cursor);
                }
            }
            10 => self.consumer = None,
            _ => {
                self.consumer = None;
                self.log.wal().clone().close().unwrap();
                self.log = open(&self.memory);
            }
        }
    }

    fn run(&mut self, rng: &mut Rng) {
        let bad: Vec<u64> = (0..rng.below(4))
            .map(|_| rng.below(self.model.events.len() + 1) as u64)
            .collect();
        let consumer = self.consumer();
        let handled = RefCell::new(Vec::new());
        // The last event is not the end: records after it may be, and a key may be tried after it.
        let last = super::taken(u64::MAX);
        let last = self
            .log
            .append_with_meta(&last, &Meta::new().with_stream("last"))
            .unwrap();
        self.log.wal().sync().unwrap();
        let run = consumer.run(|event, _| {
            let number = number(&event.event);
            if bad.contains(&number) {
                return Err("bad".into());
            }
            match number {
                u64::MAX if event.lsn == last => consumer.stop(),
                u64::MAX => {}
                number => handled.borrow_mut().push(number),
            }
            Ok(())
        });
        let expected = self.model.run(&bad, self.poison);
        assert_eq!(
            handled.into_inner(),
            expected,
            "with {bad:?} that cannot be handled"
        );
        let stopped = self.model.cursor < self.model.events.len();
        assert_eq!(run.is_ok(), !stopped, "{run:?}");
        let parked: Vec<Lsn> = consumer
            .parked()
            .unwrap()
            .iter()
            .map(|letter| letter.lsn)
            .collect();
        let mut expected: Vec<_> = self
            .model
            .parked
            .iter()
            .map(|(key, at)| (key.to_string(), self.model.events[*at].0))
            .collect();
        expected.sort();
        assert_eq!(
            parked,
            expected.into_iter().map(|(_, lsn)| lsn).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_consumer_is_what_its_history_makes_it() {
    for seed in 0..200 * u64::from(wal_tests::scale()) {
        if let Err(panic) = panic::catch_unwind(|| play(seed)) {
            wal_tests::note(&format!("seed {seed}"));
            panic::resume_unwind(panic);
        }
    }
}

fn play(seed: u64) {
    let mut rng = Rng::new(seed);
    let memory = MemStore::new();
    let mut world = World {
        log: open(&memory),
        memory,
        consumer: None,
        model: Model::default(),
        poison: [Poison::Park, Poison::Park, Poison::Skip, Poison::Stop][rng.below(4)],
    };
    for _ in 0..40 {
        world.step(&mut rng);
    }
}
