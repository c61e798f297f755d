//! What the index knows of the log.

use super::{
    few::Few,
    postings::{Posting, Postings},
    query::Wanted,
    run::OpenRun,
    term::Terms,
};
use crate::{
    error::{Result, TypedError, WalError},
    format::{
        Kind,
        envelope::{self, EnvelopeError},
        run::RunFault,
    },
    log::Watch,
    lsn::Lsn,
    sync::{Arc, AtomicU64, Bell, Ordering, RwLock},
};

/// The events of a log by their terms, as far as the log has told of them.
pub(super) struct Noted {
    pub(super) terms: Terms,
    parts: RwLock<Parts>,
    /// The LSN of the newest record that was taken in, or 0. Written with the parts locked, and read without: if it is what it
    /// was, and nobody else appends, nothing has come.
    newest: AtomicU64,
    /// When a part is full, it becomes one to be written, and this rings.
    pub(super) full: Bell,
    limits: Limits,
}

/// When a part is full: with so many bytes of log, or so many events of terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) events: usize,
}

/// Every event before `next` is in one of the parts, which lie one after another.
pub(super) struct Parts {
    older: Vec<Part>,
    /// Empty, with the memory of a part that was written.
    spare: Option<Postings>,
    /// Events from here on are in `young`.
    young_from: Lsn,
    young: Postings,
    next: Lsn,
    /// The newest record of any kind that the index was told of.
    last: Option<Lsn>,
    /// A record whose terms cannot be told.
    unreadable: Option<(Lsn, EnvelopeError)>,
}

/// The events of a part of the log, which does not change any more.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) from: Lsn,
    pub(super) to: Lsn,
    pub(super) events: Events,
}

#[derive(Clone)]
pub(super) enum Events {
    Noted(Arc<Postings>),
    Packed(Arc<OpenRun>),
}

impl Part {
    pub(super) fn of_run(run: OpenRun) -> Self {
        Part {
            from: run.from(),
            to: run.to(),
            events: Events::Packed(Arc::new(run)),
        }
    }

    /// `false` if it has no event from `from` on that has all of these terms.
    fn may_have(&self, terms: &[u64], from: Lsn) -> bool {
        self.to > from
            && match &self.events {
                Events::Noted(postings) => postings.may_have(terms),
                Events::Packed(run) => terms.iter().all(|term| run.may_have(*term)),
            }
    }

    pub(super) fn run(&self) -> Option<&Arc<OpenRun>> {
        match &self.events {
            Events::Packed(run) => Some(run),
            Events::Noted(_) => None,
        }
    }
}

/// A run that cannot be read.
pub(super) struct BrokenRun {
    pub(super) run: Arc<OpenRun>,
    pub(super) fault: RunFault,
}

impl BrokenRun {
    pub(super) fn of(run: &Arc<OpenRun>, fault: RunFault) -> Self {
        BrokenRun {
            run: run.clone(),
            fault,
        }
    }
}

impl Noted {
    /// Of a log with this id, from `from` on.
    pub(super) fn new(log: [u8; 16], from: Lsn, limits: Limits) -> Self {
        Noted {
            terms: Terms::of(log),
            parts: RwLock::new(Parts {
                older: Vec::new(),
                spare: None,
                young_from: from,
                young: Postings::default(),
                next: from,
                last: None,
                unreadable: None,
            }),
            newest: AtomicU64::new(0),
            full: Bell::new(),
            limits,
        }
    }

    /// The LSN of the newest record that was taken in; 0 if there was none.
    pub(super) fn newest_taken(&self) -> Lsn {
        Lsn::new(self.newest.load(Ordering::Acquire))
    }

    /// Adds an event under its terms.
    fn add(&self, postings: &mut Postings, lsn: Lsn, payload: &[u8]) -> Result<(), EnvelopeError> {
        let envelope = envelope::parse(payload)?;
        let posting = Posting {
            lsn,
            type_id: envelope.info.type_id,
        };
        postings.add_event(posting, self.terms.of_entries(&envelope.meta));
        Ok(())
    }

    /// From where on it has to be told of events, if there is none before `head`.
    pub(super) fn begin_at(&self, head: Lsn) -> Lsn {
        let mut parts = self.parts.write();
        if parts.next < head {
            if parts.young.len() > 0 {
                parts.end_part();
            }
            (parts.young_from, parts.next) = (head, head);
        }
        parts.next
    }

