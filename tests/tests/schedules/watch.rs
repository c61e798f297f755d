//! Hears every acknowledgement, and looks at the disk at that moment.

use std::sync::{Arc, Mutex, MutexGuard};

use wal_db::{Lsn, Result, WalError};
use wal_tests::{Entry, payload, random::Rng};

use super::{
    asked::Labels,
    disk::Disk,
    oracle::{Fact, Fate, Notes, Reading, Snapshot},
    read::typed,
};

/// How many images that are not the worst are looked at with each acknowledgement.
const OTHERS: usize = 1;

/// What is known of a log, without a handle of it. Clones know the same. No thread is switched while its lock is held.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) disk: Disk,
    notes: Arc<Mutex<Notes>>,
}

impl Watch {
    /// Says that these records are durable, and looks at the disk.
    pub(crate) fn acknowledge(&self, what: &'static str, durable: u64) {
        let mut notes = self.notes();
        notes.durable |= durable;
        let mut rng = Rng::new(notes.snapshots.len() as u64);
        let snapshot = Snapshot {
            what,
            images: self.disk.images(&mut rng, OTHERS),
            durable: notes.durable,
            begun: notes.facts.len(),
            cut_begun: notes.cut.is_some(),
            cut_done: notes.cut_done,
            heads_begun: notes.heads.len(),
            heads_done: notes.heads.iter().take_while(|head| head.done).count(),
        };
        notes.snapshots.push(snapshot);
    }

    /// Says that the record at this LSN is durable; whose it is may not be known yet.
    pub(crate) fn acknowledge_at(&self, what: &'static str, lsn: Lsn) {
        self.acknowledge(what, 0);
        let mut notes = self.notes();
        let snapshot = notes.snapshots.len() - 1;
        notes.durable_at.push((snapshot, lsn));
    }

    /// Says that everything is durable that was appended.
    pub(crate) fn all_is_durable(&self, what: &'static str) {
        self.acknowledge(what, self.appended());
    }

    /// Everything that was appended until now.
    pub(crate) fn appended(&self) -> u64 {
        self.notes().mask(|fact| fact.fate == Fate::Appended)
    }

    /// Where some record is that was appended; the schedule chooses which.
    pub(crate) fn some_lsn(&self) -> Lsn {
        let lsns: Vec<Lsn> = self.notes().facts.iter().filter_map(|fact| fact.lsn).collect();
        lsns[super::explore::choose(lsns.len())]
    }

    /// Checks everything that was seen. Every other thread has ended. `live`: what is in the log, if that is known.
    pub(crate) fn check(&self, live: Option<&[Lsn]>) {
        let mut notes = std::mem::take(&mut *self.notes());
        if let Some(live) = live {
            notes.settle(live);
        }
        notes.check(&self.disk);
    }

    /// What is known of a log on this disk.
    pub(crate) fn of(disk: Disk) -> Watch {
        Watch {
            disk,
            notes: Arc::default(),
        }
    }

    /// Somebody sets out to append a typed record; returns its number.
    pub(crate) fn begin_typed(&self) -> usize {
        let (id, _) = self.begin(1, 0);
        self.notes().facts[id].data = typed(id as u64);
        id
    }

    /// Somebody sets out to append records; returns the first one's number, and what they hold.
    pub(crate) fn begin(&self, records: usize, len: usize) -> (usize, Vec<Vec<u8>>) {
        let mut notes = self.notes();
        let first = notes.facts.len();
        let data = |id: usize| {
            let mut data = payload(id, len);
            data.extend_from_slice(&(id as u64 + 1).to_le_bytes());
            data
        };
        let data: Vec<Vec<u8>> = (first..first + records).map(data).collect();
        let too_late = notes.heard_failure;
        let fact = |data: &Vec<u8>| Fact {
            data: data.clone(),
            lsn: None,
            fate: Fate::Pending,
            labels: Labels::NONE,
            batch: (first, records),
            too_late,
        };
        notes.facts.extend(data.iter().map(fact));
        (first, data)
    }

    /// What came of it; `otherwise` if it failed in a way that leaves no doubt.
    pub(crate) fn end(
        &self,
        first: usize,
        records: usize,
        outcome: Result<Vec<Lsn>, &WalError>,
        otherwise: Fate,
    ) {
        let mut notes = self.notes();
        for (i, fact) in notes.facts[first..first + records].iter_mut().enumerate() {
            fact.fate = match &outcome {
                Ok(lsns) => {
                    assert!(!fact.too_late, "a log that had failed took a record");
                    fact.lsn = Some(lsns[i]);
                    Fate::Appended
                }
                Err(WalError::NotDurable { lsn, .. }) => {
                    // It was taken, and is no batch: of a batch nobody says this.
                    fact.lsn = *lsn;
                    Fate::Appended
                }
                Err(WalError::InDoubt { .. }) => Fate::InDoubt,
                Err(_) => otherwise,
            };
        }
        drop(notes);
        if let Err(error) = outcome {
            self.hear(error);
        }
    }

    /// Somebody got an error.
    pub(crate) fn hear(&self, error: &WalError) {
        if matches!(error, WalError::InDoubt { .. } | WalError::Poisoned { .. }) {
            self.notes().heard_failure = true;
        }
    }

    /// Somebody has read the log.
    pub(crate) fn has_read(&self, what: &'static str, found: Vec<Entry>, before: u64, cut_done: bool) {
        self.notes().readings.push(Reading {
            what,
            found,
            labels: Labels::NONE,
            next: None,
            before,
            cut_done,
        });
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }
}
