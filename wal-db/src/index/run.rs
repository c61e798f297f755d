//! Runs of an index: the events of parts of the log, packed, in memory or in a file.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    io::{self, Read},
};

use super::{
    noted::BrokenRun,
    postings::{Posting, Postings, of_types, retain_common},
    query::Wanted,
    term::Terms,
};
use crate::{
    format::run::{Entries, Entry, Run, RunBytes, RunFault, RunHeader, from_and_to},
    lsn::Lsn,
    storage::{SideFile, SideFiles},
    sync::Arc,
};

/// A run, and where its bytes are.
pub(super) struct OpenRun {
    pub(super) run: Run,
    bytes: Box<dyn SideFile>,
    /// Of its file, if it is in one.
    name: Option<String>,
}

/// Asked now and then whether to go on.
pub(super) type GoOn<'g> = &'g dyn Fn() -> io::Result<()>;

impl OpenRun {
    pub(super) fn open(files: &dyn SideFiles, name: &str) -> Result<Self, RunFault> {
        let bytes = files.open(name)?;
        let run = Run::open(bytes.size_bytes()?, &|at, buf| read_at(&*bytes, at, buf))?;
        if from_and_to(name) != Some((run.header.from, run.header.to)) {
            let what = "it is another run than its name says";
            return Err(RunFault::Damaged { offset: 0, what });
        }
        Ok(OpenRun {
            run,
            bytes,
            name: Some(name.to_owned()),
        })
    }

    /// What was noted from one LSN to another, in memory.
    pub(super) fn of_postings(
        postings: &Postings,
        terms: &Terms,
        ends: (Lsn, Lsn),
    ) -> Result<Self, RunFault> {
        let (terms, entries) = postings.in_order(terms);
        Self::in_memory(header(ends), entries.map(Ok), terms as u64)
    }

    /// Those of some runs that lie one after another, in memory, without what comes before `head`.
    pub(super) fn merged(runs: &[Arc<OpenRun>], head: Lsn) -> Result<Result<Self, RunFault>, BrokenRun> {
        let header = header(ends_of(runs, head));
        with_entries(runs, head, |entries, most_terms| {
            Self::in_memory(header, entries, most_terms)
        })
    }

    fn in_memory(
        header: RunHeader,
        entries: impl Iterator<Item = io::Result<Entry>>,
        most_terms: u64,
    ) -> Result<Self, RunFault> {
        let mut bytes = Vec::new();
        RunBytes::new(header, entries, most_terms).read_to_end(&mut bytes)?;
        bytes.shrink_to_fit();
        let bytes = Box::new(InMemory(bytes));
        let run = Run::open(bytes.0.len() as u64, &|at, buf| read_at(&*bytes, at, buf))?;
        Ok(OpenRun {
            run,
            bytes,
            name: None,
        })
    }

    /// The name of its file; `None` if it is in memory.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn from(&self) -> Lsn {
        Lsn::new(self.run.header.from)
    }

    pub(super) fn to(&self) -> Lsn {
        Lsn::new(self.run.header.to)
    }

    pub(super) fn len(&self) -> u64 {
        self.run.count
    }

    /// `false` if it has no event of a term.
    pub(super) fn may_have(&self, term: u64) -> bool {
        self.run.may_have(term)
    }

    /// The newest event from `from` on that may be wanted, and that `is_one` takes.
    pub(super) fn newest(
        &self,
        terms: &Terms,
        wanted: &Wanted<'_>,
        from: Lsn,
        is_one: impl Fn(Lsn) -> bool,
    ) -> Result<Option<Lsn>, RunFault> {
        let Some(term) = wanted.only_term() else {
            let mut matching = self.matching(terms, wanted, from)?.into_iter();
            return Ok(matching.find(|lsn| is_one(*lsn)));
        };
        let (mut blocks, mut at_once) = (self.run.blocks_of(term, from.get()), 1);
        while !blocks.is_empty() {
            let start = blocks.end.saturating_sub(at_once).max(blocks.start);
            let entries = self.read(start..blocks.end)?;
            (blocks.end, at_once) = (start, 64.min(2 * at_once));
            let mut newest = entries
                .iter()
                .rev()
                .filter(|entry| entry.term == term && entry.lsn >= from.get());
            let found = newest.find(|entry| wanted.has_type(entry.type_id) && is_one(Lsn::new(entry.lsn)));
            if let Some(found) = found {
                return Ok(Some(Lsn::new(found.lsn)));
            }
        }
        Ok(None)
    }

    /// The events from `from` on that may be wanted, newest first.
    pub(super) fn matching(
        &self,
        terms: &Terms,
        wanted: &Wanted<'_>,
        from: Lsn,
    ) -> Result<Vec<Lsn>, RunFault> {
        // The term that has the fewest comes first, and the others are looked up for what it has.
        let mut by_blocks: Vec<(usize, u64)> = wanted
            .terms()
            .iter()
            .copied()
            .map(|term| (self.run.blocks_of(term, from.get()).len(), term))
            .collect();
        by_blocks.sort_unstable();
        let Some(((_, rarest), others)) = by_blocks.split_first() else {
            let mut fault = None;
            let found = of_types(wanted, self.run.types.iter().copied(), |id| {
                let of_type = self.of_term(terms.of_type(id), from);
                of_type.unwrap_or_else(|failed| {
                    fault = Some(failed);
                    Vec::new()
                })
            });
            return match fault {
                Some(fault) => Err(fault),
                None => Ok(found.into_iter().map(|posting| posting.lsn).collect()),
            };
        };
        let mut found = self.of_term(*rarest, from)?;
        found.retain(|posting| wanted.has_type(posting.type_id));
        for (blocks, term) in others {
            if *blocks <= 2 * found.len() {
                retain_common(&mut found, self.of_term(*term, from)?);
                continue;
            }
            let mut common = Vec::new();
            for posting in found {
                if self.has(*term, posting.lsn)? {
                    common.push(posting);
                }
            }
            found = common;
        }
        Ok(found.into_iter().map(|posting| posting.lsn).collect())
    }

    /// The events of a term from `from` on, newest first.
    fn of_term(&self, term: u64, from: Lsn) -> Result<Vec<Posting>, RunFault> {
        let mut entries = self.read(self.run.blocks_of(term, from.get()))?;
        entries.retain(|entry| entry.term == term && entry.lsn >= from.get());
        Ok(entries.into_iter().rev().map(Into::into).collect())
    }

    fn has(&self, term: u64, lsn: Lsn) -> Result<bool, RunFault> {
        let blocks = self.run.blocks_of(term, lsn.get());
        // It is in the first one, or begins the next one.
        let entries = self.read(blocks.start..blocks.end.min(blocks.start + 2))?;
        Ok(entries
            .iter()
            .any(|entry| (entry.term, entry.lsn) == (term, lsn.get())))
    }

    fn read(&self, blocks: std::ops::Range<usize>) -> Result<Vec<Entry>, RunFault> {
        self.run.read(blocks, &|at, buf| read_at(&*self.bytes, at, buf))
    }
}

