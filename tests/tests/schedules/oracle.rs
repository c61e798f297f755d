//! What may be read from an image that was taken at an acknowledgement.
//!
//! Every record that was acknowledged is there. What is read is the beginning of the log's order: with a record come all
//! that stand before it, each at the place that its append returned, batches whole. While a truncation is under way, the
//! log is as before it or as after it; when it has returned, nothing that it removed comes back. Records that are being
//! appended at the moment may be there, if the order allows it.

use wal_db::{Lsn, testing::sim::Image};
use wal_tests::Entry;

use super::{
    asked::{Labels, Told},
    disk::Disk,
    read::{Found, look},
};

/// A record that somebody set out to append.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) data: Vec<u8>,
    pub(crate) lsn: Option<Lsn>,
    pub(crate) fate: Fate,
    /// What an event can be found by.
    pub(crate) labels: Labels,
    /// The first record of its batch, and how many they are.
    pub(crate) batch: (usize, usize),
    /// The log had said before that it takes nothing more.
    pub(crate) too_late: bool,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its append has not returned.
    Pending,
    /// Its append returned where it is.
    Appended,
    /// Its append said that it may have been taken.
    InDoubt,
    /// Its append said that it was not taken.
    Refused,
}

/// `truncate_after` or `truncate_from`.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Records from here on are cut off.
    pub(crate) kept_before: Lsn,
    /// The records that it removed.
    pub(crate) removed: u64,
}

/// `truncate_before`: where the log was to start, then where it does.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) lsn: Lsn,
    pub(crate) done: bool,
}

/// The disk at an acknowledgement, and what was promised by then.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) what: &'static str,
    /// The first one is the worst.
    pub(crate) images: Vec<Image>,
    pub(crate) durable: u64,
    /// So many appends had begun.
    pub(crate) begun: usize,
    pub(crate) cut_begun: bool,
    pub(crate) cut_done: bool,
    pub(crate) heads_begun: usize,
    pub(crate) heads_done: usize,
}

/// What somebody read while others went on.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) what: &'static str,
    pub(crate) found: Vec<Entry>,
    /// It was asked for records that have these only.
    pub(crate) labels: Labels,
    /// It said that it has looked for everything before this LSN.
    pub(crate) next: Option<Lsn>,
    /// What had been appended when it began.
    pub(crate) before: u64,
    /// Truncations had ended when it began.
    pub(crate) cut_done: bool,
}

/// Everything that was seen of a log. Records are bits of a number.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) facts: Vec<Fact>,
    pub(crate) durable: u64,
    pub(crate) cut: Option<Cut>,
    pub(crate) cut_done: bool,
    pub(crate) heads: Vec<Head>,
    pub(crate) heard_failure: bool,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) readings: Vec<Reading>,
    /// What is durable since a snapshot, by its LSN: whose it is may not be known by then.
    pub(crate) durable_at: Vec<(usize, Lsn)>,
    /// What was asked of an index, and its answers.
    pub(crate) told: Vec<Told>,
}

/// A state in which the log may be.
struct World {
    removed: u64,
    head: Lsn,
}

impl Notes {
    /// The records of which this is true.
    pub(crate) fn mask(&self, is: impl Fn(&Fact) -> bool) -> u64 {
        assert!(self.facts.len() <= 64, "a scenario is small");
        let bits = self.facts.iter().enumerate().filter(|(_, fact)| is(fact));
        bits.fold(0, |mask, (id, _)| mask | 1 << id)
    }

    /// The record that holds this.
    pub(crate) fn find(&self, data: &[u8]) -> usize {
        let found = self.facts.iter().position(|fact| fact.data == data);
        found.unwrap_or_else(|| panic!("a record that nobody appended: {data:?}"))
    }

    /// Learns from what is in the log at the end which records were removed.
    pub(crate) fn settle(&mut self, live: &[Lsn]) {
        let head = self.heads.last().map_or(Lsn::ZERO, |head| head.lsn);
        let gone = self.mask(|fact| fact.lsn.is_some_and(|lsn| lsn >= head && !live.contains(&lsn)));
        let cut = self.cut.as_ref();
        let kept_before = cut.map_or(Lsn::new(u64::MAX), |cut| cut.kept_before);
        let cut_off = self.mask(|fact| fact.lsn.is_some_and(|lsn| lsn >= kept_before));
        assert_eq!(
            gone & !cut_off,
            0,
            "records are gone that nobody removed: {self:#?}"
        );
        if let Some(cut) = &mut self.cut {
            assert_eq!(cut.removed & !gone, 0, "records are there that were removed");
            cut.removed = gone;
        }
    }

    /// Opens every image.
    pub(crate) fn check(&mut self, disk: &Disk) {
        self.readings
            .iter()
            .for_each(|reading| self.check_reading(reading));
        self.told.iter().for_each(|told| self.check_told(told));
        for (since, lsn) in std::mem::take(&mut self.durable_at) {
            let durable = self.mask(|fact| fact.lsn == Some(lsn));
            self.snapshots[since..]
                .iter_mut()
                .for_each(|snapshot| snapshot.durable |= durable);
        }
        for (at, snapshot) in self.snapshots.iter().enumerate() {
            for (which, image) in snapshot.images.iter().enumerate() {
                let wrong = match look(disk, image.clone()) {
                    Err(error) => Some(format!("refused: {error}")),
                    Ok(found) => self.judge(snapshot, &found),
                };
                if let Some(wrong) = wrong {
                    let what = snapshot.what;
                    let facts: Vec<_> = self.facts.iter().map(Fact::describe).collect();
                    panic!("acknowledgement {at} ({what}), image {which}: {wrong}\n{facts:#?}");
                }
            }
        }
    }

