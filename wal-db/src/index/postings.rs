//! Where the events of each term are, in memory.

use std::cmp::Reverse;

use super::{query::Wanted, table::Table, term::Terms};
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
    newest: Table,
    /// There are few types.
    types: Vec<(u32, Vec<Lsn>)>,
    len: usize,
}

/// An event of a term.
struct Link {
    lsn: Lsn,
    term: u64,
    type_id: u32,
    /// The place of the one before it of the same term; 0 if it is the first.
    before: u32,
}

/// All events of a type, or of another term.
#[derive(Clone, Copy)]
enum Of {
    Type(u32),
    /// From this place on.
    Term(u32),
}

impl Postings {
    /// Adds an event under its type and its other terms.
    pub(super) fn add_event(&mut self, posting: Posting, terms: impl Iterator<Item = u64>) {
        self.add_of_type(posting);
        terms.for_each(|term| self.add(term, posting));
    }

    /// Adds an event under its type.
    fn add_of_type(&mut self, posting: Posting) {
        let known = self.types.iter().position(|(id, _)| *id == posting.type_id);
        let at = known.unwrap_or_else(|| {
            self.types.push((posting.type_id, Vec::new()));
            self.types.len() - 1
        });
        self.types[at].1.push(posting.lsn);
        self.len += 1;
    }

    /// Adds an event under a term, once.
    fn add(&mut self, term: u64, Posting { lsn, type_id }: Posting) {
        let links = &self.links;
        let newest = self.newest.entry(term, |place| term_at(links, place));
        if link_at(links, *newest).is_some_and(|newest| newest.lsn == lsn) {
            return;
        }
        let link = Link {
            lsn,
            term,
            type_id,
            before: *newest,
        };
        *newest = links.len() as u32 + 1;
        self.links.push(link);
        self.len += 1;
    }

    /// The types of which there are events.
    fn types(&self) -> impl Iterator<Item = u32> {
        let with_events = self.types.iter().filter(|(_, lsns)| !lsns.is_empty());
        with_events.map(|(id, _)| *id)
    }

    /// How many events of terms there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many events of terms it has memory for.
    pub(super) fn capacity(&self) -> usize {
        self.links.capacity()
    }

    /// Makes it empty, with the memory that it has.
    pub(super) fn clear(&mut self) {
        self.links.clear();
        self.newest.clear();
        for (_, lsns) in &mut self.types {
            lsns.clear();
        }
        self.len = 0;
    }

    /// The events of a term, the newest first.
    pub(super) fn newest_first(&self, term: u64) -> impl Iterator<Item = Posting> {
        self.back_from(self.place(term).unwrap_or(0))
    }

    /// The events of a type, the newest first.
    fn newest_of_type(&self, type_id: u32) -> impl Iterator<Item = Posting> {
        let known = self.types.iter().find(|(id, _)| *id == type_id);
        let lsns = known.into_iter().flat_map(|(_, lsns)| lsns.iter().rev());
        lsns.map(move |lsn| Posting { lsn: *lsn, type_id })
    }

    /// The place of the newest event of a term.
    fn place(&self, term: u64) -> Option<u32> {
        self.newest.get(term, |place| term_at(&self.links, place))
    }

    /// `false` if it has no event that has all of these terms.
    pub(super) fn may_have(&self, terms: &[u64]) -> bool {
        terms.iter().all(|term| self.place(*term).is_some())
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
        let mut terms = wanted.terms().iter().copied();
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

    /// The event at a place, and those before it of its term.
    fn back_from(&self, place: u32) -> impl Iterator<Item = Posting> {
        let mut next = place;
        std::iter::from_fn(move || {
            let link = link_at(&self.links, next)?;
            next = link.before;
            Some(Posting {
                lsn: link.lsn,
                type_id: link.type_id,
            })
        })
    }

    /// Puts events to others, the newest first.
    fn put(&self, of: Of, postings: &mut Vec<Posting>) {
        match of {
            Of::Term(place) => postings.extend(self.back_from(place)),
            Of::Type(id) => postings.extend(self.newest_of_type(id)),
        }
    }

    /// All of them, in the order of a run, and how many terms there are.
    pub(super) fn in_order(&self, terms: &Terms) -> (usize, impl Iterator<Item = Entry>) {
        let types = self.types().map(|id| (terms.of_type(id), Of::Type(id)));
        let others = self.newest.places();
        let others = others.map(|place| (term_at(&self.links, place), Of::Term(place)));
        let mut all: Vec<(u64, Of)> = types.chain(others).collect();
        all.sort_unstable_by_key(|(term, _)| *term);
        let (len, mut all) = (all.len(), all.into_iter().peekable());
        // Those of one term, the newest first.
        let (mut term, mut postings) = (0, Vec::new());
        let entries = std::iter::from_fn(move || {
            if postings.is_empty() {
                let (next, of) = all.next()?;
                term = next;
                self.put(of, &mut postings);
                let alone = postings.len();
                // A type can have the number of another term.
                while let Some((_, of)) = all.next_if(|(other, _)| *other == term) {
                    self.put(of, &mut postings);
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

fn link_at(links: &[Link], place: u32) -> Option<&Link> {
    links.get((place as usize).checked_sub(1)?)
}

fn term_at(links: &[Link], place: u32) -> u64 {
    link_at(links, place).map_or(0, |link| link.term)
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
