//! The thread that follows a log for its projections.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use super::{
    Projection, Rebuilt, State, StoreConfig,
    projection::Shown,
    rebuilt::{among, replay_after},
};
use crate::{
    error::{Result, WalError},
    event::{EventLog, WalDecodeOwned, codec::Codec, replay::Event},
    log::{Folding, Hold, panic_text},
    lsn::Lsn,
    process::{Process, end_thread_of_child},
    sync::{Arc, AtomicBool, Bell, Mutex, Ordering, thread},
};

/// How many events a state takes in at most before others may look at it.
const BATCH: usize = 256;
/// How long a log is waited for whose writer is another process, before it is looked whether to go on.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What can be [projected](EventLog::project): a [`StoreConfig`], or a tuple of up to six.
pub trait ToProject<E, C: Codec> {
    /// A [`Projection`], or a tuple of them.
    type Projections;

    #[doc(hidden)]
    fn begin(self, group: &mut Group<E, C>) -> Result<Self::Projections>;
}

impl<E: WalDecodeOwned + Send + 'static, C: Codec + 'static> EventLog<E, C> {
    /// Starts a thread that keeps states up to date with the log: read models, beside those who append. A state begins with its
    /// newest snapshot, if it has [some](StoreConfig::with_snapshots), or with the log, and follows from there;
    /// [`wait_for`](Projection::wait_for) says when it has come to an event. A tuple of settings makes several states from
    /// one replay.
    ///
    /// The thread ends with the log, and when the last handle of all of its states is dropped, which waits for that. While it
    /// runs, [`Wal::retain`](crate::Wal::retain) keeps what it has not read. What a snapshot needs at the next start is kept by
    /// [`compact`](Projection::compact) alone.
    ///
    /// A log that is [open for reading only](crate::Wal::open_read_only) can be projected as well, without snapshots: its
    /// states follow the writer in the other process.
    ///
    /// # Errors
    /// [`Truncated`](WalError::Truncated) if records were dropped from the beginning of the log and there are no snapshots;
    /// with them, as [`store`](Self::store), and [`ReadOnly`](WalError::ReadOnly). [`Config`](WalError::Config) if some of
    /// several pass over [others](StoreConfig::with_others) and some do not. [`Io`](WalError::Io) if the process can have no more
    /// threads.
    pub fn project<P: ToProject<E, C>>(&self, what: P) -> Result<P::Projections> {
        let signals = Arc::new(Signals {
            folding: self.wal().folding()?,
            is_to_stop: AtomicBool::new(false),
            changed: Bell::new(),
        });
        let running = Arc::new(Running {
            signals: signals.clone(),
            thread: Mutex::new(None),
            process: Process::this(),
        });
        let mut group = Group {
            log: self.clone(),
            signals,
            running: running.clone(),
            members: Vec::new(),
            others: None,
            copy: None,
        };
        let projections = what.begin(&mut group)?;
        let mut follower = Follower {
            hold: None,
            batch: Vec::new(),
            log: group.log,
            signals: group.signals,
            members: group.members,
            others: group.others.unwrap_or(false),
            copy: group.copy,
        };
        follower.hold()?;
        let thread = thread::Builder::new()
            .name("wal-project".to_owned())
            .spawn(move || follower.follow())
            .map_err(WalError::io("starting a thread for projections"))?;
        *running.thread.lock() = Some(thread);
        Ok(projections)
    }
}

type Copied<E> = fn(&Event<E>) -> Event<E>;

/// What projections of one replay share, while they are made.
pub struct Group<E, C: Codec> {
    log: EventLog<E, C>,
    signals: Arc<Signals>,
    running: Arc<Running>,
    members: Vec<Box<dyn Member<E>>>,
    others: Option<bool>,
    copy: Option<Copied<E>>,
}

impl<S, C> ToProject<S::Event, C> for StoreConfig<S, C>
where
    S: State<Event: 'static> + Default + Send + Sync + 'static,
    C: Codec + 'static,
{
    type Projections = Projection<S, C>;

    fn begin(self, group: &mut Group<S::Event, C>) -> Result<Projection<S, C>> {
        let others = group.others.replace(self.others);
        if others.is_some_and(|others| others != self.others) {
            return Err(WalError::Config {
                what: "of the states of one replay, all pass over events of other types or none does; say the same with \
                       StoreConfig::with_others for each"
                    .to_owned(),
            });
        }
        let shown = Arc::new(Shown::open(&group.log, &self, group.signals.clone())?);
        group.members.push(Box::new(Followed {
            shown: shown.clone(),
            again: None,
            until: Lsn::ZERO,
        }));
        Ok(Projection::new(shown, group.running.clone()))
    }
}

macro_rules! tuples {
    ($($($one:ident)*;)*) => {$(
        #[allow(non_snake_case, reason = "a value has the name of its type")]
        impl<E: Clone, C: Codec, $($one: ToProject<E, C>),*> ToProject<E, C> for ($($one,)*) {
            type Projections = ($($one::Projections,)*);

            fn begin(self, group: &mut Group<E, C>) -> Result<Self::Projections> {
                group.copy = Some(Event::clone);
                let ($($one,)*) = self;
                Ok(($($one.begin(group)?,)*))
            }
        }
    )*};
}

