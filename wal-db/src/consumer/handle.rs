//! A consumer as the program has it: looking at it, and telling it what to do.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    ConsumerConfig,
    book::{ALL_PARTS, Book},
    fence::Fence,
    waiting::CameTo,
};
use crate::{
    error::{ConsumerError, Result, WalError, sources},
    event::{
        EventLog, WalDecodeOwned,
        codec::{Codec, DefaultCodec},
    },
    format::consumer,
    log::{Consuming, Start, Wal, now_us},
    lsn::Lsn,
    position::Position,
    sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering},
};

/// What follows a log by a name, and keeps beside the log where it has come to: a cheap handle, whose clones share the
/// consumer. [`run`](Self::run) hands out the events; the other calls may come from any thread meanwhile, or while nobody
/// runs it.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use wal_db::{MemStore, Start, Wal, WalRecord, consumer::ConsumerConfig};
///
/// #[derive(Serialize, Deserialize, WalRecord)]
/// #[wal(name = "order")]
/// enum Order { Placed { id: u64 }, Cancelled { id: u64 } }
///
/// let log = Wal::with_store(MemStore::new())?.typed::<Order>()?;
/// log.append(&Order::Placed { id: 7 })?;
/// let last = log.append_and_sync(&Order::Cancelled { id: 7 })?;
///
/// let mailer = log.consumer("mailer", ConsumerConfig::new().with_start(Start::Head))?;
/// mailer.run(|event, _| {
///     println!("a mail about order {}", match event.event {
///         Order::Placed { id } | Order::Cancelled { id } => id,
///     });
///     if event.lsn == last {
///         mailer.stop();
///     }
///     Ok(())
/// })?;
/// assert!(mailer.status()?.cursor > last); // and it goes on from there, also after a restart
/// # Ok::<(), wal_db::WalError>(())
/// ```
///
/// # What is durable when
/// Only durable events are handed out. Where it has come to is saved each millisecond, and when there is nothing more to be
/// handed out, without a flush. After a crash of the program, the events of the last millisecond are handled again, and after a
/// power loss those of some seconds. An event is never left out. What [`pause`](Self::pause), [`rewind`](Self::rewind),
/// [`retry`](Self::retry), [`skip`](Self::skip) and parking change is durable when they return.
///
/// [`Wal::retain`] and [`Store::compact`](crate::state::Store::compact) keep what a consumer has not
/// read, also while it is not running, and what is parked, until it is [forgotten](forget).
pub struct Consumer<E, C = DefaultCodec> {
    pub(super) shared: Arc<Shared<E, C>>,
}

pub(super) struct Shared<E, C> {
    pub(super) consuming: Consuming,
    pub(super) log: EventLog<E, C>,
    pub(super) config: ConsumerConfig<E>,
    /// Held while files are written.
    pub(super) book: Mutex<Book>,
    pub(super) came_to: Mutex<CameTo>,
    /// The run has to look into the book.
    pub(super) is_called: AtomicBool,
    /// How many keys are parked.
    pub(super) parked: AtomicU64,
    /// The first event that was passed over by hand and is still to come; `u64::MAX` for none.
    pub(super) next_skip: AtomicU64,
    pub(super) fence: Mutex<Fence>,
    /// How often something was emitted,
    pub(super) emitted: AtomicU64,
    /// and how often it was, up to what is durable.
    pub(super) synced: Mutex<u64>,
}

impl<E: WalDecodeOwned, C: Codec> EventLog<E, C> {
    /// The consumer of this name, which one handle of the log has at a time. It does nothing before it is
    /// [run](Consumer::run).
    ///
    /// A name has up to 64 lowercase letters, digits, `_` and `-`.
    ///
    /// # Errors
    /// [`WalError::Consumer`]: [`Unknown`](ConsumerError::Unknown) if none is kept beside the log and
    /// [`with_start`](ConsumerConfig::with_start) does not say where it begins, [`Exists`](ConsumerError::Exists) if another
    /// handle has it, [`Damaged`](ConsumerError::Damaged) and [`NewerFormat`](ConsumerError::NewerFormat) for its file.
    /// [`Config`](WalError::Config) for an invalid name and a log whose store has no place for consumers;
    /// [`ReadOnly`](WalError::ReadOnly); where it begins, as for [`Wal::seek`].
    pub fn consumer(&self, name: &str, config: ConsumerConfig<E>) -> Result<Consumer<E, C>> {
        let wal = self.wal();
        let consuming = wal.consuming(name)?;
        let book = match (consuming.with_files(|files| files.load(name))?, config.start) {
            (Some(kept), _) => Book::of(kept),
            (None, Some(start)) => at_place(wal, start, |place| {
                let book = Book::new(place);
                consuming.with_files(|files| {
                    wal.seek(place)?;
                    files.store(name, book.number, &book.to_table())
                })?;
                Ok(book)
            })?,
            (None, None) => {
                let name = name.to_owned();
                return Err(ConsumerError::Unknown { name }.into());
            }
        };
        let shared = Shared {
            consuming,
            log: self.clone(),
            config,
            book: Mutex::new(book),
            came_to: Mutex::new(CameTo::default()),
            is_called: AtomicBool::new(true),
            parked: AtomicU64::new(0),
            next_skip: AtomicU64::new(0),
            fence: Mutex::new(Fence::new()),
            emitted: AtomicU64::new(0),
            synced: Mutex::new(0),
        };
        shared.note(&shared.book.lock());
        Ok(Consumer {
            shared: Arc::new(shared),
        })
    }
}

