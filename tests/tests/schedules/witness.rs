//! A handle of a log through which everything is done, so that nothing that it acknowledges goes unheard.

use std::{
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use wal_db::{
    Lsn, Record, Result, Start, Ticket, Wal, WalConfig, WalError,
    read::Follow,
    state::{Decided, TransactError},
};

use super::{
    disk::{Disk, Form},
    explore::choose,
    oracle::{Cut, Fact, Fate, Head},
    read::{First, Second, entry},
    watch::Watch,
};

/// A log that is watched. Clones are handles of the same log.
#[derive(Clone)]
pub(crate) struct Witness {
    pub(crate) wal: Wal,
    watch: Watch,
}

impl Deref for Witness {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        &self.watch
    }
}

/// # Appending
impl Witness {
    /// Makes a log.
    pub(crate) fn new(config: WalConfig) -> Witness {
        Witness::of(Form::File, config)
    }

    /// Makes a log in segments.
    pub(crate) fn in_segments(config: WalConfig) -> Witness {
        Witness::of(Form::Segments, config)
    }

    fn of(form: Form, config: WalConfig) -> Witness {
        let watch = Watch::of(Disk::new(form));
        let wal = watch.disk.open(config).unwrap();
        Witness { wal, watch }
    }

    /// `append`.
    pub(crate) fn append(&self, len: usize) -> Result<Lsn> {
        let (id, data) = self.begin(1, len);
        self.ended(id, self.wal.append(&data[0]))
    }

    /// `append_batch`.
    pub(crate) fn append_batch(&self, records: usize, len: usize) -> Result<Vec<Lsn>> {
        let (first, data) = self.begin(records, len);
        let outcome = self.wal.append_batch(&data);
        self.end(first, records, outcome.as_ref().cloned(), Fate::Refused);
        outcome
    }

    /// `append_in_place`.
    pub(crate) fn append_in_place(&self, len: usize) -> Result<Lsn> {
        let (id, data) = self.begin(1, len);
        let fill = |bytes: &mut [u8]| bytes.copy_from_slice(&data[0]);
        self.ended(id, self.wal.append_in_place(data[0].len(), fill))
    }

    /// `append_in_place` whose closure panics: nothing is appended.
    pub(crate) fn append_with_panic(&self, len: usize) {
        let (id, data) = self.begin(1, len);
        let fill = |bytes: &mut [u8]| {
            bytes.copy_from_slice(&data[0]);
            // Not reported as a panic, for which shuttle would print a schedule.
            resume_unwind(Box::new("on purpose"));
        };
        let append = || self.wal.append_in_place(data[0].len(), fill);
        let outcome = catch_unwind(AssertUnwindSafe(append));
        assert!(!matches!(outcome, Ok(Ok(_))), "a closure that panicked appended");
        self.notes().facts[id].fate = Fate::Refused;
    }

    /// `append_and_sync`. The record comes after everything that was appended before, so that is durable as well.
    pub(crate) fn append_and_sync(&self, len: usize) -> Result<Lsn> {
        let before = self.appended();
        let (id, data) = self.begin(1, len);
        let outcome = self.wal.append_and_sync(&data[0]);
        // The record was taken, perhaps, whatever the error.
        self.end(id, 1, outcome.as_ref().map(|lsn| vec![*lsn]), Fate::InDoubt);
        if outcome.is_ok() {
            self.acknowledge("append_and_sync", before | 1 << id);
        }
        outcome
    }

    /// Appends, and has a ticket. The test that waits for the ticket says so.
    pub(crate) fn append_with_ticket(&self, len: usize) -> Result<(usize, Ticket)> {
        let (id, data) = self.begin(1, len);
        let outcome = self.wal.append(&data[0]).and_then(|lsn| self.wal.ticket(lsn));
        let lsns = outcome.as_ref().map(|ticket| vec![ticket.lsn()]);
        self.end(id, 1, lsns, Fate::Refused);
        outcome.map(|ticket| (id, ticket))
    }

    /// `append_typed` of one type or the other.
    pub(crate) fn append_typed(&self, second: bool) -> Result<Lsn> {
        let id = self.begin_typed();
        let text = "a text".to_owned();
        let outcome = match second {
            true => self.wal.append_typed(&Second { id: id as u64, text }),
            false => self.wal.append_typed(&First { id: id as u64 }),
        };
        self.ended(id, outcome)
    }