tuples! {
    T1;
    T1 T2;
    T1 T2 T3;
    T1 T2 T3 T4;
    T1 T2 T3 T4 T5;
    T1 T2 T3 T4 T5 T6;
}

/// What the thread and those who look at its states say to each other.
pub(super) struct Signals {
    pub(super) folding: Folding,
    is_to_stop: AtomicBool,
    /// Rings when a state has come further, or has ended.
    pub(super) changed: Bell,
}

impl Signals {
    fn is_to_stop(&self) -> bool {
        self.is_to_stop.load(Ordering::Acquire)
    }
}

/// The thread, which ends with this.
pub(super) struct Running {
    signals: Arc<Signals>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    process: Process,
}

impl Drop for Running {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().take();
        if !self.process.is_this() {
            // The thread is the parent's.
            return std::mem::forget(thread);
        }
        self.signals.is_to_stop.store(true, Ordering::Release);
        self.signals.folding.wake_followers();
        // Not if what a state or an event has was the last handle.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            // Its panics are caught.
            let _ = thread.join();
        }
    }
}

/// What the thread does for each of its states.
trait Member<E>: Send {
    /// The first LSN of which it needs the event; `None` if it has ended.
    fn next(&self) -> Option<Lsn>;

    /// Where the last event that it has ends at the latest.
    fn read_to(&self) -> Lsn;

    /// Takes in events that follow each other, but those that it has.
    fn take(&mut self, events: &mut dyn Iterator<Item = Event<E>>);

    /// There is no event before this LSN that it was not given.
    fn has_all_before(&mut self, next: Lsn);

    /// Begins again if it has events that were cut off; if not, it goes on where the log does.
    fn heed_cut(&mut self);

    /// It follows the log no more.
    fn end(&mut self, why: &Arc<WalError>);
}

struct Follower<E, C: Codec> {
    /// What some member has still to read is kept.
    hold: Option<Hold>,
    batch: Vec<Event<E>>,
    log: EventLog<E, C>,
    signals: Arc<Signals>,
    members: Vec<Box<dyn Member<E>>>,
    others: bool,
    /// There is one if there are several members.
    copy: Option<Copied<E>>,
}

