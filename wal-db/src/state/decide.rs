//! Deciding on the events of queries, in a log of any length.

use super::{At, Decided, Decision, Now, Pending, State, TransactError, transact::Taken};
use crate::{
    error::{Result, WalError},
    event::{WalDecodeOwned, codec::Codec, meta::Meta, scratch},
    index::{Condition, Indexed, Query, Wanted},
    log::{Alone, Counting, Placed},
    lsn::Lsn,
};

/// A state that is folded from the events of a query for one decision: [`Indexed::decide`]. What it is about, for example
/// which course, it knows from the beginning.
pub trait Model: State {
    /// The events that it is made from. It is asked once, so it must not depend on what the model has taken in.
    fn query(&self) -> Query;
}

/// A [`Model`], or some that have the same events, of which each takes in those of its own query: a tuple of up to six, or any
/// number of one type in a `Vec`.
pub trait Models {
    /// What changes them.
    type Event;

    #[doc(hidden)]
    fn all(&mut self) -> Vec<&mut dyn Fold<Event = Self::Event>>;
}

/// A [`Model`] of any type.
#[doc(hidden)]
pub trait Fold {
    type Event;

    fn events(&self) -> Query;

    fn take(&mut self, event: Self::Event, at: At<'_>);
}

impl<M: Model> Fold for M {
    type Event = M::Event;

    fn events(&self) -> Query {
        self.query()
    }

    fn take(&mut self, event: M::Event, at: At<'_>) {
        self.apply(event, at);
    }
}

impl<M: Model> Models for M {
    type Event = M::Event;

    fn all(&mut self) -> Vec<&mut dyn Fold<Event = M::Event>> {
        vec![self]
    }
}

impl<M: Model> Models for Vec<M> {
    type Event = M::Event;