/// Runs something with the place to begin at, before which all is durable. It looks again whether that is still there: the
/// callbacks of tickets may run here, so no lock is held.
fn at_place<T>(wal: &Wal, start: Start, mut run: impl FnMut(Position) -> Result<T>) -> Result<T> {
    loop {
        let place = match start {
            Start::Position(position) => position,
            start => Position::of(wal, wal.seek(start)?)?,
        };
        if place.lsn() > wal.status().durable {
            wal.sync()?;
        }
        match run(place) {
            // The head has moved in between.
            Err(WalError::Truncated { .. }) if start == Start::Head => {}
            ran => return ran,
        }
    }
}

/// An event that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Letter {
    /// The event. If it is parked, it is the first one of its key that waits.
    pub lsn: Lsn,
    /// Which part of its record, see [`Event::part`](crate::Event::part); `u32::MAX` for all of it.
    pub part: u32,
    /// Its [key](ConsumerConfig::with_key).
    pub key: String,
    /// How often it was tried; 0 if it was not, because it cannot be read or was passed over by hand.
    pub attempts: u32,
    /// What was said the last time, or why it was passed over.
    pub error: String,
    /// When that was.
    pub time: SystemTime,
    /// Whether it is to be tried again, as soon as the consumer runs.
    pub is_due: bool,
}

impl Letter {
    fn of(letter: &consumer::Letter) -> Self {
        let since = Duration::from_micros(letter.time_us.unsigned_abs());
        Letter {
            lsn: Lsn::new(letter.lsn),
            part: letter.part,
            key: letter.key.clone(),
            attempts: letter.attempts,
            error: letter.error.clone(),
            time: UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH),
            is_due: letter.is_due,
        }
    }
}

/// How a consumer is doing, from [`Consumer::status`] and [`consumers`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// Every event before this LSN was handled, is parked, or was passed over.
    pub cursor: Lsn,
    /// Whether a thread runs it; not said by [`consumers`].
    pub is_running: bool,
    /// Whether it is [paused](Consumer::pause).
    pub is_paused: bool,
    /// How many keys are parked.
    pub parked: usize,
    /// How many events were passed over.
    pub skipped: u64,
    /// Why it could not be saved where it is, the last time. It goes on, and tries again; after a crash it handles events
    /// again.
    pub failure: Option<String>,
}

/// What a consumer has still to do, from [`Consumer::lag`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Lag {
    /// How many records are in the store that it has not handled. Those that are no events for it count.
    pub records: u64,
    /// How many bytes of log that is, framing included, as far as it is durable.
    pub bytes: u64,
    /// How long ago the first of them was written; zero if there is none.
    pub time: Duration,
}