    /// `append_and_sync` of a log of events.
    pub(crate) fn append_typed_and_sync(&self) -> Result<Lsn> {
        let before = self.appended();
        let events = self.wal.typed::<First>()?;
        let id = self.begin_typed();
        let outcome = events.append_and_sync(&First { id: id as u64 });
        self.end(id, 1, outcome.as_ref().map(|lsn| vec![*lsn]), Fate::InDoubt);
        if outcome.is_ok() {
            self.acknowledge("typed append_and_sync", before | 1 << id);
        }
        outcome
    }

    /// A decision of a state store on the fact whose number it gets. It answers, or refuses, with the numbers of the facts
    /// that it has seen, and they are durable then.
    pub(crate) fn decide(
        &self,
        transact: impl FnOnce(u64) -> Result<Decided<Vec<u64>>, TransactError<Vec<u64>>>,
    ) -> Result<()> {
        let id = self.begin_typed();
        match transact(id as u64) {
            Ok(decided) => {
                let seen = decided.value;
                self.end(id, 1, Ok(decided.lsns), Fate::InDoubt);
                self.acknowledge_all("a decision", &[&seen[..], &[id as u64]].concat());
            }
            Err(TransactError::Refused(seen)) => {
                self.notes().facts[id].fate = Fate::Refused;
                self.acknowledge_all("a refusal", &seen);
            }
            Err(TransactError::Wal(error)) => {
                // The event was taken, perhaps.
                self.end(id, 1, Err(&error), Fate::InDoubt);
                return Err(error);
            }
        }
        Ok(())
    }

    pub(crate) fn acknowledge_all(&self, what: &'static str, ids: &[u64]) {
        self.acknowledge(what, ids.iter().fold(0, |mask, id| mask | 1 << id));
    }

    fn ended(&self, id: usize, outcome: Result<Lsn>) -> Result<Lsn> {
        self.end(id, 1, outcome.as_ref().map(|lsn| vec![*lsn]), Fate::Refused);
        outcome
    }
}

/// # Durability
impl Witness {
    /// `sync`: what was appended before is durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let (before, too_late) = (self.appended(), self.notes().heard_failure);
        let outcome = self.wal.sync();
        match &outcome {
            Ok(()) => {
                assert!(!too_late, "a log that had failed was flushed");
                self.acknowledge("sync", before);
            }
            Err(error) => self.hear(error),
        }
        outcome
    }

    /// What the log says of its own durability.
    pub(crate) fn look(&self) {
        let durable = self.wal.status().durable;
        let before = |fact: &Fact| fact.lsn.is_some_and(|lsn| lsn < durable);
        let durable = self.notes().mask(before);
        self.acknowledge("status", durable);
    }

    /// `close`: everything that was appended is durable.
    pub(crate) fn close(self) -> Result<()> {
        let Witness { wal, watch } = self;
        let too_late = watch.notes().heard_failure;
        let outcome = wal.close();
        match &outcome {
            Ok(()) => {
                assert!(!too_late, "a log that had failed was closed well");
                watch.all_is_durable("close");
            }
            Err(error) => watch.hear(error),
        }
        outcome
    }

    /// Drops the handle.
    pub(crate) fn let_go(self) -> Watch {
        self.watch
    }
}

/// # Truncating
impl Witness {
    /// `truncate_after`; a log is cut once.
    pub(crate) fn truncate_after(&self, lsn: Lsn) -> Result<()> {
        let kept_before = Lsn::new(lsn.get() + 1);
        self.cut("truncate_after", kept_before, || self.wal.truncate_after(lsn))
    }

    /// `truncate_from`; a log is cut once.
    pub(crate) fn truncate_from(&self, lsn: Lsn) -> Result<()> {
        self.cut("truncate_from", lsn, || self.wal.truncate_from(lsn))
    }

    fn cut(&self, what: &'static str, kept_before: Lsn, cut: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut notes = self.notes();
        assert!(notes.cut.is_none(), "one cut is what the oracle knows");
        let before = notes.mask(|fact| fact.fate == Fate::Appended);
        let kept = notes.mask(|fact| fact.lsn.is_some_and(|lsn| lsn < kept_before));
        notes.cut = Some(Cut {
            kept_before,
            removed: 0,
        });
        let too_late = notes.heard_failure;
        drop(notes);
        let outcome = cut();
        let mut notes = self.notes();
        match &outcome {
            Ok(()) => {
                assert!(!too_late, "a log that had failed was cut");
                notes.cut_done = true;
                // These were there when it began. Of the others the end tells.
                notes.cut.as_mut().unwrap().removed |= before & !kept;
                drop(notes);
                self.acknowledge(what, kept);
            }
            Err(error) => {
                notes.cut = None;
                drop(notes);
                self.hear(error);
            }
        }
        outcome
    }

