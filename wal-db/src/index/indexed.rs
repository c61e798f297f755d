//! A log whose events are found by stream, tag and type.

use std::{
    borrow::Borrow,
    fmt,
    ops::{Bound, RangeBounds},
};

use super::{
    check::{Checks, is_wanted},
    condition::Condition,
    few::Few,
    keeper::{Index, IndexStatus, RUN_BYTES},
    postings::Posting,
    query::{Query, Wanted},
    selected::Selected,
};
use crate::{
    error::{Result, TypedError, WalError},
    event::{
        Encoded, EventLog, Replay, WalDecodeOwned,
        codec::{Codec, DefaultCodec},
        meta::{Meta, StreamKey},
        scratch,
    },
    index::Item,
    log::{Alone, Counting, Placed},
    lsn::Lsn,
    sync::Arc,
};

/// A log whose events are found by stream, tag and type: a cheap handle, whose clones share the index.
///
/// All handles of the log share one index as well. It is told of every event that anybody appends, before the append
/// returns, and is made by reading the log when the first handle is.
///
/// While it exists, all appends to the log wait for each other in one short queue, as they do for a
/// [`Store`](crate::state::Store).
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Meta, Wal, WalRecord, index::{Condition, Item}};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
/// #[wal(name = "user")]
/// enum User { Registered { name: String }, Left }
///
/// let log = Wal::with_store(MemStore::new())?.typed::<User>()?.indexed()?;
/// let register = |id: u64, name: &str| {
///     let event = User::Registered { name: name.to_owned() };
///     let meta = Meta::new().with_stream(id).with_tag(&format!("name:{name}"));
///     let free = Condition::new().never(Item::any().tag(format!("name:{name}"))).stream(id, None);
///     log.append_if_and_sync(&[(event, meta)], &free)
/// };
/// register(1, "ann")?;
/// register(2, "bob")?;
/// assert!(register(3, "ann").is_err());
///
/// let bob = log.stream(2)?.next().expect("one")?;
/// assert_eq!(bob.event, User::Registered { name: "bob".into() });
/// # Ok::<(), wal_db::WalError>(())
/// ```
pub struct Indexed<E, C = DefaultCodec> {
    index: Arc<Index>,
    log: EventLog<E, C>,
    others: bool,
}

/// Settings of an index.
///
/// ```
/// let config = wal_db::index::IndexConfig::new().with_run_bytes(16 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it changes nothing by itself"]
pub struct IndexConfig {
    run_bytes: u64,
}

impl IndexConfig {
    /// The defaults.
    pub const fn new() -> Self {
        IndexConfig { run_bytes: RUN_BYTES }
    }

    /// After how many bytes of log, framing included, what the index knows of them is written beside the log; 64 MiB if
    /// nothing is said, and sooner if they have very many events. Indexing the log the next time reads little more than that.
    pub const fn with_run_bytes(mut self, bytes: u64) -> Self {
        self.run_bytes = bytes;
        self
    }
}

impl Default for IndexConfig {
    fn default() -> Self {
        IndexConfig::new()
    }
}

impl<E: WalDecodeOwned, C: Codec> EventLog<E, C> {
    /// Indexes the log: reads what no index has read before, and is told of what comes from there on.
    ///
    /// What it knows is kept in files beside the log, in `state` in its directory or in `LOG.state`. They can be deleted: the
    /// log is read again then, as it is where one of them is damaged or does not fit the log. A store of your own that has no
    /// [side files](crate::WalStore::side_files) has an index in memory.
    ///
    /// # Errors
    /// As [`replay`](Self::replay), but for what is in the events, which is not decoded;
    /// [`ReadOnly`](crate::WalError::ReadOnly), [`NotDurable`](crate::WalError::NotDurable) if the disk is full and
    /// something waits to be written; [`Io`](crate::WalError::Io) if its files cannot be listed or read.
    pub fn indexed(&self) -> Result<Indexed<E, C>> {
        self.indexed_with(IndexConfig::new())
    }

    /// As [`indexed`](Self::indexed), with settings. Those of the first handle count.
    pub fn indexed_with(&self, config: IndexConfig) -> Result<Indexed<E, C>> {
        let index = self
            .wal()
            .shared_index(|wal| Index::open(wal, config.run_bytes))?;
        Ok(Indexed {
            index,
            log: self.clone(),
            others: false,
        })
    }
}

impl<E: WalDecodeOwned, C: Codec> Indexed<E, C> {
    /// The log below. What is appended through it is in the index, too.
    #[must_use]
    pub fn log(&self) -> &EventLog<E, C> {
        &self.log
    }

