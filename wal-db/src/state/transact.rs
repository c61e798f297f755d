//! Deciding on a state, appending what was decided, and applying it.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::SystemTime,
};

use super::{State, Store};
use crate::{
    error::{Result, WalError},
    event::{
        codec::Codec,
        meta::{Meta, StreamKey},
        scratch,
    },
    log::{Counting, Ticket, Wal},
    lsn::Lsn,
};

/// What was decided: events to append, and an answer for who asked.
///
/// The events are there together or not at all. With none, nothing is appended, and the answer still waits for what it
/// rests on.
#[derive(Debug, Clone)]
#[must_use = "it is what a decision returns"]
pub struct Decision<E, A = ()> {
    events: Vec<(E, Meta)>,
    answer: A,
}

impl<E, A> Decision<E, A> {
    /// An answer, and no event yet.
    pub fn new(answer: A) -> Self {
        Decision {
            events: Vec::new(),
            answer,
        }
    }

    /// One more event.
    pub fn event(self, event: E) -> Self {
        self.event_with_meta(event, Meta::new())
    }

    /// One more event, with metadata. The [time of the decision](Now::time_us) is added unless it says another one.
    pub fn event_with_meta(mut self, event: E, meta: Meta) -> Self {
        self.events.push((event, meta));
        self
    }

    /// The events and the answer, for tests of decisions.
    #[must_use]
    pub fn into_parts(self) -> (Vec<(E, Meta)>, A) {
        (self.events, self.answer)
    }

    /// Puts those events that name no stream in this one.
    pub(super) fn in_stream(mut self, key: StreamKey<'_>) -> Self {
        for (_, meta) in &mut self.events {
            if meta.stream().is_none() {
                *meta = std::mem::take(meta).with_stream(key);
            }
        }
        self
    }

    /// Its events, with the time of the decision where they have none and with the id of the command if it has one, and the
    /// answer.
    pub(super) fn stamped(self, now: &Now, command: Option<[u8; 16]>) -> (Vec<(E, Meta)>, A) {
        let Decision { mut events, answer } = self;
        for (_, meta) in &mut events {
            if meta.time_us().is_none() {
                *meta = std::mem::take(meta).with_time_us(now.time_us);
            }
            if let Some(id) = command {
                *meta = std::mem::take(meta).with_command_id(id);
            }
        }
        (events, answer)
    }

    /// More events.
    pub fn events(mut self, events: impl IntoIterator<Item = E>) -> Self {
        self.events
            .extend(events.into_iter().map(|event| (event, Meta::new())));
        self
    }
}

/// When a decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Now {
    time_us: i64,
}

impl Now {
    /// Microseconds since 1970-01-01 00:00 UTC, by the clock of this machine. It never goes back: it is not before the time
    /// of any event in the state. The events of the decision are appended with it, and [`At::time_us`](super::At::time_us) shows it when they
    /// are applied.
    #[must_use]
    pub fn time_us(&self) -> i64 {
        self.time_us
    }

    /// The same, to compute with.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        let distance = std::time::Duration::from_micros(self.time_us.unsigned_abs());
        let time = match self.time_us {
            ..0 => SystemTime::UNIX_EPOCH.checked_sub(distance),
            _ => SystemTime::UNIX_EPOCH.checked_add(distance),
        };
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// By the clock, and not before the time of the last event.
    pub(super) fn after(last: Option<i64>) -> Self {
        let clock = i64::try_from(crate::log::now_us()).unwrap_or(i64::MAX);
        Now {
            time_us: last.map_or(clock, |last| last.max(clock)),
        }
    }

    /// A time, for tests of decisions.
    #[must_use]
    pub fn at_us(time_us: i64) -> Self {
        Now { time_us }
    }
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decided<A> {
    /// The answer.
    pub value: A,
    /// The LSNs of the events, in their order.
    pub lsns: Vec<Lsn>,
}

/// Why a decision has no answer.
#[derive(Debug)]
pub enum TransactError<X> {
    /// It was refused, on a state that is durable. Nothing was appended.
    Refused(X),
    /// The log says why.
    Wal(WalError),
}

impl<X> From<WalError> for TransactError<X> {
    fn from(error: WalError) -> Self {
        TransactError::Wal(error)
    }
}

impl<X: fmt::Display> fmt::Display for TransactError<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransactError::Refused(refusal) => write!(f, "refused: {refusal}"),
            TransactError::Wal(error) => error.fmt(f),
        }
    }
}

impl<X: fmt::Debug + fmt::Display> Error for TransactError<X> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TransactError::Refused(_) => None,
            TransactError::Wal(error) => error.source(),
        }
    }
}