impl<E: WalDecodeOwned, C: Codec> Consumer<E, C> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.consuming.name()
    }

    /// How it is doing. Fails as [`Wal::iter`] if the log is closed.
    pub fn status(&self) -> Result<ConsumerStatus> {
        self.shared.consuming.check_usable()?;
        Ok(status(self.name(), &self.shared.book.lock()))
    }

    /// What it has still to do.
    ///
    /// # Errors
    /// As [`Wal::locate`]: the log is read.
    pub fn lag(&self) -> Result<Lag> {
        let cursor = self.shared.book.lock().cursor.lsn();
        lag(self.shared.log.wal(), cursor)
    }

    /// The first event that waits of each parked key, by keys.
    ///
    /// # Errors
    /// [`Closed`](WalError::Closed).
    pub fn parked(&self) -> Result<Vec<Letter>> {
        self.shared.consuming.check_usable()?;
        Ok(self.shared.book.lock().parked.values().map(Letter::of).collect())
    }

    /// The newest thousand events that were passed over, oldest first.
    ///
    /// # Errors
    /// [`Closed`](WalError::Closed).
    pub fn skipped(&self) -> Result<Vec<Letter>> {
        self.shared.consuming.check_usable()?;
        Ok(self.shared.book.lock().skipped.iter().map(Letter::of).collect())
    }

    /// Ends the run: the event that is being handled is handled, unless it waits for another try. If none goes on, the next one
    /// ends at once.
    pub fn stop(&self) {
        self.shared.book.lock().is_to_stop = true;
        self.shared.call();
    }

    /// Hands out no events until [`resume`](Self::resume), also after a restart. An event that is being handled is handled.
    ///
    /// # Errors
    /// Those of writing the file of the consumer; nothing has changed then.
    pub fn pause(&self) -> Result<()> {
        self.shared.ask(|book| {
            book.is_paused = true;
            Ok(())
        })
    }

    /// Goes on after a [`pause`](Self::pause). Fails as that.
    pub fn resume(&self) -> Result<()> {
        self.shared.ask(|book| {
            book.is_paused = false;
            Ok(())
        })
    }

    /// Goes on from another place, back or ahead. What is parked or was passed over from there on is handed out again; what
    /// waits from before stays parked. What was [emitted](super::Delivery::emit) for an event is not emitted again.
    ///
    /// An event that is being handled meanwhile is handled, and what it emits is appended.
    ///
    /// # Errors
    /// As [`Wal::seek`], and as [`pause`](Self::pause).
    pub fn rewind(&self, to: impl Into<Start>) -> Result<()> {
        let wal = self.shared.log.wal();
        at_place(wal, to.into(), |place| {
            // Before it can be seen that nothing is parked any more.
            self.shared.is_called.store(true, Ordering::SeqCst);
            self.shared.ask(|book| {
                wal.seek(place)?;
                let is_of_another = matches!(
                    wal.seek(book.cursor),
                    Err(WalError::OtherLog { .. } | WalError::Diverged { .. })
                );
                book.move_to(place, !is_of_another);
                Ok(())
            })
        })
    }

    /// Hands the events of a parked key out again, from its first one at `lsn` on, in the run, before it goes on. If that
    /// succeeds up to where the consumer is, the key is not parked any more.
    ///
    /// # Errors
    /// [`NotParked`](ConsumerError::NotParked), and as [`pause`](Self::pause).
    pub fn retry(&self, lsn: Lsn) -> Result<()> {
        self.shared.ask(|book| {
            let mut waiting = book
                .parked
                .values_mut()
                .filter(|letter| letter.lsn == lsn.get())
                .peekable();
            waiting.peek().ok_or_else(|| self.shared.not_parked(lsn))?;
            waiting.for_each(|letter| letter.is_due = true);
            Ok(())
        })
    }

    /// Passes the event at `lsn` over: the first one of a parked key, whose later ones are then [tried](Self::retry), or one
    /// that is still to come, such as the one at which the consumer has stopped. `why` is kept with it.
    ///
    /// # Errors
    /// [`NotParked`](ConsumerError::NotParked) if it was handled, or is not the first one that waits;
    /// [`NoSuchRecord`](WalError::NoSuchRecord) if no record starts there; as [`pause`](Self::pause).
    pub fn skip(&self, lsn: Lsn, why: &str) -> Result<()> {
        let shared = &self.shared;
        let is_there = shared.log.wal().read(lsn).map(drop);
        let is_to_come = |book: &Book| lsn >= book.cursor.lsn();
        if is_to_come(&shared.book.lock()) && shared.book.lock().was_skipped((lsn, ALL_PARTS)) {
            return Ok(());
        }
        shared.ask(|book| {
            let mut key = None;
            for letter in book.parked.values_mut().filter(|letter| letter.lsn == lsn.get()) {
                letter.is_due = true;
                key = Some(letter.key.clone());
            }
            if key.is_none() {
                match is_to_come(book) {
                    true => is_there?,
                    false => return Err(shared.not_parked(lsn)),
                }
            }
            book.skip(consumer::Letter {
                lsn: lsn.get(),
                part: ALL_PARTS,
                attempts: 0,
                time_us: now_us().cast_signed(),
                is_due: false,
                key: key.unwrap_or_default(),
                error: shortened(why),
            });
            Ok(())
        })
    }
}

impl<E, C> Shared<E, C> {
    /// Changes what is kept, durably.
    pub(super) fn change(&self, change: impl FnOnce(&mut Book)) -> Result<()> {
        self.try_change(|book| {
            change(book);
            Ok(())
        })
    }

    /// As [`change`](Self::change), unless `change` fails. Nothing is dropped from the log meanwhile that a consumer needs.
    fn try_change(&self, change: impl FnOnce(&mut Book) -> Result<()>) -> Result<()> {
        let mut book = self.book.lock();
        let mut next = book.clone();
        (next.number, next.saves, next.failure) = (book.number + 1, 0, None);
        let name = self.consuming.name();
        self.consuming.with_files(|files| {
            change(&mut next)?;
            files.store(name, next.number, &next.to_table())
        })?;
        *book = next;
        self.note(&book);
        let place = book.cursor.lsn();
        drop(book);
        self.consuming.came_to(place);
        Ok(())
    }