/// Of a run in memory, which needs no position.
fn header((from, to): (Lsn, Lsn)) -> RunHeader {
    RunHeader {
        position: [0; 56],
        from: from.get(),
        to: to.get(),
    }
}

/// From where and up to where runs go that lie one after another, without what comes before `head`.
pub(super) fn ends_of(runs: &[Arc<OpenRun>], head: Lsn) -> (Lsn, Lsn) {
    let to = runs.last().map_or(head, |last| last.to());
    let from = runs
        .first()
        .map_or(head, |first| first.from().max(within(head, to)));
    (from, to)
}

/// What is dropped of runs that end at `to` if the log begins at `head`: not all of it, because a run has a length.
fn within(head: Lsn, to: Lsn) -> Lsn {
    head.min(Lsn::new(to.get().saturating_sub(1)))
}

/// Hands the entries of runs that lie one after another to `take`, without what comes before `head`, and how many terms there
/// are at most. What was cut off the end of the log stays: a copy of the log may still have it.
pub(super) fn with_entries<T>(
    runs: &[Arc<OpenRun>],
    head: Lsn,
    take: impl FnOnce(&mut dyn Iterator<Item = io::Result<Entry>>, u64) -> T,
) -> Result<T, BrokenRun> {
    let head = within(head, ends_of(runs, head).1);
    let most_terms = runs
        .iter()
        .fold(0_u64, |sum, run| sum.saturating_add(run.run.terms));
    let read: Vec<_> = runs
        .iter()
        .map(|run| |at, buf: &mut [u8]| read_at(&*run.bytes, at, buf))
        .collect();
    let sources = runs
        .iter()
        .zip(&read)
        .map(|(run, read)| Entries::of(&run.run, read).peekable());
    let mut sources: Vec<_> = sources.collect();
    let mut broken = None;
    // What comes next from each: its term, and which it is. What cannot be read has to be told at once.
    let next_of = |source: &mut std::iter::Peekable<Entries<'_>>, at: usize| {
        let term = source.peek()?.as_ref().map_or(0, |entry| entry.term);
        Some(Reverse((term, at)))
    };
    let firsts = sources.iter_mut().enumerate();
    let mut heads: BinaryHeap<_> = firsts.filter_map(|(at, source)| next_of(source, at)).collect();
    let mut entries = std::iter::from_fn(|| {
        loop {
            let mut first = heads.peek_mut()?;
            let Reverse((_, at)) = *first;
            let next = sources[at].next()?;
            match next_of(&mut sources[at], at) {
                // Most of one term come from one source after another.
                Some(head) if head == *first => {}
                Some(head) => *first = head,
                None => drop(PeekMut::pop(first)),
            }
            match next {
                Ok(entry) if entry.lsn < head.get() => {}
                Ok(entry) => return Some(Ok(entry)),
                Err(fault) => {
                    broken = Some(BrokenRun::of(&runs[at], fault));
                    return Some(Err(io::ErrorKind::InvalidData.into()));
                }
            }
        }
    });
    let taken = take(&mut entries, most_terms);
    match broken {
        Some(broken) => Err(broken),
        None => Ok(taken),
    }
}

fn read_at(file: &dyn SideFile, mut at: u64, mut buf: &mut [u8]) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(at, buf) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                at += len as u64;
                buf = &mut buf[len..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

struct InMemory(Vec<u8>);

impl SideFile for InMemory {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.0.get(offset..));
        rest.unwrap_or_default().read(buf)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}
