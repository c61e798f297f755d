//! Looking whether a condition holds, exactly at the moment of an append, and mostly before it.

use std::{cell::OnceCell, slice};

use super::{
    condition::Condition,
    few::Few,
    keeper::Index,
    noted::Noted,
    query::{Item, Wanted},
    term::Terms,
};
use crate::{
    error::{Result, WalError},
    event::{EventType, MetaRef},
    format::envelope,
    log::{Record, RecordKind, There, Wal},
    lsn::Lsn,
};

/// A [`Condition`] as it is looked at.
pub(super) struct Checks<'c> {
    /// That of the command comes first.
    checks: Few<Check<'c>>,
    end: &'c Option<Option<Lsn>>,
    /// What comes before it has been looked at.
    looked_to: Lsn,
    /// It holds as long as this is the newest record that the index has taken in.
    holds_with: Option<Lsn>,
}

/// No event that is wanted may have come.
struct Check<'c> {
    wanted: Wanted<'c>,
    since: Since,
    /// `None` if it is about the command.
    item: Option<&'c Item>,
    /// Events that have the numbers of the terms, and are not wanted.
    others: Vec<Lsn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// In all that is there.
    Ever,
    /// At this LSN or after it: what comes before has been read.
    Next(Lsn),
    /// After the one at this LSN, which must be wanted.
    Last(Lsn),
}

impl<'c> Checks<'c> {
    /// What is looked for, among events of these types.
    #[inline]
    pub(super) fn of(condition: &'c Condition, known: &'static [EventType], terms: &Terms) -> Result<Self> {
        let mut all = Checks {
            checks: Few::default(),
            end: &condition.end,
            looked_to: Lsn::ZERO,
            holds_with: None,
        };
        if let Some(id) = condition.command {
            all.add(Wanted::command(id, terms), Since::Ever, None);
        }
        for (item, since) in condition.items.iter() {
            all.add(Wanted::of(item, known, terms)?, *since, Some(item));
        }
        Ok(all)
    }

    /// The terms of an event with this metadata, if the condition is about just that: they need not be made again.
    pub(super) fn terms_of(&self, meta: &MetaRef<'_>) -> Option<Few<u64>> {
        let mut all = self.checks.iter();
        all.find_map(|check| check.wanted.terms_of(meta)).cloned()
    }

    #[inline]
    fn add(&mut self, wanted: Wanted<'c>, since: Since, item: Option<&'c Item>) {
        self.checks.push(Check {
            wanted,
            since,
            item,
            others: Vec::new(),
        });
    }

