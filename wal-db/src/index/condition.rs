//! What must hold for events to be appended.

use super::{
    check::Since,
    few::Few,
    query::{Item, Query},
};
use crate::{event::meta::StreamKey, lsn::Lsn};

/// What must hold at the moment at which events are appended: [`Indexed::append_if`](super::Indexed::append_if). Everything
/// that is asked for must; with nothing asked for, it always does.
///
/// ```
/// # use wal_db::{Lsn, index::{Condition, Item}};
/// # let seen = Lsn::ZERO;
/// let name_is_free = Condition::new().never(Item::of(["user.registered"]).tag("name:ann"));
/// let as_i_saw_it = Condition::new().unchanged(Item::any().tag("course:7"), seen).command([7; 16]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Condition {
    pub(super) items: Few<(Item, Since)>,
    pub(super) end: Option<Option<Lsn>>,
    pub(super) command: Option<[u8; 16]>,
}

impl Condition {
    /// Always holds.
    pub fn new() -> Self {
        Condition::default()
    }

    /// No event of the query is at `next` or after it, so a program that has read up to there has read all of them. `next` is what
    /// [`Replay::next_lsn`](crate::Replay::next_lsn) of a [selection](super::Indexed::select) says. If records from there on
    /// were dropped from the beginning of the log, that cannot be told, and is [`Truncated`](crate::WalError::Truncated).
    pub fn unchanged(self, query: impl Into<Query>, next: Lsn) -> Self {
        self.with(query.into(), Since::Next(next))
    }

    /// None of these events is in the log. Those that were dropped from its beginning do not count.
    pub fn never(self, query: impl Into<Query>) -> Self {
        self.with(query.into(), Since::Ever)
    }

    /// The last event of a stream is the one at `last`; with `None`, there is none in the log. That event may have been dropped
    /// from the beginning of the log. If a record after it was dropped as well, the answer is
    /// [`Truncated`](crate::WalError::Truncated).
    pub fn stream<'k>(self, key: impl Into<StreamKey<'k>>, last: impl Into<Option<Lsn>>) -> Self {
        let since = last.into().map_or(Since::Ever, Since::Last);
        self.with(Item::any().stream(key).into(), since)
    }

    fn with(mut self, query: Query, since: Since) -> Self {
        query.into_items().for_each(|item| self.items.push((item, since)));
        self
    }

    /// The last record of the log, event or not, is the one at `last`; with `None`, there is none.
    /// [`Wal::last_lsn`](crate::Wal::last_lsn) says which one it is.
    pub fn end(mut self, last: impl Into<Option<Lsn>>) -> Self {
        self.end = Some(last.into());
        self
    }

    /// The command with this id was not carried out before: no event in the log has it. Those that are appended get it. If
    /// one has it, that is [`Duplicate`](crate::WalError::Duplicate), whatever else is asked for: a command that is tried
    /// again must not meet what it has done itself.
    pub fn command(mut self, id: [u8; 16]) -> Self {
        self.command = Some(id);
        self
    }
}
