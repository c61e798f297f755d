//! What may be asked of an index, and whether an answer was right.
//!
//! An event has its place in the log: what comes before it is what its condition was about. Of that, what was cut off had
//! gone unless the event was cut off as well: a cut takes all that comes after a place, and what comes later lies after
//! the cut. What is dropped from the beginning goes at a moment that has no place in the log, so it may have been there.

use wal_db::{
    Lsn, Meta,
    event::MetaRef,
    index::{Condition, Item},
};

use super::oracle::{Fact, Fate, Notes, bits};

pub(crate) const COMMAND_ID: [u8; 16] = *b"once and no more";

/// What an event can be found by. Those that are asked for must all be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Labels(u8);

/// What must hold for events to be appended.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Never(Labels),
    Unchanged(Labels, Lsn),
    /// The last event of the stream.
    Stream(Option<Lsn>),
    /// The last record of the log.
    End(Option<Lsn>),
    /// The command was not carried out before.
    Command,
    /// These events are all that there are.
    Only(Labels, Vec<u64>),
}

#[derive(Debug)]
pub(crate) enum Answer {
    /// It held, and events were appended; the first one.
    Appended(usize),
    /// It did not hold, because of this record.
    Refused(Option<Lsn>),
    /// These events were there at one moment.
    Saw,
    /// That is the newest of those that there must never have been.
    Newest(Option<Lsn>),
}

/// An answer of an index.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) asked: Vec<Asked>,
    pub(crate) answer: Answer,
    pub(crate) begun: Begun,
    /// So many moves of the head had begun when it was told.
    pub(crate) heads: usize,
}

/// What had happened when somebody asked.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) appended: u64,
    pub(crate) cut_done: bool,
    pub(crate) heads_done: usize,
}

impl Asked {
    fn seen(&self) -> u64 {
        match self {
            Asked::Only(_, ids) => ids.iter().fold(0, |mask, id| mask | 1 << id),
            _ => 0,
        }
    }
}

impl Labels {
    pub(crate) const NONE: Labels = Labels(0);
    /// Of the type `first`.
    pub(crate) const FIRST: Labels = Labels(1);
    /// With the tag `a`.
    pub(crate) const A: Labels = Labels(2);
    /// With the tag `b`.
    pub(crate) const B: Labels = Labels(4);
    /// In the stream `s`.
    pub(crate) const S: Labels = Labels(8);
    /// Of the command.
    pub(crate) const COMMAND: Labels = Labels(16);

    pub(crate) const fn and(self, other: Labels) -> Labels {
        Labels(self.0 | other.0)
    }

    pub(crate) fn has(self, all: Labels) -> bool {
        self.0 & all.0 == all.0
    }

    /// Those of an event.
    pub(crate) fn of(meta: &MetaRef<'_>) -> Labels {
        let has_tag = |tag| meta.tags().any(|own| own == tag);
        let labels = [
            (true, Labels::FIRST),
            (has_tag("a"), Labels::A),
            (has_tag("b"), Labels::B),
            (meta.stream() == Some("s".into()), Labels::S),
            (meta.command_id() == Some(COMMAND_ID), Labels::COMMAND),
        ];
        let own = labels.iter().filter(|(is_there, _)| *is_there);
        own.fold(Labels::NONE, |all, (_, label)| all.and(*label))
    }

    /// What an event with these is appended with; the command is the condition's.
    pub(crate) fn meta(self) -> Meta {
        let mut meta = Meta::new();
        for (label, tag) in [(Labels::A, "a"), (Labels::B, "b")] {
            if self.has(label) {
                meta = meta.with_tag(tag);
            }
        }
        match self.has(Labels::S) {
            true => meta.with_stream("s"),
            false => meta,
        }
    }

