//! Folding a log into a state.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{At, Snapshot, State};
use crate::{
    error::{Result, WalError},
    event::{EventLog, Replay, WalDecodeOwned, codec::Codec, replay::Event},
    log::{Folding, panic_text},
    lsn::Lsn,
};

/// A state made from a log; see [`EventLog::rebuild`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rebuilt<S> {
    /// The state after the last event.
    pub state: S,
    /// The LSN to continue from: every event that is not in the state has this LSN or a later one.
    pub next: Lsn,
    /// How many events the state was made from.
    pub events: u64,
    /// The latest time that the metadata of an event in the state gives, in microseconds since 1970-01-01 00:00 UTC.
    pub time_us: Option<i64>,
    /// The LSN of the last event in the state.
    pub last: Option<Lsn>,
    /// How many parts of the record at `next` are in the state: 0 but in the middle of an event that was split.
    parts: u32,
    pub(super) log: [u8; 16],
}

impl<E: WalDecodeOwned, C: Codec> EventLog<E, C> {
    /// Folds the whole log into a new state.
    ///
    /// # Errors
    /// [`Truncated`](crate::WalError::Truncated) if records were dropped from the beginning of the log: a fold of the
    /// rest would be another state. The first record that cannot be read or is not an event of `E`, as in [`Replay`].
    /// [`ApplyPanicked`](crate::WalError::ApplyPanicked) if the state panics, and
    /// [`NotDurable`](crate::WalError::NotDurable) if the disk is full and something waits to be written. There is no partial
    /// state then.
    pub fn rebuild<S>(&self) -> Result<Rebuilt<S>>
    where
        S: State<Event = E> + Default,
    {
        // An iterator shows what is in the store, and ends there if the disk is full.
        self.wal().drain_to_read()?;
        let mut rebuilt = Rebuilt::empty(self, S::default())?;
        rebuilt.apply_all(self.replay(..)?, None)?;
        Ok(rebuilt)
    }
}

impl<S: State> Rebuilt<S> {
    /// Takes in an event that is appended nowhere, to see what would be. It is as if it had been read from the log at
    /// [`next`](Self::next), without metadata.
    ///
    /// # Errors
    /// [`ApplyPanicked`](crate::WalError::ApplyPanicked).
    pub fn suppose(&mut self, event: S::Event) -> Result<()> {
        self.apply(event, At::replayed(self.next), 1, None)
    }

    /// A state before any event of a log of which nothing was dropped.
    pub(crate) fn empty<C: Codec>(log: &EventLog<S::Event, C>, state: S) -> Result<Self> {
        let status = log.wal().status();
        if status.head_ordinal > 0 {
            return Err(WalError::Truncated {
                lsn: Lsn::ZERO,
                head: status.head,
            });
        }
        Ok(Rebuilt::before_any_event(log.wal().log_id(), state))
    }

    pub(super) fn before_any_event(log: [u8; 16], state: S) -> Self {
        Rebuilt {
            state,
            next: Lsn::ZERO,
            events: 0,
            time_us: None,
            last: None,
            parts: 0,
            log,
        }
    }

    /// A state that was in a snapshot.
    pub(super) fn of_snapshot<C: Codec>(log: &EventLog<S::Event, C>, state: S, snapshot: &Snapshot) -> Self {
        Rebuilt {
            state,
            next: snapshot.next,
            events: snapshot.events,
            time_us: snapshot.time_us,
            last: snapshot.last,
            parts: 0,
            log: log.wal().log_id(),
        }
    }

    /// Where the last event in it ends at the latest.
    pub(super) fn read_to(&self) -> Lsn {
        self.last.map_or(Lsn::ZERO, |last| Lsn::new(last.get() + 1))
    }

    /// There is no event in the records up to this one that it does not have.
    pub(super) fn has_read(&mut self, record: Option<Lsn>) {
        if let Some(record) = record {
            self.has_all_before(Lsn::new(record.get() + 1));
        }
    }

    /// There is no event before this LSN that it does not have.
    pub(super) fn has_all_before(&mut self, next: Lsn) {
        if self.parts == 0 {
            self.next = self.next.max(next);
        }
    }

    /// Takes in events that are read from the log, in a closure of it if it is counted.
    pub(crate) fn apply_all(
        &mut self,
        events: impl IntoIterator<Item = Result<Event<S::Event>>>,
        folding: Option<&Folding>,
    ) -> Result<()> {
        for event in events {
            let event = event?;
            if (event.lsn, event.part) < (self.next, self.parts) {
                continue;
            }
            let at = At::of_record(event.lsn, &event.meta, event.part, self.log);
            self.apply(event.event, at, event.parts, folding)?;
        }
        Ok(())
    }

    /// Takes in one of the `of` events that a record is. An error is a panic of the state, which is not the fold of the log
    /// any more.
    pub(super) fn apply(
        &mut self,
        event: S::Event,
        at: At<'_>,
        of: u32,
        folding: Option<&Folding>,
    ) -> Result<()> {
        let at = At { log: self.log, ..at };
        let parts = at.part + 1;
        (self.next, self.parts) = match parts < of {
            true => (at.lsn, parts),
            false => (Lsn::new(at.lsn.get() + 1), 0),
        };
        self.events += 1;
        self.last = Some(at.lsn);
        self.time_us = self.time_us.max(at.time_us());
        let applied = catch_unwind(AssertUnwindSafe(|| match folding {
            Some(folding) => folding.in_closure(|| self.state.apply(event, at)),
            None => self.state.apply(event, at),
        }));
        applied.map_err(|panic| WalError::ApplyPanicked {
            lsn: at.lsn,
            replaying: at.replaying,
            message: panic_text(panic),
        })
    }
}

/// The events from `from` on, and before `to`. If they do not go on from what is before that any more, because the end of the
/// log was cut off meanwhile, that is `CutBack`.
pub(super) fn replay_after<E: WalDecodeOwned, C: Codec>(
    log: &EventLog<E, C>,
    from: Lsn,
    to: Lsn,
    others: bool,
) -> Result<Replay<E, C>> {
    let events = log.replay(from..to.max(from))?;
    // A cut that comes now is the iterator's to say.
    log.wal().check_followed(from)?;
    Ok(among(events, others))
}

/// Passes over records of other types, if there may be `others`.
pub(super) fn among<E, C, R>(events: Replay<E, C, R>, others: bool) -> Replay<E, C, R> {
    match others {
        true => events.among_others(),
        false => events,
    }
}
