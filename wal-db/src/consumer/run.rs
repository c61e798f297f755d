//! Handing events out, one after another.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::{
    Consumer, Delivery, HandlerError,
    handle::{Shared, with_sources},
};
use crate::{
    error::{ConsumerError, Result, TypedError, WalError},
    event::{
        WalDecodeOwned,
        codec::Codec,
        meta::Meta,
        replay::{Event, Replay},
    },
    format::{consumer::Letter, envelope::Consumed},
    log::{Tail, panic_text},
    lsn::Lsn,
    position::Position,
    sync::{Deadline, Ordering},
};

/// How often it is noted where the consumer is, while there is more to be handed out.
const NOTED_EVERY: Duration = Duration::from_millis(1);

/// What came of handing an event out.
pub(super) enum Outcome {
    Done,
    /// It waits, because its key is parked.
    Waits,
    /// Tried as often as it may be.
    Failed {
        attempts: u32,
        error: HandlerError,
    },
    /// Something else has to be done first, after so many attempts.
    Called {
        attempts: u32,
    },
}

/// What the run is to do.
pub(super) enum Call {
    GoOn,
    Stop,
    /// The consumer was taken to another place.
    Moved,
    /// A parked key is tried again.
    Retry(Letter),
}

impl<E: WalDecodeOwned, C: Codec> Consumer<E, C> {
    /// Hands the events to `handler`, oldest first, each once it is durable and the one before it was handled; then waits for
    /// more. Returns when it is [stopped](Self::stop), or the log closed.
    ///
    /// An error or a panic of the handler is a failed attempt: the event is [tried again](super::ConsumerConfig::with_attempts), and
    /// then it is [poison](super::ConsumerConfig::with_poison). So is a record that cannot be read.
    ///
    /// The handler may use the log, and the consumer, in any way.
    ///
    /// # Errors
    /// [`WalError::Consumer`]: [`Stopped`](ConsumerError::Stopped), [`TooManyParked`](ConsumerError::TooManyParked),
    /// [`Running`](ConsumerError::Running). [`Truncated`](WalError::Truncated) if events that were not handled were dropped:
    /// [`rewind`](Self::rewind) to [`Start::Head`](crate::Start::Head) to go on. [`CutBack`](WalError::CutBack) once if events that were handled were
    /// cut off; the next run goes on with what came instead. [`Diverged`](WalError::Diverged) and [`OtherLog`](WalError::OtherLog) if
    /// what is kept of the consumer is not of this log as it is now. Whatever reading, and appending what is emitted, says.
    pub fn run(
        &self,
        mut handler: impl FnMut(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError>,
    ) -> Result<()> {
        let shared = &*self.shared;
        let _running = Running::begin(shared)?;
        loop {
            match shared.pass(&mut handler) {
                // It may be paused where it is taken to.
                Ok(Passed::Moved) => shared.is_called.store(true, Ordering::SeqCst),
                Ok(Passed::Stopped) | Err(WalError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// A run goes on while it lives.
pub(super) struct Running<'c, E, C>(&'c Shared<E, C>);

impl<'c, E, C> Running<'c, E, C> {
    pub(super) fn begin(shared: &'c Shared<E, C>) -> Result<Self> {
        shared.consuming.check_usable()?;
        let mut book = shared.book.lock();
        if std::mem::replace(&mut book.is_running, true) {
            return Err(ConsumerError::Running {
                name: shared.consuming.name().to_owned(),
            }
            .into());
        }
        shared.is_called.store(true, Ordering::SeqCst);
        Ok(Running(shared))
    }
}

impl<E, C> Drop for Running<'_, E, C> {
    fn drop(&mut self) {
        if self.0.consuming.is_in_child() {
            // It has locks that may be held for good.
            return;
        }
        let mut book = self.0.book.lock();
        book.is_running = false;
        drop(book);
        self.0.consuming.changed.ring();
    }
}

/// Why a pass over the log has ended.
pub(super) enum Passed {
    Stopped,
    /// The next one begins where the consumer is then.
    Moved,
}

/// When it is to be noted where the consumer is.
pub(super) struct Pace(Instant);

impl Pace {
    pub(super) fn new() -> Self {
        Pace(Instant::now())
    }

    /// An event was handled; whether to note it.
    pub(super) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = now - self.0 >= NOTED_EVERY;
        if is_due {
            self.0 = now;
        }
        is_due
    }
}

impl<E: WalDecodeOwned, C: Codec> Shared<E, C> {
    /// Hands events out from where the consumer is on.
    fn pass<H>(&self, handler: &mut H) -> Result<Passed>
    where
        H: FnMut(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError>,
    {
        let (mut events, moves) = self.follow()?;
        let mut pace = Pace::new();
        // One that is to be handed out, and how often it was.
        let mut next: Option<(Event<E>, u32)> = None;
        loop {
            if self.is_called.load(Ordering::Acquire) {
                let place = match &next {
                    None => events.position()?,
                    Some((event, _)) => self.place_of((event.lsn, event.part))?,
                };
                self.note_place(place, moves)?;
                match self.heed(moves)? {
                    Call::GoOn => {}
                    Call::Stop => return Ok(Passed::Stopped),
                    Call::Moved => return Ok(Passed::Moved),
                    Call::Retry(letter) => {
                        self.retry_key(&letter, handler)?;
                        // There may be more.
                        self.is_called.store(true, Ordering::SeqCst);
                        continue;
                    }
                }
            }
            let (event, attempts) = match next.take() {
                Some(next) => next,
                None => match events.try_next() {
                    Ok(Some(event)) => (event, 0),
                    nothing => match self.found_nothing(&mut events, nothing.err(), moves)? {
                        Next::None => {
                            let is_called = || self.is_called.load(Ordering::SeqCst);
                            events.source().sleep_unless(is_called);
                            continue;
                        }
                        Next::PutAway => continue,
                        Next::Closed => return Ok(Passed::Stopped),
                    },
                },
            };
            let note = || self.note_place(self.place_of((event.lsn, event.part))?, moves);
            let was_put_away = match self.hand_out(&event, attempts, handler, &note)? {
                Outcome::Done | Outcome::Waits => false,
                Outcome::Called { attempts } => {
                    next = Some((event, attempts));
                    continue;
                }
                Outcome::Failed { attempts, error } => {
                    self.put_away(&event, attempts, error, moves, Some(events.position()?))?;
                    true
                }
            };
            if !was_put_away && pace.is_due() {
                self.note_place(events.position()?, moves)?;
            }
        }
    }

    /// What comes after where the consumer is, and how often it was taken to another place by then.
    pub(super) fn follow(&self) -> Result<(Replay<E, C, Tail>, u64)> {
        let (cursor, moves) = {
            let book = self.book.lock();
            (book.cursor, book.moves)
        };
        let events = self.log.tail(cursor)?;
        Ok((self.configured(events), moves))
    }

    pub(super) fn configured<R>(&self, events: Replay<E, C, R>) -> Replay<E, C, R> {
        match self.config.others {
            true => events.among_others(),
            false => events,
        }
    }

    /// Goes on after a cut, with what came instead.
    fn come_back(&self, position: Position, cut: (Lsn, Lsn), moves: u64) -> Result<()> {
        // What was appended for events may have been cut off as well.
        *self.fence.lock() = super::fence::Fence::new();
        self.change(|book| {
            if book.moves == moves {
                book.come_back(position, cut);
            }
        })
    }

    /// There is no next event, or there is an error in its place. Everything before it was handled.
    pub(super) fn found_nothing(
        &self,
        events: &mut Replay<E, C, Tail>,
        error: Option<WalError>,
        moves: u64,
    ) -> Result<Next> {
        match error {
            None => {
                self.note_place(Replay::position(events)?, moves)?;
                Ok(Next::None)
            }
            Some(WalError::Closed) => Ok(Next::Closed),
            Some(
                error @ WalError::CutBack {
                    kept_before, next, ..
                },
            ) => {
                self.come_back(Replay::position(events)?, (kept_before, next), moves)?;
                Err(error)
            }
            Some(WalError::Typed(error)) if !is_of_the_log(&error) => {
                if let Some(lsn) = events.pass_over() {
                    self.put_away_unread(lsn, error, moves, || Replay::position(events))?;
                }
                Ok(Next::PutAway)
            }
            Some(error) => Err(error),
        }
    }

    pub(super) fn place_of(&self, (lsn, part): (Lsn, u32)) -> Result<Position> {
        Ok(Position::of(self.log.wal(), lsn)?.with_part(part))
    }

    /// Does what was asked for. It was noted where the consumer is: what waits before that is known.
    pub(super) fn heed(&self, moves: u64) -> Result<Call> {
        loop {
            self.is_called.store(false, Ordering::SeqCst);
            let is_paused = {
                let mut book = self.book.lock();
                if std::mem::take(&mut book.is_to_stop) {
                    return Ok(Call::Stop);
                }
                if book.moves != moves {
                    return Ok(Call::Moved);
                }
                if !book.is_paused
                    && let Some(letter) = book.parked.values().find(|letter| letter.is_due)
                {
                    return Ok(Call::Retry(letter.clone()));
                }
                book.is_paused
            };
            if !is_paused {
                return Ok(Call::GoOn);
            }
            let is_closed = || self.log.wal().is_closed();
            if is_closed() {
                return Ok(Call::Stop);
            }
            let is_called = || self.is_called.load(Ordering::SeqCst) || is_closed();
            self.consuming.changed.sleep_unless(None, is_called);
        }
    }

    /// Hands an event out until it is handled, unless it waits for others or was passed over.
    pub(super) fn hand_out<H>(
        &self,
        event: &Event<E>,
        attempts: u32,
        handler: &mut H,
        before_rest: &dyn Fn() -> Result<()>,
    ) -> Result<Outcome>
    where
        H: FnMut(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError>,
    {
        let at = (event.lsn, event.part);
        if self.is_skipped(at) {
            return Ok(Outcome::Done);
        }
        if self.parked.load(Ordering::Acquire) > 0 {
            let key = self.config.key_of(event);
            if self.book.lock().withholds(&key, at) {
                return Ok(Outcome::Waits);
            }
        }
        if self.is_called.load(Ordering::SeqCst) {
            // To another place, it may be, and then it does not wait any more and is not to be handled either.
            return Ok(Outcome::Called { attempts });
        }
        self.try_out(event, attempts, handler, before_rest)
    }

    pub(super) fn is_skipped(&self, event: (Lsn, u32)) -> bool {
        event.0.get() >= self.next_skip.load(Ordering::Acquire) && self.book.lock().was_skipped(event)
    }

    /// Hands an event out until it is handled. `before_rest` is done before each wait for another attempt.
    pub(super) fn try_out<H>(
        &self,
        event: &Event<E>,
        mut attempts: u32,
        handler: &mut H,
        before_rest: &dyn Fn() -> Result<()>,
    ) -> Result<Outcome>
    where
        H: FnMut(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError>,
    {
        loop {
            let Err(error) = self.attempt(event, attempts + 1, handler)? else {
                return Ok(Outcome::Done);
            };
            attempts += 1;
            if attempts >= self.config.attempts {
                return Ok(Outcome::Failed { attempts, error });
            }
            before_rest()?;
            if self.rest(self.config.backoff_after(attempts)) {
                return Ok(Outcome::Called { attempts });
            }
        }
    }

    /// Hands an event out once, and appends what was emitted for it.
    fn attempt<H>(&self, event: &Event<E>, attempt: u32, handler: &mut H) -> Result<Result<(), HandlerError>>
    where
        H: FnMut(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError>,
    {
        let mut delivery = Delivery {
            consumer: self.consuming.name(),
            log: self.log.wal().log_id(),
            lsn: event.lsn,
            part: event.part,
            attempt,
            emitted: Vec::new(),
        };
        let handled = or_panic(|| handler(event, &mut delivery)).and_then(|handled| handled);
        // It may have forked the process.
        self.consuming.check_process()?;
        if handled.is_err() {
            return Ok(handled);
        }
        match or_panic(|| self.append_emitted(event, delivery.emitted)) {
            Ok(Err(error)) if is_of_what_was_emitted(&error) => Ok(Err(error.into())),
            Ok(appended) => appended.map(Ok),
            Err(panic) => Ok(Err(panic)),
        }
    }

    /// Waits before the next attempt; whether the run was called meanwhile.
    fn rest(&self, time: Duration) -> bool {
        let deadline = Deadline::after(time);
        loop {
            let is_called = || self.is_called.load(Ordering::SeqCst);
            if is_called() {
                return true;
            }
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            self.consuming
                .changed
                .sleep_unless(left, || is_called() || self.log.wal().is_closed());
            if self.log.wal().is_closed() {
                self.is_called.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Appends what was emitted for an event, unless that is there.
    fn append_emitted(&self, event: &Event<E>, mut emitted: Vec<(E, Meta)>) -> Result<()> {
        if emitted.is_empty() {
            return Ok(());
        }
        let (wal, name, at) = (self.log.wal(), self.consuming.name(), (event.lsn, event.part));
        let mut fence = self.fence.lock();
        if fence.has(wal, name, at)? {
            // By an earlier run, and maybe not durable yet.
            self.emitted.fetch_add(1, Ordering::AcqRel);
            return Ok(());
        }
        let mut consumed = Some(Consumed {
            log: wal.log_id(),
            lsn: event.lsn.get(),
            part: event.part,
            consumer: name,
        });
        for (_, meta) in &mut emitted {
            // The first one says it for all: they are there together.
            let said = std::mem::take(meta).with_consumed(consumed.take());
            *meta = match said.causation() {
                None => said.with_causation(event.lsn),
                Some(_) => said,
            };
        }
        self.log.append_batch_with_meta(&emitted)?;
        fence.add(at);
        self.emitted.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Everything before `place` was done: that is kept, and told.
    pub(super) fn note_place(&self, place: Position, moves: u64) -> Result<()> {
        if self.book.lock().cursor == place {
            return Ok(());
        }
        self.make_emitted_durable()?;
        self.fence.lock().forget_before(place.lsn());
        let mut book = self.book.lock();
        if book.moves != moves || book.cursor.lsn() > place.lsn() {
            return Ok(());
        }
        let (name, saves) = (self.consuming.name(), book.saves + 1);
        let number = book.number;
        let saved = self
            .consuming
            .with_files(|files| Ok(files.save(name, number, saves, &place)));
        book.cursor = place;
        match saved {
            Ok(Ok(())) => (book.saves, book.failure) = (saves, None),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                let number = number + 1;
                let table = book.to_table();
                let stored = self
                    .consuming
                    .with_files(|files| files.store(name, number, &table));
                match stored {
                    Ok(()) => (book.number, book.failure) = (number, None),
                    Err(error) => book.failure = Some(with_sources(&error)),
                }
            }
            Ok(Err(error)) => book.failure = Some(error.to_string()),
            // It is kept from before.
            Err(WalError::Closed) => {}
            Err(error) => return Err(error),
        }
        if self.next_skip.load(Ordering::Acquire) < place.lsn().get() {
            self.note(&book);
        } else {
            self.came_to.lock().place = place.lsn();
        }
        drop(book);
        self.consuming.came_to(place.lsn());
        Ok(())
    }

    /// A cursor after events of which what was emitted is lost would lose that for good.
    pub(super) fn make_emitted_durable(&self) -> Result<()> {
        let mut synced = self.synced.lock();
        let emitted = self.emitted.load(Ordering::Acquire);
        if emitted != *synced {
            self.log.wal().sync()?;
            *synced = emitted;
        }
        Ok(())
    }
}

/// What is there instead of an event.
pub(super) enum Next {
    /// Nothing yet.
    None,
    /// One that could not be read.
    PutAway,
    Closed,
}

/// Runs code of the program; a panic is an error that says so.
fn or_panic<T>(run: impl FnOnce() -> T) -> Result<T, HandlerError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| format!("a panic: {}", panic_text(panic)).into())
}

/// Whether it is about the types of the log and the program, and not about one record.
pub(super) fn is_of_the_log(error: &TypedError) -> bool {
    matches!(
        error,
        TypedError::ShapeChanged { .. } | TypedError::IdTaken { .. } | TypedError::OtherId { .. }
    )
}

/// Whether it is about the events that were emitted, and not about the log.
fn is_of_what_was_emitted(error: &WalError) -> bool {
    matches!(
        error,
        WalError::Typed(_) | WalError::RecordTooLarge { .. } | WalError::BatchTooLarge { .. }
    )
}