    /// Whether events of types that `E` does not have are passed over where events are read through this handle and its clones,
    /// as [`Replay::among_others`] does. If not, which is the default, such an event is an error if a query means it.
    #[must_use]
    pub fn with_others(mut self, others: bool) -> Self {
        self.others = others;
        self
    }

    /// The events of a query whose LSNs are in `range`, oldest first; with everything that was appended before the call, and
    /// nothing that comes later. [`Replay::next_lsn`] says up to where they have been looked for.
    ///
    /// Reads the records that the index names, one by one or with what lies between them, whichever is less work. Their LSNs
    /// are kept in memory meanwhile.
    ///
    /// # Errors
    /// As [`EventLog::replay`]; [`NoSuchType`](crate::event::TypedError::NoSuchType) for a name that no type of `E` has.
    pub fn select(
        &self,
        query: impl Into<Query>,
        range: impl RangeBounds<Lsn>,
    ) -> Result<Replay<E, C, Selected>> {
        self.index.counting.check_usable()?;
        let query = query.into();
        let next = self.index.next();
        let wal = self.log.wal();
        // Says what is wrong with the range.
        drop(wal.range((range.start_bound().cloned(), range.end_bound().cloned()))?);
        let from = match range.start_bound() {
            Bound::Included(lsn) => Some(*lsn),
            Bound::Excluded(lsn) => Some(Lsn::new(lsn.get().saturating_add(1))),
            Bound::Unbounded => None,
        };
        let end = match range.end_bound() {
            Bound::Included(lsn) => next.min(Lsn::new(lsn.get().saturating_add(1))),
            Bound::Excluded(lsn) => next.min(*lsn),
            Bound::Unbounded => next,
        };
        self.find(&self.wanted(&query)?, from, end, || wal.drain_to_read())
    }

