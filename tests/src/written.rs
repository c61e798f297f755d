//! A log on a simulated disk that one process writes, while tests look at it from others.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use wal_db::{Staging, Wal, WalConfig, testing::SimDisk};

use crate::{Entry, files::SEGMENT, payload, stops};

/// Such a log. Its name is [`NAME`](Self::NAME).
#[derive(Debug)]
pub struct Written {
    /// The disk as the writer sees it.
    pub disk: SimDisk,
    /// How the log is opened: no background threads, and a small ring.
    pub config: WalConfig,
    segmented: bool,
    wal: Option<Wal>,
    /// The handles of processes that died.
    dead: Vec<Wal>,
}

impl Written {
    /// What it is called.
    pub const NAME: &str = "log";

    /// A new log, in segments or in one file.
    #[must_use]
    pub fn new(segmented: bool, staging: Staging) -> Written {
        let config = WalConfig::new()
            .with_background_flush(false)
            .with_staging_bytes(64 << 10)
            .with_staging(staging);
        let mut log = Written {
            disk: SimDisk::new(),
            config,
            segmented,
            wal: None,
            dead: Vec::new(),
        };
        log.open();
        log
    }

    fn open(&mut self) {
        let opened = match self.segmented {
            true => self.disk.open_segmented(Self::NAME, SEGMENT, self.config),
            false => self.disk.open(Self::NAME, self.config),
        };
        self.wal = Some(opened.unwrap());
    }

    /// The log of the process that has it open.
    #[must_use]
    pub fn wal(&self) -> &Wal {
        self.wal.as_ref().unwrap()
    }

    /// Closes the log and opens it again.
    pub fn reopen(&mut self) {
        self.wal.take().unwrap().close().unwrap();
        self.open();
    }

    /// The process dies; another one opens the log.
    pub fn die(&mut self) {
        // The staging memory stays mapped, and nobody writes to it any more.
        self.dead.extend(self.wal.take());
        self.disk.unlock_all();
        self.open();
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        drop(self.wal.take());
        // What the dead would still do as they are dropped does not arrive.
        let _ = self.disk.kill();
    }
}

/// What the writer does.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Appends so many bytes.
    Append(usize),
    /// Makes all durable.
    Sync,
    /// Hands what was appended to the store.
    Flush,
    /// Keeps so many of the records that there are.
    CutAfter(usize),
    /// Drops so many of the records that there are.
    CutBefore(usize),
    /// Closes the log and opens it again.
    Reopen,
    /// The process dies; the log is opened again.
    Die,
}

/// A log that is written, and what was ever in it.
#[derive(Debug)]
pub struct Writer {
    /// The log.
    pub log: Written,
    seed: usize,
    /// The log after each operation.
    pub states: Vec<State>,
}

/// What is in a log.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Its records.
    pub live: Vec<Entry>,
    /// So many of them are in the store.
    pub stored: usize,
    /// Some were dropped.
    pub head_moved: bool,
}

impl Writer {
    /// A new log, in segments or in one file.
    #[must_use]
    pub fn new(segmented: bool, staging: Staging) -> Writer {
        Writer {
            log: Written::new(segmented, staging),
            seed: 0,
            states: vec![State::default()],
        }
    }

    /// Does one thing more.
    pub fn run(&mut self, op: Op) {
        let mut state = self.states.last().unwrap().clone();
        match op {
            Op::Append(len) => {
                self.seed += 1;
                let data = payload(self.seed, len);
                let lsn = self.log.wal().append(&data).unwrap();
                state.live.push(Entry(lsn, data));
            }
            Op::Sync => self.log.wal().sync().unwrap(),
            Op::Flush => self.log.wal().drain().unwrap(),
            Op::CutAfter(kept) => {
                self.log.wal().truncate_after(state.live[kept - 1].0).unwrap();
                state.live.truncate(kept);
            }
            Op::CutBefore(dropped) => {
                let lsn = state.live[dropped].0;
                assert_eq!(self.log.wal().truncate_before(lsn).unwrap(), lsn);
                state.live.drain(..dropped);
                state.stored -= dropped;
                state.head_moved = true;
            }
            Op::Reopen => self.log.reopen(),
            Op::Die => self.log.die(),
        }
        if !matches!(op, Op::Append(_)) || self.log.config.staging() == Staging::WriteThrough {
            state.stored = state.live.len();
        }
        self.states.push(state);
    }
}

/// In segments or in one file, and what becomes of what was not written yet.
pub type Kind = (bool, Staging);

/// Runs the first `before` operations, then a look from outside, before whose call number `at` so many of the next ones
/// are run, for each `(at, count)` of `during`. The look is told how many were run by now. Returns how many calls there
/// were.
pub fn beside<T>(
    script: &[Op],
    kind: Kind,
    before: usize,
    during: &[(u64, usize)],
    look: impl FnOnce(&SimDisk, &dyn Fn() -> usize, &str) -> T,
    judge: impl FnOnce(&Writer, T, &str),
) -> u64 {
    let mut writer = Writer::new(kind.0, kind.1);
    let disk = writer.log.disk.clone();
    script[..before].iter().for_each(|&op| writer.run(op));
    let writer = Arc::new(Mutex::new((writer, before)));
    let calls = Arc::new(AtomicU64::new(0));
    let beside = disk.beside({
        let (writer, calls, script, during) =
            (writer.clone(), calls.clone(), script.to_vec(), during.to_vec());
        move || {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            for (_, count) in during.iter().filter(|(at, _)| *at == call) {
                let mut guard = writer.lock().unwrap();
                let (writer, done) = &mut *guard;
                for &op in script[*done..].iter().take(*count) {
                    writer.run(op);
                    *done += 1;
                }
            }
        }
    });
    let now = || writer.lock().unwrap().1;
    let what = format!("{kind:?}, {:?} first, then {during:?}", &script[..before]);
    let seen = look(&beside, &now, &what);
    judge(&writer.lock().unwrap().0, seen, &what);
    calls.load(Ordering::Relaxed)
}

/// A look from outside begins when operation number `before` of the writer is at a stop, and the writer goes on before call
/// number `at` of the look. Returns how many calls there were; `None` if there is no such stop.
pub fn halfway<T>(
    script: &'static [Op],
    kind: Kind,
    before: usize,
    (stop, at): (u64, u64),
    look: impl FnOnce(&SimDisk, &str) -> T,
    judge: impl FnOnce(&Writer, T, &str),
) -> Option<u64> {
    let mut writer = Writer::new(kind.0, kind.1);
    let disk = writer.log.disk.clone();
    let (stops, at_each) = stops::stops();
    writer.log.disk = disk.beside(at_each);
    writer.log.reopen();
    script[..before].iter().for_each(|&op| writer.run(op));
    let op = script[before];
    let stopped = stops.begin(writer, stop, move |writer| writer.run(op))?;
    let what = format!("{kind:?}, in {op:?} number {before} at {stop}, which ends before call {at}");
    let (seen, writer, calls) =
        stops::look_at(stopped, at, |before_each| look(&disk.beside(before_each), &what));
    judge(&writer, seen, &what);
    Some(calls)
}
