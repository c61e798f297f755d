//! Events that could not be handled: putting them away, and handing them out again.

use super::{
    Delivery, HandlerError, Poison,
    book::ALL_PARTS,
    handle::{Shared, shortened, with_sources},
    run::{Outcome, is_of_the_log},
};
use crate::{
    error::{ConsumerError, Result, TypedError, WalError},
    event::{
        WalDecodeOwned,
        codec::Codec,
        replay::{Event, Replay},
    },
    format::consumer::Letter,
    log::{Start, Tail, now_us},
    lsn::Lsn,
    position::Position,
    sync::Ordering,
};

/// More keys are not parked.
const MAX_PARKED: usize = 1000;

/// How handing out what waits with a key has ended.
enum Retried {
    All,
    /// Something else has to be done first.
    Called,
    /// After so many attempts.
    Failed(u32, HandlerError),
}

impl<E: WalDecodeOwned, C: Codec> Shared<E, C> {
    /// Does with an event that could not be handled what the settings say. `after` is the place after it, if all before it
    /// was done.
    pub(super) fn put_away(
        &self,
        event: &Event<E>,
        attempts: u32,
        error: HandlerError,
        moves: u64,
        after: Option<Position>,
    ) -> Result<()> {
        let key = match self.config.poison {
            Poison::Park => Some(self.config.key_of(event)),
            _ => None,
        };
        self.put_away_at((event.lsn, event.part), key, attempts, error, moves, after)
    }

    pub(super) fn put_away_unread(
        &self,
        lsn: Lsn,
        error: TypedError,
        moves: u64,
        after: impl FnOnce() -> Result<Position>,
    ) -> Result<()> {
        if self.book.lock().was_skipped((lsn, 0)) {
            return Ok(());
        }
        let key = match self.config.poison {
            Poison::Park => self.key_of_unread(lsn)?,
            _ => None,
        };
        if let Some(key) = &key
            && self.book.lock().withholds(key, (lsn, 0))
        {
            return Ok(());
        }
        self.put_away_at((lsn, 0), key, 0, Box::new(error), moves, Some(after()?))
    }

    /// The key of a record that cannot be read, where that is its stream.
    fn key_of_unread(&self, lsn: Lsn) -> Result<Option<String>> {
        if self.config.key.is_some() {
            return Ok(None);
        }
        let record = self.log.wal().read(lsn)?;
        let meta = record.meta().ok();
        Ok(meta.and_then(|meta| meta.stream().map(|stream| stream.to_string())))
    }

    /// Whether a record that cannot be read waits with a key.
    fn is_unread_of(&self, lsn: Lsn, key: &str) -> Result<bool> {
        let is_of_key = self.key_of_unread(lsn)?.is_some_and(|of| of == key);
        Ok(is_of_key && !self.book.lock().was_skipped((lsn, 0)))
    }

    fn put_away_at(
        &self,
        (lsn, part): (Lsn, u32),
        key: Option<String>,
        attempts: u32,
        error: HandlerError,
        moves: u64,
        after: Option<Position>,
    ) -> Result<()> {
        if self.is_skipped((lsn, part)) {
            // By hand, while it was tried.
            return after.map_or(Ok(()), |after| self.note_place(after, moves));
        }
        if after.is_some() {
            self.note_place(self.place_of((lsn, part))?, moves)?;
        }
        let error = match self.stops_at(lsn, key.as_deref(), attempts, error) {
            Ok(stopped) => return Err(stopped.into()),
            Err(error) => error,
        };
        let is_parked = self.config.poison == Poison::Park;
        self.make_emitted_durable()?;
        let letter = Letter {
            lsn: lsn.get(),
            // All of a record that cannot be read is passed over.
            part: if attempts == 0 && !is_parked {
                ALL_PARTS
            } else {
                part
            },
            attempts,
            time_us: now_us().cast_signed(),
            is_due: false,
            key: key.unwrap_or_default(),
            error: shortened(&with_sources(&*error)),
        };
        let at = (lsn, part);
        self.change(|book| {
            if book.moves != moves {
                // It is met again, or left out.
                return;
            }
            match is_parked {
                // By hand, while it was tried.
                _ if book.was_skipped(at) => {}
                true => drop(book.parked.insert(letter.key.clone(), letter)),
                false => book.skip(letter),
            }
            if let Some(after) = after {
                book.cursor = after;
            }
        })
    }