    /// The events of a query from `from` on, or all, and before `end`, which the index has been told of. If there are any,
    /// `drain` puts them where they can be read.
    pub(crate) fn find(
        &self,
        wanted: &[Wanted<'_>],
        from: Option<Lsn>,
        end: Lsn,
        drain: impl Fn() -> Result<()>,
    ) -> Result<Replay<E, C, Selected>> {
        let wal = self.log.wal();
        self.index.check()?;
        if let Some(from) = from
            && !self.may_have_come(wanted, from)
        {
            self.index.counting.there().check_kept(from)?;
            return Ok(self.shown(Selected::nothing(wal, end)));
        }
        let selected = loop {
            let mut lsns = self.index.all(wanted, from.unwrap_or_default())?;
            let there = self.index.counting.there();
            if let Some(from) = from {
                there.check_kept(from)?;
            }
            lsns.retain(|lsn| *lsn < end && there.has(*lsn));
            if lsns.is_empty() {
                break Selected::nothing(wal, end);
            }
            self.log.check_shapes()?;
            drain()?;
            match Selected::new(wal, wanted, lsns, end) {
                // The beginning was dropped a moment ago.
                Err(WalError::Truncated { .. }) => {}
                selected => break selected?,
            }
        };
        Ok(self.shown(selected))
    }

    fn shown(&self, selected: Selected) -> Replay<E, C, Selected> {
        let events = Replay::new(selected);
        match self.others {
            true => events.among_others(),
            false => events,
        }
    }

    /// `false` if no event of the query is at `from` or after it. It reads nothing.
    fn may_have_come(&self, wanted: &[Wanted<'_>], from: Lsn) -> bool {
        let noted = &self.index.noted;
        noted.with_parts(|parts| wanted.iter().any(|wanted| parts.may_have(wanted, from)))
    }

    /// The events of a stream, oldest first. Fails as [`select`](Self::select).
    pub fn stream<'k>(&self, key: impl Into<StreamKey<'k>>) -> Result<Replay<E, C, Selected>> {
        self.select(Item::any().stream(key), ..)
    }

    /// The LSN of the newest event of a query; `None` if there is none. Reads that record. Fails as
    /// [`select`](Self::select).
    pub fn newest(&self, query: impl Into<Query>) -> Result<Option<Lsn>> {
        let wal = self.log.wal();
        self.index.counting.check_usable()?;
        self.index.check()?;
        let there = self.index.counting.there();
        let (query, mut newest) = (query.into(), None);
        for wanted in self.wanted(&query)? {
            let mut before = Lsn::new(u64::MAX);
            while let Some(lsn) = self
                .index
                .newest(&wanted, Lsn::ZERO, |lsn| lsn < before && there.has(lsn))?
            {
                if Some(lsn) <= newest {
                    break;
                }
                let is_it = match wal.read(lsn) {
                    Ok(record) => is_wanted(&wanted, &record),
                    // It was cut off or dropped a moment ago.
                    Err(WalError::Truncated { .. } | WalError::NoSuchRecord { .. }) => false,
                    Err(error) => return Err(error),
                };
                if is_it {
                    newest = Some(lsn);
                    break;
                }
                before = lsn;
            }
        }
        Ok(newest)
    }

    /// How the index is doing.
    ///
    /// # Errors
    /// [`Closed`](WalError::Closed), [`Poisoned`](WalError::Poisoned) in a child of the process,
    /// [`Reentrant`](WalError::Reentrant).
    pub fn status(&self) -> Result<IndexStatus> {
        self.index.status()
    }

    /// Appends events, all or none, if the condition holds at that moment; returns their LSNs. They survive as an event of
    /// [`EventLog::append`] does.
    ///
    /// Whether it holds is mostly looked at before others have to wait, and then once more at what has come since.
    ///
    /// # Errors
    /// [`Conflict`](WalError::Conflict): the condition does not hold. [`Duplicate`](WalError::Duplicate): the command was
    /// carried out before. What they tell of may not be durable yet. [`CutBack`](WalError::CutBack): the end of the log was
    /// cut off before an LSN of the condition; [`Truncated`](WalError::Truncated): records from there on were dropped;
    /// [`BeyondEnd`](WalError::BeyondEnd): it is after the end of the log.
    /// [`NoSuchType`](crate::event::TypedError::NoSuchType). Nothing was appended then. Otherwise as
    /// [`EventLog::append_batch_with_meta`], and, where it has to read what is there, as [`EventLog::read`].
    pub fn append_if(&self, events: &[(E, Meta)], condition: &Condition) -> Result<Vec<Lsn>> {
        Ok(self.append_where(events, condition)?.0)
    }

    /// As [`append_if`](Self::append_if), and returns once the events survive power loss. A [`Conflict`](WalError::Conflict)
    /// and a [`Duplicate`](WalError::Duplicate) are told once what they rest on does.
    ///
    /// # Errors
    /// As [`append_if`](Self::append_if) and [`EventLog::append_and_sync`].
    pub fn append_if_and_sync(&self, events: &[(E, Meta)], condition: &Condition) -> Result<Vec<Lsn>> {
        let (lsns, placed) = match self.append_where(events, condition) {
            Err(error) => return Err(self.once_durable(error)),
            Ok(appended) => appended,
        };
        if let Some(placed) = placed {
            self.sync_to(&lsns, placed)?;
        }
        Ok(lsns)
    }

    fn append_where(
        &self,
        events: &[(E, Meta)],
        condition: &Condition,
    ) -> Result<(Vec<Lsn>, Option<Placed>)> {
        let noted = &self.index.noted;
        scratch::with(|buffer| {
            let mut checks = Checks::of(condition, E::RECORDS, &noted.terms)?;
            // Others need not wait for that. A condition that does not hold comes before what is wrong with the events.
            let mut terms = Few::default();
            let encoded = match condition.command {
                _ if events.is_empty() => Ok(None),
                None => self.encode(buffer, events, &checks, &mut terms),
                Some(id) => {
                    let with_id = events
                        .iter()
                        .map(|(event, meta)| (event, meta.clone().with_command_id(id)));
                    self.encode(buffer, &with_id.collect::<Vec<_>>(), &checks, &mut terms)
                }
            };
            let mut alone = self.pass_if(&mut checks)?;
            let Some(encoded) = encoded? else {
                return Ok((Vec::new(), None));
            };
            if let Encoded::One(_) = encoded {
                alone.tell_nobody();
            }
            let (lsns, placed) = self.log.append_alone(&mut alone, &encoded, buffer)?;
            if let (Encoded::One(of), [lsn]) = (&encoded, &lsns[..]) {
                let (lsn, type_id) = (*lsn, of.id);
                noted.take_one(Posting { lsn, type_id }, &terms);
            }
            alone.leave(Some(placed))?;
            Ok((lsns, Some(placed)))
        })
    }

    /// Encodes events, of which there is one at least, into an empty buffer. Of one that comes alone, `terms` get its terms.
    fn encode<B: Borrow<E>>(
        &self,
        buffer: &mut Vec<u8>,
        events: &[(B, Meta)],
        checks: &Checks<'_>,
        terms: &mut Few<u64>,
    ) -> Result<Option<Encoded>, TypedError> {
        let Index { counting, noted, .. } = &*self.index;
        if let [(_, meta)] = events {
            let meta = meta.view();
            let known = checks.terms_of(&meta);
            *terms = known.unwrap_or_else(|| noted.terms.of_entries(&meta).collect());
        }
        counting.in_closure(|| self.log.encode(buffer, events)).map(Some)
    }

    /// Waits until nobody else appends, if the condition holds then.
    fn pass_if(&self, checks: &mut Checks<'_>) -> Result<Alone<'_>> {
        let Index { counting, noted, .. } = &*self.index;
        let wal = self.log.wal();
        counting.check_usable()?;
        if !checks.glance(noted) {
            checks.look(wal, &self.index)?;
        }
        loop {
            let alone = counting.pass().map_err(WalError::of_nothing_taken)?;
            counting.check_not_failed()?;
            if checks.hold(wal, &self.index)? {
                return Ok(alone);
            }
            drop(alone);
            checks.look(wal, &self.index)?;
        }
    }

    /// Returns once what was appended survives power loss.
    fn sync_to(&self, lsns: &[Lsn], placed: Placed) -> Result<()> {
        let durable = self.index.counting.sync_to(placed.end());
        durable.map_err(|error| match lsns.last() {
            Some(last) => error.about(*last),
            None => error,
        })
    }

    /// What tells the index of a log from those of others, while it is there.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.index).addr()
    }

    pub(crate) fn counting(&self) -> &Counting {
        &self.index.counting
    }

    /// Puts what was appended where it can be read, for a call that has appended nothing.
    pub(crate) fn drain(&self) -> Result<()> {
        self.index.drain()
    }

    /// The LSN from which on events have not been told of.
    pub(crate) fn next(&self) -> Lsn {
        self.index.next()
    }

    /// That a condition holds, as far as that can be told while others append.
    pub(crate) fn look(&self, condition: &Condition) -> Result<()> {
        let mut checks = Checks::of(condition, E::RECORDS, &self.index.noted.terms)?;
        checks.look(self.log.wal(), &self.index)
    }

    /// Waits until what a refusal tells of is durable; what to say then.
    pub(crate) fn once_durable(&self, refusal: WalError) -> WalError {
        let counting = &self.index.counting;
        let lsn = match &refusal {
            WalError::Conflict { lsn: Some(lsn), .. } | WalError::Duplicate { lsn, .. } => *lsn,
            _ => return refusal,
        };
        let durable = counting
            .durable_target(lsn)
            .and_then(|target| counting.sync_to(target));
        match durable {
            Ok(()) => refusal,
            Err(error) => error.about_none(),
        }
    }

    /// Whether an event of the queries, or of the command, may have come at `next` or after it; asked with nobody else
    /// appending.
    pub(crate) fn has_come(
        &self,
        queries: &[Vec<Wanted<'_>>],
        command: Option<[u8; 16]>,
        next: Lsn,
    ) -> Result<bool> {
        let Index { counting, noted, .. } = &*self.index;
        self.log.wal().check_followed(next)?;
        let there = counting.there();
        there.check_kept(next)?;
        let command = command.map(|id| Wanted::command(id, &noted.terms));
        noted.with_parts(|parts| {
            parts.check(|lsn| there.has(lsn))?;
            let has_come =
                |wanted: &Wanted<'_>| parts.newest_young(wanted, next, |lsn| there.has(lsn)).is_some();
            let is_young = next >= there.without_cuts(parts.young_from());
            Ok(!is_young || queries.iter().flatten().chain(&command).any(has_come))
        })
    }

    /// The items of a query, as they are looked for.
    pub(crate) fn wanted<'q>(&self, query: &'q Query) -> Result<Vec<Wanted<'q>>> {
        let terms = &self.index.noted.terms;
        let items = query.items();
        items.map(|item| Wanted::of(item, E::RECORDS, terms)).collect()
    }
}

impl<E, C> Replay<E, C, Selected> {
    /// The LSN up to which events have been looked for: every event of the query that is in the range and not among these has
    /// this LSN or a later one. [`Condition::unchanged`] takes it.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.source().next()
    }
}

impl<E, C> Clone for Indexed<E, C> {
    fn clone(&self) -> Self {
        Indexed {
            index: self.index.clone(),
            log: self.log.clone(),
            others: self.others,
        }
    }
}

impl<E, C> fmt::Debug for Indexed<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexed").finish_non_exhaustive()
    }
}
