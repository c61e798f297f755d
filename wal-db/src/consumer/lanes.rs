//! Handing events out in several threads: in order among those of one key.

use std::{
    collections::{BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    Consumer, Delivery, HandlerError,
    handle::Shared,
    run::{Call, Next, Outcome, Pace, Passed, Running},
};
use crate::{
    error::{Result, WalError},
    event::{
        WalDecodeOwned,
        codec::Codec,
        replay::{Event, Replay},
    },
    log::Tail,
    lsn::Lsn,
    position::Position,
    process::end_thread_of_child,
    sync::{Bell, Mutex, Ordering, scoped},
};

impl<E: WalDecodeOwned + Send, C: Codec> Consumer<E, C> {
    /// As [`run`](Self::run), in so many threads. Events of one [key](super::ConsumerConfig::with_key) are handed out in
    /// order, each after the one before it was handled; those of different keys beside one another. So the cursor is the
    /// first event that was not handled, and after a crash later ones that were are handled again: up to as many as the
    /// [window](super::ConsumerConfig::with_window).
    ///
    /// # Errors
    /// As [`run`](Self::run). [`Io`](WalError::Io) if a thread cannot be started.
    pub fn run_in_lanes(
        &self,
        lanes: usize,
        handler: impl Fn(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError> + Sync,
    ) -> Result<()> {
        let shared = &*self.shared;
        let _running = Running::begin(shared)?;
        let (mut ahead, mut moves) = (BTreeSet::new(), None);
        loop {
            match shared.next_pass(lanes.max(1), &mut ahead, &mut moves, &handler) {
                Ok(Passed::Moved) => {}
                Ok(Passed::Stopped) | Err(WalError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// An event that was taken from the log, and not all before it were handled.
struct Slot {
    at: (Lsn, u32),
    /// The place after it.
    after: Position,
    is_done: bool,
    /// And it does not wait with a parked key.
    is_handled: bool,
}

/// The events that are on their way.
struct Flight<E> {
    state: Mutex<State<E>>,
    /// Rings for lanes: there is something to do, or nothing any more.
    work: Bell,
    /// Rings for the one who hands out: there is room.
    room: Bell,
}

struct State<E> {
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    /// For each lane, events and the numbers of their slots.
    queues: Vec<VecDeque<(u64, Event<E>)>>,
    /// No lane takes another event.
    is_halted: bool,
    error: Option<WalError>,
    /// Everything before it was handled.
    place: Option<Position>,
    pace: Pace,
}

impl<E> State<E> {
    /// One more that is on its way; its number.
    fn add(&mut self, at: (Lsn, u32), after: Position) -> u64 {
        self.slots.push_back(Slot {
            at,
            after,
            is_done: false,
            is_handled: false,
        });
        self.first + self.slots.len() as u64 - 1
    }
}

impl<E> Flight<E> {
    fn new(lanes: usize) -> Self {
        Flight {
            state: Mutex::new(State {
                slots: VecDeque::new(),
                first: 0,
                queues: (0..lanes).map(|_| VecDeque::new()).collect(),
                is_halted: false,
                error: None,
                place: None,
                pace: Pace::new(),
            }),
            work: Bell::new(),
            room: Bell::new(),
        }
    }

    fn push(&self, lane: usize, event: Event<E>, after: Position) {
        let mut state = self.state.lock();
        let number = state.add((event.lsn, event.part), after);
        if let Some(queue) = state.queues.get_mut(lane) {
            queue.push_back((number, event));
        }
        drop(state);
        self.work.ring();
    }

    /// As [`done`](Self::done), for an event that was handled before others that come before it.
    fn push_done(&self, event: &Event<E>, after: Position) -> Option<(Position, bool)> {
        let number = self.state.lock().add((event.lsn, event.part), after);
        self.done(number, true)
    }

    /// The next event of a lane; waits for it. `None`: the lane is to end.
    fn next(&self, lane: usize) -> Option<(u64, Event<E>)> {
        loop {
            let mut state = self.state.lock();
            if state.is_halted {
                return None;
            }
            if let Some(next) = state.queues.get_mut(lane).and_then(VecDeque::pop_front) {
                return Some(next);
            }
            drop(state);
            self.work.sleep_unless(None, || {
                let state = self.state.lock();
                state.is_halted || state.queues.get(lane).is_some_and(|queue| !queue.is_empty())
            });
        }
    }

    /// An event was handled. Returns the place up to which all were, if it is to be noted, and whether that is all.
    fn done(&self, number: u64, is_handled: bool) -> Option<(Position, bool)> {
        let mut state = self.state.lock();
        let at = (number - state.first) as usize;
        if let Some(slot) = state.slots.get_mut(at) {
            (slot.is_done, slot.is_handled) = (true, is_handled);
        }
        let mut is_due = false;
        while let Some(slot) = state.slots.front().filter(|slot| slot.is_done) {
            state.place = Some(slot.after);
            state.slots.pop_front();
            state.first += 1;
            is_due |= state.pace.is_due();
        }
        let is_empty = state.slots.is_empty();
        let place = state.place.filter(|_| is_due || is_empty);
        drop(state);
        self.room.ring();
        place.map(|place| (place, is_empty))
    }

    fn halt(&self, error: Option<WalError>) {
        let mut state = self.state.lock();
        state.is_halted = true;
        if state.error.is_none() {
            state.error = error;
        }
        drop(state);
        self.work.ring();
        self.room.ring();
    }

    /// Everything before it was handled.
    fn place(&self) -> Option<Position> {
        self.state.lock().place
    }

    fn is_halted(&self) -> bool {
        self.state.lock().is_halted
    }

    /// Waits until fewer than so many are on their way, or `is_called`.
    fn wait_for_room(&self, fewer_than: usize, is_called: impl Fn() -> bool) {
        let has_room = || {
            let state = self.state.lock();
            state.is_halted || state.slots.len() < fewer_than
        };
        while !has_room() && !is_called() {
            self.room.sleep_unless(None, || has_room() || is_called());
        }
    }
}

impl<E: WalDecodeOwned + Send, C: Codec> Shared<E, C> {
    /// Does what was asked for, and then hands events out until something else is. `ahead` has those that were handled
    /// before others that come before them, `last_moves` how often the consumer was taken to another place by then.
    fn next_pass<H>(
        &self,
        lanes: usize,
        ahead: &mut BTreeSet<(Lsn, u32)>,
        last_moves: &mut Option<u64>,
        handler: &H,
    ) -> Result<Passed>
    where
        H: Fn(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError> + Sync,
    {
        let (mut events, moves) = self.follow()?;
        if last_moves.replace(moves).is_some_and(|last| last != moves) {
            // They are to be handled again.
            ahead.clear();
        }
        match self.heed(moves)? {
            Call::GoOn => self.pass_in_lanes(&mut events, moves, lanes, ahead, handler),
            Call::Stop => Ok(Passed::Stopped),
            Call::Moved => Ok(Passed::Moved),
            Call::Retry(letter) => {
                let mut handler = |event: &Event<E>, delivery: &mut Delivery<'_, E>| handler(event, delivery);
                self.retry_key(&letter, &mut handler)?;
                Ok(Passed::Moved)
            }
        }
    }

    /// Hands events out until something else is to be done.
    fn pass_in_lanes<H>(
        &self,
        events: &mut Replay<E, C, Tail>,
        moves: u64,
        lanes: usize,
        ahead: &mut BTreeSet<(Lsn, u32)>,
        handler: &H,
    ) -> Result<Passed>
    where
        H: Fn(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError> + Sync,
    {
        let flight = Flight::new(lanes);
        let ended = scoped::scope(|scope| {
            // A panic ends them as well.
            let _end = End {
                shared: self,
                flight: &flight,
            };
            for lane in 0..lanes {
                let flight = &flight;
                scoped::Builder::new()
                    .name(format!("{}-{lane}", self.consuming.name()))
                    .spawn_scoped(scope, move || self.work(lane, flight, moves, handler))
                    .map_err(WalError::io("starting a thread"))?;
            }
            self.dispatch(events, moves, &flight, ahead)
        });
        let mut state = flight.state.lock();
        if let Some(place) = state.place {
            self.note_place(place, moves)?;
        }
        let handled = state.slots.iter().filter(|slot| slot.is_handled);
        ahead.extend(handled.map(|slot| slot.at));
        state.error.take().map_or(ended, Err)
    }

    fn dispatch(
        &self,
        events: &mut Replay<E, C, Tail>,
        moves: u64,
        flight: &Flight<E>,
        ahead: &mut BTreeSet<(Lsn, u32)>,
    ) -> Result<Passed> {
        let is_called = || self.is_called.load(Ordering::SeqCst);
        let lanes = flight.state.lock().queues.len() as u64;
        loop {
            flight.wait_for_room(self.config.window, is_called);
            if is_called() || flight.is_halted() {
                return Ok(Passed::Moved);
            }
            let event = match events.try_next() {
                Ok(Some(event)) => event,
                Ok(None) if !flight.state.lock().slots.is_empty() => {
                    self.sleep_at_end(events, flight, true);
                    continue;
                }
                nothing => {
                    // What it is about comes after all that is on its way.
                    let is_cut = matches!(nothing, Err(WalError::CutBack { .. }));
                    flight.wait_for_room(1, || !is_cut && is_called());
                    if flight.is_halted() || !is_cut && is_called() {
                        // It is met again.
                        return Ok(Passed::Moved);
                    }
                    match self.found_nothing(events, nothing.err(), moves)? {
                        Next::None => {
                            self.sleep_at_end(events, flight, false);
                            continue;
                        }
                        Next::PutAway => continue,
                        Next::Closed => return Ok(Passed::Stopped),
                    }
                }
            };
            let after = Replay::position(events)?;
            if ahead.remove(&(event.lsn, event.part)) {
                if let Some((place, _)) = flight.push_done(&event, after) {
                    self.note_place(place, moves)?;
                }
                continue;
            }
            let mut hasher = DefaultHasher::new();
            if !self.is_skipped((event.lsn, event.part)) {
                // That may be because it has no key.
                self.config.key_of(&event).hash(&mut hasher);
            }
            flight.push((hasher.finish() % lanes) as usize, event, after);
        }
    }

    /// `until_done`: some are on their way, and when all are handled, the place after records that are no events is noted.
    fn sleep_at_end(&self, events: &Replay<E, C, Tail>, flight: &Flight<E>, until_done: bool) {
        events.source().sleep_unless(|| {
            let state = flight.state.lock();
            let is_done = until_done && state.slots.is_empty();
            self.is_called.load(Ordering::SeqCst) || state.is_halted || is_done
        });
    }

    fn work<H>(&self, lane: usize, flight: &Flight<E>, moves: u64, handler: &H)
    where
        H: Fn(&Event<E>, &mut Delivery<'_, E>) -> Result<(), HandlerError> + Sync,
    {
        // Whatever ends a lane ends the others, and wakes the one that hands out.
        let _end = End { shared: self, flight };
        let mut handler = |event: &Event<E>, delivery: &mut Delivery<'_, E>| handler(event, delivery);
        while let Some((number, event)) = flight.next(lane) {
            let note = || {
                flight
                    .place()
                    .map_or(Ok(()), |place| self.note_place(place, moves))
            };
            let handled = self.hand_out(&event, 0, &mut handler, &note);
            let is_handled = handled.and_then(|outcome| match outcome {
                Outcome::Done => Ok(Some(true)),
                Outcome::Waits => Ok(Some(false)),
                Outcome::Called { .. } => Ok(None),
                Outcome::Failed { attempts, error } => {
                    self.put_away(&event, attempts, error, moves, None)?;
                    Ok(Some(false))
                }
            });
            let noted = match is_handled {
                Ok(Some(is_handled)) => flight.done(number, is_handled),
                Ok(None) => return,
                Err(_) if self.consuming.is_in_child() => return end_thread_of_child(),
                Err(error) => return flight.halt(Some(error)),
            };
            if let Some((place, is_all)) = noted {
                if let Err(error) = self.note_place(place, moves) {
                    return flight.halt(Some(error));
                }
                if is_all {
                    self.consuming.wake_followers();
                }
            }
        }
    }
}

/// Ends all lanes when it goes.
struct End<'f, E, C> {
    shared: &'f Shared<E, C>,
    flight: &'f Flight<E>,
}

impl<E, C> Drop for End<'_, E, C> {
    fn drop(&mut self) {
        if self.shared.consuming.is_in_child() {
            // It has locks that may be held for good.
            return;
        }
        self.flight.halt(None);
        // It may sleep at the end of the log.
        self.shared.consuming.wake_followers();
    }
}