    /// What it was told of, with nothing after it before `to`.
    pub(super) fn into_parts(self, to: Lsn) -> Vec<Part> {
        let mut parts = self.parts.write();
        if parts.young_from < to {
            parts.next = to;
            parts.end_part();
        }
        std::mem::take(&mut parts.older)
    }

    /// The LSN from which on events are not in the index yet.
    pub(super) fn next(&self) -> Lsn {
        self.parts.read().next
    }

    /// That the terms of all records are known.
    pub(super) fn check(&self) -> Result<()> {
        self.with_parts(|parts| parts.check(|_| true))
    }

    /// How many parts are full and not packed.
    pub(super) fn full_parts(&self) -> usize {
        let parts = self.parts.read();
        parts.older.iter().filter(|part| part.run().is_none()).count()
    }

    pub(super) fn older(&self) -> Vec<Part> {
        self.parts.read().older.clone()
    }

    /// Whether a run is one of the parts.
    pub(super) fn has(&self, run: &Arc<OpenRun>) -> bool {
        let parts = self.parts.read();
        let mut runs = parts.older.iter().filter_map(Part::run);
        runs.any(|own| Arc::ptr_eq(own, run))
    }

    /// Puts parts instead of those from one LSN to another, which begin and end there.
    pub(super) fn replace(&self, (from, to): (Lsn, Lsn), new: Vec<Part>) {
        let mut parts = self.parts.write();
        let older = &mut parts.older;
        let first = older.iter().position(|old| old.from == from);
        let last = older.iter().position(|old| old.to == to);
        if let (Some(first), Some(last)) = (first, last)
            && first <= last
        {
            let replaced: Vec<Part> = older.splice(first..=last, new).collect();
            drop(parts);
            self.reuse(replaced);
        }
    }

    /// Keeps the memory of a part that nobody looks at any more: pages that are new cost an append as much as all the rest.
    fn reuse(&self, parts: Vec<Part>) {
        for part in parts {
            if let Events::Noted(postings) = part.events
                && let Ok(mut postings) = Arc::try_unwrap(postings)
                // A large batch is in one part, and those after it would not fit the cache either.
                && postings.capacity() <= 2 * self.limits.events
            {
                postings.clear();
                self.parts.write().spare.get_or_insert(postings);
            }
        }
    }

    /// Looks at what is in memory, while nothing can come.
    pub(super) fn with_parts<T>(&self, look: impl FnOnce(&Parts) -> T) -> T {
        look(&self.parts.read())
    }