    /// What to say if the consumer stops because of an event; the error otherwise.
    fn stops_at(
        &self,
        lsn: Lsn,
        key: Option<&str>,
        attempts: u32,
        source: HandlerError,
    ) -> Result<ConsumerError, HandlerError> {
        let name = self.consuming.name().to_owned();
        match (self.config.poison, key) {
            (Poison::Skip, _) => Err(source),
            (Poison::Park, Some(_)) if self.book.lock().parked.len() < MAX_PARKED => Err(source),
            (Poison::Park, Some(_)) => Ok(ConsumerError::TooManyParked {
                name,
                lsn,
                max: MAX_PARKED,
                source,
            }),
            (Poison::Stop | Poison::Park, _) => Ok(ConsumerError::Stopped {
                name,
                lsn,
                attempts,
                source,
            }),
        }
    }

    /// Hands out what waits with a key, up to where the consumer is.
    pub(super) fn retry_key<H>(&self, letter: &Letter, handler: &mut H) -> Result<()>
    where
        H: FnMut(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError>,
    {
        let (place, moves) = {
            let book = self.book.lock();
            ((book.cursor.lsn(), book.cursor.part()), book.moves)
        };
        let mut first = (Lsn::new(letter.lsn), letter.part);
        let events = match self.log.tail(first.0) {
            // It was passed over, and what is left of its key is wanted.
            Err(WalError::Truncated { .. }) if self.book.lock().was_skipped(first) => {
                self.log.tail(Start::Head)
            }
            Err(error @ WalError::Truncated { .. }) => {
                return self.keep_parked(letter, first, Some((0, error.into())), moves);
            }
            events => events,
        };
        let mut events = self.configured(events?);
        let retried = self.retry_events(&mut events, place, &letter.key, &mut first, handler)?;
        self.make_emitted_durable()?;
        match retried {
            Retried::Failed(attempts, error) => {
                self.keep_parked(letter, first, Some((attempts, error)), moves)
            }
            Retried::Called => self.keep_parked(letter, first, None, moves),
            Retried::All => self.change(|book| {
                if book.moves == moves {
                    book.parked.remove(&letter.key);
                }
            }),
        }
    }

    /// Hands out the events of a key before `place`, from `first` on, which is moved along.
    fn retry_events<H>(
        &self,
        events: &mut Replay<E, C, Tail>,
        place: (Lsn, u32),
        key: &str,
        first: &mut (Lsn, u32),
        handler: &mut H,
    ) -> Result<Retried>
    where
        H: FnMut(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError>,
    {
        loop {
            let event = match events.try_next() {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(Retried::All),
                Err(WalError::Typed(error)) if !is_of_the_log(&error) => {
                    let unread = events.pass_over().filter(|lsn| (*lsn, 0) < place);
                    let Some(lsn) = unread else {
                        return Ok(Retried::All);
                    };
                    if self.is_unread_of(lsn, key)? {
                        *first = (lsn, 0);
                        return Ok(Retried::Failed(0, error.into()));
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            let at = (event.lsn, event.part);
            if at >= place {
                return Ok(Retried::All);
            }
            let is_of_key = at >= *first && self.config.key_of(&event) == key;
            if !is_of_key || self.book.lock().was_skipped(at) {
                continue;
            }
            *first = at;
            match self.try_out(&event, 0, handler, &|| Ok(()))? {
                Outcome::Done | Outcome::Waits => *first = (event.lsn, event.part + 1),
                Outcome::Called { .. } => return Ok(Retried::Called),
                Outcome::Failed { attempts, error } => return Ok(Retried::Failed(attempts, error)),
            }
            if self.is_called.load(Ordering::SeqCst) {
                return Ok(Retried::Called);
            }
        }
    }

    /// A key waits on, from `first` on: because of an error, or because the run was called meanwhile.
    fn keep_parked(
        &self,
        letter: &Letter,
        first: (Lsn, u32),
        failed: Option<(u32, HandlerError)>,
        moves: u64,
    ) -> Result<()> {
        self.change(|book| {
            // By hand, while it was tried.
            let was_skipped = book.was_skipped(first);
            let waiting = book.parked.get_mut(&letter.key).filter(|_| book.moves == moves);
            if let Some(waiting) = waiting {
                (waiting.lsn, waiting.part) = (first.0.get(), first.1);
                if let Some((attempts, error)) = failed {
                    waiting.is_due = was_skipped;
                    waiting.attempts = waiting.attempts.saturating_add(attempts);
                    waiting.time_us = now_us().cast_signed();
                    waiting.error = shortened(&with_sources(&*error));
                }
            }
        })
    }
}
