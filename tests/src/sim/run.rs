//! A run: random operations on a log, recorded with what was promised after each.

mod full;

use std::{fmt::Write as _, sync::Arc};

use wal_db::{
    Durability, Lsn, Staging, WalConfig,
    testing::sim::{AfterFailedSync, Call, Image, SimDisk, Step},
};

use super::{
    expect::{Expect, Known, Verdict},
    log::{Appended, Design, Done, Log, Opening, SMALL_SEGMENT},
};
use crate::faults::{EIO, once};
use crate::{
    files::{FORMS, Form, SEGMENT},
    payload, quiet,
    random::Rng,
};

/// What was recorded.
#[derive(Debug, Clone)]
pub struct Run {
    /// Makes the same run again, but for the log's id and the clock.
    pub seed: u64,
    /// How the log is opened.
    pub opening: Opening,
    /// What was on the disk before.
    pub base: Image,
    /// Everything that happened to the disk, with marks.
    pub journal: Vec<Step>,
    /// What each mark says: the promises, and what was being done.
    pub marks: Vec<(Expect, String)>,
    /// What went wrong without any crash of the power.
    pub failure: Option<String>,
}

impl Run {
    /// Records a run. With `lies`, `sync` does nothing.
    #[must_use]
    pub fn record(seed: u64, design: Design, lies: bool) -> Run {
        Run::of(Rng::new(seed), seed, design, lies)
    }

    /// Records the run that these numbers make; what is checked of it depends on the seed.
    #[must_use]
    pub fn of(mut rng: Rng, seed: u64, design: Design, lies: bool) -> Run {
        let moods = (rng.below(2) == 0).then(|| rng.number());
        // Most logs in segments get to the next one soon; some are made while there is little space.
        let form = rng.below(64);
        let (is_small, cramped) = (form % 8 >= 2, form / 8 == 7);
        let mut opening = Opening {
            design,
            form: FORMS[form % 2],
            segment: if is_small { SMALL_SEGMENT } else { SEGMENT },
            config: config(&mut rng),
        };
        if design != Design::Ours {
            // What it has nothing else for.
            opening.form = Form::File;
            opening.config = quiet().with_staging(Staging::WriteThrough);
        }
        let base = opening.base();
        let disk = SimDisk::of(base.clone());
        disk.behave(|disk| (disk.lies, disk.moods) = (lies, moods));
        let mut recorder = Recorder {
            disk,
            opening,
            cramped,
            log: None,
            rng,
            expect: Expect::default(),
            marks: Vec::new(),
            appended: 0,
        };
        let failure = recorder.everything().err();
        if let Some(log) = recorder.log.take() {
            recorder.disk = recorder.disk.kill();
            drop(log);
        }
        Run {
            seed,
            opening,
            base,
            journal: recorder.disk.journal(),
            marks: recorder.marks,
            failure,
        }
    }

    /// What was done up to a step of the journal, for people.
    #[must_use]
    pub fn trace(&self, step: usize) -> String {
        let config = self.opening.config;
        let certified = if self.opening.certifies() {
            ", certified"
        } else {
            ""
        };
        let mut text = format!(
            "seed {}, {:?}, segments of {}, staging {:?}{certified}\n",
            self.seed,
            self.opening.form,
            self.opening.segment,
            config.staging()
        );
        let upto = &self.journal[..step.min(self.journal.len())];
        let skipped = upto.len().saturating_sub(40);
        if skipped > 0 {
            let _ = writeln!(text, "  ... {skipped} steps");
        }
        for step in &upto[skipped..] {
            let _ = match step {
                Step::Mark(mark) => {
                    let (expect, what) = &self.marks[*mark];
                    let (durable, of) = (expect.durable, expect.records.len());
                    writeln!(text, "  {what}: {durable} of {of} records durable")
                }
                step => writeln!(text, "    {step}"),
            };
        }
        text
    }
}

fn config(rng: &mut Rng) -> WalConfig {
    let staging = [
        Staging::Heap,
        Staging::WriteThrough,
        Staging::Mapped,
        Staging::Mapped,
    ][rng.below(4)];
    let durability = match rng.below(4) {
        0 => Durability::Certified,
        _ => Durability::Flushed,
    };
    let config = quiet().with_staging_bytes(64 << 10);
    let config = config.with_staging(staging).with_durability(durability);
    // So few that short runs come to the table of cuts. By what was drawn already: chosen runs stay what they are.
    match staging {
        Staging::Heap => config,
        _ => config.with_timeline_entries(4),
    }
}