    /// The newest event from `from` on that may be wanted, and that `is_one` takes.
    pub(super) fn newest(
        &self,
        wanted: &Wanted<'_>,
        from: Lsn,
        is_one: impl Fn(Lsn) -> bool,
    ) -> Result<Option<Lsn>, BrokenRun> {
        let parts = self.parts.read();
        if let Some(lsn) = parts.young.newest(wanted, from, &is_one) {
            return Ok(Some(lsn));
        }
        let older = parts.that_may_have(wanted, from);
        drop(parts);
        for part in older.iter().rev() {
            let found = match &part.events {
                Events::Noted(postings) => postings.newest(wanted, from, &is_one),
                Events::Packed(run) => run
                    .newest(&self.terms, wanted, from, &is_one)
                    .map_err(|fault| BrokenRun::of(run, fault))?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The events from `from` on that may be wanted, oldest first.
    pub(super) fn all(&self, wanted: &[Wanted<'_>], from: Lsn) -> Result<Vec<Lsn>, BrokenRun> {
        let mut lsns = Vec::new();
        let parts = self.parts.read();
        let mut older: Vec<(&Wanted<'_>, Vec<Part>)> = Vec::new();
        for wanted in wanted {
            lsns.extend(parts.young.matching(wanted, from));
            older.push((wanted, parts.that_may_have(wanted, from)));
        }
        drop(parts);
        for (wanted, older) in older {
            for part in &older {
                match &part.events {
                    Events::Noted(postings) => lsns.extend(postings.matching(wanted, from)),
                    Events::Packed(run) => {
                        let matching = run.matching(&self.terms, wanted, from);
                        lsns.extend(matching.map_err(|fault| BrokenRun::of(run, fault))?);
                    }
                }
            }
        }
        lsns.sort_unstable();
        lsns.dedup();
        Ok(lsns)
    }

    /// Takes in records; returns whether a part has become full.
    pub(super) fn take(&self, kind: Kind, records: &[(Lsn, &[u8])]) -> bool {
        let Some((last, _)) = records.last() else {
            return false;
        };
        self.taking(*last, |parts| {
            for (lsn, payload) in records {
                if kind == Kind::Typed
                    && let Err(reason) = self.add(&mut parts.young, *lsn, payload)
                {
                    parts.unreadable.get_or_insert((*lsn, reason));
                }
            }
        })
    }

    /// Takes in an event whose terms are known.
    pub(super) fn take_one(&self, posting: Posting, terms: &Few<u64>) {
        self.taking(posting.lsn, |parts| {
            parts.young.add_event(posting, terms.iter().copied());
        });
    }

    /// Takes in what `add` adds, up to the record at `last`; returns whether a part has become full.
    fn taking(&self, last: Lsn, add: impl FnOnce(&mut Parts)) -> bool {
        let mut parts = self.parts.write();
        parts.last = Some(last);
        self.newest.store(last.get(), Ordering::Release);
        add(&mut parts);
        parts.next = Lsn::new(last.get() + 1);
        let Limits { bytes, events } = self.limits;
        let is_full = parts.young.len() >= events || last.get() - parts.young_from.get() >= bytes;
        if is_full {
            parts.end_part();
            drop(parts);
            self.full.ring();
        }
        is_full
    }

    /// The newest record, when the index was told of none that is there.
    pub(super) fn set_last(&self, last: Option<Lsn>) {
        self.parts.write().last = last;
    }

    /// Begins with parts, and with what comes from `from` on.
    pub(super) fn begin_with(&self, older: Vec<Part>, from: Lsn) {
        let mut parts = self.parts.write();
        parts.older = older;
        (parts.young_from, parts.next) = (from, from);
    }
}

impl Watch for Noted {
    fn appended(&self, kind: Kind, records: &[(Lsn, &[u8])]) {
        self.take(kind, records);
    }
}

impl Parts {
    /// The older parts that may have a wanted event from `from` on. Most of those that have none cost a look into memory.
    fn that_may_have(&self, wanted: &Wanted<'_>, from: Lsn) -> Vec<Part> {
        let may_have = |part: &&Part| part.may_have(wanted.terms(), from);
        self.older.iter().filter(may_have).cloned().collect()
    }

    /// `false` if there is no event from `from` on that may be wanted.
    pub(super) fn may_have(&self, wanted: &Wanted<'_>, from: Lsn) -> bool {
        let terms = wanted.terms();
        let is_young = self.young.may_have(terms) && self.young.newest(wanted, from, |_| true).is_some();
        is_young || self.older.iter().any(|part| part.may_have(terms, from))
    }

    /// From where on [`newest_young`](Self::newest_young) finds events.
    pub(super) fn young_from(&self) -> Lsn {
        self.young_from
    }

    /// The LSN from which on events are not in the index yet.
    pub(super) fn next(&self) -> Lsn {
        self.next
    }

    /// The newest record that the index was told of.
    pub(super) fn last(&self) -> Option<Lsn> {
        self.last
    }

    /// The newest event from `from` on that may be wanted, and that `is_one` takes; of those that came lately.
    pub(super) fn newest_young(
        &self,
        wanted: &Wanted<'_>,
        from: Lsn,
        is_one: impl Fn(Lsn) -> bool,
    ) -> Option<Lsn> {
        self.young.newest(wanted, from, is_one)
    }

    /// That the terms of all records are known that are there.
    pub(super) fn check(&self, is_there: impl FnOnce(Lsn) -> bool) -> Result<()> {
        match self.unreadable {
            Some((lsn, reason)) if is_there(lsn) => {
                Err(WalError::Typed(TypedError::Envelope { lsn, reason }))
            }
            _ => Ok(()),
        }
    }

    /// Whether the terms of all records are known.
    pub(super) fn are_known(&self) -> bool {
        self.unreadable.is_none()
    }

    fn end_part(&mut self) {
        let empty = self.spare.take().unwrap_or_default();
        let young = std::mem::replace(&mut self.young, empty);
        self.older.push(Part {
            from: self.young_from,
            to: self.next,
            events: Events::Noted(Arc::new(young)),
        });
        self.young_from = self.next;
    }
}