    /// Changes it for somebody else than the run.
    fn ask(&self, change: impl FnOnce(&mut Book) -> Result<()>) -> Result<()> {
        self.try_change(change)?;
        self.call();
        Ok(())
    }

    /// Puts where the run finds it without a lock what it looks at before each event, and where those find it who wait.
    pub(super) fn note(&self, book: &Book) {
        self.parked.store(book.parked.len() as u64, Ordering::Release);
        *self.came_to.lock() = CameTo::of(book);
        let to_come = book.skipped.iter().map(|letter| letter.lsn);
        let to_come = to_come.filter(|lsn| *lsn >= book.cursor.lsn().get());
        self.next_skip
            .store(to_come.min().unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Has the run look into the book.
    fn call(&self) {
        self.is_called.store(true, Ordering::SeqCst);
        self.consuming.changed.ring();
        self.consuming.wake_followers();
    }

    fn not_parked(&self, lsn: Lsn) -> WalError {
        let name = self.consuming.name().to_owned();
        ConsumerError::NotParked { name, lsn }.into()
    }
}

/// As much of a text as is kept.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 1000;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in sources(error) {
        text.push_str(&format!(": {source}"));
    }
    text
}

fn status(name: &str, book: &Book) -> ConsumerStatus {
    ConsumerStatus {
        name: name.to_owned(),
        cursor: book.cursor.lsn(),
        is_running: book.is_running,
        is_paused: book.is_paused,
        parked: book.parked.len(),
        skipped: book.skipped_count,
        failure: book.failure.clone(),
    }
}

fn lag(wal: &Wal, cursor: Lsn) -> Result<Lag> {
    let status = wal.status();
    if cursor >= status.durable {
        return Ok(Lag::default());
    }
    let mut records = wal.range(cursor..status.durable)?;
    let mut lag = Lag::default();
    let first = records.next_ref().transpose()?.map(|record| record.lsn());
    let Some(first) = first else {
        return Ok(lag);
    };
    let oldest = wal.locate(first)?;
    lag.records = status.head_ordinal + status.records - oldest.ordinal;
    lag.bytes = status.durable.get().saturating_sub(first.get());
    lag.time = SystemTime::now().duration_since(oldest.time).unwrap_or_default();
    Ok(lag)
}

/// The consumers that are kept beside a log, by name, as it was saved where they are. Also of a log that another process
/// writes.
///
/// # Errors
/// [`WalError::Consumer`] if one cannot be read, [`Config`](WalError::Config) if the store of the log has no place for
/// them, [`Io`](WalError::Io).
pub fn consumers(wal: &Wal) -> Result<Vec<ConsumerStatus>> {
    let files = wal.consumer_files()?;
    let mut all = Vec::new();
    for name in files.names()? {
        // It may have been forgotten a moment ago.
        if let Some(kept) = files.load(&name)? {
            all.push(status(&name, &Book::of(kept)));
        }
    }
    Ok(all)
}

/// Removes what is kept of a consumer, so that nothing is [kept](Wal::retain) for it any more. If one of this name is made
/// later, it begins anew; but what was [emitted](super::Delivery::emit) under the name is in the log, and is not emitted again.
///
/// # Errors
/// [`Exists`](ConsumerError::Exists) if a handle of this log has it, [`ReadOnly`](WalError::ReadOnly),
/// [`Config`](WalError::Config) if the name is invalid or the store of the log has no place for consumers,
/// [`Io`](WalError::Io).
pub fn forget(wal: &Wal, name: &str) -> Result<()> {
    let consuming = wal.consuming(name)?;
    consuming.with_files(|files| files.remove(name))
}

impl<E, C> Drop for Shared<E, C> {
    /// Keeps where it is, durably, so that a power loss that comes later has nothing handled again.
    fn drop(&mut self) {
        let book = self.book.get_mut();
        if book.saves == 0 && book.failure.is_none() {
            return;
        }
        let (name, number) = (self.consuming.name(), book.number + 1);
        // If it fails, what was saved without a flush is there.
        let _ = self
            .consuming
            .with_files(|files| files.store(name, number, &book.to_table()));
    }
}

impl<E, C> Clone for Consumer<E, C> {
    fn clone(&self) -> Self {
        Consumer {
            shared: self.shared.clone(),
        }
    }
}

impl<E, C> fmt::Debug for Consumer<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("name", &self.shared.consuming.name())
            .finish_non_exhaustive()
    }
}
