//! Random lives of typed logs with small segments and long groups, of which both ends are cut, that die and are opened
//! often, with a timeline that forgets early: whatever is left is explained.

use serde::{Deserialize, Serialize};
use wal_db::{
    Lsn, Retention, Wal, WalConfig, WalRecord, read::RecordKind, recovery::SalvageItem, schema::Schemas,
};
use wal_tests::{
    files::{FORMS, Form, Place},
    quiet,
    random::Rng,
    scale, seed, verified,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "lives.first")]
struct First {
    number: u64,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "lives.second")]
struct Second(u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "lives.third")]
struct Third {
    a_field_with_a_name_that_makes_the_schema_longer: Option<u64>,
}

/// A record as it will be read.
#[derive(Debug, Clone, PartialEq)]
enum Kept {
    Plain(usize),
    First(First),
    Second(Second),
    Third(Third),
}

struct Life {
    rng: Rng,
    place: Place,
    wal: Option<Wal>,
    kept: Vec<(Lsn, Kept)>,
}

impl Life {
    fn new(form: Form, seed: u64) -> Life {
        Life {
            rng: Rng::new(seed),
            place: Place::fast(form),
            wal: None,
            kept: Vec::new(),
        }
    }

    fn config() -> WalConfig {
        quiet().with_timeline_entries(6)
    }

    fn open(&mut self) {
        self.wal = Some(self.place.open(Life::config()).unwrap());
    }

    fn wal(&self) -> &Wal {
        self.wal.as_ref().unwrap()
    }

    /// One of those that are kept.
    fn any(&mut self) -> Option<usize> {
        let count = self.kept.len();
        (count > 0).then(|| self.rng.below(count))
    }

    fn append(&mut self) {
        let number = self.rng.number();
        let text = "t".repeat(self.rng.below(3000));
        let first = First { number, text };
        match self.rng.below(8) {
            0..3 => {
                let len = self.rng.below(20_000);
                let lsn = self.wal().append(&vec![7; len]).unwrap();
                self.kept.push((lsn, Kept::Plain(len)));
            }
            3 => {
                let lsn = self.wal().append_typed(&first).unwrap();
                self.kept.push((lsn, Kept::First(first)));
            }
            4 => {
                let lsn = self.wal().append_typed(&Second(number)).unwrap();
                self.kept.push((lsn, Kept::Second(Second(number))));
            }
            5 => {
                let third = Third {
                    a_field_with_a_name_that_makes_the_schema_longer: Some(number),
                };
                let lsn = self.wal().append_typed(&third).unwrap();
                self.kept.push((lsn, Kept::Third(third)));
            }
            _ => {
                let batch = vec![first; 1 + self.rng.below(20)];
                let lsns = self.wal().typed().unwrap().append_batch(&batch).unwrap();
                self.kept
                    .extend(lsns.into_iter().zip(batch.into_iter().map(Kept::First)));
            }
        }
    }

    /// What it did.
    fn step(&mut self) -> &'static str {
        match self.rng.below(20) {
            0..9 => {
                self.append();
                "append"
            }
            9 => {
                self.wal().sync().unwrap();
                "sync"
            }
            10..12 => {
                if let Some(last) = self.any() {
                    self.wal().truncate_after(self.kept[last].0).unwrap();
                    self.kept.truncate(last + 1);
                }
                "cut of the end"
            }
            12 => {
                if let Some(first) = self.any().map(|any| any / 2) {
                    self.wal().truncate_before(self.kept[first].0).unwrap();
                    self.kept.drain(..first);
                }
                "cut of the beginning"
            }
            13 => {
                let bytes = self.rng.below(300_000) as u64;
                let head = self
                    .wal()
                    .retain(&Retention::new().with_max_bytes(bytes))
                    .unwrap();
                self.kept.retain(|(lsn, _)| *lsn >= head);
                "retention"
            }
            14..18 => {
                self.wal.take().unwrap().close().unwrap();
                self.open();
                "opening"
            }
            _ => {
                self.place = self.place.killed();
                self.wal = None;
                self.open();
                "death"
            }
        }
    }

    fn check(&mut self, what: &str) {
        self.check_handle(self.wal(), what);
        if self.rng.below(8) == 0 {
            self.wal().drain().unwrap();
            let report = verified(self.wal()).unwrap();
            assert!(report.is_intact(), "{what}: {report:?}");
            let reader = quiet().open_read_only(self.place.path()).unwrap();
            self.check_handle(&reader, what);
            self.check_salvaged(what);
        }
    }

    fn check_salvaged(&self, what: &str) {
        let (mut schemas, mut kept) = (Schemas::default(), self.kept.iter());
        for item in wal_db::recovery::salvage(self.place.path()).unwrap() {
            let record = match item.unwrap() {
                SalvageItem::Schema(record) => {
                    schemas.take(&record);
                    continue;
                }
                SalvageItem::Record(record) => record,
                other => panic!("{what}: {other:?}"),
            };
            assert_eq!(
                Some(record.lsn()),
                kept.next().map(|(lsn, _)| *lsn),
                "{what}: salvage"
            );
            if record.kind() == RecordKind::Typed {
                let value = record.to_value(&schemas);
                value.unwrap_or_else(|error| panic!("{what}: salvage: {error}"));
            }
        }
        assert_eq!(kept.next(), None, "{what}: salvage");
    }

    fn check_handle(&self, wal: &Wal, what: &str) {
        wal.typed::<First>()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let schemas = wal.schemas().unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut records = wal.iter().unwrap().map(Result::unwrap);
        for (lsn, kept) in &self.kept {
            let record = records
                .next()
                .unwrap_or_else(|| panic!("{what}: {lsn} is missing"));
            assert_eq!(record.lsn(), *lsn, "{what}");
            let read = match kept {
                Kept::Plain(_) => Kept::Plain(record.len()),
                Kept::First(_) => Kept::First(record.decode().unwrap()),
                Kept::Second(_) => Kept::Second(record.decode().unwrap()),
                Kept::Third(_) => Kept::Third(record.decode().unwrap()),
            };
            assert_eq!(read, *kept, "{what}");
            if !matches!(kept, Kept::Plain(_)) {
                let value = record.to_value(&schemas);
                value.unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
        assert_eq!(
            records.next().map(|record| record.lsn()),
            None,
            "{what}: more than was kept"
        );
    }
}

#[test]
fn whatever_is_left_of_a_typed_log_is_explained() {
    for i in 0..3 * u64::from(scale()) {
        let seed = seed() + i;
        for form in FORMS {
            let mut life = Life::new(form, seed);
            life.open();
            for step in 0..150 {
                let did = life.step();
                life.check(&format!("{form:?}, seed {seed}, step {step}: {did}"));
            }
        }
    }
}