    /// Looks at what is in memory, while others append. `false` if one has to [look](Self::look) further before others wait: there
    /// may be such events, and they came long ago or others would wait for long.
    pub(super) fn glance(&mut self, noted: &Noted) -> bool {
        noted.with_parts(|parts| {
            let has_none = |check: &Check<'_>| {
                let is_about_one = matches!(check.since, Since::Last(_));
                !is_about_one && !parts.may_have(&check.wanted, check.since.from())
            };
            if self.checks.iter().all(has_none) {
                self.looked_to = parts.next();
                let is_ever = |check: &Check<'_>| check.since == Since::Ever;
                let only_what_comes_breaks_it = self.end.is_none() && self.checks.iter().all(is_ever);
                if only_what_comes_breaks_it && parts.are_known() {
                    self.holds_with = Some(noted.newest_taken());
                }
                return true;
            }
            let is_quick =
                |check: &Check<'_>| check.wanted.is_one_term() && check.since.from() >= parts.young_from();
            self.checks.iter().all(is_quick)
        })
    }

    /// Looks at everything that is in the log, while others append.
    pub(super) fn look(&mut self, wal: &Wal, index: &Index) -> Result<()> {
        let (there, next) = (&index.counting.there(), index.noted.next());
        for check in self.checks.iter_mut() {
            check.check_since(wal, there, next)?;
            let from = check.since.from().max(self.looked_to);
            loop {
                // What comes meanwhile is seen when nobody else appends, or the next time.
                let is_one = |lsn| lsn < next && check.counts(lsn, there);
                let found = index.newest(&check.wanted, from, is_one)?;
                if check.holds(found, self.looked_to, there) {
                    break;
                }
                let Some(lsn) = found else {
                    // The index forgets what is dropped from the beginning, and that may have happened a moment ago.
                    let there = index.counting.there();
                    check.check_since(wal, &there, next)?;
                    if !check.holds(None, self.looked_to, &there) {
                        return Err(check.broken(None));
                    }
                    break;
                };
                match read(wal, index, lsn) {
                    Ok(record) if is_wanted(&check.wanted, &record) => {
                        return Err(check.broken_by(lsn, wal, index, there)?);
                    }
                    // If it is not there, it was cut off or dropped a moment ago.
                    Ok(_) | Err(WalError::Truncated { .. } | WalError::NoSuchRecord { .. }) => {
                        check.others.push(lsn);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        self.looked_to = next;
        Ok(())
    }

    /// Whether the condition holds, with nobody else appending; `false` if it may not, and one has to
    /// [look](Self::look).
    pub(super) fn hold(&self, wal: &Wal, index: &Index) -> Result<bool> {
        if self.holds_with == Some(index.noted.newest_taken()) {
            return Ok(true);
        }
        let there = OnceCell::new();
        let there = || there.get_or_init(|| index.counting.there());
        let (holds, last) = index.noted.with_parts(|parts| {
            parts.check(|lsn| there().has(lsn))?;
            for check in self.checks.iter() {
                if check.since != Since::Ever {
                    check.check_since(wal, there(), parts.next())?;
                }
                let from = check.since.from().max(self.looked_to);
                if from < parts.young_from() {
                    return Ok((false, None));
                }
                let found = parts.newest_young(&check.wanted, from, |lsn| check.counts(lsn, there()));
                let is_plain = found.is_none() && check.since == Since::Ever;
                if !is_plain && !check.holds(found, self.looked_to, there()) {
                    return Ok((false, None));
                }
            }
            Ok::<_, WalError>((true, parts.last()))
        })?;
        if holds && let Some(expected) = *self.end {
            let last = match last.filter(|last| there().has(*last)) {
                Some(last) => Some(last),
                // It was cut off, or the index has seen none yet. All can be read, and nothing comes meanwhile.
                None => {
                    let last = wal.last_lsn()?;
                    index.noted.set_last(last);
                    last
                }
            };
            check_end(expected, last)?;
        }
        Ok(holds)
    }
}

fn check_end(expected: Option<Lsn>, last: Option<Lsn>) -> Result<()> {
    let what = match (expected, last) {
        (expected, last) if expected == last => return Ok(()),
        (None, _) => "the log is not empty".to_owned(),
        (Some(expected), None) => format!("the log is empty and has no record at LSN {expected}"),
        (Some(expected), Some(last)) => {
            format!("the log ends with the record at LSN {last} and not with that at LSN {expected}")
        }
    };
    Err(WalError::Conflict { lsn: last, what })
}

impl Since {
    fn from(self) -> Lsn {
        match self {
            Since::Ever => Lsn::ZERO,
            Since::Next(lsn) | Since::Last(lsn) => lsn,
        }
    }
}

impl Check<'_> {
    fn counts(&self, lsn: Lsn, there: &There) -> bool {
        there.has(lsn) && !self.others.contains(&lsn)
    }

    /// That the log has everything from there on, as it was when that LSN was seen.
    fn check_since(&self, wal: &Wal, there: &There, next: Lsn) -> Result<()> {
        match self.since {
            Since::Ever => Ok(()),
            Since::Next(since) => {
                there.check_kept(since)?;
                if since > next {
                    wal.check_end(since)?;
                }
                match there.without_cuts(since) == since {
                    true => Ok(()),
                    false => wal.check_followed(since),
                }
            }
            Since::Last(last) if there.is_cut(last) => Err(self.broken(None)),
            Since::Last(last) => there.check_kept(Lsn::new(last.get().saturating_add(1))),
        }
    }

    /// Whether it holds, if this is the newest wanted event of those that have not been looked at.
    fn holds(&self, found: Option<Lsn>, looked_to: Lsn, there: &There) -> bool {
        match (found, self.since) {
            (None, Since::Last(last)) => last < looked_to || there.is_dropped(last),
            (None, _) => true,
            (Some(lsn), since) => since == Since::Last(lsn),
        }
    }

    /// What to say if it does not hold because of the event at `lsn`, or because there is none.
    fn broken(&self, lsn: Option<Lsn>) -> WalError {
        let Some(item) = self.item else {
            let lsn = lsn.unwrap_or_default();
            return WalError::Duplicate { lsn };
        };
        let what = match (lsn, self.since) {
            (None, Since::Last(last)) => format!("{item} is not at LSN {last}"),
            (None, _) => item.to_string(),
            (Some(lsn), _) => format!("{item} is at LSN {lsn}"),
        };
        WalError::Conflict { lsn, what }
    }

    fn broken_by(&self, lsn: Lsn, wal: &Wal, index: &Index, there: &There) -> Result<WalError> {
        if self.item.is_some() {
            return Ok(self.broken(Some(lsn)));
        }
        // All events of a command have its id.
        let all = index.all(slice::from_ref(&self.wanted), Lsn::ZERO)?;
        let mut all = all.into_iter().filter(|lsn| self.counts(*lsn, there));
        let is_it = |lsn: &Lsn| {
            wal.read(*lsn)
                .is_ok_and(|record| is_wanted(&self.wanted, &record))
        };
        Ok(self.broken(Some(all.find(is_it).unwrap_or(lsn))))
    }
}

/// Reads a record of somebody else's, for a call that has appended nothing.
fn read(wal: &Wal, index: &Index, lsn: Lsn) -> Result<Record> {
    index.drain()?;
    wal.read(lsn)
}

pub(super) fn is_wanted(wanted: &Wanted<'_>, record: &Record) -> bool {
    record.kind() == RecordKind::Typed
        && envelope::parse(record.data()).is_ok_and(|envelope| wanted.is(&envelope))
}