    /// Readers see a log that moves: what is removed while they read may be among what they found.
    fn check_reading(&self, reading: &Reading) {
        let (what, mut seen, mut last) = (reading.what, 0, None);
        for entry in &reading.found {
            let id = self.find(&entry.1);
            let lsn = self.facts[id].lsn;
            assert!(
                lsn.is_none_or(|lsn| lsn == entry.0),
                "{what}: {id} at another place"
            );
            assert!(last < Some(entry.0), "{what}: not in order");
            assert!(reading.is_meant(&self.facts[id]), "{what} found {id}");
            (seen, last) = (seen | 1 << id, Some(entry.0));
        }
        let removed = self.cut.as_ref().map_or(0, |cut| cut.removed);
        let head = self.heads.last().map_or(Lsn::ZERO, |head| head.lsn);
        let gone = removed | self.mask(|fact| fact.lsn.is_some_and(|lsn| lsn < head));
        let next = last.max(reading.next);
        let before_last = self.mask(|fact| fact.lsn.is_some_and(|lsn| Some(lsn) < next));
        let meant = self.mask(|fact| reading.is_meant(fact));
        let missed = (reading.before | before_last) & meant & !gone & !seen;
        assert_eq!(missed, 0, "{what} passed over {:?}", bits(missed));
        let back = if reading.cut_done { seen & removed } else { 0 };
        assert_eq!(back, 0, "{what} found what was removed: {:?}", bits(back));
    }

    /// What is wrong with what was read, if anything is.
    fn judge(&self, snapshot: &Snapshot, found: &Found) -> Option<String> {
        let mut seen = 0;
        let mut before = None;
        for entry in &found.entries {
            let id = match self.facts[..snapshot.begun]
                .iter()
                .position(|fact| fact.data == entry.1)
            {
                Some(id) => id,
                None => return Some(format!("{entry:?} was not appended by then")),
            };
            let fact = &self.facts[id];
            if fact.fate == Fate::Refused {
                return Some(format!("{id} was refused"));
            }
            if fact.lsn.is_some_and(|lsn| lsn != entry.0) || before >= Some(entry.0) {
                return Some(format!("{id} is at another place: {}", entry.0));
            }
            seen |= 1 << id;
            before = Some(entry.0);
        }
        let unexplained =
            self.mask(|fact| fact.lsn.is_some_and(|lsn| found.unexplained.contains(&lsn))) & snapshot.durable;
        if unexplained != 0 {
            return Some(format!("acknowledged without a schema: {:?}", bits(unexplained)));
        }
        let worlds = self.worlds(snapshot);
        let wrong: Vec<_> = worlds
            .iter()
            .map_while(|world| self.judge_in(world, snapshot, seen, before))
            .collect();
        (wrong.len() == worlds.len()).then(|| wrong.join("; or "))
    }

    /// The states in which the log may be: truncations that are under way have happened or not.
    fn worlds(&self, snapshot: &Snapshot) -> Vec<World> {
        let removed = self.cut.as_ref().map_or(0, |cut| cut.removed);
        let cuts = match (snapshot.cut_begun, snapshot.cut_done) {
            (true, true) => vec![removed],
            (true, false) => vec![0, removed],
            _ => vec![0],
        };
        let heads: Vec<Lsn> = std::iter::once(Lsn::ZERO)
            .chain(self.heads.iter().map(|head| head.lsn))
            .collect();
        let heads = &heads[snapshot.heads_done..=snapshot.heads_begun];
        let world = |&removed| heads.iter().map(move |&head| World { removed, head });
        cuts.iter().flat_map(world).collect()
    }

    fn judge_in(&self, world: &World, snapshot: &Snapshot, seen: u64, last: Option<Lsn>) -> Option<String> {
        let gone = world.removed | self.mask(|fact| fact.lsn.is_some_and(|lsn| lsn < world.head));
        let lost = snapshot.durable & !seen & !gone;
        if lost != 0 {
            return Some(format!("acknowledged and lost: {:?}", bits(lost)));
        }
        if seen & gone != 0 {
            return Some(format!("removed and back: {:?}", bits(seen & gone)));
        }
        let before_last = self.mask(|fact| fact.lsn.is_some_and(|lsn| Some(lsn) < last));
        let hole = before_last & !seen & !gone;
        if hole != 0 {
            return Some(format!("missing before others: {:?}", bits(hole)));
        }
        let half = |id: &usize| {
            let (first, records) = self.facts[*id].batch;
            let batch = ((1_u64 << records) - 1) << first;
            batch & gone == 0 && batch & !seen != 0
        };
        let half = bits(seen).into_iter().find(half);
        half.map(|id| format!("the batch of {id} is not whole"))
    }
}

impl Reading {
    fn is_meant(&self, fact: &Fact) -> bool {
        fact.labels.has(self.labels)
    }
}

impl Fact {
    pub(crate) fn describe(&self) -> String {
        let (first, records) = self.batch;
        format!(
            "{:?} at {:?}, batch {first}+{records}, {:?}",
            self.fate,
            self.lsn.map(Lsn::get),
            self.labels
        )
    }
}

pub(crate) fn bits(mask: u64) -> Vec<usize> {
    (0..64).filter(|bit| mask & 1 << bit != 0).collect()
}
