//! What the log makes of an image.

use wal_db::{
    Lsn,
    testing::sim::{Image, Medium, SimDisk, Step},
};

use super::{
    expect::{Expect, Verdict},
    log::{Log, Opening},
};
use crate::{Entry, random::Rng};

/// What was read from an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The log was refused, or a record of it.
    Refused(String),
    /// The records.
    Read(Vec<Entry>),
}

/// Opens a log and reads it.
#[must_use]
pub fn read(disk: &SimDisk, opening: Opening) -> (Option<Box<dyn Log>>, Outcome) {
    let log = match opening.open(disk) {
        Ok(log) => log,
        Err(error) => return (None, Outcome::Refused(error)),
    };
    let outcome = match log.all() {
        Ok(records) => Outcome::Read(records),
        Err(error) => Outcome::Refused(format!("reading: {error}")),
    };
    (Some(log), outcome)
}

/// Reads an image, and lets the disk go without another write to it.
#[must_use]
pub fn look(image: Image, opening: Opening) -> Outcome {
    let disk = SimDisk::of(image);
    let (wal, outcome) = read(&disk, opening);
    let _dead = disk.kill();
    drop(wal);
    outcome
}

/// What the next user of a crash image did with it.
#[derive(Debug)]
pub struct Sequel {
    /// What was read.
    pub outcome: Outcome,
    /// The calls that recovery and one more record took.
    journal: Vec<Step>,
    /// The record that was appended.
    added: Option<Entry>,
}

/// About so many calls of a recovery are crashed at.
const CALLS: usize = 16;

const OPENED: usize = 0;
const FLUSHED: usize = 1;

/// Opens an image, reads it, and appends and flushes a record.
#[must_use]
pub fn go_on(image: Image, opening: Opening) -> Sequel {
    let disk = SimDisk::of(image);
    let (wal, mut outcome) = read(&disk, opening);
    disk.mark(OPENED);
    let mut added = None;
    if let (Some(wal), Outcome::Read(found)) = (&wal, &outcome) {
        match add(&**wal, found.len() as u64) {
            Ok(entry) => added = Some(entry),
            Err(wrong) => outcome = Outcome::Refused(wrong),
        }
    }
    disk.mark(FLUSHED);
    let next = disk.kill();
    drop(wal);
    Sequel {
        outcome,
        journal: next.journal(),
        added,
    }
}

/// Appends a record to a log that has so many, and flushes it; the log has to count them, and find nothing wrong.
fn add(log: &dyn Log, before: u64) -> Result<Entry, String> {
    let data = b"appended behind a crash".to_vec();
    let lsn = log.append_and_sync(&data);
    let lsn = lsn.map_err(|error| format!("appending: {error}"))?;
    log.check(before + 1)?;
    Ok(Entry(lsn, data))
}

impl Sequel {
    /// Loses the power once more, right after the flush, with nothing in the cache left of what was on the medium and
    /// what was done since.
    ///
    /// # Errors
    /// What is wrong.
    pub fn second_crash_at_the_end(&self, mut medium: Medium, opening: Opening) -> Result<(), String> {
        self.journal.iter().for_each(|step| medium.apply(step));
        let left = medium.after(&medium.nothing());
        self.compare(look(left, opening), true, true)
    }

    /// Loses the power once more at every call that recovery and the append made, or at so many of them if there are more;
    /// returns how many images that was.
    /// Before the log is open, what was not flushed or only in mapped memory may or may not be there, as `expect` says.
    ///
    /// # Errors
    /// What is wrong.
    pub fn second_crashes(
        &self,
        mut medium: Medium,
        opening: Opening,
        expect: &Expect,
        rng: &mut Rng,
    ) -> Result<u64, String> {
        let was_settled = medium.is_settled();
        let (mut images, mut opened) = (0, false);
        for (at, step) in self.journal.iter().enumerate() {
            medium.apply(step);
            match step {
                Step::Mark(OPENED) => opened = true,
                Step::Mark(_) => break,
                _ => {}
            }
            if rng.below(self.journal.len()) >= CALLS {
                continue;
            }
            for arrival in [medium.nothing(), medium.all(), medium.any(&mut || rng.number())] {
                images += 1;
                let outcome = look(medium.after(&arrival), opening);
                if let Outcome::Read(found) = &outcome
                    && !opened
                    && !was_settled
                    && expect.judge(found) == Verdict::Kept
                {
                    continue;
                }
                self.compare(outcome, false, opened).map_err(|wrong| {
                    format!(
                        "a second crash behind call {at} of recovery, {step}: {}: {wrong}",
                        medium.describe(&arrival)
                    )
                })?;
            }
        }
        Ok(images)
    }

    /// What was on the medium when recovery began is what is read after it, and with the record that was added if it
    /// had been flushed.
    fn compare(&self, outcome: Outcome, flushed: bool, opened: bool) -> Result<(), String> {
        let Outcome::Read(before) = &self.outcome else {
            return Ok(());
        };
        let Outcome::Read(found) = outcome else {
            return Err(format!("{outcome:?}"));
        };
        let same = found.len() >= before.len() && found[..before.len()] == before[..];
        let rest = found.get(before.len()..).unwrap_or_default();
        let added = self.added.as_slice();
        let may_be = rest.is_empty() && !flushed || opened && rest == added;
        if same && may_be {
            return Ok(());
        }
        Err(format!(
            "{} records before, {} now, the last at {:?}",
            before.len(),
            found.len(),
            found.last().map_or(Lsn::ZERO, |entry| entry.0)
        ))
    }
}
