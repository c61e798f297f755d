//! A replay whose records several threads decode.
//!
//! The thread that takes the events reads the records and copies them into chunks, which a [`Crew`] decodes. What the
//! replay notes of records that it cannot read, it notes when it comes to them: what was decoded beyond the last event
//! that was handed out shows nowhere.

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use super::{
    codec::Codec,
    crew::Crew,
    filter::Filter,
    record::WalDecodeOwned,
    replay::{Event, Records, Replay, read},
    stored::Upcast,
    unreadable::Unread,
};
use crate::{
    error::{Result, WalError},
    log::{RecordKind, RecordRef, WalIter},
    lsn::Lsn,
    sync::{Arc, AtomicBool, Mutex, Ordering, processors},
};

/// A chunk ends with the record that makes it so long.
const CHUNK_RECORDS: usize = if cfg!(wal_shuttle) { 2 } else { 512 };
const CHUNK_BYTES: usize = 64 << 10;

/// How many chunks there are at a time at most, for each thread.
const CHUNKS_OF_A_THREAD: usize = 4;

const MOST_THREADS: usize = 256;

impl<E: WalDecodeOwned + Send + 'static, C: Codec> Replay<E, C, WalIter> {
    /// Decodes events before they are asked for, in up to `threads` threads. The one that asks for the events is one of
    /// them. The same comes out, in the same order: events, errors, and what [`skipped`](Self::skipped),
    /// [`ahead`](Self::ahead) and [`take_collected`](Self::take_collected) say after each event.
    ///
    /// It pays for events that own no memory, as numbers and arrays of them, and for those that a conversion of the
    /// program's takes long to make. It may not pay for events that hold texts, lists or maps: their memory is taken in
    /// one thread and given back in another, which takes some allocators, that of glibc among them, longer than decoding
    /// does. Measure both; `docs/performance.md` has figures.
    ///
    /// Up to four chunks are decoded ahead for each thread, of 512 records or 64 KiB each, or one record if that is
    /// longer. A log that has no more than one chunk is replayed without other threads; so is any log if `threads` is 0
    /// or 1, or if the program has one processor. The threads end with the replay, and dropping it waits for them.
    ///
    /// Conversions of the program's own run in all of these threads, also for events that are never handed out. If one
    /// panics, the panic reaches the thread that asks when its event would be next. Filters have to be named before the
    /// first event is taken.
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// use serde::{Deserialize, Serialize};
    /// use wal_db::{MemStore, Wal, WalRecord};
    ///
    /// #[derive(Serialize, Deserialize, WalRecord)]
    /// #[wal(name = "reading")]
    /// struct Reading { sensor: u32, celsius: f32 }
    ///
    /// let log = Wal::with_store(MemStore::new())?.typed::<Reading>()?;
    /// for sensor in 0..5000 {
    ///     log.append(&Reading { sensor, celsius: 21.5 })?;
    /// }
    /// for (sensor, reading) in (0..).zip(log.replay(..)?.decode_ahead(2)) {
    ///     assert_eq!(reading?.event.sensor, sensor);
    /// }
    /// # Ok::<(), wal_db::WalError>(())
    /// ```
    pub fn decode_ahead(mut self, threads: usize) -> Self {
        if threads > 1 && processors() > 1 && !self.ended {
            self.ahead = Some(Box::new(DecodeAhead::new::<C>(threads.min(MOST_THREADS))));
            self.ended = true;
        }
        self
    }
}

/// Chunks of records on their way to be events.
pub(super) struct DecodeAhead<E> {
    crew: Crew<Chunk<E>>,
    threads: usize,
    is_started: bool,
    filter: Option<Arc<Filter>>,
    /// The chunk whose events are handed out.
    current: Chunk<E>,
    /// How many chunks the crew has, and how long they are together.
    chunks: usize,
    bytes: usize,
    /// Chunks whose memory is used again. It is much, and to give it back and take it anew would be slow.
    spare: Vec<Chunk<E>>,
    /// What comes after the chunks, once that is known.
    end: Option<End>,
}

/// What comes of a record, or a part of it.
enum Step<E> {
    Event(Event<E>),
    Unread(Box<Unread>),
    Panic(Panic),
}

enum End {
    Over,
    Error(WalError),
    Panic(Panic),
}

/// What somebody panicked with, in a lock, because it need not be `Sync`.
struct Panic(Mutex<Option<Box<dyn Any + Send>>>);

impl Panic {
    fn new(panic: Box<dyn Any + Send>) -> Self {
        Panic(Mutex::new(Some(panic)))
    }

    fn resume(mut self) -> ! {
        let panic = self.0.get_mut().take();
        resume_unwind(panic.unwrap_or_else(|| Box::new(())))
    }
}

/// Records, and what comes of them.
struct Chunk<E> {
    filter: Arc<Filter>,
    records: Vec<Copied>,
    /// Those of one record after those of another.
    bytes: Vec<u8>,
    steps: VecDeque<Step<E>>,
}

struct Copied {
    lsn: Lsn,
    kind: RecordKind,
    more: bool,
    len: usize,
}