/// A decision whose events are in the log, on their way to stable storage; from [`Store::submit`],
/// [`Entities::submit`](super::Entities::submit) and [`Indexed::submit`](crate::index::Indexed::submit).
///
/// It is a future, needs no particular runtime, and can instead be waited for or given a callback. Dropping it loses the
/// answer and nothing else.
#[must_use = "the answer may not survive a power loss before it says so"]
pub struct Pending<A, X> {
    /// Until it is handed out.
    outcome: Option<Result<Decided<A>, X>>,
    /// `None` if it rests on nothing.
    ticket: Option<Ticket>,
}

impl<A, X> Pending<A, X> {
    /// The LSN of the last event; `None` if there is none.
    #[must_use]
    pub fn lsn(&self) -> Option<Lsn> {
        self.outcome.as_ref()?.as_ref().ok()?.lsns.last().copied()
    }

    /// Whether the answer can be given at once.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.ticket.as_ref().is_none_or(Ticket::is_durable)
    }

    /// Blocks until the events, and everything that the decision rests on, survive power loss. Fails as
    /// [`Store::transact`], or what was called instead.
    pub fn wait(mut self) -> Result<Decided<A>, TransactError<X>> {
        let durable = self
            .ticket
            .take()
            .map_or(Ok(()), |ticket| ticket.wait().map(drop));
        self.outcome(durable)
    }

    /// Calls `call` with what [`wait`](Self::wait) would return, as [`Ticket::on_durable`] does.
    pub fn on_durable(mut self, call: impl FnOnce(Result<Decided<A>, TransactError<X>>) + Send + 'static)
    where
        A: Send + 'static,
        X: Send + 'static,
    {
        match self.ticket.take() {
            Some(ticket) => ticket.on_durable(move |durable| call(self.outcome(durable.map(drop)))),
            None => call(self.outcome(Ok(()))),
        }
    }

    fn outcome(&mut self, durable: Result<()>) -> Result<Decided<A>, TransactError<X>> {
        let Some(outcome) = self.outcome.take() else {
            unreachable!("it is handed out once");
        };
        durable.map_err(|error| about(error, &outcome))?;
        outcome.map_err(TransactError::Refused)
    }
}

// Nothing in it is pinned.
impl<A, X> Unpin for Pending<A, X> {}

impl<A, X> Future for Pending<A, X> {
    type Output = Result<Decided<A>, TransactError<X>>;

    /// # Panics
    /// If it is polled after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let durable = match &mut self.ticket {
            Some(ticket) => match Pin::new(ticket).poll(context) {
                Poll::Ready(durable) => durable.map(drop),
                Poll::Pending => return Poll::Pending,
            },
            None => Ok(()),
        };
        Poll::Ready(self.outcome(durable))
    }
}

impl<A, X> fmt::Debug for Pending<A, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("lsn", &self.lsn())
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

/// Says of which event of the decision an error is; of no one else's if it has none.
fn about<A, X>(error: WalError, outcome: &Result<Decided<A>, X>) -> WalError {
    match outcome.as_ref().ok().and_then(|decided| decided.lsns.last()) {
        Some(lsn) => error.about(*lsn),
        None => error.about_none(),
    }
}

/// A decision that was taken in, and what it rests on.
pub(super) struct Taken<A, X> {
    pub(super) outcome: Result<Decided<A>, X>,
    /// Up to where the log has to be durable.
    pub(super) rests_on: u64,
    /// The last event that it rests on.
    pub(super) last: Option<Lsn>,
}

impl<A, X> Taken<A, X> {
    /// The answer, once what it rests on survives power loss.
    pub(super) fn wait(self, counting: &Counting) -> Result<Decided<A>, TransactError<X>> {
        let durable = counting.sync_to(self.rests_on);
        durable.map_err(|error| about(error, &self.outcome))?;
        self.outcome.map_err(TransactError::Refused)
    }

    /// Says when that is.
    pub(super) fn pending(self, counting: &Counting, wal: &Wal) -> Result<Pending<A, X>> {
        let ticket = match self.last {
            Some(last) if !counting.is_durable(self.rests_on) => Some(wal.ticket(last)?),
            _ => None,
        };
        Ok(Pending {
            outcome: Some(self.outcome),
            ticket,
        })
    }
}