    /// `truncate_before`.
    pub(crate) fn truncate_before(&self, lsn: Lsn) -> Result<Lsn> {
        let mut notes = self.notes();
        notes.heads.push(Head { lsn, done: false });
        let at = notes.heads.len() - 1;
        let too_late = notes.heard_failure;
        drop(notes);
        let outcome = self.wal.truncate_before(lsn);
        match &outcome {
            Ok(head) => {
                assert!(!too_late, "a log that had failed was cut");
                self.notes().heads[at] = Head {
                    lsn: *head,
                    done: true,
                };
                self.acknowledge("truncate_before", 0);
            }
            Err(error) => self.hear(error),
        }
        outcome
    }
}

/// # Reading
impl Witness {
    /// Follows the log until it is closed. What a follower is shown is durable, unless it asked for what is written.
    pub(crate) fn follow(&self) {
        let follow = [Follow::Durable, Follow::Written][choose(2)];
        let start = || self.wal.tail(Start::Head).unwrap().follow(follow);
        let mut tail = start();
        let mut found = Vec::new();
        while let Some(record) = tail.next() {
            match record {
                Ok(record) => {
                    let entry = entry(record);
                    if follow == Follow::Durable {
                        let id = self.notes().find(&entry.1);
                        self.acknowledge("follower", 1 << id);
                    }
                    found.push(entry);
                }
                Err(WalError::CutBack { .. }) => {}
                Err(WalError::Truncated { .. }) => tail = start(),
                Err(error) => panic!("following: {error}"),
            }
        }
        // The log is closed, so everything was shown.
        self.has_read("a follower", found, self.appended(), false);
    }

    /// Waits for so many records from the beginning on, and no longer.
    pub(crate) fn wait_for(&self, records: usize) {
        let mut tail = self.wal.tail(Start::Head).unwrap();
        for _ in 0..records {
            let entry = entry(tail.next().unwrap().unwrap());
            let id = self.notes().find(&entry.1);
            self.acknowledge("follower", 1 << id);
        }
    }

    /// Reads the log from its beginning to its end.
    pub(crate) fn read(&self) {
        let (before, cut_done) = (self.appended(), self.notes().cut_done);
        if choose(2) == 0 {
            return self.read_backwards();
        }
        let found: Result<Vec<_>> = self.wal.iter().unwrap().map(|record| record.map(entry)).collect();
        match found {
            Ok(found) => self.has_read("an iterator", found, before, cut_done),
            // A truncation was faster.
            Err(WalError::Truncated { .. }) => {}
            Err(error) => panic!("reading: {error}"),
        }
    }

    /// Reads the log from its end to its beginning. What is appended meanwhile may be passed over.
    fn read_backwards(&self) {
        let before = self.appended();
        let records = self.wal.iter_rev().unwrap();
        let mut found: Vec<_> = records.map(|record| entry(record.unwrap())).collect();
        found.reverse();
        self.has_read("an iterator backwards", found, before, false);
    }

    /// Reads one record, which is there unless a truncation removes it.
    pub(crate) fn read_one(&self) {
        let lsn = self.some_lsn();
        let outcome = self.wal.read(lsn).map(entry);
        let notes = self.notes();
        match outcome {
            Ok(read) => assert_eq!(notes.facts[notes.find(&read.1)].lsn, Some(lsn)),
            Err(WalError::NoSuchRecord { .. }) => assert!(notes.cut.is_some(), "{lsn} is not there"),
            Err(WalError::Truncated { .. }) => assert!(!notes.heads.is_empty(), "{lsn} was not dropped"),
            Err(error) => panic!("reading {lsn}: {error}"),
        }
    }

    /// Checks everything that was seen. Every other thread has ended.
    pub(crate) fn check(&self) {
        let lsn = |record: Record| record.lsn();
        let records = |records: wal_db::WalIter| records.map(|record| record.map(lsn)).collect();
        let live: Result<Vec<Lsn>> = match self.wal.iter() {
            // A closed log is looked at as others see it.
            Err(WalError::Closed) => self
                .disk
                .open_read_only()
                .and_then(|wal| wal.iter().and_then(records)),
            found => found.and_then(records),
        };
        match live {
            // What is in the staging memory of a log that has failed is not shown.
            _ if self.wal.status().failure.is_some() => self.watch.check(None),
            live => self.watch.check(Some(&live.unwrap())),
        }
    }
}