impl<E> Chunk<E> {
    fn new() -> Self {
        Chunk {
            filter: Arc::default(),
            records: Vec::new(),
            bytes: Vec::new(),
            steps: VecDeque::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.records.len() >= CHUNK_RECORDS || self.bytes.len() >= CHUNK_BYTES
    }

    fn push(&mut self, record: RecordRef<'_>) {
        self.bytes.extend_from_slice(record.data);
        self.records.push(Copied {
            lsn: record.lsn,
            kind: record.kind,
            more: record.more,
            len: record.data.len(),
        });
    }

    /// Makes it empty, and does not keep the memory of a record that was very long.
    fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        self.bytes.shrink_to(2 * CHUNK_BYTES);
    }
}

/// Finds out what comes of the records of a chunk, up to a panic in a conversion of the program's.
fn decode<E: WalDecodeOwned, C: Codec>(chunk: &mut Chunk<E>, is_over: &AtomicBool) {
    let Chunk {
        filter,
        records,
        bytes,
        steps,
    } = chunk;
    let mut rest = &**bytes;
    let each = || {
        for &Copied { lsn, kind, more, len } in &*records {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let data;
            (data, rest) = rest.split_at(len);
            match read::<E, C>(
                RecordRef {
                    lsn,
                    kind,
                    more,
                    data,
                },
                filter,
            ) {
                Ok(None) => {}
                Ok(Some(Upcast::One(event))) => steps.push_back(Step::Event(event)),
                Ok(Some(Upcast::Many(events))) => steps.extend(events.into_iter().map(Step::Event)),
                Err(unread) => steps.push_back(Step::Unread(Box::new(unread))),
            }
        }
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(each)) {
        steps.push_back(Step::Panic(Panic::new(panic)));
    }
}

impl<E> DecodeAhead<E> {
    fn new<C: Codec>(threads: usize) -> Self
    where
        E: WalDecodeOwned + Send + 'static,
    {
        DecodeAhead {
            crew: Crew::new(decode::<E, C>),
            threads,
            is_started: false,
            filter: None,
            current: Chunk::new(),
            chunks: 0,
            bytes: 0,
            spare: Vec::new(),
            end: None,
        }
    }

    /// Goes on to the next chunk; the end if there is none.
    fn advance<R: Records>(&mut self, records: &mut R, filter: &Filter) -> Option<End> {
        if !self.crew.is_of_this_process() {
            return Some(End::of(records.check_process()));
        }
        while self.has_room() {
            self.give(records, filter);
            if self.crew.is_next_done() {
                break;
            }
        }
        if let Some(chunk) = self.crew.next() {
            self.chunks -= 1;
            self.bytes -= chunk.bytes.len();
            let mut last = std::mem::replace(&mut self.current, chunk);
            last.clear();
            self.spare.push(last);
            return None;
        }
        if self.crew.is_of_this_process() {
            self.end.take()
        } else {
            Some(End::of(records.check_process()))
        }
    }

    fn has_room(&self) -> bool {
        let most = self.threads * CHUNKS_OF_A_THREAD;
        self.end.is_none() && self.chunks < most && self.bytes < most * CHUNK_BYTES
    }

    /// Reads a chunk, and gives it to the crew. A log that has no more than one is replayed without threads.
    fn give<R: Records>(&mut self, records: &mut R, filter: &Filter) {
        let mut chunk = self.spare.pop().unwrap_or_else(Chunk::new);
        chunk.filter = self
            .filter
            .get_or_insert_with(|| Arc::new(filter.clone()))
            .clone();
        // A store of the program's own may panic, but not before the events that were read are handed out.
        let fill = || {
            while !chunk.is_full() {
                match records.next_record() {
                    None => return Some(End::Over),
                    Some(Err(error)) => return Some(End::Error(error)),
                    Some(Ok(record)) => chunk.push(R::lend(&record)),
                }
            }
            None
        };
        self.end = match catch_unwind(AssertUnwindSafe(fill)) {
            Ok(end) => end,
            Err(panic) => Some(End::Panic(Panic::new(panic))),
        };
        self.chunks += 1;
        self.bytes += chunk.bytes.len();
        self.crew.give(chunk);
        if self.end.is_none() && !self.is_started {
            self.is_started = true;
            self.crew.start(self.threads - 1);
        }
    }
}

impl End {
    fn of(checked: Result<()>) -> End {
        checked.err().map_or(End::Over, End::Error)
    }
}

impl<E, C, R: Records> Replay<E, C, R> {
    /// The next event, if they are decoded ahead.
    pub(super) fn next_ahead(&mut self) -> Option<Result<Event<E>>> {
        loop {
            let ahead = self.ahead.as_mut()?;
            let end = match ahead.current.steps.pop_front() {
                Some(Step::Event(event)) => return Some(Ok(event)),
                Some(Step::Unread(unread)) => match self.notes.unreadable(*unread, self.policy) {
                    Ok(()) => continue,
                    Err(error) => End::Error(self.with_name(error).into()),
                },
                Some(Step::Panic(panic)) => End::Panic(panic),
                None => match ahead.advance(&mut self.records, &self.filter) {
                    Some(end) => end,
                    None => continue,
                },
            };
            // Its threads end before the replay does.
            self.ahead = None;
            match end {
                End::Over => return None,
                End::Error(error) => return Some(Err(error)),
                End::Panic(panic) => panic.resume(),
            }
        }
    }
}