    pub(crate) fn item(self) -> Item {
        let mut item = match self.has(Labels::FIRST) {
            true => Item::of(["first"]),
            false => Item::any(),
        };
        for (label, tag) in [(Labels::A, "a"), (Labels::B, "b")] {
            if self.has(label) {
                item = item.tag(tag);
            }
        }
        match self.has(Labels::S) {
            true => item.stream("s"),
            false => item,
        }
    }
}

pub(crate) fn condition(asked: &[Asked]) -> Condition {
    asked
        .iter()
        .fold(Condition::new(), |condition, asked| match asked {
            Asked::Never(labels) => condition.never(labels.item()),
            Asked::Unchanged(labels, next) => condition.unchanged(labels.item(), *next),
            Asked::Stream(last) => condition.stream("s", *last),
            Asked::End(last) => condition.end(*last),
            Asked::Command => condition.command(COMMAND_ID),
            Asked::Only(..) => condition,
        })
}

/// What there was before an event.
struct Before<'n> {
    notes: &'n Notes,
    /// Bits of what was there, whether or not it was dropped by then.
    there: u64,
    /// Of these, what nobody had set out to drop.
    kept: u64,
}

impl Notes {
    fn removed(&self) -> u64 {
        self.cut.as_ref().map_or(0, |cut| cut.removed)
    }

    pub(crate) fn begun(&self) -> Begun {
        Begun {
            appended: self.mask(|fact| fact.lsn.is_some()),
            cut_done: self.cut_done,
            heads_done: self.heads.iter().take_while(|head| head.done).count(),
        }
    }

    /// Where the log began at the latest after so many moves of its head.
    fn head(&self, moves: usize) -> Lsn {
        let heads = self.heads[..moves].iter().map(|head| head.lsn);
        heads.max().unwrap_or(Lsn::ZERO)
    }

