//! The index of a log: made by reading the log, told of what comes, and written beside the log by a thread of its own.

use std::{
    io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use super::{
    files::Files,
    noted::{BrokenRun, Events, Limits, Noted, Part},
    query::Wanted,
    run::{OpenRun, ends_of},
};
use crate::{
    error::{Result, WalError},
    format::{Kind, run::RunFault},
    log::{Counting, RecordKind, Wal, Watch},
    lsn::Lsn,
    position::Position,
    process::{Process, end_thread_of_child},
    sync::{Arc, AtomicBool, Mutex, Ordering, thread},
};

/// After how many bytes of log a run is written if nothing is said.
pub(super) const RUN_BYTES: u64 = 64 << 20;

/// And after how many events of terms, which take 13 bytes each until then.
const RUN_EVENTS: u64 = if cfg!(wal_shuttle) { 1 << 5 } else { 1 << 20 };

/// So many events of terms are noted before they are packed. More do not fit the processor's cache, and noting one takes
/// twice as long.
const NOTED_EVENTS: usize = if cfg!(wal_shuttle) { 1 << 3 } else { 1 << 16 };

/// So many runs are merged at once.
const MOST_AT_ONCE: usize = if cfg!(wal_shuttle) { 2 } else { 64 };

/// So many parts wait to be packed while files are merged.
const PACKED_TOGETHER: usize = if cfg!(wal_shuttle) { 1 } else { 4 };

/// A run is merged with those before it unless one of them is so many times larger.
const RATIO: u64 = 4;

/// After how long parts that wait in memory are tried again if none becomes full.
const RETRY: Duration = Duration::from_secs(10);

/// What all handles of a log share.
pub(super) struct Index {
    /// Dropped before the log, which may be closed by that.
    pub(super) counting: Counting,
    pub(super) noted: Arc<Noted>,
    keeper: Arc<Keeper>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What the thread needs that writes parts. It does not know the index, which waits for it when it goes.
struct Keeper {
    counting: Counting,
    noted: Arc<Noted>,
    /// `None` if the store has no place for files.
    files: Option<Files>,
    run_bytes: u64,
    limits: Limits,
    wal: Wal,
    ended: AtomicBool,
    is_writing: AtomicBool,
    failure: Mutex<Option<String>>,
    made_again: Mutex<Option<String>>,
    process: Process,
}

impl Index {
    /// Begins with the runs that are there, reads what is in none of them, and is told of what others append.
    pub(super) fn open(wal: &Wal, run_bytes: u64) -> Result<Self> {
        let counting = wal.count_records()?;
        let turn = counting.files_turn();
        let mut index = loop {
            match counting.unless_cut(|| Self::read(wal, run_bytes)) {
                // The beginning was dropped meanwhile.
                Err(WalError::Truncated { .. }) => {}
                index => break index?,
            }
        };
        drop(turn);
        let keeper = index.keeper.clone();
        let thread = thread::Builder::new().name("wal-index".to_owned());
        let thread = thread.spawn(move || keeper.run());
        index.thread = Some(thread.map_err(WalError::io("starting a thread"))?);
        Ok(index)
    }

    fn read(wal: &Wal, run_bytes: u64) -> Result<Self> {
        let files = Files::of(wal)?;
        let limits = Limits {
            bytes: run_bytes,
            events: NOTED_EVENTS,
        };
        let found = files
            .as_ref()
            .map_or(Ok(Default::default()), |files| files.open(wal));
        let (runs, useless) = found?;
        let head = wal.status().head;
        let noted = Arc::new(Noted::new(wal.log_id(), head, limits));
        let keeper = Arc::new(Keeper {
            counting: wal.count_records()?,
            noted: noted.clone(),
            files,
            run_bytes: run_bytes.max(1),
            limits,
            wal: wal.clone(),
            ended: AtomicBool::new(false),
            is_writing: AtomicBool::new(true),
            failure: Mutex::new(None),
            made_again: Mutex::new(useless),
            process: Process::this(),
        });
        let (mut parts, mut next) = (Vec::new(), head);
        for run in runs {
            if run.from() > next {
                let between = Noted::new(wal.log_id(), next, limits);
                read_on(wal, &between, Bound::Excluded(run.from()), |noted| {
                    keeper.pack(noted)
                })?;
                parts.append(&mut between.into_parts(run.from()));
            }
            next = run.to();
            parts.push(Part::of_run(run));
        }
        noted.begin_with(parts, next);
        let index = Index {
            counting: wal.count_records()?,
            noted,
            keeper,
            thread: None,
        };
        // Most of it while others append, and what they append meanwhile alone.
        wal.drain_to_read()?;
        let keeper = &index.keeper;
        let mut failed = false;
        read_on(wal, &index.noted, Bound::Unbounded, |noted| {
            keeper.pack(noted)?;
            // What cannot be written now is tried again by the thread.
            failed = failed || keeper.store(noted).and_then(|()| keeper.merge_files()).is_err();
            Ok(())
        })?;
        let alone = index.counting.pass().map_err(WalError::of_what_was_taken)?;
        wal.drain_to_read()?;
        read_on(wal, &index.noted, Bound::Unbounded, |_| Ok(()))?;
        alone.set_watch(index.noted.clone());
        drop(alone);
        Ok(index)
    }

    /// Puts what was appended where it can be read, for a call that has appended nothing.
    pub(super) fn drain(&self) -> Result<()> {
        self.counting.check_not_failed()?;
        self.counting.drain().map_err(WalError::of_nothing_taken)
    }

    /// The LSN from which on events are not in the index yet.
    pub(super) fn next(&self) -> Lsn {
        self.counting.there().without_cuts(self.noted.next())
    }

    /// That the terms of all records are known.
    pub(super) fn check(&self) -> Result<()> {
        self.noted
            .with_parts(|parts| parts.check(|lsn| self.counting.there().has(lsn)))
    }

    /// The newest event from `from` on that may be wanted, and that `is_one` takes.
    pub(super) fn newest(
        &self,
        wanted: &Wanted<'_>,
        from: Lsn,
        is_one: impl Fn(Lsn) -> bool,
    ) -> Result<Option<Lsn>> {
        self.mending(|noted| noted.newest(wanted, from, &is_one))
    }

    /// The events from `from` on that may be wanted, oldest first.
    pub(super) fn all(&self, wanted: &[Wanted<'_>], from: Lsn) -> Result<Vec<Lsn>> {
        self.mending(|noted| noted.all(wanted, from))
    }

    /// Runs that cannot be read are made again.
    fn mending<T>(&self, look: impl Fn(&Noted) -> Result<T, BrokenRun>) -> Result<T> {
        loop {
            match look(&self.noted) {
                Ok(found) => return Ok(found),
                Err(broken) => {
                    let _turn = self.counting.files_turn();
                    self.keeper.mend(&broken)?;
                }
            }
        }
    }

    pub(super) fn status(&self) -> Result<IndexStatus> {
        self.counting.check_usable()?;
        let older = self.noted.older();
        let is_stored = |part: &&Part| part.run().is_some_and(|run| run.name().is_some());
        let runs = older.iter().filter(is_stored).count();
        Ok(IndexStatus {
            next: self.next(),
            runs,
            in_memory: older.len() - runs,
            is_writing: self.keeper.is_writing.load(Ordering::SeqCst),
            failure: self.keeper.failure.lock().clone(),
            made_again: self.keeper.made_again.lock().clone(),
        })
    }
}

/// Reads what is in the log and not in `noted`, up to `to`. Calls `each_full` when a part has become full.
fn read_on(
    wal: &Wal,
    noted: &Noted,
    to: Bound<Lsn>,
    mut each_full: impl FnMut(&Noted) -> Result<()>,
) -> Result<()> {
    let mut records = loop {
        let from = noted.begin_at(wal.status().head);
        let to = match to {
            Bound::Excluded(to) => Bound::Excluded(to.max(from)),
            to => to,
        };
        match wal.range((Bound::Included(from), to)) {
            // The beginning was dropped a moment ago.
            Err(WalError::Truncated { .. }) => {}
            records => break records?,
        }
    };
    while let Some(record) = records.next_ref() {
        let record = record?;
        let kind = match record.kind() {
            RecordKind::Typed => Kind::Typed,
            RecordKind::Data => Kind::Data,
            RecordKind::Schema => continue,
        };
        if noted.take(kind, &[(record.lsn(), record.data())]) {
            each_full(noted)?;
        }
    }
    noted.check()
}

/// How an index is doing, from [`Indexed::status`](super::Indexed::status).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexStatus {
    /// Every event that is not in it has this LSN or a later one.
    pub next: Lsn,
    /// How many runs are in files.
    pub runs: usize,
    /// How many parts are in memory, without the newest one. They are written once they are large enough, and durable.
    pub in_memory: usize,
    /// Whether parts are being written, or runs merged.
    pub is_writing: bool,
    /// Why parts could not be written, the last time that it was tried. It is tried again.
    pub failure: Option<String>,
    /// Which run could not be read and was made again from the log, the last one, and why.
    pub made_again: Option<String>,
}

impl Drop for Index {
    fn drop(&mut self) {
        let watch: Arc<dyn Watch> = self.noted.clone();
        self.counting.watch_no_more(&watch);
        let Index { keeper, thread, .. } = self;
        if !keeper.process.is_this() {
            // The thread is the parent's.
            return std::mem::forget(thread.take());
        }
        keeper.ended.store(true, Ordering::SeqCst);
        self.noted.full.ring();
        if let Some(thread) = thread.take() {
            // Its panics are caught.
            let _ = thread.join();
        }
    }
}

impl Keeper {
    fn has_ended(&self) -> bool {
        !self.process.is_this() || self.ended.load(Ordering::SeqCst) || self.wal.is_closed()
    }

    fn go_on(&self) -> io::Result<()> {
        match self.has_ended() {
            true => Err(io::Error::other("the index or its log was closed meanwhile")),
            false => Ok(()),
        }
    }

    /// Writes each part that becomes full. It flushes nothing, so no callback of a ticket runs here.
    fn run(&self) {
        loop {
            // One merge each time that it has the turn, so that nobody waits for long.
            let written = catch_unwind(AssertUnwindSafe(|| {
                while self.work()? {}
                Ok::<_, WalError>(())
            }));
            if !self.process.is_this() {
                // The store's code has forked it off.
                return end_thread_of_child();
            }
            let failure = match written {
                Ok(Ok(())) => None,
                Ok(Err(_)) if self.has_ended() => return,
                // With its sources.
                Ok(Err(error)) => Some(format!("{error:?}")),
                Err(_) => Some("a panic".to_owned()),
            };
            let has_failed = failure.is_some();
            *self.failure.lock() = failure;
            self.is_writing.store(false, Ordering::SeqCst);
            let tried = self.noted.full_parts();
            let waits =
                has_failed || tried > 0 || self.files.is_some() && !self.large_groups(&self.noted).is_empty();
            let is_due = || self.noted.full_parts() > tried || self.has_ended();
            self.noted.full.sleep_unless(waits.then_some(RETRY), is_due);
            self.is_writing.store(true, Ordering::SeqCst);
            if self.has_ended() {
                return;
            }
        }
    }

    /// Packs, stores and merges what is there to be; whether there may be more to merge.
    fn work(&self) -> Result<bool> {
        let _turn = self.counting.files_turn();
        self.drop_parts();
        self.pack(&self.noted)?;
        let stored = self.store(&self.noted);
        self.merge_packed()?;
        stored?;
        self.merge_some_files()
    }

    /// Asked while files are written: what is noted meanwhile is packed. It is not merged, because that would change where
    /// the parts end that are about to be written.
    fn pack_and_go_on(&self) -> io::Result<()> {
        if self.noted.full_parts() > PACKED_TOGETHER {
            self.pack(&self.noted).map_err(io::Error::other)?;
        }
        self.go_on()
    }

    /// Packs what was noted, in memory.
    fn pack(&self, noted: &Noted) -> Result<()> {
        for part in noted.older() {
            if let Events::Noted(postings) = &part.events {
                let ends = (part.from, part.to);
                let run = OpenRun::of_postings(postings, &noted.terms, ends).map_err(unpacked)?;
                drop(part);
                noted.replace(ends, vec![Part::of_run(run)]);
            }
        }
        Ok(())
    }

    /// Merges what is packed in memory, so that there are few to look into.
    fn merge_packed(&self) -> Result<()> {
        let head = self.wal.status().head;
        let is_small = |run: &OpenRun| run.name().is_none() && run.len() < RUN_EVENTS;
        while let Some(runs) = next_to_merge(&self.noted.older(), is_small) {
            let merged = OpenRun::merged(&runs, head).map_err(|broken| unpacked(broken.fault))?;
            self.noted
                .replace(outer_ends(&runs), vec![Part::of_run(merged.map_err(unpacked)?)]);
        }
        Ok(())
    }

    /// Whether runs that lie one after another are large enough for a file.
    fn are_large(&self, runs: &[Arc<OpenRun>]) -> bool {
        let (from, to) = outer_ends(runs);
        let len: u64 = runs.iter().map(|run| run.len()).sum();
        to.get() - from.get() >= self.run_bytes || len >= RUN_EVENTS
    }

    /// Those that are in memory and lie one after another, in groups that are large enough for a file. One that ends where
    /// the log was cut waits for what comes after it: its end could not be found again.
    fn large_groups(&self, noted: &Noted) -> Vec<Vec<Arc<OpenRun>>> {
        let there = self.counting.there();
        let (mut groups, mut group) = (Vec::new(), Vec::<Arc<OpenRun>>::new());
        let parts = noted.older();
        for (at, part) in parts.iter().enumerate() {
            let next_run = parts.get(at + 1).and_then(Part::run);
            let run = part.run().filter(|run| run.name().is_none());
            let goes_on = run.is_some_and(|run| group.last().is_none_or(|last| last.to() == run.from()));
            if !goes_on {
                group.clear();
            }
            group.extend(run.cloned());
            // Those before a file are written however small they are, and become part of it.
            let is_before_file = next_run.is_some_and(|next| next.name().is_some());
            let ends_in_cut = group
                .last()
                .is_some_and(|last| there.without_cuts(last.to()) < last.to());
            if !group.is_empty() && !ends_in_cut && (is_before_file || self.are_large(&group)) {
                groups.push(std::mem::take(&mut group));
            }
        }
        groups
    }

    /// Writes groups of runs that are large enough and durable into files, each whether or not the one before could be.
    fn store(&self, noted: &Noted) -> Result<()> {
        let mut stored = Ok(());
        for group in self.large_groups(noted) {
            self.go_on().map_err(WalError::io("writing a run of an index"))?;
            stored = stored.and(self.store_group(noted, &group));
        }
        stored
    }

    fn store_group(&self, noted: &Noted, group: &[Arc<OpenRun>]) -> Result<()> {
        let Some(files) = &self.files else { return Ok(()) };
        let (from, to) = outer_ends(group);
        // After a crash, other records may have the LSNs of those that are not durable.
        if self.counting.durable() < to.pos() || noted.check().is_err() {
            return Ok(());
        }
        let position = match Position::of(&self.wal, to) {
            // All of it was dropped.
            Err(WalError::Truncated { .. }) => {
                noted.replace((from, to), Vec::new());
                return Ok(());
            }
            position => position?,
        };
        let stored = files.write(group, position, self.wal.status().head, &|| self.pack_and_go_on());
        let stored = stored.map_err(|broken| files.broken(&broken))??;
        noted.replace((from, to), vec![Part::of_run(stored)]);
        Ok(())
    }

    /// Merges files until each is so many times larger than those after it.
    fn merge_files(&self) -> Result<()> {
        while self.merge_some_files()? {}
        Ok(())
    }

    /// Merges some files; `false` if there is nothing to merge.
    fn merge_some_files(&self) -> Result<bool> {
        let Some(files) = &self.files else {
            return Ok(false);
        };
        let Some(runs) = next_to_merge(&self.noted.older(), |run| run.name().is_some()) else {
            return Ok(false);
        };
        let (from, to) = outer_ends(&runs);
        let position = match Position::of(&self.wal, to) {
            Err(WalError::Truncated { .. }) => return Ok(false),
            position => position?,
        };
        match files.write(&runs, position, self.wal.status().head, &|| self.pack_and_go_on()) {
            Ok(merged) => {
                let merged = Part::of_run(merged?);
                let name = merged.run().and_then(|run| run.name());
                let old = runs.iter().filter(|run| run.name() != name);
                self.noted.replace((from, to), vec![merged.clone()]);
                old.for_each(|run| files.remove_run(run));
            }
            Err(broken) => self.mend(&broken)?,
        }
        Ok(true)
    }

    /// Forgets parts of which the log has nothing any more.
    fn drop_parts(&self) {
        let head = self.wal.status().head;
        for part in self.noted.older() {
            if part.to <= head {
                self.noted.replace((part.from, part.to), Vec::new());
                if let (Some(files), Some(run)) = (&self.files, part.run()) {
                    files.remove_run(run);
                }
            }
        }
    }

    /// Puts what a run that cannot be read was made of in its place, from the log. Only who has the turn does that.
    fn mend(&self, broken: &BrokenRun) -> Result<()> {
        let BrokenRun { run, fault } = broken;
        if !self.noted.has(run) {
            // Another thread has done it.
            return Ok(());
        }
        if let (RunFault::Damaged { .. }, Some(files)) = (fault, &self.files) {
            files.remove_run(run);
        }
        let again = self.counting.unless_cut(|| {
            let again = Noted::new(self.wal.log_id(), run.from(), self.limits);
            read_on(&self.wal, &again, Bound::Excluded(run.to()), |again| {
                self.go_on()
                    .map_err(WalError::io("reading the log for an index"))?;
                // The thread writes it: who has asked is answered from memory.
                self.pack(again)
            })?;
            Ok(again)
        })?;
        let name = run.name().unwrap_or("a run in memory");
        *self.made_again.lock() = Some(format!("{name}: {fault}"));
        self.noted
            .replace((run.from(), run.to()), again.into_parts(run.to()));
        self.noted.full.ring();
        Ok(())
    }
}

fn unpacked(fault: RunFault) -> WalError {
    WalError::io("packing an index")(io::Error::other(fault))
}

/// Runs that lie one after another and are to be one: each is less than so many times larger than those after it together.
fn next_to_merge(parts: &[Part], may_be: impl Fn(&OpenRun) -> bool) -> Option<Vec<Arc<OpenRun>>> {
    let may_be = |part: &Part| part.run().filter(|run| may_be(run)).cloned();
    let mut found: Vec<Arc<OpenRun>> = Vec::new();
    let mut sum = 0_u64;
    // From the newest on.
    for part in parts.iter().rev() {
        let run = may_be(part);
        let fits = run.filter(|run| {
            let is_next = found.last().is_none_or(|after| after.from() == run.to());
            is_next && (found.is_empty() || sum == 0 || run.len() < RATIO.saturating_mul(sum))
        });
        match fits {
            Some(run) => {
                sum += run.len();
                found.push(run);
            }
            None if found.len() > 1 => break,
            None => {
                found = may_be(part).into_iter().collect();
                sum = found.iter().map(|run| run.len()).sum();
            }
        }
    }
    found.reverse();
    // Of many, those that are the least work.
    let work = |runs: &&[Arc<OpenRun>]| runs.iter().map(|run| run.len()).sum::<u64>();
    let least = found
        .windows(MOST_AT_ONCE.min(found.len().max(1)))
        .min_by_key(work)?;
    (least.len() > 1).then(|| least.to_vec())
}

fn outer_ends(runs: &[Arc<OpenRun>]) -> (Lsn, Lsn) {
    ends_of(runs, Lsn::ZERO)
}