struct Recorder {
    disk: SimDisk,
    opening: Opening,
    /// The log is made at a second try, the first one having had little space.
    cramped: bool,
    log: Option<Box<dyn Log>>,
    rng: Rng,
    expect: Expect,
    marks: Vec<(Expect, String)>,
    appended: usize,
}

fn failed(what: &str) -> impl Fn(String) -> String + '_ {
    move |error| format!("{what}: {error}")
}

impl Recorder {
    fn everything(&mut self) -> Done {
        if self.cramped {
            let space = self.disk.used() + self.rng.below(256 << 10) as u64;
            self.disk.behave(|disk| disk.space = Some(space));
            self.open_when_full();
        }
        self.open("create")?;
        // Long runs of little but openings and cuts make a manifest of several sectors.
        let (steps, odds) = match self.rng.below(16) {
            0 => (60 + self.rng.below(30), 2),
            _ => (4 + self.rng.below(20), 32),
        };
        for _ in 0..steps {
            match self.rng.below(odds) {
                0 => self.new_epoch()?,
                _ => self.step()?,
            }
        }
        Ok(())
    }

    fn new_epoch(&mut self) -> Done {
        match self.rng.below(3) {
            0 => self.close(),
            1 => self.kill(),
            _ => self.truncate_after(),
        }
    }

    fn step(&mut self) -> Done {
        match self.rng.below(33) {
            0..=9 => self.append(false),
            10..=12 => self.append(true),
            13..=15 => self.batch(),
            16..=21 => self.sync(),
            22..=23 => self.flush(),
            24..=26 => self.truncate_after(),
            27..=28 => self.truncate_before(),
            29 => self.close(),
            30 => self.failed_sync(),
            31 => self.full(),
            _ => self.kill(),
        }
    }

    fn has_small_segments(&self) -> bool {
        self.opening.form == Form::Segmented && self.opening.segment == SMALL_SEGMENT
    }

    fn log(&self) -> &dyn Log {
        &**self.log.as_ref().unwrap()
    }

    /// Notes what is promised from here on.
    fn mark(&mut self, what: impl Into<String>) {
        self.disk.mark(self.marks.len());
        self.marks.push((self.expect.clone(), what.into()));
    }

    /// An operation has ended: what the log says is durable is acknowledged.
    fn done(&mut self, what: &str) {
        self.acknowledge();
        self.mark(what);
    }

    /// As [`done`](Self::done), for one that has written a manifest whose mark says that all that is durable is.
    fn done_with_mark(&mut self, what: &str) {
        self.acknowledge();
        if self.opening.design == Design::Ours {
            self.certain();
        }
        self.mark(what);
    }

    fn acknowledge(&mut self) {
        let pos = self.log().durable();
        let expect = &mut self.expect;
        if pos > expect.durable_pos {
            let before = |known: &&Known| known.lsn.is_some_and(|lsn| lsn.get() < pos);
            let durable = expect.records.iter().take_while(before).count();
            let last = (expect.durable, expect.durable_pos);
            (expect.durable, expect.durable_pos) = (durable.max(expect.durable), pos);
            let certain = if self.opening.certifies() {
                (expect.durable, pos)
            } else {
                last
            };
            (expect.certain, expect.certain_pos) = certain;
        }
        let records = expect.records.len();
        expect.survive = match self.opening.is_in_heap() {
            true => expect.survive.max(expect.durable).min(records),
            false => records,
        };
    }

    /// Everything that is durable is known to be by more than the last flush.
    fn certain(&mut self) {
        self.expect.certain = self.expect.durable;
        self.expect.certain_pos = self.expect.durable_pos;
    }

    fn data(&mut self) -> Arc<[u8]> {
        let len = match self.rng.below(16) {
            0 => 0,
            1..=8 => 1 + self.rng.below(if self.has_small_segments() { 1500 } else { 100 }),
            9..=11 => 380 + self.rng.below(160),
            12..=14 => self.rng.below(2500),
            // Too long for the ring.
            _ => 12_000 + self.rng.below(6000),
        };
        self.appended += 1;
        let mut data = payload(self.appended, len);
        // Whole sectors of zeros, and records that can be told from each other.
        if self.rng.below(4) == 0 {
            let from = len / 4;
            data[from..].fill(0);
        }
        let name = (self.appended as u64).to_le_bytes();
        data.extend_from_slice(&name);
        data.into()
    }