    fn before(&self, id: usize, lsn: Lsn, heads: usize) -> Before<'_> {
        let gone = match self.removed() & 1 << id {
            0 => self.removed(),
            _ => 0,
        };
        let there = self.mask(|fact| fact.lsn.is_some_and(|other| other < lsn)) & !gone;
        let head = self.head(heads);
        let kept = there & self.mask(|fact| fact.lsn.is_some_and(|lsn| lsn >= head));
        Before {
            notes: self,
            there,
            kept,
        }
    }

    pub(crate) fn check_told(&self, told: &Told) {
        let wrong = match &told.answer {
            Answer::Appended(first) => self.facts[*first].lsn.and_then(|lsn| {
                let before = self.before(*first, lsn, told.heads);
                let broken = told.asked.iter().find(|asked| !before.holds(asked))?;
                Some(format!("{broken:?} did not hold before {first}"))
            }),
            Answer::Refused(lsn) => {
                let is_broken_by = |asked: &&Asked| self.is_broken_by(asked, *lsn, told);
                let broken = told.asked.iter().any(|asked| is_broken_by(&asked));
                (!broken).then(|| format!("nothing breaks it at {lsn:?}"))
            }
            Answer::Saw => self.what_was_not_seen(told),
            Answer::Newest(lsn) => told.asked.iter().find_map(|asked| match asked {
                Asked::Never(labels) => self.what_is_newer(*labels, *lsn, told),
                _ => None,
            }),
        };
        if let Some(wrong) = wrong {
            let facts: Vec<_> = self.facts.iter().map(Fact::describe).collect();
            panic!("{wrong}: {told:?}, {:?}\n{facts:#?}", self.cut);
        }
    }

    /// Whether a record is one that was there at some time after somebody asked.
    fn was_there(&self, lsn: Lsn, labels: Labels, begun: &Begun) -> bool {
        let gone = if begun.cut_done { self.removed() } else { 0 };
        let of = |at: Option<Lsn>| self.mask(|fact| fact.lsn == at && fact.labels.has(labels));
        let in_doubt = of(None) & self.mask(|fact| fact.fate == Fate::InDoubt);
        let found = of(Some(lsn)) & !gone;
        found | in_doubt != 0 && lsn >= self.head(begun.heads_done)
    }

    fn is_broken_by(&self, asked: &Asked, lsn: Option<Lsn>, Told { begun, .. }: &Told) -> bool {
        let was_there = |labels| lsn.is_some_and(|lsn| self.was_there(lsn, labels, begun));
        match asked {
            Asked::Never(labels) => was_there(*labels),
            Asked::Unchanged(labels, next) => lsn >= Some(*next) && was_there(*labels),
            Asked::Stream(None) => was_there(Labels::S),
            Asked::Stream(last) if lsn.is_none() => {
                let last = self.mask(|fact| fact.lsn == *last && fact.labels.has(Labels::S));
                last & !self.removed() == 0
            }
            Asked::Stream(last) => lsn != *last && was_there(Labels::S),
            Asked::End(None) => was_there(Labels::NONE),
            // All may have been cut off or dropped.
            Asked::End(last) => lsn != *last && (lsn.is_none() || was_there(Labels::NONE)),
            Asked::Command => was_there(Labels::COMMAND),
            Asked::Only(..) => false,
        }
    }

    /// A cut removes all at once: who has seen some of what it removed has seen all of it.
    fn what_was_not_seen(&self, Told { asked, begun, .. }: &Told) -> Option<String> {
        let seen = asked.iter().fold(0, |mask, asked| mask | asked.seen());
        let missed = asked.iter().fold(0, |missed, asked| match asked {
            Asked::Only(labels, _) => missed | self.mask(|fact| fact.labels.has(*labels)) & !asked.seen(),
            _ => missed,
        });
        let missed = missed & begun.appended & self.removed();
        let is_half = seen & self.removed() != 0 && missed != 0;
        is_half.then(|| format!("{:?} were seen, and {:?} not", bits(seen), bits(missed)))
    }

    fn what_is_newer(&self, labels: Labels, lsn: Option<Lsn>, told: &Told) -> Option<String> {
        let Told { begun, heads, .. } = told;
        if lsn.is_some_and(|lsn| !self.was_there(lsn, labels, begun)) {
            return Some(format!("{lsn:?} is not there"));
        }
        let head = self.head(*heads);
        let is_newer = |fact: &Fact| fact.labels.has(labels) && fact.lsn > lsn && fact.lsn >= Some(head);
        let newer = self.mask(is_newer) & begun.appended & !self.removed();
        (newer != 0).then(|| format!("{:?} were newer", bits(newer)))
    }
}

impl Before<'_> {
    fn of(&self, labels: Labels) -> u64 {
        self.there & self.notes.mask(|fact| fact.labels.has(labels))
    }

    fn is_dropped(&self, lsn: Option<Lsn>) -> bool {
        self.there & !self.kept & self.notes.mask(|fact| fact.lsn == lsn) != 0
    }

    fn newest_of(&self, labels: Labels) -> Option<Lsn> {
        let of = bits(self.of(labels)).into_iter();
        of.filter_map(|id| self.notes.facts[id].lsn).max()
    }

    fn holds(&self, asked: &Asked) -> bool {
        let never = |labels| self.of(labels) & self.kept == 0;
        match asked {
            Asked::Never(labels) => never(*labels),
            // If they had been dropped, that would not be known.
            Asked::Unchanged(labels, next) => self.newest_of(*labels) < Some(*next),
            Asked::Stream(None) => never(Labels::S),
            // Of one that was dropped nobody knows whose it was.
            Asked::Stream(last) if self.is_dropped(*last) => self.newest_of(Labels::S) <= *last,
            Asked::Stream(last) => self.newest_of(Labels::S) == *last,
            Asked::End(None) => never(Labels::NONE),
            Asked::End(last) => self.newest_of(Labels::NONE) == *last,
            Asked::Command => never(Labels::COMMAND),
            Asked::Only(labels, _) => {
                let seen = asked.seen();
                let all = self.of(*labels);
                seen & !all == 0 && all & self.kept & !seen == 0
            }
        }
    }
}
