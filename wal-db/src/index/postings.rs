//! Where the events of each term are, in memory.

use std::{
    cmp::Reverse,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::{query::Wanted, term::Terms};
use crate::{format::run::Entry, lsn::Lsn};

/// An event that has a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting {
    pub(super) lsn: Lsn,
    pub(super) type_id: u32,
}

impl From<Entry> for Posting {
    fn from(entry: Entry) -> Self {
        Posting {
            lsn: Lsn::new(entry.lsn),
            type_id: entry.type_id,
        }
    }
}

/// The events of a part of the log, by term. They are added in the order of the log.
#[derive(Default)]
pub(super) struct Postings {
    links: Vec<Link>,
    /// After which link each term's newest one is.
    newest: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    /// The same for each type. There are few.
    types: Vec<(u32, u32)>,
}

struct Link {
    lsn: Lsn,
    type_id: u32,
    /// After which link the one before it of the same term is; 0 if it is the first.
    before: u32,
}

impl Postings {
    /// Adds an event under its type.
    pub(super) fn add_of_type(&mut self, posting: Posting) {
        let known = self.types.iter().position(|(id, _)| *id == posting.type_id);
        let at = known.unwrap_or_else(|| {
            self.types.push((posting.type_id, 0));
            self.types.len() - 1
        });
        link(&mut self.links, &mut self.types[at].1, posting);
    }

    /// Adds an event under a term, once.
    pub(super) fn add(&mut self, term: u64, posting: Posting) {
        link(&mut self.links, self.newest.entry(term).or_insert(0), posting);
    }

    /// The types of which there are events.
    pub(super) fn types(&self) -> impl Iterator<Item = u32> {
        self.types.iter().map(|(id, _)| *id)
    }

    /// How many events of terms there are.
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Makes it empty, with the memory that it has.
    pub(super) fn clear(&mut self) {
        self.links.clear();
        self.newest.clear();
        self.types.clear();
    }

    /// The events of a term, the newest first.
    pub(super) fn newest_first(&self, term: u64) -> impl Iterator<Item = Posting> {
        self.back_from(self.newest.get(&term).copied())
    }

    /// The events of a type, the newest first.
    pub(super) fn newest_of_type(&self, type_id: u32) -> impl Iterator<Item = Posting> {
        let known = self.types.iter().find(|(id, _)| *id == type_id);
        self.back_from(known.map(|(_, newest)| *newest))
    }

    /// The newest event from `from` on that may be wanted, and that `is_one` takes.
    pub(super) fn newest(&self, wanted: &Wanted<'_>, from: Lsn, is_one: impl Fn(Lsn) -> bool) -> Option<Lsn> {
        // Most conditions are of this kind, and others wait while they are looked at.
        if let Some(term) = wanted.only_term() {
            let mut recent = self.newest_first(term).take_while(|posting| posting.lsn >= from);
            let found = recent.find(|posting| wanted.has_type(posting.type_id) && is_one(posting.lsn));
            return found.map(|posting| posting.lsn);
        }
        let mut matching = self.matching(wanted, from).into_iter();
        matching.find(|lsn| is_one(*lsn))
    }

    /// The events from `from` on that may be wanted, newest first.
    pub(super) fn matching(&self, wanted: &Wanted<'_>, from: Lsn) -> Vec<Lsn> {
        let is_recent = |posting: &Posting| posting.lsn >= from;
        let mut terms = wanted.terms();
        let found = match terms.next() {
            None => of_types(wanted, self.types(), |id| {
                self.newest_of_type(id).take_while(is_recent).collect()
            }),
            Some(first) => {
                let of_first = self.newest_first(first).take_while(is_recent);
                let mut found = of_first
                    .filter(|posting| wanted.has_type(posting.type_id))
                    .collect();
                for term in terms {
                    retain_common(&mut found, self.newest_first(term));
                }
                found
            }
        };
        found.into_iter().map(|posting| posting.lsn).collect()
    }

    fn back_from(&self, newest: Option<u32>) -> impl Iterator<Item = Posting> {
        let mut next = newest.unwrap_or(0);
        std::iter::from_fn(move || {
            let link = self.links.get((next as usize).checked_sub(1)?)?;
            next = link.before;
            Some(Posting {
                lsn: link.lsn,
                type_id: link.type_id,
            })
        })
    }

    /// All of them, in the order of a run, and how many terms there are.
    pub(super) fn in_order(&self, terms: &Terms) -> (usize, impl Iterator<Item = Entry>) {
        let types = self
            .types
            .iter()
            .map(|(id, newest)| (terms.of_type(*id), *newest));
        let others = self.newest.iter().map(|(term, newest)| (*term, *newest));
        let mut all: Vec<(u64, u32)> = types.chain(others).collect();
        all.sort_unstable();
        let (len, mut all) = (all.len(), all.into_iter().peekable());
        // Those of one term, the newest first.
        let (mut term, mut postings) = (0, Vec::new());
        let entries = std::iter::from_fn(move || {
            if postings.is_empty() {
                let (next, newest) = all.next()?;
                term = next;
                postings.extend(self.back_from(Some(newest)));
                let alone = postings.len();
                // A type can have the number of another term.
                while let Some((_, newest)) = all.next_if(|(other, _)| *other == term) {
                    postings.extend(self.back_from(Some(newest)));
                }
                if postings.len() > alone {
                    postings.sort_unstable_by_key(|posting| Reverse(posting.lsn));
                    postings.dedup();
                }
            }
            let Posting { lsn, type_id } = postings.pop()?;
            Some(Entry {
                term,
                lsn: lsn.get(),
                type_id,
            })
        });
        (len, entries)
    }
}

/// Adds an event before which the newest one of its term is, unless it is that one.
fn link(links: &mut Vec<Link>, newest: &mut u32, posting: Posting) {
    let last = (*newest as usize).checked_sub(1).and_then(|last| links.get(last));
    if last.is_some_and(|last| last.lsn == posting.lsn) {
        return;
    }
    links.push(Link {
        lsn: posting.lsn,
        type_id: posting.type_id,
        before: *newest,
    });
    *newest = links.len() as u32;
}

/// The events of those types that are wanted, newest first, of those of each.
pub(super) fn of_types(
    wanted: &Wanted<'_>,
    types: impl IntoIterator<Item = u32>,
    of_type: impl FnMut(u32) -> Vec<Posting>,
) -> Vec<Posting> {
    let mut found: Vec<Posting> = wanted.of_types(types).flat_map(of_type).collect();
    found.sort_unstable_by_key(|posting| Reverse(posting.lsn));
    found
}

/// Keeps those that come later as well. Both have the newest first.
pub(super) fn retain_common(found: &mut Vec<Posting>, others: impl IntoIterator<Item = Posting>) {
    let mut others = others.into_iter().peekable();
    found.retain(|posting| {
        while others.next_if(|other| other.lsn > posting.lsn).is_some() {}
        others.peek().is_some_and(|other| other.lsn == posting.lsn)
    });
}

/// Terms are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, term: u64) {
        self.0 = term;
    }
}