    fn push(&mut self, data: &[Arc<[u8]>]) {
        let records = Arc::make_mut(&mut self.expect.records);
        for (i, bytes) in data.iter().enumerate() {
            records.push(Known {
                lsn: None,
                data: bytes.clone(),
                more: i + 1 < data.len(),
            });
        }
    }

    fn append(&mut self, and_sync: bool) -> Done {
        let data = [self.data()];
        self.push(&data);
        let len = data[0].len();
        let what = if and_sync { "append and sync" } else { "append" };
        self.mark(format!("begin {what}, {len} bytes"));
        let lsn = match and_sync {
            true => self.log().append_and_sync(&data[0]).map(Appended::At),
            false => self.log().append(&data[0]),
        };
        let Appended::At(lsn) = lsn.map_err(failed(what))? else {
            return Err("full, though there is space".to_owned());
        };
        self.learn(&[lsn]);
        self.done(what);
        match and_sync {
            true => self.durable_at_least(self.expect.records.len()),
            false => Ok(()),
        }
    }

    fn batch(&mut self) -> Done {
        let count = 2 + self.rng.below(4);
        let data: Vec<_> = (0..count).map(|_| self.data()).collect();
        self.push(&data);
        self.mark(format!("begin batch of {count}"));
        let Some(lsns) = self.log().append_batch(&data) else {
            let records = Arc::make_mut(&mut self.expect.records);
            records.truncate(records.len() - data.len());
            self.mark("no batches");
            return Ok(());
        };
        let lsns = lsns.map_err(failed("batch"))?;
        self.learn(&lsns);
        self.done("batch");
        Ok(())
    }

    fn sync(&mut self) -> Done {
        self.log().sync().map_err(failed("sync"))?;
        self.done("sync");
        self.durable_at_least(self.expect.records.len())
    }

    fn flush(&mut self) -> Done {
        if let Some(flushed) = self.log().flush() {
            flushed.map_err(failed("flush"))?;
            self.expect.survive = self.expect.records.len();
        }
        self.done("flush");
        Ok(())
    }

    fn truncate_after(&mut self) -> Done {
        let (head, end) = (self.expect.heads[0], self.expect.records.len());
        if head == end {
            return Ok(());
        }
        let last = end - 1 - self.rng.below((end - head).min(4));
        let mut kept = last + 1;
        // Named by the first record that goes, where that can be; now and then that is the first one of all.
        let empties = last == head && last.is_multiple_of(3);
        let from = (empties || kept < end && last.is_multiple_of(2)) && self.log().can_truncate_from();
        if from && empties {
            kept = last;
        }
        self.expect.cut = Some(kept);
        let lsn = self.lsn(if from { kept } else { last });
        self.mark(format!(
            "begin truncate {lsn}, {kept} records are kept, from: {from}"
        ));
        match from {
            true => self.log().truncate_from(lsn),
            false => self.log().truncate_after(lsn),
        }
        .and_then(|()| self.check_both_copies())
        .map_err(failed("truncate after"))?;
        let records = Arc::make_mut(&mut self.expect.records);
        records.truncate(kept);
        // A batch that was cut is a shorter one.
        if let Some(last) = records.last_mut() {
            last.more = false;
        }
        let expect = &mut self.expect;
        expect.cut = None;
        expect.durable = expect.durable.min(kept);
        expect.certain = expect.certain.min(kept);
        // A design may use positions again.
        let pos = self.log.as_ref().unwrap().durable();
        expect.durable_pos = expect.durable_pos.min(pos);
        expect.certain_pos = expect.certain_pos.min(pos);
        match kept < end {
            true => self.done_with_mark("truncate after"),
            false => self.done("truncate after nothing"),
        }
        self.durable_at_least(kept)
    }

    /// An operation that is durable when it returns has to have flushed what it stands on.
    fn durable_at_least(&self, records: usize) -> Done {
        match self.expect.durable {
            durable if durable >= records => Ok(()),
            durable => Err(format!("{durable} of {records} records are durable")),
        }
    }