/// # Deciding
impl<S: State, C: Codec> Store<S, C> {
    /// Decides on the newest state, appends the events of the decision, applies them, and returns the answer once the
    /// events and all that the decision rests on survive power loss. A refusal waits for that, too: "no money" may rest on
    /// a withdrawal that a power loss takes back.
    ///
    /// Nothing comes between the state that `decide` sees and its events: no append of any handle, and no other decision.
    /// If it panics, nothing is appended and the panic goes on.
    ///
    /// # Errors
    /// [`Refused`](TransactError::Refused): what `decide` said. Otherwise [`Wal`](TransactError::Wal) with those of
    /// [`EventLog::append_batch`](crate::EventLog::append_batch), of which nothing was appended or applied;
    /// [`ApplyPanicked`](crate::WalError::ApplyPanicked), which says whether the events are in the log;
    /// [`NotDurable`](crate::WalError::NotDurable) and [`InDoubt`](crate::WalError::InDoubt) as for
    /// [`Wal::append_and_sync`](crate::Wal::append_and_sync): they are in the log and in the state as well, and survive
    /// the process. If something that others appended is not in the state, that is said as by
    /// [`rebuild`](crate::EventLog::rebuild), and `decide` is not asked.
    pub fn transact<A, X>(
        &self,
        decide: impl FnOnce(&S, &Now) -> Result<Decision<S::Event, A>, X>,
    ) -> Result<Decided<A>, TransactError<X>> {
        self.take_in(decide)?.wait(&self.shared().counting)
    }

    /// As [`transact`](Self::transact), without the wait: what is returned says when the answer can be given.
    ///
    /// # Errors
    /// Those of [`transact`](Self::transact) that come before the wait. A refusal comes after it.
    pub fn submit<A, X>(
        &self,
        decide: impl FnOnce(&S, &Now) -> Result<Decision<S::Event, A>, X>,
    ) -> Result<Pending<A, X>> {
        self.take_in(decide)?
            .pending(&self.shared().counting, self.log().wal())
    }

    /// Appends an event whatever the state is, applies it, and returns its LSN once it is durable. Fails as
    /// [`transact`](Self::transact).
    pub fn commit(&self, event: S::Event) -> Result<Lsn> {
        self.commit_with_meta(event, Meta::new())
    }

    /// As [`commit`](Self::commit), with metadata.
    pub fn commit_with_meta(&self, event: S::Event, meta: Meta) -> Result<Lsn> {
        let decided = self.transact(|_, _| {
            Ok::<_, std::convert::Infallible>(Decision::new(()).event_with_meta(event, meta))
        });
        match decided {
            Ok(decided) => match decided.lsns.last() {
                Some(lsn) => Ok(*lsn),
                None => unreachable!("there was an event"),
            },
            Err(TransactError::Wal(error)) => Err(error),
            Err(TransactError::Refused(never)) => match never {},
        }
    }

    fn take_in<A, X>(
        &self,
        decide: impl FnOnce(&S, &Now) -> Result<Decision<S::Event, A>, X>,
    ) -> Result<Taken<A, X>> {
        let shared = self.shared();
        let mut alone = shared.pass().map_err(WalError::of_nothing_taken)?;
        shared.counting.check_not_failed()?;
        let (decided, now) = {
            let kept = shared.kept.read();
            let now = Now::after(kept.rebuilt.time_us);
            let decided = shared.counting.in_closure(|| decide(&kept.rebuilt.state, &now));
            let events = decided.as_ref().map_or(0, |decision| decision.events.len());
            if events == 0 {
                return Ok(Taken {
                    outcome: decided.map(|decision| Decided {
                        value: decision.answer,
                        lsns: Vec::new(),
                    }),
                    rests_on: kept.rests_on,
                    last: kept.rebuilt.last,
                });
            }
            (decided, now)
        };
        let (events, answer) = match decided {
            Ok(decision) => decision.stamped(&now, None),
            Err(_) => unreachable!("a refusal has no events"),
        };
        let (lsns, placed) = scratch::with(|buffer| {
            let encode = || shared.log.encode(buffer, &events);
            let encoded = shared.counting.in_closure(encode)?;
            shared.log.append_alone(&mut alone, &encoded, buffer)
        })?;
        let mut kept = shared.kept.write();
        let events = lsns.iter().copied().zip(events);
        let applied = kept.take(events, &shared.counting, (placed.end(), alone.passed()));
        let taken = Taken {
            outcome: Ok(Decided { value: answer, lsns }),
            rests_on: kept.rests_on,
            last: kept.rebuilt.last,
        };
        let next = kept.rebuilt.next;
        drop(kept);
        let left = alone.leave(Some(placed));
        shared.reached(next);
        applied?;
        left?;
        Ok(taken)
    }
}
