//! Deciding on the events of queries, in a log of any length.

use super::{At, Decided, Decision, Now, State, TransactError};
use crate::{
    error::{Result, WalError},
    event::{WalDecodeOwned, codec::Codec, meta::Meta, scratch},
    index::{Condition, Indexed, Query, Wanted},
    log::Alone,
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

/// After so many times in which something has come between, nobody else appends while the rest is read.
const ATTEMPTS: u32 = 8;

/// What models have taken in.
#[derive(Default)]
struct Folded {
    /// They have all events before it.
    next: Option<Lsn>,
    last: Option<Lsn>,
    time_us: Option<i64>,
}

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
        self.decide_on(None, models, decide)
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
        self.decide_on(Some(command), models, decide)
    }

    fn decide_on<M, A, X>(
        &self,
        command: Option<[u8; 16]>,
        mut models: M,
        mut decide: impl FnMut(&M, &Now) -> Result<Decision<E, A>, X>,
    ) -> Result<Decided<A>, TransactError<X>>
    where
        M: Models<Event = E>,
    {
        let counting = self.counting();
        counting.check_usable()?;
        let condition = command.map(|id| Condition::new().command(id));
        let queries: Vec<Query> = models.all().into_iter().map(|model| model.events()).collect();
        let queries = queries
            .iter()
            .map(|query| self.wanted(query))
            .collect::<Result<Vec<_>>>()?;
        let mut folded = Folded::default();
        let mut attempts = 0;
        loop {
            let alone = match attempts < ATTEMPTS {
                true => None,
                false => Some(counting.pass().map_err(WalError::of_nothing_taken)?),
            };
            attempts += 1;
            let next = self.next();
            if let Some(condition) = &condition
                && let Err(error) = self.look(condition)
            {
                drop(alone);
                return Err(self.once_durable(error).into());
            }
            self.fold(&mut models, &queries, next, &mut folded)?;
            let now = Now::after(folded.time_us);
            let decided = counting.in_closure(|| decide(&models, &now));
            let decided = decided.map(|decision| decision.stamped(&now, command));
            let (events, value) = match decided {
                Ok((events, value)) if !events.is_empty() => (events, value),
                answered => {
                    self.log().wal().check_followed(next)?;
                    drop(alone);
                    self.rest_on(folded.last)?;
                    let (_, value) = answered.map_err(TransactError::Refused)?;
                    let lsns = Vec::new();
                    return Ok(Decided { value, lsns });
                }
            };
            if let Some(lsns) = self.append_unless_come(alone, &events, &queries, command, next)? {
                return Ok(Decided { value, lsns });
            }
        }
    }

    /// Appends what was decided on the events before `next`, and returns once it survives power loss; `None`, and nothing was
    /// appended, if an event of the queries or of the command may have come since.
    fn append_unless_come(
        &self,
        alone: Option<Alone<'_>>,
        events: &[(E, Meta)],
        queries: &[Vec<Wanted<'_>>],
        command: Option<[u8; 16]>,
        next: Lsn,
    ) -> Result<Option<Vec<Lsn>>> {
        let (counting, log) = (self.counting(), self.log());
        let appended = scratch::with(|buffer| {
            // Others need not wait for that, unless they do already.
            let encoded = counting.in_closure(|| log.encode(buffer, events));
            let mut alone = match alone {
                Some(alone) => alone,
                None => counting.pass().map_err(WalError::of_nothing_taken)?,
            };
            counting.check_not_failed()?;
            if self.has_come(queries, command, next)? {
                return Ok::<_, WalError>(None);
            }
            let (lsns, placed) = log.append_alone(&mut alone, &encoded?, buffer)?;
            alone.leave(Some(placed))?;
            Ok(Some((lsns, placed)))
        })?;
        let Some((lsns, placed)) = appended else {
            return Ok(None);
        };
        self.sync_to(&lsns, placed)?;
        Ok(Some(lsns))
    }

    /// Folds what has come before `next` into the models.
    fn fold<M: Models<Event = E>>(
        &self,
        models: &mut M,
        queries: &[Vec<Wanted<'_>>],
        next: Lsn,
        folded: &mut Folded,
    ) -> Result<()> {
        let wal = self.log().wal();
        let from = folded.next.replace(next);
        for (model, wanted) in models.all().into_iter().zip(queries) {
            for event in self.find(wanted, from, next, || self.drain())? {
                let event = event?;
                let at = At::of_record(event.lsn, &event.meta, event.part, wal.log_id());
                folded.last = folded.last.max(Some(event.lsn));
                folded.time_us = folded.time_us.max(at.time_us());
                self.counting().in_closure(|| model.take(event.event, at));
            }
        }
        // What was folded before may have been cut off since.
        from.map_or(Ok(()), |from| wal.check_followed(from))
    }

    /// Waits until what was read is durable.
    fn rest_on(&self, last: Option<Lsn>) -> Result<()> {
        let counting = self.counting();
        counting.check_not_failed()?;
        if let Some(last) = last {
            let durable = counting.sync_to(counting.durable_target(last)?);
            durable.map_err(|error| error.of_what_was_taken().about_none())?;
        }
        Ok(())
    }
}