    fn truncate_before(&mut self) -> Done {
        let (head, end) = (self.expect.heads[0], self.expect.records.len());
        // Rather much, so that segments go.
        let some = end - head + 1;
        let new = head + self.rng.below(some).max(self.rng.below(some));
        let lsn = match new == end {
            true => Lsn::new(u64::MAX),
            false => self.lsn(new),
        };
        self.expect.heads = [head, new];
        self.mark(format!("begin truncate before the record {new}"));
        let Some(truncated) = self.log().truncate_before(lsn) else {
            self.expect.heads = [head, head];
            self.mark("no truncation");
            return Ok(());
        };
        truncated
            .and_then(|()| self.check_both_copies())
            .map_err(failed("truncate before"))?;
        self.expect.heads = [new, new];
        match new > head {
            true => self.done_with_mark("truncate before"),
            false => self.done("truncate before nothing"),
        }
        self.durable_at_least(new)
    }

    fn close(&mut self) -> Done {
        self.mark("begin close");
        let log = self.log.take().unwrap();
        log.close().map_err(failed("close"))?;
        self.expect.durable = self.expect.records.len();
        self.certain();
        self.mark("close");
        self.open("reopen")
    }

    /// The flush fails, the log takes nothing more, the process ends and the next one goes on.
    fn failed_sync(&mut self) -> Done {
        let kind = [
            AfterFailedSync::Forgotten,
            AfterFailedSync::Reverted,
            AfterFailedSync::Kept,
        ][self.rng.below(3)];
        self.disk.behave(|disk| {
            disk.after_failed_sync = kind;
            disk.fault = once(Call::Sync, 0, EIO);
        });
        if kind == AfterFailedSync::Reverted {
            self.expect.survive = self.expect.durable;
        }
        self.mark("begin sync that fails");
        let result = self.log().sync();
        if self.disk.heal() == 0 {
            // There was nothing to flush.
            result.map_err(failed("sync"))?;
            self.done("sync");
            return Ok(());
        }
        match (result, self.log().append(b"refused"), self.log().sync()) {
            (Err(_), Err(_), Err(_)) => {}
            other => return Err(format!("a flush failed, and then: {other:?}")),
        }
        self.mark("sync failed");
        self.kill()
    }

    fn kill(&mut self) -> Done {
        let dead = self.log.take().unwrap();
        self.disk = self.disk.kill();
        drop(dead);
        self.mark("kill");
        self.recover()
    }

    /// Opens what a dead process has left.
    fn recover(&mut self) -> Done {
        // What it had handed to the store survives it.
        let survive = self.expect.durable.max(self.expect.survive);
        // Or it was cut off.
        let survive = self.expect.cut.map_or(survive, |cut| cut.min(survive));
        self.open("recover")?;
        if self.expect.records.len() < survive {
            return Err(format!(
                "kill -9 lost records: {} of {survive}",
                self.expect.records.len()
            ));
        }
        Ok(())
    }

    fn open(&mut self, what: &str) -> Done {
        let log = self.opening.open(&self.disk).map_err(failed(what))?;
        let found = log.all().map_err(failed(what))?;
        self.log = Some(log);
        match self.expect.judge(&found) {
            Verdict::Kept => {}
            other => return Err(format!("{what}: {other:?}, though no power was lost")),
        }
        // A truncation that failed was done or was not.
        let heads = self.expect.heads;
        let head = if self.expect.end_of(heads[0], &found).is_some() {
            heads[0]
        } else {
            heads[1]
        };
        (self.expect.heads, self.expect.cut) = ([head; 2], None);
        let records = Arc::make_mut(&mut self.expect.records);
        records.truncate(head + found.len());
        // A batch that was cut is a shorter one.
        records
            .iter_mut()
            .last()
            .into_iter()
            .for_each(|last| last.more = false);
        for (known, entry) in records[head..].iter_mut().zip(&found) {
            known.lsn = Some(entry.0);
        }
        // What recovery shows is durable, and the manifest says so.
        self.expect.durable = self.expect.records.len();
        self.expect.survive = self.expect.durable;
        self.expect.durable_pos = self.log().durable();
        self.certain();
        self.mark(what);
        Ok(())
    }

    fn lsn(&self, record: usize) -> Lsn {
        self.expect.records[record].lsn.unwrap()
    }

    fn learn(&mut self, lsns: &[Lsn]) {
        let records = Arc::make_mut(&mut self.expect.records);
        let from = records.len() - lsns.len();
        for (known, lsn) in records[from..].iter_mut().zip(lsns) {
            known.lsn = Some(*lsn);
        }
    }
}
