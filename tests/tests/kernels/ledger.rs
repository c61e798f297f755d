//! What a worker was told, and what has to be in its log for that.

use std::collections::{BTreeMap, BTreeSet};

use wal_db::Wal;
use wal_tests::all;

use super::worker::Name;

/// Everything that was reported so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<u64, Entry>,
    /// Everything up to here was acknowledged as durable.
    durable: Option<u64>,
    cuts: Vec<Cut>,
    /// The last cut was begun and has not returned.
    cutting: bool,
    acknowledged: usize,
    /// What nobody reported is of this phase or a later one: what a round before has lost does not come back.
    first_phase: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: Name,
    /// How many cuts had been begun before it was appended.
    after_cuts: usize,
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    Before(u64),
    After(u64),
}

impl Cut {
    fn keeps(self, lsn: u64) -> bool {
        match self {
            Cut::Before(head) => lsn >= head,
            Cut::After(last) => lsn <= last,
        }
    }
}

/// How much had been reported when an image was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    durable: Option<u64>,
    cuts: usize,
    cutting: bool,
}

/// The records of a log by LSN, and whether the last one's batch goes on after it.
pub(crate) struct Found {
    records: BTreeMap<u64, Name>,
    torn: bool,
}

impl Found {
    pub(crate) fn of(wal: &Wal) -> Result<Found, String> {
        let mut records = BTreeMap::new();
        for entry in all(wal) {
            let name =
                Name::of(&entry.1).ok_or_else(|| format!("{entry:?} is a record that nobody wrote"))?;
            records.insert(entry.0.get(), name);
        }
        let last = wal.iter_rev().map_err(|error| error.to_string())?.next();
        let torn = last.is_some_and(|record| record.is_ok_and(|record| record.batch_continues()));
        Ok(Found { records, torn })
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }
}

impl Ledger {
    /// Takes note of a report.
    pub(crate) fn note(&mut self, report: &str) {
        let mut words = report.split(' ');
        let kind = words.next().unwrap();
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        match (kind, numbers.as_slice()) {
            ("appended", &[lsn, phase, thread, count]) => {
                let name = Name { phase, thread, count };
                let after_cuts = self.cuts.len();
                let before = self.entries.insert(lsn, Entry { name, after_cuts });
                assert!(
                    before.is_none(),
                    "two records at LSN {lsn}: {before:?} and {name:?}"
                );
            }
            ("durable", &[lsn]) => {
                self.durable = self.durable.max(Some(lsn));
                self.acknowledged += 1;
            }
            ("cuts", &[lsn]) => {
                let before = report.contains("before");
                self.cuts
                    .push(if before { Cut::Before(lsn) } else { Cut::After(lsn) });
                self.cutting = true;
            }
            ("cut", _) => {
                self.cutting = false;
                self.acknowledged += 1;
            }
            _ => {}
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment {
            durable: self.durable,
            cuts: self.cuts.len(),
            cutting: self.cutting,
        }
    }

    /// As if everything had been made durable that was appended: what a process leaves that dies while the power stays.
    pub(crate) fn all_survived(&self) -> Moment {
        Moment {
            durable: self.entries.last_key_value().map(|(lsn, _)| *lsn),
            ..self.now()
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Whether a log that lost its power at a moment may hold this; returns how many cuts it has seen.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self, moment: Moment, found: &Found) -> Result<usize, String> {
        let result = self.check_with(moment, moment.cuts, found);
        match result {
            Err(why) if moment.cutting => {
                let undone = self.check_with(moment, moment.cuts - 1, found);
                undone.map_err(|also| format!("with the cut: {why}; without it: {also}"))
            }
            result => result,
        }
    }

    fn check_with(&self, moment: Moment, cuts: usize, found: &Found) -> Result<usize, String> {
        let cut = |lsn: u64, entry: &Entry| {
            let later = self.cuts[..cuts].iter().skip(entry.after_cuts);
            !later.copied().all(|cut| cut.keeps(lsn))
        };
        let last = found.records.last_key_value().map(|(lsn, _)| *lsn);
        for (&lsn, entry) in &self.entries {
            let there = found.records.get(&lsn) == Some(&entry.name);
            if cut(lsn, entry) {
                if there {
                    return Err(format!("{entry:?} at LSN {lsn} was cut off and is back"));
                }
            } else if !there && Some(lsn) <= moment.durable {
                return Err(format!("{entry:?} at LSN {lsn} was acknowledged and is lost"));
            } else if !there && Some(lsn) < last {
                return Err(format!(
                    "{entry:?} at LSN {lsn} is missing, and what came later is there"
                ));
            }
        }
        // What was appended and not reported any more.
        let known: BTreeSet<Name> = self.entries.values().map(|entry| entry.name).collect();
        let mut names = known.clone();
        for (lsn, &name) in &found.records {
            if self.entries.get(lsn).is_some_and(|entry| entry.name == name) {
                continue;
            }
            let follows = name.count == 0
                || names.contains(&Name {
                    count: name.count - 1,
                    ..name
                });
            // One that nobody reported may be durable all the same: another thread's flush covers it.
            if known.contains(&name) || !follows || name.phase < self.first_phase {
                return Err(format!("{name:?} at LSN {lsn} was not appended there"));
            }
            names.insert(name);
        }
        // A cut may have been made inside a batch.
        let cut_here = self.cuts[..cuts]
            .iter()
            .any(|cut| matches!(cut, Cut::After(at) if Some(*at) == last));
        if found.torn && !cut_here {
            return Err("the last batch is not whole".to_owned());
        }
        Ok(cuts)
    }

    /// Goes on from what a log was found to hold, by a check that counted its cuts: all of that is durable now. The next
    /// round begins with a phase.
    pub(crate) fn adopt(&mut self, cuts: usize, found: &Found, next_phase: u64) {
        self.first_phase = next_phase;
        self.cuts.truncate(cuts);
        self.cutting = false;
        let entry = |(&lsn, &name): (&u64, &Name)| {
            (
                lsn,
                Entry {
                    name,
                    after_cuts: cuts,
                },
            )
        };
        self.entries = found.records.iter().map(entry).collect();
        self.durable = found.records.last_key_value().map(|(lsn, _)| *lsn);
    }
}