    fn all(&mut self) -> Vec<&mut dyn Fold<Event = M::Event>> {
        self.iter_mut()
            .map(|model| model as &mut dyn Fold<Event = _>)
            .collect()
    }
}

macro_rules! tuples {
    ($($first:ident $($other:ident)*;)*) => {$(
        #[allow(non_snake_case, reason = "a value has the name of its type")]
        impl<$first, $($other),*> Models for ($first, $($other,)*)
        where
            $first: Model,
            $($other: Model<Event = $first::Event>,)*
        {
            type Event = $first::Event;

            fn all(&mut self) -> Vec<&mut dyn Fold<Event = Self::Event>> {
                let ($first, $($other,)*) = self;
                vec![$first, $($other),*]
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
}

/// What a decision is made on.
pub(super) trait Basis {
    type Event;

    /// What is shown to the decision.
    type Shown;

    fn shown(&self) -> &Self::Shown;

    /// Takes in the events of the queries that have come before `next`.
    fn catch_up<C: Codec>(
        &mut self,
        log: &Indexed<Self::Event, C>,
        queries: &[Vec<Wanted<'_>>],
        next: Lsn,
    ) -> Result<()>;

    /// The last event that it has.
    fn last(&self) -> Option<Lsn>;

    /// Up to where the log has to be durable for that event to be.
    fn rests_on(&self, counting: &Counting) -> Result<u64>;

    /// The latest time of an event that it has.
    fn time_us(&self) -> Option<i64>;

    /// Takes in events that were decided on it, and appended with nothing of the queries before them.
    fn take(
        &mut self,
        counting: &Counting,
        at: (&[Lsn], Placed),
        events: Vec<(Self::Event, Meta)>,
    ) -> Result<()>;
}

/// Models, and what they have taken in.
struct Folded<M> {
    models: M,
    /// They have all events before it.
    next: Option<Lsn>,
    last: Option<Lsn>,
    time_us: Option<i64>,
}

impl<M> Folded<M> {
    fn nothing(models: M) -> Self {
        Folded {
            models,
            next: None,
            last: None,
            time_us: None,
        }
    }
}

impl<M: Models<Event: WalDecodeOwned>> Basis for Folded<M> {
    type Event = M::Event;
    type Shown = M;

    fn shown(&self) -> &M {
        &self.models
    }

    fn catch_up<C: Codec>(
        &mut self,
        log: &Indexed<M::Event, C>,
        queries: &[Vec<Wanted<'_>>],
        next: Lsn,
    ) -> Result<()> {
        let wal = log.log().wal();
        let from = self.next.replace(next);
        for (model, wanted) in self.models.all().into_iter().zip(queries) {
            let events = log.find(wanted, from, next, || log.drain())?;
            for event in events.in_closures(log.counting()) {
                let event = event?;
                let at = At::of_record(event.lsn, &event.meta, event.part, wal.log_id());
                self.last = self.last.max(Some(event.lsn));
                self.time_us = self.time_us.max(at.time_us());
                log.counting().in_closure(|| model.take(event.event, at));
            }
        }
        // What was folded before may have been cut off since.
        from.map_or(Ok(()), |from| wal.check_followed(from))
    }

    fn last(&self) -> Option<Lsn> {
        self.last
    }

    fn rests_on(&self, counting: &Counting) -> Result<u64> {
        self.last.map_or(Ok(0), |last| counting.durable_target(last))
    }

    fn time_us(&self) -> Option<i64> {
        self.time_us
    }

    /// They are not used again.
    fn take(&mut self, _: &Counting, _: (&[Lsn], Placed), _: Vec<(M::Event, Meta)>) -> Result<()> {
        Ok(())
    }
}

/// After so many times in which something has come between, nobody else appends while the rest is read.
const ATTEMPTS: u32 = if cfg!(wal_shuttle) { 2 } else { 8 };

/// # Deciding
impl<E: WalDecodeOwned, C: Codec> Indexed<E, C> {
    /// Folds the events of the models' queries, asks `decide`, appends the events that it returns, and returns the answer
    /// once they and all that it rests on survive power loss. A refusal waits for that, too.
    ///
    /// What comes between is found out: if an event of one of the queries was appended after they were folded, it is folded
    /// as well, and `decide` is asked again. So it may be called several times; it should do nothing but decide. Others append
    /// meanwhile, but after eight times they wait.
    ///
    /// Events that were dropped from the beginning of the log are in no model. Where one needs them,
    /// [`retain`](crate::Wal::retain) must not drop them.
    ///
    /// The models must not use the log, nor may `decide`: that is [`Reentrant`](crate::WalError::Reentrant). If one panics,
    /// nothing is appended and the panic goes on.
    ///
    /// # Errors
    /// [`Refused`](TransactError::Refused): what `decide` said. Otherwise [`Wal`](TransactError::Wal) with those of
    /// [`select`](Self::select), except that a full disk is [`Full`](crate::WalError::Full), and of
    /// [`EventLog::append_batch_with_meta`](crate::EventLog::append_batch_with_meta), of which
    /// nothing was appended; [`CutBack`](crate::WalError::CutBack) if events were cut off the end of the log that are folded
    /// already; [`NotDurable`](crate::WalError::NotDurable) and [`InDoubt`](crate::WalError::InDoubt) as for
    /// [`Wal::append_and_sync`](crate::Wal::append_and_sync).
    pub fn decide<M, A, X>(
        &self,
        models: M,
        decide: impl FnMut(&M, &Now) -> Result<Decision<E, A>, X>,
    ) -> Result<Decided<A>, TransactError<X>>
    where
        M: Models<Event = E>,
    {
        self.take_in(None, models, decide)?.wait(self.counting())
    }

    /// As [`decide`](Self::decide), for a command that may come again: its events get the id, as
    /// [`Condition::command`](crate::index::Condition::command) has it.
    ///
    /// # Errors
    /// As [`decide`](Self::decide); [`Duplicate`](crate::WalError::Duplicate) if it was carried out before, told once that
    /// is durable. `decide` is not asked then. A command that was refused can be tried again.
    pub fn decide_once<M, A, X>(
        &self,
        command: [u8; 16],
        models: M,
        decide: impl FnMut(&M, &Now) -> Result<Decision<E, A>, X>,
    ) -> Result<Decided<A>, TransactError<X>>
    where
        M: Models<Event = E>,
    {
        let taken = self.take_in(Some(command), models, decide);
        taken
            .map_err(|error| self.once_durable(error))?
            .wait(self.counting())
    }

    /// As [`decide`](Self::decide), without the wait: what is returned says when the answer can be given.
    ///
    /// # Errors
    /// Those of [`decide`](Self::decide) that come before the wait. A refusal comes after it.
    pub fn submit<M, A, X>(
        &self,
        models: M,
        decide: impl FnMut(&M, &Now) -> Result<Decision<E, A>, X>,
    ) -> Result<Pending<A, X>>
    where
        M: Models<Event = E>,
    {
        let taken = self.take_in(None, models, decide)?;
        taken.pending(self.counting(), self.log().wal())
    }

    fn take_in<M, A, X>(
        &self,
        command: Option<[u8; 16]>,
        mut models: M,
        decide: impl FnMut(&M, &Now) -> Result<Decision<E, A>, X>,
    ) -> Result<Taken<A, X>>
    where
        M: Models<Event = E>,
    {
        self.counting().check_usable()?;
        let queries: Vec<Query> = models.all().into_iter().map(|model| model.events()).collect();
        let queries = queries
            .iter()
            .map(|query| self.wanted(query))
            .collect::<Result<Vec<_>>>()?;
        self.decide_on(command, &queries, &mut Folded::nothing(models), decide)
    }

    /// Decides on events of the queries, until no other one has come when the decision's are appended. An error of a command
    /// may not be durable yet.
    pub(super) fn decide_on<B: Basis<Event = E>, A, X>(
        &self,
        command: Option<[u8; 16]>,
        queries: &[Vec<Wanted<'_>>],
        basis: &mut B,
        mut decide: impl FnMut(&B::Shown, &Now) -> Result<Decision<E, A>, X>,
    ) -> Result<Taken<A, X>> {
        let counting = self.counting();
        let condition = command.map(|id| Condition::new().command(id));
        let mut attempts = 0;
        loop {
            let alone = match attempts < ATTEMPTS {
                true => None,
                false => Some(counting.pass().map_err(WalError::of_nothing_taken)?),
            };
            attempts += 1;
            let next = self.next();
            if let Some(condition) = &condition {
                self.look(condition)?;
            }
            basis.catch_up(self, queries, next)?;
            let now = Now::after(basis.time_us());
            let decided = counting.in_closure(|| decide(basis.shown(), &now));
            let decided = decided.map(|decision| decision.stamped(&now, command));
            let (events, value) = match decided {
                Ok((events, value)) if !events.is_empty() => (events, value),
                answered => {
                    let rests_on = self.rests_on(basis, next)?;
                    let lsns = Vec::new();
                    return Ok(Taken {
                        outcome: answered.map(|(_, value)| Decided { value, lsns }),
                        rests_on,
                        last: basis.last(),
                    });
                }
            };
            if let Some((lsns, placed)) = self.append_unless_come(alone, &events, queries, command, next)? {
                basis.take(counting, (&lsns, placed), events)?;
                return Ok(Taken {
                    last: lsns.last().copied(),
                    rests_on: placed.end(),
                    outcome: Ok(Decided { value, lsns }),
                });
            }
        }
    }

    /// Up to where the log has to be durable for what has taken in the events before `next` to be.
    pub(super) fn rests_on(&self, basis: &impl Basis, next: Lsn) -> Result<u64> {
        let counting = self.counting();
        counting.check_not_failed()?;
        let rests_on = basis.rests_on(counting);
        // That it was cut off is said first.
        let there = counting.there();
        there.check_followed(next)?;
        there.check_kept(next)?;
        rests_on
    }

    /// Appends what was decided on the events before `next`; `None`, and nothing was appended, if an event of the queries or
    /// of the command may have come since.
    fn append_unless_come(
        &self,
        alone: Option<Alone<'_>>,
        events: &[(E, Meta)],
        queries: &[Vec<Wanted<'_>>],
        command: Option<[u8; 16]>,
        next: Lsn,
    ) -> Result<Option<(Vec<Lsn>, Placed)>> {
        let (counting, log) = (self.counting(), self.log());
        scratch::with(|buffer| {
            // Others need not wait for that, unless they do already.
            let encoded = counting.in_closure(|| log.encode(buffer, events));
            let mut alone = match alone {
                Some(alone) => alone,
                None => counting.pass().map_err(WalError::of_nothing_taken)?,
            };
            counting.check_not_failed()?;
            if self.has_come(queries, command, next)? {
                return Ok(None);
            }
            let (lsns, placed) = log.append_alone(&mut alone, &encoded?, buffer)?;
            alone.leave(Some(placed))?;
            Ok(Some((lsns, placed)))
        })
    }
}