impl<E: WalDecodeOwned, C: Codec> Follower<E, C> {
    fn follow(mut self) {
        let process = Process::this();
        let followed = catch_unwind(AssertUnwindSafe(|| self.run()));
        if !process.is_this() {
            // The program's code has forked it off.
            return end_thread_of_child();
        }
        let why = match followed {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(panic) => Some(WalError::ApplyPanicked {
                lsn: self.next().unwrap_or(Lsn::ZERO),
                replaying: true,
                message: panic_text(panic),
            }),
        };
        if let Some(why) = why.map(Arc::new) {
            self.members.iter_mut().for_each(|member| member.end(&why));
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(self))) {
            // Of a state or an event. What it is dropped with may panic as well.
            std::mem::forget(panic);
        }
    }

    /// Until it is to stop, or all members have ended.
    fn run(&mut self) -> Result<()> {
        while !self.is_over() {
            match self.pass() {
                Err(WalError::CutBack { .. }) => self.members.iter_mut().for_each(|member| member.heed_cut()),
                Err(WalError::Truncated { .. }) if self.end_dropped() => {}
                ended => return ended,
            }
        }
        Ok(())
    }

    /// Ends those whose next events were dropped; whether there are some.
    fn end_dropped(&mut self) -> bool {
        let there = self.signals.folding.there();
        let mut some = false;
        for member in &mut self.members {
            if let Some(Err(error)) = member.next().map(|next| there.check_kept(next)) {
                member.end(&Arc::new(error));
                some = true;
            }
        }
        some
    }

    /// Where the last event that some member has ends at the latest.
    fn read_to(&self) -> Lsn {
        let live = self.members.iter().filter(|member| member.next().is_some());
        live.map(|member| member.read_to()).max().unwrap_or(Lsn::ZERO)
    }

    /// The first LSN of which some member needs the event.
    fn next(&self) -> Option<Lsn> {
        self.members.iter().filter_map(|member| member.next()).min()
    }

    /// From now on, what some member has still to read is kept. A hold does not go back; the one before is kept until then.
    fn hold(&mut self) -> Result<()> {
        if let Some(next) = self.next() {
            self.hold = Some(self.log.wal().hold(next)?);
        }
        Ok(())
    }

    /// Reads what is there at the speed of a replay, then follows.
    fn pass(&mut self) -> Result<()> {
        self.hold()?;
        let Some(next) = self.next() else { return Ok(()) };
        let durable = Lsn::from_pos(self.signals.folding.durable());
        if next < durable {
            let mut events = replay_after(&self.log, next, durable, self.others)?;
            // Of what a member has that is ahead of the others, as well. The tail tells of a cut that comes now.
            self.signals.folding.there().check_followed(self.read_to())?;
            while self.take_batch(|| events.next().transpose())? {
                if self.is_over() {
                    return Ok(());
                }
            }
        }
        let Some(next) = self.next() else { return Ok(()) };
        let events = self.log.tail(next)?.having_read_to(self.read_to());
        let mut events = among(events, self.others);
        while !self.is_over() {
            if !self.take_batch(|| events.try_next())? {
                self.have_all_before(events.source().next_lsn());
                match self.signals.folding.is_read_only() {
                    true => self.batch.extend(events.next_timeout(LOOK_AGAIN)?),
                    false => events.source().sleep_unless(|| self.signals.is_to_stop()),
                }
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.signals.is_to_stop() || self.next().is_none()
    }

    /// Hands out what `next` gives; whether there may be more.
    fn take_batch(&mut self, mut next: impl FnMut() -> Result<Option<Event<E>>>) -> Result<bool> {
        let mut nothing = Ok(());
        while self.batch.len() < BATCH && nothing.is_ok() {
            match next() {
                Ok(Some(event)) => self.batch.push(event),
                Ok(None) => break,
                Err(error) => nothing = Err(error),
            }
        }
        let may_be_more = self.batch.len() == BATCH;
        if !self.batch.is_empty() {
            self.hand_out();
        }
        nothing.map(|()| may_be_more)
    }

    fn hand_out(&mut self) {
        if let Some((last, others)) = self.members.split_last_mut() {
            if let Some(copy) = self.copy {
                for member in others {
                    let copies: Vec<_> = self.batch.iter().map(copy).collect();
                    member.take(&mut copies.into_iter());
                }
            }
            last.take(&mut self.batch.drain(..));
        }
        self.batch.clear();
        self.came_further();
    }

    fn came_further(&self) {
        if let (Some(hold), Some(next)) = (&self.hold, self.next()) {
            // A log that has ended since needs no hold.
            let _ = hold.advance(next);
        }
        self.signals.changed.ring();
    }

    fn have_all_before(&mut self, next: Lsn) {
        self.members
            .iter_mut()
            .for_each(|member| member.has_all_before(next));
        self.came_further();
    }
}

/// A state that is kept up to date.
struct Followed<S: State, C: Codec> {
    shown: Arc<Shown<S, C>>,
    /// What takes its place once it has come as far as the log was: some of its events were cut off.
    again: Option<Rebuilt<S>>,
    until: Lsn,
}

impl<S: State, C: Codec> Followed<S, C> {
    fn change<T>(&mut self, change: impl FnOnce(&mut Rebuilt<S>) -> T) -> T {
        match &mut self.again {
            Some(again) => change(again),
            None => self.shown.change(change),
        }
    }

    /// Shows what was folded again, if that is so.
    fn show(&mut self) {
        if let Some(again) = self.again.take() {
            // Dropped after others can look at the new one.
            let _old = self.shown.change(|state| std::mem::replace(state, again));
        }
    }
}

impl<S, C> Member<S::Event> for Followed<S, C>
where
    S: State + Send + Sync,
    C: Codec,
{
    fn next(&self) -> Option<Lsn> {
        match &self.again {
            _ if self.shown.has_ended() => None,
            Some(again) => Some(again.next),
            None => Some(self.shown.next()),
        }
    }

    fn read_to(&self) -> Lsn {
        match &self.again {
            Some(again) => again.read_to(),
            None => self.shown.read_to(),
        }
    }

    fn take(&mut self, events: &mut dyn Iterator<Item = Event<S::Event>>) {
        if self.shown.has_ended() {
            return;
        }
        let shown = self.shown.clone();
        self.change(|state| {
            let folding = &shown.signals.folding;
            if let Err(error) = folding.in_closure(|| state.apply_all(events.map(Ok), None)) {
                // Before anybody else can look.
                shown.end(&Arc::new(error));
            }
        });
        if self.again.as_ref().is_some_and(|again| again.next >= self.until) && !shown.has_ended() {
            self.show();
        }
    }

    fn has_all_before(&mut self, next: Lsn) {
        if self.shown.has_ended() {
            return;
        }
        self.show();
        self.shown.change(|state| state.has_all_before(next));
    }

    fn heed_cut(&mut self) {
        if self.shown.has_ended() {
            return;
        }
        let there = self.shown.signals.folding.there();
        if there.check_followed(self.read_to()).is_ok() {
            return self.change(|state| state.next = there.without_cuts(state.next));
        }
        self.until = Lsn::from_pos(self.shown.signals.folding.durable());
        match self.shown.begin() {
            Ok(again) => self.again = Some(again),
            Err(_) if self.shown.log.wal().is_closed() => self.end(&Arc::new(WalError::Closed)),
            Err(error) => self.end(&Arc::new(error)),
        }
    }

    fn end(&mut self, why: &Arc<WalError>) {
        self.shown.end(why);
    }
}
